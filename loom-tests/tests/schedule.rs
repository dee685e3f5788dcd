//! The priority queue: nothing lost or doubled, no wake-up lost, an orderly close, urgent work first.
//!
//! Loom reports a thread that waits for ever as a deadlock, so a lost wake-up needs no assertion: it is
//! enough that nothing else in the model would wake the thread by the way.

#![cfg(queenright_loom)]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread::{self, JoinHandle};
use queenright_primitives::schedule::{Class, Hint, PriorityQueue, PushError};

type Queue = Arc<PriorityQueue<u32>>;

/// Too patient for aging to change the order in a model of a few pops.
const PATIENCE: u64 = 100;

/// A queue that holds the tasks 0, 1, … already, of normal class.
fn queue_with(tasks: u32, capacity: usize) -> Queue {
    let queue = Arc::new(PriorityQueue::bounded(capacity, PATIENCE));
    for task in 0..tasks {
        queue.try_push(task, Class::Normal).unwrap();
    }
    queue
}

/// Runs `work` on the queue in a thread of its own.
fn spawn<R: 'static>(queue: &Queue, work: impl FnOnce(&Queue) -> R + 'static) -> JoinHandle<R> {
    let queue = Arc::clone(queue);
    thread::spawn(move || work(&queue))
}

fn push(task: u32) -> impl FnOnce(&Queue) -> Result<(), PushError<u32>> {
    move |queue| queue.push(task, Class::Normal)
}

fn pop_up_to(most: usize) -> impl FnOnce(&Queue) -> Vec<u32> {
    move |queue| {
        let mut tasks = Vec::new();
        let moved = queue.pop_many(&mut tasks, most);
        assert_eq!(moved, tasks.len());
        tasks
    }
}

/// What is left in the queue when nobody else uses it any more.
fn drain(queue: &Queue) -> Vec<u32> {
    std::iter::from_fn(|| queue.try_pop()).collect()
}

fn assert_each_once(mut popped: Vec<u32>, tasks: u32) {
    popped.sort_unstable();
    assert_eq!(popped, (0..tasks).collect::<Vec<_>>());
}

#[test]
fn two_producers_and_one_consumer_lose_and_double_nothing() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let producers = [0, 1].map(|task| spawn(&queue, push(task)));
        let popped = vec![queue.pop().unwrap(), queue.pop().unwrap()];
        for producer in producers {
            producer.join().unwrap().unwrap();
        }
        assert_each_once(popped, 2);
        assert!(queue.is_empty());
    });
}

#[test]
fn a_blocked_pop_is_woken_by_push() {
    loom::model(|| {
        let queue = queue_with(0, 1);
        let consumer = spawn(&queue, |queue| queue.pop());
        push(0)(&queue).unwrap();
        assert_eq!(consumer.join().unwrap(), Some(0));
    });
}

#[test]
fn a_blocked_pop_many_is_woken_by_try_push() {
    loom::model(|| {
        let queue = queue_with(0, 1);
        let consumer = spawn(&queue, pop_up_to(2));
        queue.try_push(0, Class::Normal).unwrap();
        assert_eq!(consumer.join().unwrap(), [0]);
    });
}

#[test]
fn a_woken_pop_whose_task_was_taken_by_another_waits_again() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let consumer = spawn(&queue, |queue| queue.pop());
        push(0)(&queue).unwrap();
        let taken = queue.try_pop();
        if taken.is_some() {
            push(1)(&queue).unwrap();
        }
        let popped = consumer.join().unwrap().unwrap();
        assert_eq!(popped, if taken.is_some() { 1 } else { 0 });
    });
}

#[test]
fn a_woken_pop_many_whose_task_was_taken_by_another_waits_again() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let consumer = spawn(&queue, pop_up_to(2));
        push(0)(&queue).unwrap();
        let taken = queue.try_pop();
        if taken.is_some() {
            push(1)(&queue).unwrap();
        }
        let popped = consumer.join().unwrap();
        assert_eq!(popped, [if taken.is_some() { 1 } else { 0 }]);
    });
}

