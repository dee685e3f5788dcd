//! The queen's driver from outside: many at once, taking back, backpressure, waiting losers, drain, shutdown, numbers.

mod held;

use std::sync::Arc;
use std::sync::mpsc;
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use held::{adding, held};
use queenright::consensus::{BatchWindow, Permissions, RoundPolicy, WhenFull, replay};
use queenright::{
    AgentRef, AskError, Class, Hive, HiveBuilder, HiveError, Key, MAX_VALUE_DEPTH, Next, Op,
    Outcome, Proposal, ProposeError, Read, Spawn, SpawnError, State, Supervision, Ticket,
    TransactError, Value, View, agent,
};

fn hive() -> Hive {
    Hive::builder().build().unwrap()
}

fn n(hive: &Hive) -> i64 {
    hive.snapshot().get("n").and_then(Value::as_int).unwrap_or(0)
}

/// One that sets a key without having read anything.
fn setting(hive: &Hive, id: &str, key: &str) -> Proposal {
    Proposal::on(&hive.snapshot(), "me", id).write(key, Op::Set(id.into())).unwrap()
}

fn all_committed(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(Outcome::is_committed)
}

/// G3, in numbers: whatever was taken was answered, or is pending.
fn assert_all_is_accounted_for(hive: &Hive) {
    let metrics = hive.metrics();
    assert_eq!(metrics.taken, metrics.answered() + metrics.pending as u64, "{metrics:?}");
}

// Many at once.

#[test]
fn many_are_decided_in_one_round_and_answered_in_their_order() {
    let hive = hive();
    let late = setting(&hive, "late", "x").deadline(0);
    let many =
        vec![adding(&hive, "a", 1), late.clone(), adding(&hive, "b", 2), adding(&hive, "a", 1)];
    let hive = Hive::builder().clock(|| 5).build().unwrap();
    let tickets = hive.propose_many(many).unwrap();
    assert_eq!(tickets.len(), 4);
    let outcomes = tickets.wait();
    assert_eq!((hive.version().0, n(&hive)), (1, 3));
    assert_eq!(outcomes[1], Outcome::Expired);
    assert_eq!(outcomes[0], outcomes[3], "one intent has one answer");
    assert!(all_committed(&[outcomes[0].clone(), outcomes[2].clone()]));
    assert_all_is_accounted_for(&hive);
}

#[test]
fn nothing_proposed_is_answered_with_nothing() {
    let hive = hive();
    let tickets = hive.propose_many(Vec::new()).unwrap();
    assert!(tickets.is_empty());
    assert_eq!(tickets.wait(), []);
    assert_eq!(hive.version().0, 0, "that takes no round");
}

#[test]
fn many_may_be_more_than_a_round_takes_and_are_not_divided() {
    let held = held(Hive::builder().max_batch(3));
    let hive = &held.hive;
    let adding = |id: &str| adding(hive, id, 1);
    let singles = ["b", "c"].map(|id| hive.propose(adding(id)).unwrap());
    let many = (0..5).map(|id| adding(&format!("many{id}"))).collect();
    let many = hive.propose_many(many).unwrap();
    drop(held.release);
    assert!(all_committed(&many.wait()) && all_committed(&singles.map(|ticket| ticket.wait())));
    assert!(held.first.wait().is_committed());
    let widths: Vec<_> = hive.history().iter().map(|record| record.batch.len()).collect();
    assert_eq!(widths, [1, 2, 5]);
}

#[test]
fn one_that_is_nested_too_deeply_gives_all_of_them_back() {
    let hive = hive();
    let deep =
        (0..=MAX_VALUE_DEPTH).fold(Value::from(1), |value, _| Value::List(Arc::new(vec![value])));
    let deep = Proposal::on(&hive.snapshot(), "me", "deep").write("x", Op::Set(deep)).unwrap();
    let all = vec![adding(&hive, "a", 1), deep];
    match hive.propose_many(all.clone()) {
        Err(ProposeError::TooDeep(back)) => assert_eq!(back, all),
        other => panic!("{other:?}"),
    }
}

