//! The channel of lanes: nobody sleeps beside a task, room, or the end; what was pushed is popped, or given back.

#![cfg(queenright_loom)]

mod shared;

use loom::sync::Arc;
use queenright_primitives::schedule::{Class, LaneChannel, LaneQueue, PushError};
use shared::{Watched, spawn_with};

type Channel = LaneChannel<Watched>;

/// Too patient for aging.
const PATIENCE: u64 = 100;

fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// A channel of which one lane is used.
fn channel(capacity: usize) -> Arc<Channel> {
    let lanes = LaneQueue::with_capacities([1, 1, capacity, 1, 1], PATIENCE);
    Arc::new(LaneChannel::with_lanes(lanes))
}

fn try_push(channel: &Channel, number: u64) -> Result<(), PushError<Watched>> {
    channel.try_push(Watched::new(number), Class::Normal)
}

/// All that comes until the end.
fn pop_all(channel: &Channel) -> Vec<u64> {
    let mut tasks = Vec::new();
    while channel.pop_many(&mut tasks, 1) > 0 {}
    tasks.iter().map(Watched::get).collect()
}

#[test]
fn a_push_beside_the_end_is_popped_or_given_back() {
    explore(|| {
        let channel = channel(1);
        let pushed = spawn_with(&channel, |channel| try_push(channel, 7).is_ok());
        channel.close();
        let popped = pop_all(&channel);
        assert_eq!(popped.len(), usize::from(pushed.join().unwrap()));
        assert!(try_push(&channel, 8).is_err());
    });
}

/// The same with the roles exchanged: loom looks at others' accesses from the threads that it has spawned.
#[test]
fn an_end_beside_a_push_finds_it_or_keeps_it_out() {
    explore(|| {
        let channel = channel(1);
        let popped = spawn_with(&channel, |channel| {
            channel.close();
            pop_all(channel).len()
        });
        let pushed = try_push(&channel, 7).is_ok();
        assert_eq!(popped.join().unwrap(), usize::from(pushed));
    });
}

#[test]
fn whoever_closes_need_not_be_the_one_who_pops() {
    explore(|| {
        let channel = channel(1);
        let popped = spawn_with(&channel, |channel| pop_all(channel));
        let pushed = try_push(&channel, 7).is_ok();
        channel.close();
        assert!(pushed);
        assert_eq!(popped.join().unwrap(), [7]);
    });
}

#[test]
fn a_sleeping_consumer_is_woken_by_a_task() {
    explore(|| {
        let channel = channel(1);
        let popped = spawn_with(&channel, |channel| {
            let mut tasks = Vec::new();
            assert_eq!(channel.pop_many(&mut tasks, 2), 1);
            tasks[0].get()
        });
        assert!(try_push(&channel, 7).is_ok());
        assert_eq!(popped.join().unwrap(), 7);
    });
}

#[test]
fn a_sleeping_consumer_is_woken_by_the_end() {
    explore(|| {
        let channel = channel(1);
        let popped = spawn_with(&channel, |channel| pop_all(channel).len());
        channel.close();
        assert_eq!(popped.join().unwrap(), 0);
    });
}

#[test]
fn a_producer_that_waits_is_woken_by_room() {
    explore(|| {
        let channel = channel(1);
        assert!(try_push(&channel, 1).is_ok());
        let pushed =
            spawn_with(&channel, |channel| channel.push(Watched::new(2), Class::Normal).is_ok());
        let mut tasks = Vec::new();
        assert_eq!(channel.try_pop_many(&mut tasks, 1), 1);
        assert!(pushed.join().unwrap());
        assert_eq!(channel.try_pop_many(&mut tasks, 1), 1);
        assert_eq!([tasks[0].get(), tasks[1].get()], [1, 2]);
    });
}

#[test]
fn a_producer_that_waits_is_woken_by_the_end() {
    explore(|| {
        let channel = channel(1);
        assert!(try_push(&channel, 1).is_ok());
        let pushed =
            spawn_with(&channel, |channel| match channel.push(Watched::new(2), Class::Normal) {
                Err(PushError::Closed(task)) => task.get(),
                other => panic!("{:?}", other.map_err(PushError::into_inner).is_ok()),
            });
        channel.close();
        assert_eq!(pushed.join().unwrap(), 2);
        assert_eq!(pop_all(&channel), [1]);
    });
}
