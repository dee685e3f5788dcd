//! Rules by name: what keeps a proposal out before it is held against others, and who may wait for the next round.

use queenright_primitives::claim::{FencingToken, Incarnation};

use super::*;
use crate::consensus::{Ballot, Permissions, QuorumRule, Tally, Threshold, Vote};
use crate::proposal::Claimed;

fn outcomes(state: &State, batch: &[Proposal], input: &RoundInput) -> Vec<Outcome> {
    decide(state, batch, input).outcomes
}

/// Each of the three reads what the next one writes, so that no order explains all of them.
#[test]
fn a_three_way_read_cycle_is_broken() {
    let state = base(&[("a", 0), ("b", 0), ("c", 0)]);
    let one = |id, urgency, read, write| {
        writes(reads(on(&state, id, urgency), &[read]), &[set(write, urgency as i64 + 1)])
    };
    let batch = [one("1", 0, "a", "b"), one("2", 1, "b", "c"), one("3", 2, "c", "a")];
    let input = input(&state);
    let verdicts = decide(&state, &batch, &input);
    let names: Vec<_> = verdicts.outcomes.iter().map(rule).collect();
    assert_eq!(names, ["committed", "committed", "read-write"]);
    assert_eq!(verdicts.serial, [1, 0], "who reads b goes before who writes it");
}

#[test]
fn nobody_writes_where_they_may_not() {
    let state = base(&[]);
    let mut input = input(&state);
    input.policy.permissions = Permissions::nobody().allow("builder", "artifacts").unwrap();
    let proposal = |agent: &str, id, ops: &[(&str, Op)]| {
        writes(Proposal { agent: agent.into(), ..on(&state, id, 0) }, ops)
    };
    let batch = [
        proposal("builder", "inside", &[set("artifacts/a", 1)]),
        proposal("builder", "outside", &[set("artifacts/b", 1), set("settings/b", 1)]),
        proposal("stranger", "nowhere", &[set("artifacts/c", 1)]),
        proposal("stranger", "nothing", &[]),
    ];
    let told = outcomes(&state, &batch, &input);
    assert!(told[0].is_committed() && told[3].is_committed(), "{told:?}");
    assert_eq!(told[1], Outcome::Forbidden { key: key("settings/b") });
    assert_eq!(told[2], Outcome::Forbidden { key: key("artifacts/c") });
    let next = apply(&state, &batch, &input, &decide(&state, &batch, &input));
    assert_eq!(next.get("artifacts/b"), None, "all of it or nothing");
}

#[test]
fn what_was_taken_back_is_not_judged() {
    let state = base(&[]);
    let mut input = input(&state);
    let batch = [
        writes(on(&state, "kept", 1), &[set("x", 1)]),
        writes(on(&state, "taken back", 0), &[set("x", 2)]),
    ];
    input.cancelled.insert(("taken back".into(), 0));
    // Another attempt of the same number, of another intent.
    input.cancelled.insert(("kept".into(), 1));
    let told = outcomes(&state, &batch, &input);
    assert!(told[0].is_committed());
    assert_eq!(told[1], Outcome::Cancelled);
}

fn token(counter: u64) -> FencingToken {
    FencingToken { incarnation: Incarnation(1), counter }
}

#[test]
fn a_stale_holder_is_fenced_out_and_a_new_one_has_to_know_what_was_done() {
    let (_, state) = decided(&base(&[]), &[writes(on(&base(&[]), "p", 0), &[set("y", 1)])]);
    let mut input = input(&state);
    input.claims.insert(key("task/7"), token(5));
    let shows = |id: &str, name: &str, counter, since: u64, base: u64| {
        let claim = Claimed { key: key(name), token: token(counter), since: Version(since) };
        let mut proposal = writes(on(&state, id, 0), &[]).under(claim);
        (proposal.base, proposal.born) = (Version(base), Version(base));
        proposal.writes.push((key(id), Op::Set(1.into())));
        proposal
    };
    let batch = [
        shows("current", "task/7", 5, 1, 1),
        shows("before", "task/7", 4, 0, 1),
        shows("unborn", "task/7", 6, 1, 1),
        shows("blind", "task/7", 5, 1, 0),
        shows("nobodys", "task/8", 1, 0, 1),
    ];
    let told = outcomes(&state, &batch, &input);
    assert!(told[0].is_committed(), "{}", told[0]);
    let stale = |fence| Outcome::StaleClaim { fence };
    let passed_on = stale(Fence::Token { key: key("task/7"), current: Some(token(5)) });
    assert_eq!(told[1..3], [passed_on.clone(), passed_on]);
    assert_eq!(told[3], stale(Fence::Since { key: key("task/7"), since: Version(1) }));
    assert_eq!(told[4], stale(Fence::Token { key: key("task/8"), current: None }));
    let may_retry: Vec<_> = told.iter().map(Outcome::may_retry).collect();
    assert_eq!(may_retry, [false, false, false, true, false]);
}

