//! What a subscription that drops the newest holds: a bounded queue of its own.

use std::ptr::NonNull;

use super::core::Line;
use crate::sync::{Arc, AtomicU64, Ordering, UnsafeCell};

/// Messages for one subscriber, at most as many as there are places.
///
/// One thread at a time offers, under the ring's lock; one subscriber looks and takes. Each side writes its own
/// count and reads the other's (Lamport, *Specifying concurrent program modules*, 1983). Both are wait-free.
pub(super) struct Window<T> {
    places: Box<[UnsafeCell<Option<Arc<T>>>]>,
    /// How many messages were put in.
    put: Line<AtomicU64>,
    /// How many were taken out.
    taken: Line<AtomicU64>,
    /// How many found no room.
    lost: AtomicU64,
}

// SAFETY: messages are put in by one thread and read and dropped by another.
unsafe impl<T: Send + Sync> Send for Window<T> {}
// SAFETY: as above; a place is written by one side while the other leaves it alone.
unsafe impl<T: Send + Sync> Sync for Window<T> {}

impl<T> Window<T> {
    pub(super) fn new(places: usize) -> Self {
        Window {
            places: (0..places).map(|_| UnsafeCell::new(None)).collect(),
            put: Line(AtomicU64::new(0)),
            taken: Line(AtomicU64::new(0)),
            lost: AtomicU64::new(0),
        }
    }

    fn place(&self, number: u64) -> &UnsafeCell<Option<Arc<T>>> {
        &self.places[(number % self.places.len() as u64) as usize]
    }

    /// Whether a message that is offered now is taken in. It stays so until one is. For the offering side.
    pub(super) fn has_room(&self) -> bool {
        // Relaxed: this side alone writes it. Acquire pairs with the Release in `take`: the place is empty.
        let held = self.put.0.load(Ordering::Relaxed) - self.taken.0.load(Ordering::Acquire);
        held < self.places.len() as u64
    }

    /// # Safety
    /// The caller is the only one that offers, and has seen that there is room.
    pub(super) unsafe fn put(&self, message: Arc<T>) {
        let number = self.put.0.load(Ordering::Relaxed);
        // SAFETY: the subscriber leaves the place alone until the count says otherwise.
        self.place(number).with_mut(|place| unsafe { *place = Some(message) });
        // Release pairs with the Acquire in `len`.
        self.put.0.store(number + 1, Ordering::Release);
    }

    /// Counts a message that found no room.
    pub(super) fn lose(&self) {
        // Relaxed: a number for people; one thread at a time counts.
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// How many messages found no room.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// How many messages wait here. The subscriber may read that many.
    pub(super) fn len(&self) -> u64 {
        // Relaxed: the subscriber alone writes it. Acquire pairs with the Release in `put`.
        let taken = self.taken.0.load(Ordering::Relaxed);
        self.put.0.load(Ordering::Acquire) - taken
    }

    /// The message that comes after `ahead` others.
    ///
    /// # Safety
    /// The caller is the only subscriber, [`len`](Self::len) was above `ahead`, and no more than `ahead` messages are taken out as long
    /// as the answer is used.
    pub(super) unsafe fn get(&self, ahead: u64) -> NonNull<T> {
        let number = self.taken.0.load(Ordering::Relaxed) + ahead;
        // SAFETY: it was put in, and stays until it is taken out.
        let message = self.place(number).with(|place| unsafe { &*place }.as_deref());
        match message {
            Some(message) => NonNull::from(message),
            None => unreachable!("what was put in stands in its place"),
        }
    }

    /// Takes the first message out.
    ///
    /// # Safety
    /// The caller is the only subscriber, [`len`](Self::len) was above 0, and what [`get`](Self::get) gave for 0 is used no more.
    pub(super) unsafe fn take(&self) -> Option<Arc<T>> {
        let number = self.taken.0.load(Ordering::Relaxed);
        // SAFETY: the publishers leave the place alone until the count says otherwise.
        let message = self.place(number).with_mut(|place| unsafe { (*place).take() });
        // Release pairs with the Acquire in `has_room`.
        self.taken.0.store(number + 1, Ordering::Release);
        message
    }
}
