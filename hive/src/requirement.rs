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
//! cutting out a bucket. Hence [`Display`](fmt::Display) needs at most two
//! comparators. The tests assert the shape.
//!
//! [`intersect`]: Requirement::intersect
//! [book]: https://doc.rust-lang.org/cargo/reference/specifying-dependencies.html
//! [precedence]: https://semver.org/#spec-item-11

mod bucket;

use std::collections::BTreeMap;
use std::fmt;
use std::iter;

pub use self::bucket::{Bucket, ParseBucketError};

use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

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

/// The familiar spelling of a requirement, which [`Requirement::parse_all`]
/// reads back to an equal value.
///
/// It is the first of `*`, `^1.2.3`, `~1.2.3`, `=1.2.3`, `>=1.2.3`, `<1.2.3` and
/// `>=1.2.3, <1.5.0` that denotes the set, with prereleases where needed, always
/// with all three numbers. `(none)`, which is the only one that
/// [`Requirement::parse`] refuses, stands for the empty set.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.simplest() {
            Some(req) => f.pad(&req.to_string()),
            None => f.pad(NONE),
        }
    }
}

impl Requirement {
    /// The simplest `VersionReq` with this meaning; `None` if it is empty.
    fn simplest(&self) -> Option<VersionReq> {
        let least = self.witness()?;
        let ceiling = self.ceiling();
        // The module documentation argues that the two edges always do, but a
        // spelling is only used after it has been read back.
        spellings(&least, ceiling.as_ref())
            .into_iter()
            .find(|req| Self::from_req(req) == *self)
            .or_else(|| Some(edges(&least, ceiling.as_ref())))
    }

    /// The version before which everything admitted lies, `None` if unbounded.
    fn ceiling(&self) -> Option<Version> {
        let releases = self.releases.map_or(FIRST, |span| span.hi);
        match self.prereleases.last_key_value() {
            Some((at, range)) if self.releases.is_none() || *at > releases => {
                Some(version(*at, range.until.clone()))
            }
            _ => after(releases).map(|next| version(next, Prerelease::EMPTY)),
        }
    }
}

/// What a non-empty requirement between these edges may be called, the most
/// familiar first.
fn spellings(least: &Version, ceiling: Option<&Version>) -> Vec<VersionReq> {
    let one = |op| just(comparator(op, least));
    let mut spellings = vec![VersionReq::STAR];
    spellings.extend([Op::Caret, Op::Tilde, Op::Exact].map(one));
    spellings.push(just(from(least)));
    spellings.extend(ceiling.map(|ceiling| just(until(ceiling))));
    spellings.push(edges(least, ceiling));
    spellings
}

fn edges(least: &Version, ceiling: Option<&Version>) -> VersionReq {
    let upper = ceiling.map(until);
    iter::once(from(least)).chain(upper).collect()
}

fn just(comparator: Comparator) -> VersionReq {
    iter::once(comparator).collect()
}

/// `>=version`, or `>` its predecessor, which is shorter where there is one.
fn from(version: &Version) -> Comparator {
    match predecessor(version) {
        Some(below) => comparator(Op::Greater, &below),
        None => comparator(Op::GreaterEq, version),
    }
}

/// `<version`, or `<=` its predecessor, which is shorter where there is one.
fn until(version: &Version) -> Comparator {
    match predecessor(version) {
        Some(below) => comparator(Op::LessEq, &below),
        None => comparator(Op::Less, version),
    }
}

/// The version right before a prerelease that ends in `.0`; other prereleases
/// have none.
fn predecessor(of: &Version) -> Option<Version> {
    let pre = of.pre.strip_suffix(".0")?;
    Some(version(triple(of), Prerelease::new(pre).ok()?))
}

fn comparator(op: Op, version: &Version) -> Comparator {
    Comparator {
        op,
        major: version.major,
        minor: Some(version.minor),
        patch: Some(version.patch),
        pre: version.pre.clone(),
    }
}

/// A non-empty inclusive interval of triples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Span {
    lo: Triple,
    hi: Triple,
}

impl Span {
    const ALL: Self = Self { lo: FIRST, hi: LAST };

    fn new(lo: Triple, hi: Triple) -> Option<Self> {
        (lo <= hi).then_some(Self { lo, hi })
    }

    fn contains(self, at: Triple) -> bool {
        self.lo <= at && at <= self.hi
    }

