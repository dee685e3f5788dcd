//! Longer programs of the primitives than loom can exhaust, under random schedules.

#![cfg(queenright_shuttle)]

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use queenright_primitives::notify::Event;
use queenright_primitives::ring::{Options, Publisher, RecvError, Subscriber};
use queenright_primitives::schedule::{Class, Hint, LaneQueue, PriorityQueue};
use queenright_primitives::snapshot::{Snapshot, SnapshotCell, Version};
use shuttle::sync::Arc;
use shuttle::thread;

/// How many random schedules each program is run under. The same again, of another kind.
fn schedules() -> usize {
    let wanted = std::env::var("SHUTTLE_SCHEDULES").ok();
    wanted.map_or(10_000, |wanted| wanted.parse().expect("SHUTTLE_SCHEDULES is a number"))
}

fn check(program: fn()) {
    shuttle::check_random(program, schedules());
    shuttle::check_pct(program, schedules(), 3);
}

/// A number twice, so that a freed one shows, which counts how many of its kind are alive.
struct Counted {
    number: u64,
    negated: Box<u64>,
    alive: std::sync::Arc<AtomicUsize>,
}

impl Counted {
    fn new(alive: &std::sync::Arc<AtomicUsize>, number: u64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { number, negated: Box::new(!number), alive: std::sync::Arc::clone(alive) }
    }

    fn next(&self) -> Self {
        Counted::new(&self.alive, self.get() + 1)
    }

