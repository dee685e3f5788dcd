use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::oracle::{candidates, oracle_satisfiable};
use semver::{Comparator, Op};

use super::*;

const PRES: &[&str] = &["a", "a.0", "a.b", "b", "0", "1", "alpha.1", "alpha.2", "rc"];
const OPS: &[&str] = &["", "^", "~", "=", ">", ">=", "<", "<="];

/// How many buckets a test looks at before it calls them too many.
const MANY: usize = 40;

fn requirement(text: &str) -> Requirement {
    Requirement::parse_all(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn parsed(text: &str) -> VersionReq {
    VersionReq::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn v(text: &str) -> Version {
    Version::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn b(text: &str) -> Bucket {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Replaces `M` by `u64::MAX` and `N` by one less.
fn wide(text: &str) -> String {
    text.replace('M', &MAX.to_string()).replace('N', &(MAX - 1).to_string())
}

fn releases(text: &str) -> Option<(Triple, Triple)> {
    let requirement = requirement(&wide(text));
    assert!(requirement.prereleases.is_empty(), "{text}");
    requirement.releases.map(|span| (span.lo, span.hi))
}

fn assert_same(left: &str, right: &str) {
    let (left, right) = (wide(left), wide(right));
    let pair = (requirement(&left), requirement(&right));
    assert_eq!(pair.0, pair.1, "{left} == {right}");
    assert_eq!(hash(&pair.0), hash(&pair.1), "{left} == {right}");
}

fn assert_differ(left: &str, right: &str) {
    assert_ne!(requirement(left), requirement(right), "{left} != {right}");
}

fn assert_shows(text: &str, shown: &str) {
    let (text, shown) = (wide(text), wide(shown));
    assert_eq!(requirement(&text).to_string(), shown, "{text}");
    assert_eq!(requirement(&shown), requirement(&text), "{text}");
}

/// The claim of the module documentation, and that no interval is empty.
fn assert_shape(requirement: &Requirement) {
    for range in requirement.prereleases.values() {
        assert!(!range.from.is_empty() && range.from < range.until);
    }
    let Some(span) = requirement.releases else {
        assert!(requirement.prereleases.len() <= 1, "{requirement:?}");
        return;
    };
    assert!(span.lo <= span.hi);
    for (at, range) in &requirement.prereleases {
        let lower = *at == span.lo && range.until.is_empty();
        let starts = range.from == least_prerelease() && !range.until.is_empty();
        let upper = Some(*at) == after(span.hi) && starts;
        assert!(lower || upper, "{requirement:?}");
    }
}

// Unit tests: releases.

#[test]
fn full_versions_bound_the_releases() {
    const M: u64 = MAX;
    let cases = [
        ("*", (0, 0, 0), (M, M, M)),
        ("1.2.3", (1, 2, 3), (1, M, M)),
        ("^1.2.3", (1, 2, 3), (1, M, M)),
        ("^0.3.1", (0, 3, 1), (0, 3, M)),
        ("^0.0.7", (0, 0, 7), (0, 0, 7)),
        ("^0.0.0", (0, 0, 0), (0, 0, 0)),
        ("~1.2.3", (1, 2, 3), (1, 2, M)),
        ("~0.0.7", (0, 0, 7), (0, 0, M)),
        ("=1.2.3", (1, 2, 3), (1, 2, 3)),
        (">1.2.3", (1, 2, 4), (M, M, M)),
        (">=1.2.3", (1, 2, 3), (M, M, M)),
        ("<1.2.3", (0, 0, 0), (1, 2, 2)),
        ("<2.0.0", (0, 0, 0), (1, M, M)),
        ("<1.2.0", (0, 0, 0), (1, 1, M)),
        ("<=1.2.3", (0, 0, 0), (1, 2, 3)),
        (">=1.2.3, <1.5.0", (1, 2, 3), (1, 4, M)),
    ];
    for (text, lo, hi) in cases {
        assert_eq!(releases(text), Some((lo, hi)), "{text}");
    }
}

#[test]
fn partial_versions_bound_the_releases() {
    const M: u64 = MAX;
    let cases = [
        ("1", (1, 0, 0), (1, M, M)),
        ("^0", (0, 0, 0), (0, M, M)),
        ("^0.0", (0, 0, 0), (0, 0, M)),
        ("^0.3", (0, 3, 0), (0, 3, M)),
        ("^1.2", (1, 2, 0), (1, M, M)),
        ("~1", (1, 0, 0), (1, M, M)),
        ("~1.2", (1, 2, 0), (1, 2, M)),
        ("=1", (1, 0, 0), (1, M, M)),
        ("=1.2", (1, 2, 0), (1, 2, M)),
        ("1.*", (1, 0, 0), (1, M, M)),
        ("1.2.*", (1, 2, 0), (1, 2, M)),
        (">1", (2, 0, 0), (M, M, M)),
        (">1.2", (1, 3, 0), (M, M, M)),
        (">=1", (1, 0, 0), (M, M, M)),
        (">=1.2", (1, 2, 0), (M, M, M)),
        ("<1", (0, 0, 0), (0, M, M)),
        ("<1.2", (0, 0, 0), (1, 1, M)),
        ("<=1", (0, 0, 0), (1, M, M)),
        ("<=1.2", (0, 0, 0), (1, 2, M)),
    ];
    for (text, lo, hi) in cases {
        assert_eq!(releases(text), Some((lo, hi)), "{text}");
    }
}

#[test]
fn numbers_carry_and_never_overflow() {
    const M: u64 = MAX;
    let cases = [
        (">1.2.M", Some(((1, 3, 0), (M, M, M)))),
        (">1.M.M", Some(((2, 0, 0), (M, M, M)))),
        (">1.M", Some(((2, 0, 0), (M, M, M)))),
        (">M.M.N", Some(((M, M, M), (M, M, M)))),
        (">M.M.M", None),
        (">M.M", None),
        (">M", None),
        (">=M.M.M", Some(((M, M, M), (M, M, M)))),
        ("<0", None),
        ("<0.0", None),
        ("<0.0.0", None),
        ("<0.1.0", Some(((0, 0, 0), (0, 0, M)))),
        ("<=M.M.M", Some(((0, 0, 0), (M, M, M)))),
        ("^M.M.M", Some(((M, M, M), (M, M, M)))),
        ("^0.M.M", Some(((0, M, M), (0, M, M)))),
        ("^0.0.M", Some(((0, 0, M), (0, 0, M)))),
        ("~1.2.M", Some(((1, 2, M), (1, 2, M)))),
        ("^1.2.M", Some(((1, 2, M), (1, M, M)))),
        ("=M", Some(((M, 0, 0), (M, M, M)))),
    ];
    for (text, expected) in cases {
        assert_eq!(releases(text), expected, "{text}");
    }
}

#[test]
fn triples_step_both_ways() {
    let steps = [
        (FIRST, (0, 0, 1)),
        ((0, 0, MAX), (0, 1, 0)),
        ((0, MAX, MAX), (1, 0, 0)),
        ((MAX, MAX, MAX - 1), LAST),
    ];
    for (low, high) in steps {
        assert_eq!(after(low), Some(high));
        assert_eq!(before(high), Some(low));
    }
    assert_eq!((before(FIRST), after(LAST)), (None, None));
}

// Unit tests: prereleases.

#[test]
fn prereleases_need_a_comparator_that_names_them() {
    let admitted = [
        ("^1.0.0-a", "1.0.0-a"),
        ("^1.0.0-a", "1.0.0-b"),
        ("^1.0.0-a", "1.2.0"),
        ("~1.2.3-a", "1.2.3-a.0"),
        (">1.0.0-a", "1.0.0-a.0"),
        (">=1.0.0-a, <1.0.0", "1.0.0-rc"),
        ("<1.0.0-b", "1.0.0-0"),
        ("<=1.0.0-b", "1.0.0-b"),
        ("=1.0.0-a", "1.0.0-a+build"),
        (">1.2, <1.3.0-b", "1.3.0-alpha"),
        ("^1.2, <1.2.5-b", "1.2.5-alpha"),
    ];
    let refused = [
        ("*", "1.0.0-a"),
        ("^1.0.0", "1.0.0-a"),
        ("^1.0.0-a", "1.0.1-a"),
        (">1.0.0-a", "1.0.0-a"),
        ("<1.0.0-b", "1.0.0-b"),
        ("<1.0.0-b", "0.9.0-a"),
        ("=1.0.0-a", "1.0.0"),
        ("=1.2, <1.2.5-b", "1.2.5-alpha"),
        ("~1.2, <1.2.5-b", "1.2.5-alpha"),
        (">=1.2, <1.2.5-b", "1.2.5-alpha"),
        ("<=1.2, >1.2.5-a", "1.2.5-b"),
        ("1.2.*, <1.2.5-b", "1.2.5-alpha"),
    ];
    for (text, version) in admitted {
        assert!(requirement(text).matches(&v(version)), "{text} {version}");
        assert!(parsed(text).matches(&v(version)), "{text} {version}");
    }
    for (text, version) in refused {
        assert!(!requirement(text).matches(&v(version)), "{text} {version}");
        assert!(!parsed(text).matches(&v(version)), "{text} {version}");
    }
}

#[test]
fn equal_sets_have_equal_forms() {
    assert_same("^1.2.3", ">=1.2.3, <2.0.0");
    assert_same("^1.2.3", ">1.2.2, <2");
    assert_same("^1", "^1.0.0");
    assert_same("1.2.*", "~1.2");
    assert_same("^0.0.7", "=0.0.7");
    assert_same("*", ">=0.0.0");
    assert_same("*", "<=M");
    assert_same("^M", ">=M");
    assert_same(">1.0.0-a", ">=1.0.0-a.0");
    assert_same("<1.0.0-a.0, >=1.0.0-0", "<=1.0.0-a, >=1.0.0-0");
    assert_same("<2.0.0-0", "<2.0.0");
    assert_same(">=1.0.0-a, <1.0.0-a.0", "=1.0.0-a");
    assert_same("^1.0.0-a", ">=1.0.0-a, <2.0.0");
    assert_same("=1.0.0-a+one", "=1.0.0-a+two");
    assert_same("<1.0.0, >=1.0.0", "(none)");
    assert_same("<0.0.0-0", "(none)");
    assert_same("~1.0, >=1.0.0-a", "~1.0");
    assert_differ("^1.0.0-a", "^1.0.0");
    assert_differ("<2.0.0-1", "<2.0.0");
    assert_differ("<1.0.0-b", "<=1.0.0-b");
    assert_differ("^1.0.0-a", "^1.0.0-a.0");
}

#[test]
fn every_comparator_matches_as_semver_does() {
    let numbers = [0, 1, MAX];
    let mut versions = Vec::new();
    for major in numbers {
        versions.push(format!("{major}"));
        for minor in numbers {
            versions.push(format!("{major}.{minor}"));
            for patch in numbers {
                versions.push(format!("{major}.{minor}.{patch}"));
                let with = |pre| format!("{major}.{minor}.{patch}-{pre}");
                versions.extend(["0", "a", "a.0", "1"].map(with));
            }
        }
    }
    for (op, version) in OPS.iter().flat_map(|op| versions.iter().map(move |v| (op, v))) {
        assert_agrees(&[parsed(&format!("{op}{version}"))]);
    }
    for text in ["*", "0.*", "1.*", "0.1.*", "1.0.*", ">=1.*", "<1.1.*"] {
        assert_agrees(&[parsed(text)]);
    }
}

/// Which prereleases an operator accepts shows only next to a comparator
/// that makes them eligible, which random groups seldom have in the right
/// place.
#[test]
fn every_operator_treats_prereleases_as_semver_does() {
    let shapes = ["0", "1", "0.1", "1.1", "1.*", "1.1.*", "1.1.1", "1.1.1-b"];
    let eligible = ["0.1.0-a", "1.0.0-a", "1.1.0-a", "1.1.1-a", "1.2.0-a"];
    let texts = |versions: &[&str]| -> Vec<String> {
        let with_ops = |version| OPS.iter().map(move |op| format!("{op}{version}"));
        versions.iter().flat_map(with_ops).collect()
    };
    let seconds = texts(&eligible);
    for first in texts(&shapes) {
        for second in &seconds {
            assert_agrees(&[parsed(&format!("{first}, {second}"))]);
            assert_agrees(&[parsed(&first), parsed(second)]);
        }
    }
}

#[test]
fn stray_fields_and_empty_groups_do_no_harm() {
    let comparator =
        Comparator { op: Op::Tilde, major: 1, minor: None, patch: Some(3), pre: valid("a") };
    let odd = VersionReq::from_iter([comparator]);
    assert_eq!(Requirement::from_req(&odd), requirement("~1"));
    assert_eq!(Requirement::from_req(&VersionReq::STAR), Requirement::any());
}

// Unit tests: whole requirements.

#[test]
fn intersections_are_empty_together_though_not_in_pairs() {
    let [a, b, c] = [">1.0.0-a", "<=1.0.0-b", "<1.0.1"].map(requirement);
    assert!(!a.intersect(&b).is_empty());
    assert!(!b.intersect(&c).is_empty());
    assert!(!a.intersect(&c).is_empty());
    assert!(a.intersect(&b).intersect(&c).is_empty());
}

#[test]
fn any_takes_prereleases_out() {
    let any = Requirement::any();
    let left = requirement("^1.0.0-a");
    assert_eq!(any.intersect(&left), requirement("^1"));
    assert_eq!(any.to_string(), "*");
}

#[test]
fn exact_is_one_version() {
    for text in ["1.2.3", "0.0.0", "1.2.3-a", "1.2.3-a.0", "0.0.0-0"] {
        let exact = Requirement::exact(&v(text));
        assert_eq!(exact, requirement(&format!("={text}")));
        assert_eq!(exact.witness(), Some(v(text)));
        assert_eq!(exact, Requirement::exact(&v(&format!("{text}+build"))));
    }
}

#[test]
fn witnesses_are_the_least() {
    let cases = [
        ("*", Some("0.0.0")),
        (">=1.0.0-a", Some("1.0.0-a")),
        (">1.0.0-a", Some("1.0.0-a.0")),
        (">1.0.0", Some("1.0.1")),
        (">1.2", Some("1.3.0")),
        ("<0.0.0-b", Some("0.0.0-0")),
        ("<1.0.0-b", Some("0.0.0")),
        ("<1.0.0-b && >=1.0.0-a", Some("1.0.0-a")),
        ("<1.0.0-0 && >=1.0.0-0", None),
    ];
    for (text, least) in cases {
        assert_eq!(requirement(text).witness(), least.map(v), "{text}");
    }
}

#[test]
fn bounds_above() {
    for text in [">=1", "*", ">=1.0.0-a", "^M", "<=M.M.M"] {
        assert!(!requirement(&wide(text)).is_bounded_above(), "{text}");
    }
    for text in ["^1", "<1.0.0-a", "=1.0.0-a", "(none)", "<M.M.M", "=M.M.M-a"] {
        assert!(requirement(&wide(text)).is_bounded_above(), "{text}");
    }
}

#[test]
fn displays_the_familiar_form() {
    for text in [
        "*",
        "^1.2.3",
        "^0.3.1",
        "^0.0.7",
        "~1.2.3",
        "=1.2.3",
        ">=1.2.3",
        "<1.2.3",
        ">=1.2.3, <1.5.0",
        "^1.0.0-alpha",
        "~1.2.3-alpha",
        "=1.0.0-alpha",
        ">1.0.0-alpha",
        ">=1.0.0-alpha, <3.0.0",
        "<2.0.0-beta",
        ">=1.0.0, <2.0.0-beta",
        ">=1.0.0-alpha, <=2.0.0-beta",
        ">=1.0.0-alpha, <1.0.0",
        ">=1.0.0-0, <1.0.0",
        "<0.0.0-b",
        "^M.1.2",
        "=M.M.M-a",
        "(none)",
    ] {
        assert_shows(text, text);
    }
    assert_shows("^1", "^1.0.0");
    assert_shows("^1.2", "^1.2.0");
    assert_shows("1.2.*", "~1.2.0");
    assert_shows("^0", "<1.0.0");
    assert_shows(">1.2", ">=1.3.0");
    assert_shows(">1.2.3", ">=1.2.4");
    assert_shows("<=1.2.3", "<1.2.4");
    assert_shows("<=M", "*");
    assert_shows(">=1.0.0-rc.0", ">1.0.0-rc");
    assert_shows("^1 && ^2", "(none)");
    assert_shows("<2.0.0-b && >=2.0.0-0", ">=2.0.0-0, <2.0.0-b");
    assert_eq!(format!("{:>7}|{:7}|", requirement("*"), b("0.3")), "      *|0.3    |");
}

#[test]
fn refuses_what_is_not_a_requirement() {
    for text in ["", "a", "1..2", "^1 &&", "&& ^1", "^1 && ", "^1 & ^2", "^1 || ^2"] {
        assert!(Requirement::parse_all(text).is_err(), "{text}");
        assert!(Requirement::parse(text).is_err(), "{text}");
    }
    assert!(Requirement::parse("(none)").is_err());
    assert!(Requirement::parse("^1 && ^1").is_err());
    assert_eq!(requirement("^1&&(none)"), Requirement::none());
    assert_eq!(requirement(" ^1  && <1.5 "), requirement("^1, <1.5"));
}

// Unit tests: buckets.

#[test]
fn buckets_are_the_leftmost_nonzero_number() {
    let cases = [
        ("0.0.0", "0.0.0"),
        ("0.0.7", "0.0.7"),
        ("0.3.1", "0.3"),
        ("1.0.0", "1"),
        ("1.2.3", "1"),
        ("1.0.0-a", "1"),
        ("0.3.0-a+b", "0.3"),
    ];
    for (version, bucket) in cases {
        assert_eq!(Bucket::of(&v(version)), b(bucket));
        assert_eq!(b(bucket).to_string(), bucket);
    }
    assert!(b("0.0.7") < b("0.3") && b("0.9") < b("0.10") && b("0.10") < b("1"));
    assert_eq!(b("0.3").range(), ((0, 3, 0), (0, 3, MAX)));
    assert_eq!(b("0.0.3").range(), ((0, 0, 3), (0, 0, 3)));
    assert_eq!(b("3").range(), ((3, 0, 0), (3, MAX, MAX)));
}

#[test]
fn refuses_what_is_not_a_bucket() {
    for text in [
        "",
        "0",
        "0.0",
        "1.2",
        "1.0.0",
        "0.1.0",
        "0.0.0.0",
        "01",
        "+1",
        "-1",
        " 1",
        "1.",
        ".1",
        "0.",
        "0..1",
        "0.0.",
        "0.01",
        "0.0.+1",
        "a",
        "0.0.1-a",
        "18446744073709551616",
    ] {
        assert_eq!(text.parse::<Bucket>(), Err(ParseBucketError), "{text}");
    }
    assert_eq!(wide("0.0.M").parse(), Ok(Bucket::Patch(MAX)));
}

#[test]
fn buckets_come_lazily_and_in_order() {
    let first = |text: &str| -> Vec<String> {
        let requirement = requirement(&wide(text));
        let buckets = requirement.buckets().take(4);
        buckets.map(|bucket| bucket.to_string()).collect()
    };
    assert_eq!(first("*"), ["0.0.0", "0.0.1", "0.0.2", "0.0.3"]);
    assert_eq!(first(">=0.3, <1000000"), ["0.3", "0.4", "0.5", "0.6"]);
    assert_eq!(first(">=0.0.N, <2"), [&wide("0.0.N"), &wide("0.0.M"), "0.1", "0.2"]);
    assert_eq!(first(">=0.N.7"), [&wide("0.N"), &wide("0.M"), "1", "2"]);
    assert_eq!(first(">=N"), [wide("N"), wide("M")]);
    assert_eq!(first("^1, <2.0.0-b"), ["1"]);
    assert_eq!(first(">=1, <2.0.0-b"), ["1", "2"]);
    assert_eq!(first("<0.0.0-b"), ["0.0.0"]);
    assert_eq!(first("(none)"), [""; 0]);
}

#[test]
fn buckets_cut_requirements() {
    let wide = requirement(">=0.9.0-a, <2.0.0-b");
    assert_eq!(wide.bucket(), None);
    assert_eq!(wide.within(b("0.9")), requirement("^0.9.0-a"));
    assert_eq!(wide.within(b("1")), requirement("^1"));
    assert_eq!(wide.within(b("2")), requirement(">=2.0.0-0, <2.0.0-b"));
    assert_eq!(wide.within(b("2")).bucket(), Some(b("2")));
    assert_eq!(wide.lowest_bucket(), Some(b("0.9")));
    assert!(wide.admits_bucket(b("2")) && !wide.admits_bucket(b("3")));
    assert!(wide.within(b("3")).is_empty() && !wide.admits_bucket(b("0.8")));
    assert_eq!(requirement("~1.2").bucket(), Some(b("1")));
    assert_eq!(Requirement::none().bucket(), None);
    assert_eq!(Requirement::none().lowest_bucket(), None);
}

// Property tests, against the oracle.

fn joined(reqs: &[VersionReq]) -> Requirement {
    reqs.iter()
        .map(Requirement::from_req)
        .reduce(|whole, next| whole.intersect(&next))
        .expect("a group has members")
}

fn assert_agrees(reqs: &[VersionReq]) {
    let whole = joined(reqs);
    assert_shape(&whole);
    for version in candidates(reqs) {
        let all = reqs.iter().all(|req| req.matches(&version));
        assert_eq!(whole.matches(&version), all, "{version}");
    }
    // Its least match is among the candidates, so this is minimality too.
    let least = oracle_satisfiable(reqs);
    assert_eq!(whole.is_empty(), least.is_none());
    assert_eq!(whole.witness(), least);
}

fn assert_round_trips(whole: &Requirement) {
    let text = whole.to_string();
    assert_eq!(requirement(&text), *whole, "{text}");
    assert!(!text.contains("&&"), "{text}");
    let refused = Requirement::parse(&text).is_err();
    assert_eq!(refused, whole.is_empty(), "{text}");
}

fn assert_buckets(reqs: &[VersionReq]) {
    let whole = joined(reqs);
    let candidates = candidates(reqs);
    let all: BTreeSet<_> = candidates.iter().map(Bucket::of).collect();
    let mut admitted: BTreeSet<_> =
        candidates.iter().filter(|version| whole.matches(version)).map(Bucket::of).collect();
    for bucket in all {
        let part = whole.within(bucket);
        assert_shape(&part);
        assert_round_trips(&part);
        assert_eq!(whole.admits_bucket(bucket), admitted.contains(&bucket));
        assert_eq!(part.is_empty(), !admitted.contains(&bucket));
        assert_eq!(part.bucket(), admitted.get(&bucket).copied());
        for version in &candidates {
            let inside = Bucket::of(version) == bucket && whole.matches(version);
            assert_eq!(part.matches(version), inside, "{bucket} {version}");
        }
    }
    let few: Vec<_> = whole.buckets().take(MANY).collect();
    assert!(few.is_sorted_by(|low, high| low < high));
    assert!(few.iter().all(|bucket| whole.admits_bucket(*bucket)));
    assert_eq!(few.first(), admitted.first());
    assert_eq!(whole.lowest_bucket().as_ref(), admitted.first());
    assert_eq!(whole.bucket().is_some(), few.len() == 1);
    // No admitted bucket is passed over.
    if let (MANY, Some(last)) = (few.len(), few.last()) {
        admitted.retain(|bucket| bucket <= last);
    }
    assert!(admitted.is_subset(&few.into_iter().collect()));
}

/// Numbers to draw from: the fewer, the more often triples coincide.
fn universe() -> impl Strategy<Value = &'static [u64]> {
    const POOLS: &[&[u64]] = &[&[0, 1, 2], &[0, 1], &[1], &[0, 1, MAX - 1, MAX]];
    select(POOLS)
}

fn comparator_text(numbers: &'static [u64]) -> impl Strategy<Value = String> {
    let number = || select(numbers);
    let version = (number(), number(), number(), select(PRES));
    let shape = prop_oneof![
        1 => Just(0), 2 => Just(1), 1 => Just(2), 1 => Just(3), 4 => Just(4), 8 => Just(5)
    ];
    let parts = (select(OPS), version, shape);
    parts.prop_map(|(op, (major, minor, patch, pre), shape)| match shape {
        0 => format!("{op}{major}"),
        1 => format!("{op}{major}.{minor}"),
        2 => format!("{op}{major}.*"),
        3 => format!("{op}{major}.{minor}.*"),
        4 => format!("{op}{major}.{minor}.{patch}"),
        _ => format!("{op}{major}.{minor}.{patch}-{pre}"),
    })
}

fn req(numbers: &'static [u64]) -> impl Strategy<Value = VersionReq> {
    let comparators = |count| prop::collection::vec(comparator_text(numbers), count);
    let text = prop_oneof![
        1 => Just("*".to_owned()),
        12 => comparators(1).prop_map(|texts| texts.join(", ")),
        12 => comparators(2).prop_map(|texts| texts.join(", ")),
        4 => comparators(3).prop_map(|texts| texts.join(", ")),
    ];
    text.prop_map(|text| parsed(&text))
}

fn pivot(numbers: &'static [u64]) -> impl Strategy<Value = Version> {
    let number = || select(numbers);
    let pre = prop_oneof![Just(""), select(PRES)];
    (number(), number(), number(), pre).prop_map(|(major, minor, patch, pre)| {
        version((major, minor, patch), Prerelease::new(pre).expect("valid"))
    })
}

/// Requirements that name the same two triples, so that the prereleases of
/// both can survive.
fn framed(numbers: &'static [u64]) -> impl Strategy<Value = Vec<VersionReq>> {
    let lower = (select(&[">=", ">", "^", "~", "<"][..]), select(PRES));
    let upper = (select(&["<", "<="][..]), select(PRES));
    let members = prop::collection::vec((lower, upper), 1..=5);
    let framed = (pivot(numbers), pivot(numbers), members);
    framed.prop_map(|(one, other, members)| {
        let (low, high) = (triple(&one.clone().min(other.clone())), triple(&one.max(other)));
        let at = |(major, minor, patch): Triple| format!("{major}.{minor}.{patch}");
        let text = |((from, a), (until, b))| {
            parsed(&format!("{from}{}-{a}, {until}{}-{b}", at(low), at(high)))
        };
        members.into_iter().map(text).collect()
    })
}

/// Members drawn at random, which mostly have nothing in common, or of many
/// members those that match one version, as far as there are any, or framed.
fn group() -> impl Strategy<Value = Vec<VersionReq>> {
    universe().prop_flat_map(|numbers| {
        let random = prop::collection::vec(req(numbers), 1..=5);
        let many = prop::collection::vec(req(numbers), 5..=30);
        let agreeing = (many, pivot(numbers)).prop_map(|(mut reqs, pivot)| {
            reqs.sort_by_key(|req| !req.matches(&pivot));
            let matching = reqs.partition_point(|req| req.matches(&pivot));
            reqs.truncate(matching.clamp(1, 5));
            reqs
        });
        prop_oneof![3 => random, 4 => agreeing, 1 => framed(numbers)]
    })
}

/// Groups over the same universe.
fn groups(count: usize) -> impl Strategy<Value = Vec<Vec<VersionReq>>> {
    universe().prop_flat_map(move |numbers| {
        prop::collection::vec(prop::collection::vec(req(numbers), 1..=2), count)
    })
}

/// `PROPTEST_CASES` sets the number of cases; no file is written on failure.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn groups_agree_with_the_oracle(reqs in group()) {
        assert_agrees(&reqs);
    }

    #[test]
    fn displays_round_trip(reqs in group()) {
        assert_round_trips(&joined(&reqs));
    }

    #[test]
    fn buckets_agree_with_the_versions(reqs in group()) {
        assert_buckets(&reqs);
    }

    #[test]
    fn intersecting_is_a_semilattice(groups in groups(3)) {
        let [a, b, c] = [0, 1, 2].map(|i| joined(&groups[i]));
        let (left, right) = (a.intersect(&b).intersect(&c), a.intersect(&b.intersect(&c)));
        prop_assert_eq!(hash(&left), hash(&right));
        prop_assert_eq!(left, right);
        let (ab, ba) = (a.intersect(&b), b.intersect(&a));
        prop_assert_eq!(hash(&ab), hash(&ba));
        prop_assert_eq!(&ab, &ba);
        prop_assert_eq!(&a.intersect(&a), &a);
        prop_assert_eq!(&ab.intersect(&b), &ab);
    }

    #[test]
    fn equality_is_equality_of_sets(groups in groups(2)) {
        let [a, b] = [0, 1].map(|i| joined(&groups[i]));
        let both = a.intersect(&b);
        let mut same = true;
        let mut within = true;
        for version in candidates(&groups.concat()) {
            let (in_a, in_b) = (a.matches(&version), b.matches(&version));
            same &= in_a == in_b;
            within &= in_b || !in_a;
        }
        prop_assert_eq!(a == b, same);
        prop_assert_eq!(a == both, within);
        prop_assert_eq!(a.cmp(&b).is_eq(), same);
    }

    /// The oracle is only as good as its candidates: no version of a grid
    /// around the universe may satisfy a group below or without them.
    #[test]
    fn the_oracle_misses_nothing(
        reqs in prop::collection::vec(req(&[0, 1, 2]), 1..=5),
        (major, minor, patch) in (0..4_u64, 0..4_u64, 0..4_u64),
    ) {
        let least = oracle_satisfiable(&reqs);
        let others = ["", "0.0", "00a", "a-", "a.0.0", "a.1", "alpha", "alpha.1.5", "alpha.10", "rc.1", "z"];
        for pre in PRES.iter().chain(&others) {
            let version = version((major, minor, patch), Prerelease::new(pre).expect("valid"));
            if reqs.iter().all(|req| req.matches(&version)) {
                prop_assert!(least.as_ref().is_some_and(|least| *least <= version));
            }
        }
    }
}

/// The properties would be vacuous if most groups were empty, or few had
/// prereleases.
#[test]
fn the_groups_are_diverse() {
    let mut runner = TestRunner::deterministic();
    let wholes: Vec<_> = iter::repeat_with(|| group().new_tree(&mut runner))
        .take(2000)
        .map(|tree| joined(&tree.expect("a group").current()))
        .collect();
    let count = |property: fn(&&Requirement) -> bool| wholes.iter().filter(property).count();
    assert!(count(|whole| !whole.is_empty()) > 800);
    assert!(count(|whole| whole.prereleases.len() == 1) > 300);
    assert!(count(|whole| whole.prereleases.len() == 2) > 20);
    assert!(count(|whole| !whole.is_empty() && whole.releases.is_none()) > 50);
    assert!(count(|whole| whole.bucket().is_some()) > 200);
}
