//! Snapshot cells: many read one immutable state, few replace it.

use std::sync::{Arc, Mutex, RwLock};

use arc_swap::ArcSwap;
use hazarc::AtomicArc;
use left_right::{Absorb, ReadHandle, ReadHandleFactory, WriteHandle};
use queenright_primitives::snapshot::{SnapshotCell, SnapshotReader};

mod reclaimed;

pub use reclaimed::{BoxSwap, Epoch, Haphazard, PointerLoad, Seize};

/// A state as the cells hold it.
pub trait Content: Clone + Send + Sync + 'static {}

impl<T: Clone + Send + Sync + 'static> Content for T {}

/// A cell under comparison. Every implementation is one way of reading one cell, so that a row compares like with like.
pub trait Cell<T: Content>: Send + Sync + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// A cell that holds this state.
    fn new(state: T) -> Self;

    /// What a thread keeps to read through.
    fn reader(&self) -> impl Reader<T> + '_;

    /// Reads, builds the next state and publishes it if nobody was faster; else again.
    fn commit(&self, next: impl Fn(&T) -> T);
}

/// A thread's way into a cell.
pub trait Reader<T> {
    /// Reads the current state.
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R;
}

/// A reader that is a closure's worth of code.
struct Through<C>(C);

/// Ours, read through a handle that each reader keeps.
pub struct Cached<T>(SnapshotCell<T>);

impl<T: Content> Cell<T> for Cached<T> {
    const NAME: &'static str = "queenright reader";

    fn new(state: T) -> Self {
        Cached(SnapshotCell::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self.0.reader())
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        commit_to(&self.0, next);
    }
}

impl<T: Content> Reader<T> for Through<SnapshotReader<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(self.0.get())
    }
}

/// Ours, read through an owned handle for each read.
pub struct Owned<T>(SnapshotCell<T>);

impl<T: Content> Cell<T> for Owned<T> {
    const NAME: &'static str = "queenright load";

    fn new(state: T) -> Self {
        Owned(SnapshotCell::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        commit_to(&self.0, next);
    }
}

impl<T: Content> Reader<T> for Through<&Owned<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.load())
    }
}

/// Ours, read in a closure, without a reference count.
pub struct Scoped<T>(SnapshotCell<T>);

impl<T: Content> Cell<T> for Scoped<T> {
    const NAME: &'static str = "queenright read";

    fn new(state: T) -> Self {
        Scoped(SnapshotCell::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        commit_to(&self.0, next);
    }
}

impl<T: Content> Reader<T> for Through<&Scoped<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        self.0.0.read(|state, _| read(state))
    }
}

fn commit_to<T: Content>(cell: &SnapshotCell<T>, next: impl Fn(&T) -> T) {
    // Whoever lost 4,096 times in a row tries again, as the peers' loops do.
    while cell.update(&next).is_err() {}
}

/// arc-swap, read through its guard.
pub struct ArcSwapLoad<T>(ArcSwap<T>);

impl<T: Content> Cell<T> for ArcSwapLoad<T> {
    const NAME: &'static str = "arc-swap load";

    fn new(state: T) -> Self {
        ArcSwapLoad(ArcSwap::from_pointee(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        self.0.rcu(|state| next(state));
    }
}

impl<T: Content> Reader<T> for Through<&ArcSwapLoad<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.load())
    }
}

/// arc-swap, read through an owned `Arc`.
pub struct ArcSwapFull<T>(ArcSwap<T>);

impl<T: Content> Cell<T> for ArcSwapFull<T> {
    const NAME: &'static str = "arc-swap load_full";

    fn new(state: T) -> Self {
        ArcSwapFull(ArcSwap::from_pointee(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        self.0.rcu(|state| next(state));
    }
}

impl<T: Content> Reader<T> for Through<&ArcSwapFull<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.load_full())
    }
}

/// arc-swap, read through a `Cache` that each reader keeps.
pub struct ArcSwapCache<T>(ArcSwap<T>);

impl<T: Content> Cell<T> for ArcSwapCache<T> {
    const NAME: &'static str = "arc-swap Cache";

    fn new(state: T) -> Self {
        ArcSwapCache(ArcSwap::from_pointee(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(arc_swap::Cache::new(&self.0))
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        self.0.rcu(|state| next(state));
    }
}

impl<T: Content> Reader<T> for Through<arc_swap::Cache<&ArcSwap<T>, Arc<T>>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(self.0.load())
    }
}

/// hazarc, read through its borrow.
pub struct HazarcLoad<T>(AtomicArc<T>);

impl<T: Content> Cell<T> for HazarcLoad<T> {
    const NAME: &'static str = "hazarc load";

    fn new(state: T) -> Self {
        HazarcLoad(AtomicArc::from(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let _ = self.0.fetch_update(|state| Some(next(state)));
    }
}

impl<T: Content> Reader<T> for Through<&HazarcLoad<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.load())
    }
}