#[test]
fn every_blocked_consumer_is_woken_by_close() {
    loom::model(|| {
        let queue = queue_with(0, 1);
        let one = spawn(&queue, |queue| queue.pop());
        let many = spawn(&queue, pop_up_to(2));
        queue.close();
        assert_eq!(one.join().unwrap(), None);
        assert_eq!(many.join().unwrap(), []);
        assert!(queue.is_closed());
    });
}

#[test]
fn a_pop_returns_none_only_when_the_closed_queue_is_empty() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let consumer = spawn(&queue, |queue| {
            let popped: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
            assert!(queue.is_closed() && queue.is_empty());
            popped
        });
        push(0)(&queue).unwrap();
        push(1)(&queue).unwrap();
        queue.close();
        assert_eq!(consumer.join().unwrap(), [0, 1]);
    });
}

#[test]
fn a_pop_many_moves_nothing_only_when_the_closed_queue_is_empty() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let consumer = spawn(&queue, |queue| {
            let mut popped = Vec::new();
            while queue.pop_many(&mut popped, 1) > 0 {}
            assert!(queue.is_closed() && queue.is_empty());
            popped
        });
        push(0)(&queue).unwrap();
        push(1)(&queue).unwrap();
        queue.close();
        assert_eq!(consumer.join().unwrap(), [0, 1]);
    });
}

/// A push that waits for room goes on as soon as `make_room` took the one task out.
fn a_blocked_push_is_woken(make_room: fn(&Queue) -> u32) {
    loom::model(move || {
        let queue = queue_with(1, 1);
        let producer = spawn(&queue, push(1));
        assert_eq!(make_room(&queue), 0);
        producer.join().unwrap().unwrap();
        assert_eq!(drain(&queue), [1]);
    });
}

#[test]
fn a_blocked_push_is_woken_by_pop() {
    a_blocked_push_is_woken(|queue| queue.pop().unwrap());
}

#[test]
fn a_blocked_push_is_woken_by_try_pop() {
    a_blocked_push_is_woken(|queue| queue.try_pop().unwrap());
}

#[test]
fn a_blocked_push_is_woken_by_pop_many() {
    a_blocked_push_is_woken(|queue| pop_up_to(1)(queue)[0]);
}

#[test]
fn a_pop_many_wakes_as_many_blocked_pushes_as_it_made_room_for() {
    loom::model(|| {
        let queue = queue_with(2, 2);
        let producers = [2, 3].map(|task| spawn(&queue, push(task)));
        let mut popped = pop_up_to(2)(&queue);
        // No pop after this one, whose own wake-up would come to the rescue.
        for producer in producers {
            producer.join().unwrap().unwrap();
        }
        popped.extend(drain(&queue));
        assert_each_once(popped, 4);
    });
}

#[test]
fn a_woken_push_whose_room_was_taken_by_another_waits_again() {
    loom::model(|| {
        let queue = queue_with(1, 1);
        let producer = spawn(&queue, push(1));
        let mut popped = vec![queue.pop().unwrap()];
        let mine = queue.try_push(2, Class::Normal);
        assert!(queue.len() <= queue.capacity());
        popped.push(queue.pop().unwrap());
        producer.join().unwrap().unwrap();
        assert!(queue.len() <= queue.capacity());
        popped.extend(drain(&queue));
        popped.extend(mine.err().map(PushError::into_inner));
        assert_each_once(popped, 3);
    });
}

#[test]
fn two_try_pushes_for_the_last_place_do_not_both_get_it() {
    loom::model(|| {
        let queue = queue_with(0, 1);
        let other = spawn(&queue, |queue| queue.try_push(1, Class::Normal));
        let mine = queue.try_push(0, Class::Normal);
        let (refused, queued) = match (mine, other.join().unwrap()) {
            (Ok(()), Err(refused)) => (refused, 0),
            (Err(refused), Ok(())) => (refused, 1),
            (Ok(()), Ok(())) => panic!("two tasks in one place"),
            (Err(_), Err(_)) => panic!("the place stayed free"),
        };
        assert_eq!(refused, PushError::Full(1 - queued));
        assert_eq!(drain(&queue), [queued]);
    });
}

#[test]
fn every_blocked_push_is_woken_by_close_and_gets_its_task_back() {
    loom::model(|| {
        let queue = queue_with(1, 1);
        let producers = [1, 2].map(|task| (task, spawn(&queue, push(task))));
        queue.close();
        for (task, producer) in producers {
            assert_eq!(producer.join().unwrap(), Err(PushError::Closed(task)));
        }
        assert_eq!(drain(&queue), [0]);
    });
}

