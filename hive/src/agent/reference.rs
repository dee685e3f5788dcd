//! What outsiders hold of an agent: to tell it things, to wait for it, to end it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use queenright_primitives::notify::{self, WaitError};

use super::cell::Cell;
use super::mailbox::{Letter, Posted};
use super::state::{AgentState, AgentStats};
use super::supervisor::{QUEENS_THREAD, SpawnError};
use crate::id::AgentId;
use crate::lock::lock;
use crate::observe;
use crate::value::Value;

/// An agent that was spawned. Dropping it ends nothing.
#[derive(Clone)]
pub struct AgentRef(pub(super) Arc<Cell>);

impl AgentRef {
    /// Its name.
    pub fn id(&self) -> &AgentId {
        &self.0.id
    }

    /// Where it stands.
    pub fn state(&self) -> AgentState {
        self.0.state()
    }

    /// What it has done so far.
    pub fn stats(&self) -> AgentStats {
        self.0.stats.read(lock(&self.0.mailbox).len())
    }

    /// Tells it something, which it [reads](super::Agent::message) between two runs.
    ///
    /// # Errors
    /// [`TellError`] gives the message back.
    pub fn tell(&self, message: impl Into<Value>) -> Result<(), TellError> {
        self.post(Letter { message: message.into(), reply: None })
    }

    /// Tells it something, and waits for its answer.
    ///
    /// # Errors
    /// [`AskError`] says why there is none. After a timeout the message may still be read.
    pub fn ask(&self, message: impl Into<Value>, timeout: Duration) -> Result<Value, AskError> {
        if self.0.runtime.upgrade().is_some_and(|runtime| runtime.is_queens_thread()) {
            return Err(AskError::Busy);
        }
        let (sender, mut receiver) = notify::oneshot();
        self.post(Letter { message: message.into(), reply: Some(sender) })
            .map_err(AskError::NotTold)?;
        match receiver.wait_timeout(timeout) {
            Ok(answer) => answer.map_err(AskError::Failed),
            Err(WaitError::TimedOut) => Err(AskError::TimedOut),
            Err(_) => Err(AskError::Unread),
        }
    }

    fn post(&self, letter: Letter) -> Result<(), TellError> {
        let posted = lock(&self.0.mailbox).post(letter);
        match posted {
            Posted::Taken(dropped) => {
                self.0.stats.dropped.fetch_add(dropped, Ordering::Relaxed);
                observe::messages_dropped(dropped);
                self.0.nudge();
                Ok(())
            }
            Posted::Full(letter) => Err(TellError::Full(letter.message)),
            Posted::Closed(letter) => Err(TellError::Over(letter.message)),
        }
    }

    /// Asks it to stop: what it has begun ends in an outcome first, and after a message that it has read it is run once more; what waits in its
    /// mailbox is dropped. One that has failed and waits to be started again is over at once.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Ends it at once: what it has proposed is refused unless its round has begun, and nothing that it still does counts. A run that is under way
    /// is told by [`Context::is_cancelled`](super::Context::is_cancelled).
    pub fn kill(&self) {
        if let Some(runtime) = self.0.runtime.upgrade() {
            self.0.end(AgentState::Killed, &runtime);
        }
    }

    /// Waits until it is over, and says how.
    pub fn join(&self) -> AgentState {
        self.wait_for(|_| false)
    }

    /// The same, for at most so long.
    pub fn join_timeout(&self, timeout: Duration) -> Option<AgentState> {
        // A time that no clock reaches is no limit.
        let deadline = Instant::now().checked_add(timeout);
        self.0.wait_until(|_| false, deadline)
    }

    /// Waits until it stands where `is_it` says, or is over.
    pub fn wait_for(&self, is_it: impl Fn(&AgentState) -> bool) -> AgentState {
        // Without a deadline there is an answer.
        self.0.wait_until(is_it, None).unwrap_or(AgentState::Killed)
    }

    /// As [`join`](Self::join), without holding up a thread.
    ///
    /// # Cancel safety
    /// Dropping it ends nothing but the wait.
    pub async fn ended(&self) -> AgentState {
        loop {
            match self.0.change(|_| false) {
                Ok(state) => return state,
                Err(changed) => drop(changed.await),
            }
        }
    }

    /// As [`ask`](Self::ask), without holding up a thread, and for as long as it takes.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// After the wait was dropped the message may still be read.
    pub async fn asked(&self, message: impl Into<Value>) -> Result<Value, AskError> {
        let (sender, receiver) = notify::oneshot();
        self.post(Letter { message: message.into(), reply: Some(sender) })
            .map_err(AskError::NotTold)?;
        match receiver.await {
            Ok(answer) => answer.map_err(AskError::Failed),
            Err(_) => Err(AskError::Unread),
        }
    }

    /// Waits until it is made.
    pub(super) fn ready(&self) -> Result<(), SpawnError> {
        match self.wait_for(|state| *state != AgentState::Starting) {
            AgentState::Failed(reason) => {
                Err(SpawnError::Failed { agent: self.0.id.clone(), reason })
            }
            AgentState::Killed if self.0.runtime.upgrade().is_none_or(|it| it.is_stopping()) => {
                Err(SpawnError::Closed)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentRef").field("id", &self.0.id).field("state", &self.state()).finish()
    }
}

/// A message that was not taken, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// There is no room in the mailbox.
    Full(Value),
    /// The agent is over.
    Over(Value),
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TellError::Full(_) => {
                f.write_str("the agent's mailbox is full: tell it later, or make it larger")
            }
            TellError::Over(_) => f.write_str("the agent is over"),
        }
    }
}

impl std::error::Error for TellError {}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The message was not taken.
    NotTold(TellError),
    /// The agent has answered with an error, or panicked.
    Failed(String),
    /// There was no answer in time.
    TimedOut,
    /// This is the queen's own thread, where the wakers of tickets run: ask from another one.
    Busy,
    /// The message was dropped, or the agent has ended before it was read.
    Unread,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotTold(error) => error.fmt(f),
            AskError::Failed(reason) => write!(f, "the agent has refused: {reason}"),
            AskError::TimedOut => f.write_str("there was no answer in time"),
            AskError::Busy => f.write_str(QUEENS_THREAD),
            AskError::Unread => f.write_str("nobody has read the message"),
        }
    }
}

impl std::error::Error for AskError {}
