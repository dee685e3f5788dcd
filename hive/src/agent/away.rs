//! Agents whose runs take place elsewhere, such as in another process: nobody's thread waits for them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use queenright_primitives::schedule::Class;

use super::{Agent, AgentError, Context, Next, View};
use crate::consensus::{OpenBallot, Vote};
use crate::outcome::Outcome;
use crate::value::Value;

/// What comes back some time. Dropping it ends what it waits for.
pub(crate) type Going<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// An agent that is handed over for as long as it does something.
pub(crate) trait Away: Send {
    fn class(&self) -> Class;

    fn run(self: Box<Self>, view: View) -> Going<Ran>;

    fn outcome(self: Box<Self>, outcome: Outcome) -> Going<Box<dyn Away>>;

    fn message(self: Box<Self>, message: Value, context: Context) -> Going<Answered>;

    fn vote(self: Box<Self>, ballot: OpenBallot, context: Context) -> Going<Voted>;

    /// Lets it end in its own way. Dropping it ends it at once.
    fn stop(self: Box<Self>) -> Going<()>;

    /// Whether it has ended by itself while it had nothing to do; an error says what went wrong. Wakes who asks.
    fn has_ended(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), String>> {
        let _ = context;
        Poll::Pending
    }
}

/// An agent that is back from a run.
pub(crate) type Ran = (Box<dyn Away>, View, Result<Next, AgentError>);
/// One that has read a message.
pub(crate) type Answered = (Box<dyn Away>, Result<Value, AgentError>);
/// One that was asked for its vote.
pub(crate) type Voted = (Box<dyn Away>, Result<Option<Vote>, AgentError>);

/// An agent as it is made.
pub(crate) enum Made {
    Here(Box<dyn Agent>),
    Away(Box<dyn Away>),
    /// It is not ready yet.
    #[cfg(feature = "process")]
    Coming(Going<Result<Box<dyn Away>, AgentError>>),
}

/// An agent that lives.
pub(crate) enum Kind {
    /// It runs on the thread that has its turn.
    Here(Box<dyn Agent>),
    Away(Box<dyn Away>),
}
