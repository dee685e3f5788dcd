//! `queenright run --log`: a run whose rounds are in a log, interrupted wherever that is possible, and continued.

#![cfg(feature = "cli")]

mod common;

use std::fs;

use common::{Folder, Ran, run_in};
use queenright::log::{DiskLog, DiskReader};
use queenright::{Hive, Version};
use serde_json::{Value as Json, json};

/// Packs of equal rank that want different things, so that ids break ties; with conditions, and with requirements that span series:
/// all three waves, and several rounds in the first.
fn packs() -> Folder {
    let folder = Folder::new();
    folder.file(
        "hive.toml",
        "[hive]\nseed = 5\n[base]\n'settings/mode' = 'fast'\n[policy]\n'settings/level' = 'priority'\n'settings/**' = 'fail'",
    );
    for (name, value) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        let body = format!(
            "[settings]\nx = {value}\ny.{name} = {value}\nlevel = {value}\n[contribute]\nsum = {{ add = {value}, at-most = 7 }}"
        );
        folder.pack(name, &body);
    }
    folder.ranked("high", "high", "[settings]\nlevel = 9\nz = 1");
    folder.pack("when", "[settings]\nw = 1\nz = 2\n[when]\n'settings/mode' = 'fast'");
    folder.pack("never", "[settings]\nv = 1\n[when]\n'settings/mode' = 'slow'");
    folder.package("p", "1.0.0", "[dependencies]\nlibc = '^0.2.5'\nwin = '>=0.52, <0.62'");
    folder.package("q", "1.0.0", "[dependencies]\nlibc = '^0.2.7'\nwin = '^0.59'");
    folder.package("r", "1.0.0", "[dependencies]\nwin = '^0.48'\nlibc = '=0.2.6'");
    folder
}

/// `queenright run . --log log ARGS…`.
fn logged(folder: &Folder, args: &[&str]) -> Ran {
    folder.run(&[&[".", "--log", "log"], args].concat())
}

/// `queenright log ARGS…` has this status.
fn log(folder: &Folder, args: &[&str], status: i32) -> Ran {
    let ran = run_in(&folder.path(""), &[&["log"], args].concat());
    assert_eq!(ran.status, status, "{args:?}: {ran:?}");
    ran
}

/// The last round of the log; 0 if there is none.
fn last(folder: &Folder) -> u64 {
    let Ok(log) = DiskReader::open(folder.path("log")) else { return 0 };
    let entries = log.after(Version(0)).unwrap();
    entries.map(|entry| entry.unwrap().round.0).last().unwrap_or(0)
}

#[test]
fn a_log_changes_nothing_in_the_result_and_a_second_run_adds_nothing() {
    let folder = packs();
    let plain = folder.run(&[".", "-v"]);
    assert_eq!(plain.status, 2, "{plain:?}");
    let rounds = folder.report()["rounds"].as_u64().unwrap();
    assert!(rounds >= 5, "all waves, and several rounds: {rounds}");
    let first = logged(&folder, &["-v"]);
    assert_eq!((first.status, &first.stdout), (2, &plain.stdout));
    assert!(
        first.stderr.contains(&format!("{rounds} rounds written to log\n")),
        "{}",
        first.stderr
    );
    for _ in 0..2 {
        let again = logged(&folder, &["-v"]);
        assert_eq!((again.status, &again.stdout), (2, &plain.stdout));
        assert!(
            again.stderr.contains(&format!("log has all {rounds} rounds; none was added\n")),
            "{}",
            again.stderr
        );
        assert_eq!(last(&folder), rounds);
    }
    assert_eq!(logged(&folder, &["--format", "json"]).json(), folder.report());
    let explained = ["--explain", "settings/x"];
    assert_eq!(
        logged(&folder, &explained).stdout,
        folder.run(&[&["."][..], &explained].concat()).stdout
    );
    log(&folder, &["verify", "log"], 0);
}

#[test]
fn a_run_that_gave_up_is_continued_with_more_rounds() {
    let folder = packs();
    let rounds = folder.report()["rounds"].as_u64().unwrap();
    let plain = logged(&folder, &[]).stdout;
    fs::rename(folder.path("log"), folder.path("whole")).unwrap();
    for limit in 1..rounds {
        let (before, ran) = (last(&folder), logged(&folder, &["--rounds", &limit.to_string()]));
        assert_eq!(ran.status, 2, "{ran:?}");
        // The beginning of another wave is one round more.
        assert!((limit..=limit + 1).contains(&last(&folder)), "{ran:?}");
        if before > 0 && before < last(&folder) {
            let told =
                format!("continued after round {before} of log; {} added", last(&folder) - before);
            assert!(ran.stderr.contains(&told), "{}", ran.stderr);
        }
    }
    let ran = logged(&folder, &[]);
    assert_eq!((ran.stdout, last(&folder)), (plain, rounds));
    // Record by record the same as if nothing had been between.
    log(&folder, &["diff", "log", "whole"], 0);
}