#[test]
fn a_push_against_close_is_refused_or_popped() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let producers =
            [spawn(&queue, push(0)), spawn(&queue, |queue| queue.try_push(1, Class::Normal))];
        queue.close();
        // Closed, so nothing that is popped later can have been pushed later.
        let mut tasks = drain(&queue);
        for producer in producers {
            let refused = producer.join().unwrap().err();
            tasks.extend(refused.map(PushError::into_inner));
        }
        assert_each_once(tasks, 2);
    });
}

#[test]
fn a_pop_and_a_pop_many_share_two_tasks_and_neither_hangs() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let one = spawn(&queue, |queue| queue.pop().unwrap());
        let many = spawn(&queue, pop_up_to(1));
        push(0)(&queue).unwrap();
        push(1)(&queue).unwrap();
        let mut popped = many.join().unwrap();
        popped.push(one.join().unwrap());
        assert_each_once(popped, 2);
    });
}

#[test]
fn a_pop_many_that_could_take_more_leaves_no_consumer_asleep_beside_a_task() {
    loom::model(|| {
        let queue = queue_with(0, 3);
        let one = spawn(&queue, |queue| queue.pop().unwrap());
        let many = spawn(&queue, pop_up_to(2));
        for task in 0..3 {
            push(task)(&queue).unwrap();
        }
        // Three tasks, of which one consumer takes one and the other at most two: there is enough.
        let mut popped = many.join().unwrap();
        popped.push(one.join().unwrap());
        popped.extend(drain(&queue));
        assert_each_once(popped, 3);
    });
}

#[test]
fn two_producers_and_two_consumers_get_past_each_other_in_a_queue_of_one() {
    // Four threads: without a bound this search alone would not end.
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(3);
    builder.check(|| {
        let queue = queue_with(0, 1);
        let producers = [0, 1].map(|task| spawn(&queue, push(task)));
        let one = spawn(&queue, |queue| queue.pop().unwrap());
        let mut popped = pop_up_to(2)(&queue);
        popped.push(one.join().unwrap());
        for producer in producers {
            producer.join().unwrap().unwrap();
        }
        assert_each_once(popped, 2);
    });
}

#[test]
fn a_critical_task_pushed_before_a_pop_is_popped_before_a_low_one() {
    loom::model(|| {
        let queue = queue_with(0, 3);
        let low = spawn(&queue, |queue| {
            queue.push(10, Class::Low).unwrap();
            queue.push(11, Class::Low).unwrap();
        });
        queue.push(0, Class::Critical).unwrap();
        assert_eq!(queue.pop(), Some(0));
        low.join().unwrap();
        // And first in, first out within a class, whatever came between.
        assert_eq!(drain(&queue), [10, 11]);
    });
}

#[test]
fn a_pop_that_knows_of_a_critical_task_does_not_get_the_low_one() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let pushed = Arc::new(AtomicBool::new(false));
        queue.push(1, Class::Low).unwrap();
        let producer = {
            let pushed = Arc::clone(&pushed);
            spawn(&queue, move |queue| {
                queue.push(0, Class::Critical).unwrap();
                pushed.store(true, Ordering::Release);
            })
        };
        let known = pushed.load(Ordering::Acquire);
        let popped = [queue.pop().unwrap(), queue.pop().unwrap()];
        if known {
            assert_eq!(popped, [0, 1]);
        }
        producer.join().unwrap();
        assert_each_once(popped.to_vec(), 2);
    });
}

#[test]
fn a_push_many_wakes_as_many_consumers_as_it_has_tasks() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let consumers = [(); 2].map(|()| spawn(&queue, |queue| queue.pop().unwrap()));
        let mut batch = [0, 1].map(|task| (task, Hint::default())).into();
        assert_eq!(queue.try_push_many(&mut batch), Ok(2));
        assert_each_once(consumers.map(|it| it.join().unwrap()).to_vec(), 2);
    });
}

