//! Waiting for messages and for room. Where time passes, it is a limit that must not be reached.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use super::*;

const LONG: Duration = Duration::from_secs(600);

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl CountWakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn counting_waker() -> (Arc<CountWakes>, Waker) {
    let wakes = Arc::new(CountWakes::default());
    (Arc::clone(&wakes), Waker::from(wakes))
}

fn poll<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn a_timeout_ends_the_waiting_and_nothing_else() {
    let publisher = Publisher::bounded(1);
    let mut subscriber = publisher.subscribe(Options::block());
    let short = Duration::from_millis(1);
    for timeout in [Duration::ZERO, short] {
        assert_eq!(subscriber.recv_timeout(timeout).unwrap_err(), RecvTimeoutError::TimedOut);
    }
    publisher.publish_timeout(1, short).unwrap();
    for timeout in [Duration::ZERO, short] {
        assert_eq!(publisher.publish_timeout(2, timeout), Err(PublishTimeoutError::TimedOut(2)));
    }
    assert_eq!(*subscriber.recv_timeout(Duration::MAX).unwrap(), 1);
    assert_eq!(publisher.publish_timeout(3, LONG), Ok(()));
    assert_eq!(*subscriber.recv_timeout(LONG).unwrap(), 3);
    drop(publisher);
    assert_eq!(subscriber.recv_timeout(LONG).unwrap_err(), RecvTimeoutError::Closed);
}

/// Sends messages there and back, so that each side sleeps for the other again and again.
fn ping_pong(options: Options) {
    let (there, back) = (Publisher::bounded(1), Publisher::bounded(1));
    let mut pings = there.subscribe(options);
    let mut pongs = back.subscribe(options);
    thread::scope(|scope| {
        scope.spawn(move || {
            // What is still borrowed takes up room in a window.
            while let Ok(ping) = pings.recv().map(|ping| *ping) {
                back.publish(ping).unwrap();
            }
        });
        for number in 0..1000 {
            there.publish(number).unwrap();
            assert_eq!(*pongs.recv_timeout(LONG).unwrap(), number);
        }
        drop(there);
    });
}

#[test]
fn sleeping_subscribers_of_each_kind_are_woken() {
    ping_pong(Options::block());
    ping_pong(Options::drop_oldest());
    ping_pong(Options::drop_newest(1));
    ping_pong(Options::latest());
}

#[test]
fn publishers_that_wait_for_room_are_woken_by_each_message_that_is_received() {
    for capacity in [1, 4, 20] {
        let publisher = Publisher::bounded(capacity);
        let mut subscriber = publisher.subscribe(Options::block());
        thread::scope(|scope| {
            for _ in 0..2 {
                let publisher = publisher.clone();
                scope.spawn(move || {
                    for number in 0..500 {
                        publisher.publish_timeout(number, LONG).unwrap();
                    }
                    publisher.publish_many(&mut (500..1000).collect()).unwrap();
                });
            }
            drop(publisher);
            let mut sum = 0;
            while let Ok(number) = subscriber.recv() {
                sum += *number;
            }
            assert_eq!(sum, 2 * 999 * 1000 / 2);
        });
    }
}

#[test]
fn the_end_of_a_subscription_wakes_whoever_waits_for_it() {
    let publisher = Publisher::bounded(1);
    let stalled = publisher.subscribe(Options::block());
    publisher.publish(1).unwrap();
    let (wakes, waker) = counting_waker();
    let mut second = pin!(publisher.publish_async(2));
    assert!(poll(second.as_mut(), &waker).is_pending());
    drop(stalled);
    assert_eq!(wakes.count(), 1);
    assert_eq!(poll(second.as_mut(), &waker), Poll::Ready(Ok(())));
}

#[test]
fn close_wakes_everybody() {
    let publisher = Publisher::bounded(1);
    let mut full = publisher.subscribe(Options::block());
    publisher.publish(1).unwrap();
    let mut empty = publisher.subscribe(Options::latest());
    let (wakes, waker) = counting_waker();
    let mut publishes = pin!(publisher.publish_async(2));
    assert!(poll(publishes.as_mut(), &waker).is_pending());
    let mut receives = pin!(empty.recv_async());
    assert!(poll(receives.as_mut(), &waker).is_pending());
    publisher.close();
    assert_eq!(wakes.count(), 2);
    assert_eq!(poll(publishes.as_mut(), &waker), Poll::Ready(Err(PublishError(2))));
    assert!(matches!(poll(receives.as_mut(), &waker), Poll::Ready(Err(RecvError::Closed))));
    assert_eq!(*full.recv().unwrap(), 1);
}

