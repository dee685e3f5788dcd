//! From packs to one configuration, through a hive.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use queenright_primitives::Version;

use super::analyze::{Analyzer, PHASE, Phase};
use super::load::Loaded;
use super::logged::{Earlier, differences, inputs};
use super::pack::{Ask, Location, Origin, Pack, Wish};
use super::policy::Policy;
use super::report::{Case, Ended, Report, report};
use crate::agent::Failure;
use crate::config::HiveBuilder;
use crate::error::{HiveError, TransactError};
use crate::hive::Hive;
use crate::key::Key;
use crate::log::{CommitLog, LogError, Record};
use crate::op::Op;
use crate::requirement::Requirement;
use crate::state::{Snapshot, State};
use crate::value::Value;

/// The most rounds, unless something else is asked for.
const ROUNDS: u64 = 256;
/// The most threads that are started, whatever is asked for.
const MOST_THREADS: usize = 256;

/// What the caller asks for; what is `None` comes from `hive.toml`, or is the default.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What breaks ties. Default: 0.
    pub seed: Option<u64>,
    /// How many threads run agents. Default: one per core.
    pub threads: Option<NonZeroUsize>,
    /// After how many rounds to give up. Default: 256.
    pub rounds: Option<u64>,
}

/// A resolution that ran to its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Resolution {
    /// What was agreed, and what conflicts.
    pub report: Report,
    /// The last state.
    pub state: Snapshot,
    /// All rounds.
    pub history: Vec<Arc<Record>>,
    pub(crate) base: Vec<(Key, Value)>,
    pub(crate) policy: Arc<Policy>,
}

/// Why there is no resolution.
#[derive(Debug)]
#[non_exhaustive]
pub enum ResolveError {
    /// The hive could not run.
    Hive(HiveError),
    /// A step of the resolution itself was not committed.
    Phase(TransactError),
    /// Agents failed: an error of this library.
    Agents(Vec<Failure>),
    /// The log takes nothing any more.
    Log(LogError),
    /// The log was begun with something else: in what it differs.
    Begun(Vec<String>),
    /// The first round in the log that these packs do not propose.
    Continued(Version),
}

impl fmt::Display for ResolveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ResolveError::Hive(error) => error.fmt(f),
            ResolveError::Phase(error) => error.fmt(f),
            ResolveError::Agents(failures) => {
                f.write_str(
                    "agents failed, which is an error of queenright itself; please report it:",
                )?;
                failures
                    .iter()
                    .try_for_each(|failure| write!(f, "\n  {}: {}", failure.agent, failure.reason))
            }
            ResolveError::Log(error) => write!(
                f,
                "{error}\nthe rounds before this are kept: when it is mended, run again, and it goes on after them"
            ),
            ResolveError::Begun(differences) => {
                const SHOWN: usize = 10;
                f.write_str("the log was begun with something else:")?;
                for difference in differences.iter().take(SHOWN) {
                    write!(f, "\n  {difference}")?;
                }
                if differences.len() > SHOWN {
                    write!(f, "\n  and {} more", differences.len() - SHOWN)?;
                }
                f.write_str(
                    "\nuse another folder for this run, or go back to what the log was begun with",
                )
            }
            ResolveError::Continued(round) => write!(
                f,
                "these packs do not propose what round {round} of the log holds: another version of queenright, or somebody \
                 else, wrote it; use another folder for this run"
            ),
        }
    }
}

impl std::error::Error for ResolveError {}

impl From<HiveError> for ResolveError {
    fn from(error: HiveError) -> Self {
        ResolveError::Hive(error)
    }
}

/// Resolves packs: one analyser agent each, in rounds, until nothing changes.
///
/// # Errors
/// [`ResolveError`]; conflicts between packs are no error but part of the report.
pub fn resolve(loaded: Loaded, options: &Options) -> Result<Resolution, ResolveError> {
    resolve_with(loaded, options, |_, _| ())
}

/// As [`resolve`], calling `progress` after each round with the state and the number of agents
/// that still have something to do.
///
/// # Errors
/// As there.
pub fn resolve_with(
    loaded: Loaded,
    options: &Options,
    progress: impl FnMut(&Snapshot, usize),
) -> Result<Resolution, ResolveError> {
    resolve_in(loaded, options, None, progress)
}

/// As [`resolve_with`], with the rounds in a log. If that holds rounds already, of a run with the same packs, rules, base and seed, it
/// goes on after the last of them, and ends as if it had never been interrupted; if it was not, no round is added.
///
/// # Errors
/// As there; [`ResolveError::Begun`] and [`ResolveError::Continued`] if the log is that of something else, to which nothing is added then.
pub fn resolve_logged(
    loaded: Loaded,
    options: &Options,
    log: impl CommitLog + 'static,
    progress: impl FnMut(&Snapshot, usize),
) -> Result<Resolution, ResolveError> {
    resolve_in(loaded, options, Some(Box::new(log)), progress)
}

