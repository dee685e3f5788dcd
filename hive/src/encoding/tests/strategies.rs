//! Values of all types that have an encoding.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use queenright_primitives::Version;
use queenright_primitives::aggregate::OutOfBounds;
use queenright_primitives::claim::{FencingToken, Incarnation};
use queenright_primitives::schedule::Class;

use crate::consensus::{
    Ballot, CastVote, Known, Limits, Permissions, QuorumRule, RoundInput, RoundPolicy, Tally,
    Threshold, Tie, Verdicts, Vote,
};
use crate::encoding::Digest;
use crate::id::{AgentId, ProposalId};
use crate::key::Key;
use crate::log::Record;
use crate::op::{Op, Operator, Refusal};
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::proposal::{Claimed, Hint, Precondition, Proposal, Read};
use crate::requirement::Requirement;
use crate::state::{Entry, Removal, State};
use crate::value::{KINDS, Value};

/// Of one byte mostly, and of all other lengths.
pub(super) fn number() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0u64..3,
        2 => (0u32..64).prop_map(|bits| 1 << bits),
        2 => (1u32..65).prop_map(|bits| u64::MAX >> (64 - bits)),
        1 => any::<u64>(),
    ]
}

fn small() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..3, 1 => any::<u32>()]
}

pub(super) fn integer() -> impl Strategy<Value = i64> {
    prop_oneof![4 => -3i64..4, 1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => any::<i64>()]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![8 => "\\PC{0,4}", 1 => "[ab]{120,300}"]
}

fn version() -> impl Strategy<Value = Version> {
    number().prop_map(Version)
}

fn agent() -> impl Strategy<Value = AgentId> {
    prop_oneof![4 => "[a-d]", 1 => text()].prop_map(AgentId::from)
}

fn id() -> impl Strategy<Value = ProposalId> {
    prop_oneof![4 => "p[0-9]", 1 => text()].prop_map(ProposalId::from)
}

fn attempt() -> impl Strategy<Value = (ProposalId, u32)> {
    (id(), small())
}

pub(super) fn key() -> impl Strategy<Value = Key> {
    vec("[a-cé]{1,3}", 1..4).prop_map(|segments| Key::new(segments.join("/")).unwrap())
}

fn prefix() -> impl Strategy<Value = Key> {
    prop_oneof![4 => key(), 1 => Just(Key::root())]
}

fn requirement() -> impl Strategy<Value = Requirement> {
    let texts = ["*", "^1.2", ">=1, <3", "=0.1.2", ">1.0.0-a.0, <2", "<=1.0.0-b", "(none)"];
    prop::sample::select(texts.to_vec()).prop_map(|text| Requirement::parse_all(text).unwrap())
}

pub(super) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => crate::value::tests::value(),
        1 => requirement().prop_map(Value::from),
        1 => text().prop_map(Value::from),
    ];
    prop_oneof![
        4 => leaf.clone(),
        1 => vec(leaf.clone(), 0..3).prop_map(Value::from),
        1 => vec(leaf, 0..3).prop_map(Value::set),
    ]
}

pub(super) fn operator() -> impl Strategy<Value = Operator> {
    prop::sample::select(vec![
        Operator::Set,
        Operator::Remove,
        Operator::Add,
        Operator::Max,
        Operator::Min,
        Operator::Union,
        Operator::Intersect,
        Operator::Agree,
        Operator::Constrain,
    ])
}

fn op() -> impl Strategy<Value = Op> {
    let add = (integer(), prop::option::of(integer()), prop::option::of(integer()));
    let content = (value(), btree_set(value(), 0..3), add, requirement());
    (operator(), content).prop_map(|(operator, (value, values, add, requirement))| match operator {
        Operator::Set => Op::Set(value),
        Operator::Remove => Op::Remove,
        Operator::Add => Op::Add { by: add.0, at_least: add.1, at_most: add.2 },
        Operator::Max => Op::Max(value),
        Operator::Min => Op::Min(value),
        Operator::Union => Op::Union(Arc::new(values)),
        Operator::Intersect => Op::Intersect(Arc::new(values)),
        Operator::Agree => Op::Agree(value),
        Operator::Constrain => Op::constrain(requirement),
    })
}

fn read() -> impl Strategy<Value = Read<Key>> {
    prop_oneof![key().prop_map(Read::Key), prefix().prop_map(Read::Under)]
}

fn precondition() -> impl Strategy<Value = Precondition> {
    prop_oneof![
        (key(), value()).prop_map(|(key, value)| Precondition::Equals(key, value)),
        key().prop_map(Precondition::Exists),
        key().prop_map(Precondition::Absent),
    ]
}

fn token() -> impl Strategy<Value = FencingToken> {
    (number(), number()).prop_map(|(incarnation, counter)| FencingToken {
        incarnation: Incarnation(incarnation),
        counter,
    })
}

