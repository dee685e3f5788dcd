//! Waiting and waking, on a thread or in a task, without a runtime.
//!
//! [`oneshot`] makes a pair: the [`Sender`] gives one value, the [`Receiver`] waits for it, blocking
//! ([`wait`](Receiver::wait), [`wait_timeout`](Receiver::wait_timeout)) or as a future. Exactly one of two
//! things happens: the value arrives, or the sender is dropped and the receiver gets [`Closed`]. Nothing
//! polls, and a waiting thread uses no CPU.
//!
//! # Protocol and progress
//! One mutex guards the state of a pair (empty, value, closed), a condition variable and the waker of the
//! task that polls. So this is blocking, not lock-free; the lock is never held while user code runs. Those who follow a
//! [`SnapshotCell`](crate::snapshot::SnapshotCell) wait without a lock: see there.

mod block;
mod line;
mod oneshot;
mod waiters;

pub(crate) use block::block_on;
pub(crate) use line::{Line, Place};
pub use oneshot::{Closed, Receiver, Sender, WaitError, oneshot};
pub(crate) use waiters::{Registration, Waiters};