#[test]
fn a_log_of_other_packs_rules_or_seed_is_refused() {
    let folder = packs();
    logged(&folder, &[]);
    let refused = |says: &str, args: &[&str]| {
        let before = last(&folder);
        let ran = logged(&folder, args);
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{says}");
        let error = format!(
            "error: the log was begun with something else:\n  {says}\n\
            use another folder for this run, or go back to what the log was begun with\n"
        );
        assert_eq!(ran.stderr, error);
        let told = logged(&folder, &[args, &["--format", "json"]].concat()).json();
        assert!(error.contains(told["errors"][0]["message"].as_str().unwrap()));
        assert_eq!(last(&folder), before, "nothing is added");
    };
    refused("the seed was 5, and is 6", &["--seed", "6"]);
    let pack = folder.read("a/pack.toml");
    folder.file("a/pack.toml", pack.replace("x = 1", "x = 5"));
    refused("the pack `a` says something else", &[]);
    folder.file("a/pack.toml", format!("# Only a remark.\n{pack}"));
    assert_eq!(logged(&folder, &[]).status, 2);
    folder.pack("new", "");
    refused("the pack `new` was not there", &[]);
    fs::remove_dir_all(folder.path("new")).unwrap();
    fs::rename(folder.path("b"), folder.path(".b")).unwrap();
    refused("the pack `b` is not there any more", &[]);
    fs::rename(folder.path(".b"), folder.path("b")).unwrap();
    let hive = folder.read("hive.toml");
    folder.file("hive.toml", hive.replace("'fast'", "'slow'"));
    refused("`settings/mode` was \"fast\" in `[base]`, and is \"slow\"", &[]);
    folder.file("hive.toml", hive.replace("'settings/**' = 'fail'", "'settings/x' = 'max'"));
    refused(
        "the rules of `[policy]` were [\"settings/level = priority\", \"settings/** = fail\"], \
         and are [\"settings/level = priority\", \"settings/x = max\"]",
        &[],
    );
    folder.file("hive.toml", hive);
    let ran = logged(&folder, &["--threads", "1", "--rounds", "99"]);
    assert!(ran.stderr.contains("none was added"), "what changes no result may differ: {ran:?}");
}

