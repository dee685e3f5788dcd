//! Shuttle's, which runs many random schedules of longer programs. It knows one order of all accesses only, so that
//! it sees no ordering that is too weak; that is loom's part.

pub(crate) use ::shuttle::hint::spin_loop;
pub(crate) use ::shuttle::sync::Arc;
pub(crate) use ::shuttle::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence,
};
pub(crate) use ::shuttle::thread::{Thread, current, park, park_timeout, sleep, yield_now};

pub(crate) use super::cell::UnsafeCell;

pub(crate) const fn model_or(model: usize, _normal: usize) -> usize {
    model
}

pub(crate) fn guess<T>(pointer: &AtomicPtr<T>) -> *mut T {
    pointer.load(Ordering::Relaxed)
}

pub(crate) fn thread_number() -> usize {
    ::shuttle::current::me().into()
}

pub(crate) fn own_number() -> Option<usize> {
    Some(thread_number())
}
