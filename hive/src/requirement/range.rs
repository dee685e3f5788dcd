//! Intervals of releases, and of the prereleases of one release.

use semver::{BuildMetadata, Prerelease, Version};

use super::{FIRST, LAST, MAX, Triple};

/// A non-empty inclusive interval of triples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) lo: Triple,
    pub(super) hi: Triple,
}

impl Span {
    pub(super) const ALL: Self = Self { lo: FIRST, hi: LAST };

    pub(super) fn new(lo: Triple, hi: Triple) -> Option<Self> {
        (lo <= hi).then_some(Self { lo, hi })
    }

    pub(super) fn contains(self, at: Triple) -> bool {
        self.lo <= at && at <= self.hi
    }

    pub(super) fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.lo.max(other.lo), self.hi.min(other.hi))
    }

    pub(super) fn both((left, right): (Self, Self)) -> Option<Self> {
        left.intersect(right)
    }

    pub(super) fn hull(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    pub(super) fn above(self) -> Option<Self> {
        after(self.hi).map(|lo| Self { lo, hi: LAST })
    }

    pub(super) fn below(self) -> Option<Self> {
        before(self.lo).map(|hi| Self { lo: FIRST, hi })
    }
}

/// The next triple, carrying at `u64::MAX`.
pub(super) fn after((major, minor, patch): Triple) -> Option<Triple> {
    let next_patch = patch.checked_add(1).map(|patch| (major, minor, patch));
    let next_minor = || minor.checked_add(1).map(|minor| (major, minor, 0));
    let next_major = || major.checked_add(1).map(|major| (major, 0, 0));
    next_patch.or_else(next_minor).or_else(next_major)
}

/// The previous triple, borrowing at 0.
pub(super) fn before((major, minor, patch): Triple) -> Option<Triple> {
    let last_patch = patch.checked_sub(1).map(|patch| (major, minor, patch));
    let last_minor = || minor.checked_sub(1).map(|minor| (major, minor, MAX));
    let last_major = || major.checked_sub(1).map(|major| (major, MAX, MAX));
    last_patch.or_else(last_minor).or_else(last_major)
}

pub(super) fn triple(version: &Version) -> Triple {
    (version.major, version.minor, version.patch)
}

pub(super) fn version((major, minor, patch): Triple, pre: Prerelease) -> Version {
    Version { major, minor, patch, pre, build: BuildMetadata::EMPTY }
}

/// The prereleases of one triple with `from <= pre < until`; never empty.
///
/// `semver` orders the empty `Prerelease`, a release, after all others, so
/// `until` is empty where every prerelease from `from` on is included. Then
/// `from` is the least element and `until` the least element beyond, so equal
/// sets have equal bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct PreRange {
    pub(super) from: Prerelease,
    pub(super) until: Prerelease,
}

impl PreRange {
    pub(super) fn new(from: Prerelease, until: Prerelease) -> Option<Self> {
        (from < until).then_some(Self { from, until })
    }

    pub(super) fn all() -> Option<Self> {
        Self::new(least_prerelease(), Prerelease::EMPTY)
    }

    pub(super) fn contains(&self, pre: &Prerelease) -> bool {
        self.from <= *pre && *pre < self.until
    }

    pub(super) fn intersect(&self, other: &Self) -> Option<Self> {
        let from = (&self.from).max(&other.from);
        let until = (&self.until).min(&other.until);
        Self::new(from.clone(), until.clone())
    }
}

/// `0`: fewest identifiers, and the least of these.
pub(super) fn least_prerelease() -> Prerelease {
    valid("0")
}

/// `a.0` for `a`; nothing lies between. Nothing follows a release (the empty
/// prerelease), which therefore stands for itself as a bound.
pub(super) fn successor(pre: &Prerelease) -> Prerelease {
    if pre.is_empty() { Prerelease::EMPTY } else { valid(&format!("{pre}.0")) }
}

/// Only for text that is valid by construction: the fallback is never taken,
/// and spares the library a panic.
pub(super) fn valid(text: &str) -> Prerelease {
    let parsed = Prerelease::new(text);
    debug_assert!(parsed.is_ok(), "{text:?} is a prerelease");
    parsed.unwrap_or(Prerelease::EMPTY)
}
