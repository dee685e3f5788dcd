use std::fmt;
use std::future::poll_fn;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::core::Ring;
use super::error::{RecvError, RecvTimeoutError, TryRecvError};
use super::guard::{Batch, Ref};
use super::options::Options;
use super::reader::Reader;
use super::waiting::{Side, Waiting};
use crate::sync::Arc;

/// A subscription, from [`Publisher::subscribe`](super::Publisher::subscribe). Dropping it ends the subscription.
///
/// Messages are borrowed: what `recv` gives stays in the ring until it is dropped, and no message is cloned.
pub struct Subscriber<T> {
    reader: Reader<T>,
    ring: Arc<Ring<T>>,
}

// SAFETY: it gives `&T` to its thread, and shares the ring, which may drop a `T` on any thread. The place is used by this
// subscriber alone.
unsafe impl<T: Send + Sync> Send for Subscriber<T> {}
// SAFETY: `&self` gives numbers alone.
unsafe impl<T: Send + Sync> Sync for Subscriber<T> {}

impl<T> Subscriber<T> {
    pub(super) fn new(ring: &Arc<Ring<T>>, options: Options) -> Self {
        Subscriber { reader: Reader::join(ring, options), ring: Arc::clone(ring) }
    }

    /// The next message; blocks until there is one.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] once for messages that were overwritten, [`RecvError::Closed`] when the ring is closed and
    /// everything was received.
    #[inline]
    pub fn recv(&mut self) -> Result<Ref<'_, T>, RecvError> {
        loop {
            if let Some(next) = self.reader.next(&self.ring) {
                return next.map(|message| self.give(message));
            }
            self.wait(None);
        }
    }

    /// The next message, if there is one.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is none now, else as [`recv`](Self::recv).
    #[inline]
    pub fn try_recv(&mut self) -> Result<Ref<'_, T>, TryRecvError> {
        match self.reader.next(&self.ring) {
            Some(Ok(message)) => Ok(self.give(message)),
            Some(Err(error)) => Err(error.into()),
            None => Err(TryRecvError::Empty),
        }
    }

    /// The next message; blocks until there is one or `timeout` has passed.
    ///
    /// # Errors
    /// [`RecvTimeoutError::TimedOut`] when the time was up, else as [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Ref<'_, T>, RecvTimeoutError> {
        if let Some(next) = self.reader.next(&self.ring) {
            return Ok(next.map(|message| self.give(message))?);
        }
        // A timeout beyond what the clock can name is as good as none.
        let deadline = Instant::now().checked_add(timeout);
        let mut left = timeout;
        loop {
            self.wait(Some(left));
            // Who wants the latest may have been overtaken since, and be ahead of the tail.
            if let Some(next) = self.reader.next(&self.ring) {
                return Ok(next.map(|message| self.give(message))?);
            }
            if let Some(deadline) = deadline {
                left = deadline.saturating_duration_since(Instant::now());
            }
            if left.is_zero() {
                return Err(RecvTimeoutError::TimedOut);
            }
        }
    }

    /// The next message, as a future, on any runtime.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the next call gives the same message.
    pub async fn recv_async(&mut self) -> Result<Ref<'_, T>, RecvError> {
        loop {
            if let Some(next) = self.reader.next(&self.ring) {
                return next.map(|message| self.give(message));
            }
            self.ready().await;
        }
    }

    /// What is there, up to `most` messages at once; blocks until there is one.
    ///
    /// There may be more than are given: of a subscription that loses messages, a batch ends with a segment (see the
    /// [module page](super)), and of a `Latest` one with the first.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[inline]
    pub fn recv_many(&mut self, most: usize) -> Result<Batch<'_, T>, RecvError> {
        loop {
            if let Some(next) = self.reader.next(&self.ring) {
                return next.map(|_| self.give_many(most));
            }
            self.wait(None);
        }
    }

    /// What is there, up to `most` messages at once, as [`recv_many`](Self::recv_many).
    ///
    /// # Errors
    /// As [`try_recv`](Self::try_recv).
    #[inline]
    pub fn try_recv_many(&mut self, most: usize) -> Result<Batch<'_, T>, TryRecvError> {
        match self.reader.next(&self.ring) {
            Some(Ok(_)) => Ok(self.give_many(most)),
            Some(Err(error)) => Err(error.into()),
            None => Err(TryRecvError::Empty),
        }
    }

    /// What is there, up to `most` messages at once, as [`recv_many`](Self::recv_many); as a future.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the next call gives the same messages.
    pub async fn recv_many_async(&mut self, most: usize) -> Result<Batch<'_, T>, RecvError> {
        loop {
            if let Some(next) = self.reader.next(&self.ring) {
                return next.map(|_| self.give_many(most));
            }
            self.ready().await;
        }
    }

    #[inline]
    fn give(&mut self, message: NonNull<T>) -> Ref<'_, T> {
        // SAFETY: the reader has just given it, and is borrowed from now on.
        unsafe { Ref::new(message, &self.ring, &mut self.reader) }
    }

    #[inline]
    fn give_many(&mut self, most: usize) -> Batch<'_, T> {
        let count = self.reader.available(&self.ring, most);
        // SAFETY: the reader has just given the first, and is borrowed from now on.
        unsafe { Batch::new(count, &self.ring, &mut self.reader) }
    }

    /// Blocks until there is an answer or the time is up.
    #[cold]
    fn wait(&self, timeout: Option<Duration>) {
        self.ring.wait_for_message(timeout, || self.reader.is_ready(&self.ring));
    }

    async fn ready(&self) {
        let mut waiting = Waiting::new(&self.ring, Side::Messages);
        let is_ready = || self.reader.is_ready(&self.ring).then_some(());
        poll_fn(|context| waiting.poll(context.waker(), |_| is_ready())).await;
    }

    /// How many messages were published and not received. Of a subscription that loses the oldest, some may be lost by the
    /// time they are asked for. Wait-free, O(1).
    pub fn len(&self) -> usize {
        usize::try_from(self.reader.len(&self.ring)).unwrap_or(usize::MAX)
    }

    /// Whether everything that was published was received.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages this subscription has lost since it began.
    pub fn lost(&self) -> u64 {
        self.reader.lost()
    }

    /// With how many messages it began that had been published before.
    pub fn replayed(&self) -> u64 {
        self.reader.replayed()
    }
}

// A panic in the caller's code leaves the subscription before or behind a message, never in between.
impl<T: RefUnwindSafe> UnwindSafe for Subscriber<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Subscriber<T> {}

impl<T> Drop for Subscriber<T> {
    fn drop(&mut self) {
        self.reader.leave(&self.ring);
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("len", &self.len())
            .field("lost", &self.lost())
            .finish_non_exhaustive()
    }
}
