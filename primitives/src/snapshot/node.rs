//! One version in memory, and owned handles on it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::process::abort;
use std::ptr::{self, NonNull};

use super::Version;
use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

/// One version. Its cell holds it until it is reclaimed, and each [`Snapshot`] holds it too; the last to let
/// go frees it.
// In this order, so that the number and the beginning of the value share a line.
#[repr(C)]
pub(super) struct Node<T> {
    holders: AtomicUsize,
    /// The next in the list of the cell that the node stands in. Whoever owns the list may access it. (Without its
    /// type, so that a `Snapshot<T>` is covariant in `T`, as an `Arc` is.)
    next: UnsafeCell<*mut ()>,
    /// Where to sign off when the node is freed, if its cell let go of it before the last snapshot did.
    outlives: UnsafeCell<Option<Arc<AtomicUsize>>>,
    /// The place in the cell's segments of history, 0 for the last of one; see `Core::collect`.
    pub(super) place: u8,
    pub(super) version: Version,
    pub(super) value: T,
}

impl<T> Node<T> {
    /// A node that one holder has: the cell that will publish it.
    pub(super) fn new(version: Version, place: u8, next: *mut Node<T>, value: T) -> Box<Self> {
        Box::new(Node {
            holders: AtomicUsize::new(1),
            version,
            place,
            next: UnsafeCell::new(next.cast()),
            outlives: UnsafeCell::new(None),
            value,
        })
    }

    /// # Safety
    /// The caller owns the list that the node stands in.
    pub(super) unsafe fn next(&self) -> *mut Node<T> {
        // SAFETY: nobody else writes the link.
        self.next.with(|next| unsafe { *next }).cast()
    }

    /// # Safety
    /// The caller owns the list that the node stands in, or is about to.
    pub(super) unsafe fn set_next(&self, node: *mut Node<T>) {
        // SAFETY: nobody else accesses the link.
        self.next.with_mut(|next| unsafe { *next = node.cast() });
    }

    /// Lets go of a node on behalf of its cell. It is freed now if no snapshot holds it; if some do, it counts
    /// as one of `outliving` until the last of them is dropped.
    ///
    /// # Safety
    /// `node` came from a box and was unlinked from the cell, which calls this once; nobody but holders of
    /// snapshots can reach it any more.
    pub(super) unsafe fn release(node: NonNull<Self>, outliving: &Arc<AtomicUsize>) {
        // SAFETY: the cell still holds the node.
        let this = unsafe { node.as_ref() };
        // Acquire pairs with the Release of the snapshots that let go.
        if this.holders.load(Ordering::Acquire) > 1 {
            // Relaxed: a number for people. It is counted down only after the node was let go of, below.
            outliving.fetch_add(1, Ordering::Relaxed);
            // SAFETY: only the last holder reads it, after all others have let go.
            this.outlives.with_mut(|outlives| unsafe { *outlives = Some(Arc::clone(outliving)) });
            // SAFETY: the cell lets go of what it held.
            unsafe { Self::let_go(node) };
        } else {
            // SAFETY: the caller is the only holder, and nobody can become one.
            drop(unsafe { Box::from_raw(node.as_ptr()) });
        }
    }

    /// # Safety
    /// The caller is one of the holders, and is none afterwards.
    unsafe fn let_go(node: NonNull<Self>) {
        // SAFETY: the caller holds the node.
        let this = unsafe { node.as_ref() };
        // Release puts all that this holder did before the freeing by the last one, whose Acquire pairs
        // with it.
        if this.holders.fetch_sub(1, Ordering::Release) == 1 {
            this.holders.load(Ordering::Acquire);
            // SAFETY: the caller was the last holder.
            let last = unsafe { Box::from_raw(node.as_ptr()) };
            // SAFETY: as above.
            last.outlives.with_mut(|outlives| unsafe { (*outlives).take() }).inspect(|outliving| {
                outliving.fetch_sub(1, Ordering::Relaxed);
            });
            drop(last);
        }
    }
}

/// An owned handle on one version. Cloning costs a reference count; the state behind it never changes.
///
/// It may outlive the cell. The last handle on a version that the cell has given up drops the state, on
/// its own thread.
pub struct Snapshot<T> {
    node: NonNull<Node<T>>,
    _holds: PhantomData<Node<T>>,
}

// SAFETY: a snapshot gives `&T` to its thread, and may be the one that drops the `T`; as for `Arc`.
unsafe impl<T: Send + Sync> Send for Snapshot<T> {}
// SAFETY: as above; through `&Snapshot` others can be made by cloning.
unsafe impl<T: Send + Sync> Sync for Snapshot<T> {}

impl<T: RefUnwindSafe> UnwindSafe for Snapshot<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Snapshot<T> {}

impl<T> Snapshot<T> {
    /// A further handle on a node that somebody holds or protects while this runs.
    ///
    /// # Safety
    /// The node is alive until this returns.
    #[inline]
    pub(super) unsafe fn hold(node: NonNull<Node<T>>) -> Self {
        // SAFETY: the caller keeps the node alive.
        let holders = &unsafe { node.as_ref() }.holders;
        // Relaxed: whoever takes a handle has one or protects the node, so it cannot be freed meanwhile.
        let before = holders.fetch_add(1, Ordering::Relaxed);
        // Only handles that were forgotten can be so many; to count on would end in a use after free.
        if before > isize::MAX as usize {
            abort();
        }
        Snapshot { node, _holds: PhantomData }
    }

    fn node(&self) -> &Node<T> {
        // SAFETY: this handle is one of the node's holders.
        unsafe { self.node.as_ref() }
    }

    /// Which version this is.
    pub fn version(&self) -> Version {
        self.node().version
    }

    /// Whether both are handles on the very same version of the same cell.
    pub fn ptr_eq(this: &Self, other: &Self) -> bool {
        ptr::eq(this.node.as_ptr(), other.node.as_ptr())
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        // SAFETY: this handle keeps the node alive.
        unsafe { Snapshot::hold(self.node) }
    }
}

impl<T> Drop for Snapshot<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this handle was one of the holders.
        unsafe { Node::let_go(self.node) };
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.node().value
    }
}

impl<T> AsRef<T> for Snapshot<T> {
    fn as_ref(&self) -> &T {
        self
    }
}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version().0)
            .field("value", &**self)
            .finish()
    }
}
