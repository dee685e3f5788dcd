mod bounds;
mod model;
mod panics;
mod stress;
mod waiting;

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::task::{Wake, Waker};

use super::*;
use crate::testing::CountWakes;

/// A value that counts how many of its kind are alive.
struct Counted {
    number: u64,
    alive: Arc<AtomicUsize>,
}

impl Counted {
    fn first(alive: &Arc<AtomicUsize>) -> Self {
        Counted::new(alive, 0)
    }

    fn new(alive: &Arc<AtomicUsize>, number: u64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { number, alive: Arc::clone(alive) }
    }

    fn next(&self) -> Self {
        Counted::new(&self.alive, self.number + 1)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::new(&self.alive, self.number)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn counter() -> Arc<AtomicUsize> {
    Arc::default()
}

fn alive(counter: &Arc<AtomicUsize>) -> usize {
    counter.load(Ordering::Relaxed)
}

/// Holds up whoever [`Blocks`] until it is dropped, also by a test that fails.
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn closed() -> Self {
        Gate(Arc::default())
    }

    /// A waker that says that it was reached, and then blocks until the gate opens; and what tells of it.
    fn blocking_waker(&self) -> (Waker, mpsc::Receiver<()>) {
        let (reached, was_reached) = mpsc::sync_channel(1);
        (Waker::from(Arc::new(Blocks(reached, Arc::clone(&self.0)))), was_reached)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let (is_open, opened) = &*self.0;
        *is_open.lock().unwrap() = true;
        opened.notify_all();
    }
}

struct Blocks(mpsc::SyncSender<()>, Arc<(Mutex<bool>, Condvar)>);

impl Wake for Blocks {
    fn wake(self: Arc<Self>) {
        self.0.send(()).unwrap();
        let (is_open, opened) = &*self.1;
        drop(opened.wait_while(is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
    }
}

#[test]
fn what_crosses_threads_and_what_does_not() {
    fn crosses<T: Send + Sync>() {}
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    crosses::<SnapshotCell<Vec<u8>>>();
    crosses::<SnapshotReader<Vec<u8>>>();
    crosses::<Snapshot<Vec<u8>>>();
    crosses::<Staged<Vec<u8>>>();
    crosses::<Changed<'_, Vec<u8>>>();
    crosses::<ReaderChanged<'_, Vec<u8>>>();
    unwinds::<SnapshotCell<Vec<u8>>>();
    unwinds::<SnapshotReader<Vec<u8>>>();
    unwinds::<Snapshot<Vec<u8>>>();

    /// `true` if `$type` has `$bound`: an inherent method goes before that of a trait.
    macro_rules! has {
        ($type:ty: $bound:path) => {{
            struct Probe<T>(std::marker::PhantomData<T>);
            #[allow(dead_code, reason = "called where the bound does not hold")]
            trait Otherwise {
                fn has(&self) -> bool {
                    false
                }
            }
            impl<T> Otherwise for Probe<T> {}
            #[allow(dead_code, reason = "called where the bound holds")]
            impl<T: $bound> Probe<T> {
                fn has(&self) -> bool {
                    true
                }
            }
            Probe::<$type>(std::marker::PhantomData).has()
        }};
    }
    // What is not `Sync` may be read by one thread alone, and what is not `Send` be dropped by one alone.
    assert!(!has!(SnapshotCell<Cell<u8>>: Send) && !has!(SnapshotCell<Cell<u8>>: Sync));
    assert!(!has!(SnapshotReader<Cell<u8>>: Send) && !has!(SnapshotReader<Cell<u8>>: Sync));
    assert!(!has!(Snapshot<Cell<u8>>: Send) && !has!(Snapshot<Cell<u8>>: Sync));
    type Guarded = std::sync::MutexGuard<'static, u8>;
    assert!(!has!(SnapshotCell<Guarded>: Send) && !has!(SnapshotCell<Guarded>: Sync));
    assert!(!has!(SnapshotReader<Guarded>: Send) && !has!(SnapshotReader<Guarded>: Sync));
    assert!(!has!(Snapshot<Guarded>: Send) && !has!(Snapshot<Guarded>: Sync));
    assert!(!has!(SnapshotCell<Cell<u8>>: UnwindSafe));
    assert!(has!(SnapshotCell<u8>: Send));
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
fn a_reader_sees_each_commit_and_outlives_the_cell() {
    let cell = SnapshotCell::new(0);
    let mut reader = cell.reader();
    assert_eq!(reader.version(), None);
    for number in 1..200 {
        cell.update(|n| n + 1).unwrap();
        assert_eq!((*reader.get(), reader.version()), (number, Some(Version(number))));
    }
    let mut other = reader.clone();
    drop(cell);
    assert_eq!((*reader.get(), *other.get()), (199, 199));
    let kept = reader.snapshot();
    drop((reader, other));
    assert_eq!(*kept, 199);
}

#[test]
fn a_reader_shows_what_it_read_last_and_says_whether_that_is_old() {
    let cell = SnapshotCell::new(1);
    let mut reader = cell.reader();
    assert_eq!((reader.last(), reader.has_changed()), (None, true));
    reader.get();
    assert_eq!((reader.last(), reader.has_changed()), (Some(&1), false));
    assert_eq!(cell.replace(2), Version(1));
    assert_eq!((reader.last(), reader.has_changed()), (Some(&1), true));
    assert_eq!(reader.get_versioned(), (&2, Version(1)));
    reader.release();
    assert_eq!(
        (reader.last(), reader.has_changed(), reader.version()),
        (None, true, Some(Version(1)))
    );
}

#[test]
fn values_may_borrow_and_need_not_cross_threads() {
    let text = String::from("abc");
    let cell = SnapshotCell::new(std::rc::Rc::new(text.as_str()));
    cell.update(|rc| std::rc::Rc::new(&rc[1..])).unwrap();
    let seen = cell.load();
    drop(cell);
    assert_eq!(**seen, "bc");
}

#[test]
fn a_snapshot_of_what_lives_longer_serves_where_less_is_asked() {
    fn shorter<'a>(snapshot: Snapshot<&'static str>, _: &'a str) -> Snapshot<&'a str> {
        snapshot
    }
    let text = String::from("short");
    assert_eq!(*shorter(SnapshotCell::new("long").load(), &text), "long");
}

#[test]
fn a_snapshot_knows_whether_another_is_of_the_same_version() {
    let cell = SnapshotCell::<u8>::default();
    let first = cell.load();
    assert!(Snapshot::ptr_eq(&first, &cell.load()) && Snapshot::ptr_eq(&first, &first.clone()));
    cell.update(|n| *n).unwrap();
    assert!(!Snapshot::ptr_eq(&first, &cell.load()));
}

#[test]
fn what_is_printed_names_version_and_value() {
    let cell = SnapshotCell::from("x");
    let mut reader = cell.reader();
    assert_eq!(format!("{cell:?}"), r#"SnapshotCell { version: 0, value: "x" }"#);
    assert_eq!(format!("{:?}", cell.load()), r#"Snapshot { version: 0, value: "x" }"#);
    assert_eq!(format!("{reader:?}"), "SnapshotReader { version: None, .. }");
    reader.get();
    assert_eq!(format!("{reader:?}"), "SnapshotReader { version: Some(0), .. }");
}
