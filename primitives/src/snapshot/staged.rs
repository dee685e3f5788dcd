//! Work on the next version, and why it may be refused.

use std::fmt;
use std::ops::{Deref, DerefMut};

use super::Version;

/// A private copy of a state, and the version it was copied from.
#[derive(Clone, Debug)]
pub struct Staged<T> {
    base: Version,
    value: T,
}

impl<T> Staged<T> {
    pub(super) fn new(base: Version, value: T) -> Self {
        Staged { base, value }
    }

    /// The version that this work is based on.
    pub fn base(&self) -> Version {
        self.base
    }

    /// The staged value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Staged<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Staged<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// A commit came too late: its base is no longer the current version. Carries the rejected work.
pub struct Stale<T> {
    /// The version that was current when the commit was refused.
    pub current: Version,
    /// The rejected work, to be redone on a newer state.
    pub staged: Staged<T>,
}

impl<T> fmt::Debug for Stale<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stale")
            .field("base", &self.staged.base.0)
            .field("current", &self.current.0)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Stale<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "staged from version {}, but version {} is current: stage again from it",
            self.staged.base, self.current
        )
    }
}

impl<T> std::error::Error for Stale<T> {}

/// Every attempt of [`SnapshotCell::update`](super::SnapshotCell::update) lost to another writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contended {
    /// How many attempts were made.
    pub attempts: usize,
}

impl fmt::Display for Contended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempts lost to other writers: try again later", self.attempts)
    }
}

impl std::error::Error for Contended {}
