//! The queue against a plain model, beside threads that stopped, and under flood.

mod aging;
mod channel;
mod model;
mod stopped;
mod threads;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn drained<T>(queue: &LaneQueue<T>) -> Vec<T> {
    iter::from_fn(|| queue.try_pop()).collect()
}

#[test]
fn classes_go_first_and_each_is_first_in_first_out() {
    let queue = LaneQueue::bounded(16, 100);
    for (task, class) in [(1, Class::Low), (2, Class::High), (3, Class::Low), (4, Class::High)] {
        queue.try_push(task, class).unwrap();
    }
    assert_eq!((queue.len(), queue.len_of(Class::Low)), (4, 2));
    assert_eq!(queue.depths(), [0, 2, 0, 2, 0]);
    let mut out = vec![0];
    assert_eq!(queue.try_pop_many(&mut out, 3), 3);
    assert_eq!(queue.try_pop_many(&mut out, 3), 1);
    assert_eq!(out, [0, 2, 4, 1, 3]);
    assert!(queue.is_empty());
}

#[test]
fn a_full_class_gives_the_task_back_and_the_others_have_room() {
    let queue = LaneQueue::with_capacities([1, 2, 0, 3, 4], 100);
    assert_eq!(Class::ALL.map(|class| queue.capacity_of(class)), [1, 2, 1, 3, 4]);
    assert_eq!(queue.capacity(), 11);
    for class in Class::ALL {
        for task in 0..queue.capacity_of(class) {
            queue.try_push(task, class).unwrap();
        }
        assert_eq!(queue.try_push(99, class), Err(PushError::Full(99)));
    }
    assert_eq!(queue.depths(), [1, 2, 1, 3, 4]);
    assert_eq!(drained(&queue), [0, 0, 1, 0, 0, 1, 2, 0, 1, 2, 3]);
}

#[test]
fn hints_that_lag_by_laps_are_caught_up_with() {
    let queue = LaneQueue::bounded(3, 100);
    for task in 0..100 {
        queue.try_push(task, Class::Normal).unwrap();
        queue.try_push(task, Class::Normal).unwrap();
        for lag in [0, 1, 2, 3, 4, 5, 6, 7, 30] {
            // As a thread would leave them that was suspended for so long.
            queue.lanes[Class::Normal.index()].set_back(lag);
            assert_eq!(queue.len(), 2);
            queue.lanes[Class::Normal.index()].set_back(lag);
            queue.try_push(task, Class::Normal).unwrap();
            queue.lanes[Class::Normal.index()].set_back(lag);
            assert_eq!(queue.try_push(task, Class::Normal), Err(PushError::Full(task)));
            queue.lanes[Class::Normal.index()].set_back(lag);
            assert_eq!(queue.try_pop(), Some(task));
        }
        assert_eq!(drained(&queue), [task, task]);
        assert!(queue.is_empty());
    }
}

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
    let drops = Arc::new(AtomicUsize::new(0));
    let queue = LaneQueue::bounded(100, 1);
    for task in 0..20 {
        assert!(
            queue.try_push(Panics(Arc::clone(&drops), task == 7), Class::ALL[task % 5]).is_ok()
        );
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(queue))).is_err());
    assert_eq!(drops.load(Ordering::SeqCst), 20);
}

#[test]
fn more_threads_than_have_a_number_of_their_own_push_and_pop() {
    const THREADS: usize = 80;
    let queue = LaneQueue::bounded(THREADS, 100);
    let all_there = std::sync::Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for task in 0..THREADS {
            let (queue, all_there) = (&queue, &all_there);
            scope.spawn(move || {
                all_there.wait();
                // Refused while 16 others are in the middle of it.
                while queue.try_push(task, Class::Normal).is_err() {
                    std::thread::yield_now();
                }
                // Nobody gives a number back before.
                all_there.wait();
            });
        }
    });
    let mut tasks = drained(&queue);
    tasks.sort_unstable();
    assert_eq!(tasks, (0..THREADS).collect::<Vec<_>>());
}

#[test]
fn a_queue_can_be_used_while_a_thread_is_torn_down() {
    struct PushesLate(Arc<LaneQueue<u32>>);
    impl Drop for PushesLate {
        fn drop(&mut self) {
            self.0.try_push(1, Class::Normal).unwrap();
        }
    }
    thread_local!(static LATE: std::cell::RefCell<Option<PushesLate>> = const { std::cell::RefCell::new(None) });
    let queue = Arc::new(LaneQueue::bounded(2, 100));
    let late = PushesLate(Arc::clone(&queue));
    let thread = std::thread::spawn(move || {
        LATE.set(Some(late));
        LATE.with_borrow(|late| late.as_ref().unwrap().0.try_push(0, Class::Normal).unwrap());
    });
    thread.join().unwrap();
    assert_eq!(drained(&queue), [0, 1]);
}

#[test]
fn a_queue_goes_where_its_tasks_can_go() {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<LaneQueue<std::cell::Cell<u8>>>();
}
