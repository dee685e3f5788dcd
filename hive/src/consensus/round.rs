//! The decision: which proposals of a batch are committed, and why the others are not.
//!
//! [`decide`] is a pure function of the snapshot, the batch and the recorded [`RoundInput`]: no clock, no randomness
//! of its own, no I/O. The order of the batch does not matter, and neither does the number of threads that made it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use queenright_primitives::Version;
use queenright_primitives::aggregate::Aggregator;
use queenright_primitives::conflict::{self, ConflictIndex, Footprint, Position};
use queenright_primitives::proposal::{Mode, Read, Write};
use queenright_primitives::schedule::Class;

use super::window::Known;
use crate::digest::{Digest, Feed, Sink, digest};
use crate::id::ProposalId;
use crate::key::Key;
use crate::op::{Delta, Op, Operator, Refusal};
use crate::outcome::{Outcome, Rule, Winner};
use crate::proposal::Proposal;
use crate::state::{Entry, Removal, State};
use crate::value::Value;

/// By a keyed hash, which ids and keys from outside cannot flood. Their order never matters here.
type Map<K, V> = HashMap<K, V, RandomState>;
type Set<K> = HashSet<K, RandomState>;

/// How large a proposal may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of its read set, preconditions and write set together.
    pub keys: usize,
    /// The most bytes its operations may carry.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keys: 65_536, bytes: 16 << 20 }
    }
}

/// What is the same for all rounds of a hive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundPolicy {
    /// How large a proposal may be.
    pub limits: Limits,
    /// After how many rounds of waiting an intent's class rises by one. At least 1.
    pub aging: u64,
    /// How many versions of history are kept: for removals, and for the answers given to intents.
    pub window: u64,
}

impl Default for RoundPolicy {
    fn default() -> Self {
        RoundPolicy { limits: Limits::default(), aging: 8, window: 1024 }
    }
}

/// Everything a round depends on besides the snapshot and the batch. It is recorded with the round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundInput {
    /// The version that this round makes: one more than the snapshot's.
    pub round: Version,
    /// The hive's clock when the round began.
    pub now: u64,
    /// What breaks ties, so that no id always wins.
    pub seed: u64,
    /// What is the same for all rounds.
    pub policy: RoundPolicy,
    /// What was answered before to the intents of this batch.
    pub decided: BTreeMap<ProposalId, Known>,
}

impl Feed for RoundInput {
    fn feed(&self, sink: &mut Sink) {
        self.round.feed(sink);
        sink.number(self.now).number(self.seed);
        sink.number(self.policy.limits.keys as u64).number(self.policy.limits.bytes as u64);
        sink.number(self.policy.aging).number(self.policy.window);
        sink.number(self.decided.len() as u64);
        for (id, known) in &self.decided {
            id.feed(sink);
            known.feed(sink);
        }
    }
}

/// One outcome for each proposal of the batch, in the order of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// The outcomes, by place in the batch.
    pub outcomes: Vec<Outcome>,
    /// The places of the accepted, in the order they were judged.
    pub accepted: Vec<usize>,
    /// The same places in the serial order that explains every read.
    pub serial: Vec<usize>,
}

impl Verdicts {
    /// A digest that does not depend on the order of the batch: of all (id, attempt, outcome), sorted.
    pub fn digest(&self, batch: &[Proposal]) -> Digest {
        let mut each: Vec<_> = batch
            .iter()
            .zip(&self.outcomes)
            .map(|(proposal, outcome)| (&proposal.id, proposal.attempt, digest(outcome)))
            .collect();
        each.sort();
        let mut sink = Sink::new();
        for (id, attempt, outcome) in each {
            id.feed(&mut sink);
            outcome.feed(sink.number(u64::from(attempt)));
        }
        sink.finish()
    }
}

