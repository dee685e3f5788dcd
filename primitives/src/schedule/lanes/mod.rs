//! A lock-free queue by class, one lane each.
//!
//! # Protocol
//! A lane is a ring of slots. Its places are numbered for ever: each lap around the ring gives a slot its next one. A slot's word
//! says what became of its place, *empty*, *filled*, or *passed*, which is *empty* of the lap after; and it names a cell, in which
//! there is memory for a task. Each cell stands in one slot, or is held by one thread. Two exchanges of that word are all:
//!
//! - A push writes its task into the cell that its thread holds. At the first empty place it exchanges *empty* for
//!   *filled* and the cell that was named there for its own. So it holds a cell again, for the next push.
//! - A pop exchanges *filled* for *passed* at the first place that is not passed. The cell stays where it is; the task is moved
//!   out, and then the cell is marked as free. Who comes to hold a cell that is not free yet, because whoever passed it
//!   is slow, pushes with another one meanwhile.
//!
//! A thread with one of the first small numbers (`sync::own_number`) has a holder to itself, with a cell of each lane. All others share a
//! second set of holders, and exchange one word more to take one of these for the duration of a push.
//!
//! The slots are exchanged one by one, and head and tail lag behind, as in the queue of Tsigas and Zhang (SPAA 2001); the lap in each word is
//! that of Morrison and Afek's LCRQ (PPoPP 2013), and numbers of cells in place of values are Nikolaev's (SCQ, DISC 2019), whose
//! queue of free cells the exchange replaces. Rings in which a place is taken first and filled later (Vyukov's, crossbeam's
//! `ArrayQueue`, the blocks of `SegQueue`) are not lock-free: a producer that is stopped in between holds up all consumers
//! behind its place. Here the task is complete before its place is taken.
//!
//! Head and tail are hints of where to look first. Neither is ever ahead of the truth, so whoever starts there meets the first
//! place that is not passed, or not filled, by going on. A thread that is stopped just before it writes one sets it back
//! when it wakes up; the next walks that way once, and no more than a lap of it, as the word of a later lap says how far the others are.
//!
//! # What synchronises with what
//! - A pop that finds a place filled sees the task in the cell: Release of the exchange that filled it, Acquire of the look at it.
//!   Who gets a cell in exchange sees which task was in it before (Release of the exchange that passed the place, Acquire of the
//!   look), and whether that was moved out (Release of the mark, Acquire of the look at that).
//! - Who finds a place passed, by its word or by the hint behind it, comes after all who passed that one and those before:
//!   looks of pops are Acquire, exchanges and hints Release.
//! - Who knows of a push, but not of the pop of its task, finds no place empty up to that task's: the pusher saw each of them
//!   filled, and no later look at a word finds an older one; or it was told by the hint, which is Release and Acquire.
//!
//! # Order
//! Each lane is linearizable: a push takes effect with its exchange, at the first empty place, and a pop with its own, at the first that
//! is not passed. A lane was empty where the first place that is not passed was not filled, at the moment of that look; it was full where the
//! first place that is not filled was not passed in the lap before.
//!
//! A pop looks at the lanes from the most urgent to the least. So it returns a task of a class if each more urgent lane
//! was empty at *some* moment of the call, not at one moment for all.
//!
//! `None` says more, as each lane is looked at again: the place that was the first not passed is still empty. Between the
//! two looks at a lane nothing was in it, so between the last first look and the first second look nothing was in any. No total order of
//! all accesses is needed for this: the pops that the first looks found done happen before the second looks, and so does
//! each push that happens before one of these pops, and would be seen. (Without aging one look might do. With it, an overdue task may leave a
//! low lane after an urgent one has come: whoever looked at the urgent lane before that, and at the low one after, has found
//! nothing in a queue that was never empty.)
//!
//! # Progress
//! Lock-free, all of it: an exchange fails because somebody else filled or passed that place, and a look is repeated because
//! somebody pushed or popped. A thread that is stopped in a push keeps a holder to itself; one that is stopped in a pop makes one cell
//! useless meanwhile, and so one holder at most. As long as fewer calls are stopped than there are shared holders
//! (16), each of the others finds a cell; beside as many still those that have a holder to themselves.
//!
//! # ABA
//! An exchange names the lap and the cell; a word comes back only when the laps wrap around. A lane of one place is good for 2⁵⁷
//! pushes, at 10 ns each 45 years, and one of *n* places for *n* / 2 times as many at least.
//!
//! # Memory
//! For each lane 8 bytes a slot, as many cells as slots and 32 more, and for a cell a task and 8 bytes; 4 KiB of holders. It is allocated with
//! the queue and freed with it, and nothing is allocated in between.

mod aging;
mod atomic;
mod cells;
mod channel;
mod holders;
mod lane;
mod places;

use std::{array, fmt, iter};

