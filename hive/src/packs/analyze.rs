//! The agent that speaks for one pack.

use std::sync::{Arc, Mutex};

use queenright_primitives::schedule::Class;

use super::cargo::dependency_wish;
use super::manifest::bound_key;
use super::pack::{Ask, Pack, Spanning, Wish};
use super::policy::{Compose, Policy};
use crate::agent::{Agent, AgentError, Next, View, ViewError};
use crate::key::Key;
use crate::lock::lock;
use crate::op::{Op, Operator};
use crate::outcome::Outcome;
use crate::requirement::{Bucket, Requirement};
use crate::state::BASE_AGENT;

/// The key that says which wave of the resolution is on.
pub(crate) const PHASE: &str = "phase";

/// The waves, in order. Each begins when the one before has settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Packs without conditions, and what needs no choice.
    Plain = 0,
    /// Packs with conditions, on what the first wave settled.
    Conditional = 1,
    /// Requirements that several series could meet: they join what is there before they open a series of their own.
    Spanning = 2,
}

/// How far a pack has come; shared with whoever reports on it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// By wish of the pack: whether it was committed.
    pub(crate) granted: Vec<bool>,
    /// By spanning requirement of the pack: the series that took it in.
    pub(crate) placed: Vec<Option<String>>,
    /// Whether its conditions held at some time.
    pub(crate) active: bool,
}

/// Reads the snapshot, and proposes whatever of its pack's wishes the state still admits.
pub(crate) struct Analyzer {
    pack: Arc<Pack>,
    policy: Arc<Policy>,
    progress: Arc<Mutex<Progress>>,
    /// What the last proposal held: places of wishes, and of spanning requirements with their series.
    proposed: (Vec<usize>, Vec<(usize, String)>),
}

impl Analyzer {
    pub(crate) fn new(pack: Arc<Pack>, policy: Arc<Policy>) -> (Analyzer, Arc<Mutex<Progress>>) {
        let progress = Progress {
            granted: vec![false; pack.wishes.len()],
            placed: vec![None; pack.spanning.len()],
            active: false,
        };
        let progress = Arc::new(Mutex::new(progress));
        let shared = Arc::clone(&progress);
        (Analyzer { pack, policy, progress, proposed: Default::default() }, shared)
    }
}

impl Agent for Analyzer {
    fn name(&self) -> &str {
        &self.pack.id
    }

    fn class(&self) -> Class {
        self.pack.class
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        self.proposed = Default::default();
        let phase = phase(view)?;
        let progress = Arc::clone(&self.progress);
        let mut progress = lock(&progress);
        if !self.pack.conditions.is_empty() && phase < Phase::Conditional as i64 {
            return Ok(Next::Watch);
        }
        for condition in &self.pack.conditions {
            // Read, not peeked at: if it changes before the commit, this proposal must not stand.
            if view.get(&condition.key)?.as_ref() != Some(&condition.value) {
                return Ok(Next::Watch);
            }
        }
        progress.active = true;
        for (place, wish) in self.pack.wishes.iter().enumerate() {
            if !progress.granted[place] && self.try_wish(view, wish)? {
                self.proposed.0.push(place);
            }
        }
        if phase >= Phase::Spanning as i64 {
            for (place, spanning) in self.pack.spanning.iter().enumerate() {
                if progress.placed[place].is_none()
                    && let Some(series) = self.try_spanning(view, spanning)?
                {
                    self.proposed.1.push((place, series));
                }
            }
        }
        Ok(Next::Watch)
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let (wishes, spanning) = std::mem::take(&mut self.proposed);
        if !outcome.is_committed() {
            return;
        }
        let mut progress = lock(&self.progress);
        wishes.into_iter().for_each(|place| progress.granted[place] = true);
        spanning.into_iter().for_each(|(place, series)| progress.placed[place] = Some(series));
    }
}

fn phase(view: &mut View) -> Result<i64, AgentError> {
    Ok(view.peek(PHASE)?.and_then(|entry| entry.value.as_int()).unwrap_or(0))
}

