//! Events with a clock, with tasks, and with code that panics; the models in `loom-tests` look at the interleavings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use super::*;
use crate::testing::{counting_waker, panicking_waker, poll, waker_with_drop};

fn never() -> Option<()> {
    None
}

#[test]
fn what_holds_already_is_not_waited_for() {
    let event = Event::new();
    assert_eq!(event.wait_until(|| Some(1)), 1);
    assert_eq!(event.wait_until_timeout(Duration::ZERO, || Some(2)), Some(2));
    assert_eq!(poll(&mut event.until(|| Some(3)), Waker::noop()), Poll::Ready(3));
    assert_eq!(event.0.slot_count(), 0, "and nobody took a place");
}

#[test]
fn a_timeout_leaves_no_waker_behind() {
    let event = Event::new();
    assert_eq!(event.wait_until_timeout(Duration::ZERO, never), None);
    assert_eq!((event.0.slot_count(), event.0.len()), (8, 0));
}

#[test]
fn notify_one_wakes_each_in_turn() {
    let event = Event::new();
    let wakers: Vec<_> = (0..3).map(|_| counting_waker()).collect();
    let mut waits: Vec<_> = (0..3).map(|_| event.until(never)).collect();
    for count in 1..=5 {
        for (wait, (waker, _)) in waits.iter_mut().zip(&wakers) {
            assert!(poll(wait, waker).is_pending());
        }
        (0..3).for_each(|_| event.notify_one());
        assert!(wakers.iter().all(|(_, wakes)| wakes() == count), "once each");
        event.notify_one();
        assert!(wakers.iter().all(|(_, wakes)| wakes() == count), "nobody waits any more");
    }
}

#[test]
fn each_has_its_turn_while_all_wait() {
    let event = Event::new();
    let wakers: Vec<_> = (0..4).map(|_| counting_waker()).collect();
    let mut waits: Vec<_> = (0..4).map(|_| event.until(never)).collect();
    for _ in 0..80 {
        for (wait, (waker, _)) in waits.iter_mut().zip(&wakers) {
            assert!(poll(wait, waker).is_pending());
        }
        event.notify_one();
    }
    let wakes: Vec<usize> = wakers.iter().map(|(_, wakes)| wakes()).collect();
    assert!(wakes.iter().all(|&wakes| wakes >= 10), "{wakes:?}");
}

#[test]
fn a_notification_that_is_not_used_goes_to_another() {
    let event = Event::new();
    let ((first, first_wakes), (second, second_wakes)) = (counting_waker(), counting_waker());
    let (mut one, mut other) = (event.until(never), event.until(never));
    assert!(poll(&mut one, &first).is_pending());
    assert!(poll(&mut other, &second).is_pending());
    event.notify_one();
    assert_eq!(first_wakes() + second_wakes(), 1);
    if first_wakes() == 1 {
        drop(one)
    } else {
        drop(other)
    }
    assert_eq!((first_wakes(), second_wakes()), (1, 1));
}

#[test]
fn a_finished_future_that_lives_on_takes_no_notification() {
    let event = Event::new();
    let permits = AtomicU32::new(0);
    let take = || {
        permits.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok()
    };
    let ((first, _), (second, second_wakes)) = (counting_waker(), counting_waker());
    let (mut waits, mut finished) = (event.until(take), event.until(take));
    assert!(poll(&mut finished, &first).is_pending());
    assert!(poll(&mut waits, &second).is_pending());
    // Polled for another reason, and kept.
    permits.fetch_add(1, Ordering::Relaxed);
    assert!(poll(&mut finished, &first).is_ready());
    permits.fetch_add(1, Ordering::Relaxed);
    event.notify_one();
    assert_eq!(second_wakes(), 1);
    assert!(poll(&mut waits, &second).is_ready());
    drop(finished);
}

#[test]
fn a_look_that_parks_the_thread_uses_up_no_notification() {
    let (event, holds) = (Event::new(), std::cell::Cell::new(false));
    let mut looks = 0;
    let woken = event.wait_until_timeout(Duration::from_secs(60), || {
        let held = holds.get();
        looks += 1;
        if looks == 2 {
            // After the waker was left: notified, and the token gone.
            holds.set(true);
            event.notify_one();
            thread::park();
        }
        held.then_some(())
    });
    assert_eq!(woken, Some(()));
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_takes_no_notification_with_it() {
    let event = Event::new();
    let mut gives_up = event.until(never);
    let panics = waker_with_drop(|| panic!("as it was told"));
    assert!(poll(&mut gives_up, &panics).is_pending());
    drop(panics);
    event.notify_one();
    let (waker, wakes) = counting_waker();
    let mut waits = event.until(never);
    assert!(poll(&mut waits, &waker).is_pending());
    drop(gives_up);
    assert_eq!(wakes(), 1);
}

#[test]
fn a_future_dropped_by_a_panic_passes_its_notification_to_whoever_panics() {
    let event = Event::new();
    let mut waits = event.until(never);
    assert!(poll(&mut waits, &panicking_waker()).is_pending());
    let panics = AssertUnwindSafe(|| {
        let mut first = event.until(never);
        assert!(poll(&mut first, Waker::noop()).is_pending());
        event.notify_all();
        assert!(poll(&mut waits, &panicking_waker()).is_pending());
        panic!("as it was told");
    });
    // Without an abort.
    assert!(catch_unwind(panics).is_err());
}

#[test]
fn a_look_that_panics_leaves_no_waker_behind() {
    let event = Event::new();
    let mut looks = 0;
    let waits = AssertUnwindSafe(|| {
        event.wait_until(|| -> Option<()> {
            looks += 1;
            assert!(looks < 2, "as it was told");
            None
        })
    });
    assert!(catch_unwind(waits).is_err());
    assert_eq!(event.0.len(), 0);
}

#[test]
fn a_waker_that_panics_keeps_nobody_else_from_being_woken() {
    let event = Event::new();
    let (waker, wakes) = counting_waker();
    let panics = panicking_waker();
    let mut waits: Vec<_> = (0..4).map(|_| event.until(never)).collect();
    for (number, wait) in waits.iter_mut().enumerate() {
        assert!(poll(wait, if number % 2 == 0 { &panics } else { &waker }).is_pending());
    }
    assert!(catch_unwind(AssertUnwindSafe(|| event.notify_all())).is_err());
    assert_eq!(wakes(), 2);
}

#[test]
fn permits_are_neither_lost_nor_slept_beside() {
    const EACH: u32 = 3000;
    let (event, left) = (Event::new(), AtomicU32::new(0));
    let take =
        || left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).ok();
    thread::scope(|scope| {
        // One that waits, one with a short timeout, one whose futures are dropped half of the time.
        scope.spawn(|| {
            for _ in 0..EACH {
                event.wait_until(take);
            }
        });
        scope.spawn(|| {
            for _ in 0..EACH {
                while event.wait_until_timeout(Duration::from_micros(5), take).is_none() {}
            }
        });
        scope.spawn(|| {
            for _ in 0..EACH {
                if poll(&mut event.until(take), Waker::noop()).is_pending() {
                    event.wait_until(take);
                }
            }
        });
        for _ in 0..3 * EACH {
            left.fetch_add(1, Ordering::Relaxed);
            event.notify_one();
        }
    });
    assert_eq!(left.load(Ordering::Relaxed), 0);
    assert_eq!(event.0.len(), 0);
}