    fn intersect(self, other: Self) -> Option<Self> {
        Self::new(self.lo.max(other.lo), self.hi.min(other.hi))
    }

    fn both((left, right): (Self, Self)) -> Option<Self> {
        left.intersect(right)
    }

    fn hull(self, other: Self) -> Self {
        Self { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    fn above(self) -> Option<Self> {
        after(self.hi).map(|lo| Self { lo, hi: LAST })
    }

    fn below(self) -> Option<Self> {
        before(self.lo).map(|hi| Self { lo: FIRST, hi })
    }
}

/// The next triple, carrying at `u64::MAX`.
fn after((major, minor, patch): Triple) -> Option<Triple> {
    let next_patch = patch.checked_add(1).map(|patch| (major, minor, patch));
    let next_minor = || minor.checked_add(1).map(|minor| (major, minor, 0));
    let next_major = || major.checked_add(1).map(|major| (major, 0, 0));
    next_patch.or_else(next_minor).or_else(next_major)
}

/// The previous triple, borrowing at 0.
fn before((major, minor, patch): Triple) -> Option<Triple> {
    let last_patch = patch.checked_sub(1).map(|patch| (major, minor, patch));
    let last_minor = || minor.checked_sub(1).map(|minor| (major, minor, MAX));
    let last_major = || major.checked_sub(1).map(|major| (major, MAX, MAX));
    last_patch.or_else(last_minor).or_else(last_major)
}

fn triple(version: &Version) -> Triple {
    (version.major, version.minor, version.patch)
}

fn version((major, minor, patch): Triple, pre: Prerelease) -> Version {
    Version { major, minor, patch, pre, build: BuildMetadata::EMPTY }
}

/// The prereleases of one triple with `from <= pre < until`; never empty.
///
/// `semver` orders the empty `Prerelease`, a release, after all others, so
/// `until` is empty where every prerelease from `from` on is included. Then
/// `from` is the least element and `until` the least element beyond, so equal
/// sets have equal bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct PreRange {
    from: Prerelease,
    until: Prerelease,
}

impl PreRange {
    fn new(from: Prerelease, until: Prerelease) -> Option<Self> {
        (from < until).then_some(Self { from, until })
    }

    fn all() -> Option<Self> {
        Self::new(least_prerelease(), Prerelease::EMPTY)
    }

    fn contains(&self, pre: &Prerelease) -> bool {
        self.from <= *pre && *pre < self.until
    }

    fn intersect(&self, other: &Self) -> Option<Self> {
        let from = (&self.from).max(&other.from);
        let until = (&self.until).min(&other.until);
        Self::new(from.clone(), until.clone())
    }
}

/// `0`: fewest identifiers, and the least of these.
fn least_prerelease() -> Prerelease {
    valid("0")
}

/// `a.0` for `a`; nothing lies between. Nothing follows a release (the empty
/// prerelease), which therefore stands for itself as a bound.
fn successor(pre: &Prerelease) -> Prerelease {
    if pre.is_empty() { Prerelease::EMPTY } else { valid(&format!("{pre}.0")) }
}

/// Only for text that is valid by construction: the fallback is never taken,
/// and spares the library a panic.
fn valid(text: &str) -> Prerelease {
    let parsed = Prerelease::new(text);
    debug_assert!(parsed.is_ok(), "{text:?} is a prerelease");
    parsed.unwrap_or(Prerelease::EMPTY)
}

/// What one comparator accepts by rule 1, before rule 2 is considered.
struct Accepted {
    /// Triples of which it accepts every version, prereleases included.
    whole: Option<Span>,
    /// The triples that it names, one if it gives all three numbers.
    named: Span,
    /// What it accepts at each of `named` that is not in `whole`.
    edge: Edge,
}

impl Accepted {
    /// Mirrors `matches_impl` in `semver`'s `eval.rs`.
    ///
    /// A partial version has an empty prerelease, so where `eval.rs` compares
    /// that with `==` or `>=` (`=1.2`, `>=1.2`, `<=1.2`, `~1.2`) only the
    /// releases pass. Where it does not compare at all (`^1.2`) all pass.
    fn by(comparator: &Comparator) -> Self {
        let named = named(comparator);
        let full = is_full(comparator);
        let pre = written_prerelease(comparator);
        let beyond = |hi| after(named.hi).and_then(|lo| Span::new(lo, hi));
        let (whole, edge) = match comparator.op {
            Op::Exact | Op::Wildcard => (None, Edge::equal(&pre)),
            Op::Greater => (named.above(), Edge::greater(&pre)),
            Op::GreaterEq => (named.above(), Edge::at_least(&pre)),
            Op::Less if full => (named.below(), Edge::less(&pre)),
            Op::Less => (named.below(), Edge::nothing()),
            Op::LessEq if full => (named.below(), Edge::at_most(&pre)),
            Op::LessEq => (named.below(), Edge::equal(&pre)),
            Op::Tilde => (beyond(tilde_end(comparator)), Edge::at_least(&pre)),
            Op::Caret if full => (beyond(caret_end(comparator)), Edge::at_least(&pre)),
            Op::Caret => (Span::new(named.lo, caret_end(comparator)), Edge::nothing()),
            _ => (None, Edge::nothing()),
        };
        Self { whole, named, edge }
    }

