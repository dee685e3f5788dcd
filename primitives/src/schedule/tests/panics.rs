//! Tasks whose drop panics, and wakers that panic.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::*;
use crate::testing::{panicking_waker, poll};

/// Counts its drops, and panics in one of them.
struct Panics(Arc<AtomicUsize>, bool);

impl Drop for Panics {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
        assert!(!self.1, "as it was told");
    }
}

#[test]
fn a_task_whose_drop_panics_takes_no_other_with_it() {
    for keyed in [false, true] {
        let drops = Arc::new(AtomicUsize::new(0));
        let queue = PriorityQueue::bounded(100, 1);
        for task in 0..20 {
            let hint = Hint::new(Class::ALL[task % 5]);
            let hint = if keyed { hint.with_cost(task as u16 + 1) } else { hint };
            assert!(queue.try_push(Panics(Arc::clone(&drops), task == 7), hint).is_ok());
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
