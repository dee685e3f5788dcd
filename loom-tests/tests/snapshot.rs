//! The snapshot cell: publication, reclamation, one winner per base, nothing lost, versions that rise.
//!
//! The values are cells that loom watches. An access that is not ordered after the write before it, or a
//! drop that is not ordered after every access, ends the model, even where the clock would have been kind.

#![cfg(queenright_loom)]

#[path = "snapshot/heap.rs"]
mod heap;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;
use queenright_primitives::snapshot::{SnapshotCell, Stale, Version};

const DROPPED: u64 = u64::MAX;

/// A number whose every read and write loom checks, and whose drop counts as a write.
struct Watched(UnsafeCell<u64>);

// SAFETY: loom lets one thread run at a time, and panics where two accesses would race.
unsafe impl Sync for Watched {}

impl Watched {
    fn new(number: u64) -> Self {
        Watched(UnsafeCell::new(number))
    }

    fn get(&self) -> u64 {
        // SAFETY: loom panics before the closure runs if a write races with this read.
        self.0.with(|number| unsafe { *number })
    }

    fn set(&self, number: u64) {
        // SAFETY: loom panics before the closure runs if any access races with this write.
        self.0.with_mut(|held| unsafe { *held = number });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.set(DROPPED);
    }
}

/// Explores a model, at bound 2 unless the environment says otherwise: the collector takes so many steps
/// that an unbounded search would not end.
fn explore(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(2);
    builder.check(model);
}

/// Makes the collector free what this thread retired, unless a reader stands in its way.
///
/// Each flush moves the epoch on by one at most, and garbage is free to go after two.
fn collect() {
    for _ in 0..2 {
        crossbeam_epoch::pin().flush();
    }
}

/// Commits `base` + 1 as the version after `base`.
fn commit_next(cell: &SnapshotCell<Watched>, base: u64) -> Result<Version, Stale<Watched>> {
    cell.compare_and_commit(Version(base), Watched::new(base + 1))
}

/// Whoever sees version 1 of the writer, by whichever way `look` takes, sees the note written before it.
fn a_version_publishes(look: fn(&SnapshotCell<Watched>) -> Version) {
    explore(move || {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let note = Arc::new(Watched::new(0));
        let writer = {
            let (cell, note) = (Arc::clone(&cell), Arc::clone(&note));
            // Pinning is a fence, which alone would publish all that came before it. So pin first and
            // write then: now the note hangs on the Release of the exchange, as the cell's own node does.
            let write_and_commit = move || {
                cell.read(|_, _| {
                    note.set(1);
                    let _may_lose = commit_next(&cell, 0);
                });
            };
            thread::spawn(write_and_commit)
        };
        if look(&cell) == Version(1) {
            assert_eq!(note.get(), 1);
        }
        writer.join().unwrap();
    });
}

#[test]
fn read_sees_what_the_writer_of_its_version_did_before() {
    a_version_publishes(|cell| {
        cell.read(|value, version| {
            assert_eq!(value.get(), version.0);
            version
        })
    });
}

#[test]
fn load_sees_what_the_writer_of_its_version_did_before() {
    a_version_publishes(|cell| {
        let seen = cell.load();
        assert_eq!(seen.get(), seen.version().0);
        seen.version()
    });
}

#[test]
fn version_sees_what_its_writer_did_before() {
    a_version_publishes(SnapshotCell::version);
}

#[test]
fn a_lost_commit_sees_what_the_winner_did_before() {
    // Whether the version refused it early or the exchange late.
    a_version_publishes(|cell| match commit_next(cell, 0) {
        Ok(_) => Version(0),
        Err(stale) => stale.current,
    });
}

#[test]
fn what_a_closure_reads_is_not_freed_under_it() {
    static FREED: AtomicUsize = AtomicUsize::new(0);
    struct CountsDrops(Watched);
    impl Drop for CountsDrops {
        fn drop(&mut self) {
            FREED.fetch_add(1, Ordering::Relaxed);
        }
    }
    static FREED_BY_THE_WRITER: AtomicUsize = AtomicUsize::new(0);

    explore(|| {
        let cell = Arc::new(SnapshotCell::new(CountsDrops(Watched::new(0))));
        let reader = {
            let cell = Arc::clone(&cell);
            let read_twice = move || {
                cell.read(|value, version| {
                    assert_eq!(value.0.get(), version.0);
                    // A place where loom may let the writer go on while the closure holds the value.
                    assert!(cell.version() >= version);
                    assert_eq!(value.0.get(), version.0);
                });
            };
            thread::spawn(read_twice)
        };
        let freed_before = FREED.load(Ordering::Relaxed);
        cell.compare_and_commit(Version(0), CountsDrops(Watched::new(1))).unwrap();
        collect();
        let freed = FREED.load(Ordering::Relaxed) - freed_before;
        FREED_BY_THE_WRITER.fetch_add(freed, Ordering::Relaxed);
        reader.join().unwrap();
    });
    // A model in which the collector never runs in time would prove nothing.
    assert!(FREED_BY_THE_WRITER.load(Ordering::Relaxed) > 0);
}

