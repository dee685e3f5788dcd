//! The shortest familiar spelling of a set of versions.

use std::fmt;
use std::iter;

use semver::{Comparator, Op, Prerelease, Version, VersionReq};

use super::range::{after, triple, version};
use super::{FIRST, NONE, Requirement};

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
