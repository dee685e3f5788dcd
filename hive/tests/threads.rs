//! One hive and many threads, the queen's own among them.

mod held;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Duration;

use held::{Held, adding, held};
use queenright::consensus::{RoundPolicy, replay};
use queenright::{
    Entry, Hive, HiveError, Key, Op, Outcome, Proposal, ProposeError, Read, State, Ticket,
    TransactError, Value, Version,
};

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn n(hive: &Hive) -> i64 {
    hive.snapshot().get("n").and_then(Value::as_int).unwrap_or(0)
}

/// A waker that calls a function.
struct Call<F>(F);

impl<F: Fn() + Send + Sync> Wake for Call<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

fn waker(call: impl Fn() + Send + Sync + 'static) -> Waker {
    Waker::from(Arc::new(Call(call)))
}

fn is_pending(ticket: &mut Ticket, waker: &Waker) -> bool {
    Pin::new(ticket).poll(&mut Context::from_waker(waker)).is_pending()
}

/// All the runtime a ticket needs.
fn block_on<F: Future>(future: F) -> F::Output {
    let this = thread::current();
    let waker = waker(move || this.unpark());
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

// Waiting.

#[test]
fn a_timeout_leaves_the_ticket_good() {
    let mut held = held(Hive::builder());
    assert_eq!(held.first.wait_timeout(Duration::ZERO), None);
    drop(held.release);
    assert!(held.first.wait().is_committed());
}

#[test]
fn a_ticket_is_awaited_without_a_runtime() {
    let mut held = held(Hive::builder());
    let (wake, woken) = mpsc::channel();
    // It is not ready yet, so that the answer has to wake whoever waits.
    assert!(is_pending(&mut held.first, &waker(move || wake.send(()).unwrap())));
    drop(held.release);
    woken.recv().unwrap();
    let told = block_on(&mut held.first);
    assert!(told.is_committed());
    assert_eq!(block_on(&mut held.first), told, "it may be awaited again");

    let (hive, first) = (&held.hive, held.first);
    let later = async move { (first.await, hive.propose(adding(hive, "later", 1)).unwrap().await) };
    assert!(matches!(block_on(later), (again, later) if again == told && later.is_committed()));
}

#[test]
fn a_panicking_waker_does_not_stop_the_queen() {
    let mut held = held(Hive::builder());
    assert!(is_pending(&mut held.first, &waker(|| panic!("out of bed on the wrong side"))));
    drop(held.release);
    let next = held.hive.propose(adding(&held.hive, "next", 1)).unwrap();
    assert!(next.wait().is_committed());
    assert!(held.first.wait().is_committed(), "the answer came before the panic");
}

#[test]
fn a_full_queue_gives_the_proposal_back() {
    let held = held(Hive::builder().queue(1));
    let queued = held.hive.try_propose(adding(&held.hive, "queued", 1)).unwrap();
    let third = adding(&held.hive, "third", 1);
    let refused = held.hive.try_propose(third.clone()).unwrap_err();
    assert_eq!(refused, ProposeError::Full(Box::new(third.clone())));
    drop(held.release);
    // `propose` waits for room instead.
    assert!(held.hive.propose(refused.into_proposal()).unwrap().wait().is_committed());
    assert!(queued.wait().is_committed());
}

// Arriving.

#[test]
fn two_contents_of_one_attempt_are_both_refused_whoever_comes_first() {
    let answers = |turn: usize| -> Vec<Outcome> {
        let held = held(Hive::builder());
        let mut twisted = [1, 2].map(|by| adding(&held.hive, "x", by));
        let resent = twisted[0].clone();
        twisted.rotate_left(turn);
        // Both wait in the queue, and come into one round.
        let tickets = twisted.map(|proposal| held.hive.propose(proposal).unwrap());
        drop(held.release);
        let mut answers = Vec::from(tickets.map(Ticket::wait));
        answers.push(held.hive.propose(resent).unwrap().wait());
        answers
    };
    let (one, other) = (answers(0), answers(1));
    assert!(one.iter().all(|outcome| outcome.name() == "invalid"), "{one:?}");
    assert_eq!(one, other, "what is remembered does not depend on who came first either");
}

#[test]
fn what_is_answered_can_be_read_already() {
    let Held { release, mut first, hive } = held(Hive::builder());
    let hive = Arc::new(hive);
    let (tell, told) = mpsc::channel();
    let reader = Arc::downgrade(&hive);
    // Called on the queen's thread when she answers, so that she cannot publish meanwhile.
    let read = move || tell.send(reader.upgrade().map(|hive| n(&hive))).unwrap();
    assert!(is_pending(&mut first, &waker(read)));
    drop(release);
    assert_eq!(told.recv(), Ok(Some(1)));
}

/// G1 in real time: whoever proposes after another was answered has read what that one wrote.
#[test]
fn what_was_answered_is_read_by_whoever_comes_after() {
    const STEPS: i64 = 200;
    // However many rounds the others make before a step is judged, it is not too old.
    let policy = RoundPolicy { window: 1 << 40, ..RoundPolicy::default() };
    let hive = Hive::builder().queue(8).max_batch(4).policy(policy).build().unwrap();
    let over = AtomicBool::new(false);
    let pass = |step: i64| {
        let snapshot = hive.snapshot();
        let held = snapshot.get("baton").and_then(Value::as_int).unwrap_or(0);
        let next = Proposal::on(&snapshot, "runner", format!("step-{step}"))
            .read(Read::Key(key("baton")))
            .write("baton", Op::Set((held + 1).into()));
        (held, hive.propose(next.unwrap()).unwrap().wait())
    };
    thread::scope(|scope| {
        for noisy in 0..2 {
            let (hive, over) = (&hive, &over);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        break;
                    }
                    drop(hive.propose(adding(hive, format!("{noisy}-{number}"), 1)).unwrap());
                }
            });
        }
        for step in 0..STEPS {
            // A thread of its own for each step: joining it is all that orders one after the other.
            let (read, outcome) = scope.spawn(move || pass(step)).join().unwrap();
            if read != step || !outcome.is_committed() {
                over.store(true, Ordering::Relaxed);
                panic!("step {step} read {read}: {outcome}");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

// Conservation.

#[test]
fn eight_threads_commit_exactly_what_the_bound_allows() {
    const BOUND: usize = 300;
    let hive = Hive::builder().queue(16).max_batch(5).build().unwrap();
    let bounded = Op::Add { by: 1, at_least: None, at_most: Some(BOUND as i64) };
    let propose = |thread: usize| -> Vec<Outcome> {
        let id = |number| format!("{thread}-{number}");
        let add = |number| Proposal::on(&hive.snapshot(), "me", id(number));
        let add = |number| add(number).write("n", bounded.clone()).unwrap();
        let tickets: Vec<_> = (0..50).map(|number| hive.propose(add(number)).unwrap()).collect();
        tickets.into_iter().map(Ticket::wait).collect()
    };
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || propose(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let count = |name: &str| outcomes.iter().filter(|outcome| outcome.name() == name).count();
    assert_eq!((count("committed"), count("bound")), (BOUND, 400 - BOUND));
    assert_eq!(n(&hive), BOUND as i64);
}

/// G3: places in the serial order that were committed, each told to exactly one proposer.
#[test]
fn every_ticket_is_answered_though_the_hive_is_dropped_meanwhile() {
    for round in 0..30 {
        let hive = Arc::new(Hive::builder().queue(4).max_batch(3).build().unwrap());
        let threads: Vec<_> = (0..6)
            .map(|thread| {
                let hive = Arc::downgrade(&hive);
                thread::spawn(move || -> Vec<Ticket> {
                    // Whoever lets go last drops the hive, with much in the queue.
                    let id = |number| format!("{thread}-{number}");
                    (0..40)
                        .map_while(|number| {
                            let hive = hive.upgrade()?;
                            Some(hive.propose(adding(&hive, id(number), 1)).unwrap())
                        })
                        .collect()
                })
            })
            .collect();
        let own = hive.propose(adding(&hive, "own", 1)).unwrap();
        drop(hive);
        let tickets = threads.into_iter().flat_map(|thread| thread.join().unwrap()).chain([own]);
        let outcomes: Vec<_> = tickets.map(Ticket::wait).collect();
        let places: BTreeSet<_> = outcomes
            .iter()
            .map(|outcome| match outcome {
                Outcome::Committed { version, order } => (*version, *order),
                other => panic!("round {round}: {other}"),
            })
            .collect();
        assert_eq!(places.len(), outcomes.len(), "no place is told twice");
        let mut expected = (Version(0), 0);
        for (version, order) in places {
            let follows =
                (version, order) == expected || (version, order) == (expected.0.next(), 0);
            assert!(follows, "{version} {order} after {expected:?}: a commit was told to nobody");
            expected = (version, order + 1);
        }
    }
}

#[test]
fn no_increment_of_eight_threads_is_lost() {
    let hive = Hive::builder().max_attempts(u32::MAX).build().unwrap();
    let increment = || {
        for _ in 0..50 {
            let counted = hive.transact(|view| {
                let n = view.get("n")?.and_then(|n| n.as_int()).unwrap_or(0);
                Ok(view.set("n", n + 1)?)
            });
            counted.unwrap();
        }
    };
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(increment);
        }
    });
    assert_eq!(n(&hive), 400);
}

