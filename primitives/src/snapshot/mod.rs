//! Versioned snapshots: many readers, one current immutable state, writers that replace it whole.
//!
//! | to | use | cost while nobody commits |
//! |---|---|---|
//! | read in a hot loop | a handle: [`SnapshotCell::reader`], [`SnapshotReader::get`] | a load and a compare |
//! | read now and then | [`SnapshotCell::read`] with a closure | one read-modify-write |
//! | keep one version | [`SnapshotCell::load`], [`Snapshot`] | two, and one to let go |
//! | change it | [`stage`](SnapshotCell::stage) and [`commit`](SnapshotCell::commit), [`update`](SnapshotCell::update), [`compare_and_commit`](SnapshotCell::compare_and_commit) | two, and an allocation |
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
//! of 64 versions. The one commit that begins a segment owns the segment before it: it *fences*, gathers what
//! the slots announce, keeps the few nodes that are announced for the next such commit, and lets go of the
//! others. A node is freed when nobody holds it: neither the cell nor a [`Snapshot`].
//!
//! # What synchronises with what
//! | this | and this | so that |
//! |---|---|---|
//! | the exchange of the root (Release) | the look after an announcement (Acquire) | who sees a version sees all that its writer did before |
//! | the announcement, then the look (both `SeqCst`) | the exchange, then the fence (`SeqCst`), then the slots | of an announcement and a reclamation at least one sees the other |
//! | an announcement or its end (Release) | the slots (Acquire) | what was read is freed only afterwards |
//! | a slot given back (Release) | the slot taken (Acquire) | the same, if another has the slot by then |
//! | a block of slots added (Release), then a fence | the blocks (Acquire), after the fence | no slot is overlooked |
//! | nodes kept (Release) | nodes taken up again (Relaxed, then the fence) | their links are whole |
//! | a snapshot dropped (Release) | the last holder (Acquire) | what was read is freed only afterwards |
//! | a waiter pushed, then its look at the root (both `SeqCst`) | the exchange, then the look for waiters (both `SeqCst`) | no wake-up is lost |
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
//! | `get` otherwise; `version`, `read`, `load`, `stage` (beside the clone) | lock-free: a further attempt means that somebody committed | O(1); O(slots) if the near slot is taken |
//! | `release`, drop of a handle, a snapshot, a [`Staged`] | wait-free | O(1) |
//! | `commit`, `compare_and_commit` | lock-free; fails only if another commit succeeded | O(1); each 64th O((64 + readers) log readers) |
//! | `update` | lock-free as a group | the same, per attempt |
//! | `reader`, `clone` of a handle | lock-free | O(handles) |
//! | waking those who wait | lock-free | O(waiting) |
//! | `wait_for`, `wait_changed` | blocks, by its nature | |
//!
//! To allocate and to free is part of all that, and as lock-free as the allocator is.
//!
//! # Memory
//! At any time at most 64 × (commits under way, at least one) + handles + closures under way + versions held by
//! snapshots are alive beside the current version, whatever any of them does, and for however long. A commit that is
//! suspended holds back the segment that it was to reclaim, and no other; a handle, a closure or a [`Staged`]
//! copy under way keeps one version; a leaked or forgotten handle does so as long as the cell lives. Slots are
//! not given back to the allocator: 128 bytes for each handle and each closure that were there at once. A
//! cell is about 1.7 KiB.
//!
//! # ABA
//! A commit compares addresses, with its base announced since before it looked at the version. So that node is
//! not freed meanwhile, and its address cannot come back for another version. The same holds for `get`.
//!
//! # Panics in your code
//! A panic in a closure or in `T::clone` leaves the cell as it was. One in the drop of an old state or in a waker
//! reaches whoever ran it, a commit for instance, after the commit has happened, all were woken and all
//! that was to be freed is freed.
//!
//! # When something else is better
//! - **A lock** (`RwLock<Arc<T>>`), if reads are rare: an uncontended commit costs half as much, and the cell is small. Or
//!   if a change is large and a second copy of the state is too much.
//! - **`arc-swap`**, if there are very many cells, each hardly ever written (a cell here is 1.7 KiB), if the states already
//!   live in `Arc`s, or to run without `std`'s threads. Its commits cost a multiple, and it knows no versions.
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
mod slots;
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
