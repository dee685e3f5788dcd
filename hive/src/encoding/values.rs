//! Values, and names of all kinds.

use queenright_primitives::Version;

use super::{Decode, DecodeError, Encode, Sink, Source};
use crate::id::{AgentId, ProposalId};
use crate::key::Key;
use crate::requirement::Requirement;
use crate::value::{Finite, Number, Value};

impl Encode for Key {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

/// The prefix of everything is a key here, wherever it stands: nobody who has one is kept from using it.
impl Decode for Key {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        Key::prefix(source.text()?)
            .map_err(|_| DecodeError { offset, what: "neither a key nor a prefix" })
    }
}

impl Encode for AgentId {
    fn encode(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

impl Decode for AgentId {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.text().map(AgentId::from)
    }
}

impl Encode for ProposalId {
    fn encode(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

impl Decode for ProposalId {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.text().map(ProposalId::from)
    }
}

impl Encode for Version {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.number(self.0);
    }
}

impl Decode for Version {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.number().map(Version)
    }
}

impl Encode for Finite {
    fn encode(&self, sink: &mut Sink) {
        sink.bytes(&self.get().to_le_bytes());
    }
}

impl Decode for Finite {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        let float = f64::from_le_bytes(source.array()?);
        let finite = Finite::new(float).filter(|it| it.get().to_bits() == float.to_bits());
        finite.ok_or(DecodeError { offset, what: "a float that is not finite, or minus zero" })
    }
}

/// As the text that it is displayed as, which says all of it.
impl Encode for Requirement {
    fn encode(&self, sink: &mut Sink) {
        sink.text(&self.to_string());
    }
}

impl Decode for Requirement {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        let text = source.text()?;
        let requirement = Requirement::parse_all(text).ok().filter(|it| it.to_string() == text);
        requirement
            .ok_or(DecodeError { offset, what: "no version requirement, or not as displayed" })
    }
}

impl Encode for Value {
    fn encode(&self, sink: &mut Sink) {
        match self {
            Value::Bool(value) => value.encode(sink.tag(1)),
            Value::Number(Number::Int(value)) => value.encode(sink.tag(2)),
            Value::Number(Number::Float(value)) => value.encode(sink.tag(3)),
            Value::Text(text) => text.encode(sink.tag(4)),
            Value::List(list) => list.encode(sink.tag(5)),
            Value::Set(set) => set.encode(sink.tag(6)),
            Value::Map(map) => map.encode(sink.tag(7)),
            Value::Requirement(requirement) => requirement.encode(sink.tag(8)),
        }
    }
}

impl Decode for Value {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let value = |tag, source: &mut Source<'_>| {
            Ok(Some(match tag {
                1 => Value::Bool(Decode::decode(source)?),
                2 => Value::Number(Number::Int(Decode::decode(source)?)),
                3 => Value::Number(Number::Float(Decode::decode(source)?)),
                4 => Value::Text(Decode::decode(source)?),
                5 => Value::List(Decode::decode(source)?),
                6 => Value::Set(Decode::decode(source)?),
                7 => Value::Map(Decode::decode(source)?),
                8 => Value::Requirement(Decode::decode(source)?),
                _ => return Ok(None),
            }))
        };
        source.nested(|source| source.tagged("no kind of value", value))
    }
}