// Backpressure.

#[test]
fn without_waiting_what_does_not_fit_is_given_back() {
    let held = held(Hive::builder().queue(1).when_full(WhenFull::Refuse));
    let hive = &held.hive;
    let queued = hive.propose(adding(hive, "queued", 1)).unwrap();
    let refused = adding(hive, "refused", 1);
    assert_eq!(hive.propose(refused.clone()).unwrap_err().into_proposal(), refused);
    match hive.propose_many(vec![refused.clone(), refused.clone()]) {
        Err(ProposeError::Full(back)) => assert_eq!(back.len(), 2),
        other => panic!("{other:?}"),
    }
    assert_eq!(hive.metrics().queued.iter().sum::<usize>(), 1);
    drop(held.release);
    assert!(queued.wait().is_committed());
    assert_eq!(n(hive), 2);
}

#[test]
fn with_a_time_to_wait_it_is_given_back_when_that_is_over() {
    let wait = WhenFull::WaitFor(Duration::from_millis(5));
    let held = held(Hive::builder().queue(1).when_full(wait));
    let hive = &held.hive;
    let queued = hive.propose(adding(hive, "queued", 1)).unwrap();
    assert!(matches!(hive.propose(adding(hive, "late", 1)), Err(ProposeError::Full(_))));
    drop(held.release);
    assert!(queued.wait().is_committed());
    assert!(hive.propose(adding(hive, "in time", 1)).unwrap().wait().is_committed());
}

/// Whoever waits for room has it once there is some, whatever its class.
#[test]
fn who_waits_for_room_gets_it() {
    let held = held(Hive::builder().queue(1));
    let hive = &held.hive;
    let _queued = hive.propose(adding(hive, "queued", 1)).unwrap();
    let (held_up, waited) = mpsc::channel();
    thread::scope(|scope| {
        for id in 0..4 {
            let (hive, held_up) = (&hive, held_up.clone());
            scope.spawn(move || {
                held_up.send(hive.propose(adding(hive, format!("p{id}"), 1)).unwrap()).unwrap();
            });
        }
        drop(held.release);
        (0..4).for_each(|_| assert!(waited.recv().unwrap().wait().is_committed()));
    });
    assert_eq!(n(hive), 6);
}

/// On the queen's own thread nobody can wait for her.
#[test]
fn a_waker_that_proposes_to_a_full_queue_is_refused_instead_of_waiting_for_ever() {
    let propose = |hive: &Hive| {
        let queued = (0..9).map(|id| hive.propose(adding(hive, format!("w{id}"), 1)));
        let refused = queued.filter(|told| matches!(told, Err(ProposeError::Full(_)))).count();
        (refused > 0, hive.drain())
    };
    let (told, hive, _) = in_a_waker(Hive::builder().queue(2), propose);
    assert_eq!(told, (true, Err(HiveError::Busy)));
    hive.shutdown(Duration::MAX);
    assert_all_is_accounted_for(&hive);
}

// Taking back.

#[test]
fn what_is_taken_back_before_its_round_is_not_judged() {
    let held = held(Hive::builder());
    let hive = &held.hive;
    let unwanted = hive.propose(adding(hive, "unwanted", 100)).unwrap();
    let all = vec![adding(hive, "a", 100), adding(hive, "b", 100)];
    let none_of_these = hive.propose_many(all).unwrap();
    let wanted = hive.propose(adding(hive, "wanted", 1)).unwrap();
    unwanted.cancel();
    none_of_these.cancel();
    held.first.cancel();
    drop(held.release);
    assert_eq!(unwanted.wait(), Outcome::Cancelled);
    assert_eq!(none_of_these.wait(), [Outcome::Cancelled, Outcome::Cancelled]);
    assert!(wanted.wait().is_committed());
    assert!(held.first.wait().is_committed(), "its round had begun");
    assert_eq!(n(hive), 2);
    assert_eq!(hive.metrics().outcomes["cancelled"], 3);
    assert_all_is_accounted_for(hive);
    // It was this attempt that was taken back: another may be made.
    let again = Proposal { attempt: 1, ..adding(hive, "unwanted", 10) };
    assert!(hive.propose(again).unwrap().wait().is_committed());
    let last = replay(State::default(), hive.history().iter().map(|record| &**record)).unwrap();
    assert_eq!(last.get("n"), hive.snapshot().get("n"));
}

