//! How many of whom must agree before a proposal is judged at all, counted exactly.
//!
//! The votes are an input of the round and are recorded with it, so that who recomputes a round counts them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::digest::{Digest, Feed, Sink};
use crate::id::AgentId;

/// How much of the roll has to say yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Threshold {
    /// More than half of the roll.
    Majority,
    /// All of the roll.
    Unanimous,
    /// At least `of` in `among` of the roll, such as 2 in 3.
    Fraction {
        /// How many; at least 1.
        of: u32,
        /// Of how many; at least `of`.
        among: u32,
    },
}

/// Who has to agree with a proposal, and how many of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumRule {
    roll: BTreeSet<AgentId>,
    threshold: Threshold,
}

impl QuorumRule {
    /// A rule over a roll, which is fixed with it.
    ///
    /// # Errors
    /// [`QuorumError`] for an empty roll, or a fraction that is 0 or more than the whole.
    pub fn new(
        roll: impl IntoIterator<Item = impl Into<AgentId>>,
        threshold: Threshold,
    ) -> Result<Self, QuorumError> {
        let roll: BTreeSet<AgentId> = roll.into_iter().map(Into::into).collect();
        if roll.is_empty() {
            return Err(QuorumError::EmptyRoll);
        }
        match threshold {
            Threshold::Fraction { of, among } if of == 0 || of > among => {
                Err(QuorumError::Fraction { of, among })
            }
            _ => Ok(QuorumRule { roll, threshold }),
        }
    }

    /// Who may vote.
    pub fn roll(&self) -> &BTreeSet<AgentId> {
        &self.roll
    }

    /// How many must say yes.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// How many members must say yes: the least number that reaches the threshold.
    pub fn needed(&self) -> usize {
        let all = self.roll.len() as u128;
        let needed = match self.threshold {
            Threshold::Majority => all / 2 + 1,
            Threshold::Unanimous => all,
            Threshold::Fraction { of, among } => (all * u128::from(of)).div_ceil(u128::from(among)),
        };
        needed as usize
    }

    /// Counts the votes of members. Those of others count nothing, and members that have not voted count as not having said yes.
    pub fn count(&self, ballot: &Ballot) -> Tally {
        let cast = |vote| {
            let of_member =
                |(agent, cast): &(&AgentId, &Vote)| **cast == vote && self.roll.contains(*agent);
            ballot.votes.iter().filter(of_member).count()
        };
        Tally {
            yes: cast(Vote::Yes),
            no: cast(Vote::No),
            needed: self.needed(),
            of: self.roll.len(),
        }
    }
}

/// What one member says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Vote {
    /// For the proposal.
    Yes,
    /// Against it.
    No,
    /// Neither.
    Abstain,
}

/// The votes on one proposal, bound to exactly its content and base.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// The [digest](crate::Proposal::digest) of the proposal that was voted on.
    pub content: Digest,
    /// One vote a member.
    pub votes: BTreeMap<AgentId, Vote>,
}

/// How a vote went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tally {
    /// Members who said yes.
    pub yes: usize,
    /// Members who said no.
    pub no: usize,
    /// How many had to say yes.
    pub needed: usize,
    /// How many members there are.
    pub of: usize,
}

impl Tally {
    /// Whether enough have said yes.
    pub fn is_passed(&self) -> bool {
        self.yes >= self.needed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { yes, no, needed, of } = self;
        write!(f, "{yes} of {of} said yes and {no} no, {needed} were needed")
    }
}

/// Why a rule is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuorumError {
    /// Nobody could vote.
    EmptyRoll,
    /// The fraction is 0 or more than the whole.
    Fraction {
        /// How many.
        of: u32,
        /// Of how many.
        among: u32,
    },
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumError::EmptyRoll => f.write_str("the roll is empty: name at least one member"),
            QuorumError::Fraction { of, among } => {
                write!(f, "{of} in {among} is no share of a roll: write 1 ≤ of ≤ among")
            }
        }
    }
}

impl std::error::Error for QuorumError {}

impl Feed for QuorumRule {
    fn feed(&self, sink: &mut Sink) {
        sink.number(self.roll.len() as u64);
        self.roll.iter().for_each(|member| member.feed(sink));
        match self.threshold {
            Threshold::Majority => sink.tag(1),
            Threshold::Unanimous => sink.tag(2),
            Threshold::Fraction { of, among } => {
                sink.tag(3).number(u64::from(of)).number(u64::from(among))
            }
        };
    }
}

impl Feed for Ballot {
    fn feed(&self, sink: &mut Sink) {
        self.content.feed(sink);
        sink.number(self.votes.len() as u64);
        for (member, vote) in &self.votes {
            member.feed(sink);
            sink.tag(match vote {
                Vote::Yes => 1,
                Vote::No => 2,
                Vote::Abstain => 3,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(members: usize, threshold: Threshold) -> QuorumRule {
        QuorumRule::new((0..members).map(|member| format!("m{member}")), threshold).unwrap()
    }

    #[test]
    fn the_needed_number_is_exact() {
        for (members, majority, two_thirds) in
            [(1, 1, 1), (2, 2, 2), (3, 2, 2), (4, 3, 3), (6, 4, 4), (7, 4, 5), (100, 51, 67)]
        {
            assert_eq!(rule(members, Threshold::Majority).needed(), majority);
            let fraction = Threshold::Fraction { of: 2, among: 3 };
            assert_eq!(rule(members, fraction).needed(), two_thirds, "of {members}");
            assert_eq!(rule(members, Threshold::Unanimous).needed(), members);
        }
    }

    #[test]
    fn only_members_count_and_the_whole_roll_is_what_they_are_counted_of() {
        let rule = rule(3, Threshold::Majority);
        let vote = |agent: &str, vote| (AgentId::from(agent), vote);
        let votes = [vote("m0", Vote::Yes), vote("x", Vote::Yes), vote("y", Vote::Yes)];
        let mut ballot = Ballot { votes: votes.into(), ..Ballot::default() };
        assert!(!rule.count(&ballot).is_passed(), "one yes of three is no majority");
        ballot.votes.extend([vote("m1", Vote::Abstain), vote("m2", Vote::No)]);
        assert_eq!(rule.count(&ballot), Tally { yes: 1, no: 1, needed: 2, of: 3 });
        ballot.votes.insert("m1".into(), Vote::Yes);
        assert!(rule.count(&ballot).is_passed());
    }

    #[test]
    fn rules_that_nobody_or_nothing_could_fulfil_are_refused() {
        let none: [&str; 0] = [];
        assert_eq!(QuorumRule::new(none, Threshold::Majority), Err(QuorumError::EmptyRoll));
        for (of, among) in [(0, 3), (4, 3), (0, 0)] {
            let fraction = Threshold::Fraction { of, among };
            let error = QuorumRule::new(["a"], fraction).unwrap_err();
            assert_eq!(error, QuorumError::Fraction { of, among });
        }
    }
}