#[test]
fn a_task_is_woken_once_and_only_if_it_waits() {
    let publisher = Publisher::bounded(8);
    let mut subscriber = publisher.subscribe(Options::block());
    let (wakes, waker) = counting_waker();
    let mut receives = pin!(subscriber.recv_async());
    assert!(poll(receives.as_mut(), &waker).is_pending());
    // To poll again in vain leaves one waker, not two.
    assert!(poll(receives.as_mut(), &waker).is_pending());
    publish(&publisher, 0..3);
    assert_eq!(wakes.count(), 1);
    let Poll::Ready(Ok(message)) = poll(receives.as_mut(), &waker) else { panic!("it is there") };
    assert_eq!(*message, 0);
    publish(&publisher, 3..5);
    assert_eq!(wakes.count(), 1);
}

#[test]
fn a_future_that_is_dropped_loses_nothing() {
    let publisher = Publisher::bounded(1);
    for options in
        [Options::block(), Options::drop_oldest(), Options::drop_newest(1), Options::latest()]
    {
        let mut subscriber = publisher.subscribe(options);
        for number in 0..100 {
            let (_, waker) = counting_waker();
            {
                let mut gives_up = pin!(subscriber.recv_async());
                assert!(poll(gives_up.as_mut(), &waker).is_pending());
                publish(&publisher, number..number + 1);
                // Ready, but nobody looks.
            }
            let mut receives = pin!(subscriber.recv_many_async(5));
            let Poll::Ready(Ok(batch)) = poll(receives.as_mut(), &waker) else {
                panic!("it is there")
            };
            assert!(batch.iter().eq(&[number]));
        }
        assert_eq!(subscriber.lost(), 0);
    }
    // A publication that is given up has not happened.
    let mut subscriber = publisher.subscribe(Options::block());
    publish(&publisher, 0..1);
    {
        let mut gives_up = pin!(publisher.publish_async(7));
        assert!(poll(gives_up.as_mut(), Waker::noop()).is_pending());
        assert_eq!(*subscriber.recv().unwrap(), 0);
    }
    assert!(subscriber.is_empty());
}

#[test]
fn who_gives_up_leaves_nothing_behind() {
    let publisher = Publisher::bounded(1);
    let mut full = publisher.subscribe(Options::block());
    publish(&publisher, 0..1);
    let mut subscriber = publisher.subscribe(Options::drop_oldest());
    for _ in 0..100 {
        let mut receives = pin!(subscriber.recv_async());
        assert!(poll(receives.as_mut(), Waker::noop()).is_pending());
        let mut publishes = pin!(publisher.publish_async(1));
        assert!(poll(publishes.as_mut(), Waker::noop()).is_pending());
        assert_eq!(publisher.waiting(), (1, 1));
    }
    let short = Duration::from_nanos(1);
    assert!(subscriber.recv_timeout(short).is_err());
    assert!(publisher.publish_timeout(1, short).is_err());
    assert_eq!(publisher.waiting(), (0, 0));
    // Nor does who was served.
    let (wakes, waker) = counting_waker();
    let mut publishes = Box::pin(publisher.publish_async(1));
    assert!(poll(publishes.as_mut(), &waker).is_pending());
    drop(full.recv().unwrap());
    assert_eq!((wakes.count(), publisher.waiting()), (1, (0, 0)));
    assert!(poll(publishes.as_mut(), &waker).is_ready());
    drop(publishes);
    assert_eq!(Arc::strong_count(&wakes), 2, "the waker's and the counter's own");
}

#[test]
fn a_task_that_moves_is_woken_where_it_is() {
    let publisher = Publisher::bounded(1);
    let mut subscriber = publisher.subscribe(Options::latest());
    let [(before, first), (after, second)] = [counting_waker(), counting_waker()];
    let mut receives = pin!(subscriber.recv_async());
    assert!(poll(receives.as_mut(), &first).is_pending());
    assert!(poll(receives.as_mut(), &second).is_pending());
    publish(&publisher, 0..1);
    assert_eq!((before.count(), after.count()), (0, 1));
}

