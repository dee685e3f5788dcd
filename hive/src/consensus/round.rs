//! The decision: which proposals of a batch are committed, and why the others are not.
//!
//! [`decide`] is a pure function of the snapshot, the batch and the recorded [`RoundInput`]: no clock, no randomness
//! of its own, no I/O. The order of the batch does not matter, and neither does the number of threads that made it.

mod apply;
mod input;
mod operations;
mod order;

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use queenright_primitives::Version;
use queenright_primitives::aggregate::Aggregator;
use queenright_primitives::conflict::{self, ConflictIndex, Footprint, Position};
use queenright_primitives::proposal::{Read, Write};

pub use self::apply::apply;
pub use self::input::{Limits, RoundInput, RoundPolicy};
use self::operations::Operations;
use self::order::{Order, order};
use super::quorum::Ballot;
use crate::digest::{Digest, Feed, Sink, digest};
use crate::id::ProposalId;
use crate::key::Key;
use crate::op::{Op, Operator};
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::proposal::Proposal;
use crate::state::State;

/// By a keyed hash, which ids and keys from outside cannot flood. Their order never matters here.
type Map<K, V> = HashMap<K, V, RandomState>;
type Set<K> = HashSet<K, RandomState>;

/// One outcome for each proposal of the batch, in the order of the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdicts {
    /// The outcomes, by place in the batch.
    pub outcomes: Vec<Outcome>,
    /// The places of the accepted, in the order they were judged.
    pub accepted: Vec<usize>,
    /// The same places in the serial order that explains every read.
    pub serial: Vec<usize>,
    /// The places, in rising order, of those that stay pending: they lost, as their outcomes say, but are judged once more in
    /// the next round and answered then at the earliest.
    pub pending: Vec<usize>,
}

impl Verdicts {
    /// Whether the proposal at this place of the batch is judged again in the next round, and has no answer yet.
    pub fn is_pending(&self, place: usize) -> bool {
        self.pending.binary_search(&place).is_ok()
    }

    /// A digest that does not depend on the order of the batch: of all (id, attempt, outcome), sorted.
    pub fn digest(&self, batch: &[Proposal]) -> Digest {
        let of = |(place, outcome): (usize, &Outcome)| {
            let proposal = batch.get(place)?;
            Some((&proposal.id, proposal.attempt, digest(outcome), self.is_pending(place)))
        };
        let mut each: Vec<_> = self.outcomes.iter().enumerate().filter_map(of).collect();
        each.sort();
        let mut sink = Sink::new();
        for (id, attempt, outcome, pending) in each {
            id.feed(&mut sink);
            outcome.feed(sink.number(u64::from(attempt)).tag(u8::from(pending)));
        }
        sink.finish()
    }
}

/// Decides a round. Pure.
///
/// No value may be nested deeper than [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH), as a [`Hive`](crate::Hive) sees to.
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
    let Order { places, repeated } = order(batch, input);
    let may_be_stale = may_be_stale(state, batch);
    let mut round = Round {
        state,
        batch,
        input,
        twisted: twisted(batch, &repeated),
        repeated,
        may_be_stale,
        touches: Touches::default(),
        index,
        merged: Operations { state, batch, deltas: Aggregator::new(), admitted: Vec::new() },
        serial: VecDeque::new(),
        refused: Map::default(),
        committed: Map::default(),
    };
    let mut answers = Answers::all_committed(batch.len(), input.round);
    for (part, places) in places.chunks(AHEAD).enumerate() {
        look_ahead(batch, places);
        for (turn, &place) in (part * AHEAD..).zip(places) {
            answers.put(place, round.answer(place, turn));
        }
    }
    answers.finish(round.merged.admitted, round.serial.into())
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

/// So many proposals are looked at before the first of them is judged.
const AHEAD: usize = 32;

