//! A queen who can be kept in a round.

use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};

use queenright::{Hive, HiveBuilder, Op, Proposal, Ticket};

/// A first attempt that adds to `n`.
pub(crate) fn adding(hive: &Hive, id: impl Into<String>, by: i64) -> Proposal {
    Proposal::on(&hive.snapshot(), "me", id.into()).write("n", Op::add(by)).unwrap()
}

/// A queen who has begun her first round and goes on when `release` is dropped.
pub(crate) struct Held {
    // Dropped before the hive, so that a failing test ends.
    pub(crate) release: Sender<()>,
    /// What she decides on in that round.
    pub(crate) first: Ticket,
    pub(crate) hive: Hive,
}

pub(crate) fn held(builder: HiveBuilder) -> Held {
    let (release, gate) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    let gate = Mutex::new(gate);
    // Every round asks for the time once, after it has taken its batch.
    let clock = move || {
        let _ = begin.send(());
        let _ = gate.lock().unwrap().recv();
        0
    };
    let hive = builder.clock(clock).build().unwrap();
    let first = hive.propose(adding(&hive, "first", 1)).unwrap();
    begun.recv().unwrap();
    Held { release, first, hive }
}
