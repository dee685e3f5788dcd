//! What `queenright log` says about logs, whole and damaged: through the command itself.

#![cfg(feature = "cli")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Folder, Ran, command, finish, run_in};
use queenright::consensus::{CastVote, QuorumRule, Replay, RoundPolicy, Threshold, Vote};
use queenright::json::decode;
use queenright::log::{CommitLog, DiskLog, DiskReader, Entry, Keep, Record};
use queenright::{Class, Digest, Hive, Key, Op, Outcome, Proposal, Value, Version};
use serde_json::{Value as Json, json};

/// `queenright log ARGS…` in a folder.
fn log(folder: &Folder, args: &[&str]) -> Ran {
    run_in(&folder.path(""), &[&["log"], args].concat())
}

fn json(folder: &Folder, args: &[&str]) -> Json {
    let ran = log(folder, &[args, &["--format", "json"]].concat());
    let document = ran.json();
    assert_eq!(document["format"], 1);
    assert_eq!(document.as_object().unwrap().keys().next().unwrap(), "format");
    document
}

fn key(key: &str) -> Key {
    Key::new(key).unwrap()
}

/// What all logs here begin with.
fn base() -> [(Key, Value); 2] {
    [(key("stock"), 5.into()), (key("old"), "here".into())]
}

fn hive(log: DiskLog) -> Hive {
    let policy = RoundPolicy { pending: 1, ..RoundPolicy::default() };
    Hive::builder().base(base()).clock(|| 7).policy(policy).log(log).build().unwrap()
}

fn propose(hive: &Hive, agent: &str, id: &str, writes: &[(&str, Op)]) -> Proposal {
    let proposal = Proposal::on(&hive.snapshot(), agent, id);
    writes.iter().fold(proposal, |it, (key, op)| it.write(*key, op.clone()).unwrap())
}

/// Five rounds: sums, a removal, a conflict that stays pending for a round, a ballot.
fn small(path: PathBuf) {
    let hive = hive(DiskLog::open(path).unwrap());
    let add = |by, most| Op::Add { by, at_least: None, at_most: most };
    let batch = vec![
        propose(&hive, "ada", "a1", &[("stock", add(3, None)), ("old", Op::Remove)]),
        propose(&hive, "bob", "b1", &[("stock", add(2, Some(10)))]),
    ];
    let outcomes = hive.propose_many(batch).unwrap().wait();
    assert!(outcomes.iter().all(Outcome::is_committed));
    let mut ada =
        propose(&hive, "ada", "a2", &[("x", Op::Set(Value::set([1.into(), "a".into()])))]);
    ada.hint.class = Class::High;
    let bob = propose(&hive, "bob", "b2", &[("x", Op::Set(2.into()))]);
    // The loser is judged once more, in a round of its own.
    hive.propose_many(vec![ada, bob]).unwrap().wait();
    let rule = QuorumRule::new(["ada", "bob"], Threshold::Unanimous).unwrap();
    let cyd = propose(&hive, "cyd", "c1", &[("y", Op::Agree(true.into()))]).with_quorum(rule);
    let ticket = hive.propose(cyd).unwrap();
    hive.vote(CastVote::on("c1", "ada", Vote::Yes)).unwrap();
    hive.vote(CastVote::on("c1", "bob", Vote::Yes)).unwrap();
    assert!(ticket.wait().is_committed());
    hive.drain().unwrap();
}

/// Some rounds that set a counter.
fn counting(log: DiskLog, rounds: i64) {
    let hive = hive(log);
    for n in 0..rounds {
        let id = format!("n{}", hive.version().0);
        let proposal = propose(&hive, "ada", &id, &[("n", Op::Set(n.into()))]);
        assert!(hive.propose(proposal).unwrap().wait().is_committed());
    }
}

fn records(path: &Path) -> Vec<Record> {
    let entries = DiskReader::open(path).unwrap().after(Version(0)).unwrap();
    entries.map(|entry| entry.unwrap().record().unwrap()).collect()
}

/// The files of a log with this ending, in order.
fn files(folder: &Folder, log: &str, ending: &str) -> Vec<String> {
    let names = fs::read_dir(folder.path(log)).unwrap();
    let mut names: Vec<String> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names.into_iter().map(|name| format!("{log}/{name}")).collect()
}

