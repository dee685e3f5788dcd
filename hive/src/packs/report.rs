//! What a resolution came to.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::analyze::{Progress, candidates, continues, rank, rank_key, stated};
use super::diagnostic::Diagnostic;
use super::hivefile::HiveFile;
use super::manifest::bound_key;
use super::pack::{Location, Origin, Pack, Spanning, Wish};
use super::policy::{Compose, Policy};
use crate::hive::TRANSACT_AGENT;
use crate::key::Key;
use crate::log::Record;
use crate::op::{Op, Operator, Refusal};
use crate::requirement::Bucket;
use crate::state::{BASE_AGENT, State};
use crate::value::Value;

/// One pack and how far its agent came.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) pack: Arc<Pack>,
    pub(crate) progress: Arc<Mutex<Progress>>,
}

impl Case {
    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn of(key: &Key, rule: &str, holds_versions: bool) -> Kind {
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

/// Who committed what to a key, in order.
type Contributions = BTreeMap<Key, Vec<Contribution>>;

#[derive(Clone, Debug)]
struct Contribution {
    pack: String,
    op: Op,
}

/// Collects what each key got from whom.
fn contributions(base: &[(Key, Value)], history: &[Arc<Record>]) -> Contributions {
    let mut all = Contributions::new();
    for (key, value) in base {
        // The version of a pack stands in the base state, but it is the pack's own word.
        let pack = key.as_str().strip_prefix("packs/").unwrap_or(BASE_AGENT).to_owned();
        let op = match value {
            Value::Requirement(requirement) => Op::Constrain(Arc::clone(requirement)),
            _ => Op::Set(value.clone()),
        };
        all.insert(key.clone(), vec![Contribution { pack, op }]);
    }
    for proposal in history.iter().flat_map(|record| record.accepted()) {
        for (key, op) in &proposal.writes {
            let contribution = Contribution { pack: proposal.agent.to_string(), op: op.clone() };
            all.entry(key.clone()).or_default().push(contribution);
        }
    }
    all
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn report(
    hive: &str,
    seed: u64,
    file: &HiveFile,
    cases: &[Case],
    base: &[(Key, Value)],
    state: &State,
    history: &[Arc<Record>],
    waiting: usize,
    mut warnings: Vec<Diagnostic>,
) -> Report {
    let court = Court { policy: &file.policy, state, given: contributions(base, history) };
    let mut conflicts: Vec<Conflict> =
        cases.iter().flat_map(|case| court.conflicts_of(case)).collect();
    conflicts.extend(court.missing_packs(cases));
    conflicts.sort_by(|a, b| {
        let order =
            |c: &Conflict| (c.resolved_by.is_some(), c.kind, c.key.clone(), c.loser.clone(), c.at);
        order(a).cmp(&order(b))
    });
    warnings.extend(idle_rules(file, cases, state));
    let asked = |agent: &str| agent != TRANSACT_AGENT;
    let outcomes = || {
        history.iter().flat_map(|record| {
            let asked = move |agent: &crate::id::AgentId| asked(agent.as_str());
            record.batch.iter().zip(&record.verdicts.outcomes).filter(move |(p, _)| asked(&p.agent))
        })
    };
    let mut refused = BTreeMap::new();
    for (_, outcome) in outcomes().filter(|(_, outcome)| !outcome.is_committed()) {
        *refused.entry(outcome.name().to_owned()).or_default() += 1;
    }
    Report {
        hive: hive.to_owned(),
        seed,
        packs: cases.len(),
        agents: cases.len(),
        rounds: state.version().0,
        proposals: outcomes().count(),
        accepted: outcomes().filter(|(_, outcome)| outcome.is_committed()).count(),
        refused,
        waiting,
        conflicts,
        inactive: cases.iter().filter_map(|case| inactive(case, state)).collect(),
        series: series(state, &court.given),
        warnings,
        resolved: resolved(state),
    }
}

/// Finds out who lost what to whom, from the last state and what was committed.
struct Court<'a> {
    policy: &'a Policy,
    state: &'a State,
    given: Contributions,
}

impl Court<'_> {
    fn conflicts_of(&self, case: &Case) -> Vec<Conflict> {
        let (pack, progress) = (&*case.pack, case.progress());
        if !progress.active {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (wish, granted) in pack.wishes.iter().zip(&progress.granted) {
            match granted {
                true => found.extend(self.overruled(pack, wish)),
                false => found.push(self.refused(pack, wish)),
            }
        }
        for (spanning, placed) in pack.spanning.iter().zip(&progress.placed) {
            if placed.is_none() {
                found.push(self.nowhere(pack, spanning));
            }
        }
        for condition in &pack.conditions {
            let held = self.state.get(condition.key.as_str());
            if held != Some(&condition.value) && progress.granted.contains(&true) {
                found.push(self.conflict(
                    pack,
                    condition.at,
                    &condition.key,
                    "condition",
                    format!("{} when it was applied", condition.value),
                    self.holders(&condition.key, |_| true),
                ));
            }
        }
        found
    }

    /// A granted value that a higher priority replaced later.
    fn overruled(&self, pack: &Pack, wish: &Wish) -> Option<Conflict> {
        let (key, ask) = &wish.asks[0];
        let Op::Agree(value) = stated(ask, self.policy.of(key)) else {
            return None;
        };
        let held = self.state.get(key.as_str())?;
        (*held != value).then(|| {
            let winners = self.holders(key, |op| states(op) == Some(held));
            self.conflict(pack, wish.at, key, "disagree", value.to_string(), winners)
        })
    }

    fn refused(&self, pack: &Pack, wish: &Wish) -> Conflict {
        let ops = wish.asks.iter().map(|(key, ask)| (key, stated(ask, self.policy.of(key))));
        let refused = ops.clone().find_map(|(key, op)| Some((self.why(key, &op)?, key, op)));
        // A settled agent left nothing out that it could add; so only the limit of rounds leads to `waiting`.
        let (rule, key, op) = match refused {
            Some(found) => found,
            None => {
                let (key, ask) = &wish.asks[0];
                ("waiting", key, stated(ask, self.policy.of(key)))
            }
        };
        let winners = self.winners(pack, key, &op, rule);
        self.conflict(pack, wish.at, key, rule, wanted(&op), winners)
    }

    /// The rule by which an operation cannot be added to the last state.
    fn why(&self, key: &Key, op: &Op) -> Option<&'static str> {
        let entry = self.state.entry(key.as_str());
        let of_another_kind = entry.is_some_and(|entry| {
            entry.writer.as_str() != BASE_AGENT && !continues(entry.operator, op.operator())
        });
        if of_another_kind {
            return Some("operator");
        }
        let op = self.with_bounds(key, op);
        match op.apply(entry.map(|entry| &entry.value)) {
            Ok(_) => None,
            Err(Refusal::Disagree) => Some("disagree"),
            Err(Refusal::Empty) => Some("empty"),
            Err(Refusal::Bound(_)) => Some("bound"),
            Err(_) => Some("kind"),
        }
    }

    fn with_bounds(&self, key: &Key, op: &Op) -> Op {
        let Op::Add { by, at_least, at_most } = *op else {
            return op.clone();
        };
        let known = |name| {
            let key = bound_key(key, name)?;
            self.state.get(key.as_str())?.as_int()
        };
        let at_most = [at_most, known("at-most")].into_iter().flatten().min();
        Op::Add { by, at_least: at_least.max(known("at-least")), at_most }
    }

    /// The bounds of a sum, for people.
    fn bounds_of(&self, key: &Key, rule: &str) -> String {
        let known = |name| bound_key(key, name).and_then(|key| self.state.get(key.as_str()));
        let bounds = [("at-least", "at least"), ("at-most", "at most")];
        let bounds =
            bounds.iter().filter_map(|(name, words)| Some(format!(", {words} {}", known(name)?)));
        if rule == "bound" { bounds.collect() } else { String::new() }
    }

    /// Those in the way of an operation: each that alone excludes it, or else all together.
    fn winners(&self, pack: &Pack, key: &Key, op: &Op, rule: &str) -> Winners {
        let excludes = |other: &Op| match (op, other) {
            (Op::Constrain(a), Op::Constrain(b)) => a.intersect(b).is_empty(),
            (Op::Intersect(a), Op::Intersect(b)) => a.is_disjoint(b),
            (Op::Agree(ours), other) => states(other).is_some_and(|theirs| theirs != ours),
            _ => rule == "operator" && !continues(other.operator(), op.operator()),
        };
        let mut winners = self.holders(key, excludes);
        if winners.packs.is_empty() {
            winners = self.holders(key, |_| true);
            winners.jointly = true;
        }
        // Two wishes of one pack may exclude each other; otherwise it is not in its own way.
        if winners.packs.len() > 1 {
            winners.packs.retain(|name| *name != *pack.id);
        }
        winners
    }

    /// The packs whose committed operations on a key are of some sort. What a later `set` replaced does not count.
    fn holders(&self, key: &Key, wanted: impl Fn(&Op) -> bool) -> Winners {
        let given = self.given.get(key).map(Vec::as_slice).unwrap_or_default();
        let since = given.iter().rposition(|c| c.op.operator() == Operator::Set).unwrap_or(0);
        let mut packs: Vec<String> =
            given[since..].iter().filter(|c| wanted(&c.op)).map(|c| c.pack.clone()).collect();
        packs.sort();
        packs.dedup();
        Winners { packs, jointly: false }
    }

    /// A spanning requirement that every series refuses.
    fn nowhere(&self, pack: &Pack, spanning: &Spanning) -> Conflict {
        let used = used_series(self.state, &spanning.name);
        let tried: Vec<Bucket> =
            candidates(&spanning.requirement, &used).into_iter().flatten().collect();
        let key_of = |series: &Bucket| Key::new(format!("deps/{}/{series}", spanning.name)).ok();
        let keys: Vec<Key> = tried.iter().filter_map(key_of).collect();
        let op = Op::constrain(spanning.requirement.clone());
        let mut winners = Winners { packs: Vec::new(), jointly: false };
        for key in &keys {
            let here = self.winners(pack, key, &op, "empty");
            winners.packs.extend(here.packs);
            winners.jointly |= here.jointly;
        }
        winners.packs.sort();
        winners.packs.dedup();
        let key =
            keys.into_iter().next().or_else(|| key_of(&spanning.requirement.lowest_bucket()?));
        let key = key.unwrap_or_else(|| pack.wishes[0].key().clone());
        self.conflict(pack, spanning.at, &key, "empty", spanning.requirement.to_string(), winners)
    }

    /// Requirements on packs that are there but never became active.
    fn missing_packs(&self, cases: &[Case]) -> Vec<Conflict> {
        let dormant = |name: &str| {
            cases.iter().find(|case| {
                case.pack.origin == Origin::Pack
                    && case.pack.name == name
                    && !case.progress().active
            })
        };
        let mut found = Vec::new();
        for case in cases {
            for (wish, granted) in case.pack.wishes.iter().zip(&case.progress().granted) {
                let name = wish.key().as_str().strip_prefix("packs/");
                let own = name == Some(case.pack.name.as_str());
                if !granted || own {
                    continue;
                }
                if let Some(dormant) = name.and_then(dormant) {
                    let winners =
                        Winners { packs: vec![dormant.pack.id.to_string()], jointly: false };
                    let wanted = wanted(&stated(&wish.asks[0].1, Compose::Fail));
                    let mut conflict =
                        self.conflict(&case.pack, wish.at, wish.key(), "inactive", wanted, winners);
                    conflict.held = "the pack is inactive".to_owned();
                    found.push(conflict);
                }
            }
        }
        found
    }

    fn conflict(
        &self,
        pack: &Pack,
        at: Location,
        key: &Key,
        rule: &'static str,
        wanted: String,
        winners: Winners,
    ) -> Conflict {
        let held = self.state.get(key.as_str());
        let kind = Kind::of(key, rule, matches!(held, Some(Value::Requirement(_))));
        let held = held.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let held = held + &self.bounds_of(key, rule);
        let resolved_by = (rule != "condition" && rule != "inactive" && self.yields(pack, key))
            .then_some(Compose::Priority);
        let advice = match resolved_by {
            Some(_) => "nothing: the higher priority counts".to_owned(),
            None => advice(kind, rule, key),
        };
        Conflict {
            kind,
            key: key.clone(),
            winners,
            loser: pack.id.to_string(),
            rule,
            wanted,
            held,
            resolved_by,
            file: pack.file.clone(),
            at,
            advice,
        }
    }

    /// Whether the policy lets a pack give way on a key: it is by priority, and a higher one holds it.
    fn yields(&self, pack: &Pack, key: &Key) -> bool {
        let held = rank_key(key).and_then(|key| self.state.get(key.as_str())?.as_int());
        self.policy.of(key) == Compose::Priority && held.is_some_and(|held| held > rank(pack.class))
    }
}

/// The value that an operation states as a whole.
fn states(op: &Op) -> Option<&Value> {
    match op {
        Op::Agree(value) | Op::Set(value) => Some(value),
        _ => None,
    }
}

/// What an operation wants, for people.
fn wanted(op: &Op) -> String {
    match op {
        Op::Agree(value) => value.to_string(),
        Op::Constrain(requirement) => requirement.to_string(),
        _ => op.to_string(),
    }
}

fn advice(kind: Kind, rule: &str, key: &Key) -> String {
    let name = key.segments().nth(1).unwrap_or_default();
    match (kind, rule) {
        (_, "waiting") => "allow more rounds".to_owned(),
        (_, "condition") => "set the condition's key in one place only".to_owned(),
        (_, "inactive") => format!("make the conditions of {name} hold, or do not require it"),
        (_, "operator" | "kind") => "use one operator in all packs".to_owned(),
        (Kind::Bound, _) => "add less, or widen the bound".to_owned(),
        (Kind::Version, _) if key.is_under("packs") => {
            format!("relax the requirement, or use a {name} that it admits")
        }
        (Kind::Version, _) if key.is_under("deps") => {
            format!("find a {name} that both admit, or move one to another major")
        }
        (Kind::Version, _) => "relax one of the requirements".to_owned(),
        (Kind::Namespace, _) => "rename one prefix, or set a policy for the key".to_owned(),
        (Kind::Class | Kind::Property, _) => {
            "agree on one definition, or set a policy for the key".to_owned()
        }
        (Kind::Setting, _) => "agree on one value, or set a policy for the key".to_owned(),
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
        .chain(state.iter().map(|(key, _)| key))
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

pub(crate) fn used_series(state: &State, name: &str) -> Vec<Bucket> {
    let prefix = format!("deps/{name}");
    let series = |key: &Key| key.as_str().strip_prefix(&prefix)?.strip_prefix('/')?.parse().ok();
    let mut used: Vec<Bucket> = state.under(&prefix).filter_map(|(key, _)| series(key)).collect();
    used.sort();
    used
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