// Losers that wait.

fn patient(rounds: u64) -> RoundPolicy {
    RoundPolicy { pending: rounds, ..RoundPolicy::default() }
}

#[test]
fn who_wrote_blindly_and_lost_is_committed_in_a_later_round() {
    let hive = Hive::builder().policy(patient(5)).build().unwrap();
    let set = |id: &str| setting(&hive, id, "x");
    let outcomes = hive.propose_many(vec![set("a"), set("b"), set("c")]).unwrap().wait();
    assert!(all_committed(&outcomes), "{outcomes:?}");
    assert_eq!(hive.version().0, 3);
    assert_all_is_accounted_for(&hive);
    let widths: Vec<_> = hive.history().iter().map(|record| record.batch.len()).collect();
    assert_eq!(widths, [3, 2, 1]);
    replay(State::default(), hive.history().iter().map(|record| &**record)).unwrap();
}

#[test]
fn who_waits_too_long_is_refused_and_a_reader_at_once() {
    let hive = Hive::builder().policy(patient(1)).build().unwrap();
    let set = |id: &str| setting(&hive, id, "x");
    let reader = set("reader").read(Read::Key(Key::new("y").unwrap()));
    let outcomes = hive.propose_many(vec![set("a"), set("b"), set("c"), reader]).unwrap().wait();
    let committed = outcomes.iter().filter(|outcome| outcome.is_committed()).count();
    assert!(committed <= 2, "one a round, of two rounds: {outcomes:?}");
    assert_eq!(hive.version().0, 2);
    assert_all_is_accounted_for(&hive);
}

#[test]
fn one_that_waits_can_be_taken_back() {
    let held = held(Hive::builder().policy(patient(5)));
    let hive = &held.hive;
    let tickets = ["a", "b"].map(|id| hive.propose(setting(hive, id, "x")).unwrap());
    // The clock lets one round pass for each message: the first, and the one in which one of the two loses.
    held.release.send(()).unwrap();
    assert!(held.first.wait().is_committed());
    held.release.send(()).unwrap();
    let [mut a, mut b] = tickets;
    let told = loop {
        let told = [&mut a, &mut b].map(|ticket| ticket.wait_timeout(Duration::from_millis(1)));
        if told.iter().any(Option::is_some) {
            break told;
        }
    };
    let loser = if told[0].is_none() { a } else { b };
    assert!(told.iter().flatten().all(Outcome::is_committed));
    // Its next round has begun by now, or will not begin before the next message.
    loser.cancel();
    held.release.send(()).unwrap();
    held.release.send(()).unwrap();
    let outcome = loser.wait();
    assert!(matches!(outcome, Outcome::Cancelled | Outcome::Committed { .. }), "{outcome}");
    assert_all_is_accounted_for(hive);
}

// Drain.

#[test]
fn drain_waits_for_all_that_was_submitted_before() {
    let hive = Hive::builder().policy(patient(3)).max_batch(2).build().unwrap();
    let mut tickets: Vec<_> =
        (0..50).map(|id| hive.propose(adding(&hive, format!("p{id}"), 1)).unwrap()).collect();
    tickets.extend(["a", "b", "c"].map(|id| hive.propose(setting(&hive, id, "x")).unwrap()));
    hive.drain().unwrap();
    for mut ticket in tickets {
        assert!(ticket.wait_timeout(Duration::ZERO).is_some(), "answered by now");
    }
    assert!(hive.propose(adding(&hive, "after", 1)).unwrap().wait().is_committed());
}

