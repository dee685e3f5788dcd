//! The lanes: nothing lost or doubled, first in, first out, full and empty only if so, the more urgent class first.
//!
//! In models the first thread has a holder of its own, and the others share two.

#![cfg(queenright_loom)]

mod shared;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use queenright_primitives::model::Numbers;
use queenright_primitives::schedule::{Class, LaneQueue};
use shared::{Watched, spawn_with};

type Lanes = LaneQueue<Watched>;

/// Too patient for aging to change the order in a model of a few pops.
const PATIENCE: u64 = 100;

/// At bound 2 unless the environment says otherwise. No access is `SeqCst`, so that one convention is as good as the other.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

fn push(lane: &Lanes, number: u64) -> Result<(), u64> {
    let pushed = lane.try_push(Watched::new(number), Class::Normal);
    pushed.map_err(|refused| refused.into_inner().get())
}

fn pop(lane: &Lanes) -> Option<u64> {
    lane.try_pop().map(|task| task.get())
}

fn drain(lane: &Lanes) -> Vec<u64> {
    std::iter::from_fn(|| pop(lane)).collect()
}

/// A queue of which one lane is used, that holds the tasks 0, 1, … already.
fn lane_with(tasks: u64, capacity: usize) -> Arc<Lanes> {
    let lane = LaneQueue::with_capacities([1, 1, capacity, 1, 1], PATIENCE);
    (0..tasks).for_each(|task| push(&lane, task).unwrap());
    Arc::new(lane)
}

fn sorted(mut tasks: Vec<u64>) -> Vec<u64> {
    tasks.sort_unstable();
    tasks
}

#[test]
fn two_producers_fill_two_places() {
    explore(|| {
        let lane = lane_with(0, 2);
        let other = spawn_with(&lane, |lane| push(lane, 1));
        assert_eq!(push(&lane, 0), Ok(()));
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(push(&lane, 9), Err(9));
        assert_eq!(lane.len(), 2);
        assert_eq!(sorted(drain(&lane)), [0, 1]);
    });
}

#[test]
fn of_two_producers_one_gets_the_last_place_and_the_other_its_task_back() {
    explore(|| {
        let lane = lane_with(1, 2);
        let other = spawn_with(&lane, |lane| push(lane, 2));
        let pushed = match (push(&lane, 1), other.join().unwrap()) {
            (Ok(()), Err(2)) => 1,
            (Err(1), Ok(())) => 2,
            both => panic!("{both:?}"),
        };
        assert_eq!(drain(&lane), [0, pushed]);
    });
}

#[test]
fn two_consumers_share_two_tasks_and_then_the_places_are_used_again() {
    explore(|| {
        let lane = lane_with(2, 2);
        let other = spawn_with(&lane, |lane| pop(lane).unwrap());
        let popped = vec![pop(&lane).unwrap(), other.join().unwrap()];
        assert_eq!(sorted(popped), [0, 1]);
        // Whichever of the two wrote last where to look first.
        assert_eq!((lane.len(), pop(&lane)), (0, None));
        assert_eq!((push(&lane, 2), push(&lane, 3), push(&lane, 4)), (Ok(()), Ok(()), Err(4)));
        assert_eq!(drain(&lane), [2, 3]);
    });
}

#[test]
fn of_two_consumers_one_gets_the_task() {
    explore(|| {
        let lane = lane_with(1, 1);
        let other = spawn_with(&lane, pop);
        let mine = pop(&lane);
        assert_eq!((mine.xor(other.join().unwrap()), mine.is_some()), (Some(0), mine.is_some()));
        assert_eq!(drain(&lane), []);
    });
}

/// A producer and a consumer, around the ring more than once.
fn around_the_ring(capacity: usize) {
    explore(move || {
        let lane = lane_with(1, capacity);
        let producer = spawn_with(&lane, |lane| {
            (1..4).filter(|task| push(lane, *task).is_ok()).collect::<Vec<_>>()
        });
        let mut popped: Vec<_> = (0..3).filter_map(|_| pop(&lane)).collect();
        let mut pushed = producer.join().unwrap();
        popped.extend(drain(&lane));
        pushed.insert(0, 0);
        assert_eq!(popped, pushed);
    });
}

