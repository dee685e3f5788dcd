//! What a hive with a log promises when it is restored, shut down, or meets somebody's code that panics.

#[path = "common/logs.rs"]
mod logs;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use queenright::consensus::{CastVote, QuorumRule, RoundPolicy, Threshold, Vote, replay};
use queenright::log::{
    Archive, CommitLog, Entries, Entry, Image, LogError, MemoryLog, MemoryLogWriter,
};
use queenright::{
    Class, Fence, Hive, Key, Metrics, Op, Outcome, Proposal, ProposeError, Record, Snapshot, State,
    Value, Version,
};

use logs::{on_slow, slow};

fn on(log: &MemoryLog) -> Hive {
    Hive::builder().log(log.open()).build().unwrap()
}

fn set(hive: &Hive, id: &str, key: &str, value: impl Into<Value>) -> Proposal {
    Proposal::on(&hive.snapshot(), "me", id).write(key, Op::Set(value.into())).unwrap()
}

fn commit(hive: &Hive, id: &str, key: &str, value: i64) -> Outcome {
    hive.propose(set(hive, id, key, value)).unwrap().wait()
}

#[test]
fn a_claim_after_a_restart_holds_from_the_restored_version_on() {
    let log = MemoryLog::new();
    let hive = on(&log);
    let early = hive.snapshot();
    let ant = hive.claims().claim("k", "ant").unwrap();
    for number in 0..3 {
        let proposal = set(&hive, &format!("p{number}"), "k", number).under(ant.claimed());
        assert!(hive.propose(proposal).unwrap().wait().is_committed());
    }
    drop(hive);

    let hive = on(&log);
    assert_eq!(hive.fence("ant").since, Version(3));
    let bee = hive.claims().claim("k", "bee").unwrap();
    assert_eq!(bee.since(), Version(3));
    // She has looked before the ant wrote.
    let stale = Proposal::on(&early, "bee", "stale").write("k", Op::Set(9.into())).unwrap();
    let told = hive.propose(stale.under(bee.claimed())).unwrap().wait();
    let since = Fence::Since { key: Key::new("k").unwrap(), since: Version(3) };
    assert_eq!(told, Outcome::StaleClaim { fence: since });
}

#[test]
fn metrics_know_the_restored_version() {
    let log = MemoryLog::new();
    let hive = on(&log);
    commit(&hive, "a", "a", 1);
    drop(hive);
    let hive = on(&log);
    assert_eq!(hive.metrics().version, Version(1));
}

fn entries(log: &MemoryLog) -> Vec<Entry> {
    log.after(Version(0)).unwrap().map(Result::unwrap).collect()
}

fn records(log: &MemoryLog) -> Vec<Record> {
    entries(log).iter().map(|entry| entry.record().unwrap()).collect()
}

/// What a crash leaves: the first so many rounds.
fn crashed(log: &MemoryLog, rounds: usize) -> MemoryLog {
    let left = MemoryLog::new();
    drop(on(&left));
    left.open().append(Version(0), &entries(log)[..rounds]).unwrap();
    left
}

/// A clock at which the queen can be held.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<(bool, u64)>, Condvar)>);

impl Gate {
    fn clock(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let Gate(gate) = self.clone();
        move || {
            let mut state = gate.0.lock().unwrap();
            state.1 += 1;
            gate.1.notify_all();
            drop(gate.1.wait_while(state, |(is_shut, _)| *is_shut).unwrap());
            5
        }
    }

    /// Holds the queen in the round of what is proposed.
    fn hold<T>(&self, propose: impl FnOnce() -> T) -> T {
        let asked = {
            let mut state = self.0.0.lock().unwrap();
            state.0 = true;
            state.1
        };
        let ticket = propose();
        let state = self.0.0.lock().unwrap();
        drop(self.0.1.wait_while(state, |(_, now)| *now == asked).unwrap());
        ticket
    }

    fn open(&self) {
        self.0.0.lock().unwrap().0 = false;
        self.0.1.notify_all();
    }
}

