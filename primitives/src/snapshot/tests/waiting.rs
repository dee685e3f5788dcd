//! Waiting for versions. Where time passes, it is a limit that must not be reached.

use std::mem::ManuallyDrop;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use super::*;
use crate::notify::{Closed, WaitError};

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_version_that_is_there_is_given_at_once() {
    let cell = SnapshotCell::starting_at(Version(5), "x");
    assert_eq!(cell.wait_for(Version(3)).version(), Version(5));
    assert!(cell.wait_for_timeout(Version(6), Duration::ZERO).is_none());
    let mut reader = cell.reader();
    assert_eq!(reader.wait_changed(), Ok(Version(5)));
    reader.get();
    assert_eq!(reader.wait_changed_timeout(Duration::ZERO), Err(WaitError::TimedOut));
    reader.release();
    assert_eq!(reader.wait_changed_timeout(Duration::ZERO), Err(WaitError::TimedOut));
    drop(cell);
    assert_eq!(reader.wait_changed(), Err(Closed));
    assert_eq!(reader.wait_changed_timeout(LONG), Err(WaitError::Closed));
}

#[test]
fn threads_are_woken_by_the_version_that_they_wait_for() {
    let cell = SnapshotCell::new(0_u64);
    thread::scope(|scope| {
        for version in 1..=20 {
            let cell = &cell;
            scope.spawn(move || {
                assert!(*cell.wait_for(Version(version)) >= version);
                let seen = cell.wait_for_timeout(Version(version), LONG).unwrap();
                assert!(seen.version() >= Version(version));
            });
        }
        for _ in 1..=20 {
            cell.update(|n| n + 1).unwrap();
        }
    });
}

#[test]
fn a_task_is_woken_once_a_commit_and_only_if_it_waits() {
    let cell = SnapshotCell::new(0);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);

    let mut change = pin!(cell.changed(Version(1)));
    assert!(change.as_mut().poll(&mut context).is_pending());
    // To poll again in vain leaves one place, not two.
    assert!(change.as_mut().poll(&mut context).is_pending());
    cell.update(|n| n + 1).unwrap();
    assert_eq!(wakes.count(), 1);
    // Not the version it waits for; it was woken, and is not again before it has looked.
    cell.update(|n| n + 1).unwrap();
    assert_eq!(wakes.count(), 1);
    let Poll::Ready(seen) = change.poll(&mut context) else { panic!("version 2 is newer than 1") };
    assert_eq!((*seen, seen.version()), (2, Version(2)));
    cell.update(|n| n + 1).unwrap();
    assert_eq!(wakes.count(), 1);
}

#[test]
fn who_gives_up_leaves_nothing_behind_and_disturbs_nobody() {
    let cell = SnapshotCell::new(0);
    let wakes = Arc::new(CountWakes::default());
    let patient = Waker::from(Arc::clone(&wakes));
    let mut waits = pin!(cell.changed(Version(0)));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&patient)).is_pending());
    for _ in 0..1000 {
        let mut gives_up = pin!(cell.changed(Version(0)));
        assert!(gives_up.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert_eq!(cell.waiting(), 2);
    }
    assert_eq!((cell.waiting(), wakes.count()), (1, 0));
    cell.update(|n| n + 1).unwrap();
    assert_eq!((cell.waiting(), wakes.count()), (0, 1));
    assert!(waits.poll(&mut Context::from_waker(&patient)).is_ready());
}

#[test]
fn a_commit_that_stalls_as_it_wakes_one_holds_up_no_other() {
    let cell = SnapshotCell::new(0);
    let gate = Gate::closed();
    let (blocks, was_reached) = gate.blocking_waker();
    let counts: [Arc<CountWakes>; 2] = Default::default();
    let [before, after] = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
    // Whichever of the slots a commit looks into first.
    let mut changes = [&before, &blocks, &after].map(|waker| {
        let mut change = Box::pin(cell.changed(Version(0)));
        assert!(change.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
        change
    });
    thread::scope(|scope| {
        let _opens_in_the_end = gate;
        scope.spawn(|| cell.update(|n| n + 1).unwrap());
        was_reached.recv().unwrap();
        cell.update(|n| n + 1).unwrap();
        assert_eq!(counts.each_ref().map(|wakes| wakes.count()), [1, 1]);
    });
    for change in &mut changes {
        assert!(change.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
}

#[test]
fn a_future_that_is_forgotten_leaves_no_waker_behind() {
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let cell = SnapshotCell::new(0);
    // The future's own memory is on the stack, and so is the second clone of the waker.
    let mut change = ManuallyDrop::new(cell.changed(Version(0)));
    assert!(Pin::new(&mut *change).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(Arc::strong_count(&wakes), 3);
    drop(cell);
    assert_eq!(Arc::strong_count(&wakes), 2);
    // SAFETY: the forgotten future held one, and nobody can reach it any more.
    unsafe { Arc::decrement_strong_count(Arc::as_ptr(&wakes)) };
}

#[test]
fn a_reader_follows_in_a_task_to_the_end() {
    let cell = SnapshotCell::new(0);
    let mut reader = cell.reader();
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(pin!(reader.changed()).poll(&mut context), Poll::Ready(Ok(Version(0))));
    reader.get();
    assert!(pin!(reader.changed()).poll(&mut context).is_pending());
    cell.update(|n| n + 1).unwrap();
    cell.update(|n| n + 1).unwrap();
    drop(cell);
    // What was committed before the end is still news.
    assert_eq!(pin!(reader.changed()).poll(&mut context), Poll::Ready(Ok(Version(2))));
    assert_eq!(*reader.get(), 2);
    assert_eq!(pin!(reader.changed()).poll(&mut context), Poll::Ready(Err(Closed)));
}
