//! Panics in somebody else's code, such as a waker, after which one's own has to go on.

use std::any::Any;
use std::mem::forget;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::panicking;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Keeps the first panic of several. The panic hook has reported the others.
pub(crate) fn keep_first<R>(first: &mut Option<Payload>, result: Result<R, Payload>) {
    match result {
        Err(panic) if first.is_none() => *first = Some(panic),
        Err(panic) => discard(panic),
        Ok(_) => {}
    }
}

/// Drops what a panic carries, which is the caller's code as well and may panic, with something to drop again.
fn discard(mut panic: Payload) {
    for _ in 0..8 {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(next) => panic = next,
        }
    }
    forget(panic);
}

/// Runs the caller's code where a panic may not go on, because something would be lost with it: the panic hook has
/// reported it. Says whether it ran to its end.
///
/// What the panic carries is dropped here, quietly as well.
///
/// ```
/// use queenright_primitives::panics::quietly;
///
/// assert!(quietly(|| ()));
/// assert!(!quietly(|| panic!("as it may")));
/// ```
pub fn quietly(run: impl FnOnce()) -> bool {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(()) => true,
        Err(panic) => {
            discard(panic);
            false
        }
    }
}

/// Drops the caller's `item` where a panic may not go on.
pub(crate) fn drop_quietly<T>(item: T) {
    quietly(|| drop(item));
}

/// Drops all of these, whatever one of them does.
pub(crate) fn drop_each<T>(items: impl IntoIterator<Item = T>) {
    let mut panic = None;
    for item in items {
        keep_first(&mut panic, catch_unwind(AssertUnwindSafe(|| drop(item))));
    }
    go_on(panic);
}

/// Lets the panic that was kept go on, unless this thread panics already, which would end the process.
pub(crate) fn go_on(first: Option<Payload>) {
    match first {
        Some(panic) if panicking() => discard(panic),
        Some(panic) => resume_unwind(panic),
        None => {}
    }
}
