//! Cargo's semver-compatible series.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use semver::Version;

use super::range::triple;
use super::{MAX, Triple};

/// A series of versions that Cargo holds to be compatible with each other, and
/// of which it selects at most one: `1`, `0.3` or `0.0.7`.
///
/// That is the left-most non-zero number and all before it, as in the Cargo
/// book's [semver compatibility][book]; `0.0.0` is a series of its own. A
/// prerelease belongs to the series of its triple. The order is that of the
/// versions inside: `0.0.7 < 0.3 < 1`.
///
/// [book]: https://doc.rust-lang.org/cargo/reference/resolver.html#semver-compatibility
// The order of the variants is what derives that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bucket {
    /// `0.0.patch`, a single triple.
    Patch(u64),
    /// `0.minor`.
    Minor(NonZeroU64),
    /// `major`.
    Major(NonZeroU64),
}

impl Bucket {
    /// The series that the version belongs to.
    #[must_use]
    pub fn of(version: &Version) -> Self {
        Self::of_triple(triple(version))
    }

    /// The series of every version with these numbers.
    #[must_use]
    pub fn of_triple((major, minor, patch): Triple) -> Self {
        match (NonZeroU64::new(major), NonZeroU64::new(minor)) {
            (Some(major), _) => Self::Major(major),
            (None, Some(minor)) => Self::Minor(minor),
            (None, None) => Self::Patch(patch),
        }
    }

    /// Its first and last triple, both included. Successive buckets leave no
    /// gap.
    #[must_use]
    pub fn range(self) -> (Triple, Triple) {
        match self {
            Self::Patch(patch) => ((0, 0, patch), (0, 0, patch)),
            Self::Minor(minor) => ((0, minor.get(), 0), (0, minor.get(), MAX)),
            Self::Major(major) => ((major.get(), 0, 0), (major.get(), MAX, MAX)),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Patch(patch) => f.pad(&format!("0.0.{patch}")),
            Self::Minor(minor) => f.pad(&format!("0.{minor}")),
            Self::Major(major) => f.pad(&major.to_string()),
        }
    }
}

/// Reads exactly what [`Bucket`] displays.
///
/// # Errors
///
/// For any other text, such as `0`, `0.0`, `1.2`, `01` or `+1`.
impl FromStr for Bucket {
    type Err = ParseBucketError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.splitn(3, '.').map(number);
            match (parts.next()??, parts.next(), parts.next()) {
                (0, Some(Some(0)), Some(patch)) => patch.map(Self::Patch),
                (0, Some(minor), None) => NonZeroU64::new(minor?).map(Self::Minor),
                (major, None, None) => NonZeroU64::new(major).map(Self::Major),
                _ => None,
            }
        };
        read().ok_or(ParseBucketError)
    }
}

/// A decimal `u64` as `semver` writes it: no sign, and no leading zero.
fn number(text: &str) -> Option<u64> {
    let number = text.parse::<u64>().ok()?;
    (number.to_string() == text).then_some(number)
}

/// The text is not a [`Bucket`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseBucketError;

impl fmt::Display for ParseBucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a semver-compatible series such as `1`, `0.3` or `0.0.7`")
    }
}

impl Error for ParseBucketError {}
