//! Broadcast: every subscriber gets every message, in the order in which it was published.

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel as channel;
use queenright_primitives::ring;

pub mod stalled;

/// A broadcast under comparison. Messages are numbers.
pub trait Broadcast: 'static {
    /// As it is called in reports.
    const NAME: &'static str;
    /// A publisher's handle.
    type Publisher: Publish;
    /// A subscriber's handle.
    type Subscriber: Subscribe;

    /// Opens one with room for this many messages, which nobody exceeds.
    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>);
}

/// Publishes; may wait for room. Dropping the last publisher ends the stream.
pub trait Publish: Send + 'static {
    /// To every subscriber.
    fn publish(&mut self, message: u64);

    /// All of these, at once if it can. Leaves none.
    fn publish_many(&mut self, messages: &mut Vec<u64>) {
        messages.drain(..).for_each(|message| self.publish(message));
    }
}

/// Receives every message.
pub trait Subscribe: Send + 'static {
    /// Waits for the next one; `None` at the end of the stream.
    fn next(&mut self) -> Option<u64>;

    /// What is there already, without waiting.
    fn try_next(&mut self) -> Option<u64>;

    /// Waits for the next one, and takes what else is there, up to `most` in all; `false` at the end of the stream.
    fn next_many(&mut self, most: usize, mut each: impl FnMut(u64)) -> bool {
        let Some(first) = self.next() else { return false };
        each(first);
        for _ in 1..most {
            let Some(message) = self.try_next() else { break };
            each(message);
        }
        true
    }
}

fn repeated<T>(count: usize, make: impl FnMut() -> T) -> Vec<T> {
    std::iter::repeat_with(make).take(count).collect()
}

/// The ring.
pub struct Ours;

impl Broadcast for Ours {
    const NAME: &'static str = "ring";
    type Publisher = ring::Publisher<u64>;
    type Subscriber = ring::Subscriber<u64>;

    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>) {
        let publisher = ring::Publisher::bounded(room);
        let subscribers = repeated(subscribers, || publisher.subscribe(ring::Options::block()));
        (vec![publisher; publishers], subscribers)
    }
}

impl Publish for ring::Publisher<u64> {
    fn publish(&mut self, message: u64) {
        assert!(Self::publish(self, message).is_ok(), "it is open");
    }

    fn publish_many(&mut self, messages: &mut Vec<u64>) {
        assert!(Self::publish_many(self, messages).is_ok(), "it is open");
    }
}

impl Subscribe for ring::Subscriber<u64> {
    fn next(&mut self) -> Option<u64> {
        self.recv().ok().map(|message| *message)
    }

    fn try_next(&mut self) -> Option<u64> {
        self.try_recv().ok().map(|message| *message)
    }

    fn next_many(&mut self, most: usize, mut each: impl FnMut(u64)) -> bool {
        match self.recv_many(most) {
            Ok(batch) => {
                batch.iter().for_each(|message| each(*message));
                true
            }
            Err(_) => false,
        }
    }
}

/// tokio's broadcast channel; with room for all messages nobody lags.
pub struct Tokio;

impl Broadcast for Tokio {
    const NAME: &'static str = "tokio broadcast";
    type Publisher = tokio::sync::broadcast::Sender<u64>;
    type Subscriber = tokio::sync::broadcast::Receiver<u64>;

    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>) {
        let sender = tokio::sync::broadcast::Sender::new(room);
        let receivers = repeated(subscribers, || sender.subscribe());
        (vec![sender; publishers], receivers)
    }
}

impl Publish for tokio::sync::broadcast::Sender<u64> {
    fn publish(&mut self, message: u64) {
        assert!(self.send(message).is_ok(), "somebody listens");
    }
}

impl Subscribe for tokio::sync::broadcast::Receiver<u64> {
    fn next(&mut self) -> Option<u64> {
        self.blocking_recv().ok()
    }

    fn try_next(&mut self) -> Option<u64> {
        self.try_recv().ok()
    }
}

/// async-broadcast, used blocking.
pub struct AsyncBroadcast;

impl Broadcast for AsyncBroadcast {
    const NAME: &'static str = "async-broadcast";
    type Publisher = async_broadcast::Sender<u64>;
    type Subscriber = async_broadcast::Receiver<u64>;

    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>) {
        let (sender, receiver) = async_broadcast::broadcast(room);
        let receivers = repeated(subscribers - 1, || receiver.new_receiver());
        (vec![sender; publishers], receivers.into_iter().chain([receiver]).collect())
    }
}

impl Publish for async_broadcast::Sender<u64> {
    fn publish(&mut self, message: u64) {
        assert!(self.broadcast_blocking(message).is_ok(), "somebody listens");
    }
}

impl Subscribe for async_broadcast::Receiver<u64> {
    fn next(&mut self) -> Option<u64> {
        self.recv_blocking().ok()
    }

    fn try_next(&mut self) -> Option<u64> {
        self.try_recv().ok()
    }
}

/// bus; it has one publisher, so several share it under a lock.
pub struct Bus;

impl Broadcast for Bus {
    const NAME: &'static str = "bus";
    type Publisher = Arc<Mutex<bus::Bus<u64>>>;
    type Subscriber = bus::BusReader<u64>;

    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>) {
        let mut bus = bus::Bus::new(room);
        let readers = repeated(subscribers, || bus.add_rx());
        let bus = Arc::new(Mutex::new(bus));
        (repeated(publishers, || Arc::clone(&bus)), readers)
    }
}

impl Publish for Arc<Mutex<bus::Bus<u64>>> {
    fn publish(&mut self, message: u64) {
        self.lock().unwrap_or_else(PoisonError::into_inner).broadcast(message);
    }
}

impl Subscribe for bus::BusReader<u64> {
    fn next(&mut self) -> Option<u64> {
        self.recv().ok()
    }

    fn try_next(&mut self) -> Option<u64> {
        self.try_recv().ok()
    }
}

/// One crossbeam channel a subscriber; the publisher sends to each. Two publishers' messages may come in another order to another
/// subscriber.
pub struct FanOut;

impl Broadcast for FanOut {
    const NAME: &'static str = "crossbeam channels, fan-out";
    type Publisher = Vec<channel::Sender<u64>>;
    type Subscriber = channel::Receiver<u64>;

    fn open(
        room: usize,
        publishers: usize,
        subscribers: usize,
    ) -> (Vec<Self::Publisher>, Vec<Self::Subscriber>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            repeated(subscribers, || channel::bounded(room)).into_iter().unzip();
        (vec![senders; publishers], receivers)
    }
}

impl Publish for Vec<channel::Sender<u64>> {
    fn publish(&mut self, message: u64) {
        for sender in self {
            assert!(sender.send(message).is_ok(), "somebody listens");
        }
    }
}

impl Subscribe for channel::Receiver<u64> {
    fn next(&mut self) -> Option<u64> {
        self.recv().ok()
    }

    fn try_next(&mut self) -> Option<u64> {
        self.try_recv().ok()
    }
}
