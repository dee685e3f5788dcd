//! Watching what is committed: what passes the filter, with exact values, each version once and in order, or how much was missed.

mod held;
mod watched;

use std::pin::{Pin, pin};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread;
use std::time::Duration;

use held::{adding, held};
use queenright::consensus::RoundPolicy;
use queenright::{
    AgentId, Change, Hive, Key, Op, Operator, Proposal, Value, Version, Watch, WatchError, Watched,
};
use watched::{
    HANGS, as_difference, block_on, contents, difference, fold, read_to_the_end, telling, told,
};

/// Commits one change of one key in a round of its own.
fn write(hive: &Hive, agent: &str, key: &str, op: Op) -> Version {
    let id = format!("{agent} {}", hive.version());
    let proposal = Proposal::on(&hive.snapshot(), agent, id).write(key, op).unwrap();
    assert!(hive.propose(proposal).unwrap().wait().is_committed());
    hive.version()
}

fn set(value: i64) -> Op {
    Op::Set(value.into())
}

/// Versions, and keys that have changed in them.
fn keys(told: &[Watched]) -> Vec<(u64, Vec<&str>)> {
    let keys = |it: &Watched| -> usize { it.changes().len() };
    assert!(told.iter().all(|it| matches!(it, Watched::Commit { .. }) && keys(it) > 0));
    let keys = told.iter().map(|it| it.changes().iter().map(|change| change.key.as_str()));
    told.iter().map(|it| it.version().0).zip(keys.map(Iterator::collect)).collect()
}

#[test]
fn a_key_and_a_prefix_are_watched_through_removals_and_returns() {
    let hive = Hive::builder().build().unwrap();
    let start = hive.snapshot();
    let mut one = hive.watch().key("a/b").unwrap();
    let mut below = hive.watch().under("a").unwrap();
    let mut both = hive.watch().key("c").unwrap().under("a/b").unwrap();
    let mut all = hive.watch();
    for (key, op) in [
        ("a/b", set(1)),
        ("a-b", set(2)),
        ("a/b/c", set(3)),
        ("a/b", Op::Remove),
        ("a", set(5)),
        ("a/b", set(6)),
        ("c", Op::Remove),
        ("c", set(8)),
        ("a/b", set(6)),
        ("ab", set(10)),
    ] {
        write(&hive, "me", key, op);
    }
    assert_eq!(keys(&told(&mut one)), [(1, vec!["a/b"]), (4, vec!["a/b"]), (6, vec!["a/b"])]);
    let below = told(&mut below);
    let expected = [(1, "a/b"), (3, "a/b/c"), (4, "a/b"), (5, "a"), (6, "a/b")];
    assert_eq!(keys(&below), expected.map(|(version, key)| (version, vec![key])));
    let expected = [(1, "a/b"), (3, "a/b/c"), (4, "a/b"), (6, "a/b"), (8, "c")];
    assert_eq!(keys(&told(&mut both)), expected.map(|(version, key)| (version, vec![key])));
    let all = told(&mut all);
    assert_eq!(all.len(), 8, "a removal of nothing is none, and nor is the same value again");

    let values = |at: usize| {
        let [Change { before, after, operator, .. }] = below[at].changes() else { panic!("one") };
        (before.clone(), after.clone(), *operator)
    };
    assert_eq!(values(2), (Some(1.into()), None, Operator::Remove));
    assert_eq!(values(4), (None, Some(6.into()), Operator::Set));
    let mut state = contents(&start);
    all.iter().for_each(|it| fold(&mut state, it.changes()));
    assert_eq!(state, contents(&hive.snapshot()));
}

#[test]
fn what_several_add_in_one_round_is_one_change_from_the_value_before_to_that_after() {
    let hive = Hive::builder().base([(Key::new("n").unwrap(), 5.into())]).build().unwrap();
    let start = hive.snapshot();
    let mut watch = hive.watch();
    let adding = |n: i64| {
        let proposal = Proposal::on(&start, format!("a{n}"), format!("p{n}"));
        proposal.write("n", Op::add(n)).unwrap().write(format!("own/{n}"), set(n)).unwrap()
    };
    let outcomes = hive.propose_many((1..=10).map(adding).collect()).unwrap().wait();
    assert!(outcomes.iter().all(|outcome| outcome.is_committed()));
    write(&hive, "me", "n", Op::add(-60));
    let told = told(&mut watch);
    assert_eq!(told.len(), 2, "{told:?}");
    let changes = told[0].changes();
    assert_eq!(changes.len(), 11);
    assert!(changes.is_sorted_by(|a, b| a.key < b.key), "in order of the keys");
    let n = &changes[0];
    assert_eq!((&n.before, &n.after), (&Some(5.into()), &Some(60.into())));
    assert_eq!(n.operator, Operator::Add);
    let first = hive.history()[0].accepted().next().map(|proposal| proposal.agent.clone());
    assert_eq!(n.writer, first, "who was accepted first");
    let [Change { before, after, .. }] = told[1].changes() else { panic!("one") };
    assert_eq!((before, after), (&Some(60.into()), &Some(0.into())));
}

