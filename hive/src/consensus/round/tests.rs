use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use queenright_primitives::Version;
use queenright_primitives::proposal::{Mode, Read};
use queenright_primitives::schedule::Class;

use super::*;
use crate::key::Key;
use crate::op::Op;
use crate::outcome::{Fence, Rule};
use crate::proposal::{Hint, Precondition};
use crate::state::{BASE_AGENT, Snapshot};
use crate::value::Value;

mod history;
mod oracle;
mod rules;

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn input(state: &State) -> RoundInput {
    RoundInput { seed: 1, ..RoundInput::new(state.version().next()) }
}

fn base(entries: &[(&str, i64)]) -> State {
    State::base(entries.iter().map(|(k, v)| (key(k), Value::from(*v))))
}

/// A proposal of agent `id` on `state`, judged in the order of `urgency` (0 first).
fn on(state: &State, id: &str, urgency: u64) -> Proposal {
    let mut proposal = Proposal::on(&Snapshot::from(state.clone()), id, id);
    proposal.hint = Hint { deadline: Some(1_000 + urgency), ..Hint::default() };
    proposal
}

fn reads(mut proposal: Proposal, keys: &[&str]) -> Proposal {
    proposal.reads.extend(keys.iter().map(|k| Read::Key(key(k))));
    proposal
}

fn writes(mut proposal: Proposal, ops: &[(&str, Op)]) -> Proposal {
    proposal.writes.extend(ops.iter().map(|(k, op)| (key(k), op.clone())));
    proposal
}

fn set(path: &'static str, value: i64) -> (&'static str, Op) {
    (path, Op::Set(value.into()))
}

fn decided(state: &State, batch: &[Proposal]) -> (Vec<Outcome>, State) {
    let input = input(state);
    let verdicts = decide(state, batch, &input);
    let next = apply(state, batch, &input, &verdicts);
    (verdicts.outcomes, next)
}

fn rule(outcome: &Outcome) -> &'static str {
    outcome.name()
}

#[test]
fn a_lost_update_is_refused() {
    let state = base(&[("n", 1)]);
    let increment = |id, urgency| writes(reads(on(&state, id, urgency), &["n"]), &[set("n", 2)]);
    let (outcomes, next) = decided(&state, &[increment("a", 0), increment("b", 1)]);
    assert_eq!([rule(&outcomes[0]), rule(&outcomes[1])], ["committed", "write-write"]);
    // And in the next round: what b read has changed.
    let late = increment("c", 0);
    let (outcomes, _) = decided(&next, &[late]);
    assert!(
        matches!(&outcomes[0], Outcome::Conflict { with: Winner::Stored { agent, .. }, key, rule: Rule::StaleRead }
            if agent.as_str() == "a" && key == "n"),
        "{outcomes:?}"
    );
}

#[test]
fn write_skew_is_refused() {
    let state = base(&[("x", 1), ("y", 1)]);
    let batch = [
        writes(reads(on(&state, "a", 0), &["x", "y"]), &[set("x", 0)]),
        writes(reads(on(&state, "b", 1), &["x", "y"]), &[set("y", 0)]),
    ];
    let (outcomes, _) = decided(&state, &batch);
    assert_eq!([rule(&outcomes[0]), rule(&outcomes[1])], ["committed", "read-write"]);
}

#[test]
fn read_skew_is_refused() {
    let state = base(&[("x", 1), ("y", 1)]);
    let (_, moved) =
        decided(&state, &[writes(on(&state, "mover", 0), &[set("x", 2), set("y", 2)])]);
    // It saw x before and y after the move: its base says so, and x has changed since.
    let mut torn = writes(reads(on(&moved, "torn", 0), &["x", "y"]), &[set("sum", 3)]);
    (torn.base, torn.born) = (state.version(), state.version());
    assert_eq!(rule(&decided(&moved, &[torn]).0[0]), "stale-read");
}

#[test]
fn a_phantom_is_refused() {
    let state = base(&[("tasks/1", 1)]);
    let count = |id, urgency, created| {
        let mut proposal = writes(on(&state, id, urgency), &[set(created, 1)]);
        proposal.reads.insert(Read::Under(key("tasks")));
        proposal
    };
    let batch = [count("a", 0, "tasks/2"), count("b", 1, "tasks/3")];
    assert_eq!(rule(&decided(&state, &batch).0[1]), "read-write");
    let (_, next) = decided(&state, &[writes(on(&state, "c", 0), &[("tasks/1", Op::Remove)])]);
    assert_eq!(rule(&decided(&next, &[count("d", 0, "other")]).0[0]), "stale-read");
}

