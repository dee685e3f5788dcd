//! Who lost what to whom: worked out from the last state and from what was committed.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::analyze::{candidates, continues, rank, rank_key, stated};
use super::manifest::bound_key;
use super::pack::{Location, Origin, Pack, Spanning, Wish};
use super::policy::{Compose, Policy};
use super::report::{Case, Conflict, Kind, Winners};
use crate::key::Key;
use crate::log::Record;
use crate::op::{Op, Operator, Refusal};
use crate::requirement::Bucket;
use crate::state::{BASE_AGENT, State};
use crate::value::Value;

/// Who committed what to a key, in order.
pub(crate) type Contributions = BTreeMap<Key, Vec<Contribution>>;

#[derive(Clone, Debug)]
pub(crate) struct Contribution {
    pub(crate) pack: String,
    op: Op,
}

/// Collects what each key got from whom.
pub(crate) fn contributions(base: &[(Key, Value)], history: &[Arc<Record>]) -> Contributions {
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

/// All conflicts of a run, unresolved ones first.
pub(crate) fn conflicts(
    policy: &Policy,
    state: &State,
    given: &Contributions,
    cases: &[Case],
) -> Vec<Conflict> {
    let court = Court { policy, state, given };
    let mut conflicts: Vec<Conflict> =
        cases.iter().flat_map(|case| court.conflicts_of(case)).collect();
    conflicts.extend(court.missing_packs(cases));
    conflicts.sort_by_cached_key(|c| {
        (c.resolved_by.is_some(), c.kind, c.key.clone(), c.loser.clone(), c.at)
    });
    conflicts
}

struct Court<'a> {
    policy: &'a Policy,
    state: &'a State,
    given: &'a Contributions,
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
        if winners.packs.is_empty() {
            // Nobody else: the wish stands in its own way, such as an addition beyond its own bound.
            winners = Winners { packs: vec![pack.id.to_string()], jointly: false };
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
        (_, "operator") => "use one operator in all packs".to_owned(),
        (_, "kind") => "use values of one kind in all packs".to_owned(),
        (Kind::Bound, _) => "keep the sum within the bounds, or widen them".to_owned(),
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

fn used_series(state: &State, name: &str) -> Vec<Bucket> {
    let prefix = format!("deps/{name}");
    let series = |key: &Key| key.as_str().strip_prefix(&prefix)?.strip_prefix('/')?.parse().ok();
    let mut used: Vec<Bucket> = state.under(&prefix).filter_map(|(key, _)| series(key)).collect();
    used.sort();
    used
}
