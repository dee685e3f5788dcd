//! What a hive with a log promises when it is restored, shut down, or meets somebody's code that panics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use queenright::consensus::{CastVote, QuorumRule, RoundPolicy, Threshold, Vote, replay};
use queenright::log::{Archive, CommitLog, Entry, LogError, MemoryLog, MemoryLogWriter};
use queenright::{
    Class, Fence, Hive, Key, Metrics, Op, Outcome, Proposal, Record, State, Value, Version,
};

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

    /// Holds the queen in a round of this proposal.
    fn hold(&self, hive: &Hive, busy: Proposal) -> queenright::Ticket {
        let asked = {
            let mut state = self.0.0.lock().unwrap();
            state.0 = true;
            state.1
        };
        let ticket = hive.propose(busy).unwrap();
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
fn passed_and_pending() -> (MemoryLog, Proposal, RoundPolicy) {
    let (gate, log) = (Gate::default(), MemoryLog::new());
    let policy = RoundPolicy { pending: 10, ..RoundPolicy::default() };
    let builder = Hive::builder().log(log.open()).clock(gate.clock());
    let hive = builder.policy(policy.clone()).build().unwrap();
    let proposal = set(&hive, "p", "k", 1).with_quorum(of_ada());
    let ticket = hive.propose(proposal.clone()).unwrap();
    hive.drain().unwrap();
    let busy = gate.hold(&hive, set(&hive, "busy", "b", 1));
    let votes = hive.cast(vec![CastVote::on("p", "ada", Vote::Yes)]);
    let rival = hive.propose(set(&hive, "q", "k", 2).class(Class::Critical)).unwrap();
    gate.open();
    assert!(busy.wait().is_committed() && rival.wait().is_committed());
    assert!(votes.wait()[0].is_ok() && ticket.wait().is_committed());
    drop(hive);
    let lost = records(&log).iter().position(|record| !record.verdicts.pending.is_empty());
    (crashed(&log, lost.expect("it has lost once") + 1), proposal, policy)
}

#[test]
fn what_was_pending_is_judged_after_a_restart() {
    let (log, proposal, policy) = passed_and_pending();
    let until = records(&log).len() as u64;
    let build = |log: &MemoryLog| {
        let builder = Hive::builder().log(log.open()).clock(|| 6);
        builder.policy(policy.clone()).build().unwrap()
    };
    let hive = build(&log);
    // Nobody says anything, and she judges it.
    for _ in 0..1_000 {
        if hive.version() > Version(until) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(hive.snapshot().get("k"), Some(&1.into()));
    let committed = hive.propose(proposal.clone()).unwrap().wait();
    assert_eq!(committed, Outcome::Committed { version: Version(until + 1), order: 0 });
    is_balanced(&hive.metrics());
    assert!(hive.ballots().is_empty());
    drop(hive);
    replay(State::base([]), &records(&log)).unwrap();
}
