//! The cells that hold a lane's tasks.

use std::mem::MaybeUninit;

use super::atomic::AtomicU64;
use super::holders::Held;
use crate::sync::{Ordering, UnsafeCell};

const FREE: u64 = 0;

/// A place in memory for one task.
struct Cell<T> {
    /// [`FREE`], or 1 + the number of arrival of the task in it.
    arrival: AtomicU64,
    task: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: a task is written and moved out by one thread at a time, whose cell or whose place it is, and no reference
// to it is given out. So tasks only move from thread to thread.
unsafe impl<T: Send> Sync for Cell<T> {}

/// The cells of a lane. Each is held by a thread, or is in a slot.
pub(super) struct Cells<T>(Box<[Cell<T>]>);

/// A cell that is held and free.
pub(super) struct Writable<'c, T> {
    cell: &'c Cell<T>,
    held: Held<'c>,
}

/// A cell that is held, with a task in it.
pub(super) struct Written<'c, T> {
    cell: &'c Cell<T>,
    held: Held<'c>,
}

impl<T> Cells<T> {
    pub(super) fn new(count: usize) -> Self {
        let free =
            || Cell { arrival: AtomicU64::new(FREE), task: UnsafeCell::new(MaybeUninit::uninit()) };
        Cells((0..count).map(|_| free()).collect())
    }

    /// The cell that is held, if the task that was in it has been moved out: whoever took that may be slow.
    #[inline]
    pub(super) fn writable<'c>(&'c self, held: Held<'c>) -> Option<Writable<'c, T>> {
        let cell = self.at(held.cell);
        // Acquire pairs with the Release in `Cell::empty`.
        let is_free = cell.arrival.load(Ordering::Acquire) == FREE;
        is_free.then_some(Writable { cell, held })
    }

    /// Moves the task out of a cell.
    ///
    /// # Safety
    /// There is one, the caller has seen it written, and alone may move it out.
    #[inline]
    pub(super) unsafe fn empty(&self, number: u64) -> T {
        // SAFETY: the caller's promise.
        unsafe { self.at(number).empty() }
    }

    /// The number of arrival of the task in a cell; whichever it is at the moment, and any number if there is none.
    pub(super) fn arrival(&self, number: u64) -> u64 {
        // Acquire pairs with the Release in `Writable::write`: who sees the number of this task sees that the one before has
        // left its place.
        self.at(number).arrival.load(Ordering::Acquire).wrapping_sub(1)
    }

    #[inline]
    fn at(&self, number: u64) -> &Cell<T> {
        &self.0[number as usize]
    }
}

impl<T> Cell<T> {
    /// # Safety
    /// As [`Cells::empty`].
    #[inline]
    unsafe fn empty(&self) -> T {
        // SAFETY: the caller's promise.
        let task = self.task.with(|place| {
            // SAFETY: as above, and the cell outlives this call.
            let place = unsafe { &*place };
            // SAFETY: as above.
            unsafe { place.assume_init_read() }
        });
        // Release pairs with the Acquire in `Cells::writable`.
        self.arrival.store(FREE, Ordering::Release);
        task
    }
}

impl<'c, T> Writable<'c, T> {
    /// Writes a task, with its number of arrival.
    #[inline]
    pub(super) fn write(self, task: T, arrival: u64) -> Written<'c, T> {
        let Writable { cell, held } = self;
        // Release pairs with the Acquire in `Cells::arrival`.
        cell.arrival.store(arrival + 1, Ordering::Release);
        // SAFETY: the holder is this thread's, so the cell is this call's until its number is in a slot. The task before was
        // moved out, and nothing is dropped.
        cell.task.with_mut(|place| unsafe { (*place).write(task) });
        Written { cell, held }
    }
}

impl<T> Written<'_, T> {
    #[inline]
    pub(super) fn number(&self) -> u64 {
        self.held.cell
    }

    /// Leaves another cell with the holder: this one is in a slot, where that one was.
    #[inline]
    pub(super) fn exchange(self, other: u64) {
        self.held.exchange(other);
    }

    /// Moves the task out; the cell stays where it is held.
    pub(super) fn take_back(self) -> T {
        // SAFETY: it was written, and its number is in no slot, or this would have been exchanged.
        unsafe { self.cell.empty() }
    }
}
