//! The ballots that are open, and what becomes of them. No clock and no I/O: who recomputes rounds from their records opens,
//! counts and closes the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::quorum::{Ballot, CastVote, QuorumRule, Tally, VoteError};
use crate::digest::digest;
use crate::id::ProposalId;
use crate::proposal::Proposal;

/// One attempt at one intent.
pub(crate) type Attempt = (ProposalId, u32);

/// A proposal that is being voted on. See [`Hive::ballots`](crate::Hive::ballots).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpenBallot {
    /// What is voted on.
    pub proposal: Arc<Proposal>,
    /// The votes so far.
    pub ballot: Ballot,
    /// How it stands with them.
    pub tally: Tally,
    /// The time of the hive's clock from which on no vote counts.
    pub closes: u64,
}

impl OpenBallot {
    /// Who may vote, and how many must.
    ///
    /// # Panics
    /// Never: only what has a rule is voted on.
    pub fn rule(&self) -> &QuorumRule {
        self.proposal.quorum.as_ref().expect("only what has a rule is voted on")
    }
}

/// All ballots that are open.
#[derive(Debug, Default)]
pub(crate) struct Ballots {
    open: BTreeMap<Attempt, OpenBallot>,
    /// When each of them closes.
    closing: BTreeSet<(u64, Attempt)>,
    /// Those that were voted on since they were last looked at.
    changed: BTreeSet<Attempt>,
}

impl Ballots {
    /// Opens a ballot on a proposal that has a rule, unless one is open on that attempt. Says whether it did.
    pub(crate) fn open(&mut self, proposal: &Arc<Proposal>, now: u64) -> bool {
        let attempt = (proposal.id.clone(), proposal.attempt);
        let Some(rule) = proposal.quorum.as_ref() else { return false };
        if self.open.contains_key(&attempt) {
            return false;
        }
        let closes = now.saturating_add(rule.time());
        let tally = rule.before_votes();
        let ballot = Ballot { content: digest(&**proposal), ..Ballot::default() };
        let proposal = Arc::clone(proposal);
        self.closing.insert((closes, attempt.clone()));
        self.open.insert(attempt, OpenBallot { proposal, ballot, tally, closes });
        true
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &OpenBallot> {
        self.open.values()
    }

    pub(crate) fn is_open(&self, attempt: &Attempt) -> bool {
        self.open.contains_key(attempt)
    }

    /// Counts a vote, and tells how the ballot stands with it.
    pub(crate) fn cast(&mut self, vote: &CastVote, now: u64) -> Result<Tally, VoteError> {
        let attempt = (vote.proposal.clone(), vote.attempt);
        let open = self.open.get_mut(&attempt).filter(|open| now < open.closes);
        let open = open.ok_or(VoteError::NotOpen)?;
        let proposal = Arc::clone(&open.proposal);
        let rule = proposal.quorum.as_ref().ok_or(VoteError::NotOpen)?;
        rule.admits(&open.ballot, &vote.member, vote.vote)?;
        let before = open.ballot.votes.insert(vote.member.clone(), vote.vote);
        match before {
            None => rule.add(&mut open.tally, &vote.member, vote.vote),
            // Another vote of the same member, which is rare.
            Some(_) => open.tally = rule.count(&open.ballot),
        }
        let tally = open.tally;
        self.changed.insert(attempt);
        Ok(tally)
    }

    /// The first time at which a ballot closes.
    pub(crate) fn next_closing(&self) -> Option<u64> {
        self.closing.first().map(|(closes, _)| *closes)
    }

    /// Takes a ballot out, whatever was voted.
    pub(crate) fn withdraw(&mut self, attempt: &Attempt) -> Option<OpenBallot> {
        let open = self.open.remove(attempt)?;
        self.closing.remove(&(open.closes, attempt.clone()));
        self.changed.remove(attempt);
        Some(open)
    }

    /// Takes out all that are decided, or over.
    pub(crate) fn close(&mut self, now: u64) -> Vec<OpenBallot> {
        let is_decided = |attempt: &Attempt| {
            let open = self.open.get(attempt)?;
            open.rule().decision(&open.ballot, now >= open.closes).map(|_| attempt.clone())
        };
        let over = self.closing.iter().take_while(|(closes, _)| *closes <= now);
        let over = over.map(|(_, attempt)| attempt);
        let decided: BTreeSet<Attempt> = over.chain(&self.changed).filter_map(is_decided).collect();
        self.changed.clear();
        decided.iter().filter_map(|attempt| self.withdraw(attempt)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{Threshold, Vote};
    use crate::state::{Snapshot, State};

    fn proposal(id: &str, rule: QuorumRule) -> Arc<Proposal> {
        let snapshot = Snapshot::from(State::base([]));
        Arc::new(Proposal::on(&snapshot, "agent", id).with_quorum(rule))
    }

    fn majority_of_three() -> QuorumRule {
        QuorumRule::new(["a", "b", "c"], Threshold::Majority).unwrap().within(10)
    }

    fn names(closed: &[OpenBallot]) -> Vec<&str> {
        closed.iter().map(|open| open.proposal.id.as_str()).collect()
    }

    #[test]
    fn a_ballot_closes_when_it_is_decided_or_when_its_time_is_over() {
        let mut ballots = Ballots::default();
        for id in ["early", "late", "never"] {
            assert!(ballots.open(&proposal(id, majority_of_three()), 100));
        }
        assert!(!ballots.open(&proposal("early", majority_of_three()), 101), "it is open");
        let yes = |id: &str, member: &str| CastVote::on(id, member, Vote::Yes);
        assert_eq!(ballots.cast(&yes("early", "a"), 101).unwrap().yes, 1);
        assert!(ballots.close(101).is_empty(), "one of three");
        assert_eq!(
            ballots.cast(&yes("early", "a"), 102),
            Err(VoteError::HasVoted { cast: Vote::Yes })
        );
        assert_eq!(ballots.cast(&yes("other", "a"), 102), Err(VoteError::NotOpen));
        assert_eq!(ballots.cast(&yes("early", "b"), 102).unwrap().yes, 2);
        assert_eq!(names(&ballots.close(102)), ["early"]);
        assert_eq!(ballots.cast(&yes("early", "c"), 102), Err(VoteError::NotOpen), "it is decided");
        assert_eq!(ballots.next_closing(), Some(110));
        ballots.cast(&yes("late", "b"), 109).unwrap();
        assert_eq!(
            ballots.cast(&yes("late", "c"), 110),
            Err(VoteError::NotOpen),
            "its time is over"
        );
        let closed = ballots.close(110);
        assert_eq!(names(&closed), ["late", "never"]);
        assert_eq!(closed[0].ballot.votes.len(), 1, "what was said is kept");
        assert_eq!((ballots.iter().count(), ballots.next_closing()), (0, None));
    }

    #[test]
    fn what_is_withdrawn_closes_no_more() {
        let mut ballots = Ballots::default();
        ballots.open(&proposal("a", majority_of_three()), 0);
        ballots.cast(&CastVote::on("a", "a", Vote::Yes), 1).unwrap();
        assert!(ballots.withdraw(&("a".into(), 0)).is_some());
        assert!(ballots.close(u64::MAX).is_empty() && ballots.withdraw(&("a".into(), 0)).is_none());
    }
}
