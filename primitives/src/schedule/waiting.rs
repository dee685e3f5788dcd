//! How a thread or a task waits for its turn at the queue.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::state::{Moved, NeedsSpace, Side, State};
use super::{Hint, PriorityQueue, PushError};
use crate::notify::Place;
use crate::panics::drop_quietly;

/// Somebody who waits. Dropped, it waits no longer, and lets the next one go if it was called already.
pub(super) struct Waiting<'q, T> {
    queue: &'q PriorityQueue<T>,
    side: Side,
    place: Option<Place>,
}

/// What an attempt under the lock led to.
enum Step<A> {
    Done(A),
    Waits,
    NeedsWaker,
}

impl<'q, T> Waiting<'q, T> {
    pub(super) fn new(queue: &'q PriorityQueue<T>, side: Side) -> Self {
        Waiting { queue, side, place: None }
    }

    /// Makes an attempt, and leaves `waker` to be woken if it fails.
    pub(super) fn poll<A>(
        &mut self,
        waker: &Waker,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Poll<A> {
        let (step, mine) = self.queue.state.with(|state| match attempt(state) {
            Some(answer) => (Step::Done(answer), self.leave(state)),
            None if self.waits_with(state, waker) => (Step::Waits, None),
            None => (Step::NeedsWaker, None),
        });
        drop_quietly(mine);
        match step {
            Step::Done(answer) => Poll::Ready(answer),
            Step::Waits => Poll::Pending,
            Step::NeedsWaker => self.poll_again(waker.clone(), attempt),
        }
    }

    /// Makes another attempt, as the lock was free while the waker was cloned, which is the caller's code.
    fn poll_again<A>(
        &mut self,
        waker: Waker,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Poll<A> {
        let (answer, unused, next) = self.queue.state.with(|state| match attempt(state) {
            Some(answer) => (Poll::Ready(answer), [Some(waker), self.leave(state)], None),
            None => {
                let (old, next) = self.stay(state, waker);
                (Poll::Pending, [old, None], next)
            }
        });
        self.queue.wake(next, self.side);
        unused.into_iter().for_each(drop_quietly);
        answer
    }

    /// The next task; `None` once the queue is closed and empty.
    pub(super) fn poll_pop(&mut self, waker: &Waker) -> Poll<Option<T>> {
        let popped = self.poll(waker, |state| match state.pop() {
            Some(popped) => Some(Some(popped)),
            None => state.is_closed().then_some(None),
        });
        popped.map(|popped| {
            popped.map(|(task, called)| {
                self.queue.wake_producer(called);
                task
            })
        })
    }

    /// Up to `most` tasks, at least one; none once the queue is closed and empty.
    pub(super) fn poll_pop_many(
        &mut self,
        waker: &Waker,
        out: &mut Vec<T>,
        most: usize,
    ) -> Poll<usize> {
        if most == 0 {
            return Poll::Ready(0);
        }
        loop {
            let moved = self.poll(waker, |state| match state.pop_many(out, most) {
                Ok(Moved { count: 0, .. }) if !state.is_closed() => None,
                done => Some(done),
            });
            match moved {
                Poll::Ready(Ok(moved)) => return Poll::Ready(self.queue.wake_producers(moved)),
                Poll::Ready(Err(NeedsSpace(count))) => out.reserve(count),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Queues the task, or takes it back once the queue is closed.
    ///
    /// # Panics
    /// If there is no task.
    pub(super) fn poll_push(
        &mut self,
        waker: &Waker,
        task: &mut Option<T>,
        hint: Hint,
    ) -> Poll<Result<(), PushError<T>>> {
        let pushed = self.poll(waker, |state| {
            match state.push(task.take().expect("not polled after it has finished"), hint) {
                Err(PushError::Full(full)) => {
                    *task = Some(full);
                    None
                }
                done => Some(done),
            }
        });
        pushed.map(|pushed| pushed.map(|called| self.queue.wake_consumer(called)))
    }

    fn waits_with(&self, state: &mut State<T>, waker: &Waker) -> bool {
        let line = state.line(self.side);
        self.place.as_ref().is_some_and(|place| line.waits_with(place, waker))
    }

    /// Waits, or waits on, with this waker. Gives the old one, and who is to be woken in place of this one.
    fn stay(&mut self, state: &mut State<T>, waker: Waker) -> (Option<Waker>, Option<Waker>) {
        let line = state.line_to_stand_in(self.side);
        let Some(place) = &self.place else {
            self.place = Some(line.join(waker));
            return (None, None);
        };
        let called = line.was_called(place);
        let old = line.stay(place, waker);
        (old, if called { state.call(self.side) } else { None })
    }

    /// Gives the place up, and the waker, if it was not called.
    fn leave(&mut self, state: &mut State<T>) -> Option<Waker> {
        let place = self.place.take()?;
        state.line(self.side).leave(place)
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let (mine, next) = self.queue.state.with(|state| {
            let mine = state.line(self.side).leave(place);
            // Not there any more, so it was called.
            let next = if mine.is_none() { state.call(self.side) } else { None };
            (mine, next)
        });
        self.queue.wake(next, self.side);
        drop_quietly(mine);
    }
}

/// The future of [`PriorityQueue::recv`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Recv<'q, T>(pub(super) Waiting<'q, T>);

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_pop(context.waker())
    }
}

/// The future of [`PriorityQueue::recv_many`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct RecvMany<'q, 'o, T> {
    pub(super) waiting: Waiting<'q, T>,
    pub(super) out: &'o mut Vec<T>,
    pub(super) most: usize,
}

impl<T> Future for RecvMany<'_, '_, T> {
    type Output = usize;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<usize> {
        let this = &mut *self;
        this.waiting.poll_pop_many(context.waker(), this.out, this.most)
    }
}

/// The future of [`PriorityQueue::send`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct SendTask<'q, T> {
    pub(super) waiting: Waiting<'q, T>,
    pub(super) task: Option<T>,
    pub(super) hint: Hint,
}

// The task is moved out of the future and never pinned.
impl<T> Unpin for SendTask<'_, T> {}

impl<T> Future for SendTask<'_, T> {
    type Output = Result<(), PushError<T>>;

    /// # Panics
    /// If it is polled after it has finished.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.waiting.poll_push(context.waker(), &mut this.task, this.hint)
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for RecvMany<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMany").field("most", &self.most).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SendTask<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendTask").field("hint", &self.hint).finish_non_exhaustive()
    }
}
