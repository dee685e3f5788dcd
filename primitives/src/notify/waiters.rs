//! Those who wait for the next change of something, each woken by itself, without a lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::{Poll, Waker};

use crate::panics::{drop_each, go_on, keep_first};
use crate::slots::{Slot, Slots};
use crate::sync::{AtomicUsize, Ordering, fence};

/// Wakers, each in a slot of its own.
///
/// To wait is to leave a waker and *then* look at the thing; to change it is to do so and *then* look for wakers. A
/// `SeqCst` fence stands between the two steps of the first, and the change and the look of the second are `SeqCst`,
/// so that at least one of the two sees the other: no wake-up is lost. Whoever changes the thing wakes everybody whose
/// waker is there, or one, so that one that is suspended meanwhile holds up one waiter alone. Waking and giving up
/// are lock-free; while nobody waits, waking is one load.
pub(crate) struct Waiters {
    slots: Slots<Waker, 0>,
    /// How many wakers are there; for moments one more.
    waiting: AtomicUsize,
    /// Where the next look for one waker begins, so that each has its turn.
    turn: AtomicUsize,
}

/// A waker on its way into a slot or out of it.
fn boxed(waker: Waker) -> NonNull<Waker> {
    NonNull::from(Box::leak(Box::new(waker)))
}

/// # Safety
/// It was [`boxed`], and nobody else took it out of its slot.
unsafe fn unboxed(waker: NonNull<Waker>) -> Box<Waker> {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(waker.as_ptr()) }
}

impl Waiters {
    pub(crate) fn new() -> Self {
        Waiters { slots: Slots::new(), waiting: AtomicUsize::new(0), turn: AtomicUsize::new(0) }
    }

    /// Wakes everybody who waits, after the thing has changed. The change must have been a `SeqCst` write.
    ///
    /// If a waker panics, the others are woken all the same, and the first panic goes on.
    #[inline]
    pub(crate) fn wake_all(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_each();
        }
    }

    /// Wakes one of those who wait, after the thing has changed. The change must have been a `SeqCst` write.
    #[inline]
    pub(crate) fn wake_one(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.wake_next();
        }
    }

    #[cold]
    fn wake_each(&self) {
        // SeqCst orders the change before the look into each slot, whose loads are not SeqCst, and into blocks of
        // slots that were added meanwhile. (Loom puts a fence of its own here: no model misses this one.)
        fence(Ordering::SeqCst);
        let mut panic = None;
        for waker in self.slots.iter().filter_map(|slot| self.take(slot)) {
            keep_first(&mut panic, catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        go_on(panic);
    }

    #[cold]
    fn wake_next(&self) {
        // As in `wake_each`.
        fence(Ordering::SeqCst);
        // Relaxed: any number will do. Slots that are added meanwhile may be passed over: who waits there has added them,
        // and looks again after that.
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.iter().count().max(1);
        let from_there = self.slots.iter().skip(turn).chain(self.slots.iter().take(turn));
        let waker = from_there.into_iter().find_map(|slot| self.take(slot));
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes out the waker that was left in a slot.
    fn take(&self, slot: &Slot<Waker>) -> Option<Box<Waker>> {
        let waker = slot.take_left()?;
        // Relaxed: it was counted before it was left, which the exchange has ordered.
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: only boxed wakers are left in these slots, and this was taken out here.
        Some(unsafe { unboxed(waker) })
    }

    /// How many slots there are, taken or not.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(crate) fn slot_count(&self) -> usize {
        self.slots.iter().count()
    }

    /// How many wakers there are.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(crate) fn len(&self) -> usize {
        self.slots.iter().filter(|slot| slot.has_left()).count()
    }
}

impl Drop for Waiters {
    fn drop(&mut self) {
        // Those of futures that were forgotten.
        drop_each(self.slots.iter().filter_map(|slot| self.take(slot)));
    }
}

/// One waiter's place among [`Waiters`].
pub(crate) struct Registration<'w> {
    waiters: &'w Waiters,
    place: Option<(&'w Slot<Waker>, Waker)>,
}

impl<'w> Registration<'w> {
    pub(crate) fn new(waiters: &'w Waiters) -> Self {
        Registration { waiters, place: None }
    }

    /// Asks `news` for an answer, and leaves `waker` to be woken if there is none yet.
    pub(crate) fn poll<A>(
        &mut self,
        waker: &Waker,
        mut news: impl FnMut() -> Option<A>,
    ) -> Poll<A> {
        if let Some(answer) = news() {
            return Poll::Ready(answer);
        }
        // If it is taken right now, who took it will wake it.
        let waits = |(slot, with): &(&Slot<Waker>, Waker)| slot.has_left() && with.will_wake(waker);
        if !self.place.as_ref().is_some_and(waits) {
            self.wait_with(waker);
        }
        // A change before the waker was left woke nobody.
        match news() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }

    fn wait_with(&mut self, waker: &Waker) {
        // All clones first: they are the caller's code, and may panic; so may the drop of what is replaced.
        let (kept, left) = (waker.clone(), waker.clone());
        let left = boxed(left);
        let slot =
            self.place.as_ref().map_or_else(|| self.waiters.slots.take_idle(), |place| place.0);
        let waiting = &self.waiters.waiting;
        // Relaxed: the exchange by which the waker is left orders it before whoever takes that out, and the fence
        // before the look that follows.
        waiting.fetch_add(1, Ordering::Relaxed);
        let before = slot.leave(left);
        if before.is_some() {
            waiting.fetch_sub(1, Ordering::Relaxed);
        }
        // SeqCst: see `Waiters`.
        fence(Ordering::SeqCst);
        let replaced = self.place.replace((slot, kept));
        // SAFETY: only boxed wakers are left in these slots, and this was taken out here.
        let before = before.map(|waker| *unsafe { unboxed(waker) });
        drop_each([replaced.map(|(_, kept)| kept), before]);
    }
}

impl Registration<'_> {
    /// Whether somebody has taken the waker to wake it.
    pub(crate) fn was_called(&self) -> bool {
        self.place.as_ref().is_some_and(|(slot, _)| !slot.has_left())
    }

    /// Gives the place up. Says whether somebody has taken the waker to wake it, and gives what is to be dropped.
    pub(crate) fn leave(&mut self) -> (bool, [Option<Waker>; 2]) {
        let Some((slot, kept)) = self.place.take() else { return (false, [None, None]) };
        let left = self.waiters.take(slot);
        slot.give_back();
        (left.is_none(), [Some(kept), left.map(|waker| *waker)])
    }
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        drop_each(self.leave().1);
    }
}
