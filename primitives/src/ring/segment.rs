//! Where messages stand.

use std::mem;
use std::ptr::NonNull;

use crate::sync::{Arc, UnsafeCell};

/// A message in its place.
pub(super) enum Entry<T> {
    /// Nothing was published here yet.
    Vacant,
    /// The message itself.
    Own(T),
    /// One that the windows of subscriptions hold as well.
    Shared(Arc<T>),
}

impl<T> Entry<T> {
    fn message(&self) -> &T {
        match self {
            Entry::Own(message) => message,
            Entry::Shared(message) => message,
            Entry::Vacant => unreachable!("only places below the tail are read"),
        }
    }

    /// Whether dropping it runs code of the caller's or frees something.
    #[inline]
    pub(super) fn needs_drop(&self) -> bool {
        match self {
            Entry::Vacant => false,
            Entry::Own(_) => mem::needs_drop::<T>(),
            Entry::Shared(_) => true,
        }
    }
}

/// One place. Publishers write it, one at a time and while nobody reads it; then nobody writes it while it can be read.
pub(super) struct Place<T>(UnsafeCell<Entry<T>>);

impl<T> Place<T> {
    /// Puts a message here, and gives what was here before.
    ///
    /// # Safety
    /// Nobody else accesses the place, and whoever did before has done so before.
    #[inline]
    pub(super) unsafe fn replace(&self, entry: Entry<T>) -> Entry<T> {
        // SAFETY: the caller's promise.
        self.0.with_mut(|place| mem::replace(unsafe { &mut *place }, entry))
    }

    /// The message here.
    ///
    /// # Safety
    /// It was published before, and nobody writes the place as long as the answer is used.
    #[inline]
    pub(super) unsafe fn message(&self) -> NonNull<T> {
        // SAFETY: the caller's promise.
        self.0.with(|place| NonNull::from(unsafe { &*place }.message()))
    }
}

/// Places for messages with consecutive positions. All segments of a ring have as many.
pub(super) struct Segment<T>(Box<[Place<T>]>);

impl<T> Segment<T> {
    pub(super) fn new(places: usize) -> Self {
        Segment((0..places).map(|_| Place(UnsafeCell::new(Entry::Vacant))).collect())
    }

    #[inline]
    pub(super) fn places(&self) -> &[Place<T>] {
        &self.0
    }

    /// Everything that stands here and needs to be dropped.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<T>> {
        self.0.into_iter().filter_map(|place| {
            // SAFETY: the segment is nobody else's any more.
            let entry = unsafe { place.replace(Entry::Vacant) };
            entry.needs_drop().then_some(entry)
        })
    }
}
