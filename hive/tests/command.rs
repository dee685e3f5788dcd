//! What `queenright run` does, as its users see it: through the command itself.

#![cfg(feature = "cli")]

mod common;

use std::collections::BTreeSet;

use common::{Folder, conflict, losers};
use serde_json::{Value as Json, json};

// What is resolved.

#[test]
fn every_operation_combines_what_all_packs_contribute() {
    let folder = Folder::new();
    folder.pack(
        "one",
        "[contribute]\nworkers = { add = 2 }\nport = { max = 80 }\nwait = { min = 9 }\n\
            features = { union = ['a', 'b'] }\n\
         currency = { agree = 'EUR' }\nprotocol = { constrain = '^4.1' }",
    );
    folder.pack(
        "two",
        "[contribute]\nworkers = { add = 3, at-least = 0, at-most = 9 }\nport = { max = 443 }\n\
            wait = { min = 4 }\n\
         features = { union = ['b', 'c'] }\ncurrency = { agree = 'EUR' }\n\
         protocol = { constrain = '>=3, <4.5' }",
    );
    let report = folder.report();
    assert_eq!(
        report["configuration"]["settings"],
        json!({
            "workers": 5, "port": 443, "wait": 4, "features": ["a", "b", "c"],
            "currency": "EUR", "protocol": ">=4.1.0, <4.5.0",
        })
    );
    assert_eq!(
        report["configuration"]["bounds"],
        json!({ "workers/at-least": 0, "workers/at-most": 9 })
    );
}

#[test]
fn another_contribution_makes_another_configuration() {
    let folder = Folder::new();
    folder.pack("one", "[contribute]\nn = { add = 2 }\np = { constrain = '^4' }");
    folder.pack("two", "[contribute]\nn = { add = 3 }\np = { constrain = '>=4.2' }");
    assert_eq!(folder.report()["configuration"]["settings"], json!({ "n": 5, "p": "^4.2.0" }));
    folder.pack("two", "[contribute]\nn = { add = -9 }\np = { constrain = '<4.2' }");
    let after = json!({ "n": -7, "p": ">=4.0.0, <4.2.0" });
    assert_eq!(folder.report()["configuration"]["settings"], after);
}

