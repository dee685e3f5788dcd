//! Same packs and same seed, same bytes; and the form of the JSON document.

#![cfg(feature = "cli")]

mod common;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::{Folder, conflict, run_in};
use serde_json::{Value as Json, json};

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn shuffled<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        for last in (1..all.len()).rev() {
            all.swap(last, self.roll(last as u64 + 1) as usize);
        }
        all
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/packs")
}

/// What a run printed, and what it wrote; standard error has the wall clock, so that stays out.
fn outcome(work: &Path, args: &[&str]) -> (i32, String, String) {
    let out = work.join("out.toml");
    let ran = run_in(work, &[args, &["--out", "out.toml"]].concat());
    let written = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(out).unwrap();
    (ran.status, ran.stdout, written)
}

#[test]
fn the_examples_resolve_to_the_same_bytes_in_any_order_and_on_any_number_of_threads() {
    let folder = Folder::new();
    let hive = examples().join("hive.toml");
    let packs = std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().path());
    let mut packs: Vec<String> =
        packs.filter(|path| path.is_dir()).map(|path| path.to_str().unwrap().to_owned()).collect();
    packs.sort();
    assert_eq!(packs.len(), 10);
    let mut dice = Dice(1);
    for format in [&["-v"][..], &["--format", "json"]] {
        let mut first = None;
        for threads in ["1", "2", "8", "1", "2", "8"] {
            let mut paths = dice.shuffled(&packs);
            // Some are given twice, or as the file within.
            paths.push(packs[dice.roll(10) as usize].clone());
            paths.push(format!("{}/pack.toml", packs[dice.roll(10) as usize]));
            let mut args = [&["run", "--threads", threads][..], format].concat();
            args.extend(["--hive", hive.to_str().unwrap()]);
            args.extend(paths.iter().map(String::as_str));
            let here = outcome(&folder.path(""), &args);
            assert_eq!(here.0, 2, "the examples are there to conflict");
            assert_eq!(&here, first.get_or_insert_with(|| here.clone()), "{paths:?}");
        }
    }
}

#[test]
fn a_folder_and_its_packs_one_by_one_are_the_same_input() {
    let folder = Folder::new();
    let all = examples();
    let (all, hive) = (all.to_str().unwrap(), all.join("hive.toml"));
    let cart = format!("{all}/cart");
    let alone = outcome(&folder.path(""), &["run", all]);
    assert_eq!(alone, outcome(&folder.path(""), &["run", &cart, all, &cart, "--seed", "7"]));
    assert_eq!(alone, outcome(&folder.path(""), &["run", all, "--hive", hive.to_str().unwrap()]));
}

