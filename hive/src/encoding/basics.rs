//! Numbers, text, and what is made of several values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Decode, DecodeError, Encode, Sink, Source};

impl Encode for u64 {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.number(*self);
    }
}

impl Decode for u64 {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.number()
    }
}

impl Encode for u32 {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.number(u64::from(*self));
    }
}

impl Decode for u32 {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        smaller(source, "a number of more than 32 bits")
    }
}

impl Encode for usize {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.number(*self as u64);
    }
}

impl Decode for usize {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        smaller(source, "a number beyond those of this machine")
    }
}

fn smaller<T: TryFrom<u64>>(source: &mut Source<'_>, what: &'static str) -> Result<T, DecodeError> {
    let offset = source.offset();
    T::try_from(source.number()?).map_err(|_| DecodeError { offset, what })
}

impl Encode for i64 {
    fn encode(&self, sink: &mut Sink) {
        sink.number((self << 1 ^ self >> 63) as u64);
    }
}

impl Decode for i64 {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let number = source.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

impl Encode for i128 {
    fn encode(&self, sink: &mut Sink) {
        sink.bytes(&self.to_le_bytes());
    }
}

impl Decode for i128 {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.array().map(i128::from_le_bytes)
    }
}

impl Encode for bool {
    fn encode(&self, sink: &mut Sink) {
        sink.tag(u8::from(*self));
    }
}

impl Decode for bool {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("neither true nor false", |tag, _| {
            Ok(match tag {
                0 => Some(false),
                1 => Some(true),
                _ => None,
            })
        })
    }
}

impl Encode for str {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        sink.text(self);
    }
}

impl Encode for String {
    fn encode(&self, sink: &mut Sink) {
        sink.text(self);
    }
}

impl Decode for String {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.text().map(String::from)
    }
}

impl Decode for Arc<str> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.text().map(Arc::from)
    }
}

impl<T: Encode> Encode for Option<T> {
    fn encode(&self, sink: &mut Sink) {
        match self {
            None => drop(sink.tag(0)),
            Some(value) => value.encode(sink.tag(1)),
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.tagged("neither something nor nothing", |tag, source| {
            Ok(match tag {
                0 => Some(None),
                1 => Some(Some(T::decode(source)?)),
                _ => None,
            })
        })
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        (**self).encode(sink);
    }
}

impl<T: Encode + ?Sized> Encode for Arc<T> {
    fn encode(&self, sink: &mut Sink) {
        (**self).encode(sink);
    }
}

impl<T: Decode> Decode for Arc<T> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        T::decode(source).map(Arc::new)
    }
}

impl<T: Encode + ?Sized> Encode for Box<T> {
    fn encode(&self, sink: &mut Sink) {
        (**self).encode(sink);
    }
}

impl<T: Decode> Decode for Box<T> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        T::decode(source).map(Box::new)
    }
}

impl<A: Encode, B: Encode> Encode for (A, B) {
    #[inline]
    fn encode(&self, sink: &mut Sink) {
        self.0.encode(sink);
        self.1.encode(sink);
    }
}

impl<A: Decode, B: Decode> Decode for (A, B) {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        Ok((A::decode(source)?, B::decode(source)?))
    }
}

impl<T: Encode> Encode for Vec<T> {
    fn encode(&self, sink: &mut Sink) {
        sink.all(self);
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.all(T::decode)
    }
}

impl<T: Encode> Encode for BTreeSet<T> {
    fn encode(&self, sink: &mut Sink) {
        sink.all(self);
    }
}

impl<T: Decode + Ord> Decode for BTreeSet<T> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.ascending(T::decode, |element| element).map(BTreeSet::from_iter)
    }
}

impl<K: Encode, V: Encode> Encode for BTreeMap<K, V> {
    fn encode(&self, sink: &mut Sink) {
        sink.all(self);
    }
}

impl<K: Decode + Ord, V: Decode> Decode for BTreeMap<K, V> {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        source.ascending(Decode::decode, |entry: &(K, V)| &entry.0).map(BTreeMap::from_iter)
    }
}
