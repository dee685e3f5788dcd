//! What a resolution came to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use super::analyze::Progress;
use super::conflicts::{Contributions, conflicts, contributions};
use super::diagnostic::Diagnostic;
use super::hivefile::HiveFile;
use super::logged::INPUTS;
use super::pack::{Location, Pack, Wish};
use super::policy::Compose;
use crate::hive::TRANSACT_AGENT;
use crate::key::Key;
use crate::lock::lock;
use crate::log::Record;
use crate::outcome::Outcome;
use crate::proposal::Proposal;
use crate::requirement::Bucket;
use crate::state::State;
use crate::value::Value;

/// One pack and how far its agent came.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) pack: Arc<Pack>,
    pub(crate) progress: Arc<Mutex<Progress>>,
}

impl Case {
    pub(crate) fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }
}

/// What was agreed, what conflicts, and the figures of the run. Equal for equal input and seed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// The hive's name.
    pub hive: String,
    /// What broke ties.
    pub seed: u64,
    /// How many packs were read.
    pub packs: usize,
    /// How many agents ran: one a pack.
    pub agents: usize,
    /// How many rounds were decided.
    pub rounds: u64,
    /// How many proposals the agents made, all attempts counted.
    pub proposals: usize,
    /// How many of them were committed.
    pub accepted: usize,
    /// How many were refused, by the name of the rule.
    pub refused: BTreeMap<String, usize>,
    /// How many agents still had something to do when the limit of rounds was reached; 0 when all settled.
    pub waiting: usize,
    /// Conflicts: unresolved ones first, then those that the policy resolved.
    pub conflicts: Vec<Conflict>,
    /// Packs whose conditions never held.
    pub inactive: Vec<Inactive>,
    /// Packages of which several semver-compatible series are needed.
    pub series: Vec<Series>,
    /// What is worth a look in the input.
    pub warnings: Vec<Diagnostic>,
    /// The resolved configuration: section, key within it, value.
    pub resolved: BTreeMap<String, BTreeMap<String, Value>>,
}

impl Report {
    /// The conflicts that somebody must resolve.
    pub fn unresolved(&self) -> impl Iterator<Item = &Conflict> {
        self.conflicts.iter().filter(|conflict| conflict.resolved_by.is_none())
    }

    /// Whether everything was settled without an unresolved conflict.
    pub fn is_resolved(&self) -> bool {
        self.waiting == 0 && self.unresolved().next().is_none()
    }
}

/// What a conflict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Versions of packs or packages.
    Version,
    /// The IRI of a prefix.
    Namespace,
    /// The definition of a class.
    Class,
    /// The definition of a property.
    Property,
    /// A setting.
    Setting,
    /// The bounds of a sum.
    Bound,
}

impl Kind {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Version => "version",
            Kind::Namespace => "namespace",
            Kind::Class => "class",
            Kind::Property => "property",
            Kind::Setting => "setting",
            Kind::Bound => "bound",
        }
    }

    pub(crate) fn of(key: &Key, rule: &str, holds_versions: bool) -> Kind {
        match (key.segments().next().unwrap_or_default(), rule) {
            (_, "bound") => Kind::Bound,
            (_, "empty") if holds_versions => Kind::Version,
            ("packs" | "packages" | "deps" | "features", _) => Kind::Version,
            ("namespaces", _) => Kind::Namespace,
            ("classes", _) => Kind::Class,
            ("properties", _) => Kind::Property,
            _ => Kind::Setting,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Who holds what another one wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Winners {
    /// The packs, sorted; `base` for the base state.
    pub packs: Vec<String>,
    /// Each of them alone would not be in the way, but all together are.
    pub jointly: bool,
}

impl fmt::Display for Winners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let shown: Vec<_> = self.packs.iter().take(SHOWN).map(String::as_str).collect();
        f.write_str(&shown.join(", "))?;
        if self.packs.len() > SHOWN {
            write!(f, " and {} more", self.packs.len() - SHOWN)?;
        }
        if self.jointly && self.packs.len() > 1 {
            f.write_str(" together")?;
        }
        Ok(())
    }
}

/// One wish of one pack that was not granted, or was overruled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// What it is about.
    pub kind: Kind,
    /// The key.
    pub key: Key,
    /// Who has it.
    pub winners: Winners,
    /// The pack that wanted something else.
    pub loser: String,
    /// By which rule it lost: `disagree`, `empty`, `bound`, `operator`, `kind`, `condition`, `inactive`.
    pub rule: &'static str,
    /// What the loser wanted.
    pub wanted: String,
    /// What the key holds.
    pub held: String,
    /// The policy that settled it; `None` when somebody must.
    pub resolved_by: Option<Compose>,
    /// The loser's file.
    pub file: String,
    /// Where in it.
    pub at: Location,
    /// What to do.
    pub advice: String,
}

/// A pack whose conditions never held, so that it asked for nothing.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Inactive {
    /// The pack.
    pub pack: String,
    /// The key of the first condition that does not hold.
    pub key: Key,
    /// What it should hold.
    pub expected: Value,
    /// What it holds.
    pub found: Option<Value>,
}

