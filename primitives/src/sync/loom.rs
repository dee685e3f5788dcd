//! Loom's.
//!
//! Loom treats a `SeqCst` access as `AcqRel`; only its `SeqCst` fences are in one total order. So
//! [`AtomicPtr`], [`AtomicBool`], [`AtomicUsize`] and [`AtomicU64`] make such accesses there as compilers do for machines that have only
//! fences. There are two conventions, a fence after each write or one before each load, and every model runs under both: as one
//! fence stands for a write and the load that follows it, each convention shows what the other hides, a
//! write or a load that asks for less than it needs.

use std::cell::Cell;
use std::hash::{Hash, Hasher};

use ::loom::sync::atomic;

pub(crate) use ::loom::cell::UnsafeCell;
pub(crate) use ::loom::hint::spin_loop;
pub(crate) use ::loom::sync::atomic::{Ordering, fence};
pub(crate) use ::loom::sync::{Arc, Mutex};
pub(crate) use ::loom::thread::{Thread, current, park, yield_now};

pub(crate) const fn model_or(model: usize, _normal: usize) -> usize {
    model
}

/// What a Relaxed load before an exchange gives, without the load. Of each atomic loom remembers the last access alone, to find
/// what it must be tried before: a load of the thread's own, followed by its exchange, would hide all accesses of others from
/// that. This hides nothing, and sees no old value; with one the exchange would only fail.
pub(crate) fn guess<T>(pointer: &AtomicPtr<T>) -> *mut T {
    let null = std::ptr::null_mut();
    let seen = pointer.compare_exchange(null, null, Ordering::Relaxed, Ordering::Relaxed);
    seen.unwrap_or_else(|other| other)
}

/// The place of this thread in the run.
pub(crate) fn thread_number() -> usize {
    /// Keeps the last number that is hashed, which of a thread's id is that place.
    struct Last(usize);
    impl Hasher for Last {
        fn write(&mut self, _: &[u8]) {}
        fn write_usize(&mut self, number: usize) {
            self.0 = number;
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut last = Last(0);
    current().id().hash(&mut last);
    last.0
}

pub(crate) fn own_number() -> Option<usize> {
    Some(thread_number())
}

/// Loom has no clock.
pub(crate) fn park_timeout(_timeout: std::time::Duration) {
    park();
}

pub(crate) fn sleep(_time: std::time::Duration) {
    yield_now();
}

/// Where the fence of a `SeqCst` access stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fences {
    /// After each write.
    AfterWrites,
    /// Before each load.
    BeforeLoads,
}

thread_local!(static FENCES: Cell<Fences> = const { Cell::new(Fences::AfterWrites) });

/// Chooses for the models that this thread of the system runs.
pub fn put_fences(fences: Fences) {
    FENCES.set(fences);
}

/// Loom's, with the total order that `SeqCst` accesses have.
#[derive(Debug)]
pub(crate) struct AtomicPtr<T>(atomic::AtomicPtr<T>);

impl<T> AtomicPtr<T> {
    #[track_caller]
    pub(crate) fn new(pointer: *mut T) -> Self {
        AtomicPtr(atomic::AtomicPtr::new(pointer))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        before(order);
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn store(&self, pointer: *mut T, order: Ordering) {
        self.0.store(pointer, order);
        after(order);
    }

    #[track_caller]
    pub(crate) fn swap(&self, pointer: *mut T, order: Ordering) -> *mut T {
        let old = self.0.swap(pointer, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        expected: *mut T,
        new: *mut T,
        success: Ordering,
        failure: Ordering,
    ) -> Result<*mut T, *mut T> {
        let result = self.0.compare_exchange(expected, new, success, failure);
        if result.is_ok() {
            after(success);
        }
        result
    }
}

/// As [`AtomicPtr`].
#[derive(Debug)]
pub(crate) struct AtomicBool(atomic::AtomicBool);

impl AtomicBool {
    #[track_caller]
    pub(crate) fn new(value: bool) -> Self {
        AtomicBool(atomic::AtomicBool::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> bool {
        before(order);
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn store(&self, value: bool, order: Ordering) {
        self.0.store(value, order);
        after(order);
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: bool, order: Ordering) -> bool {
        let old = self.0.swap(value, order);
        after(order);
        old
    }
}

/// As [`AtomicPtr`].
#[derive(Debug)]
pub(crate) struct AtomicUsize(atomic::AtomicUsize);

impl AtomicUsize {
    #[track_caller]
    pub(crate) fn new(value: usize) -> Self {
        AtomicUsize(atomic::AtomicUsize::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> usize {
        before(order);
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, value: usize, order: Ordering) -> usize {
        let old = self.0.fetch_add(value, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: usize, order: Ordering) -> usize {
        let old = self.0.fetch_sub(value, order);
        after(order);
        old
    }
}

/// As [`AtomicPtr`].
#[derive(Debug)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    #[track_caller]
    pub(crate) fn new(value: u64) -> Self {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> u64 {
        before(order);
        self.0.load(order)
    }

    #[track_caller]
    pub(crate) fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
        after(order);
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: u64, order: Ordering) -> u64 {
        let old = self.0.swap(value, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        let old = self.0.fetch_add(value, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn fetch_and(&self, value: u64, order: Ordering) -> u64 {
        let old = self.0.fetch_and(value, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn fetch_sub(&self, value: u64, order: Ordering) -> u64 {
        let old = self.0.fetch_sub(value, order);
        after(order);
        old
    }

    #[track_caller]
    pub(crate) fn compare_exchange(
        &self,
        expected: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        let result = self.0.compare_exchange(expected, new, success, failure);
        if result.is_ok() {
            after(success);
        }
        result
    }
}

fn before(order: Ordering) {
    fence_if(order, Fences::BeforeLoads);
}

fn after(order: Ordering) {
    fence_if(order, Fences::AfterWrites);
}

fn fence_if(order: Ordering, fences: Fences) {
    if order == Ordering::SeqCst && FENCES.get() == fences {
        fence(Ordering::SeqCst);
    }
}
