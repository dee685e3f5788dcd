use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;

fn assert_send_sync<T: Send + Sync>() {}

#[test]
fn cells_and_snapshots_cross_threads() {
    assert_send_sync::<SnapshotCell<Vec<u8>>>();
    assert_send_sync::<Snapshot<Vec<u8>>>();
    assert_send_sync::<Staged<Vec<u8>>>();
}

#[test]
fn a_stale_commit_gives_the_work_back() {
    let cell = SnapshotCell::new(1);
    let mut slow = cell.stage();
    *slow = 10;
    assert_eq!(cell.update(|value| value + 1), Ok(Version(1)));
    let stale = cell.commit(slow).unwrap_err();
    assert_eq!((stale.current, stale.staged.base()), (Version(1), Version(0)));
    assert_eq!(stale.staged.into_inner(), 10);
    assert_eq!(*cell.load(), 2);
}

#[test]
fn a_snapshot_outlives_its_cell_and_later_commits() {
    let cell = SnapshotCell::starting_at(Version(7), "old".to_owned());
    let kept = cell.load();
    for _ in 0..1000 {
        cell.update(|text| format!("{}!", &text[..3])).unwrap();
    }
    drop(cell);
    assert_eq!((kept.as_str(), kept.version()), ("old", Version(7)));
}

#[test]
fn a_panic_while_updating_leaves_the_cell_as_it_was() {
    let cell = SnapshotCell::new(vec![1]);
    let panicked = catch_unwind(AssertUnwindSafe(|| cell.update(|_| panic!("in the closure"))));
    assert!(panicked.is_err());
    assert_eq!((cell.load().as_slice(), cell.version()), ([1].as_slice(), Version(0)));
    cell.update(|list| [list.as_slice(), &[2]].concat()).unwrap();
    assert_eq!(*cell.load(), [1, 2]);
}

/// Each version holds its own number twice, so that a torn or freed state would show.
#[test]
fn readers_beside_writers_see_whole_versions_that_never_go_back() {
    const COMMITS: u64 = 2_000;
    let cell = Arc::new(SnapshotCell::new((0_u64, vec![0_u64; 4])));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..COMMITS {
                    cell.update(|(n, _)| (n + 1, vec![n + 1; 4])).unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = Version(0);
                while last < Version(2 * COMMITS) {
                    let seen = cell.load();
                    assert!(seen.version() >= last, "went back");
                    last = seen.version();
                    assert_eq!(seen.0, last.0);
                    assert!(seen.1.iter().all(|n| *n == last.0));
                    cell.read(|(n, list), version| {
                        assert!(version >= last);
                        assert!(*n == version.0 && list.iter().all(|m| m == n));
                    });
                }
            });
        }
    });
    assert_eq!(cell.version(), Version(2 * COMMITS));
}

#[derive(Clone, Debug)]
enum Step {
    Stage,
    Change(usize, u8),
    Commit(usize),
    Update(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Stage),
        (0usize..4, any::<u8>()).prop_map(|(at, value)| Step::Change(at, value)),
        (0usize..4).prop_map(Step::Commit),
        any::<u8>().prop_map(Step::Update),
    ]
}

proptest! {
    /// The cell does what a plain version number and value do.
    #[test]
    fn it_behaves_as_a_versioned_value(steps in prop::collection::vec(step(), 0..40)) {
        let cell = SnapshotCell::new(0_u8);
        let (mut version, mut value) = (0_u64, 0_u8);
        let mut staged: Vec<Staged<u8>> = Vec::new();
        for step in steps {
            match step {
                Step::Stage => staged.push(cell.stage()),
                Step::Change(at, to) => {
                    if let Some(work) = staged.get_mut(at) {
                        **work = to;
                    }
                }
                Step::Commit(at) if at < staged.len() => {
                    let work = staged.remove(at);
                    let (base, wanted) = (work.base(), *work);
                    let committed = cell.commit(work);
                    prop_assert_eq!(committed.is_ok(), base.0 == version);
                    if committed.is_ok() {
                        (version, value) = (version + 1, wanted);
                    }
                }
                Step::Commit(_) => {}
                Step::Update(by) => {
                    prop_assert_eq!(cell.update(|value| value.wrapping_add(by)), Ok(Version(version + 1)));
                    (version, value) = (version + 1, value.wrapping_add(by));
                }
            }
            prop_assert_eq!((cell.version(), *cell.load()), (Version(version), value));
        }
    }
}