/// hazarc, read through an owned `Arc`.
pub struct HazarcOwned<T>(AtomicArc<T>);

impl<T: Content> Cell<T> for HazarcOwned<T> {
    const NAME: &'static str = "hazarc load_owned";

    fn new(state: T) -> Self {
        HazarcOwned(AtomicArc::from(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let _ = self.0.fetch_update(|state| Some(next(state)));
    }
}

impl<T: Content> Reader<T> for Through<&HazarcOwned<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.load_owned())
    }
}

/// hazarc, read through a `Cache` that each reader keeps.
pub struct HazarcCache<T>(AtomicArc<T>);

impl<T: Content> Cell<T> for HazarcCache<T> {
    const NAME: &'static str = "hazarc Cache";

    fn new(state: T) -> Self {
        HazarcCache(AtomicArc::from(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(hazarc::Cache::new(&self.0))
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let _ = self.0.fetch_update(|state| Some(next(state)));
    }
}

impl<T: Content> Reader<T> for Through<hazarc::Cache<&AtomicArc<T>>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(self.0.load())
    }
}

/// left-right: two copies, and writers who wait until readers have left the old one.
pub struct LeftRight<T: Content> {
    readers: ReadHandleFactory<Copied<T>>,
    writer: Mutex<WriteHandle<Copied<T>, T>>,
}

/// A state whose only operation is to be replaced.
#[derive(Clone)]
struct Copied<T>(T);

impl<T: Content> Absorb<T> for Copied<T> {
    fn absorb_first(&mut self, next: &mut T, _: &Self) {
        self.0 = next.clone();
    }

    fn absorb_second(&mut self, next: T, _: &Self) {
        self.0 = next;
    }

    fn sync_with(&mut self, first: &Self) {
        self.clone_from(first);
    }
}

impl<T: Content> Cell<T> for LeftRight<T> {
    const NAME: &'static str = "left-right";

    fn new(state: T) -> Self {
        let (mut writer, reader) = left_right::new_from_empty::<Copied<T>, T>(Copied(state));
        writer.publish();
        LeftRight { readers: reader.factory(), writer: Mutex::new(writer) }
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self.readers.handle())
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let Ok(mut writer) = self.writer.lock() else { return };
        let state = writer.enter().map(|state| next(&state.0));
        if let Some(state) = state {
            writer.append(state).publish();
        }
    }
}

impl<T: Content> Reader<T> for Through<ReadHandle<Copied<T>>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        // The writer lives as long as the cell, which the reader borrows.
        let state = self.0.enter().expect("the writer is alive");
        read(&state.0)
    }
}

/// std's lock, read inside its guard.
pub struct StdRwLock<T>(RwLock<T>);

impl<T: Content> Cell<T> for StdRwLock<T> {
    const NAME: &'static str = "std RwLock";

    fn new(state: T) -> Self {
        StdRwLock(RwLock::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let mut state = self.0.write().expect("no reader panics");
        *state = next(&state);
    }
}

impl<T: Content> Reader<T> for Through<&StdRwLock<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.read().expect("no writer panics"))
    }
}

/// std's lock around an `Arc` that is cloned out.
pub struct StdRwLockArc<T>(RwLock<Arc<T>>);

impl<T: Content> Cell<T> for StdRwLockArc<T> {
    const NAME: &'static str = "std RwLock<Arc>";

    fn new(state: T) -> Self {
        StdRwLockArc(RwLock::new(Arc::new(state)))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let mut state = self.0.write().expect("no reader panics");
        *state = Arc::new(next(&state));
    }
}

impl<T: Content> Reader<T> for Through<&StdRwLockArc<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        let state = Arc::clone(&self.0.0.read().expect("no writer panics"));
        read(&state)
    }
}

/// parking_lot's lock, read inside its guard.
pub struct ParkingLot<T>(parking_lot::RwLock<T>);

impl<T: Content> Cell<T> for ParkingLot<T> {
    const NAME: &'static str = "parking_lot RwLock";

    fn new(state: T) -> Self {
        ParkingLot(parking_lot::RwLock::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self)
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        let mut state = self.0.write();
        *state = next(&state);
    }
}

impl<T: Content> Reader<T> for Through<&ParkingLot<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.0.read())
    }
}

/// tokio's watch channel, read inside its guard.
pub struct Watch<T>(tokio::sync::watch::Sender<T>);

impl<T: Content> Cell<T> for Watch<T> {
    const NAME: &'static str = "tokio watch";

    fn new(state: T) -> Self {
        Watch(tokio::sync::watch::Sender::new(state))
    }

    fn reader(&self) -> impl Reader<T> + '_ {
        Through(self.0.subscribe())
    }

    fn commit(&self, next: impl Fn(&T) -> T) {
        self.0.send_modify(|state| *state = next(state));
    }
}

impl<T: Content> Reader<T> for Through<tokio::sync::watch::Receiver<T>> {
    #[inline]
    fn with<R>(&mut self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.0.borrow())
    }
}
