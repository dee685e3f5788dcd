//! Recomputing rounds from their records.

use std::collections::BTreeMap;
use std::fmt;

use queenright_primitives::Version;

use super::ballots::{Attempt, Ballots};
use super::quorum::Ballot;
use super::round::{RULES, apply, decide};
use crate::encoding::Digest;
use crate::log::Record;
use crate::state::State;

/// Decides every recorded round again, from `base` on, and returns the last state. Votes are counted again as well: if `base` is
/// the very first state, no ballot may be decided in another way than by the votes that are recorded.
///
/// # Errors
/// The first [`Divergence`]: a record that does not follow from the one before, or whose verdicts differ.
pub fn replay<'r>(
    base: State,
    records: impl IntoIterator<Item = &'r Record>,
) -> Result<State, Divergence> {
    let mut replay = Replay::from(base);
    records.into_iter().try_for_each(|record| replay.follow(record))?;
    Ok(replay.state)
}

/// A [`replay()`] round by round, for more records than should be in memory at a time.
pub struct Replay {
    state: State,
    /// The digest of the record before, if there was one.
    head: Option<Digest>,
    votes: Votes,
}

impl From<State> for Replay {
    fn from(base: State) -> Self {
        let votes = Votes { knows_all: base.version() == Version(0), ..Votes::default() };
        Replay { state: base, head: None, votes }
    }
}

impl Replay {
    /// The state so far.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Decides the next round again.
    ///
    /// # Errors
    /// A [`Divergence`], after which the state is that of the round before.
    pub fn follow(&mut self, record: &Record) -> Result<(), Divergence> {
        let version = record.input.round;
        let diverges = |what| Err(Divergence { version, what });
        let follows = self.head.is_none_or(|head| head == record.previous);
        if !follows
            || version != self.state.version().next()
            || record.digest != record.computed_digest()
        {
            return diverges("the record does not follow the one before it");
        }
        if record.input.rules != RULES {
            return diverges("it was judged by other rules than those of this version of the code");
        }
        if !self.votes.lead_to(record) {
            return diverges("the votes do not lead to the ballots that were decided");
        }
        let verdicts = decide(&self.state, &record.batch, &record.input);
        if verdicts != record.verdicts {
            return diverges("the verdicts differ from the recorded ones");
        }
        self.state = apply(&self.state, &record.batch, &record.input, &verdicts);
        self.head = Some(record.digest);
        Ok(())
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("state", &self.state).finish_non_exhaustive()
    }
}

/// The votes of the rounds so far.
#[derive(Default)]
struct Votes {
    open: Ballots,
    /// Decided before, on proposals that are judged once more.
    decided: BTreeMap<Attempt, Ballot>,
    /// Whether no ballot was opened before the first of the records.
    knows_all: bool,
}

impl Votes {
    /// Whether the ballots of a round are those that its votes, and those before, have decided.
    fn lead_to(&mut self, record: &Record) -> bool {
        let now = record.input.now;
        let are_new = record.opened.iter().all(|proposal| self.open.open(proposal, now));
        let counts = |vote| self.open.cast(vote, now).is_ok();
        let are_counted = record.votes.iter().map(counts).fold(true, |all, counts| all & counts);
        let withdrawn: Vec<_> =
            record.input.cancelled.iter().filter_map(|name| self.open.withdraw(name)).collect();
        let closed = withdrawn.into_iter().chain(self.open.close(now));
        self.decided
            .extend(closed.map(|it| ((it.proposal.id.clone(), it.proposal.attempt), it.ballot)));
        let recorded = &record.input.ballots;
        let is_led_to = match self.knows_all {
            true => are_counted && self.decided == *recorded,
            false => self.decided.iter().all(|(name, ballot)| recorded.get(name) == Some(ballot)),
        };
        self.decided = record.passed();
        are_new && is_led_to
    }
}

/// A record that a replay does not confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The round.
    pub version: Version,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}: {}", self.version, self.what)
    }
}

impl std::error::Error for Divergence {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{CastVote, QuorumRule, Threshold, Vote};
    use crate::{Hive, Op, Outcome, Proposal};

    /// Each record is signed again after the change, so that only the votes tell.
    fn forged(history: &[Record], change: impl Fn(&mut Record)) -> Result<State, Divergence> {
        let mut records = history.to_vec();
        let mut head = Default::default();
        for record in &mut records {
            change(record);
            record.previous = head;
            record.digest = record.computed_digest();
            head = record.digest;
        }
        replay(State::base([]), &records)
    }

    #[test]
    fn votes_that_were_not_cast_are_found() {
        let hive = Hive::builder().build().unwrap();
        let propose = |id: &str| {
            let rule = QuorumRule::new(["ada", "bob", "cyd"], Threshold::Majority).unwrap();
            let proposal = Proposal::on(&hive.snapshot(), "ada", id).write(id, Op::Set(1.into()));
            hive.propose(proposal.unwrap().with_quorum(rule)).unwrap()
        };
        let (ticket, other) = (propose("p"), propose("q"));
        for (id, member) in [("p", "ada"), ("p", "bob"), ("q", "cyd")] {
            hive.vote(CastVote::on(id, member, Vote::Yes)).unwrap();
        }
        assert!(ticket.wait().is_committed());
        other.cancel();
        hive.drain().unwrap();
        assert_eq!(other.wait(), Outcome::Cancelled);
        let history: Vec<Record> = hive.history().iter().map(|it| (**it).clone()).collect();

        assert!(forged(&history, |_| ()).is_ok());
        let votes = Err("the votes do not lead to the ballots that were decided");
        let told = |change: &dyn Fn(&mut Record)| {
            forged(&history, change).map(drop).map_err(|divergence| divergence.what)
        };
        assert_eq!(told(&|record| record.votes.clear()), votes, "nobody has voted");
        assert_eq!(told(&|record| record.opened.clear()), votes, "on nothing");
        assert_eq!(told(&|it| it.votes.extend(it.votes.clone())), votes, "each has voted twice");
        let yes = |ballot: &mut Ballot| ballot.votes.extend([("cyd".into(), Vote::Yes)]);
        assert_eq!(
            told(&|it| it.input.ballots.values_mut().for_each(yes)),
            votes,
            "not in the records"
        );
        let later = |record: &mut Record| record.input.now += 1_000_000 * record.input.round.0;
        assert_eq!(told(&later), votes, "it was over by then");
    }
}