/// A package of which several semver-compatible series are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Series {
    /// The package.
    pub name: String,
    /// Each series with its requirement and the packs that need it.
    pub needed: Vec<(String, String, Vec<String>)>,
}

/// A run that has ended, with all that the report is made of.
pub(crate) struct Ended<'a> {
    pub(crate) hive: &'a str,
    pub(crate) seed: u64,
    pub(crate) file: &'a HiveFile,
    pub(crate) cases: &'a [Case],
    pub(crate) base: &'a [(Key, Value)],
    pub(crate) state: &'a State,
    pub(crate) history: &'a [Arc<Record>],
    pub(crate) waiting: usize,
    pub(crate) warnings: Vec<Diagnostic>,
}

/// Puts together what came of a run.
pub(crate) fn report(ended: Ended<'_>) -> Report {
    let Ended { hive, seed, file, cases, base, state, history, waiting, mut warnings } = ended;
    let given = contributions(base, history);
    let conflicts = conflicts(&file.policy, state, &given, cases);
    warnings.extend(idle_rules(file, cases, state));
    // The steps of the resolution itself are no proposals of agents.
    let by_agent = |proposal: &Proposal| proposal.agent.as_str() != TRANSACT_AGENT;
    let answers =
        history.iter().flat_map(|record| record.batch.iter().zip(&record.verdicts.outcomes));
    let outcomes: Vec<&Outcome> =
        answers.filter(|(proposal, _)| by_agent(proposal)).map(|(_, outcome)| outcome).collect();
    let mut refused = BTreeMap::new();
    for outcome in outcomes.iter().filter(|outcome| !outcome.is_committed()) {
        *refused.entry(outcome.name().to_owned()).or_default() += 1;
    }
    Report {
        hive: hive.to_owned(),
        seed,
        packs: cases.len(),
        agents: cases.len(),
        rounds: state.version().0,
        proposals: outcomes.len(),
        accepted: outcomes.iter().filter(|outcome| outcome.is_committed()).count(),
        refused,
        waiting,
        conflicts,
        inactive: cases.iter().filter_map(|case| inactive(case, state)).collect(),
        series: series(state, &given),
        warnings,
        resolved: resolved(state),
    }
}

fn inactive(case: &Case, state: &State) -> Option<Inactive> {
    let progress = case.progress();
    let unmet = case.pack.conditions.iter().find(|c| state.get(c.key.as_str()) != Some(&c.value));
    let condition = unmet.filter(|_| !progress.active)?;
    Some(Inactive {
        pack: case.pack.id.to_string(),
        key: condition.key.clone(),
        expected: condition.value.clone(),
        found: state.get(condition.key.as_str()).cloned(),
    })
}

/// Rules that decide nothing, because no key matches or an earlier rule takes all of theirs.
fn idle_rules(file: &HiveFile, cases: &[Case], state: &State) -> Vec<Diagnostic> {
    let wishes = cases.iter().flat_map(|case| case.pack.wishes.iter().map(Wish::key));
    let used: Vec<usize> = wishes
        .chain(state.iter().map(|(key, _)| key).filter(|key| key.as_str() != INPUTS))
        .filter_map(|key| file.policy.rule_of(key))
        .collect();
    let rules = file.policy.rules().zip(&file.rules_at).enumerate();
    rules
        .filter(|(number, _)| !used.contains(number))
        .map(|(_, ((pattern, compose), at))| {
            let message = format!("the rule \"{pattern}\" = \"{compose}\" decides no key");
            let help = "correct the pattern, remove the rule, or move it before a wider one";
            let mut warning =
                Diagnostic::file(file.file.clone().unwrap_or_default(), message, help).warning();
            warning.at = Some((at.line, at.column));
            warning
        })
        .collect()
}

fn series(state: &State, given: &Contributions) -> Vec<Series> {
    let mut by_name: BTreeMap<&str, Vec<(Bucket, &Key, &Value)>> = BTreeMap::new();
    for (key, entry) in state.under("deps") {
        let mut segments = key.segments().skip(1);
        if let (Some(name), Some(series)) = (segments.next(), segments.next())
            && let Ok(series) = series.parse()
        {
            by_name.entry(name).or_default().push((series, key, &entry.value));
        }
    }
    let several = by_name.into_iter().filter(|(_, series)| series.len() > 1);
    several
        .map(|(name, mut all)| {
            all.sort_by_key(|(series, ..)| *series);
            let needed = all.into_iter().map(|(series, key, value)| {
                let packs = given.get(key).into_iter().flatten().map(|c| c.pack.clone());
                let mut packs: Vec<String> = packs.collect();
                packs.sort();
                packs.dedup();
                (series.to_string(), value.to_string(), packs)
            });
            Series { name: name.to_owned(), needed: needed.collect() }
        })
        .collect()
}

/// The state without the resolution's own bookkeeping.
fn resolved(state: &State) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut sections: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for (key, entry) in state.iter() {
        if let Some((section, rest)) = key.as_str().split_once('/')
            && section != "ranks"
        {
            sections
                .entry(section.to_owned())
                .or_default()
                .insert(rest.to_owned(), entry.value.clone());
        }
    }
    sections
}