fn resolve_in(
    loaded: Loaded,
    options: &Options,
    log: Option<Box<dyn CommitLog>>,
    mut progress: impl FnMut(&Snapshot, usize),
) -> Result<Resolution, ResolveError> {
    let Loaded { packs, hive: file, warnings } = loaded;
    let name = file.name.clone().unwrap_or_else(|| "hive".to_owned());
    let seed = options.seed.or(file.seed).unwrap_or(0);
    let limit = options.rounds.or(file.rounds).unwrap_or(ROUNDS);
    let policy = Arc::new(file.policy.clone());
    // Which packs were found is a fact, not a proposal: their versions stand before the first round.
    let found =
        packs.iter().filter(|pack| pack.origin == Origin::Pack && pack.conditions.is_empty());
    let facts = found.filter_map(|pack| {
        let key = Key::new(format!("packs/{}", pack.name)).ok()?;
        Some((key, Value::from(Requirement::exact(&pack.version))))
    });
    let base: Vec<_> = file.base.iter().cloned().chain(facts).collect();
    let mut builder = Hive::builder().name(&name).seed(seed).keep_rounds(usize::MAX);
    // Nothing here has a deadline, and a clock would make two runs differ.
    builder = builder.clock(|| 0);
    if let Some(threads) = options.threads.or(file.threads) {
        // More threads than packs have nothing to do, and the result is the same for any number.
        let useful = NonZeroUsize::new(packs.len().min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN);
        builder = builder.threads(threads.min(useful));
    }
    let mut earlier = None;
    builder = match log {
        None => builder.base(base.clone()),
        Some(log) => {
            let logged = base.iter().cloned().chain(inputs(&packs, &policy, seed));
            earlier = Earlier::read(&*log).map_err(HiveError::Log)?;
            if let Some(earlier) = &earlier {
                let differences = differences(&earlier.base, &State::base(logged.clone()));
                if !differences.is_empty() {
                    return Err(ResolveError::Begun(differences));
                }
            }
            HiveBuilder { log: Some(log), ids_go_on: true, ..builder.base(logged) }
        }
    };
    let hive = builder.build()?;
    let (agents, cases): (Vec<_>, Vec<_>) = packs
        .into_iter()
        .map(|pack| {
            let pack = Arc::new(with_presence(pack));
            let (agent, progress) = Analyzer::new(Arc::clone(&pack), Arc::clone(&policy));
            (agent, Case { pack, progress })
        })
        .unzip();
    hive.spawn_all(agents)?;
    let mut history = Vec::new();
    if let Some(Earlier { base, records }) = earlier {
        hive.catch_up(base, &records).map_err(ResolveError::Continued)?;
        history = records;
    }
    let waiting = run(&hive, &phases(&cases), limit, &mut progress).map_err(|error| {
        // Of what follows from it, the cause is told.
        let failure = hive.log_failure().cloned();
        failure.map_or(error, ResolveError::Log)
    })?;
    let (state, last) = (hive.snapshot(), history.last().map(|it| it.input.round));
    history.extend(hive.history().into_iter().filter(|it| Some(it.input.round) > last));
    let report = report(Ended {
        hive: &name,
        seed,
        file: &file,
        cases: &cases,
        base: &base,
        state: &state,
        history: &history,
        waiting,
        warnings,
    });
    Ok(Resolution { report, state, history, base, policy })
}

/// Runs the waves that are not over, and says how many agents wait after the last.
fn run(
    hive: &Hive,
    phases: &[Phase],
    limit: u64,
    progress: &mut impl FnMut(&Snapshot, usize),
) -> Result<usize, ResolveError> {
    let begun = hive.snapshot().get(PHASE).and_then(Value::as_int).unwrap_or(0);
    let mut waiting = 0;
    for phase in phases {
        let phase = *phase as i64;
        if phase > begun {
            hive.transact(|view| Ok(view.set(PHASE, phase)?)).map_err(ResolveError::Phase)?;
        }
        let left = limit.saturating_sub(hive.version().0);
        let settled = hive.run_until_settled_with(left, &mut *progress)?;
        if !settled.failed.is_empty() {
            return Err(ResolveError::Agents(settled.failed));
        }
        waiting = settled.waiting;
        if waiting > 0 {
            // The next wave is for values that have settled.
            break;
        }
    }
    Ok(waiting)
}

/// A pack with conditions states its version itself, once they hold.
fn with_presence(mut pack: Pack) -> Pack {
    let conditional = pack.origin == Origin::Pack && !pack.conditions.is_empty();
    if let (true, Ok(key)) = (conditional, Key::new(format!("packs/{}", pack.name))) {
        let ask = Ask::Op(Op::constrain(Requirement::exact(&pack.version)));
        let at = Location { line: 1, column: 1 };
        pack.wishes.insert(0, Wish { at, asks: vec![(key, ask)] });
    }
    pack
}

/// The waves that these packs need.
fn phases(cases: &[Case]) -> Vec<Phase> {
    let conditional = cases.iter().any(|case| !case.pack.conditions.is_empty());
    let spanning = cases.iter().any(|case| !case.pack.spanning.is_empty());
    let mut phases = vec![Phase::Plain];
    phases.extend(conditional.then_some(Phase::Conditional));
    phases.extend(spanning.then_some(Phase::Spanning));
    phases
}
