//! The helpers for tests, used as somebody would who tests agents of their own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use queenright::consensus::{CastVote, QuorumRule, RoundPolicy, Threshold, Vote};
use queenright::testing::{self, Clock, Commutative, Script, Transcript, assert_replays, laws};
use queenright::{
    AgentEvent, AgentState, Class, Hive, Key, Op, Outcome, Precondition, Proposal, Record,
    Snapshot, Spawn, State, Supervision, Value,
};

fn names(told: &Transcript) -> Vec<&'static str> {
    told.outcomes().iter().map(Outcome::name).collect()
}

fn found(told: &Transcript) -> Vec<Option<i64>> {
    told.reads().iter().map(|(_, value)| value.as_ref().and_then(Value::as_int)).collect()
}

/// Two that read and write the same.
fn two_that_conflict(seed: u64, last: Class) -> (Hive, Transcript, Transcript) {
    let hive = testing::hive(seed).0.build().unwrap();
    let script = |name: &str, value: i64| {
        Script::new(name).read("stock").set("stock", value).write("sum", Op::add(value)).done()
    };
    let (one, two) = (script("one", 1), script("two", 2).with_class(last));
    let told = (one.transcript(), two.transcript());
    hive.spawn_all([one, two]).unwrap();
    let settled = hive.run_until_settled(10).unwrap();
    assert!(settled.is_settled() && settled.failed.is_empty(), "{settled:?}");
    (hive, told.0, told.1)
}

#[test]
fn of_two_scripts_that_conflict_one_loses_and_looks_again() {
    let (hive, one, two) = two_that_conflict(7, Class::High);
    assert_eq!((names(&two), found(&two)), (vec!["committed"], vec![None]));
    assert_eq!((names(&one), found(&one)), (vec!["write-write", "committed"], vec![None, Some(2)]));
    assert_eq!(one.runs(), 2);
    let (other, one, _) = two_that_conflict(7, Class::Low);
    assert_eq!((names(&one), other.snapshot().get("stock")), (vec!["committed"], Some(&2.into())));
    assert_eq!(hive.snapshot().get("stock"), Some(&1.into()), "it was written last");
    assert_eq!(hive.snapshot().get("sum"), Some(&3.into()));
    assert_replays(&hive, &State::base([]).into());
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    let digests = |seed| -> Vec<_> {
        let (hive, ..) = two_that_conflict(seed, Class::Normal);
        hive.history().iter().map(|record| record.digest).collect()
    };
    assert_eq!(digests(7), digests(7));
    assert_ne!(digests(7), digests(8));
}

#[test]
fn runs_follow_each_other_and_the_last_is_repeated() {
    let hive = testing::hive(7).0.build().unwrap();
    let script =
        Script::new("a").read("in").watch().read_under("").write("out", Op::add(1)).watch();
    let told = script.transcript();
    hive.spawn_all([script]).unwrap();
    for turn in 1..=4_i64 {
        hive.run_until_settled(10).unwrap();
        assert_eq!(told.runs() as i64, turn);
        hive.transact(|view| Ok(view.set("in", turn)?)).unwrap();
    }
    assert_eq!(names(&told), ["committed"; 3]);
    assert_eq!(hive.snapshot().get("out"), Some(&3.into()));
    let keys: Vec<String> = told.reads().iter().map(|(key, _)| key.to_string()).collect();
    assert_eq!(keys, ["in", "in", "in", "out", "in", "out"]);
}

#[test]
fn a_condition_that_does_not_hold_is_waited_for_in_the_same_run() {
    let hive = testing::hive(7).0.build().unwrap();
    let is_open = Precondition::Equals(Key::new("open").unwrap(), true.into());
    let script = Script::new("a").require(is_open).set("entered", true).done().fail("not this one");
    let told = script.transcript();
    hive.spawn_all([script]).unwrap();
    hive.run_until_settled(10).unwrap();
    assert_eq!(names(&told), ["precondition"]);
    hive.transact(|view| Ok(view.set("open", true)?)).unwrap();
    assert!(hive.run_until_settled(10).unwrap().failed.is_empty());
    assert_eq!(names(&told), ["precondition", "committed"]);
    assert_eq!(hive.snapshot().get("entered"), Some(&true.into()));
}

