//! Hives whose log is on disk, opened again and again: images, what is kept of the past, and answers that are given once more.

#![cfg(feature = "disk")]

use std::path::Path;

use queenright::consensus::{CastVote, QuorumRule, RoundPolicy, Threshold, Vote, replay};
use queenright::log::{CommitLog, DiskLog, DiskLogOptions, DiskReader, Durability, Keep};
use queenright::{Hive, HiveError, Op, Outcome, Proposal, Record, State, Version};

fn hive(options: DiskLogOptions, folder: &Path) -> Hive {
    Hive::builder().log(options.open(folder).unwrap()).build().unwrap()
}

fn proposal(hive: &Hive, id: u64) -> Proposal {
    let proposal = Proposal::on(&hive.snapshot(), format!("agent-{}", id % 3), format!("p{id}"));
    let op = match id % 4 {
        3 => Op::Remove,
        _ => Op::Set((id as i64).into()),
    };
    proposal.write(format!("key/{}", id % 17), op).unwrap()
}

fn entries(state: &State) -> Vec<String> {
    state.iter().map(|(key, entry)| format!("{key}: {entry:?}")).collect()
}

/// Everything that is kept, judged again.
fn replayed(folder: &Path) -> State {
    let reader = DiskReader::open(folder).unwrap();
    let oldest = reader.verify().unwrap().images[0];
    let base = reader.image(oldest).unwrap().unwrap().state().unwrap();
    let records: Vec<Record> =
        reader.after(oldest).unwrap().map(|entry| entry.unwrap().record().unwrap()).collect();
    replay(base, &records).unwrap()
}

#[test]
fn what_images_remember_is_what_the_rounds_would_have_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = || DiskLog::options().image_bytes(3_000).segment_bytes(10_000);
    let first = hive(options(), folder.path());
    let rule = QuorumRule::new(["ada", "bob"], Threshold::Unanimous).unwrap().within(1 << 40);
    let voted = Proposal::on(&first.snapshot(), "ada", "voted").write("voted", Op::Set(1.into()));
    drop(first.propose(voted.unwrap().with_quorum(rule)).unwrap());
    first.vote(CastVote::on("voted", "ada", Vote::Yes)).unwrap();
    let mut proposals = Vec::new();
    for id in 0..200 {
        let proposal = proposal(&first, id);
        let outcome = first.propose(proposal.clone()).unwrap().wait();
        proposals.push((proposal, outcome));
    }
    let state = entries(&first.snapshot());
    drop(first);
    for _ in 0..3 {
        let log = options().open(folder.path()).unwrap();
        let image = log.opening().image.unwrap();
        assert!(image > Version(100), "images are made: {:?}", log.opening());
        let hive = Hive::builder().log(log).build().unwrap();
        assert_eq!(entries(&hive.snapshot()), state);
        for (proposal, outcome) in &proposals {
            assert_eq!(hive.propose(proposal.clone()).unwrap().wait(), *outcome);
        }
        assert_eq!(entries(&hive.snapshot()), state, "nothing happens twice");
        assert_eq!(hive.ballots()[0].tally.yes, 1);
    }
    assert_eq!(entries(&replayed(folder.path())), state);
    let hive = hive(options(), folder.path());
    hive.vote(CastVote::on("voted", "bob", Vote::Yes)).unwrap();
    hive.drain().unwrap();
    assert_eq!(hive.snapshot().get("voted"), Some(&1.into()));
}

#[test]
fn as_much_of_the_past_is_kept_as_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        || DiskLog::options().image_bytes(2_000).segment_bytes(2_000).keep(Keep::Rounds(40));
    let policy = RoundPolicy { window: 20, ..RoundPolicy::default() };
    let mut most = 0;
    let mut last = Version(0);
    for opening in 0..5 {
        let log = options().open(folder.path()).unwrap();
        let hive = Hive::builder().policy(policy.clone()).log(log).build().unwrap();
        for id in 0..200 {
            let outcome = hive.propose(proposal(&hive, opening * 200 + id)).unwrap().wait();
            assert!(outcome.is_committed(), "{outcome}");
        }
        last = hive.version();
        drop(hive);
        let bytes: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        most = most.max(bytes);
        let verified = DiskReader::open(folder.path()).unwrap().verify().unwrap();
        assert!(verified.first > Version(1) && verified.images[0].0 + 40 <= last.0, "{verified:?}");
        assert_eq!(replayed(folder.path()).version(), last);
    }
    assert_eq!(last, Version(1000));
    assert!(most < 60_000, "{most} bytes, however many rounds there were");
}

