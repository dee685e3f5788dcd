//! Which intents were answered, and how: so that nothing is committed twice.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, VecDeque};

use foldhash::fast::RandomState;
use queenright_primitives::Version;

use super::round::Verdicts;
use crate::digest::{Digest, Feed, Sink, digest};
use crate::id::ProposalId;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// What one intent was answered so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The commit, if there was one. It answers every further attempt.
    pub committed: Option<Outcome>,
    /// The refused attempts, with the digest of what was sent. Each answers itself alone.
    pub attempts: BTreeMap<u32, (Digest, Outcome)>,
}

impl Feed for Known {
    fn feed(&self, sink: &mut Sink) {
        self.committed.feed(sink);
        sink.number(self.attempts.len() as u64);
        for (attempt, (bytes, outcome)) in &self.attempts {
            bytes.feed(sink.number(u64::from(*attempt)));
            outcome.feed(sink);
        }
    }
}

/// The answers of the last rounds. An intent is remembered for `window` rounds after its last answer.
#[derive(Debug, Default)]
pub(crate) struct Intents {
    known: HashMap<ProposalId, Answers, RandomState>,
    /// Which intents were answered in which round, oldest first.
    answered: VecDeque<(Version, ProposalId)>,
}

/// What one intent was answered, and when last.
#[derive(Debug)]
struct Answers {
    last: Version,
    committed: Option<(Version, u32)>,
    refused: BTreeMap<u32, Refused>,
}

/// One refused attempt.
#[derive(Debug)]
struct Refused {
    round: Version,
    content: Digest,
    outcome: Outcome,
}

impl Intents {
    /// What is known of the intents of a batch.
    pub(crate) fn of(&self, batch: &[Proposal]) -> BTreeMap<ProposalId, Known> {
        let mut of = BTreeMap::<_, Known>::new();
        for proposal in batch {
            let Some(known) = self.known.get(&proposal.id) else { continue };
            let told = of.entry(proposal.id.clone()).or_default();
            told.committed =
                known.committed.map(|(version, order)| Outcome::Committed { version, order });
            if let Some(one) = known.refused.get(&proposal.attempt) {
                told.attempts.insert(proposal.attempt, (one.content, one.outcome.clone()));
            }
        }
        of
    }

    /// Remembers a round's answers, and forgets those older than `horizon`.
    pub(crate) fn remember(
        &mut self,
        round: Version,
        batch: &[Proposal],
        verdicts: &Verdicts,
        horizon: Version,
    ) {
        let each = batch.iter().zip(&verdicts.outcomes).enumerate();
        for (_, (proposal, outcome)) in each.filter(|(place, _)| !verdicts.is_pending(*place)) {
            self.remember_one(round, proposal, outcome);
        }
        while self.answered.front().is_some_and(|(version, _)| *version < horizon) {
            let Some((version, id)) = self.answered.pop_front() else {
                break;
            };
            if let Entry::Occupied(known) = self.known.entry(id)
                && known.get().last == version
            {
                known.remove();
            }
        }
    }

    fn remember_one(&mut self, round: Version, proposal: &Proposal, outcome: &Outcome) {
        let answers = match self.known.entry(proposal.id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            // Whether it was committed is forgotten: an entry would say that it was not.
            Entry::Vacant(_) if matches!(outcome, Outcome::TooOld { .. }) => return,
            Entry::Vacant(new) => {
                // Not `round`: that it was answered in it is noted below.
                let last = Version(u64::MAX);
                new.insert(Answers { last, committed: None, refused: BTreeMap::new() })
            }
        };
        if answers.last != round {
            answers.last = round;
            self.answered.push_back((round, proposal.id.clone()));
        }
        match *outcome {
            Outcome::Committed { version, order } => answers.committed = Some((version, order)),
            _ => {
                let kept = answers.refused.get(&proposal.attempt);
                let content = digest(proposal);
                // Of two in one round that differ, which were both refused for that, the same is kept whichever came first.
                if kept.is_none_or(|kept| kept.round == round && content < kept.content) {
                    let refused = Refused { round, content, outcome: outcome.clone() };
                    answers.refused.insert(proposal.attempt, refused);
                }
            }
        }
    }
}
