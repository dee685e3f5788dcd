//! Outcomes, and what they are made of.

use queenright_primitives::aggregate::OutOfBounds;

use super::{Decode, DecodeError, Encode, Sink, Source, fields};
use crate::op::Refusal;
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::value::KINDS;

impl Encode for Winner {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Winner::Accepted { agent, id } => {
                agent.encode(sink.tag(1));
                id.encode(sink);
            }
            Winner::Stored { agent, version } => {
                agent.encode(sink.tag(2));
                version.encode(sink);
            }
        }
    }
}

impl Decode for Winner {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no kind of winner", |tag, source| {
            let agent = |source: &mut Source<'_>| Decode::decode(source);
            Ok(Some(match tag {
                1 => Winner::Accepted { agent: agent(source)?, id: Decode::decode(source)? },
                2 => Winner::Stored { agent: agent(source)?, version: Decode::decode(source)? },
                _ => return Ok(None),
            }))
        })
    }
}

impl Encode for Fence {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Fence::Token { key, current } => {
                key.encode(sink.tag(1));
                current.encode(sink);
            }
            Fence::Since { key, since } => {
                key.encode(sink.tag(2));
                since.encode(sink);
            }
            Fence::Incarnation { current } => current.encode(sink.tag(3)),
        }
    }
}

impl Decode for Fence {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no kind of fence", |tag, source| {
            Ok(Some(match tag {
                1 => {
                    Fence::Token { key: Decode::decode(source)?, current: Decode::decode(source)? }
                }
                2 => Fence::Since { key: Decode::decode(source)?, since: Decode::decode(source)? },
                3 => Fence::Incarnation { current: Decode::decode(source)? },
                _ => return Ok(None),
            }))
        })
    }
}

fields!(OutOfBounds { reached, bound });

impl Encode for Refusal {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Refusal::Disagree => drop(sink.tag(1)),
            Refusal::Empty => drop(sink.tag(2)),
            Refusal::Bound(bound) => bound.encode(sink.tag(3)),
            Refusal::Kind { operator, found } => {
                operator.encode(sink.tag(4));
                found.encode(sink);
            }
            Refusal::Operators(one, other) => {
                one.encode(sink.tag(5));
                other.encode(sink);
            }
        }
    }
}

impl Decode for Refusal {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no kind of refusal", |tag, source| {
            Ok(Some(match tag {
                1 => Refusal::Disagree,
                2 => Refusal::Empty,
                3 => Refusal::Bound(Decode::decode(source)?),
                4 => Refusal::Kind { operator: Decode::decode(source)?, found: kind(source)? },
                5 => Refusal::Operators(Decode::decode(source)?, Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

/// What [`Value::kind`](crate::Value::kind) says.
fn kind(source: &mut Source<'_>) -> Result<&'static str, DecodeError> {
    let offset = source.offset();
    let text = source.text()?;
    let kind = KINDS.into_iter().find(|kind| *kind == text);
    kind.ok_or(DecodeError { offset, what: "no name of a kind of value" })
}

impl Encode for Rule {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Rule::StaleRead => drop(sink.tag(1)),
            Rule::WriteWrite => drop(sink.tag(2)),
            Rule::ReadWrite => drop(sink.tag(3)),
            Rule::Refused(refusal) => refusal.encode(sink.tag(4)),
        }
    }
}

impl Decode for Rule {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no rule", |tag, source| {
            Ok(Some(match tag {
                1 => Rule::StaleRead,
                2 => Rule::WriteWrite,
                3 => Rule::ReadWrite,
                4 => Rule::Refused(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

impl Encode for Outcome {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Outcome::Committed { version, order } => {
                version.encode(sink.tag(1));
                order.encode(sink);
            }
            Outcome::Conflict { with, key, rule } => {
                with.encode(sink.tag(2));
                key.encode(sink);
                rule.encode(sink);
            }
            Outcome::PreconditionFailed { expected, found } => {
                expected.encode(sink.tag(3));
                found.encode(sink);
            }
            Outcome::TooOld { horizon } => horizon.encode(sink.tag(4)),
            Outcome::Expired => drop(sink.tag(5)),
            Outcome::Cancelled => drop(sink.tag(6)),
            Outcome::Forbidden { key } => key.encode(sink.tag(7)),
            Outcome::StaleClaim { fence } => fence.encode(sink.tag(8)),
            Outcome::Rejected { tally } => tally.encode(sink.tag(9)),
            Outcome::LimitReached { what } => what.encode(sink.tag(10)),
            Outcome::Invalid { reason } => reason.encode(sink.tag(11)),
            Outcome::CommitUnknown => drop(sink.tag(12)),
        }
    }
}

impl Decode for Outcome {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no outcome", |tag, source| {
            Ok(Some(match tag {
                1 => Outcome::Committed {
                    version: Decode::decode(source)?,
                    order: Decode::decode(source)?,
                },
                2 => Outcome::Conflict {
                    with: Decode::decode(source)?,
                    key: Decode::decode(source)?,
                    rule: Decode::decode(source)?,
                },
                3 => Outcome::PreconditionFailed {
                    expected: Decode::decode(source)?,
                    found: Decode::decode(source)?,
                },
                4 => Outcome::TooOld { horizon: Decode::decode(source)? },
                5 => Outcome::Expired,
                6 => Outcome::Cancelled,
                7 => Outcome::Forbidden { key: Decode::decode(source)? },
                8 => Outcome::StaleClaim { fence: Decode::decode(source)? },
                9 => Outcome::Rejected { tally: Decode::decode(source)? },
                10 => Outcome::LimitReached { what: Decode::decode(source)? },
                11 => Outcome::Invalid { reason: Decode::decode(source)? },
                12 => Outcome::CommitUnknown,
                _ => return Ok(None),
            }))
        })
    }
}
