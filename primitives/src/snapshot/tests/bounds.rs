//! What stays alive, whatever readers and snapshots do.

use std::mem::ManuallyDrop;
use std::num::NonZero;
use std::task::Context;
use std::thread;

use super::*;
use crate::snapshot::core::SEGMENT;

const SEGMENT_LEN: usize = SEGMENT.get() as usize;

#[test]
fn nothing_more_than_a_segment_waits_to_be_freed() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    for _ in 0..10 * SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
        assert_eq!(cell.live_versions(), alive(&counter));
        assert_eq!(cell.retired() + 1, alive(&counter));
        assert!(cell.retired() < SEGMENT_LEN);
    }
    drop(cell);
    assert_eq!(alive(&counter), 0);
}

#[test]
fn each_stalled_reader_keeps_one_version() {
    const READERS: usize = 40;
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = cell.reader();
        reader.get();
        readers.push(reader);
        for _ in 0..2 * SEGMENT_LEN {
            cell.update(Counted::next).unwrap();
            assert!(alive(&counter) <= 1 + SEGMENT_LEN + readers.len());
        }
    }
    assert_eq!(alive(&counter), 1 + READERS);
    assert_eq!((cell.live_versions(), cell.retired()), (1 + READERS, READERS));
    for (at, reader) in readers.iter().enumerate() {
        assert_eq!(reader.version(), Some(Version((at * 2 * SEGMENT_LEN) as u64)));
    }
    // Half of them let go, the others leave.
    for reader in &mut readers[..READERS / 2] {
        reader.release();
    }
    readers.truncate(READERS / 2);
    for _ in 0..SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
    }
    assert_eq!(alive(&counter), 1);
}

#[test]
fn a_forgotten_reader_keeps_one_version_and_the_cell() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    let mut reader = ManuallyDrop::new(cell.reader());
    reader.get();
    for _ in 0..4 * SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
    }
    assert_eq!(alive(&counter), 2);
    // Handles share the cell's memory, so it stays; nothing else does.
    drop(cell);
    assert_eq!(alive(&counter), 2);
    // Remembered after all, or the leak checkers would rightly complain.
    drop(ManuallyDrop::into_inner(reader));
    assert_eq!(alive(&counter), 0);
}

#[test]
fn a_stalled_closure_keeps_one_version() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    cell.read(|value, version| {
        for _ in 0..4 * SEGMENT_LEN {
            cell.update(Counted::next).unwrap();
        }
        assert_eq!(alive(&counter), 2);
        assert_eq!((value.number, version), (0, Version(0)));
    });
    assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
}

#[test]
fn a_snapshot_keeps_its_version_and_frees_it_at_once_when_the_cell_is_done_with_it() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    let kept: Vec<_> = std::iter::repeat_with(|| {
        let snapshot = cell.load();
        for _ in 0..SEGMENT_LEN {
            cell.update(Counted::next).unwrap();
        }
        snapshot
    })
    .take(5)
    .collect();
    assert_eq!(alive(&counter), 6);
    assert_eq!((cell.live_versions(), cell.retired()), (6, 0));
    let again = kept[0].clone();
    drop(kept);
    assert_eq!((alive(&counter), cell.live_versions()), (2, 2));
    drop(again);
    assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
}

#[test]
fn closures_within_closures_find_slots_without_end() {
    fn nest(cell: &SnapshotCell<Counted>, depth: u64) {
        if depth > 0 {
            cell.read(|outer, _| {
                cell.update(Counted::next).unwrap();
                nest(cell, depth - 1);
                cell.read(|inner, _| assert!(inner.number > outer.number));
            });
        }
    }
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    nest(&cell, 100);
    assert_eq!(cell.load().number, 100);
    // Each took what it was the last to read with it.
    assert!(alive(&counter) <= SEGMENT_LEN);
}