#[test]
fn an_ended_life_of_an_agent_is_fenced_out() {
    let state = base(&[]);
    let mut input = input(&state);
    input.incarnations.insert("worker".into(), 3);
    let of = |id, incarnation| {
        let proposal = Proposal { agent: "worker".into(), incarnation, ..on(&state, id, 0) };
        writes(proposal, &[(id, Op::Set(1.into()))])
    };
    let told = outcomes(&state, &[of("old", 2), of("new", 3), of("newer", 4)], &input);
    assert_eq!(told[0], Outcome::StaleClaim { fence: Fence::Incarnation { current: 3 } });
    assert!(told[1..].iter().all(Outcome::is_committed));
}

#[test]
fn what_needs_a_quorum_is_judged_only_with_one_on_exactly_its_content() {
    let state = base(&[]);
    let rule = QuorumRule::new(["a", "b", "c"], Threshold::Majority).unwrap();
    let proposal = writes(on(&state, "p", 0), &[set("x", 1)]).with_quorum(rule);
    let told = |content, yes: &[&str], attempt| {
        let mut input = input(&state);
        let votes = yes.iter().map(|member| ((*member).into(), Vote::Yes)).collect();
        input.ballots.insert(("p".into(), attempt), Ballot { content, votes });
        outcomes(&state, std::slice::from_ref(&proposal), &input).remove(0)
    };
    let rejected = |told: Outcome, said_yes| matches!(told, Outcome::Rejected { tally: Tally { yes, needed: 2, of: 3, .. } } if yes == said_yes);
    let content = proposal.digest();
    assert!(told(content, &["a", "c"], 0).is_committed());
    assert!(rejected(told(content, &["a"], 0), 1));
    assert!(rejected(told(content, &["a", "x", "y"], 0), 1), "strangers have no vote");
    assert!(rejected(told(content, &["a", "b"], 1), 0), "that was another attempt");
    let changed = Proposal { base: Version(0), attempt: 1, ..proposal.clone() }.digest();
    assert!(rejected(told(changed, &["a", "b"], 0), 0), "they agreed to something else");
}

#[test]
fn who_wrote_blindly_and_lost_waits_as_long_as_the_policy_says() {
    let mut state = base(&[]);
    let first = state.clone();
    let blind = writes(on(&first, "blind", 9), &[set("x", 0)]);
    let reader = writes(reads(on(&first, "reader", 8), &["y"]), &[set("x", 0)]);
    let mut told = Vec::new();
    for round in 0..4 {
        let rival = writes(on(&state, &format!("rival{round}"), 0), &[set("x", 1)]);
        let mut input = input(&state);
        input.policy.pending = 2;
        let batch = [blind.clone(), rival, reader.clone()];
        let verdicts = decide(&state, &batch, &input);
        assert_eq!(rule(&verdicts.outcomes[0]), "write-write", "it lost every time");
        assert!(!verdicts.is_pending(1) && !verdicts.is_pending(2), "others are answered");
        told.push(verdicts.is_pending(0));
        state = apply(&state, &batch, &input, &verdicts);
    }
    assert_eq!(told, [true, true, false, false]);
    // Alone it wins, whatever was written since: it depends on nothing.
    let input = RoundInput {
        policy: RoundPolicy { pending: 9, ..RoundPolicy::default() },
        ..input(&state)
    };
    assert!(decide(&state, &[blind], &input).outcomes[0].is_committed());
}

/// What is stored will not go away by waiting.
#[test]
fn who_lost_to_what_is_stored_does_not_wait() {
    let state = base(&[("x", 1)]);
    let mut input = input(&state);
    input.policy.pending = 9;
    let refused = writes(on(&state, "p", 0), &[("x", Op::Agree(2.into()))]);
    let verdicts = decide(&state, &[refused], &input);
    assert_eq!((rule(&verdicts.outcomes[0]), verdicts.pending.len()), ("disagree", 0));
}

/// Both copies of a proposal that waits are told nothing yet; the digest of the verdicts tells that apart from a refusal.
#[test]
fn waiting_is_not_an_answer() {
    let state = base(&[]);
    let waits = writes(on(&state, "p", 1), &[set("x", 0)]);
    let batch = [waits.clone(), writes(on(&state, "q", 0), &[set("x", 1)]), waits];
    let mut input = input(&state);
    let refused = decide(&state, &batch, &input);
    input.policy.pending = 1;
    let verdicts = decide(&state, &batch, &input);
    assert_eq!(verdicts.pending, [0, 2]);
    assert_eq!(verdicts.outcomes, refused.outcomes);
    assert_ne!(verdicts.digest(&batch), refused.digest(&batch));
}
