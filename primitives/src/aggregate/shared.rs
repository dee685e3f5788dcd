//! Many threads submit, without a lock, and one of them takes what it all merges to.
//!
//! # Protocol
//! What is submitted stands in a list, newest first (Treiber 1986). It is only ever taken whole, by an exchange of its first link, so that
//! nothing is unlinked from the middle and no address can be mistaken for another (ABA). Whoever takes it owns it, and merges it
//! by itself, oldest first.
//!
//! | this | and this | so that |
//! |---|---|---|
//! | a parcel put on the list (Release) | the list taken (Acquire) | who merges a change sees it whole; each exchange of the link passes on those before it |

use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::{fmt, iter, ptr};

use super::{Aggregator, Commutative};
use crate::panics::drop_each;
use crate::sync::{AtomicPtr, Ordering};

/// Changes of many threads, merged by whoever [drains](Self::drain) them.
///
/// [`submit`](Self::submit) costs an allocation and an exchange. A thread that has many changes takes a
/// [`Submitter`], which merges them by itself and sends them together.
///
/// # Progress
/// `submit` and `send` are lock-free: a further attempt means that somebody else has sent or drained. `drain` takes
/// everything in one step (wait-free), and then merges it in O(changes). Nobody waits for anybody, wherever that one is suspended.
///
/// # Memory
/// Unbounded: what is submitted waits to be drained. Of a [`Submitter`] that is one change a key, for each time that it sends.
///
/// ```
/// use queenright_primitives::aggregate::{CommutativeAggregator, Sum};
///
/// let totals = CommutativeAggregator::new();
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let mut submitter = totals.submitter();
///             (0..100).for_each(|_| submitter.submit("apples", &Sum::of(1)).unwrap());
///         });
///     }
/// });
/// let drained = totals.drain();
/// assert_eq!(drained.merged[0].1.apply(0), Ok(200));
/// ```
pub struct CommutativeAggregator<K, C> {
    newest: AtomicPtr<Parcel<K, C>>,
    /// It owns what it points to.
    owned: PhantomData<*mut Parcel<K, C>>,
}

// SAFETY: keys and changes come in with one thread and go out with another. No two look at one at the same time.
unsafe impl<K: Send, C: Send> Send for CommutativeAggregator<K, C> {}
// SAFETY: as above.
unsafe impl<K: Send, C: Send> Sync for CommutativeAggregator<K, C> {}

// Nothing of the caller's runs while a parcel is on its way.
impl<K, C> UnwindSafe for CommutativeAggregator<K, C> {}
impl<K, C> RefUnwindSafe for CommutativeAggregator<K, C> {}

/// What was submitted together.
struct Parcel<K, C> {
    changes: Vec<(K, C)>,
    older: *mut Parcel<K, C>,
}

/// What [`CommutativeAggregator::drain`] took.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained<K, C, R> {
    /// One change a key.
    pub merged: Vec<(K, C)>,
    /// What could not stand with the changes that were submitted before it.
    pub refused: Vec<RefusedChange<K, C, R>>,
}

/// A change that could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedChange<K, C, R> {
    /// Where.
    pub key: K,
    /// The change; of a [`Submitter`], what its changes had merged to.
    pub change: C,
    /// Why.
    pub refusal: R,
}

impl<K, C> CommutativeAggregator<K, C> {
    /// Without any change yet.
    pub fn new() -> Self {
        CommutativeAggregator { newest: AtomicPtr::new(ptr::null_mut()), owned: PhantomData }
    }

    /// Adds one change. Lock-free.
    pub fn submit(&self, key: K, change: C) {
        self.send(vec![(key, change)]);
    }

    fn send(&self, changes: Vec<(K, C)>) {
        // Relaxed: the exchange finds out whether it is still so.
        let mut newest = self.newest.load(Ordering::Relaxed);
        let parcel = Box::into_raw(Box::new(Parcel { changes, older: newest }));
        loop {
            // Release: see the module's page.
            match self.newest.compare_exchange(newest, parcel, Ordering::Release, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(other) => newest = other,
            }
            // SAFETY: nobody else has the parcel yet.
            unsafe { (*parcel).older = newest };
        }
    }

