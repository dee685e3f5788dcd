use std::fmt;
use std::future::Future;
use std::mem::needs_drop;
use std::panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::core::{Published, Refused, Ring, State};
use super::error::{PublishError, PublishTimeoutError, TryPublishError};
use super::options::Options;
use super::subscriber::Subscriber;
use super::waiting::{Side, Waiting};
use crate::notify::Closed;
use crate::panics::{drop_each, go_on, keep_first};
use crate::sync::Arc;

/// Publishes messages to all subscribers. Clones publish to the same; when the last is dropped, the ring is closed.
///
/// ```
/// use queenright_primitives::ring::{Options, Publisher, RecvError};
///
/// let publisher = Publisher::bounded(64);
/// let mut first = publisher.subscribe(Options::block());
/// let mut second = publisher.subscribe(Options::block());
/// publisher.publish("hello").unwrap();
/// drop(publisher);
/// for subscriber in [&mut first, &mut second] {
///     assert_eq!(*subscriber.recv().unwrap(), "hello");
///     assert_eq!(subscriber.recv().unwrap_err(), RecvError::Closed);
/// }
/// ```
pub struct Publisher<T> {
    ring: Arc<Ring<T>>,
}

impl<T> Publisher<T> {
    /// A ring without subscribers, and its first publisher.
    ///
    /// `capacity` (at least 1) is how many unread messages a `Block` subscription may have before publishers wait for
    /// it, and how many of the newest are kept at least for all others. The ring has places for up to a quarter more.
    ///
    /// # Panics
    /// If so many messages are more bytes than a process can have; without memory for fewer the process aborts.
    pub fn bounded(capacity: usize) -> Self {
        Publisher { ring: Arc::new(Ring::new(capacity)) }
    }

    /// Adds a subscriber. Blocking, a short lock; O(1) beside the window of one that drops the newest.
    ///
    /// # Panics
    /// If such a window is more bytes than a process can have; without memory for less the process aborts.
    pub fn subscribe(&self, options: Options) -> Subscriber<T> {
        Subscriber::new(&self.ring, options)
    }

    /// Publishes a message; waits as long as a `Block` subscription is full.
    ///
    /// # Errors
    /// [`PublishError`] gives the message back when the ring is closed.
    #[inline]
    pub fn publish(&self, message: T) -> Result<(), PublishError<T>> {
        self.ring.try_publish(message).or_else(|refused| self.publish_refused(refused))
    }

    /// Publishes a message that found no room.
    #[cold]
    fn publish_refused(&self, (refused, message): (Refused, T)) -> Result<(), PublishError<T>> {
        match refused {
            Refused::Closed => Err(PublishError(message)),
            Refused::Full => {
                self.publish_later(message, None).map_err(|(_, message)| PublishError(message))
            }
        }
    }

    /// Publishes a message, if no `Block` subscription is full.
    ///
    /// # Errors
    /// [`TryPublishError`] gives the message back.
    #[inline]
    pub fn try_publish(&self, message: T) -> Result<(), TryPublishError<T>> {
        self.ring.try_publish(message).map_err(|(refused, message)| match refused {
            Refused::Full => TryPublishError::Full(message),
            Refused::Closed => TryPublishError::Closed(message),
        })
    }

    /// Publishes a message; waits as long as a `Block` subscription is full, but no longer than `timeout`.
    ///
    /// # Errors
    /// [`PublishTimeoutError`] gives the message back.
    pub fn publish_timeout(
        &self,
        message: T,
        timeout: Duration,
    ) -> Result<(), PublishTimeoutError<T>> {
        let done = self.ring.try_publish(message).or_else(|(refused, message)| match refused {
            Refused::Full => self.publish_later(message, Some(timeout)),
            Refused::Closed => Err((refused, message)),
        });
        done.map_err(|(refused, message)| match refused {
            Refused::Full => PublishTimeoutError::TimedOut(message),
            Refused::Closed => PublishTimeoutError::Closed(message),
        })
    }

