//! Priority queues: by class and deadline, and first come first served among equals.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_queue::{ArrayQueue, SegQueue};
use crossbeam_skiplist::SkipMap;
use queenright_primitives::schedule::{Class, Hint, PriorityQueue};

/// How many classes there are; 0 goes first.
pub const CLASSES: usize = Class::ALL.len();

/// A queue under comparison. Tasks are numbers.
pub trait Queue: Send + Sync + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// An empty queue with room for this many tasks.
    fn with_room(tasks: usize) -> Self;

    /// Adds a task; there is room.
    fn push(&self, task: u64, hint: Hint);

    /// The next task, or `None` when it is empty.
    fn pop(&self) -> Option<u64>;

    /// Adds them all; there is room.
    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        tasks.drain(..).for_each(|(task, hint)| self.push(task, hint));
    }

    /// Takes up to `most` tasks, and says how many.
    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        out.extend(std::iter::from_fn(|| self.pop()).take(most));
        out.len()
    }
}

/// Ours.
pub struct Ours(PriorityQueue<u64>);

/// A task passed over this often goes next; far beyond what a run does, as peers have no such rule.
const PATIENCE: u64 = u64::MAX;

impl Queue for Ours {
    const NAME: &'static str = "queenright PriorityQueue";

    fn with_room(tasks: usize) -> Self {
        Ours(PriorityQueue::bounded(tasks, PATIENCE))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        assert!(self.0.try_push(task, hint).is_ok(), "there is room");
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.try_pop()
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        self.0.try_pop_many(out, most)
    }

    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        assert!(self.0.try_push_many(tasks).is_ok() && tasks.is_empty(), "there is room");
    }
}

/// Ours, aging as its page recommends: no peer does.
pub struct OursAging(Ours);

impl Queue for OursAging {
    const NAME: &'static str = "queenright PriorityQueue, aging";

    fn with_room(tasks: usize) -> Self {
        OursAging(Ours(PriorityQueue::bounded(tasks, tasks as u64)))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        self.0.push(task, hint);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.pop()
    }

    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        self.0.push_many(tasks);
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        self.0.pop_many(out, most)
    }
}

/// A binary heap by hint and number of arrival; what it needs under a lock.
struct Heap {
    tasks: BinaryHeap<Reverse<(u128, u64)>>,
    arrived: u64,
}

impl Heap {
    fn with_room(tasks: usize) -> Heap {
        Heap { tasks: BinaryHeap::with_capacity(tasks), arrived: 0 }
    }

    #[inline]
    fn push(&mut self, task: u64, hint: Hint) {
        self.arrived += 1;
        let key = u128::from(hint.sort_key()) << 64 | u128::from(self.arrived);
        self.tasks.push(Reverse((key, task)));
    }

    #[inline]
    fn pop(&mut self) -> Option<u64> {
        self.tasks.pop().map(|Reverse((_, task))| task)
    }
}

/// A heap under parking_lot's lock.
pub struct ParkingLotHeap(parking_lot::Mutex<Heap>);

impl Queue for ParkingLotHeap {
    const NAME: &'static str = "parking_lot Mutex<BinaryHeap>";

    fn with_room(tasks: usize) -> Self {
        ParkingLotHeap(parking_lot::Mutex::new(Heap::with_room(tasks)))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        self.0.lock().push(task, hint);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.lock().pop()
    }

    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        let mut heap = self.0.lock();
        tasks.drain(..).for_each(|(task, hint)| heap.push(task, hint));
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        let mut heap = self.0.lock();
        out.extend(std::iter::from_fn(|| heap.pop()).take(most));
        out.len()
    }
}

/// A heap under std's lock.
pub struct StdHeap(Mutex<Heap>);

impl Queue for StdHeap {
    const NAME: &'static str = "std Mutex<BinaryHeap>";

    fn with_room(tasks: usize) -> Self {
        StdHeap(Mutex::new(Heap::with_room(tasks)))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(task, hint);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        let mut heap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.drain(..).for_each(|(task, hint)| heap.push(task, hint));
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        let mut heap = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        out.extend(std::iter::from_fn(|| heap.pop()).take(most));
        out.len()
    }
}

/// One ring a class under parking_lot's lock. Knows no deadlines.
pub struct ParkingLotLanes(parking_lot::Mutex<Unsynchronised>);

impl Queue for ParkingLotLanes {
    const NAME: &'static str = "parking_lot Mutex<5 × VecDeque>";

    fn with_room(tasks: usize) -> Self {
        ParkingLotLanes(parking_lot::Mutex::new(Unsynchronised::with_room(tasks)))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        self.0.lock().push(hint.class().index(), task);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.lock().pop()
    }

    fn push_many(&self, tasks: &mut VecDeque<(u64, Hint)>) {
        let mut lanes = self.0.lock();
        tasks.drain(..).for_each(|(task, hint)| lanes.push(hint.class().index(), task));
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        let mut lanes = self.0.lock();
        out.extend(std::iter::from_fn(|| lanes.pop()).take(most));
        out.len()
    }
}

/// One unbounded lock-free queue a class. Knows no deadlines.
pub struct SegQueues([SegQueue<u64>; CLASSES]);

impl Queue for SegQueues {
    const NAME: &'static str = "5 × SegQueue";

    fn with_room(_: usize) -> Self {
        SegQueues(std::array::from_fn(|_| SegQueue::new()))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        self.0[hint.class().index()].push(task);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.iter().find_map(SegQueue::pop)
    }
}

/// One bounded lock-free queue a class. Knows no deadlines.
pub struct ArrayQueues([ArrayQueue<u64>; CLASSES]);

impl Queue for ArrayQueues {
    const NAME: &'static str = "5 × ArrayQueue";

    fn with_room(tasks: usize) -> Self {
        ArrayQueues(std::array::from_fn(|_| ArrayQueue::new(tasks)))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        assert!(self.0[hint.class().index()].push(task).is_ok(), "there is room");
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.iter().find_map(ArrayQueue::pop)
    }
}

/// A lock-free skip list by hint and number of arrival.
pub struct SkipList {
    tasks: SkipMap<(u64, u64), u64>,
    arrived: AtomicU64,
}

impl Queue for SkipList {
    const NAME: &'static str = "crossbeam-skiplist";

    fn with_room(_: usize) -> Self {
        SkipList { tasks: SkipMap::new(), arrived: AtomicU64::new(0) }
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        let arrived = self.arrived.fetch_add(1, Ordering::Relaxed);
        self.tasks.insert((hint.sort_key(), arrived), task);
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.tasks.pop_front().map(|entry| *entry.value())
    }
}

/// One thread's own queues, without any synchronisation: what a queue with classes costs at least.
pub struct Unsynchronised {
    lanes: [VecDeque<u64>; CLASSES],
    occupied: u32,
}

impl Unsynchronised {
    /// An empty queue with room for this many tasks.
    pub fn with_room(tasks: usize) -> Self {
        Unsynchronised {
            lanes: std::array::from_fn(|_| VecDeque::with_capacity(tasks)),
            occupied: 0,
        }
    }

    /// Adds a task.
    #[inline]
    pub fn push(&mut self, class: usize, task: u64) {
        self.lanes[class].push_back(task);
        self.occupied |= 1 << class;
    }

    /// The next task.
    #[inline]
    pub fn pop(&mut self) -> Option<u64> {
        let class = self.occupied.trailing_zeros() as usize;
        let lane = self.lanes.get_mut(class)?;
        let task = lane.pop_front();
        if lane.is_empty() {
            self.occupied &= !(1 << class);
        }
        task
    }
}
