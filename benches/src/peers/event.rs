//! Events: to wait until something holds, and to tell those who wait.

use std::sync::{Condvar, Mutex, PoisonError};

use event_listener::Listener as _;
use queenright_primitives::notify;

/// An event under comparison.
pub trait Event: Send + Sync + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// Nobody waits yet.
    fn new() -> Self;

    /// Blocks until `look` says so.
    fn wait_until(&self, look: impl Fn() -> bool);

    /// Wakes one of those who wait, after the thing was changed.
    fn notify_one(&self);
}

/// Ours.
pub struct Ours(notify::Event);

impl Event for Ours {
    const NAME: &'static str = "queenright Event";

    fn new() -> Self {
        Ours(notify::Event::new())
    }

    fn wait_until(&self, look: impl Fn() -> bool) {
        self.0.wait_until(|| look().then_some(()));
    }

    #[inline]
    fn notify_one(&self) {
        self.0.notify_one();
    }
}

/// event-listener.
pub struct EventListener(event_listener::Event);

impl Event for EventListener {
    const NAME: &'static str = "event-listener";

    fn new() -> Self {
        EventListener(event_listener::Event::new())
    }

    fn wait_until(&self, look: impl Fn() -> bool) {
        while !look() {
            let listener = self.0.listen();
            if look() {
                return;
            }
            listener.wait();
        }
    }

    #[inline]
    fn notify_one(&self) {
        self.0.notify(1);
    }
}

/// std's condition variable, whose mutex is taken to notify, so that none is lost.
pub struct StdCondvar(Mutex<()>, Condvar);

impl Event for StdCondvar {
    const NAME: &'static str = "std Mutex + Condvar";

    fn new() -> Self {
        StdCondvar(Mutex::new(()), Condvar::new())
    }

    fn wait_until(&self, look: impl Fn() -> bool) {
        let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.1.wait_while(guard, |()| !look()));
    }

    #[inline]
    fn notify_one(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.1.notify_one();
    }
}

/// parking_lot's condition variable, in the same way.
pub struct ParkingLotCondvar(parking_lot::Mutex<()>, parking_lot::Condvar);

impl Event for ParkingLotCondvar {
    const NAME: &'static str = "parking_lot Mutex + Condvar";

    fn new() -> Self {
        ParkingLotCondvar(parking_lot::Mutex::new(()), parking_lot::Condvar::new())
    }

    fn wait_until(&self, look: impl Fn() -> bool) {
        self.1.wait_while(&mut self.0.lock(), |()| !look());
    }

    #[inline]
    fn notify_one(&self) {
        drop(self.0.lock());
        self.1.notify_one();
    }
}
