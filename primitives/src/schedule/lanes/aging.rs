//! Who has been overtaken often enough to go next.

use super::atomic::AtomicU64;
use super::lane::First;
use crate::sync::Ordering;

/// How much finer than `patience` the steps are, at least.
const FINENESS: u64 = 128;
const LONGEST_STEP: u64 = 64;

/// Counts arrivals and departures, in steps.
///
/// Each lane's places are counted up to a multiple of `step` (or to the end of its ring), so that each count lags by less than a
/// step for each lane. With *e* = 5 × (step − 1): the task number *N* (counted from 0) carries a number of arrival from *N* − *e* to
/// *N*, and is overdue at the latest when *N* + `patience` + *e* have gone. From then on only tasks of numbers up to *N* + *e* go
/// before it.
///
/// At that moment at most *e* older ones are left. For consider since when there has always been somebody overdue: when that began
/// (with *g* gone), all that were left had numbers from *g* − `patience` − *e* on, so of those older than *N* at most as many were left as pops were
/// to come until *N* + `patience` + *e*. Each of these pops took one of them, unless the oldest was *N* − *e* or younger; and
/// then at most *e* were left. So of the *N* + `patience` + *e* tasks that have gone, at most `patience` + 2*e* came after it,
/// and at most *e* more go before it.
///
/// With *t* other threads at work, *e* is greater by *t* steps, as each may have exchanged a word and not counted it yet. Each may
/// also bring a task in with a number of before, or take one that it had chosen before: two more that go before it.
///
/// All accesses are Relaxed: nobody reads anything because of a count.
pub(super) struct Aging {
    patience: u64,
    step: u64,
    come: Come,
    gone: Gone,
}

/// What producers write: on a line of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
struct Come(AtomicU64);

/// What consumers write.
#[repr(align(128))]
struct Gone {
    count: AtomicU64,
    /// How many have to be gone before any is overdue; perhaps more. Never more than `patience` beyond the count of
    /// arrivals when it was written, so that who came later is not overlooked.
    none_overdue_before: AtomicU64,
}

impl Aging {
    pub(super) fn new(patience: u64) -> Self {
        let step = 1 << (patience / FINENESS).clamp(1, LONGEST_STEP).ilog2();
        let none_overdue_before = AtomicU64::new(patience);
        Aging {
            patience,
            step,
            come: Come(AtomicU64::new(0)),
            gone: Gone { count: AtomicU64::new(0), none_overdue_before },
        }
    }

    /// The number of arrival of a task that comes now.
    #[inline]
    pub(super) fn arrival(&self) -> u64 {
        self.come.0.load(Ordering::Relaxed)
    }

    /// A task came to the slot of this index, of so many.
    #[inline]
    pub(super) fn came(&self, index: usize, slots: usize) {
        self.count(&self.come.0, index, slots);
    }

    /// A task left the slot of this index, of so many.
    #[inline]
    pub(super) fn went(&self, index: usize, slots: usize) {
        self.count(&self.gone.count, index, slots);
    }

    #[inline]
    fn count(&self, count: &AtomicU64, index: usize, slots: usize) {
        let into_step = index as u64 & (self.step - 1);
        if into_step + 1 == self.step || index + 1 == slots {
            count.fetch_add(into_step + 1, Ordering::Relaxed);
        }
    }

    /// Whether some task may be overdue.
    #[inline]
    pub(super) fn may_be_due(&self) -> bool {
        let none_overdue_before = self.gone.none_overdue_before.load(Ordering::Relaxed);
        self.gone.count.load(Ordering::Relaxed) >= none_overdue_before
    }

    /// Which of these lanes has the oldest task, if that is overdue, given the first of each.
    pub(super) fn overdue(
        &self,
        firsts: impl Iterator<Item = Option<First>>,
    ) -> Option<(usize, First)> {
        // Before the lanes are looked at: whoever comes after has this number or a later one.
        let next = self.arrival();
        let firsts = firsts.enumerate().filter_map(|(lane, first)| Some((lane, first?)));
        let oldest = firsts.min_by_key(|(_, first)| first.arrival);
        let due = |arrival: u64| arrival.saturating_add(self.patience);
        // Not later than for one that came since to a lane that had been looked at: the oldest that was found may be younger.
        let oldest_at_most = oldest.map_or(next, |(_, first)| first.arrival.min(next));
        self.gone.none_overdue_before.store(due(oldest_at_most), Ordering::Relaxed);
        oldest.filter(|(_, first)| self.gone.count.load(Ordering::Relaxed) >= due(first.arrival))
    }

    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn step(&self) -> u64 {
        self.step
    }
}
