//! Objects in use, which go back to their pool when they are dropped.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr;

use super::core::{Core, Taken};
use crate::sync::Arc;

/// An object in use, and the way to its pool.
struct Handle<T, C: Deref<Target = Core<T>>> {
    /// Given back or released once, by `drop` or by `into_inner`.
    taken: ManuallyDrop<Taken<T>>,
    core: C,
}

// SAFETY: it has the object alone. `C` says for itself whether the core may go along.
unsafe impl<T: Send, C: Deref<Target = Core<T>> + Send> Send for Handle<T, C> {}
// SAFETY: as above; `&Handle` gives `&T`.
unsafe impl<T: Sync, C: Deref<Target = Core<T>> + Sync> Sync for Handle<T, C> {}

impl<T, C: Deref<Target = Core<T>>> Handle<T, C> {
    #[inline]
    fn new(taken: Taken<T>, core: C) -> Self {
        Handle { taken: ManuallyDrop::new(taken), core }
    }

    fn into_inner(self) -> T {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the handle is not dropped, so that nobody else uses this again.
        let taken = unsafe { ManuallyDrop::take(&mut this.taken) };
        // SAFETY: as above.
        let core = unsafe { ptr::read(&this.core) };
        core.release(taken)
    }
}

impl<T, C: Deref<Target = Core<T>>> Drop for Handle<T, C> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the handle is not used again.
        let taken = unsafe { ManuallyDrop::take(&mut self.taken) };
        self.core.give_back(taken);
    }
}

/// An object in use that borrows its pool, and goes back to it when dropped: [`Pool::take`](super::Pool::take).
///
/// Where the object stands does not change while it is in the pool or in use. One that is forgotten leaks, and with it
/// perhaps the place that is kept for it.
#[must_use = "an object that is not used goes back at once"]
pub struct Pooled<'p, T>(Handle<T, &'p Core<T>>);

impl<'p, T> Pooled<'p, T> {
    #[inline]
    pub(super) fn new(taken: Taken<T>, core: &'p Core<T>) -> Self {
        Pooled(Handle::new(taken, core))
    }
}

/// An object in use that holds on to its pool, for tasks and threads that outlive the frame in which it was taken:
/// [`Pool::take_owned`](super::Pool::take_owned). Otherwise as [`Pooled`].
///
/// Kept in an object of the same pool, it would keep the pool alive for ever.
#[must_use = "an object that is not used goes back at once"]
pub struct OwnedPooled<T>(Handle<T, Arc<Core<T>>>);

impl<T> OwnedPooled<T> {
    pub(super) fn new(taken: Taken<T>, core: Arc<Core<T>>) -> Self {
        OwnedPooled(Handle::new(taken, core))
    }
}

/// What both kinds of handles can do.
macro_rules! handle {
    ($handle:ty) => {
        impl<T> $handle {
            /// Takes the object out of the pool for good. It is not reset, and not counted as returned.
            pub fn into_inner(this: Self) -> T {
                this.0.into_inner()
            }
        }

        impl<T> Deref for $handle {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                self.0.taken.object()
            }
        }

        impl<T> DerefMut for $handle {
            #[inline]
            fn deref_mut(&mut self) -> &mut T {
                self.0.taken.object_mut()
            }
        }

        impl<T> AsRef<T> for $handle {
            fn as_ref(&self) -> &T {
                self
            }
        }

        impl<T> AsMut<T> for $handle {
            fn as_mut(&mut self) -> &mut T {
                self
            }
        }

        impl<T: fmt::Debug> fmt::Debug for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&**self, f)
            }
        }

        impl<T: fmt::Display> fmt::Display for $handle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&**self, f)
            }
        }
    };
}

handle!(Pooled<'_, T>);
handle!(OwnedPooled<T>);