#[test]
fn failures_are_those_that_were_asked_for() {
    let hive = testing::hive(7).0.build().unwrap();
    let calls = |view: &mut queenright::View| Ok(view.set("called", view.version().0 as i64)?);
    hive.spawn_all([
        Script::new("fails").set("x", 1).fail("no more paper"),
        Script::new("panics").set("x", 2).panic("ink everywhere"),
        Script::new("no-key").read("a//b").done(),
        Script::new("undefined").set("text", "t").write("text", Op::add(1)).done(),
        Script::new("calls").call(calls).remove("gone"),
        Script::new("nothing"),
    ])
    .unwrap();
    let failed = hive.run_until_settled(10).unwrap().failed;
    let reasons: Vec<_> = failed.iter().map(|it| (it.agent.as_str(), it.reason.as_str())).collect();
    assert_eq!(reasons[..2], [("fails", "no more paper"), ("panics", "panicked: ink everywhere")]);
    assert!(reasons[2].1.contains("is no key") && reasons[3].1.contains("`add`"), "{reasons:?}");
    assert_eq!(reasons.len(), 4);
    let snapshot = hive.snapshot();
    assert_eq!(
        (snapshot.len(), snapshot.get("called")),
        (1, Some(&0.into())),
        "nothing of the others"
    );
}

