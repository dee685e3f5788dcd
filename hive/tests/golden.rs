//! Logs that earlier versions wrote are read back by this one, byte for byte. They are never written again: a later format gets a folder of
//! its own beside them.

#![cfg(feature = "disk")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use queenright::consensus::{
    CastVote, Limits, Permissions, QuorumRule, RoundPolicy, Threshold, Tie, Vote, replay,
};
use queenright::log::{CommitLog, DiskLog, DiskReader};
use queenright::requirement::Requirement;
use queenright::testing::Clock;
use queenright::{Hive, Key, Op, Outcome, Precondition, Proposal, Read, Record, Value, Version};

fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// All that can be read of a log, as text.
fn told(folder: &Path) -> String {
    let reader = DiskReader::open(folder).unwrap();
    let verified = reader.verify().unwrap();
    let mut text =
        format!("rounds {} to {}, head {}\n", verified.first, verified.last, verified.head);
    let records: Vec<Record> =
        reader.after(Version(0)).unwrap().map(|entry| entry.unwrap().record().unwrap()).collect();
    for record in &records {
        let (input, verdicts) = (&record.input, &record.verdicts);
        writeln!(text, "\nround {} at {}: {}", input.round, input.now, record.digest).unwrap();
        for proposal in &record.opened {
            writeln!(text, "  opened {} attempt {}", proposal.id, proposal.attempt).unwrap();
        }
        for CastVote { proposal, member, vote, .. } in &record.votes {
            writeln!(text, "  {member} says {vote} to {proposal}").unwrap();
        }
        for (place, (proposal, outcome)) in record.batch.iter().zip(&verdicts.outcomes).enumerate()
        {
            let pending = if verdicts.is_pending(place) { "pending, " } else { "" };
            writeln!(text, "  {} by {}: {pending}{outcome}", proposal.id, proposal.agent).unwrap();
            for (key, op) in &proposal.writes {
                writeln!(text, "    {key}: {op}").unwrap();
            }
        }
    }
    let base = reader.image(Version(0)).unwrap().unwrap().state().unwrap();
    let state = replay(base, &records).unwrap();
    writeln!(text).unwrap();
    for (key, entry) in state.iter() {
        let (value, version, writer) = (&entry.value, entry.version, &entry.writer);
        writeln!(text, "{key} = {value} in {version} by {writer} with {}", entry.operator).unwrap();
    }
    text
}

