//! Waiting, with a clock and with tasks; the models in `loom-tests` look at the interleavings.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::super::*;
use crate::testing::{counting_waker, poll};

fn waiting<T>(queue: &PriorityQueue<T>) -> usize {
    queue.state.with(|state| state.waiting())
}

#[test]
fn a_timeout_gives_the_task_back_and_leaves_the_line() {
    let queue = PriorityQueue::bounded(1, 1);
    assert_eq!(queue.pop_timeout(Duration::ZERO), Err(PopError::TimedOut));
    queue.push(1, Class::Normal).unwrap();
    assert_eq!(queue.push_timeout(2, Class::Normal, Duration::ZERO), Err(PushError::Full(2)));
    assert_eq!(waiting(&queue), 0);
    assert_eq!(queue.pop_timeout(Duration::MAX), Ok(1));
    let mut out = Vec::new();
    assert_eq!(queue.pop_many_timeout(&mut out, 3, Duration::ZERO), Err(PopError::TimedOut));
    assert_eq!(queue.pop_many_timeout(&mut out, 0, Duration::ZERO), Ok(0));
    queue.close();
    assert_eq!(queue.pop_many_timeout(&mut out, 3, Duration::ZERO), Err(PopError::Closed));
}

#[test]
fn each_task_wakes_one_consumer_in_the_order_in_which_they_came() {
    let queue = PriorityQueue::bounded(4, 1);
    let wakers: Vec<_> = (0..3).map(|_| counting_waker()).collect();
    let mut consumers: Vec<_> = (0..3).map(|_| queue.recv()).collect();
    for (consumer, (waker, _)) in consumers.iter_mut().zip(&wakers) {
        assert!(poll(consumer, waker).is_pending());
        assert!(poll(consumer, waker).is_pending(), "once more changes nothing");
    }
    let wakes = || wakers.iter().map(|(_, wakes)| wakes()).collect::<Vec<_>>();
    for (task, expected) in [(1, [1, 0, 0]), (2, [1, 1, 0])] {
        queue.try_push(task, Class::Normal).unwrap();
        assert_eq!(wakes(), expected);
    }
    assert_eq!(poll(&mut consumers[1], &wakers[1].0), Poll::Ready(Some(1)));
    assert_eq!(poll(&mut consumers[0], &wakers[0].0), Poll::Ready(Some(2)));
    let mut batch = [3, 4].map(|task| (task, Class::Low.into())).into();
    assert_eq!(queue.try_push_many(&mut batch), Ok(2));
    assert_eq!(wakes(), [1, 1, 1]);
}

#[test]
fn a_batch_wakes_as_many_as_it_has_tasks() {
    let queue = PriorityQueue::bounded(4, 1);
    let wakers: Vec<_> = (0..4).map(|_| counting_waker()).collect();
    let mut consumers: Vec<_> = (0..4).map(|_| queue.recv()).collect();
    for (consumer, (waker, _)) in consumers.iter_mut().zip(&wakers) {
        assert!(poll(consumer, waker).is_pending());
    }
    let mut batch = [1, 2].map(|task| (task, Class::Low.into())).into();
    assert_eq!(queue.try_push_many(&mut batch), Ok(2));
    assert_eq!(wakers.iter().map(|(_, wakes)| wakes()).collect::<Vec<_>>(), [1, 1, 0, 0]);
}

