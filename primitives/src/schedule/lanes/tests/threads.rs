//! Threads that do all at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::super::*;

const PRODUCERS: u32 = 3;
const EACH: u32 = 3000;

/// From whom, and the how many-th.
type Task = (u32, u32, Box<u32>);

fn class_of(task: u32) -> Class {
    Class::ALL[(task.wrapping_mul(0x9E37_79B9) >> 16) as usize % CLASSES]
}

fn produce(queue: &LaneQueue<Task>, producer: u32) {
    for number in 0..EACH {
        let mut task = (producer, number, Box::new(number));
        while let Err(refused) = queue.try_push(task, class_of(number)) {
            task = refused.into_inner();
            thread::yield_now();
        }
    }
}

/// Takes tasks until all are gone.
fn consume(queue: &LaneQueue<Task>, gone: &AtomicUsize, most: usize) -> Vec<Task> {
    let mut popped = Vec::new();
    while gone.load(Ordering::Relaxed) < (PRODUCERS * EACH) as usize {
        match queue.try_pop_many(&mut popped, most) {
            0 => thread::yield_now(),
            count => _ = gone.fetch_add(count, Ordering::Relaxed),
        }
    }
    popped
}

/// Of each producer and class the tasks come in their order.
fn assert_in_order(popped: &[Task]) {
    let mut last = HashMap::new();
    for (producer, number, copy) in popped {
        assert_eq!(number, &**copy);
        let before = last.insert((producer, class_of(*number)), number);
        assert!(before < Some(number), "{before:?} before {number}");
    }
}

#[test]
fn producers_and_consumers_lose_nothing_and_keep_the_order_of_each_class() {
    for (capacity, patience) in [(1, 1), (2, u64::MAX), (17, 300)] {
        let queue = LaneQueue::bounded(capacity, patience);
        let gone = AtomicUsize::new(0);
        let mut popped = thread::scope(|scope| {
            let consumers = [1, 4].map(|most| {
                scope.spawn({
                    let (queue, gone) = (&queue, &gone);
                    move || consume(queue, gone, most)
                })
            });
            for producer in 0..PRODUCERS {
                let queue = &queue;
                scope.spawn(move || produce(queue, producer));
            }
            let popped = consumers.map(|it| it.join().unwrap());
            popped.iter().for_each(|popped| assert_in_order(popped));
            popped.concat()
        });
        assert!(queue.is_empty() && queue.depths() == [0; CLASSES]);
        popped.sort_unstable();
        let all = (0..PRODUCERS)
            .flat_map(|producer| (0..EACH).map(move |number| (producer, number, Box::new(number))));
        assert!(popped.into_iter().eq(all));
    }
}

#[test]
fn a_queue_that_is_never_empty_is_never_found_empty() {
    // Each thread holds one task at a time, and there is one more than threads.
    const THREADS: usize = 3;
    for patience in [0, 3, u64::MAX] {
        let queue = LaneQueue::bounded(16, patience);
        for task in 0..=THREADS {
            queue.try_push(task, Class::ALL[task]).unwrap();
        }
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        let task = queue.try_pop().expect("one is always left");
                        queue.try_push(task, class_of(task as u32 + queue.len() as u32)).unwrap();
                    }
                });
            }
        });
        assert_eq!(queue.len(), THREADS + 1);
    }
}
