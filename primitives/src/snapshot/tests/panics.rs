//! A panic in the caller's code leaves the cell usable, and nothing behind.

use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::task::{Context, RawWaker, RawWakerVTable};

use super::*;
use crate::snapshot::core;

const SEGMENT: u8 = core::SEGMENT.get();

fn panics<R>(body: impl FnOnce() -> R) -> bool {
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

/// A value that counts, and may panic when it is cloned or dropped.
struct Bomb {
    counted: Counted,
    goes_off: Option<When>,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Cloned,
    Dropped,
}

impl Bomb {
    fn harmless(alive: &Arc<AtomicUsize>, number: u64) -> Self {
        Bomb { counted: Counted::new(alive, number), goes_off: None }
    }

    fn when(when: When, alive: &Arc<AtomicUsize>, number: u64) -> Self {
        Bomb { counted: Counted::new(alive, number), goes_off: Some(when) }
    }
}

impl Clone for Bomb {
    fn clone(&self) -> Self {
        assert!(self.goes_off != Some(When::Cloned), "a panic in clone");
        Bomb { counted: self.counted.clone(), goes_off: self.goes_off }
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(self.goes_off != Some(When::Dropped), "a panic in drop");
    }
}

#[test]
fn in_the_closure_of_update_or_read() {
    let counter = counter();
    let cell = SnapshotCell::new(Bomb::harmless(&counter, 1));
    assert!(panics(|| cell.update(|_| panic!("in update"))));
    assert!(panics(|| cell.read(|_, _| panic!("in read"))));
    assert_eq!((cell.load().counted.number, cell.version()), (1, Version(0)));
    for _ in 0..2 * SEGMENT {
        cell.update(|bomb| Bomb::harmless(&counter, bomb.counted.number + 1)).unwrap();
    }
    // Whoever panicked protects nothing any more.
    assert_eq!(alive(&counter), 1);
}

#[test]
fn in_clone_while_staging() {
    let counter = counter();
    let cell = SnapshotCell::new(Bomb::when(When::Cloned, &counter, 0));
    assert!(panics(|| cell.stage()));
    assert_eq!(cell.version(), Version(0));
    for _ in 0..SEGMENT {
        cell.update(|_| Bomb::harmless(&counter, 0)).unwrap();
    }
    assert_eq!(alive(&counter), 1);
    assert_eq!(cell.stage().counted.number, 0);
}

#[test]
fn in_the_drop_of_old_states_one_after_the_other() {
    let counter = counter();
    let cell = SnapshotCell::new(Bomb::when(When::Dropped, &counter, 0));
    let mut panicked = 0;
    for number in 1..=3 * u64::from(SEGMENT) {
        let update = || cell.update(|_| Bomb::when(When::Dropped, &counter, number));
        panicked += usize::from(panics(update));
        // The commit has happened all the same.
        assert_eq!((cell.version(), cell.load().counted.number), (Version(number), number));
    }
    // One a segment, though every one of its states panicked, and all are gone.
    assert_eq!((panicked, alive(&counter), cell.live_versions()), (3, 1, 1));
    assert!(panics(|| drop(cell)));
    assert_eq!(alive(&counter), 0);
}

#[test]
fn in_the_drop_of_a_version_that_a_snapshot_held_last() {
    let counter = counter();
    let cell = SnapshotCell::new(Bomb::when(When::Dropped, &counter, 0));
    let kept = cell.load();
    for _ in 0..SEGMENT {
        cell.update(|_| Bomb::harmless(&counter, 0)).unwrap();
    }
    assert_eq!((alive(&counter), cell.live_versions()), (2, 2));
    assert!(panics(|| drop(kept)));
    assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
}

#[test]
fn in_the_drop_of_many_as_the_cell_goes() {
    let counter = counter();
    let cell = SnapshotCell::new(Bomb::when(When::Dropped, &counter, 0));
    for _ in 0..SEGMENT / 2 {
        cell.update(|_| Bomb::when(When::Dropped, &counter, 0)).unwrap();
    }
    assert!(panics(|| drop(cell)));
    assert_eq!(alive(&counter), 0);
}

struct PanickingWaker;

impl Wake for PanickingWaker {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

#[test]
fn in_a_waker() {
    let counter = counter();
    let cell = SnapshotCell::new(Counted::first(&counter));
    for _ in 1..SEGMENT {
        cell.update(Counted::next).unwrap();
    }
    let counts = Arc::new(CountWakes::default());
    let wakers = [
        Waker::from(Arc::clone(&counts)),
        Waker::from(Arc::new(PanickingWaker)),
        Waker::from(Arc::clone(&counts)),
    ];
    let mut waiting: Vec<_> =
        wakers.iter().map(|_| Box::pin(cell.changed(cell.version()))).collect();
    for (change, waker) in waiting.iter_mut().zip(&wakers) {
        assert!(change.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    // This commit wakes them, and frees a segment.
    assert!(panics(|| cell.update(Counted::next)));
    assert_eq!(cell.version(), Version(u64::from(SEGMENT)));
    assert_eq!((counts.count(), alive(&counter)), (2, 1));
}

/// What a panic carries, and panics itself when it is dropped.
struct Spiteful;

impl Drop for Spiteful {
    fn drop(&mut self) {
        panic!("in the drop of a payload");
    }
}

#[test]
fn in_what_a_panic_carries() {
    struct State(Counted, Option<bool>);
    impl Drop for State {
        fn drop(&mut self) {
            match self.1 {
                Some(true) => panic_any(Spiteful),
                Some(false) => panic!("a plain one"),
                None => {}
            }
        }
    }
    let counter = counter();
    let cell = SnapshotCell::new(State(Counted::first(&counter), None));
    for number in 1..u64::from(SEGMENT) {
        let kind = (number < 5).then_some(number.is_multiple_of(2));
        cell.update(|state| State(state.0.next(), kind)).unwrap();
    }
    let carried =
        catch_unwind(AssertUnwindSafe(|| cell.update(|state| State(state.0.next(), None))));
    // Which of them it is, does not matter here.
    let _spiteful_or_not = catch_unwind(AssertUnwindSafe(|| drop(carried)));
    assert_eq!((alive(&counter), cell.live_versions()), (1, 1));
}

#[test]
fn in_several_wakers_with_spiteful_payloads() {
    struct SpitefulWaker;
    impl Wake for SpitefulWaker {
        fn wake(self: Arc<Self>) {
            panic_any(Spiteful);
        }
    }
    let cell = SnapshotCell::new(0);
    let counts = Arc::new(CountWakes::default());
    let wakers = [
        Waker::from(Arc::clone(&counts)),
        Waker::from(Arc::new(PanickingWaker)),
        Waker::from(Arc::new(SpitefulWaker)),
        Waker::from(Arc::clone(&counts)),
    ];
    let mut waiting: Vec<_> = wakers.iter().map(|_| Box::pin(cell.changed(Version(0)))).collect();
    for (change, waker) in waiting.iter_mut().zip(&wakers) {
        assert!(change.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert!(panics(|| cell.update(|n| n + 1)));
    assert_eq!(counts.count(), 2);
}

#[test]
fn in_the_clone_of_a_waker() {
    thread_local!(static CLONES: Cell<u32> = const { Cell::new(0) });
    const TABLE: RawWakerVTable = RawWakerVTable::new(
        |_| {
            CLONES.set(CLONES.get() + 1);
            assert!(!CLONES.get().is_multiple_of(2), "in every second clone");
            RawWaker::new(std::ptr::null(), &TABLE)
        },
        |_| {},
        |_| {},
        |_| {},
    );
    // SAFETY: the functions touch no data.
    let waker = unsafe { Waker::new(std::ptr::null(), &TABLE) };
    let cell = SnapshotCell::new(0);
    for _ in 0..1000 {
        let mut change = Box::pin(cell.changed(Version(0)));
        assert!(panics(|| change.as_mut().poll(&mut Context::from_waker(&waker))));
    }
    assert_eq!(cell.waiting(), 0);
}

#[test]
fn in_the_drop_of_a_state_that_a_reader_was_the_last_to_read() {
    let counter = counter();
    let one = NonZero::new(1).unwrap();
    let first = Bomb::when(When::Dropped, &counter, 0);
    let cell = SnapshotCell::reclaiming_every(one, Version(0), first);
    let mut reader = cell.reader();
    reader.get();
    cell.update(|_| Bomb::harmless(&counter, 1)).unwrap();
    assert_eq!(alive(&counter), 2);
    assert!(panics(|| reader.release()));
    assert_eq!((alive(&counter), reader.get().counted.number), (1, 1));
}

/// A waker whose every clone counts as alive, and panics when it is dropped once that is asked for.
fn spiteful_waker(alive: &'static AtomicUsize, spiteful: &'static AtomicBool) -> Waker {
    type Data = (&'static AtomicUsize, &'static AtomicBool);
    const TABLE: RawWakerVTable = RawWakerVTable::new(clone, drop_one, |_| {}, drop_one);
    fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the data of this table is a leaked `Data`.
        let (alive, _) = unsafe { &*data.cast::<Data>() };
        alive.fetch_add(1, Ordering::Relaxed);
        RawWaker::new(data, &TABLE)
    }
    fn drop_one(data: *const ()) {
        // SAFETY: as above.
        let (alive, spiteful) = unsafe { &*data.cast::<Data>() };
        alive.fetch_sub(1, Ordering::Relaxed);
        assert!(!spiteful.load(Ordering::Relaxed), "in the drop of a waker");
    }
    static DATA: OnceLock<Data> = OnceLock::new();
    let data = DATA.get_or_init(|| (alive, spiteful));
    // SAFETY: the functions are those of this data.
    unsafe { Waker::from_raw(clone(std::ptr::from_ref(data).cast())) }
}

#[test]
fn in_the_drop_of_wakers() {
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    static SPITEFUL: AtomicBool = AtomicBool::new(false);
    let waker = spiteful_waker(&ALIVE, &SPITEFUL);
    let alive = || ALIVE.load(Ordering::Relaxed);
    let cell = SnapshotCell::new(0);
    let pending = || {
        let mut change = Box::pin(cell.changed(cell.version()));
        assert!(change.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        change
    };
    let (given_up, mut polled_again) = (pending(), pending());
    assert_eq!(alive(), 5);
    SPITEFUL.store(true, Ordering::Relaxed);
    // Both clones go, though each panics.
    assert!(panics(move || drop(given_up)));
    assert_eq!(alive(), 3);
    assert!(panics(|| polled_again.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
    assert_eq!((alive(), cell.waiting()), (1, 1));
    SPITEFUL.store(false, Ordering::Relaxed);
}