#[test]
fn drain_waits_for_those_that_lost_and_are_judged_again() {
    let held = held(Hive::builder().policy(patient(9)));
    let hive = &held.hive;
    let set = |id: &str| setting(hive, id, "x");
    let mut tickets = hive.propose_many(["a", "b", "c", "d"].map(set).into()).unwrap();
    let (drained, is_drained) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || drained.send(hive.drain()));
        // Until its marks are queued, one of each class.
        while hive.metrics().queued.iter().sum::<usize>() < 6 {
            thread::yield_now();
        }
        // The first round, and the one in which three of them lose. The next has begun, and waits for the clock.
        held.release.send(()).unwrap();
        held.release.send(()).unwrap();
        while hive.metrics().rounds < 2 {
            thread::yield_now();
        }
        // If it was told, it was told by that round. This may take as long as it likes when all is well.
        let early = is_drained.recv_timeout(Duration::from_millis(300));
        assert!(early.is_err(), "three of them are pending");
        drop(held.release);
        is_drained.recv().unwrap().unwrap();
    });
    assert!(all_committed(&tickets.wait_timeout(Duration::ZERO).expect("answered by now")));
}

#[test]
fn nobody_drains_what_is_shut() {
    let hive = hive();
    hive.shutdown(Duration::MAX);
    assert_eq!(hive.drain(), Err(HiveError::Closed));
}

// Shutdown.

#[test]
fn shutdown_decides_what_was_submitted_and_refuses_the_rest() {
    let held = held(Hive::builder().max_batch(2));
    let hive = &held.hive;
    let tickets: Vec<_> =
        (0..9).map(|id| hive.propose(adding(hive, format!("p{id}"), 1)).unwrap()).collect();
    let shut_out = thread::scope(|scope| {
        let shut = scope.spawn(|| hive.shutdown(Duration::MAX));
        drop(held.release);
        shut.join().unwrap()
    });
    assert_eq!(shut_out, 0);
    tickets.into_iter().for_each(|ticket| assert!(ticket.wait().is_committed()));
    assert!(matches!(hive.propose(adding(hive, "late", 1)), Err(ProposeError::Closed(_))));
    assert_eq!((n(hive), hive.shutdown(Duration::ZERO)), (10, 0));
    assert_all_is_accounted_for(hive);
}

#[test]
fn after_the_grace_what_is_left_is_cancelled_and_every_ticket_answered() {
    let held = held(Hive::builder().max_batch(2));
    let hive = &held.hive;
    let tickets: Vec<_> =
        (0..9).map(|id| hive.propose(adding(hive, format!("p{id}"), 1)).unwrap()).collect();
    let many = hive.propose_many(vec![adding(hive, "x", 1), adding(hive, "y", 1)]).unwrap();
    let shut_out = thread::scope(|scope| {
        // Its time is over before the first round is.
        let shut = scope.spawn(|| hive.shutdown(Duration::ZERO));
        while !matches!(hive.try_propose(adding(hive, "probe", 1)), Err(ProposeError::Closed(_))) {}
        drop(held.release);
        shut.join().unwrap()
    });
    assert!(held.first.wait().is_committed(), "its round had begun");
    let cancelled = |outcome: &Outcome| *outcome == Outcome::Cancelled;
    assert!(tickets.into_iter().all(|ticket| cancelled(&ticket.wait())));
    assert!(many.wait().iter().all(cancelled));
    assert!(shut_out >= 11, "{shut_out}: those, and probes that came in before it closed");
    assert_eq!((n(hive), hive.metrics().shut_out), (1, shut_out));
    assert_all_is_accounted_for(hive);
}

#[test]
fn shutting_down_from_a_waker_on_the_queens_own_thread_does_not_wait_for_itself() {
    let (_, hive, first) = in_a_waker(Hive::builder(), |hive| hive.shutdown(Duration::MAX));
    hive.shutdown(Duration::MAX);
    assert!(first.wait().is_committed());
}

#[test]
fn of_several_shutdowns_the_first_sets_the_time() {
    let held = held(Hive::builder());
    let hive = &held.hive;
    let ticket = hive.propose(adding(hive, "x", 1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| hive.shutdown(Duration::MAX));
        while !matches!(hive.try_propose(adding(hive, "probe", 1)), Err(ProposeError::Closed(_))) {}
        let second = scope.spawn(|| hive.shutdown(Duration::ZERO));
        drop(held.release);
        second.join().unwrap();
    });
    assert!(ticket.wait().is_committed());
}

