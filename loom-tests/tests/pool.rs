//! The object pool: each object has one user at a time, who finds it as it was left, and none is lost or freed twice.
//!
//! Under loom a line has two places; with a capacity of two or four the first of each is kept for the object that was taken
//! from it, with one or three none is.

#![cfg(queenright_loom)]

mod shared;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::thread::{self, JoinHandle};
use queenright_primitives::pool::{OwnedPooled, Pool, Pooled};
use shared::{Counted, explore, heap};

type Alive = std::sync::Arc<AtomicUsize>;

/// A pool in which `idle` objects are idle, each of which holds 0 when it is taken.
fn pool_with(capacity: usize, idle: usize) -> (Pool<Counted>, Alive) {
    let alive = Alive::default();
    let made = Alive::clone(&alive);
    let pool = Pool::builder(move || Counted::new(&made, 0))
        .capacity(capacity)
        .reset(|object: &mut Counted| object.set(0))
        .build();
    drop((0..idle).map(|_| pool.take()).collect::<Vec<_>>());
    (pool, alive)
}

/// Runs `work` on the pool in a thread of its own.
fn spawn<R: 'static>(
    pool: &Pool<Counted>,
    work: impl FnOnce(&Pool<Counted>) -> R + 'static,
) -> JoinHandle<R> {
    let pool = pool.clone();
    thread::spawn(move || work(&pool))
}

/// Uses an object, which nobody else does.
fn use_up(object: &Counted) {
    assert_eq!(object.get(), 0, "as good as new");
    object.set(1);
    thread::yield_now();
    assert_eq!(object.get(), 1);
}

fn take_and_drop(pool: &Pool<Counted>) {
    use_up(&pool.take());
}

/// Takes and drops what is idle, and says whether something was.
fn try_take_and_drop(pool: &Pool<Counted>) -> bool {
    pool.try_take().map(|object| use_up(&object)).is_some()
}

/// Every object is idle or was dropped, none twice, and no more are idle than there is room for.
fn nothing_is_lost(pool: Pool<Counted>, alive: &Alive) {
    let seen = pool.stats();
    assert_eq!(seen.hits + seen.misses, seen.returned + seen.discarded);
    assert!(pool.len() <= pool.capacity());
    assert_eq!(pool.len(), alive.load(Ordering::Relaxed));
    drop(pool);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn of_two_takes_one_gets_the_only_object() {
    for capacity in [1, 2] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, 1);
            let take = |pool: &Pool<Counted>| pool.try_take_owned();
            let other = spawn(&pool, take);
            let mine = take(&pool);
            let theirs = other.join().unwrap();
            assert!(mine.is_some() ^ theirs.is_some());
            drop((mine, theirs));
            assert_eq!(pool.stats().hits, 1);
            nothing_is_lost(pool, &alive);
        });
    }
}

#[test]
fn two_takes_and_drops_share_what_is_idle() {
    // In one line and in two, with the place that is kept and without.
    for capacity in [1, 2, 3] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, capacity);
            let other = spawn(&pool, take_and_drop);
            take_and_drop(&pool);
            other.join().unwrap();
            nothing_is_lost(pool, &alive);
        });
    }
}

#[test]
fn a_take_sees_what_the_last_user_did() {
    // Who puts the object back holds the place that it came from.
    explore(|| {
        let (pool, alive) = pool_with(2, 1);
        let object = pool.take_owned();
        let user = thread::spawn(move || use_up(&object));
        try_take_and_drop(&pool);
        user.join().unwrap();
        assert!(try_take_and_drop(&pool));
        nothing_is_lost(pool, &alive);
    });
}

#[test]
fn a_take_sees_what_the_maker_did() {
    // Who puts the object back has taken it from nowhere.
    for capacity in [1, 2, 4] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, 0);
            let user = spawn(&pool, take_and_drop);
            try_take_and_drop(&pool);
            user.join().unwrap();
            assert!(try_take_and_drop(&pool));
            nothing_is_lost(pool, &alive);
        });
    }
}

#[test]
fn what_is_put_in_is_seen_by_who_takes_it() {
    explore(|| {
        let (pool, alive) = pool_with(2, 0);
        let putter = {
            let alive = Alive::clone(&alive);
            spawn(&pool, move |pool| pool.put(Counted::new(&alive, 7)).unwrap())
        };
        if let Some(object) = pool.try_take() {
            assert_eq!(object.get(), 0, "it was reset");
        }
        putter.join().unwrap();
        assert_eq!((pool.len(), alive.load(Ordering::Relaxed)), (1, 1));
    });
}

#[test]
fn of_two_puts_into_one_place_one_is_kept() {
    explore(|| {
        let (pool, alive) = pool_with(1, 0);
        let objects = [pool.take_owned(), pool.take_owned()];
        let [first, second] = objects;
        let other = thread::spawn(move || use_up(&first));
        use_up(&second);
        drop(second);
        other.join().unwrap();
        assert_eq!((pool.len(), pool.stats().discarded), (1, 1));
        nothing_is_lost(pool, &alive);
    });
}

#[test]
fn as_many_puts_as_there_are_places_find_one_each() {
    // With three, in two lines.
    for capacity in [2, 3] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, 0);
            let first = pool.take_owned();
            let others: Vec<_> = (1..capacity).map(|_| pool.take()).collect();
            let other = thread::spawn(move || drop(first));
            drop(others);
            other.join().unwrap();
            assert_eq!((pool.len(), pool.stats().discarded), (capacity, 0));
            nothing_is_lost(pool, &alive);
        });
    }
}

