//! The snapshot cell: publication, one winner per base, nothing lost, versions that rise.

#![cfg(queenright_loom)]

mod shared;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};
use queenright_primitives::snapshot::{Contended, SnapshotCell, Version};
use shared::{Watched, commit, commit_next, explore, heap, spawn_with};

/// A thread that writes a note and commits version 1.
fn spawn_noting(
    cell: &Arc<SnapshotCell<Watched>>,
    note: &Arc<Watched>,
) -> JoinHandle<Result<Version, Contended>> {
    let note = Arc::clone(note);
    spawn_with(cell, move |cell| {
        // To enter the cell is a fence, which alone would publish all that came before it. So the note is
        // written inside, and hangs on the Release of the exchange, as the cell's own node does.
        cell.update(|_| {
            note.set(1);
            Watched::new(1)
        })
    })
}

/// Whoever sees version 1 of the writer, by whichever way `look` takes, sees the note written before it.
fn a_version_publishes(look: fn(&SnapshotCell<Watched>) -> Version) {
    explore(move || {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let note = Arc::new(Watched::new(0));
        let writer = spawn_noting(&cell, &note);
        if look(&cell) == Version(1) {
            assert_eq!(note.get(), 1);
        }
        writer.join().unwrap().unwrap();
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
fn a_reader_sees_what_the_writer_of_its_version_did_before() {
    a_version_publishes(|cell| {
        let mut reader = cell.reader();
        for _ in 0..2 {
            let seen = reader.get().get();
            assert_eq!(Some(Version(seen)), reader.version());
        }
        reader.version().unwrap()
    });
}

#[test]
fn stage_sees_what_the_writer_of_its_version_did_before() {
    a_version_publishes(|cell| {
        let staged = cell.stage();
        assert_eq!(staged.get(), staged.base().0);
        staged.base()
    });
}

#[test]
fn a_lost_compare_and_commit_sees_what_the_winner_did_before() {
    // Whether the version refused it early or the exchange late.
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let note = Arc::new(Watched::new(0));
        let writer = spawn_noting(&cell, &note);
        if let Err(stale) = commit_next(&cell, 0) {
            assert_eq!((stale.current, note.get()), (Version(1), 1));
        }
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn of_two_commits_from_one_base_one_wins_and_the_other_gets_its_work_back() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(0));
        let theirs = spawn_with(&cell, |cell| cell.compare_and_commit(Version(0), 1));
        let mine = cell.compare_and_commit(Version(0), 2);
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
fn what_was_staged_is_refused_once_another_commit_came_between() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let stager = spawn_with(&cell, |cell| {
            let staged = cell.stage();
            let base = staged.base();
            staged.set(base.0 + 1);
            (base, cell.commit(staged).map_err(|stale| stale.current))
        });
        commit(&cell);
        let end = match stager.join().unwrap() {
            (base, Ok(version)) => {
                assert_eq!(version, base.next());
                Version(2)
            }
            (base, Err(current)) => {
                assert_eq!((base, current), (Version(0), Version(1)));
                Version(1)
            }
        };
        let seen = cell.load();
        assert_eq!((seen.version(), seen.get()), (end, end.0));
    });
}

#[test]
fn updates_by_two_threads_lose_nothing() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
        let other = spawn_with(&cell, commit);
        let mine = commit(&cell);
        let theirs = other.join().unwrap();
        assert_ne!(mine, theirs);
        let end = cell.load();
        assert_eq!((end.version(), end.get()), (Version(2), 2));
    });
}

#[test]
fn the_versions_that_one_thread_sees_never_go_back() {
    explore(|| {
        let cell = Arc::new(SnapshotCell::new(()));
        let look_and_commit = |cell: &SnapshotCell<()>| {
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
        };
        let other = spawn_with(&cell, look_and_commit);
        look_and_commit(&cell);
        other.join().unwrap();
    });
}

/// Where the nodes of four versions stand, counting how often a later one stands where the first did.
fn address(cell: &SnapshotCell<Watched>) -> usize {
    cell.read(|value, _| std::ptr::from_ref(value).addr())
}

#[test]
fn a_commit_from_an_old_base_is_not_fooled_by_a_reused_address() {
    static REUSED: AtomicUsize = AtomicUsize::new(0);
    heap::with_reuse(|| {
        explore(|| {
            let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
            let slow = spawn_with(&cell, |cell| commit_next(cell, 0).is_ok());
            let mut places = vec![address(&cell)];
            let mut won = 0;
            for base in 0..3 {
                won += usize::from(commit_next(&cell, base).is_ok());
                places.push(address(&cell));
            }
            won += usize::from(slow.join().unwrap());
            // Each commit that won added one, and each base had a winner.
            assert_eq!(cell.version(), Version(3));
            assert_eq!(won, 3);
            REUSED.fetch_add(usize::from(places[1..].contains(&places[0])), Ordering::Relaxed);
        });
    });
    assert!(REUSED.load(Ordering::Relaxed) > 0);
}

#[test]
fn a_reader_is_not_fooled_by_a_reused_address() {
    static REUSED: AtomicUsize = AtomicUsize::new(0);
    heap::with_reuse(|| {
        explore(|| {
            let cell = Arc::new(SnapshotCell::new(Watched::new(0)));
            let reader = {
                let mut reader = cell.reader();
                thread::spawn(move || {
                    let mut newest = 0;
                    for _ in 0..2 {
                        let seen = reader.get().get();
                        assert_eq!(reader.version(), Some(Version(seen)));
                        assert!(seen >= newest);
                        newest = seen;
                    }
                })
            };
            let mut places = vec![address(&cell)];
            for _ in 0..3 {
                commit(&cell);
                places.push(address(&cell));
            }
            reader.join().unwrap();
            REUSED.fetch_add(usize::from(places[1..].contains(&places[0])), Ordering::Relaxed);
        });
    });
    assert!(REUSED.load(Ordering::Relaxed) > 0);
}