#[test]
fn a_reader_beside_a_writer_goes_first_and_both_commit() {
    let state = base(&[("x", 1)]);
    let batch = [
        writes(on(&state, "writer", 0), &[set("x", 2)]),
        writes(reads(on(&state, "reader", 1), &["x"]), &[set("seen", 1)]),
    ];
    let (outcomes, _) = decided(&state, &batch);
    let committed = |order| Outcome::Committed { version: Version(1), order };
    assert_eq!(outcomes, [committed(1), committed(0)]);
}

#[test]
fn a_loser_blocks_nobody() {
    let state = base(&[]);
    let batch = [
        writes(on(&state, "a", 0), &[set("x", 1)]),
        writes(on(&state, "b", 1), &[set("x", 2), set("y", 2)]),
        writes(on(&state, "c", 2), &[set("y", 3)]),
    ];
    let (outcomes, next) = decided(&state, &batch);
    assert_eq!(
        outcomes.iter().map(rule).collect::<Vec<_>>(),
        ["committed", "write-write", "committed"]
    );
    assert_eq!(next.get("y"), Some(&3.into()));
}

#[test]
fn an_unbounded_add_cannot_break_an_accepted_bound() {
    let state = base(&[("pool", 4)]);
    let bounded = Op::Add { by: 3, at_least: None, at_most: Some(10) };
    let batch = [
        writes(on(&state, "careful", 0), &[("pool", bounded)]),
        writes(on(&state, "greedy", 1), &[("pool", Op::add(4))]),
        writes(on(&state, "modest", 2), &[("pool", Op::add(3))]),
        writes(on(&state, "giver", 3), &[("pool", Op::add(-100))]),
    ];
    let (outcomes, next) = decided(&state, &batch);
    let names: Vec<_> = outcomes.iter().map(rule).collect();
    assert_eq!(names, ["committed", "bound", "committed", "committed"]);
    assert!(matches!(&outcomes[1], Outcome::Conflict { with: Winner::Accepted { agent, .. }, .. }
            if agent.as_str() == "careful"));
    assert_eq!(next.get("pool"), Some(&(4 + 3 + 3 - 100).into()));
}

#[test]
fn agreeing_in_different_rounds_is_held_against_the_stored_value() {
    let state = base(&[]);
    let agree = |state: &State, id: &str, value: i64| {
        writes(on(state, id, 0), &[("region", Op::Agree(value.into()))])
    };
    let (_, next) = decided(&state, &[agree(&state, "a", 1)]);
    let (outcomes, _) = decided(&next, &[agree(&next, "same", 1), agree(&next, "other", 2)]);
    assert_eq!(outcomes.iter().map(rule).collect::<Vec<_>>(), ["committed", "disagree"]);
    assert!(
        matches!(&outcomes[1], Outcome::Conflict { with: Winner::Stored { agent, version }, .. }
            if agent.as_str() == "a" && *version == Version(1))
    );
}

#[test]
fn three_requirements_can_be_jointly_empty_though_no_two_are() {
    use crate::requirement::Requirement;
    let state = base(&[]);
    let constrain = |id, urgency, text: &str| {
        let op = Op::constrain(Requirement::parse(text).unwrap());
        writes(on(&state, id, urgency), &[("deps/x", op)])
    };
    let batch = [
        constrain("a", 0, ">1.0.0-a, <1.0.1"),
        constrain("b", 1, "<=1.0.0-b"),
        constrain("c", 2, ">=1.0.0-b.0, <2.0.0"),
    ];
    let (outcomes, _) = decided(&state, &batch);
    assert_eq!(outcomes.iter().map(rule).collect::<Vec<_>>(), ["committed", "committed", "empty"]);
}

#[test]
fn a_precondition_is_judged_on_the_rounds_snapshot() {
    let state = base(&[("mode", 1)]);
    let needs = |id, urgency, value: i64| {
        writes(on(&state, id, urgency), &[set("out", value)])
            .require(Precondition::Equals(key("mode"), value.into()))
    };
    let (outcomes, _) = decided(&state, &[needs("yes", 0, 1), needs("no", 1, 2)]);
    assert_eq!(outcomes.iter().map(rule).collect::<Vec<_>>(), ["committed", "precondition"]);
}