#[test]
fn each_kind_of_conflict_bears_the_name_of_what_it_is_about() {
    let folder = Folder::new();
    folder.ranked("core", "critical", "[contribute]\nn = { add = 5, at-most = 6 }");
    folder.ranked(
        "first",
        "high",
        "[requires]\ncore = '^1'\n[namespaces]\nex = 'https://a.example/#'\n[classes]\nC = 'this'\n\
         [properties]\np = 'this'\n[settings]\nx = 1",
    );
    folder.ranked(
        "second",
        "low",
        "[requires]\ncore = '^2'\n[namespaces]\nex = 'https://b.example/#'\n[classes]\n\
            C = { is = 'that' }\n\
         [properties]\np = 'that'\n[settings]\nx = 2\n[contribute]\nn = { add = 2 }",
    );
    let report = folder.report();
    let found: Vec<_> = report["conflicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            assert_eq!(c["loser"], "second", "the lower priority gives way");
            assert_eq!(c["resolved_by"], Json::Null);
            (
                c["kind"].as_str().unwrap(),
                c["key"].as_str().unwrap(),
                c["rule"].as_str().unwrap(),
                c["line"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected = [
        ("version", "packs/core", "empty", 6),
        ("namespace", "namespaces/ex", "disagree", 8),
        ("class", "classes/C", "disagree", 10),
        ("property", "properties/p", "disagree", 12),
        ("setting", "settings/x", "disagree", 14),
        ("bound", "settings/n", "bound", 16),
    ];
    assert_eq!(found, expected);
    let x = conflict(&report, "settings/x", "second");
    assert_eq!(
        (&x["winners"], &x["held"], &x["wanted"]),
        (&json!(["first"]), &json!("1"), &json!("2"))
    );
}

#[test]
fn one_conflict_does_not_take_the_rest_of_a_pack_with_it() {
    let folder = Folder::new();
    folder.ranked("a", "high", "[settings]\nx = 1");
    folder.pack("b", "[settings]\nx = 2\ny = 2\n[contribute]\nz = { add = 2 }");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"], json!({ "x": 1, "y": 2, "z": 2 }));
    assert_eq!(report["conflicts"].as_array().unwrap().len(), 1);
}

#[test]
fn the_summary_tells_people_what_happened_and_what_to_do() {
    let folder = Folder::new();
    folder.file("hive.toml", "[hive]\nname = 'orchard'\nseed = 5");
    folder
        .ranked("first", "high", "[settings]\nx = 'left'\ny = 1")
        .pack("second", "[settings]\nx = 'right'");
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 2);
    let mut lines = ran.stdout.lines();
    assert_eq!(lines.next(), Some("orchard: 2 packs, 2 agents, 1 round, seed 5"));
    assert_eq!(lines.next(), Some("2 proposals: 1 accepted, 1 refused (disagree 1)"));
    assert!(ran.stdout.contains("1 unresolved conflict\n"));
    let words = [
        "key",
        "winner",
        "loser",
        "rule",
        "what to do",
        "settings/x",
        "first",
        "second",
        "holds \"left\"",
        "wants \"right\"",
        "setting: the values",
    ];
    for word in words {
        assert!(ran.stdout.contains(word), "{word:?} is missing in\n{}", ran.stdout);
    }
    assert!(
        ran.stdout.contains("Resolved configuration: 4 keys, not written; --out FILE writes it.")
    );
    let ran = folder.run(&[".", "--out", "all.toml"]);
    assert!(ran.stdout.contains("Resolved configuration: 4 keys, written to all.toml."));
}

#[test]
fn where_nothing_conflicts_the_command_succeeds_and_says_so() {
    let folder = Folder::new();
    folder.pack("one", "[settings]\nx = 1").pack("two", "[settings]\nx = 1");
    let ran = folder.run(&["one", "two/pack.toml"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("2 packs") && ran.stdout.contains("No unresolved conflicts."));
    assert_eq!(folder.report()["resolved"], true);
}

#[test]
fn the_ending_of_the_file_decides_whether_toml_or_json_is_written() {
    let folder = Folder::new();
    folder
        .pack(
            "one",
            "[settings]\nplain = 'é \"q\" \\'\n\"a/b c\" = [1, 2.5, true]\n[classes]\n\
        M = { is = 'm', scale = 2 }",
        )
        .pack("two", "[settings]\nplain = 'other'");
    assert_eq!(folder.run(&[".", "--out", "all.json"]).status, 2, "also while conflicts remain");
    assert_eq!(folder.run(&[".", "--out", "all.toml"]).status, 2);
    let json: Json = serde_json::from_str(&folder.read("all.json")).unwrap();
    assert_eq!(json, folder.report()["configuration"], "the file is what the document says");
    assert_eq!(json["settings"]["a/b c"], json!([1, 2.5, true]));
    let text = folder.read("all.toml");
    let toml = toml::de::DeTable::parse(&text).unwrap().into_inner();
    for (section, entries) in json.as_object().unwrap() {
        let table = toml[section.as_str()].get_ref().as_table().unwrap();
        let names: BTreeSet<&str> = table.keys().map(|name| name.get_ref().as_ref()).collect();
        assert_eq!(names, entries.as_object().unwrap().keys().map(String::as_str).collect());
    }
    let plain = toml["settings"].get_ref().as_table().unwrap()["plain"].get_ref().as_str();
    assert_eq!(plain, json["settings"]["plain"].as_str());
    assert!(
        text.contains("\"a/b c\" = [1, 2.5, true]")
            && text.contains("M = { is = \"m\", scale = 2 }")
    );
}

#[test]
fn explain_tells_the_history_of_one_key() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/x' = 'priority'");
    folder.ranked("high", "high", "[settings]\nx = 1\nother = 5").ranked(
        "low",
        "low",
        "[settings]\nx = 2",
    );
    let ran = folder.run(&[".", "--explain", "settings/x"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..2], ["settings/x holds 1", "policy: priority"]);
    assert_eq!(lines[2], "  + round 1: high agree 1");
    assert!(lines[3].starts_with("  - round 1: low agree 2: lost to high"), "{}", lines[3]);
    assert!(ran.stdout.contains("resolved by priority: low wants 2"));
    assert!(ran.stdout.contains("low/pack.toml:6:1") && !ran.stdout.contains("other"));
    let told = folder.report_with(&["--explain", "settings/x"]);
    assert_eq!(told["key"], "settings/x");
    assert_eq!((&told["value"], &told["policy"]), (&json!("1"), &json!("priority")));
    assert_eq!(
        told["steps"][0],
        json!({ "round": 1, "pack": "high", "operation": "agree 1", "refused": null })
    );
    assert!(told["steps"][1]["refused"].is_string());
    assert_eq!(told["conflicts"][0]["loser"], "low");
}

#[test]
fn verbose_tells_every_round_and_where_each_loser_asked() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 1").pack("b", "[settings]\nx = 2");
    let (short, long) = (folder.run(&["."]).stdout, folder.run(&[".", "-v"]).stdout);
    assert!(
        long.contains("round 1: 2 proposals, 1 accepted") && long.contains("/pack.toml:6:1"),
        "{long}"
    );
    assert!(!short.contains("round 1:") && !short.contains("pack.toml"), "{short}");
}

#[test]
fn standard_output_has_results_alone_and_no_escape_codes() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 1").pack("b", "[settings]\nx = 2").file("bad/pack.toml", "x");
    for args in [&["a", "b"][..], &["a", "b", "-v"], &["bad"], &["--help"], &["--nonsense"]] {
        let ran = folder.run(args);
        assert!(!(ran.stdout + &ran.stderr).contains(['\u{1b}', '\r']), "{args:?}");
    }
    let ran = folder.run(&["a"]);
    assert!(ran.stderr.starts_with("took ") && ran.stderr.lines().count() == 1, "{ran:?}");
    assert!(!ran.stdout.contains("took"), "how long it took differs from run to run");
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = Folder::new();
    let help = folder.run(&["--help"]);
    assert_eq!((help.status, help.stderr.as_str()), (0, ""));
    for option in [
        "--hive",
        "--out",
        "--format",
        "--explain",
        "--seed",
        "--threads",
        "--rounds",
        "-v",
        "Exit status",
    ] {
        assert!(help.stdout.contains(option), "{option}");
    }
    let version = common::run_in(&folder.path(""), &["--version"]);
    assert_eq!(version.stdout, format!("queenright {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.status, 0);
}

#[test]
fn hidden_and_built_folders_are_passed_over_and_links_count_once() {
    let folder = Folder::new();
    folder.pack("a", "[contribute]\nn = { add = 1 }").pack("deep/er/target/b", "");
    folder.pack(".git/c", "").pack("node_modules/d", "").pack("target/e", "");
    folder.file("target/CACHEDIR.TAG", "");
    #[cfg(unix)]
    for link in ["again", "deep/again"] {
        std::os::unix::fs::symlink(folder.path("a"), folder.path(link)).unwrap();
    }
    let report = folder.report();
    assert_eq!(report["configuration"]["packs"], json!({ "a": "=1.0.0", "b": "=1.0.0" }));
    assert_eq!(
        (&report["packs"], &report["configuration"]["settings"]["n"]),
        (&json!(2), &json!(1))
    );
    let given = folder.run(&[".git", "--format", "json"]).json();
    assert_eq!(
        given["configuration"]["packs"],
        json!({ "c": "=1.0.0" }),
        "what is given is searched"
    );
}

// hive.toml.

#[test]
fn the_hive_file_is_found_beside_the_packs_or_named() {
    let folder = Folder::new();
    folder.pack("in/a", "").file("in/hive.toml", "[hive]\nname = 'beside'\nseed = 3");
    folder.file("other.toml", "[hive]\nname = 'named'");
    let name =
        |args: &[&str]| folder.run(&[args, &["--format", "json"]].concat()).json()["hive"].clone();
    assert_eq!(name(&["in"]), "beside");
    assert_eq!(name(&["in", "in/a"]), "beside", "found once");
    assert_eq!(name(&["in/a"]), "hive", "a folder given is searched for packs below, not above");
    assert_eq!(name(&["in", "--hive", "other.toml"]), "named");
}

#[test]
fn options_take_precedence_over_the_hive_file() {
    let folder = Folder::new();
    folder.pack("a", "").file("hive.toml", "[hive]\nseed = 3\nthreads = 2\nrounds = 9");
    assert_eq!(folder.report()["seed"], 3);
    assert_eq!(folder.report_with(&["--seed", "18446744073709551615"])["seed"], u64::MAX);
}

#[test]
fn the_base_stands_before_the_first_round() {
    let folder = Folder::new();
    folder.file("hive.toml", "[base]\n'settings/n' = 4\nsettings.x = 1\n'settings/f' = ['p']");
    folder.pack("a", "[settings]\nx = 2\n[contribute]\nn = { add = 3 }\nf = { union = ['q'] }");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"], json!({ "n": 7, "x": 1, "f": ["p", "q"] }));
    assert_eq!(conflict(&report, "settings/x", "a")["winners"], json!(["base"]));
}

/// Two packs of unequal priority that state different values for one key, under a policy.
fn under(policy: &str, high: &str, low: &str) -> (Json, Json) {
    let folder = Folder::new();
    folder.file("hive.toml", format!("[policy]\n'settings/x' = '{policy}'"));
    folder.ranked("high", "high", &format!("[settings]\nx = {high}"));
    folder.ranked("low", "low", &format!("[settings]\nx = {low}"));
    let report = folder.report();
    (report["configuration"]["settings"]["x"].clone(), report["conflicts"].clone())
}

#[test]
fn each_policy_combines_different_values_in_its_own_way() {
    let none = json!([]);
    assert_eq!(under("union", "['a', 'b']", "['b', 'c']"), (json!(["a", "b", "c"]), none.clone()));
    assert_eq!(under("union", "'s'", "'r'"), (json!(["r", "s"]), none.clone()));
    assert_eq!(under("intersection", "['a', 'b']", "['b', 'c']"), (json!(["b"]), none.clone()));
    assert_eq!(under("max", "3", "7"), (json!(7), none.clone()));
    assert_eq!(under("min", "7", "3.5"), (json!(3.5), none.clone()));
    assert_eq!(under("fail", "7", "7"), (json!(7), none.clone()), "equal values agree");
    let (value, conflicts) = under("fail", "1", "2");
    assert_eq!((value, &conflicts[0]["resolved_by"]), (json!(1), &Json::Null));
    let (value, conflicts) = under("priority", "1", "2");
    assert_eq!((value, &conflicts[0]["resolved_by"]), (json!(1), &json!("priority")));
    let (value, conflicts) = under("intersection", "['a']", "['z']");
    assert_eq!((value, &conflicts[0]["rule"]), (json!(["a"]), &json!("empty")));
    let (value, conflicts) = under("max", "1", "'text'");
    assert_eq!((value, &conflicts[0]["rule"]), (json!(1), &json!("kind")));
}

#[test]
fn the_first_rule_whose_pattern_matches_decides() {
    let folder = Folder::new();
    folder.file(
        "hive.toml",
        "[policy]\n'settings/*/size' = 'min'\n'settings/**' = 'max'\n'classes/*' = 'priority'",
    );
    folder.ranked("a", "high", "[settings]\np.size = 1\nq = 1\nr.s.size = 1\n[classes]\nC = 'x'");
    folder.ranked("b", "low", "[settings]\np.size = 2\nq = 2\nr.s.size = 2\n[classes]\nC = 'y'");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"], json!({ "p/size": 1, "q": 2, "r/s/size": 2 }));
    assert_eq!(
        (&report["configuration"]["classes"]["C"], &report["resolved"]),
        (&json!("x"), &json!(true))
    );
}

#[test]
fn a_rule_that_decides_no_key_is_a_warning_and_no_error() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 1");
    folder.file(
        "hive.toml",
        "[policy]\n'settings/**' = 'max'\n'settings/x' = 'min'\n'nothing/*' = 'min'",
    );
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 0);
    assert!(
        ran.stderr.contains(
            "hive.toml:3:1: warning: the rule \"settings/x\" = \"min\" decides no key\n  help: "
        ),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("hive.toml:4:1: warning: ") && !ran.stdout.contains("warning"));
    let warnings = folder.report()["warnings"].clone();
    assert_eq!(
        (warnings[0]["line"].clone(), warnings[1]["line"].clone(), warnings[2].clone()),
        (json!(3), json!(4), Json::Null)
    );
}