    /// The releases accepted; `whole` and `named` touch, so they are one span.
    fn releases(&self) -> Option<Span> {
        match (self.whole, self.edge.release) {
            (Some(whole), true) => Some(whole.hull(self.named)),
            (whole, false) => whole,
            (None, true) => Some(self.named),
        }
    }

    fn prereleases(&self, at: Triple) -> Option<PreRange> {
        if self.whole.is_some_and(|span| span.contains(at)) {
            PreRange::all()
        } else if self.named.contains(at) {
            self.edge.pres.clone()
        } else {
            None
        }
    }
}

/// The prereleases of a triple that all comparators accept.
fn common_prereleases(accepted: &[Accepted], at: Triple) -> Option<PreRange> {
    accepted.iter().try_fold(PreRange::all()?, |range, one| range.intersect(&one.prereleases(at)?))
}

/// The triple of which rule 2 lets this comparator admit prereleases.
fn eligible(comparator: &Comparator) -> Option<Triple> {
    let pre = written_prerelease(comparator);
    (!pre.is_empty()).then(|| named(comparator).lo)
}

fn is_full(comparator: &Comparator) -> bool {
    comparator.minor.is_some() && comparator.patch.is_some()
}

fn written_prerelease(comparator: &Comparator) -> Prerelease {
    if is_full(comparator) { comparator.pre.clone() } else { Prerelease::EMPTY }
}

fn named(comparator: &Comparator) -> Span {
    let minor = comparator.minor;
    let patch = minor.and(comparator.patch);
    let filled = |with| {
        let (minor, patch) = (minor.unwrap_or(with), patch.unwrap_or(with));
        (comparator.major, minor, patch)
    };
    Span { lo: filled(0), hi: filled(MAX) }
}

fn tilde_end(comparator: &Comparator) -> Triple {
    (comparator.major, comparator.minor.unwrap_or(MAX), MAX)
}

fn caret_end(comparator: &Comparator) -> Triple {
    match (comparator.major, comparator.minor) {
        (0, Some(minor)) if !is_full(comparator) => (0, minor, MAX),
        (0, Some(_)) => Bucket::of_triple(named(comparator).lo).range().1,
        (major, _) => (major, MAX, MAX),
    }
}

/// What a comparator accepts of a triple whose numbers it names.
///
/// Each constructor is one comparison with the written prerelease. An empty one
/// stands for the release, which is after all prereleases and before nothing.
struct Edge {
    release: bool,
    pres: Option<PreRange>,
}

impl Edge {
    fn nothing() -> Self {
        Self { release: false, pres: None }
    }

    fn equal(pre: &Prerelease) -> Self {
        Self { release: pre.is_empty(), pres: PreRange::new(pre.clone(), successor(pre)) }
    }

    fn greater(pre: &Prerelease) -> Self {
        Self { release: !pre.is_empty(), pres: PreRange::new(successor(pre), Prerelease::EMPTY) }
    }

    fn at_least(pre: &Prerelease) -> Self {
        Self { release: true, pres: PreRange::new(pre.clone(), Prerelease::EMPTY) }
    }

    fn less(pre: &Prerelease) -> Self {
        Self { release: false, pres: PreRange::new(least_prerelease(), pre.clone()) }
    }

    fn at_most(pre: &Prerelease) -> Self {
        Self { release: pre.is_empty(), pres: PreRange::new(least_prerelease(), successor(pre)) }
    }
}

#[cfg(test)]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