#[test]
fn a_slow_take_is_not_fooled_by_an_object_that_went_and_came_back() {
    for capacity in [2, 3] {
        heap::with_reuse(|| {
            explore(move || {
                let (pool, alive) = pool_with(capacity, 2);
                let slow = spawn(&pool, take_and_drop);
                let (first, second) = (pool.take(), pool.take());
                use_up(&first);
                use_up(&second);
                drop(first);
                take_and_drop(&pool);
                drop(second);
                slow.join().unwrap();
                nothing_is_lost(pool, &alive);
            });
        });
    }
}

#[test]
fn what_leaves_the_pool_is_its_takers_alone_and_leaves_its_place() {
    explore(|| {
        let (pool, alive) = pool_with(2, 1);
        let other = spawn(&pool, |pool| {
            let object = OwnedPooled::into_inner(pool.take_owned());
            use_up(&object);
        });
        take_and_drop(&pool);
        other.join().unwrap();
        // Both places can be filled again.
        drop([pool.take(), pool.take()]);
        assert_eq!((pool.len(), alive.load(Ordering::Relaxed)), (2, 2));
    });
}

#[test]
fn a_reset_that_panics_drops_the_object_and_leaves_its_place() {
    explore(|| {
        let alive = Alive::default();
        let made = Alive::clone(&alive);
        let pool = Pool::builder(move || Counted::new(&made, 0))
            .capacity(2)
            .reset(|object: &mut Counted| match object.get() {
                2 => resume_unwind(Box::new(())),
                _ => object.set(0),
            })
            .build();
        drop(pool.take());
        let other = spawn(&pool, |pool| {
            let object = pool.take();
            object.set(2);
            assert!(catch_unwind(AssertUnwindSafe(|| drop(object))).is_err());
        });
        take_and_drop(&pool);
        other.join().unwrap();
        assert_eq!(pool.stats().discarded, 1);
        drop([pool.take(), pool.take()]);
        assert_eq!((pool.len(), alive.load(Ordering::Relaxed)), (2, 2));
        drop(pool);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn what_is_cleared_is_taken_by_nobody_else() {
    for capacity in [1, 2] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, capacity);
            let other = spawn(&pool, Pool::clear);
            try_take_and_drop(&pool);
            other.join().unwrap();
            assert_eq!(pool.len(), alive.load(Ordering::Relaxed));
            assert!(pool.len() <= 1);
            // Their places can be filled again.
            drop((0..capacity).map(|_| pool.take()).collect::<Vec<_>>());
            assert_eq!(pool.len(), capacity);
        });
    }
}

#[test]
fn two_who_clear_drop_each_object_once() {
    explore(|| {
        let (pool, alive) = pool_with(2, 2);
        let other = spawn(&pool, |pool| pool.shrink_to(1));
        pool.clear();
        other.join().unwrap();
        assert_eq!((pool.len(), alive.load(Ordering::Relaxed)), (0, 0));
        assert_eq!(pool.stats().returned, 2);
    });
}

#[test]
fn the_last_handle_drops_what_is_idle() {
    explore(|| {
        let (pool, alive) = pool_with(2, 1);
        let (first, second) = (pool.take_owned(), pool.take_owned());
        let other = thread::spawn(move || use_up(&first));
        use_up(&second);
        drop(pool);
        drop(second);
        other.join().unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn every_hit_is_counted() {
    // Who counts at a place does so without a read-modify-write, one after the other.
    for capacity in [1, 2] {
        explore(move || {
            let (pool, alive) = pool_with(capacity, 1);
            let turns = |pool: &Pool<Counted>| {
                u64::from(try_take_and_drop(pool)) + u64::from(try_take_and_drop(pool))
            };
            let other = spawn(&pool, turns);
            let hits = turns(&pool) + other.join().unwrap();
            assert_eq!(pool.stats().hits, hits);
            nothing_is_lost(pool, &alive);
        });
    }
}

#[test]
fn a_hit_at_a_place_that_changed_hands_meanwhile_is_counted() {
    explore(|| {
        let (pool, alive) = pool_with(1, 1);
        let taker = spawn(&pool, Pool::try_take_owned);
        // Only once the taker has given the place up, whose own object finds no room then.
        let put = pool.put(Counted::new(&alive, 0)).is_ok();
        let mine = pool.try_take();
        let theirs = taker.join().unwrap();
        let hits = [mine.is_some(), theirs.is_some()].map(u64::from);
        assert_eq!(pool.stats().hits, hits.iter().sum());
        assert!(!put || hits == [1, 1]);
    });
}

#[test]
fn the_numbers_stay_within_bounds_while_others_are_at_work() {
    explore(|| {
        let (pool, alive) = pool_with(2, 1);
        let other = spawn(&pool, |pool| drop([pool.take(), pool.take(), pool.take()]));
        assert!(pool.len() <= pool.capacity());
        assert!(pool.stats().hits <= 1);
        other.join().unwrap();
        nothing_is_lost(pool, &alive);
    });
}

#[test]
fn objects_go_to_and_fro_between_two_threads() {
    explore(|| {
        let (pool, alive) = pool_with(2, 2);
        let borrowed = pool.take_owned();
        let other = spawn(&pool, move |pool| {
            use_up(&borrowed);
            let mine = pool.try_take_owned();
            drop(borrowed);
            mine
        });
        let mine = pool.take();
        use_up(&mine);
        drop(mine);
        if let Some(theirs) = other.join().unwrap() {
            use_up(&theirs);
            drop(Pooled::into_inner(pool.take()));
        }
        drop(alive);
    });
}