/// Decides a round. Pure.
///
/// The proposals are judged one by one in an order that no agent controls: class (raised by the rounds an
/// intent has waited), deadline, a hash of seed, round and id, then id and attempt. Each is held against the
/// snapshot and those accepted before it, never against rejected ones. O(keys of the batch × depth), and what the
/// prefixes read hold.
pub fn decide(state: &State, batch: &[Proposal], input: &RoundInput) -> Verdicts {
    let mut index = ConflictIndex::new();
    let keys_of = |p: &Proposal| p.reads.len() + p.preconditions.len() + p.writes.len();
    // As far as that many are sensible: who sends more pays for it as they are looked at.
    index.reserve(batch.iter().map(keys_of).sum::<usize>().min(1 << 16));
    let repeated = repeated(batch);
    let mut round = Round {
        state,
        batch,
        input,
        twisted: twisted(batch, &repeated),
        repeated,
        touches: Touches::default(),
        index,
        merged: Operations { state, batch, deltas: Aggregator::new(), admitted: Vec::new() },
        serial: VecDeque::new(),
        refused: Map::default(),
        committed: Map::default(),
    };
    let mut answers: Vec<Option<Answer>> = vec![None; batch.len()];
    for place in order(batch, input) {
        answers[place] = Some(round.answer(place));
    }
    round.finish(answers)
}

/// The state after a round. Pure; `verdicts` must be what [`decide`] said for the same arguments.
pub fn apply(state: &State, batch: &[Proposal], input: &RoundInput, verdicts: &Verdicts) -> State {
    let mut next = state.clone();
    next.version = state.version.next();
    let mut merged: BTreeMap<&Key, Option<Delta>> = BTreeMap::new();
    let mut writers: Map<&Key, (usize, &Op)> = Map::default();
    let mut removed = Vec::new();
    // Of several who wrote a key together, the one that was judged first counts as the writer.
    for &place in &verdicts.accepted {
        let writes = batch.get(place).map(|proposal| proposal.writes.as_slice());
        for (key, op) in writes.unwrap_or_default() {
            writers.entry(key).or_insert((place, op));
            fold(merged.entry(key).or_default(), op);
        }
    }
    for (key, delta) in merged {
        let (place, op) = writers[key];
        let proposal = &batch[place];
        let value = match &delta {
            // Decided on the same state, so that it is defined; if not, the entry stays as it is.
            Some(delta) => delta.apply(state.get(key.as_str())),
            None => match op {
                Op::Set(value) => Ok(value.clone()),
                _ => {
                    let removal = Removal { version: next.version, writer: proposal.agent.clone() };
                    next.entries.remove(key);
                    next.removed.insert(key.clone(), removal);
                    removed.push(key.clone());
                    continue;
                }
            },
        };
        debug_assert!(value.is_ok(), "an accepted change is defined: {value:?}");
        if let Ok(value) = value {
            // Nothing that a reader could see has changed.
            if state.get(key.as_str()) == Some(&value) {
                continue;
            }
            let entry = Entry {
                value,
                version: next.version,
                writer: proposal.agent.clone(),
                operator: op.operator(),
            };
            next.removed.remove(key);
            next.entries.insert(key.clone(), entry);
        }
    }
    if !removed.is_empty() {
        next.removals.insert(next.version, removed.into());
    }
    forget(&mut next, input.policy.window);
    next
}

fn fold(merged: &mut Option<Delta>, op: &Op) {
    use queenright_primitives::aggregate::Commutative;
    let Some(delta) = op.delta() else { return };
    match merged {
        None => *merged = Some(delta),
        Some(merged) => {
            let result = merged.merge(&delta);
            debug_assert!(result.is_ok(), "accepted changes merge: {result:?}");
        }
    }
}

/// Drops the memory of removals that fell out of the window. Each removal is dropped once.
fn forget(next: &mut State, window: u64) {
    let horizon = Version(next.version.0.saturating_sub(window)).max(next.horizon);
    let fallen = next.removals.range(next.horizon.next()..=horizon);
    for version in fallen.map(|(version, _)| *version).collect::<Vec<_>>() {
        let keys = next.removals.remove(&version);
        for key in keys.iter().flat_map(|keys| keys.iter()) {
            // The key may have been removed again since, or written.
            if next.removed.get(key).is_some_and(|gone| gone.version == version) {
                next.removed.remove(key);
            }
        }
    }
    next.horizon = horizon;
}

