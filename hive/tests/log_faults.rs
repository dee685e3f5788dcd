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
