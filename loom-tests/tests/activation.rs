//! Activations: nothing that happened is missed, and turns never overlap.

#![cfg(queenright_loom)]

mod shared;

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use queenright_primitives::notify::Activation;
use shared::spawn_with;

struct Actor {
    activation: Activation,
    /// What has happened and was not seen: with Relaxed accesses alone, so that only the activation orders them.
    happened: [AtomicUsize; 2],
    /// What its turns have seen. Accessed by turns alone, which loom checks.
    seen: UnsafeCell<usize>,
}

impl Actor {
    fn new() -> Self {
        let happened = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Actor { activation: Activation::new(), happened, seen: UnsafeCell::new(0) }
    }

    /// Something happens, and whoever has to have it run runs it.
    fn tell(&self, place: usize) {
        self.happened[place].store(1, Ordering::Relaxed);
        if self.activation.wake() {
            self.run();
        }
    }

    fn seen(&self) -> usize {
        // SAFETY: loom panics before the closure runs if a write races with this read.
        self.seen.with(|seen| unsafe { *seen })
    }

    fn run(&self) {
        loop {
            self.activation.begin();
            let happened = self.happened.iter().map(|one| one.load(Ordering::Relaxed)).sum();
            // SAFETY: loom panics before the closure runs if any access races with this write.
            self.seen.with_mut(|seen| unsafe { *seen = happened });
            if !self.activation.end() {
                return;
            }
        }
    }
}

#[test]
fn what_two_threads_tell_is_seen_by_turns_that_never_overlap() {
    loom::model(|| {
        let actor = Arc::new(Actor::new());
        let others = [0, 1].map(|place| spawn_with(&actor, move |actor| actor.tell(place)));
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(actor.seen(), 2, "the last turn has seen all");
    });
}

/// The same with this thread as one of them.
#[test]
fn what_happens_during_a_turn_is_seen_by_another() {
    loom::model(|| {
        let actor = Arc::new(Actor::new());
        let other = spawn_with(&actor, |actor| actor.tell(1));
        actor.tell(0);
        other.join().unwrap();
        assert_eq!(actor.seen(), 2);
    });
}
