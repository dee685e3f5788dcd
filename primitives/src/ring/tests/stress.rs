//! Real threads, all at once: for the sanitizers, which see what a model of a few steps does not reach.

use std::thread;

use super::*;

const PUBLISHERS: u64 = 3;
const EACH: u64 = if cfg!(debug_assertions) { 1_500 } else { 20_000 };
const ALL: u64 = PUBLISHERS * EACH;

/// Checks that each publisher's messages come in their order.
struct Order {
    last: [Option<u64>; PUBLISHERS as usize],
    count: u64,
}

impl Order {
    fn new() -> Self {
        Order { last: [None; PUBLISHERS as usize], count: 0 }
    }

    fn see(&mut self, message: &Counted) {
        let number = message.get();
        let last = &mut self.last[(number % PUBLISHERS) as usize];
        assert!(last.is_none_or(|last| last < number), "out of order");
        *last = Some(number);
        self.count += 1;
    }

    /// Sees everything that comes, and at the end compares with the losses.
    fn follow(mut self, mut subscriber: Subscriber<Counted>) {
        loop {
            match subscriber.recv() {
                Ok(message) => self.see(&message),
                Err(RecvError::Lagged(lost)) => assert!(lost > 0),
                Err(RecvError::Closed) => break,
            }
        }
        assert_eq!(self.count + subscriber.lost(), ALL);
    }
}

/// Everything that a subscriber gets.
fn sequence(mut subscriber: Subscriber<Counted>, batch: usize) -> Vec<u64> {
    let mut all = Vec::new();
    while let Ok(messages) = subscriber.recv_many(batch) {
        all.extend(messages.iter().map(Counted::get));
    }
    assert_eq!(subscriber.lost(), 0);
    all
}

fn publish_all(publisher: &Publisher<Counted>, counter: &Arc<AtomicUsize>, number: u64) {
    let mine = (0..EACH).map(|n| Counted::new(counter, n * PUBLISHERS + number));
    if number > 0 {
        mine.for_each(|message| assert!(publisher.publish(message).is_ok()));
        return;
    }
    let mut batch = Vec::new();
    for message in mine {
        batch.push(message);
        if batch.len() == 10 {
            publisher.publish_many(&mut batch).unwrap();
        }
    }
    publisher.publish_many(&mut batch).unwrap();
}

#[test]
fn all_kinds_of_subscribers_beside_several_publishers() {
    for capacity in [1, 40, 600] {
        let counter = Arc::default();
        let publisher = Publisher::bounded(capacity);
        let places = publisher.ring_places();
        let bound = places as usize + 4 * 64 + 7 + 3 * (PUBLISHERS as usize) * 10;
        thread::scope(|scope| {
            let in_full = [1, 7].map(|batch| {
                let subscriber = publisher.subscribe(Options::block());
                scope.spawn(move || sequence(subscriber, batch))
            });
            for options in [Options::drop_oldest(), Options::drop_newest(7), Options::latest()] {
                let subscriber = publisher.subscribe(options);
                scope.spawn(|| Order::new().follow(subscriber));
            }
            // Holds a message for ever.
            let mut stalled = publisher.subscribe(Options::drop_oldest());
            scope.spawn(move || {
                // However often it was overtaken before, the last messages stay.
                let first = loop {
                    match stalled.recv().map(|held| held.get()) {
                        Err(RecvError::Lagged(lost)) => assert!(lost > 0),
                        told => break told,
                    }
                };
                assert!(first.is_ok(), "{first:?}");
            });
            // Come and go.
            let visited = publisher.clone();
            scope.spawn(move || {
                for turn in 0..100 {
                    let rules = [
                        Options::block(),
                        Options::drop_oldest(),
                        Options::latest(),
                        Options::drop_newest(2),
                    ];
                    let mut guest = visited.subscribe(rules[turn % 4].replay(turn));
                    let mut order = Order::new();
                    for _ in 0..turn {
                        if let Ok(message) = guest.try_recv() {
                            order.see(&message);
                        }
                    }
                    assert!(order.count + guest.lost() <= ALL);
                }
            });
            for number in 0..PUBLISHERS {
                let (publisher, counter) = (publisher.clone(), &counter);
                scope.spawn(move || {
                    publish_all(&publisher, counter, number);
                    assert!(alive(counter) <= bound);
                });
            }
            drop(publisher);
            let [first, second] = in_full.map(|thread| thread.join().unwrap());
            assert_eq!(first.len() as u64, ALL);
            assert!(first == second, "both saw the same order");
        });
        assert_eq!(alive(&counter), 0);
    }
}

#[test]
fn a_stalled_subscriber_keeps_what_it_reads_beside_publishers_that_overwrite_it() {
    let counter = Arc::default();
    let publisher = Publisher::<Counted>::bounded(32);
    let places = publisher.ring_places() as usize;
    let subscribers: Vec<_> = (0..3).map(|_| publisher.subscribe(Options::drop_oldest())).collect();
    thread::scope(|scope| {
        for mut subscriber in subscribers {
            scope.spawn(move || {
                let mut seen = 0;
                while seen < ALL {
                    match subscriber.recv() {
                        Ok(message) => {
                            let number = message.get();
                            // Others run meanwhile.
                            thread::yield_now();
                            assert_eq!(message.get(), number);
                            seen += 1;
                        }
                        Err(RecvError::Lagged(lost)) => seen += lost,
                        Err(RecvError::Closed) => break,
                    }
                }
                assert_eq!(seen, ALL);
            });
        }
        for number in 0..PUBLISHERS {
            let (publisher, counter) = (publisher.clone(), &counter);
            scope.spawn(move || {
                for n in 0..EACH {
                    let message = Counted::new(counter, n * PUBLISHERS + number);
                    assert!(publisher.publish(message).is_ok());
                    // Four messages a segment; each publisher holds one that is new and one that is old.
                    assert!(alive(counter) <= places + 3 * 4 + 2 * PUBLISHERS as usize);
                }
            });
        }
        drop(publisher);
    });
    assert_eq!(alive(&counter), 0);
}

#[test]
fn rings_are_made_and_dropped_under_their_subscribers() {
    let counter = Arc::default();
    for turn in 0..100 {
        let publisher = Publisher::<Counted>::bounded(1 + turn % 20);
        thread::scope(|scope| {
            for options in [Options::block(), Options::drop_oldest(), Options::drop_newest(2)] {
                let mut subscriber = publisher.subscribe(options);
                scope.spawn(move || {
                    let mut seen = 0;
                    while seen < 20 {
                        match subscriber.recv() {
                            Ok(message) => seen = message.get() + 1,
                            Err(RecvError::Lagged(_)) => {}
                            Err(_) => break,
                        }
                        if turn % 3 == 0 && seen == 10 {
                            break;
                        }
                    }
                });
            }
            for number in 0..20 {
                assert!(publisher.publish(Counted::new(&counter, number)).is_ok());
            }
            drop(publisher);
        });
    }
    assert_eq!(alive(&counter), 0);
}