/// Looks at proposals whose turn comes next: a wide round judges them in an order that no cache foresees, and so the memory of
/// several is asked for at once.
fn look_ahead(batch: &[Proposal], places: &[usize]) {
    let look = |place: &usize| {
        let Proposal { reads, writes, base, hint, .. } = &batch[*place];
        let (read, write) = (reads.last(), writes.last());
        let keys = read.map_or(0, |read| read.key().as_str().len())
            + write.map_or(0, |(key, _)| key.as_str().len());
        base.0 ^ hint.deadline.unwrap_or_default() ^ keys as u64
    };
    std::hint::black_box(places.iter().map(look).fold(0, |all, one| all ^ one));
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

/// Of which proposals something they read may have changed since their base: of nearly all it can be said at once that nothing has. The
/// keys of all of them are looked up together.
fn may_be_stale(state: &State, batch: &[Proposal]) -> Vec<bool> {
    let mut may_be_stale = vec![false; batch.len()];
    let (mut keys, mut readers) = (Vec::new(), Vec::new());
    for (place, proposal) in batch.iter().enumerate().filter(|(_, it)| it.base != state.version) {
        for read in &proposal.reads {
            match read {
                Read::Key(key) => {
                    keys.push(key);
                    readers.push(place);
                }
                Read::Under(_) => may_be_stale[place] = true,
            }
        }
    }
    for (entry, place) in state.entries.get_many(&keys).into_iter().zip(readers) {
        // What is not there may have been removed since.
        may_be_stale[place] |= entry.is_none_or(|entry| entry.version > batch[place].base);
    }
    may_be_stale
}

/// An outcome whose place in the serial order may not be known yet.
#[derive(Clone)]
enum Answer {
    Accepted,
    /// The same intent was accepted in this round, at that place in the batch.
    SameAs(usize),
    Final(Outcome),
    /// It lost, but is judged once more in the next round.
    Pending(Outcome),
}

/// The outcomes, as they become known.
struct Answers {
    version: Version,
    /// All are committed, at a place that is told at the end, unless something else was said.
    outcomes: Vec<Outcome>,
    /// Proposals of intents that were accepted before in this round, and the places of these.
    same: Vec<(usize, usize)>,
    pending: Vec<usize>,
}

impl Answers {
    fn all_committed(proposals: usize, version: Version) -> Self {
        let outcomes = vec![Outcome::Committed { version, order: 0 }; proposals];
        Answers { version, outcomes, same: Vec::new(), pending: Vec::new() }
    }

    fn put(&mut self, place: usize, answer: Answer) {
        match answer {
            Answer::Accepted => {}
            Answer::SameAs(accepted) => self.same.push((place, accepted)),
            Answer::Final(outcome) => self.outcomes[place] = outcome,
            Answer::Pending(outcome) => {
                self.pending.push(place);
                self.outcomes[place] = outcome;
            }
        }
    }

    fn finish(mut self, accepted: Vec<usize>, serial: Vec<usize>) -> Verdicts {
        for (order, &place) in serial.iter().enumerate() {
            self.outcomes[place] =
                Outcome::Committed { version: self.version, order: order as u32 };
        }
        for (place, accepted) in self.same {
            self.outcomes[place] = self.outcomes[accepted].clone();
        }
        self.pending.sort_unstable();
        Verdicts { outcomes: self.outcomes, accepted, serial, pending: self.pending }
    }
}

struct Round<'a> {
    state: &'a State,
    batch: &'a [Proposal],
    input: &'a RoundInput,
    twisted: Set<(&'a ProposalId, u32)>,
    repeated: Set<&'a ProposalId>,
    /// By place: whether a look is needed at what has changed since.
    may_be_stale: Vec<bool>,
    /// What the proposal touches that is looked at. Kept for its memory.
    touches: Touches<'a>,
    index: ConflictIndex<&'a str, Operator>,
    merged: Operations<'a>,
    serial: VecDeque<usize>,
    refused: Map<(&'a ProposalId, u32), Answer>,
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
    fn answer(&mut self, place: usize, turn: usize) -> Answer {
        let proposal = &self.batch[place];
        let attempt = (&proposal.id, proposal.attempt);
        if let Some(earlier) = self.answered_before(proposal) {
            return earlier;
        }
        match self.is_in_time(turn).and_then(|()| self.judge(place)) {
            Ok(()) => Answer::Accepted,
            Err(outcome) => {
                let answer = match self.may_wait(proposal, &outcome) {
                    true => Answer::Pending(outcome),
                    false => Answer::Final(outcome),
                };
                if self.repeated.contains(&proposal.id) {
                    self.refused.insert(attempt, answer.clone());
                }
                answer
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
        self.refused.get(&attempt).cloned()
    }

    /// Whether a proposal that lost may be judged again as it is: it read nothing, and lost to others of this round alone.
    fn may_wait(&self, proposal: &Proposal, outcome: &Outcome) -> bool {
        let waited = self.input.round.0.saturating_sub(proposal.base.0.saturating_add(1));
        let lost_here = matches!(outcome, Outcome::Conflict { with: Winner::Accepted { .. }, .. });
        let is_blind = proposal.reads.is_empty() && proposal.preconditions.is_empty();
        // In the next round it would be too old.
        let passes_out =
            proposal.born.0 < self.input.round.0.saturating_sub(self.input.policy.window);
        lost_here && is_blind && !passes_out && waited < self.input.policy.pending
    }

    /// Accepts it, or says why not.
    fn judge(&mut self, place: usize) -> Result<(), Outcome> {
        let proposal = &self.batch[place];
        self.well_formed(proposal)?;
        self.is_agreed_to(proposal)?;
        self.is_wanted(proposal)?;
        self.is_allowed(proposal)?;
        self.is_small_enough(proposal)?;
        self.is_not_fenced_out(proposal)?;
        self.reads_are_fresh(place)?;
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

    fn is_in_time(&self, turn: usize) -> Result<(), Outcome> {
        let most = self.input.policy.limits.proposals;
        if turn < most {
            return Ok(());
        }
        let what = format!(
            "{most} proposals were judged before it, and no more are in a round: propose it as the next attempt"
        );
        Err(Outcome::LimitReached { what })
    }

    /// Only what its ballot has passed is judged at all.
    fn is_agreed_to(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let Some(rule) = &proposal.quorum else { return Ok(()) };
        let ballot = self.input.ballots.get(&(proposal.id.clone(), proposal.attempt));
        let bound = ballot.filter(|ballot| ballot.content == digest(proposal));
        let tally = match bound {
            Some(ballot) => rule.count(ballot),
            None => rule.count(&Ballot::default()),
        };
        if tally.is_passed() { Ok(()) } else { Err(Outcome::Rejected { tally }) }
    }

    /// Rule 2: time and will.
    fn is_wanted(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let cancelled = &self.input.cancelled;
        if proposal.hint.deadline.is_some_and(|deadline| deadline < self.input.now) {
            Err(Outcome::Expired)
        } else if !cancelled.is_empty()
            && cancelled.contains(&(proposal.id.clone(), proposal.attempt))
        {
            Err(Outcome::Cancelled)
        } else {
            Ok(())
        }
    }

    /// Rule 2: permission.
    fn is_allowed(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let permissions = &self.input.policy.permissions;
        let keys = || proposal.writes.iter().map(|(key, _)| key);
        match keys().find(|key| !permissions.may_write(&proposal.agent, key)) {
            Some(key) => Err(Outcome::Forbidden { key: key.clone() }),
            None => Ok(()),
        }
    }

    /// Rule 2: size.
    fn is_small_enough(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let limits = &self.input.policy.limits;
        let keys = proposal.reads.len() + proposal.preconditions.len() + proposal.writes.len();
        let mut bytes = proposal.id.as_str().len() + proposal.agent.as_str().len();
        let mut largest = 0;
        for (key, op) in &proposal.writes {
            bytes += key.as_str().len() + op.bytes();
            largest = largest.max(op.bytes());
        }
        for value in proposal.preconditions.iter().filter_map(|p| p.value()) {
            bytes += value.bytes();
            largest = largest.max(value.bytes());
        }
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
        if largest > limits.value {
            return too_much("bytes in one value", largest, limits.value);
        }
        Ok(())
    }

    /// Rule 3.
    fn is_not_fenced_out(&self, proposal: &Proposal) -> Result<(), Outcome> {
        let stale = |fence| Err(Outcome::StaleClaim { fence });
        match self.input.incarnations.get(&proposal.agent) {
            Some(&current) if proposal.incarnation < current => {
                return stale(Fence::Incarnation { current });
            }
            _ => {}
        }
        let Some(claim) = &proposal.claim else { return Ok(()) };
        let (key, current) = (claim.key.clone(), self.input.claims.get(&claim.key).copied());
        if current != Some(claim.token) {
            return stale(Fence::Token { key, current });
        }
        if proposal.base < claim.since {
            return stale(Fence::Since { key, since: claim.since });
        }
        Ok(())
    }

    /// Rule 4.
    fn reads_are_fresh(&self, place: usize) -> Result<(), Outcome> {
        let proposal = &self.batch[place];
        if !proposal.reads.is_empty() && proposal.base < self.state.horizon {
            return Err(Outcome::TooOld { horizon: self.state.horizon });
        }
        if !self.may_be_stale[place] {
            return Ok(());
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
}

#[cfg(test)]
mod tests;
