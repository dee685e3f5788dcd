//! A lock for sections of a few instructions, in which no code of the caller's runs.
//!
//! It is taken with one atomic exchange and given back with one plain store; a mutex that lets its waiters sleep needs a
//! second exchange to learn of them, which is most of what a short section costs. Who finds it taken looks again after
//! pauses that grow, then lets other threads run in between, and at last sleeps: the holder has lost its processor, and may
//! have to get it back from the one who waits, whose priority may be higher. So this is blocking, and unfair: whoever
//! has just left may be the next inside.
//!
//! Loom explores this lock by itself, with two threads; what uses it is explored with loom's mutex in its place, as no model
//! with a third thread ends, in which two wait for each other to let the one inside go on.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

#[cfg(queenright_loom)]
use crate::sync::Mutex;
use crate::sync::{AtomicBool, Ordering, UnsafeCell, sleep, spin_loop, yield_now};

/// As often as this the pause doubles; from then on other threads are let run.
const SPINS: u32 = 6;
/// After as many attempts as this the waiter sleeps in between.
const YIELDS: u32 = 64;

/// The lock that the primitives use.
#[cfg(not(queenright_loom))]
pub(crate) type ShortLock<T> = SpinLock<T>;

/// The lock that stands for it in models of what uses it.
#[cfg(queenright_loom)]
pub(crate) struct ShortLock<T>(Mutex<T>);

#[cfg(queenright_loom)]
impl<T> ShortLock<T> {
    pub(crate) fn new(value: T) -> Self {
        ShortLock(Mutex::new(value))
    }

    pub(crate) fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        section(&mut self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

/// A value that one thread at a time looks at or changes.
pub struct SpinLock<T> {
    held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, each of which sees what the one before did. (Automatic but for loom's
// cell.)
unsafe impl<T: Send> Send for SpinLock<T> {}
// SAFETY: as above; no reference to it leaves the section.
unsafe impl<T: Send> Sync for SpinLock<T> {}

// The sections leave the value whole, also if one of them panics.
impl<T> UnwindSafe for SpinLock<T> {}
impl<T> RefUnwindSafe for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// Around `value`.
    pub fn new(value: T) -> Self {
        SpinLock { held: AtomicBool::new(false), value: UnsafeCell::new(value) }
    }

    /// Runs `section` alone. It must be short, and must not use the lock itself.
    #[inline]
    pub fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        let _held = self.take();
        // SAFETY: the lock is held until the end of this call, so nobody else reaches the value.
        self.value.with_mut(|value| section(unsafe { &mut *value }))
    }

    /// Whether somebody is inside.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(crate) fn is_held(&self) -> bool {
        self.held.load(Ordering::Relaxed)
    }

    #[inline]
    fn take(&self) -> Held<'_> {
        // Acquire pairs with the Release by which the lock was given back.
        if self.held.swap(true, Ordering::Acquire) {
            self.wait();
        }
        Held(&self.held)
    }

    #[cold]
    fn wait(&self) {
        let mut attempt = 0;
        loop {
            pause(attempt);
            attempt += 1;
            // The look spares the holder the loss of its cache line; a model may see what was long ago, for ever. The
            // exchange is ordered as in `take`.
            let seems_free = cfg!(queenright_loom) || !self.held.load(Ordering::Relaxed);
            if seems_free && !self.held.swap(true, Ordering::Acquire) {
                return;
            }
        }
    }
}

/// What to do before the next attempt.
fn pause(attempt: u32) {
    match attempt {
        0..SPINS => (0..1 << attempt).for_each(|_| spin_loop()),
        SPINS..YIELDS => yield_now(),
        _ => sleep(Duration::from_micros(50)),
    }
}

/// Gives the lock back, also if the section panics.
struct Held<'l>(&'l AtomicBool);

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release pairs with the Acquire in `take` and `wait`. A model would let a plain store wait for ever while
        // others exchange.
        if cfg!(queenright_loom) {
            self.0.swap(false, Ordering::Release);
        } else {
            self.0.store(false, Ordering::Release);
        }
    }
}