impl Analyzer {
    /// Writes all of a wish if the state admits it as this run sees it; says whether it did.
    ///
    /// The state is only peeked at: commutative operations are judged by the round itself, and a tracked read
    /// would make packs that only add to the same key exclude each other.
    fn try_wish(&self, view: &mut View, wish: &Wish) -> Result<bool, AgentError> {
        let mut ops = self.operations(view, wish)?;
        // Of one operation alone it is seen when it is written.
        if let [(key, op)] = &ops[..]
            && !is_of_another_kind(view, key, op)?
        {
            match view.write(key.clone(), op.clone()) {
                Ok(()) => return Ok(true),
                Err(ViewError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(refused) = self.first_refused(view, &ops)? {
            match self.overrides(view, wish, refused)? {
                Some(instead) => ops = instead,
                None => return Ok(false),
            }
        }
        for (key, op) in ops {
            view.write(key, op)?;
        }
        Ok(true)
    }

    /// The operations that a wish means under the policy.
    fn operations(&self, view: &mut View, wish: &Wish) -> Result<Vec<(Key, Op)>, AgentError> {
        let mut ops = Vec::with_capacity(wish.asks.len() + 1);
        for (key, ask) in &wish.asks {
            let compose = self.policy.of(key);
            let op = match ask {
                Ask::Value(value) => compose.op(value),
                Ask::Op(op) => within_known_bounds(view, key, op)?,
            };
            ops.push((key.clone(), op));
            if compose == Compose::Priority {
                ops.extend(rank_key(key).map(|key| (key, Op::Max(self.rank().into()))));
            }
        }
        Ok(ops)
    }

    /// The first operation that cannot be added to what is stored and to what this run wrote already.
    fn first_refused<'o>(
        &self,
        view: &mut View,
        ops: &'o [(Key, Op)],
    ) -> Result<Option<&'o (Key, Op)>, AgentError> {
        for entry in ops {
            let (key, op) = entry;
            let of_another_kind = is_of_another_kind(view, key, op)?;
            let refused = match view.check(key, op) {
                Ok(()) => false,
                Err(ViewError::Refused { .. }) => true,
                Err(error) => return Err(error.into()),
            };
            if of_another_kind || refused {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// Under `priority`, a value of lower rank is replaced. That reads what it replaces, so it is no longer blind.
    fn overrides(
        &self,
        view: &mut View,
        wish: &Wish,
        refused: &(Key, Op),
    ) -> Result<Option<Vec<(Key, Op)>>, AgentError> {
        let (key, op) = refused;
        let (Op::Agree(value), [_]) = (op, &wish.asks[..]) else {
            return Ok(None);
        };
        let Some(rank_key) = rank_key(key).filter(|_| self.policy.of(key) == Compose::Priority)
        else {
            return Ok(None);
        };
        // What this run wrote itself has its own rank.
        let rank = view.get(&rank_key)?.and_then(|rank| rank.as_int()).unwrap_or(0);
        view.get(key)?;
        let instead =
            vec![(key.clone(), Op::Set(value.clone())), (rank_key, Op::Max(self.rank().into()))];
        Ok((rank < self.rank()).then_some(instead))
    }

    fn rank(&self) -> i64 {
        rank(self.pack.class)
    }

    /// Puts a spanning requirement into a series, and says into which; `None` if every series it admits refuses it.
    fn try_spanning(
        &self,
        view: &mut View,
        spanning: &Spanning,
    ) -> Result<Option<String>, AgentError> {
        let Spanning { at, name, requirement, features } = spanning;
        let existing = series_of(view, name)?;
        for series in candidates(requirement, &existing) {
            let part = match series {
                Some(series) => requirement.within(series),
                None => requirement.clone(),
            };
            let series = series.map_or_else(|| "any".to_owned(), |series| series.to_string());
            let wish = dependency_wish(*at, name, &series, part, features.clone());
            let wish =
                wish.ok_or_else(|| AgentError::new(format!("`{name}` is too long for a key")))?;
            if self.try_wish(view, &wish)? {
                return Ok(Some(series));
            }
        }
        Ok(None)
    }
}

/// Where a spanning requirement may go, best first; `None` stands for "any of many".
///
/// First the series that others use, highest first. Then one that nobody uses: of a short list the highest, since
/// Cargo prefers the newest. A long or endless list (`>=1`, `*`) cannot be used up, and which of its series
/// exist is not known here, so the requirement is kept as it is, with others of that sort; only if those refuse it, the
/// lowest unused series is named. So the list is refused as a whole only if every series it admits refuses it.
pub(crate) fn candidates(requirement: &Requirement, used: &[Bucket]) -> Vec<Option<Bucket>> {
    const FEW: usize = 64;
    let first: Vec<Bucket> = requirement.buckets().take(used.len() + FEW + 1).collect();
    let many = first.len() > used.len() + FEW;
    let mut unused = first.iter().filter(|series| !used.contains(series));
    let unused = if many { unused.next() } else { unused.next_back() };
    let admitted = used.iter().rev().filter(|series| requirement.admits_bucket(**series));
    admitted
        .map(|series| Some(*series))
        .chain(many.then_some(None))
        .chain(unused.map(|series| Some(*series)))
        .collect()
}

/// The series of a package that the state knows, ascending.
fn series_of(view: &mut View, name: &str) -> Result<Vec<Bucket>, AgentError> {
    let prefix = format!("deps/{name}");
    let mut series: Vec<Bucket> = view
        .peek_under(&prefix)?
        .iter()
        .filter_map(|(key, _)| key.as_str().strip_prefix(&prefix)?.strip_prefix('/')?.parse().ok())
        .collect();
    series.sort();
    Ok(series)
}

/// Whether what a key holds was written by others with an operator that this one does not go on with.
fn is_of_another_kind(view: &mut View, key: &Key, op: &Op) -> Result<bool, AgentError> {
    let stored = view.peek(key)?.map(|it| (it.operator, it.writer.as_str() == BASE_AGENT));
    Ok(stored.is_some_and(|(operator, base)| !base && !continues(operator, op.operator())))
}

/// A sum also keeps the bounds that other packs committed in earlier rounds.
fn within_known_bounds(view: &mut View, key: &Key, op: &Op) -> Result<Op, AgentError> {
    let Op::Add { by, at_least, at_most } = *op else {
        return Ok(op.clone());
    };
    let mut known = |name| -> Result<Option<i64>, AgentError> {
        let Some(key) = bound_key(key, name) else {
            return Ok(None);
        };
        Ok(view.peek(key)?.and_then(|entry| entry.value.as_int()))
    };
    let at_least = at_least.max(known("at-least")?);
    let at_most = [at_most, known("at-most")?].into_iter().flatten().min();
    Ok(Op::Add { by, at_least, at_most })
}

/// Whether an operation goes on with what another operator left: with its own kind, and agreement with a value that a
/// higher priority set.
pub(crate) fn continues(stored: Operator, ours: Operator) -> bool {
    stored == ours || (stored == Operator::Set && ours == Operator::Agree)
}

/// Where the highest priority behind a key is kept.
pub(crate) fn rank_key(key: &Key) -> Option<Key> {
    Key::new(format!("ranks/{key}")).ok()
}

/// 1 for the least urgent class, 5 for the most; the base state counts as 0.
pub(crate) fn rank(class: Class) -> i64 {
    Class::ALL.len() as i64 - class.index() as i64
}

/// The value that an ask states, for messages.
pub(crate) fn stated(ask: &Ask, compose: Compose) -> Op {
    match ask {
        Ask::Value(value) => compose.op(value),
        Ask::Op(op) => op.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(requirement: &str, used: &[&str]) -> Vec<String> {
        let used: Vec<Bucket> = used.iter().map(|series| series.parse().unwrap()).collect();
        candidates(&Requirement::parse(requirement).unwrap(), &used)
            .iter()
            .map(|series| series.map_or("any".to_owned(), |series| series.to_string()))
            .collect()
    }

    #[test]
    fn a_spanning_requirement_joins_others_before_it_opens_a_series() {
        assert_eq!(places(">=0.52, <0.62", &[]), ["0.61"]);
        assert_eq!(places(">=0.52, <0.62", &["0.48", "0.52", "0.59"]), ["0.59", "0.52", "0.61"]);
        assert_eq!(places(">=1, <3", &["1", "2"]), ["2", "1"], "nothing else to try");
        assert_eq!(places("*", &[]), ["any", "0.0.0"]);
        assert_eq!(places(">=1", &["1"]), ["1", "any", "2"]);
    }
}