    fn get(&self) -> u64 {
        assert_eq!(self.number, !*self.negated);
        self.number
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.get();
        *self.negated = 0;
        self.number = 0;
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn check_snapshot(seen: &Snapshot<Counted>) -> Version {
    assert_eq!(seen.get(), seen.version().0);
    seen.version()
}

#[test]
fn readers_of_every_kind_beside_two_writers() {
    check(|| {
        const EACH: u64 = 5;
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let mut threads = Vec::new();
        for _ in 0..2 {
            let cell = Arc::clone(&cell);
            threads.push(thread::spawn(move || {
                for _ in 0..EACH {
                    cell.update(Counted::next).unwrap();
                }
            }));
        }
        let mut reader = cell.reader();
        threads.push(thread::spawn(move || {
            let mut newest = 0;
            for turn in 0..6 {
                let seen = reader.get().get();
                assert!(seen >= newest && reader.version() == Some(Version(seen)));
                newest = seen;
                if turn == 3 {
                    reader.release();
                }
            }
        }));
        let guest = Arc::clone(&cell);
        threads.push(thread::spawn(move || {
            let mut newest = Version(0);
            for _ in 0..3 {
                guest.read(|outer, version| {
                    assert!(version >= newest);
                    let inner = guest.read(|inner, _| inner.get());
                    assert!(inner >= outer.get());
                    newest = version;
                });
            }
        }));
        let keeper = Arc::clone(&cell);
        threads.push(thread::spawn(move || {
            let mut kept = Vec::new();
            for _ in 0..3 {
                let mut reader = keeper.reader();
                kept.push(reader.snapshot());
                kept.push(keeper.load());
                kept.iter().for_each(|seen| _ = check_snapshot(seen));
            }
        }));
        let mut follower = cell.reader();
        threads.push(thread::spawn(move || {
            let mut newest = Version(0);
            while newest < Version(2 * EACH) {
                let said = follower.wait_changed().unwrap();
                let (value, version) = follower.get_versioned();
                assert!(version >= said && value.get() == version.0);
                newest = version;
            }
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(cell.version(), Version(2 * EACH));
        assert_eq!(cell.live_versions(), alive.load(Ordering::Relaxed));
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn three_writers_lose_nothing_and_leave_little() {
    check(|| {
        const WRITERS: usize = 3;
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let mut stalled = cell.reader();
        stalled.get();
        let writers: [_; WRITERS] = std::array::from_fn(|_| {
            let (cell, alive) = (Arc::clone(&cell), std::sync::Arc::clone(&alive));
            thread::spawn(move || {
                for _ in 0..4 {
                    cell.update(Counted::next).unwrap();
                    // A segment has two versions here: those, what is being built, the current one, the
                    // reader's, and what other writers hold.
                    assert!(
                        alive.load(Ordering::Relaxed) <= 2 * WRITERS + WRITERS + 1 + 1 + WRITERS
                    );
                }
            })
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!((cell.load().get(), cell.version()), (12, Version(12)));
        assert_eq!(stalled.version(), Some(Version(0)));
        drop(stalled);
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn followers_come_and_go_beside_writers_until_the_end() {
    check(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let mut threads = Vec::new();
        for wanted in [1, 3] {
            let cell = Arc::clone(&cell);
            threads.push(thread::spawn(move || {
                assert!(check_snapshot(&cell.wait_for(Version(wanted))) >= Version(wanted));
                // Waits no longer than it takes to look.
                let _too_early = cell.wait_for_timeout(Version(4), std::time::Duration::ZERO);
            }));
        }
        for _ in 0..2 {
            let mut reader = cell.reader();
            threads.push(thread::spawn(move || {
                let mut newest = Version(0);
                while let Ok(version) = reader.wait_changed() {
                    newest = Version(reader.get().get());
                    assert!(newest >= version);
                }
                assert_eq!(newest, Version(4));
            }));
        }
        for _ in 0..2 {
            let cell = Arc::clone(&cell);
            threads.push(thread::spawn(move || {
                cell.update(Counted::next).unwrap();
                cell.update(Counted::next).unwrap();
            }));
        }
        drop(cell);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// Polls once, and drops the future unless it is done.
fn once<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    match Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

#[test]
fn producers_and_consumers_of_every_kind_lose_nothing() {
    check(|| {
        const EACH: u32 = 4;
        const CLASSES: [Class; 3] = [Class::High, Class::Normal, Class::Low];
        let queue = PriorityQueue::bounded(2, 3).with_limit(Class::Low, 1);
        let queue = Arc::new(queue);
        let consumers: [fn(&PriorityQueue<u32>) -> Vec<u32>; 3] = [
            |queue| std::iter::from_fn(|| queue.pop()).collect(),
            |queue| {
                let mut popped = Vec::new();
                while queue.pop_many(&mut popped, 2) > 0 {}
                popped
            },
            // Gives its turn up again and again.
            |queue| {
                std::iter::from_fn(|| once(queue.recv()).unwrap_or_else(|| queue.pop())).collect()
            },
        ];
        let consumers = consumers.map(|consume| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || consume(&queue))
        });
        let producers = CLASSES.map(|class| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || {
                let first = class.index() as u32 * EACH;
                for task in first..first + EACH {
                    let hint = Hint::new(class).with_deadline(u64::from(task % 3));
                    if task % 2 == 0 || once(queue.send(task, hint)).is_none() {
                        queue.push(task, hint).unwrap();
                    }
                }
            })
        });
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        queue.close();
        let mut popped: Vec<u32> =
            consumers.into_iter().flat_map(|it| it.join().unwrap()).collect();
        popped.sort_unstable();
        let first = Class::High.index() as u32 * EACH;
        assert_eq!(popped, (first..first + 3 * EACH).collect::<Vec<_>>());
    });
}

#[test]
fn permits_reach_waiters_that_come_and_give_up() {
    check(|| {
        const EACH: usize = 3;
        let shared = Arc::new((Event::new(), shuttle::sync::atomic::AtomicUsize::new(0)));
        let waiters: [_; 3] = std::array::from_fn(|number| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (event, permits) = &*shared;
                let take = || {
                    permits
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                            left.checked_sub(1)
                        })
                        .ok()
                };
                for _ in 0..EACH {
                    if number == 0 || once(event.until(take)).is_none() {
                        event.wait_until(take);
                    }
                }
            })
        });
        let givers: [_; 3] = std::array::from_fn(|_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for _ in 0..EACH {
                    shared.1.fetch_add(1, Ordering::Relaxed);
                    shared.0.notify_one();
                }
            })
        });
        givers.into_iter().for_each(|giver| giver.join().unwrap());
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(shared.1.load(Ordering::Relaxed), 0);
    });
}

/// Follows a ring to its end: messages of two publishers come in the order of each, and those that are lost are counted.
fn follow_ring(mut subscriber: Subscriber<Counted>, each: u64) -> Vec<u64> {
    let mut seen = Vec::new();
    loop {
        match subscriber.recv() {
            Ok(message) => seen.push(message.get()),
            Err(RecvError::Lagged(lost)) => assert!(lost > 0),
            Err(_) => break,
        }
    }
    for publisher in 0..2 {
        let mine = seen.iter().filter(|number| *number % 2 == publisher);
        assert!(mine.is_sorted_by(|one, next| one < next));
    }
    assert_eq!(seen.len() as u64 + subscriber.lost(), 2 * each);
    seen
}

/// Every kind of subscriber beside two publishers, and others that come and go, until the end.
fn broadcast(capacity: usize) {
    const EACH: u64 = 3;
    let alive = std::sync::Arc::new(AtomicUsize::new(0));
    let publisher = Publisher::bounded(capacity);
    let all = [Options::block(), Options::block(), Options::drop_oldest(), Options::drop_newest(2)];
    let followers = all.map(|options| {
        let subscriber = publisher.subscribe(options);
        thread::spawn(move || follow_ring(subscriber, EACH))
    });
    let guests = publisher.clone();
    let guest = thread::spawn(move || {
        for options in [Options::drop_oldest(), Options::latest()] {
            let mut guest = guests.subscribe(options.replay(2));
            if let Ok(message) = guest.try_recv() {
                assert!(message.get() < 2 * EACH);
            }
        }
    });
    let publishers = [0, 1].map(|number| {
        let (publisher, alive) = (publisher.clone(), std::sync::Arc::clone(&alive));
        thread::spawn(move || {
            let mut mine = (0..EACH).map(|n| Counted::new(&alive, 2 * n + number));
            assert!(publisher.publish(mine.next().unwrap()).is_ok());
            publisher.publish_many(&mut mine.collect()).unwrap();
        })
    });
    drop(publisher);
    let seen = followers.map(|follower| follower.join().unwrap());
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].len() as u64, 2 * EACH);
    guest.join().unwrap();
    publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn a_smallest_ring_serves_every_kind_of_subscriber() {
    check(|| broadcast(1));
}

#[test]
fn a_ring_of_longer_segments_serves_every_kind_of_subscriber() {
    check(|| broadcast(2));
}

#[test]
fn lanes_lose_nothing_and_keep_the_order_of_each_producer() {
    check(|| {
        const EACH: u64 = 4;
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        // Of few places, and so impatient that overdue tasks go first now and then.
        let queue = Arc::new(LaneQueue::bounded(2, 3));
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let (queue, alive) = (Arc::clone(&queue), std::sync::Arc::clone(&alive));
                thread::spawn(move || {
                    let class = if producer == 2 { Class::Low } else { Class::High };
                    let tasks = producer * 10..producer * 10 + EACH;
                    let pushed = tasks
                        .filter(|task| queue.try_push(Counted::new(&alive, *task), class).is_ok());
                    pushed.collect::<Vec<_>>()
                })
            })
            .collect();
        let consumers: Vec<_> = (0..2)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || {
                    let popped: Vec<_> = (0..6).filter_map(|_| queue.try_pop()).collect();
                    popped.iter().map(Counted::get).collect::<Vec<_>>()
                })
            })
            .collect();
        let mut pushed: Vec<u64> =
            producers.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let mut popped: Vec<Vec<u64>> =
            consumers.into_iter().map(|thread| thread.join().unwrap()).collect();
        popped.push(std::iter::from_fn(|| queue.try_pop()).map(|task| task.get()).collect());
        for popped in &popped {
            for producer in 0..3 {
                let mut of_one = popped.iter().filter(|task| *task / 10 == producer);
                assert!(of_one.clone().is_sorted(), "{:?}", of_one.next());
            }
        }
        let mut popped = popped.concat();
        popped.sort_unstable();
        pushed.sort_unstable();
        assert_eq!(popped, pushed);
        assert!(queue.is_empty() && queue.len() == 0);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn lanes_that_are_never_empty_are_never_found_empty() {
    check(|| {
        // Each of three threads holds one task at a time, and there is one more.
        let queue = Arc::new(LaneQueue::bounded(4, 2));
        for task in 0..4 {
            queue.try_push(task, Class::ALL[task]).unwrap();
        }
        let work = |queue: &LaneQueue<usize>, thread: usize| {
            for turn in 0..3 {
                let task = queue.try_pop().expect("one is always left");
                let class = Class::ALL[(task + thread + turn) % Class::ALL.len()];
                // Beside several calls that come and go, a call may find no cell free when it looks there.
                while queue.try_push(task, class).is_err() {
                    thread::yield_now();
                }
            }
        };
        let others = [1, 2].map(|other| {
            let queue = Arc::clone(&queue);
            thread::spawn(move || work(&queue, other))
        });
        work(&queue, 0);
        others.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(queue.len(), 4);
    });
}
