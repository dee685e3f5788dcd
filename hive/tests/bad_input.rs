//! What `queenright run` says when it cannot do what it was asked.

#![cfg(feature = "cli")]

mod common;

use std::fs::File;

use std::process::{Command, Stdio};

use common::{Folder, Ran, command, finish};
use serde_json::{Value as Json, json};

const HEAD: &str = "[pack]\nname = 'a'\nversion = '1.0.0'\n";

/// Runs `a/pack.toml` with this text, which must be refused.
fn refused(text: impl AsRef<[u8]>) -> Ran {
    let folder = Folder::new();
    let ran = folder.file("a/pack.toml", text).run(&["a"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.ends_with("nothing was resolved\n"), "{ran:?}");
    ran
}

/// The text must have exactly these faults: its place, a part of the message, a part of the help.
fn faults(text: &str, expected: &[(&str, &str, &str)]) {
    let ran = refused(text);
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let found: Vec<&[&str]> = lines[..lines.len() - 1].chunks(2).collect();
    assert_eq!(found.len(), expected.len(), "{text}\n{}", ran.stderr);
    for (found, (place, message, help)) in found.iter().zip(expected) {
        assert!(
            found[0].starts_with(&format!("a/pack.toml:{place}: error: ")),
            "{place}: {found:?}"
        );
        assert!(found[0].contains(message), "{message}: {found:?}");
        assert!(found[1].starts_with("  help: ") && found[1].contains(help), "{help}: {found:?}");
    }
    let (count, s) = (expected.len(), if expected.len() == 1 { "" } else { "s" });
    assert_eq!(lines.last().unwrap(), &format!("{count} error{s}; nothing was resolved"));
}

fn body(lines: &str) -> String {
    format!("{HEAD}{lines}\n")
}

// The manifest.

#[test]
fn an_unknown_name_is_answered_with_the_one_that_was_meant() {
    faults(
        &body("[setings]\nx = 1"),
        &[("4:2", "unknown section `setings`", "did you mean `settings`?")],
    );
    faults(
        &body("prioritty = 'low'"),
        &[("4:1", "unknown field `prioritty`", "did you mean `priority`?")],
    );
    faults(
        &body("zebra = 1"),
        &[("4:1", "unknown field `zebra`", "name, version, priority, description")],
    );
    let misspelt = [("5:16", "unknown field of an operation `at-mst`", "did you mean `at-most`?")];
    faults(&body("[contribute]\nx = { add = 1, at-mst = 3 }"), &misspelt);
}

#[test]
fn a_value_of_the_wrong_type_is_told_what_was_expected() {
    faults(
        "[pack]\nname = 7\nversion = 1.5\npriority = true\ndescription = []\n[requires]\nb = 1\n\
            [classes]\nC = 5",
        &[
            ("2:8", "`name` is of type integer, expected text in quotes", "text in quotes"),
            ("3:11", "`version` is of type float", "text in quotes"),
            ("4:12", "`priority` is of type boolean", "text in quotes"),
            ("5:15", "`description` is of type array", "text in quotes"),
            ("7:5", "`b` is of type integer", "text in quotes"),
            ("9:5", "`C` is of type integer", "a table of fields"),
        ],
    );
    faults("pack = 3", &[("1:8", "`pack` is of type integer, expected a table", "a table")]);
    faults(&body("[[settings]]\nx = 1"), &[("4:1", "`settings` is of type array", "a table")]);
}

#[test]
fn what_is_missing_is_asked_for() {
    faults("", &[("1:1", "there is no `[pack]` section", "add `[pack]`")]);
    faults(
        "# a comment\n\n[pack]\n",
        &[
            ("3:1", "`[pack]` has no `name`", "add `name = "),
            ("3:1", "`[pack]` has no `version`", "add `version = "),
        ],
    );
}

#[test]
fn versions_names_and_priorities_are_checked() {
    faults(
        "[pack]\nname = 'a b'\nversion = '1.2'\npriority = 'urgent'",
        &[
            ("2:8", "`a b` cannot name a pack", "letters, digits"),
            ("3:11", "`1.2` is no version", "\"1.4.0\""),
            ("4:12", "`urgent` is no priority", "critical, high, normal, low or background"),
        ],
    );
    faults("[pack]\nname = 'base'\nversion = '1.0.0'", &[("2:8", "`base`", "reserved")]);
}

#[test]
fn requirements_that_cannot_be_read_or_met_are_refused() {
    faults(
        &body("[requires]\nb = 'one'\nc = '>2, <1'\n[contribute]\np = { constrain = '1.x.y' }"),
        &[
            ("5:5", "`one` is no version requirement", "\">=1.2, <2\""),
            ("6:5", "no version satisfies `>2, <1`", "widen the requirement"),
            ("8:19", "`1.x.y` is no version requirement", "\"^1.4\""),
        ],
    );
}

#[test]
fn an_operation_must_be_one_that_exists_and_fits() {
    faults(
        &body(
            "[contribute]\na = 5\nb = { add = 1, max = 2 }\nc = {}\nd = { add = 1.5 }\n\
                e = { union = 3 }\n\
             f = { max = 3, at-most = 4 }\ng = { add = 1, at-least = 5, at-most = 2 }\n\
             h = { add = 9999999999999999999 }",
        ),
        &[
            ("5:5", "`settings/a` is of type integer, expected an operation", "{ add = 1 }"),
            ("6:5", "`settings/b` needs exactly one operator, and has 2", "use one of"),
            ("7:5", "`settings/c` needs exactly one operator, and has 0", "use one of"),
            ("8:13", "`add` is of type float, expected a whole number", "a whole number"),
            ("9:15", "`union` is of type integer, expected a list", "a list"),
            ("10:13", "`at-least` and `at-most` go with `add`, not with `max`", "use `add`"),
            ("11:13", "`at-least` is above `at-most`", "swap them"),
            ("12:13", "`add` does not fit 64 bits", "2^63"),
        ],
    );
}

#[test]
fn keys_and_values_that_the_state_cannot_hold_are_refused() {
    faults(
        &body(
            "[namespaces]\nn = 'no iri'\n[settings]\nwhen = 2020-01-01\nnan = nan\n'a//b' = 1\n\
                'ö' = inf\n[when]\nregion = 'eu'",
        ),
        &[
            ("5:5", "`no iri` is no absolute IRI", "https://"),
            ("7:8", "`settings/when` is of type datetime", "text in quotes, a number"),
            ("8:7", "`settings/nan` is not a finite number", "use a number or text"),
            ("9:1", "`settings/a//b` is no key", "at most 1024 bytes"),
            ("10:7", "`settings/ö` is not a finite number", "use a number or text"),
            ("12:1", "`region` names no key of the state", "such as `settings/region`"),
        ],
    );
}

#[test]
fn one_pack_asks_for_a_key_once() {
    let two_ways = [("6:1", "`settings/a/b` is asked for twice, first at 5:3", "keep one")];
    faults(&body("[settings]\na.b = 1\n'a/b' = 2"), &two_ways);
    let two_sections = [("7:1", "`settings/a` is asked for twice, first at 5:1", "keep one")];
    faults(&body("[settings]\na = 1\n[contribute]\na = { add = 2 }"), &two_sections);
}

#[test]
fn every_syntax_error_is_shown_at_its_place() {
    let ran = refused(body("[settings]\na = = 1\nb = 2\nc = \"open"));
    for place in ["5:5: error: not valid TOML", "7:10: error: not valid TOML"] {
        assert!(ran.stderr.contains(&format!("a/pack.toml:{place}")), "{}", ran.stderr);
    }
    faults(&body("name = 'again'"), &[("4:1", "not valid TOML: duplicate key", "")]);
    for text in ["[".repeat(100_000), format!("{HEAD}[settings]\n{}=1", ["a"; 100_000].join("."))] {
        assert!(
            refused(text).stderr.contains("error: not valid TOML: "),
            "deep nesting is refused"
        );
    }
}

#[test]
fn text_in_another_encoding_is_refused_where_it_begins() {
    let ran = refused(b"[pack]\nname = '\xc3\xb6\xff'\n");
    assert!(
        ran.stderr.starts_with(
            "a/pack.toml:2:10: error: is not UTF-8 from here on\n  help: save it as UTF-8"
        ),
        "{ran:?}"
    );
}

// Several manifests.

#[test]
fn the_faults_of_all_files_are_listed_in_one_run_and_in_order() {
    let folder = Folder::new();
    folder.file("c/pack.toml", "[pack").file("a/pack.toml", "[pack]\nname = 1\nversion = 2");
    folder.file(
        "b/Cargo.toml",
        "[package]\nname = 'b'\nversion = 'x'\n[dependencies]\nd = 5\ne = 'no'\n",
    );
    folder.file("d/Cargo.toml", "[other]\n").pack("good", "");
    folder.file(
        "hive.toml",
        "[hive]\nseed = -1\nsede = 2\n[policy]\n'settings/x' = 'mx'\nsettings.y = 'max'",
    );
    let ran = folder.run(&["d", "c", ".", "a", "good", "missing"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    let heads: Vec<&str> =
        ran.stderr.lines().filter_map(|line| Some(line.split_once(": error:")?.0)).collect();
    let mut sorted = heads.clone();
    sorted.sort();
    assert_eq!(heads, sorted, "by file and place");
    for file in [
        "a/pack.toml:2:8",
        "a/pack.toml:3:11",
        "b/Cargo.toml:3:11",
        "c/pack.toml:1:6",
        "d/Cargo.toml:1:1",
        "hive.toml:2:8",
        "hive.toml:3:1",
        "hive.toml:5:16",
        "hive.toml:6:1",
        "missing",
    ] {
        assert!(
            heads.iter().any(|head| head.trim_start_matches("./") == file),
            "{file}: {}",
            ran.stderr
        );
    }
    assert!(ran.stderr.ends_with(&format!("\n{} errors; nothing was resolved\n", heads.len())));
    assert_eq!(ran.stderr.matches("\n  help: ").count(), heads.len(), "each with help");
}

#[test]
fn two_packs_of_one_name_are_refused() {
    let folder = Folder::new();
    folder.pack("x/twin", "").pack("y/twin", "");
    let ran = folder.run(&["y", "x"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.starts_with("y/twin/pack.toml"), "{ran:?}");
    assert!(ran.stderr.contains(
        "the pack `twin` exists already, in x/twin/pack.toml\n  help: give one of them another name"
    ));
}

#[test]
fn a_requirement_on_a_missing_pack_names_the_likely_one() {
    let folder = Folder::new();
    folder.pack("storage", "").pack("user", "[requires]\nstroage = '^1'\nunheard-of = '*'");
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains(
            "user/pack.toml:6:1: error: the pack `stroage` is required but \
        was not found\n  help: did you mean `storage`?"
        ),
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains(
            "user/pack.toml:7:1: error: the pack `unheard-of` is required but \
        was not found\n  help: give its folder as well"
        ),
        "{ran:?}"
    );
}

#[test]
fn a_pack_in_a_faulty_file_is_not_called_missing() {
    let folder = Folder::new();
    folder.file("a/pack.toml", "[pack]\nname = 'a'\nversion = 'x'");
    let ran = folder.pack("user", "[requires]\na = '*'").run(&["."]);
    assert!(ran.stderr.ends_with("\n1 error; nothing was resolved\n"), "{ran:?}");
}

#[test]
fn a_cycle_of_requirements_is_shown_from_end_to_end() {
    let folder = Folder::new();
    for (name, needed) in [("a", "b"), ("b", "c"), ("c", "a"), ("outside", "a")] {
        folder.pack(name, &format!("[requires]\n{needed} = '^1'"));
    }
    let ran = folder.run(&["."]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains(
            "c/pack.toml:6:1: error: the requirements form a cycle: a → b → c \
        → a\n  help: remove one"
        ),
        "{ran:?}"
    );
    assert!(ran.stderr.ends_with("\n1 error; nothing was resolved\n"), "{ran:?}");
    let ran = Folder::new().pack("a", "[requires]\na = '*'").run(&["a"]);
    assert!(
        ran.stderr.contains("a/pack.toml:6:1: error: the requirements form a cycle: a → a"),
        "{ran:?}"
    );
}

// The file system.

/// The run must be refused for this one file, with this message and help.
fn whole_file(folder: &Folder, shown: &str, message: &str, help: &str) {
    let ran = folder.run(&["."]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
    let expected = format!("./{shown}: error: {message}");
    assert!(ran.stderr.starts_with(&expected), "{expected}\n{ran:?}");
    assert!(ran.stderr.contains(&format!("\n  help: {help}")), "{help}\n{ran:?}");
    assert!(ran.stderr.ends_with("\n1 error; nothing was resolved\n"), "{ran:?}");
}

#[test]
fn a_folder_that_bears_the_name_of_a_manifest_is_reported() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path("d/pack.toml")).unwrap();
    whole_file(&folder, "d/pack.toml", "is not a regular file", "name a file here");
}

#[test]
fn a_manifest_of_a_hundred_megabytes_is_not_read() {
    let folder = Folder::new();
    folder.pack("big", "");
    File::create(folder.path("big/pack.toml")).unwrap().set_len(100 << 20).unwrap();
    whole_file(&folder, "big/pack.toml", "is larger than 4 MiB", "split it");
}

#[cfg(unix)]
#[test]
fn a_pipe_that_bears_the_name_of_a_manifest_does_not_hang_the_run() {
    for name in ["pack.toml", "Cargo.toml"] {
        let folder = Folder::new();
        let pipe = folder.path(name);
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        whole_file(&folder, name, "is not a regular file", "name a file here");
        assert_eq!(folder.run(&[name]).status, 1, "nor when it is given itself");
        std::fs::remove_file(pipe).unwrap();
    }
    let folder = Folder::new();
    folder.pack("a", "");
    assert!(Command::new("mkfifo").arg(folder.path("hive.toml")).status().unwrap().success());
    whole_file(&folder, "hive.toml", "is not a regular file", "name a file here");
}

#[cfg(unix)]
#[test]
fn links_that_lead_in_a_circle_or_nowhere_are_reported() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.pack("a", "");
    symlink("nothing", folder.path("a/elsewhere")).unwrap();
    assert_eq!(folder.run(&["."]).status, 0, "it leads to no manifest, so it hides none");
    symlink("..", folder.path("a/up")).unwrap();
    whole_file(
        &folder,
        "a/up",
        "is a symbolic link back to ., which contains it",
        "remove the link",
    );
    std::fs::remove_file(folder.path("a/up")).unwrap();
    symlink("self", folder.path("self")).unwrap();
    whole_file(&folder, "self", "cannot be searched", "mend or remove it");
    std::fs::remove_file(folder.path("self")).unwrap();
    std::fs::remove_file(folder.path("a/pack.toml")).unwrap();
    symlink("nothing", folder.path("a/pack.toml")).unwrap();
    whole_file(&folder, "a/pack.toml", "cannot be searched", "mend or remove it");
}

#[cfg(unix)]
#[test]
fn what_may_not_be_read_is_reported() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    let folder = Folder::new();
    folder.pack("a", "");
    let file = folder.path("a/pack.toml");
    let mode = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(&file, 0o000);
    let mut command = common::command(&folder.path(""), &["run", "."]);
    if File::open(&file).is_ok() {
        // Permissions do not bind root. So somebody else runs a copy of the command, in a folder open to all.
        let copy = folder.path("queenright");
        std::fs::copy(command.get_program(), &copy).unwrap();
        mode(&copy, 0o755);
        mode(&folder.path(""), 0o755);
        mode(&folder.path("a"), 0o755);
        const NOBODY: u32 = 65534;
        command = Command::new(&copy);
        command.args(["run", "."]).current_dir(folder.path("")).uid(NOBODY);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let ran = common::finish(command.spawn().unwrap());
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
    let expected = "./a/pack.toml: error: cannot be read: Permission denied (os error 13)\n  help: make it readable";
    assert!(ran.stderr.starts_with(expected), "{ran:?}");
}

#[test]
fn paths_without_packs_are_refused() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("empty")).unwrap();
    folder.file("notes.txt", "").file("virtual/Cargo.toml", "[workspace]\n").pack("a", "");
    let told = |args: &[&str], message: &str, help: &str| {
        let ran = folder.run(args);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains(&format!("{message}\n  help: {help}")), "{message}: {ran:?}");
    };
    let none = "no `pack.toml` or `Cargo.toml` package found";
    told(&["empty"], &format!("empty: error: {none}"), "give a folder that holds");
    told(&["virtual"], &format!("virtual: error: {none}"), "give a folder that holds");
    told(
        &["notes.txt"],
        "notes.txt: error: is neither a `pack.toml` nor a `Cargo.toml`",
        "give a folder",
    );
    told(
        &["a", "gone"],
        "gone: error: cannot be searched: No such file or directory (os error 2)",
        "check the spelling",
    );
}

