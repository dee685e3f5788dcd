//! What `queenright log` shows of logs, replays and compares: through the command itself.

#![cfg(feature = "cli")]

mod common;
mod logs;

use std::collections::BTreeMap;

use common::{Folder, command, finish};
use logs::{counting, hive, json, log, records, small};
use queenright::consensus::Replay;
use queenright::json::decode;
use queenright::log::{DiskLog, DiskReader, Keep};
use queenright::{Op, Proposal, Value, Version};
use serde_json::{Value as Json, json};

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
fn no_name_does_anything_to_the_terminal() {
    let folder = Folder::new();
    let hive = hive(DiskLog::open(folder.path("log")).unwrap());
    let (agent, id) = ("a\u{1b}[2J", "p\u{9b}1m\r");
    let proposal = Proposal::on(&hive.snapshot(), agent, id).write("k", Op::Set("v\u{7}".into()));
    assert!(hive.propose(proposal.unwrap()).unwrap().wait().is_committed());
    drop(hive);
    for args in
        [&["show", "log", "--round", "1"][..], &["show", "log", "--key", "k"], &["replay", "log"]]
    {
        let text = log(&folder, args).stdout;
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        assert!(text.contains("a\\u001b[2J"), "{text:?}");
    }
    let round = json(&folder, &["show", "log", "--round", "1"]);
    let proposal = &round["proposals"][0];
    assert_eq!((&proposal["agent"], &proposal["id"]), (&json!(agent), &json!(id)));
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
    let (mut last, mut first) = (0, 1);
    while first == 1 {
        // Images are made beside, if there is time for one: so it is not known when there are enough.
        let keeps = DiskLog::options().keep(Keep::Rounds(10)).segment_bytes(600).image_bytes(1200);
        counting(keeps.open(&path).unwrap(), 9);
        last += 9;
        first = DiskReader::open(&path).unwrap().first().0;
        assert!(last < 9000, "nothing is forgotten");
    }
    let found = json(&folder, &["verify", "log"]);
    assert_eq!((&found["first"], &found["last"]), (&json!(first), &json!(last)));
    let from = found["replayed"]["from"].as_u64().unwrap();
    assert!(
        from + 1 >= first && found["replayed"]["rounds"].as_u64().unwrap() == last - from,
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
