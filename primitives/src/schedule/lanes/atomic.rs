//! The atomic of this module. In its tests a thread can be stopped before any access to it.

#[cfg(not(all(test, not(any(queenright_loom, queenright_shuttle)))))]
pub(super) use crate::sync::AtomicU64;
#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
pub(super) use stoppable::{AtomicU64, before_access};

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod stoppable {
    use std::cell::Cell;

    use crate::sync::{self, Ordering};

    type Stop = Box<dyn FnOnce()>;

    thread_local!(static STOP: Cell<Option<(usize, Stop)>> = const { Cell::new(None) });

    /// Has `stop` run before this thread's access of this number from now on, counted from 0.
    pub(in super::super) fn before_access(number: usize, stop: impl FnOnce() + 'static) {
        STOP.set(Some((number, Box::new(stop))));
    }

    fn access() {
        // A thread that is being torn down is not stopped.
        match STOP.try_with(Cell::take) {
            Ok(Some((0, stop))) => stop(),
            Ok(Some((number, stop))) => STOP.set(Some((number - 1, stop))),
            Ok(None) | Err(_) => {}
        }
    }

    #[derive(Debug)]
    pub(in super::super) struct AtomicU64(sync::AtomicU64);

    impl AtomicU64 {
        pub(in super::super) fn new(value: u64) -> Self {
            AtomicU64(sync::AtomicU64::new(value))
        }

        pub(in super::super) fn load(&self, order: Ordering) -> u64 {
            access();
            self.0.load(order)
        }

        pub(in super::super) fn store(&self, value: u64, order: Ordering) {
            access();
            self.0.store(value, order);
        }

        pub(in super::super) fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
            access();
            self.0.fetch_add(value, order)
        }

        pub(in super::super) fn compare_exchange(
            &self,
            expected: u64,
            new: u64,
            success: Ordering,
            failure: Ordering,
        ) -> Result<u64, u64> {
            access();
            self.0.compare_exchange(expected, new, success, failure)
        }
    }
}
