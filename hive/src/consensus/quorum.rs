//! How many of whom must agree before a proposal is judged at all, counted exactly.
//!
//! The roll is fixed with the rule, before anybody votes, and shares are shares of the whole roll: who does not vote, abstains or is
//! unknown never counts as a yes, and never makes the roll smaller. Everything here is a pure function of the votes and of
//! whether there is time left, so that who recomputes a round counts them again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::encoding::Digest;
use crate::id::{AgentId, ProposalId};

/// How much of the roll has to say yes. With weights, shares are shares of the weight.
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
    /// Members of at least this weight together.
    Weight(u64),
}

/// What becomes of a ballot in which exactly half of the roll said yes, where more than half would have been a majority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tie {
    /// It has failed.
    #[default]
    Fails,
    /// It has passed.
    Passes,
    /// It has passed if this member is of those who said yes.
    Chair(AgentId),
}

/// Who has to agree with a proposal, how many of them, and until when.
///
/// ```
/// use queenright::consensus::{QuorumRule, Threshold};
///
/// let rule = QuorumRule::new(["ada", "bob", "cyd"], Threshold::Fraction { of: 2, among: 3 })?
///     .within(60_000)
///     .veto(["ada"])?;
/// assert_eq!(rule.needed(), 2);
/// # Ok::<(), queenright::consensus::QuorumError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QuorumRule {
    /// Each member's weight.
    roll: BTreeMap<AgentId, u32>,
    threshold: Threshold,
    within: u64,
    tie: Tie,
    veto: BTreeSet<AgentId>,
    may_change_vote: bool,
}

impl QuorumRule {
    /// How long a ballot is open if nothing else is said, by the hive's clock.
    pub const WITHIN: u64 = 30_000;

    /// A rule over a roll in which each member counts 1.
    ///
    /// # Errors
    /// [`QuorumError`] for an empty roll, or a threshold that nothing or nobody can reach.
    pub fn new(
        roll: impl IntoIterator<Item = impl Into<AgentId>>,
        threshold: Threshold,
    ) -> Result<Self, QuorumError> {
        Self::weighted(roll.into_iter().map(|member| (member, 1)), threshold)
    }

    /// A rule over a roll in which each member has a weight. Of two weights for one member the later counts.
    ///
    /// # Errors
    /// As [`new`](Self::new), and for a weight of 0.
    pub fn weighted(
        roll: impl IntoIterator<Item = (impl Into<AgentId>, u32)>,
        threshold: Threshold,
    ) -> Result<Self, QuorumError> {
        let roll: BTreeMap<AgentId, u32> =
            roll.into_iter().map(|(member, weight)| (member.into(), weight)).collect();
        if roll.is_empty() {
            return Err(QuorumError::EmptyRoll);
        }
        if let Some((member, _)) = roll.iter().find(|(_, weight)| **weight == 0) {
            return Err(QuorumError::Weightless(member.clone()));
        }
        let all = roll.values().map(|weight| u64::from(*weight)).sum();
        match threshold {
            Threshold::Fraction { of, among } if of == 0 || of > among => {
                return Err(QuorumError::Fraction { of, among });
            }
            Threshold::Weight(weight) if weight == 0 || weight > all => {
                return Err(QuorumError::Weight { weight, all });
            }
            _ => {}
        }
        Ok(QuorumRule {
            roll,
            threshold,
            within: Self::WITHIN,
            tie: Tie::Fails,
            veto: BTreeSet::new(),
            may_change_vote: false,
        })
    }

    /// How long a ballot is open, by the hive's clock. Who has not voted by then has not said yes. Default: [`WITHIN`](Self::WITHIN).
    #[must_use]
    pub fn within(mut self, time: u64) -> Self {
        self.within = time;
        self
    }

    /// What becomes of a tie. Default: it fails.
    ///
    /// # Errors
    /// [`QuorumError`] unless the threshold is a majority, which alone knows ties, or if the chair is no member.
    pub fn tie(mut self, tie: Tie) -> Result<Self, QuorumError> {
        match &tie {
            Tie::Chair(member) if !self.roll.contains_key(member) => {
                return Err(QuorumError::NotOfTheRoll(member.clone()));
            }
            Tie::Passes | Tie::Chair(_) if self.threshold != Threshold::Majority => {
                return Err(QuorumError::NoTies(self.threshold));
            }
            _ => {}
        }
        self.tie = tie;
        Ok(self)
    }

    /// Who may say veto, which ends a ballot. None is closed early as passed before all of them have voted. Default: nobody.
    ///
    /// # Errors
    /// [`QuorumError::NotOfTheRoll`] for the first who is no member.
    pub fn veto(
        mut self,
        holders: impl IntoIterator<Item = impl Into<AgentId>>,
    ) -> Result<Self, QuorumError> {
        let holders: BTreeSet<AgentId> = holders.into_iter().map(Into::into).collect();
        if let Some(stranger) = holders.iter().find(|member| !self.roll.contains_key(*member)) {
            return Err(QuorumError::NotOfTheRoll(stranger.clone()));
        }
        self.veto = holders;
        Ok(self)
    }

