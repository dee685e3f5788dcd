use std::sync::{Condvar, Mutex};

use queenright_primitives::notify::WaitError;

use super::*;
use crate::consensus::RoundPolicy;
use crate::op::Op;

/// How often the queen has looked at her clock, and how often she may.
#[derive(Default)]
struct Looks {
    counted: Mutex<(u64, u64)>,
    changed: Condvar,
}

impl Looks {
    fn look(&self) -> u64 {
        let mut counted = self.counted.lock().unwrap();
        counted.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(counted, |(looks, most)| looks > most).unwrap());
        1
    }

    fn allow(&self, most: u64) {
        self.counted.lock().unwrap().1 = most;
        self.changed.notify_all();
    }

    /// Waits until she is held.
    fn wait_for(&self, look: u64) {
        let counted = self.counted.lock().unwrap();
        drop(self.changed.wait_while(counted, |(looks, _)| *looks < look).unwrap());
    }
}

/// She looks once a round; so it is known what she has done when she is held.
#[test]
fn who_drains_is_not_told_as_long_as_somebody_is_pending() {
    let looks = Arc::<Looks>::default();
    let clock = Arc::clone(&looks);
    let policy = RoundPolicy { pending: 9, ..RoundPolicy::default() };
    let hive = Hive::builder().policy(policy).clock(move || clock.look()).build().unwrap();
    let set = |id: &str| {
        let proposal = Proposal::on(&hive.snapshot(), "me", id);
        proposal.write("k", Op::Set(id.into())).unwrap()
    };
    // Held in a round of its own until everything else is queued.
    let busy = hive.propose(set("busy")).unwrap();
    looks.wait_for(1);
    let rivals = hive.propose_many(["a", "b"].map(set).to_vec()).unwrap();
    let mut marks = hive.intake.marks().ok().unwrap();
    looks.allow(2);
    // One of them has lost in the second round, with which the marks have come; she is held in the third.
    looks.wait_for(3);
    for mark in &mut marks {
        assert!(matches!(mark.wait_timeout(Duration::ZERO), Err(WaitError::TimedOut)));
    }
    looks.allow(u64::MAX);
    assert!(busy.wait().is_committed());
    assert!(rivals.wait().iter().all(Outcome::is_committed));
    assert!(marks.into_iter().all(|mark| mark.wait().is_ok()));
}