    /// Everything that was submitted and not taken yet, newest first.
    fn take(&self) -> impl Iterator<Item = Vec<(K, C)>> {
        // Acquire: see the module's page.
        let mut rest = Rest(self.newest.swap(ptr::null_mut(), Ordering::Acquire));
        iter::from_fn(move || rest.next())
    }
}

/// A list that its owner has to itself.
struct Rest<K, C>(*mut Parcel<K, C>);

impl<K, C> Rest<K, C> {
    fn next(&mut self) -> Option<Vec<(K, C)>> {
        if self.0.is_null() {
            return None;
        }
        // SAFETY: it came from a box, and the list was taken whole, by its owner alone.
        let parcel = *unsafe { Box::from_raw(self.0) };
        self.0 = parcel.older;
        Some(parcel.changes)
    }
}

impl<K, C> Drop for Rest<K, C> {
    fn drop(&mut self) {
        drop_each(iter::from_fn(|| self.next()).flatten());
    }
}

impl<K: Hash + Eq, C: Commutative + Clone> CommutativeAggregator<K, C> {
    /// A place where this thread's changes are merged before they are sent. It sends when it is told to, and when it is dropped.
    pub fn submitter(&self) -> Submitter<'_, K, C> {
        self.submitter_with_hasher(foldhash::fast::RandomState::default())
    }

    /// As [`submitter`](Self::submitter), with a hash function of your own.
    pub fn submitter_with_hasher<S: BuildHasher>(&self, hasher: S) -> Submitter<'_, K, C, S> {
        Submitter { to: self, merged: Aggregator::with_hasher(hasher) }
    }

    /// Takes all that was submitted before, and merges it, oldest first: no change is lost, and none is taken twice.
    ///
    /// Which one of two that cannot stand together is refused depends on which came first.
    pub fn drain(&self) -> Drained<K, C, C::Refusal> {
        let mut parcels: Vec<_> = self.take().collect();
        parcels.reverse();
        let mut merged = Aggregator::new();
        let mut refused = Vec::new();
        for (key, change) in parcels.into_iter().flatten() {
            if let Err((key, refusal)) = merged.submit_or_return(key, &change) {
                refused.push(RefusedChange { key, change, refusal });
            }
        }
        Drained { merged: merged.drain().collect(), refused }
    }
}

impl<K, C> Default for CommutativeAggregator<K, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, C> Drop for CommutativeAggregator<K, C> {
    fn drop(&mut self) {
        drop_each(self.take().flatten());
    }
}

impl<K, C> fmt::Debug for CommutativeAggregator<K, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommutativeAggregator").finish_non_exhaustive()
    }
}

/// One thread's changes, on their way into a [`CommutativeAggregator`].
#[derive(Debug)]
pub struct Submitter<'a, K: Hash + Eq, C: Commutative + Clone, S = foldhash::fast::RandomState>
where
    S: BuildHasher,
{
    to: &'a CommutativeAggregator<K, C>,
    merged: Aggregator<K, C, S>,
}

impl<K: Hash + Eq, C: Commutative + Clone, S: BuildHasher> Submitter<'_, K, C, S> {
    /// Merges one change with those that wait here to be sent.
    ///
    /// # Errors
    /// When it cannot stand with those; nothing is changed then.
    pub fn submit(&mut self, key: K, change: &C) -> Result<(), C::Refusal> {
        self.merged.submit(key, change)
    }

    /// Sends what has been merged here. Lock-free.
    pub fn send(&mut self) {
        let changes: Vec<_> = self.merged.drain().collect();
        if !changes.is_empty() {
            self.to.send(changes);
        }
    }
}

impl<K: Hash + Eq, C: Commutative + Clone, S: BuildHasher> Drop for Submitter<'_, K, C, S> {
    fn drop(&mut self) {
        self.send();
    }
}
