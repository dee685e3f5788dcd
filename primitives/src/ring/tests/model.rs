//! Random programs against a list of everything that was published.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Publish,
    PublishMany(usize),
    Recv(usize),
    RecvTimeout(usize),
    RecvMany(usize, usize),
    Drain(usize),
    Subscribe(Options),
    Unsubscribe(usize),
    Close,
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0usize..4;
    let options = prop_oneof![
        Just(Options::block()),
        Just(Options::drop_oldest()),
        (1usize..6).prop_map(Options::drop_newest),
        Just(Options::latest()),
    ];
    let replay = prop_oneof![Just(0), 0usize..80];
    prop_oneof![
        20 => Just(Step::Publish),
        10 => (0usize..40).prop_map(Step::PublishMany),
        12 => at.clone().prop_map(Step::Recv),
        2 => at.clone().prop_map(Step::RecvTimeout),
        8 => (at.clone(), 0usize..20).prop_map(|(at, most)| Step::RecvMany(at, most)),
        2 => at.clone().prop_map(Step::Drain),
        6 => (options, replay).prop_map(|(options, replay)| Step::Subscribe(options.replay(replay))),
        3 => at.prop_map(Step::Unsubscribe),
        1 => Just(Step::Close),
    ]
}

/// A subscription as its documentation describes it.
struct Model {
    overflow: Overflow,
    /// The next message.
    position: u64,
    /// The segment that it reads, which is kept for it.
    reads: Option<u64>,
    /// What a window holds.
    window: VecDeque<u64>,
    joined: u64,
    received: u64,
    lost: u64,
}

struct World {
    counter: Arc<AtomicUsize>,
    publisher: Publisher<Counted>,
    segment: u64,
    segments: u64,
    /// Message n has the number n.
    published: u64,
    closed: bool,
    subscribers: Vec<(Subscriber<Counted>, Model)>,
}

type Received = Result<Vec<u64>, TryRecvError>;

impl World {
    fn new(capacity: usize) -> Self {
        let publisher = Publisher::bounded(capacity);
        // As the module's page says.
        let segment = (1 << (capacity / 8).max(1).ilog2()).min(64);
        let segments = (capacity as u64 - 1).div_ceil(segment) + 1;
        assert_eq!(publisher.ring_places(), segment * segments);
        World {
            counter: Arc::default(),
            publisher,
            segment,
            segments,
            published: 0,
            closed: false,
            subscribers: Vec::new(),
        }
    }

    /// The oldest segment that is kept if this many messages were published.
    fn floor(&self, published: u64) -> u64 {
        published.div_ceil(self.segment).saturating_sub(self.segments)
    }

    /// Whether a message more finds room if this many were published.
    fn has_room(&self, published: u64) -> bool {
        let kept = self.floor(published + 1) * self.segment;
        let mut blocking = self.subscribers.iter().filter(|(_, it)| it.overflow == Overflow::Block);
        blocking.all(|(_, it)| it.position >= kept)
    }

    fn was_published(&mut self, count: u64) {
        for number in self.published..self.published + count {
            for (_, it) in &mut self.subscribers {
                let Overflow::DropNewest(window) = it.overflow else { continue };
                if it.window.len() < window.get() {
                    it.window.push_back(number);
                } else {
                    it.lost += 1;
                }
            }
        }
        self.published += count;
    }

