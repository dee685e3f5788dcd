//! The canonical bytes of everything a round decides on: what a [`Digest`] is of, and what stands on disk.
//!
//! A value has one encoding, and no two values have the same. Decoding is strict and total: whatever bytes it is given, it
//! refuses them, or they are the encoding of what it returns. It never panics, and needs memory in proportion to the bytes.
//!
//! | what | bytes |
//! |---|---|
//! | numbers without sign, lengths, versions, places | LEB128: seven bits a byte, lowest first, the highest bit set in all but the last; as few as possible |
//! | `i64` | the same, of `0, -1, 1, -2, …` counted from 0 |
//! | `f64`, `i128` | 8 and 16, little endian; floats are finite and not minus zero |
//! | truth | 0 or 1 |
//! | something or nothing | 0, or 1 and the thing |
//! | text, keys, names | the length in bytes, UTF-8 |
//! | digests | 32 |
//! | sequences | the number of elements, the elements |
//! | sets, maps | the same, in strictly ascending order |
//! | one of several variants | a tag of one byte, the fields of the variant |
//! | everything else | field by field |
//!
//! The tags, and the order of fields, are a file format: those that are in use never change. [`Encode`] and [`Decode`] of a
//! type stand next to each other, here or beside the type.

mod basics;
mod digest;
pub mod fuzzing;
mod outcomes;
mod proposals;
mod sink;
mod source;
mod states;
mod values;

pub use digest::Digest;
pub(crate) use digest::digest;
pub(crate) use sink::{Encode, Sink, encoded};
pub(crate) use source::{Decode, DecodeError, Source, decoded};

/// Encodes and decodes an enum without fields by tags of one byte. What is said of another tag comes first.
macro_rules! tags {
    ($unknown:literal, $name:ident { $($tag:literal => $variant:ident),* $(,)? }) => {
        impl $crate::encoding::Encode for $name {
            fn encode(&self, sink: &mut $crate::encoding::Sink) {
                sink.tag(match self {
                    $($name::$variant => $tag,)*
                });
            }
        }

        impl $crate::encoding::Decode for $name {
            fn decode(
                source: &mut $crate::encoding::Source<'_>,
            ) -> Result<Self, $crate::encoding::DecodeError> {
                source.tagged($unknown, |tag, _| {
                    Ok(Some(match tag {
                        $($tag => $name::$variant,)*
                        _ => return Ok(None),
                    }))
                })
            }
        }
    };
}
pub(crate) use tags;

/// Encodes and decodes a struct field by field, in the order in which they are given.
macro_rules! fields {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::encoding::Encode for $name {
            fn encode(&self, sink: &mut $crate::encoding::Sink) {
                $($crate::encoding::Encode::encode(&self.$field, sink);)*
            }
        }

        impl $crate::encoding::Decode for $name {
            fn decode(
                source: &mut $crate::encoding::Source<'_>,
            ) -> Result<Self, $crate::encoding::DecodeError> {
                // Whichever is forgotten here is missed by the compiler.
                Ok($name { $($field: $crate::encoding::Decode::decode(source)?,)* })
            }
        }
    };
}
pub(crate) use fields;

#[cfg(test)]
pub(crate) mod tests;