/// The order in which a batch is judged.
fn order(batch: &[Proposal], input: &RoundInput) -> Vec<usize> {
    let lot = |proposal: &Proposal| {
        let mut sink = Sink::new();
        proposal.id.feed(sink.number(input.seed).number(input.round.0));
        sink.finish()
    };
    let lots: Vec<Digest> = batch.iter().map(lot).collect();
    let rank = |(place, proposal): (usize, &Proposal)| {
        let due = if overdue(proposal, input) { Some(0) } else { proposal.hint.deadline };
        let [b0, b1, b2, b3, b4, b5, b6, b7, ..] = lots[place].0;
        Rank {
            class: aged(proposal, input),
            is_never_due: due.is_none(),
            due: due.unwrap_or_default(),
            lot: u64::from_be_bytes([b0, b1, b2, b3, b4, b5, b6, b7]),
            place,
        }
    };
    let mut ranks: Vec<_> = batch.iter().enumerate().map(rank).collect();
    ranks.sort_unstable_by(|a, b| {
        let first = |rank: &Rank| (rank.class, rank.is_never_due, rank.due, rank.lot);
        let last = |rank: &Rank| {
            let proposal = &batch[rank.place];
            (&lots[rank.place], &proposal.id, proposal.attempt)
        };
        // Of those that are equal, either may come first.
        first(a).cmp(&first(b)).then_with(|| last(a).cmp(&last(b)))
    });
    ranks.into_iter().map(|rank| rank.place).collect()
}

/// What decides about a proposal's turn in nearly all cases.
struct Rank {
    class: Class,
    is_never_due: bool,
    due: u64,
    /// How its lot begins.
    lot: u64,
    /// Its place in the batch.
    place: usize,
}

/// A key that is written twice.
fn written_twice(writes: &[(Key, Op)]) -> Option<&Key> {
    /// Up to here it is quicker to look at each two.
    const FEW: usize = 16;
    if writes.len() <= FEW {
        let is_before = |at: usize| writes[..at].iter().any(|(key, _)| *key == writes[at].0);
        return (1..writes.len()).find(|at| is_before(*at)).map(|at| &writes[at].0);
    }
    let mut keys = Set::with_capacity_and_hasher(writes.len(), RandomState::default());
    writes.iter().map(|(key, _)| key).find(|key| !keys.insert(*key))
}

/// Whether it waited on after its class could rise no more: then it goes before every deadline.
fn overdue(proposal: &Proposal, input: &RoundInput) -> bool {
    let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
    waited / input.policy.aging.max(1) > proposal.hint.class.index() as u64
}

/// The class after waiting: one step up for each `aging` rounds since the intent was born.
fn aged(proposal: &Proposal, input: &RoundInput) -> Class {
    let waited = input.round.0.saturating_sub(proposal.born.0.saturating_add(1));
    proposal.hint.class.raised(waited / input.policy.aging.max(1))
}

/// The intents of which a batch holds several proposals: only these need to be remembered within the round.
fn repeated(batch: &[Proposal]) -> Set<&ProposalId> {
    let mut seen = Set::with_capacity_and_hasher(batch.len(), RandomState::default());
    batch.iter().map(|proposal| &proposal.id).filter(|id| !seen.insert(*id)).collect()
}

/// Attempts that came twice in this batch with different bytes.
fn twisted<'a>(batch: &'a [Proposal], repeated: &Set<&ProposalId>) -> Set<(&'a ProposalId, u32)> {
    let mut first = Map::default();
    let differs = |proposal: &&'a Proposal| {
        repeated.contains(&proposal.id)
            && *first.entry((&proposal.id, proposal.attempt)).or_insert(*proposal) != *proposal
    };
    batch.iter().filter(differs).map(|proposal| (&proposal.id, proposal.attempt)).collect()
}

