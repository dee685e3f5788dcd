//! Errors of the hive's own calls. What becomes of a proposal is an [`Outcome`], not an error.

use std::fmt;

use crate::agent::AgentError;
use crate::id::AgentId;
use crate::key::Key;
use crate::log::LogError;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// Why a call on a hive failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiveError {
    /// A thread could not be started.
    Start(String),
    /// An agent of this name exists, or the name is reserved.
    NameTaken(AgentId),
    /// The agents are running now, or this is the queen's own thread.
    Busy,
    /// The queen has stopped.
    Closed,
    /// A value of the base state is nested deeper than [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH).
    TooDeep(Key),
    /// Its log cannot be read.
    Log(LogError),
}

impl fmt::Display for HiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HiveError::Start(why) => write!(f, "the hive could not start a thread: {why}"),
            HiveError::NameTaken(name) => {
                write!(f, "an agent named `{name}` exists, or the name is reserved: choose another")
            }
            HiveError::Busy => f.write_str(
                "the agents are running, or this is the queen's own thread: wait until they have settled, \
                 or call from another thread",
            ),
            HiveError::TooDeep(key) => write!(f, "{key}: {TOO_DEEP}"),
            HiveError::Closed => f.write_str("the queen has stopped, so nothing can be committed"),
            HiveError::Log(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HiveError {}

impl From<LogError> for HiveError {
    fn from(error: LogError) -> Self {
        HiveError::Log(error)
    }
}

/// A proposal that was not taken, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProposeError<P = Box<Proposal>> {
    /// The queue is full.
    Full(P),
    /// The queen has stopped.
    Closed(P),
    /// A value is nested deeper than [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH).
    TooDeep(P),
    /// An id begins with `@`, as those do that a hive gives to transactions and to the runs of its agents.
    Reserved(P),
}

/// What is said of values that are nested too deeply.
pub(crate) const TOO_DEEP: &str = "the value is nested more than 64 levels deep: flatten it";

impl ProposeError {
    /// The proposal.
    pub fn into_proposal(self) -> Proposal {
        *self.into_inner()
    }
}

impl<P> ProposeError<P> {
    /// What was proposed.
    pub fn into_inner(self) -> P {
        match self {
            ProposeError::Full(given)
            | ProposeError::Closed(given)
            | ProposeError::TooDeep(given)
            | ProposeError::Reserved(given) => given,
        }
    }
}

impl<P> fmt::Display for ProposeError<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ProposeError::Full(_) => "the queen's queue is full: wait with `propose`, or try later",
            ProposeError::Closed(_) => "the queen has stopped, so nothing can be committed",
            ProposeError::TooDeep(_) => TOO_DEEP,
            ProposeError::Reserved(_) => {
                "ids that begin with `@` are the hive's own: give the proposal another"
            }
        })
    }
}

impl<P: fmt::Debug> std::error::Error for ProposeError<P> {}

/// Why a transaction was not committed.
#[derive(Debug)]
#[non_exhaustive]
pub enum TransactError {
    /// The closure returned an error.
    Aborted(AgentError),
    /// It was refused in a way that no retry can mend.
    Refused(Box<Outcome>),
    /// Every attempt lost.
    Exhausted {
        /// How many were made.
        attempts: u32,
        /// What the last one was answered.
        last: Box<Outcome>,
    },
    /// The queen's queue is full, and the hive was told not to wait.
    Full,
    /// This is the queen's own thread, where the wakers of tickets run: call from another one.
    Busy,
    /// The queen has stopped.
    Closed,
}

impl From<ProposeError> for TransactError {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::TooDeep(_) => {
                let reason = TOO_DEEP.to_owned();
                TransactError::Refused(Box::new(Outcome::Invalid { reason }))
            }
            ProposeError::Full(_) => TransactError::Full,
            ProposeError::Closed(_) | ProposeError::Reserved(_) => TransactError::Closed,
        }
    }
}

impl fmt::Display for TransactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactError::Aborted(error) => error.fmt(f),
            TransactError::Refused(outcome) => write!(f, "refused: {outcome}"),
            TransactError::Exhausted { attempts, last } => {
                write!(
                    f,
                    "lost {attempts} times, last: {last}; try again when there is less contention"
                )
            }
            TransactError::Full => ProposeError::Full(()).fmt(f),
            TransactError::Busy => HiveError::Busy.fmt(f),
            TransactError::Closed => HiveError::Closed.fmt(f),
        }
    }
}

impl std::error::Error for TransactError {}
