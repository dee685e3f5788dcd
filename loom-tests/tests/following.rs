//! Waiting for a version: no wake-up lost, on a thread or in a task, whoever else waits or gives up.
//!
//! Loom reports a waiter that nobody wakes as a deadlock. It has no clock: timeouts never pass here.

#![cfg(queenright_loom)]

mod shared;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use queenright_primitives::notify::Closed;
use queenright_primitives::snapshot::{SnapshotCell, Version};
use shared::{Watched, commit, explore, spawn_with};

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_blocked_thread_is_woken_by_a_commit_and_sees_it() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let waiter = spawn_with(&cell, |cell| {
            let seen = cell.wait_for(Version(1));
            assert_eq!((seen.version(), seen.get()), (Version(1), 1));
        });
        commit(&cell);
        waiter.join().unwrap();
    });
}

#[test]
fn a_thread_that_waits_with_a_timeout_is_woken_by_a_commit() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let waiter = spawn_with(&cell, |cell| {
            cell.wait_for_timeout(Version(1), Duration::MAX).unwrap().version()
        });
        commit(&cell);
        assert_eq!(waiter.join().unwrap(), Version(1));
    });
}

#[test]
fn every_waiter_is_woken() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let waiters =
            [(); 2].map(|()| spawn_with(&cell, |cell| cell.wait_for(Version(1)).version()));
        commit(&cell);
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap(), Version(1));
        }
    });
}

#[test]
fn who_is_woken_too_early_waits_again() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        // Loom waits for them by itself. A thread that joins them may not be unparked meanwhile, and a wake-up may come late.
        let _committers = [(); 2].map(|()| spawn_with(&cell, commit));
        assert_eq!(cell.wait_for(Version(2)).get(), 2);
    });
}

#[test]
fn a_task_is_woken_by_a_commit() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let waiter = spawn_with(&cell, |cell| block_on(cell.changed(Version(0))).get());
        commit(&cell);
        assert_eq!(waiter.join().unwrap(), 1);
    });
}

#[test]
fn a_reader_follows_every_change_and_hears_of_the_end() {
    explore(|| {
        let cell = SnapshotCell::new(Watched::new(0));
        let mut reader = cell.reader();
        let follower = thread::spawn(move || {
            assert_eq!(reader.get().get(), reader.version().unwrap().0);
            let mut newest = reader.version().unwrap();
            while let Ok(version) = reader.wait_changed() {
                assert!(version > newest);
                newest = Version(reader.get().get());
                assert!(newest >= version);
            }
            newest
        });
        commit(&cell);
        drop(cell);
        assert_eq!(follower.join().unwrap(), Version(1));
    });
}

#[test]
fn a_reader_in_a_task_hears_of_the_end() {
    explore(|| {
        let cell = SnapshotCell::new(Watched::new(0));
        let mut reader = cell.reader();
        reader.get();
        let follower = thread::spawn(move || block_on(reader.changed()));
        drop(cell);
        assert_eq!(follower.join().unwrap(), Err(Closed));
    });
}

#[test]
fn of_a_task_that_moved_the_newest_waker_is_woken() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let committer = spawn_with(&cell, commit);
        let wakes: [std::sync::Arc<CountWakes>; 2] = Default::default();
        let mut change = pin!(cell.changed(Version(0)));
        let polled = wakes.each_ref().map(|wakes| {
            let waker = Waker::from(std::sync::Arc::clone(wakes));
            change.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
        });
        committer.join().unwrap();
        if polled == [true, true] {
            assert_eq!(wakes[1].0.load(Ordering::Relaxed), 1);
        }
        let waker = Waker::noop();
        assert!(change.poll(&mut Context::from_waker(waker)).is_ready());
    });
}

#[test]
fn who_gives_up_makes_room_for_another() {
    // The second takes the slot of the first, whose waker must be gone.
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let committer = spawn_with(&cell, commit);
        let wakes: [std::sync::Arc<CountWakes>; 2] = Default::default();
        let [first, second] =
            wakes.each_ref().map(|wakes| Waker::from(std::sync::Arc::clone(wakes)));
        {
            let mut gives_up = pin!(cell.changed(Version(0)));
            let polled = gives_up.as_mut().poll(&mut Context::from_waker(&first));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(_)));
        }
        let told = wakes[0].0.load(Ordering::Relaxed);
        let mut change = pin!(cell.changed(Version(0)));
        let waits = change.as_mut().poll(&mut Context::from_waker(&second)).is_pending();
        committer.join().unwrap();
        assert!(told <= 1);
        if waits {
            // Who took the first waker before it was given up may wake it only now.
            assert_eq!(wakes[1].0.load(Ordering::Relaxed), 1);
        }
        assert!(change.poll(&mut Context::from_waker(&second)).is_ready());
    });
}

#[test]
fn who_gives_up_takes_nobody_with_it() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let waiter = spawn_with(&cell, |cell| cell.wait_for(Version(1)).version());
        let committer = spawn_with(&cell, commit);
        {
            let mut change = pin!(cell.changed(Version(0)));
            let polled = change.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Pending | Poll::Ready(_)));
        }
        assert_eq!(waiter.join().unwrap(), Version(1));
        committer.join().unwrap();
    });
}
