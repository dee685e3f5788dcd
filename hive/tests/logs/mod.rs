//! Logs to look into, and the command that does.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::fs;
use std::path::{Path, PathBuf};

use queenright::consensus::{CastVote, QuorumRule, RoundPolicy, Threshold, Vote};
use queenright::log::{DiskLog, DiskReader};
use queenright::{Class, Hive, Key, Op, Outcome, Proposal, Record, Value, Version};
use serde_json::Value as Json;

use crate::common::{Folder, Ran, run_in};

/// `queenright log ARGS…` in a folder.
pub(crate) fn log(folder: &Folder, args: &[&str]) -> Ran {
    run_in(&folder.path(""), &[&["log"], args].concat())
}

pub(crate) fn json(folder: &Folder, args: &[&str]) -> Json {
    let ran = log(folder, &[args, &["--format", "json"]].concat());
    let document = ran.json();
    assert_eq!(document["format"], 1);
    assert_eq!(document.as_object().unwrap().keys().next().unwrap(), "format");
    document
}

pub(crate) fn key(key: &str) -> Key {
    Key::new(key).unwrap()
}

/// What all logs here begin with.
pub(crate) fn base() -> [(Key, Value); 2] {
    [(key("stock"), 5.into()), (key("old"), "here".into())]
}

pub(crate) fn hive(log: DiskLog) -> Hive {
    let policy = RoundPolicy { pending: 1, ..RoundPolicy::default() };
    Hive::builder().base(base()).clock(|| 7).policy(policy).log(log).build().unwrap()
}

pub(crate) fn propose(hive: &Hive, agent: &str, id: &str, writes: &[(&str, Op)]) -> Proposal {
    let proposal = Proposal::on(&hive.snapshot(), agent, id);
    writes.iter().fold(proposal, |it, (key, op)| it.write(*key, op.clone()).unwrap())
}

/// Five rounds: sums, a removal, a conflict that stays pending for a round, a ballot.
pub(crate) fn small(path: PathBuf) {
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
pub(crate) fn counting(log: DiskLog, rounds: i64) {
    let hive = hive(log);
    for n in 0..rounds {
        let id = format!("n{}", hive.version().0);
        let proposal = propose(&hive, "ada", &id, &[("n", Op::Set(n.into()))]);
        assert!(hive.propose(proposal).unwrap().wait().is_committed());
    }
}

pub(crate) fn records(path: &Path) -> Vec<Record> {
    let entries = DiskReader::open(path).unwrap().after(Version(0)).unwrap();
    entries.map(|entry| entry.unwrap().record().unwrap()).collect()
}

/// The files of a log with this ending, in order.
pub(crate) fn files(folder: &Folder, log: &str, ending: &str) -> Vec<String> {
    let names = fs::read_dir(folder.path(log)).unwrap();
    let mut names: Vec<String> =
        names.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.ends_with(ending));
    names.sort();
    names.into_iter().map(|name| format!("{log}/{name}")).collect()
}