#[test]
fn a_precondition_counts_as_a_read() {
    let state = base(&[("x", 1), ("y", 1)]);
    let absent = |path| Precondition::Equals(key(path), 1.into());
    let batch = [
        writes(on(&state, "a", 0), &[set("x", 0)]).require(absent("y")),
        writes(on(&state, "b", 1), &[set("y", 0)]).require(absent("x")),
    ];
    assert_eq!(rule(&decided(&state, &batch).0[1]), "read-write");
}

#[test]
fn malformed_and_oversized_proposals_are_refused_with_a_reason() {
    let state = base(&[]);
    let twice = writes(on(&state, "twice", 0), &[set("x", 1), set("x", 2)]);
    let mut future = writes(on(&state, "future", 0), &[set("y", 1)]);
    future.base = Version(9);
    let mut late = writes(on(&state, "late", 0), &[set("z", 1)]);
    late.hint.deadline = Some(4);
    let mut input = input(&state);
    input.now = 5;
    input.policy.limits.bytes = 20;
    let big = writes(on(&state, "big", 0), &[("big", Op::Set("x".repeat(30).into()))]);
    let verdicts = decide(&state, &[twice, future, late, big], &input);
    let names: Vec<_> = verdicts.outcomes.iter().map(rule).collect();
    assert_eq!(names, ["invalid", "invalid", "expired", "limit"]);
}

#[test]
fn each_limit_is_named_and_met_exactly() {
    let state = base(&[]);
    let proposal = |text: usize| {
        writes(on(&state, "p", 0), &[("a", Op::Set("x".repeat(text).into())), set("b", 1)])
            .require(Precondition::Equals(key("c"), "y".repeat(40).into()))
    };
    let told = |text, change: fn(&mut Limits)| {
        let mut input = input(&state);
        change(&mut input.policy.limits);
        match decide(&state, &[proposal(text)], &input).outcomes.remove(0) {
            Outcome::LimitReached { what } => what,
            other => other.name().to_owned(),
        }
    };
    let bytes = |text: usize| Value::from("x".repeat(text)).bytes();
    assert_eq!(told(50, |limits| limits.keys = 3), "precondition", "it is small enough");
    assert!(told(50, |limits| limits.keys = 2).starts_with("3 keys, and at most 2"));
    let too_long = told(bytes(50) + 60, |limits| limits.value = 100);
    assert!(too_long.contains("bytes in one value, and at most 100"), "{too_long}");
    let asked = told(1, |limits| limits.value = 30);
    assert!(asked.contains("bytes in one value"), "what is asked for counts: {asked}");
    assert!(told(50, |limits| limits.bytes = 20).contains(" bytes, and at most 20"));
}

#[test]
fn whose_turn_comes_after_the_last_of_a_round_is_told_so() {
    let state = base(&[]);
    let proposals: Vec<_> =
        (0..5).map(|n| writes(on(&state, &format!("p{n}"), n), &[("n", Op::add(1))])).collect();
    let mut input = input(&state);
    input.policy.limits.proposals = 3;
    // One more copy of one that was accepted takes a turn, but needs no judgement.
    let batch = [proposals.as_slice(), &proposals[2..3]].concat();
    let verdicts = decide(&state, &batch, &input);
    let names: Vec<_> = verdicts.outcomes.iter().map(rule).collect();
    assert_eq!(names, ["committed", "committed", "committed", "limit", "limit", "committed"]);
}