use self::aging::Aging;
pub use self::channel::LaneChannel;
use self::holders::Holders;
use self::lane::Lane;
use self::places::Next;
use super::{Class, PushError};
use crate::panics::drop_each;

const CLASSES: usize = Class::ALL.len();

/// A bounded queue by [`Class`] alone, lock-free: no thread waits for another, wherever that one was stopped.
///
/// ```
/// use queenright_primitives::schedule::{Class, LaneQueue};
///
/// let queue = LaneQueue::bounded(100, 1000);
/// queue.try_push("sweep", Class::Background).unwrap();
/// queue.try_push("reply", Class::High).unwrap();
/// queue.try_push("report", Class::High).unwrap();
/// assert_eq!(queue.depths(), [0, 2, 0, 0, 1]);
/// assert_eq!(queue.try_pop(), Some("reply"));
/// assert_eq!(queue.try_pop(), Some("report"));
/// assert_eq!(queue.try_pop(), Some("sweep"));
/// assert_eq!(queue.try_pop(), None);
/// ```
///
/// # Order
/// Within a class tasks leave in the order in which they came: each lane is linearizable. Among classes a pop never takes a task, unless
/// that is overdue, while one of a more urgent class is in the queue from the pop's begin to its end. That is less than
/// [`PriorityQueue`](super::PriorityQueue) promises: while a pop that found nothing critical goes on to the low tasks, another thread can push
/// a critical task and then a low one; the pop may take the low one, though it came later and is less urgent.
///
/// # Bound on waiting
/// A task that `patience` tasks have overtaken, which came after it, is overdue, and of the overdue ones the oldest
/// goes next. To spare the threads a counter that all of them write, arrivals and departures are counted in steps: of
/// 1 if `patience` is under 256 (this is exact then), else of the largest power of two up to `patience` / 128, at most 64. Used by
/// one thread at a time, at most `patience` + 15 × (step − 1) tasks that came after a task leave before it, which is 12 % more
/// than asked for at most; so it waits for so many pops and its depth when it came. With *t*
/// other threads at work at most *t* × (3 × step + 2) more do.
///
/// # Room
/// Each class has room of its own, so that no flood of one class keeps another out. Where one bound over all classes is needed, divide
/// it with [`with_capacities`](Self::with_capacities).
///
/// # Progress and cost
/// Lock-free; allocates nothing. A push exchanges one word, in a thread that is not among the first 16 that are alive two, and a pop
/// one. O(1), with a look at each more urgent lane. After a thread was stopped in the few instructions between an
/// exchange and its note of where to look next, one later call may have to look at as many places as the lane has.
///
/// A lock that is held for as little as that of `PriorityQueue` is faster than this with several threads, as long as its holder
/// runs. Choose this one if a thread may be stopped, or must not wait for one that is: a consumer of higher priority than its
/// producers, more threads than processors, a debugger. Not for signal handlers: a call is not to be interrupted by one of the
/// same thread. There is no way to wait, and no end: a [`LaneChannel`] has both.
pub struct LaneQueue<T> {
    lanes: [Lane<T>; CLASSES],
    holders: Holders,
    aging: Aging,
}

/// Why a task was not added, with the task.
enum Failed<T> {
    /// The lane is full.
    NoRoom(T),
    /// Too many other pushes are under way.
    NoCell(T),
}

impl<T> LaneQueue<T> {
    /// A queue that holds at most `capacity` tasks (at least 1) of each class, and lets about `patience` tasks overtake one
    /// that came before them. `u64::MAX` is for ever.
    pub fn bounded(capacity: usize, patience: u64) -> Self {
        Self::with_capacities([capacity; CLASSES], patience)
    }

    /// As [`bounded`](Self::bounded), with the capacity of each class, the most urgent first.
    pub fn with_capacities(capacities: [usize; CLASSES], patience: u64) -> Self {
        let capacities = capacities.map(|capacity| capacity.max(1));
        LaneQueue {
            lanes: capacities.map(Lane::new),
            holders: Holders::new(&capacities),
            aging: Aging::new(patience),
        }
    }

    /// Adds a task if there is room in its class. O(1), lock-free.
    ///
    /// # Errors
    /// [`PushError::Full`] gives the task back: at one moment of the call there were as many of its class as there is room for.
    /// Beside 16 or more other calls that are under way, in whichever class, it may also say that no cell was found for it.
    /// `Closed` never comes from here.
    #[inline]
    pub fn try_push(&self, task: T, class: Class) -> Result<(), PushError<T>> {
        self.attempt(task, class).map_err(|failed| match failed {
            Failed::NoRoom(task) | Failed::NoCell(task) => PushError::Full(task),
        })
    }

