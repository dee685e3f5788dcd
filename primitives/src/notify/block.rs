//! How a thread sleeps until it is woken.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::sync::{Thread, current, park, park_timeout};

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

fn unparks_this_thread() -> Waker {
    Waker::from(Arc::new(Unpark(current())))
}

/// Runs `with` on a waker of this thread, which it keeps for the next time.
#[cfg(not(any(queenright_loom, queenright_shuttle)))]
fn with_waker<R>(with: impl FnOnce(&Waker) -> R) -> R {
    thread_local!(static WAKER: Waker = unparks_this_thread());
    // A thread that is being torn down has lost it.
    let kept = WAKER.try_with(Waker::clone);
    with(&kept.unwrap_or_else(|_| unparks_this_thread()))
}

/// The threads of a model come and go on one thread of the system.
#[cfg(any(queenright_loom, queenright_shuttle))]
fn with_waker<R>(with: impl FnOnce(&Waker) -> R) -> R {
    with(&unparks_this_thread())
}

/// Polls until there is an answer, and lets the thread sleep in between. `None` when `timeout` has passed.
pub(crate) fn block_on<A>(
    timeout: Option<Duration>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<A>,
) -> Option<A> {
    // A timeout beyond what the clock can name is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    with_waker(|waker| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(answer) = poll(&mut context) {
                return Some(answer);
            }
            match deadline {
                None => park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => park_timeout(left),
                    _ => return None,
                },
            }
        }
    })
}