#[test]
fn a_producer_and_a_consumer_go_around_a_ring_of_one() {
    around_the_ring(1);
}

#[test]
fn a_producer_and_a_consumer_go_around_a_ring_of_two() {
    around_the_ring(2);
}

#[test]
fn two_producers_keep_each_its_order_beside_a_consumer() {
    explore(|| {
        let lane = lane_with(0, 4);
        let other = spawn_with(&lane, |lane| {
            push(lane, 10).unwrap();
            push(lane, 11).unwrap();
        });
        let consumer = spawn_with(&lane, |lane| pop(lane));
        push(&lane, 20).unwrap();
        other.join().unwrap();
        let mut popped: Vec<_> = consumer.join().unwrap().into_iter().collect();
        popped.extend(drain(&lane));
        let place = |task| popped.iter().position(|popped| *popped == task).unwrap();
        assert!(place(10) < place(11), "{popped:?}");
        assert_eq!(sorted(popped), [10, 11, 20]);
    });
}

#[test]
fn who_knows_of_a_task_finds_the_lane_filled_up_to_it() {
    explore(|| {
        let lane = lane_with(0, 2);
        let known = Arc::new(AtomicBool::new(false));
        let first = spawn_with(&lane, |lane| push(lane, 0).unwrap());
        let second = {
            let known = Arc::clone(&known);
            spawn_with(&lane, move |lane| {
                push(lane, 1).unwrap();
                known.store(true, Ordering::Release);
            })
        };
        // Whose place is perhaps the second. The other thread is unknown to this one.
        let known = known.load(Ordering::Acquire);
        let popped = pop(&lane);
        assert!(popped.is_some() || !known);
        first.join().unwrap();
        second.join().unwrap();
        assert_eq!(sorted(popped.into_iter().chain(drain(&lane)).collect()), [0, 1]);
    });
}

#[test]
fn who_takes_the_second_task_comes_after_who_took_the_first() {
    explore(|| {
        let lane = lane_with(2, 2);
        let told = Arc::new(Watched::new(0));
        let second = {
            let told = Arc::clone(&told);
            // Not in the first thread: loom would let it look before the other has done all.
            spawn_with(&lane, move |lane| pop(lane).filter(|task| *task == 1).map(|_| told.get()))
        };
        told.set(1);
        let first = pop(&lane);
        let told = second.join().unwrap();
        assert_eq!(told.is_some(), first == Some(0));
        assert_eq!(told.unwrap_or(1), 1);
    });
}

#[test]
fn who_knows_of_a_pop_finds_room() {
    explore(|| {
        let lane = lane_with(1, 1);
        let known = Arc::new(AtomicBool::new(false));
        let consumer = {
            let known = Arc::clone(&known);
            spawn_with(&lane, move |lane| {
                assert_eq!(pop(lane), Some(0));
                known.store(true, Ordering::Release);
            })
        };
        let known = known.load(Ordering::Acquire);
        let pushed = push(&lane, 1);
        assert!(pushed.is_ok() || !known);
        consumer.join().unwrap();
        assert_eq!(drain(&lane), Vec::from_iter(pushed.is_ok().then_some(1)));
    });
}

#[test]
fn two_consumers_and_a_producer_on_one_place() {
    explore(|| {
        let lane = lane_with(1, 1);
        let one = spawn_with(&lane, pop);
        let producer = spawn_with(&lane, |lane| push(lane, 1));
        let mut popped: Vec<_> = pop(&lane).into_iter().collect();
        popped.extend(one.join().unwrap());
        let pushed = producer.join().unwrap().is_ok();
        popped.extend(drain(&lane));
        assert_eq!(sorted(popped), (0..=u64::from(pushed)).collect::<Vec<_>>());
    });
}

