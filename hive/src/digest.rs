//! One canonical digest (blake3) of everything a round decides on.
//!
//! Each value feeds a tag and its length before its content, so that no two different values feed the same bytes.

use std::fmt;

use queenright_primitives::Version;
use queenright_primitives::claim::FencingToken;
use queenright_primitives::schedule::Class;

use crate::consensus::Tally;
use crate::id::{AgentId, ProposalId};
use crate::key::Key;
use crate::op::{Op, Refusal};
use crate::outcome::{Fence, Outcome, Rule, Winner};
use crate::proposal::{Claimed, Precondition, Proposal, Read};
use crate::state::State;
use crate::value::{Number, Value};

/// 32 bytes that stand for a value: equal values, and (for all one can do) only those, have equal digests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The digest of one value.
pub(crate) fn digest<T: Feed + ?Sized>(value: &T) -> Digest {
    let mut sink = Sink::new();
    value.feed(&mut sink);
    sink.finish()
}

/// Takes the canonical bytes of values, and hashes them all at once: the hash function takes many more bytes at a time than a
/// value has.
#[derive(Default)]
pub(crate) struct Sink {
    bytes: Vec<u8>,
    /// Takes those that were more than [`ENOUGH`].
    hasher: Option<Box<blake3::Hasher>>,
}

/// So many bytes are hashed before more are taken.
const ENOUGH: usize = 1 << 17;

impl Sink {
    pub(crate) fn new() -> Self {
        Sink::default()
    }

    pub(crate) fn finish(&self) -> Digest {
        let hash = match &self.hasher {
            None => blake3::hash(&self.bytes),
            Some(hasher) => hasher.clone().update(&self.bytes).finalize(),
        };
        Digest(*hash.as_bytes())
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= ENOUGH {
            self.pass_on();
        }
        self
    }

    #[cold]
    fn pass_on(&mut self) {
        self.hasher.get_or_insert_default().update(&self.bytes);
        self.bytes.clear();
    }

    #[inline]
    pub(crate) fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes(&[tag])
    }

    #[inline]
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    pub(crate) fn all<'a, T: Feed + 'a>(
        &mut self,
        values: impl ExactSizeIterator<Item = &'a T>,
    ) -> &mut Self {
        self.number(values.len() as u64);
        values.for_each(|value| value.feed(self));
        self
    }
}

/// What has canonical bytes.
pub(crate) trait Feed {
    fn feed(&self, sink: &mut Sink);
}

impl Feed for str {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self);
    }
}

impl Feed for Key {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

impl Feed for AgentId {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

impl Feed for ProposalId {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.as_str());
    }
}

impl Feed for Version {
    fn feed(&self, sink: &mut Sink) {
        sink.number(self.0);
    }
}

impl Feed for Class {
    fn feed(&self, sink: &mut Sink) {
        sink.tag(self.index() as u8);
    }
}

impl Feed for Digest {
    fn feed(&self, sink: &mut Sink) {
        sink.bytes(&self.0);
    }
}

impl<T: Feed + ?Sized> Feed for &T {
    fn feed(&self, sink: &mut Sink) {
        (**self).feed(sink);
    }
}

impl<T: Feed> Feed for Option<T> {
    fn feed(&self, sink: &mut Sink) {
        match self {
            None => {
                sink.tag(0);
            }
            Some(value) => value.feed(sink.tag(1)),
        }
    }
}

impl Feed for u64 {
    fn feed(&self, sink: &mut Sink) {
        sink.number(*self);
    }
}

impl Feed for i64 {
    fn feed(&self, sink: &mut Sink) {
        sink.number(*self as u64);
    }
}

impl Feed for Value {
    fn feed(&self, sink: &mut Sink) {
        match self {
            Value::Bool(value) => {
                sink.tag(1).tag(u8::from(*value));
            }
            Value::Number(Number::Int(value)) => value.feed(sink.tag(2)),
            Value::Number(Number::Float(value)) => {
                sink.tag(3).number(value.get().to_bits());
            }
            Value::Text(text) => {
                sink.tag(4).text(text);
            }
            Value::List(list) => {
                sink.tag(5).all(list.iter());
            }
            Value::Set(set) => {
                sink.tag(6).all(set.iter());
            }
            Value::Map(map) => {
                sink.tag(7).number(map.len() as u64);
                for (name, value) in map.iter() {
                    value.feed(sink.text(name));
                }
            }
            Value::Requirement(requirement) => {
                sink.tag(8).text(&requirement.to_string());
            }
        }
    }
}

impl Feed for Op {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.operator().name());
        match self {
            Op::Remove => {}
            Op::Add { by, at_least, at_most } => {
                by.feed(sink);
                at_least.feed(sink);
                at_most.feed(sink);
            }
            Op::Set(value) | Op::Max(value) | Op::Min(value) | Op::Agree(value) => value.feed(sink),
            Op::Union(values) | Op::Intersect(values) => {
                sink.all(values.iter());
            }
            Op::Constrain(requirement) => {
                sink.text(&requirement.to_string());
            }
        }
    }
}