#[test]
fn what_is_replayed_is_what_was_told_live() {
    let hive = Hive::builder().build().unwrap();
    let mut live = hive.watch();
    let mut seen = Vec::new();
    let mut old = Vec::new();
    for turn in 0..40_i64 {
        old.push((hive.snapshot(), seen.len()));
        let op = if turn % 7 == 6 { Op::Remove } else { Op::add(turn) };
        write(&hive, "me", ["x", "y/z", "y"][turn as usize % 3], op);
        seen.extend(live.next_timeout(HANGS).unwrap());
    }
    let versions: Vec<u64> = seen.iter().map(|it| it.version().0).collect();
    assert!(versions.is_sorted_by(|a, b| a < b));
    for (snapshot, from) in &old {
        let mut replayed = hive.watch().since(snapshot);
        assert_eq!(told(&mut replayed), seen[*from..], "since {}", snapshot.version());
    }
    let narrow = |it: &&Watched| it.changes()[0].key.as_str() == "y";
    let expected: Vec<Watched> = seen.iter().filter(narrow).cloned().collect();
    let mut replayed = hive.watch().key("y").unwrap().since(&old[0].0);
    assert_eq!(told(&mut replayed), expected);
}

#[test]
fn who_falls_behind_what_is_kept_is_told_what_differs() {
    let base = [("a", 1), ("a/gone", 2), ("b", 3), ("same", 4)];
    let base = base.map(|(key, value)| (Key::new(key).unwrap(), value.into()));
    let hive = Hive::builder().keep_rounds(3).base(base).build().unwrap();
    let start = hive.snapshot();
    let mut all = hive.watch();
    // Parts of a filter that overlap.
    let mut some = hive.watch().under("a").unwrap().key("a/new").unwrap().key("b").unwrap();
    let mut quiet = hive.watch().key("same").unwrap().under("nothing").unwrap();
    let mut there_and_back = hive.watch().under("back").unwrap();
    for (agent, key, op) in [
        ("x", "a/gone", Op::Remove),
        ("x", "a/new", set(1)),
        ("y", "b", Op::add(4)),
        ("x", "back", set(1)),
        ("x", "back", Op::Remove),
        ("z", "c", set(7)),
    ] {
        write(&hive, agent, key, op);
    }
    let end = hive.snapshot();
    let missed = told(&mut all);
    let [Watched::Missed { from, to, changes, .. }] = &missed[..] else { panic!("{missed:?}") };
    assert_eq!((*from, *to), (start.version(), end.version()));
    assert_eq!(as_difference(changes), difference(&start, &end, |_| true));
    let origins: Vec<_> = changes.iter().map(|it| (it.writer.clone(), it.operator)).collect();
    let by = |agent: &str, operator| (Some(AgentId::from(agent)), operator);
    let (x, y, z) = (by("x", Operator::Set), by("y", Operator::Add), by("z", Operator::Set));
    assert_eq!(origins, [by("x", Operator::Remove), x, y, z]);

    let missed = told(&mut some);
    let [Watched::Missed { changes, .. }] = &missed[..] else { panic!("{missed:?}") };
    let passes = |key: &Key| key.is_under("a") || key.as_str() == "b";
    assert_eq!(as_difference(changes), difference(&start, &end, passes));
    assert_eq!(told(&mut quiet), [], "nothing was missed there");
    let missed = told(&mut there_and_back);
    assert!(matches!(&missed[..], [Watched::Missed { changes, .. }] if changes.is_empty()));

    // And on it goes.
    let next = write(&hive, "me", "a", set(9));
    for watch in [&mut all, &mut some] {
        assert_eq!(keys(&told(watch)), [(next.0, vec!["a"])]);
    }
    assert_eq!(told(&mut quiet), []);
}

