//! Waiting for a version, on a thread or in a task.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::core::{Core, Guest};
use super::node::Snapshot;
use super::version::Version;
use crate::notify::{Closed, Registration, WaitError, block_on};

/// What is waited for: a version or any later one.
struct Target<'c, T> {
    core: &'c Core<T>,
    least: Version,
    place: Registration<'c>,
}

impl<'c, T> Target<'c, T> {
    fn new(core: &'c Core<T>, least: Version) -> Self {
        Target { core, least, place: Registration::new(&core.followers) }
    }

    fn poll<A>(
        &mut self,
        waker: &Waker,
        answer: impl Fn(&Guest<'c, T>) -> A,
    ) -> Poll<Result<A, Closed>> {
        let Target { core, least, place } = self;
        place.poll(waker, || {
            // In this order: of a closed cell, the last version is seen.
            let closed = core.is_closed();
            let guest = core.enter();
            match guest.version() >= *least {
                true => Some(Ok(answer(&guest))),
                false => closed.then_some(Err(Closed)),
            }
        })
    }
}

impl<T> fmt::Debug for Target<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("least", &self.least.0).finish_non_exhaustive()
    }
}

/// A future of a version from [`SnapshotCell::changed`](super::SnapshotCell::changed).
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct Changed<'c, T>(Target<'c, T>);

impl<'c, T> Changed<'c, T> {
    /// For those who borrow the cell, so that it cannot be closed.
    pub(super) fn new(core: &'c Core<T>, least: Version) -> Self {
        Changed(Target::new(core, least))
    }

    fn answer(&mut self, waker: &Waker) -> Poll<Snapshot<T>> {
        self.0.poll(waker, Guest::export).map(|answer| match answer {
            Ok(snapshot) => snapshot,
            Err(Closed) => unreachable!("a cell that is borrowed is not closed"),
        })
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Option<Snapshot<T>> {
        block_on(timeout, |context| self.answer(context.waker()))
    }
}

impl<T> Future for Changed<'_, T> {
    type Output = Snapshot<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer(context.waker())
    }
}

/// A future of a version from [`SnapshotReader::changed`](super::SnapshotReader::changed).
#[derive(Debug)]
#[must_use = "futures do nothing unless they are awaited"]
pub struct ReaderChanged<'c, T>(Target<'c, T>);

impl<'c, T> ReaderChanged<'c, T> {
    pub(super) fn new(core: &'c Core<T>, least: Version) -> Self {
        ReaderChanged(Target::new(core, least))
    }

    pub(super) fn wait(&mut self, timeout: Option<Duration>) -> Result<Version, WaitError> {
        match block_on(timeout, |context| self.0.poll(context.waker(), Guest::version)) {
            Some(Ok(version)) => Ok(version),
            Some(Err(Closed)) => Err(WaitError::Closed),
            None => Err(WaitError::TimedOut),
        }
    }
}

impl<T> Future for ReaderChanged<'_, T> {
    type Output = Result<Version, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(context.waker(), Guest::version)
    }
}
