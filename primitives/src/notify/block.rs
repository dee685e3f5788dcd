//! How a thread sleeps until it is woken.

use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::sync::{AtomicBool, Ordering, Thread, current, park, park_timeout};

/// Wakes a thread that sleeps here.
///
/// What it was woken for is kept here, too: whatever the thread does between two looks may park for reasons of its own,
/// and use up the token that `unpark` has left.
struct Sleeper {
    thread: Thread,
    woken: AtomicBool,
}

impl Sleeper {
    fn of_this_thread() -> Arc<Self> {
        Arc::new(Sleeper { thread: current(), woken: AtomicBool::new(false) })
    }

    /// Sleeps until it is woken, or until `deadline`; says which.
    fn sleep(&self, deadline: Option<Instant>) -> bool {
        // Acquire pairs with the Release in `wake_by_ref`: who is woken sees what happened before.
        while !self.woken.swap(false, Ordering::Acquire) {
            match deadline {
                None => park(),
                Some(deadline) => match deadline.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => park_timeout(left),
                    _ => return false,
                },
            }
        }
        true
    }
}

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release pairs with the Acquire in `sleep`. An exchange, because a model lets the one there miss a plain store.
        self.woken.swap(true, Ordering::Release);
        self.thread.unpark();
    }
}

type Kept = (Arc<Sleeper>, Waker);

fn new() -> Kept {
    let sleeper = Sleeper::of_this_thread();
    (Arc::clone(&sleeper), Waker::from(sleeper))
}

/// Runs `with` on a sleeper of this thread, which it keeps for the next time. A wait inside a wait has one of its own.
#[cfg(not(any(queenright_loom, queenright_shuttle)))]
fn with_sleeper<R>(with: impl FnOnce(&Kept) -> R) -> R {
    use std::cell::Cell;
    thread_local!(static KEPT: Cell<Option<Kept>> = const { Cell::new(None) });
    // A thread that is being torn down has lost it.
    let kept = KEPT.try_with(Cell::take).ok().flatten().unwrap_or_else(new);
    let result = with(&kept);
    let _torn_down = KEPT.try_with(|cell| cell.set(Some(kept)));
    result
}

/// The threads of a model come and go on one thread of the system.
#[cfg(any(queenright_loom, queenright_shuttle))]
fn with_sleeper<R>(with: impl FnOnce(&Kept) -> R) -> R {
    with(&new())
}

/// Polls until there is an answer, and lets the thread sleep in between. `None` when `timeout` has passed.
pub(crate) fn block_on<A>(
    timeout: Option<Duration>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<A>,
) -> Option<A> {
    // A timeout beyond what the clock can name is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    with_sleeper(|(sleeper, waker)| {
        let mut context = Context::from_waker(waker);
        loop {
            if let Poll::Ready(answer) = poll(&mut context) {
                return Some(answer);
            }
            if !sleeper.sleep(deadline) {
                return None;
            }
        }
    })
}
