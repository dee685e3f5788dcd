//! Broadcast. There is no contender of ours yet: the peers' figures are what it will stand beside.

use std::sync::{Mutex, PoisonError};

use queenright_measure::{Case, Contender, Per, Sampler, Scenario, Side};

use crate::peers::broadcast::{
    AsyncBroadcast, Broadcast, Bus, FanOut, Publish as _, Subscribe as _, Tokio,
};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: SUITE,
        name: "broadcast_ring",
        what: "messages delivered to all subscribers together, each counted where it arrives; none is lost",
        cases,
    }]
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
                .limit("contended atomic add", 1.0)
                .contenders(move || {
                    vec![
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

#[derive(Clone, Copy)]
struct Work {
    publishers: usize,
    subscribers: usize,
    /// A subscriber waits for one message, and then takes what else is there, up to this many in all.
    batch: usize,
}

/// Messages of one window, over all publishers; there is room for all of them, so that none is lost.
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
            B::open(MESSAGES as usize, work.publishers, work.subscribers);
        (handles(publishers), handles(subscribers))
    };
    let run = |(publishers, subscribers): &Handles<B>, number: usize| {
        if let Some(publisher) = publishers.get(number) {
            if let Some(mut publisher) = taken(publisher) {
                let mine = (0..MESSAGES).filter(|n| n % work.publishers as u64 == number as u64);
                mine.for_each(|message| publisher.publish(message));
            }
            return 0;
        }
        taken(&subscribers[number - work.publishers]).map_or(0, |it| received::<B>(it, work))
    };
    let expected = MESSAGES * work.subscribers as u64;
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

/// Receives to the end of the stream, and says how many; each publisher's messages come in their order.
fn received<B: Broadcast>(mut subscriber: B::Subscriber, work: Work) -> u64 {
    let mut next: Vec<u64> = (0..work.publishers as u64).collect();
    let mut count = 0;
    let mut check = |message: u64| {
        let publisher = (message % work.publishers as u64) as usize;
        assert_eq!(message, next[publisher], "in order, without a gap");
        next[publisher] += work.publishers as u64;
    };
    while let Some(message) = subscriber.next() {
        check(message);
        count += 1;
        for _ in 1..work.batch {
            let Some(message) = subscriber.try_next() else { break };
            check(message);
            count += 1;
        }
    }
    count
}
