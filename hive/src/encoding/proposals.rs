//! Proposals, and what they are made of.

use queenright_primitives::claim::{FencingToken, Incarnation};
use queenright_primitives::schedule::Class;

use super::{Decode, DecodeError, Encode, Sink, Source, fields, tags};
use crate::key::Key;
use crate::op::{Op, Operator};
use crate::proposal::{Claimed, Hint, Precondition, Proposal, Read};
use crate::sets::{ReadSet, WriteSet};

tags!("no operator", Operator {
    1 => Set,
    2 => Remove,
    3 => Add,
    4 => Max,
    5 => Min,
    6 => Union,
    7 => Intersect,
    8 => Agree,
    9 => Constrain,
});

/// The tag is the operator's.
impl Encode for Op {
    fn encode(&self, sink: &mut Sink) {
        self.operator().encode(sink);
        match self {
            Op::Remove => {}
            Op::Add { by, at_least, at_most } => {
                by.encode(sink);
                at_least.encode(sink);
                at_most.encode(sink);
            }
            Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => {
                value.encode(sink);
            }
            Op::Union(values) | Op::Intersect(values) => values.encode(sink),
            Op::Constrain(requirement) => requirement.encode(sink),
        }
    }
}

impl Decode for Op {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        Ok(match Operator::decode(source)? {
            Operator::Set => Op::Set(Decode::decode(source)?),
            Operator::Remove => Op::Remove,
            Operator::Add => Op::Add {
                by: Decode::decode(source)?,
                at_least: Decode::decode(source)?,
                at_most: Decode::decode(source)?,
            },
            Operator::Max => Op::Max(Decode::decode(source)?),
            Operator::Min => Op::Min(Decode::decode(source)?),
            Operator::Union => Op::Union(Decode::decode(source)?),
            Operator::Intersect => Op::Intersect(Decode::decode(source)?),
            Operator::Agree => Op::Agree(Decode::decode(source)?),
            Operator::Constrain => Op::Constrain(Decode::decode(source)?),
        })
    }
}

impl Encode for Read<Key> {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Read::Key(key) => key.encode(sink.tag(1)),
            Read::Under(prefix) => prefix.encode(sink.tag(2)),
        }
    }
}

impl Decode for Read<Key> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no kind of read", |tag, source| {
            Ok(Some(match tag {
                1 => Read::Key(Decode::decode(source)?),
                2 => Read::Under(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

impl Encode for ReadSet {
    fn encode(&self, sink: &mut Sink) {
        sink.all(self);
    }
}

impl Decode for ReadSet {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.ascending(Decode::decode, |read: &Read<Key>| read).map(ReadSet::from_iter)
    }
}

impl Encode for WriteSet {
    fn encode(&self, sink: &mut Sink) {
        sink.all(self);
    }
}

impl Decode for WriteSet {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.all(Decode::decode).map(WriteSet::from_iter)
    }
}

impl Encode for Precondition {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Precondition::Equals(key, value) => {
                key.encode(sink.tag(1));
                value.encode(sink);
            }
            Precondition::Exists(key) => key.encode(sink.tag(2)),
            Precondition::Absent(key) => key.encode(sink.tag(3)),
        }
    }
}

impl Decode for Precondition {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no kind of precondition", |tag, source| {
            Ok(Some(match tag {
                1 => Precondition::Equals(Decode::decode(source)?, Decode::decode(source)?),
                2 => Precondition::Exists(Decode::decode(source)?),
                3 => Precondition::Absent(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        })
    }
}

/// 0 for the most urgent.
impl Encode for Class {
    fn encode(&self, sink: &mut Sink) {
        sink.tag(self.index() as u8);
    }
}

impl Decode for Class {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("no class", |tag, _| Ok(Class::ALL.get(usize::from(tag)).copied()))
    }
}

fields!(Hint { class, deadline });

impl Encode for FencingToken {
    fn encode(&self, sink: &mut Sink) {
        sink.number(self.incarnation.0).number(self.counter);
    }
}

impl Decode for FencingToken {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        Ok(FencingToken { incarnation: Incarnation(source.number()?), counter: source.number()? })
    }
}

fields!(Claimed { key, token, since });

fields!(Proposal {
    id,
    attempt,
    agent,
    incarnation,
    base,
    born,
    reads,
    preconditions,
    writes,
    hint,
    claim,
    quorum
});