// Priorities and conditions.

#[test]
fn the_five_priorities_have_an_order() {
    let ranks = ["critical", "high", "normal", "low", "background"];
    for pair in ranks.windows(2) {
        let folder = Folder::new();
        folder.file("hive.toml", "[policy]\n'**' = 'priority'");
        folder.ranked("a", pair[1], "[settings]\nx = 'lower'").ranked(
            "b",
            pair[0],
            "[settings]\nx = 'higher'",
        );
        let report = folder.report();
        assert_eq!(report["configuration"]["settings"]["x"], "higher", "{pair:?}");
        assert_eq!(conflict(&report, "settings/x", "a")["resolved_by"], "priority");
    }
}

#[test]
fn a_higher_priority_wins_although_a_lower_one_committed_first() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/x' = 'priority'");
    folder.ranked("early", "low", "[settings]\ngo = true\nx = 'early'");
    folder.ranked("late", "high", "[settings]\nx = 'late'\n[when]\n'settings/go' = true");
    folder.ranked("later", "background", "[settings]\nx = 'later'\n[when]\n'settings/go' = true");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"]["x"], "late");
    assert_eq!(losers(&report, "settings/x"), ["early", "later"]);
    assert_eq!(report["resolved"], true, "both gave way to a higher priority");
}

#[test]
fn equal_priorities_that_differ_stay_unresolved() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/x' = 'priority'");
    folder.ranked("early", "low", "[settings]\ngo = true\nx = 0");
    for name in ["a", "b"] {
        folder.ranked(
            name,
            "high",
            &format!("[settings]\nx = '{name}'\n[when]\n'settings/go' = true"),
        );
    }
    let report = folder.report();
    let winner = report["configuration"]["settings"]["x"].as_str().unwrap();
    let loser = if winner == "a" { "b" } else { "a" };
    assert_eq!(conflict(&report, "settings/x", loser)["resolved_by"], Json::Null);
    assert_eq!(conflict(&report, "settings/x", "early")["resolved_by"], "priority");
    assert_eq!((&report["resolved"], folder.run(&["."]).status), (&json!(false), 2));
}

