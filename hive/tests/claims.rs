//! Claims and lives in a live hive: of several holders one acts, and whoever was replaced is refused (G4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use queenright::{
    AgentId, Claim, ClaimError, Fence, Hive, Key, Op, Outcome, Proposal, Value, Version,
};

/// A hive whose clock is set by hand, with leases of 10.
fn clocked() -> (Hive, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&time);
    let hive = Hive::builder().lease(10).clock(move || clock.load(Ordering::SeqCst));
    (hive.build().unwrap(), time)
}

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// Writes who did the task, under a claim.
fn act(hive: &Hive, claim: &Claim, by: &str, id: &str) -> Outcome {
    let proposal = Proposal::on(&hive.snapshot(), by, id).write("done/by", Op::Set(by.into()));
    hive.propose(proposal.unwrap().under(claim.claimed())).unwrap().wait()
}

fn is_fenced_out(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::StaleClaim { fence: Fence::Token { .. } })
}

#[test]
fn a_holder_that_was_suspended_beyond_its_lease_is_refused() {
    let (hive, time) = clocked();
    let claims = hive.claims();
    let ant = claims.claim("task", "ant").unwrap();
    assert_eq!(claims.holder(&key("task")), Some("ant".into()));
    assert_eq!(claims.claim("task", "bee"), Err(ClaimError::Held { by: "ant".into(), until: 10 }));
    assert!(act(&hive, &ant, "ant", "in time").is_committed());
    time.store(10, Ordering::SeqCst);
    // Nobody wants it, and yet it is over.
    assert!(is_fenced_out(&act(&hive, &ant, "ant", "late")));
    let bee = claims.claim("task", "bee").unwrap();
    assert!(act(&hive, &bee, "bee", "bee's").is_committed());
    assert!(is_fenced_out(&act(&hive, &ant, "ant", "much too late")));
    assert!(claims.heartbeat(&ant).is_err() && claims.release(&ant).is_err());
    assert_eq!(hive.snapshot().get("done/by"), Some(&"bee".into()));
}

#[test]
fn a_heartbeat_keeps_the_claim() {
    let (hive, time) = clocked();
    let ant = hive.claims().claim("task", "ant").unwrap();
    assert_eq!(ant.until(), 10);
    time.store(9, Ordering::SeqCst);
    assert_eq!(hive.claims().heartbeat(&ant), Ok(19));
    time.store(18, Ordering::SeqCst);
    assert!(act(&hive, &ant, "ant", "still").is_committed());
}

#[test]
fn what_was_computed_before_the_claim_has_to_be_computed_again() {
    let (hive, _) = clocked();
    let before = hive.snapshot();
    let ant = hive.claims().claim("task", "ant").unwrap();
    assert!(act(&hive, &ant, "ant", "ant's").is_committed());
    hive.claims().release(&ant).unwrap();
    let bee = hive.claims().claim("task", "bee").unwrap();
    assert_eq!(bee.since(), Version(1));
    let stale = Proposal::on(&before, "bee", "bee's").write("x", Op::add(1)).unwrap();
    let told = hive.propose(stale.under(bee.claimed())).unwrap().wait();
    let since = Fence::Since { key: key("task"), since: Version(1) };
    assert_eq!(told, Outcome::StaleClaim { fence: since });
    assert!(told.may_retry());
    assert!(act(&hive, &bee, "bee", "again").is_committed());
}

#[test]
fn what_is_completed_is_claimed_by_nobody_until_it_is_forgotten() {
    let (hive, _) = clocked();
    let ant = hive.claims().claim("task", "ant").unwrap();
    hive.claims().complete(&ant).unwrap();
    assert_eq!(hive.claims().claim("task", "bee"), Err(ClaimError::Completed));
    assert!(is_fenced_out(&act(&hive, &ant, "ant", "after the end")));
    assert!(hive.claims().forget(&key("task")));
    assert!(hive.claims().claim("task", "bee").is_ok());
}

#[test]
fn a_full_table_takes_back_what_is_over_and_says_so_if_nothing_is() {
    let time = Arc::new(AtomicU64::new(0));
    let clock = Arc::clone(&time);
    let hive = Hive::builder().claims(2).lease(10).clock(move || clock.load(Ordering::SeqCst));
    let hive = hive.build().unwrap();
    assert!(hive.claims().claim("a", "ant").is_ok() && hive.claims().claim("b", "ant").is_ok());
    let full = hive.claims().claim("c", "bee");
    assert_eq!(full, Err(ClaimError::Full { most: 2 }));
    assert!(full.unwrap_err().to_string().contains("HiveBuilder::claims"));
    time.store(10, Ordering::SeqCst);
    assert!(hive.claims().claim("c", "bee").is_ok());
    assert!(matches!(hive.claims().claim("a//b", "bee"), Err(ClaimError::Key(_))));
}

