//! A subscriber that receives one message and then stalls, beside one that goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_broadcast::RecvError as Overflowed;
use crossbeam_channel as channel;
use queenright_primitives::ring::{Options, Publisher, RecvError, Subscriber};
use tokio::sync::broadcast;

/// What the one that goes on gets: a message, or how many it lost.
pub type Received = Result<u64, u64>;

/// A broadcast that has a rule for the subscriber that stalls.
pub trait Stalls: 'static {
    /// As it is called in reports.
    const NAME: &'static str;
    /// Publishes. Dropping it ends the stream.
    type Publisher: Send + 'static;
    /// The one that goes on.
    type Subscriber: Send + 'static;
    /// The one that stalls.
    type Stalled: Send + Sync + 'static;

    /// Opens one with room for this many messages.
    fn open(room: usize) -> (Self::Publisher, Self::Subscriber, Self::Stalled);

    /// To both subscribers. Never waits for the one that stalls.
    fn publish(publisher: &mut Self::Publisher, message: u64);

    /// Waits for what comes next; `None` at the end of the stream.
    fn next(subscriber: &mut Self::Subscriber) -> Option<Received>;

    /// Lets the one that stalls receive the message that is there.
    fn receive_one(stalled: &mut Self::Stalled);

    /// How many messages the one that stalled has lost until the end, and how many are there for it.
    fn lost_and_held(stalled: Self::Stalled) -> (u64, u64);
}

/// The rule that the ring has for its subscriber that stalls.
pub trait Rule: 'static {
    /// It.
    fn options(room: usize) -> Options;
}

/// The oldest messages are overwritten.
pub struct DropOldest;

/// The newest messages find no room.
pub struct DropNewest;

/// The newest message alone counts.
pub struct Latest;

impl Rule for DropOldest {
    fn options(_: usize) -> Options {
        Options::drop_oldest()
    }
}

impl Rule for DropNewest {
    fn options(room: usize) -> Options {
        Options::drop_newest(room)
    }
}

impl Rule for Latest {
    fn options(_: usize) -> Options {
        Options::latest()
    }
}

/// The ring; publishers wait for the subscriber that goes on.
pub struct Ours<R>(R);

impl<R: Rule> Stalls for Ours<R> {
    const NAME: &'static str = "ring";
    type Publisher = Publisher<u64>;
    type Subscriber = Subscriber<u64>;
    type Stalled = Subscriber<u64>;

    fn open(room: usize) -> (Publisher<u64>, Subscriber<u64>, Subscriber<u64>) {
        let publisher = Publisher::bounded(room);
        let subscriber = publisher.subscribe(Options::block());
        let stalled = publisher.subscribe(R::options(room));
        (publisher, subscriber, stalled)
    }

    fn publish(publisher: &mut Publisher<u64>, message: u64) {
        assert!(publisher.publish(message).is_ok(), "it is open");
    }

    fn next(subscriber: &mut Subscriber<u64>) -> Option<Received> {
        subscriber.recv().ok().map(|message| Ok(*message))
    }

    fn receive_one(stalled: &mut Subscriber<u64>) {
        assert!(stalled.try_recv().is_ok(), "it is there");
    }

    fn lost_and_held(mut stalled: Subscriber<u64>) -> (u64, u64) {
        let mut held = 0;
        while let Ok(()) | Err(RecvError::Lagged(_)) = stalled.recv().map(|_| held += 1) {}
        (stalled.lost(), held)
    }
}

/// tokio's broadcast channel. It has one rule, so that the subscriber that goes on may lose messages as well.
pub struct Tokio;

impl Stalls for Tokio {
    const NAME: &'static str = "tokio broadcast";
    type Publisher = broadcast::Sender<u64>;
    type Subscriber = broadcast::Receiver<u64>;
    type Stalled = broadcast::Receiver<u64>;

    fn open(
        room: usize,
    ) -> (broadcast::Sender<u64>, broadcast::Receiver<u64>, broadcast::Receiver<u64>) {
        let (sender, receiver) = broadcast::channel(room);
        let stalled = sender.subscribe();
        (sender, receiver, stalled)
    }

    fn publish(publisher: &mut broadcast::Sender<u64>, message: u64) {
        assert!(publisher.send(message).is_ok(), "somebody listens");
    }

