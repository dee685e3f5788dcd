//! Intersections of version requirements, in a canonical form.
//!
//! A [`Requirement`] is the set of versions that satisfy every one of a group
//! of [`semver::VersionReq`]s. Two requirements are `==` exactly when they
//! admit the same versions, however they were written, so [`intersect`] is
//! commutative, associative and idempotent up to `==`, `Hash` and `Ord`.
//!
//! # The rules
//!
//! They are those of [`VersionReq::matches`] in the `semver` crate (1.0.28,
//! `src/eval.rs`), which Cargo uses and the Cargo book describes under
//! [Specifying Dependencies][book]. A version matches a `VersionReq` when
//!
//! 1. every comparator accepts it, and
//! 2. it is a release, or some comparator of *that same* `VersionReq` names its
//!    `major.minor.patch` together with a prerelease.
//!
//! Rule 2 is asked of each requirement by itself, so `>=1.0.0-a` and `<1.0.0`
//! written apart have nothing in common, while `>=1.0.0-a, <1.0.0` admits the
//! prereleases of 1.0.0 from `a` on. Build metadata never matters.
//!
//! # The form
//!
//! The releases admitted are one interval of triples. Prereleases are
//! admitted only at triples that a comparator names, one interval at each.
//! Every bound has a single spelling:
//!
//! * triples are the lexicographic order of three `u64`, so `<2.0.0` ends at
//!   the inclusive `(1, MAX, MAX)`;
//! * among prereleases `0` is the least, and nothing lies between `a` and
//!   `a.0` ([semver.org, item 11][precedence]), so `>a` is `>=a.0` and `<=a` is
//!   `<a.0`, and each interval can be written `from <= pre < until`.
//!
//! # One `VersionReq` is always enough
//!
//! A non-empty intersection of `VersionReq`s has one of two shapes:
//!
//! * releases `[lo, hi]`, perhaps with prereleases of `lo` that reach up to the
//!   release, and perhaps with prereleases of the triple after `hi` that begin
//!   at the least one: `>=lo-a, <next-b`;
//! * no release, and one interval of the prereleases of one triple:
//!   `>=t-a, <t-b`.
//!
//! For a single `VersionReq`: a comparator that names `t-pre` bounds the
//! versions from below or from above (or both) within `t`. Of the lower ones
//! only the highest `t` survives the others, of the upper ones only the
//! lowest, and each leaves the releases ending right at `t`. Intersecting
//! keeps a triple's prereleases only if both sides have them, so two
//! requirements of these shapes give such a shape again, or nothing; so does
//! cutting out a bucket. Hence [`Display`](std::fmt::Display) needs at most two
//! comparators. The tests assert the shape.
//!
//! [`intersect`]: Requirement::intersect
//! [book]: https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html
//! [precedence]: https://semver.org/#spec-item-11

mod bucket;
mod comparator;
mod display;
mod range;

use std::collections::BTreeMap;
use std::iter;

pub use self::bucket::{Bucket, ParseBucketError};
use self::comparator::*;
use self::range::*;

use semver::{Prerelease, Version, VersionReq};

/// `major.minor.patch`, ordered as versions are.
pub type Triple = (u64, u64, u64);

const MAX: u64 = u64::MAX;
const FIRST: Triple = (0, 0, 0);
const LAST: Triple = (MAX, MAX, MAX);

/// How [`Requirement`] displays the empty set.
const NONE: &str = "(none)";

/// The set of versions that satisfy every one of a group of requirements.
///
/// Equality is equality of sets. The order is total and consistent with it,
/// and means nothing more.
///
/// A value holds one interval of triples and the prereleases of at most two of
/// them, so every operation takes constant time (plus the length of the
/// prereleases) unless it says otherwise.
///
/// ```
/// use queenright::requirement::Requirement;
///
/// let left = Requirement::parse("^1.2.3")?;
/// let right = Requirement::parse("<1.5")?;
/// assert_eq!(left.intersect(&right).to_string(), ">=1.2.3, <1.5.0");
/// # Ok::<(), semver::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Requirement {
    releases: Option<Span>,
    /// Only non-empty intervals, by the triple whose prereleases they hold.
    prereleases: BTreeMap<Triple, PreRange>,
}

