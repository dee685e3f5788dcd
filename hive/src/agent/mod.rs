//! Agents: whoever reads a snapshot and proposes changes.

mod asynchronous;
mod away;
#[cfg(feature = "packs")]
mod catch_up;
mod cell;
mod context;
mod keeper;
mod life;
mod mailbox;
#[cfg(feature = "process")]
mod process;
mod reference;
mod runtime;
mod settle;
mod spawn;
mod state;
mod supervise;
mod supervisor;
mod view;
mod watchers;

use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use queenright_primitives::panics::quietly;
use queenright_primitives::schedule::Class;

pub use asynchronous::AsyncAgent;
pub(crate) use away::Going;
pub use context::Context;
pub use mailbox::Overflow;
#[cfg(feature = "process")]
pub use process::{PROTOCOL_VERSION, Program};
pub use reference::{AgentRef, AskError, TellError};
pub(crate) use runtime::{Links, Runtime};
pub(crate) use settle::Roster;
pub use settle::{Failure, Settled};
pub use spawn::Spawn;
pub use state::{AgentState, AgentStats};
pub use supervise::{Strategy, Supervision};
pub use supervisor::{AgentEvent, SpawnError, Supervisor};
pub(crate) use view::Intent;
pub use view::{View, ViewError};

use crate::consensus::{OpenBallot, Vote};
use crate::outcome::Outcome;
use crate::value::Value;

/// A worker that reads one snapshot and may propose one change.
///
/// The hive runs it on any of its threads. If its proposal loses, it is run again on the newer snapshot, and
/// [`Next`] says what happens after a run that was not in vain.
pub trait Agent: Send {
    /// Its name; unique in the hive.
    fn name(&self) -> &str;

    /// How urgent its proposals are.
    fn class(&self) -> Class {
        Class::Normal
    }

    /// Reads and writes through the view. What is written becomes one proposal: committed as a whole, or not at all.
    ///
    /// # Errors
    /// An error stops the agent; nothing of this run is proposed. A panic counts as an error.
    fn run(&mut self, view: &mut View) -> Result<Next, AgentError>;

    /// Tells what became of the proposal of the last run.
    fn outcome(&mut self, outcome: &Outcome) {
        let _ = outcome;
    }

    /// Reads a message, between two runs, and answers whoever asked. After that it is run again. Only of agents that were
    /// [spawned](Supervisor::spawn).
    ///
    /// # Errors
    /// An error is told to whoever asked, and changes nothing else. If nothing else is said, the agent takes no messages.
    fn message(&mut self, message: Value, context: &mut Context) -> Result<Value, AgentError> {
        let _ = (message, context);
        Err(AgentError::takes_no_messages())
    }

    /// Says how it votes on a proposal of whose [roll](crate::consensus::QuorumRule::roll) it is, once in each life as long as
    /// the ballot is open. `None` leaves it to others to [vote](crate::Hive::vote) in its name, or to nobody. Only of agents that were
    /// [spawned](Supervisor::spawn).
    ///
    /// # Errors
    /// An error stops the agent, as that of a run.
    fn vote(
        &mut self,
        ballot: &OpenBallot,
        context: &mut Context,
    ) -> Result<Option<Vote>, AgentError> {
        let _ = (ballot, context);
        Ok(None)
    }
}

/// So that agents of several kinds can be spawned together.
impl<A: Agent + ?Sized> Agent for Box<A> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn class(&self) -> Class {
        (**self).class()
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        (**self).run(view)
    }

    fn outcome(&mut self, outcome: &Outcome) {
        (**self).outcome(outcome);
    }

    fn message(&mut self, message: Value, context: &mut Context) -> Result<Value, AgentError> {
        (**self).message(message, context)
    }

    fn vote(
        &mut self,
        ballot: &OpenBallot,
        context: &mut Context,
    ) -> Result<Option<Vote>, AgentError> {
        (**self).vote(ballot, context)
    }
}

/// When an agent is run again, if its proposal did not lose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Never: its work is done.
    Done,
    /// When something that it read in this run (or peeked at) is changed by another agent.
    Watch,
}

/// Why an agent stopped.
#[derive(Debug)]
pub struct AgentError(Box<dyn Error + Send + Sync>);

impl AgentError {
    /// An error that says `message`.
    pub fn new(message: impl Into<String>) -> Self {
        AgentError(message.into().into())
    }

    pub(crate) fn takes_no_messages() -> Self {
        AgentError::new("the agent takes no messages")
    }

    /// What went wrong.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for AgentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

// Not `Error` itself, so that any error turns into it by `?`.
impl<E: Error + Send + Sync + 'static> From<E> for AgentError {
    fn from(error: E) -> Self {
        AgentError(Box::new(error))
    }
}

/// An agent made of a closure.
///
/// ```
/// use queenright::{Hive, Next, Op, agent};
///
/// let hive = Hive::builder().build()?;
/// hive.spawn_all([1, 2, 3].map(|n| {
///     agent(format!("adder-{n}"), move |view| {
///         view.write("total", Op::add(n))?;
///         Ok(Next::Done)
///     })
/// }))?;
/// hive.run_until_settled(10)?;
/// assert_eq!(hive.snapshot().get("total"), Some(&6.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn agent<F>(name: impl Into<String>, run: F) -> FnAgent<F>
where
    F: FnMut(&mut View) -> Result<Next, AgentError> + Send,
{
    FnAgent { name: name.into(), class: Class::Normal, run }
}

/// What [`agent`] makes.
pub struct FnAgent<F> {
    name: String,
    class: Class,
    run: F,
}

impl<F> FnAgent<F> {
    /// Sets the priority class of its proposals.
    #[must_use]
    pub fn with_class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }
}

impl<F> Agent for FnAgent<F>
where
    F: FnMut(&mut View) -> Result<Next, AgentError> + Send,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> Class {
        self.class
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        (self.run)(view)
    }
}

impl<F> fmt::Debug for FnAgent<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnAgent").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Runs an agent's code; an error or a panic becomes a reason.
fn guarded<T>(run: impl FnOnce() -> Result<T, AgentError>) -> Result<T, String> {
    // After a panic the agent is never run again, so its half-changed insides are seen by nobody.
    match catch_unwind(AssertUnwindSafe(|| run().map_err(|error| error.to_string()))) {
        Ok(answer) => answer,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            quietly(|| drop(panic));
            Err(format!("panicked: {}", text.unwrap_or_else(|| "without a message".to_owned())))
        }
    }
}

/// Drops an agent, whose code that is.
fn drop_guarded<T>(left: T) {
    drop(guarded(|| {
        drop(left);
        Ok(())
    }));
}
