use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::{self, NonNull};
use std::time::Duration;

use super::core::Core;
use super::follow::ReaderChanged;
use super::node::{Node, Snapshot};
use super::version::Version;
use crate::notify::{Closed, WaitError};
use crate::slots::Slot;
use crate::sync::Arc;

/// A handle for reading again and again: while nobody commits, a read costs a load and a compare.
///
/// It keeps the version that it read last protected until the next [`get`](Self::get),
/// [`release`](Self::release) or its drop, so that an idle handle keeps one old version alive, and a leaked one
/// does so as long as the cell lives. It may outlive the [`SnapshotCell`](super::SnapshotCell), and then reads
/// the last version for ever. Cloning registers a further handle.
///
/// ```
/// use queenright_primitives::snapshot::SnapshotCell;
///
/// let cell = SnapshotCell::new(1);
/// let mut reader = cell.reader();
/// assert_eq!(*reader.get(), 1);
/// cell.update(|n| n + 1).unwrap();
/// assert_eq!(*reader.get(), 2);
/// ```
pub struct SnapshotReader<T> {
    /// What the slot protects, or null. It was current at the last look.
    seen: *mut Node<T>,
    slot: NonNull<Slot<Node<T>>>,
    /// The version that was read last, if it was let go of since.
    released: Option<Version>,
    core: Arc<Core<T>>,
}

// SAFETY: it gives `&T` to its thread, and shares the core, which may drop a `T` on any thread. The slot is used
// by this handle alone.
unsafe impl<T: Send + Sync> Send for SnapshotReader<T> {}
// SAFETY: as above; `&self` gives `&T` to several threads, and changes nothing.
unsafe impl<T: Send + Sync> Sync for SnapshotReader<T> {}

impl<T> SnapshotReader<T> {
    pub(super) fn new(core: Arc<Core<T>>) -> Self {
        let slot = NonNull::from(core.register());
        SnapshotReader { seen: ptr::null_mut(), slot, released: None, core }
    }

    fn slot(&self) -> &Slot<Node<T>> {
        // SAFETY: slots live as long as the core.
        unsafe { self.slot.as_ref() }
    }

    /// The current state. Wait-free and O(1) while no commit came since the last call. Else lock-free, O(1) an attempt: a
    /// further one means that another writer committed.
    ///
    /// The versions that one handle gives never go back.
    #[inline]
    pub fn get(&mut self) -> &T {
        // What is protected cannot be freed, so its address stands for no other version.
        let current = self.core.glance();
        if current != self.seen {
            self.seen = self.look_again(current);
        }
        // SAFETY: not null, as the root is not; protected by the slot until `&mut self` is used again.
        unsafe { &(*self.seen).value }
    }

    /// As [`get`](Self::get), with the version.
    #[inline]
    pub fn get_versioned(&mut self) -> (&T, Version) {
        self.get();
        // SAFETY: as in `get`.
        let node = unsafe { &*self.seen };
        (&node.value, node.version)
    }

    /// What [`get`](Self::get) gave last, without a look at what is current; `None` before the first call and after
    /// [`release`](Self::release). Wait-free.
    #[inline]
    pub fn last(&self) -> Option<&T> {
        // SAFETY: what was seen is protected by the slot until `&mut self` is used.
        let seen = unsafe { self.seen.as_ref() };
        seen.map(|node| &node.value)
    }

    /// Whether [`get`](Self::get) would give another version than [`last`](Self::last) does, or that gives none. Wait-free.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.core.glance() != self.seen
    }

    // Out of line, and not given `&mut self`, so that what surrounds `get` stays tight.
    #[cold]
    #[inline(never)]
    fn look_again(&self, likely: *mut Node<T>) -> *mut Node<T> {
        self.core.protect(self.slot(), likely).as_ptr()
    }

    /// The version that [`get`](Self::get) gave last; `None` before the first call. Wait-free, O(1).
    pub fn version(&self) -> Option<Version> {
        // SAFETY: what was seen is protected by the slot.
        let seen = unsafe { self.seen.as_ref() };
        seen.map(|node| node.version).or(self.released)
    }

    /// An owned handle on the current state, to keep it for long. As [`get`](Self::get), and a reference count.
    pub fn snapshot(&mut self) -> Snapshot<T> {
        self.get();
        // SAFETY: not null after `get`.
        let node = unsafe { NonNull::new_unchecked(self.seen) };
        // SAFETY: the slot protects it.
        unsafe { Snapshot::hold(node) }
    }

    /// Lets go of the version that was read last, until the next [`get`](Self::get). If a commit wanted to free it, it
    /// is freed here. Lock-free; O(1), or *r* of the [module page](crate::snapshot#progress) if there is something to free.
    pub fn release(&mut self) {
        self.released = self.version();
        self.seen = ptr::null_mut();
        self.slot().clear();
        self.core.take_over(self.slot());
    }

    /// A future of the next version: one that is newer than what [`get`](Self::get) gave last, or the current
    /// one before the first `get`. It gives the number; `get` then gives that version or a later one.
    ///
    /// Fails with [`Closed`] when the cell was dropped and nothing newer can come. Costs as
    /// [`SnapshotCell::changed`](super::SnapshotCell::changed).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: as long as `get` was not called the next one is ready at once.
    pub fn changed(&mut self) -> ReaderChanged<'_, T> {
        let next = self.version().map_or(Version(0), Version::next);
        ReaderChanged::new(&self.core, next)
    }

    /// Blocks as [`changed`](Self::changed) awaits.
    ///
    /// ```
    /// let cell = queenright_primitives::snapshot::SnapshotCell::new(0);
    /// let mut reader = cell.reader();
    /// let follower = std::thread::spawn(move || {
    ///     let mut sum = 0;
    ///     while reader.wait_changed().is_ok() {
    ///         sum += reader.get();    // some versions may be skipped, but never the last
    ///     }
    ///     (sum, *reader.get())
    /// });
    /// for _ in 0..3 {
    ///     cell.update(|n| n + 1).unwrap();
    /// }
    /// drop(cell);
    /// let (sum, last) = follower.join().unwrap();
    /// assert!((3..=6).contains(&sum) && last == 3);
    /// ```
    ///
    /// # Errors
    /// [`Closed`] when the cell was dropped and nothing newer can come.
    pub fn wait_changed(&mut self) -> Result<Version, Closed> {
        self.changed().wait(None).map_err(|_| Closed)
    }

    /// Blocks as [`wait_changed`](Self::wait_changed) does, until `timeout` has passed.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] when the time was up, [`WaitError::Closed`] as above.
    pub fn wait_changed_timeout(&mut self, timeout: Duration) -> Result<Version, WaitError> {
        self.changed().wait(Some(timeout))
    }
}

impl<T> Clone for SnapshotReader<T> {
    /// A handle that has read nothing yet. Lock-free, O(handles).
    fn clone(&self) -> Self {
        SnapshotReader::new(Arc::clone(&self.core))
    }
}

impl<T> Drop for SnapshotReader<T> {
    fn drop(&mut self) {
        self.slot().give_back();
        self.core.take_over(self.slot());
    }
}

impl<T> fmt::Debug for SnapshotReader<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version().map(|version| version.0);
        f.debug_struct("SnapshotReader").field("version", &version).finish_non_exhaustive()
    }
}

impl<T: RefUnwindSafe> UnwindSafe for SnapshotReader<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for SnapshotReader<T> {}