impl Requirement {
    /// `*`: every release, and no prerelease.
    ///
    /// It is *not* neutral for [`intersect`](Self::intersect): as with two
    /// `VersionReq`s, `*` takes the prereleases out of `>=1.0.0-alpha`. No
    /// requirement is neutral, for none admits every prerelease, so a fold has
    /// to start from its first element or from `None`.
    #[must_use]
    pub fn any() -> Self {
        Self { releases: Some(Span::ALL), prereleases: BTreeMap::new() }
    }

    /// Reads one requirement as [`VersionReq::parse`] does, with the same
    /// errors.
    ///
    /// # Errors
    ///
    /// If the text is not a `VersionReq`.
    pub fn parse(text: &str) -> Result<Self, semver::Error> {
        VersionReq::parse(text).map(|req| Self::from_req(&req))
    }

    /// Reads whatever a `Requirement` displays: one requirement, `(none)`, or
    /// several of these joined by `&&`, of which it is the intersection. White
    /// space around a part is ignored.
    ///
    /// Displaying never needs `&&` (see the [module](self)). It is there to
    /// write a group down as it was found: joining the members by commas
    /// instead may admit more prereleases. Linear in the number of parts.
    ///
    /// ```
    /// use queenright::requirement::Requirement;
    ///
    /// let apart = Requirement::parse_all(">=1.0.0-a && <1.0.0")?;
    /// assert_eq!(apart.to_string(), "(none)");
    /// let joined = Requirement::parse_all(">=1.0.0-a, <1.0.0")?;
    /// assert_eq!(joined.to_string(), ">=1.0.0-a, <1.0.0");
    /// # Ok::<(), semver::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If some part is neither `(none)` nor a `VersionReq`.
    pub fn parse_all(text: &str) -> Result<Self, semver::Error> {
        let mut parts = text.split("&&").map(Self::parse_part);
        // `split` yields at least one part; a missing one reads as `""`.
        let first = parts.next().unwrap_or_else(|| Self::parse(""))?;
        parts.try_fold(first, |whole, part| Ok(whole.intersect(&part?)))
    }

    fn parse_part(text: &str) -> Result<Self, semver::Error> {
        match text.trim() {
            NONE => Ok(Self::none()),
            text => Self::parse(text),
        }
    }

    /// Only this version, be it a release or a prerelease; its build metadata
    /// is ignored.
    #[must_use]
    pub fn exact(version: &Version) -> Self {
        let at = triple(version);
        let pre = Edge::equal(&version.pre);
        Self {
            releases: pre.release.then_some(Span { lo: at, hi: at }),
            prereleases: pre.pres.map(|range| (at, range)).into_iter().collect(),
        }
    }

    /// The versions that [`VersionReq::matches`] accepts.
    ///
    /// A comparator put together by hand may break what `semver` documents
    /// for its fields: a patch without a minor, or a prerelease without a
    /// patch. Neither can be written as text. The stray field is ignored. An
    /// operator that `semver` may add one day accepts nothing.
    ///
    /// Takes time quadratic in the number of comparators, of which a parsed
    /// requirement has at most 32.
    #[must_use]
    pub fn from_req(req: &VersionReq) -> Self {
        let accepted: Vec<_> = req.comparators.iter().map(Accepted::by).collect();
        let releases =
            accepted.iter().try_fold(Span::ALL, |span, one| span.intersect(one.releases()?));
        let prereleases = req
            .comparators
            .iter()
            .filter_map(eligible)
            .filter_map(|at| Some((at, common_prereleases(&accepted, at)?)))
            .collect();
        Self { releases, prereleases }
    }

    fn none() -> Self {
        Self { releases: None, prereleases: BTreeMap::new() }
    }