impl Feed for Read<Key> {
    fn feed(&self, sink: &mut Sink) {
        match self {
            Read::Key(key) => key.feed(sink.tag(1)),
            Read::Under(key) => key.feed(sink.tag(2)),
        }
    }
}

impl Feed for Precondition {
    fn feed(&self, sink: &mut Sink) {
        match self {
            Precondition::Equals(key, value) => {
                key.feed(sink.tag(1));
                value.feed(sink);
            }
            Precondition::Exists(key) => key.feed(sink.tag(2)),
            Precondition::Absent(key) => key.feed(sink.tag(3)),
        }
    }
}

impl Feed for Proposal {
    fn feed(&self, sink: &mut Sink) {
        self.id.feed(sink);
        sink.number(u64::from(self.attempt));
        self.agent.feed(sink);
        sink.number(self.incarnation);
        self.base.feed(sink);
        self.born.feed(sink);
        sink.all(self.reads.iter()).all(self.preconditions.iter());
        sink.number(self.writes.len() as u64);
        for (key, op) in &self.writes {
            key.feed(sink);
            op.feed(sink);
        }
        self.hint.class.feed(sink);
        self.hint.deadline.feed(sink);
        self.claim.as_deref().feed(sink);
        self.quorum.as_deref().feed(sink);
    }
}

impl Feed for Claimed {
    fn feed(&self, sink: &mut Sink) {
        self.key.feed(sink);
        self.token.feed(sink);
        self.since.feed(sink);
    }
}

impl Feed for FencingToken {
    fn feed(&self, sink: &mut Sink) {
        sink.number(self.incarnation.0).number(self.counter);
    }
}

impl Feed for Fence {
    fn feed(&self, sink: &mut Sink) {
        match self {
            Fence::Token { key, current } => {
                key.feed(sink.tag(1));
                current.feed(sink);
            }
            Fence::Since { key, since } => {
                key.feed(sink.tag(2));
                since.feed(sink);
            }
            Fence::Incarnation { current } => current.feed(sink.tag(3)),
        }
    }
}

impl Feed for Winner {
    fn feed(&self, sink: &mut Sink) {
        match self {
            Winner::Accepted { agent, id } => {
                agent.feed(sink.tag(1));
                id.feed(sink);
            }
            Winner::Stored { agent, version } => {
                agent.feed(sink.tag(2));
                version.feed(sink);
            }
        }
    }
}

impl Feed for Rule {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.name());
        match self {
            Rule::Refused(Refusal::Bound(bound)) => {
                bound.bound.feed(sink);
                sink.bytes(&bound.reached.to_le_bytes());
            }
            Rule::Refused(Refusal::Kind { operator, found }) => {
                sink.tag(1).text(operator.name()).text(found);
            }
            Rule::Refused(Refusal::Operators(a, b)) => {
                sink.tag(2).text(a.name()).text(b.name());
            }
            _ => {}
        }
    }
}

impl Feed for Outcome {
    fn feed(&self, sink: &mut Sink) {
        sink.text(self.name());
        match self {
            Outcome::Committed { version, order } => {
                version.feed(sink);
                sink.number(u64::from(*order));
            }
            Outcome::Conflict { with, key, rule } => {
                with.feed(sink);
                rule.feed(sink.text(key));
            }
            Outcome::PreconditionFailed { expected, found } => {
                expected.feed(sink);
                found.feed(sink);
            }
            Outcome::TooOld { horizon } => horizon.feed(sink),
            Outcome::LimitReached { what: text } | Outcome::Invalid { reason: text } => {
                sink.text(text);
            }
            Outcome::Forbidden { key } => key.feed(sink),
            Outcome::StaleClaim { fence } => fence.feed(sink),
            Outcome::Rejected { tally } => {
                let Tally { yes, no, abstained, vetoed, needed, of } = *tally;
                for count in [yes, no, abstained, u64::from(vetoed), needed, of] {
                    sink.number(count);
                }
            }
            Outcome::Expired | Outcome::Cancelled | Outcome::CommitUnknown => {}
        }
    }
}

impl Feed for State {
    fn feed(&self, sink: &mut Sink) {
        self.version.feed(sink);
        self.horizon.feed(sink);
        sink.number(self.removed.len() as u64);
        for (key, gone) in &self.removed {
            key.feed(sink);
            gone.version.feed(sink);
            gone.writer.feed(sink);
        }
        sink.number(self.len() as u64);
        for (key, entry) in self.iter() {
            key.feed(sink);
            entry.value.feed(sink);
            entry.version.feed(sink);
            entry.writer.feed(sink);
            sink.text(entry.operator.name());
        }
    }
}
