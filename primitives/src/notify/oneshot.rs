//! One answer, given once: a slot under a mutex, with a condition variable and a waker.
//!
//! The lock is held for a few instructions and never while user code runs: a waker is taken out and woken, and a
//! value dropped, after the lock was released.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sync::{Arc, Condvar, Mutex, lock, wait};

/// A pair through which exactly one value travels.
///
/// ```
/// let (sender, receiver) = queenright_primitives::notify::oneshot();
/// std::thread::spawn(move || sender.send("done"));
/// assert_eq!(receiver.wait(), Ok("done"));
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        slot: Mutex::new(Slot { state: State::Empty, waker: None, blocked: false }),
        filled: Condvar::new(),
    });
    (Sender { shared: Some(Arc::clone(&shared)) }, Receiver { shared })
}

struct Shared<T> {
    slot: Mutex<Slot<T>>,
    filled: Condvar,
}

struct Slot<T> {
    state: State<T>,
    waker: Option<Waker>,
    /// A thread blocks on the condition. Waking costs a system call, so it is not done in vain.
    blocked: bool,
}

enum State<T> {
    Empty,
    Full(T),
    Closed,
}

impl<T> Shared<T> {
    /// Leaves `state` for the receiver and wakes it, however it waits.
    fn finish(&self, state: State<T>) {
        let waker = {
            let mut slot = lock(&self.slot);
            slot.state = state;
            if slot.blocked {
                self.filled.notify_one();
            }
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Slot<T> {
    /// The answer, if there is one; after a value was taken the slot counts as closed.
    fn take(&mut self) -> Option<Result<T, Closed>> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Full(value) => Some(Ok(value)),
            State::Closed => Some(Err(Closed)),
            State::Empty => {
                self.state = State::Empty;
                None
            }
        }
    }
}

/// The half that gives the value. Dropping it unused closes the pair.
pub struct Sender<T> {
    shared: Option<Arc<Shared<T>>>,
}

impl<T> Sender<T> {
    /// Hands the value over. If the receiver is gone, the value is dropped with the pair.
    pub fn send(mut self, value: T) {
        if let Some(shared) = self.shared.take() {
            shared.finish(State::Full(value));
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.take() {
            shared.finish(State::Closed);
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sender")
    }
}

/// The half that waits. It is also a [`Future`].
///
/// # Cancel safety
/// Dropping the future, or a timeout, loses nothing but this receiver's own interest: as long as the
/// receiver lives, the value can still be waited for.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Receiver<T> {
    /// Blocks until the value arrives.
    ///
    /// # Errors
    /// [`Closed`] when the sender was dropped without sending, or the value was already taken.
    pub fn wait(self) -> Result<T, Closed> {
        let mut slot = lock(&self.shared.slot);
        loop {
            match slot.take() {
                Some(answer) => return answer,
                None => {
                    slot.blocked = true;
                    slot = wait(&self.shared.filled, slot);
                }
            }
        }
    }

    /// Blocks until the value arrives or `timeout` has passed.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] leaves everything as it was; [`WaitError::Closed`] as in [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T, WaitError> {
        // A timeout beyond what the clock can name is as good as none.
        let deadline = Instant::now().checked_add(timeout);
        let mut slot = lock(&self.shared.slot);
        loop {
            if let Some(answer) = slot.take() {
                return answer.map_err(|Closed| WaitError::Closed);
            }
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return Err(WaitError::TimedOut);
            }
            slot.blocked = true;
            slot = self
                .shared
                .filled
                .wait_timeout(slot, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }

    /// The answer if it is there already; `None` while it is still to come.
    pub fn try_take(&mut self) -> Option<Result<T, Closed>> {
        lock(&self.shared.slot).take()
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.shared.slot);
        if let Some(answer) = slot.take() {
            return Poll::Ready(answer);
        }
        if slot.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            return Poll::Pending;
        }
        // The newest waker replaces the old one. To clone one and to drop one is user code, so neither is
        // done under the lock; and as the answer may come while it is free, look again.
        drop(slot);
        let newest = context.waker().clone();
        let mut slot = lock(&self.shared.slot);
        if let Some(answer) = slot.take() {
            drop(slot);
            return Poll::Ready(answer);
        }
        let old = slot.waker.replace(newest);
        drop(slot);
        drop(old);
        Poll::Pending
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Receiver")
    }
}

/// No value will come: the sender is gone, or the value was taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the sender was dropped without an answer, or the answer was already taken")
    }
}

impl std::error::Error for Closed {}

/// Why [`Receiver::wait_timeout`] came back without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The time was up; the value can still be waited for.
    TimedOut,
    /// No value will come.
    Closed,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WaitError::TimedOut => f.write_str("no answer yet: wait again or give up"),
            WaitError::Closed => Closed.fmt(f),
        }
    }
}

impl std::error::Error for WaitError {}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    struct CountWakes(AtomicUsize);
    impl Wake for CountWakes {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_value_arrives_once() {
        let (sender, mut receiver) = oneshot();
        assert_eq!(receiver.try_take(), None);
        sender.send(5);
        assert_eq!(receiver.try_take(), Some(Ok(5)));
        assert_eq!(receiver.try_take(), Some(Err(Closed)));
    }

    #[test]
    fn a_dropped_sender_closes() {
        let (sender, receiver) = oneshot::<u32>();
        drop(sender);
        assert_eq!(receiver.wait(), Err(Closed));
    }

    #[test]
    fn a_timeout_loses_nothing() {
        let (sender, mut receiver) = oneshot();
        assert_eq!(receiver.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut));
        sender.send(1);
        assert_eq!(receiver.wait_timeout(Duration::MAX), Ok(1));
    }

    #[test]
    fn the_newest_waker_is_woken_once() {
        let (sender, mut receiver) = oneshot();
        let wakes: Vec<_> =
            (0..2).map(|_| std::sync::Arc::new(CountWakes(AtomicUsize::new(0)))).collect();
        for count in &wakes {
            let waker = Waker::from(std::sync::Arc::clone(count));
            let mut context = Context::from_waker(&waker);
            assert!(Pin::new(&mut receiver).poll(&mut context).is_pending());
        }
        sender.send(());
        assert_eq!(wakes[0].0.load(Ordering::SeqCst), 0);
        assert_eq!(wakes[1].0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_blocked_thread_is_woken() {
        let (sender, receiver) = oneshot();
        let waiter = std::thread::spawn(move || receiver.wait());
        sender.send(7);
        assert_eq!(waiter.join().unwrap(), Ok(7));
    }
}