/// Turns a byte of a file round.
fn flip(path: &Path, at: u64) {
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[!byte[0]]).unwrap();
}

/// Writes the log of another once more, with its records changed: each follows the one before, and all checksums are right.
fn forged(from: &Path, to: &Path, change: impl Fn(&mut Record)) {
    let mut log = DiskLog::open(to).unwrap();
    let image = DiskReader::open(from).unwrap().image(Version(0)).unwrap().unwrap();
    log.archive().keep_image(&image).unwrap();
    let mut head = Digest::default();
    for mut record in records(from) {
        change(&mut record);
        record.previous = head;
        let mut entry = Entry::of(&record);
        entry.digest = Digest(*blake3::hash(&entry.bytes).as_bytes());
        head = entry.digest;
        log.append(Version(entry.round.0 - 1), &[entry]).unwrap();
    }
}

/// Makes the second round give the key to the other.
fn wrong_winner(record: &mut Record) {
    if record.input.round == Version(2) {
        record.verdicts.accepted = vec![1];
        record.verdicts.serial = vec![1];
        record.verdicts.outcomes.swap(0, 1);
        record.verdicts.pending = vec![0];
    }
}

#[test]
fn a_whole_log_is_described() {
    let folder = Folder::new();
    small(folder.path("log"));
    let head = records(&folder.path("log")).last().unwrap().digest.to_string();
    let ran = log(&folder, &["verify", "log"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    let rounds = records(&folder.path("log")).len();
    let expected = format!(
        "log: whole, rounds 1 to {rounds}\n  head      {head}\n  segments  1\n  images    1, of version 0\n  term      1\n  \
         replay    {rounds} rounds from version 0 on, with the same verdicts\n"
    );
    assert_eq!(ran.stdout, expected);
    let ran = log(&folder, &["verify", "log", "--chain-only"]);
    assert!(ran.stdout.contains("replay    skipped"), "{ran:?}");
    let found = json(&folder, &["verify", "log"]);
    let expected = json!({
        "format": 1, "whole": true, "first": 1, "last": rounds, "head": head, "segments": 1, "images": [0], "term": 1,
        "replayed": { "from": 0, "rounds": rounds }, "torn": null, "in_use": false,
    });
    assert_eq!(found, expected);
}

#[test]
fn a_log_that_is_open_is_read_and_said_to_be_so() {
    let folder = Folder::new();
    let hive = hive(DiskLog::open(folder.path("log")).unwrap());
    let ran = log(&folder, &["verify", "log"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.starts_with("log: whole, no round yet\n"), "{ran:?}");
    assert!(ran.stdout.ends_with("note: a hive has it open, and may have added rounds since\n"));
    assert_eq!(json(&folder, &["verify", "log"])["in_use"], true);
    drop(hive);
    assert_eq!(json(&folder, &["verify", "log"])["in_use"], false);
    // It was opened, but stopped before it had an image.
    drop(DiskLog::open(folder.path("new")).unwrap());
    assert_eq!(json(&folder, &["verify", "new"])["replayed"], json!({ "from": 0, "rounds": 0 }));
    assert_eq!(log(&folder, &["diff", "new", "new"]).status, 0);
}

#[test]
fn a_torn_end_is_a_note_and_everything_before_it_is_read() {
    let folder = Folder::new();
    small(folder.path("log"));
    let segment = files(&folder, "log", "segment").remove(0);
    let rounds = records(&folder.path("log")).len();
    let length = fs::metadata(folder.path(&segment)).unwrap().len();
    fs::File::options()
        .write(true)
        .open(folder.path(&segment))
        .unwrap()
        .set_len(length - 3)
        .unwrap();
    let found = json(&folder, &["verify", "log"]);
    assert_eq!((&found["whole"], &found["last"]), (&json!(true), &json!(rounds - 1)));
    let torn = &found["torn"];
    assert_eq!(torn["file"], json!(segment));
    assert_eq!(torn["byte"].as_u64().unwrap() + torn["bytes"].as_u64().unwrap(), length - 3);
    let ran = log(&folder, &["verify", "log"]);
    assert_eq!(ran.status, 0);
    let note = format!(
        "note: {} bytes at the end of {segment}, from byte {} on, are no whole record: \
        whoever opens the log to write leaves them out\n",
        torn["bytes"], torn["byte"]
    );
    assert!(ran.stdout.ends_with(&note), "{}", ran.stdout);
    assert_eq!(json(&folder, &["show", "log"])["rounds"].as_array().unwrap().len(), rounds - 1);
}

#[test]
fn whatever_is_damaged_is_named_with_file_byte_and_round() {
    let folder = Folder::new();
    small(folder.path("log"));
    let segment = files(&folder, "log", "segment").remove(0);
    // In the first frame, behind the header of the file.
    flip(&folder.path(&segment), 150);
    for args in [
        &["verify", "log"][..],
        &["verify", "log", "--chain-only"],
        &["replay", "log"],
        &["show", "log"],
    ] {
        let ran = log(&folder, args);
        assert_eq!(ran.status, 1, "{args:?}: {ran:?}");
        let error = format!(
            "error: {segment} is damaged at byte 88, from round 1 on: a frame is not as it was written, \
            but a later one is there, with round 2. Restore the file from a backup of the log's folder\n"
        );
        assert_eq!(ran.stderr, error, "{args:?}");
        let document = json(&folder, args);
        let errors = document["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0]["file"], json!(segment));
        assert_eq!((&errors[0]["byte"], &errors[0]["round"]), (&json!(88), &json!(1)));
        assert!(error.contains(errors[0]["message"].as_str().unwrap()));
    }
    assert_eq!(log(&folder, &["diff", "log", "log"]).status, 2, "not that they differ");
}

#[test]
fn a_missing_file_is_named() {
    let folder = Folder::new();
    let small_segments = DiskLog::options().segment_bytes(600);
    counting(small_segments.open(folder.path("log")).unwrap(), 9);
    let segments = files(&folder, "log", "segment");
    assert!(segments.len() > 2, "{segments:?}");
    fs::rename(folder.path(&segments[1]), folder.path("away")).unwrap();
    let ran = log(&folder, &["verify", "log"]);
    let error = format!(
        "error: {} is missing: the manifest lists it: restore it from a backup of the log's folder\n",
        segments[1]
    );
    assert_eq!((ran.status, ran.stderr), (1, error));
    // What comes before it is shown.
    let shown = json(&folder, &["show", "log"]);
    assert!(
        !shown["rounds"].as_array().unwrap().is_empty()
            && shown["rounds"].as_array().unwrap().len() < 9
    );
    assert_eq!(shown["errors"][0]["file"], json!(segments[1]));
    fs::rename(folder.path("away"), folder.path(&segments[1])).unwrap();
    assert_eq!(log(&folder, &["verify", "log"]).status, 0);

    let image = files(&folder, "log", "image").remove(0);
    fs::remove_file(folder.path(&image)).unwrap();
    let ran = log(&folder, &["verify", "log"]);
    let error = "error: log has no image with which its rounds begin\n  help: restore the images from a backup of the log's folder\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (1, error));

    fs::remove_file(folder.path("log/MANIFEST")).unwrap();
    for (path, named) in [("log", "log/MANIFEST"), ("nowhere", "nowhere/MANIFEST")] {
        let ran = log(&folder, &["verify", path]);
        let error = format!(
            "error: {named} is missing: this is not the folder of a log, or a part of it was removed\n"
        );
        assert_eq!((ran.status, ran.stderr), (1, error));
    }
}

#[test]
fn a_changed_verdict_is_found_in_its_round_though_all_checksums_are_right() {
    let folder = Folder::new();
    small(folder.path("log"));
    forged(&folder.path("log"), &folder.path("copy"), |_| ());
    assert_eq!(log(&folder, &["diff", "log", "copy"]).status, 0, "what is not changed is the same");
    forged(&folder.path("log"), &folder.path("forged"), wrong_winner);
    assert_eq!(log(&folder, &["verify", "forged", "--chain-only"]).status, 0, "the chain is whole");
    for args in [&["verify", "forged"], &["replay", "forged"]] {
        let ran = log(&folder, args);
        assert_eq!(ran.status, 1);
        assert!(
            ran.stderr.starts_with(
                "error: forged: round 2: the verdicts differ from the recorded ones\n  help: "
            ),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("`queenright log replay forged --at 1`"), "{ran:?}");
        assert_eq!(json(&folder, args)["errors"][0]["round"], 2);
    }
    assert_eq!(log(&folder, &["replay", "forged", "--at", "1"]).status, 0);
    assert_eq!(log(&folder, &["replay", "forged", "--at", "2"]).status, 1);

    let ran = log(&folder, &["diff", "log", "forged"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.starts_with("last common round: 1, record "), "{}", ran.stdout);
    let found = json(&folder, &["diff", "log", "forged"]);
    assert_eq!((&found["same"], &found["common"]["round"]), (&json!(false), &json!(1)));
    let first = &found["first_different"];
    assert_eq!((&first["round"], &first["in"]), (&json!(2), &json!(["verdicts"])));
    let names: Vec<_> = first["proposals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["id"], &it["differs"]))
        .collect();
    assert_eq!(names, [(&json!("a2"), &json!("verdict")), (&json!("b2"), &json!("verdict"))]);
}

#[test]
fn an_image_that_the_rounds_do_not_lead_to_is_found() {
    let folder = Folder::new();
    small(folder.path("log"));
    let path = folder.path("log");
    let disk = DiskLog::open(&path).unwrap();
    let mut image = disk.archive().image(Version(0)).unwrap().unwrap();
    // That of version 0 under another name: what is in it says so.
    image.version = Version(2);
    image.head = records(&path)[1].digest;
    disk.archive().keep_image(&image).unwrap();
    drop(disk);
    let ran = log(&folder, &["verify", "log"]);
    assert_eq!(ran.status, 1, "{ran:?}");
    assert!(ran.stderr.contains("round 2: its image is that of another version"), "{ran:?}");
}

#[test]
fn each_round_is_a_line() {
    let folder = Folder::new();
    small(folder.path("log"));
    let records = records(&folder.path("log"));
    let ran = log(&folder, &["show", "log"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        columns(lines[0]),
        ["round", "clock", "proposals", "committed", "record", "refused"]
    );
    let digest = |round: usize| records[round - 1].digest.to_string();
    assert_eq!(columns(lines[1]), ["1", "7", "2", "2", &digest(1)[..12]]);
    assert_eq!(columns(lines[2]), ["2", "7", "2", "1", &digest(2)[..12], "pending", "1"]);
    assert_eq!(lines.len(), records.len() + 1);
    let shown = json(&folder, &["show", "log"]);
    let second = json!({
        "round": 2, "clock": 7, "proposals": 2, "committed": 1, "refused": {}, "pending": 1, "digest": digest(2),
    });
    assert_eq!(shown["rounds"][1], second);
    assert_eq!(shown["rounds"].as_array().unwrap().len(), records.len());

    let rounds = |args: &[&str]| -> Vec<u64> {
        let shown = json(&folder, &[&["show", "log"], args].concat());
        shown["rounds"].as_array().unwrap().iter().map(|it| it["round"].as_u64().unwrap()).collect()
    };
    assert_eq!(rounds(&["--from", "2", "--to", "3"]), [2, 3]);
    assert_eq!(rounds(&["--to", "1"]), [1]);
    assert_eq!(rounds(&["--from", "99"]), [0; 0]);
}

#[test]
fn long_tables_are_cut_and_say_how_to_see_all() {
    let folder = Folder::new();
    counting(DiskLog::open(folder.path("log")).unwrap(), 70);
    let lines =
        |args: &[&str]| log(&folder, args).stdout.lines().map(str::to_owned).collect::<Vec<_>>();
    let cut = lines(&["show", "log"]);
    assert_eq!(cut.len(), 52);
    assert_eq!(cut[1], "… 20 rounds before these; -v shows all, --from N --to M some");
    assert!(cut[2].starts_with("      21 ") && cut[51].starts_with("      70 "), "{cut:?}");
    assert_eq!(lines(&["show", "log", "-v"]).len(), 71);
    assert_eq!(lines(&["show", "log", "--from", "2"]).len(), 70);
    let cut = lines(&["show", "log", "--key", "n"]);
    assert_eq!(cut[1], "… 20 changes before these; -v shows all");
    assert_eq!(lines(&["show", "log", "--key", "n", "-v"]).len(), cut.len() + 19);
    let keys =
        (0..60).map(|n| (format!("k/{n:02}"), Op::Set(n.into()))).collect::<BTreeMap<_, _>>();
    let hive = hive(DiskLog::open(folder.path("wide")).unwrap());
    let proposal = Proposal::on(&hive.snapshot(), "ada", "w");
    let proposal = keys.into_iter().fold(proposal, |it, (key, op)| it.write(key, op).unwrap());
    assert!(hive.propose(proposal).unwrap().wait().is_committed());
    drop(hive);
    let cut = lines(&["replay", "wide", "--under", "k"]);
    assert_eq!(cut.last().unwrap(), "… and 10 more keys; --under PREFIX shows some, -v all");
    let all = lines(&["replay", "wide", "-v"]).join("\n");
    assert!(all.contains("k/59") && all.contains("stock"));
}

#[test]
fn whoever_closes_the_pipe_has_seen_enough() {
    let folder = Folder::new();
    counting(DiskLog::open(folder.path("log")).unwrap(), 400);
    for args in [
        &["log", "show", "log", "-v"][..],
        &["log", "show", "log", "--format", "json"],
        &["log", "replay", "log"],
    ] {
        let mut child = command(&folder.path(""), args).spawn().unwrap();
        drop(child.stdout.take());
        let ran = finish(child);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{args:?}");
    }
}

#[test]
fn a_round_is_shown_in_full_without_loss() {
    let folder = Folder::new();
    small(folder.path("log"));
    let text = log(&folder, &["show", "log", "--round", "1"]).stdout;
    assert!(text.starts_with("round 1: 2 proposals, 2 committed\n  clock     7\n"), "{text}");
    let ada = "\na1, attempt 0, by ada, on version 0, born in 0, class normal\n  write  stock: add 3\n  write  old: remove\n  \
        told   committed in version 1 as number ";
    assert!(text.contains(ada), "{text}");
    assert!(text.contains("  write  stock: add 2, at most 10\n"), "{text}");
    let text = log(&folder, &["show", "log", "--round", "2"]).stdout;
    let bob = "  told   pending: judged again in the next round; now conflict on x with ada (a2): ";
    assert!(text.contains(bob), "{text}");
    let round = json(&folder, &["show", "log", "--round", "2"]);
    let ada = round["proposals"].as_array().unwrap().iter().find(|it| it["id"] == "a2").unwrap();
    assert_eq!(
        (&ada["agent"], &ada["class"], &ada["outcome"]),
        (&json!("ada"), &json!("high"), &json!("committed"))
    );
    assert_eq!((&ada["writes"][0]["op"], &ada["writes"][0]["key"]), (&json!("set"), &json!("x")));
    let value = decode(ada["writes"][0]["value"].clone()).unwrap();
    assert_eq!(value, Value::set([1.into(), "a".into()]), "a set is not read back as a list");
    let first = json(&folder, &["show", "log", "--round", "1"]);
    let add = json!({ "op": "add", "by": 2, "at_most": 10, "key": "stock" });
    assert!(
        first["proposals"].as_array().unwrap().iter().any(|it| it["writes"][0] == add),
        "{first}"
    );
    let records = records(&folder.path("log"));
    assert_eq!(first["digest"], json!(records[0].digest.to_string()));
    // Each vote, and the ballot that they decide.
    let rounds = 1..=records.len();
    let all: Vec<Json> =
        rounds.map(|n| json(&folder, &["show", "log", "--round", &n.to_string()])).collect();
    let of = |field: &str| -> Vec<&Json> {
        all.iter().flat_map(|it| it[field].as_array().unwrap()).collect()
    };
    assert_eq!(of("opened"), [&json!({ "proposal": "c1", "attempt": 0 })]);
    let vote = |who: &str| json!({ "proposal": "c1", "attempt": 0, "member": who, "vote": "yes" });
    assert_eq!(of("votes"), [&vote("ada"), &vote("bob")]);
    assert_eq!(of("ballots").len(), 1);

    for (round, help) in [("0", "rounds are kept from 1 on"), ("99", "the log ends with round ")] {
        let ran = log(&folder, &["show", "log", "--round", round]);
        assert_eq!(ran.status, 1);
        assert!(
            ran.stderr
                .starts_with(&format!("error: log: round {round} is not there\n  help: {help}")),
            "{ran:?}"
        );
    }
}

#[test]
fn the_history_of_a_key_has_each_value_before_and_after() {
    let folder = Folder::new();
    small(folder.path("log"));
    let stock = json(&folder, &["show", "log", "--key", "stock"]);
    assert_eq!(
        stock["first"],
        json!({ "value": 5, "version": 0, "writer": "base", "operator": "set" })
    );
    let steps = stock["changes"].as_array().unwrap();
    let values: Vec<i64> = steps.iter().map(|it| it["after"].as_i64().unwrap()).collect();
    assert_eq!((steps.len(), values[1], &stock["value"]), (2, 10, &json!(10)));
    assert_eq!((&steps[0]["before"], &steps[1]["before"]), (&json!(5), &steps[0]["after"]));
    for step in steps {
        let by = if step["agent"] == "ada" { 3 } else { 2 };
        assert_eq!((&step["version"], &step["operation"]["op"]), (&json!(1), &json!("add")));
        assert_eq!(step["after"].as_i64().unwrap() - step["before"].as_i64().unwrap(), by);
    }
    let old = json(&folder, &["show", "log", "--key", "old"]);
    assert_eq!(
        (&old["changes"][0]["before"], &old["changes"][0]["after"]),
        (&json!("here"), &Json::Null)
    );
    assert_eq!(old["value"], Json::Null);
    let x = json(&folder, &["show", "log", "--key", "x"]);
    let agents: Vec<_> = x["changes"].as_array().unwrap().iter().map(|it| &it["agent"]).collect();
    assert_eq!(agents, ["ada", "bob"], "the one who lost was judged again");
    assert_eq!(x["changes"][0]["after"], json!({ "$set": [1, "a"] }));
    let text = log(&folder, &["show", "log", "--key", "old"]).stdout;
    assert!(
        text.starts_with(
            "old: \"here\" in version 0, after which rounds are kept (set by base in version 0)\n"
        ),
        "{text}"
    );
    let row = text.lines().find(|line| line.contains("remove")).unwrap();
    assert_eq!(
        row.split_whitespace().collect::<Vec<_>>(),
        ["1", "ada", "remove", "\"here\"", "nothing"]
    );
    let ran = log(&folder, &["show", "log", "--key", "nobody/knows"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.starts_with("error: log: nothing that is kept has to do with `nobody/knows`\n"),
        "{ran:?}"
    );
    assert_eq!(log(&folder, &["show", "log", "--key", "a//b"]).status, 1);
}

#[test]
fn every_attempt_at_an_intent_is_told() {
    let folder = Folder::new();
    small(folder.path("log"));
    let events = |id: &str| json(&folder, &["show", "log", "--proposal", id])["events"].clone();
    let bob = events("b2");
    let told: Vec<_> = bob
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (&it["round"], &it["outcome"], &it["pending"]))
        .collect();
    let (yes, no) = (json!(true), json!(false));
    assert_eq!(
        told,
        [(&json!(2), &json!("write-write"), &yes), (&json!(3), &json!("committed"), &no),]
    );
    let cyd = events("c1");
    let kinds: Vec<_> =
        cyd.as_array().unwrap().iter().map(|it| it["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ballot", "vote", "vote", "judged"]);
    let text = log(&folder, &["show", "log", "--proposal", "c1"]).stdout;
    assert!(text.contains("put to the vote") && text.contains("committed in version"), "{text}");
    let ran = log(&folder, &["show", "log", "--proposal", "nobody"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.starts_with("error: log: no round that is kept has a proposal `nobody`\n"),
        "{ran:?}"
    );
}

#[test]
fn any_version_can_be_replayed() {
    let folder = Folder::new();
    small(folder.path("log"));
    let first = json(&folder, &["replay", "log", "--at", "0"]);
    assert_eq!((&first["version"], &first["keys"]), (&json!(0), &json!(2)));
    let all = json(&folder, &["replay", "log"]);
    let records = records(&folder.path("log"));
    assert_eq!(all["version"], json!(records.len()));
    assert_eq!(all["head"], json!(records.last().unwrap().digest.to_string()));
    let image = DiskReader::open(folder.path("log")).unwrap().image(Version(0)).unwrap().unwrap();
    let mut replay = Replay::from(image.state().unwrap());
    records.iter().for_each(|record| replay.follow(record).unwrap());
    let told: Vec<(String, Value)> = all["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["key"].as_str().unwrap().to_owned(), decode(it["value"].clone()).unwrap()))
        .collect();
    let state: Vec<_> =
        replay.state().iter().map(|(key, entry)| (key.to_string(), entry.value.clone())).collect();
    assert_eq!(told, state);
    let x = json(&folder, &["replay", "log", "--at", "2", "--under", "x"]);
    let entry = json!({ "value": { "$set": [1, "a"] }, "version": 2, "writer": "ada", "operator": "set", "key": "x" });
    assert_eq!(x["entries"], json!([entry]));
    let ran = log(&folder, &["replay", "log", "--at", "99"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr
            .starts_with("error: log: there is no version 99\n  help: the log ends with round "),
        "{ran:?}"
    );
}

#[test]
fn a_log_that_has_forgotten_its_beginning_is_read_from_its_oldest_image_on() {
    let folder = Folder::new();
    let path = folder.path("log");
    for _ in 0..12 {
        // An image is made beside, so that some of these have one.
        let keeps = DiskLog::options().keep(Keep::Rounds(10)).segment_bytes(600).image_bytes(1200);
        counting(keeps.open(&path).unwrap(), 9);
        std::thread::sleep(Duration::from_millis(20));
    }
    let first = DiskReader::open(&path).unwrap().first().0;
    assert!(first > 1, "nothing was forgotten");
    let found = json(&folder, &["verify", "log"]);
    assert_eq!((&found["first"], &found["last"]), (&json!(first), &json!(108)));
    let from = found["replayed"]["from"].as_u64().unwrap();
    assert!(
        from + 1 >= first && found["replayed"]["rounds"].as_u64().unwrap() == 108 - from,
        "{found}"
    );
    assert_eq!(json(&folder, &["replay", "log"])["entries"][0]["value"], 8);
    assert_eq!(json(&folder, &["show", "log", "--key", "n"])["value"], 8);
    for args in [
        &["replay", "log", "--at", "0"][..],
        &["show", "log", "--from", "1"],
        &["show", "log", "--round", "1"],
    ] {
        let ran = log(&folder, args);
        assert_eq!(ran.status, 1, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("help: "), "{ran:?}");
    }
}

#[test]
fn logs_are_compared() {
    let folder = Folder::new();
    counting(DiskLog::open(folder.path("one")).unwrap(), 3);
    counting(DiskLog::open(folder.path("two")).unwrap(), 5);
    let ran = log(&folder, &["diff", "one", "one"]);
    assert_eq!(
        (ran.status, json(&folder, &["diff", "one", "one"])["same"].clone()),
        (0, json!(true))
    );
    assert!(
        ran.stdout.ends_with("no round differs\nthe last states hold the same values\n"),
        "{ran:?}"
    );
    let ran = log(&folder, &["diff", "one", "two"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stdout.contains("\none ends there, two goes on with round 4\n"), "{}", ran.stdout);
    let found = json(&folder, &["diff", "two", "one"]);
    assert_eq!(
        (&found["common"]["round"], &found["last"]),
        (&json!(3), &json!({ "one": 5, "other": 3 }))
    );
    assert_eq!(
        (&found["first_different"]["round"], &found["first_different"]["other"]),
        (&json!(4), &Json::Null)
    );
    let keys = found["keys"].as_array().unwrap();
    assert_eq!(
        (keys.len(), &keys[0]["key"], &keys[0]["one"]["value"], &keys[0]["other"]["value"]),
        (1, &json!("n"), &json!(4), &json!(2))
    );
    // Calls that cannot be done are no difference.
    for args in
        [&["diff", "one"][..], &["diff", "one", "nowhere"], &["diff", "one", "two", "--what"]]
    {
        assert_eq!(log(&folder, args).status, 2, "{args:?}");
        assert!(!json(&folder, args)["errors"][0]["message"].as_str().unwrap().is_empty());
    }
    assert_eq!(log(&folder, &["show"]).status, 1);
}