#[test]
fn a_push_many_waits_for_the_room_that_it_lacks() {
    loom::model(|| {
        let queue = queue_with(0, 1);
        let producer = spawn(&queue, |queue| {
            let mut batch = [0, 1].map(|task| (task, Hint::default())).into();
            queue.push_many(&mut batch).unwrap();
        });
        assert_eq!([queue.pop(), queue.pop()], [Some(0), Some(1)]);
        producer.join().unwrap();
    });
}

#[test]
fn a_task_is_received_and_sent_by_futures() {
    loom::model(|| {
        let queue = queue_with(1, 1);
        let sender = spawn(&queue, |queue| block_on(queue.send(1, Class::Normal)));
        let mut received = vec![block_on(queue.recv()).unwrap()];
        let mut more = Vec::new();
        assert_eq!(block_on(queue.recv_many(&mut more, 2)), 1);
        received.extend(more);
        assert_each_once(received, 2);
        sender.join().unwrap().unwrap();
    });
}

/// Polls once, and drops the future unless it is done.
fn once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    match poll_once(&mut future) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[test]
fn a_consumer_that_gives_up_its_turn_passes_it_on() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let gives_up = spawn(&queue, |queue| match once(queue.recv()) {
            Some(task) => queue.try_push(task.unwrap(), Class::Normal).unwrap(),
            None => {}
        });
        let consumer = spawn(&queue, |queue| queue.pop());
        push(0)(&queue).unwrap();
        assert_eq!(consumer.join().unwrap(), Some(0));
        gives_up.join().unwrap();
    });
}

#[test]
fn a_producer_that_gives_up_its_turn_passes_it_on() {
    loom::model(|| {
        let queue = queue_with(1, 1);
        let gives_up = spawn(&queue, |queue| once(queue.send(1, Class::Normal)).is_some());
        let producer = spawn(&queue, push(2));
        let mut popped = vec![queue.pop().unwrap()];
        if gives_up.join().unwrap() {
            popped.push(queue.pop().unwrap());
        }
        producer.join().unwrap().unwrap();
        popped.extend(drain(&queue));
        assert_eq!((popped[0], popped.contains(&2)), (0, true));
    });
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_producer_whose_class_filled_up_meanwhile_lets_another_class_go() {
    loom::model(|| {
        let queue = Arc::new(PriorityQueue::bounded(2, PATIENCE).with_limit(Class::High, 1));
        queue.try_push(0, Class::Low).unwrap();
        queue.try_push(1, Class::Low).unwrap();
        let mut first = queue.send(2, Class::High);
        let mut second = queue.send(3, Class::High);
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_once(&mut second).is_pending());
        let low = spawn(&queue, |queue| queue.push(4, Class::Low).unwrap());
        // Both of the more urgent class are called, and there is room for one of them.
        assert_eq!([queue.pop(), queue.pop()], [Some(0), Some(1)]);
        assert_eq!(poll_once(&mut first), Poll::Ready(Ok(())));
        assert!(poll_once(&mut second).is_pending());
        low.join().unwrap();
    });
}

#[test]
fn a_consumer_that_took_a_task_out_of_turn_leaves_the_line() {
    loom::model(|| {
        let queue = queue_with(0, 2);
        let mut first = queue.recv();
        let mut second = queue.recv();
        assert!(poll_once(&mut first).is_pending());
        assert!(poll_once(&mut second).is_pending());
        let third = spawn(&queue, |queue| queue.pop());
        queue.try_push(0, Class::Normal).unwrap();
        let mut taken = None;
        if let Poll::Ready(task) = poll_once(&mut second) {
            taken = task;
        }
        drop((first, second));
        queue.try_push(1, Class::Normal).unwrap();
        let last = third.join().unwrap();
        assert_each_once([taken, last, queue.try_pop()].into_iter().flatten().collect(), 2);
    });
}

#[test]
fn no_more_than_patience_allows_overtake_a_task() {
    loom::model(|| {
        let queue = Arc::new(PriorityQueue::bounded(4, 1));
        queue.try_push(9, Class::Low).unwrap();
        let producers = [0, 1]
            .map(|task| spawn(&queue, move |queue| queue.try_push(task, Class::Critical).unwrap()));
        let popped = [queue.pop().unwrap(), queue.pop().unwrap()];
        assert!(popped.contains(&9), "{popped:?}");
        for producer in producers {
            producer.join().unwrap();
        }
    });
}
