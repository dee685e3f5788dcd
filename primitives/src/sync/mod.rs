//! The only place that names `std`'s or a model checker's atomics, locks, threads and reference counts.
//!
//! A normal build re-exports the types of `std`. Under `--cfg queenright_loom` (with the feature `loom`) the
//! same names come from loom, which then explores every interleaving and every value that a weak memory
//! model allows. Under `--cfg queenright_shuttle` (with the feature `shuttle`) they come from shuttle.

#[cfg(all(queenright_loom, not(feature = "loom")))]
compile_error!(
    "`--cfg queenright_loom` needs the feature `loom` of queenright-primitives: \
     run the models as loom-tests/README.md shows"
);

#[cfg(all(queenright_shuttle, not(feature = "shuttle")))]
compile_error!(
    "`--cfg queenright_shuttle` needs the feature `shuttle` of queenright-primitives: \
     run the schedules as loom-tests/README.md shows"
);

#[cfg(not(queenright_loom))]
mod cell;
#[cfg(all(queenright_loom, feature = "loom"))]
mod loom;
#[cfg(not(queenright_shuttle))]
#[cfg_attr(not(queenright_loom), expect(unreachable_pub, reason = "its models reach it"))]
mod numbers;
#[cfg(not(any(queenright_loom, queenright_shuttle)))]
mod plain;
#[cfg(all(queenright_shuttle, feature = "shuttle"))]
mod shuttle;

#[cfg(all(queenright_loom, feature = "loom"))]
use self::loom as imp;
#[cfg(not(any(queenright_loom, queenright_shuttle)))]
use self::plain as imp;
#[cfg(all(queenright_shuttle, feature = "shuttle"))]
use self::shuttle as imp;

#[cfg(queenright_loom)]
pub use self::{
    imp::{Fences, put_fences},
    numbers::Numbers,
};
pub(crate) use imp::*;

/// A number from 1 on that no other call in this process returns; 0 once 32 bits are used up. It orders nothing, so that no model has to
/// see it.
pub(crate) fn unique_number() -> u32 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    u32::try_from(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(0)
}
