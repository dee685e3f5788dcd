//! `queenright run` on real Cargo manifests.

#![cfg(feature = "cli")]

mod common;

use common::{Folder, conflict, losers};
use serde_json::{Value as Json, json};

#[test]
fn requirements_meet_and_features_add_up_within_one_series() {
    let folder = Folder::new();
    folder.package("a", "1.0.0", "[dependencies]\nd = { version = '1.2', features = ['x'] }");
    folder.package(
        "b",
        "1.0.0",
        "[dependencies]\n\
        d = { version = '>=1.0, <1.9', features = ['y'], default-features = false }",
    );
    folder.package("c", "1.0.0", "[dependencies.d]\nversion = '1.4.1'\nfeatures = ['x', 'z']");
    let report = folder.report();
    assert_eq!(report["configuration"]["deps"], json!({ "d/1": ">=1.4.1, <1.9.0" }));
    assert_eq!(report["configuration"]["features"], json!({ "d/1": ["default", "x", "y", "z"] }));
    assert_eq!((&report["resolved"], &report["series"]), (&json!(true), &json!([])));
}

#[test]
fn features_are_default_unless_all_turn_them_off() {
    let folder = Folder::new();
    folder.package(
        "a",
        "1.0.0",
        "[dependencies]\n\
        d = { version = '1', default-features = false }\n\
        e = { version = '1', default-features = false, features = ['k'] }",
    );
    let features = &folder.report()["configuration"]["features"];
    assert_eq!(*features, json!({ "e/1": ["k"] }));
}

#[test]
fn several_series_of_one_package_are_normal() {
    let folder = Folder::new();
    folder.package(
        "a",
        "1.0.0",
        "[dependencies]\nd = '1.2'\nold = { package = 'd', version = '0.3.1' }",
    );
    folder.package(
        "b",
        "1.0.0",
        "[dependencies]\nd = '0.4'\ne = '0.0.7'\n[build-dependencies]\ne = '0.0.8'",
    );
    let report = folder.report();
    assert_eq!(report["resolved"], true, "{report:#}");
    assert_eq!(
        report["configuration"]["deps"],
        json!({
            "d/0.3": "^0.3.1", "d/0.4": "^0.4.0", "d/1": "^1.2.0",
            "e/0.0.7": "^0.0.7", "e/0.0.8": "^0.0.8",
        })
    );
    let d = &report["series"][0];
    assert_eq!(d["package"], "d");
    let needed: Vec<&Json> = d["needed"].as_array().unwrap().iter().map(|n| &n["series"]).collect();
    assert_eq!(needed, ["0.3", "0.4", "1"]);
    assert_eq!(
        d["needed"][1],
        json!({ "series": "0.4", "requirement": "^0.4.0", "packs": ["b 1.0.0"] })
    );
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 0);
    assert!(ran.stdout.contains("2 packages are needed in several series"));
}

#[test]
fn requirements_without_a_common_version_conflict() {
    let folder = Folder::new();
    folder.package("a", "1.0.0", "[dependencies]\nd = '=1.2.0'");
    folder.package("b", "2.0.0", "[dependencies]\n\nd = '^1.3'");
    folder.package("c", "3.0.0", "[dependencies]\nd = '1'");
    for seed in ["0", "1", "2", "3"] {
        let report = folder.report_with(&["--seed", seed]);
        let [loser] = losers(&report, "deps/d/1")[..] else { panic!("{report:#}") };
        let winner = if loser == "a 1.0.0" { "b 2.0.0" } else { "a 1.0.0" };
        let about = conflict(&report, "deps/d/1", loser);
        assert_eq!((&about["kind"], &about["rule"]), (&json!("version"), &json!("empty")));
        assert_eq!(about["winners"], json!([winner]), "c admits both");
        assert_eq!(about["line"], if loser == "a 1.0.0" { 5 } else { 6 });
    }
}

#[test]
fn a_requirement_across_majors_conflicts_only_if_every_series_refuses_it() {
    let folder = Folder::new();
    folder.package("wide", "1.0.0", "[dependencies]\nd = '>=1.9, <2.1'");
    let deps = |folder: &Folder| folder.report()["configuration"]["deps"].clone();
    assert_eq!(deps(&folder), json!({ "d/2": "~2.0.0" }), "alone it takes the newest");
    folder.package("one", "1.0.0", "[dependencies]\nd = '1'");
    assert_eq!(deps(&folder), json!({ "d/1": "^1.9.0" }), "it joins what others use");
    folder.package("one", "1.0.0", "[dependencies]\nd = '~1.2'");
    assert_eq!(deps(&folder), json!({ "d/1": "~1.2.0", "d/2": "~2.0.0" }), "one series refuses it");
    assert_eq!(folder.report()["resolved"], true);
    folder.package("two", "1.0.0", "[dependencies]\nd = '~2.5'");
    let report = folder.report();
    let about = &report["conflicts"][0];
    assert_eq!(
        (&about["loser"], &about["wanted"]),
        (&json!("wide 1.0.0"), &json!(">=1.9.0, <2.1.0"))
    );
    assert_eq!(about["winners"], json!(["one 1.0.0", "two 1.0.0"]));
    assert_eq!(
        (&about["kind"], &about["resolved_by"], &about["line"]),
        (&json!("version"), &Json::Null, &json!(5))
    );
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1);
}