    /// What the model of a subscriber gives that asks for up to `most` messages.
    fn expected(&mut self, at: usize, most: usize) -> Received {
        let (floor, end) = (self.floor(self.published), self.published);
        let (segment, closed) = (self.segment, self.closed);
        let it = &mut self.subscribers[at].1;
        let nothing = Err(if closed { TryRecvError::Closed } else { TryRecvError::Empty });
        if let Overflow::DropNewest(_) = it.overflow {
            if it.window.is_empty() {
                return nothing;
            }
            let count = most.min(it.window.len());
            it.received += count as u64;
            return Ok(it.window.drain(..count).collect());
        }
        if it.position == end {
            return nothing;
        }
        if it.overflow == Overflow::Latest {
            it.lost += end - 1 - it.position;
            it.position = end - 1;
        }
        let mut count = end - it.position;
        if it.overflow != Overflow::Block {
            let mine = it.position / segment;
            if it.reads != Some(mine) && mine < floor {
                let lost = floor * segment - it.position;
                (it.position, it.reads) = (it.position + lost, None);
                it.lost += lost;
                return Err(TryRecvError::Lagged(lost));
            }
            it.reads = Some(mine);
            count = count.min((mine + 1) * segment - it.position);
        }
        let count = count.min(most as u64);
        it.position += count;
        it.received += count;
        Ok((it.position - count..it.position).collect())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Publish => {
                let message = Counted::new(&self.counter, self.published);
                let result = self.publisher.try_publish(message);
                let room = self.has_room(self.published);
                match result.map_err(|error| (error.to_string(), error)) {
                    Ok(()) => {
                        prop_assert!(room && !self.closed);
                        self.was_published(1);
                    }
                    Err((_, TryPublishError::Full(back))) => {
                        prop_assert!(!room && !self.closed && back.get() == self.published);
                    }
                    Err((_, TryPublishError::Closed(back))) => {
                        prop_assert!(self.closed && back.get() == self.published);
                    }
                }
            }
            Step::PublishMany(count) => {
                let numbers = self.published..self.published + count as u64;
                if !numbers.clone().all(|published| self.has_room(published)) {
                    // It would wait.
                    return Ok(());
                }
                let mut messages: Vec<_> =
                    numbers.map(|number| Counted::new(&self.counter, number)).collect();
                let result = self.publisher.publish_many(&mut messages);
                prop_assert_eq!(result.is_err(), self.closed && count > 0);
                prop_assert_eq!(messages.len(), if self.closed { count } else { 0 });
                if !self.closed {
                    self.was_published(count as u64);
                }
            }
            Step::Recv(at) if at < self.subscribers.len() => self.receive(at)?,
            Step::Drain(at) if at < self.subscribers.len() => {
                for _ in 0..20 {
                    self.receive(at)?;
                }
            }
            Step::RecvTimeout(at) if at < self.subscribers.len() => {
                let got = self.subscribers[at].0.recv_timeout(Duration::ZERO);
                let got = got.map(|message| vec![message.get()]).map_err(|error| match error {
                    RecvTimeoutError::TimedOut => TryRecvError::Empty,
                    RecvTimeoutError::Lagged(lost) => TryRecvError::Lagged(lost),
                    RecvTimeoutError::Closed => TryRecvError::Closed,
                });
                prop_assert_eq!(got, self.expected(at, 1));
            }
            Step::RecvMany(at, most) if at < self.subscribers.len() => {
                let got = self.subscribers[at].0.try_recv_many(most);
                let got = got.map(|batch| batch.iter().map(Counted::get).collect());
                prop_assert_eq!(got, self.expected(at, most));
            }
            Step::Subscribe(options) if self.subscribers.len() < 4 => {
                let subscriber = self.publisher.subscribe(options);
                let wanted = match options.overflow {
                    Overflow::DropNewest(_) => 0,
                    _ => options.replay as u64,
                };
                let oldest = self.floor(self.published) * self.segment;
                let position = self.published.saturating_sub(wanted).max(oldest);
                prop_assert_eq!(subscriber.replayed(), self.published - position);
                let model = Model {
                    overflow: options.overflow,
                    position,
                    reads: None,
                    window: VecDeque::new(),
                    joined: position,
                    received: 0,
                    lost: 0,
                };
                self.subscribers.push((subscriber, model));
            }
            Step::Unsubscribe(at) if at < self.subscribers.len() => {
                drop(self.subscribers.swap_remove(at));
            }
            Step::Close => {
                self.publisher.close();
                self.closed = true;
            }
            _ => {}
        }
        Ok(())
    }

    fn receive(&mut self, at: usize) -> Result<(), TestCaseError> {
        let got = self.subscribers[at].0.try_recv().map(|message| vec![message.get()]);
        prop_assert_eq!(got, self.expected(at, 1));
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (mut aside, mut held) = (0, 0);
        for (subscriber, it) in &self.subscribers {
            let unread = match it.overflow {
                Overflow::DropNewest(_) => it.window.len() as u64,
                _ => self.published - it.position,
            };
            prop_assert_eq!((subscriber.len() as u64, subscriber.lost()), (unread, it.lost));
            // Nothing disappears unnoticed.
            prop_assert_eq!(it.received + it.lost + unread, self.published - it.joined);
            aside += usize::from(matches!(it.overflow, Overflow::DropOldest | Overflow::Latest));
            held += it.window.len();
        }
        prop_assert!(self.publisher.segments_aside() <= aside);
        let bound = (self.segments as usize + aside) * self.segment as usize + held;
        prop_assert!(alive(&self.counter) <= bound);
        Ok(())
    }
}

proptest! {
    #[test]
    fn it_behaves_as_a_list_of_everything_that_was_published(
        capacity in prop_oneof![1usize..20, 20usize..70],
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut world = World::new(capacity);
        let counter = Arc::clone(&world.counter);
        for step in steps {
            world.take(step)?;
            world.check()?;
        }
        drop(world);
        prop_assert_eq!(alive(&counter), 0);
    }
}