#[test]
fn whoever_comes_later_with_the_same_priority_does_not_take_over() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/x' = 'priority'");
    folder.ranked("early", "high", "[settings]\ngo = true\nx = 'early'");
    folder.ranked("late", "high", "[settings]\nx = 'late'\n[when]\n'settings/go' = true");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"]["x"], "early");
    assert_eq!(conflict(&report, "settings/x", "late")["resolved_by"], Json::Null);
}

#[test]
fn conditional_packs_wait_for_the_value_that_settles() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/mode' = 'max'");
    folder.ranked("a", "high", "[settings]\nmode = 1\nx = 'a'");
    // It loses about x in the first round, so that the mode is 1 for one round and 2 from then on.
    folder.ranked("b", "low", "[settings]\nmode = 2\nx = 'b'");
    folder.pack("passing", "[settings]\nsaw-one = true\n[when]\n'settings/mode' = 1");
    folder.pack("settled", "[settings]\nsaw-two = true\n[when]\n'settings/mode' = 2");
    let after = "[settings]\nend = true\n[when]\n'settings/saw-two' = true\nsettings.mode = 2";
    folder.pack("after", after);
    let report = folder.report();
    assert_eq!(
        report["configuration"]["settings"],
        json!({ "mode": 2, "x": "a", "saw-two": true, "end": true })
    );
    assert_eq!(
        report["inactive"],
        json!([{ "pack": "passing", "key": "settings/mode", "expected": "1", "found": "2" }])
    );
    let text = "Inactive: passing waits for settings/mode = 1, which holds 2.";
    assert!(folder.run(&["."]).stdout.contains(text));
}

