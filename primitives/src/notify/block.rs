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
        #[cfg(not(any(queenright_loom, queenright_shuttle)))]
        let _watch = patience::watch(|| self.woken.load(Ordering::Relaxed), deadline);
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

/// Staying awake for a moment.
///
/// To put a thread to sleep and wake it costs tens of microseconds where a core that has nothing to do is given back, as in
/// virtual machines, and most answers come sooner. So a thread stays awake for about as long as that costs, which is at most
/// twice what the better choice costs, if it pays: a thread whose waits are long does so a few times, and then no more until
/// one of its waits was short. It yields to whoever wants the core.
#[cfg(not(any(queenright_loom, queenright_shuttle)))]
mod patience {
    use std::cell::Cell;
    use std::hint::spin_loop;
    use std::thread::yield_now;
    use std::time::{Duration, Instant};

    /// How long a thread stays awake.
    const AWAKE: Duration = Duration::from_micros(20);
    /// A sleep that was as short as this would have been worth staying awake: it has the cost of waking in it.
    const SHORT: Duration = Duration::from_micros(100);
    /// How many waits in a row a thread stays awake in vain.
    const MOST: u8 = 8;

    thread_local!(static LEFT: Cell<u8> = const { Cell::new(MOST) });

    /// What a wait that has begun says about the next, once it is dropped.
    pub(super) struct Watch(Option<Instant>);

    /// Stays awake until `is_woken`, or as long as it may pay.
    pub(super) fn watch(is_woken: impl Fn() -> bool, deadline: Option<Instant>) -> Watch {
        if is_woken() {
            return Watch(None);
        }
        let left = LEFT.try_with(Cell::get).unwrap_or(0);
        let begin = Instant::now();
        if left == 0 {
            return Watch(Some(begin));
        }
        let until = deadline.map_or(begin + AWAKE, |deadline| deadline.min(begin + AWAKE));
        loop {
            (0..8).for_each(|_| spin_loop());
            if is_woken() {
                set(MOST);
                return Watch(None);
            }
            if Instant::now() >= until {
                set(left - 1);
                return Watch(Some(begin));
            }
            yield_now();
        }
    }

    impl Drop for Watch {
        fn drop(&mut self) {
            if self.0.is_some_and(|begin| begin.elapsed() < SHORT) {
                set(MOST);
            }
        }
    }

    fn set(left: u8) {
        // A thread that is being torn down has lost it.
        let _torn_down = LEFT.try_with(|cell| cell.set(left));
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn who_waits_in_vain_stops_staying_awake_until_a_wait_was_short() {
            set(MOST);
            for left in (0..MOST).rev() {
                let _ = watch(|| false, None).0.take();
                assert_eq!(LEFT.get(), left);
            }
            let long_ago = Instant::now().checked_sub(SHORT);
            drop(Watch(long_ago));
            assert_eq!(LEFT.get(), 0, "that was a long sleep");
            drop(Watch(Some(Instant::now())));
            assert_eq!(LEFT.get(), MOST, "that was a short one");
        }

        #[test]
        fn nobody_stays_awake_beyond_the_end_or_a_wake() {
            let looks = Cell::new(0);
            let woken_at = |look: u32| {
                looks.set(looks.get() + 1);
                looks.get() >= look
            };
            set(1);
            assert!(watch(|| woken_at(3), None).0.is_none());
            assert_eq!((LEFT.get(), looks.get()), (MOST, 3), "it paid");
            looks.set(0);
            let over = watch(|| woken_at(9), Some(Instant::now()));
            assert!(over.0.is_some() && looks.get() == 2);
        }
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
