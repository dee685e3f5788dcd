//! A bounded priority queue for many producers and consumers: by class, deadline, latency tier and cost, with aging.
//!
//! # Which queue
//! | | [`PriorityQueue`] | [`LaneQueue`] |
//! |---|---|---|
//! | order | by class, deadline, tier and cost; exact beside other threads | by class; exact within a class, weaker across classes beside other threads |
//! | progress | a short lock | lock-free: whoever is stopped, anywhere, holds nobody up |
//! | waiting, closing | yes | as a [`LaneChannel`] |
//! | batches in one step, limits, displacing | yes | no |
//!
//! The first is the quicker one and does more; what follows is about it. Take the second where a thread may be stopped for long inside a call, by
//! a priority or a debugger, and others must go on; as a [`LaneChannel`] it can be waited for, and closed.
//!
//! # Order
//! Each task comes with a [`Hint`], often just a [`Class`]. The order of hints is total: the more urgent class; then
//! the earlier deadline, none being the latest; then the tier; then the lower cost. Equal hints are served first come, first
//! served. One rule stands above the hints, so that no task that is queued starves (*aging*): a task is *overdue* when
//! `patience` tasks that came after it were served before it, and of the overdue ones the oldest goes next.
//!
//! With other threads about, this holds exactly, too: one lock puts all pushes and pops in one order, which agrees with
//! real time, and each pop takes what is first at its place in that order (it is linearizable).
//! [`try_push_many`](PriorityQueue::try_push_many) and the pops of many are one step in it for as many tasks as they say. Who looks at
//! what came out of two threads' pops learns nothing of their order, of course: each thread is free to be slow after its pop.
//!
//! # Bound on waiting
//! At most `patience` tasks that came after a task are served before it, whatever their hints. As all others that are served before it
//! were there when it came, it waits for at most *depth when it came* + `patience` pops. Proof: count the
//! tasks that came, and those that have gone, served or displaced. The n-th is overdue once n + `patience` have gone. Take the n-th, and
//! the last moment at which an older one is there. From then on it is the oldest; until then, whenever the oldest is overdue, an older one
//! goes, and no later one is served. Each later one that is served goes while fewer than n + `patience` have gone, of which those
//! that came before it are n at the end; so there are at most `patience` of them.
//! (A task that [`force_push`](PriorityQueue::force_push) displaces counts as gone: others may be overdue the sooner for it.
//! The bound is on service: an overdue task can itself be displaced, if it is the last in order.)
//!
//! So patience has its price: where more than `patience` tasks wait, the order is that of arrival for the most part. Give it a
//! multiple of the depth that you expect: the capacity is a good first choice, and `u64::MAX` turns aging off.
//!
//! # Room
//! There is room for a task if the queue holds fewer than its capacity, and fewer of its class than that class's
//! [limit](PriorityQueue::with_limit). If there is none, the caller chooses:
//! [`try_push`](PriorityQueue::try_push) gives the task back, [`push`](PriorityQueue::push) and
//! [`send`](PriorityQueue::send) wait, [`push_timeout`](PriorityQueue::push_timeout) waits for so long, and
//! [`force_push`](PriorityQueue::force_push) makes the least urgent give way. No task is ever dropped unseen.
//!
//! # Waiting
//! A thread or a task that waits stands in a line, consumers in one and the producers of each class in one, and uses no
//! processor. Each task that comes wakes one consumer, the first in line. Each that goes wakes one producer, the first of
//! the most urgent class that has room then. Whoever is woken and does not go, because another was quicker or because it gave up
//! (a timeout passed, the future was dropped), lets the next one be woken if that can go. So nobody sleeps beside
//! a task, or beside room, for which nobody else is on the way; and a batch wakes no more than it has work for.
//! Whoever comes may go before those who wait (the queue never stands still for a thread that is yet to wake
//! up); who was woken in vain stands first in line again. There is no bound on waiting *for room*: aging begins when a task is queued, and a
//! producer of a lesser class may wait for as long as others of more urgent ones keep coming.
//!
//! A future that was woken keeps its turn until it is polled or dropped. One that is forgotten, or kept without being polled,
//! may keep a task or a place from others: poll it or drop it.
//!
//! # Progress and cost
//! Blocking: one lock, in which none of your code runs but the global allocator. A push or a pop holds it for a few dozen
//! instructions, and now and then for O(n) or O(n log n), when memory grows or gaps are cleared away; a batch for O(batch). Who finds it taken spins
//! briefly, then yields, and sleeps at last. Called what it is: this queue is not lock-free.
//! A push or pop is O(1) for a task whose hint is a class alone, and O(log n) for others, of *n* of its class; amortised.
//! All counts are O(1).
//!
//! # Memory
//! Each class keeps the memory of its own greatest depth, for tasks with a class alone and for others apart, until the queue is
//! dropped. Of the latter, gaps and forgotten entries are cleared away once they are more than the tasks that are here, so
//! that they need up to twice as many places, of 16 bytes and the task's own, and 16 bytes more (32 after a `force_push`) for the order; all of it in
//! vectors that grow by doubling. Who waits has a place of 40 bytes in the line, which the line keeps.
//!
//! # Panics in your code
//! A waker that panics, when it is woken or dropped, has told the panic hook; its turn goes to the next, and the call that woke it
//! goes on, as it may have a task in its hands. A task whose drop panics, when the queue is dropped, takes no other with it.

mod class;
mod error;
mod heap;
mod hint;
mod keyed;
mod lanes;
mod queue;
mod ready;
mod state;
mod waiting;

pub use class::{Class, UnknownClass};
pub use error::{PopError, PushError};
pub use hint::{Hint, LatencyTier};
pub use lanes::{LaneChannel, LaneQueue};
pub use queue::PriorityQueue;
pub use waiting::{Recv, RecvMany, SendTask};

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;
