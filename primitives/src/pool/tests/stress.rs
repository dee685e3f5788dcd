//! Real threads, all at once: for the sanitizers, which see what a model of a few steps does not reach.

use std::sync::mpsc;

use super::*;

const THREADS: usize = 4;
const TURNS: usize = 2_000;

/// Uses an object that nobody else may use meanwhile.
fn use_up(object: &mut Counted, by: usize) {
    assert!(!object.dirty, "it was reset");
    object.dirty = true;
    object.number = by;
    thread::yield_now();
    assert_eq!(object.number, by, "nobody else has it");
}

#[test]
fn objects_have_one_user_each_and_none_is_lost() {
    for capacity in [1, 3, 16, 64] {
        let (pool, counter) = counted_pool(capacity);
        let left = AtomicUsize::new(0);
        thread::scope(|scope| {
            for by in 0..THREADS {
                let (pool, left) = (&pool, &left);
                scope.spawn(move || {
                    for turn in 0..TURNS / THREADS {
                        let mut first = pool.take();
                        let mut second = pool.take_owned();
                        use_up(&mut first, by);
                        use_up(&mut second, by);
                        match turn % 16 {
                            0 => pool.clear(),
                            1 => drop(scope.spawn(move || drop(second))),
                            2 => {
                                left.fetch_add(1, Ordering::Relaxed);
                                drop(Pooled::into_inner(first));
                            }
                            _ => {}
                        }
                        assert!(pool.len() <= capacity);
                    }
                });
            }
        });
        let seen = pool.stats();
        assert_eq!(seen.hits + seen.misses, 2 * TURNS as u64);
        let left = left.into_inner() as u64;
        assert_eq!(seen.hits + seen.misses, seen.returned + seen.discarded + left);
        assert!(pool.len() <= capacity);
        assert_eq!(pool.len(), alive(&counter));
        drop(pool);
        assert_eq!(alive(&counter), 0);
    }
}

#[test]
fn what_one_thread_takes_another_returns() {
    let (pool, counter) = counted_pool(8);
    thread::scope(|scope| {
        for by in 0..2 {
            let (sender, receiver) = mpsc::sync_channel::<OwnedPooled<Counted>>(2);
            let pool = pool.clone();
            scope.spawn(move || {
                for _ in 0..TURNS {
                    let mut object = pool.take_owned();
                    use_up(&mut object, by);
                    sender.send(object).unwrap();
                }
            });
            scope.spawn(move || {
                receiver.into_iter().for_each(|object| assert_eq!(object.number, by))
            });
        }
    });
    let seen = pool.stats();
    assert_eq!(seen.hits + seen.misses, 2 * TURNS as u64);
    assert_eq!(alive(&counter), pool.len());
    assert_eq!(seen.misses, seen.discarded + pool.len() as u64);
    drop(pool);
    assert_eq!(alive(&counter), 0);
}

#[test]
fn pools_are_dropped_under_their_objects() {
    let mut counters = Vec::new();
    thread::scope(|scope| {
        for _ in 0..200 {
            let (pool, counter) = counted_pool(4);
            for _ in 0..2 {
                let object = pool.take_owned();
                scope.spawn(move || drop(object));
            }
            drop(pool.take());
            drop(pool);
            counters.push(counter);
        }
    });
    assert!(counters.iter().all(|counter| alive(counter) == 0));
}
