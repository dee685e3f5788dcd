//! Broadcast: everything to everybody, and what one subscriber that is slow does to another.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use queenright_measure::{Case, Contender, Goal, Per, Sampler, Scenario, Side};

use crate::peers::broadcast::stalled::{self, DropNewest, DropOldest, Latest, Stalls};
use crate::peers::broadcast::{
    AsyncBroadcast, Broadcast, Bus, FanOut, Ours, Publish as _, Subscribe as _, Tokio,
};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "broadcast_ring",
            what: "messages delivered to all subscribers together, each counted where it arrives; none is lost. \
                   With batches, publishers have as many messages at hand",
            cases,
        },
        Scenario {
            suite: SUITE,
            name: "broadcast_ring_stalled",
            what: "messages delivered to one subscriber beside one that is slow: that takes 1 µs for each (Block), or \
                   stalls after its first, and has then lost what is counted",
            cases: stalled_cases,
        },
    ]
}

fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for (publishers, subscribers) in [(1, 1), (1, 8), (1, 100), (8, 8)] {
        for batch in [1, 32] {
            if quick && (subscribers == 100 || publishers == 8) {
                continue;
            }
            let work = Work { publishers, subscribers, batch };
            let case = Case::rate()
                .param("publishers", publishers)
                .axis("subscribers", subscribers)
                .param("batch", batch)
                .goal(Goal::TimesPeer(Tokio::NAME, times_tokio(publishers, subscribers, batch)))
                .goal(Goal::NotSlower)
                .limit("contended atomic add", 1.0)
                .contenders(move || {
                    vec![
                        contender::<Ours>(Side::Ours, work),
                        contender::<Tokio>(Side::Peer, work),
                        contender::<AsyncBroadcast>(Side::Peer, work),
                        contender::<Bus>(Side::Peer, work),
                        // With several publishers its subscribers may see different orders.
                        contender::<FanOut>(
                            if publishers == 1 { Side::Peer } else { Side::Beside },
                            work,
                        ),
                    ]
                });
            cases.push(case);
        }
    }
    cases
}

/// How many times tokio's rate is the least that is asked for.
fn times_tokio(publishers: usize, subscribers: usize, batch: usize) -> f64 {
    match ((publishers, subscribers), batch) {
        ((1, 1), 1) => 2.0,
        ((1, 1), _) => 1.1,
        (_, 1) => 4.0,
        _ => 1.5,
    }
}

/// The room of a ring beside a subscriber that is slow.
const ROOM: usize = 256;

fn stalled_cases(_quick: bool) -> Vec<Case> {
    let case = |rule: &'static str| {
        Case::rate().param("rule", rule).goal(Goal::NotSlower).limit("contended atomic add", 1.0)
    };
    let losing = "tokio and async-broadcast have one rule for all: there the other subscriber loses messages, too, \
                  which are not counted as delivered";
    vec![
        case("Block").contenders(|| {
            vec![
                beside_slow::<Ours>(Side::Ours),
                beside_slow::<AsyncBroadcast>(Side::Peer),
                beside_slow::<Bus>(Side::Peer),
                beside_slow::<FanOut>(Side::Peer),
            ]
        }),
        case("DropOldest").note(losing).contenders(|| {
            vec![
                beside_stalled::<stalled::Ours<DropOldest>>(Side::Ours),
                beside_stalled::<stalled::Tokio>(Side::Beside),
                beside_stalled::<stalled::AsyncBroadcast>(Side::Beside),
                // Another rule, but the other subscriber gets everything.
                beside_stalled::<stalled::FanOut>(Side::Peer),
            ]
        }),
        case("DropNewest").contenders(|| {
            vec![
                beside_stalled::<stalled::Ours<DropNewest>>(Side::Ours),
                beside_stalled::<stalled::FanOut>(Side::Peer),
            ]
        }),
        case("Latest").note(losing).contenders(|| {
            vec![
                beside_stalled::<stalled::Ours<Latest>>(Side::Ours),
                beside_stalled::<stalled::Tokio>(Side::Beside),
                beside_stalled::<stalled::AsyncBroadcast>(Side::Beside),
                beside_stalled::<stalled::FanOut>(Side::Peer),
            ]
        }),
    ]
}

/// Two subscribers for which publishers wait, one of which is slow. What the other gets is counted.
fn beside_slow<B: Broadcast>(side: Side) -> Contender {
    let prepare = || {
        let (publishers, subscribers) = B::open(ROOM, 1, 2);
        (handles(publishers), handles(subscribers))
    };
    let run = |(publishers, subscribers): &Handles<B>, number: usize| match number {
        0 => {
            if let Some(mut publisher) = taken(&publishers[0]) {
                (0..MESSAGES).for_each(|message| publisher.publish(message));
            }
            0
        }
        1 => taken(&subscribers[0]).map_or(0, |it| received::<B>(it, Work::SIMPLE)),
        _ => {
            if let Some(mut slow) = taken(&subscribers[1]) {
                while slow.next().is_some() {
                    let start = Instant::now();
                    while start.elapsed() < Duration::from_micros(1) {}
                }
            }
            0
        }
    };
    Contender::new(B::NAME, side, move |sampler| {
        sampler
            .work(Per::Second, 3, 0, prepare, run, |_, delivered| assert_eq!(delivered, MESSAGES));
    })
}

