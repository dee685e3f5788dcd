//! A bounded priority queue for many producers and consumers, with aging.
//!
//! # Order
//! [`pop`](PriorityQueue::pop) takes from the highest [`Class`] that has anything, and first in, first
//! out within a class. Both hold exactly: one lock orders all pushes and pops. One rule stands above
//! the classes, so that nothing starves: the task at the head of a class that was passed over
//! `patience` times goes next.
//!
//! # Bound on waiting
//! A task at the head of its class waits for at most `patience + 4` pops of other classes: `patience`
//! until it is overdue, and one more for each other class that may be overdue at the same time.
//!
//! # No lost wake-up
//! A consumer sleeps only if the queue is empty, and each push wakes one sleeper if there is one. So beside a sleeper
//! whom nobody has woken there are at most as many tasks as consumers on their way, and each of those takes one. Nothing has
//! to be passed on. A pop makes room for one push and wakes one; `pop_many` makes room for many and wakes all.
//!
//! # Progress and cost
//! Blocking: one mutex, held for a constant number of steps, whatever the depth. `push` and `pop` are
//! O(1), as are `len` and `len_of`. Called what it is: this queue is not lock-free.

use std::collections::VecDeque;
use std::fmt;

use crate::sync::{Condvar, Mutex, MutexGuard, lock, wait};

/// How urgent a task is. The order of the variants is the order of service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Goes before everything else.
    Critical,
    /// Before normal work.
    High,
    /// What most work is.
    #[default]
    Normal,
    /// After normal work.
    Low,
    /// When there is nothing else to do.
    Background,
}

impl Class {
    /// All classes, most urgent first.
    pub const ALL: [Class; 5] =
        [Class::Critical, Class::High, Class::Normal, Class::Low, Class::Background];

    /// 0 for the most urgent class, 4 for the least.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The class `steps` above this one, at most [`Class::Critical`].
    #[must_use]
    pub fn raised(self, steps: u64) -> Class {
        let up = usize::try_from(steps).unwrap_or(usize::MAX);
        Class::ALL[self.index().saturating_sub(up)]
    }

    /// Its name in lower case, as manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Critical => "critical",
            Class::High => "high",
            Class::Normal => "normal",
            Class::Low => "low",
            Class::Background => "background",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no [`Class`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownClass(pub String);

impl fmt::Display for UnknownClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no priority: use critical, high, normal, low or background", self.0)
    }
}

impl std::error::Error for UnknownClass {}

impl std::str::FromStr for Class {
    type Err = UnknownClass;
    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Class::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or_else(|| UnknownClass(name.to_owned()))
    }
}

/// A bounded queue by [`Class`]; the [module page](self) states its order and its bounds.
///
/// ```
/// use queenright_primitives::schedule::{Class, PriorityQueue};
///
/// let queue = PriorityQueue::bounded(100, 16);
/// queue.try_push("sweep", Class::Background).unwrap();
/// queue.try_push("fire", Class::Critical).unwrap();
/// assert_eq!(queue.try_pop(), Some("fire"));
/// assert_eq!(queue.try_pop(), Some("sweep"));
/// ```
pub struct PriorityQueue<T> {
    lanes: Mutex<Lanes<T>>,
    not_empty: Condvar,
    not_full: Condvar,
    capacity: usize,
    patience: u32,
}

struct Lanes<T> {
    tasks: [VecDeque<T>; Class::ALL.len()],
    /// How often the head of each class was passed over by a pop of another class.
    passed: [u32; Class::ALL.len()],
    len: usize,
    closed: bool,
    /// How many threads wait for a task, and for room. Waking costs a system call, so nobody is woken who does not wait.
    waiting_for_task: usize,
    waiting_for_room: usize,
}

impl<T> Lanes<T> {
    fn pop(&mut self, patience: u32) -> Option<T> {
        let next = self.overdue(patience).or_else(|| self.first())?;
        let task = self.tasks[next].pop_front()?;
        self.len -= 1;
        for (class, tasks) in self.tasks.iter().enumerate() {
            if class == next || tasks.is_empty() {
                self.passed[class] = 0;
            } else {
                self.passed[class] = self.passed[class].saturating_add(1);
            }
        }
        Some(task)
    }

    fn first(&self) -> Option<usize> {
        self.tasks.iter().position(|tasks| !tasks.is_empty())
    }

