//! Real threads, all at once: for the sanitizers, which see what a model of a few steps does not reach.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

const THREADS: u64 = 4;

#[test]
fn of_all_racers_for_an_id_exactly_one_wins() {
    const IDS: usize = 300;
    // Each call under way may have a slot or two beside those that are claimed.
    let table = table(IDS + 2 * 8);
    let wins: Vec<AtomicUsize> = (0..IDS).map(|_| AtomicUsize::new(0)).collect();
    thread::scope(|scope| {
        for racer in 0..8 {
            let (table, wins) = (&table, &wins);
            scope.spawn(move || {
                for (id, wins) in wins.iter().enumerate() {
                    match table.claim(id, OwnerId(racer), 0) {
                        Ok(_) => _ = wins.fetch_add(1, Ordering::Relaxed),
                        Err(ClaimError::Held { id: back, .. }) => assert_eq!(back, id),
                        Err(other) => panic!("{other}"),
                    }
                }
            });
        }
    });
    assert!(wins.iter().all(|wins| wins.load(Ordering::Relaxed) == 1));
}

/// All that threads do to a table with little room, whose clock goes on as they do it.
fn everything_at_once<S: BuildHasher + Sync>(hasher: S) {
    const IDS: u32 = 12;
    const TURNS: u64 = 2_000;
    let alive = AtomicUsize::new(0);
    let table = ClaimTable::with_capacity_and_hasher(8, 6, Incarnation(1), hasher);
    let clock = AtomicU64::new(0);
    // For each id how often it was completed, less how often it was forgotten: in the end 1 or 0, as it is or not.
    let done: Vec<AtomicUsize> = (0..IDS).map(|_| AtomicUsize::new(0)).collect();
    let worker = |owner: u64| {
        let mut random = owner;
        let mut tokens: Vec<(u32, ClaimToken)> = Vec::new();
        for turn in 0..TURNS {
            random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let (pick, what) = ((random >> 33) as u32 % IDS, (random >> 50) % 16);
            let now = clock.fetch_add(turn % 2, Ordering::Relaxed);
            match what {
                0..7 => match table.claim(Counted::new(pick, &alive), OwnerId(owner), now) {
                    Ok(token) => tokens.push((pick, token)),
                    Err(refused) => assert_eq!(refused.into_id().0, pick),
                },
                7 => _ = table.reclaim_expired(now, |id, old| assert!(id.0 < IDS && old.by.0 < 9)),
                8 => {
                    if table.forget(&Counted::new(pick, &alive)) {
                        assert!(done[pick as usize].fetch_sub(1, Ordering::Relaxed) > 0);
                    }
                }
                9 => table.for_each(now, |id, _| assert!(id.0 < IDS)),
                10 => _ = table.holder(&Counted::new(pick, &alive), now),
                _ => {
                    let Some((id, token)) = tokens.pop() else { continue };
                    match what {
                        11 => {
                            // Counted before it can be forgotten.
                            done[id as usize].fetch_add(1, Ordering::Relaxed);
                            if table.complete(&token, now).is_err() {
                                done[id as usize].fetch_sub(1, Ordering::Relaxed);
                            }
                        }
                        12 => _ = table.release(&token, now),
                        13 => {
                            if let Ok(moved) = table.transfer(&token, OwnerId(owner + 4), now) {
                                assert!(moved.fencing() > token.fencing());
                                tokens.push((id, moved));
                            }
                        }
                        _ => {
                            if table.heartbeat(&token, now).is_ok_and(|until| until >= now + 6) {
                                tokens.push((id, token));
                            }
                        }
                    }
                }
            }
        }
    };
    thread::scope(|scope| {
        let worker = &worker;
        (0..THREADS).for_each(|owner| _ = scope.spawn(move || worker(owner)));
    });
    let mut completed = 0;
    table.for_each(u64::MAX, |id, status| {
        assert_eq!(status, Status::Completed);
        assert_eq!(done[id.0 as usize].load(Ordering::Relaxed), 1);
        completed += 1;
    });
    assert_eq!(done.iter().map(|done| done.load(Ordering::Relaxed)).sum::<usize>(), completed);
    table.reclaim_expired(u64::MAX, |_, _| ());
    // Everything that is not completed is free again, and can be used.
    assert_eq!((table.len(), alive.load(Ordering::Relaxed)), (completed, completed));
    for id in 0..8 - completed as u32 {
        assert!(table.claim(Counted::new(100 + id, &alive), OwnerId(0), 0).is_ok());
    }
    assert_eq!(table.len(), 8);
    drop(table);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn everything_at_once_in_many_chains() {
    everything_at_once(foldhash::fast::RandomState::default());
}

#[test]
fn everything_at_once_in_one_chain() {
    everything_at_once(OneHash);
}

#[test]
fn a_claim_is_a_lock_around_what_its_id_stands_for() {
    /// A number that whoever holds the claim may write.
    struct Guarded(std::cell::UnsafeCell<u64>);
    // SAFETY: the holder of the claim has it alone.
    unsafe impl Sync for Guarded {}

    const TURNS: u64 = 1_000;
    let table = ClaimTable::with_capacity(2, u64::MAX, Incarnation(1));
    let guarded = Guarded(std::cell::UnsafeCell::new(0));
    thread::scope(|scope| {
        for owner in 0..THREADS {
            let (table, guarded) = (&table, &guarded);
            scope.spawn(move || {
                for _ in 0..TURNS {
                    let token = loop {
                        match table.claim("it", OwnerId(owner), 0) {
                            Ok(token) => break token,
                            Err(_) => thread::yield_now(),
                        }
                    };
                    // SAFETY: this thread holds the claim until it releases it.
                    unsafe { *guarded.0.get() += 1 };
                    table.release(&token, 0).unwrap();
                }
            });
        }
    });
    assert_eq!(guarded.0.into_inner(), THREADS * TURNS);
}

#[test]
fn memory_that_is_released_is_enough_for_as_many_as_hold_something() {
    // Each has one claim at a time, and each call under way may have two slots more.
    let table = table(3 * THREADS as usize);
    thread::scope(|scope| {
        for owner in 0..THREADS {
            let table = &table;
            scope.spawn(move || {
                for turn in 0..3_000 {
                    let token = table.claim(turn * THREADS + owner, OwnerId(owner), 0).unwrap();
                    table.release(&token, 0).unwrap();
                }
            });
        }
    });
    assert!(table.is_empty());
}