/// More than stay in cache, which is judged with a look ahead.
#[test]
fn of_very_many_the_first_at_each_key_wins() {
    let state = base(&[]);
    const PROPOSALS: u64 = 10_007;
    let name = |n: u64| format!("k{}", n * n % 1_009);
    let proposal = |n: u64| {
        let urgency = n * 7_919 % PROPOSALS;
        let written = reads(on(&state, &format!("p{n}"), urgency), &["never-written"]);
        (urgency, writes(written, &[(&name(n), Op::Set(1.into())), (&name(n + 1), Op::Remove)]))
    };
    let (urgencies, batch): (Vec<_>, Vec<_>) = (0..PROPOSALS).map(proposal).unzip();
    let mut turns: Vec<usize> = (0..batch.len()).collect();
    turns.sort_by_key(|&place| urgencies[place]);
    let (mut taken, mut accepted) = (BTreeMap::<&Key, usize>::new(), Vec::new());
    let verdicts = decide(&state, &batch, &input(&state));
    for place in turns {
        let keys = batch[place].writes.iter().map(|(key, _)| key);
        if let Some((key, &first)) = keys.clone().find_map(|key| taken.get_key_value(key)) {
            let Proposal { agent, id, .. } = &batch[first];
            let with = Winner::Accepted { agent: agent.clone(), id: id.clone() };
            let lost = Outcome::Conflict { with, key: key.to_string(), rule: Rule::WriteWrite };
            assert_eq!(verdicts.outcomes[place], lost);
        } else if batch[place].writes[0].0 != batch[place].writes[1].0 {
            accepted.push(place);
            taken.extend(keys.map(|key| (key, place)));
        }
    }
    assert_eq!(verdicts.accepted, accepted);
    assert!(accepted.len() > 100, "{}", accepted.len());
}

#[test]
fn the_same_attempt_with_other_content_is_invalid_both_times() {
    let state = base(&[]);
    let batch =
        [writes(on(&state, "a", 0), &[set("x", 1)]), writes(on(&state, "a", 0), &[set("x", 2)])];
    let (outcomes, next) = decided(&state, &batch);
    assert!(outcomes.iter().all(|outcome| rule(outcome) == "invalid"), "{outcomes:?}");
    assert_eq!(next.get("x"), None);
}

#[test]
fn an_intent_sent_twice_in_a_round_is_committed_once() {
    let state = base(&[]);
    let first = writes(on(&state, "a", 0), &[("n", Op::add(1))]);
    let mut second = first.clone();
    second.attempt = 1;
    let (outcomes, next) = decided(&state, &[first.clone(), second, first]);
    assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0] && outcome.is_committed()));
    assert_eq!(next.get("n"), Some(&1.into()));
}

#[test]
fn an_unknown_intent_born_before_the_window_is_too_old() {
    let mut state = base(&[]);
    state.version = Version(2000);
    state.horizon = Version(976);
    let mut old = writes(on(&state, "old", 0), &[set("x", 1)]);
    (old.base, old.born) = (Version(1990), Version(900));
    let outcome = &decided(&state, &[old]).0[0];
    assert_eq!(*outcome, Outcome::TooOld { horizon: Version(976) });
}

/// In which round a background intent is committed against a stream of critical rivals for the same key.
fn rounds_under_a_flood(aging: u64) -> Option<u64> {
    let mut state = base(&[]);
    let mut patient = writes(on(&state, "patient", 0), &[set("x", -1)]);
    patient.hint = Hint { class: Class::Background, deadline: None };
    for round in 0..100 {
        let mut rival = writes(on(&state, &format!("rival-{round}"), 0), &[set("x", round)]);
        rival.hint = Hint { class: Class::Critical, deadline: None };
        (patient.base, patient.attempt) = (state.version(), round as u32);
        let mut input = input(&state);
        input.policy.aging = aging;
        let batch = [patient.clone(), rival];
        let verdicts = decide(&state, &batch, &input);
        if verdicts.outcomes[0].is_committed() {
            return Some(round as u64);
        }
        state = apply(&state, &batch, &input, &verdicts);
    }
    None
}

/// G10: the class rises while an intent waits; once it is equal, the lot decides, and no id always loses that.
#[test]
fn a_low_class_is_not_beaten_for_ever() {
    assert_eq!(rounds_under_a_flood(u64::MAX), None, "without aging the flood wins");
    let waited = rounds_under_a_flood(2).expect("committed at last");
    assert!((8..24).contains(&waited), "four steps of two rounds, then the lot; waited {waited}");
}

#[test]
fn no_id_always_wins_the_lot() {
    let mut state = base(&[]);
    let mut wins = [0, 0];
    for round in 0..64 {
        let mut batch: Vec<_> = ["a", "b"]
            .iter()
            .map(|agent| {
                let id = format!("{agent}#{round}");
                let mut proposal = Proposal::on(&Snapshot::from(state.clone()), *agent, "x");
                proposal.id = agent.to_string().into();
                proposal.attempt = round;
                proposal.agent = id.as_str().into();
                writes(proposal, &[("x", Op::Set(i64::from(round).into()))])
            })
            .collect();
        batch[0].born = state.version();
        let input = input(&state);
        let verdicts = decide(&state, &batch, &input);
        wins[usize::from(verdicts.outcomes[1].is_committed())] += 1;
        state = apply(&state, &batch, &input, &verdicts);
    }
    assert!(wins.iter().all(|&wins| wins > 12), "{wins:?}");
}

