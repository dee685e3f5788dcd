//! `std`'s own.

pub(crate) use super::cell::UnsafeCell;
use std::cell::Cell;

pub(crate) use std::hint::spin_loop;
pub(crate) use std::sync::Arc;
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use std::thread::{Thread, current, park, park_timeout, sleep, yield_now};

/// The first of the two in a model, where every step multiplies what is to be explored.
pub(crate) const fn model_or(_model: usize, normal: usize) -> usize {
    normal
}

/// A Relaxed load before an exchange, which it saves or says what to expect of.
#[inline]
pub(crate) fn guess<T>(pointer: &AtomicPtr<T>) -> *mut T {
    pointer.load(Ordering::Relaxed)
}

/// A number that this thread keeps, different from that of most others.
#[inline]
pub(crate) fn thread_number() -> usize {
    thread_local!(static NUMBER: Cell<usize> = const { Cell::new(0) });
    // A thread that is being torn down shares the first number.
    let number = NUMBER.try_with(Cell::get).unwrap_or(1);
    if number != 0 { number } else { first_number(|number| NUMBER.set(number)) }
}

#[cold]
fn first_number(keep: impl FnOnce(usize)) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    // Relaxed: only the numbers matter. After a wrap-around, 0 just asks again.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    keep(number);
    number
}