    /// The class whose head was passed over too often; of several, the one that waited longest, and of
    /// those the most urgent.
    fn overdue(&self, patience: u32) -> Option<usize> {
        // Backwards, because `max_by_key` keeps the last of equals.
        (0..self.tasks.len())
            .rev()
            .filter(|&class| !self.tasks[class].is_empty() && self.passed[class] >= patience)
            .max_by_key(|&class| self.passed[class])
    }
}

impl<T> PriorityQueue<T> {
    /// A queue that holds at most `capacity` tasks (at least 1) over all classes, and passes the head of a
    /// class over at most `patience` times before it goes next.
    pub fn bounded(capacity: usize, patience: u32) -> Self {
        PriorityQueue {
            lanes: Mutex::new(Lanes {
                tasks: std::array::from_fn(|_| VecDeque::new()),
                passed: [0; Class::ALL.len()],
                len: 0,
                closed: false,
                waiting_for_task: 0,
                waiting_for_room: 0,
            }),
            not_empty: Condvar::new(),
            not_full: Condvar::new(),
            capacity: capacity.max(1),
            patience,
        }
    }

    /// Adds a task unless the queue is full or closed. Never waits for room.
    ///
    /// # Errors
    /// [`PushError`] gives the task back.
    pub fn try_push(&self, task: T, class: Class) -> Result<(), PushError<T>> {
        let lanes = lock(&self.lanes);
        if lanes.closed {
            return Err(PushError::Closed(task));
        }
        if lanes.len >= self.capacity {
            return Err(PushError::Full(task));
        }
        self.admit(lanes, task, class);
        Ok(())
    }

    /// Adds a task, and waits for room while the queue is full.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the task back; `Full` never comes from here.
    pub fn push(&self, task: T, class: Class) -> Result<(), PushError<T>> {
        let mut lanes = lock(&self.lanes);
        loop {
            if lanes.closed {
                return Err(PushError::Closed(task));
            }
            if lanes.len < self.capacity {
                self.admit(lanes, task, class);
                return Ok(());
            }
            lanes.waiting_for_room += 1;
            lanes = wait(&self.not_full, lanes);
            lanes.waiting_for_room -= 1;
        }
    }

    fn admit(&self, mut lanes: MutexGuard<'_, Lanes<T>>, task: T, class: Class) {
        lanes.tasks[class.index()].push_back(task);
        lanes.len += 1;
        let wake = lanes.waiting_for_task > 0;
        drop(lanes);
        if wake {
            self.not_empty.notify_one();
        }
    }

    /// The next task, or `None` when the queue is empty now.
    pub fn try_pop(&self) -> Option<T> {
        self.take(lock(&self.lanes)).ok()
    }

    /// The next task; waits while the queue is empty. `None` once it is closed *and* empty.
    pub fn pop(&self) -> Option<T> {
        let mut lanes = lock(&self.lanes);
        loop {
            lanes = match self.take(lanes) {
                Ok(task) => return Some(task),
                Err(lanes) if lanes.closed => return None,
                Err(lanes) => self.wait_for_task(lanes),
            };
        }
    }

    /// Takes the next task and wakes one who waits for its room; or gives the lock back.
    fn take<'q>(&self, mut lanes: MutexGuard<'q, Lanes<T>>) -> Result<T, MutexGuard<'q, Lanes<T>>> {
        let Some(task) = lanes.pop(self.patience) else { return Err(lanes) };
        let wake = lanes.waiting_for_room > 0;
        drop(lanes);
        if wake {
            self.not_full.notify_one();
        }
        Ok(task)
    }

    fn wait_for_task<'q>(&self, mut lanes: MutexGuard<'q, Lanes<T>>) -> MutexGuard<'q, Lanes<T>> {
        lanes.waiting_for_task += 1;
        lanes = wait(&self.not_empty, lanes);
        lanes.waiting_for_task -= 1;
        lanes
    }

    /// Waits for at least one task, then moves up to `most` of them to `out`, in order, under one lock.
    /// The number moved is 0 only when the queue is closed and empty, or `most` is 0.
    pub fn pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        let mut lanes = lock(&self.lanes);
        while lanes.len == 0 {
            if lanes.closed {
                return 0;
            }
            lanes = self.wait_for_task(lanes);
        }
        let moved = most.min(lanes.len);
        out.reserve(moved);
        out.extend((0..moved).map_while(|_| lanes.pop(self.patience)));
        let room_wanted = lanes.waiting_for_room > 0;
        drop(lanes);
        if room_wanted {
            self.not_full.notify_all();
        }
        moved
    }

    /// Refuses tasks from now on. What is queued can still be popped; whoever waits is woken.
    pub fn close(&self) {
        lock(&self.lanes).closed = true;
        self.not_empty.notify_all();
        self.not_full.notify_all();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        lock(&self.lanes).closed
    }

    /// How many tasks are queued now. O(1).
    pub fn len(&self) -> usize {
        lock(&self.lanes).len
    }

    /// Whether nothing is queued now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks of one class are queued now. O(1).
    pub fn len_of(&self, class: Class) -> usize {
        lock(&self.lanes).tasks[class.index()].len()
    }

    /// The most tasks it holds at a time.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl<T> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueue")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// A task that was not queued, given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PushError<T> {
    /// There is no room: try again later, or wait with [`PriorityQueue::push`].
    Full(T),
    /// The queue takes nothing any more.
    Closed(T),
}