#[test]
fn removals_are_forgotten_only_after_the_window() {
    let mut state = base(&[("x", 1)]);
    let policy = RoundPolicy { window: 3, ..RoundPolicy::default() };
    for round in 0..6_i64 {
        let op = if round == 0 { ("x", Op::Remove) } else { set("y", round) };
        let batch = [writes(on(&state, &format!("p{round}"), 0), &[op])];
        let mut input = input(&state);
        input.policy = policy.clone();
        let verdicts = decide(&state, &batch, &input);
        state = apply(&state, &batch, &input, &verdicts);
        assert_eq!(state.removed.len(), usize::from(round < 3), "round {round}");
    }
    let mut old = writes(reads(on(&state, "old", 0), &["x"]), &[set("z", 1)]);
    old.base = Version(0);
    old.born = Version(0);
    assert_eq!(rule(&decided(&state, &[old]).0[0]), "too-old");
    assert_eq!(state.entry("y").unwrap().writer.as_str(), "p5");
    assert_ne!(BASE_AGENT, "p5");
}

#[test]
fn each_of_many_removals_is_forgotten_with_its_own_version() {
    let mut state = base(&[("x", 1), ("y", 1), ("z", 1)]);
    let policy = RoundPolicy { window: 3, ..RoundPolicy::default() };
    let remove = |key| (key, Op::Remove);
    // What is written in each round, and which keys are remembered as removed after it.
    let rounds = [
        (vec![remove("x"), remove("y")], "x y"),
        (vec![set("x", 2), remove("z")], "y z"),
        (vec![remove("x")], "x y z"),
        (vec![set("other", 1)], "x z"),
        (vec![set("other", 2)], "x"),
        (vec![set("other", 3)], ""),
        (vec![set("other", 4)], ""),
    ];
    for (round, (ops, remembered)) in rounds.into_iter().enumerate() {
        let batch = [writes(on(&state, &format!("p{round}"), 0), &ops)];
        let mut input = input(&state);
        input.policy = policy.clone();
        let verdicts = decide(&state, &batch, &input);
        state = apply(&state, &batch, &input, &verdicts);
        let removed: Vec<&str> = state.removed.keys().map(Key::as_str).collect();
        assert_eq!(removed.join(" "), remembered, "round {round}");
    }
    assert!(state.removals.is_empty());
}

// Random batches.

/// As many cases, or more if the environment asks for more.
fn at_least(cases: u32) -> ProptestConfig {
    let asked = ProptestConfig::default();
    ProptestConfig { cases: asked.cases.max(cases), ..asked }
}

const KEYS: [&str; 5] = ["a", "a/b", "a/c", "d", "e"];

fn op() -> impl Strategy<Value = Op> {
    let bound = || prop::option::of(-3i64..4);
    prop_oneof![
        (0i64..3).prop_map(|v| Op::Set(v.into())),
        Just(Op::Remove),
        ((-2i64..3), bound(), bound()).prop_map(|(by, at_least, at_most)| Op::Add {
            by,
            at_least,
            at_most
        }),
        (0i64..3).prop_map(|v| Op::Max(v.into())),
        (0i64..3).prop_map(|v| Op::Agree(v.into())),
        (0i64..3).prop_map(|v| Op::union([v.into()])),
    ]
}

fn proposals() -> impl Strategy<Value = Vec<Proposal>> {
    let read = (0..KEYS.len(), any::<bool>()).prop_map(|(at, under)| match under {
        true => Read::Under(key(KEYS[at])),
        false => Read::Key(key(KEYS[at])),
    });
    let write = (0..KEYS.len(), op()).prop_map(|(at, op)| (key(KEYS[at]), op));
    let one = (
        0u8..6,
        0u32..2,
        prop::collection::btree_set(read, 0..3),
        prop::collection::vec(write, 0..3),
        0usize..5,
        prop::option::of((0..KEYS.len(), 0i64..2)),
    );
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let proposal = |(id, attempt, reads, writes, class, precondition): (
            u8,
            u32,
            BTreeSet<_>,
            Vec<_>,
            _,
            Option<_>,
        )| Proposal {
            id: format!("p{id}").into(),
            attempt,
            agent: format!("agent{id}").into(),
            base: Version(0),
            born: Version(0),
            reads: reads.into_iter().collect(),
            preconditions: Vec::from_iter(precondition.map(|(at, value): (usize, i64)| {
                Precondition::Equals(key(KEYS[at]), value.into())
            })),
            writes: writes.into_iter().collect(),
            hint: Hint { class: Class::ALL[class], deadline: None },
            incarnation: 0,
            claim: None,
            quorum: None,
        };
        all.into_iter().map(proposal).collect()
    })
}