#[test]
fn the_first_tasks_number_is_not_that_of_one_which_got_its_cell_later() {
    explore(|| {
        let lane = lane_with(1, 1);
        let other = spawn_with(&lane, |lane| {
            for task in 1..3 {
                assert_eq!(pop(lane), Some(task - 1));
                push(lane, task).unwrap();
            }
        });
        if let Some((place, arrival)) = lane.first_of(Class::Normal) {
            assert!(place > 0 || arrival == 0, "{arrival} in the first place");
        }
        other.join().unwrap();
        assert_eq!(drain(&lane), [2]);
    });
}

fn queue(patience: u64) -> Arc<LaneQueue<u64>> {
    Arc::new(LaneQueue::bounded(1, patience))
}

#[test]
fn a_pop_that_knows_of_a_critical_task_does_not_get_the_low_one() {
    explore(|| {
        let queue = queue(PATIENCE);
        let pushed = Arc::new(AtomicBool::new(false));
        queue.try_push(1, Class::Low).unwrap();
        let producer = {
            let pushed = Arc::clone(&pushed);
            spawn_with(&queue, move |queue| {
                queue.try_push(0, Class::Critical).unwrap();
                pushed.store(true, Ordering::Release);
            })
        };
        let known = pushed.load(Ordering::Acquire);
        let popped = [queue.try_pop().unwrap(), queue.try_pop().unwrap_or(9)];
        if known {
            assert_eq!(popped, [0, 1]);
        }
        producer.join().unwrap();
        let left = queue.try_pop();
        assert_eq!(left.is_some(), popped[1] == 9);
    });
}

/// One task at least is always there, although an overdue one leaves a low lane after an urgent one came to another.
fn never_empty(patience: u64, look: fn(&LaneQueue<u64>) -> Option<u64>) {
    explore(move || {
        let queue = Arc::new(LaneQueue::bounded(2, patience));
        queue.try_push(0, Class::Low).unwrap();
        let other = spawn_with(&queue, |queue| {
            [1, 2].map(|task| {
                queue.try_push(task, Class::Critical).unwrap();
                queue.try_pop().expect("two tasks, and one other consumer")
            })
        });
        let mut popped: Vec<_> = look(&queue).into_iter().collect();
        popped.extend(other.join().unwrap());
        popped.extend(queue.try_pop());
        assert_eq!(sorted(popped), [0, 1, 2]);
    });
}

#[test]
fn a_queue_that_is_never_empty_gives_every_pop_a_task() {
    for patience in [0, 1, PATIENCE] {
        never_empty(patience, |queue| Some(queue.try_pop().expect("never empty")));
    }
}

#[test]
fn a_queue_that_is_never_empty_never_says_that_it_is() {
    explore(|| {
        let queue = queue(1);
        queue.try_push(0, Class::Low).unwrap();
        // With the first thread as the one that looks, loom does not come to what matters here.
        let looker = spawn_with(&queue, |queue| assert!(!queue.is_empty()));
        let popped = [1, 2].map(|task| {
            queue.try_push(task, Class::Critical).unwrap();
            queue.try_pop()
        });
        assert_eq!(popped, [Some(1), Some(0)], "the second time the low one is overdue");
        looker.join().unwrap();
    });
}

#[test]
fn what_is_left_is_dropped_with_the_queue() {
    explore(|| {
        let dropped = Arc::new(());
        let queue = Arc::new(LaneQueue::bounded(1, PATIENCE));
        let other = {
            let task = Arc::clone(&dropped);
            spawn_with(&queue, move |queue| queue.try_push(task, Class::High).unwrap())
        };
        drop(queue.try_pop());
        // Whoever has the last share of the queue drops it.
        drop(queue);
        other.join().unwrap();
        assert_eq!(Arc::strong_count(&dropped), 1);
    });
}