fn of_ada() -> QuorumRule {
    QuorumRule::new(["ada"], Threshold::Unanimous).unwrap().within(1_000_000)
}

fn is_balanced(metrics: &Metrics) {
    let open = (metrics.pending + metrics.voted_on) as u64;
    assert_eq!(metrics.taken, metrics.answered() + open, "{metrics:?}");
}

/// A log that ends where a proposal is pending whose ballot has passed, and that proposal.
fn passed_and_pending() -> (MemoryLog, Snapshot, Proposal, RoundPolicy) {
    let (gate, log) = (Gate::default(), MemoryLog::new());
    let policy = RoundPolicy { pending: 10, ..RoundPolicy::default() };
    let builder = Hive::builder().log(log.open()).clock(gate.clock());
    let hive = builder.policy(policy.clone()).build().unwrap();
    let early = hive.snapshot();
    let proposal = set(&hive, "p", "k", 1).with_quorum(of_ada());
    let ticket = hive.propose(proposal.clone()).unwrap();
    hive.drain().unwrap();
    let busy = gate.hold(|| hive.propose(set(&hive, "busy", "b", 1)).unwrap());
    let votes = hive.cast(vec![CastVote::on("p", "ada", Vote::Yes)]);
    let rival = hive.propose(set(&hive, "q", "k", 2).class(Class::Critical)).unwrap();
    gate.open();
    assert!(busy.wait().is_committed() && rival.wait().is_committed());
    assert!(votes.wait()[0].is_ok() && ticket.wait().is_committed());
    drop(hive);
    let lost = records(&log).iter().position(|record| !record.verdicts.pending.is_empty());
    (crashed(&log, lost.expect("it has lost once") + 1), early, proposal, policy)
}

#[test]
fn what_was_pending_is_judged_after_a_restart() {
    let (log, early, proposal, policy) = passed_and_pending();
    let until = records(&log).len() as u64;
    let build = |log: &MemoryLog| {
        let builder = Hive::builder().log(log.open()).clock(|| 6);
        builder.policy(policy.clone()).build().unwrap()
    };
    let hive = build(&log);
    // Nobody says anything, and she judges it.
    let mut watch = hive.watch().since(&early);
    while watch.snapshot().version() <= Version(until) {
        watch.next_timeout(Duration::from_secs(60)).expect("she does not wait");
    }
    assert_eq!(hive.snapshot().get("k"), Some(&1.into()));
    let committed = hive.propose(proposal.clone()).unwrap().wait();
    assert_eq!(committed, Outcome::Committed { version: Version(until + 1), order: 0 });
    is_balanced(&hive.metrics());
    assert!(hive.ballots().is_empty());
    drop(hive);
    replay(State::base([]), &records(&log)).unwrap();
}

/// Ends a hive at once, while its queen is held; what she has not taken by then is cancelled.
fn end(hive: &Arc<Hive>, gate: &Gate) {
    let other = Arc::clone(hive);
    let ends = thread::spawn(move || other.shutdown(Duration::ZERO));
    while !matches!(hive.try_propose(set(hive, "closed?", "z", 0)), Err(error) if is_closed(&error))
    {
        thread::yield_now();
    }
    gate.open();
    ends.join().unwrap();
}

fn is_closed(error: &ProposeError) -> bool {
    matches!(error, ProposeError::Closed(_))
}

