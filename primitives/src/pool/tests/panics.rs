//! A panic in the caller's code loses no object silently, hands none out that was not reset, and costs no room.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::AtomicBool;

use super::*;

fn panics<R>(body: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

/// A pool whose reset panics for dirty objects.
fn squeamish_pool(capacity: usize) -> (Pool<Counted>, Arc<AtomicUsize>) {
    let counter: Arc<AtomicUsize> = Arc::default();
    let alive = Arc::clone(&counter);
    let pool = Pool::builder(move || Counted::new(&alive, 0))
        .capacity(capacity)
        .reset(|it| assert!(!it.dirty, "in reset"))
        .build();
    (pool, counter)
}

#[test]
fn in_the_making_of_an_object() {
    let works = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&works);
    let pool = Pool::new(2, move || assert!(switch.load(Ordering::Relaxed), "in make"));
    assert!(panics(|| drop(pool.take())));
    assert_eq!((pool.len(), pool.stats()), (0, stats(0, 0, 0, 0)));
    works.store(true, Ordering::Relaxed);
    drop(pool.take());
    assert_eq!((pool.len(), pool.stats()), (1, stats(0, 1, 1, 0)));
}

#[test]
fn in_a_reset_the_object_is_dropped_and_its_place_is_free() {
    let (pool, counter) = squeamish_pool(3);
    let spoil = |mut object: Pooled<'_, Counted>| {
        object.dirty = true;
        panics(|| drop(object))
    };
    // One that was just made, one that has a place of its own, and one that has none.
    assert!(spoil(pool.take()));
    assert_eq!((pool.len(), alive(&counter)), (0, 0));
    drop([pool.take(), pool.take(), pool.take()]);
    let (first, second) = (pool.take(), pool.take());
    assert!(spoil(first) && spoil(second));
    assert_eq!((pool.len(), alive(&counter)), (1, 1));
    assert_eq!(pool.stats(), stats(2, 4, 3, 3));
    // There is room for three again.
    drop([pool.take(), pool.take(), pool.take()]);
    assert_eq!((pool.len(), alive(&counter)), (3, 3));
    assert!(pool.try_take().is_some_and(|object| !object.dirty));
}

#[test]
fn in_a_reset_of_what_is_put_in() {
    let (pool, counter) = squeamish_pool(3);
    let mut object = Pooled::into_inner(pool.take());
    object.dirty = true;
    assert!(panics(|| pool.put(object)));
    assert_eq!((pool.len(), alive(&counter), pool.stats()), (0, 0, stats(0, 1, 0, 1)));
}

#[test]
fn in_a_reset_while_the_thread_panics_already() {
    let (pool, counter) = squeamish_pool(3);
    let body = || {
        let mut object = pool.take();
        object.dirty = true;
        let _clean = pool.take_owned();
        panic!("the first one");
    };
    let said = catch_unwind(AssertUnwindSafe(body)).unwrap_err();
    assert_eq!(said.downcast_ref(), Some(&"the first one"));
    // What could be reset was kept.
    assert_eq!((pool.len(), alive(&counter)), (1, 1));
}

/// Counts, and panics when it is dropped, with something that does so as well.
struct Bomb(#[expect(dead_code, reason = "it counts")] Counted);

impl Drop for Bomb {
    fn drop(&mut self) {
        struct Spiteful;
        impl Drop for Spiteful {
            fn drop(&mut self) {
                panic!("in the drop of a payload");
            }
        }
        panic_any(Spiteful);
    }
}

/// Drops what a panic carried, whatever that does.
fn defused<R>(body: impl FnOnce() -> R) -> bool {
    let panicked = catch_unwind(AssertUnwindSafe(body)).map(drop);
    let failed = panicked.is_err();
    let _spiteful = catch_unwind(AssertUnwindSafe(|| drop(panicked)));
    failed
}

#[test]
fn in_the_drop_of_objects() {
    let counter: Arc<AtomicUsize> = Arc::default();
    let alive_here = Arc::clone(&counter);
    let pool = Pool::new(4, move || Bomb(Counted::new(&alive_here, 0)));
    let mut all: Vec<_> = (0..6).map(|_| pool.take()).collect();
    // The first four stay; each of the others panics as it is dropped.
    all.drain(..4).for_each(drop);
    for last in all {
        assert!(defused(|| drop(last)));
    }
    assert_eq!((pool.len(), alive(&counter), pool.stats()), (4, 4, stats(0, 6, 4, 2)));
    assert!(defused(|| pool.shrink_to(2)));
    assert_eq!((pool.len(), alive(&counter)), (2, 2));
    assert!(defused(|| pool.clear()));
    assert_eq!((pool.len(), alive(&counter)), (0, 0));
    drop([pool.take(), pool.take()]);
    assert!(defused(|| drop(pool)));
    assert_eq!(alive(&counter), 0);
}

#[test]
fn in_the_drop_of_what_failed_to_reset() {
    let counter: Arc<AtomicUsize> = Arc::default();
    let alive_here = Arc::clone(&counter);
    let pool = Pool::builder(move || Bomb(Counted::new(&alive_here, 0)))
        .reset(|_| panic!("in reset"))
        .build();
    let said = catch_unwind(AssertUnwindSafe(|| drop(pool.take()))).unwrap_err();
    assert_eq!(said.downcast_ref(), Some(&"in reset"));
    assert_eq!((pool.len(), alive(&counter), pool.stats()), (0, 0, stats(0, 1, 0, 1)));
}
