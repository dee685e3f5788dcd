//! What is in logs, in words and as JSON.

use std::collections::BTreeMap;

use queenright::consensus::CastVote;
use queenright::json::encode;
use queenright::{Entry, Op, Proposal, Record, Value};
use serde_json::{Map, Value as Json, json};

/// How many lines of a table are shown without `-v`.
pub(super) const SHOWN: usize = 50;

/// The beginning of a digest, which is enough to compare by eye.
pub(super) fn short(digest: &queenright::Digest) -> String {
    digest.to_string()[..12].to_owned()
}

/// How many proposals of a round were refused, by the name of the outcome. Those that stay pending were not refused yet.
pub(super) fn refused(record: &Record) -> BTreeMap<&'static str, usize> {
    let mut refused = BTreeMap::new();
    let outcomes = record.verdicts.outcomes.iter().enumerate();
    let answered = outcomes.filter(|(place, _)| !record.verdicts.is_pending(*place));
    for (_, outcome) in answered.filter(|(_, outcome)| !outcome.is_committed()) {
        *refused.entry(outcome.name()).or_default() += 1;
    }
    refused
}

/// A value, or that there is none.
pub(super) fn value(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// A value without loss, or null.
pub(super) fn value_json(value: Option<&Value>) -> Json {
    value.map_or(Json::Null, encode)
}

/// What a key holds, and where it comes from.
pub(super) fn entry_json(entry: Option<&Entry>) -> Json {
    let json = |entry: &Entry| {
        json!({
            "value": encode(&entry.value),
            "version": entry.version.0,
            "writer": entry.writer.as_str(),
            "operator": entry.operator.name(),
        })
    };
    entry.map_or(Json::Null, json)
}

/// An operation, as programs write it that are agents: `docs/PROTOCOL.md`.
pub(super) fn op_json(op: &Op) -> Json {
    let mut fields = Map::new();
    let mut field = |name: &str, value: Json| drop(fields.insert(name.to_owned(), value));
    field("op", op.operator().name().into());
    match op {
        Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => {
            field("value", encode(value));
        }
        Op::Add { by, at_least, at_most } => {
            field("by", (*by).into());
            at_least.iter().for_each(|bound| field("at_least", (*bound).into()));
            at_most.iter().for_each(|bound| field("at_most", (*bound).into()));
        }
        Op::Union(values) | Op::Intersect(values) => {
            field("values", values.iter().map(encode).collect());
        }
        Op::Constrain(requirement) => field("requirement", requirement.to_string().into()),
        _ => {}
    }
    Json::Object(fields)
}

/// A proposal's name and attempt.
pub(super) fn named(proposal: &Proposal) -> String {
    format!("{}, attempt {}", proposal.id, proposal.attempt)
}

/// A vote.
pub(super) fn vote_json(vote: &CastVote) -> Json {
    json!({
        "proposal": vote.proposal.as_str(),
        "attempt": vote.attempt,
        "member": vote.member.as_str(),
        "vote": vote.vote.name(),
    })
}
