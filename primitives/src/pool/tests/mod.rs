mod model;
mod panics;
mod stress;

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::place::WIDE;
use super::*;

/// A value that counts how many of its kind are alive, and says whether it was reset.
#[derive(Debug)]
struct Counted {
    number: usize,
    dirty: bool,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn new(alive: &Arc<AtomicUsize>, number: usize) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { number, dirty: false, alive: Arc::clone(alive) }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn alive(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Numbers its objects from 0, and cleans them when they return.
fn counted_pool(capacity: usize) -> (Pool<Counted>, Arc<AtomicUsize>) {
    let counter: Arc<AtomicUsize> = Arc::default();
    let next = AtomicUsize::new(0);
    let alive = Arc::clone(&counter);
    let make = move || Counted::new(&alive, next.fetch_add(1, Ordering::Relaxed));
    let pool = Pool::builder(make).capacity(capacity).reset(|it| it.dirty = false).build();
    (pool, counter)
}

fn stats(hits: u64, misses: u64, returned: u64, discarded: u64) -> Stats {
    Stats { hits, misses, returned, discarded }
}

#[test]
fn what_crosses_threads() {
    fn crosses<T: Send + Sync>() {}
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    crosses::<Pool<Vec<u8>>>();
    crosses::<Pooled<'_, Vec<u8>>>();
    crosses::<OwnedPooled<Vec<u8>>>();
    // No two threads look at an object of a pool at once.
    crosses::<Pool<std::cell::Cell<u8>>>();
    unwinds::<Pool<Vec<u8>>>();
}

#[test]
fn an_object_is_used_again_and_the_last_one_first() {
    let (pool, counter) = counted_pool(4);
    assert!(pool.try_take().is_none());
    let (first, second, third) = (pool.take(), pool.take(), pool.take());
    assert_eq!((first.number, second.number, third.number), (0, 1, 2));
    drop(first);
    drop(second);
    assert_eq!((pool.len(), pool.stats()), (2, stats(0, 3, 2, 0)));
    drop(third);
    // Beside the one that is taken first, which has a place of its own.
    let all: Vec<_> = std::iter::from_fn(|| pool.try_take()).map(Pooled::into_inner).collect();
    let numbers: Vec<_> = all.into_iter().map(|object| object.number).collect();
    assert_eq!(numbers, [0, 2, 1]);
    assert_eq!((alive(&counter), pool.stats()), (0, stats(3, 3, 3, 0)));
}

#[test]
fn no_more_is_kept_than_there_is_room_for() {
    // All sizes up to some lines, and those about which one line more is needed.
    for capacity in (0..100).chain([127, 128, 1000]) {
        let (pool, counter) = counted_pool(capacity);
        assert_eq!(pool.capacity(), capacity);
        let all: Vec<_> = (0..capacity + 3).map(|_| pool.take()).collect();
        assert!(pool.is_empty());
        drop(all);
        assert_eq!((pool.len(), alive(&counter)), (capacity, capacity));
        let count = capacity as u64;
        assert_eq!(pool.stats(), stats(0, count + 3, count, 3));
        let again: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
        assert_eq!((again.len(), pool.len()), (capacity, 0));
        drop(again);
        assert_eq!((pool.len(), alive(&counter)), (capacity, capacity));
        drop(pool);
        assert_eq!(alive(&counter), 0);
    }
}

#[test]
fn at_most_a_third_of_the_places_waits_for_objects_that_are_out_for_long() {
    for capacity in (0..60).chain([113, 200]) {
        let (pool, _) = counted_pool(capacity);
        drop((0..capacity).map(|_| pool.take()).collect::<Vec<_>>());
        // Threads with all their numbers; each takes one, and keeps it.
        let long: Vec<_> = (0..capacity)
            .map(|_| thread::scope(|scope| scope.spawn(|| pool.take()).join().unwrap()))
            .collect();
        drop((0..capacity).map(|_| pool.take()).collect::<Vec<_>>());
        assert!(3 * pool.len() >= 2 * capacity, "{} of {capacity}", pool.len());
        drop(long);
        assert_eq!(pool.len(), capacity);
    }
}

#[test]
fn an_object_may_be_dropped_by_another_thread() {
    let (pool, _) = counted_pool(2 * WIDE);
    for _ in 0..10 {
        let object = pool.take();
        thread::scope(|scope| drop(scope.spawn(move || drop(object)).join()));
    }
    assert_eq!(pool.stats(), stats(9, 1, 10, 0));
}

#[test]
fn what_another_thread_returned_is_found() {
    let (pool, _) = counted_pool(64);
    let theirs = |pool: &Pool<Counted>| {
        thread::scope(|scope| drop(scope.spawn(|| drop(pool.take())).join()));
    };
    theirs(&pool);
    assert_eq!(pool.take().number, 0);
    assert_eq!(pool.stats(), stats(1, 1, 2, 0));
}

#[test]
fn an_object_taken_out_for_good_leaves_room() {
    let (pool, counter) = counted_pool(3);
    drop([pool.take(), pool.take(), pool.take()]);
    for left in [2, 1, 0] {
        let object = Pooled::into_inner(pool.take());
        assert_eq!((pool.len(), alive(&counter)), (left, left + 1));
        drop(object);
    }
    let mut owned = pool.take_owned();
    owned.dirty = true;
    assert!(OwnedPooled::into_inner(owned).dirty);
    drop([pool.take(), pool.take(), pool.take()]);
    assert_eq!((pool.len(), pool.stats()), (3, stats(3, 7, 6, 0)));
}

#[test]
fn an_owned_handle_keeps_the_pool_until_it_is_dropped() {
    let (pool, counter) = counted_pool(4);
    let (first, second) = (pool.take_owned(), pool.take_owned());
    drop(first);
    assert_eq!(pool.try_take_owned().unwrap().number, 0);
    let other = pool.clone();
    drop(pool);
    assert_eq!(other.len(), 1);
    drop(other);
    assert_eq!(alive(&counter), 2);
    thread::spawn(move || drop(second)).join().unwrap();
    assert_eq!(alive(&counter), 0);
}

#[test]
fn what_is_not_worth_keeping_is_dropped_without_a_reset() {
    let resets = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&resets);
    let pool = Pool::builder(|| vec![0_u8; 4])
        .keep_if(|buffer| buffer.capacity() <= 100)
        .reset(move |buffer| {
            counts.fetch_add(1, Ordering::Relaxed);
            buffer.clear();
        })
        .build();
    let mut large = pool.take();
    drop(pool.take());
    large.reserve(1000);
    drop(large);
    assert_eq!((pool.len(), resets.load(Ordering::Relaxed)), (1, 1));
    assert_eq!(pool.stats(), stats(0, 2, 1, 1));
    assert!(pool.take().is_empty());
    let only_chosen = Pool::builder(|| 0).keep_if(|number| *number < 5).build();
    *only_chosen.take() = 5;
    *only_chosen.take() = 4;
    assert_eq!((only_chosen.len(), only_chosen.stats()), (1, stats(0, 2, 1, 1)));
}

#[test]
fn what_is_put_in_is_reset_and_given_back_if_it_cannot_stay() {
    let pool = Pool::builder(Vec::new)
        .capacity(2)
        .keep_if(|numbers: &Vec<u8>| numbers.len() < 3)
        .reset(Vec::clear)
        .build();
    assert!(matches!(pool.put(vec![1, 2, 3]), Err(PutError::Refused(back)) if back == [1, 2, 3]));
    pool.put(vec![1]).unwrap();
    pool.put(vec![2]).unwrap();
    let full = pool.put(Vec::with_capacity(9)).unwrap_err();
    assert!(matches!(full, PutError::Full(_)));
    assert_eq!(full.into_inner().capacity(), 9);
    assert_eq!((pool.len(), pool.stats()), (2, stats(0, 0, 2, 0)));
    assert!(pool.take().is_empty());
}

#[test]
fn idle_objects_are_dropped_on_demand() {
    let (pool, counter) = counted_pool(20);
    let kept = pool.take();
    drop((0..20).map(|_| pool.take()).collect::<Vec<_>>());
    pool.shrink_to(5);
    assert_eq!((pool.len(), alive(&counter)), (5, 6));
    pool.shrink_to(7);
    assert_eq!(pool.len(), 5);
    pool.clear();
    assert_eq!((pool.len(), alive(&counter)), (0, 1));
    assert_eq!(pool.stats(), stats(0, 21, 20, 0));
    drop(kept);
    assert_eq!((pool.len(), pool.take().number), (1, 0));
}

#[test]
fn objects_without_size_are_counted_like_others() {
    let pool = Pool::new(2, || ());
    drop([pool.take(), pool.take(), pool.take()]);
    assert_eq!((pool.len(), pool.stats()), (2, stats(0, 3, 2, 1)));
    pool.put(()).unwrap_err();
    assert!(pool.try_take().is_some());
}

#[test]
fn the_share_of_hits() {
    let pool = Pool::new(2, || 1);
    assert_eq!(pool.stats().hit_ratio(), None);
    (0..4).for_each(|_| drop(pool.take()));
    assert_eq!(pool.stats().hit_ratio(), Some(0.75));
}

#[test]
fn what_is_printed() {
    let pool = Pool::new(2, || 7);
    pool.put(7).unwrap();
    assert_eq!(format!("{pool:?}"), "Pool { capacity: 2, idle: 1, .. }");
    assert_eq!(format!("{:?} {}", pool.take(), pool.take_owned()), "7 7");
    let full = Pool::new(0, || 7).put(8).unwrap_err();
    assert_eq!(format!("{full:?}"), "Full(..)");
    assert!(full.to_string().starts_with("the pool is full"));
    assert!(format!("{:?}", Pool::builder(|| 7)).contains("64"));
}