fn seen(state: &State, read: &Read<Key>) -> Vec<(Key, Value)> {
    let all = |(key, entry): (&Key, &crate::state::Entry)| (key.clone(), entry.value.clone());
    match read {
        Read::Key(key) => state
            .entry(key.as_str())
            .map(|entry| (key.clone(), entry.value.clone()))
            .into_iter()
            .collect(),
        Read::Under(prefix) => state.under(prefix.as_str()).map(all).collect(),
    }
}

proptest! {
    #![proptest_config(at_least(2000))]

    /// G1: running the accepted one by one in their serial order, each reads what the snapshot held, and the end
    /// is the committed state.
    #[test]
    fn accepted_proposals_are_serializable(batch in proposals()) {
        let state = base(&[("a/b", 1), ("d", 0)]);
        let input = input(&state);
        let verdicts = decide(&state, &batch, &input);
        let next = apply(&state, &batch, &input, &verdicts);
        let mut alone = state.clone();
        for &place in &verdicts.serial {
            let proposal = &batch[place];
            for read in &proposal.reads {
                prop_assert_eq!(seen(&alone, read), seen(&state, read));
            }
            for precondition in &proposal.preconditions {
                prop_assert!(precondition.holds(alone.get(precondition.key().as_str())));
            }
            let one = [Proposal { reads: Default::default(), born: alone.version(), base: alone.version(), ..proposal.clone() }];
            let step = RoundInput { round: alone.version().next(), ..input.clone() };
            let verdict = decide(&alone, &one, &step);
            prop_assert!(verdict.outcomes[0].is_committed(), "{:?}", verdict.outcomes);
            alone = apply(&alone, &one, &step, &verdict);
        }
        let values = |state: &State| state.iter().map(|(k, e)| (k.clone(), e.value.clone())).collect::<Vec<_>>();
        prop_assert_eq!(values(&alone), values(&next));
    }

    /// G2: the order in which proposals arrive changes nothing.
    #[test]
    fn arrival_order_changes_nothing(batch in proposals(), turn in 0usize..12) {
        let state = base(&[("a/b", 1), ("d", 0)]);
        let input = input(&state);
        let verdicts = decide(&state, &batch, &input);
        let mut turned = batch.clone();
        turned.rotate_left(turn.min(batch.len()));
        turned.reverse();
        let again = decide(&state, &turned, &input);
        prop_assert_eq!(verdicts.digest(&batch), again.digest(&turned));
        prop_assert_eq!(
            digest(&apply(&state, &batch, &input, &verdicts)),
            digest(&apply(&state, &turned, &input, &again))
        );
    }

    /// G3 and G5: one outcome each, no intent committed by two proposals, and none that was rejected could be added.
    #[test]
    fn each_attempt_is_answered_once_and_the_accepted_are_maximal(batch in proposals()) {
        let state = base(&[("a/b", 1), ("d", 0)]);
        let input = input(&state);
        let verdicts = decide(&state, &batch, &input);
        prop_assert_eq!(verdicts.outcomes.len(), batch.len());
        let ids: HashSet<_> = verdicts.serial.iter().map(|&place| &batch[place].id).collect();
        prop_assert_eq!(ids.len(), verdicts.serial.len());
        // Without the other losers, each loser still loses: the accepted are judged first, since they are the same.
        for (place, outcome) in verdicts.outcomes.iter().enumerate() {
            if outcome.is_committed() || matches!(outcome, Outcome::Invalid { .. }) {
                continue;
            }
            let mut kept: Vec<_> = verdicts.accepted.iter().map(|&at| batch[at].clone()).collect();
            kept.push(batch[place].clone());
            let again = decide(&state, &kept, &input);
            prop_assert!(!again.outcomes[kept.len() - 1].is_committed());
        }
    }
}
