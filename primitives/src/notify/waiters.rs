//! Those who wait for the next change of something, woken all at once without a lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use crate::panics::{go_on, keep_first};
use crate::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicUsize, Ordering, Thread, UnsafeCell, current, model_or, park,
    park_timeout,
};

/// How many may have given up waiting before everybody is woken, so that the list is rid of them.
const MOST_GONE: usize = model_or(1, 64);

/// A stack of waiters that is taken whole.
///
/// To wait is to push and *then* look at the thing; to change it is to do so and *then* look at the stack. Both
/// steps of both are `SeqCst`, so that at least one of the two sees the other: no wake-up is lost. Waking and
/// giving up are lock-free; if nobody waits, waking is one load.
pub(crate) struct Waiters {
    newest: AtomicPtr<Waiter>,
    /// How many in the stack have given up.
    gone: AtomicUsize,
}

struct Waiter {
    /// Whether the waker was taken: by who wakes, or by the waiter that has given up.
    taken: AtomicBool,
    waker: UnsafeCell<Option<Waker>>,
    /// The next in the stack; written before this one is in it, and then only read by who took the stack.
    next: UnsafeCell<*const Waiter>,
}

// SAFETY: the cells of a waiter are accessed by one thread at a time: `taken` says by whom, for the waker, and
// the stack for the link.
unsafe impl Send for Waiter {}
// SAFETY: as above.
unsafe impl Sync for Waiter {}

impl Waiter {
    /// The waker, for the first who asks.
    fn take(&self) -> Option<Waker> {
        // Relaxed: it only decides who is first. Who asks has left the waker here itself, or has taken the
        // stack, which brought it along.
        if self.taken.swap(true, Ordering::Relaxed) {
            return None;
        }
        // SAFETY: only the first gets here.
        self.waker.with_mut(|waker| unsafe { (*waker).take() })
    }
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters { newest: AtomicPtr::new(ptr::null_mut()), gone: AtomicUsize::new(0) }
    }

    /// Wakes everybody who waits, after the thing has changed. The change must have been a `SeqCst` write.
    #[inline]
    pub(crate) fn wake_all(&self) {
        if !self.newest.load(Ordering::SeqCst).is_null() {
            self.wake_taken();
        }
    }

    #[cold]
    fn wake_taken(&self) {
        // Acquire pairs with the Release of each push: those above it in the stack continued it.
        let newest = self.newest.swap(ptr::null_mut(), Ordering::Acquire);
        drop(Taken(newest));
    }

    fn push(&self, waiter: &Arc<Waiter>) {
        let pushed = Arc::into_raw(Arc::clone(waiter)).cast_mut();
        let mut next = self.newest.load(Ordering::Relaxed);
        loop {
            // SAFETY: nobody else follows the link until the waiter is in the stack.
            waiter.next.with_mut(|link| unsafe { *link = next });
            // Release publishes the waiter, and SeqCst orders it before the look at the thing.
            let newest = &self.newest;
            match newest.compare_exchange_weak(next, pushed, Ordering::SeqCst, Ordering::Relaxed) {
                Ok(_) => return,
                Err(found) => next = found,
            }
        }
    }

    /// How many are in the stack. Only while nobody wakes them.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(crate) fn len(&self) -> usize {
        let newest = self.newest.load(Ordering::Acquire).cast_const();
        let after = |waiter: &*const Waiter| {
            // SAFETY: the stack holds its waiters, and the caller keeps it from being taken.
            let next = unsafe { &**waiter }.next.with(|link| unsafe { *link });
            (!next.is_null()).then_some(next)
        };
        std::iter::successors((!newest.is_null()).then_some(newest), after).count()
    }

    fn one_is_gone(&self) {
        // Relaxed: only the number matters.
        if self.gone.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_GONE {
            self.gone.store(0, Ordering::Relaxed);
            // Those who still wait look again in vain, and come back. To leave them in the stack would need
            // it to be put back, and meanwhile a change could miss them.
            self.wake_taken();
        }
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        self.wake_taken();
    }
}

/// A stack that one thread took, whose waiters are woken as it is dropped, also if waking one of them panics.
struct Taken(*mut Waiter);

impl Drop for Taken {
    fn drop(&mut self) {
        let mut panic = None;
        let mut next = self.0.cast_const();
        while !next.is_null() {
            // SAFETY: the stack holds one count of each of its waiters.
            let waiter = unsafe { Arc::from_raw(next) };
            // SAFETY: only who took the stack follows its links.
            next = waiter.next.with(|link| unsafe { *link });
            let wake = || waiter.take().into_iter().for_each(Waker::wake);
            keep_first(&mut panic, catch_unwind(AssertUnwindSafe(wake)));
        }
        go_on(panic);
    }
}

/// One waiter's place among [`Waiters`].
pub(crate) struct Registration<'w> {
    waiters: &'w Waiters,
    place: Option<(Arc<Waiter>, Waker)>,
}

impl<'w> Registration<'w> {
    pub(crate) fn new(waiters: &'w Waiters) -> Self {
        Registration { waiters, place: None }
    }

    /// Asks `news` for an answer, and leaves `waker` to be woken if there is none yet.
    pub(crate) fn poll<A>(&mut self, waker: &Waker, news: impl Fn() -> Option<A>) -> Poll<A> {
        if let Some(answer) = news() {
            return Poll::Ready(answer);
        }
        let waits = |(waiter, with): &(Arc<Waiter>, Waker)| {
            // Relaxed: if it is taken right now, its owner will wake `with`.
            with.will_wake(waker) && !waiter.taken.load(Ordering::Relaxed)
        };
        if !self.place.as_ref().is_some_and(waits) {
            self.leave();
            // Both clones first: they are the caller's code, and may panic.
            let (left, kept) = (waker.clone(), waker.clone());
            let waiter = Arc::new(Waiter {
                taken: AtomicBool::new(false),
                waker: UnsafeCell::new(Some(left)),
                next: UnsafeCell::new(ptr::null()),
            });
            self.waiters.push(&waiter);
            self.place = Some((waiter, kept));
        }
        // A change before the push woke nobody.
        match news() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    fn leave(&mut self) {
        if let Some((waiter, _kept)) = self.place.take()
            && let Some(_left) = waiter.take()
        {
            // Before the wakers are dropped, which may panic.
            self.waiters.one_is_gone();
        }
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Unparks a thread.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until there is an answer, and lets the thread sleep in between. `None` when `timeout` has passed.
pub(crate) fn block_on<A>(
    timeout: Option<Duration>,
    mut poll: impl FnMut(&mut Context<'_>) -> Poll<A>,
) -> Option<A> {
    // A timeout beyond what the clock can name is as good as none.
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let waker = Waker::from(std::sync::Arc::new(Unpark(current())));
    let mut context = Context::from_waker(&waker);
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
}