// Wakers.

/// Lets a waker of a held queen's first ticket do something on her thread; gives what that gave, the hive and the ticket.
fn in_a_waker<R: Send + 'static>(
    builder: HiveBuilder,
    run: impl Fn(&Hive) -> R + Send + Sync + 'static,
) -> (R, Arc<Hive>, Ticket) {
    struct Run<F, R>(Arc<Hive>, F, mpsc::Sender<R>);
    impl<R: Send + 'static, F: Fn(&Hive) -> R + Send + Sync + 'static> Wake for Run<F, R> {
        fn wake(self: Arc<Self>) {
            self.2.send((self.1)(&self.0)).unwrap();
        }
    }
    let held = held(builder);
    let (hive, mut first) = (Arc::new(held.hive), held.first);
    let (sender, told) = mpsc::channel();
    wake_with(&mut first, Run(Arc::clone(&hive), run, sender));
    drop(held.release);
    let told = told.recv_timeout(Duration::from_secs(60)).expect("it does not wait for itself");
    (told, hive, first)
}

/// Leaves a waker with a ticket that has no answer yet.
fn wake_with(ticket: &mut Ticket, wake: impl Wake + Send + Sync + 'static) {
    let waker = Waker::from(Arc::new(wake));
    let poll = Future::poll(std::pin::Pin::new(ticket), &mut Context::from_waker(&waker));
    assert!(poll.is_pending());
}

#[test]
fn what_waits_for_the_queen_is_refused_on_her_own_thread() {
    let (transacted, ..) =
        in_a_waker(Hive::builder(), |hive| hive.transact(|view| Ok(view.set("a", 1)?)));
    assert!(matches!(transacted, Err(TransactError::Busy)), "{transacted:?}");
    let (settled, ..) = in_a_waker(Hive::builder(), |hive| hive.run_until_settled(5));
    assert_eq!(settled, Err(HiveError::Busy));
    let other = Hive::builder().build().unwrap();
    let never = || Ok(agent("x", |_: &mut View| Ok(Next::Watch)));
    let (spawned, ..) = in_a_waker(Hive::builder(), move |hive| {
        let supervisor = hive.supervisor(Supervision::default()).unwrap();
        let here = supervisor.spawn("x", Spawn::default(), never).map(drop);
        // Of another hive she is not the queen.
        let elsewhere = other.supervisor(Supervision::default()).unwrap();
        let elsewhere = elsewhere.spawn("x", Spawn::default(), never);
        (here, elsewhere.map(|agent| agent.ask(1, Duration::from_secs(60))))
    });
    assert_eq!(spawned.0, Err(SpawnError::Busy));
    assert!(matches!(spawned.1, Ok(Err(AskError::Failed(_)))), "{:?}", spawned.1);
    let asked = Arc::new(std::sync::OnceLock::<AgentRef>::new());
    let agent = Arc::clone(&asked);
    let (told, ..) = in_a_waker(Hive::builder(), move |hive| {
        let supervisor = hive.supervisor(Supervision::default()).unwrap();
        thread::scope(|scope| {
            let spawn = || drop(agent.set(supervisor.spawn("x", Spawn::default(), never).unwrap()));
            scope.spawn(spawn).join().unwrap();
        });
        agent.get().unwrap().ask(1, Duration::from_secs(60))
    });
    assert_eq!(told, Err(AskError::Busy));
}

#[test]
fn a_panic_that_carries_another_does_not_stop_the_queen() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("and again");
        }
    }
    struct Throw;
    impl Wake for Throw {
        fn wake(self: Arc<Self>) {
            std::panic::panic_any(Bomb);
        }
    }
    let held = held(Hive::builder());
    let (hive, mut first) = (held.hive, held.first);
    wake_with(&mut first, Throw);
    let second = hive.propose(adding(&hive, "second", 1)).unwrap();
    drop(held.release);
    assert!(second.wait().is_committed());
}

