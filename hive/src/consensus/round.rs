//! The decision: which proposals of a batch are committed, and why the others are not.
//!
//! [`decide`] is a pure function of the snapshot, the batch and the recorded [`RoundInput`]: no clock, no randomness
//! of its own, no I/O. The order of the batch does not matter, and neither does the number of threads that made it.

mod alone;
mod apply;
mod footprints;
mod input;
mod operations;
mod order;

use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;
use queenright_primitives::Version;
use queenright_primitives::aggregate::Aggregator;
use queenright_primitives::conflict::Position;

use self::alone::Standing;
pub use self::apply::apply;
pub(crate) use self::apply::{applied, horizon};
use self::footprints::Footprints;
pub use self::input::{Limits, RULES, RoundInput, RoundPolicy};
use self::operations::Operations;
use self::order::{Order, order};
use crate::encoding::{Digest, Encode, Sink, digest, fields};
use crate::id::ProposalId;
use crate::outcome::{Outcome, Winner};
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
            id.encode(&mut sink);
            attempt.encode(&mut sink);
            outcome.encode(&mut sink);
            pending.encode(&mut sink);
        }
        sink.finish()
    }
}

fields!(Verdicts { outcomes, accepted, serial, pending });

/// So many proposals are looked at before the first of them is judged.
const AHEAD: usize = 32;

/// Decides a round. Pure.
///
/// No value may be nested deeper than [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH), as a [`Hive`](crate::Hive) sees to.
///
/// The proposals are judged one by one in an order that no agent controls: class (raised by the rounds an
/// intent has waited), deadline, a hash of seed, round and id, then id and attempt. Each is held against the
/// snapshot and those accepted before it, never against rejected ones. O(keys of the batch × depth), and what the
/// prefixes read hold.
pub fn decide(state: &State, batch: &[Proposal], input: &RoundInput) -> Verdicts {
    let mut answers = Answers::all_committed(batch.len(), input.round);
    // What can be said of each alone is said in the order of the batch, in which they lie in memory.
    let (standings, footprints) = alone::judge(state, batch, input, &mut answers.outcomes);
    let Order { places, repeated } = order(batch, input);
    let mut round = Round {
        batch,
        input,
        twisted: twisted(batch, &repeated),
        repeated,
        standings,
        footprints,
        merged: Operations {
            state,
            batch,
            deltas: Aggregator::new(),
            admitted: Vec::with_capacity(batch.len()),
        },
        serial: VecDeque::with_capacity(batch.len()),
        refused: Map::default(),
        committed: Map::default(),
    };
    for (part, places) in places.chunks(AHEAD).enumerate() {
        round.footprints.look_ahead(places);
        for (turn, &place) in (part * AHEAD..).zip(places) {
            match round.answer(place, turn, &mut answers.outcomes) {
                Answer::SameAs(accepted) => answers.same.push((place, accepted)),
                Answer::Pending => answers.pending.push(place),
                Answer::Accepted | Answer::Told => {}
            }
        }
    }
    answers.finish(round.merged.admitted, round.serial.into())
}

/// Attempts that came twice in this batch with different bytes.
fn twisted<'a>(batch: &'a [Proposal], repeated: &Set<&ProposalId>) -> Set<(&'a ProposalId, u32)> {
    if repeated.is_empty() {
        return Set::default();
    }
    let mut first = Map::default();
    let differs = |proposal: &&'a Proposal| {
        repeated.contains(&proposal.id)
            && *first.entry((&proposal.id, proposal.attempt)).or_insert(*proposal) != *proposal
    };
    batch.iter().filter(differs).map(|proposal| (&proposal.id, proposal.attempt)).collect()
}

/// What became of a proposal. Outcomes are large, and are written where they stay.
#[derive(Clone, Copy)]
enum Answer {
    /// Its place in the serial order may not be known yet.
    Accepted,
    /// The same intent was accepted in this round, at that place in the batch.
    SameAs(usize),
    /// Its outcome is there.
    Told,
    /// The same, but it is judged once more in the next round.
    Pending,
}

/// The outcomes, as they become known.
struct Answers {
    /// All are committed, at a place that is told at the end, unless something else was said.
    outcomes: Vec<Outcome>,
    /// Proposals of intents that were accepted before in this round, and the places of these.
    same: Vec<(usize, usize)>,
    pending: Vec<usize>,
}

impl Answers {
    fn all_committed(proposals: usize, version: Version) -> Self {
        let committed = |_| Outcome::Committed { version, order: 0 };
        let outcomes = (0..proposals).map(committed).collect();
        Answers { outcomes, same: Vec::new(), pending: Vec::new() }
    }