// hive.toml.

#[test]
fn of_two_hive_files_one_must_be_chosen() {
    let folder = Folder::new();
    folder.pack("x/a", "").pack("y/b", "").file("x/hive.toml", "").file("y/hive.toml", "");
    let expected = "x/hive.toml: error: is not the only `hive.toml`: there is also y/hive.toml\n  \
        help: choose one with `--hive FILE`\n";
    for paths in [["x", "y"], ["y", "x"]] {
        let ran = folder.run(&paths);
        assert_eq!((ran.status, ran.stderr.starts_with(expected)), (1, true), "{ran:?}");
    }
    assert_eq!(folder.run(&["x", "y", "--hive", "y/hive.toml"]).status, 0);
}

#[test]
fn every_fault_of_the_hive_file_is_listed() {
    let folder = Folder::new();
    folder.pack("a", "").file(
        "hive.toml",
        "[hiv]\n[hive]\nname = 3\nseed = -1\nthreads = 0\nrounds = 0\n[policy]\n\
            'settings/y' = 'prority'\n'settings/z' = 3\n\
         [base]\nx = 1\n'settings/n' = nan\n",
    );
    let report = folder.report();
    let errors = report["errors"].as_array().unwrap();
    let expected = [
        (1, 2, "unknown section `hiv`", "did you mean `hive`?"),
        (3, 8, "`name` is of type integer", "text in quotes"),
        (4, 8, "`seed` is -1", "use 0 or more"),
        (5, 11, "`threads` is 0", "use 1 or more"),
        (6, 10, "`rounds` is 0", "use 1 or more"),
        (
            8,
            16,
            "`prority` is no rule of composition",
            "did you mean `priority`? Known: fail, priority, union, intersection, max, min",
        ),
        (9, 16, "`settings/z` is of type integer", "text in quotes"),
        (11, 1, "`x` names no key of the state", "such as `settings/x`"),
        (12, 16, "`settings/n` is not a finite number", "use a number"),
    ];
    assert_eq!(errors.len(), expected.len(), "{report:#}");
    for (error, (line, column, message, help)) in errors.iter().zip(expected) {
        assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{error}");
        assert!(error["message"].as_str().unwrap().contains(message), "{error}");
        assert!(error["help"].as_str().unwrap().contains(help), "{error}");
    }
    assert_eq!(folder.run(&[".", "--hive", "none.toml"]).status, 1);
}