/// Making a name is the caller's code.
#[test]
fn who_claims_may_look_who_holds_what() {
    struct Holder<'h>(&'h Hive);
    impl From<Holder<'_>> for AgentId {
        fn from(of: Holder<'_>) -> AgentId {
            of.0.claims().holder(&key("a")).unwrap()
        }
    }
    let hive = Hive::builder().build().unwrap();
    let _ant = hive.claims().claim("a", "ant").unwrap();
    assert!(hive.claims().claim("b", Holder(&hive)).is_ok());
    assert_eq!(hive.claims().holder(&key("b")), Some("ant".into()));
}

#[test]
fn an_agent_that_was_replaced_is_refused_in_all_its_earlier_lives() {
    let hive = Hive::builder().build().unwrap();
    let of = |life, id: &str| {
        let proposal = Proposal::on(&hive.snapshot(), "worker", id).write("n", Op::add(1)).unwrap();
        hive.propose(Proposal { incarnation: life, ..proposal }).unwrap().wait()
    };
    assert!(of(0, "first").is_committed());
    let fenced = hive.fence("worker");
    assert_eq!((fenced.incarnation, fenced.since), (1, Version(1)));
    let stale = Outcome::StaleClaim { fence: Fence::Incarnation { current: 1 } };
    assert_eq!(of(0, "late"), stale);
    assert!(of(1, "second").is_committed());
    assert_eq!(hive.fence("worker").incarnation, 2);
    assert_eq!(hive.snapshot().get("n"), Some(&2.into()));
}

#[test]
fn a_claim_granted_during_a_round_holds_from_the_end_of_that_round() {
    let (release, gate) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let gate = Mutex::new(gate);
    // The queen asks for the time in each round.
    let clock = move || {
        if thread::current().name() == Some("queenright-queen") {
            let _ = begin.send(());
            let _ = gate.lock().unwrap().recv();
        }
        0
    };
    let hive = Hive::builder().clock(clock).build().unwrap();
    // Dropped before the hive, so that a failing test ends.
    let release = release;
    let proposal = Proposal::on(&hive.snapshot(), "me", "x").write("x", Op::add(1)).unwrap();
    let ticket = hive.propose(proposal).unwrap();
    begun.recv().unwrap();
    let ant = hive.claims().claim("task", "ant").unwrap();
    let fenced = hive.fence("worker");
    assert_eq!(hive.version(), Version(0));
    assert_eq!((ant.since(), fenced.since), (Version(1), Version(1)));
    drop(release);
    assert!(ticket.wait().is_committed());
    assert!(act(&hive, &ant, "ant", "ant's").is_committed());
}

/// Holders take turns at one claim, and each adds 1 to what it has read, without recording that it read it: only the
/// claim keeps them apart. If a round could judge an earlier holder's proposal after the next one has looked, one would be lost.
#[test]
fn under_a_claim_blind_increments_of_many_threads_are_not_lost() {
    const EACH: i64 = 200;
    let hive = Hive::builder().build().unwrap();
    let added: i64 = thread::scope(|scope| {
        let workers = [0, 1, 2, 3].map(|worker| {
            let hive = &hive;
            scope.spawn(move || {
                let name = format!("w{worker}");
                let mut added = 0;
                let mut turn = 0;
                while turn < EACH {
                    let Ok(claim) = hive.claims().claim("counter", name.as_str()) else {
                        thread::yield_now();
                        continue;
                    };
                    turn += 1;
                    // A round that had begun before the claim may still be under way.
                    while hive.version() < claim.since() {
                        thread::yield_now();
                    }
                    let snapshot = hive.snapshot();
                    let read = snapshot.get("counter").and_then(Value::as_int).unwrap_or(0);
                    let proposal = Proposal::on(&snapshot, name.as_str(), format!("{name}#{turn}"));
                    let proposal = proposal.write("counter", Op::Set((read + 1).into())).unwrap();
                    let ticket = hive.propose(proposal.under(claim.claimed())).unwrap();
                    // Half of them give the claim up before they know: then it may be refused, or be committed.
                    if turn % 2 == 0 {
                        hive.claims().release(&claim).unwrap();
                    }
                    let outcome = ticket.wait();
                    assert!(outcome.is_committed() || is_fenced_out(&outcome), "{outcome}");
                    added += i64::from(outcome.is_committed());
                    let _ = hive.claims().release(&claim);
                }
                added
            })
        });
        workers.map(|worker| worker.join().unwrap()).into_iter().sum()
    });
    assert_eq!(hive.snapshot().get("counter"), Some(&added.into()));
    assert!(added >= 2 * EACH, "those who kept the claim until they knew: {added}");
}