#[test]
fn what_is_voted_on_and_sent_again_is_not_told_that_it_is_cancelled() {
    for is_logged in [true, false] {
        let (gate, log) = (Gate::default(), MemoryLog::new());
        let builder = Hive::builder().clock(gate.clock());
        let builder = if is_logged { builder.log(log.open()) } else { builder };
        let hive = Arc::new(builder.build().unwrap());
        let proposal = set(&hive, "p", "k", 1).with_quorum(of_ada());
        let first = hive.propose(proposal.clone()).unwrap();
        hive.drain().unwrap();
        let busy = gate.hold(|| hive.propose(set(&hive, "busy", "b", 1)).unwrap());
        let alone = hive.propose(proposal.clone()).unwrap();
        let other = set(&hive, "other", "o", 1);
        let together = hive.propose_many(vec![other, proposal.clone()]).unwrap();
        end(&hive, &gate);
        let open = if is_logged { Outcome::CommitUnknown } else { Outcome::Cancelled };
        assert!(busy.wait().is_committed());
        assert_eq!((first.wait(), alone.wait()), (open.clone(), open.clone()));
        assert_eq!(together.wait(), [Outcome::Cancelled, open]);
        let metrics = hive.metrics();
        is_balanced(&metrics);
        assert_eq!(metrics.outcomes["cancelled"], metrics.shut_out);
        drop(hive);
        if is_logged {
            let hive = Hive::builder().log(log.open()).clock(|| 6).build().unwrap();
            hive.vote(CastVote::on("p", "ada", Vote::Yes)).unwrap();
            assert!(hive.propose(proposal).unwrap().wait().is_committed(), "as it may be");
        }
    }
}

#[test]
fn what_was_answered_and_is_sent_again_is_told_the_same_at_the_end() {
    for is_logged in [true, false] {
        let (gate, log) = (Gate::default(), MemoryLog::new());
        let builder = Hive::builder().clock(gate.clock());
        let builder = if is_logged { builder.log(log.open()) } else { builder };
        let hive = Arc::new(builder.build().unwrap());
        let committed = set(&hive, "committed", "k", 1);
        let told = hive.propose(committed.clone()).unwrap().wait();
        assert!(told.is_committed());
        let expired = set(&hive, "expired", "k", 1).deadline(1);
        assert_eq!(hive.propose(expired.clone()).unwrap().wait(), Outcome::Expired);
        let _busy = gate.hold(|| hive.propose(set(&hive, "busy", "b", 1)).unwrap());
        let one = hive.propose(committed.clone()).unwrap();
        let new = set(&hive, "new", "n", 1);
        let many = hive.propose_many(vec![new, expired, committed]).unwrap();
        end(&hive, &gate);
        assert_eq!(one.wait(), told);
        assert_eq!(many.wait(), [Outcome::Cancelled, Outcome::Expired, told]);
        is_balanced(&hive.metrics());
    }
}

/// Of rivals one is committed, and the others are pending in that round; then the time is over.
#[test]
fn what_is_pending_at_the_end_is_not_told_that_it_is_cancelled() {
    for is_logged in [true, false] {
        let (gate, log) = (Gate::default(), MemoryLog::new());
        let (slow, let_through, begun) = slow(&log);
        let policy = RoundPolicy { pending: 10, ..RoundPolicy::default() };
        let builder = Hive::builder().clock(gate.clock()).policy(policy.clone());
        let builder = match is_logged {
            true => builder.log(slow),
            false => {
                drop(slow);
                builder
            }
        };
        let hive = Arc::new(builder.build().unwrap());
        let rivals = vec![set(&hive, "a", "k", 1), set(&hive, "b", "k", 2)];
        let tickets = gate.hold(|| hive.propose_many(rivals.clone()).unwrap());
        // The round is published after she has ended what it leaves pending: until then nothing else is answered.
        let watched = Arc::clone(&hive);
        let late = thread::spawn(move || {
            if begun.recv().is_ok() {
                while watched.metrics().answered() == 0 {
                    thread::yield_now();
                }
            }
            let _ = let_through.send(());
        });
        end(&hive, &gate);
        late.join().unwrap();
        let told = tickets.wait();
        let lost = if is_logged { Outcome::CommitUnknown } else { Outcome::Cancelled };
        assert_eq!(told.iter().filter(|outcome| outcome.is_committed()).count(), 1, "{told:?}");
        assert!(told.contains(&lost), "{told:?}");
        is_balanced(&hive.metrics());
        drop(hive);
        if is_logged {
            let builder = Hive::builder().log(log.open()).clock(|| 6).policy(policy);
            let hive = builder.build().unwrap();
            let both = hive.propose_many(rivals).unwrap().wait();
            assert!(both.iter().all(Outcome::is_committed), "{both:?}");
        }
    }
}

