use std::fmt;
use std::panic::{RefUnwindSafe, UnwindSafe};

use super::core::{Core, Make, Restore};
use super::{Builder, OwnedPooled, Pooled, PutError, Stats};
use crate::sync::Arc;

/// A bounded set of idle objects to take from and to give back to, from any number of threads.
///
/// Cloning gives a further handle on the same pool. See the [module page](crate::pool) for its progress and bounds.
///
/// ```
/// use queenright_primitives::pool::Pool;
///
/// let pool = Pool::builder(|| Vec::with_capacity(4096))
///     .capacity(16)
///     .keep_if(|buffer: &Vec<u8>| buffer.capacity() <= 64 * 1024)
///     .reset(Vec::clear)
///     .build();
///
/// let mut buffer = pool.take();           // made, as none is idle yet
/// buffer.extend_from_slice(b"some bytes");
/// drop(buffer);                           // cleared and kept
/// assert!(pool.take().is_empty());        // the same memory again
/// assert_eq!((pool.stats().misses, pool.stats().hits), (1, 1));
/// ```
pub struct Pool<T> {
    core: Arc<Core<T>>,
}

impl<T> Pool<T> {
    /// A pool of up to `capacity` idle objects, which `make` makes as they are needed. They are kept as they are
    /// returned; for other wishes see [`builder`](Self::builder).
    ///
    /// # Panics
    /// If the capacity is beyond what memory can be addressed for.
    pub fn new(capacity: usize, make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Pool::of(capacity, Box::new(make), None)
    }

    /// A pool with a hook that resets what is returned, or that chooses what to keep.
    pub fn builder(make: impl Fn() -> T + Send + Sync + 'static) -> Builder<T> {
        Builder::new(make)
    }

    pub(super) fn of(capacity: usize, make: Make<T>, restore: Option<Restore<T>>) -> Self {
        Pool { core: Arc::new(Core::new(capacity, make, restore)) }
    }

    /// Takes an idle object, or makes one if there is none: never waits. Wait-free beside the making; O(1) if the thread
    /// finds one near to hand, else O(capacity).
    ///
    /// An object that goes back or is taken while this looks may be overlooked.
    ///
    /// # Panics
    /// If making an object does. Nothing has changed then.
    #[inline]
    pub fn take(&self) -> Pooled<'_, T> {
        Pooled::new(self.core.take(), &self.core)
    }

    /// Takes an idle object; `None` if there is none. As [`take`](Self::take), but makes nothing.
    #[inline]
    pub fn try_take(&self) -> Option<Pooled<'_, T>> {
        self.core.try_take().map(|taken| Pooled::new(taken, &self.core))
    }

    /// As [`take`](Self::take), for whoever outlives this borrow of the pool; costs a reference count.
    ///
    /// ```
    /// use queenright_primitives::pool::Pool;
    ///
    /// let pool = Pool::new(8, || vec![0_u8; 1024]);
    /// let mut buffer = pool.take_owned();
    /// let task = std::thread::spawn(move || buffer[0] = 1);
    /// task.join().unwrap();
    /// assert_eq!(pool.len(), 1);
    /// ```
    pub fn take_owned(&self) -> OwnedPooled<T> {
        OwnedPooled::new(self.core.take(), Arc::clone(&self.core))
    }

    /// As [`try_take`](Self::try_take), for whoever outlives this borrow of the pool; costs a reference count.
    pub fn try_take_owned(&self) -> Option<OwnedPooled<T>> {
        self.core.try_take().map(|taken| OwnedPooled::new(taken, Arc::clone(&self.core)))
    }

    /// Puts in an object that was made elsewhere, as if it was returned: it is reset first. Wait-free beside that;
    /// O(capacity) at most.
    ///
    /// # Errors
    /// [`PutError`] gives the object back, if there is no room or it is not worth keeping. It is not counted then.
    ///
    /// # Panics
    /// If a hook does; the object is dropped then, and counted as discarded.
    pub fn put(&self, object: T) -> Result<(), PutError<T>> {
        let mut taken = self.core.adopt(object);
        match self.core.restore(&mut taken) {
            Ok(true) => {
                self.core.put(taken).map_err(|taken| PutError::Full(self.core.release(taken)))
            }
            Ok(false) => Err(PutError::Refused(self.core.release(taken))),
            Err(panic) => {
                self.core.discard(taken, Some(panic));
                Ok(())
            }
        }
    }

    /// Drops the objects that are idle. Wait-free beside that; O(capacity).
    ///
    /// # Panics
    /// If the drop of an object does. All others are dropped all the same, and the first panic goes on.
    pub fn clear(&self) {
        self.core.clear(usize::MAX);
    }

    /// Drops idle objects until no more than `most` are left. As [`clear`](Self::clear). What is returned meanwhile is kept.
    pub fn shrink_to(&self, most: usize) {
        self.core.clear(self.len().saturating_sub(most));
    }

    /// How many objects are idle. Exact while nobody else uses the pool. O(capacity).
    pub fn len(&self) -> usize {
        self.core.len()
    }

    /// Whether no object is idle. As [`len`](Self::len).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many idle objects are kept at most.
    pub fn capacity(&self) -> usize {
        self.core.capacity
    }

    /// What the pool has done so far. Exact while nobody else uses the pool. O(capacity).
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }
}

impl<T> Clone for Pool<T> {
    fn clone(&self) -> Self {
        Pool { core: Arc::clone(&self.core) }
    }
}

impl<T> fmt::Debug for Pool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("capacity", &self.capacity())
            .field("idle", &self.len())
            .finish_non_exhaustive()
    }
}

// A panic in a hook leaves no object behind that was not reset, and nobody sees one while it is idle.
impl<T> UnwindSafe for Pool<T> {}
impl<T> RefUnwindSafe for Pool<T> {}
