//! The tasks that wait, in their order: what the queue guards with its lock.

use std::collections::VecDeque;

use super::keyed::Keyed;
use super::{Class, Hint};
use crate::panics::drop_each;

const CLASSES: usize = Class::ALL.len();

/// The tasks that wait to be taken.
///
/// The n-th task that came is overdue as soon as n + `patience` have gone; the module page has the proof of the bound.
#[derive(Debug)]
pub(super) struct Ready<T> {
    lanes: [Lane<T>; CLASSES],
    /// A bit for each class that has any, the lowest for the most urgent.
    occupied: u8,
    /// How many have come, and how many have gone.
    come: u64,
    gone: u64,
    patience: u64,
    /// How many have to be gone before any is overdue; perhaps more.
    none_overdue_before: u64,
}

/// The tasks of one class.
#[derive(Debug)]
struct Lane<T> {
    /// Those that say nothing but their class, each with its number of arrival.
    plain: VecDeque<(u64, T)>,
    keyed: Keyed<T>,
}

fn plain_key(class: Class) -> u64 {
    Hint::new(class).sort_key()
}

impl<T> Lane<T> {
    fn new() -> Self {
        Lane { plain: VecDeque::new(), keyed: Keyed::new() }
    }

    #[inline]
    fn len(&self) -> usize {
        self.plain.len() + self.keyed.len()
    }

    #[inline]
    fn push(&mut self, hint: Hint, arrival: u64, task: T) {
        if hint.is_plain() {
            self.plain.push_back((arrival, task));
        } else {
            self.keyed.push(hint.sort_key(), arrival, task);
        }
    }

    #[inline]
    fn pop_first(&mut self, class: Class) -> Option<T> {
        // No keyed one has the key of the plain ones.
        match self.keyed.first_key() {
            Some(key) if self.plain.is_empty() || key < plain_key(class) => self.keyed.pop_first(),
            _ => self.plain.pop_front().map(|(_, task)| task),
        }
    }

    /// The largest key. O(n log n) the first time.
    fn last_key(&mut self, class: Class) -> Option<u64> {
        let plain = (!self.plain.is_empty()).then(|| plain_key(class));
        self.keyed.last_key().max(plain)
    }

    fn pop_last(&mut self, class: Class) -> Option<T> {
        match self.keyed.last_key() {
            Some(key) if self.plain.is_empty() || key > plain_key(class) => self.keyed.pop_last(),
            _ => self.plain.pop_back().map(|(_, task)| task),
        }
    }

    /// All of them, in no particular order.
    fn drain(&mut self) -> impl Iterator<Item = T> {
        self.plain.drain(..).map(|(_, task)| task).chain(self.keyed.drain())
    }

    /// When its oldest came.
    fn oldest(&mut self) -> Option<u64> {
        let plain = self.plain.front().map(|(arrival, _)| *arrival);
        plain.into_iter().chain(self.keyed.oldest()).min()
    }

    fn pop_oldest(&mut self) -> Option<T> {
        match (self.plain.front(), self.keyed.oldest()) {
            (Some((plain, _)), keyed) if keyed.is_none_or(|keyed| *plain < keyed) => {
                self.plain.pop_front().map(|(_, task)| task)
            }
            _ => self.keyed.pop_oldest(),
        }
    }
}

impl<T> Drop for Ready<T> {
    fn drop(&mut self) {
        // Whatever the drop of one of them does, the others are dropped.
        drop_each(self.lanes.iter_mut().flat_map(Lane::drain));
    }
}

impl<T> Ready<T> {
    pub(super) fn new(patience: u64) -> Self {
        Ready {
            lanes: std::array::from_fn(|_| Lane::new()),
            occupied: 0,
            come: 0,
            gone: 0,
            patience,
            none_overdue_before: patience,
        }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        (self.come - self.gone) as usize
    }

    #[inline]
    pub(super) fn len_of(&self, class: Class) -> usize {
        self.lanes[class.index()].len()
    }