#[test]
fn where_removals_are_forgotten_it_is_not_said_who_removed() {
    let policy = RoundPolicy { window: 2, ..Default::default() };
    let base = [(Key::new("gone").unwrap(), 1.into())];
    let hive = Hive::builder().keep_rounds(2).policy(policy).base(base).build().unwrap();
    let mut watch = hive.watch().key("gone").unwrap();
    let mut idle = hive.watch().key("never").unwrap();
    write(&hive, "me", "gone", Op::Remove);
    for n in 0..4 {
        write(&hive, "me", "other", set(n));
    }
    let missed = told(&mut watch);
    let [change] = missed[0].changes() else { panic!("{missed:?}") };
    assert_eq!((&change.after, &change.writer, change.operator), (&None, &None, Operator::Remove));
    // Nobody knows any more whether there was something in between.
    let missed = told(&mut idle);
    assert!(matches!(&missed[..], [Watched::Missed { changes, .. }] if changes.is_empty()));
}

#[test]
fn who_looks_each_time_misses_nothing_however_long_nothing_happens() {
    let policy = RoundPolicy { window: 2, ..Default::default() };
    let hive = Hive::builder().keep_rounds(2).policy(policy).build().unwrap();
    for is_key in [true, false] {
        let watch = hive.watch();
        let watch = if is_key { watch.key("quiet") } else { watch.under("quiet") };
        let mut watch = watch.unwrap();
        for n in 0..8 {
            write(&hive, "me", "busy", set(n));
            assert_eq!(watch.try_next(), Err(WatchError::NothingYet));
            assert_eq!(watch.snapshot().version(), hive.version());
        }
        let version = write(&hive, "me", "quiet", Op::add(1));
        assert_eq!(keys(&told(&mut watch)), [(version.0, vec!["quiet"])]);
    }
}

#[test]
fn one_that_never_reads_holds_nobody_up_and_keeps_one_version() {
    let hive = Hive::builder().keep_rounds(4).build().unwrap();
    let mut idle: Vec<Watch> = (0..64).map(|_| hive.watch()).collect();
    let value = Arc::<str>::from("a large value");
    let rounds = 500;
    for _ in 0..rounds {
        write(&hive, "me", "k", Op::Set(Value::Text(Arc::clone(&value))));
        write(&hive, "me", "k", Op::Remove);
    }
    assert_eq!(hive.version().0, 2 * rounds);
    // What a version holds is dropped with it: it is held by the records that are kept, and some that wait to be freed.
    let held = Arc::strong_count(&value);
    assert!(held < 100, "{held} of {rounds}");
    let missed = told(&mut idle[0]);
    assert!(matches!(&missed[..], [Watched::Missed { .. }]), "{missed:?}");
}

#[test]
fn with_no_records_at_all_the_differences_are_told() {
    let hive = Hive::builder().keep_rounds(0).build().unwrap();
    let mut state = contents(&hive.snapshot());
    let mut watch = hive.watch();
    for n in 0..3 {
        write(&hive, "me", "k", set(n));
        let told = watch.next().unwrap();
        assert!(matches!(&told, Watched::Missed { from, to, .. } if from.next() == *to));
        fold(&mut state, told.changes());
    }
    assert_eq!(state, contents(&hive.snapshot()));
}

#[test]
fn after_the_end_what_was_committed_is_told_and_then_nothing() {
    let hive = Hive::builder().build().unwrap();
    let (mut shut, mut idle) = (hive.watch(), hive.watch());
    for n in 0..3 {
        write(&hive, "me", "k", set(n));
    }
    hive.shutdown(Duration::ZERO);
    assert_eq!(keys(&told(&mut shut)).len(), 3);
    assert_eq!((shut.next(), shut.next(), shut.try_next()), (None, None, Ok(None)));
    let mut late = hive.watch();
    assert_eq!((late.try_next(), late.next()), (Ok(None), None));
    drop(hive);
    assert_eq!(idle.by_ref().count(), 3);
    assert_eq!(block_on(idle.next_async()), None);
    assert_eq!(idle.next_timeout(HANGS), Ok(None));
}

#[test]
fn whoever_waits_is_woken_when_the_hive_is_dropped() {
    for way in 0..100 {
        let hive = Hive::builder().build().unwrap();
        let watch = hive.watch();
        let (begin, begun) = mpsc::channel();
        let waiting = thread::spawn(move || {
            begin.send(()).unwrap();
            read_to_the_end(watch, way)
        });
        begun.recv().unwrap();
        write(&hive, "me", "k", set(1));
        drop(hive);
        assert_eq!(keys(&waiting.join().unwrap()), [(1, vec!["k"])]);
    }
}

#[test]
fn it_is_over_when_the_queen_panics() {
    let asked = Mutex::new(0);
    let clock = move || {
        let mut asked = asked.lock().unwrap();
        *asked += 1;
        assert!(*asked < 2, "a clock that breaks");
        0
    };
    let hive = Hive::builder().clock(clock).build().unwrap();
    let mut watch = hive.watch();
    write(&hive, "me", "k", set(1));
    let proposal = adding(&hive, "lost", 1);
    assert!(!hive.propose(proposal).unwrap().wait().is_committed());
    assert_eq!(keys(&watch.by_ref().collect::<Vec<_>>()), [(1, vec!["k"])]);
}