#[test]
fn a_script_that_fails_under_a_supervisor_goes_on_in_its_next_life() {
    let hive = testing::hive(7).0.build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let script = Script::new("clerk").fail("first").set("x", 1).panic("second");
    let script = script.set("x", 1).read("no//key").done().set("done", true).done();
    let told = script.transcript();
    let clerk = supervisor.spawn("clerk", Spawn::default(), move || Ok(script.clone())).unwrap();
    assert_eq!(clerk.join(), AgentState::Done);
    assert_eq!((told.runs(), names(&told)), (4, vec!["committed"]));
    let reasons = supervisor.events().into_iter().map(|event| match event {
        AgentEvent::Restarted { reason, .. } => reason,
        event => panic!("{event:?}"),
    });
    let reasons: Vec<String> = reasons.collect();
    assert_eq!(reasons[..2], ["first", "panicked: second"]);
    assert!(reasons.len() == 3 && reasons[2].contains("is no key"), "{reasons:?}");
    assert_eq!((hive.snapshot().get("x"), hive.snapshot().len()), (None, 1));

    let rule = Supervision { max_restarts: 2, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let script = Script::new("hopeless").fail("always");
    let told = script.transcript();
    let agent = supervisor.spawn("hopeless", Spawn::default(), move || Ok(script.clone()));
    assert!(matches!(agent.unwrap().join(), AgentState::Quarantined(_)));
    assert_eq!(told.runs(), 3);
}

#[test]
fn a_deadline_expires_by_the_clock_that_is_set() {
    let (builder, clock) = testing::hive(7);
    let hive = builder.build().unwrap();
    let until_ten = |id: &str| {
        let proposal = Proposal::on(&hive.snapshot(), "me", id).write("k", Op::add(1)).unwrap();
        hive.propose(proposal.deadline(10)).unwrap().wait()
    };
    assert_eq!(clock.advance(10), 10);
    assert!(until_ten("in time").is_committed());
    clock.clone().advance(1);
    assert_eq!((clock.now(), until_ten("late")), (11, Outcome::Expired));
    assert_eq!(Clock::at(u64::MAX).advance(5), u64::MAX, "it never falls");
}

#[test]
fn a_ballot_ends_by_the_clock_that_is_set() {
    let (builder, clock) = testing::hive(7);
    let hive = builder.build().unwrap();
    let start = hive.snapshot();
    let propose = |id: &str| {
        let rule = QuorumRule::new(["ada", "bob", "cyd"], Threshold::Majority).unwrap();
        let proposal = Proposal::on(&hive.snapshot(), "ada", id).write(id, Op::add(1)).unwrap();
        hive.propose(proposal.with_quorum(rule.within(100))).unwrap()
    };
    let (mut passed, mut failed) = (propose("passed"), propose("failed"));
    let votes = [("passed", "ada"), ("failed", "ada"), ("passed", "bob")];
    let cast = votes.map(|(id, member)| CastVote::on(id, member, Vote::Yes));
    assert!(hive.cast(cast.into()).wait().iter().all(Result::is_ok));
    clock.advance(99);
    hive.drain().unwrap();
    assert!(passed.wait_timeout(Duration::ZERO).is_some_and(|outcome| outcome.is_committed()));
    assert_eq!(failed.wait_timeout(Duration::ZERO), None, "there is time left");
    clock.advance(1);
    hive.drain().unwrap();
    assert!(matches!(failed.wait_timeout(Duration::ZERO), Some(Outcome::Rejected { .. })));
    assert_replays(&hive, &start);
}

/// What it says when it fails.
fn complaint(hive: &Hive, since: &Snapshot) -> String {
    let asserted = catch_unwind(AssertUnwindSafe(|| assert_replays(hive, since)));
    *asserted.unwrap_err().downcast::<String>().unwrap()
}

#[test]
fn what_does_not_replay_is_told_with_the_key() {
    let base = [(Key::new("k").unwrap(), Value::from(1))];
    let hive = Hive::builder().base(base).keep_rounds(2).build().unwrap();
    let start = hive.snapshot();
    let mut add = |n: i64| hive.transact(|view| Ok(view.write("k", Op::add(n))?)).unwrap();
    (1..=2).for_each(&mut add);
    assert_replays(&hive, &start);
    assert_replays(&hive, &hive.snapshot());
    let other = State::base([(Key::new("k").unwrap(), 2.into())]).into();
    assert_eq!(
        complaint(&hive, &other),
        "the history does not replay: k holds 4 (version 2, add by transact), but the records lead to 5 \
         (version 2, add by transact)"
    );
    let more = State::base([("k", 1), ("a", 2)].map(|(k, v)| (Key::new(k).unwrap(), v.into())));
    let told = complaint(&hive, &more.into());
    assert!(told.contains("a holds nothing, but the records lead to 2"), "{told}");
    // On another state the same proposal would have been judged in another way.
    let text = State::base([(Key::new("k").unwrap(), "text".into())]).into();
    let told = complaint(&hive, &text);
    assert_eq!(
        told,
        "the history does not replay: round 1: the verdicts differ from the recorded ones"
    );
    add(3);
    let told = complaint(&hive, &start);
    assert!(told.contains("the last 2 of 3 rounds since version 0 are kept"), "{told}");
}

#[test]
fn whoever_is_pending_or_forgotten_replays_too() {
    let policy = RoundPolicy { pending: 3, window: 4, ..RoundPolicy::default() };
    let hive = testing::hive(3).0.policy(policy).build().unwrap();
    let start = hive.snapshot();
    for turn in 0..6_i64 {
        let batch = (0..4_i64).map(|n| {
            let proposal = Proposal::on(&hive.snapshot(), "me", format!("{turn} {n}"));
            let op = if n == 3 { Op::Remove } else { Op::Set((turn + n).into()) };
            proposal.write("k", op).unwrap()
        });
        drop(hive.propose_many(batch.collect()).unwrap().wait());
        assert_replays(&hive, &start);
    }
    let is_late = |record: &Record| !record.verdicts.pending.is_empty();
    assert!(hive.history().iter().any(|record| is_late(record)));
}

#[test]
fn the_laws_of_operators_are_at_hand() {
    #[derive(Clone, Debug, PartialEq)]
    struct Longest(String);
    impl Commutative for Longest {
        type Refusal = std::convert::Infallible;
        fn merge(&mut self, other: &Self) -> Result<(), Self::Refusal> {
            if other.0.len() > self.0.len() {
                *self = other.clone();
            }
            Ok(())
        }
    }
    let check = |texts: &[&str]| {
        let samples: Vec<_> = texts.iter().map(|text| Longest((*text).to_owned())).collect();
        laws::check(&samples, laws::Claims { idempotent: true })
    };
    assert_eq!(check(&["", "a", "bb"]), Ok(()));
    let broken = check(&["a", "b"]).unwrap_err();
    assert_eq!(broken.law, laws::Law::Commutative, "of two as long the first stays");
}