#[test]
fn history_replays_to_the_same_state() {
    let base = || State::base([(key("k/0"), 7.into()), (key("k/1"), 7.into())]);
    let entries = |state: &State| -> Vec<(Key, Entry)> {
        state.iter().map(|(key, entry)| (key.clone(), entry.clone())).collect()
    };
    let values = entries(&base()).into_iter().map(|(key, entry)| (key, entry.value));
    let hive = Hive::builder().base(values).keep_rounds(usize::MAX).max_batch(8).build().unwrap();
    let first = hive.snapshot();
    let propose = |thread: i64| {
        let numbers = (0..70).map(|number| 4 * number + thread);
        let tickets = numbers.map(|number| {
            let op = match number % 5 {
                0 => Op::Set(number.into()),
                1 => Op::Remove,
                2 => Op::add(number),
                3 => Op::Max(number.into()),
                _ => Op::Agree(number.into()),
            };
            // Some are computed from the first snapshot and read a prefix: most of them lose.
            let stale = number % 3 == 0;
            let snapshot = if stale { first.clone() } else { hive.snapshot() };
            let proposal = Proposal::on(&snapshot, "me", format!("p{number}"));
            let proposal = proposal.write(format!("k/{}", number % 7), op).unwrap();
            let read = stale.then(|| Read::Under(key("k")));
            hive.propose(read.into_iter().fold(proposal, Proposal::read)).unwrap()
        });
        tickets.collect::<Vec<_>>().into_iter().map(Ticket::wait).collect::<Vec<_>>()
    };
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|thread| scope.spawn(move || propose(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let committed = outcomes.iter().filter(|outcome| outcome.is_committed()).count();
    assert!((1..outcomes.len()).contains(&committed), "some win, some lose: {committed}");

    let history = hive.history();
    let replayed = replay(base(), history.iter().map(|record| &**record)).unwrap();
    assert_eq!(replayed.version(), hive.version());
    assert_eq!(entries(&replayed), entries(&hive.snapshot()));
}

// The end.

#[test]
fn a_hive_dropped_on_the_queens_thread_still_decides_what_is_queued() {
    let Held { release, mut first, hive } = held(Hive::builder());
    let queued: Vec<_> = (0..10)
        .map(|number| hive.propose(adding(&hive, format!("queued-{number}"), 1)).unwrap())
        .collect();
    let (done, dropped) = mpsc::channel();
    let last = Mutex::new(Some(hive));
    // Joining herself would be an error, or wait for ever; `done` is not sent then.
    let drop_it = move || {
        drop(last.lock().unwrap().take());
        done.send(()).unwrap();
    };
    assert!(is_pending(&mut first, &waker(drop_it)));
    drop(release);
    assert_eq!(dropped.recv(), Ok(()));
    assert!(first.wait().is_committed());
    assert!(queued.into_iter().map(Ticket::wait).all(|outcome| outcome.is_committed()));
}

#[test]
fn when_the_queen_fails_everyone_is_told() {
    let hive = Hive::builder().clock(|| panic!("the clock has stopped")).build().unwrap();
    let last = adding(&hive, "last", 1);
    // What she took is unknown, and so is what was queued before she noticed that she fell.
    let refused = loop {
        match hive.propose(last.clone()) {
            Ok(ticket) => assert_eq!(ticket.wait(), Outcome::CommitUnknown),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, ProposeError::Closed(Box::new(last.clone())));
    assert_eq!(hive.try_propose(last.clone()).unwrap_err(), refused);
    let transaction = hive.transact(|view| Ok(view.set("k", 1)?));
    assert!(matches!(transaction, Err(TransactError::Closed)), "{transaction:?}");
    hive.spawn_all([queenright::agent("a", |view| {
        view.set("k", 1)?;
        Ok(queenright::Next::Done)
    })])
    .unwrap();
    assert_eq!(hive.run_until_settled(10), Err(HiveError::Closed));
    // The agent is a failure then, and its work does not count as settled.
    assert!(!hive.run_until_settled(10).unwrap().failed.is_empty());
    assert_eq!(hive.version(), Version(0), "what was committed can still be read");
}