// The call.

#[test]
fn a_wrong_call_is_explained_and_has_status_1() {
    let folder = Folder::new();
    folder.pack("a", "");
    for (args, expected) in [
        (&["a", "--threads", "0"][..], "'--threads <N>'"),
        (&["a", "--rounds", "0"], "'--rounds <N>'"),
        (&["a", "--seed", "x"], "'--seed <N>'"),
        (&["a", "--format", "xml"], "human, json"),
        (&["a", "--out", "x.yaml"], "the name must end in `.toml` or `.json`"),
        (&["a", "--out", "toml"], "the name must end in `.toml` or `.json`"),
        (&["a", "--sed", "1"], "--seed"),
        (&[], "<PATH>"),
    ] {
        let ran = folder.run(args);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{args:?}: {ran:?}");
    }
    let ran = common::run_in(&folder.path(""), &["rum", "a"]);
    assert_eq!((ran.status, ran.stderr.contains("'run'")), (1, true), "{ran:?}");
    assert_eq!(folder.names(), ["a"], "nothing was written");
}

#[test]
fn an_unknown_key_to_explain_is_answered_with_a_known_one() {
    let folder = Folder::new();
    folder.pack("a", "[settings]\nserver.port = 1");
    for (key, expected) in [
        ("settings/server/prt", "did you mean `settings/server/port`?"),
        ("settings/server", "there are keys below it, such as settings/server/port"),
        ("something else entirely", "a full key is meant"),
        ("settings//port", "it has an empty segment"),
        ("", "it is empty"),
    ] {
        let ran = folder.run(&["a", "--explain", key]);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(expected), "{ran:?}");
    }
}

