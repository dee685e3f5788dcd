//! What can be wrong with a log.

use std::fmt;
use std::io;
use std::path::PathBuf;

use queenright_primitives::Version;

/// Why a log cannot be opened, read or appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogError {
    /// The system could not do something with a file.
    Io {
        /// What.
        doing: &'static str,
        /// With which.
        path: PathBuf,
        /// What kind of error it is.
        kind: io::ErrorKind,
        /// What the system says.
        error: String,
    },
    /// Another hive has it open.
    Locked {
        /// The log's folder.
        path: PathBuf,
    },
    /// It was written by a later version of this code.
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// Something that was durable is not as it was written.
    Damaged {
        /// The file.
        path: PathBuf,
        /// From which byte on.
        offset: u64,
        /// The first round that cannot be read, if that is known.
        round: Option<Version>,
        /// What is wrong, and what can be done.
        what: String,
    },
    /// A part of it is not there.
    Missing {
        /// Which file.
        path: PathBuf,
        /// Why it has to be there, and what can be done.
        what: String,
    },
    /// Somebody else appends under a later term.
    Fenced {
        /// Whose turn it was.
        term: u64,
        /// Whose turn it is.
        current: u64,
    },
    /// The log does not end where the caller thinks.
    OutOfSequence {
        /// Where it ends.
        last: Version,
        /// Where the caller thought.
        expected: Version,
    },
    /// More than a log takes at once.
    TooLarge {
        /// From which round on.
        round: Version,
    },
    /// It failed before, and what was under way then is not known: open it again.
    Failed,
    /// A record does not follow from those before it.
    Diverges {
        /// The round.
        round: Version,
        /// What is wrong with it.
        what: String,
    },
    /// A log that is no file's does not work.
    Other(String),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogError::Io { doing, path, error, .. } => {
                write!(f, "could not {doing} {}: {error}", path.display())
            }
            LogError::Locked { path } => {
                write!(f, "{} is open in another hive: end that one first", path.display())
            }
            LogError::UnknownFormat { path, found } => write!(
                f,
                "{} has format {found}, which is newer than this version of queenright: use a newer one",
                path.display()
            ),
            LogError::Damaged { path, offset, round, what } => {
                write!(f, "{} is damaged at byte {offset}", path.display())?;
                match round {
                    Some(round) => write!(f, ", from round {round} on: {what}"),
                    None => write!(f, ": {what}"),
                }
            }
            LogError::Missing { path, what } => {
                write!(f, "{} is missing: {what}", path.display())
            }
            LogError::Fenced { term, current } => write!(
                f,
                "somebody else writes this log under term {current}, after term {term}: open it again"
            ),
            LogError::OutOfSequence { last, expected } => {
                write!(f, "the log ends with round {last}, not with {expected}: read it again")
            }
            LogError::TooLarge { round } => {
                write!(
                    f,
                    "round {round} is larger than a log takes at once: lower the limits of rounds"
                )
            }
            LogError::Failed => f.write_str("the log failed before: open it again"),
            LogError::Diverges { round, what } => write!(f, "round {round}: {what}"),
            LogError::Other(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for LogError {}