#[test]
fn what_format_1_holds_is_read_back_and_gone_on_from() {
    let expected = fs::read_to_string(golden("log-1.txt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(golden("log-1")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    assert_eq!(told(folder.path()), expected);
    let log = DiskLog::open(folder.path()).unwrap();
    assert!(log.opening().image > Some(Version(0)), "an image is read as well");
    let (last, term) = (log.last(), log.term());
    let hive = Hive::builder().log(log).clock(|| 1_000_000).build().unwrap();
    assert_eq!((hive.version(), term), (last, 2));
    // What its image and its last rounds remember is known: an answer, and a ballot with a vote.
    let set =
        Proposal::on(&hive.snapshot(), "ada", "set").write("a/set", Op::Set(1.into())).unwrap();
    let answer = hive.propose(set).unwrap().wait();
    assert_eq!(answer, Outcome::Committed { version: Version(1), order: 0 });
    let [open] = &hive.ballots()[..] else { panic!("one is open: {:?}", hive.ballots()) };
    assert_eq!((open.proposal.id.as_str(), open.tally.yes), ("open", 2));
}

/// Writes the log of the present format, once: `cargo test --test golden --features disk -- --ignored`.
#[test]
#[ignore = "it is written once for each format"]
fn write_a_log() {
    let folder = golden("log-1");
    assert!(!folder.exists(), "it was written already, and stays as it is");
    write_all_there_is(&folder);
    fs::write(golden("log-1.txt"), told(&folder)).unwrap();
}

/// Rounds with every operator, every outcome that a hive gives, and all that may stand in a proposal.
fn write_all_there_is(folder: &Path) {
    let clock = Clock::at(1_000);
    let policy = RoundPolicy {
        limits: Limits { keys: 40, bytes: 10_000, value: 1_000, proposals: 1_000 },
        pending: 1,
        permissions: Permissions::nobody().allow("ada", "").unwrap().allow("bob", "b").unwrap(),
        ..RoundPolicy::default()
    };
    let log = DiskLog::options().segment_bytes(3_000).image_bytes(2_500).open(folder).unwrap();
    let base = [(Key::new("base").unwrap(), Value::from("here"))];
    let hive = Hive::builder()
        .seed(7)
        .base(base)
        .policy(policy)
        .clock(clock.reader())
        .log(log)
        .build()
        .unwrap();
    let on = |agent: &str, id: &str| Proposal::on(&hive.snapshot(), agent, id);
    let key = |path: &str| Key::new(path).unwrap();
    let tell = |proposal: Proposal| hive.propose(proposal).unwrap().wait();
    let write = |id: &str, path: &str, op: Op| tell(on("ada", id).write(path, op).unwrap());
    let requirement = |text: &str| Requirement::parse(text).unwrap();
    let map = [("name".into(), Value::from(true)), ("other".into(), Value::float(-2.5).unwrap())];
    let ops = [
        ("set", Op::Set(1.into())),
        ("text", Op::Set("täxt".into())),
        ("list", Op::Set(Value::from(vec![1.into(), "two".into()]))),
        ("map", Op::Set(Value::Map(std::sync::Arc::new(map.into_iter().collect())))),
        ("add", Op::Add { by: -3, at_least: Some(-10), at_most: Some(i64::MAX) }),
        ("max", Op::Max(5.into())),
        ("min", Op::Min(Value::float(0.5).unwrap())),
        ("union", Op::union([1.into(), 2.into()])),
        ("intersect", Op::Intersect(std::sync::Arc::new([2.into(), 3.into()].into()))),
        ("agree", Op::Agree("so".into())),
        ("constrain", Op::constrain(requirement(">=1.2, <2"))),
    ];
    for (id, op) in ops {
        let outcome = write(id, &format!("a/{id}"), op);
        assert!(outcome.is_committed(), "{id}: {outcome}");
    }
    // Refused, in every way.
    let stale = on("ada", "stale").read(Read::Key(key("a/set"))).read(Read::Under(key("a")));
    clock.advance(10);
    assert!(write("again", "a/set", Op::Set(2.into())).is_committed());
    let stale = stale.write("b/x", Op::Remove).unwrap();
    for (name, proposal) in [
        ("stale-read", stale),
        ("disagree", on("ada", "disagree").write("a/agree", Op::Agree("not so".into())).unwrap()),
        (
            "empty",
            on("ada", "empty").write("a/constrain", Op::constrain(requirement("^3"))).unwrap(),
        ),
        (
            "bound",
            on("ada", "bound")
                .write("a/add", Op::Add { by: -8, at_least: Some(-10), at_most: None })
                .unwrap(),
        ),
        ("operator", on("ada", "operator").write("a/text", Op::add(1)).unwrap()),
        ("expired", on("ada", "late").deadline(1).write("x", Op::Remove).unwrap()),
        ("forbidden", on("bob", "forbidden").write("a/set", Op::Remove).unwrap()),
        ("limit", on("ada", "large").write("x", Op::Set("x".repeat(1_100).into())).unwrap()),
        (
            "invalid",
            on("ada", "twice").write("x", Op::add(1)).unwrap().write("x", Op::add(1)).unwrap(),
        ),
        (
            "precondition",
            on("ada", "conditions")
                .require(Precondition::Exists(key("base")))
                .require(Precondition::Absent(key("nothing")))
                .require(Precondition::Equals(key("a/set"), 1.into()))
                .write("x", Op::Remove)
                .unwrap(),
        ),
    ] {
        assert_eq!(tell(proposal).name(), name);
    }
    // Claims and lives.
    let claim = hive.claims().claim("task", "ada").unwrap();
    let under =
        |id: &str| on("ada", id).write("task", Op::Set(1.into())).unwrap().under(claim.claimed());
    assert!(tell(under("held")).is_committed());
    hive.claims().release(&claim).unwrap();
    assert_eq!(tell(under("released")).name(), "stale-claim");
    hive.fence("bob");
    assert_eq!(
        tell(on("bob", "ended").write("b/y", Op::Set(1.into())).unwrap()).name(),
        "stale-claim"
    );
    // Several in one round: a conflict, and one that waits.
    let many = (0..3).map(|number| {
        let proposal = on("ada", &format!("many-{number}"));
        proposal.write("b/hot", Op::Set(number.into())).unwrap()
    });
    let outcomes = hive.propose_many(many.collect()).unwrap().wait();
    assert!(outcomes.iter().any(|outcome| outcome.name() == "write-write"), "{outcomes:?}");
    assert!(write("removed", "a/list", Op::Remove).is_committed());
    // Votes.
    let rule = QuorumRule::weighted([("ada", 2), ("bob", 1), ("cyd", 1)], Threshold::Majority);
    let rule = rule.unwrap().tie(Tie::Chair("cyd".into())).unwrap().veto(["cyd"]).unwrap();
    let voted =
        |id: &str| on("ada", id).write("v", Op::Set(1.into())).unwrap().with_quorum(rule.clone());
    let ticket = hive.propose(voted("passed")).unwrap();
    for (member, vote) in [("ada", Vote::Yes), ("bob", Vote::Abstain), ("cyd", Vote::Yes)] {
        hive.vote(CastVote::on("passed", member, vote)).unwrap();
    }
    assert!(ticket.wait().is_committed());
    let ticket = hive.propose(voted("vetoed")).unwrap();
    hive.vote(CastVote::on("vetoed", "cyd", Vote::Veto)).unwrap();
    assert_eq!(ticket.wait().name(), "rejected");
    let ticket = hive.propose(voted("withdrawn")).unwrap();
    ticket.cancel();
    hive.drain().unwrap();
    assert_eq!(ticket.wait().name(), "cancelled");
    let two = QuorumRule::new(["ada", "bob"], Threshold::Fraction { of: 2, among: 2 }).unwrap();
    let weighty = QuorumRule::weighted([("ada", 2), ("bob", 2)], Threshold::Weight(3)).unwrap();
    for (id, rule) in [("no", two), ("open", weighty.within(1 << 40).votes_may_change())] {
        drop(
            hive.propose(on("ada", id).write("w", Op::add(1)).unwrap().with_quorum(rule)).unwrap(),
        );
    }
    hive.vote(CastVote::on("no", "bob", Vote::No)).unwrap();
    hive.vote(CastVote::on("open", "ada", Vote::Yes)).unwrap();
}
