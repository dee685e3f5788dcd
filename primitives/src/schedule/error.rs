//! Why a task was not queued, or none came.

use std::fmt;

/// A task that was not queued, given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError<T> {
    /// There is no room, in all or in its class: try again later, or wait with
    /// [`PriorityQueue::push`](super::PriorityQueue::push).
    Full(T),
    /// The queue takes nothing any more.
    Closed(T),
}

impl<T> PushError<T> {
    /// The task that was refused.
    pub fn into_inner(self) -> T {
        match self {
            PushError::Full(task) | PushError::Closed(task) => task,
        }
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Full(_) => "the queue is full: try again later, or wait with `push`",
            PushError::Closed(_) => "the queue is closed and takes no more tasks",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for PushError<T> {}

/// Why [`PriorityQueue::pop_timeout`](super::PriorityQueue::pop_timeout) came back without a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PopError {
    /// The time was up, and the queue is empty: wait again or give up.
    TimedOut,
    /// The queue is closed and empty: no task will come.
    Closed,
}

impl fmt::Display for PopError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PopError::TimedOut => "no task yet: wait again or give up",
            PopError::Closed => "the queue is closed and empty: no task will come",
        })
    }
}

impl std::error::Error for PopError {}
