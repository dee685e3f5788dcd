//! How much memory the worst subscribers hold.

use super::*;

const CAPACITY: usize = 100;

fn counting() -> (Arc<AtomicUsize>, Publisher<Counted>) {
    (Arc::default(), Publisher::bounded(CAPACITY))
}

fn publish_counted(
    publisher: &Publisher<Counted>,
    counter: &Arc<AtomicUsize>,
    numbers: std::ops::Range<u64>,
) {
    for number in numbers {
        publisher.try_publish(Counted::new(counter, number)).unwrap();
    }
}

/// How many messages a segment has at this capacity.
const SEGMENT: usize = 8;

#[test]
fn a_stalled_subscriber_that_drops_the_oldest_costs_a_segment() {
    let (counter, publisher) = counting();
    let places = publisher.ring_places() as usize;
    for options in [Options::drop_oldest(), Options::latest()] {
        let mut stalled = publisher.subscribe(options);
        let first = 7 * CAPACITY as u64;
        publish_counted(&publisher, &counter, first..first + 1);
        let held = stalled.recv().unwrap();
        for number in 0..100 * CAPACITY as u64 {
            publish_counted(&publisher, &counter, number..number + 1);
            assert!(alive(&counter) <= places + SEGMENT);
            assert_eq!(held.get(), first);
        }
        assert_eq!((alive(&counter), publisher.segments_aside()), (places + SEGMENT, 1));
        drop(held);
        drop(stalled);
        // What it held is freed with it.
        assert_eq!((alive(&counter), publisher.segments_aside()), (places, 0));
    }
}

#[test]
fn each_of_many_stalled_subscribers_costs_a_segment_at_most() {
    const STALLED: usize = 20;
    let (counter, publisher) = counting();
    let places = publisher.ring_places() as usize;
    let mut stalled: Vec<_> =
        (0..STALLED).map(|_| publisher.subscribe(Options::drop_oldest())).collect();
    let mut next = 0;
    let mut held = Vec::new();
    for subscriber in &mut stalled {
        publish_counted(&publisher, &counter, next..next + 2 * CAPACITY as u64);
        next += 2 * CAPACITY as u64;
        if subscriber.try_recv().is_err() {
            held.push(subscriber.recv().unwrap());
        }
        assert!(alive(&counter) <= places + held.len() * SEGMENT);
    }
    assert_eq!(held.len(), STALLED);
    publish_counted(&publisher, &counter, next..next + 10 * CAPACITY as u64);
    assert_eq!(alive(&counter), places + STALLED * SEGMENT);
    let numbers: Vec<_> = held.iter().map(|message| message.get()).collect();
    assert!(numbers.is_sorted());
    drop(held);
    // Segments that nobody reads any more are used again before there are new ones.
    for _ in 0..3 {
        for subscriber in &mut stalled {
            while subscriber.try_recv().is_ok() {}
            publish_counted(&publisher, &counter, 0..2 * CAPACITY as u64);
        }
    }
    assert!(alive(&counter) <= places + STALLED * SEGMENT);
    drop(stalled);
    assert_eq!((alive(&counter), publisher.segments_aside()), (places, 0));
    drop(publisher);
    assert_eq!(alive(&counter), 0);
}

#[test]
fn a_stalled_subscriber_that_drops_the_newest_costs_its_window() {
    let (counter, publisher) = counting();
    let places = publisher.ring_places() as usize;
    let mut stalled = publisher.subscribe(Options::drop_newest(5));
    publish_counted(&publisher, &counter, 0..1);
    let held = stalled.recv().unwrap();
    publish_counted(&publisher, &counter, 1..1000);
    assert_eq!((alive(&counter), held.get()), (places + 5, 0));
    drop(held);
    assert_eq!((alive(&counter), stalled.len(), stalled.lost()), (places + 4, 4, 995));
    drop(stalled);
    assert_eq!(alive(&counter), places);
}

#[test]
fn a_stalled_subscriber_that_blocks_stops_the_flood() {
    let (counter, publisher) = counting();
    let mut stalled = publisher.subscribe(Options::block());
    let flood = |from: u64| {
        (from..)
            .take_while(|number| publisher.try_publish(Counted::new(&counter, *number)).is_ok())
            .count()
    };
    let places = publisher.ring_places() as usize;
    assert_eq!((flood(0), alive(&counter)), (places, places));
    let held = stalled.recv().unwrap();
    assert_eq!((flood(0), held.get(), alive(&counter)), (0, 0, places));
}

#[test]
fn subscriptions_that_come_and_go_leave_nothing_behind() {
    let (counter, publisher) = counting();
    let places = publisher.ring_places() as usize;
    for round in 0..1000 {
        let all = [
            Options::block().replay(5),
            Options::drop_oldest(),
            Options::drop_newest(3),
            Options::latest(),
        ];
        let mut all = all.map(|options| publisher.subscribe(options));
        publish_counted(&publisher, &counter, round..round + 5);
        for subscriber in &mut all {
            assert!(subscriber.recv().unwrap().get() < 1005);
        }
        assert_eq!(publisher.subscribers(), 4);
    }
    assert_eq!((publisher.subscribers(), publisher.segments_aside()), (0, 0));
    assert_eq!(alive(&counter), places);
}