/// A publisher and a subscriber, and one more that stalls after its first message. What it has lost is counted afterwards.
fn beside_stalled<B: Stalls>(side: Side) -> Contender {
    let prepare = || {
        let (mut publisher, mut subscriber, mut stalled) = B::open(ROOM);
        B::publish(&mut publisher, 0);
        assert_eq!(B::next(&mut subscriber), Some(Ok(0)));
        B::receive_one(&mut stalled);
        (Mutex::new(Some(publisher)), Mutex::new(Some(subscriber)), stalled)
    };
    type Three<B> = (
        Handle<<B as Stalls>::Publisher>,
        Handle<<B as Stalls>::Subscriber>,
        <B as Stalls>::Stalled,
    );
    let run = |(publisher, subscriber, _): &Three<B>, number: usize| {
        if number == 0 {
            if let Some(mut publisher) = taken(publisher) {
                (1..=MESSAGES).for_each(|message| B::publish(&mut publisher, message));
            }
            return 0;
        }
        taken(subscriber).map_or(0, followed::<B>)
    };
    Contender::new(B::NAME, side, move |sampler| {
        sampler.work(Per::Second, 2, 0, prepare, run, |(_, _, stalled), _| {
            let (lost, held) = B::lost_and_held(stalled);
            assert_eq!(lost + held, MESSAGES, "every loss is counted");
            assert!(lost > 0, "it stalled");
        });
    })
}

/// How many messages came until the end of the stream; they come in order, and those that are lost are counted.
fn followed<B: Stalls>(mut subscriber: B::Subscriber) -> u64 {
    let (mut count, mut next) = (0, 1);
    while let Some(received) = B::next(&mut subscriber) {
        match received {
            Ok(message) => {
                assert_eq!(message, next, "in order, without a gap that was not told of");
                next += 1;
                count += 1;
            }
            Err(lost) => next += lost,
        }
    }
    assert_eq!(next, MESSAGES + 1, "up to the last one");
    count
}

#[derive(Clone, Copy)]
struct Work {
    publishers: usize,
    subscribers: usize,
    /// A subscriber waits for one message, and then takes what else is there, up to this many in all.
    batch: usize,
}

impl Work {
    const SIMPLE: Work = Work { publishers: 1, subscribers: 1, batch: 1 };

    /// Messages of one window, over all publishers; there is room for all of them, so that none is lost. So many that the start of all
    /// the threads is a small part of it.
    fn messages(self) -> u64 {
        if self.subscribers > 8 { 16_384 } else { 32_768 }
    }
}

/// Messages beside a subscriber that is slow.
const MESSAGES: u64 = 4096;

/// One thread's part: it takes its handle out, because a handle belongs to one thread.
type Handle<T> = Mutex<Option<T>>;

/// The publishers' and the subscribers'.
type Handles<B> =
    (Vec<Handle<<B as Broadcast>::Publisher>>, Vec<Handle<<B as Broadcast>::Subscriber>>);

fn contender<B: Broadcast>(side: Side, work: Work) -> Contender {
    Contender::new(B::NAME, side, move |sampler| broadcast::<B>(sampler, work))
}

fn broadcast<B: Broadcast>(sampler: &mut Sampler<'_>, work: Work) {
    let prepare = || -> Handles<B> {
        let (publishers, subscribers) =
            B::open(work.messages() as usize, work.publishers, work.subscribers);
        (handles(publishers), handles(subscribers))
    };
    let run = |(publishers, subscribers): &Handles<B>, number: usize| {
        if let Some(publisher) = publishers.get(number) {
            if let Some(mut publisher) = taken(publisher) {
                let mut mine = messages_of(number, work.messages() / work.publishers as u64);
                if work.batch == 1 {
                    mine.for_each(|message| publisher.publish(message));
                } else {
                    let mut batch: Vec<u64> = Vec::with_capacity(work.batch);
                    while mine.len() > 0 {
                        batch.extend(mine.by_ref().take(work.batch));
                        publisher.publish_many(&mut batch);
                    }
                }
            }
            return 0;
        }
        taken(&subscribers[number - work.publishers]).map_or(0, |it| received::<B>(it, work))
    };
    let expected = work.messages() * work.subscribers as u64;
    let threads = work.publishers + work.subscribers;
    sampler.work(Per::Second, threads, 0, prepare, run, |_, delivered| {
        assert_eq!(delivered, expected, "every subscriber received every message");
    });
}

fn handles<T>(all: Vec<T>) -> Vec<Handle<T>> {
    all.into_iter().map(|one| Mutex::new(Some(one))).collect()
}

fn taken<T>(handle: &Handle<T>) -> Option<T> {
    handle.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// The messages of one publisher: its number above 32 bits, and their own below. So a receiver needs no division to check them.
fn messages_of(publisher: usize, count: u64) -> impl ExactSizeIterator<Item = u64> {
    let first = (publisher as u64) << 32;
    (0..count as u32).map(move |n| first | u64::from(n))
}

/// Receives to the end of the stream, and says how many; each publisher's messages come in their order.
fn received<B: Broadcast>(mut subscriber: B::Subscriber, work: Work) -> u64 {
    let mut next = vec![0_u32; work.publishers];
    let mut count = 0;
    let mut check = |message: u64| {
        let next = &mut next[(message >> 32) as usize];
        assert_eq!(message as u32, *next, "in order, without a gap");
        *next += 1;
    };
    if work.batch == 1 {
        while let Some(message) = subscriber.next() {
            check(message);
            count += 1;
        }
        return count;
    }
    while subscriber.next_many(work.batch, |message| {
        check(message);
        count += 1;
    }) {}
    count
}
