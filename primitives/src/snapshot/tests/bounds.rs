//! What stays alive, whatever readers and snapshots do.

use std::mem::ManuallyDrop;

use super::*;
use crate::snapshot::core::SEGMENT;

const SEGMENT_LEN: usize = SEGMENT as usize;

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
    for _ in 0..SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
    }
    assert_eq!(alive(&counter), 1);
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
    for _ in 0..SEGMENT_LEN {
        cell.update(Counted::next).unwrap();
    }
    assert!(alive(&counter) <= SEGMENT_LEN);
}

#[test]
fn slots_are_used_again() {
    let cell = SnapshotCell::new(0);
    let slots = |cell: &SnapshotCell<i32>| cell.slots();
    let readers: Vec<_> = (0..100).map(|_| cell.reader()).collect();
    let before = slots(&cell);
    drop(readers);
    let _readers: Vec<_> = (0..100).map(|_| cell.reader()).collect();
    for _ in 0..1000 {
        cell.update(|n| n + 1).unwrap();
        drop(cell.reader());
    }
    assert_eq!(slots(&cell), before);
}

#[test]
fn a_cell_at_the_last_version_stays_there_and_frees_what_it_replaced() {
    let counter = counter();
    let cell = SnapshotCell::starting_at(Version(u64::MAX - 1), Counted::first(&counter));
    for _ in 0..4 * SEGMENT_LEN {
        assert_eq!(cell.update(Counted::next), Ok(Version(u64::MAX)));
    }
    assert_eq!(alive(&counter), 1);
}