#[test]
fn a_number_is_lent_to_one_who_comes_after_whoever_had_it() {
    explore(|| {
        let shared = Arc::new((Numbers::of(1), Watched::new(0)));
        let other = spawn_with(&shared, |(numbers, told)| {
            let lent = numbers.lend();
            if let Some(number) = lent {
                told.set(told.get() + 1);
                numbers.give_back(number);
            }
            lent
        });
        let (numbers, told) = &*shared;
        let mine = numbers.lend();
        if let Some(number) = mine {
            assert_eq!((number, numbers.lend()), (0, None));
            told.set(told.get() + 1);
            numbers.give_back(number);
        }
        let other = other.join().unwrap();
        assert_eq!(told.get(), u64::from(mine.is_some()) + u64::from(other.is_some()));
        assert!(told.get() > 0);
    });
}

#[test]
fn producers_that_share_holders_take_one_each() {
    explore(|| {
        let lane = lane_with(0, 3);
        let one = spawn_with(&lane, |lane| push(lane, 0));
        let two = spawn_with(&lane, |lane| [1, 2].map(|task| push(lane, task)));
        assert_eq!(one.join().unwrap(), Ok(()));
        assert_eq!(two.join().unwrap(), [Ok(()), Ok(())]);
        assert_eq!(sorted(drain(&lane)), [0, 1, 2]);
    });
}

#[test]
fn a_shared_holder_is_given_back_after_each_push() {
    explore(|| {
        let lane = lane_with(0, 3);
        let other = spawn_with(&lane, |lane| {
            (0..3).for_each(|task| push(lane, task).unwrap());
        });
        let popped = pop(&lane);
        other.join().unwrap();
        assert_eq!(popped.into_iter().chain(drain(&lane)).collect::<Vec<_>>(), [0, 1, 2]);
    });
}

#[test]
fn a_cell_whose_task_is_not_moved_out_yet_is_not_written_to() {
    explore(|| {
        let lane = lane_with(0, 1);
        let other = spawn_with(&lane, |lane| (push(lane, 0).is_ok(), pop(lane)));
        // Gets the cell in exchange that the other has written to, and may still be busy with, and would use it next.
        let first = push(&lane, 1).is_ok();
        let popped = pop(&lane);
        let second = push(&lane, 2).is_ok();
        let (zeroth, other) = other.join().unwrap();
        let pushed = [(zeroth, 0), (first, 1), (second, 2)];
        let pushed = pushed.into_iter().filter_map(|(is_ok, task)| is_ok.then_some(task));
        let popped = popped.into_iter().chain(other).chain(drain(&lane));
        assert_eq!(sorted(popped.collect()), pushed.collect::<Vec<_>>());
    });
}

#[test]
fn a_cell_that_was_got_in_exchange_is_seen_to_be_in_use() {
    explore(|| {
        let lane = lane_with(0, 1);
        // Writes to a cell, and may still be busy with it.
        let user = spawn_with(&lane, |lane| (push(lane, 0).is_ok(), pop(lane)));
        // Makes room, so that nothing but the place itself tells the producer of the others.
        let consumer = spawn_with(&lane, pop);
        // With a holder of its own, which tells it nothing of theirs. It lets them go first, which is no preemption.
        let pushed = [1, 2].map(|task| {
            thread::yield_now();
            (push(&lane, task).is_ok(), task)
        });
        let (zeroth, popped) = user.join().unwrap();
        let pushed = [(zeroth, 0)].into_iter().chain(pushed);
        let pushed = pushed.filter_map(|(is_ok, task)| is_ok.then_some(task));
        let popped = popped.into_iter().chain(consumer.join().unwrap()).chain(drain(&lane));
        assert_eq!(sorted(popped.collect()), pushed.collect::<Vec<_>>());
    });
}

#[test]
fn cells_that_were_emptied_are_used_again() {
    explore(|| {
        let lane = lane_with(0, 1);
        // More often than there are cells.
        for task in 0..8 {
            assert_eq!(push(&lane, task), Ok(()));
            assert_eq!(pop(&lane), Some(task));
        }
    });
}
