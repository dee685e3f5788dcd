//! One answer, given once: a slot under a lock, with the waker of whoever waits.
//!
//! The lock is held for a few instructions and never while user code runs: a waker is taken out and woken, and a
//! value dropped, after the lock was released.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::block::block_on;
use crate::lock::ShortLock;
use crate::panics::{go_on, keep_first};
use crate::sync::Arc;

/// A pair through which exactly one value travels.
///
/// ```
/// let (sender, receiver) = queenright_primitives::notify::oneshot();
/// std::thread::spawn(move || sender.send("done"));
/// assert_eq!(receiver.wait(), Ok("done"));
/// ```
pub fn oneshot<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared(ShortLock::new(Slot {
        state: State::Empty,
        waker: None,
        is_unwanted: false,
    })));
    (Sender { shared: Some(Arc::clone(&shared)) }, Receiver { shared })
}

struct Shared<T>(ShortLock<Slot<T>>);

struct Slot<T> {
    state: State<T>,
    waker: Option<Waker>,
    is_unwanted: bool,
}

enum State<T> {
    Empty,
    Full(T),
    Closed,
}

impl<T> Shared<T> {
    /// Leaves `state` for the receiver and wakes it, however it waits.
    fn finish(&self, state: State<T>) {
        let waker = self.0.with(|slot| {
            slot.state = state;
            slot.waker.take()
        });
        // The sender may be dropped by a panic already.
        let wake = || waker.into_iter().for_each(Waker::wake);
        let mut panic = None;
        keep_first(&mut panic, catch_unwind(AssertUnwindSafe(wake)));
        go_on(panic);
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
    ///
    /// # Panics
    /// If the waker of the receiver does, which has the value by then.
    pub fn send(mut self, value: T) {
        if let Some(shared) = self.shared.take() {
            shared.finish(State::Full(value));
        }
    }

    /// Whether the receiver [has said](Receiver::cancel) that it would rather have no answer.
    pub fn is_cancelled(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| shared.0.with(|slot| slot.is_unwanted))
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
    pub fn wait(mut self) -> Result<T, Closed> {
        block_on(None, |context| self.look(context.waker())).unwrap_or(Err(Closed))
    }

    /// Blocks until the value arrives or `timeout` has passed.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`] leaves everything as it was; [`WaitError::Closed`] as in [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<T, WaitError> {
        match block_on(Some(timeout), |context| self.look(context.waker())) {
            Some(answer) => answer.map_err(|Closed| WaitError::Closed),
            None => Err(WaitError::TimedOut),
        }
    }

    /// Tells the sender that the value is not wanted any more, as far as that looks. What it sends all the same still arrives.
    pub fn cancel(&self) {
        self.shared.0.with(|slot| slot.is_unwanted = true);
    }

    /// The answer if it is there already; `None` while it is still to come.
    pub fn try_take(&mut self) -> Option<Result<T, Closed>> {
        self.shared.0.with(Slot::take)
    }

    /// The answer if it is there; else leaves the waker.
    fn look(&mut self, waker: &Waker) -> Poll<Result<T, Closed>> {
        let waits_already =
            |slot: &Slot<T>| slot.waker.as_ref().is_some_and(|it| it.will_wake(waker));
        let (answer, waits) = self.shared.0.with(|slot| (slot.take(), waits_already(slot)));
        match answer {
            Some(answer) => return Poll::Ready(answer),
            None if waits => return Poll::Pending,
            None => {}
        }
        // The newest waker replaces the old one. To clone one and to drop one is user code, so neither is
        // done under the lock; and as the answer may come while it is free, look again.
        let newest = waker.clone();
        let (answer, unused) = self.shared.0.with(|slot| match slot.take() {
            Some(answer) => (Poll::Ready(answer), Some(newest)),
            None => (Poll::Pending, slot.waker.replace(newest)),
        });
        drop(unused);
        answer
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.look(context.waker())
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
    use crate::testing::{counting_waker, poll};

    #[test]
    fn the_sender_can_look_whether_its_value_is_wanted() {
        let (sender, receiver) = oneshot();
        assert!(!sender.is_cancelled());
        receiver.cancel();
        assert!(sender.is_cancelled());
        sender.send(5);
        assert_eq!(receiver.wait(), Ok(5), "it was sent all the same");
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
        let wakers = [counting_waker(), counting_waker()];
        for (waker, _) in &wakers {
            assert!(poll(&mut receiver, waker).is_pending());
        }
        sender.send(());
        assert_eq!(wakers[0].1(), 0);
        assert_eq!(wakers[1].1(), 1);
    }

    #[test]
    fn a_blocked_thread_is_woken() {
        let (sender, receiver) = oneshot();
        let waiter = std::thread::spawn(move || receiver.wait());
        sender.send(7);
        assert_eq!(waiter.join().unwrap(), Ok(7));
    }
}