fn claim() -> impl Strategy<Value = Claimed> {
    (key(), token(), version()).prop_map(|(key, token, since)| Claimed { key, token, since })
}

fn hint() -> impl Strategy<Value = Hint> {
    (0..Class::ALL.len(), prop::option::of(number()))
        .prop_map(|(class, deadline)| Hint { class: Class::ALL[class], deadline })
}

pub(super) fn rule() -> impl Strategy<Value = QuorumRule> {
    let roll = btree_map(agent(), 1u32..4, 1..4);
    let terms = (number(), 0usize..3, any::<prop::sample::Index>(), any::<bool>());
    (roll, 0usize..4, terms).prop_map(|(roll, threshold, (within, tie, member, may_change))| {
        let member = member.get(&Vec::from_iter(roll.keys().cloned())).clone();
        let all = roll.values().map(|weight| u64::from(*weight)).sum();
        let (threshold, tie) = match threshold {
            0 => (
                Threshold::Majority,
                [Tie::Fails, Tie::Passes, Tie::Chair(member.clone())][tie].clone(),
            ),
            1 => (Threshold::Unanimous, Tie::Fails),
            2 => (Threshold::Fraction { of: 1 + tie as u32, among: 3 }, Tie::Fails),
            _ => (Threshold::Weight(all), Tie::Fails),
        };
        let rule = QuorumRule::weighted(roll, threshold).unwrap().within(within);
        let rule = rule.tie(tie).unwrap().veto(may_change.then_some(member)).unwrap();
        if may_change { rule.votes_may_change() } else { rule }
    })
}

pub(crate) fn proposal() -> impl Strategy<Value = Proposal> {
    let name = (id(), small(), agent(), number());
    let content = (vec(read(), 0..3), vec(precondition(), 0..2), vec((key(), op()), 0..3));
    let terms = (hint(), prop::option::of(claim()), prop::option::of(rule()));
    (name, (version(), version()), content, terms).prop_map(|(name, versions, content, terms)| {
        Proposal {
            id: name.0,
            attempt: name.1,
            agent: name.2,
            incarnation: name.3,
            base: versions.0,
            born: versions.1,
            reads: content.0.into_iter().collect(),
            preconditions: content.1,
            writes: content.2.into_iter().collect(),
            hint: terms.0,
            claim: terms.1.map(Box::new),
            quorum: terms.2.map(Arc::new),
        }
    })
}

fn refusal() -> impl Strategy<Value = Refusal> {
    prop_oneof![
        Just(Refusal::Disagree),
        Just(Refusal::Empty),
        (any::<i128>(), integer())
            .prop_map(|(reached, bound)| Refusal::Bound(OutOfBounds { reached, bound })),
        (operator(), prop::sample::select(KINDS.to_vec()))
            .prop_map(|(operator, found)| Refusal::Kind { operator, found }),
        (operator(), operator()).prop_map(|(one, other)| Refusal::Operators(one, other)),
    ]
}

fn lost_by() -> impl Strategy<Value = Rule> {
    prop_oneof![
        1 => Just(Rule::StaleRead),
        1 => Just(Rule::WriteWrite),
        1 => Just(Rule::ReadWrite),
        4 => refusal().prop_map(Rule::Refused),
    ]
}

fn winner() -> impl Strategy<Value = Winner> {
    prop_oneof![
        (agent(), id()).prop_map(|(agent, id)| Winner::Accepted { agent, id }),
        (agent(), version()).prop_map(|(agent, version)| Winner::Stored { agent, version }),
    ]
}

fn fence() -> impl Strategy<Value = Fence> {
    prop_oneof![
        (key(), prop::option::of(token())).prop_map(|(key, current)| Fence::Token { key, current }),
        (key(), version()).prop_map(|(key, since)| Fence::Since { key, since }),
        number().prop_map(|current| Fence::Incarnation { current }),
    ]
}

fn tally() -> impl Strategy<Value = Tally> {
    (number(), number(), number(), any::<bool>(), number(), number()).prop_map(
        |(yes, no, abstained, vetoed, needed, of)| Tally { yes, no, abstained, vetoed, needed, of },
    )
}

pub(super) fn outcome() -> impl Strategy<Value = Outcome> {
    let conflict = (winner(), text(), lost_by()).prop_map(|(with, key, rule)| Outcome::Conflict {
        with,
        key,
        rule,
    });
    let other = prop_oneof![
        (version(), small()).prop_map(|(version, order)| Outcome::Committed { version, order }),
        (precondition(), prop::option::of(value()))
            .prop_map(|(expected, found)| Outcome::PreconditionFailed { expected, found }),
        version().prop_map(|horizon| Outcome::TooOld { horizon }),
        Just(Outcome::Expired),
        Just(Outcome::Cancelled),
        key().prop_map(|key| Outcome::Forbidden { key }),
        fence().prop_map(|fence| Outcome::StaleClaim { fence }),
        tally().prop_map(|tally| Outcome::Rejected { tally }),
        text().prop_map(|what| Outcome::LimitReached { what }),
        text().prop_map(|reason| Outcome::Invalid { reason }),
        Just(Outcome::CommitUnknown),
    ];
    prop_oneof![1 => conflict, 3 => other]
}

fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn known() -> impl Strategy<Value = Known> {
    (prop::option::of(outcome()), btree_map(small(), (digests(), outcome()), 0..3))
        .prop_map(|(committed, attempts)| Known { committed, attempts })
}

fn vote() -> impl Strategy<Value = Vote> {
    prop::sample::select(vec![Vote::Yes, Vote::No, Vote::Abstain, Vote::Veto])
}

fn ballot() -> impl Strategy<Value = Ballot> {
    (digests(), btree_map(agent(), vote(), 0..3))
        .prop_map(|(content, votes)| Ballot { content, votes })
}

fn cast_vote() -> impl Strategy<Value = CastVote> {
    (id(), small(), agent(), vote()).prop_map(|(proposal, attempt, member, vote)| CastVote {
        proposal,
        attempt,
        member,
        vote,
    })
}

fn permissions() -> impl Strategy<Value = Permissions> {
    prop::option::of(vec((agent(), prefix()), 0..4)).prop_map(|granted| {
        let Some(granted) = granted else { return Permissions::everybody() };
        let allow = |so_far: Permissions, (agent, prefix): (AgentId, Key)| {
            so_far.allow(agent, prefix.as_str()).unwrap()
        };
        granted.into_iter().fold(Permissions::nobody(), allow)
    })
}

pub(super) fn input() -> impl Strategy<Value = RoundInput> {
    let limits = [0; 4].map(|_| any::<u32>().prop_map(|limit| limit as usize));
    let rounds = (number(), number(), number());
    let policy = (limits, rounds, permissions()).prop_map(|(limits, rounds, permissions)| {
        let [keys, bytes, value, proposals] = limits;
        RoundPolicy {
            limits: Limits { keys, bytes, value, proposals },
            aging: rounds.0,
            window: rounds.1,
            pending: rounds.2,
            permissions,
        }
    });
    let known = (btree_map(id(), known(), 0..3), btree_set(attempt(), 0..3));
    let others = (btree_map(key(), token(), 0..3), btree_map(agent(), number(), 0..3));
    (version(), number(), number(), policy, known, others, btree_map(attempt(), ballot(), 0..3))
        .prop_map(|(round, now, seed, policy, known, others, ballots)| RoundInput {
            round,
            rules: round.0 as u32 % 300,
            now,
            seed,
            policy,
            decided: known.0,
            cancelled: known.1,
            claims: others.0,
            incarnations: others.1,
            ballots,
        })
}

pub(super) fn record() -> impl Strategy<Value = Record> {
    let places = || vec(0usize..300, 0..3);
    let verdicts = (vec(outcome(), 0..4), places(), places(), places());
    let verdicts = verdicts.prop_map(|(outcomes, accepted, serial, pending)| Verdicts {
        outcomes,
        accepted,
        serial,
        pending,
    });
    let opened = vec(proposal().prop_map(Arc::new), 0..2);
    let votes = (opened, vec(cast_vote(), 0..3));
    (digests(), input(), votes, vec(proposal(), 0..4), verdicts).prop_map(
        |(previous, input, votes, batch, verdicts)| {
            Record::new(previous, input, votes, batch, verdicts)
        },
    )
}

/// States that rounds could lead to.
pub(super) fn state() -> impl Strategy<Value = State> {
    let written = (value(), 0u64..200, agent(), operator());
    let keys = btree_map(key(), (written, any::<bool>()), 0..8);
    (keys, 0u64..200, prop::option::of(100u64..200)).prop_map(|(keys, horizon, version)| {
        let (horizon, version) = (Version(horizon), Version(version.unwrap_or(0).max(horizon + 1)));
        let mut state = State { version, horizon, ..State::default() };
        let mut removals = BTreeMap::<Version, BTreeSet<Key>>::new();
        for (key, ((value, at, writer, operator), is_removed)) in keys {
            if is_removed {
                let version = Version(at).clamp(horizon.next(), version);
                removals.entry(version).or_default().insert(key.clone());
                state.removed.insert(key, Removal { version, writer });
            } else {
                let version = Version(at).min(version);
                state.entries.insert(key, Entry { value, version, writer, operator });
            }
        }
        let each =
            |(version, keys): (Version, BTreeSet<Key>)| (version, keys.into_iter().collect());
        state.removals = removals.into_iter().map(each).collect();
        state
    })
}