    fn finish(mut self, accepted: Vec<usize>, serial: Vec<usize>) -> Verdicts {
        for (place, &at) in serial.iter().enumerate() {
            if let Outcome::Committed { order, .. } = &mut self.outcomes[at] {
                *order = place as u32;
            }
        }
        for (place, accepted) in self.same {
            self.outcomes[place] = self.outcomes[accepted].clone();
        }
        self.pending.sort_unstable();
        Verdicts { outcomes: self.outcomes, accepted, serial, pending: self.pending }
    }
}

/// What the accepted of a round have come to, and those who are answered without being judged.
struct Round<'a> {
    batch: &'a [Proposal],
    input: &'a RoundInput,
    twisted: Set<(&'a ProposalId, u32)>,
    repeated: Set<&'a ProposalId>,
    /// By place: what is known of each alone.
    standings: Vec<Standing>,
    footprints: Footprints<'a>,
    merged: Operations<'a>,
    serial: VecDeque<usize>,
    /// And the places of those who were refused so.
    refused: Map<(&'a ProposalId, u32), (Answer, usize)>,
    committed: Map<&'a ProposalId, usize>,
}

impl<'a> Round<'a> {
    /// The answer to a proposal. Among the outcomes is what was said of each alone.
    fn answer(&mut self, place: usize, turn: usize, outcomes: &mut [Outcome]) -> Answer {
        if self.standings[place] == Standing::Answered {
            return Answer::Told;
        }
        let is_repeated =
            !self.repeated.is_empty() && self.repeated.contains(&self.batch[place].id);
        if is_repeated && let Some(earlier) = self.answered_here(place, outcomes) {
            return earlier;
        }
        let answer = self.judge(place, turn, &mut outcomes[place]);
        if is_repeated {
            self.remember(place, answer);
        }
        answer
    }

    /// Rule 1 within the round: an intent is answered once, whatever is sent again.
    fn answered_here(&self, place: usize, outcomes: &mut [Outcome]) -> Option<Answer> {
        let proposal = &self.batch[place];
        let attempt = (&proposal.id, proposal.attempt);
        if self.twisted.contains(&attempt) {
            let reason = "another proposal of this round has the same id and attempt but other content: \
                          give each intent an id of its own, and count attempts up";
            outcomes[place] = Outcome::Invalid { reason: reason.to_owned() };
            return Some(Answer::Told);
        }
        if let Some(&accepted) = self.committed.get(&proposal.id) {
            return Some(Answer::SameAs(accepted));
        }
        let (answer, before) = *self.refused.get(&attempt)?;
        outcomes[place] = outcomes[before].clone();
        Some(answer)
    }

    fn remember(&mut self, place: usize, answer: Answer) {
        let proposal = &self.batch[place];
        if let Answer::Accepted = answer {
            self.committed.insert(&proposal.id, place);
        } else {
            self.refused.insert((&proposal.id, proposal.attempt), (answer, place));
        }
    }

    /// The answer of those rules that hold it against others, if nothing was said of it alone.
    fn judge(&mut self, place: usize, turn: usize, outcome: &mut Outcome) -> Answer {
        if turn >= self.input.policy.limits.proposals {
            *outcome = self.too_late();
            return Answer::Told;
        }
        if self.standings[place] == Standing::Refused {
            return Answer::Told;
        }
        let Err(lost) = self.stand(place) else { return Answer::Accepted };
        *outcome = lost;
        match self.may_wait(place, outcome) {
            true => Answer::Pending,
            false => Answer::Told,
        }
    }

    /// Whether a proposal that lost may be judged again as it is: it read nothing, and lost to others of this round alone.
    fn may_wait(&self, place: usize, outcome: &Outcome) -> bool {
        let proposal = &self.batch[place];
        let waited = self.input.round.0.saturating_sub(proposal.base.0.saturating_add(1));
        let lost_here = matches!(outcome, Outcome::Conflict { with: Winner::Accepted { .. }, .. });
        let is_blind = proposal.reads.is_empty() && proposal.preconditions.is_empty();
        // In the next round it would be too old.
        let passes_out =
            proposal.born.0 < self.input.round.0.saturating_sub(self.input.policy.window);
        lost_here && is_blind && !passes_out && waited < self.input.policy.pending
    }

    fn too_late(&self) -> Outcome {
        let most = self.input.policy.limits.proposals;
        let what = format!(
            "{most} proposals were judged before it, and no more are in a round: propose it as the next attempt"
        );
        Outcome::LimitReached { what }
    }

    /// Rules 6 and 7: accepts it, or says why not.
    fn stand(&mut self, place: usize) -> Result<(), Outcome> {
        let Round { batch, merged, footprints, .. } = self;
        let position = footprints.try_admit(
            place,
            merged.admitted.len(),
            |clash| merged.clash(clash),
            || merged.stand(&batch[place]),
        )?;
        let commutes = footprints.commutes(place);
        match position {
            Position::Front => self.serial.push_front(place),
            Position::Back => self.serial.push_back(place),
        }
        self.merged.admitted.push(place);
        if commutes {
            self.merged.merge(place);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