/// Some sixty manifests that contradict each other wherever they can.
fn quarrel(folder: &Folder) -> Vec<String> {
    let mut dice = Dice(42);
    let mut paths = Vec::new();
    for number in 0..40 {
        let name = format!("p{number:02}");
        let mut body = String::from("[requires]\n");
        if number > 0 {
            let _ = writeln!(body, "p{:02} = '^{}'", dice.roll(number), 1 + dice.roll(5) / 4);
        }
        let _ =
            writeln!(body, "[namespaces]\nn{} = 'https://{}.example/'", dice.roll(6), dice.roll(2));
        let _ = writeln!(
            body,
            "[classes]\nC{} = 'd{}'\n[properties]\nP{} = 'd{}'",
            dice.roll(6),
            dice.roll(3),
            dice.roll(6),
            dice.roll(3)
        );
        let _ = writeln!(
            body,
            "[settings]\n'fail/{}' = {}\n'rank/{}' = {}",
            dice.roll(8),
            dice.roll(3),
            dice.roll(4),
            dice.roll(4)
        );
        let _ = writeln!(
            body,
            "'max/a' = {}\n'set/a' = [{}, {}]",
            dice.roll(99),
            dice.roll(9),
            dice.roll(9)
        );
        let _ = writeln!(
            body,
            "[contribute]\n'sum/{}' = {{ add = {}, at-most = 40 }}",
            dice.roll(4),
            1 + dice.roll(9)
        );
        let _ = writeln!(
            body,
            "'version/{}' = {{ constrain = '>={}, <{}' }}",
            dice.roll(3),
            dice.roll(3),
            3 + dice.roll(4)
        );
        if number % 7 == 6 {
            let _ = writeln!(body, "[when]\n'settings/fail/{}' = {}", dice.roll(8), dice.roll(3));
        }
        let priority = ["critical", "high", "normal", "low", "background"][dice.roll(5) as usize];
        folder.ranked(&name, priority, &body);
        paths.push(name);
    }
    for number in 0..20 {
        let name = format!("c{number:02}");
        let mut body = String::from("[dependencies]\n");
        for dependency in 0..4 {
            let minor = dice.roll(9);
            let requirement = match dice.roll(4) {
                0 => format!("={}.{minor}.0", 1 + dice.roll(2)),
                1 => format!("~1.{minor}"),
                2 => format!(">=1.{minor}, <2.{}", dice.roll(9) + 1),
                _ => format!("^{}.{minor}", 1 + dice.roll(3)),
            };
            let _ = writeln!(
                body,
                "d{dependency} = {{ version = '{requirement}', features = ['f{}'] }}",
                dice.roll(5)
            );
        }
        folder.package(&name, "0.1.0", &body);
        paths.push(format!("{name}-0.1.0"));
    }
    let policy =
        "'settings/rank/*' = 'priority'\n'settings/max/*' = 'max'\n'settings/set/*' = 'union'";
    folder.file("hive.toml", format!("[hive]\nseed = 11\n[policy]\n{policy}"));
    paths
}

#[test]
fn sixty_quarrelling_manifests_end_the_same_way_every_time() {
    let folder = Folder::new();
    let paths = quarrel(&folder);
    let report = folder.report();
    let conflicts = report["conflicts"].as_array().unwrap();
    let kinds: BTreeSet<&str> = conflicts.iter().map(|c| c["kind"].as_str().unwrap()).collect();
    let expected = ["bound", "class", "namespace", "property", "setting", "version"];
    assert_eq!(kinds, BTreeSet::from(expected), "the quarrel is about everything");
    assert!(conflicts.len() > 60, "only {} conflicts", conflicts.len());
    let mut dice = Dice(9);
    for format in [&["-v"][..], &["--format", "json"]] {
        let mut first = None;
        for threads in ["1", "8", "2", "1"] {
            let detours = ["p03/../p03", "././p17", "c05-0.1.0/Cargo.toml"].map(str::to_owned);
            let paths = dice.shuffled(&[&paths[..], &detours].concat());
            let mut args =
                [&["run", "--hive", "hive.toml", "--threads", threads][..], format].concat();
            args.extend(paths.iter().map(String::as_str));
            let here = outcome(&folder.path(""), &args);
            assert_eq!(&here, first.get_or_insert_with(|| here.clone()));
        }
    }
}

#[test]
fn an_explanation_is_the_same_on_any_number_of_threads() {
    let folder = Folder::new();
    quarrel(&folder);
    let told = |threads| folder.run(&[".", "--threads", threads, "--explain", "settings/sum/1"]);
    let first = told("1");
    assert!(first.stdout.lines().count() > 4, "{first:?}");
    assert_eq!([told("2").stdout, told("8").stdout], [first.stdout.clone(), first.stdout]);
}

#[test]
fn another_seed_may_let_another_pack_win() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 'a'").pack("b", "[settings]\nx = 'b'");
    let winner = |seed: u32| {
        let report = folder.report_with(&["--seed", &seed.to_string()]);
        assert_eq!(report["seed"], seed);
        let held = report["configuration"]["settings"]["x"].as_str().unwrap().to_owned();
        let loser = if held == "a" { "b" } else { "a" };
        assert_eq!(conflict(&report, "settings/x", loser)["winners"], json!([held]));
        held
    };
    let winners: Vec<String> = (0..24).map(winner).collect();
    assert!(winners.contains(&"a".to_owned()) && winners.contains(&"b".to_owned()), "{winners:?}");
    assert_eq!(winners, (0..24).map(winner).collect::<Vec<_>>(), "each seed is true to itself");
}

