//! Which intents were answered, and how: so that nothing is committed twice.

use std::collections::{BTreeMap, HashMap, VecDeque};

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
    known: HashMap<ProposalId, (Version, Known)>,
    /// Which intents were answered in which round, oldest first.
    answered: VecDeque<(Version, ProposalId)>,
}

impl Intents {
    /// What is known of the intents of a batch.
    pub(crate) fn of(&self, batch: &[Proposal]) -> BTreeMap<ProposalId, Known> {
        let mut of = BTreeMap::<_, Known>::new();
        for proposal in batch {
            let Some((id, (_, known))) = self.known.get_key_value(&proposal.id) else { continue };
            let told = of.entry(id.clone()).or_default();
            told.committed.clone_from(&known.committed);
            if let Some(answer) = known.attempts.get(&proposal.attempt) {
                told.attempts.insert(proposal.attempt, answer.clone());
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
        let answered = each.filter(|(place, _)| !verdicts.is_pending(*place));
        let mut answers: Vec<_> = answered.map(|(_, answer)| answer).collect();
        answers.sort_by_cached_key(|(proposal, _)| digest(*proposal));
        for (proposal, outcome) in answers {
            // Whether it was committed is forgotten: an entry would say that it was not.
            if matches!(outcome, Outcome::TooOld { .. }) && !self.known.contains_key(&proposal.id) {
                continue;
            }
            let (last, known) = self.known.entry(proposal.id.clone()).or_default();
            *last = round;
            self.answered.push_back((round, proposal.id.clone()));
            match outcome {
                Outcome::Committed { .. } => known.committed = Some(outcome.clone()),
                _ => {
                    let answer = || (digest(proposal), outcome.clone());
                    known.attempts.entry(proposal.attempt).or_insert_with(answer);
                }
            }
        }
        while self.answered.front().is_some_and(|(version, _)| *version < horizon) {
            let Some((version, id)) = self.answered.pop_front() else {
                break;
            };
            if self.known.get(&id).is_some_and(|(last, _)| *last == version) {
                self.known.remove(&id);
            }
        }
    }
}