#[test]
fn asked_for_json_errors_are_json_as_well() {
    let folder = Folder::new();
    folder.file("a/pack.toml", "[pack]\nname = 'a'\nversion = 1\n").pack("b", "");
    let ran = folder.run(&["a", "--format", "json"]);
    assert_eq!(ran.status, 1);
    let error = json!({
        "file": "a/pack.toml", "line": 3, "column": 11,
        "message": "`version` is of type integer, expected text in quotes", "help": "write text \
            in quotes",
    });
    assert_eq!(ran.json(), json!({ "format": 1, "errors": [error] }));
    for args in [&["b", "--explain", "x/y"][..], &["b", "--out", "no/where.toml"]] {
        let ran = folder.run(&[args, &["--format", "json"]].concat());
        let errors = &ran.json()["errors"];
        assert_eq!((ran.status, &errors[0]["file"]), (1, &Json::Null));
        assert!(errors[0]["message"].is_string());
    }
}

// Writing.

#[test]
fn a_run_that_fails_leaves_the_old_file_alone() {
    let folder = Folder::new();
    folder.pack("good", "[settings]\nx = 1").file("bad/pack.toml", "x").file("all.toml", "old");
    for args in [
        &["bad"][..],
        &["good", "bad"],
        &["good", "gone"],
        &["good", "--threads", "0"],
        &["good", "--hive", "gone"],
    ] {
        let ran = folder.run(&[args, &["--out", "all.toml"]].concat());
        assert_eq!((ran.status, folder.read("all.toml").as_str()), (1, "old"), "{args:?}");
        assert_eq!(folder.names(), ["all.toml", "bad", "good"], "{args:?}");
    }
    assert_eq!(folder.run(&["good", "--out", "all.toml"]).status, 0);
    assert!(folder.read("all.toml").contains("x = 1") && !folder.read("all.toml").contains("old"));
    assert_eq!(folder.names(), ["all.toml", "bad", "good"], "no temporary file is left");
}