    /// Lets members change their votes as long as the ballot is open; nothing is decided before its time then. Default: one vote each,
    /// for good.
    #[must_use]
    pub fn votes_may_change(mut self) -> Self {
        self.may_change_vote = true;
        self
    }

    /// Who may vote, each with a weight.
    pub fn roll(&self) -> &BTreeMap<AgentId, u32> {
        &self.roll
    }

    /// How many must say yes.
    pub fn threshold(&self) -> Threshold {
        self.threshold
    }

    /// How long a ballot is open.
    pub fn time(&self) -> u64 {
        self.within
    }

    /// Who may say veto.
    pub fn veto_holders(&self) -> &BTreeSet<AgentId> {
        &self.veto
    }

    /// The weight of the whole roll.
    pub fn all(&self) -> u64 {
        self.roll.values().map(|weight| u64::from(*weight)).sum()
    }

    /// The least weight that reaches the threshold; a tie is less.
    pub fn needed(&self) -> u64 {
        let all = self.all();
        match self.threshold {
            Threshold::Majority => all / 2 + 1,
            Threshold::Unanimous => all,
            Threshold::Fraction { of, among } => {
                // At most `all`, as `of` is at most `among`.
                (u128::from(all) * u128::from(of)).div_ceil(u128::from(among)) as u64
            }
            Threshold::Weight(weight) => weight,
        }
    }

    /// Counts the votes of members. Those of others count nothing, and so does a veto of somebody who has none.
    pub fn count(&self, ballot: &Ballot) -> Tally {
        let mut tally = self.before_votes();
        ballot.votes.iter().for_each(|(member, vote)| self.add(&mut tally, member, *vote));
        tally
    }

    /// How a ballot stands before anybody has voted.
    pub(crate) fn before_votes(&self) -> Tally {
        Tally { needed: self.needed(), of: self.all(), ..Tally::default() }
    }

    /// Adds the first vote of a member.
    pub(crate) fn add(&self, tally: &mut Tally, member: &AgentId, vote: Vote) {
        let Some(weight) = self.roll.get(member) else { return };
        let weight = u64::from(*weight);
        match vote {
            Vote::Yes => tally.yes += weight,
            Vote::No => tally.no += weight,
            Vote::Veto => {
                tally.no += weight;
                tally.vetoed |= self.veto.contains(member);
            }
            Vote::Abstain => tally.abstained += weight,
        }
    }

    /// Whether a ballot has passed if these are all votes that ever come.
    pub fn is_passed(&self, ballot: &Ballot) -> bool {
        let tally = self.count(ballot);
        !tally.vetoed && self.is_enough(tally.yes, |chair| ballot.says(chair, Vote::Yes))
    }

    fn is_enough(&self, yes: u64, has_said_yes: impl Fn(&AgentId) -> bool) -> bool {
        yes >= self.needed()
            || self.threshold == Threshold::Majority
                && yes.checked_mul(2) == Some(self.all())
                && match &self.tie {
                    Tie::Fails => false,
                    Tie::Passes => true,
                    Tie::Chair(chair) => has_said_yes(chair),
                }
    }

    /// Whether a ballot has passed or failed, as soon as no vote can change that; `None` while one can. Once `is_over`, none can.
    pub fn decision(&self, ballot: &Ballot, is_over: bool) -> Option<bool> {
        if is_over {
            return Some(self.is_passed(ballot));
        }
        if self.may_change_vote {
            return None;
        }
        let tally = self.count(ballot);
        if tally.vetoed {
            return Some(false);
        }
        // More votes for it never make it fail, and fewer never make it pass, so that these two tell of all others.
        let may_yet = |member: &AgentId| !ballot.votes.contains_key(member);
        let outstanding = self.roll.iter().filter(|(member, _)| may_yet(member));
        let most = tally.yes + outstanding.map(|(_, weight)| u64::from(*weight)).sum::<u64>();
        let could = |chair: &AgentId| may_yet(chair) || ballot.says(chair, Vote::Yes);
        if !self.is_enough(most, could) {
            return Some(false);
        }
        let has_voted = |holder: &AgentId| ballot.votes.contains_key(holder);
        (self.is_passed(ballot) && self.veto.iter().all(has_voted)).then_some(true)
    }

    /// Whether this vote may be cast, beside those that were.
    pub(crate) fn admits(
        &self,
        ballot: &Ballot,
        member: &AgentId,
        vote: Vote,
    ) -> Result<(), VoteError> {
        if !self.roll.contains_key(member) {
            return Err(VoteError::NotOfTheRoll);
        }
        if vote == Vote::Veto && !self.veto.contains(member) {
            return Err(VoteError::NoVeto);
        }
        match ballot.votes.get(member) {
            Some(cast) if !self.may_change_vote => Err(VoteError::HasVoted { cast: *cast }),
            _ => Ok(()),
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
    /// Against it, whatever the others say. Only of those whom the rule gives a [veto](QuorumRule::veto).
    Veto,
}

impl Vote {
    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Vote::Yes => "yes",
            Vote::No => "no",
            Vote::Abstain => "abstain",
            Vote::Veto => "veto",
        }
    }
}

