//! The only place that names `std`'s or loom's atomics, locks and reference counts.
//!
//! A normal build re-exports the types of `std` and the epoch collector of `crossbeam-epoch`. Under
//! `--cfg queenright_loom` (with the feature `loom`) the same names come from loom, which then explores
//! every interleaving and every value that a weak memory model allows. The epoch collector follows
//! through its own switch, `--cfg crossbeam_loom`.

#[cfg(all(queenright_loom, not(feature = "loom")))]
compile_error!(
    "`--cfg queenright_loom` needs the feature `loom` of queenright-primitives: \
     run the models as the README shows, `cargo test -p queenright-loom-tests`"
);

#[cfg(all(queenright_loom, not(crossbeam_loom)))]
compile_error!(
    "`--cfg queenright_loom` needs `--cfg crossbeam_loom` beside it, or the epoch collector \
     stays invisible to the model checker"
);

#[cfg(not(queenright_loom))]
mod imp {
    pub(crate) use std::sync::atomic::Ordering;
    pub(crate) use std::sync::{Arc, Condvar, Mutex, MutexGuard};
}

#[cfg(all(queenright_loom, feature = "loom"))]
mod imp {
    pub(crate) use loom::sync::atomic::Ordering;
    pub(crate) use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
}

pub(crate) use crossbeam_epoch as epoch;
pub(crate) use imp::*;

/// Locks a mutex whose holder never runs user code that could leave the data half-changed, so that a
/// panic elsewhere in that thread says nothing about the data.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits on a condition, with the same view of poisoning as [`lock`].
pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(|poisoned| poisoned.into_inner())
}
