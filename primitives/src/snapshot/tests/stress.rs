//! Real threads, all at once: for the sanitizers, which see what a model of a few steps does not reach.

use std::sync::atomic::AtomicU64;
use std::thread;

use super::*;

/// Each version holds its own number in many words, so that a torn or freed state would show.
struct Words {
    words: Vec<u64>,
    counted: Counted,
}

impl Words {
    fn new(alive: &Arc<AtomicUsize>, number: u64) -> Self {
        Words { words: vec![number; 8], counted: Counted::new(alive, number) }
    }

    fn check(&self, version: Version) {
        assert!(
            self.words.iter().all(|word| *word == version.0) && self.counted.number == version.0
        );
    }

    fn next(&self) -> Self {
        Words::new(&self.counted.alive, self.counted.number + 1)
    }
}

impl Clone for Words {
    fn clone(&self) -> Self {
        Words { words: self.words.clone(), counted: self.counted.clone() }
    }
}

#[test]
fn all_kinds_of_readers_beside_all_kinds_of_writers() {
    const COMMITS: u64 = 3_000;
    let counter = counter();
    let cell = SnapshotCell::new(Words::new(&counter, 0));
    let left = AtomicU64::new(COMMITS);
    let some_left =
        || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
    let following = |read: &mut dyn FnMut() -> Version| {
        let mut newest = Version(0);
        while newest < Version(COMMITS) {
            let seen = read();
            assert!(seen >= newest, "went back");
            newest = seen;
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            while some_left() {
                cell.update(Words::next).unwrap();
            }
        });
        scope.spawn(|| {
            while some_left() {
                loop {
                    let mut staged = cell.stage();
                    *staged = staged.next();
                    if cell.commit(staged).is_ok() {
                        break;
                    }
                }
            }
        });
        scope.spawn(|| {
            following(&mut || {
                cell.read(|words, version| {
                    words.check(version);
                    version
                })
            });
        });
        scope.spawn(|| {
            let mut kept = Vec::new();
            following(&mut || {
                let seen = cell.load();
                seen.check(seen.version());
                let version = seen.version();
                kept.push(seen);
                // Let them go in an order of their own.
                if kept.len() > 10 {
                    kept.swap_remove(version.0 as usize % 10);
                }
                kept.iter().for_each(|seen| seen.check(seen.version()));
                version
            });
        });
        scope.spawn(|| {
            let mut reader = cell.reader();
            following(&mut || {
                let (words, version) = reader.get_versioned();
                words.check(version);
                version
            });
        });
        scope.spawn(|| {
            // Handles come and go, and some are handed to another thread.
            let mut turns = 0;
            following(&mut || {
                let mut reader = cell.reader();
                let seen = reader.snapshot();
                turns += 1;
                if turns % 64 == 0 {
                    let at = reader.version().unwrap();
                    scope.spawn(move || assert!(reader.get().counted.number >= at.0));
                }
                seen.check(seen.version());
                seen.version()
            });
        });
        scope.spawn(|| {
            let mut reader = cell.reader();
            let mut newest = Version(0);
            while newest < Version(COMMITS) {
                let said = reader.wait_changed().unwrap();
                reader.get();
                newest = reader.version().unwrap();
                assert!(newest >= said);
                if newest.0.is_multiple_of(3) {
                    reader.release();
                }
            }
        });
    });
    assert_eq!(cell.version(), Version(COMMITS));
    assert_eq!(cell.live_versions(), alive(&counter));
    for _ in 0..64 {
        cell.update(Words::next).unwrap();
    }
    assert!(alive(&counter) <= 64);
    drop(cell);
    assert_eq!(alive(&counter), 0);
}

#[test]
fn what_waits_to_be_freed_is_bounded_beside_many_writers() {
    const WRITERS: usize = 4;
    const COMMITS: u64 = 2_000;
    let counter = counter();
    let cell = SnapshotCell::new(Words::new(&counter, 0));
    let mut stalled = cell.reader();
    stalled.get();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..COMMITS {
                    cell.update(Words::next).unwrap();
                    // Those that are being built count as well, one a writer.
                    assert!(alive(&counter) <= 1 + 64 * WRITERS + 1 + WRITERS);
                }
            });
        }
    });
    assert_eq!(stalled.version(), Some(Version(0)));
    stalled.get().check(Version(COMMITS * WRITERS as u64));
}

#[test]
fn cells_are_made_and_dropped_under_their_readers() {
    let counter = counter();
    for _ in 0..200 {
        let cell = SnapshotCell::new(Words::new(&counter, 0));
        thread::scope(|scope| {
            for _ in 0..2 {
                let mut reader = cell.reader();
                scope.spawn(move || {
                    while reader.wait_changed().is_ok() {
                        let number = reader.get().counted.number;
                        reader.snapshot().check(reader.version().unwrap());
                        assert!(number <= 10);
                    }
                });
            }
            for _ in 0..10 {
                cell.update(Words::next).unwrap();
            }
            drop(cell);
        });
    }
    assert_eq!(alive(&counter), 0);
}
