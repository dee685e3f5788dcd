//! Coordination primitives for programs in which many workers read one state and propose changes to it.
//!
//! This crate knows nothing of agents, files or networks. It holds the parts that must be right under
//! concurrency, or exact under any order, each usable alone:
//!
//! | you want to | use | progress |
//! |---|---|---|
//! | read one consistent state while others replace it | [`snapshot::SnapshotCell`] | reads and commits lock-free; reads through a handle wait-free while nothing changes |
//! | stage a new version of a map and keep the old one | [`paged::PagedMap`] | single-threaded |
//! | know which proposals can stand in one commit | [`conflict::ConflictIndex`] | single-threaded |
//! | merge changes whose order must not matter | [`aggregate::Aggregator`] | single-threaded |
//! | the same, if each must also stand on what a snapshot holds | [`aggregate::ConditionalAggregator`] | single-threaded |
//! | the same, submitted by many threads | [`aggregate::CommutativeAggregator`] | lock-free |
//! | hand out work by urgency and deadline, without starvation | [`schedule::PriorityQueue`] | blocking, a short lock |
//! | the same by class alone, without a lock | [`schedule::LaneQueue`] | lock-free |
//! | give each task to one worker at a time, for a time | [`claim::ClaimTable`] | lock-free |
//! | use buffers and other costly objects again | [`pool::Pool`] | wait-free, beside the making of an object |
//! | give every message to many subscribers | [`ring`] | publishing: blocking, a short lock; receiving wait-free while there are messages |
//! | wait until something holds, on a thread or in a task | [`notify::Event`] | notifying lock-free |
//! | wait for one answer, on a thread or in a task | [`notify::oneshot`] | blocking, a short lock |
//!
//! # Example
//! Two proposals that only add can stand in one commit; a third that overwrites cannot.
//! ```
//! use queenright_primitives::conflict::{Footprint, greedy};
//! use queenright_primitives::proposal::{Mode, Write};
//!
//! let add = [Write { key: "visits", mode: Mode::Commutative("add") }];
//! let set = [Write { key: "visits", mode: Mode::Exclusive }];
//! let subset = greedy([&add, &add, &set].map(|writes| Footprint { reads: &[], writes: &writes[..] }));
//! assert_eq!(subset.serial, [0, 1]);
//! assert_eq!(subset.rejected[0].1.key, "visits");
//! ```
//!
//! # When not to use it
//! - One value behind one lock, rarely contended: a `Mutex` is simpler and as fast.
//! - Thousands of cells that are hardly ever written: [`snapshot`] says what else is better when.
//!
//! # Features
//! `loom` and `shuttle` are for this workspace's model checks alone; see `loom-tests/` in the repository.

/// Runs the example of this crate's front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CratePage;

mod flat;
mod gate;
#[cfg_attr(not(queenright_loom), expect(unreachable_pub, reason = "its models reach it"))]
mod lock;
mod slots;
mod sync;
#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod testing;

/// How the models are run.
#[cfg(queenright_loom)]
pub mod model {
    pub use crate::lock::SpinLock;
    pub use crate::sync::{Fences, Numbers, put_fences};
}

pub mod aggregate;
pub mod claim;
pub mod conflict;
pub mod notify;
pub mod paged;
pub mod panics;
pub mod pool;
pub mod proposal;
pub mod ring;
pub mod schedule;
pub mod snapshot;

pub use snapshot::Version;
