//! Tasks whose drop panics, and wakers that panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};

use super::super::*;
use crate::testing::{counting_waker, panicking_waker, poll, waker_with_drop};

/// Counts its drops, and panics in one of them.
struct Panics(Arc<AtomicUsize>, bool);

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert!(!self.1, "as it was told");
    }
}

#[test]
fn tasks_whose_drop_panics_take_no_other_with_them() {
    for keyed in [false, true] {
        let drops = Arc::new(AtomicUsize::new(0));
        let queue = PriorityQueue::bounded(100, 1);
        for task in 0..20 {
            let hint = Hint::new(Class::ALL[task % 5]);
            let hint = if keyed { hint.with_cost(task as u16 + 1) } else { hint };
            assert!(queue.try_push(Panics(Arc::clone(&drops), task % 8 == 7), hint).is_ok());
        }
        assert!(catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err());
        assert_eq!(drops.load(Ordering::SeqCst), 20);
    }
}

#[test]
fn a_waker_that_panics_costs_no_task() {
    let queue = PriorityQueue::bounded(1, 1);
    let waker = panicking_waker();
    let mut consumer = queue.recv();
    assert!(poll(&mut consumer, &waker).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    let mut producer = queue.send(2, Class::Normal);
    assert!(poll(&mut producer, &waker).is_pending());
    assert_eq!(queue.try_pop(), Some(1), "although its producer's waker panics");
    assert!(poll(&mut producer, &waker).is_ready());
    drop(consumer);
    assert_eq!(queue.try_pop(), Some(2));
}

#[test]
fn the_turn_of_a_waker_that_panics_goes_to_the_next() {
    let queue = PriorityQueue::bounded(4, 1000);
    let (mut panics, mut waits) = (queue.recv(), queue.recv());
    assert!(poll(&mut panics, &panicking_waker()).is_pending());
    let (waker, wakes) = counting_waker();
    assert!(poll(&mut waits, &waker).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    assert_eq!(wakes(), 1);
}

#[test]
fn a_waker_that_panics_when_it_is_dropped_costs_neither_a_task_nor_a_turn() {
    let queue = PriorityQueue::bounded(1, 1000);
    let (mut called, mut out_of_turn) = (queue.recv(), queue.recv());
    assert!(poll(&mut called, Waker::noop()).is_pending());
    let panics = waker_with_drop(|| panic!("as it was told"));
    assert!(poll(&mut out_of_turn, &panics).is_pending());
    drop(panics);
    queue.try_push(1, Class::Normal).unwrap();
    let (waker, wakes) = counting_waker();
    let mut producer = queue.send(2, Class::Normal);
    assert!(poll(&mut producer, &waker).is_pending());
    assert_eq!(poll(&mut out_of_turn, Waker::noop()), Poll::Ready(Some(1)));
    assert_eq!(wakes(), 1);
}

#[test]
fn no_waker_is_dropped_or_cloned_under_the_lock() {
    let queue = Arc::new(PriorityQueue::bounded(1, 1000));
    let under_lock = Arc::new(AtomicUsize::new(0));
    let watching = || {
        let (queue, under_lock) = (Arc::clone(&queue), Arc::clone(&under_lock));
        waker_with_drop(move || {
            under_lock.fetch_add(usize::from(queue.state.is_held()), Ordering::SeqCst);
        })
    };
    let mut consumer = queue.recv();
    // Replaced by another, dropped as it succeeds out of turn, dropped with its future.
    assert!(poll(&mut consumer, &watching()).is_pending());
    assert!(poll(&mut consumer, &watching()).is_pending());
    let mut first = queue.recv();
    assert!(poll(&mut first, &watching()).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    assert!(poll(&mut first, &watching()).is_ready());
    drop((consumer, first));
    queue.try_push(2, Class::Normal).unwrap();
    let mut producer = queue.send(3, Class::Normal);
    assert!(poll(&mut producer, &watching()).is_pending());
    drop(producer);
    assert_eq!(under_lock.load(Ordering::SeqCst), 0);
}