/// The queen panics (at her clock) while an append is under way: nothing is over before that is.
#[test]
fn the_log_is_at_rest_once_a_hive_whose_queen_has_panicked_is_dropped() {
    let log = MemoryLog::new();
    let is_bad = Arc::new(AtomicBool::new(false));
    let bad = Arc::clone(&is_bad);
    let clock = move || {
        assert!(!bad.load(Ordering::SeqCst), "the clock panics");
        1
    };
    let (hive, let_through, begun) = on_slow(&log, Hive::builder().clock(clock));
    let mut watch = hive.watch();
    let good = hive.propose(set(&hive, "good", "a", 1)).unwrap();
    begun.recv().unwrap();
    is_bad.store(true, Ordering::SeqCst);
    let lost = hive.propose(set(&hive, "lost", "a", 2)).unwrap();
    assert_eq!(lost.wait(), Outcome::CommitUnknown);
    assert!(watch.next_timeout(Duration::from_millis(50)).is_err(), "a version is on its way");
    let (dropped, is_dropped) = channel();
    let drops = thread::spawn(move || {
        drop(hive);
        dropped.send(()).unwrap();
    });
    let early = is_dropped.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "the log is being written");
    let_through.send(()).unwrap();
    drops.join().unwrap();
    assert_eq!(records(&log).len(), 1);
    assert!(good.wait().is_committed());
    assert!(matches!(watch.next_timeout(Duration::ZERO), Ok(Some(_))));
    assert!(matches!(watch.next_timeout(Duration::ZERO), Ok(None)), "the last version");
}

/// A log, and an archive, that panic where they are told to.
struct Panics {
    log: MemoryLogWriter,
    last: bool,
    asked: AtomicBool,
    wishes: bool,
    images: Arc<AtomicUsize>,
}

impl Panics {
    fn on(log: &MemoryLog) -> Self {
        let (asked, images) = (AtomicBool::new(false), Arc::default());
        Panics { log: log.open(), last: false, asked, wishes: false, images }
    }
}

impl CommitLog for Panics {
    fn term(&self) -> u64 {
        self.log.term()
    }
    fn last(&self) -> Version {
        // When the hive is built it does not.
        assert!(!(self.asked.swap(true, Ordering::SeqCst) && self.last), "last panics");
        self.log.last()
    }
    fn append(&mut self, expected: Version, entries: &[Entry]) -> Result<(), LogError> {
        self.log.append(expected, entries)
    }
    fn wants_image(&mut self) -> bool {
        self.wishes
    }
    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(PanicsOnce(self.log.archive(), Arc::clone(&self.images)))
    }
}

/// When the first image after that of the beginning is kept.
struct PanicsOnce(Arc<dyn Archive>, Arc<AtomicUsize>);

impl Archive for PanicsOnce {
    fn after(&self, round: Version) -> Result<Entries, LogError> {
        self.0.after(round)
    }
    fn image(&self, most: Version) -> Result<Option<Image>, LogError> {
        self.0.image(most)
    }
    fn keep_image(&self, image: &Image) -> Result<(), LogError> {
        assert!(self.1.fetch_add(1, Ordering::SeqCst) != 1, "the first image panics");
        self.0.keep_image(image)
    }
}

#[test]
fn a_log_that_panics_where_nobody_expects_it_ends_the_hive_and_says_so() {
    let log = MemoryLog::new();
    let hive = Hive::builder().log(Panics { last: true, ..Panics::on(&log) }).build().unwrap();
    let mut watch = hive.watch();
    let _told = hive.propose(set(&hive, "a", "a", 1)).map(|ticket| ticket.wait());
    assert!(matches!(watch.next_timeout(Duration::from_secs(10)), Ok(None)), "it is over");
    assert_eq!(hive.log_failure().unwrap().to_string(), "the thread of the log has panicked");
    assert!(hive.propose(set(&hive, "b", "a", 1)).is_err_and(|error| is_closed(&error)));
}

