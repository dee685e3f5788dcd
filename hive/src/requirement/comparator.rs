//! What one comparator accepts, by the rules of `semver::VersionReq::matches`.

use semver::{Comparator, Op, Prerelease};

use super::range::{PreRange, Span, after, least_prerelease, successor};
use super::{Bucket, MAX, Triple};

/// What one comparator accepts by rule 1, before rule 2 is considered.
pub(super) struct Accepted {
    /// Triples of which it accepts every version, prereleases included.
    pub(super) whole: Option<Span>,
    /// The triples that it names, one if it gives all three numbers.
    pub(super) named: Span,
    /// What it accepts at each of `named` that is not in `whole`.
    pub(super) edge: Edge,
}

impl Accepted {
    /// Mirrors `matches_impl` in `semver`'s `eval.rs`.
    ///
    /// A partial version has an empty prerelease, so where `eval.rs` compares
    /// that with `==` or `>=` (`=1.2`, `>=1.2`, `<=1.2`, `~1.2`) only the
    /// releases pass. Where it does not compare at all (`^1.2`) all pass.
    pub(super) fn by(comparator: &Comparator) -> Self {
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
    pub(super) fn releases(&self) -> Option<Span> {
        match (self.whole, self.edge.release) {
            (Some(whole), true) => Some(whole.hull(self.named)),
            (whole, false) => whole,
            (None, true) => Some(self.named),
        }
    }

    pub(super) fn prereleases(&self, at: Triple) -> Option<PreRange> {
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
pub(super) fn common_prereleases(accepted: &[Accepted], at: Triple) -> Option<PreRange> {
    accepted.iter().try_fold(PreRange::all()?, |range, one| range.intersect(&one.prereleases(at)?))
}

/// The triple of which rule 2 lets this comparator admit prereleases.
pub(super) fn eligible(comparator: &Comparator) -> Option<Triple> {
    let pre = written_prerelease(comparator);
    (!pre.is_empty()).then(|| named(comparator).lo)
}

pub(super) fn is_full(comparator: &Comparator) -> bool {
    comparator.minor.is_some() && comparator.patch.is_some()
}

pub(super) fn written_prerelease(comparator: &Comparator) -> Prerelease {
    if is_full(comparator) { comparator.pre.clone() } else { Prerelease::EMPTY }
}

pub(super) fn named(comparator: &Comparator) -> Span {
    let minor = comparator.minor;
    let patch = minor.and(comparator.patch);
    let filled = |with| {
        let (minor, patch) = (minor.unwrap_or(with), patch.unwrap_or(with));
        (comparator.major, minor, patch)
    };
    Span { lo: filled(0), hi: filled(MAX) }
}

pub(super) fn tilde_end(comparator: &Comparator) -> Triple {
    (comparator.major, comparator.minor.unwrap_or(MAX), MAX)
}

pub(super) fn caret_end(comparator: &Comparator) -> Triple {
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
pub(super) struct Edge {
    pub(super) release: bool,
    pub(super) pres: Option<PreRange>,
}

impl Edge {
    pub(super) fn nothing() -> Self {
        Self { release: false, pres: None }
    }

    pub(super) fn equal(pre: &Prerelease) -> Self {
        Self { release: pre.is_empty(), pres: PreRange::new(pre.clone(), successor(pre)) }
    }

    pub(super) fn greater(pre: &Prerelease) -> Self {
        Self { release: !pre.is_empty(), pres: PreRange::new(successor(pre), Prerelease::EMPTY) }
    }

    pub(super) fn at_least(pre: &Prerelease) -> Self {
        Self { release: true, pres: PreRange::new(pre.clone(), Prerelease::EMPTY) }
    }

    pub(super) fn less(pre: &Prerelease) -> Self {
        Self { release: false, pres: PreRange::new(least_prerelease(), pre.clone()) }
    }

    pub(super) fn at_most(pre: &Prerelease) -> Self {
        Self { release: pre.is_empty(), pres: PreRange::new(least_prerelease(), successor(pre)) }
    }
}
