//! Hives that go on where their log ends, and what they promise while a log is slow, fails, or belongs to somebody else.

#[path = "common/logs.rs"]
mod logs;

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queenright::consensus::{CastVote, QuorumRule, Threshold, Vote, VoteError, replay};
use queenright::log::{Archive, CommitLog, Entry, LogError, MemoryLog};
use queenright::testing::Clock;
use queenright::{
    Claimed, Hive, HiveError, Key, Op, Outcome, Proposal, ProposeError, Read, Record, State,
    Version, Watched,
};

use logs::{Hooked, on_slow};

fn on(log: &MemoryLog) -> Hive {
    Hive::builder().log(log.open()).build().unwrap()
}

fn set(hive: &Hive, id: &str, key: &str, value: i64) -> Proposal {
    Proposal::on(&hive.snapshot(), "me", id).write(key, Op::Set(value.into())).unwrap()
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn commit(hive: &Hive, id: &str, key: &str, value: i64) -> Outcome {
    hive.propose(set(hive, id, key, value)).unwrap().wait()
}

fn records(log: &MemoryLog) -> Vec<Record> {
    log.after(Version(0)).unwrap().map(|entry| entry.unwrap().record().unwrap()).collect()
}

#[test]
fn it_goes_on_with_its_state_its_answers_and_its_history() {
    let log = MemoryLog::new();
    let hive = on(&log);
    let first = commit(&hive, "first", "a", 1);
    let early = hive.snapshot();
    let stale = set(&hive, "stale", "a", 3).read(Read::Key(key("a")));
    commit(&hive, "second", "a", 2);
    let refused = hive.propose(stale.clone()).unwrap().wait();
    assert!(matches!(refused, Outcome::Conflict { .. }));
    let (version, history) = (hive.version(), hive.history());
    drop(hive);

    let hive = on(&log);
    assert_eq!(hive.version(), version);
    assert_eq!(hive.snapshot().get("a"), Some(&2.into()));
    assert_eq!(hive.history(), history);
    // The same intents are told what they were told, and nothing happens twice.
    assert_eq!(commit(&hive, "first", "a", 1), first);
    assert_eq!(hive.propose(stale).unwrap().wait(), refused);
    assert_eq!(hive.snapshot().get("a"), Some(&2.into()));
    assert!(commit(&hive, "third", "b", 3).is_committed());
    let state = replay(State::base([]), &records(&log)).unwrap();
    assert_eq!(state.get("b"), Some(&3.into()));
    // Whoever watches from an earlier version sees what was committed before the restart.
    let told: Vec<Watched> = hive.watch().since(&early).take(1).collect();
    assert!(matches!(&told[0], Watched::Commit { version: Version(2), .. }), "{told:?}");
}

#[test]
fn the_base_is_that_of_the_first_time() {
    let log = MemoryLog::new();
    let with_base = |value: i64| {
        let base = [(key("a"), value.into())];
        Hive::builder().base(base).log(log.open()).build().unwrap()
    };
    drop(with_base(1));
    assert_eq!(with_base(2).snapshot().get("a"), Some(&1.into()));
}

#[test]
fn open_ballots_and_their_votes_outlive_the_hive() {
    let log = MemoryLog::new();
    let rule = || QuorumRule::new(["ada", "bob", "cyd"], Threshold::Unanimous).unwrap();
    let hive = on(&log);
    let proposal = set(&hive, "release", "live", 1).with_quorum(rule().within(1_000_000));
    let ticket = hive.propose(proposal.clone()).unwrap();
    hive.vote(CastVote::on("release", "ada", Vote::Yes)).unwrap();
    drop(hive);
    assert_eq!(ticket.wait(), Outcome::CommitUnknown, "the ballot goes on");

    let hive = on(&log);
    let [open] = &hive.ballots()[..] else { panic!("one is open") };
    assert_eq!((open.tally.yes, &*open.proposal), (1, &proposal));
    let again = hive.vote(CastVote::on("release", "ada", Vote::Yes));
    assert_eq!(again, Err(VoteError::HasVoted { cast: Vote::Yes }));
    hive.vote(CastVote::on("release", "bob", Vote::Yes)).unwrap();
    drop(hive);

    let hive = on(&log);
    // Whoever sends it once more waits for the same ballot.
    let ticket = hive.propose(proposal).unwrap();
    hive.drain().unwrap();
    hive.vote(CastVote::on("release", "cyd", Vote::Yes)).unwrap();
    assert!(ticket.wait().is_committed());
    assert_eq!(hive.snapshot().get("live"), Some(&1.into()));
    replay(State::base([]), &records(&log)).unwrap();
}

/// Nobody waits for it any more, and it is decided all the same.
#[test]
fn a_ballot_that_nobody_asks_for_again_ends_by_its_votes() {
    let log = MemoryLog::new();
    let hive = on(&log);
    let rule = QuorumRule::new(["ada"], Threshold::Unanimous).unwrap().within(1_000_000);
    drop(hive.propose(set(&hive, "p", "k", 1).with_quorum(rule)).unwrap());
    hive.drain().unwrap();
    drop(hive);
    let hive = on(&log);
    hive.vote(CastVote::on("p", "ada", Vote::Yes)).unwrap();
    hive.drain().unwrap();
    assert_eq!(hive.snapshot().get("k"), Some(&1.into()));
    assert!(hive.ballots().is_empty());
}

#[test]
fn the_clock_goes_on_so_that_deadlines_do_not_come_again() {
    let log = MemoryLog::new();
    let clock = Clock::at(5_000);
    let hive = Hive::builder().log(log.open()).clock(clock.reader()).build().unwrap();
    commit(&hive, "a", "a", 1);
    drop(hive);
    // A clock of its own, which goes on from 5,000.
    let hive = on(&log);
    let late = set(&hive, "late", "b", 1).deadline(4_999);
    assert_eq!(hive.propose(late).unwrap().wait(), Outcome::Expired);
}

#[test]
fn ids_tokens_and_lives_of_before_never_come_again() {
    let log = MemoryLog::new();
    let hive = on(&log);
    let write = |hive: &Hive, value: i64| {
        hive.transact(|view| Ok(view.write("t", Op::Set(value.into()))?)).unwrap();
    };
    write(&hive, 1);
    let claim = hive.claims().claim("task", "ant").unwrap().claimed();
    let fenced = hive.fence("worker").incarnation;
    drop(hive);

    let hive = on(&log);
    write(&hive, 2);
    assert_eq!(hive.snapshot().get("t"), Some(&2.into()), "not taken for the one before");
    let under = |id: &str, claim: Claimed| set(&hive, id, "task", 1).under(claim);
    let refused = hive.propose(under("old", claim.clone())).unwrap().wait();
    assert!(matches!(refused, Outcome::StaleClaim { .. }), "{refused}");
    let new = hive.claims().claim("task", "bee").unwrap().claimed();
    assert!(new.token > claim.token);
    let refused = hive.propose(under("older", claim)).unwrap().wait();
    assert!(matches!(refused, Outcome::StaleClaim { .. }), "{refused}");
    assert!(hive.propose(under("new", new)).unwrap().wait().is_committed());
    assert!(hive.fence("worker").incarnation > fenced);
}

#[test]
fn nothing_is_read_or_answered_before_it_is_in_the_log() {
    let log = MemoryLog::new();
    let (hive, let_through, begun) = on_slow(&log, Hive::builder());
    let before = hive.snapshot();
    let mut ticket = hive.propose(set(&hive, "a", "a", 1)).unwrap();
    let mut watch = hive.watch();
    assert_eq!(begun.recv().map(|entries| entries.len()), Ok(1));
    // It is being appended; whatever is looked at is as it was.
    assert_eq!(ticket.wait_timeout(Duration::ZERO), None);
    assert_eq!((hive.version(), hive.snapshot().get("a")), (Version(0), None));
    assert!(hive.history().is_empty() && watch.try_next().is_err());
    assert_eq!(hive.metrics().outcomes.values().sum::<u64>(), 0);
    let_through.send(()).unwrap();
    assert!(ticket.wait().is_committed());
    assert_eq!(hive.snapshot().get("a"), Some(&1.into()));
    assert_eq!(before.get("a"), None);
    assert!(matches!(watch.next(), Some(Watched::Commit { version: Version(1), .. })));
}

#[test]
fn what_is_decided_while_one_append_is_under_way_goes_into_the_next() {
    let log = MemoryLog::new();
    let (hive, let_through, begun) = on_slow(&log, Hive::builder().max_batch(1));
    let first = hive.propose(set(&hive, "first", "a", 0)).unwrap();
    assert_eq!(begun.recv().map(|entries| entries.len()), Ok(1));
    let tickets: Vec<_> = (0..20)
        .map(|number| hive.propose(set(&hive, &format!("p{number}"), "b", number)).unwrap())
        .collect();
    // Of those that the queen has taken, she has decided all but the last at least.
    while hive.metrics().taken < 21 {
        std::thread::yield_now();
    }
    let_through.send(()).unwrap();
    assert!(first.wait().is_committed());
    let together = begun.recv().unwrap().len();
    assert!(together >= 19, "{together} of 20 rounds");
    drop(begun);
    let_through.send(()).unwrap();
    for ticket in &mut tickets.into_iter().take(19) {
        let outcome = ticket.wait();
        assert!(!matches!(outcome, Outcome::CommitUnknown), "{outcome}");
    }
    assert!(hive.version() >= Version(20));
}

#[test]
fn a_log_that_fails_stops_commits_and_tells_later_what_became_of_them() {
    let broken: fn() -> LogError = || LogError::Other("the disk is broken".to_owned());
    let panics: fn() -> LogError = || panic!("the log panics");
    for (how, says) in [(broken, "the disk is broken"), (panics, "the log has panicked")] {
        for writes in [false, true] {
            let log = MemoryLog::new();
            let appends = Arc::<AtomicUsize>::default();
            let appended = Arc::clone(&appends);
            let failing = Hooked::on(&log, move |log, expected, entries| {
                // From the second on it fails, and writes all the same or not.
                let is_first = appended.fetch_add(1, Ordering::Relaxed) == 0;
                if is_first || writes {
                    log.append(expected, entries)?;
                }
                if is_first { Ok(()) } else { Err(how()) }
            });
            let hive = Hive::builder().log(failing).build().unwrap();
            assert!(commit(&hive, "good", "a", 1).is_committed());
            let lost = set(&hive, "lost", "a", 2);
            assert_eq!(hive.propose(lost.clone()).unwrap().wait(), Outcome::CommitUnknown);
            // Once it is told, the hive is closed: nothing more is appended.
            let refused = hive.propose(set(&hive, "later", "a", 3));
            match refused {
                Err(ProposeError::Closed(_)) => {}
                Ok(ticket) => assert_eq!(ticket.wait(), Outcome::Cancelled),
                Err(error) => panic!("{error}"),
            }
            assert_eq!(hive.snapshot().get("a"), Some(&1.into()), "reads go on");
            assert!(matches!(hive.drain(), Err(HiveError::Closed)));
            assert_eq!(hive.log_failure().unwrap().to_string(), says);
            assert_eq!(appends.load(Ordering::Relaxed), 2);
            let metrics = hive.metrics();
            assert_eq!(metrics.outcomes["unknown"], 1, "{metrics:?}");
            drop(hive);

            let hive = on(&log);
            assert!(hive.log_failure().is_none());
            assert_eq!(hive.version(), Version(if writes { 2 } else { 1 }));
            let told = hive.propose(lost).unwrap().wait();
            assert_eq!(told, Outcome::Committed { version: Version(2), order: 0 });
            assert_eq!(hive.snapshot().get("a"), Some(&2.into()));
        }
    }
}

#[test]
fn a_queen_who_was_deposed_commits_nothing_more() {
    let log = MemoryLog::new();
    let old = on(&log);
    assert!(commit(&old, "a", "a", 1).is_committed());
    let new = on(&log);
    assert_eq!(new.snapshot().get("a"), Some(&1.into()));
    assert_eq!(commit(&old, "b", "a", 2), Outcome::CommitUnknown);
    assert!(matches!(old.log_failure(), Some(LogError::Fenced { term: 1, current: 2 })));
    assert_eq!(old.snapshot().get("a"), Some(&1.into()));
    assert!(commit(&new, "c", "a", 3).is_committed());
    assert_eq!(records(&log).len(), 2);
}

#[test]
fn a_log_that_holds_something_else_is_refused() {
    let log = MemoryLog::new();
    let hive = on(&log);
    commit(&hive, "a", "a", 1);
    commit(&hive, "b", "a", 2);
    drop(hive);
    let history = records(&log);
    // Another record in the second place, as good as any, that does not follow from the first.
    let mut other = history[1].clone();
    other.previous = history[1].digest;
    let forged = MemoryLog::new();
    drop(on(&forged));
    let mut writer = forged.open();
    writer.append(Version(0), &[Entry::of(&history[0]), Entry::of(&other)]).unwrap();
    let error = Hive::builder().log(writer).build().unwrap_err();
    assert!(
        matches!(error, HiveError::Log(LogError::Diverges { round: Version(2), .. })),
        "{error}"
    );
    // Bytes that are no record.
    let broken = MemoryLog::new();
    drop(on(&broken));
    let mut writer = broken.open();
    let entry = Entry { bytes: b"nothing".to_vec(), ..Entry::of(&history[0]) };
    writer.append(Version(0), &[entry]).unwrap();
    let error = Hive::builder().log(writer).build().unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
}

/// A waker runs where answers are given: on the thread of the log. Whoever waits for the queen there would wait for ever.
#[test]
fn nobody_waits_for_the_queen_where_her_answers_are_given() {
    let log = MemoryLog::new();
    let hive = Arc::new(on(&log));
    let told = Arc::new(Mutex::new(None));
    let ticket = hive.propose(set(&hive, "a", "a", 1)).unwrap();
    let (hives, tells) = (Arc::clone(&hive), Arc::clone(&told));
    let (done, wait) = channel();
    let waker = waker(move || {
        *tells.lock().unwrap() = Some(hives.drain());
        done.send(()).unwrap();
    });
    let mut ticket = std::pin::pin!(ticket);
    let polled = ticket.as_mut().poll(&mut std::task::Context::from_waker(&waker));
    if polled.is_pending() {
        wait.recv().unwrap();
        assert_eq!(*told.lock().unwrap(), Some(Err(HiveError::Busy)));
    }
}

fn waker(wake: impl Fn() + Send + Sync + 'static) -> std::task::Waker {
    struct Wakes<F>(F);
    impl<F: Fn() + Send + Sync + 'static> std::task::Wake for Wakes<F> {
        fn wake(self: Arc<Self>) {
            (self.0)();
        }
    }
    Arc::new(Wakes(wake)).into()
}