#[test]
fn a_pack_that_is_required_but_inactive_is_a_version_conflict() {
    let folder = Folder::new();
    folder.pack("user", "[requires]\ndormant = '^1'");
    folder.pack("dormant", "[settings]\nx = 1\n[when]\n'settings/never' = true");
    let report = folder.report();
    let about = conflict(&report, "packs/dormant", "user");
    assert_eq!(
        (&about["kind"], &about["rule"], &about["line"]),
        (&json!("version"), &json!("inactive"), &json!(6))
    );
    assert_eq!(report["inactive"][0]["found"], Json::Null);
    assert_eq!(folder.run(&["."]).status, 2);
}

#[test]
fn a_condition_that_ceases_to_hold_is_a_conflict() {
    let folder = Folder::new();
    folder.file("hive.toml", "[policy]\n'settings/mode' = 'priority'");
    folder.pack("first", "[settings]\nmode = 'x'");
    folder.pack("trusting", "[settings]\ny = 1\n[when]\n'settings/mode' = 'x'");
    folder.ranked("usurper", "high", "[settings]\nmode = 'z'\n[when]\n'settings/y' = 1");
    let report = folder.report();
    assert_eq!(conflict(&report, "settings/mode", "trusting")["rule"], "condition");
    assert_eq!(conflict(&report, "settings/mode", "trusting")["winners"], json!(["usurper"]));
    assert_eq!(report["resolved"], false);
}

