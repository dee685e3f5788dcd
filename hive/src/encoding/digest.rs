//! What stands for a value.

use std::fmt;

use super::{Decode, DecodeError, Encode, Sink, Source};

/// 32 bytes that stand for a value: equal values, and (for all one can do) only those, have equal digests.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest (blake3) of bytes: of the value whose encoding they are.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Digest(*blake3::hash(bytes).as_bytes())
    }
}

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

/// The digest of one value: of its canonical bytes.
pub(crate) fn digest<T: Encode + ?Sized>(value: &T) -> Digest {
    let mut sink = Sink::new();
    value.encode(&mut sink);
    sink.finish()
}

impl Encode for Digest {
    fn encode(&self, sink: &mut Sink) {
        sink.bytes(&self.0);
    }
}

impl Decode for Digest {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.array().map(Digest)
    }
}
