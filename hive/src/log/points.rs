//! Places at which tests let the process die, or an operation fail. Without the feature `failpoints` there are none.

use std::io;

/// This is the place of that name. `return(kill)` kills the process as `kill -9` does, `return(full)` says that the disk is full,
/// `return(denied)` that nobody may write there, anything else that it does not work.
#[cfg(feature = "failpoints")]
pub(crate) fn at(name: &str) -> io::Result<()> {
    fail::fail_point!(name, |how| match how.as_deref() {
        Some("kill") => {
            let own = rustix::process::getpid();
            let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
            // It does not get here.
            std::process::abort()
        }
        Some("full") => Err(io::ErrorKind::StorageFull.into()),
        Some("denied") => Err(io::ErrorKind::PermissionDenied.into()),
        _ => Err(io::Error::other("a failpoint says so")),
    });
    Ok(())
}

#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn at(_: &str) -> io::Result<()> {
    Ok(())
}

/// Where what is written at once is cut in two, so that the process can die between the halves.
pub(crate) fn half(length: usize) -> usize {
    if cfg!(feature = "failpoints") { length / 2 } else { length }
}
