//! Events: no notification lost; whoever gives up, or has found what it waited for before it was called, passes it on.
//!
//! A waiter that nobody wakes is a deadlock, which loom reports. What is waited for is changed with Relaxed, so that
//! only the event's own ordering makes it seen.

#![cfg(queenright_loom)]

mod shared;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread::{self, JoinHandle};
use queenright_primitives::notify::Event;
use shared::{Watched, explore};

/// Permits that are taken one by one, and the event that there is one.
struct Permits {
    left: AtomicUsize,
    event: Event,
}

impl Permits {
    fn none() -> Arc<Self> {
        Arc::new(Permits { left: AtomicUsize::new(0), event: Event::new() })
    }

    fn add(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
        self.event.notify_one();
    }

    fn take(&self) -> Option<()> {
        let mut left = self.left.load(Ordering::Relaxed);
        while left > 0 {
            match self.left.compare_exchange(left, left - 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(()),
                Err(now) => left = now,
            }
        }
        None
    }

    fn wait(&self) {
        self.event.wait_until(|| self.take());
    }
}

fn spawn(permits: &Arc<Permits>, work: impl FnOnce(&Permits) + 'static) -> JoinHandle<()> {
    let permits = Arc::clone(permits);
    thread::spawn(move || work(&permits))
}

#[test]
fn a_waiter_is_woken_by_notify_one() {
    explore(|| {
        let permits = Permits::none();
        let waiter = spawn(&permits, Permits::wait);
        permits.add();
        waiter.join().unwrap();
    });
}

#[test]
fn every_waiter_is_woken_by_notify_all() {
    explore(|| {
        let permits = Permits::none();
        let waiters = [(); 2].map(|()| spawn(&permits, Permits::wait));
        permits.left.store(2, Ordering::Relaxed);
        permits.event.notify_all();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn two_permits_one_after_the_other_wake_two_waiters() {
    explore(|| {
        let permits = Permits::none();
        let waiters = [(); 2].map(|()| spawn(&permits, Permits::wait));
        permits.add();
        permits.add();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn two_permits_at_once_wake_two_waiters() {
    explore(|| {
        let permits = Permits::none();
        let waiter = spawn(&permits, Permits::wait);
        let adds = spawn(&permits, Permits::add);
        permits.add();
        permits.wait();
        waiter.join().unwrap();
        adds.join().unwrap();
    });
}

/// Looks once and gives up, and gives back what it may have got.
fn gives_up(permits: &Permits) {
    let mut until = permits.event.until(|| permits.take());
    match Pin::new(&mut until).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(()) => permits.add(),
        Poll::Pending => drop(until),
    }
}

#[test]
fn a_waiter_that_gives_up_passes_its_notification_on() {
    explore(|| {
        let permits = Permits::none();
        let gives_up = spawn(&permits, gives_up);
        let waiter = spawn(&permits, Permits::wait);
        permits.add();
        gives_up.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_waiter_that_is_served_from_elsewhere_passes_its_notification_on() {
    explore(|| {
        let permits = Permits::none();
        let waiter = spawn(&permits, Permits::wait);
        let adds = spawn(&permits, Permits::add);
        // Leaves its waker, and finds what it waits for when it looks again.
        let mut looks = 0;
        let mut until = permits.event.until(|| {
            looks += 1;
            (looks == 2).then_some(())
        });
        let served = Pin::new(&mut until).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(served, Poll::Ready(()));
        drop(until);
        adds.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn what_a_change_publishes_is_there() {
    explore(|| {
        let note = Arc::new(Watched::new(0));
        let permits = Permits::none();
        let waiter = {
            let note = Arc::clone(&note);
            spawn(&permits, move |permits| {
                permits
                    .event
                    .wait_until(|| (permits.left.load(Ordering::Acquire) > 0).then_some(()));
                assert_eq!(note.get(), 1);
            })
        };
        note.set(1);
        permits.left.store(1, Ordering::Release);
        permits.event.notify_all();
        waiter.join().unwrap();
    });
}