impl fmt::Display for Vote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The votes on one proposal, bound to exactly its content and base. All of them are kept, dissent too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ballot {
    /// The [digest](crate::Proposal::digest) of the proposal that was voted on.
    pub content: Digest,
    /// One vote a member.
    pub votes: BTreeMap<AgentId, Vote>,
}

impl Ballot {
    fn says(&self, member: &AgentId, vote: Vote) -> bool {
        self.votes.get(member) == Some(&vote)
    }
}

/// A vote, and what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastVote {
    /// The proposal.
    pub proposal: ProposalId,
    /// Which attempt at it.
    pub attempt: u32,
    /// Who votes.
    pub member: AgentId,
    /// What they say.
    pub vote: Vote,
}

impl CastVote {
    /// A vote on the first attempt of a proposal.
    pub fn on(proposal: impl Into<ProposalId>, member: impl Into<AgentId>, vote: Vote) -> Self {
        CastVote { proposal: proposal.into(), attempt: 0, member: member.into(), vote }
    }
}

/// How a vote went, or goes, by weight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Tally {
    /// Members who said yes.
    pub yes: u64,
    /// Members who said no, or veto.
    pub no: u64,
    /// Members who said neither.
    pub abstained: u64,
    /// Whether one who may has said veto.
    pub vetoed: bool,
    /// How many had to say yes.
    pub needed: u64,
    /// The whole roll.
    pub of: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { yes, no, abstained, vetoed, needed, of } = self;
        write!(f, "{yes} of {of} said yes and {no} no")?;
        if *abstained > 0 {
            write!(f, ", {abstained} abstained")?;
        }
        match vetoed {
            true => f.write_str(", and there was a veto"),
            false => write!(f, ", {needed} were needed"),
        }
    }
}

/// Why a vote does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VoteError {
    /// No ballot on that attempt at that proposal is open: none was, or it is decided, or its time is over.
    NotOpen,
    /// Who votes is not of the roll.
    NotOfTheRoll,
    /// The member has voted, and votes may not be changed.
    HasVoted {
        /// What they said.
        cast: Vote,
    },
    /// The rule gives this member no veto.
    NoVeto,
    /// The hive was shut down, or its queen has failed; it is not known whether the vote was counted.
    Closed,
    /// On the queen's own thread, where wakers run, nobody can wait for her.
    Busy,
}

impl fmt::Display for VoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VoteError::NotOpen => f.write_str(
                "no ballot on that attempt is open: see Hive::ballots for those that are",
            ),
            VoteError::NotOfTheRoll => f.write_str("who votes is not of the roll"),
            VoteError::HasVoted { cast } => {
                write!(f, "the member has said {cast} already, and votes may not be changed")
            }
            VoteError::NoVeto => f.write_str("the rule gives this member no veto: say no"),
            VoteError::Closed => f.write_str("the hive is shut down"),
            VoteError::Busy => f.write_str("votes cannot wait on the queen's own thread"),
        }
    }
}

impl std::error::Error for VoteError {}

/// Why a rule is none.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuorumError {
    /// Nobody could vote.
    EmptyRoll,
    /// A member whose vote would count nothing.
    Weightless(AgentId),
    /// The fraction is 0 or more than the whole.
    Fraction {
        /// How many.
        of: u32,
        /// Of how many.
        among: u32,
    },
    /// The weight is 0 or more than that of the whole roll.
    Weight {
        /// The weight.
        weight: u64,
        /// That of the roll.
        all: u64,
    },
    /// Chair or veto of somebody who has no vote.
    NotOfTheRoll(AgentId),
    /// What is to be done in a tie, where there is none.
    NoTies(Threshold),
}

impl fmt::Display for QuorumError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumError::EmptyRoll => f.write_str("the roll is empty: name at least one member"),
            QuorumError::Weightless(member) => {
                write!(f, "{member} has weight 0: leave it out, or give it at least 1")
            }
            QuorumError::Fraction { of, among } => {
                write!(f, "{of} in {among} is no share of a roll: write 1 ≤ of ≤ among")
            }
            QuorumError::Weight { weight, all } => {
                write!(
                    f,
                    "a weight of {weight} can not be reached, or always is: the roll has {all}"
                )
            }
            QuorumError::NotOfTheRoll(member) => write!(f, "{member} is not of the roll"),
            QuorumError::NoTies(_) => f.write_str("only a majority knows ties"),
        }
    }
}

impl std::error::Error for QuorumError {}

mod encoding;
#[cfg(test)]
mod tests;
