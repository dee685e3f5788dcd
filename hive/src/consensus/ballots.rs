//! The ballots that are open, and what becomes of them. No clock and no I/O: who recomputes rounds from their records opens,
//! counts and closes the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::quorum::{Ballot, CastVote, QuorumRule, Tally, VoteError};
use crate::encoding::{Decode, DecodeError, Digest, Encode, Sink, Source, digest};
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
#[derive(Clone, Debug, Default)]
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

/// What is open; how it stands and when it closes follows from that.
impl Encode for Ballots {
    fn encode(&self, sink: &mut Sink) {
        sink.number(self.open.len() as u64);
        for OpenBallot { proposal, ballot, closes, .. } in self.open.values() {
            proposal.encode(sink);
            ballot.encode(sink);
            closes.encode(sink);
        }
    }
}

/// Each of them is looked at once more when ballots are closed next.
impl Decode for Ballots {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let open = |source: &mut Source<'_>| {
            let open = OpenBallot::decode(source)?;
            Ok(((open.proposal.id.clone(), open.proposal.attempt), open))
        };
        let open = source.ascending(open, |(attempt, _): &(Attempt, _)| attempt)?;
        let closing = open.iter().map(|(attempt, open)| (open.closes, attempt.clone())).collect();
        let changed = open.iter().map(|(attempt, _)| attempt.clone()).collect();
        Ok(Ballots { open: BTreeMap::from_iter(open), closing, changed })
    }
}

impl Decode for OpenBallot {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        let proposal = Arc::<Proposal>::decode(source)?;
        let content = Digest::of(source.since(offset));
        let Some(rule) = &proposal.quorum else {
            return Err(source.error("a ballot on what needs no votes"));
        };
        let offset = source.offset();
        let ballot = Ballot::decode(source)?;
        if ballot.content != content {
            return Err(DecodeError { offset, what: "votes on another proposal" });
        }
        let tally = rule.count(&ballot);
        Ok(OpenBallot { proposal, ballot, tally, closes: Decode::decode(source)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::consensus::{Threshold, Vote};
    use crate::encoding::tests::{any_proposal, are_read_strictly, damage};
    use crate::encoding::{decoded, encoded};
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

    /// Who counted the last vote may not have come to close the ballot.
    #[test]
    fn a_ballot_that_is_decided_closes_after_it_is_read_back() {
        let mut ballots = Ballots::default();
        ballots.open(&proposal("a", majority_of_three()), 0);
        for member in ["a", "b"] {
            ballots.cast(&CastVote::on("a", member, Vote::Yes), 1).unwrap();
        }
        let mut again: Ballots = decoded(&encoded(&ballots)).unwrap();
        assert_eq!(names(&again.close(1)), ["a"]);
    }

    #[test]
    fn ballots_on_nothing_or_on_something_else_are_not_read() {
        let read_back = |change: fn(&mut OpenBallot)| {
            let mut ballots = Ballots::default();
            ballots.open(&proposal("a", majority_of_three()), 0);
            ballots.open.values_mut().for_each(change);
            decoded::<Ballots>(&encoded(&ballots)).map(drop).map_err(|error| error.what)
        };
        assert_eq!(read_back(|_| ()), Ok(()));
        let other = read_back(|open| open.ballot.content = Digest::default());
        assert_eq!(other, Err("votes on another proposal"));
        let no_rule = read_back(|open| Arc::make_mut(&mut open.proposal).quorum = None);
        assert_eq!(no_rule, Err("a ballot on what needs no votes"));
    }

    /// What happens to ballots, at a time after the last.
    #[derive(Clone, Debug)]
    enum Event {
        Open(usize),
        Cast(usize, usize, Vote),
        Withdraw(usize),
        Close,
        /// Those of the one hive are read back.
        Restart,
    }

    fn event() -> impl Strategy<Value = (Event, u64)> {
        let votes = vec![Vote::Yes, Vote::Yes, Vote::No, Vote::Abstain, Vote::Veto];
        let event = prop_oneof![
            3 => (0usize..3).prop_map(Event::Open),
            8 => (0usize..3, 0usize..3, prop::sample::select(votes))
                .prop_map(|(id, member, vote)| Event::Cast(id, member, vote)),
            1 => (0usize..3).prop_map(Event::Withdraw),
            2 => Just(Event::Close),
            2 => Just(Event::Restart),
        ];
        (event, 0u64..2)
    }

    proptest! {
        #[test]
        fn ballots_that_are_read_back_go_on_as_they_were(
            events in prop::collection::vec(event(), 1..60),
            proposals in prop::collection::vec(any_proposal(), 3),
            damage in prop::collection::vec(damage(), 16),
        ) {
            let rule = |at: usize| match at {
                0 => majority_of_three().veto(["c"]).unwrap(),
                1 => majority_of_three().votes_may_change(),
                _ => majority_of_three(),
            };
            let to_vote_on = |(at, proposal): (usize, Proposal)| {
                let id = ["a", "b", "c"][at].into();
                Arc::new(Proposal { id, ..proposal }.with_quorum(rule(at)))
            };
            let proposals: Vec<_> = proposals.into_iter().enumerate().map(to_vote_on).collect();
            let (mut on, mut again) = (Ballots::default(), Ballots::default());
            let mut now = 0;
            for (event, later) in events {
                now += later;
                let attempt = |id: usize| (proposals[id].id.clone(), proposals[id].attempt);
                match event {
                    Event::Open(id) => {
                        let proposal = &proposals[id];
                        prop_assert_eq!(on.open(proposal, now), again.open(proposal, now));
                    }
                    Event::Cast(id, member, vote) => {
                        let (proposal, attempt) = attempt(id);
                        let member = ["a", "b", "c"][member].into();
                        let vote = CastVote { proposal, attempt, member, vote };
                        prop_assert_eq!(on.cast(&vote, now), again.cast(&vote, now));
                    }
                    Event::Withdraw(id) => {
                        prop_assert_eq!(on.withdraw(&attempt(id)), again.withdraw(&attempt(id)));
                    }
                    Event::Close => prop_assert_eq!(on.close(now), again.close(now)),
                    Event::Restart => {
                        let bytes = encoded(&again);
                        again = decoded(&bytes).unwrap();
                        for damage in &damage {
                            are_read_strictly::<Ballots>(&damage.to(&bytes))?;
                        }
                    }
                }
                prop_assert!(on.iter().eq(again.iter()));
                prop_assert_eq!(on.next_closing(), again.next_closing());
                prop_assert_eq!(encoded(&on), encoded(&again));
            }
        }
    }
}