#[test]
fn the_old_file_is_replaced_and_never_half_overwritten() {
    let folder = Folder::new();
    folder.pack("a", "").file("all.json", "old");
    std::fs::hard_link(folder.path("all.json"), folder.path("opened before.json")).unwrap();
    assert_eq!(folder.run(&["a", "--out", "all.json"]).status, 0);
    assert_eq!(folder.read("opened before.json"), "old", "a reader keeps what it opened");
    assert!(folder.read("all.json").contains("=1.0.0"));
}

#[test]
fn where_nothing_can_be_written_nothing_is_left_behind() {
    let folder = Folder::new();
    folder.pack("a", "");
    std::fs::create_dir(folder.path("folder.toml")).unwrap();
    for out in ["missing/all.toml", "folder.toml"] {
        let ran = folder.run(&["a", "--out", out]);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {out} cannot be written: ")), "{ran:?}");
        assert!(ran.stderr.contains("`--out`"), "{ran:?}");
        assert_eq!(folder.names(), ["a", "folder.toml"]);
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_written_through() {
    let folder = Folder::new();
    folder.pack("a", "").file("real/all.json", "old");
    std::os::unix::fs::symlink("real/all.json", folder.path("link.json")).unwrap();
    assert_eq!(folder.run(&["a", "--out", "link.json"]).status, 0);
    assert!(
        folder.path("link.json").is_symlink() && folder.read("real/all.json").contains("=1.0.0")
    );
}

/// Whoever reads may stop at any time.
#[test]
fn a_reader_that_went_away_is_no_reason_to_panic() {
    let folder = Folder::new();
    // More than a pipe holds, so that the write fails.
    folder.pack("a", &format!("[settings]\nx = '{}'", "long ".repeat(60_000)));
    let spawn = |args: &[&str]| command(&folder.path(""), args).spawn().unwrap();
    let mut child = spawn(&["run", "a", "--format", "json"]);
    drop(child.stdout.take());
    let ran = finish(child);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let mut child = spawn(&["run", "missing"]);
    drop(child.stderr.take());
    assert_eq!(finish(child).status, 1);
}
