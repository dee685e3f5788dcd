//! Real manifests: the packages in the local registry folder, as any Rust developer has them.
//!
//! Every verdict on a requirement is held against an oracle that knows only `semver::VersionReq::matches`. Where no
//! registry folder exists the tests say that they were skipped.
#![cfg(feature = "packs")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use queenright::packs::{self, Loaded, Options, Resolution, to_toml};
use queenright::requirement::{Bucket, Requirement};
use semver::VersionReq;

#[path = "../src/requirement/oracle.rs"]
#[expect(dead_code, reason = "the unit tests use the rest of it")]
mod oracle;

/// More than enough, and a bound for machines with very many.
const MOST: usize = 2000;

/// The unpacked packages of the local registry, sorted; empty (and said so) if there are none.
fn registry(test: &str) -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let folders = |path: PathBuf| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    };
    let indexes = cargo.map(|cargo| folders(cargo.join("registry/src"))).unwrap_or_default();
    let mut packages: Vec<PathBuf> = indexes.into_iter().flat_map(folders).collect();
    packages.retain(|package| package.join("Cargo.toml").is_file());
    packages.sort();
    packages.truncate(MOST);
    if packages.is_empty() {
        // Written past the test harness, which would swallow it.
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: there is no local registry folder");
    }
    packages
}

fn load(packages: &[PathBuf]) -> Loaded {
    packs::load(packages, None).unwrap_or_else(|faults| {
        let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
        panic!("published manifests are sound:\n{}", faults.join("\n"))
    })
}

fn resolve(loaded: Loaded, threads: usize) -> Resolution {
    let options = Options { threads: NonZeroUsize::new(threads), ..Options::default() };
    packs::resolve(loaded, &options).expect("agents of this library do not fail")
}

/// Requirements as the manifests write them, by (pack, package depended on): read without this library.
fn raw_requirements(loaded: &Loaded) -> BTreeMap<(String, String), Vec<VersionReq>> {
    let mut all: BTreeMap<(String, String), Vec<VersionReq>> = BTreeMap::new();
    for pack in &loaded.packs {
        let text = std::fs::read_to_string(&pack.file).expect("it was read before");
        let root: toml::Table = text.parse().expect("it was parsed before");
        let targets = root.get("target").and_then(toml::Value::as_table).into_iter().flatten();
        let tables = targets.filter_map(|(_, target)| target.as_table()).chain([&root]);
        for table in tables {
            for section in ["dependencies", "build-dependencies"] {
                for (name, declared) in
                    table.get(section).and_then(toml::Value::as_table).into_iter().flatten()
                {
                    let text = declared.as_str().or_else(|| declared.get("version")?.as_str());
                    let name =
                        declared.get("package").and_then(toml::Value::as_str).unwrap_or(name);
                    let requirement =
                        VersionReq::parse(text.unwrap_or("*")).expect("a published one");
                    let key = (pack.id.to_string(), name.to_owned());
                    all.entry(key).or_default().push(requirement);
                }
            }
        }
    }
    all
}

/// The least version of a series that satisfies all, by trying every boundary version.
fn satisfiable(requirements: &[VersionReq], series: Option<Bucket>) -> bool {
    let inside =
        |version: &semver::Version| series.is_none_or(|series| Bucket::of(version) == series);
    oracle::candidates(requirements)
        .iter()
        .any(|version| inside(version) && requirements.iter().all(|req| req.matches(version)))
}

/// Who was granted a requirement in a series of a package.
fn granted(resolution: &Resolution) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut granted: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for proposal in resolution.history.iter().flat_map(|record| record.accepted()) {
        for (key, _) in &proposal.writes {
            let mut segments = key.segments();
            if segments.next() == Some("deps")
                && let (Some(name), Some(series)) = (segments.next(), segments.next())
            {
                let key = (name.to_owned(), series.to_owned());
                granted.entry(key).or_default().insert(proposal.agent.to_string());
            }
        }
    }
    granted
}

/// Those requirements of some packs that belong into a series: they admit nothing else, or span it.
fn group(
    raw: &BTreeMap<(String, String), Vec<VersionReq>>,
    packs: &BTreeSet<String>,
    name: &str,
    series: Option<Bucket>,
) -> Vec<VersionReq> {
    let of = |pack: &String| raw.get(&(pack.clone(), name.to_owned())).cloned().unwrap_or_default();
    let belongs = |req: &VersionReq| match (Requirement::from_req(req).bucket(), series) {
        (Some(only), Some(series)) => only == series,
        (None, Some(series)) => Requirement::from_req(req).admits_bucket(series),
        (only, None) => only.is_none(),
    };
    packs.iter().flat_map(of).filter(belongs).collect()
}

#[test]
fn every_verdict_on_real_manifests_agrees_with_the_oracle() {
    let packages = registry("every_verdict_on_real_manifests_agrees_with_the_oracle");
    if packages.is_empty() {
        return;
    }
    let loaded = load(&packages);
    let raw = raw_requirements(&loaded);
    let resolution = resolve(loaded, 2);
    let granted = granted(&resolution);
    assert!(!granted.is_empty(), "some package depends on another");
    for ((name, series), packs) in &granted {
        let bucket: Option<Bucket> = series.parse().ok();
        let group = group(&raw, packs, name, bucket);
        assert!(
            satisfiable(&group, bucket),
            "{name}/{series} was granted to {packs:?}, but {group:?}"
        );
        // And what is held admits exactly what all of them match.
        let held = resolution.state.get(&format!("deps/{name}/{series}"));
        let Some(queenright::Value::Requirement(held)) = held else {
            panic!("{name}/{series}: {held:?}")
        };
        for version in oracle::candidates(&group) {
            let inside = bucket.is_none_or(|bucket| Bucket::of(&version) == bucket);
            let all = inside && group.iter().all(|req| req.matches(&version));
            assert_eq!(held.matches(&version), all, "{name} {version}: {held} of {group:?}");
        }
    }
    for conflict in &resolution.report.conflicts {
        let Some(name) = conflict.key.as_str().strip_prefix("deps/") else { continue };
        let Some((name, _)) = name.split_once('/') else { continue };
        let loser: BTreeSet<String> = [conflict.loser.clone()].into();
        // Every series that others use and the loser could have joined refuses it.
        for ((_, series), winners) in granted.iter().filter(|((package, _), _)| package == name) {
            let bucket: Option<Bucket> = series.parse().ok();
            let wanted = group(&raw, &loser, name, bucket);
            if winners.contains(&conflict.loser) || wanted.is_empty() {
                continue;
            }
            let mut all = group(&raw, winners, name, bucket);
            all.extend(wanted);
            assert!(!satisfiable(&all, bucket), "{conflict:?} is no conflict: {all:?}");
        }
    }
}

#[test]
fn real_manifests_resolve_to_the_same_bytes_on_any_number_of_threads() {
    let packages = registry("real_manifests_resolve_to_the_same_bytes_on_any_number_of_threads");
    if packages.is_empty() {
        return;
    }
    let expected = resolve(load(&packages), 1);
    for threads in [2, 8] {
        let mut shuffled = packages.clone();
        shuffled.rotate_left(packages.len() / threads);
        shuffled.reverse();
        let again = resolve(load(&shuffled), threads);
        assert_eq!(to_toml(&again.report), to_toml(&expected.report));
        assert_eq!(again.report, expected.report);
        assert_eq!(
            again.history.last().map(|record| record.digest),
            expected.history.last().map(|record| record.digest)
        );
    }
}
