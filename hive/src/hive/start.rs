//! How a hive is set up: anew, or where its log ends.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use queenright_primitives::snapshot::SnapshotCell;

use super::Hive;
use crate::agent::Runtime;
use crate::claims::Claims;
use crate::config::HiveBuilder;
use crate::consensus::{
    Core, Failure, Images, Intake, News, Publisher, Queen, Restored, Scribe, Stop, Way,
};
use crate::error::HiveError;
use crate::log::Recent;
use crate::metrics::Counters;
use crate::observe;
use crate::state::State;

impl Hive {
    pub(crate) fn start(config: HiveBuilder) -> Result<Hive, HiveError> {
        let pool = match config.threads {
            None => None,
            Some(threads) => Some(
                rayon::ThreadPoolBuilder::new()
                    .num_threads(threads.get())
                    .thread_name(|number| format!("queenright-worker-{number}"))
                    .build()
                    .map_err(|error| HiveError::Start(error.to_string()))?,
            ),
        };
        if let Some((key, _)) = config.base.iter().find(|(_, value)| !value.is_shallow()) {
            return Err(HiveError::TooDeep(key.clone()));
        }
        let mut recent = Recent::keeping(config.keep_rounds);
        let base = || State::base(config.base);
        let Restored { state, head, memory } = match &config.log {
            None => Restored::at_base(base()),
            Some(log) => Restored::from_log(&*log.archive(), log.last(), base, &mut recent)?,
        };
        // No token, life or id of the hive's own ever comes again, not after a restart either.
        let term = config.log.as_ref().map_or(0, |log| log.term());
        let cell = Arc::new(SnapshotCell::starting_at(state.version(), state.clone()));
        let recent = Arc::new(Mutex::new(recent));
        let intake = Arc::new(Intake::bounded(config.queue, config.when_full));
        observe::describe();
        let news = Arc::<News>::default();
        let (started, before) = (Instant::now(), memory.now);
        let is_real_time = config.clock.is_none();
        let agents = Arc::<OnceLock<Arc<Runtime>>>::default();
        let seed = config.seed;
        let clock = config.clock.unwrap_or_else(|| {
            let now = move || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            Arc::new(move || now().saturating_add(before))
        });
        let claims = Claims::new(config.claims, config.lease, term, Arc::clone(&clock));
        let claims = Arc::new(claims);
        // Whoever held anything before the restart may have changed what is restored, and nothing after that.
        claims.begin(state.version());
        let (counters, stop) = (Arc::<Counters>::default(), Arc::<Stop>::default());
        let publisher = Publisher {
            cell: Arc::clone(&cell),
            recent: Arc::clone(&recent),
            agents: Arc::clone(&agents),
            news: Arc::clone(&news),
            counters: Arc::clone(&counters),
        };
        let failure = Failure::default();
        let way = match config.log {
            None => Way::Here(publisher),
            Some(log) => {
                let images = Images::start(log.archive(), memory.clone(), state.version())?;
                let (intake, failure) = (Arc::clone(&intake), Arc::clone(&failure));
                Scribe { log, publisher, intake, failure, images }.start()?
            }
        };
        let ballots = Arc::new(Mutex::new(memory.ballots));
        let core = Core {
            state,
            head,
            policy: config.policy,
            seed: config.seed,
            clock,
            claims: Arc::clone(&claims),
            counters: Arc::clone(&counters),
            intents: memory.intents,
            is_real_time,
            ballots: Arc::clone(&ballots),
        };
        let width = (config.window, config.max_batch);
        let stops = Arc::clone(&stop);
        let way = (way, Arc::clone(&failure));
        let left = (config.ballots, memory.again);
        let queen = Queen::new(core, way, Arc::clone(&intake), width, left, stops);
        let told = Arc::clone(&news);
        let queen = std::thread::Builder::new()
            .name("queenright-queen".to_owned())
            .spawn(move || queen.run(told))
            .map_err(|error| HiveError::Start(error.to_string()))?;
        Ok(Hive {
            name: config.name,
            cell,
            recent,
            intake,
            news,
            claims,
            ballots,
            agents,
            starting: Mutex::default(),
            names: Arc::default(),
            seed,
            term,
            wave_term: if config.ids_go_on { 0 } else { term },
            failure,
            counters,
            stop,
            roster: Mutex::default(),
            transactions: Mutex::new(0),
            max_attempts: config.max_attempts,
            pool,
            queen: Mutex::new(Some(queen)),
        })
    }
}
