//! The tasks of one class that say more of themselves than their class.

use std::collections::VecDeque;

use super::heap::Heap;

/// Tasks by their key, of equal keys the one that arrived first; and all of them by their arrival.
///
/// The tasks stand in the order in which they came, in a window over all that ever came; the heap holds their keys and places.
/// One that is taken out of turn, because it waited for too long or has to give way, leaves its entry in the heap, and one
/// that is taken in its turn leaves a gap in the window. Neither grows beyond twice what is alive: see `tidy`.
#[derive(Debug)]
pub(super) struct Keyed<T> {
    /// Key, and place in the order of arrival. The first is of a task that is here.
    heap: Heap,
    /// The same with all bits turned, so that the last goes first; from the first task that had to give way.
    last_first: Option<Heap>,
    /// When each came, and itself while it is here.
    window: VecDeque<Arrived<T>>,
    /// The place of the first in the window.
    base: u64,
    /// How many tasks are here.
    len: usize,
}

#[derive(Debug)]
struct Arrived<T> {
    arrival: u64,
    task: Option<T>,
}

/// What the heap and the window may hold beside twice what is alive. Little in tests, which then get to tidying up.
const SLACK: usize = if cfg!(test) { 2 } else { 64 };

fn entry(key: u64, place: u64) -> u128 {
    u128::from(key) << 64 | u128::from(place)
}

fn key_of(entry: u128) -> u64 {
    (entry >> 64) as u64
}

fn place_of(entry: u128) -> u64 {
    entry as u64
}

impl<T> Keyed<T> {
    pub(super) fn new() -> Self {
        Keyed { heap: Heap::default(), last_first: None, window: VecDeque::new(), base: 0, len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The smallest key.
    #[inline]
    pub(super) fn first_key(&self) -> Option<u64> {
        self.heap.first().map(key_of)
    }

    /// When the one that has been here for the longest time came. O(1) amortised.
    pub(super) fn oldest(&mut self) -> Option<u64> {
        self.trim();
        self.window.front().map(|oldest| oldest.arrival)
    }

    /// Adds a task; `arrival` is higher than that of all before it. O(log n) amortised.
    #[inline(never)]
    pub(super) fn push(&mut self, key: u64, arrival: u64, task: T) {
        let entry = entry(key, self.base + self.window.len() as u64);
        self.window.push_back(Arrived { arrival, task: Some(task) });
        self.heap.push(entry);
        if let Some(last_first) = &mut self.last_first {
            last_first.push(!entry);
        }
        self.len += 1;
    }

    /// The task with the smallest key. O(log n) amortised.
    #[inline(never)]
    pub(super) fn pop_first(&mut self) -> Option<T> {
        let first = self.heap.pop()?;
        self.take(place_of(first))
    }

    /// The task that has been here for the longest time. O(log n) amortised.
    pub(super) fn pop_oldest(&mut self) -> Option<T> {
        self.trim();
        self.take(self.base)
    }

    /// The largest key. O(n log n) the first time.
    pub(super) fn last_key(&mut self) -> Option<u64> {
        self.last_first().first().map(|turned| key_of(!turned))
    }

    /// The task with the largest key, and of those the last that came. O(log n) amortised, O(n log n) the first time.
    pub(super) fn pop_last(&mut self) -> Option<T> {
        let last = self.last_first().pop()?;
        self.take(place_of(!last))
    }

    /// Takes all, in no particular order.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.len = 0;
        self.window.drain(..).filter_map(|arrived| arrived.task)
    }

    fn last_first(&mut self) -> &mut Heap {
        let heap = &self.heap;
        let last_first = self.last_first.get_or_insert_with(|| heap.turned());
        while last_first.first().is_some_and(|turned| !is_here(&self.window, self.base, !turned)) {
            last_first.pop();
        }
        last_first
    }

    fn take(&mut self, place: u64) -> Option<T> {
        let at = usize::try_from(place.checked_sub(self.base)?).ok()?;
        let task = self.window.get_mut(at)?.task.take()?;
        self.len -= 1;
        // With as many entries as tasks, none is of a task that is gone.
        while self.heap.len() > self.len
            && self.heap.first().is_some_and(|entry| !is_here(&self.window, self.base, entry))
        {
            self.heap.pop();
        }
        self.tidy();
        Some(task)
    }

    /// Forgets those before the first that is here.
    fn trim(&mut self) {
        while self.window.front().is_some_and(|arrived| arrived.task.is_none()) {
            self.window.pop_front();
            self.base += 1;
        }
    }

    /// Closes the gaps of the window and forgets the entries of tasks that are gone, once they are more than half.
    #[inline]
    fn tidy(&mut self) {
        if !self.is_tidy() {
            self.make_tidy();
        }
    }

    #[cold]
    fn make_tidy(&mut self) {
        // This far, and not at each step, as it is foreseen better: a third of what it is to take a task.
        self.trim();
        if !self.is_tidy() {
            self.close_gaps();
        }
    }

    fn close_gaps(&mut self) {
        // The new place of each that is here.
        let mut places = Vec::with_capacity(self.window.len());
        let mut here = 0;
        for arrived in &self.window {
            places.push(arrived.task.as_ref().map(|_| here));
            here += u64::from(arrived.task.is_some());
        }
        let renumbered = |old: u128| {
            let at = usize::try_from(place_of(old).checked_sub(self.base)?).ok()?;
            places.get(at).copied().flatten().map(|place| entry(key_of(old), place))
        };
        self.heap.renumber(renumbered);
        if let Some(last_first) = &mut self.last_first {
            last_first.renumber(|turned| renumbered(!turned).map(|entry| !entry));
        }
        self.window.retain(|arrived| arrived.task.is_some());
        self.base = 0;
    }

    /// Whether the window and the heaps are as small as promised.
    #[inline]
    pub(super) fn is_tidy(&self) -> bool {
        let last_first = self.last_first.as_ref().map_or(0, Heap::len);
        self.window.len().max(self.heap.len()).max(last_first) <= 2 * self.len + SLACK
    }
}

fn is_here<T>(window: &VecDeque<Arrived<T>>, base: u64, entry: u128) -> bool {
    let at = place_of(entry).checked_sub(base).and_then(|at| usize::try_from(at).ok());
    at.and_then(|at| window.get(at)).is_some_and(|arrived| arrived.task.is_some())
}