#[test]
fn a_dependency_without_a_version_takes_any() {
    let folder = Folder::new();
    folder.package(
        "a",
        "1.0.0",
        "[dependencies]\nd = { path = '../d' }\ng = { git = 'https://example.org/g' }",
    );
    folder.package("b", "1.0.0", "[dependencies]\nd = '1.5'");
    let report = folder.report();
    assert_eq!(report["configuration"]["deps"], json!({ "d/1": "^1.5.0", "g/any": "*" }));
    assert_eq!(report["resolved"], true);
}

#[test]
fn build_and_target_dependencies_count_and_those_for_tests_do_not() {
    let folder = Folder::new();
    folder.package(
        "a",
        "1.0.0",
        "[dependencies]\nrenamed = { package = 'real', version = '1' }\n[build-dependencies]\n\
            cc = '1.0.2'\n\
         [dev-dependencies]\ntesting = '1'\n[target.'cfg(unix)'.dependencies]\nlibc = '0.2.5'\n\
         [target.'cfg(windows)'.build-dependencies]\nwinres = '0.1'\n\
         [target.'cfg(unix)'.dev-dependencies]\nnix = '1'",
    );
    let expected = json!({
        "cc/1": "^1.0.2", "libc/0.2": "^0.2.5", "real/1": "^1.0.0", "winres/0.1": "^0.1.0",
    });
    assert_eq!(folder.report()["configuration"]["deps"], expected);
}

const ROOT: &str = "[workspace]\nmembers = ['*']\n[workspace.package]\nversion = '3.1.0'\n\
    [workspace.dependencies]\n\
                    d = { version = '1.0.50', features = ['derive'], default-features = false }\n\
                    short = { package = 'long-name', version = '2' }\n";

#[test]
fn members_inherit_from_their_workspace() {
    let folder = Folder::new();
    folder.file("Cargo.toml", ROOT);
    let member = "[package]\nname = 'm'\nversion.workspace = true\n[dependencies]\n\
        d = { workspace = true, features = ['rc'] }\nshort.workspace = true\n";
    folder.file("m/Cargo.toml", member);
    let report = folder.report();
    let expected = json!({
        "deps": { "d/1": "^1.0.50", "long-name/2": "^2.0.0" },
        "features": { "d/1": ["derive", "rc"], "long-name/2": ["default"] },
        "packages": { "m": ["3.1.0"] },
    });
    assert_eq!(report["configuration"], expected);
    assert_eq!(
        (&report["packs"], &report["warnings"]),
        (&json!(1), &json!([])),
        "the root is no package"
    );
    let alone = folder.run(&["m", "--format", "json"]).json();
    assert_eq!(alone["configuration"], expected, "the root is found above the path given");
}

#[test]
fn what_cannot_be_inherited_is_a_fault_at_its_place() {
    let folder = Folder::new();
    folder.file("w/Cargo.toml", ROOT);
    folder.package("w/m", "1.0.0", "[dependencies]\nmissing.workspace = true");
    folder.file("alone/Cargo.toml", "[package]\nname = 'n'\nversion.workspace = true\n");
    let ran = folder.run(&["w", "alone"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains(
            "w/m-1.0.0/Cargo.toml:5:1: error: the workspace declares no dependency `missing`"
        ),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains(
            "alone/Cargo.toml:3:1: error: this is inherited from a workspace, \
        but no folder above has one"
        ),
        "{ran:?}"
    );
}

#[test]
fn versions_of_one_package_stand_side_by_side() {
    let folder = Folder::new();
    folder
        .package("a", "1.0.0", "")
        .package("a", "2.0.0-rc.1", "")
        .file("b/Cargo.toml", "[package]\nname = 'b'");
    let report = folder.report();
    assert_eq!(
        report["configuration"]["packages"],
        json!({ "a": ["1.0.0", "2.0.0-rc.1"], "b": ["0.0.0"] })
    );
    assert_eq!((&report["packs"], &report["resolved"]), (&json!(3), &json!(true)));
}

#[test]
fn a_copy_with_other_contents_is_a_warning() {
    let folder = Folder::new();
    folder.package("x/a", "1.0.0", "").package("y/a", "1.0.0", "").package("z/b", "1.0.0", "");
    let manifest = |version: &str| {
        format!("[package]\nname = 'a'\nversion = '1.0.0'\n[dependencies]\nd = '{version}'\n")
    };
    folder.file("x/a-1.0.0/Cargo.toml", manifest("1")).file("y/a-1.0.0/Cargo.toml", manifest("1"));
    folder.file("z/b-1.0.0/Cargo.toml", "[package]\nname = 'b'\n");
    assert_eq!(folder.report()["warnings"], json!([]), "equal copies are one package");
    folder.file("y/a-1.0.0/Cargo.toml", manifest("2"));
    let report = folder.report();
    assert_eq!(
        report["configuration"]["deps"],
        json!({ "d/1": "^1.0.0" }),
        "the first by path counts"
    );
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);
    assert!(
        report["warnings"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("a 1.0.0 is here with other contents")
    );
}

#[test]
fn packs_and_packages_resolve_together() {
    let folder = Folder::new();
    folder.package("a", "1.2.0", "[dependencies]\nd = '1.4'");
    folder.pack(
        "knows",
        "[settings]\nfound = true\n[when]\n'packages/a' = ['1.2.0']\n'deps/d/1' = '^1.4'",
    );
    assert_eq!(folder.report()["configuration"]["settings"], json!({ "found": true }));
}
