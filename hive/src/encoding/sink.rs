//! Where encodings are written to.

use super::digest::Digest;

/// What has canonical bytes.
pub(crate) trait Encode {
    fn encode(&self, sink: &mut Sink);
}

/// The canonical bytes of a value.
pub(crate) fn encoded<T: Encode + ?Sized>(value: &T) -> Vec<u8> {
    let mut sink = Sink { keeps: true, ..Sink::new() };
    value.encode(&mut sink);
    sink.bytes
}

/// Takes the canonical bytes of values, and keeps them, or hashes many at once: the hash function takes many more bytes at a time
/// than a value has.
pub(crate) struct Sink {
    bytes: Vec<u8>,
    /// Whether all bytes are wanted; else, only their digest.
    keeps: bool,
    /// Takes those that were more than [`ENOUGH`].
    hasher: Option<Box<blake3::Hasher>>,
}

/// So many bytes are hashed before more are taken.
const ENOUGH: usize = 1 << 17;

/// So many bytes need no second allocation.
const FIRST: usize = 1 << 8;

impl Sink {
    /// Of which only a digest is wanted.
    pub(crate) fn new() -> Self {
        Sink { bytes: Vec::with_capacity(FIRST), keeps: false, hasher: None }
    }

    /// The digest of all bytes.
    pub(crate) fn finish(&self) -> Digest {
        match &self.hasher {
            None => Digest::of(&self.bytes),
            Some(hasher) => Digest(*hasher.clone().update(&self.bytes).finalize().as_bytes()),
        }
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        if bytes.len() > self.bytes.capacity() - self.bytes.len() {
            return self.beyond_capacity(bytes);
        }
        self.bytes.extend_from_slice(bytes);
        self
    }

    #[inline]
    pub(crate) fn tag(&mut self, tag: u8) -> &mut Self {
        if self.bytes.len() == self.bytes.capacity() {
            return self.beyond_capacity(&[tag]);
        }
        self.bytes.push(tag);
        self
    }

    /// Hashes what there is, or takes memory for more.
    #[cold]
    #[inline(never)]
    fn beyond_capacity(&mut self, bytes: &[u8]) -> &mut Self {
        if !self.keeps && self.bytes.len().saturating_add(bytes.len()) > ENOUGH {
            let hasher = self.hasher.get_or_insert_default();
            hasher.update(&self.bytes);
            self.bytes.clear();
            if bytes.len() > ENOUGH {
                hasher.update(bytes);
                return self;
            }
        }
        self.bytes.extend_from_slice(bytes);
        self
    }

    #[inline]
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        match u8::try_from(number) {
            Ok(byte @ 0..0x80) => self.tag(byte),
            _ => self.long_number(number),
        }
    }

    fn long_number(&mut self, mut number: u64) -> &mut Self {
        // A `u64` has ten groups of seven bits at most.
        let mut bytes = [0; 10];
        let mut len = 0;
        while number >= 0x80 {
            bytes[len] = number as u8 | 0x80;
            number >>= 7;
            len += 1;
        }
        bytes[len] = number as u8;
        self.bytes(&bytes[..=len])
    }

    #[inline]
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    /// A sequence; a map or set, if they come in ascending order.
    #[inline]
    pub(crate) fn all<T: Encode>(
        &mut self,
        values: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
    ) -> &mut Self {
        let values = values.into_iter();
        self.number(values.len() as u64);
        values.for_each(|value| value.encode(self));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::digest;

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        for (len, times) in [(0, 1), (1, 3), (1000, 1000), (ENOUGH, 3), (ENOUGH + 1, 2)] {
            let texts = vec!["x".repeat(len); times];
            let whole = encoded(&texts);
            assert_eq!(digest(&texts), Digest::of(&whole), "{times} of {len}");
            let mut sink = Sink::new();
            texts.encode(&mut sink);
            assert!(sink.bytes.capacity() <= 2 * ENOUGH, "{times} of {len}");
            assert_eq!(sink.hasher.is_some(), whole.len() > 2 * ENOUGH, "{times} of {len}");
        }
        let bytes = vec![true; 3 * ENOUGH];
        assert_eq!(digest(&bytes), Digest::of(&encoded(&bytes)));
    }
}