#[test]
fn slots_are_used_again() {
    let cell = SnapshotCell::new(0);
    let readers: Vec<_> = (0..100).map(|_| cell.reader()).collect();
    let before = cell.slot_count();
    drop(readers);
    let _readers: Vec<_> = (0..100).map(|_| cell.reader()).collect();
    for _ in 0..1000 {
        cell.update(|n| n + 1).unwrap();
        drop(cell.reader());
    }
    assert_eq!(cell.slot_count(), before);
    let wait_in_vain = || {
        let mut change = Box::pin(cell.changed(cell.version()));
        assert!(change.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    };
    wait_in_vain();
    let before = cell.slot_count();
    (0..1000).for_each(|_| wait_in_vain());
    assert_eq!(cell.slot_count(), before);
}

#[test]
fn after_the_last_version_comes_the_first_and_no_commit_is_fooled() {
    let counter = counter();
    let cell = SnapshotCell::starting_at(Version(u64::MAX - 1), Counted::first(&counter));
    cell.update(Counted::next).unwrap();
    let staged = cell.stage();
    assert_eq!(cell.update(Counted::next), Ok(Version(0)));
    assert_eq!(cell.commit(staged).unwrap_err().current, Version(0));
    for _ in 0..4 * SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
        assert_eq!(cell.live_versions(), alive(&counter));
    }
}

#[test]
fn a_cell_of_large_states_frees_each_at_once() {
    let counter = counter();
    let one = NonZero::new(1).unwrap();
    let cell = SnapshotCell::reclaiming_every(one, Version(0), Counted::first(&counter));
    let mut reader = cell.reader();
    for _ in 0..10 {
        cell.update(Counted::next).unwrap();
        assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
    }
    reader.get();
    for _ in 0..10 {
        cell.update(Counted::next).unwrap();
        assert_eq!((alive(&counter), cell.live_versions()), (2, 2));
    }
    // Whoever lets go of a version that only it kept frees it.
    reader.release();
    assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
    reader.get();
    cell.update(Counted::next).unwrap();
    assert_eq!(alive(&counter), 2);
    drop(reader);
    assert_eq!(alive(&counter), 1);
}

#[test]
fn the_longest_segment_is_freed_as_well() {
    let counter = counter();
    let most = NonZero::new(u8::MAX).unwrap();
    let cell = SnapshotCell::reclaiming_every(most, Version(0), Counted::first(&counter));
    for _ in 0..4 * 255 {
        cell.update(Counted::next).unwrap();
        assert!(alive(&counter) <= 255);
    }
    assert_eq!(alive(&counter), 1);
}

#[test]
fn many_readers_that_leave_take_their_versions_with_them() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    let mut readers: Vec<_> = (0..1000).map(|_| cell.reader()).collect();
    for reader in &mut readers {
        reader.get();
        cell.update(Counted::next).unwrap();
    }
    assert!(alive(&counter) > 1000);
    drop(readers);
    assert!(alive(&counter) <= SEGMENT_LEN);
    assert_eq!(cell.live_versions(), alive(&counter));
}

#[test]
fn two_readers_of_one_version_keep_it_until_both_have_left() {
    let counter = counter();
    let one = NonZero::new(1).unwrap();
    let cell = SnapshotCell::reclaiming_every(one, Version(0), Counted::first(&counter));
    let mut readers = [cell.reader(), cell.reader(), cell.reader()];
    readers.iter_mut().for_each(|reader| assert_eq!(reader.get().number, 0));
    cell.update(Counted::next).unwrap();
    let [first, second, mut third] = readers;
    drop(first);
    assert_eq!(alive(&counter), 2);
    third.release();
    assert_eq!((alive(&counter), second.version()), (2, Some(Version(0))));
    drop(second);
    assert_eq!(alive(&counter), 1);
}

#[test]
fn commits_that_stall_hold_back_a_segment_each_and_no_more() {
    const READERS: usize = 1000;
    const STALLED: usize = 4;
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    let mut readers: Vec<_> = (0..READERS).map(|_| cell.reader()).collect();
    thread::scope(|scope| {
        let gate = Gate::closed();
        for stalled in 1..=STALLED {
            // Each reader has another version, all of which it lets go of when they are to be freed.
            for reader in &mut readers {
                reader.get();
                cell.update(Counted::next).unwrap();
            }
            while !(cell.version().0 + 1).is_multiple_of(SEGMENT_LEN as u64) {
                cell.update(Counted::next).unwrap();
            }
            readers.iter_mut().for_each(SnapshotReader::release);
            let (waker, was_reached) = gate.blocking_waker();
            let mut change = Box::pin(cell.changed(cell.version()));
            assert!(change.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            scope.spawn(|| cell.update(Counted::next).unwrap());
            was_reached.recv().unwrap();
            // What is open, what the stalled ones have, and the current one: no reader reads.
            let most = SEGMENT_LEN - 1 + stalled * SEGMENT_LEN + 1;
            assert!(alive(&counter) <= most, "{} of {most} after {stalled}", alive(&counter));
            assert_eq!(cell.live_versions(), alive(&counter));
        }
    });
}
