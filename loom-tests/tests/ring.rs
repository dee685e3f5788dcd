//! The broadcast ring: messages are read whole, in one order, and counted when they are lost; no wake-up is lost.
//!
//! Each message is a watched value, whose place is used again after one or a few others, so that a reader that is not protected, or a
//! publication that is not ordered, ends the model. A thread that nobody wakes is a deadlock, which loom reports.

#![cfg(queenright_loom)]

mod shared;

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use queenright_primitives::ring::{Options, Publisher, RecvError, Subscriber, TryRecvError};
use shared::Watched;

/// One segment of one message.
const SMALLEST: usize = 1;
/// Two segments of two messages.
const LARGER: usize = 2;

type Source = Publisher<Message>;
type Sink = Subscriber<Message>;

thread_local!(static ALIVE: Cell<i64> = const { Cell::new(0) });

/// A watched number. All threads of a model run on one thread of the system, which counts those that are alive.
struct Message(Watched);

impl Message {
    fn new(number: u64) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Message(Watched::new(number))
    }

    fn get(&self) -> u64 {
        self.0.get()
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
    }
}

/// Explores a model that drops each message once.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    shared::explore(move || {
        ALIVE.set(0);
        model();
        assert_eq!(ALIVE.get(), 0, "each message was dropped once");
    });
}

fn ring(capacity: usize) -> Source {
    Publisher::bounded(capacity)
}

fn publish(publisher: &Source, number: u64) {
    assert!(publisher.publish(Message::new(number)).is_ok());
}

/// Publishes the numbers from 1 to `count` in a thread of its own, which drops the publisher in the end.
fn publisher_of(publisher: Source, count: u64) -> JoinHandle<()> {
    thread::spawn(move || (1..=count).for_each(|number| publish(&publisher, number)))
}

/// What a subscriber gets until the end, and how many messages it is told to have lost.
fn follow(subscriber: &mut Sink) -> (Vec<u64>, u64) {
    let (mut seen, mut told) = (Vec::new(), 0);
    loop {
        match subscriber.recv() {
            Ok(message) => seen.push(message.get()),
            Err(RecvError::Lagged(lost)) => told += lost,
            Err(_) => return (seen, told),
        }
    }
}

/// Follows messages from 1 to `count`, some of which may be lost, all of them counted.
fn follow_lossy(subscriber: &mut Sink, count: u64) -> Vec<u64> {
    let (seen, told) = follow(subscriber);
    assert!(seen.is_sorted_by(|one, next| one < next));
    assert_eq!(seen.len() as u64 + subscriber.lost(), count);
    assert!(told == 0 || told == subscriber.lost());
    seen
}

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting_waker() -> (std::sync::Arc<CountWakes>, Waker) {
    let wakes = std::sync::Arc::new(CountWakes::default());
    (std::sync::Arc::clone(&wakes), Waker::from(wakes))
}

/// A message and the end arrive at a subscriber of this kind.
fn arrives(options: Options) {
    explore(move || {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(options);
        let publisher = publisher_of(publisher, 1);
        assert_eq!(follow(&mut subscriber), (vec![1], 0));
        publisher.join().unwrap();
    });
}

#[test]
fn a_message_arrives_where_publishers_wait() {
    arrives(Options::block());
}

#[test]
fn a_message_arrives_where_the_oldest_is_dropped() {
    arrives(Options::drop_oldest());
}

#[test]
fn a_message_arrives_in_a_window() {
    arrives(Options::drop_newest(1));
}

#[test]
fn a_message_arrives_where_the_latest_is_wanted() {
    arrives(Options::latest());
}

#[test]
fn a_place_is_used_again_only_when_it_was_read() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::block());
        let publisher = publisher_of(publisher, 3);
        assert_eq!(follow(&mut subscriber), (vec![1, 2, 3], 0));
        publisher.join().unwrap();
    });
}

#[test]
fn a_segment_is_used_again_only_when_it_was_left() {
    explore(|| {
        let publisher = ring(LARGER);
        let mut subscriber = publisher.subscribe(Options::block());
        (1..=3).for_each(|number| publish(&publisher, number));
        let publisher =
            thread::spawn(move || (4..=5).for_each(|number| publish(&publisher, number)));
        assert_eq!(follow(&mut subscriber), (vec![1, 2, 3, 4, 5], 0));
        publisher.join().unwrap();
    });
}

