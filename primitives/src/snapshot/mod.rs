//! Versioned snapshots: many readers, one current immutable state, writers that replace it whole.
//!
//! # The idea
//! Read-copy-update with epoch-based reclamation (Fraser, *Practical lock-freedom*, 2004), as
//! `crossbeam-epoch` implements it. A [`SnapshotCell`] holds one pointer to a node `{ version, value }`
//! that never changes after it was published. A writer builds the next node and swings the pointer with
//! a compare-and-swap; the old node is freed when no reader can hold it.
//!
//! # What synchronises with what
//! Publishing is the `Release` half of the compare-and-swap; every load of the pointer is `Acquire`, so a
//! reader that sees version *n* sees everything that its writer did before. Reclamation is
//! ordered by the collector: a node is retired after it was unlinked, and freed only once every thread
//! that was pinned at that time has unpinned.
//!
//! # Progress
//! [`SnapshotCell::version`], [`load`](SnapshotCell::load) and [`read`](SnapshotCell::read) are lock-free
//! (pinning registers a thread once, and may help the collector on). Writers are lock-free as a group: a
//! commit fails only because another one succeeded.
//!
//! # ABA
//! A writer compares pointers while it is pinned, with a node that it loaded under the same pin. That node
//! cannot be freed meanwhile, so its address cannot come back for another version.
//!
//! # Memory
//! A [`Snapshot`] keeps exactly one version alive, for as long as you like. A closure inside
//! [`read`](SnapshotCell::read) pins an epoch: while it runs, *no* version retired after it began is
//! freed. So keep that closure short, and use `load` for anything that may stall.

mod cell;
mod core;
mod follow;
mod node;
mod reader;
mod slots;
mod staged;
mod version;

#[cfg(all(test, not(queenright_loom)))]
mod tests;

pub use cell::SnapshotCell;
pub use follow::{Changed, ReaderChanged};
pub use node::Snapshot;
pub use reader::SnapshotReader;
pub use staged::{Contended, Staged, Stale};
pub use version::Version;
