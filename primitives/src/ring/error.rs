//! What can keep a message from being published or received.

use std::error::Error;
use std::fmt;

/// A message that was not published because the ring is closed, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublishError<T>(pub T);

/// A message that [`Publisher::try_publish`](super::Publisher::try_publish) did not publish, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryPublishError<T> {
    /// A `Block` subscription is full: try again later, or wait with `publish`.
    Full(T),
    /// The ring is closed, and takes nothing any more.
    Closed(T),
}

/// A message that [`Publisher::publish_timeout`](super::Publisher::publish_timeout) did not publish, given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishTimeoutError<T> {
    /// A `Block` subscription was full for all that time: try again, or find out why it does not receive.
    TimedOut(T),
    /// The ring is closed, and takes nothing any more.
    Closed(T),
}

impl<T> PublishError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T> TryPublishError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            TryPublishError::Full(message) | TryPublishError::Closed(message) => message,
        }
    }
}

impl<T> PublishTimeoutError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            PublishTimeoutError::TimedOut(message) | PublishTimeoutError::Closed(message) => {
                message
            }
        }
    }
}

/// Why there is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// This many messages were overwritten before they were received. The next call goes on with the oldest that is left.
    Lagged(u64),
    /// The ring is closed, and everything was received.
    Closed,
}

/// Why there is no message now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing new is there: nothing was published, or what was has made room for a publication that is under way (not with
    /// `Block`). Try again later, or wait with `recv`.
    Empty,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// As [`RecvError::Closed`].
    Closed,
}

/// Why there is no message yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvTimeoutError {
    /// The time was up, and nothing new was published: call again.
    TimedOut,
    /// As [`RecvError::Lagged`].
    Lagged(u64),
    /// As [`RecvError::Closed`].
    Closed,
}

impl From<RecvError> for TryRecvError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(lost) => TryRecvError::Lagged(lost),
            RecvError::Closed => TryRecvError::Closed,
        }
    }
}

impl From<RecvError> for RecvTimeoutError {
    fn from(error: RecvError) -> Self {
        match error {
            RecvError::Lagged(lost) => RecvTimeoutError::Lagged(lost),
            RecvError::Closed => RecvTimeoutError::Closed,
        }
    }
}

const CLOSED: &str = "the ring is closed";
const FULL: &str = "a subscription that blocks publishers is full: its subscriber must receive";

fn lagged(f: &mut fmt::Formatter<'_>, lost: u64) -> fmt::Result {
    write!(f, "{lost} messages were overwritten before they were received; receive again to go on")
}

impl<T> fmt::Display for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CLOSED)
    }
}

impl<T> fmt::Display for TryPublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPublishError::Full(_) => FULL,
            TryPublishError::Closed(_) => CLOSED,
        })
    }
}

impl<T> fmt::Display for PublishTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishTimeoutError::TimedOut(_) => FULL,
            PublishTimeoutError::Closed(_) => CLOSED,
        })
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Lagged(lost) => lagged(f, *lost),
            RecvError::Closed => f.write_str(CLOSED),
        }
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TryRecvError::Empty => f.write_str("no message is there: wait with `recv`"),
            TryRecvError::Lagged(lost) => lagged(f, *lost),
            TryRecvError::Closed => f.write_str(CLOSED),
        }
    }
}

impl fmt::Display for RecvTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvTimeoutError::TimedOut => f.write_str("no message came in time: call again"),
            RecvTimeoutError::Lagged(lost) => lagged(f, *lost),
            RecvTimeoutError::Closed => f.write_str(CLOSED),
        }
    }
}

// Without a look at the message, so that results can be unwrapped whatever it is.
impl<T> fmt::Debug for PublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublishError(..)")
    }
}

impl<T> fmt::Debug for TryPublishError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryPublishError::Full(_) => "Full(..)",
            TryPublishError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Debug for PublishTimeoutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PublishTimeoutError::TimedOut(_) => "TimedOut(..)",
            PublishTimeoutError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> Error for PublishError<T> {}
impl<T> Error for TryPublishError<T> {}
impl<T> Error for PublishTimeoutError<T> {}
impl Error for RecvError {}
impl Error for TryRecvError {}
impl Error for RecvTimeoutError {}
