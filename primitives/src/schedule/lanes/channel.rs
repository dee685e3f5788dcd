//! The lanes, with waiting and an end.

use std::fmt;
use std::future::Future;
use std::time::{Duration, Instant};

use super::{CLASSES, Failed, LaneQueue};
use crate::gate::Gate;
use crate::notify::Event;
use crate::schedule::{Class, PushError};
use crate::sync::yield_now;

/// A [`LaneQueue`] that can be waited for, and closed: the way of many senders to those who work off what they send, by class.
///
/// ```
/// use queenright_primitives::schedule::{Class, LaneChannel};
///
/// let channel = LaneChannel::bounded(100, 1000);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         channel.push("sweep", Class::Background).unwrap();
///         channel.push("reply", Class::High).unwrap();
///         channel.close();
///     });
///     let mut tasks = Vec::new();
///     while channel.pop_many(&mut tasks, 10) > 0 {}
///     assert_eq!(tasks.len(), 2);
/// });
/// assert!(channel.push("late", Class::High).is_err());
/// ```
///
/// # Order, room, bound on waiting
/// Those of the [`LaneQueue`].
///
/// # Closing
/// A push that has succeeded is popped by somebody who goes on until it is said that there is no more: that is said only
/// when the channel is closed, no push is under way, and nothing is left.
///
/// # Progress
/// [`try_push`](Self::try_push) and [`try_pop_many`](Self::try_pop_many) are lock-free; beside the lane's own exchanges a push counts itself in and out of the
/// channel, two additions to one word. To wait is blocking, and so is [`pop_many`](Self::pop_many) on a closed channel,
/// which waits for those pushes that were under way when it was closed. Room that comes free wakes all who wait for some, as
/// it may be of any class.
pub struct LaneChannel<T> {
    lanes: LaneQueue<T>,
    open: Gate,
    /// A task came, or the channel was closed.
    arrived: Event,
    /// Tasks went, or the channel was closed.
    left: Event,
}

impl<T> LaneChannel<T> {
    /// A channel that holds at most `capacity` tasks (at least 1) of each class, and lets about `patience` tasks overtake one
    /// that came before them.
    pub fn bounded(capacity: usize, patience: u64) -> Self {
        LaneChannel::with_lanes(LaneQueue::bounded(capacity, patience))
    }

    /// A channel over these lanes.
    pub fn with_lanes(lanes: LaneQueue<T>) -> Self {
        let (arrived, left) = (Event::new(), Event::new());
        LaneChannel { lanes, open: Gate::new(), arrived, left }
    }

    /// Adds a task if there is room in its class. Lock-free.
    ///
    /// # Errors
    /// [`PushError`] gives the task back.
    pub fn try_push(&self, task: T, class: Class) -> Result<(), PushError<T>> {
        self.try_add(task, class).unwrap_or_else(|failed| match failed {
            Failed::NoRoom(task) | Failed::NoCell(task) => Err(PushError::Full(task)),
        })
    }

    /// As [`try_push`](Self::try_push), which does not tell why there was no room.
    fn try_add(&self, task: T, class: Class) -> Result<Result<(), PushError<T>>, Failed<T>> {
        let Some(inside) = self.open.enter() else { return Ok(Err(PushError::Closed(task))) };
        let pushed = self.lanes.attempt(task, class);
        // Before the notification, which runs a waker: that is the caller's code.
        drop(inside);
        pushed?;
        self.arrived.notify_one();
        Ok(Ok(()))
    }

    /// Adds a task, and waits while there is no room.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the task back; `Full` never comes from here.
    pub fn push(&self, task: T, class: Class) -> Result<(), PushError<T>> {
        let mut task = Some(task);
        match self.attempt(&mut task, class) {
            Some(pushed) => pushed,
            None => self.left.wait_until(|| self.attempt(&mut task, class)),
        }
    }