#[test]
fn the_slowest_of_two_subscribers_decides() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut slow = publisher.subscribe(Options::block());
        let mut other = publisher.subscribe(Options::block());
        let other = thread::spawn(move || follow(&mut other));
        publish(&publisher, 1);
        let held = slow.recv().unwrap();
        assert!(publisher.try_publish(Message::new(2)).is_err());
        assert_eq!(held.get(), 1);
        drop(held);
        drop(publisher);
        assert_eq!(other.join().unwrap(), (vec![1], 0));
    });
}

#[test]
fn batches_go_over_segments_and_arrive_whole() {
    explore(|| {
        let publisher = ring(LARGER);
        let mut subscriber = publisher.subscribe(Options::block());
        let publisher = thread::spawn(move || {
            let mut messages = (1..=5).map(Message::new).collect();
            publisher.publish_many(&mut messages).unwrap();
        });
        let mut seen = Vec::new();
        while let Ok(batch) = subscriber.recv_many(3) {
            assert!((1..=3).contains(&batch.len()));
            seen.extend(batch.iter().map(Message::get));
        }
        assert_eq!(seen, [1, 2, 3, 4, 5]);
        publisher.join().unwrap();
    });
}

#[test]
fn a_batch_that_is_held_stays_as_it_is() {
    explore(|| {
        let publisher = ring(LARGER);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        (1..=3).for_each(|number| publish(&publisher, number));
        let batch = subscriber.recv_many(3).unwrap();
        let publisher =
            thread::spawn(move || (4..=7).for_each(|number| publish(&publisher, number)));
        assert!(
            batch.iter().map(Message::get).eq(1..=2),
            "it ends with the segment that is protected"
        );
        drop(batch);
        assert_eq!(follow(&mut subscriber).0.last(), Some(&7));
        publisher.join().unwrap();
    });
}

#[test]
fn what_is_read_is_set_aside_and_the_rest_is_counted_as_lost() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        let publisher = publisher_of(publisher, 3);
        let seen = follow_lossy(&mut subscriber, 3);
        assert_eq!(seen.last(), Some(&3));
        publisher.join().unwrap();
    });
}

#[test]
fn a_message_that_is_held_stays_as_it_is() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        publish(&publisher, 1);
        let held = subscriber.recv().unwrap();
        let publisher =
            thread::spawn(move || (2..=3).for_each(|number| publish(&publisher, number)));
        assert_eq!(held.get(), 1);
        drop(held);
        let seen = follow(&mut subscriber).0;
        assert!(seen == [3] || seen == [2, 3]);
        publisher.join().unwrap();
    });
}

#[test]
fn a_segment_that_was_set_aside_is_used_again_only_when_it_was_left() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        let mut other = publisher.subscribe(Options::drop_oldest());
        publish(&publisher, 1);
        // One reads the first, the other the second.
        let first = subscriber.recv().unwrap();
        publish(&publisher, 2);
        assert!(matches!(other.try_recv(), Err(TryRecvError::Lagged(1))));
        let second = other.recv().unwrap();
        let publisher =
            thread::spawn(move || (3..=4).for_each(|number| publish(&publisher, number)));
        assert_eq!(first.get(), 1);
        drop(first);
        assert!(subscriber.recv().map_or(true, |message| message.get() > 1));
        assert_eq!(second.get(), 2);
        drop(second);
        drop((subscriber, other));
        publisher.join().unwrap();
    });
}

#[test]
fn what_is_read_in_a_longer_segment_is_set_aside_with_it() {
    explore(|| {
        let publisher = ring(LARGER);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        publish(&publisher, 1);
        assert_eq!(subscriber.recv().unwrap().get(), 1);
        let publisher =
            thread::spawn(move || (2..=5).for_each(|number| publish(&publisher, number)));
        let (seen, told) = follow(&mut subscriber);
        assert_eq!(told, 0, "one segment is set aside, the others are not given up yet");
        assert_eq!(seen, [2, 3, 4, 5]);
        publisher.join().unwrap();
    });
}

