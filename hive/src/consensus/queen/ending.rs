//! How the queen ends: what is said to those who are not judged any more.

use std::collections::BTreeSet;

use queenright_primitives::Version;

use super::{Answer, Attempt, Ballots, Batch, Owed, Queen, Step, VoteError};
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

impl Queen {
    /// Answers everything without a round.
    pub(super) fn cancel(&mut self, batch: Batch) {
        let Batch { proposals, again, owed, votes, marks, refused, bytes: _ } = batch;
        let name = |it: &Proposal| (it.id.clone(), it.attempt);
        let pending: BTreeSet<Attempt> = proposals[..again].iter().map(name).collect();
        let may_be = |it: &Proposal| {
            let name = name(it);
            pending.contains(&name) || self.waiting.contains_key(&name)
        };
        let until = self.known_until();
        let outcomes = proposals.iter().map(|it| self.last_word(it, may_be(it), until));
        let outcomes: Vec<Outcome> = outcomes.collect();
        for (proposal, outcome) in proposals.iter().zip(&outcomes) {
            observe::without_a_round(std::slice::from_ref(proposal), outcome);
        }
        self.count_ended(&outcomes);
        // Some of several may have been answered by a round that was lost.
        let is_one_of_several = |owed: &Owed| matches!(owed, Owed::Member { .. });
        let stands = until.is_some() && !owed.iter().any(is_one_of_several);
        let mut answers = Vec::new();
        let mut outcomes = outcomes.into_iter();
        for owed in owed {
            let mut part: Vec<Outcome> = outcomes.by_ref().take(owed.len()).collect();
            match owed {
                Owed::Many(_, sender) => answers.push(Answer::AllSaid(sender, part)),
                one => {
                    let outcome = part.pop().unwrap_or(Outcome::CommitUnknown);
                    self.debts.answer_all(one, outcome, &mut answers);
                }
            }
        }
        self.refuse(refused, &mut answers);
        for (votes, sender) in votes {
            answers.push(Answer::Counted(sender, vec![Err(VoteError::Closed); votes.len()]));
        }
        if until.is_none() {
            self.pass_marks(marks, &mut answers);
        }
        self.way.send(Step { round: None, answers, stands }, Vec::new());
    }

    /// If the log has failed: up to which version it is known what is in it.
    fn known_until(&self) -> Option<Version> {
        self.failure.get().map(|_| self.core.counters.read().version)
    }

    /// What is said at the end to one that is not judged any more: that nothing of it was committed only if nothing was, and nothing will
    /// be when the hive is restored from its log, as what `may_be` is pending or voted on there.
    fn last_word(&self, proposal: &Proposal, may_be: bool, until: Option<Version>) -> Outcome {
        match self.core.answered(proposal) {
            Some((at, outcome)) if until.is_none_or(|until| at <= until) => outcome,
            Some(_) => Outcome::CommitUnknown,
            None if may_be && self.way.is_logged() => Outcome::CommitUnknown,
            None => Outcome::Cancelled,
        }
    }

    fn count_ended(&self, outcomes: &[Outcome]) {
        let is_cancelled = |outcome: &&Outcome| **outcome == Outcome::Cancelled;
        self.core.counters.cancelled(outcomes.iter().filter(is_cancelled).count());
        for outcome in outcomes.iter().filter(|outcome| !is_cancelled(outcome)) {
            self.core.counters.refused(outcome, 1);
        }
    }

    /// Nobody can vote any more, until the hive is restored from its log, if it has one.
    pub(super) fn end_ballots(&mut self) {
        let until = self.known_until();
        let mut answers = Vec::new();
        for (proposal, owed) in std::mem::take(&mut self.waiting).into_values().flatten() {
            let outcome = self.last_word(&proposal, true, until);
            observe::without_a_round(&[proposal], &outcome);
            self.count_ended(std::slice::from_ref(&outcome));
            self.debts.answer_all(owed, outcome, &mut answers);
        }
        self.way.send(Step { round: None, answers, stands: false }, Vec::new());
        *self.ballots() = Ballots::default();
        self.core.counters.votes_on(0);
    }
}
