//! What the models share: values that loom watches, and a heap that hides no mistake.
#![allow(dead_code, reason = "each file of models uses its part")]

pub(crate) mod heap;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};
use queenright_primitives::model::{Fences, put_fences};
use queenright_primitives::snapshot::{SnapshotCell, Stale, Version};

const DROPPED: u64 = u64::MAX;

/// A number whose every read and write loom checks, and whose drop counts as a write.
///
/// An access that is not ordered after the write before it, or a drop that is not ordered after every access,
/// ends the model, even where the clock would have been kind.
pub(crate) struct Watched(UnsafeCell<u64>);

// SAFETY: loom lets one thread run at a time, and panics where two accesses would race.
unsafe impl Sync for Watched {}

impl Watched {
    pub(crate) fn new(number: u64) -> Self {
        Watched(UnsafeCell::new(number))
    }

    pub(crate) fn get(&self) -> u64 {
        // SAFETY: loom panics before the closure runs if a write races with this read.
        self.0.with(|number| unsafe { *number })
    }

    pub(crate) fn set(&self, number: u64) {
        // SAFETY: loom panics before the closure runs if any access races with this write.
        self.0.with_mut(|held| unsafe { *held = number });
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.set(DROPPED);
    }
}

impl Clone for Watched {
    fn clone(&self) -> Self {
        Watched::new(self.get())
    }
}

/// A watched value that counts how many of its kind are alive in this run.
pub(crate) struct Counted {
    value: Watched,
    alive: std::sync::Arc<AtomicUsize>,
}

impl Counted {
    pub(crate) fn new(alive: &std::sync::Arc<AtomicUsize>, number: u64) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { value: Watched::new(number), alive: std::sync::Arc::clone(alive) }
    }

    pub(crate) fn get(&self) -> u64 {
        self.value.get()
    }

    pub(crate) fn set(&self, number: u64) {
        self.value.set(number);
    }

    pub(crate) fn alive(&self) -> &std::sync::Arc<AtomicUsize> {
        &self.alive
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Explores a model under both conventions for `SeqCst`, at bound 2 unless the environment says otherwise.
pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    let model = std::sync::Arc::new(model);
    for fences in [Fences::AfterWrites, Fences::BeforeLoads] {
        put_fences(fences);
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound.get_or_insert(2);
        let model = std::sync::Arc::clone(&model);
        builder.check(move || model());
    }
}

/// Runs `work` on what is shared in a thread of its own, which drops its share in the end.
pub(crate) fn spawn_with<S: 'static, R: 'static>(
    shared: &Arc<S>,
    work: impl FnOnce(&S) -> R + 'static,
) -> JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || work(&shared))
}

/// Commits `base` + 1 as the version after `base`.
pub(crate) fn commit_next(
    cell: &SnapshotCell<Watched>,
    base: u64,
) -> Result<Version, Stale<Watched>> {
    cell.compare_and_commit(Version(base), Watched::new(base + 1))
}

/// Commits one version more, whichever is current.
pub(crate) fn commit(cell: &SnapshotCell<Watched>) -> Version {
    cell.update(|value| Watched::new(value.get() + 1)).unwrap()
}
