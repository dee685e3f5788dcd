//! Broadcast: publishers whose messages all subscribers get, in one order, each with its own rule for the case that it does not keep up.
//!
//! | [`Overflow`] | when the subscriber is too slow | what it costs while it stalls |
//! |---|---|---|
//! | [`Block`](Overflow::Block) | publishers wait; nothing is lost | the others' messages |
//! | [`DropOldest`](Overflow::DropOldest) | the oldest messages are overwritten; it is told how many ([`RecvError::Lagged`]) | one segment |
//! | [`DropNewest`](Overflow::DropNewest) | what is published while its window is full is lost to it | its window |
//! | [`Latest`](Overflow::Latest) | it gets the newest message only | one segment |
//!
//! Every loss is counted: what a subscription received, lost and has not received yet is what was published since it began
//! ([`Subscriber::lost`], [`Subscriber::len`]). [`Options::replay`] lets it begin with messages that were published before.
//!
//! | to | use |
//! |---|---|
//! | publish | [`publish`](Publisher::publish), [`try_publish`](Publisher::try_publish), [`publish_timeout`](Publisher::publish_timeout), [`publish_async`](Publisher::publish_async), [`publish_many`](Publisher::publish_many) |
//! | receive | [`recv`](Subscriber::recv), [`try_recv`](Subscriber::try_recv), [`recv_timeout`](Subscriber::recv_timeout), [`recv_async`](Subscriber::recv_async), [`recv_many`](Subscriber::recv_many), [`try_recv_many`](Subscriber::try_recv_many), [`recv_many_async`](Subscriber::recv_many_async) |
//!
//! Messages are borrowed from the ring, not cloned: what `recv` gives holds its message until it is dropped. Threads and tasks may
//! wait for the same ring, with any executor or none. Nobody uses the processor while there is nothing to do: who waits looks
//! around for some microseconds, and sleeps then until it is woken.
//!
//! ```
//! use queenright_primitives::ring::{Options, Publisher, RecvError};
//!
//! let publisher = Publisher::bounded(4);
//! let mut all = publisher.subscribe(Options::block());
//! let mut newest = publisher.subscribe(Options::latest());
//! let mut slow = publisher.subscribe(Options::drop_oldest());
//! for number in 0..10 {
//!     publisher.publish(number).unwrap();
//!     assert_eq!(*all.recv().unwrap(), number);
//! }
//! assert_eq!(*newest.recv().unwrap(), 9);
//! assert_eq!(slow.recv().unwrap_err(), RecvError::Lagged(6));
//! assert_eq!(slow.recv_many(10).unwrap().iter().sum::<i32>(), 6);
//! assert_eq!((newest.lost(), slow.lost()), (9, 6));
//! ```
//!
//! # How many messages
//! The messages stand in *segments* of the largest power of two that is at most an eighth of the capacity, at least 1 and at most 64. There
//! are as many segments as it takes for the capacity beside one more whole segment, less a message: with a capacity below 16 as many
//! places as the capacity says, else up to a quarter more.
//! - A publisher waits only if some `Block` subscription has at least `capacity` unread messages; and no such subscription ever has
//!   more than there are places.
//! - Of what was published, at least the newest `capacity` messages are kept for everybody else; while a publication is under way, whose own
//!   is one of those before it is there. A publication is two steps: it makes room, then it publishes. In between, as long as
//!   its thread is suspended there, a ring of one message has none for those: they find it empty, or that they lag.
//! - Whoever drops the oldest gets what is left in the segment that it reads, and only then learns how many messages after those
//!   it has lost.
//!
//! A message is dropped when its place is used again, by the publisher that does so, or with the ring; or by the last subscription
//! that holds it in a window.
//!
//! # Protocol
//! Messages are numbered by their *position*. **Publishers** take turns by a short lock. Under it, a publisher puts its message in the next place
//! of the current segment, and moves the *tail*, below which all messages are published. A **subscriber** has a position of its own.
//! Below the tail that it saw last it reads without any atomic operation; only then does it look at the tail again. So the line of memory
//! that holds the tail moves from the publisher to a subscriber once for all messages between two looks.
//!
//! All else is done once a segment. To begin one, a publisher gives the oldest up:
//! - It waits until each `Block` subscription has *released* it, which a subscription does as it leaves a segment.
//! - It moves the *floor*, below which segments are given up, fences, and looks which segments are *announced*. The other subscriptions
//!   announce a segment as they enter it, and look at the floor then: hazard pointers (Michael, *Hazard pointers: safe memory
//!   reclamation for lock-free objects*, 2004), one for many messages. A segment that is announced is set *aside*, and another takes its
//!   place in the ring. It is used again, in place of the next one that is announced, when nobody announces it any more.
//!
//! So a stalled subscription keeps one segment, and no publisher waits for it.
//!
//! A **window** is a queue of its own (Lamport's, for one on each side). A message that at least one window takes in is put in an
//! `Arc`, which the ring and the windows share: one allocation for each such message, and none for all others.
//!
//! **Waiting.** Wakers stand in lines under the publishers' lock. Whoever waits for a message looks once more under the lock before it
//! sleeps, and a publisher sees under the lock whether anybody sleeps, so that nothing needs to be ordered beside the lock: a publication costs one
//! exchange. Publishers that wait for room say so before they look once more, and a subscriber that releases a segment looks whether any
//! does. All are woken, one after the other.
//!
//! # What synchronises with what
//! | this | and this | so that |
//! |---|---|---|
//! | the tail moved (Release) | the look at it (Acquire) | who sees a message published sees all that its publisher did before, and the segment that it stands in |
//! | a segment released (`SeqCst`, so Release) | the look at it (Acquire) | a place is written only when it was read |
//! | a segment released, then the look whether room is wanted (both `SeqCst`) | that it is wanted, a fence (`SeqCst`), the look for room | no publisher sleeps beside room |
//! | a segment announced, then the look at the floor (both `SeqCst`) | the floor moved, a fence (`SeqCst`), the look at what is announced | of an announcement and a move at least one sees the other |
//! | another segment announced, or none (Release) | the look at what is announced (Acquire) | a segment is used again only when it was read |
//! | another segment put in place (Release) | a segment found (Acquire), then the look at the floor | who finds the segment that took the place of another finds the floor moved as well |
//! | a message put in a window (Release) | the look at how many (Acquire) | it is read whole |
//! | a message taken out of a window (Release) | the look for room (Acquire) | its place is written only when it is empty |
//!
//! The tail that a subscriber sees may be older than the floor that it sees: a publisher moves the floor first. Who has lagged goes on at the floor,
//! and waits there for the tail.
//!
//! # Progress
//! | | progress | steps |
//! |---|---|---|
//! | `recv` and its kin, if a message is there | wait-free; `Latest` lock-free: a further attempt means that it was overtaken by all the ring | O(1) |
//! | the end of a message or batch | wait-free; at the end of a segment, if publishers wait, it takes the lock to wake them | O(1); O(those who wait) |
//! | `len`, `lost`, `is_closed` | wait-free | O(1) |
//! | to go to sleep | blocking, a short lock | O(1) |
//! | `publish`, `try_publish`, … | blocking, a short lock; none but `try_publish` returns while a `Block` subscription is full | O(windows); each first of a segment O(subscriptions); O(those who sleep) to wake them |
//! | `subscribe`, the end of a subscription, `close` | blocking, a short lock | O(subscriptions); O(what it holds); O(those who sleep) |
//!
//! A publisher that is suspended inside the lock holds up the others, and whoever comes or goes; subscribers receive what is there. One that is
//! suspended as it wakes others holds up one of them; the next publisher wakes the rest. The lock is unfair: see `lock.rs`.
//!
//! A thread that publishes while it is itself to make the room for that waits for ever.
//!
//! # Memory
//! At most this many messages are alive: one for each place; those of one segment for each `DropOldest` and `Latest` subscription, and those
//! that windows hold; and those in the hands of calls that publish: one each, `publish_many` up to a segment. That is so whatever anybody does, and however long a message is held. Segments and windows are allocated when
//! they are first needed, and a segment that was set aside is freed when there are fewer of those subscriptions. Slots
//! of 128 bytes, in which these announce what they read, are freed with the ring.
//!
//! # ABA
//! A segment that was given up may come back to the same place for later messages, at the same address. A reader that announced it in between
//! finds the floor moved, as this counts segments and never goes back. Positions are 63 bits wide, enough for a message every
//! nanosecond for 292 years.
//!
//! # Panics in your code
//! Wakers, and the drop of messages, run outside the lock. If one panics, the message is published or received all the same, everybody else is woken
//! and everything else dropped, and the first panic goes on to the caller; but not that of a
//! waker that is dropped, which has told the panic hook. A panic while a message is held counts it as received.
//!
//! # When something else is better
//! - **A channel** (`crossbeam-channel`, `flume`), if each message is for one receiver. With one subscriber and a capacity of a few messages that is faster,
//!   too: segments of one message leave nothing to do at once.
//! - **[`SnapshotCell`](crate::snapshot::SnapshotCell)**, if only the current state matters, and is read more often than it changes.
//! - **`tokio::sync::broadcast`**, if every receiver wants its own clone, none needs publishers to wait, and the program has tokio anyway.
//! - **A disruptor**, if subscribers are fixed and each may keep a processor busy: it never sleeps.
//! - **[`PriorityQueue`](crate::schedule::PriorityQueue)**, if some messages are more urgent than others.

mod core;
mod error;
mod guard;
mod options;
mod publisher;
mod reader;
mod segment;
mod subscriber;
mod waiting;
mod window;

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;

pub use error::{
    PublishError, PublishTimeoutError, RecvError, RecvTimeoutError, TryPublishError, TryRecvError,
};
pub use guard::{Batch, Messages, Ref};
pub use options::{Options, Overflow};
pub use publisher::{Publish, Publisher};
pub use subscriber::Subscriber;
