//! Ids whose code panics leave a table behind that works.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

thread_local!(static ANGRY: Cell<bool> = const { Cell::new(false) });

/// Panics when it is compared or dropped, as long as this thread is angry.
#[derive(Debug)]
struct Touchy(u32);

impl PartialEq for Touchy {
    fn eq(&self, other: &Self) -> bool {
        assert!(!ANGRY.get(), "compared");
        self.0 == other.0
    }
}

impl Eq for Touchy {}

impl std::hash::Hash for Touchy {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl Drop for Touchy {
    fn drop(&mut self) {
        assert!(!ANGRY.replace(false), "dropped");
    }
}

fn panics<R>(run: impl FnOnce() -> R) {
    ANGRY.set(true);
    let result = catch_unwind(AssertUnwindSafe(run));
    assert!(result.is_err());
    ANGRY.set(false);
}

#[test]
fn a_panic_while_ids_are_compared_leaves_no_pin() {
    let table = table(2);
    let token = table.claim(Touchy(1), ANT, 0).unwrap();
    let id = Touchy(2);
    panics(|| table.holder(&id, 0));
    table.release(&token, 0).unwrap();
    // With a pin left, the slot would not be free.
    let both = [Touchy(1), Touchy(2)].map(|id| table.claim(id, ANT, 0).unwrap());
    both.iter().for_each(|token| table.release(token, 0).unwrap());
    assert!(table.is_empty());
}

#[test]
fn a_panic_in_the_drop_of_an_id_comes_after_its_slot_is_free() {
    let table = table(1);
    let token = table.claim(Touchy(1), ANT, 0).unwrap();
    panics(|| table.release(&token, 0));
    let token = table.claim(Touchy(1), ANT, 0).unwrap();
    table.complete(&token, 0).unwrap();
    let other = Touchy(1);
    assert!(table.forget(&other));
    table.claim(Touchy(2), ANT, 0).unwrap();
}

#[test]
fn a_panic_in_what_is_told_of_a_lapse_frees_that_and_keeps_the_rest() {
    let table = table(3);
    (0..3).for_each(|id| _ = table.claim(Touchy(id), ANT, 0).unwrap());
    let told = Cell::new(0);
    let reclaim = || {
        table.reclaim_expired(10, |_, _| {
            told.set(told.get() + 1);
            assert!(told.get() != 2, "the second");
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(reclaim)).is_err());
    assert_eq!(table.len(), 1);
    assert_eq!(reclaim(), 1);
    assert!(table.is_empty());
}

#[test]
fn a_panic_in_what_is_shown_leaves_no_pin() {
    let table = table(1);
    let token = table.claim(Touchy(1), ANT, 0).unwrap();
    let show = || table.for_each(0, |_, _| panic!("shown"));
    assert!(catch_unwind(AssertUnwindSafe(show)).is_err());
    table.release(&token, 0).unwrap();
    assert!(table.claim(Touchy(2), ANT, 0).is_ok());
}

#[test]
fn a_dropped_table_drops_every_id_whatever_one_of_them_does() {
    let alive = AtomicUsize::new(0);
    struct Pair<'c>(Counted<'c>, #[allow(dead_code, reason = "for its drop")] Touchy);
    impl PartialEq for Pair<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Pair<'_> {}
    impl std::hash::Hash for Pair<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let table = table(5);
    for name in 0..5 {
        let id = Pair(Counted::new(name, &alive), Touchy(name));
        assert!(table.claim(id, ANT, 0).is_ok());
    }
    panics(|| drop(table));
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}