    /// Publishes a message, as a future, on any runtime; it waits as long as a `Block` subscription is full.
    ///
    /// # Errors
    /// [`PublishError`] gives the message back when the ring is closed.
    ///
    /// # Cancel safety
    /// A future that is dropped before it is ready drops the message, and has not published it.
    pub fn publish_async(&self, message: T) -> Publish<'_, T> {
        Publish {
            ring: &self.ring,
            message: Some(message),
            waiting: Waiting::new(&self.ring, Side::Room),
        }
    }

    /// Publishes all of these messages in their order, and leaves `messages` empty. Up to a segment of them (see the [module page](super)) is
    /// published at once, for the price of one; between two, other publishers' messages may come. Waits as `publish` does.
    ///
    /// # Errors
    /// [`Closed`] when the ring is closed. What was not published stays in `messages`.
    ///
    /// # Panics
    /// If a waker or the drop of an old message panics, after all were published.
    pub fn publish_many(&self, messages: &mut Vec<T>) -> Result<(), Closed> {
        let (mut panic, mut result) = (None, Ok(()));
        let mut rest = messages.drain(..);
        while result.is_ok() && rest.len() > 0 {
            let mut replaced =
                Vec::with_capacity(if needs_drop::<T>() { self.ring.run(rest.len()) } else { 0 });
            let ring = &*self.ring;
            let mut attempt = |state: &mut State<T>| match ring.publish_some_in(
                state,
                &mut rest,
                &mut replaced,
            ) {
                Err(Refused::Full) => None,
                done => Some(done),
            };
            let done = match ring.state.0.with(&mut attempt) {
                Some(done) => done,
                None => ring.wait_for_room(None, attempt).unwrap_or(Err(Refused::Full)),
            };
            match done {
                Ok(sleepers) => {
                    let wake = || ring.wake(Side::Messages, sleepers);
                    keep_first(&mut panic, catch_unwind(AssertUnwindSafe(wake)));
                    let drop = || drop_each(replaced);
                    keep_first(&mut panic, catch_unwind(AssertUnwindSafe(drop)));
                }
                Err(_) => result = Err(Closed),
            }
        }
        if result.is_err() {
            let rest: Vec<T> = rest.collect();
            messages.extend(rest);
        }
        go_on(panic);
        result
    }

    fn publish_later(&self, message: T, timeout: Option<Duration>) -> Result<(), (Refused, T)> {
        let mut message = Some(message);
        let done =
            self.ring.wait_for_room(timeout, |state| attempt(&self.ring, state, &mut message));
        match (done, message) {
            (Some(done), _) => {
                finish(&self.ring, done).map_err(|message| (Refused::Closed, message))
            }
            (None, Some(message)) => Err((Refused::Full, message)),
            (None, None) => unreachable!("who times out has published nothing"),
        }
    }

    /// Refuses messages from now on, from whichever publisher. Subscribers receive what was published before. Whoever waits is woken.
    pub fn close(&self) {
        self.ring.close();
    }

    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.ring.tail().is_closed()
    }

    /// How many subscriptions there are now.
    pub fn subscribers(&self) -> usize {
        self.ring.subscribers()
    }

    /// As it was asked for in [`bounded`](Self::bounded).
    pub fn capacity(&self) -> usize {
        self.ring.capacity
    }
}

/// Tries to publish the message under the lock. It stays where it is if there is no room.
fn attempt<T>(
    ring: &Ring<T>,
    state: &mut State<T>,
    message: &mut Option<T>,
) -> Option<Result<Published<T>, T>> {
    match ring.publish_in(state, message.take()?) {
        Ok(published) => Some(Ok(published)),
        Err((Refused::Closed, message)) => Some(Err(message)),
        Err((Refused::Full, back)) => {
            *message = Some(back);
            None
        }
    }
}

/// Does what is left to do without the lock.
fn finish<T>(ring: &Ring<T>, done: Result<Published<T>, T>) -> Result<(), T> {
    ring.finish(done?);
    Ok(())
}

/// What tests look at.
#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
impl<T> Publisher<T> {
    pub(super) fn ring_places(&self) -> u64 {
        self.ring.total()
    }

    pub(super) fn segments_aside(&self) -> usize {
        self.ring.aside()
    }

    /// Whether a subscriber that leaves a segment looks for publishers to wake.
    pub(super) fn room_is_wanted(&self) -> bool {
        self.ring.room_wanted.0.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// How many wait for messages, and for room.
    pub(super) fn waiting(&self) -> (usize, usize) {
        self.ring.waiting()
    }
}

impl<T> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher")
            .field("published", &self.ring.tail().position())
            .field("subscribers", &self.subscribers())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

// A panic in the caller's code leaves the ring with or without a whole message, never in between.
impl<T: RefUnwindSafe> UnwindSafe for Publisher<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Publisher<T> {}

impl<T> fmt::Debug for Publish<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish")
            .field("published", &self.message.is_none())
            .finish_non_exhaustive()
    }
}

impl<T> Clone for Publisher<T> {
    fn clone(&self) -> Self {
        self.ring.add_publisher();
        Publisher { ring: Arc::clone(&self.ring) }
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.ring.remove_publisher();
    }
}

/// A future of a message's publication, from [`Publisher::publish_async`].
#[must_use = "futures do nothing unless they are awaited"]
pub struct Publish<'p, T> {
    ring: &'p Ring<T>,
    message: Option<T>,
    waiting: Waiting<'p, T>,
}

impl<T> Unpin for Publish<'_, T> {}

impl<T> Future for Publish<'_, T> {
    type Output = Result<(), PublishError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Publish { ring, message, waiting } = self.get_mut();
        let done = ready!(waiting.poll(context.waker(), |state| attempt(ring, state, message)));
        Poll::Ready(finish(ring, done).map_err(PublishError))
    }
}
