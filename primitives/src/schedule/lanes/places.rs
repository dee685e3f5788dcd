//! The places of a lane, and what became of them: all that its order rests on.

use super::atomic::AtomicU64;
use crate::sync::Ordering;

/// The ring of slots. A *place* is a lap and the index of a slot. A *word* is a lap, a bit for *filled*, and the number of a
/// cell. Laps stand above all else, and only grow.
pub(super) struct Places {
    slots: Box<[AtomicU64]>,
    /// 1 in the bits of the lap. The bit below says *filled*.
    one_lap: u64,
}

/// A place that is the next to be passed or filled, and its word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) place: u64,
    word: u64,
}

impl Places {
    /// So many places a lap, all empty, with the first of this many cells in them.
    pub(super) fn new(count: usize, cells: usize) -> Self {
        Places {
            slots: (0..count as u64).map(AtomicU64::new).collect(),
            one_lap: (cells as u64).next_power_of_two() * 2,
        }
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        self.slots.len()
    }

    /// The first from `place` on that is not passed.
    ///
    /// # Errors
    /// It is not filled: the place.
    #[inline]
    pub(super) fn first_to_pass(&self, mut place: u64) -> Result<Next, u64> {
        loop {
            // Acquire pairs with the Release in `fill`, for the task, and with that in `pass`.
            let word = self.slot(place).load(Ordering::Acquire);
            let lap = self.lap(place);
            if self.state(word) == lap | self.filled() {
                return Ok(Next { place, word });
            }
            if self.state(word) <= lap {
                return Err(place);
            }
            place = self.after_passed(place, word);
        }
    }

    /// The first from `place` on that is not filled; `None` if that is not passed in the lap before, so that the lane is full.
    #[inline]
    pub(super) fn first_to_fill(&self, mut place: u64) -> Option<Next> {
        loop {
            // Acquire pairs with the Release in `pass`: this thread is to have the cell that is named here, and must not
            // take an older mark of that for the newest. (No model misses it.)
            let word = self.slot(place).load(Ordering::Acquire);
            let lap = self.lap(place);
            if self.state(word) <= lap {
                return (self.state(word) == lap).then_some(Next { place, word });
            }
            place = self.after_filled(place, word);
        }
    }

    /// The place after one of which the slot's word says that it is passed: that of the lap before the word's.
    #[cold]
    fn after_passed(&self, place: u64, word: u64) -> u64 {
        self.after(self.lap(word) - self.one_lap + self.index(place) as u64)
    }

    /// The place after one of which the slot's word says that it is filled: that of the word's lap, or of the lap before.
    #[cold]
    fn after_filled(&self, place: u64, word: u64) -> u64 {
        let is_filled = word & self.filled() != 0;
        let lap = self.lap(word) - if is_filled { 0 } else { self.one_lap };
        self.after(lap + self.index(place) as u64)
    }

    /// Exchanges the cell in an empty place for this one; false if somebody else did.
    #[inline]
    pub(super) fn fill(&self, Next { place, word }: Next, cell: u64) -> bool {
        let filled = self.lap(place) | self.filled() | cell;
        // Release pairs with the Acquire in `first_to_pass`. Relaxed: after a failure the next place is looked at.
        let slot = self.slot(place);
        slot.compare_exchange(word, filled, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Passes a filled place; false if somebody else did.
    #[inline]
    pub(super) fn pass(&self, Next { place, word }: Next) -> bool {
        // The next lap, and the same cell.
        let passed = word + self.filled();
        // Release pairs with the Acquire in `first_to_pass` and in `first_to_fill`. Relaxed: after a failure the places are
        // looked at again.
        let slot = self.slot(place);
        slot.compare_exchange(word, passed, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Whether the place is as it was found. Relaxed: the caller orders it.
    #[inline]
    pub(super) fn is_unchanged(&self, Next { place, word }: Next) -> bool {
        self.slot(place).load(Ordering::Relaxed) == word
    }

    /// Whether the place is not filled yet. Relaxed: the caller orders it.
    #[inline]
    pub(super) fn is_empty(&self, place: u64) -> bool {
        self.state(self.slot(place).load(Ordering::Relaxed)) == self.lap(place)
    }

    /// The number of the cell in that place.
    #[inline]
    pub(super) fn cell(&self, next: Next) -> u64 {
        next.word & (self.filled() - 1)
    }

    #[inline]
    pub(super) fn index(&self, place: u64) -> usize {
        (place & (self.one_lap - 1)) as usize
    }

    #[inline]
    pub(super) fn after(&self, place: u64) -> u64 {
        let next = place + 1;
        if self.index(next) < self.count() { next } else { self.lap(place) + self.one_lap }
    }

    /// How many places it is from one to a later one.
    pub(super) fn distance(&self, from: u64, to: u64) -> usize {
        let laps = (self.lap(to) - self.lap(from)) / self.one_lap;
        laps as usize * self.count() + self.index(to) - self.index(from)
    }

    /// The place so many before this one, at least the first.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn before(&self, place: u64, places: u64) -> u64 {
        let count = self.count() as u64;
        let number = (place / self.one_lap * count + place % self.one_lap).saturating_sub(places);
        number / count * self.one_lap + number % count
    }

    #[inline]
    fn slot(&self, place: u64) -> &AtomicU64 {
        &self.slots[self.index(place)]
    }

    /// The lap of a place or a word; also the [`state`](Self::state) of an empty place.
    #[inline]
    fn lap(&self, of: u64) -> u64 {
        of & !(self.one_lap - 1)
    }

    #[inline]
    fn filled(&self) -> u64 {
        self.one_lap / 2
    }

    /// The word without its cell.
    #[inline]
    fn state(&self, word: u64) -> u64 {
        word & !(self.filled() - 1)
    }
}
