//! A slow, obvious judge of whether a group of requirements can be met.
//!
//! It knows nothing of intervals, eligibility or canonical forms: it writes
//! down every version at which the answer of any member of the group could
//! change, and asks [`VersionReq::matches`] about each. It shares no code with
//! `requirement.rs`, so an error there is not repeated here.
//!
//! An integration test can reuse it with
//! `#[path = "../src/oracle.rs"] mod oracle;`.

use std::collections::BTreeSet;

use semver::{BuildMetadata, Comparator, Prerelease, Version, VersionReq};

/// The least version that every member of the group matches, or `None` if the
/// group cannot be met.
///
/// An empty group is met by the least version of all, `0.0.0-0`. The cost is
/// that of building [`candidates`] and testing each against the whole group.
pub(crate) fn oracle_satisfiable(reqs: &[VersionReq]) -> Option<Version> {
    candidates(reqs).into_iter().find(|version| reqs.iter().all(|req| req.matches(version)))
}

/// Every boundary version of the group, in ascending order.
///
/// That is the product of the boundary triples (at most 75 for a comparator) and
/// the boundary prereleases (at most 7 for a prerelease, the least one, and
/// none).
pub(crate) fn candidates(reqs: &[VersionReq]) -> Vec<Version> {
    let triples = boundary_triples(reqs);
    let pres = boundary_prereleases(reqs);
    // Both sets ascend, and the empty prerelease is the greatest, so the
    // product ascends too.
    let version = |&(major, minor, patch): &(u64, u64, u64), pre: &Prerelease| Version {
        major,
        minor,
        patch,
        pre: pre.clone(),
        build: BuildMetadata::EMPTY,
    };
    triples.iter().flat_map(|triple| pres.iter().map(move |pre| version(triple, pre))).collect()
}

fn comparators(reqs: &[VersionReq]) -> impl Iterator<Item = &Comparator> {
    reqs.iter().flat_map(|req| &req.comparators)
}

/// Each comparator's numbers, one less, one more, and the two ends of `u64`:
/// a superset of the lexicographic neighbours, found without carrying.
fn boundary_triples(reqs: &[VersionReq]) -> BTreeSet<(u64, u64, u64)> {
    let ends = (u64::MAX, u64::MAX, u64::MAX);
    let mut triples = BTreeSet::from([(0, 0, 0), ends]);
    for comparator in comparators(reqs) {
        for major in around(Some(comparator.major)) {
            for minor in around(comparator.minor) {
                for patch in around(comparator.patch) {
                    triples.insert((major, minor, patch));
                }
            }
        }
    }
    triples
}

fn around(number: Option<u64>) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::from([0, u64::MAX]);
    if let Some(n) = number {
        numbers.extend([n.saturating_sub(1), n, n.saturating_add(1)]);
    }
    numbers
}

/// The empty prerelease, the least one, and all that are near one of the group.
fn boundary_prereleases(reqs: &[VersionReq]) -> BTreeSet<Prerelease> {
    let mut texts = BTreeSet::from(["0".to_owned()]);
    for comparator in comparators(reqs) {
        if !comparator.pre.is_empty() {
            texts.extend(near(comparator.pre.as_str()));
        }
    }
    // Not every text that `near` proposes is valid (`0` followed by `0`).
    let mut pres: BTreeSet<_> =
        texts.iter().filter_map(|text| Prerelease::new(text).ok()).collect();
    pres.insert(Prerelease::EMPTY);
    pres
}

/// The prerelease, its successors, its parent, and its siblings on both sides.
fn near(pre: &str) -> Vec<String> {
    let (parent, last) = match pre.rsplit_once('.') {
        Some((parent, last)) => (Some(parent), last),
        None => (None, pre),
    };
    let sibling = |name: String| match parent {
        Some(parent) => format!("{parent}.{name}"),
        None => name,
    };
    let mut texts = vec![pre.to_owned(), format!("{pre}.0"), format!("{pre}.0.0")];
    texts.extend(parent.map(str::to_owned));
    // `-` is the least character of an identifier, so this is the next name.
    texts.push(sibling(format!("{last}-")));
    match last.parse::<u64>() {
        Ok(number) => {
            texts.push(sibling(number.saturating_sub(1).to_string()));
            texts.push(sibling(number.saturating_add(1).to_string()));
        }
        // Identifiers are ASCII, so cutting off one byte is cutting off one
        // character.
        Err(_) => texts.push(sibling(last[..last.len() - 1].to_owned())),
    }
    texts
}
