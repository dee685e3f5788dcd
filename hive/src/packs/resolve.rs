//! From packs to one configuration, through a hive.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::analyze::{Analyzer, PHASE, Phase};
use super::load::Loaded;
use super::pack::{Ask, Location, Origin, Pack, Wish};
use super::policy::Policy;
use super::report::{Case, Ended, Report, report};
use crate::agent::Failure;
use crate::error::{HiveError, TransactError};
use crate::hive::Hive;
use crate::key::Key;
use crate::log::Record;
use crate::op::Op;
use crate::requirement::Requirement;
use crate::state::Snapshot;
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
    let mut builder =
        Hive::builder().name(&name).seed(seed).base(base.clone()).keep_rounds(usize::MAX);
    // Nothing here has a deadline, and a clock would make two runs differ.
    builder = builder.clock(|| 0);
    if let Some(threads) = options.threads.or(file.threads) {
        // More threads than packs have nothing to do, and the result is the same for any number.
        let useful = NonZeroUsize::new(packs.len().min(MOST_THREADS)).unwrap_or(NonZeroUsize::MIN);
        builder = builder.threads(threads.min(useful));
    }
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
    let mut waiting = 0;
    for phase in phases(&cases) {
        if phase > Phase::Plain {
            hive.transact(|view| Ok(view.set(PHASE, phase as i64)?))
                .map_err(ResolveError::Phase)?;
        }
        let left = limit.saturating_sub(hive.version().0);
        let settled = hive.run_until_settled_with(left, &mut progress)?;
        if !settled.failed.is_empty() {
            return Err(ResolveError::Agents(settled.failed));
        }
        waiting = settled.waiting;
    }
    let (state, history) = (hive.snapshot(), hive.history());
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