/// An outcome whose place in the serial order may not be known yet.
#[derive(Clone)]
enum Answer {
    Accepted,
    /// The same intent was accepted in this round, at that place in the batch.
    SameAs(usize),
    Final(Outcome),
}

struct Round<'a> {
    state: &'a State,
    batch: &'a [Proposal],
    input: &'a RoundInput,
    twisted: Set<(&'a ProposalId, u32)>,
    repeated: Set<&'a ProposalId>,
    /// What the proposal touches that is looked at. Kept for its memory.
    touches: Touches<'a>,
    index: ConflictIndex<&'a str, Operator>,
    merged: Operations<'a>,
    serial: VecDeque<usize>,
    refused: Map<(&'a ProposalId, u32), Outcome>,
    committed: Map<&'a ProposalId, usize>,
}

/// What a proposal reads and writes, as the conflict index wants it.
#[derive(Default)]
struct Touches<'a> {
    reads: Vec<Read<&'a str>>,
    writes: Vec<Write<&'a str, Operator>>,
}

impl<'a> Touches<'a> {
    fn become_those_of(&mut self, proposal: &'a Proposal) {
        self.reads.clear();
        self.writes.clear();
        let reads = proposal.reads.iter().map(|read| match read {
            Read::Key(key) => Read::Key(key.as_str()),
            Read::Under(prefix) => Read::Under(prefix.as_str()),
        });
        let preconditions = proposal.preconditions.iter().map(|p| Read::Key(p.key().as_str()));
        self.reads.extend(reads.chain(preconditions));
        let write =
            |(key, op): &'a (Key, Op)| Write { key: key.as_str(), mode: op.operator().mode() };
        self.writes.extend(proposal.writes.iter().map(write));
    }

    fn footprint(&self) -> Footprint<'_, &'a str, Operator> {
        Footprint { reads: &self.reads, writes: &self.writes }
    }
}

impl<'a> Round<'a> {
    fn answer(&mut self, place: usize) -> Answer {
        let proposal = &self.batch[place];
        let attempt = (&proposal.id, proposal.attempt);
        if let Some(earlier) = self.answered_before(proposal) {
            return earlier;
        }
        match self.judge(place) {
            Ok(()) => Answer::Accepted,
            Err(outcome) => {
                if self.repeated.contains(&proposal.id) {
                    self.refused.insert(attempt, outcome.clone());
                }
                Answer::Final(outcome)
            }
        }
    }

    /// Rule 1: an intent is answered once, whatever is sent again.
    fn answered_before(&self, proposal: &'a Proposal) -> Option<Answer> {
        let invalid = |reason: &str| Answer::Final(Outcome::Invalid { reason: reason.to_owned() });
        let attempt = (&proposal.id, proposal.attempt);
        if let Some(known) = self.input.decided.get(&proposal.id) {
            if let Some(committed) = &known.committed {
                return Some(Answer::Final(committed.clone()));
            }
            if let Some((bytes, outcome)) = known.attempts.get(&proposal.attempt) {
                return Some(match *bytes == digest(proposal) {
                    true => Answer::Final(outcome.clone()),
                    false => invalid(
                        "this attempt was answered before with other content: count the attempt up",
                    ),
                });
            }
        } else if proposal.born < self.state.horizon {
            // It may have been committed and forgotten, so that nothing may be guessed.
            return Some(Answer::Final(Outcome::TooOld { horizon: self.state.horizon }));
        }
        if !self.repeated.contains(&proposal.id) {
            return None;
        }
        if self.twisted.contains(&attempt) {
            return Some(invalid(
                "another proposal of this round has the same id and attempt but other content: \
                 give each intent an id of its own, and count attempts up",
            ));
        }
        if let Some(&accepted) = self.committed.get(&proposal.id) {
            return Some(Answer::SameAs(accepted));
        }
        self.refused.get(&attempt).cloned().map(Answer::Final)
    }