#[test]
fn a_log_of_another_hive_is_refused_and_one_that_is_open() {
    let folder = packs();
    let hive = Hive::builder().log(DiskLog::open(folder.path("log")).unwrap()).build().unwrap();
    let ran = logged(&folder, &[]);
    assert_eq!(ran.status, 1);
    assert_eq!(ran.stderr, "error: log is open in another hive: end that one first\n");
    drop(hive);
    let ran = logged(&folder, &[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("\n  it was not begun by such a run\n"), "{ran:?}");
}

#[test]
fn rounds_of_others_after_the_same_beginning_are_refused() {
    let folder = packs();
    logged(&folder, &["--rounds", "1"]);
    let hive = Hive::builder().log(DiskLog::open(folder.path("log")).unwrap()).build().unwrap();
    hive.transact(|view| Ok(view.set("settings/q", 1)?)).unwrap();
    drop(hive);
    let ran = logged(&folder, &[]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.starts_with("error: these packs do not propose what round 2 of the log holds: "),
        "{ran:?}"
    );
}

#[test]
fn where_manifests_are_faulty_no_log_is_made() {
    let folder = packs();
    folder.file("bad/pack.toml", "[pack");
    assert_eq!(logged(&folder, &[]).status, 1);
    assert!(!folder.path("log").exists());
}

#[test]
fn a_torn_end_is_told_and_the_run_continued() {
    let folder = packs();
    let plain = folder.run(&["."]).stdout;
    logged(&folder, &[]);
    let tear = || {
        let newest = fs::read_dir(folder.path("log")).unwrap().map(|it| it.unwrap().path());
        let newest =
            newest.filter(|path| path.extension().is_some_and(|it| it == "segment")).max().unwrap();
        let length = fs::metadata(&newest).unwrap().len();
        fs::File::options().write(true).open(&newest).unwrap().set_len(length - 1).unwrap();
        newest.strip_prefix(folder.path("")).unwrap().display().to_string()
    };
    let segment = tear();
    let ran = logged(&folder, &[]);
    assert_eq!(ran.stdout, plain);
    assert!(ran.stderr.starts_with(&format!("{segment}: warning: ")), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(" are no whole record, and were left out\n  help: "),
        "{}",
        ran.stderr
    );
    let segment = tear();
    let warnings = logged(&folder, &["--format", "json"]).json()["warnings"].clone();
    assert_eq!((warnings.as_array().unwrap().len(), &warnings[0]["file"]), (1, &json!(segment)));
    assert_eq!(logged(&folder, &["--format", "json"]).json()["warnings"], Json::Array(Vec::new()));
}

/// A child that dies, or whose disk is full, where a test says so.
#[cfg(feature = "failpoints")]
mod at_a_failpoint {
    use super::*;
    use common::{command, finish};

    /// Runs until the log appends for the time after so many, where this happens; says whether the process was killed.
    fn interrupted(folder: &Folder, points: &str) -> bool {
        let mut child = command(&folder.path(""), &["run", ".", "--log", "log"]);
        let done = child.env("FAILPOINTS", points).output().unwrap();
        match done.status.code() {
            Some(code) => {
                assert_eq!(code, 2, "{done:?}");
                false
            }
            None => true,
        }
    }

    #[test]
    fn killed_after_any_round_it_goes_on_to_the_same_result_and_the_same_records() {
        let folder = packs();
        let plain = logged(&folder, &["-v"]).stdout;
        fs::rename(folder.path("log"), folder.path("whole")).unwrap();
        let rounds = folder.report()["rounds"].as_u64().unwrap();
        for point in
            ["log.append.before", "log.append.half", "log.append.written", "log.append.synced"]
        {
            for before in 0..rounds {
                let _ = fs::remove_dir_all(folder.path("log"));
                assert!(interrupted(&folder, &format!("{point}={before}*off->1*return(kill)")));
                let here = last(&folder);
                let expected = if point.ends_with("before") || point.ends_with("half") {
                    before
                } else {
                    before + 1
                };
                assert_eq!(here, expected, "{point}");
                let ran = logged(&folder, &["-v"]);
                assert_eq!((ran.status, &ran.stdout), (2, &plain), "{point} after {before}");
                log(&folder, &["diff", "log", "whole"], 0);
            }
        }
    }

    #[test]
    fn killed_again_and_again_it_still_ends_the_same() {
        let folder = packs();
        let plain = logged(&folder, &[]).stdout;
        fs::rename(folder.path("log"), folder.path("whole")).unwrap();
        let mut kills = 0;
        while interrupted(&folder, "log.append.synced=1*return(kill)") {
            kills += 1;
            assert!(kills < 50, "it comes to no end");
        }
        assert_eq!(kills, folder.report()["rounds"].as_u64().unwrap(), "one round a life");
        assert_eq!(logged(&folder, &[]).stdout, plain);
        log(&folder, &["diff", "log", "whole"], 0);
        log(&folder, &["verify", "log"], 0);
    }

    #[test]
    fn killed_while_the_log_is_made_it_begins_anew() {
        let folder = packs();
        let plain = folder.run(&["."]).stdout;
        for point in ["log.replace.written", "log.replace.synced", "log.image.written"] {
            for before in 0..2 {
                let _ = fs::remove_dir_all(folder.path("log"));
                interrupted(&folder, &format!("{point}={before}*off->1*return(kill)"));
                assert_eq!(logged(&folder, &[]).stdout, plain, "{point} after {before}");
                log(&folder, &["verify", "log"], 0);
            }
        }
    }

    #[test]
    fn a_full_disk_ends_the_run_with_a_message_and_room_lets_it_go_on() {
        let folder = packs();
        let plain = folder.run(&["."]).stdout;
        let mut child = command(&folder.path(""), &["run", ".", "--log", "log"]);
        let ran = finish(
            child.env("FAILPOINTS", "log.append.before=2*off->return(full)").spawn().unwrap(),
        );
        assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
        assert!(ran.stderr.starts_with("error: could not write log/"), "{ran:?}");
        assert!(ran.stderr.contains("run again, and it goes on after them"), "{ran:?}");
        assert_eq!(last(&folder), 2);
        assert_eq!(logged(&folder, &[]).stdout, plain);
    }
}
