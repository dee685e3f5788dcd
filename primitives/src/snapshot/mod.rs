//! Versioned snapshots: many readers, one current immutable state, writers that replace it whole.
//!
//! | to | use | cost while nobody commits |
//! |---|---|---|
//! | read in a hot loop | a handle: [`SnapshotCell::reader`], [`SnapshotReader::get`] | a load and a compare |
//! | read now and then | [`SnapshotCell::read`] with a closure | one read-modify-write |
//! | keep one version | [`SnapshotCell::load`], [`Snapshot`] | two, and one to let go |
//! | change it | [`stage`](SnapshotCell::stage) and [`commit`](SnapshotCell::commit), [`update`](SnapshotCell::update), [`compare_and_commit`](SnapshotCell::compare_and_commit), [`replace`](SnapshotCell::replace) | two, and an allocation |
//! | follow changes | [`wait_for`](SnapshotCell::wait_for), [`changed`](SnapshotCell::changed), [`SnapshotReader::changed`] | nothing: woken, not polling |
//!
//! # Protocol
//! A cell holds one pointer, the *root*, to a node `{ version, value }` that never changes after it was published.
//! A commit builds the next node, linked to the one it replaces, and swings the root by a compare-and-swap.
//!
//! **Protection** is by hazard pointers (Michael, *Hazard pointers: safe memory reclamation for lock-free objects*,
//! 2004), whose slots belong to the cell. To read, a thread *announces* the node that it found at the root in a
//! slot of its own, and *looks again*: if the root is still the same, the node cannot be freed until the slot says
//! something else. A handle keeps its slot, and the announcement stands after `get` returns: as long as the
//! root is what the slot announces, the next `get` has nothing to announce. All others take one of eight
//! slots near to hand for the time of the call (more are added if all are taken), and announce in the same
//! read-modify-write by which they take it.
//!
//! **Reclamation** needs no list of what was replaced, as the nodes are linked already. History is cut into segments
//! of 32 versions (or [what you say](SnapshotCell::reclaiming_every)). The one commit that begins a segment owns the
//! segment before it: it *fences*, gathers what the slots announce, and lets go of all that is not announced. A
//! node is freed when nobody holds it: neither the cell nor a [`Snapshot`].
//!
//! A node that is announced is *left* to the slot that announces it, and takes the place of what was left there before,
//! into which the commit then looks instead, after a new fence (the hand-over of Herlihy, Luchangco and Moir,
//! *The repeat offender problem*, 2002). So nobody ever holds more nodes than it came with, and a slot never more
//! than one, though any commit may be suspended anywhere. Whoever ends a call, lets go with its handle or drops it
//! looks into what was left to it; and each reclaiming commit into some of what is left where it is no longer announced,
//! as many as a segment has or 32 if that is more.
//!
//! # What synchronises with what
//! | this | and this | so that |
//! |---|---|---|
//! | the exchange of the root (Release) | the look after an announcement (Acquire) | who sees a version sees all that its writer did before |
//! | the announcement, then the look (both `SeqCst`) | the exchange, then the fence (`SeqCst`), then the slots | of an announcement and a reclamation at least one sees the other |
//! | an announcement or its end (Release) | the slots (Acquire) | what was read is freed only afterwards |
//! | a slot given back (Release) | the slot taken (Acquire) | the same, if another has the slot by then |
//! | a block of slots added (Release), then a fence | the blocks (Acquire), after the fence | no slot is overlooked |
//! | a node left to a slot (Release) | the node taken out (Acquire) | all that was done with it before is done |
//! | a snapshot dropped (Release) | the last holder (Acquire) | what was read is freed only afterwards |
//! | a waker left in a slot, then a fence (`SeqCst`), then the look at the root | the exchange, then the look for wakers (both `SeqCst`) | no wake-up is lost |
//!
//! [`SnapshotReader::get`] finds with a Relaxed load that nothing has changed: the address is that of a node which
//! its slot protects, so it stands for that node alone, and what it held was acquired when it was found. That
//! a version which this thread already knows of is not missed, coherence grants.
//!
//! The second row is the one that a weaker machine would break. If a reclamation did not see the announcement,
//! then its fence comes before the announcement in the one order of all `SeqCst` operations. The exchange
//! that unlinked the node happens before the fence. So the look, which comes after the announcement, sees
//! that exchange or a later one, and the reader does not use the node.
//!
//! # Progress
//! | | progress | steps |
//! |---|---|---|
//! | `get` of a handle, nothing committed since | wait-free | O(1) |
//! | `get` otherwise; `SnapshotReader::snapshot` | lock-free: a further attempt means that somebody committed | O(1) |
//! | `version`, `read`, `load`, `stage` (beside the clone), `retired`, `live_versions` | the same | O(1); O(slots) if the near slot is taken; *r* if there is something to free at the end |
//! | drop of a snapshot; `last`, `has_changed`, `version` of a handle | wait-free | O(1) |
//! | `release`, drop of a handle | lock-free | O(1); *r* if there is something to free |
//! | `commit`, `compare_and_commit` | lock-free; fails only if another commit succeeded | as `version`; each 32nd *r* |
//! | `update`, `replace` | lock-free as a group | the same, per attempt |
//! | `reader`, `clone` of a handle | lock-free | O(handles) |
//! | a poll of `changed` | lock-free | as `version`; O(those who waited at once) as it begins to wait |
//! | waking those who wait | lock-free; one load until somebody waits for the first time | O(those who waited at once) |
//! | `wait_for`, `wait_changed` | blocks, by its nature | |
//!
//! *r* is O((32 + slots) log slots), and that again each time that what was displaced in a slot is still read elsewhere, at
//! most as often as there are slots.
//!
//! To allocate and to free is part of all that, and as lock-free as the allocator is. *Slots* are the handles and the
//! calls under way that there were at most, and eight.
//!
//! A commit wakes all who wait for this cell, for whichever version, one by one: if it is suspended meanwhile, or a
//! waker of yours blocks, that one waiter sleeps until it goes on, and no other. Readers and writers never wait for
//! any of this.
//!
//! # Memory
//! Beside the current version at most these are alive, whatever anybody does and for however long:
//! - 31 that were replaced since the last segment began;
//! - 32 for each commit under way (with other segments: as many as a segment has, or 32 if that is more);
//! - one for each handle that has read something and not let go of it, and each call under way;
//! - those that snapshots hold, and copies that are staged.
//!
//! That is less than 64 × commits under way (at least one) + readers + owned versions. A slot may keep its one version
//! until a segment begins after its owner has left, if a commit leaves it there in that very moment. Without commits
//! nothing is freed but what handles and calls let go of: an idle cell may keep 31 old versions, which is why cells of very
//! large states should reclaim more often. A leaked or forgotten handle keeps its version as long as the cell lives,
//! and the cell. Slots are not given back to the allocator, 128 bytes each. A cell is about 2 KiB.
//!
//! # ABA
//! A commit compares addresses, with its base announced since before it looked at the version. So that node is
//! not freed meanwhile, and its address cannot come back for another version. The same holds for `get`.
//!
//! # Panics in your code
//! A panic in a closure or in `T::clone` leaves the cell as it was. One in the drop of an old state or in a waker
//! reaches whoever ran it: a commit, after it has happened, all were woken and all that was to be freed is freed; or the end
//! of any other call that was the last to keep a version: a read, a handle's `release` or drop, or a commit that is
//! refused, whose own value is dropped with it.
//!
//! # When something else is better
//! - **A lock** (`RwLock<Arc<T>>`), if reads are rare: an uncontended commit costs half as much, and the cell is small. Or
//!   if a change is large and a second copy of the state is too much.
//! - **`arc-swap`**, if there are very many cells, each hardly ever written (a cell here is 2 KiB), or if the states already
//!   live in `Arc`s. Its commits cost a multiple, and it knows no versions.
//! - **`crossbeam-epoch`**, to build a structure of many nodes: one pin protects all that a traversal meets, where this
//!   cell protects one version. A thread that stays pinned holds back all garbage.
//! - **`tokio::sync::watch`**, if readers only wait for the newest value, in tasks, and never read in hot loops: its borrow is
//!   a read lock, which blocks the writer.
//! - **`left-right`**, if each change is a small operation and the state is large: it applies it twice instead of copying.

mod cell;
mod core;
mod follow;
mod node;
mod reader;
mod staged;
mod version;

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;

pub use cell::SnapshotCell;
pub use follow::{Changed, ReaderChanged};
pub use node::Snapshot;
pub use reader::SnapshotReader;
pub use staged::{Contended, Staged, Stale};
pub use version::Version;
