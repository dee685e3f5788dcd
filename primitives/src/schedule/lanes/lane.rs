//! One lane: first in, first out.

use super::atomic::AtomicU64;
use super::cells::{Cells, Writable};
use super::holders::{HOLDERS, Held};
use super::places::{Next, Places};
use crate::sync::Ordering;

/// A bounded queue of one class. The module page says how it works.
pub(super) struct Lane<T> {
    consumers: Hint,
    producers: Hint,
    places: Places,
    cells: Cells<T>,
}

/// The place to look at first: no place before it is left to be passed, for consumers, or to be filled, for producers.
/// On a line of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
struct Hint(AtomicU64);

/// The task that is the next of a lane, as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct First {
    /// Its number of arrival.
    pub(super) arrival: u64,
    next: Next,
}

impl<T> Lane<T> {
    /// An empty lane of this capacity, at least 1.
    pub(super) fn new(capacity: usize) -> Self {
        let cells = capacity + HOLDERS;
        Lane {
            consumers: Hint(AtomicU64::new(0)),
            producers: Hint(AtomicU64::new(0)),
            places: Places::new(capacity, cells),
            cells: Cells::new(cells),
        }
    }

    /// The next place for a task; `None` if the lane was full at a moment of this call.
    #[inline]
    pub(super) fn room(&self) -> Option<Next> {
        self.places.first_to_fill(self.producers.get())
    }

    /// The cell that is held, if the task that was in it has been moved out.
    #[inline]
    pub(super) fn cell<'l>(&'l self, held: Held<'l>) -> Option<Writable<'l, T>> {
        self.cells.writable(held)
    }

    /// Adds a task that came as number `arrival` in a cell, at `next` or a later place, and gives the index of its slot.
    ///
    /// # Errors
    /// The task, if the lane was full at a moment of this call.
    #[inline]
    pub(super) fn push(
        &self,
        task: T,
        arrival: u64,
        cell: Writable<'_, T>,
        mut next: Next,
    ) -> Result<usize, T> {
        let cell = cell.write(task, arrival);
        while !self.places.fill(next, cell.number()) {
            match self.places.first_to_fill(self.places.after(next.place)) {
                Some(other) => next = other,
                None => return Err(cell.take_back()),
            }
        }
        cell.exchange(self.places.cell(next));
        self.producers.advance(self.places.after(next.place));
        Ok(self.places.index(next.place))
    }

    /// The next task.
    ///
    /// # Errors
    /// There is none: the place that would be the next was empty at a moment of this call.
    #[inline]
    pub(super) fn next(&self) -> Result<Next, u64> {
        self.places.first_to_pass(self.consumers.get())
    }

    /// The next task, if it is still this one, and the index of its slot.
    pub(super) fn pop_first(&self, first: First) -> Option<(T, usize)> {
        self.take(first.next)
    }

    #[inline]
    pub(super) fn take(&self, next: Next) -> Option<(T, usize)> {
        let (places, cells) = (&self.places, &self.cells);
        if !places.pass(next) {
            return None;
        }
        self.consumers.advance(places.after(next.place));
        // SAFETY: a cell whose number is in a filled place was written to, which was seen with Acquire. This thread
        // passed the place, as only one does, and so is the only one to move the task out.
        let task = unsafe { cells.empty(places.cell(next)) };
        Some((task, places.index(next.place)))
    }

    /// The next task, and when it came.
    pub(super) fn first(&self) -> Option<First> {
        let places = &self.places;
        loop {
            let next = self.next().ok()?;
            let arrival = self.cells.arrival(places.cell(next));
            // If it was taken meanwhile, the cell may be another's already; whoever saw that sees this, too.
            if places.is_unchanged(next) {
                return Some(First { arrival, next });
            }
        }
    }

    /// The place that is the next to be filled, if the lane is empty.
    pub(super) fn empty_at(&self) -> Option<u64> {
        self.next().err()
    }

    /// Whether the place is empty still. A push that happened before what the caller has seen is seen here.
    #[inline]
    pub(super) fn is_still_empty(&self, place: u64) -> bool {
        self.places.is_empty(place)
    }

    /// How many tasks there are; an estimate while others are at work.
    pub(super) fn len(&self) -> usize {
        let places = &self.places;
        let Ok(head) = self.next() else { return 0 };
        let tail = self.room();
        let len = tail.map(|tail| places.distance(head.place, tail.place));
        len.unwrap_or(usize::MAX).min(self.capacity())
    }

    /// The most tasks that it holds.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.places.count()
    }

    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn set_back(&self, places: u64) {
        for Hint(hint) in [&self.consumers, &self.producers] {
            let place = hint.load(Ordering::Relaxed);
            hint.store(self.places.before(place, places), Ordering::Relaxed);
        }
    }
}

#[cfg(queenright_loom)]
impl First {
    pub(super) fn place(&self) -> u64 {
        self.next.place
    }
}

impl Hint {
    #[inline]
    fn get(&self) -> u64 {
        // Acquire pairs with the Release in `advance`.
        self.0.load(Ordering::Acquire)
    }

    /// Moves it on. Two who do so at once may set it back.
    #[inline]
    fn advance(&self, place: u64) {
        // Relaxed: it only makes that rare.
        if self.0.load(Ordering::Relaxed) < place {
            // Release: whoever starts here comes after those who filled (passed) all places before.
            self.0.store(place, Ordering::Release);
        }
    }
}
