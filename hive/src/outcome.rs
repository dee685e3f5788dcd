//! What becomes of a proposal.

use std::fmt;

use queenright_primitives::Version;
use queenright_primitives::claim::FencingToken;

use crate::consensus::Tally;
use crate::id::{AgentId, ProposalId};
use crate::key::Key;
use crate::op::Refusal;
use crate::proposal::Precondition;
use crate::value::Value;

/// The one terminal answer to one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It is part of the state from `version` on, as number `order` in the round's serial order.
    Committed {
        /// The version that holds it.
        version: Version,
        /// Its place in the serial order of that version, from 0.
        order: u32,
    },
    /// It lost against another change. Run again on a newer snapshot.
    Conflict {
        /// Whom it lost to.
        with: Winner,
        /// Where. For a prefix that was read, the prefix.
        key: String,
        /// By which rule.
        rule: Rule,
    },
    /// A precondition did not hold.
    PreconditionFailed {
        /// Which.
        expected: Precondition,
        /// What the key held.
        found: Option<Value>,
    },
    /// It was computed from a version whose history is no longer kept. Run again on a newer snapshot.
    TooOld {
        /// The oldest version that is still judged.
        horizon: Version,
    },
    /// Its deadline had passed.
    Expired,
    /// It was taken back before it was judged, or the hive was shut down before its turn. Nothing of it was committed.
    Cancelled,
    /// Its agent may not write there.
    Forbidden {
        /// The first key it may not write.
        key: Key,
    },
    /// It comes from somebody who has been replaced, or does not know yet what the one before has done.
    StaleClaim {
        /// By what it is fenced out.
        fence: Fence,
    },
    /// Those whose agreement it needs did not give it.
    Rejected {
        /// How they voted.
        tally: Tally,
    },
    /// It is larger than the hive allows.
    LimitReached {
        /// Which limit, and by how much it was passed.
        what: String,
    },
    /// It contradicts itself, or an earlier proposal with its id and attempt.
    Invalid {
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The queen failed while she decided it, so it may be committed or not. Sending the same id again
    /// to a working hive tells.
    CommitUnknown,
}

impl Outcome {
    pub(crate) const COMMITTED: &'static str = "committed";

    /// Whether it was committed.
    pub fn is_committed(&self) -> bool {
        matches!(self, Outcome::Committed { .. })
    }

    /// Whether another attempt, computed from a newer snapshot, may succeed.
    pub fn may_retry(&self) -> bool {
        matches!(
            self,
            Outcome::Conflict { .. }
                | Outcome::PreconditionFailed { .. }
                | Outcome::TooOld { .. }
                | Outcome::StaleClaim { fence: Fence::Since { .. } }
        )
    }

    /// A short name of the outcome, for counting: `committed`, a rule's name, `invalid`, ….
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Committed { .. } => Outcome::COMMITTED,
            Outcome::Conflict { rule, .. } => rule.name(),
            Outcome::PreconditionFailed { .. } => "precondition",
            Outcome::TooOld { .. } => "too-old",
            Outcome::Expired => "expired",
            Outcome::Cancelled => "cancelled",
            Outcome::Forbidden { .. } => "forbidden",
            Outcome::StaleClaim { .. } => "stale-claim",
            Outcome::Rejected { .. } => "rejected",
            Outcome::LimitReached { .. } => "limit",
            Outcome::Invalid { .. } => "invalid",
            Outcome::CommitUnknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Committed { version, order } => {
                write!(f, "committed in version {version} as number {order}")
            }
            Outcome::Conflict { with, key, rule } => {
                write!(f, "conflict on {key} with {with}: {rule}")
            }
            Outcome::PreconditionFailed { expected, found } => {
                write!(f, "precondition failed: {expected}, but ")?;
                match found {
                    Some(found) => write!(f, "it is {found}"),
                    None => f.write_str("it is absent"),
                }
            }
            Outcome::TooOld { horizon } => {
                write!(f, "computed from a version before {horizon}, whose history is gone")
            }
            Outcome::Expired => f.write_str("its deadline has passed"),
            Outcome::Cancelled => f.write_str("cancelled before it was judged"),
            Outcome::Forbidden { key } => write!(f, "forbidden: its agent may not write {key}"),
            Outcome::StaleClaim { fence } => write!(f, "stale: {fence}"),
            Outcome::Rejected { tally } => write!(f, "rejected: {tally}"),
            Outcome::LimitReached { what } => write!(f, "too large: {what}"),
            Outcome::Invalid { reason } => write!(f, "invalid: {reason}"),
            Outcome::CommitUnknown => {
                f.write_str("the queen failed: whether it was committed is not known")
            }
        }
    }
}

/// By what a proposal of somebody who was replaced is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fence {
    /// The token it shows is not, or no longer, that of the current claim.
    Token {
        /// What it claims.
        key: Key,
        /// The current token, if anybody holds a claim.
        current: Option<FencingToken>,
    },
    /// The claim is current, but the proposal was computed from a version in which those before may still have acted.
    Since {
        /// What it claims.
        key: Key,
        /// The version it has to know.
        since: Version,
    },
    /// This life of its agent was ended.
    Incarnation {
        /// The lowest that may still propose.
        current: u64,
    },
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fence::Token { key, current: Some(token) } => {
                write!(f, "the claim on {key} has passed on, its token is {token}")
            }
            Fence::Token { key, current: None } => write!(f, "nobody holds the claim on {key}"),
            Fence::Since { key, since } => {
                write!(
                    f,
                    "the claim on {key} holds from version {since}: compute from that or later"
                )
            }
            Fence::Incarnation { current } => {
                write!(f, "its agent was replaced, and is in life {current} now")
            }
        }
    }
}

/// Whom a proposal lost to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Winner {
    /// A proposal that was accepted before it in the same round.
    Accepted {
        /// Its agent.
        agent: AgentId,
        /// Its id.
        id: ProposalId,
    },
    /// What an earlier version holds.
    Stored {
        /// Who wrote it.
        agent: AgentId,
        /// When.
        version: Version,
    },
}

impl Winner {
    /// The agent that won.
    pub fn agent(&self) -> &AgentId {
        match self {
            Winner::Accepted { agent, .. } | Winner::Stored { agent, .. } => agent,
        }
    }
}

impl fmt::Display for Winner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Winner::Accepted { agent, id } => write!(f, "{agent} ({id})"),
            Winner::Stored { agent, version } => write!(f, "{agent} (version {version})"),
        }
    }
}

/// The rule by which a proposal lost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rule {
    /// Something it read changed after its base.
    StaleRead,
    /// Both write the key, and their operations do not go together.
    WriteWrite,
    /// It reads what accepted ones write and writes what accepted ones read.
    ReadWrite,
    /// Its operation is refused together with the accepted ones, or on the stored value.
    Refused(Refusal),
}

impl Rule {
    /// A short name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Rule::StaleRead => "stale-read",
            Rule::WriteWrite => "write-write",
            Rule::ReadWrite => "read-write",
            Rule::Refused(Refusal::Disagree) => "disagree",
            Rule::Refused(Refusal::Empty) => "empty",
            Rule::Refused(Refusal::Bound(_)) => "bound",
            Rule::Refused(_) => "operator",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::StaleRead => f.write_str("what it read has changed since"),
            Rule::WriteWrite => f.write_str("both write it, and the operations do not go together"),
            Rule::ReadWrite => {
                f.write_str("each reads what the other writes, so neither can come first")
            }
            Rule::Refused(refusal) => refusal.fmt(f),
        }
    }
}
