//! Where idle objects stand: one word each, which is empty, holds an object, or is held by somebody.

use std::ptr::{self, NonNull};

use crate::sync::{AtomicPtr, AtomicU64, Ordering, guess, model_or};

/// How many places stand in a line, which with its two counters fills 128 bytes.
pub(super) const WIDE: usize = model_or(2, 7);

/// Room for one idle object.
///
/// Whoever takes the object *holds* the place from then on: nobody else puts or takes there until the holder puts an object
/// back or vacates the place. So it may count there without a read-modify-write.
pub(super) struct Place<N> {
    /// Null when the place is empty, [`held`] when somebody holds it, else an object from a box.
    object: AtomicPtr<N>,
    /// How many objects were taken out for somebody to use. Written by the holder alone.
    hits: AtomicU64,
}

/// Marks a place that somebody holds, and is no object's address.
fn held<N>() -> *mut N {
    ptr::without_provenance_mut(usize::MAX)
}

impl<N> Place<N> {
    fn empty() -> Self {
        Place { object: AtomicPtr::new(ptr::null_mut()), hits: AtomicU64::new(0) }
    }

    /// A place that nobody will ever vacate, so that it is none.
    fn closed() -> Self {
        Place { object: AtomicPtr::new(held()), hits: AtomicU64::new(0) }
    }

    fn is_object(object: *mut N) -> bool {
        !object.is_null() && object != held()
    }

    /// Whether an object is here. A guess, unless nobody else uses the pool.
    pub(super) fn is_full(&self) -> bool {
        Self::is_object(self.object.load(Ordering::Relaxed))
    }

    /// Takes the object that is here, if any. The caller holds the place then.
    #[inline]
    pub(super) fn take(&self) -> Option<NonNull<N>> {
        // Nothing is read through the pointer before the exchange has made sure of it; and if another object stood here
        // meanwhile and this one is back, then it is here.
        let object = guess(&self.object);
        if !Self::is_object(object) {
            return None;
        }
        // Acquire pairs with the Release in `put`, `put_back` and `vacate`: what was done with the object, and what was
        // counted here, is done.
        let taken =
            self.object.compare_exchange(object, held(), Ordering::Acquire, Ordering::Relaxed);
        NonNull::new(taken.ok()?)
    }

    /// Counts the object that the caller took from here, and holds the place for.
    #[inline]
    pub(super) fn count_hit(&self) {
        // Relaxed: the holder alone writes, and each passes the place on with Release.
        self.hits.store(self.hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Puts an object here and gives the place up, which the caller holds.
    #[inline]
    pub(super) fn put_back(&self, object: NonNull<N>) {
        // Release pairs with the Acquire in `take`.
        self.object.store(object.as_ptr(), Ordering::Release);
    }

    /// Gives the place up, which the caller holds, and leaves it empty.
    #[inline]
    pub(super) fn vacate(&self) {
        // Release pairs with the Acquire in `take`: whoever takes what is put here next reads what was counted. (The
        // exchange in `put` stands between them, and a read-modify-write passes the Release on.)
        self.object.store(ptr::null_mut(), Ordering::Release);
    }

    /// Puts an object here if the place is empty.
    #[inline]
    pub(super) fn put(&self, object: NonNull<N>) -> bool {
        if !guess(&self.object).is_null() {
            return false;
        }
        // Release pairs with the Acquire in `take`. It need not acquire: nothing of the last holder's is looked at here.
        let empty = ptr::null_mut();
        let put = self.object.compare_exchange(
            empty,
            object.as_ptr(),
            Ordering::Release,
            Ordering::Relaxed,
        );
        put.is_ok()
    }
}

/// The places that a thread looks at first, and what is counted beside them.
///
/// On lines of the cache of its own (two, as processors fetch them in pairs), so that threads do not slow each other.
#[repr(align(128))]
pub(super) struct Line<N> {
    pub(super) places: [Place<N>; WIDE],
    /// Objects that were made because none was idle.
    pub(super) misses: AtomicU64,
    /// Objects that were returned and dropped.
    pub(super) discarded: AtomicU64,
}

impl<N> Line<N> {
    /// A line of as many places.
    pub(super) fn of(places: usize) -> Self {
        let place = |at| if at < places { Place::empty() } else { Place::closed() };
        Line {
            places: std::array::from_fn(place),
            misses: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        }
    }

    /// Takes the last object of the line, so that what was put last goes first.
    #[inline]
    pub(super) fn take(&self) -> Option<NonNull<N>> {
        self.places.iter().rev().find_map(|place| {
            let object = place.take()?;
            place.count_hit();
            place.vacate();
            Some(object)
        })
    }

    /// Puts an object in the first empty place.
    #[inline]
    pub(super) fn put(&self, object: NonNull<N>) -> bool {
        self.places.iter().any(|place| place.put(object))
    }
}
