//! Where encodings are read from.

use std::fmt;

use crate::value::MAX_VALUE_DEPTH;

/// What can be read back from its canonical bytes, and from no others.
pub(crate) trait Decode: Sized {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError>;
}

/// The value that has these canonical bytes, all of them.
pub(crate) fn decoded<T: Decode>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut source = Source::new(bytes);
    let value = T::decode(&mut source)?;
    match source.rest().is_empty() {
        true => Ok(value),
        false => Err(source.error("more than one value")),
    }
}

/// Why bytes are no encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    /// Where, in bytes from the beginning.
    pub(crate) offset: usize,
    /// What is there.
    pub(crate) what: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for DecodeError {}

/// So deep values may be nested: proposals, with what operators make of them, stay well below.
pub(super) const MAX_DEPTH: usize = 2 * MAX_VALUE_DEPTH;

/// Bytes that are read one after the other.
pub(crate) struct Source<'a> {
    bytes: &'a [u8],
    /// The next to be read.
    at: usize,
    /// In how many values.
    depth: usize,
}

impl<'a> Source<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Source { bytes, at: 0, depth: 0 }
    }

    /// How many bytes were read.
    pub(crate) fn offset(&self) -> usize {
        self.at
    }

    /// What was read from there on.
    pub(crate) fn since(&self, offset: usize) -> &'a [u8] {
        &self.bytes[offset..self.at]
    }

    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What is to be said of the next byte.
    pub(crate) fn error(&self, what: &'static str) -> DecodeError {
        DecodeError { offset: self.at, what }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.rest().get(..len).ok_or_else(|| self.error("it ends too early"))?;
        self.at += len;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.rest().first().ok_or_else(|| self.error("it ends too early"))?;
        self.at += 1;
        Ok(byte)
    }

    pub(crate) fn number(&mut self) -> Result<u64, DecodeError> {
        let start = self.at;
        let error = |what| Err(DecodeError { offset: start, what });
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                break;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return match byte == 0 && shift > 0 {
                    true => error("a number with a byte too many"),
                    false => Ok(number),
                };
            }
        }
        error("a number of more than 64 bits")
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        let len = self.count()?;
        let start = self.at;
        let wrong = |error: std::str::Utf8Error| DecodeError {
            offset: start + error.valid_up_to(),
            what: "text that is not UTF-8",
        };
        std::str::from_utf8(self.take(len)?).map_err(wrong)
    }

    /// The variant that `of` knows by the tag that comes next; `unknown` is what is said of other tags.
    pub(crate) fn tagged<T>(
        &mut self,
        unknown: &'static str,
        of: impl FnOnce(u8, &mut Self) -> Result<Option<T>, DecodeError>,
    ) -> Result<T, DecodeError> {
        let start = self.at;
        let tag = self.byte()?;
        of(tag, self)?.ok_or(DecodeError { offset: start, what: unknown })
    }

    /// How many bytes or elements follow: no more than there are bytes, as each element has one at least.
    fn count(&mut self) -> Result<usize, DecodeError> {
        let start = self.at;
        let count =
            usize::try_from(self.number()?).ok().filter(|count| *count <= self.rest().len());
        count.ok_or(DecodeError { offset: start, what: "a length beyond the end" })
    }

    /// A sequence.
    pub(crate) fn all<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count()?;
        let mut all = self.room(count);
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// A sequence in strictly ascending order of what `key` takes out of each element.
    pub(crate) fn ascending<T, K: Ord + ?Sized>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, DecodeError>,
        key: impl Fn(&T) -> &K,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count()?;
        let mut all = self.room(count);
        for _ in 0..count {
            let start = self.at;
            let next = one(self)?;
            if all.last().is_some_and(|last| key(last) >= key(&next)) {
                return Err(DecodeError { offset: start, what: "elements out of order" });
            }
            all.push(next);
        }
        Ok(all)
    }

    /// Memory for so many elements; at first, for no more than the rest has bytes.
    pub(super) fn room<T>(&self, count: usize) -> Vec<T> {
        Vec::with_capacity(count.min(self.rest().len() / size_of::<T>().max(1)))
    }

    /// What stands in a value.
    pub(super) fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<T, DecodeError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error("a value that is nested too deep"));
        }
        self.depth += 1;
        let read = read(self)?;
        self.depth -= 1;
        Ok(read)
    }
}