#[test]
fn who_was_woken_in_vain_stands_first_again() {
    let queue = PriorityQueue::bounded(4, 1);
    let ((first, first_wakes), (second, second_wakes)) = (counting_waker(), counting_waker());
    let (mut one, mut other) = (queue.recv(), queue.recv());
    assert!(poll(&mut one, &first).is_pending());
    assert!(poll(&mut other, &second).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    assert_eq!(queue.try_pop(), Some(1));
    assert!(poll(&mut one, &first).is_pending());
    queue.try_push(2, Class::Normal).unwrap();
    assert_eq!((first_wakes(), second_wakes()), (2, 0));
}

#[test]
fn places_in_the_line_are_used_again() {
    let queue = PriorityQueue::<()>::bounded(1, 1);
    for _ in 0..100 {
        assert_eq!(queue.pop_timeout(Duration::ZERO), Err(PopError::TimedOut));
    }
    assert_eq!(queue.state.with(|state| state.places()), 1);
}

#[test]
fn a_batch_moves_all_that_is_there_or_asked_for() {
    let queue = PriorityQueue::bounded(100, 1);
    (0..100).for_each(|task| queue.try_push(task, Class::Normal).unwrap());
    let mut out = Vec::new();
    assert_eq!(queue.try_pop_many(&mut out, 60), 60);
    assert_eq!(queue.try_pop_many(&mut out, usize::MAX), 40);
    assert_eq!(out, (0..100).collect::<Vec<_>>());
}

#[test]
fn queue_and_futures_go_from_thread_to_thread() {
    fn shared<T: Send + Sync>(_: &T) {}
    fn sent<T: Send>(_: &T) {}
    let queue = PriorityQueue::<std::cell::Cell<u32>>::bounded(1, 1);
    shared(&queue);
    sent(&queue.recv());
    sent(&queue.send(std::cell::Cell::new(1), Class::Normal));
    sent(&queue.recv_many(&mut Vec::new(), 1));
    assert!(std::panic::catch_unwind(|| queue.len()).is_ok(), "unwind safe");
}

#[test]
fn a_consumer_that_gives_up_its_turn_passes_it_on() {
    let queue = PriorityQueue::bounded(4, 1);
    let ((first, _), (second, second_wakes)) = (counting_waker(), counting_waker());
    let (mut gives_up, mut goes_on) = (queue.recv(), queue.recv());
    assert!(poll(&mut gives_up, &first).is_pending());
    assert!(poll(&mut goes_on, &second).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    assert_eq!(second_wakes(), 0);
    drop(gives_up);
    assert_eq!(second_wakes(), 1);
    assert_eq!(poll(&mut goes_on, &second), Poll::Ready(Some(1)));
    assert_eq!(waiting(&queue), 0);
}

#[test]
fn the_newest_waker_is_woken() {
    let queue = PriorityQueue::bounded(1, 1);
    let ((old, old_wakes), (new, new_wakes)) = (counting_waker(), counting_waker());
    let mut consumer = pin!(queue.recv());
    assert!(poll(&mut consumer, &old).is_pending());
    assert!(poll(&mut consumer, &new).is_pending());
    queue.try_push(1, Class::Normal).unwrap();
    assert_eq!((old_wakes(), new_wakes()), (0, 1));
}

#[test]
fn room_goes_to_the_most_urgent_class_that_has_any() {
    let queue = PriorityQueue::bounded(2, 1).with_limit(Class::High, 1);
    queue.try_push(0, Class::High).unwrap();
    queue.try_push(1, Class::Low).unwrap();
    let ((high, high_wakes), (low, low_wakes)) = (counting_waker(), counting_waker());
    let mut sends_low = queue.send(2, Class::Low);
    let mut sends_high = queue.send(3, Class::High);
    assert!(poll(&mut sends_low, &low).is_pending());
    assert!(poll(&mut sends_high, &high).is_pending());
    assert_eq!(queue.try_pop(), Some(0));
    assert_eq!((high_wakes(), low_wakes()), (1, 0));
    assert_eq!(poll(&mut sends_high, &high), Poll::Ready(Ok(())));
    // Here the class that is more urgent has no room.
    let mut sends_high = queue.send(4, Class::High);
    assert!(poll(&mut sends_high, &high).is_pending());
    assert_eq!(queue.force_push(5, Class::Critical), Ok(Some(1)));
    assert_eq!(queue.try_pop(), Some(5));
    assert_eq!((high_wakes(), low_wakes()), (1, 1));
    assert_eq!(poll(&mut sends_low, &low), Poll::Ready(Ok(())));
    drop(sends_high);
    assert_eq!(super::drained(&queue), [3, 2]);
}

#[test]
fn a_producer_whose_class_filled_up_meanwhile_lets_another_class_go() {
    let queue = PriorityQueue::bounded(2, 1).with_limit(Class::High, 1);
    queue.try_push(0, Class::High).unwrap();
    queue.try_push(1, Class::Low).unwrap();
    let ((high, high_wakes), (low, low_wakes)) = (counting_waker(), counting_waker());
    let mut sends_high = queue.send(3, Class::High);
    let mut sends_low = queue.send(2, Class::Low);
    assert!(poll(&mut sends_high, &high).is_pending());
    assert!(poll(&mut sends_low, &low).is_pending());
    assert_eq!(queue.try_pop(), Some(0));
    assert_eq!((high_wakes(), low_wakes()), (1, 0));
    // Somebody takes the place of the class and makes one in all.
    queue.try_push(9, Class::High).unwrap();
    assert_eq!(queue.force_push(8, Class::Critical), Ok(Some(1)));
    assert_eq!(queue.try_pop(), Some(8));
    assert_eq!(low_wakes(), 1);
    assert_eq!(poll(&mut sends_high, &high), Poll::Pending);
    assert_eq!(poll(&mut sends_low, &low), Poll::Ready(Ok(())));
}

#[test]
fn a_dropped_send_drops_its_task_and_a_closed_queue_gives_it_back() {
    let queue = PriorityQueue::bounded(1, 1);
    let held = Arc::new(());
    queue.try_push(Arc::clone(&held), Class::Normal).unwrap();
    let (waker, wakes) = counting_waker();
    let mut dropped = queue.send(Arc::clone(&held), Class::Normal);
    let mut refused = queue.send(Arc::clone(&held), Class::Normal);
    assert!(poll(&mut dropped, &waker).is_pending());
    assert!(poll(&mut refused, &waker).is_pending());
    drop(dropped);
    assert_eq!(Arc::strong_count(&held), 3);
    queue.close();
    assert_eq!(wakes(), 1);
    assert!(matches!(poll(&mut refused, &waker), Poll::Ready(Err(PushError::Closed(_)))));
}

#[test]
fn producers_and_consumers_of_every_kind_lose_nothing() {
    const EACH: u32 = 2000;
    let queue = PriorityQueue::bounded(3, 8).with_limit(Class::Low, 1);
    let popped = thread::scope(|scope| {
        let consumers = [
            scope.spawn(|| std::iter::from_fn(|| queue.pop()).collect::<Vec<u32>>()),
            scope.spawn(|| {
                let mut popped = Vec::new();
                while queue.pop_many(&mut popped, 2) > 0 {}
                popped
            }),
            scope.spawn(|| {
                let mut popped = Vec::new();
                loop {
                    match queue.pop_timeout(Duration::from_micros(10)) {
                        Ok(task) => popped.push(task),
                        Err(PopError::TimedOut) => {}
                        Err(PopError::Closed) => break popped,
                    }
                }
            }),
        ];
        let producers = [Class::Low, Class::High, Class::Normal].map(|class| {
            let queue = &queue;
            scope.spawn(move || {
                let first = class.index() as u32 * EACH;
                for task in first..first + EACH {
                    match task % 3 {
                        0 => queue.push(task, class).unwrap(),
                        1 => queue.push_many(&mut [(task, class.into())].into()).unwrap(),
                        _ => {
                            let mut task = task;
                            let timeout = Duration::from_micros(10);
                            while let Err(error) = queue.push_timeout(task, class, timeout) {
                                task = error.into_inner();
                            }
                        }
                    }
                }
            })
        });
        for producer in producers {
            producer.join().unwrap();
        }
        queue.close();
        let mut popped: Vec<u32> =
            consumers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        popped.sort_unstable();
        popped
    });
    assert_eq!(popped, (EACH..4 * EACH).collect::<Vec<_>>());
    assert_eq!(waiting(&queue), 0);
}
