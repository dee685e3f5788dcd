//! Lets calls in until somebody closes, who can wait until all of them have left.

use crate::notify::Event;
use crate::sync::{AtomicU64, Ordering};

/// The number of calls inside, and one bit for whether more are let in.
pub(crate) struct Gate {
    word: AtomicU64,
    left: Event,
}

const OPEN: u64 = 1 << 63;

/// A call that was let in. It leaves when this is dropped.
pub(crate) struct Inside<'g>(&'g Gate);

impl Gate {
    /// Open, with nobody inside.
    pub(crate) fn new() -> Self {
        Gate { word: AtomicU64::new(OPEN), left: Event::new() }
    }

    /// Goes in, unless the gate is closed.
    #[inline]
    pub(crate) fn enter(&self) -> Option<Inside<'_>> {
        // Before it is counted, so that those who come when it is closed keep nobody waiting.
        if self.is_closed() {
            return None;
        }
        // Relaxed: it comes before the close in the word's order, and its leave is waited for; or after it, and it goes again.
        let before = self.word.fetch_add(1, Ordering::Relaxed);
        let inside = Inside(self);
        (before & OPEN != 0).then_some(inside)
    }

    /// Lets nobody in from now on.
    pub(crate) fn close(&self) {
        // Relaxed: who acts on it waits for those inside.
        self.word.fetch_and(!OPEN, Ordering::Relaxed);
    }

    /// Whether [`close`](Self::close) was called.
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.word.load(Ordering::Relaxed) & OPEN == 0
    }

    /// Waits until nobody is inside and the gate is closed. What was done inside is seen by whoever comes back from here.
    pub(crate) fn wait_until_empty(&self) {
        // Acquire pairs with the Release of each leave: they are one release sequence.
        self.left.wait_until(|| (self.word.load(Ordering::Acquire) == 0).then_some(()));
    }
}

impl Drop for Inside<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: what was done inside comes before whatever the one who waits does.
        if self.0.word.fetch_sub(1, Ordering::Release) == 1 {
            self.0.left.notify_all();
        }
    }
}