#[test]
fn bounds_hold_for_packs_that_come_later() {
    let folder = Folder::new();
    folder.pack(
        "first",
        "[settings]\ngo = true\n[contribute]\nn = { add = 8, at-most = 10 }\n\
        m = { add = 1, at-least = -1 }",
    );
    folder.pack("fits", "[contribute]\nn = { add = 2 }\n[when]\n'settings/go' = true");
    folder.pack("low", "[contribute]\nm = { add = -3 }\n[when]\n'settings/go' = true");
    folder.ranked("much", "low", "[contribute]\nn = { add = 1 }\n[when]\n'settings/go' = true");
    let report = folder.report();
    assert_eq!(report["configuration"]["settings"], json!({ "go": true, "n": 10, "m": 1 }));
    let much = conflict(&report, "settings/n", "much");
    assert_eq!(
        (&much["kind"], &much["held"], &much["jointly"]),
        (&json!("bound"), &json!("10, at most 10"), &json!(true))
    );
    assert_eq!(much["winners"], json!(["first", "fits"]));
    assert_eq!(conflict(&report, "settings/m", "low")["kind"], "bound");
}

#[test]
fn too_few_rounds_leave_the_resolution_open() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nx = 1\ny = 1").pack("b", "[settings]\nx = 2\nz = 2");
    assert_eq!(folder.report()["configuration"]["settings"].as_object().unwrap().len(), 3);
    let report = folder.report_with(&["--rounds", "1"]);
    assert_eq!((&report["resolved"], &report["waiting"]), (&json!(false), &json!(1)));
    let ran = folder.run(&[".", "--rounds", "1"]);
    assert_eq!(ran.status, 2);
    assert!(
        ran.stdout.contains(
            "Not settled: 1 agent had more to say after 1 round. Allow more with --rounds."
        )
    );
}