    /// Accepts it, or says why not.
    fn judge(&mut self, place: usize) -> Result<(), Outcome> {
        let proposal = &self.batch[place];
        self.well_formed(proposal)?;
        self.in_time_and_size(proposal)?;
        self.reads_are_fresh(proposal)?;
        self.preconditions_hold(proposal)?;
        self.touches.become_those_of(proposal);
        let admissible = match self.index.check(self.touches.footprint()) {
            Ok(admissible) => admissible,
            Err(clash) => return Err(self.clash(clash)),
        };
        self.merged.stand(proposal)?;
        match admissible.admit(self.merged.admitted.len()) {
            Position::Front => self.serial.push_front(place),
            Position::Back => self.serial.push_back(place),
        }
        self.merged.admit(place);
        if self.repeated.contains(&proposal.id) {
            self.committed.insert(&proposal.id, place);
        }
        Ok(())
    }

    fn well_formed(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let invalid = |reason| Err(Outcome::Invalid { reason });
        if proposal.base > self.state.version || proposal.born > proposal.base {
            return invalid(format!(
                "born at version {}, based on {}, but the current version is {}: \
                 take a snapshot and compute from it",
                proposal.born, proposal.base, self.state.version
            ));
        }
        match written_twice(&proposal.writes) {
            Some(key) => invalid(format!("it writes {key} twice: one operation per key")),
            None => Ok(()),
        }
    }

    /// Rule 2.
    fn in_time_and_size(&self, proposal: &Proposal) -> Result<(), Outcome> {
        if proposal.hint.deadline.is_some_and(|deadline| deadline < self.input.now) {
            return Err(Outcome::Expired);
        }
        let limits = &self.input.policy.limits;
        let keys = proposal.reads.len() + proposal.preconditions.len() + proposal.writes.len();
        let asked = proposal.preconditions.iter().filter_map(|p| p.value().map(Value::bytes));
        let named = proposal.id.as_str().len() + proposal.agent.as_str().len();
        let bytes: usize = proposal
            .writes
            .iter()
            .map(|(key, op)| key.as_str().len() + op.bytes())
            .chain(asked)
            .sum::<usize>()
            + named;
        let too_much = |what: &str, is, most| {
            let what = format!("{is} {what}, and at most {most} are allowed: split it");
            Err(Outcome::LimitReached { what })
        };
        if keys > limits.keys {
            return too_much("keys", keys, limits.keys);
        }
        if bytes > limits.bytes {
            return too_much("bytes", bytes, limits.bytes);
        }
        Ok(())
    }

    /// Rule 4.
    fn reads_are_fresh(&self, proposal: &Proposal) -> Result<(), Outcome> {
        if !proposal.reads.is_empty() && proposal.base < self.state.horizon {
            return Err(Outcome::TooOld { horizon: self.state.horizon });
        }
        for read in &proposal.reads {
            if let Some((version, agent)) = self.state.changed_since(read, proposal.base) {
                let (Read::Key(key) | Read::Under(key)) = read;
                return Err(Outcome::Conflict {
                    with: Winner::Stored { agent: agent.clone(), version },
                    key: key.to_string(),
                    rule: Rule::StaleRead,
                });
            }
        }
        Ok(())
    }

    /// Rule 5.
    fn preconditions_hold(&self, proposal: &Proposal) -> Result<(), Outcome> {
        for precondition in &proposal.preconditions {
            let found = self.state.get(precondition.key().as_str());
            if !precondition.holds(found) {
                return Err(Outcome::PreconditionFailed {
                    expected: precondition.clone(),
                    found: found.cloned(),
                });
            }
        }
        Ok(())
    }

    /// Rule 6, put into words.
    fn clash(&self, clash: conflict::Clash<&str>) -> Outcome {
        let rule = match clash.rule {
            conflict::Rule::WriteWrite => Rule::WriteWrite,
            _ => Rule::ReadWrite,
        };
        let winner = self.merged.accepted(self.merged.admitted[clash.with]);
        Outcome::Conflict { with: winner, key: clash.key.to_owned(), rule }
    }