    /// Whether no version satisfies it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.releases.is_none() && self.prereleases.is_empty()
    }

    /// The least version that satisfies it, or `None` if none does.
    #[must_use]
    pub fn witness(&self) -> Option<Version> {
        let at = self.least_triple_from(FIRST)?;
        // Any prerelease of a triple comes before its release.
        let pre = self.prereleases.get(&at).map(|range| range.from.clone());
        Some(version(at, pre.unwrap_or(Prerelease::EMPTY)))
    }

    /// Whether the version satisfies every requirement of the group.
    #[must_use]
    pub fn matches(&self, v: &Version) -> bool {
        let at = triple(v);
        if v.pre.is_empty() {
            self.releases.is_some_and(|span| span.contains(at))
        } else {
            let range = self.prereleases.get(&at);
            range.is_some_and(|range| range.contains(&v.pre))
        }
    }

    /// The versions that satisfy both; there may be none.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        let common = |(at, range): (&Triple, &PreRange)| {
            let range = range.intersect(other.prereleases.get(at)?)?;
            Some((*at, range))
        };
        Self {
            releases: self.releases.zip(other.releases).and_then(Span::both),
            prereleases: self.prereleases.iter().filter_map(common).collect(),
        }
    }

    /// The one bucket that holds everything it admits, or `None` if it spans
    /// several or is empty.
    #[must_use]
    pub fn bucket(&self) -> Option<Bucket> {
        let lowest = self.lowest_bucket()?;
        self.bucket_after(lowest).is_none().then_some(lowest)
    }

    /// Whether it admits any version, release or prerelease, of the bucket.
    #[must_use]
    pub fn admits_bucket(&self, b: Bucket) -> bool {
        let (lo, hi) = b.range();
        self.least_triple_from(lo).is_some_and(|at| at <= hi)
    }

    /// Its part inside the bucket.
    ///
    /// This keeps the prereleases of the bucket's triples, unlike an
    /// intersection with the bucket written as a requirement, which would admit
    /// none.
    #[must_use]
    pub fn within(&self, b: Bucket) -> Self {
        let (lo, hi) = b.range();
        let span = Span { lo, hi };
        let inside = self.prereleases.range(lo..=hi);
        Self {
            releases: self.releases.and_then(|releases| releases.intersect(span)),
            prereleases: inside.map(|(at, range)| (*at, range.clone())).collect(),
        }
    }

    /// The bucket of the [`witness`](Self::witness).
    #[must_use]
    pub fn lowest_bucket(&self) -> Option<Bucket> {
        self.least_triple_from(FIRST).map(Bucket::of_triple)
    }

    /// The buckets of which it admits a version, in ascending order.
    ///
    /// Each is found when asked for, in constant time. The iterator is finite,
    /// but not practically so for `*`, which reaches all of the `u64`s three
    /// times over.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        iter::successors(self.lowest_bucket(), |bucket| self.bucket_after(*bucket))
    }

    /// Whether there is a version that nothing it admits exceeds.
    ///
    /// False for `>=1` and for `*`; true for the empty requirement. A
    /// requirement that reaches the last release that `semver` can represent
    /// counts as unbounded, even where it is written as `^18446744073709551615`,
    /// which is the same set as `>=18446744073709551615`.
    #[must_use]
    pub fn is_bounded_above(&self) -> bool {
        self.releases.is_none_or(|span| span.hi < LAST)
    }

    /// The least triple, not before `from`, of which it admits a version.
    fn least_triple_from(&self, from: Triple) -> Option<Triple> {
        let reaching = self.releases.filter(|span| from <= span.hi);
        let release = reaching.map(|span| span.lo.max(from));
        let prerelease = self.prereleases.range(from..).next().map(|(at, _)| *at);
        release.into_iter().chain(prerelease).min()
    }

    fn bucket_after(&self, bucket: Bucket) -> Option<Bucket> {
        let start = after(bucket.range().1)?;
        self.least_triple_from(start).map(Bucket::of_triple)
    }
}

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
