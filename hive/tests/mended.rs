//! Faults that the command once had, each held by a test.
#![cfg(feature = "cli")]

mod common;

use common::{Folder, conflict, losers};
use serde_json::{Value as Json, json};

#[test]
fn verbose_output_is_the_same_every_time() {
    let folder = Folder::new();
    folder
        .pack("a", "[settings]\nx = 1")
        .pack("b", "[settings]\nx = 2")
        .pack("c", "[settings]\nx = 3");
    let first = folder.run(&[".", "-v"]).stdout;
    for _ in 0..20 {
        assert_eq!(folder.run(&[".", "-v"]).stdout, first);
    }
}

#[test]
fn a_round_limit_that_cuts_off_a_wave_is_not_resolved() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\ngo = true\nx = 1");
    folder.pack("b", "[settings]\nx = 2\n[when]\n'settings/go' = true");
    assert_eq!(losers(&folder.report(), "settings/x"), ["b"]);
    let report = folder.report_with(&["--rounds", "1"]);
    assert_eq!(report["resolved"], false, "{report:#}");
}

#[test]
fn an_unknown_key_to_explain_leaves_the_old_file_alone() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 1").file("all.toml", "old");
    assert_eq!(folder.run(&["a", "--out", "all.toml", "--explain", "nope"]).status, 1);
    assert_eq!(folder.read("all.toml"), "old");
}

#[test]
fn a_key_that_ends_like_an_operator_is_still_a_key() {
    let folder = Folder::new();
    folder.pack("a", "[contribute]\npool.max = { add = 4 }");
    assert_eq!(folder.report()["configuration"]["settings"], json!({ "pool/max": 4 }));
}

#[test]
fn a_misspelt_operator_is_answered_with_the_one_that_was_meant() {
    let folder = Folder::new();
    let ran = folder.pack("a", "[contribute]\nx = { ad = 1 }").run(&["a"]);
    assert!(ran.stderr.contains("did you mean `add`?"), "{ran:?}");
}

#[test]
fn no_escape_codes_from_manifests_reach_the_output() {
    let folder = Folder::new();
    folder.file("hive.toml", "[hive]\nname = \"A\\u001b[31mred\\nline\"");
    folder
        .pack("a", "[classes]\nx = { \"a\\u001b[31mb\" = 1 }")
        .pack("b", "[classes]\nx = { c = 2 }");
    let ran = folder.run(&["."]);
    assert!(!(ran.stdout + &ran.stderr).contains('\u{1b}'));
}

#[test]
fn a_usage_error_is_json_when_json_was_asked_for() {
    let folder = Folder::new();
    folder.pack("a", "");
    let ran = folder.run(&["a", "--format", "json", "--threads", "0"]);
    assert!(serde_json::from_str::<Json>(&ran.stdout).is_ok(), "{ran:?}");
}

#[test]
fn two_packs_of_one_name_are_shown_with_line_and_column() {
    let folder = Folder::new();
    let ran = folder.pack("x/twin", "").pack("y/twin", "").run(&["."]);
    assert!(ran.stderr.contains("y/twin/pack.toml:2:8: error: "), "{ran:?}");
}

#[test]
fn a_base_version_of_a_pack_is_not_silently_dropped() {
    let folder = Folder::new();
    folder.file("hive.toml", "[base]\n'packs/a' = '2.0.0'").pack("a", "");
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("`[base]` states `packs/a`"), "{ran:?}");
}

#[test]
fn a_lower_bound_above_zero_can_be_met_by_the_sum_itself() {
    let folder = Folder::new();
    folder.pack("a", "[contribute]\nn = { add = 8, at-least = 5 }");
    assert_eq!(folder.report()["configuration"]["settings"]["n"], 8);
}

#[test]
fn a_conflict_always_names_somebody_and_its_advice_fits() {
    let folder = Folder::new();
    folder.pack("a", "[contribute]\nn = { add = 5, at-most = 3 }");
    let report = folder.report();
    assert_ne!(conflict(&report, "settings/n", "a")["winners"], json!([]), "{report:#}");
}

#[test]
fn a_full_disk_is_no_success() {
    let folder = Folder::new();
    folder.pack("a", "");
    let mut command = common::command(&folder.path(""), &["run", "a"]);
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    assert_eq!(command.stdout(full).status().unwrap().code(), Some(1));
}

#[test]
fn a_dangling_hive_file_is_reported() {
    let folder = Folder::new();
    folder.pack("a", "");
    std::os::unix::fs::symlink("gone", folder.path("hive.toml")).unwrap();
    assert_eq!(folder.run(&["."]).status, 1);
}

#[test]
fn a_misspelt_section_in_a_condition_is_answered_with_the_one_that_was_meant() {
    let folder = Folder::new();
    let ran = folder.pack("a", "[when]\n'setings/x' = 1").run(&["a"]);
    assert!(
        !ran.stderr.contains("settings/setings") && ran.stderr.contains("settings/x"),
        "{ran:?}"
    );
}

#[test]
fn many_threads_do_not_hang_the_run() {
    let folder = Folder::new();
    folder.pack("a", "");
    assert_eq!(folder.run(&["a", "--threads", "20000"]).status, 0);
}
