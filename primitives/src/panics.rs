//! Panics in several pieces of the caller's code, of which all are to be run whatever one does.

use std::any::Any;
use std::mem::forget;
use std::panic::resume_unwind;
use std::thread::panicking;

/// What a panic carries.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Keeps the first panic of several. The others have been reported by the panic hook; what they carry is forgotten, as
/// its drop is the caller's code, too.
pub(crate) fn keep_first<R>(first: &mut Option<Payload>, result: Result<R, Payload>) {
    match result {
        Err(panic) if first.is_none() => *first = Some(panic),
        Err(panic) => forget(panic),
        Ok(_) => {}
    }
}

/// Lets the panic that was kept go on, unless this thread panics already, which would end the process.
pub(crate) fn go_on(first: Option<Payload>) {
    match first {
        Some(panic) if panicking() => forget(panic),
        Some(panic) => resume_unwind(panic),
        None => {}
    }
}
