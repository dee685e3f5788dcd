//! Turns: one of the two sees the other, whatever the change is.

#![cfg(queenright_loom)]

mod shared;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicBool, Ordering};
use queenright_primitives::claim::Turns;
use shared::spawn_with;

type Shared = Arc<(AtomicBool, Turns)>;

fn shared() -> Shared {
    Arc::new((AtomicBool::new(false), Turns::new()))
}

/// Whether turn 1 sees the change.
fn turn((changed, turns): &(AtomicBool, Turns)) -> bool {
    turns.begin(1);
    changed.load(Ordering::Relaxed)
}

/// Which turn is the current one after the change.
fn change((changed, turns): &(AtomicBool, Turns)) -> u64 {
    changed.store(true, Ordering::Relaxed);
    turns.current()
}

#[test]
fn a_turn_sees_a_change_or_whoever_made_it_sees_the_turn() {
    loom::model(|| {
        let shared = shared();
        let other = spawn_with(&shared, |shared| turn(shared));
        let current = change(&shared);
        assert!(other.join().unwrap() || current == 1);
    });
}

/// The same with the roles exchanged.
#[test]
fn whoever_made_a_change_sees_the_turn_that_did_not_see_it() {
    loom::model(|| {
        let shared = shared();
        let other = spawn_with(&shared, |shared| change(shared));
        let seen = turn(&shared);
        assert!(seen || other.join().unwrap() == 1);
    });
}
