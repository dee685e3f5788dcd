//! The only place that names `std`'s or a model checker's atomics, locks, threads and reference counts.
//!
//! A normal build re-exports the types of `std`. Under `--cfg queenright_loom` (with the feature `loom`) the
//! same names come from loom, which then explores every interleaving and every value that a weak memory
//! model allows.
//!
//! Loom treats a `SeqCst` access as `AcqRel`; only its `SeqCst` fences are in one total order. So
//! [`AtomicPtr`] and [`AtomicBool`] make such accesses there as compilers do for machines that have only fences. There are two
//! conventions, a fence after each write or one before each load, and every model runs under both: as one
//! fence stands for a write and the load that follows it, each convention shows what the other hides, a
//! write or a load that asks for less than it needs.

#[cfg(all(queenright_loom, not(feature = "loom")))]
compile_error!(
    "`--cfg queenright_loom` needs the feature `loom` of queenright-primitives: \
     run the models as the README shows, `cargo test -p queenright-loom-tests`"
);

#[cfg(not(queenright_loom))]
mod imp {
    use std::cell::Cell;

    pub(crate) use std::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
    };
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use std::thread::{Thread, current, park, park_timeout};

    /// As loom's, which watches every access.
    #[derive(Debug)]
    pub(crate) struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        pub(crate) fn new(value: T) -> Self {
            UnsafeCell(std::cell::UnsafeCell::new(value))
        }

        #[inline]
        pub(crate) fn with<R>(&self, access: impl FnOnce(*const T) -> R) -> R {
            access(self.0.get())
        }

        #[inline]
        pub(crate) fn with_mut<R>(&self, access: impl FnOnce(*mut T) -> R) -> R {
            access(self.0.get())
        }
    }

    /// The first of the two in a model, where every step multiplies what is to be explored.
    pub(crate) const fn model_or(_model: usize, normal: usize) -> usize {
        normal
    }

    /// A number that this thread keeps, different from that of most others.
    #[inline]
    pub(crate) fn thread_number() -> usize {
        thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
        // A thread that is being torn down shares the first number.
        let number = NUMBER.try_with(Cell::get).unwrap_or(1);
        if number != 0 { number } else { first_number(|number| NUMBER.set(number)) }
    }

    #[cold]
    fn first_number(keep: impl FnOnce(usize)) -> usize {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        // Relaxed: only the numbers matter. After a wrap-around, 0 just asks again.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        keep(number);
        number
    }
}

#[cfg(all(queenright_loom, feature = "loom"))]
mod imp {
    use std::cell::Cell;

    use loom::sync::atomic;

    pub(crate) use loom::cell::UnsafeCell;
    pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub(crate) use loom::thread::{Thread, current, park};

    pub(crate) const fn model_or(model: usize, _normal: usize) -> usize {
        model
    }

    pub(crate) fn thread_number() -> usize {
        0
    }

    /// Loom has no clock.
    pub(crate) fn park_timeout(_timeout: std::time::Duration) {
        park();
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

        pub(crate) fn compare_exchange_weak(
            &self,
            expected: *mut T,
            new: *mut T,
            success: Ordering,
            failure: Ordering,
        ) -> Result<*mut T, *mut T> {
            self.compare_exchange(expected, new, success, failure)
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
}

pub(crate) use imp::*;
#[cfg(queenright_loom)]
pub use imp::{Fences, put_fences};

/// Locks a mutex whose holder never runs user code that could leave the data half-changed, so that a
/// panic elsewhere in that thread says nothing about the data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits on a condition, with the same view of poisoning as [`lock`].
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}