    fn finish(self, answers: Vec<Option<Answer>>) -> Verdicts {
        let serial: Vec<usize> = self.serial.into_iter().collect();
        let version = self.input.round;
        let mut orders = vec![0_u32; answers.len()];
        for (order, &place) in serial.iter().enumerate() {
            orders[place] = order as u32;
        }
        let committed = |place: usize| Outcome::Committed { version, order: orders[place] };
        let outcomes = answers
            .into_iter()
            .enumerate()
            .map(|(place, answer)| match answer {
                Some(Answer::Accepted) => committed(place),
                Some(Answer::SameAs(accepted)) => committed(accepted),
                Some(Answer::Final(outcome)) => outcome,
                None => unreachable!("every place of the batch was judged"),
            })
            .collect();
        Verdicts { outcomes, accepted: self.merged.admitted, serial }
    }
}

/// The operations of the accepted, merged.
struct Operations<'a> {
    state: &'a State,
    batch: &'a [Proposal],
    deltas: Aggregator<&'a str, Delta>,
    /// The accepted in the order they were judged; the index knows them by their number in it.
    admitted: Vec<usize>,
}

impl<'a> Operations<'a> {
    /// Rule 7: each operation is defined on the stored value together with all accepted ones.
    fn stand(&self, proposal: &'a Proposal) -> Result<(), Outcome> {
        for (key, op) in &proposal.writes {
            let Some(delta) = op.delta() else { continue };
            let stored = self.state.get(key.as_str());
            let together = self.deltas.preview(&key.as_str(), &delta);
            if let Err(refusal) = together.and_then(|delta| delta.apply(stored).map(drop)) {
                return Err(Outcome::Conflict {
                    with: self.refused_by(proposal, key, &delta),
                    key: key.to_string(),
                    rule: Rule::Refused(refusal),
                });
            }
        }
        Ok(())
    }

    /// Whom an operation lost to: the stored value if that alone refuses it; else the first accepted one that
    /// alone refuses it; else (it takes several) the accepted one with which it became impossible.
    fn refused_by(&self, proposal: &Proposal, key: &Key, delta: &Delta) -> Winner {
        use queenright_primitives::aggregate::Commutative;
        let entry = self.state.entry(key.as_str());
        let stored = entry.map(|entry| &entry.value);
        let on_key: Vec<(usize, Delta)> = self
            .admitted
            .iter()
            .filter_map(|&place| Some((place, self.delta_on(place, key)?)))
            .collect();
        let origin =
            || entry.map(|e| Winner::Stored { agent: e.writer.clone(), version: e.version });
        if delta.apply(stored).is_err() {
            let itself =
                || Winner::Stored { agent: proposal.agent.clone(), version: self.state.version };
            return origin().unwrap_or_else(itself);
        }
        let refuses = |sum: &Delta| -> Result<(), Refusal> { sum.apply(stored).map(drop) };
        let alone = on_key.iter().find(|(_, theirs)| {
            let mut both = delta.clone();
            both.merge(theirs).and_then(|()| refuses(&both)).is_err()
        });
        let jointly = || {
            let mut sum = delta.clone();
            on_key
                .iter()
                .find(|(_, theirs)| sum.merge(theirs).and_then(|()| refuses(&sum)).is_err())
        };
        match alone.or_else(jointly) {
            Some((place, _)) => self.accepted(*place),
            None => origin().unwrap_or(Winner::Stored {
                agent: proposal.agent.clone(),
                version: self.state.version,
            }),
        }
    }

    fn delta_on(&self, place: usize, key: &Key) -> Option<Delta> {
        let (_, op) = self.batch[place].writes.iter().find(|(written, _)| written == key)?;
        op.delta()
    }

    fn accepted(&self, place: usize) -> Winner {
        let proposal = &self.batch[place];
        Winner::Accepted { agent: proposal.agent.clone(), id: proposal.id.clone() }
    }

    fn admit(&mut self, place: usize) {
        self.admitted.push(place);
        for (key, op) in &self.batch[place].writes {
            if let (Mode::Commutative(_), Some(delta)) = (op.operator().mode(), op.delta()) {
                let merged = self.deltas.submit(key.as_str(), &delta);
                debug_assert!(merged.is_ok(), "checked before: {merged:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
