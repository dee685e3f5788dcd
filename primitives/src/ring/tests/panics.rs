//! A panic in the caller's code leaves the ring usable, and loses no other message.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::pin::pin;
use std::task::{Context, Wake, Waker};

use super::*;

fn panics<R>(body: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

/// A message that counts, and panics when it is dropped if its number is even.
struct Bomb(Counted);

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(!self.0.get().is_multiple_of(2), "in the drop of a message");
    }
}

fn bomb(counter: &Arc<AtomicUsize>, number: u64) -> Bomb {
    Bomb(Counted::new(counter, number))
}

#[test]
fn in_the_drop_of_a_message_whose_place_is_used_again() {
    let counter = Arc::default();
    let publisher = Publisher::bounded(4);
    let mut subscriber = publisher.subscribe(Options::drop_oldest());
    for number in 0..100 {
        let panicked = panics(|| publisher.publish(bomb(&counter, number)));
        assert_eq!(panicked, number >= 4 && number.is_multiple_of(2), "{number}");
        // It was published all the same, and the old one is gone.
        assert_eq!(subscriber.recv().unwrap().0.get(), number);
        assert_eq!(alive(&counter) as u64, (number + 1).min(4));
    }
    let mut more: Vec<_> = (100..120).map(|number| bomb(&counter, number)).collect();
    assert!(panics(|| publisher.publish_many(&mut more)));
    // All of them were published, though half of those before them panicked.
    assert!(more.is_empty());
    // One is in the segment that the subscriber reads.
    assert_eq!(alive(&counter), 4 + 1);
    assert!(matches!(subscriber.try_recv(), Err(TryRecvError::Lagged(16))));
    assert_eq!(subscriber.recv().unwrap().0.get(), 116);
    drop(subscriber);
    assert!(panics(|| drop(publisher)));
    assert_eq!(alive(&counter), 0);
}

#[test]
fn in_the_drop_of_messages_in_a_segment_that_was_set_aside() {
    let counter = Arc::default();
    let publisher = Publisher::bounded(16);
    let mut subscriber = publisher.subscribe(Options::drop_oldest());
    let publish = |numbers: std::ops::Range<u64>| {
        numbers.filter(|&number| panics(|| publisher.publish(bomb(&counter, number)))).count()
    };
    publish(0..1);
    let _held = subscriber.recv().unwrap().0.get();
    publish(1..50);
    assert_eq!((alive(&counter) as u64, publisher.segments_aside()), (18 + 2, 1));
    assert!(panics(|| drop(subscriber)));
    assert_eq!((alive(&counter), publisher.segments_aside(), publisher.subscribers()), (18, 0, 0));
    assert!(panics(|| drop(publisher)));
    assert_eq!(alive(&counter), 0);
}

#[test]
fn in_the_drop_of_messages_in_a_window() {
    let counter = Arc::default();
    let publisher = Publisher::bounded(1);
    let mut subscriber = publisher.subscribe(Options::drop_newest(8));
    for number in 0..9 {
        // What is in the window is not dropped here.
        assert!(!panics(|| publisher.publish(bomb(&counter, number))));
    }
    for number in 0..2 {
        let received = subscriber.recv().unwrap();
        assert_eq!(received.0.get(), number);
        assert_eq!(panics(|| drop(received)), number == 0);
    }
    assert!(panics(|| drop(subscriber.recv_many(3).unwrap())));
    assert_eq!((subscriber.len(), alive(&counter)), (3, 4));
    assert_eq!(subscriber.recv().unwrap().0.get(), 5);
    assert!(panics(|| drop(subscriber)));
    assert_eq!((publisher.subscribers(), alive(&counter)), (0, 1));
    assert!(panics(|| drop(publisher)));
}

#[test]
fn while_a_message_is_being_received() {
    let publisher = Publisher::bounded(1);
    let mut subscriber = publisher.subscribe(Options::block());
    let (wakes, counts) = counting_waker();
    publisher.publish(1).unwrap();
    let mut next = pin!(publisher.publish_async(2));
    let mut poll = || next.as_mut().poll(&mut Context::from_waker(&counts));
    assert!(poll().is_pending());
    assert!(panics(|| {
        let message = subscriber.recv().unwrap();
        panic!("in the code that reads {}", *message);
    }));
    // It counts as received.
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(poll().is_ready());
    assert_eq!(*subscriber.recv().unwrap(), 2);
}

#[test]
fn in_the_drop_of_a_message_while_another_panic_is_on_its_way() {
    let counter = Arc::default();
    let publisher = Publisher::bounded(1);
    let mut subscriber = publisher.subscribe(Options::drop_newest(4));
    for number in [2, 3] {
        publisher.publish(bomb(&counter, number)).unwrap();
    }
    // A second panic would end the process.
    assert!(panics(|| {
        let message = subscriber.recv().unwrap();
        panic!("in the code that reads {}", message.0.get());
    }));
    assert_eq!((subscriber.len(), alive(&counter)), (1, 1));
}

struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting_waker() -> (Arc<CountingWaker>, Waker) {
    let wakes = Arc::new(CountingWaker(AtomicUsize::new(0)));
    (Arc::clone(&wakes), Waker::from(wakes))
}

/// What a panic carries, and panics itself when it is dropped.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("in the drop of a payload");
    }
}

struct SpitefulWaker;

impl Wake for SpitefulWaker {
    fn wake(self: Arc<Self>) {
        panic_any(Spiteful);
    }
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

/// Two that panic between two that count.
fn wakers() -> (Arc<CountingWaker>, [Waker; 4]) {
    let (wakes, counts) = counting_waker();
    let panics = Waker::from(Arc::new(PanickingWaker));
    (wakes, [counts.clone(), panics, Waker::from(Arc::new(SpitefulWaker)), counts])
}

/// What makes one wake all who wait for messages and for room, and whether it panicked.
fn wakes_all(wake: impl FnOnce(&Publisher<u64>, &mut Subscriber<u64>) -> bool) {
    let publisher = Publisher::bounded(1);
    let mut full = publisher.subscribe(Options::block());
    let mut empty: Vec<_> = (0..4).map(|_| publisher.subscribe(Options::drop_oldest())).collect();
    let (wakes, wakers) = wakers();
    let mut receiving: Vec<_> =
        empty.iter_mut().map(|subscriber| Box::pin(subscriber.recv_async())).collect();
    for (receives, waker) in receiving.iter_mut().zip(&wakers) {
        assert!(receives.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert!(wake(&publisher, &mut full));
    assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
}

#[test]
fn in_a_waker() {
    wakes_all(|publisher, full| {
        let panicked = panics(|| publisher.publish(1));
        panicked && *full.recv().unwrap() == 1
    });
    wakes_all(|publisher, full| {
        let panicked = panics(|| publisher.publish_many(&mut vec![1]));
        panicked && *full.recv().unwrap() == 1
    });
    wakes_all(|publisher, full| {
        let panicked = panics(|| publisher.close());
        panicked && full.recv().unwrap_err() == RecvError::Closed
    });
}

#[test]
fn in_the_waker_of_a_publisher() {
    for leaves in [false, true] {
        let publisher = Publisher::bounded(1);
        let mut full = publisher.subscribe(Options::block());
        publisher.publish(1).unwrap();
        let (wakes, wakers) = wakers();
        let mut waiting: Vec<_> = wakers
            .iter()
            .map(|waker| {
                let mut publishes = Box::pin(publisher.publish_async(2));
                assert!(publishes.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
                publishes
            })
            .collect();
        if leaves {
            assert!(panics(|| drop(full)));
            assert_eq!(publisher.subscribers(), 0);
        } else {
            assert!(panics(|| drop(full.recv().unwrap())));
            // It was received all the same.
            assert!(full.is_empty());
        }
        assert_eq!(wakes.0.load(Ordering::Relaxed), 2);
        let polled = waiting[1].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_ready());
    }
}

/// Panics when it is dropped.
struct PanicsDropped;

impl Wake for PanicsDropped {
    fn wake(self: Arc<Self>) {}
}

impl Drop for PanicsDropped {
    fn drop(&mut self) {
        panic!("in the drop of a waker");
    }
}

type Then = Box<dyn FnOnce() + Send>;

/// Does something else when it is woken.
struct Does(std::sync::Mutex<Option<Then>>);

impl Wake for Does {
    fn wake(self: Arc<Self>) {
        let then = self.0.lock().unwrap().take();
        then.unwrap()();
    }
}

#[test]
fn in_the_drop_of_a_waker_that_was_not_called() {
    static PUBLISHER: std::sync::OnceLock<Publisher<u64>> = std::sync::OnceLock::new();
    let publisher = PUBLISHER.get_or_init(|| Publisher::bounded(1));
    let mut full = publisher.subscribe(Options::block());
    let mut idle = publisher.subscribe(Options::drop_oldest());
    publisher.publish(1).unwrap();
    assert_eq!(*idle.recv().unwrap(), 1);
    let (wakes, counts) = counting_waker();
    let mut receives = pin!(idle.recv_async());
    assert!(receives.as_mut().poll(&mut Context::from_waker(&counts)).is_pending());

    let mut first = pin!(publisher.publish_async(2));
    let mut second = Box::pin(publisher.publish_async(3));
    let does = Arc::new(Does(std::sync::Mutex::new(None)));
    let waker = Waker::from(Arc::clone(&does));
    assert!(first.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    let waker = Waker::from(Arc::new(PanicsDropped));
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    // The line has the last one.
    drop(waker);
    // Who is called first lets the second go, which then has not been called.
    *does.0.lock().unwrap() = Some(Box::new(move || {
        assert!(second.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }));
    drop(full.recv().unwrap());
    assert_eq!(*full.try_recv().unwrap(), 3);
    // Though that waker panicked, who sleeps was woken.
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
}
