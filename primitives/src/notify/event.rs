//! An event that threads and tasks wait for.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::block::block_on;
use super::waiters::{Registration, Waiters};
use crate::panics::{drop_quietly, quietly};
use crate::sync::{Ordering, fence};

/// Lets threads and tasks wait until something holds that others make true.
///
/// The thing itself is the caller's: an atomic, a queue, whatever can be looked at. To wait is to hand over the look; to
/// make it true is to change the thing, and *then* to notify. A change before the notification is seen by the look of whoever
/// is woken, and of whoever comes later, whatever the ordering of the change itself; but what the change *publishes* is the business of
/// its own ordering, as ever.
///
/// ```
/// use queenright_primitives::notify::Event;
/// use std::sync::atomic::{AtomicU32, Ordering};
///
/// static TICKETS: AtomicU32 = AtomicU32::new(0);
/// let event = Event::new();
/// let take_one = || TICKETS.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
/// std::thread::scope(|scope| {
///     let guests = [(); 2].map(|()| scope.spawn(|| event.wait_until(take_one)));
///     for _ in &guests {
///         TICKETS.fetch_add(1, Ordering::Relaxed);
///         event.notify_one();
///     }
/// });
/// assert_eq!(TICKETS.load(Ordering::Relaxed), 0);
/// ```
///
/// # Which notification
/// [`notify_one`](Self::notify_one) wakes one of those who wait, for changes that are good for one, where all wait for the same thing.
/// If the one that was woken gives up, or got what it waited for from somewhere else, another is woken in its place; so drop a future
/// that you poll no more, as one that is kept, or forgotten, may keep a notification with it.
/// [`notify_all`](Self::notify_all) is for everything else. Of those who wait for long each has its turn, some more often than others.
///
/// # Progress and cost
/// Notifying is lock-free: a fence and a load while nobody waits, else O(places) of the most that ever waited at a time.
/// To wait, a look without anything else if it holds already. Memory: places of 128 bytes, 8 for the first who waits, and twice as many
/// each time that they do not suffice, kept until the event is dropped; and an allocation for each wait.
pub struct Event(Waiters);

impl Event {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Event(Waiters::new())
    }

    /// Wakes one of those who wait, if anybody does.
    ///
    /// # Panics
    /// If its waker does.
    #[inline]
    pub fn notify_one(&self) {
        // SeqCst orders the caller's change before the look for wakers.
        fence(Ordering::SeqCst);
        self.0.wake_one();
    }

    /// Wakes all those who wait.
    ///
    /// # Panics
    /// If a waker does, after all have been woken.
    #[inline]
    pub fn notify_all(&self) {
        // As above.
        fence(Ordering::SeqCst);
        self.0.wake_all();
    }

    /// Blocks until `look` finds something. It is called up to three times at the beginning and each time that somebody
    /// notifies, and should not notify this event itself, which would wake it again and again.
    pub fn wait_until<A>(&self, look: impl FnMut() -> Option<A>) -> A {
        let mut wait = Wait::new(self, look);
        block_on(None, |context| wait.poll(context.waker()))
            .expect("without a timeout there is an answer")
    }

    /// Blocks until `look` finds something, or `timeout` has passed, which gives `None`.
    pub fn wait_until_timeout<A>(
        &self,
        timeout: Duration,
        look: impl FnMut() -> Option<A>,
    ) -> Option<A> {
        let mut wait = Wait::new(self, look);
        block_on(Some(timeout), |context| wait.poll(context.waker()))
    }

    /// Waits, as a task does, until `look` finds something.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the future loses nothing: if it was the one that was notified, another is.
    pub fn until<A, F: FnMut() -> Option<A>>(&self, look: F) -> Until<'_, F> {
        Until(Wait::new(self, look))
    }
}

impl Default for Event {
    fn default() -> Self {
        Event::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").finish_non_exhaustive()
    }
}

/// The future of [`Event::until`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Until<'e, F>(Wait<'e, F>);

// Nothing in it is ever pinned.
impl<F> Unpin for Until<'_, F> {}

impl<A, F: FnMut() -> Option<A>> Future for Until<'_, F> {
    type Output = A;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A> {
        self.0.poll(context.waker())
    }
}

impl<F> fmt::Debug for Until<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until").finish_non_exhaustive()
    }
}

/// One who waits. Dropped, it passes on a notification that it has not used.
struct Wait<'e, F> {
    event: &'e Event,
    place: Registration<'e>,
    look: F,
}

impl<'e, F> Wait<'e, F> {
    fn new(event: &'e Event, look: F) -> Self {
        Wait { event, place: Registration::new(&event.0), look }
    }

    fn poll<A>(&mut self, waker: &Waker) -> Poll<A>
    where
        F: FnMut() -> Option<A>,
    {
        let called = self.place.was_called();
        if called && let Some(answer) = (self.look)() {
            // This is what it was called for.
            self.leave();
            return Poll::Ready(answer);
        }
        let answer = self.place.poll(waker, &mut self.look);
        if answer.is_ready() {
            // At once, as the future may live on: a notification would go to one who waits no more.
            self.leave_and_pass_on();
        }
        answer
    }

    /// Gives the place up, and says whether it was called. A waker that panics when it is dropped may not take the call, or
    /// the answer, with it.
    fn leave(&mut self) -> bool {
        let (called, wakers) = self.place.leave();
        wakers.into_iter().flatten().for_each(drop_quietly);
        called
    }

    fn leave_and_pass_on(&mut self) {
        if self.leave() {
            quietly(|| self.event.notify_one());
        }
    }
}

impl<F> Drop for Wait<'_, F> {
    fn drop(&mut self) {
        self.leave_and_pass_on();
    }
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;