#[test]
fn a_seed_never_overrules_a_priority() {
    let folder = Folder::new();
    folder.ranked("a", "low", "[settings]\nx = 'a'").ranked("b", "high", "[settings]\nx = 'b'");
    for seed in 0..12 {
        let report = folder.report_with(&["--seed", &seed.to_string()]);
        assert_eq!(report["configuration"]["settings"]["x"], "b", "seed {seed}");
    }
}

// The JSON document.

fn fields(value: &Json) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn texts(value: &Json) -> bool {
    value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(Json::is_string))
}

#[test]
fn the_document_has_its_documented_fields() {
    let folder = Folder::new();
    folder.file(
        "hive.toml",
        "[hive]\nname = 'doc'\n[policy]\n'none' = 'max'\n'settings/p' = 'priority'",
    );
    folder.ranked("a", "high", "[settings]\nx = 1\np = 1").pack("b", "[settings]\nx = 2\np = 2");
    folder.pack("idle", "[when]\n'settings/x' = 'no'");
    folder.package("one", "1.0.0", "[dependencies]\nd = '1'");
    folder.package("two", "2.0.0", "[dependencies]\nd = '2'");
    let report = folder.report();
    let expected = [
        "format",
        "resolved",
        "hive",
        "seed",
        "packs",
        "agents",
        "rounds",
        "proposals",
        "accepted",
        "refused",
        "waiting",
        "conflicts",
        "inactive",
        "series",
        "warnings",
        "configuration",
    ];
    assert_eq!(fields(&report), expected);
    for (field, value) in [
        ("format", json!(1)),
        ("resolved", json!(false)),
        ("hive", json!("doc")),
        ("seed", json!(0)),
        ("packs", json!(5)),
        ("agents", json!(5)),
        ("waiting", json!(0)),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    let refused: u64 =
        report["refused"].as_object().unwrap().values().map(|n| n.as_u64().unwrap()).sum();
    let number = |field: &str| report[field].as_u64().unwrap();
    assert_eq!(number("proposals"), number("accepted") + refused);
    assert!(number("rounds") > 0 && refused > 0);
    let conflict = conflict(&report, "settings/x", "b");
    let expected = [
        "kind",
        "key",
        "winners",
        "jointly",
        "held",
        "loser",
        "wanted",
        "rule",
        "resolved_by",
        "file",
        "line",
        "column",
        "advice",
    ];
    assert_eq!(fields(conflict), expected);
    for field in ["kind", "key", "held", "loser", "wanted", "rule", "file", "advice"] {
        assert!(conflict[field].is_string(), "{field}");
    }
    assert!(texts(&conflict["winners"]) && conflict["jointly"].is_boolean());
    assert_eq!((&conflict["line"], &conflict["column"]), (&json!(6), &json!(1)));
    assert!(folder.path(conflict["file"].as_str().unwrap()).is_file());
    let by: Vec<&Json> =
        report["conflicts"].as_array().unwrap().iter().map(|c| &c["resolved_by"]).collect();
    assert_eq!(by, [&Json::Null, &json!("priority")], "unresolved ones first");
    assert_eq!(fields(&report["inactive"][0]), ["pack", "key", "expected", "found"]);
    assert_eq!(report["series"][0]["package"], "d");
    assert_eq!(fields(&report["series"][0]["needed"][0]), ["series", "requirement", "packs"]);
    assert!(texts(&report["series"][0]["needed"][0]["packs"]));
    assert_eq!(fields(&report["warnings"][0]), ["file", "line", "column", "message", "help"]);
    let sections = ["deps", "features", "packages", "packs", "settings"];
    assert_eq!(fields(&report["configuration"]), sections);
}
