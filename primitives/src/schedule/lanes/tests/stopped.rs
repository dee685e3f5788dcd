//! Threads that are stopped for long, before any one of their accesses to what is shared, hold nobody up.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

use super::super::atomic::before_access;
use super::super::*;

pub(super) type Queue = Arc<LaneQueue<u32>>;

/// A thread that stopped, or that is done.
pub(super) struct Stopped<R> {
    go_on: Sender<()>,
    thread: JoinHandle<R>,
    reached: bool,
}

/// Starts `work` in a thread, and comes back when that is about to make its access of this number, or has ended.
pub(super) fn stopped<R: Send + 'static>(
    queue: &Queue,
    access: usize,
    work: impl FnOnce(&Queue) -> R + Send + 'static,
) -> Stopped<R> {
    let (go_on, gone_on): (_, Receiver<()>) = channel();
    let (tell, told) = channel();
    let queue = Arc::clone(queue);
    let thread = thread::spawn(move || {
        let tell_end = tell.clone();
        before_access(access, move || {
            tell.send(true).unwrap();
            // Fails if the test has failed, and so goes on.
            let _ = gone_on.recv();
        });
        let result = work(&queue);
        let _ = tell_end.send(false);
        result
    });
    Stopped { go_on, thread, reached: told.recv().unwrap() }
}

impl<R> Stopped<R> {
    pub(super) fn finish(self) -> R {
        let _ = self.go_on.send(());
        self.thread.join().unwrap()
    }
}

const CAPACITY: usize = 3;
const FIRST: u32 = 1;
/// What the thread pushes that is stopped.
const STOPPED: u32 = 0;

/// Takes what is there, then fills and empties each lane, again and again. Gives what was there.
fn go_round(queue: &Queue, rounds: u32) -> Vec<u32> {
    let mut there = Vec::new();
    queue.try_pop_many(&mut there, usize::MAX);
    let mut next = 1000;
    for _ in 0..rounds {
        for class in Class::ALL {
            let mut pushed = Vec::new();
            while queue.try_push(next, class).is_ok() {
                pushed.push(next);
                next += 1;
            }
            assert_eq!(pushed.len(), CAPACITY, "all places can be used");
            let mut popped = Vec::new();
            queue.try_pop_many(&mut popped, usize::MAX);
            assert_eq!(popped, pushed, "in the order in which they came");
        }
    }
    there
}

fn queue(patience: u64) -> Queue {
    Arc::new(LaneQueue::bounded(CAPACITY, patience))
}

/// With as many threads stopped as may be, each before the same access of `work`, others do 200 laps of each lane; then those go on. For
/// each access in turn.
fn holds_nobody_up<R: Send + 'static>(
    patience: u64,
    tasks: u32,
    work: impl Fn(&Queue) -> R + Clone + Send + 'static,
    check: impl Fn(Vec<R>, Vec<u32>),
) {
    for access in 0.. {
        let queue = queue(patience);
        (0..tasks).for_each(|task| queue.try_push(FIRST + task, Class::Normal).unwrap());
        let threads: Vec<_> =
            (0..holders::SHARED).map(|_| stopped(&queue, access, work.clone())).collect();
        let any_reached = threads.iter().any(|thread| thread.reached);
        let mut popped = go_round(&queue, 200);
        let results = threads.into_iter().map(Stopped::finish).collect();
        popped.extend(go_round(&queue, 10));
        check(results, popped);
        if !any_reached {
            assert!(access > 8, "a call has more accesses than {access}");
            return;
        }
    }
}

#[test]
fn producers_that_stopped_hold_nobody_up() {
    for patience in [0, 1000] {
        let work = |queue: &Queue| queue.try_push(STOPPED, Class::Normal).is_ok();
        holds_nobody_up(patience, 1, work, |pushed, mut popped| {
            let refused = pushed.iter().filter(|pushed| !**pushed).count();
            popped.extend(vec![STOPPED; refused]);
            popped.sort_unstable();
            let mut expected = vec![STOPPED; holders::SHARED];
            expected.push(FIRST);
            assert_eq!(popped, expected);
        });
    }
}

#[test]
fn consumers_that_stopped_hold_nobody_up() {
    for (patience, tasks) in [(0, 1), (0, 3), (1000, 1), (1000, 3)] {
        let work = |queue: &Queue| queue.try_pop();
        holds_nobody_up(patience, tasks, work, |taken, mut popped| {
            popped.extend(taken.into_iter().flatten());
            popped.sort_unstable();
            assert_eq!(popped, (FIRST..FIRST + tasks).collect::<Vec<_>>());
        });
    }
}
