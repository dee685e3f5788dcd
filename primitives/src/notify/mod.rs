//! Waiting and waking, on a thread or in a task, without a runtime.
//!
//! | you wait for | use |
//! |---|---|
//! | one answer, given once | [`oneshot`]: a [`Sender`] and a [`Receiver`] |
//! | something to hold that others make true | [`Event`] |
//! | a turn of your own that anything new is looked at in, one at a time | [`Activation`] |
//! | the next state, the next task, the next message | the [cell](crate::snapshot), the [queue](crate::schedule) itself, which wait in the same way |
//!
//! All of them wait as a thread (with a timeout or without) or as a future that any executor can poll. A thread stays awake for at most
//! 20 µs first, yielding, and only while that pays: to sleep and be woken costs as much. After that it uses no processor, and a
//! wait that is given up, by its timeout or because its future was dropped, loses nothing: what it was woken for goes to the next.
//!
//! # Protocol
//! Whoever waits leaves a [`Waker`](std::task::Waker), that of its task or one that unparks its thread, and looks
//! once more before it sleeps. Where what is waited for is guarded by a lock (the one-shot pair, the queue), the waker
//! is left under the same lock, so that it is there before the next change. Where it is not (an event, the cell), waker and look
//! on one side, change and look for wakers on the other stand in one total order, by `SeqCst` fences, so that one of
//! the two sees the other (Dekker's handshake): the wakers stand in slots of their own, one waiter each.
//!
//! # Progress
//! To notify an [`Event`] is lock-free. A one-shot pair takes a short lock, in which none of your code runs: blocking.

mod activation;
mod block;
mod event;
mod line;
mod oneshot;
mod waiters;

pub use activation::Activation;
pub(crate) use block::block_on;
pub use event::{Event, Until};
pub(crate) use line::{Line, Place};
pub use oneshot::{Closed, Receiver, Sender, WaitError, oneshot};
pub(crate) use waiters::{Registration, Waiters};