// Order.

/// What the queen has not judged yet waits in the order of its class, whatever it was submitted with.
#[test]
fn an_urgent_proposal_does_not_wait_behind_many_that_are_not() {
    let held = held(Hive::builder().max_batch(4));
    let hive = &held.hive;
    let of = |many: usize| {
        let one = |id| adding(hive, format!("{many}-{id}"), 1).class(Class::Background);
        hive.propose_many((0..4).map(one).collect()).unwrap()
    };
    let many: Vec<_> = (0..4).map(of).collect();
    // One round goes by, in which nobody is urgent.
    held.release.send(()).unwrap();
    let mut first = many.into_iter();
    let urgent = loop {
        if hive.metrics().taken > 1 {
            break hive.propose(adding(hive, "urgent", 1).class(Class::Critical)).unwrap();
        }
        thread::yield_now();
    };
    drop(held.release);
    assert!(first.all(|tickets| all_committed(&tickets.wait())));
    let Outcome::Committed { version, .. } = urgent.wait() else { panic!("refused") };
    // Behind the round that had begun, and one that did not fit into it.
    assert!(version.0 <= 4, "{version}");
}

// Ids.

#[test]
fn nobody_answers_a_transaction_with_a_proposal_of_their_own() {
    let hive = hive();
    for id in ["transact#1", "transact#2", "me#0"] {
        assert!(hive.propose(adding(&hive, id, 1)).unwrap().wait().is_committed());
    }
    let taken = adding(&hive, "@transact#1", 1);
    match hive.propose(taken.clone()) {
        Err(ProposeError::Reserved(back)) => assert_eq!(*back, taken),
        other => panic!("{other:?}"),
    }
    assert!(matches!(hive.try_propose(taken.clone()), Err(ProposeError::Reserved(_))));
    assert!(matches!(hive.propose_many(vec![taken]), Err(ProposeError::Reserved(_))));
    hive.transact(|view| Ok(view.set("a", 1)?)).unwrap();
    assert_eq!(hive.snapshot().get("a"), Some(&1.into()));
}

// Policy and width.

#[test]
fn an_agent_without_permission_is_told_where() {
    let permissions = Permissions::nobody().allow("writer", "a").unwrap();
    let policy = RoundPolicy { permissions, ..RoundPolicy::default() };
    let hive = Hive::builder().policy(policy).build().unwrap();
    let told = |agent: &str, key: &str| {
        let id = format!("{agent} {key}");
        let proposal = Proposal::on(&hive.snapshot(), agent, id).write(key, Op::add(1)).unwrap();
        hive.propose(proposal).unwrap().wait()
    };
    assert!(told("writer", "a/b").is_committed());
    assert_eq!(told("writer", "b"), Outcome::Forbidden { key: Key::new("b").unwrap() });
    assert_eq!(told("reader", "a").name(), "forbidden");
    assert!(hive.transact(|view| Ok(view.set("a", 1)?)).is_err(), "`transact` is an agent, too");
}

#[test]
fn rounds_get_narrower_while_many_lose_and_wider_again() {
    let window = BatchWindow::Adaptive { least: 2, step: 3, percent: 25 };
    let hive = Hive::builder().max_batch(16).window(window).build().unwrap();
    assert_eq!(hive.metrics().window, 16);
    let mut widths = Vec::new();
    for round in 0..5 {
        let set = |id| setting(&hive, &format!("{round}-{id}"), "x");
        hive.propose_many((0..16).map(set).collect()).unwrap().wait();
        hive.drain().unwrap();
        widths.push(hive.metrics().window);
    }
    assert_eq!(widths, [8, 4, 2, 2, 2]);
    for round in 5..8 {
        let add = |id| adding(&hive, format!("{round}-{id}"), 1);
        hive.propose_many((0..16).map(add).collect()).unwrap().wait();
        hive.drain().unwrap();
    }
    assert_eq!(hive.metrics().window, 11);
}
