//! How a thread or a task waits for a message, or for room.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::core::{Ring, State};
use crate::notify::{Line, Place, block_on};
use crate::panics::{drop_quietly, go_on, keep_first};
use crate::sync::{Ordering, fence, model_or, spin_loop, yield_now};

/// After how many pauses of the processor a waiter looks again, and how often.
///
/// To sleep and to be woken takes 2 to 20 µs where this was measured, a pause 26 ns. The first look comes after 1.7 µs, so that a subscriber
/// that is faster than its publisher takes lines of memory from it once for many messages: looks after 1, 2, 4, … pauses made
/// two thirds of the throughput.
const PAUSES: &[u32] = if model_or(0, 1) == 1 { &[64, 32] } else { &[] };
/// As often as this other threads are let run, before the waiter sleeps.
const YIELDS: usize = model_or(0, 8);

/// Looks again a few times before the caller goes to sleep, for 6 µs at most where nothing else wants to run.
fn look_around<A>(timeout: Option<Duration>, mut look: impl FnMut() -> Option<A>) -> Option<A> {
    if timeout.is_some_and(|timeout| timeout.is_zero()) {
        return look();
    }
    for pauses in PAUSES {
        (0..*pauses).for_each(|_| spin_loop());
        if let Some(answer) = look() {
            return Some(answer);
        }
    }
    for _ in 0..YIELDS {
        yield_now();
        if let Some(answer) = look() {
            return Some(answer);
        }
    }
    None
}

/// For what somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Messages,
    Room,
}

/// Those who wait. All of them are called by each change that they wait for.
#[derive(Default)]
pub(super) struct Lines {
    messages: Line,
    room: Line,
}

impl Lines {
    #[inline]
    fn of(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Messages => &mut self.messages,
            Side::Room => &mut self.room,
        }
    }

    /// How many wait.
    #[inline]
    pub(super) fn standing(&mut self, side: Side) -> usize {
        self.of(side).standing()
    }
}

impl<T> Ring<T> {
    /// Wakes as many of those who wait as there were when the change was made, `standing`, one after the other: whoever is
    /// suspended meanwhile holds up one.
    ///
    /// If a waker panics, the others are woken all the same, and the first panic goes on.
    #[cold]
    pub(super) fn wake(&self, side: Side, standing: usize) {
        let mut panic = None;
        for _ in 0..standing {
            let called = self.state.0.with(|state| {
                let line = state.lines.of(side);
                let called = line.call();
                if side == Side::Room {
                    // Relaxed: it changes under the lock alone, and who comes to wait next sets it again.
                    self.room_wanted.0.store(!line.is_empty(), Ordering::Relaxed);
                }
                called
            });
            let Some(waker) = called else { break };
            keep_first(&mut panic, catch_unwind(AssertUnwindSafe(|| waker.wake())));
        }
        go_on(panic);
    }

    /// Wakes publishers that wait for room, after a `SeqCst` write that made some.
    #[inline]
    pub(super) fn wake_for_room(&self) {
        if self.room_wanted.0.load(Ordering::SeqCst) {
            let standing = self.state.0.with(|state| {
                let standing = state.lines.standing(Side::Room);
                if standing == 0 {
                    // Who waited has given up. Relaxed: as in `wake`.
                    self.room_wanted.0.store(false, Ordering::Relaxed);
                }
                standing
            });
            self.wake(Side::Room, standing);
        }
    }

    /// Blocks until an attempt to publish succeeds, or the time is up.
    #[cold]
    pub(super) fn wait_for_room<A>(
        &self,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Option<A> {
        let done = look_around(timeout, || self.state.0.with(&mut attempt));
        done.or_else(|| self.sleep(Side::Room, timeout, attempt))
    }

    /// Blocks until there is something to receive, or the time is up.
    #[cold]
    pub(super) fn wait_for_message(&self, timeout: Option<Duration>, is_ready: impl Fn() -> bool) {
        let is_ready = || is_ready().then_some(());
        if look_around(timeout, is_ready).is_none() {
            self.sleep(Side::Messages, timeout, |_| is_ready());
        }
    }

    fn sleep<A>(
        &self,
        side: Side,
        timeout: Option<Duration>,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Option<A> {
        let mut waiting = Waiting::new(self, side);
        block_on(timeout, |context| waiting.poll(context.waker(), &mut attempt))
    }
}

/// Somebody who waits. Dropped, it waits no longer.
pub(super) struct Waiting<'r, T> {
    ring: &'r Ring<T>,
    side: Side,
    place: Option<Place>,
}

/// What an attempt under the lock led to.
enum Step<A> {
    Done(A),
    Waits,
    NeedsWaker,
}

impl<'r, T> Waiting<'r, T> {
    pub(super) fn new(ring: &'r Ring<T>, side: Side) -> Self {
        Waiting { ring, side, place: None }
    }

    /// Makes an attempt under the ring's lock, and leaves `waker` to be woken if it fails.
    pub(super) fn poll<A>(
        &mut self,
        waker: &Waker,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Poll<A> {
        let (step, mine) = self.ring.state.0.with(|state| match attempt(state) {
            Some(answer) => (Step::Done(answer), self.leave(state)),
            None if self.waits_with(state, waker) => (Step::Waits, None),
            None => (Step::NeedsWaker, None),
        });
        // Wakers are cloned and dropped outside the lock: that is the caller's code. A panic there may not take the answer
        // with it, as others are to be woken for it.
        drop_quietly(mine);
        match step {
            Step::Done(answer) => Poll::Ready(answer),
            Step::Waits => Poll::Pending,
            Step::NeedsWaker => self.poll_again(waker.clone(), attempt),
        }
    }

    /// Makes another attempt, as the lock was free meanwhile.
    fn poll_again<A>(
        &mut self,
        waker: Waker,
        mut attempt: impl FnMut(&mut State<T>) -> Option<A>,
    ) -> Poll<A> {
        let (answer, unused) = self.ring.state.0.with(|state| {
            if self.side == Side::Room {
                // Relaxed: the fence orders it.
                self.ring.room_wanted.0.store(true, Ordering::Relaxed);
                // SeqCst orders it before the attempt, which looks for room. On the other side stand the release of a
                // segment and the look whether room is wanted, both SeqCst: one of the two sees the other.
                fence(Ordering::SeqCst);
            }
            match attempt(state) {
                Some(answer) => (Poll::Ready(answer), [Some(waker), self.leave(state)]),
                None => (Poll::Pending, [self.stay(state, waker), None]),
            }
        });
        unused.into_iter().for_each(drop_quietly);
        answer
    }

    fn waits_with(&self, state: &mut State<T>, waker: &Waker) -> bool {
        let line = state.lines.of(self.side);
        self.place.as_ref().is_some_and(|place| line.waits_with(place, waker))
    }

    /// Waits, or waits on, with this waker. Gives the old one.
    fn stay(&mut self, state: &mut State<T>, waker: Waker) -> Option<Waker> {
        let line = state.lines.of(self.side);
        match &self.place {
            Some(place) => line.stay(place, waker),
            None => {
                self.place = Some(line.join(waker));
                None
            }
        }
    }

    /// Gives the place up, and the waker, if it was not called.
    fn leave(&mut self, state: &mut State<T>) -> Option<Waker> {
        let place = self.place.take()?;
        state.lines.of(self.side).leave(place)
    }
}

impl<T> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if self.place.is_some() {
            let mine = self.ring.state.0.with(|state| self.leave(state));
            drop_quietly(mine);
        }
    }
}
