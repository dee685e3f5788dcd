//! The queue itself.

use std::collections::VecDeque;
use std::fmt;
use std::task::Waker;
use std::time::Duration;

use super::state::{Moved, NeedsSpace, Side, State};
use super::waiting::{Recv, RecvMany, SendTask, Waiting};
use super::{Class, Hint, PopError, PushError};
use crate::lock::ShortLock;
use crate::notify::block_on;
use crate::panics::quietly;

/// A bounded queue by urgency; the [module page](super) states its order and its bounds.
///
/// ```
/// use queenright_primitives::schedule::{Class, Hint, PriorityQueue};
///
/// let queue = PriorityQueue::bounded(100, 1000);
/// queue.try_push("sweep", Class::Background).unwrap();
/// queue.try_push("report", Hint::new(Class::High).with_deadline(90)).unwrap();
/// queue.try_push("reply", Hint::new(Class::High).with_deadline(20)).unwrap();
/// assert_eq!(queue.depths(), [0, 2, 0, 0, 1]);
/// assert_eq!(queue.try_pop(), Some("reply"));
/// assert_eq!(queue.try_pop(), Some("report"));
/// assert_eq!(queue.try_pop(), Some("sweep"));
/// ```
pub struct PriorityQueue<T> {
    pub(super) state: ShortLock<State<T>>,
}

impl<T> PriorityQueue<T> {
    /// A queue that holds at most `capacity` tasks (at least 1) over all classes, and lets at most `patience` tasks
    /// overtake one that came before them. `u64::MAX` is for ever.
    pub fn bounded(capacity: usize, patience: u64) -> Self {
        PriorityQueue { state: ShortLock::new(State::new(capacity.max(1), patience)) }
    }

    /// Holds at most `most` tasks of this class, and none if that is 0.
    #[must_use]
    pub fn with_limit(self, class: Class, most: usize) -> Self {
        self.state.with(|state| state.set_limit(class, most));
        self
    }

    /// Adds a task if there is room. Never waits for it. O(1) if the hint is a class alone, else O(log n).
    ///
    /// # Errors
    /// [`PushError`] gives the task back.
    #[inline]
    pub fn try_push(&self, task: T, hint: impl Into<Hint>) -> Result<(), PushError<T>> {
        let hint = hint.into();
        let called = self.state.with(|state| state.push(task, hint))?;
        self.wake_consumer(called);
        Ok(())
    }

    /// Adds a task, and waits while there is no room.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the task back; `Full` never comes from here.
    pub fn push(&self, task: T, hint: impl Into<Hint>) -> Result<(), PushError<T>> {
        self.push_until(None, task, hint.into())
    }

    /// Adds a task, and waits for room until `timeout` has passed.
    ///
    /// # Errors
    /// [`PushError`] gives the task back: `Full` if there was no room in time.
    pub fn push_timeout(
        &self,
        task: T,
        hint: impl Into<Hint>,
        timeout: Duration,
    ) -> Result<(), PushError<T>> {
        self.push_until(Some(timeout), task, hint.into())
    }

    fn push_until(
        &self,
        timeout: Option<Duration>,
        task: T,
        hint: Hint,
    ) -> Result<(), PushError<T>> {
        let mut task = match self.try_push(task, hint) {
            Err(PushError::Full(task)) => Some(task),
            done => return done,
        };
        let mut waiting = Waiting::new(self, Side::Producers(hint.class()));
        let pushed =
            block_on(timeout, |context| waiting.poll_push(context.waker(), &mut task, hint));
        match (pushed, task) {
            (Some(done), _) => done,
            (None, Some(task)) => Err(PushError::Full(task)),
            (None, None) => Ok(()),
        }
    }

    /// Adds a task, if there is room; if there is none, in place of the least urgent of those queued, and of those the
    /// newest: of its own class if that has reached its limit, else of all. Gives the one that had to go: this one, if all
    /// others are before it. O(log n), and O(n log n) the first time in a class that has tasks with more than a class, which keeps
    /// those in a second order from then on.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the task back; `Full` never comes from here.
    pub fn force_push(&self, task: T, hint: impl Into<Hint>) -> Result<Option<T>, PushError<T>> {
        let hint = hint.into();
        let (displaced, called) = self.state.with(|state| state.force_push(task, hint))?;
        self.wake_consumer(called);
        Ok(displaced)
    }

