mod bounds;
mod model;
mod panics;
mod stress;
mod waiting;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A message that counts how many of its kind are alive, and holds its number twice, so that a freed one shows.
struct Counted {
    number: u64,
    negated: Box<u64>,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, number: u64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { number, negated: Box::new(!number), alive: Arc::clone(alive) }
    }

    fn get(&self) -> u64 {
        assert_eq!(self.number, !*self.negated);
        self.number
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        *self.negated = self.get();
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn alive(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Publishes the numbers of a range.
fn publish(publisher: &Publisher<u64>, numbers: std::ops::Range<u64>) {
    numbers.for_each(|number| publisher.try_publish(number).unwrap());
}

/// Receives all that is there without waiting.
fn drain(subscriber: &mut Subscriber<u64>) -> Vec<u64> {
    std::iter::from_fn(|| subscriber.try_recv().ok().map(|message| *message)).collect()
}

#[test]
fn what_crosses_threads_and_what_unwinds() {
    fn crosses<T: Send + Sync>() {}
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    crosses::<Publisher<Vec<u8>>>();
    crosses::<Subscriber<Vec<u8>>>();
    crosses::<Ref<'_, Vec<u8>>>();
    crosses::<Batch<'_, Vec<u8>>>();
    crosses::<Publish<'_, Vec<u8>>>();
    unwinds::<Publisher<Vec<u8>>>();
    unwinds::<Subscriber<Vec<u8>>>();

    fn crosses_awaited<F: Future + Send>(_: F) {}
    let publisher = Publisher::bounded(1);
    crosses_awaited(publisher.publish_async(1));
    crosses_awaited(publisher.subscribe(Options::block()).recv_async());
    crosses_awaited(publisher.subscribe(Options::block()).recv_many_async(2));
}

#[test]
fn every_subscriber_gets_every_message_in_order_and_then_the_end() {
    let publisher = Publisher::bounded(100);
    let mut all = [Options::block(), Options::drop_oldest(), Options::drop_newest(100)]
        .map(|options| publisher.subscribe(options));
    let second = publisher.clone();
    for number in 0..100 {
        let publisher = if number % 3 == 0 { &second } else { &publisher };
        publisher.publish(number).unwrap();
    }
    drop(publisher);
    for subscriber in &mut all {
        assert_eq!((subscriber.len(), subscriber.lost()), (100, 0));
        assert_eq!(drain(subscriber), (0..100).collect::<Vec<_>>());
        assert_eq!(subscriber.try_recv().unwrap_err(), TryRecvError::Empty);
    }
    drop(second);
    for subscriber in &mut all {
        assert_eq!(subscriber.recv().unwrap_err(), RecvError::Closed);
        assert_eq!(subscriber.try_recv_many(3).unwrap_err(), TryRecvError::Closed);
    }
}

#[test]
fn messages_are_borrowed_and_received_when_they_are_dropped() {
    let publisher = Publisher::bounded(4);
    let mut subscriber = publisher.subscribe(Options::block());
    publisher.publish(String::from("first")).unwrap();
    publisher.publish(String::from("second")).unwrap();
    let held = subscriber.recv().unwrap();
    assert_eq!((held.as_str(), format!("{held:?}")), ("first", r#"Ref("first")"#.to_owned()));
    // What is forgotten was not received.
    std::mem::forget(held);
    assert_eq!(subscriber.len(), 2);
    assert_eq!(*subscriber.recv().unwrap(), "first");
    assert_eq!(*subscriber.recv().unwrap(), "second");
    assert!(subscriber.is_empty());
}

#[test]
fn a_blocking_subscription_is_full_with_its_capacity_and_no_sooner() {
    for capacity in 1..200_u64 {
        let publisher = Publisher::bounded(capacity as usize);
        let mut slow = publisher.subscribe(Options::block());
        let mut keeps_up = publisher.subscribe(Options::block());
        let mut next = 0;
        for _ in 0..3 * capacity {
            while publisher.try_publish(next).is_ok() {
                next += 1;
                assert_eq!(*keeps_up.recv().unwrap(), next - 1);
            }
            let unread = slow.len() as u64;
            assert!(unread >= capacity && unread <= publisher.ring_places(), "{unread}");
            assert!(capacity >= 16 || unread == capacity, "small rings are exact");
            assert_eq!(publisher.try_publish(7), Err(TryPublishError::Full(7)));
            drop(slow.recv().unwrap());
        }
        // Whoever leaves holds up nobody.
        drop(slow);
        publish(&publisher, next..next + publisher.ring_places());
    }
}

#[test]
fn who_drops_the_oldest_keeps_at_least_the_capacity_and_is_told_of_the_rest_once() {
    for capacity in 1..200_u64 {
        let publisher = Publisher::bounded(capacity as usize);
        let mut subscriber = publisher.subscribe(Options::drop_oldest());
        publish(&publisher, 0..capacity);
        assert_eq!(*subscriber.recv().unwrap(), 0, "nothing is lost yet");
        let end = 10 * capacity;
        publish(&publisher, capacity..end);
        // What is left of the segment that it reads.
        let first = drain(&mut subscriber);
        assert!(first.iter().copied().eq(1..=first.len() as u64));
        let rest = drain(&mut subscriber);
        assert!(rest.len() as u64 >= capacity);
        assert!(rest.iter().copied().eq(end - rest.len() as u64..end));
        assert_eq!(1 + first.len() as u64 + subscriber.lost() + rest.len() as u64, end);
    }
}

#[test]
fn who_lags_is_told_how_far_and_goes_on() {
    let publisher = Publisher::bounded(4);
    let mut subscriber = publisher.subscribe(Options::drop_oldest());
    publish(&publisher, 0..10);
    assert_eq!(subscriber.recv().unwrap_err(), RecvError::Lagged(6));
    assert_eq!(drain(&mut subscriber), [6, 7, 8, 9]);
    publish(&publisher, 10..15);
    assert_eq!(subscriber.try_recv().unwrap_err(), TryRecvError::Lagged(1));
    publisher.close();
    assert_eq!(subscriber.lost(), 7);
    assert_eq!(drain(&mut subscriber), [11, 12, 13, 14]);
    assert_eq!(subscriber.recv().unwrap_err(), RecvError::Closed);
}

#[test]
fn who_drops_the_newest_keeps_a_window_and_counts_the_rest() {
    let publisher = Publisher::bounded(2);
    let mut subscriber = publisher.subscribe(Options::drop_newest(3).replay(9));
    publish(&publisher, 0..10);
    assert_eq!((subscriber.len(), subscriber.lost(), subscriber.replayed()), (3, 7, 0));
    assert_eq!(*subscriber.recv().unwrap(), 0);
    // There is room for one again.
    publish(&publisher, 10..12);
    assert_eq!(drain(&mut subscriber), [1, 2, 10]);
    assert_eq!(subscriber.lost(), 8);
    // A window without a place has one.
    let mut smallest = publisher.subscribe(Options::drop_newest(0));
    publish(&publisher, 12..14);
    assert_eq!((drain(&mut smallest), smallest.lost()), (vec![12], 1));
    assert_eq!(*subscriber.try_recv_many(5).unwrap().get(1).unwrap(), 13);
}

#[test]
fn who_wants_the_latest_gets_it_once() {
    let publisher = Publisher::bounded(2);
    let mut subscriber = publisher.subscribe(Options::latest());
    publish(&publisher, 0..100);
    assert_eq!(*subscriber.recv().unwrap(), 99);
    assert_eq!(subscriber.try_recv().unwrap_err(), TryRecvError::Empty);
    publish(&publisher, 100..102);
    let batch = subscriber.recv_many(10).unwrap();
    assert_eq!(batch.iter().collect::<Vec<_>>(), [&101]);
    drop(batch);
    assert_eq!((subscriber.lost(), subscriber.len()), (100, 0));
    let mut late = publisher.subscribe(Options::latest().replay(2));
    assert_eq!(*late.recv().unwrap(), 101);
    assert_eq!(late.lost(), 1);
}

#[test]
fn who_comes_late_gets_what_is_kept() {
    for capacity in 1..100_u64 {
        let publisher = Publisher::bounded(capacity as usize);
        publish(&publisher, 0..3 * capacity);
        for wanted in [0, 1, capacity, 3 * capacity, u64::MAX] {
            for options in [Options::block(), Options::drop_oldest()] {
                let mut late = publisher.subscribe(options.replay(wanted as usize));
                let got = drain(&mut late);
                assert_eq!(late.replayed(), got.len() as u64);
                assert!(got.len() as u64 >= wanted.min(capacity));
                assert!(got.len() as u64 <= wanted.min(publisher.ring_places()));
                assert!(got.iter().copied().eq(3 * capacity - got.len() as u64..3 * capacity));
            }
        }
    }
}

#[test]
fn a_blocking_latecomer_holds_up_publishers_as_any_other() {
    let publisher = Publisher::bounded(4);
    publish(&publisher, 0..6);
    let mut late = publisher.subscribe(Options::block().replay(4));
    assert_eq!(publisher.try_publish(6), Err(TryPublishError::Full(6)));
    assert_eq!(*late.recv().unwrap(), 2);
    publish(&publisher, 6..7);
    assert_eq!(drain(&mut late), [3, 4, 5, 6]);
}

#[test]
fn a_batch_is_what_is_there_up_to_what_was_asked_for() {
    let publisher = Publisher::bounded(100);
    let mut blocking = publisher.subscribe(Options::block());
    let mut lossy = publisher.subscribe(Options::drop_oldest());
    let mut window = publisher.subscribe(Options::drop_newest(50));
    publisher.publish_many(&mut (0..100).collect()).unwrap();
    for subscriber in [&mut blocking, &mut window] {
        let batch = subscriber.recv_many(40).unwrap();
        assert!(batch.iter().copied().eq(0..40));
        assert_eq!((batch.len(), batch.iter().len()), (40, 40));
        assert_eq!((batch.get(39), batch.get(40)), (Some(&39), None));
    }
    assert_eq!(blocking.recv_many(1000).unwrap().len(), 60);
    assert_eq!(window.recv_many(1000).unwrap().len(), 10);
    // Of this one, a batch ends with a segment.
    let mut all: Vec<u64> = Vec::new();
    while let Ok(batch) = lossy.try_recv_many(5) {
        assert!((1..=5).contains(&batch.len()));
        all.extend(&batch);
    }
    assert!(all.into_iter().eq(0..100));
    publisher.publish(100).unwrap();
    let nothing = blocking.recv_many(0).unwrap();
    assert!(nothing.is_empty() && format!("{nothing:?}") == "[]");
    drop(nothing);
    assert_eq!(*blocking.recv().unwrap(), 100);
}

#[test]
fn a_closed_ring_takes_nothing_and_gives_everything_back() {
    let publisher = Publisher::bounded(8);
    let mut subscriber = publisher.subscribe(Options::block());
    let mut many: Vec<u64> = (0..5).collect();
    publisher.publish_many(&mut many).unwrap();
    assert!(many.is_empty() && !publisher.is_closed());
    publisher.clone().close();
    assert!(publisher.is_closed());
    assert_eq!(publisher.publish(1), Err(PublishError(1)));
    assert_eq!(publisher.try_publish(2), Err(TryPublishError::Closed(2)));
    assert_eq!(
        publisher.publish_timeout(3, std::time::Duration::MAX),
        Err(PublishTimeoutError::Closed(3))
    );
    many.extend([4, 5]);
    assert_eq!(publisher.publish_many(&mut many), Err(crate::notify::Closed));
    assert_eq!(many, [4, 5]);
    assert_eq!(drain(&mut subscriber), [0, 1, 2, 3, 4]);
    // Who comes even later.
    let mut late = publisher.subscribe(Options::block().replay(2));
    assert_eq!(drain(&mut late), [3, 4]);
    assert_eq!(late.recv().unwrap_err(), RecvError::Closed);
}

#[test]
fn nobody_needs_to_listen() {
    let publisher = Publisher::bounded(0);
    assert_eq!((publisher.capacity(), publisher.subscribers()), (1, 0));
    publish(&publisher, 0..100);
    let mut late = publisher.subscribe(Options::drop_oldest().replay(5));
    let _others = [Options::block(), Options::latest(), Options::drop_newest(1)]
        .map(|options| publisher.subscribe(options));
    assert_eq!(publisher.subscribers(), 4);
    drop(publisher);
    assert_eq!(drain(&mut late), [99]);
}

#[test]
fn values_may_borrow_and_need_not_cross_threads() {
    let text = String::from("abc");
    let publisher = Publisher::bounded(2);
    let mut subscriber = publisher.subscribe(Options::drop_newest(1));
    publisher.publish(std::rc::Rc::new(text.as_str())).unwrap();
    drop(publisher);
    assert_eq!(**subscriber.recv().unwrap(), "abc");
}

#[test]
fn what_is_printed_names_what_people_look_for() {
    let publisher = Publisher::bounded(3);
    let subscriber = publisher.subscribe(Options::latest());
    publish(&publisher, 0..2);
    assert_eq!(
        format!("{publisher:?}"),
        "Publisher { published: 2, subscribers: 1, capacity: 3, .. }"
    );
    assert_eq!(format!("{subscriber:?}"), "Subscriber { len: 2, lost: 0, .. }");
    assert_eq!(
        RecvError::Lagged(3).to_string(),
        "3 messages were overwritten before they were received; receive again to go on"
    );
}