#[test]
fn an_image_that_panics_is_not_the_last_one() {
    let log = MemoryLog::new();
    let images = Arc::<AtomicUsize>::default();
    let panics = Panics { wishes: true, images: Arc::clone(&images), ..Panics::on(&log) };
    let hive = Hive::builder().log(panics).build().unwrap();
    for number in 0..100_000 {
        // A wish is dropped while another image is being made.
        assert!(commit(&hive, &format!("p{number}"), "a", number).is_committed());
        if log.image(Version(u64::MAX)).unwrap().unwrap().version > Version(0) {
            return;
        }
        thread::yield_now();
    }
    panic!("no image after {}", images.load(Ordering::SeqCst));
}

fn text(bytes: usize) -> Value {
    "x".repeat(bytes).as_str().into()
}

#[test]
fn no_append_has_more_than_eight_mebibytes_unless_one_record_has() {
    let log = MemoryLog::new();
    let (hive, let_through, begun) = on_slow(&log, Hive::builder().max_batch(1));
    let value = text(3 << 20);
    let propose = |id: &str, value: &Value| {
        drop(hive.propose(set(&hive, id, id, value.clone())).unwrap());
    };
    propose("first", &1.into());
    begun.recv().unwrap();
    for number in 0..7 {
        propose(&format!("p{number}"), &value);
    }
    // She has decided all but the last at least, and that soon.
    while hive.metrics().taken < 8 {
        thread::yield_now();
    }
    let (mut appended, mut sizes) = (1, Vec::new());
    while appended < 8 {
        let_through.send(()).unwrap();
        let together = begun.recv().unwrap();
        appended += together.len();
        sizes.push(together);
    }
    let_through.send(()).unwrap();
    drop(let_through);
    assert!(sizes.iter().all(|together| together.iter().sum::<usize>() <= 8 << 20), "{sizes:?}");
    assert!(sizes.iter().any(|together| together.len() == 2), "{sizes:?}");
    hive.drain().unwrap();
    assert_eq!(hive.version(), Version(8), "none is lost, and their order is kept");
    drop(hive);
    assert_eq!(records(&log).len(), 8);
}

#[test]
fn what_is_too_large_for_a_log_is_refused_and_nothing_else() {
    let value = text(4 << 20);
    let many = |hive: &Hive, name: &str, count: usize| -> Vec<Proposal> {
        let one = |number| {
            let id = format!("{name}{number}");
            // Nobody may write so much twice: what is judged is refused, and in no state.
            set(hive, &id, &id, value.clone()).deadline(1)
        };
        (0..count).map(one).collect()
    };
    let log = MemoryLog::new();
    let gate = Gate::default();
    let hive = Hive::builder().log(log.open()).clock(gate.clock()).build().unwrap();
    let told = hive.propose_many(many(&hive, "many", 65)).unwrap().wait();
    assert!(told.iter().all(|told| matches!(told, Outcome::LimitReached { .. })), "{}", told[0]);
    assert_eq!((hive.version(), told.len()), (Version(0), 65), "there is no round");
    is_balanced(&hive.metrics());
    assert!(commit(&hive, "later", "a", 1).is_committed());
    // What comes one by one is divided among rounds: 16 have 64 MiB, and a little more.
    let busy = gate.hold(|| hive.propose(set(&hive, "busy", "b", 1)).unwrap());
    let singles = many(&hive, "single", 17);
    let singles: Vec<_> = singles.into_iter().map(|it| hive.propose(it).unwrap()).collect();
    gate.open();
    assert!(busy.wait().is_committed());
    assert!(singles.into_iter().all(|ticket| ticket.wait() == Outcome::Expired));
    let widths: Vec<usize> = hive.history().iter().map(|record| record.batch.len()).collect();
    assert_eq!(widths, [1, 1, 15, 2]);
    is_balanced(&hive.metrics());
}