    /// As [`try_push`](Self::try_push), which does not tell why.
    #[inline]
    fn attempt(&self, task: T, class: Class) -> Result<(), Failed<T>> {
        let lane = &self.lanes[class.index()];
        let Some(next) = lane.room() else { return Err(Failed::NoRoom(task)) };
        let arrival = self.aging.arrival();
        let own = self.holders.own(class.index()).and_then(|held| lane.cell(held));
        let index = match own {
            Some(cell) => lane.push(task, arrival, cell, next).map_err(Failed::NoRoom)?,
            None => self.push_shared(task, arrival, class, next)?,
        };
        self.aging.came(index, lane.capacity());
        Ok(())
    }

    /// Adds a task in the cell of a holder that all threads share.
    #[cold]
    fn push_shared(
        &self,
        task: T,
        arrival: u64,
        class: Class,
        next: Next,
    ) -> Result<usize, Failed<T>> {
        let lane = &self.lanes[class.index()];
        for holder in self.holders.take_each() {
            if let Some(cell) = lane.cell(holder.held(class.index())) {
                return lane.push(task, arrival, cell, next).map_err(Failed::NoRoom);
            }
        }
        Err(Failed::NoCell(task))
    }

    /// The next task, or `None`, for which there was a moment in this call at which nothing was in the queue. O(1), lock-free.
    #[inline]
    pub fn try_pop(&self) -> Option<T> {
        loop {
            if self.aging.may_be_due()
                && let Some(task) = self.pop_overdue()
            {
                return Some(task);
            }
            let mut empty_at = [0; CLASSES];
            let found = self.lanes.iter().zip(&mut empty_at).find_map(|(lane, empty_at)| {
                lane.next().map_err(|place| *empty_at = place).ok().map(|next| (lane, next))
            });
            if let Some((lane, next)) = found {
                match lane.take(next) {
                    Some((task, index)) => {
                        self.aging.went(index, lane.capacity());
                        return Some(task);
                    }
                    None => continue,
                }
            }
            if self.is_still_empty(&empty_at) {
                return None;
            }
        }
    }

    /// Moves up to `most` tasks to `out`, one after another as [`try_pop`](Self::try_pop) does, and says how many.
    pub fn try_pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        let before = out.len();
        out.extend(iter::from_fn(|| self.try_pop()).take(most));
        out.len() - before
    }

    /// How many tasks are queued: a lane after another is counted, and what others do meanwhile may or may not be in it. O(1).
    pub fn len(&self) -> usize {
        self.depths().iter().sum()
    }

    /// Whether there was a moment in this call at which nothing was queued.
    pub fn is_empty(&self) -> bool {
        let mut empty_at = [0; CLASSES];
        let looks = self.lanes.iter().zip(&mut empty_at);
        let all = looks.map(|(lane, empty_at)| lane.empty_at().map(|place| *empty_at = place));
        all.collect::<Option<()>>().is_some() && self.is_still_empty(&empty_at)
    }

    /// How many tasks of one class are queued; beside other threads an estimate, of what was there during the call. O(1).
    pub fn len_of(&self, class: Class) -> usize {
        self.lanes[class.index()].len()
    }

    /// How many tasks of each class are queued, the most urgent first, each as [`len_of`](Self::len_of) says it: not at one
    /// moment. O(1).
    pub fn depths(&self) -> [usize; CLASSES] {
        array::from_fn(|class| self.lanes[class].len())
    }

    /// The most tasks it holds at a time, over all classes.
    pub fn capacity(&self) -> usize {
        self.lanes.iter().map(Lane::capacity).fold(0, usize::saturating_add)
    }

    /// The most tasks of one class that it holds at a time.
    pub fn capacity_of(&self, class: Class) -> usize {
        self.lanes[class.index()].capacity()
    }

    /// Takes the oldest task, if that is overdue.
    #[cold]
    fn pop_overdue(&self) -> Option<T> {
        loop {
            let (lane, first) = self.aging.overdue(self.lanes.iter().map(Lane::first))?;
            let lane = &self.lanes[lane];
            if let Some((task, index)) = lane.pop_first(first) {
                self.aging.went(index, lane.capacity());
                return Some(task);
            }
        }
    }

    /// Whether nothing was pushed since each lane was found empty at this place.
    fn is_still_empty(&self, empty_at: &[u64; CLASSES]) -> bool {
        self.lanes.iter().zip(empty_at).all(|(lane, place)| lane.is_still_empty(*place))
    }
}

#[cfg(queenright_loom)]
impl<T> LaneQueue<T> {
    /// For a model: the place and the number of arrival of the first task of a class.
    pub fn first_of(&self, class: Class) -> Option<(u64, u64)> {
        self.lanes[class.index()].first().map(|first| (first.place(), first.arrival))
    }
}

impl<T> Drop for LaneQueue<T> {
    fn drop(&mut self) {
        drop_each(iter::from_fn(|| self.try_pop()));
    }
}

impl<T> fmt::Debug for LaneQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneQueue")
            .field("depths", &self.depths())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;