/// Beyond the window an id is not known any more, after a restart as before it.
#[test]
fn an_intent_is_known_as_long_as_the_window_says() {
    let folder = tempfile::tempdir().unwrap();
    let policy = RoundPolicy { window: 10, ..RoundPolicy::default() };
    let build = || {
        let log = DiskLog::options().image_bytes(500).open(folder.path()).unwrap();
        Hive::builder().policy(policy.clone()).log(log).build().unwrap()
    };
    let first = build();
    let proposals: Vec<Proposal> = (0..30)
        .map(|id| {
            let proposal = proposal(&first, id);
            assert!(first.propose(proposal.clone()).unwrap().wait().is_committed());
            proposal
        })
        .collect();
    drop(first);
    let hive = build();
    for (number, proposal) in proposals.into_iter().enumerate() {
        let again = hive.propose(proposal).unwrap().wait();
        let round = Version(number as u64 + 1);
        match again {
            Outcome::Committed { version, .. } => assert_eq!(version, round),
            Outcome::TooOld { .. } => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(entries(&hive.snapshot()).len(), 13);
}

#[test]
fn all_ways_of_writing_are_found_again_after_a_proper_end() {
    for durability in [Durability::Durable, Durability::Flush, Durability::Memory] {
        let folder = tempfile::tempdir().unwrap();
        let options = || DiskLog::options().durability(durability).image_bytes(2_000);
        let first = hive(options(), folder.path());
        let tickets: Vec<_> =
            (0..100).map(|id| first.propose(proposal(&first, id)).unwrap()).collect();
        for ticket in tickets {
            let _ = ticket.wait();
        }
        let state = entries(&first.snapshot());
        drop(first);
        assert_eq!(entries(&hive(options(), folder.path()).snapshot()), state, "{durability:?}");
        assert_eq!(entries(&replayed(folder.path())), state);
    }
}

#[test]
fn while_a_hive_lives_nobody_else_has_its_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = hive(DiskLog::options(), folder.path());
    assert!(DiskLog::open(folder.path()).unwrap_err().to_string().contains("another hive"));
    // Whoever only reads is welcome, also while it is written.
    for id in 0..50 {
        let ticket = first.propose(proposal(&first, id)).unwrap();
        let verified = DiskReader::open(folder.path()).unwrap().verify().unwrap();
        assert!(verified.in_use && verified.last <= Version(id + 1));
        assert!(ticket.wait().is_committed());
        let reader = DiskReader::open(folder.path()).unwrap();
        assert_eq!(reader.verify().unwrap().last, Version(id + 1));
    }
    drop(first);
    DiskLog::open(folder.path()).unwrap();
}

/// A log that says of itself something that its hive cannot have written.
#[test]
fn a_log_whose_rounds_do_not_fit_its_image_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = hive(DiskLog::options(), one.path());
    for id in 0..3 {
        let _ = first.propose(proposal(&first, id)).unwrap().wait();
    }
    drop(first);
    // The same rounds, but for the first, on a log without an image.
    let mut log = DiskLog::open(other.path()).unwrap();
    let reader = DiskReader::open(one.path()).unwrap();
    let entries: Vec<_> = reader.after(Version(0)).unwrap().map(Result::unwrap).collect();
    log.append(Version(0), &entries).unwrap();
    let error = Hive::builder().log(log).build().unwrap_err();
    assert!(matches!(error, HiveError::Log(_)), "{error}");
    assert!(error.to_string().contains("no image"), "{error}");
}
