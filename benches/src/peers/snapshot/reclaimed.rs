//! Cells whose peer only brings the reclamation: an atomic pointer, and a library that says when the old state may go.

use std::sync::atomic::{AtomicPtr, Ordering};

use haphazard::HazardPointer;
use seize::{Collector, Guard};

use super::{Cell, Content, Reader, Through};

/// A pointer load, for ever unsafe beside a writer that frees: what the hardware allows.
///
/// Replaced states are kept until the cell is dropped, in a list that only the writer touches.
pub struct PointerLoad<T> {
    current: AtomicPtr<T>,
    replaced: std::sync::Mutex<Vec<Box<T>>>,
}

impl<T: Content> Cell<T> for PointerLoad<T> {
    const NAME: &'static str = "pointer load + deref";

    fn new(state: T) -> Self {
        PointerLoad {
            current: AtomicPtr::new(Box::into_raw(Box::new(state))),
            replaced: Default::default(),
        }
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        // SAFETY: states are freed only when the cell is dropped.
        let state = next(unsafe { &*self.current.load(Ordering::Acquire) });
        let old = self.current.swap(Box::into_raw(Box::new(state)), Ordering::AcqRel);
        if let Ok(mut replaced) = self.replaced.lock() {
            // SAFETY: it came from a box, and only this swap returned it.
            replaced.push(unsafe { Box::from_raw(old) });
            assert!(replaced.len() < 1 << 26, "the limit is for short runs: it frees nothing");
        }
    }
}

impl<T: Content> Reader<T> for Through<&PointerLoad<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        // SAFETY: states are freed only when the cell is dropped, which the reader borrows.
        read(unsafe { &*self.0.current.load(Ordering::Acquire) })
    }
}

impl<T> Drop for PointerLoad<T> {
    fn drop(&mut self) {
        // SAFETY: the last state came from a box, and nobody else has the cell any more.
        drop(unsafe { Box::from_raw(*self.current.get_mut()) });
    }
}

/// A box, swapped in, and the old one freed at once, which no cell with readers can do: what a commit costs at least. It
/// cannot be read.
pub struct BoxSwap<T> {
    first: T,
    current: AtomicPtr<T>,
}

impl<T: Content> BoxSwap<T> {
    /// One that starts with this state.
    pub fn new(state: T) -> Self {
        let current = AtomicPtr::new(Box::into_raw(Box::new(state.clone())));
        BoxSwap { first: state, current }
    }

    /// Builds a state from the first one, and swaps it in.
    #[inline]
    pub fn commit(&self, next: impl Fn(&T) -> T) {
        let state = Box::into_raw(Box::new(next(&self.first)));
        let old = self.current.swap(state, Ordering::AcqRel);
        // SAFETY: it came from a box, only this swap returned it, and nobody reads through the pointer.
        drop(unsafe { Box::from_raw(old) });
    }
}

impl<T> Drop for BoxSwap<T> {
    fn drop(&mut self) {
        // SAFETY: the last state came from a box, and nobody else has the cell any more.
        drop(unsafe { Box::from_raw(*self.current.get_mut()) });
    }
}

/// crossbeam-epoch: pin, then load.
pub struct Epoch<T>(crossbeam_epoch::Atomic<T>);

impl<T: Content> Cell<T> for Epoch<T> {
    const NAME: &'static str = "crossbeam-epoch pin + load";

    fn new(state: T) -> Self {
        Epoch(crossbeam_epoch::Atomic::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let guard = crossbeam_epoch::pin();
        loop {
            let current = self.0.load(Ordering::Acquire, &guard);
            // SAFETY: never null, and the guard keeps it.
            let state = crossbeam_epoch::Owned::new(next(unsafe { current.deref() }));
            let swap = self.0.compare_exchange(
                current,
                state,
                Ordering::AcqRel,
                Ordering::Acquire,
                &guard,
            );
            if swap.is_ok() {
                // SAFETY: it was taken out of the cell by this exchange alone.
                unsafe { guard.defer_destroy(current) };
                return;
            }
        }
    }
}

impl<T: Content> Reader<T> for Through<&Epoch<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        let guard = crossbeam_epoch::pin();
        // SAFETY: never null, and the guard keeps it.
        read(unsafe { self.0.0.load(Ordering::Acquire, &guard).deref() })
    }
}

impl<T> Drop for Epoch<T> {
    fn drop(&mut self) {
        // SAFETY: nobody else has the cell any more, and it is never null.
        drop(unsafe { std::mem::take(&mut self.0).into_owned() });
    }
}

/// seize: enter, then protect.
pub struct Seize<T> {
    current: AtomicPtr<T>,
    collector: Collector,
}

impl<T: Content> Cell<T> for Seize<T> {
    const NAME: &'static str = "seize";

    fn new(state: T) -> Self {
        Seize {
            current: AtomicPtr::new(Box::into_raw(Box::new(state))),
            collector: Collector::new(),
        }
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let guard = self.collector.enter();
        loop {
            let current = guard.protect(&self.current, Ordering::Acquire);
            // SAFETY: never null, and the guard protects it.
            let state = Box::into_raw(Box::new(next(unsafe { &*current })));
            let swap = guard.compare_exchange(
                &self.current,
                current,
                state,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
            if swap.is_ok() {
                // SAFETY: it came from a box, and was taken out of the cell by this exchange alone.
                unsafe { guard.defer_retire(current, seize::reclaim::boxed) };
                return;
            }
            // SAFETY: it was never published.
            drop(unsafe { Box::from_raw(state) });
        }
    }
}

impl<T: Content> Reader<T> for Through<&Seize<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        let guard = self.0.collector.enter();
        // SAFETY: never null, and the guard protects it.
        read(unsafe { &*guard.protect(&self.0.current, Ordering::Acquire) })
    }
}

impl<T> Drop for Seize<T> {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and nobody else has the cell any more.
        drop(unsafe { Box::from_raw(*self.current.get_mut()) });
    }
}

/// haphazard: a hazard pointer that each reader keeps.
pub struct Haphazard<T: Content>(haphazard::AtomicPtr<T>);

impl<T: Content> Cell<T> for Haphazard<T> {
    const NAME: &'static str = "haphazard";

    fn new(state: T) -> Self {
        Haphazard(haphazard::AtomicPtr::from(Box::new(state)))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through((&self.0, HazardPointer::new()))
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let mut hazard = HazardPointer::new();
        loop {
            let current = self.0.safe_load(&mut hazard).expect("never null");
            let state = Box::new(next(current));
            let current = std::ptr::from_ref(current).cast_mut();
            if let Ok(Some(old)) = self.0.compare_exchange(current, state) {
                // SAFETY: it was taken out of the only place it could be loaded from, and is retired once.
                unsafe { old.retire() };
                return;
            }
        }
    }
}

impl<T: Content> Reader<T> for Through<(&haphazard::AtomicPtr<T>, HazardPointer<'static>)> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        let (cell, hazard) = &mut self.0;
        let result = read(cell.safe_load(hazard).expect("never null"));
        hazard.reset_protection();
        result
    }
}

impl<T: Content> Drop for Haphazard<T> {
    fn drop(&mut self) {
        let current = self.0.load_ptr();
        // SAFETY: it came from a box, and nobody else has the cell any more.
        drop(unsafe { Box::from_raw(current) });
    }
}