impl<T> PushError<T> {
    /// The task that was refused.
    pub fn into_inner(self) -> T {
        match self {
            PushError::Full(task) | PushError::Closed(task) => task,
        }
    }
}

impl<T> fmt::Display for PushError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PushError::Full(_) => "the queue is full: try again later, or wait with `push`",
            PushError::Closed(_) => "the queue is closed and takes no more tasks",
        })
    }
}

impl<T: fmt::Debug> std::error::Error for PushError<T> {}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn classes_go_first_and_each_is_first_in_first_out() {
        let queue = PriorityQueue::bounded(16, 100);
        for (task, class) in [(1, Class::Low), (2, Class::High), (3, Class::Low), (4, Class::High)]
        {
            queue.try_push(task, class).unwrap();
        }
        assert_eq!(queue.len_of(Class::Low), 2);
        let order: Vec<_> = std::iter::from_fn(|| queue.try_pop()).collect();
        assert_eq!(order, [2, 4, 1, 3]);
    }

    #[test]
    fn of_two_that_waited_equally_long_the_more_urgent_goes_first() {
        for patience in 0..3 {
            let queue = PriorityQueue::bounded(16, patience);
            for class in Class::ALL {
                queue.try_push(class, class).unwrap();
            }
            let order: Vec<_> = std::iter::from_fn(|| queue.try_pop()).collect();
            assert_eq!(order, Class::ALL, "patience {patience}");
        }
    }

    #[test]
    fn a_full_queue_gives_the_task_back() {
        let queue = PriorityQueue::bounded(1, 1);
        queue.try_push('a', Class::Normal).unwrap();
        assert_eq!(queue.try_push('b', Class::Critical), Err(PushError::Full('b')));
        queue.close();
        assert_eq!(queue.push('c', Class::Critical), Err(PushError::Closed('c')));
        assert_eq!(queue.pop(), Some('a'));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_low_task_waits_a_bounded_number_of_pops_under_a_flood() {
        let patience = 8;
        for low in &Class::ALL[1..] {
            let queue = PriorityQueue::bounded(1000, patience);
            for class in Class::ALL.iter().filter(|class| *class != low) {
                for _ in 0..50 {
                    queue.try_push(false, *class).unwrap();
                }
            }
            queue.try_push(true, *low).unwrap();
            let mut waited = 0;
            while queue.try_pop() != Some(true) {
                queue.try_push(false, Class::Critical).unwrap();
                waited += 1;
                assert!(waited <= patience + 4, "{low} waited {waited} pops");
            }
        }
    }

    proptest! {
        #[test]
        fn without_aging_it_is_a_stable_sort_by_class(
            classes in prop::collection::vec(0usize..5, 0..60)
        ) {
            let queue = PriorityQueue::bounded(100, u32::MAX);
            let mut model: Vec<(usize, usize)> = Vec::new();
            for (task, &class) in classes.iter().enumerate() {
                queue.try_push((class, task), Class::ALL[class]).unwrap();
                model.push((class, task));
            }
            model.sort();
            let mut order = Vec::new();
            // Closed, so that an empty queue answers instead of waiting.
            queue.close();
            queue.pop_many(&mut order, 7);
            order.extend(std::iter::from_fn(|| queue.try_pop()));
            prop_assert_eq!(order, model);
        }

        #[test]
        fn nothing_is_lost_or_doubled_whatever_the_patience(
            classes in prop::collection::vec(0usize..5, 0..60), patience in 0u32..6
        ) {
            let queue = PriorityQueue::bounded(100, patience);
            for (task, &class) in classes.iter().enumerate() {
                queue.try_push(task, Class::ALL[class]).unwrap();
            }
            let mut popped: Vec<_> = std::iter::from_fn(|| queue.try_pop()).collect();
            popped.sort();
            prop_assert_eq!(popped, (0..classes.len()).collect::<Vec<_>>());
        }
    }
}
