use std::error::Error;
use std::fmt;

/// Why [`Pool::put`](super::Pool::put) did not keep an object, which it gives back.
#[non_exhaustive]
pub enum PutError<T> {
    /// The pool keeps as many idle objects as it can: drop this one, or make the pool larger.
    Full(T),
    /// It is not worth keeping, says [`Builder::keep_if`](super::Builder::keep_if).
    Refused(T),
}

impl<T> PutError<T> {
    /// The object.
    pub fn into_inner(self) -> T {
        match self {
            PutError::Full(object) | PutError::Refused(object) => object,
        }
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "Full(..)",
            PutError::Refused(_) => "Refused(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PutError::Full(_) => "the pool is full; drop the object or make the pool larger",
            PutError::Refused(_) => "the pool does not keep such objects; drop it",
        })
    }
}

impl<T> Error for PutError<T> {}