    /// Adds a task, and waits for room until `timeout` has passed.
    ///
    /// # Errors
    /// [`PushError`] gives the task back: `Full` if there was no room in time.
    pub fn push_timeout(
        &self,
        task: T,
        class: Class,
        timeout: Duration,
    ) -> Result<(), PushError<T>> {
        let mut task = Some(task);
        let pushed = match self.attempt(&mut task, class) {
            None => self.left.wait_until_timeout(timeout, || self.attempt(&mut task, class)),
            pushed => pushed,
        };
        match (pushed, task) {
            (Some(pushed), _) => pushed,
            (None, Some(task)) => Err(PushError::Full(task)),
            (None, None) => Ok(()),
        }
    }

    /// Adds a task, and waits while there is no room, as a task of an executor does.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the future drops the task; it was not added then.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the task back; `Full` never comes from here.
    pub fn send(
        &self,
        task: T,
        class: Class,
    ) -> impl Future<Output = Result<(), PushError<T>>> + use<'_, T> {
        let mut task = Some(task);
        self.left.until(move || self.attempt(&mut task, class))
    }

    /// `None` if there is no room; then the task stays.
    fn attempt(&self, task: &mut Option<T>, class: Class) -> Option<Result<(), PushError<T>>> {
        let mut next = task.take()?;
        loop {
            match self.try_add(next, class) {
                Ok(done) => return Some(done),
                Err(Failed::NoRoom(full)) => {
                    *task = Some(full);
                    return None;
                }
                // Nobody tells when those who are in the way have gone.
                Err(Failed::NoCell(again)) => {
                    next = again;
                    yield_now();
                }
            }
        }
    }

    /// Moves up to `most` tasks to `out`, and says how many. Lock-free.
    pub fn try_pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        let popped = self.lanes.try_pop_many(out, most);
        if popped > 0 {
            self.left.notify_all();
        }
        popped
    }

    /// Moves up to `most` tasks to `out`, at least one, and says how many; 0 once the channel is closed and empty, or if `most` is 0.
    pub fn pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        if most == 0 {
            return 0;
        }
        loop {
            let popped = self.try_pop_many(out, most);
            if popped > 0 {
                return popped;
            }
            self.arrived.wait_until(|| self.is_worth_a_look());
            if self.open.is_closed() {
                return self.pop_last(out, most);
            }
        }
    }

    /// As [`pop_many`](Self::pop_many); `None` if `timeout` has passed before there was anything.
    pub fn pop_many_timeout(
        &self,
        out: &mut Vec<T>,
        most: usize,
        timeout: Duration,
    ) -> Option<usize> {
        if most == 0 {
            return Some(0);
        }
        // A time that no clock reaches is no limit.
        let Some(deadline) = Instant::now().checked_add(timeout) else {
            return Some(self.pop_many(out, most));
        };
        loop {
            let popped = self.try_pop_many(out, most);
            if popped > 0 {
                return Some(popped);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            self.arrived.wait_until_timeout(left, || self.is_worth_a_look())?;
            if self.open.is_closed() {
                return Some(self.pop_last(out, most));
            }
        }
    }

    /// Pops from a channel that is closed, which may be filled by those who came in before.
    fn pop_last(&self, out: &mut Vec<T>, most: usize) -> usize {
        self.open.wait_until_empty();
        self.try_pop_many(out, most)
    }

    fn is_worth_a_look(&self) -> Option<()> {
        (!self.lanes.is_empty() || self.open.is_closed()).then_some(())
    }

    /// Refuses tasks from now on. What is in the channel can still be popped; whoever waits is woken.
    pub fn close(&self) {
        self.open.close();
        self.arrived.notify_all();
        self.left.notify_all();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.open.is_closed()
    }

    /// How many tasks of each class are queued, the most urgent first; as [`LaneQueue::depths`].
    pub fn depths(&self) -> [usize; CLASSES] {
        self.lanes.depths()
    }

    /// The most tasks of one class that it holds at a time.
    pub fn capacity_of(&self, class: Class) -> usize {
        self.lanes.capacity_of(class)
    }
}

impl<T> fmt::Debug for LaneChannel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneChannel")
            .field("depths", &self.depths())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