thread_local!(static RING: std::cell::RefCell<Option<Publisher<Nosy>>> = const { std::cell::RefCell::new(None) });

/// A message and a waker that look at the ring wherever their code runs. Under the lock, that would never end.
struct Nosy;

impl Nosy {
    fn look() -> usize {
        RING.with_borrow(|ring| ring.as_ref().map_or(0, Publisher::subscribers))
    }
}

impl Drop for Nosy {
    fn drop(&mut self) {
        assert!(Nosy::look() <= 4);
    }
}

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {
        assert!(Nosy::look() > 0);
    }
}

#[test]
fn code_of_yours_may_use_the_ring_that_runs_it() {
    let publisher = Publisher::bounded(1);
    RING.set(Some(publisher.clone()));
    let mut subscribers =
        [Options::drop_oldest(), Options::drop_newest(1), Options::latest(), Options::block()]
            .map(|options| publisher.subscribe(options));
    let waker = Waker::from(Arc::new(Nosy));
    for _ in 0..3 {
        for subscriber in &mut subscribers {
            let mut receives = pin!(subscriber.recv_async());
            let polled = poll(receives.as_mut(), &waker);
            drop(polled);
        }
        publisher.publish_many(&mut vec![Nosy]).unwrap();
        let mut waits = pin!(publisher.publish_async(Nosy));
        assert!(poll(waits.as_mut(), &waker).is_pending());
        for subscriber in &mut subscribers {
            drop(subscriber.recv());
        }
        assert!(poll(waits.as_mut(), &waker).is_ready());
        subscribers.iter_mut().for_each(|subscriber| drop(subscriber.try_recv()));
    }
    drop(subscribers);
    publisher.close();
    RING.set(None);
}

#[test]
fn tasks_on_many_threads_send_each_other_everything() {
    let publisher = Publisher::bounded(4);
    let mut subscribers: Vec<_> = (0..3).map(|_| publisher.subscribe(Options::block())).collect();
    let block_on = |future: Pin<&mut dyn Future<Output = ()>>| {
        crate::notify::block_on(None, {
            let mut future = future;
            move |context| future.as_mut().poll(context)
        });
    };
    thread::scope(|scope| {
        for subscriber in &mut subscribers {
            scope.spawn(move || {
                block_on(pin!(async {
                    for number in 0..500 {
                        assert_eq!(*subscriber.recv_async().await.unwrap(), number);
                    }
                    let mut next = 500;
                    while let Ok(batch) = subscriber.recv_many_async(3).await {
                        batch.iter().for_each(|number| {
                            assert_eq!(*number, next);
                            next += 1;
                        });
                    }
                    assert_eq!(next, 1000);
                }));
            });
        }
        scope.spawn(move || {
            block_on(pin!(async {
                for number in 0..1000 {
                    publisher.publish_async(number).await.unwrap();
                }
                drop(publisher);
            }));
        });
    });
}

#[test]
fn who_wants_the_latest_and_is_overtaken_waits_on_until_the_time_is_up() {
    let publisher = Publisher::bounded(1);
    let mut latest = publisher.subscribe(Options::latest());
    thread::scope(|scope| {
        scope.spawn(move || {
            let until = std::time::Instant::now() + Duration::from_millis(300);
            while std::time::Instant::now() < until {
                publish(&publisher, 0..100);
            }
        });
        loop {
            match latest.recv_timeout(LONG) {
                Ok(_) => {}
                Err(RecvTimeoutError::Closed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    });
}

#[test]
fn once_nobody_waits_for_room_any_more_no_subscriber_looks_for_whom_to_wake() {
    let publisher = Publisher::bounded(1);
    let mut full = publisher.subscribe(Options::block());
    publish(&publisher, 0..1);
    let mut waits = Box::pin(publisher.publish_async(1));
    assert!(poll(waits.as_mut(), Waker::noop()).is_pending());
    drop(waits);
    // Says so once more, and learns that nobody waits.
    drop(full.recv().unwrap());
    assert!(!publisher.room_is_wanted());
    publish(&publisher, 1..2);
    let mut waits = Box::pin(publisher.publish_async(2));
    assert!(poll(waits.as_mut(), Waker::noop()).is_pending());
    assert!(publisher.room_is_wanted());
    drop(full.recv().unwrap());
    assert!(poll(waits.as_mut(), Waker::noop()).is_ready());
}