#[test]
fn who_wants_the_latest_gets_the_last() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::latest());
        let publisher = publisher_of(publisher, 3);
        assert_eq!(follow_lossy(&mut subscriber, 3).last(), Some(&3));
        publisher.join().unwrap();
    });
}

#[test]
fn a_window_keeps_what_is_overwritten_in_the_ring() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_newest(1));
        let publisher = publisher_of(publisher, 3);
        assert_eq!(follow_lossy(&mut subscriber, 3).first(), Some(&1));
        publisher.join().unwrap();
    });
}

#[test]
fn two_windows_share_a_message() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_newest(2));
        let mut other = publisher.subscribe(Options::drop_newest(1));
        publish(&publisher, 1);
        let other = thread::spawn(move || other.recv().unwrap().get());
        let publisher = publisher_of(publisher, 1);
        assert_eq!(subscriber.recv().unwrap().get(), 1);
        assert_eq!(other.join().unwrap(), 1);
        drop(subscriber);
        publisher.join().unwrap();
    });
}

#[test]
fn two_subscribers_see_two_publishers_in_the_same_order() {
    explore(|| {
        let publisher = ring(LARGER);
        let mut first = publisher.subscribe(Options::block());
        let mut second = publisher.subscribe(Options::drop_oldest());
        let publishers = [1, 2].map(|number| {
            let publisher = publisher.clone();
            thread::spawn(move || publish(&publisher, number))
        });
        drop(publisher);
        let seen = follow(&mut first);
        assert_eq!(seen.0.len(), 2);
        assert_eq!(seen, follow(&mut second));
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    });
}

#[test]
fn two_waiting_publishers_are_both_woken() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::block());
        let publishers = [1, 2].map(|number| {
            let publisher = publisher.clone();
            thread::spawn(move || publish(&publisher, number))
        });
        drop(publisher);
        let seen = follow(&mut subscriber).0;
        assert!(seen == [1, 2] || seen == [2, 1]);
        publishers.into_iter().for_each(|publisher| publisher.join().unwrap());
    });
}

#[test]
fn two_waiting_subscribers_are_both_woken() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let followers = [Options::block(), Options::drop_oldest()].map(|options| {
            let mut subscriber = publisher.subscribe(options);
            thread::spawn(move || subscriber.recv().unwrap().get())
        });
        publish(&publisher, 1);
        for follower in followers {
            assert_eq!(follower.join().unwrap(), 1);
        }
    });
}

#[test]
fn whoever_leaves_lets_a_waiting_publisher_go_on() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let subscriber = publisher.subscribe(Options::block());
        let publisher = publisher_of(publisher, 2);
        drop(subscriber);
        publisher.join().unwrap();
    });
}

#[test]
fn whoever_leaves_frees_what_was_set_aside_for_it() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        let publisher = publisher_of(publisher, 3);
        let seen = subscriber.recv().map(|message| message.get());
        assert!(seen.is_ok_and(|number| (1..=3).contains(&number)) || seen.is_err());
        drop(subscriber);
        publisher.join().unwrap();
    });
}

#[test]
fn whoever_leaves_its_window_drops_what_it_holds() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_newest(2));
        let guest = publisher.clone();
        let publisher = publisher_of(publisher, 3);
        assert_eq!(subscriber.recv().unwrap().get(), 1);
        drop(subscriber);
        assert_eq!(guest.subscribers(), 0);
        publisher.join().unwrap();
    });
}

/// A latecomer gets a contiguous end of what is published.
fn comes_late(options: Options) {
    explore(move || {
        let publisher = ring(LARGER);
        publish(&publisher, 1);
        let guest = publisher.clone();
        let publisher =
            thread::spawn(move || (2..=3).for_each(|number| publish(&publisher, number)));
        let mut late = guest.subscribe(options.replay(1));
        drop(guest);
        assert_eq!(late.replayed(), 1);
        let (seen, lost) = follow(&mut late);
        assert_eq!(lost, 0);
        let first = seen[0];
        assert!(seen.iter().copied().eq(first..=3));
        publisher.join().unwrap();
    });
}

#[test]
fn a_latecomer_for_whom_publishers_wait_gets_everything_from_where_it_began() {
    comes_late(Options::block());
}