    /// Adds a task. O(1) for a plain hint, else O(log n); amortised.
    #[inline]
    pub(super) fn push(&mut self, task: T, hint: Hint) {
        let class = hint.class_index();
        self.lanes[class].push(hint, self.come, task);
        self.come += 1;
        // Written only when it changes: a write that is under way makes the next exchange wait.
        if self.occupied & 1 << class == 0 {
            self.occupied |= 1 << class;
        }
    }

    /// Adds the first so many.
    #[inline]
    pub(super) fn push_many(&mut self, tasks: &mut VecDeque<(T, Hint)>, count: usize) {
        let (mut arrival, mut occupied) = (self.come, self.occupied);
        for _ in 0..count {
            let Some((task, hint)) = tasks.pop_front() else { break };
            let class = hint.class_index();
            self.lanes[class].push(hint, arrival, task);
            arrival += 1;
            occupied |= 1 << class;
        }
        (self.come, self.occupied) = (arrival, occupied);
    }

    /// Takes the next one. O(1) if its hint is plain, else O(log n); amortised.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        if self.occupied == 0 {
            return None;
        }
        if self.gone >= self.none_overdue_before
            && let Some(class) = self.overdue()
        {
            return self.take(class, |lane, _| lane.pop_oldest());
        }
        self.take(self.occupied.trailing_zeros() as usize, Lane::pop_first)
    }

    /// Takes the next so many, as far as there are any.
    pub(super) fn pop_many(&mut self, out: &mut Vec<T>, count: usize) {
        let most = out.len() + count;
        while out.len() < most && self.occupied != 0 {
            let class = self.occupied.trailing_zeros() as usize;
            let until_overdue = self.none_overdue_before.saturating_sub(self.gone);
            let lane = &mut self.lanes[class];
            let run = match lane.keyed.len() {
                0 => (most - out.len()).min(lane.plain.len()).min(until_overdue as usize),
                _ => 0,
            };
            if run == 0 {
                out.extend(self.pop());
                continue;
            }
            for _ in 0..run {
                out.extend(lane.plain.pop_front().map(|(_, task)| task));
            }
            self.gone += run as u64;
            if lane.len() == 0 {
                self.occupied &= !(1 << class);
            }
        }
    }

    /// The class of the oldest task, if that is overdue.
    #[cold]
    fn overdue(&mut self) -> Option<usize> {
        let lanes = self.lanes.iter_mut().enumerate();
        let oldest = lanes.filter_map(|(class, lane)| Some((lane.oldest()?, class))).min();
        let (arrival, class) = oldest?;
        // The oldest only ever gets younger.
        self.none_overdue_before = arrival.saturating_add(self.patience);
        (self.gone >= self.none_overdue_before).then_some(class)
    }

    /// The key of the last in order, of `class` or of all. O(n log n) the first time.
    pub(super) fn last_key(&mut self, class: Option<Class>) -> Option<u64> {
        let class = self.last_class(class)?;
        self.lanes[class].last_key(Class::ALL[class])
    }

    /// Takes the last in order, of `class` or of all: the one that came last among the least urgent. O(log n)
    /// amortised, O(n log n) the first time.
    pub(super) fn pop_last(&mut self, class: Option<Class>) -> Option<T> {
        let class = self.last_class(class)?;
        self.take(class, Lane::pop_last)
    }

    fn last_class(&self, class: Option<Class>) -> Option<usize> {
        let last = u8::BITS - self.occupied.leading_zeros();
        class.map(Class::index).or((last as usize).checked_sub(1))
    }

    #[inline]
    fn take(
        &mut self,
        class: usize,
        take: impl FnOnce(&mut Lane<T>, Class) -> Option<T>,
    ) -> Option<T> {
        let lane = &mut self.lanes[class];
        let task = take(lane, Class::ALL[class])?;
        if lane.len() == 0 {
            self.occupied &= !(1 << class);
        }
        self.gone += 1;
        Some(task)
    }

    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn is_tidy(&self) -> bool {
        self.lanes.iter().all(|lane| lane.keyed.is_tidy())
    }
}