#[test]
fn an_owned_snapshot_outlives_later_commits_and_the_cell() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let reader = {
            let cell = Arc::clone(&cell);
            thread::spawn(move || {
                let seen = cell.load();
                drop(cell);
                assert_eq!(seen.get(), seen.version().0);
                seen
            })
        };
        commit_next(&cell, 0).unwrap();
        commit_next(&cell, 1).unwrap();
        collect();
        drop(cell);
        let seen = reader.join().unwrap();
        assert_eq!(seen.get(), seen.version().0);
    });
}

#[test]
fn of_two_commits_from_one_base_one_wins_and_the_other_gets_its_work_back() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(0));
        let commit = |work: u64| {
            let cell = Arc::clone(&cell);
            move || cell.compare_and_commit(Version(0), work)
        };
        let theirs = thread::spawn(commit(1));
        let mine = commit(2)();
        let (won, stale, winner, loser) = match (theirs.join().unwrap(), mine) {
            (Ok(won), Err(stale)) => (won, stale, 1, 2),
            (Err(stale), Ok(won)) => (won, stale, 2, 1),
            (Ok(_), Ok(_)) => panic!("both commits won"),
            (Err(_), Err(_)) => panic!("both commits lost"),
        };
        assert_eq!((won, stale.current), (Version(1), Version(1)));
        assert_eq!(stale.staged.base(), Version(0));
        assert_eq!(stale.staged.into_inner(), loser);
        assert_eq!(*cell.load(), winner);
    });
}

#[test]
fn a_commit_from_an_old_base_is_not_fooled_by_a_reused_address() {
    let reused = heap::with_reuse(|| {
        explore(|| {
            let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
            let slow = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || commit_next(&cell, 0).is_ok())
            };
            let first = commit_next(&cell, 0).is_ok();
            // The node of version 0 may be freed here, and its address given to that of version 2.
            collect();
            let second = commit_next(&cell, 1).is_ok();
            let slow = slow.join().unwrap();
            // Each commit that won added one.
            let won = [first, second, slow].iter().filter(|won| **won).count();
            assert_eq!(cell.version(), Version(won as u64));
            assert_eq!(won, 2);
        });
    });
    assert!(reused > 0);
}

#[test]
fn updates_by_two_threads_lose_nothing() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(0));
        let increment = {
            let cell = Arc::clone(&cell);
            move || cell.update(|n| n + 1).unwrap()
        };
        let other = thread::spawn(increment.clone());
        let mine = increment();
        let theirs = other.join().unwrap();
        assert_ne!(mine, theirs);
        let end = cell.load();
        assert_eq!((end.version(), *end), (Version(2), 2));
    });
}

#[test]
fn the_versions_that_one_thread_sees_never_go_back() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(()));
        let look_and_commit = {
            let cell = Arc::clone(&cell);
            move || {
                let mut newest = Version(0);
                for _ in 0..2 {
                    let base = cell.version();
                    assert!(base >= newest);
                    newest = match cell.compare_and_commit(base, ()) {
                        Ok(version) => version,
                        Err(stale) => stale.current,
                    };
                    assert!(newest > base);
                }
                assert!(cell.version() >= newest);
            }
        };
        let other = thread::spawn(look_and_commit.clone());
        look_and_commit();
        other.join().unwrap();
    });
}

#[test]
fn versions_never_go_back_even_where_addresses_are_reused() {
    let reused = heap::with_reuse(|| {
        explore(|| {
            let cell = Arc::new(SnapshotCell::new(()));
            let reader = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || {
                    let seen = [cell.version(), cell.version()];
                    assert!(seen.is_sorted());
                })
            };
            cell.compare_and_commit(Version(0), ()).unwrap();
            collect();
            cell.compare_and_commit(Version(1), ()).unwrap();
            reader.join().unwrap();
        });
    });
    assert!(reused > 0);
}
