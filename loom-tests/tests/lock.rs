//! The spin lock: one at a time inside, who sees what the one before did, also after a panic.

#![cfg(queenright_loom)]

mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind};

use loom::sync::Arc;
use loom::thread;
use queenright_primitives::model::SpinLock;
use shared::{Watched, explore};

#[test]
fn two_threads_are_inside_one_after_the_other() {
    explore(|| {
        // Loom watches the lock's own value as well as this one.
        let lock = Arc::new(SpinLock::new(Watched::new(0)));
        let add = |lock: &SpinLock<Watched>| lock.with(|number| number.set(number.get() + 1));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || add(&lock))
        };
        add(&lock);
        other.join().unwrap();
        assert_eq!(lock.with(|number| number.get()), 2);
    });
}

#[test]
fn a_section_that_panics_gives_the_lock_back() {
    explore(|| {
        let lock = Arc::new(SpinLock::new(Watched::new(0)));
        let other = {
            let lock = Arc::clone(&lock);
            thread::spawn(move || lock.with(|number| number.set(1)))
        };
        let section = || lock.with(|_| std::panic::resume_unwind(Box::new(())));
        assert!(catch_unwind(AssertUnwindSafe(section)).is_err());
        other.join().unwrap();
        assert_eq!(lock.with(|number| number.get()), 1);
    });
}