    fn next(subscriber: &mut broadcast::Receiver<u64>) -> Option<Received> {
        match subscriber.blocking_recv() {
            Ok(message) => Some(Ok(message)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Err(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }

    fn receive_one(stalled: &mut broadcast::Receiver<u64>) {
        assert!(stalled.try_recv().is_ok(), "it is there");
    }

    fn lost_and_held(mut stalled: broadcast::Receiver<u64>) -> (u64, u64) {
        summed(|| Self::next(&mut stalled))
    }
}

/// async-broadcast with overflow, used blocking. One rule for all subscribers, too.
pub struct AsyncBroadcast;

impl Stalls for AsyncBroadcast {
    const NAME: &'static str = "async-broadcast, overflow";
    type Publisher = async_broadcast::Sender<u64>;
    type Subscriber = async_broadcast::Receiver<u64>;
    type Stalled = async_broadcast::Receiver<u64>;

    fn open(
        room: usize,
    ) -> (
        async_broadcast::Sender<u64>,
        async_broadcast::Receiver<u64>,
        async_broadcast::Receiver<u64>,
    ) {
        let (mut sender, receiver) = async_broadcast::broadcast(room);
        sender.set_overflow(true);
        let stalled = receiver.new_receiver();
        (sender, receiver, stalled)
    }

    fn publish(publisher: &mut async_broadcast::Sender<u64>, message: u64) {
        assert!(publisher.broadcast_blocking(message).is_ok(), "somebody listens");
    }

    fn next(subscriber: &mut async_broadcast::Receiver<u64>) -> Option<Received> {
        match subscriber.recv_blocking() {
            Ok(message) => Some(Ok(message)),
            Err(Overflowed::Overflowed(lost)) => Some(Err(lost)),
            Err(Overflowed::Closed) => None,
        }
    }

    fn receive_one(stalled: &mut async_broadcast::Receiver<u64>) {
        assert!(stalled.try_recv().is_ok(), "it is there");
    }

    fn lost_and_held(mut stalled: async_broadcast::Receiver<u64>) -> (u64, u64) {
        summed(|| Self::next(&mut stalled))
    }
}

/// Two crossbeam channels; what finds no room in that of the subscriber that stalls is counted and dropped.
pub struct FanOut;

/// To the one that goes on, to the one that stalls, and what the latter lost.
pub type TwoChannels = (channel::Sender<u64>, channel::Sender<u64>, Arc<AtomicU64>);

impl Stalls for FanOut {
    const NAME: &'static str = "crossbeam channels, fan-out";
    type Publisher = TwoChannels;
    type Subscriber = channel::Receiver<u64>;
    type Stalled = (channel::Receiver<u64>, Arc<AtomicU64>);

    fn open(room: usize) -> (TwoChannels, Self::Subscriber, Self::Stalled) {
        let (sender, receiver) = channel::bounded(room);
        let (to_stalled, stalled) = channel::bounded(room);
        let lost = Arc::new(AtomicU64::new(0));
        ((sender, to_stalled, Arc::clone(&lost)), receiver, (stalled, lost))
    }

    fn publish((sender, to_stalled, lost): &mut TwoChannels, message: u64) {
        assert!(sender.send(message).is_ok(), "somebody listens");
        if to_stalled.try_send(message).is_err() {
            // One publisher counts.
            lost.store(lost.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    fn next(subscriber: &mut Self::Subscriber) -> Option<Received> {
        subscriber.recv().ok().map(Ok)
    }

    fn receive_one((stalled, _): &mut Self::Stalled) {
        assert!(stalled.try_recv().is_ok(), "it is there");
    }

    fn lost_and_held((stalled, lost): Self::Stalled) -> (u64, u64) {
        (lost.load(Ordering::Relaxed), stalled.iter().count() as u64)
    }
}

/// Takes everything, and sums up what was lost and what was there.
fn summed(mut next: impl FnMut() -> Option<Received>) -> (u64, u64) {
    let (mut lost, mut held) = (0, 0);
    while let Some(received) = next() {
        match received {
            Ok(_) => held += 1,
            Err(more) => lost += more,
        }
    }
    (lost, held)
}
