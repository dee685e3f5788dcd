//! What `queenright log` says about logs that are not whole, and how it knows: through the command itself.

#![cfg(feature = "cli")]

mod common;
mod logs;

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use common::Folder;
use logs::{counting, files, hive, json, log, records, small};
use queenright::log::{CommitLog, DiskLog, DiskReader, Entry, Record};
use queenright::{Digest, Version};
use serde_json::json;

/// Turns a byte of a file round.
fn flip(path: &Path, at: u64) {
    let mut file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[!byte[0]]).unwrap();
}

/// Writes the log of another once more, with its records changed: all checksums are right, and each record follows the one before
/// unless the change is about that.
fn forged(from: &Path, to: &Path, change: impl Fn(&mut Record)) {
    let mut log = DiskLog::open(to).unwrap();
    let image = DiskReader::open(from).unwrap().image(Version(0)).unwrap().unwrap();
    log.archive().keep_image(&image).unwrap();
    let mut head = Digest::default();
    for mut record in records(from) {
        record.previous = head;
        change(&mut record);
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
        "log: whole, rounds 1 to {rounds}\n  head      {head}\n  segments  1\n  images    1, of version 0\n  term      1, as often as it was opened to be written\n  \
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
            "error: {segment} is damaged at byte 96, from round 1 on: a frame is not as it was written, \
            but a later one is there, with round 2. Restore the file from a backup of the log's folder\n"
        );
        assert_eq!(ran.stderr, error, "{args:?}");
        let document = json(&folder, args);
        let errors = document["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0]["file"], json!(segment));
        assert_eq!((&errors[0]["byte"], &errors[0]["round"]), (&json!(96), &json!(1)));
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
fn a_record_that_does_not_follow_is_found_whatever_is_asked() {
    let folder = Folder::new();
    small(folder.path("log"));
    forged(&folder.path("log"), &folder.path("forged"), |record| {
        if record.input.round == Version(3) {
            record.previous = Digest::default();
        }
    });
    let key = ["show", "forged", "--key", "x"];
    for args in [&["verify", "forged"][..], &["replay", "forged"], &["show", "forged"], &key] {
        let ran = log(&folder, args);
        assert_eq!(ran.status, 1, "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("the record does not follow the one before it"), "{ran:?}");
        assert_eq!(json(&folder, args)["errors"][0]["round"], 3);
    }
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
