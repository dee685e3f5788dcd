//! Where an agent stands, and what it has done.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::outcome::Outcome;

/// Where an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentState {
    /// It is being made.
    Starting,
    /// It runs, or waits for the outcome of a proposal.
    Active,
    /// It waits until something that it looked at changes, or somebody tells it something.
    Waiting,
    /// It has failed, and is to be started again.
    Restarting,
    /// It has said that its work is done.
    Done,
    /// It was asked to stop, and did.
    Stopped,
    /// It was ended from outside.
    Killed,
    /// It could not be started.
    Failed(String),
    /// It failed too often, and is not started again.
    Quarantined(String),
}

impl AgentState {
    /// Whether it never runs again.
    pub fn is_over(&self) -> bool {
        !matches!(
            self,
            AgentState::Starting
                | AgentState::Active
                | AgentState::Waiting
                | AgentState::Restarting
        )
    }

    /// Its name in lower case, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            AgentState::Starting => "starting",
            AgentState::Active => "active",
            AgentState::Waiting => "waiting",
            AgentState::Restarting => "restarting",
            AgentState::Done => "done",
            AgentState::Stopped => "stopped",
            AgentState::Killed => "killed",
            AgentState::Failed(_) => "failed",
            AgentState::Quarantined(_) => "quarantined",
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentState::Failed(reason) | AgentState::Quarantined(reason) => {
                write!(f, "{}: {reason}", self.name())
            }
            _ => f.pad(self.name()),
        }
    }
}

/// What an agent has done so far, over all its lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStats {
    /// How often it was run.
    pub runs: u64,
    /// Proposals made. Each is committed, refused, or left behind when a life was ended, unless it waits for its outcome.
    pub proposed: u64,
    /// Proposals committed.
    pub committed: u64,
    /// Proposals refused.
    pub refused: u64,
    /// Votes cast, when it was asked for them.
    pub votes: u64,
    /// Messages read.
    pub messages: u64,
    /// Messages dropped, because there was no room or because the agent ended.
    pub dropped: u64,
    /// Messages that wait.
    pub waiting: usize,
    /// Lives that failed.
    pub failures: u64,
    /// Lives begun, beside the first.
    pub restarts: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) runs: AtomicU64,
    pub(crate) proposed: AtomicU64,
    committed: AtomicU64,
    refused: AtomicU64,
    pub(crate) votes: AtomicU64,
    pub(crate) messages: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) restarts: AtomicU64,
}

impl Counts {
    /// The numbers, with that of messages that wait.
    pub(super) fn read(&self, waiting: usize) -> AgentStats {
        let Counts { runs, proposed, committed, refused, votes, .. } = self;
        let Counts { messages, dropped, failures, restarts, .. } = self;
        // Relaxed, as all of them: they order nothing.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        AgentStats {
            runs: read(runs),
            proposed: read(proposed),
            committed: read(committed),
            refused: read(refused),
            votes: read(votes),
            messages: read(messages),
            dropped: read(dropped),
            waiting,
            failures: read(failures),
            restarts: read(restarts),
        }
    }

    pub(crate) fn answered(&self, outcome: &Outcome) {
        // Relaxed: see there.
        match outcome.is_committed() {
            true => self.committed.fetch_add(1, Ordering::Relaxed),
            false => self.refused.fetch_add(1, Ordering::Relaxed),
        };
    }
}