    /// Moves tasks into the queue at one go, from the front up to the first for which there is no room, and says how many.
    /// O(batch) under the lock.
    ///
    /// # Errors
    /// [`PushError::Closed`] if the queue is closed; none was moved.
    pub fn try_push_many(&self, tasks: &mut VecDeque<(T, Hint)>) -> Result<usize, PushError<()>> {
        let moved = self.state.with(|state| state.push_many(tasks))?;
        for _ in 0..moved.to_call {
            let Some(called) = self.state.with(State::call_consumer) else { break };
            self.wake_consumer(Some(called));
        }
        Ok(moved.count)
    }

    /// Moves all of these tasks into the queue, in their order, and waits while there is no room; other threads' tasks may
    /// come in between.
    ///
    /// # Errors
    /// [`PushError::Closed`] gives the first back that was not queued; the others are left in `tasks`.
    pub fn push_many(&self, tasks: &mut VecDeque<(T, Hint)>) -> Result<(), PushError<T>> {
        loop {
            // A queue that is closed says so to the next one.
            let _moved = self.try_push_many(tasks);
            let Some((task, hint)) = tasks.pop_front() else { return Ok(()) };
            self.push(task, hint)?;
        }
    }

    /// Adds a task, and waits for room as a task does.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    ///
    /// # Cancel safety
    /// Dropped before it is done, the future drops the task, which was not queued. Its turn goes to the next who waits.
    pub fn send(&self, task: T, hint: impl Into<Hint>) -> SendTask<'_, T> {
        let hint = hint.into();
        let waiting = Waiting::new(self, Side::Producers(hint.class()));
        SendTask { waiting, task: Some(task), hint }
    }

    /// The next task, or `None` when the queue is empty now. O(1) if its hint is a class alone, else O(log n).
    #[inline]
    pub fn try_pop(&self) -> Option<T> {
        let (task, called) = self.state.with(State::pop)?;
        self.wake_producer(called);
        Some(task)
    }

    /// The next task; waits while the queue is empty. `None` once it is closed *and* empty.
    pub fn pop(&self) -> Option<T> {
        self.pop_until(None).ok()
    }

    /// The next task; waits for it until `timeout` has passed.
    ///
    /// # Errors
    /// [`PopError::TimedOut`] if none came in time, [`PopError::Closed`] once the queue is closed *and* empty.
    pub fn pop_timeout(&self, timeout: Duration) -> Result<T, PopError> {
        self.pop_until(Some(timeout))
    }

    fn pop_until(&self, timeout: Option<Duration>) -> Result<T, PopError> {
        if let Some(task) = self.try_pop() {
            return Ok(task);
        }
        let mut waiting = Waiting::new(self, Side::Consumers);
        let popped = block_on(timeout, |context| waiting.poll_pop(context.waker()));
        popped.ok_or(PopError::TimedOut)?.ok_or(PopError::Closed)
    }

    /// Moves up to `most` tasks to `out`, in order and at one go, and says how many: fewer only if there were no more.
    /// O(batch) under the lock.
    pub fn try_pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        loop {
            match self.state.with(|state| state.pop_many(out, most)) {
                Ok(moved) => return self.wake_producers(moved),
                Err(NeedsSpace(count)) => out.reserve(count),
            }
        }
    }

    /// Waits for at least one task, then moves up to `most` of them to `out`, in order and at one go. The number moved is 0
    /// only when the queue is closed and empty, or `most` is 0.
    pub fn pop_many(&self, out: &mut Vec<T>, most: usize) -> usize {
        self.pop_many_until(None, out, most).unwrap_or(0)
    }

    /// As [`pop_many`](Self::pop_many), but waits only until `timeout` has passed.
    ///
    /// # Errors
    /// [`PopError::TimedOut`] if no task came in time, [`PopError::Closed`] once the queue is closed *and* empty.
    pub fn pop_many_timeout(
        &self,
        out: &mut Vec<T>,
        most: usize,
        timeout: Duration,
    ) -> Result<usize, PopError> {
        match self.pop_many_until(Some(timeout), out, most)? {
            0 if most > 0 => Err(PopError::Closed),
            moved => Ok(moved),
        }
    }

    fn pop_many_until(
        &self,
        timeout: Option<Duration>,
        out: &mut Vec<T>,
        most: usize,
    ) -> Result<usize, PopError> {
        let moved = self.try_pop_many(out, most);
        if moved > 0 || most == 0 {
            return Ok(moved);
        }
        let mut waiting = Waiting::new(self, Side::Consumers);
        let moved = block_on(timeout, |context| waiting.poll_pop_many(context.waker(), out, most));
        moved.ok_or(PopError::TimedOut)
    }

    /// The next task; waits for it as a task does. `None` once the queue is closed *and* empty.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the future has taken nothing. Its turn goes to the next who waits.
    ///
    /// ```
    /// # use queenright_primitives::schedule::{Class, PriorityQueue};
    /// # async fn example() {
    /// let queue = PriorityQueue::bounded(10, 1000);
    /// queue.send("reply", Class::High).await.unwrap();
    /// queue.close();
    /// assert_eq!(queue.recv().await, Some("reply"));
    /// assert_eq!(queue.recv().await, None);
    /// # }
    /// # let waker = std::task::Waker::noop();
    /// # let done = std::pin::pin!(example()).poll(&mut std::task::Context::from_waker(&waker));
    /// # assert!(done.is_ready());
    /// ```
    pub fn recv(&self) -> Recv<'_, T> {
        Recv(Waiting::new(self, Side::Consumers))
    }

    /// As [`pop_many`](Self::pop_many), but waits as a task does.
    ///
    /// # Cancel safety
    /// As [`recv`](Self::recv).
    pub fn recv_many<'o>(&self, out: &'o mut Vec<T>, most: usize) -> RecvMany<'_, 'o, T> {
        RecvMany { waiting: Waiting::new(self, Side::Consumers), out, most }
    }

    /// Refuses tasks from now on. What is queued can still be popped; whoever waits is woken.
    pub fn close(&self) {
        self.state.with(State::close);
        while let Some(called) = self.state.with(State::call_any) {
            // Whether its waker panics or not, the next one is called.
            quietly(|| called.wake());
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.state.with(|state| state.is_closed())
    }

    /// How many tasks are queued now. O(1).
    pub fn len(&self) -> usize {
        self.state.with(|state| state.ready().len())
    }

    /// Whether nothing is queued now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks of one class are queued now. O(1).
    pub fn len_of(&self, class: Class) -> usize {
        self.state.with(|state| state.ready().len_of(class))
    }

    /// How many tasks of each class are queued, all at one moment, the most urgent class first. O(1).
    pub fn depths(&self) -> [usize; Class::ALL.len()] {
        self.state.with(|state| Class::ALL.map(|class| state.ready().len_of(class)))
    }

    /// The most tasks it holds at a time.
    pub fn capacity(&self) -> usize {
        self.state.with(|state| state.capacity())
    }

    /// The most tasks of one class that it holds at a time.
    pub fn limit_of(&self, class: Class) -> usize {
        self.state.with(|state| state.limit_of(class))
    }

    /// Wakes a consumer that was called.
    #[inline]
    pub(super) fn wake_consumer(&self, called: Option<Waker>) {
        self.wake(called, Side::Consumers);
    }

    /// Wakes a producer that was called.
    #[inline]
    pub(super) fn wake_producer(&self, called: Option<Waker>) {
        if called.is_some() {
            self.wake_next(called, State::call_producer);
        }
    }

    /// Wakes as many producers as a batch has made room for, and says how many tasks it moved.
    pub(super) fn wake_producers(&self, moved: Moved) -> usize {
        for _ in 0..moved.to_call {
            let Some(called) = self.state.with(State::call_producer) else { break };
            self.wake_producer(Some(called));
        }
        moved.count
    }

    /// Wakes somebody on this side that was called.
    #[inline]
    pub(super) fn wake(&self, called: Option<Waker>, side: Side) {
        if called.is_some() {
            self.wake_next(called, |state| state.call(side));
        }
    }

    /// A waker that panics has told the panic hook, and may not take the turn with it, or a task that the caller has in
    /// its hands: the next one is called.
    #[cold]
    fn wake_next(&self, mut called: Option<Waker>, next: impl Fn(&mut State<T>) -> Option<Waker>) {
        while let Some(waker) = called
            && !quietly(|| waker.wake())
        {
            called = self.state.with(&next);
        }
    }
}

impl<T> fmt::Debug for PriorityQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PriorityQueue")
            .field("depths", &self.depths())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