#[test]
fn a_latecomer_gets_everything_from_where_it_began() {
    comes_late(Options::drop_oldest());
}

#[test]
fn a_latecomer_is_waited_for_from_the_first_message() {
    explore(|| {
        let publisher = ring(SMALLEST);
        publish(&publisher, 1);
        let guest = publisher.clone();
        let publisher =
            thread::spawn(move || (2..=3).for_each(|number| publish(&publisher, number)));
        let mut late = guest.subscribe(Options::block().replay(9));
        drop(guest);
        let seen = follow(&mut late).0;
        assert!(seen.iter().copied().eq(seen[0]..=3));
        publisher.join().unwrap();
    });
}

#[test]
fn what_a_latecomer_reads_is_set_aside_for_it() {
    explore(|| {
        let publisher = ring(SMALLEST);
        publish(&publisher, 1);
        let guest = publisher.clone();
        let publisher =
            thread::spawn(move || (2..=3).for_each(|number| publish(&publisher, number)));
        let mut late = guest.subscribe(Options::drop_oldest().replay(1));
        drop(guest);
        let seen = follow(&mut late).0;
        assert!(seen.is_sorted() && seen.last() == Some(&3));
        publisher.join().unwrap();
    });
}

#[test]
fn close_ends_the_waiting_of_subscribers_and_publishers() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut full = publisher.subscribe(Options::block());
        publish(&publisher, 1);
        let waiting = {
            let publisher = publisher.clone();
            thread::spawn(move || {
                publisher.publish(Message::new(2)).unwrap_err().into_inner().get()
            })
        };
        let mut empty = publisher.subscribe(Options::latest());
        let idle = thread::spawn(move || empty.recv().map(|message| message.get()));
        publisher.close();
        assert_eq!(waiting.join().unwrap(), 2);
        assert_eq!(idle.join().unwrap(), Err(RecvError::Closed));
        assert_eq!(follow(&mut full), (vec![1], 0));
    });
}

#[test]
fn tasks_are_woken_as_threads_are() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::block());
        let publisher = thread::spawn(move || {
            block_on(async {
                for number in 1..=2 {
                    assert!(publisher.publish_async(Message::new(number)).await.is_ok());
                }
            });
        });
        let mut seen = Vec::new();
        block_on(async {
            while let Ok(message) = subscriber.recv_async().await {
                seen.push(message.get());
            }
        });
        assert_eq!(seen, [1, 2]);
        publisher.join().unwrap();
    });
}

#[test]
fn who_waits_with_a_timeout_is_woken() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        let publisher = publisher_of(publisher, 1);
        assert_eq!(subscriber.recv_timeout(Duration::MAX).unwrap().get(), 1);
        publisher.join().unwrap();
    });
}

#[test]
fn a_future_that_is_dropped_loses_nothing_and_disturbs_nobody() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::block());
        let mut other = publisher.subscribe(Options::block());
        let other = thread::spawn(move || other.recv().unwrap().get());
        let publisher = publisher_of(publisher, 1);
        let (_, waker) = counting_waker();
        {
            let mut gives_up = pin!(subscriber.recv_async());
            // What is ready is not received either.
            std::mem::forget(gives_up.as_mut().poll(&mut Context::from_waker(&waker)));
        }
        assert_eq!(follow(&mut subscriber), (vec![1], 0));
        assert_eq!(other.join().unwrap(), 1);
        publisher.join().unwrap();
    });
}

#[test]
fn of_a_task_that_moves_the_newest_waker_is_woken() {
    explore(|| {
        let publisher = ring(SMALLEST);
        let mut subscriber = publisher.subscribe(Options::latest());
        let publisher = publisher_of(publisher, 1);
        let (_, first) = counting_waker();
        let (wakes, second) = counting_waker();
        let mut receives = pin!(subscriber.recv_async());
        let mut poll = |waker| receives.as_mut().poll(&mut Context::from_waker(waker)).is_pending();
        let sleeps = poll(&first) && poll(&second);
        publisher.join().unwrap();
        assert_eq!(wakes.0.load(Ordering::Relaxed), usize::from(sleeps));
    });
}