#[test]
fn a_task_is_woken_by_a_commit_and_one_that_gives_up_loses_nothing() {
    let hive = Hive::builder().build().unwrap();
    let mut watch = hive.watch().key("k").unwrap();
    let (waker, woken) = telling();
    let mut context = Context::from_waker(&waker);
    let mut next = watch.next_async();
    assert!(Pin::new(&mut next).poll(&mut context).is_pending());
    write(&hive, "me", "other", set(1));
    woken.recv_timeout(HANGS).unwrap();
    assert!(Pin::new(&mut next).poll(&mut context).is_pending(), "not that one");
    write(&hive, "me", "k", set(1));
    woken.recv_timeout(HANGS).unwrap();
    drop(next);
    assert_eq!(watch.next().map(|it| it.version().0), Some(2));
    let one = write(&hive, "me", "k", set(2));
    let told = block_on(watch.next_async()).unwrap();
    assert_eq!(told.version(), one);
}

#[test]
fn on_the_queens_own_thread_nobody_waits() {
    struct Looks(Mutex<Watch>, Mutex<mpsc::Sender<Looked>>);
    type Looked = [Result<Option<u64>, WatchError>; 3];
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            let mut watch = self.0.lock().unwrap();
            let mut timed = || watch.next_timeout(HANGS).map(|it| it.map(|it| it.version().0));
            let (first, second) = (timed(), timed());
            let third = watch.next().map(|it| it.version().0);
            let _ = self.1.lock().unwrap().send([first, second, Ok(third)]);
        }
    }
    let held = held(Hive::builder());
    let (sender, looked) = mpsc::channel();
    let looks = Looks(Mutex::new(held.hive.watch()), Mutex::new(sender));
    let waker = Waker::from(Arc::new(looks));
    let mut ticket = pin!(held.first);
    assert!(ticket.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(held.release);
    let looked = looked.recv_timeout(HANGS).expect("she does not wait for herself");
    assert_eq!(looked, [Ok(Some(1)), Err(WatchError::Busy), Ok(None)]);
    held.hive.drain().unwrap();
}

#[test]
fn whoever_is_woken_finds_what_it_was_woken_for() {
    struct Looks(Mutex<Watch>, Mutex<mpsc::Sender<Result<Option<Watched>, WatchError>>>);
    impl Wake for Looks {
        fn wake(self: Arc<Self>) {
            let told = self.0.lock().unwrap().try_next();
            let _ = self.1.lock().unwrap().send(told);
        }
    }
    let hive = Hive::builder().build().unwrap();
    let (mut watch, other) = (hive.watch(), hive.watch());
    let (sender, looked) = mpsc::channel();
    let waker = Waker::from(Arc::new(Looks(Mutex::new(other), Mutex::new(sender))));
    let mut next = watch.next_async();
    assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&waker)).is_pending());
    write(&hive, "me", "k", set(1));
    let told = looked.recv_timeout(HANGS).unwrap();
    assert!(matches!(told, Ok(Some(watched)) if watched.version().0 == 1), "it was published");
    assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&waker)).is_ready());
    drop(next);
    let mut next = watch.next_async();
    assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(hive);
    assert_eq!(looked.recv_timeout(HANGS).unwrap(), Ok(None), "it was over");
}

#[test]
fn a_waker_that_panics_stops_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as it may");
        }
    }
    let hive = Hive::builder().build().unwrap();
    let mut watch = hive.watch();
    let mut next = watch.next_async();
    let waker = Waker::from(Arc::new(Panics));
    assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&waker)).is_pending());
    let version = write(&hive, "me", "k", set(1));
    drop(next);
    assert_eq!(watch.next().map(|it| it.version()), Some(version));
    assert_eq!(write(&hive, "me", "k", set(2)), version.next());
}

#[test]
fn bad_text_is_no_filter_and_the_empty_prefix_is_everything() {
    let hive = Hive::builder().build().unwrap();
    assert!(hive.watch().key("").is_err() && hive.watch().key("a//b").is_err());
    assert!(hive.watch().under("/a").is_err());
    let mut all = hive.watch().under("").unwrap();
    write(&hive, "me", "k", set(1));
    assert_eq!(keys(&told(&mut all)), [(1, vec!["k"])]);
    assert_eq!(all.snapshot().version(), hive.version());
    fn is_sent<T: Send + Sync + Clone>(_: &T) {}
    is_sent(&all);
}
