//! Waiting and waking.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use queenright_measure::{Case, Contender, Goal, Sampler, Scenario, Side};

use crate::peers::event::{Event, EventListener, Ours, ParkingLotCondvar, StdCondvar};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "event_notify",
            what: "a change that nobody waits for, and the notification of it",
            cases: nobody_waits,
        },
        Scenario {
            suite: SUITE,
            name: "event_hand_over",
            what: "there and back: two threads wake each other in turn, and each sleeps meanwhile",
            cases: hand_over,
        },
    ]
}

fn nobody_waits(_: bool) -> Vec<Case> {
    let case =
        Case::nanoseconds().limit("atomic add", 1.0).goal(Goal::NotSlower).contenders(|| {
            vec![
                notifying::<Ours>(Side::Ours),
                notifying::<EventListener>(Side::Peer),
                notifying::<StdCondvar>(Side::Peer),
                notifying::<ParkingLotCondvar>(Side::Peer),
            ]
        });
    vec![case]
}

fn notifying<E: Event>(side: Side) -> Contender {
    Contender::new(E::NAME, side, move |sampler| {
        let (event, changes) = (E::new(), AtomicU64::new(0));
        sampler.blocks(|count| {
            for change in 0..count {
                changes.store(change, Ordering::Relaxed);
                event.notify_one();
            }
        });
    })
}

fn hand_over(_: bool) -> Vec<Case> {
    let case =
        Case::nanoseconds().limit("thread hand-over", 2.0).goal(Goal::NotSlower).contenders(|| {
            vec![
                there_and_back::<Ours>(Side::Ours),
                there_and_back::<EventListener>(Side::Peer),
                there_and_back::<StdCondvar>(Side::Peer),
                there_and_back::<ParkingLotCondvar>(Side::Peer),
            ]
        });
    vec![case]
}

/// Whose turn it is after this many: even for this side, odd for the other, `END` for nobody.
const END: u64 = u64::MAX;

fn there_and_back<E: Event>(side: Side) -> Contender {
    Contender::new(E::NAME, side, move |sampler| take_turns::<E>(sampler))
}

fn take_turns<E: Event>(sampler: &mut Sampler<'_>) {
    let (turns, here, there) = (AtomicU64::new(0), E::new(), E::new());
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut answered = 0u64;
            loop {
                let mine = 2 * answered + 1;
                there.wait_until(|| turns.load(Ordering::Acquire) >= mine);
                if turns.load(Ordering::Acquire) == END {
                    return answered;
                }
                answered += 1;
                turns.store(mine + 1, Ordering::Release);
                here.notify_one();
            }
        });
        let mut asked = 0u64;
        sampler.blocks(|count| {
            for _ in 0..count {
                asked += 1;
                turns.store(2 * asked - 1, Ordering::Release);
                there.notify_one();
                here.wait_until(|| turns.load(Ordering::Acquire) == 2 * asked);
            }
        });
        turns.store(END, Ordering::Release);
        there.notify_one();
        assert!(other.join().is_ok_and(|answered| answered == asked), "each turn was answered");
    });
}
