//! The snapshot cell: no version is freed while it is read, and each is freed once.
//!
//! Under loom every second commit reclaims what it and the one before it replaced.

#![cfg(queenright_loom)]

mod shared;

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Arc;
use loom::thread;
use queenright_primitives::snapshot::{SnapshotCell, Version};
use shared::{Counted, Watched, commit, explore, spawn_with};

fn next(value: &Counted) -> Counted {
    Counted::new(value.alive(), value.get() + 1)
}

/// What `read` does on a thread of its own is undisturbed by two commits, of which the second reclaims what both
/// replaced; and sometimes it does so before `read` is done, or the model would show nothing.
fn undisturbed<R>(read: fn(&SnapshotCell<Counted>) -> R)
where
    R: Send + 'static,
{
    static FREED: AtomicUsize = AtomicUsize::new(0);
    explore(move || {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let reader = spawn_with(&cell, move |cell| drop(read(cell)));
        cell.update(next).unwrap();
        cell.update(next).unwrap();
        FREED.fetch_add(3 - alive.load(Ordering::Relaxed), Ordering::Relaxed);
        reader.join().unwrap();
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0, "each version was freed once");
    });
    assert!(FREED.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_a_closure_reads_is_not_freed_under_it() {
    undisturbed(|cell| {
        cell.read(|value, version| {
            assert_eq!(value.get(), version.0);
            // A place where loom may let the writer go on while the closure holds the value.
            thread::yield_now();
            assert_eq!(value.get(), version.0);
        });
    });
}

#[test]
fn what_a_reader_gave_is_not_freed_until_it_is_asked_again() {
    undisturbed(|cell| {
        let mut reader = cell.reader();
        let value = reader.get();
        let seen = value.get();
        thread::yield_now();
        assert_eq!(value.get(), seen);
        // Its next version is protected as well, and the last one is given up in order.
        assert!(reader.get().get() >= seen);
    });
}

#[test]
fn a_reader_that_lets_go_lets_its_version_be_freed() {
    undisturbed(|cell| {
        let mut reader = cell.reader();
        let seen = reader.get().get();
        reader.release();
        assert_eq!(reader.version(), Some(Version(seen)));
        assert!(reader.get().get() >= seen);
    });
}

#[test]
fn a_reader_that_lets_go_keeps_its_slot_to_itself() {
    undisturbed(|cell| {
        let mut first = cell.reader();
        first.get();
        first.release();
        let mut second = cell.reader();
        second.get();
        let value = first.get();
        drop(second);
        thread::yield_now();
        assert!(value.get() <= 2);
    });
}

#[test]
fn a_snapshot_may_be_the_last_to_hold_its_version() {
    undisturbed(|cell| {
        let seen = cell.load();
        assert_eq!(seen.get(), seen.version().0);
        let other = seen.clone();
        drop(seen);
        assert_eq!(other.get(), other.version().0);
    });
}

#[test]
fn a_reader_may_export_what_it_protects() {
    undisturbed(|cell| {
        let mut reader = cell.reader();
        let seen = reader.snapshot();
        drop(reader);
        assert_eq!(seen.get(), seen.version().0);
    });
}

#[test]
fn a_slot_that_two_use_in_turn_hides_neither_of_them() {
    // What the first read is freed only after it, though the slot tells of the second alone. Threads that are two
    // apart try the same slot first.
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let read = |cell: &SnapshotCell<Watched>| {
            cell.read(|value, version| assert_eq!(value.get(), version.0));
        };
        let first = spawn_with(&cell, read);
        thread::spawn(|| ()).join().unwrap();
        let second = spawn_with(&cell, read);
        commit(&cell);
        commit(&cell);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_reader_that_registers_meanwhile_is_seen() {
    // The second handle needs a block of its own.
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let register = |cell: &SnapshotCell<Watched>| {
            let mut reader = cell.reader();
            let value = reader.get();
            let seen = value.get();
            assert_eq!(value.get(), seen);
        };
        let first = spawn_with(&cell, register);
        let second = spawn_with(&cell, register);
        commit(&cell);
        commit(&cell);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_closure_inside_a_closure_protects_both_versions() {
    undisturbed(|cell| {
        cell.read(|outer, version| {
            // The third slot of this thread needs a block of its own.
            cell.read(|inner, _| {
                cell.read(|innermost, _| assert!(innermost.get() >= inner.get()));
                assert!(inner.get() >= outer.get());
            });
            assert_eq!(outer.get(), version.0);
        });
    });
}

#[test]
fn a_stalled_reader_keeps_one_version_and_no_other() {
    explore(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = SnapshotCell::new(Counted::new(&alive, 0));
        let mut stalled = cell.reader();
        let handle = thread::spawn(move || {
            let seen = stalled.get().get();
            (seen, stalled)
        });
        for _ in 0..4 {
            cell.update(next).unwrap();
        }
        let (seen, mut stalled) = handle.join().unwrap();
        cell.update(next).unwrap();
        cell.update(next).unwrap();
        // The current one and the reader's.
        let expected = 1 + usize::from(seen < 6);
        assert_eq!(alive.load(Ordering::Relaxed), expected);
        assert_eq!((cell.live_versions(), cell.retired()), (expected, expected - 1));
        assert_eq!(stalled.version(), Some(Version(seen)));
        assert_eq!(stalled.get().get(), 6);
        drop(stalled);
        cell.update(next).unwrap();
        cell.update(next).unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 1);
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn two_committers_reclaim_each_version_once() {
    explore(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let commit_twice = |cell: &SnapshotCell<Counted>| {
            cell.update(next).unwrap();
            cell.update(next).unwrap();
        };
        let other = spawn_with(&cell, commit_twice);
        commit_twice(&cell);
        other.join().unwrap();
        assert_eq!(cell.version(), Version(4));
        // One whose base was still announced may have been kept.
        assert!(alive.load(Ordering::Relaxed) <= 2);
        assert_eq!(cell.live_versions(), alive.load(Ordering::Relaxed));
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn what_two_collections_keep_is_not_lost() {
    // One that keeps version 0, and one that keeps version 3: at the same time, or one after the other.
    static KEPT: AtomicUsize = AtomicUsize::new(0);
    explore(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = Arc::new(SnapshotCell::new(Counted::new(&alive, 0)));
        let mut readers = [cell.reader(), cell.reader()];
        readers[0].get();
        cell.update(next).unwrap();
        let other = spawn_with(&cell, |cell| cell.update(next).unwrap());
        cell.update(next).unwrap();
        let seen = readers[1].get().get();
        cell.update(next).unwrap();
        other.join().unwrap();
        // Whatever the order, a fourth version began a segment, and a fifth is not yet there.
        assert_eq!(cell.version(), Version(4));
        // Beside what the readers keep, a commit may have been seen in one that it lost.
        let kept = alive.load(Ordering::Relaxed);
        assert!((2 + usize::from(seen != 4)..=4).contains(&kept));
        assert_eq!(cell.live_versions(), kept);
        KEPT.fetch_add(usize::from(seen == 3), Ordering::Relaxed);
        drop(readers);
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
    assert!(KEPT.load(Ordering::Relaxed) > 0);
}

/// A version that takes the place of another in a slot displaces one that a further reader may read.
fn what_is_displaced_is_looked_into_again(first: usize) {
    explore(move || {
        let one = NonZero::new(1).unwrap();
        let cell = SnapshotCell::reclaiming_every(one, Version(0), Watched::new(0));
        let cell = Arc::new(cell);
        let mut readers = [cell.reader(), cell.reader()];
        readers[first].get();
        // Wants to free version 0, which the first reader has.
        let other = spawn_with(&cell, commit);
        // Both readers may go on to version 1 before that is done, and this may want to free that.
        readers[first].get();
        let (seen, version) = readers[1 - first].get_versioned();
        commit(&cell);
        other.join().unwrap();
        assert_eq!(seen.get(), version.0);
    });
}

#[test]
fn what_is_displaced_in_the_first_slot_is_looked_into_again() {
    what_is_displaced_is_looked_into_again(0);
}

#[test]
fn what_is_displaced_in_the_second_slot_is_looked_into_again() {
    what_is_displaced_is_looked_into_again(1);
}

#[test]
fn who_lets_go_of_a_version_leaves_it_to_who_still_reads_it() {
    explore(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let one = NonZero::new(1).unwrap();
        let cell = SnapshotCell::reclaiming_every(one, Version(0), Counted::new(&alive, 0));
        let mut readers = [cell.reader(), cell.reader()];
        readers.iter_mut().for_each(|reader| assert_eq!(reader.get().get(), 0));
        let [first, mut second] = readers;
        let leaver = thread::spawn(move || drop(first));
        cell.update(next).unwrap();
        let value = second.get();
        let seen = value.get();
        cell.update(next).unwrap();
        assert_eq!(value.get(), seen);
        leaver.join().unwrap();
        drop(second);
        drop(cell);
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

/// A version that was left to one of its two readers, who then moves on, is still read by the other.
fn what_is_swept_up_may_still_be_read_elsewhere(moves: usize) {
    explore(move || {
        let one = NonZero::new(1).unwrap();
        let cell = SnapshotCell::reclaiming_every(one, Version(0), Watched::new(0));
        let mut readers = vec![cell.reader(), cell.reader()];
        readers.iter_mut().for_each(|reader| assert_eq!(reader.get().get(), 0));
        commit(&cell);
        let mut mover = readers.swap_remove(moves);
        let stays = readers.remove(0);
        let mover = thread::spawn(move || assert!(mover.get().get() >= 1));
        commit(&cell);
        commit(&cell);
        let kept = stays.last().unwrap();
        assert_eq!(kept.get(), 0);
        mover.join().unwrap();
    });
}

#[test]
fn what_is_swept_up_from_the_first_slot_may_still_be_read_elsewhere() {
    what_is_swept_up_may_still_be_read_elsewhere(0);
}

#[test]
fn what_is_swept_up_from_the_second_slot_may_still_be_read_elsewhere() {
    what_is_swept_up_may_still_be_read_elsewhere(1);
}

#[test]
fn versions_that_outlive_the_cells_interest_are_never_counted_below_nothing() {
    explore(|| {
        let one = NonZero::new(1).unwrap();
        let cell = SnapshotCell::reclaiming_every(one, Version(0), Watched::new(0));
        let cell = Arc::new(cell);
        let kept = cell.load();
        let dropper = thread::spawn(move || drop(kept));
        let counter = spawn_with(&cell, |cell| assert!((1..=3).contains(&cell.live_versions())));
        commit(&cell);
        dropper.join().unwrap();
        counter.join().unwrap();
        // Who counted may have been seen in the version that was replaced.
        assert!(cell.live_versions() <= 2);
        commit(&cell);
        assert_eq!(cell.live_versions(), 1);
    });
}

#[test]
fn the_last_handle_frees_the_cell() {
    explore(|| {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        let cell = SnapshotCell::new(Counted::new(&alive, 0));
        let mut reader = cell.reader();
        let handle = thread::spawn(move || assert!(reader.get().get() <= 1));
        cell.update(next).unwrap();
        drop(cell);
        handle.join().unwrap();
        assert_eq!(alive.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn a_version_that_outlives_the_cell_is_counted_until_it_goes() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let kept = cell.load();
        let handle = thread::spawn(move || {
            assert_eq!(kept.get(), 0);
            drop(kept);
        });
        commit(&cell);
        commit(&cell);
        handle.join().unwrap();
        assert_eq!(cell.live_versions(), 1);
    });
}
