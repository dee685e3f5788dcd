//! The commit log: one record per round, each chained to the one before. It is the truth of a hive: what it holds has happened.
//!
//! By default the last rounds are kept in memory, and everything ends with the process. With
//! [`HiveBuilder::log`](crate::HiveBuilder::log) a hive is made durable: a version can be read, and a proposal is answered, only once its
//! record is as durable as the log says, and a hive that is built on a log goes on where that ends.
//!
//! [`CommitLog`] is what a log has to do. [`MemoryLog`] keeps records as long as the process lives; `DiskLog` (feature `disk`) keeps them in
//! files, which `docs/LOG.md` describes byte by byte.

#[cfg(feature = "disk")]
mod disk;
mod error;
mod memory;
#[cfg(feature = "disk")]
mod points;
mod recent;
mod record;

use std::fmt;
use std::sync::Arc;

use queenright_primitives::Version;

use crate::consensus::{Memory, Restored, image};
use crate::encoding::{Digest, decoded};
use crate::state::State;
#[cfg(feature = "disk")]
pub use disk::{DiskLog, DiskLogOptions, DiskReader, Durability, Keep, Opening, Torn, Verified};
pub use error::LogError;
pub use memory::{MemoryLog, MemoryLogWriter};
pub(crate) use recent::Recent;
pub use record::Record;

/// One record as a log keeps it: bytes that begin with the digest of the record before.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The round. Rounds follow one another without a gap, from 1 on.
    pub round: Version,
    /// The digest (blake3) of the bytes.
    pub digest: Digest,
    /// What [`record`](Self::record) reads.
    pub bytes: Vec<u8>,
}

/// What a hive remembers at one version: with it, only the records after that have to be read.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    /// The version.
    pub version: Version,
    /// The digest of the record that made that version; all zeros for version 0.
    pub head: Digest,
    /// What is remembered. Logs do not look into it.
    pub bytes: Vec<u8>,
}

/// The records that a log gives, in order.
pub type Entries = Box<dyn Iterator<Item = Result<Entry, LogError>> + Send>;

/// Where a hive's records go.
///
/// One writer at a time: whoever opens a log has a term, which rises each time, and appends nothing any more once somebody else has a
/// later one. Implementations are asked by one thread at a time; reading is for others, through [`archive`](Self::archive).
pub trait CommitLog: Send {
    /// The term under which this appends: larger than those of all who had the log before.
    fn term(&self) -> u64;

    /// The last round that it holds; 0 if it holds none.
    fn last(&self) -> Version;

    /// Appends entries, of which there is at least one, all or nothing. When this returns they are as durable as the log promises.
    ///
    /// # Errors
    /// [`LogError::OutOfSequence`] if `expected` is not the last round, and [`LogError::Fenced`] if somebody else has a later term: then nothing was
    /// appended. After any other error it is not known whether the entries are there, and nothing is appended any more: who opens the
    /// log anew sees.
    fn append(&mut self, expected: Version, entries: &[Entry]) -> Result<(), LogError>;

    /// Whether so much was appended that another image is worth its price; then all that was appended can be read by the
    /// [archive](Self::archive). It says so once, and again after as much.
    fn wants_image(&mut self) -> bool;

    /// What others read by, while this appends.
    fn archive(&self) -> Arc<dyn Archive>;
}

/// How a log is read, and where images are kept.
pub trait Archive: Send + Sync {
    /// The entries after a round, up to the last that is as durable as the log promises.
    ///
    /// # Errors
    /// [`LogError`], if the first of them is not there or not to be read. What goes wrong later, the iterator says.
    fn after(&self, round: Version) -> Result<Entries, LogError>;

    /// The newest image that is not of a later version than `most`.
    ///
    /// # Errors
    /// [`LogError`], if there are images, and none of them can be read.
    fn image(&self, most: Version) -> Result<Option<Image>, LogError>;

    /// Keeps an image. Records, and older images, that are not needed any more may go then.
    ///
    /// # Errors
    /// [`LogError`]; the log is as good as before.
    fn keep_image(&self, image: &Image) -> Result<(), LogError>;
}

impl Entry {
    /// The record of a round, as a log keeps it.
    pub fn of(record: &Record) -> Self {
        let bytes = record.to_bytes();
        Entry { round: record.input.round, digest: record.digest, bytes }
    }

    /// The record.
    ///
    /// # Errors
    /// [`LogError::Diverges`] if the bytes are none, or that of another round.
    pub fn record(&self) -> Result<Record, LogError> {
        let diverges = |what| LogError::Diverges { round: self.round, what };
        let record: Record = decoded(&self.bytes)
            .map_err(|error| diverges(format!("its record cannot be read: {error}")))?;
        match record.input.round == self.round {
            true => Ok(record),
            false => Err(diverges(format!("its record is that of round {}", record.input.round))),
        }
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, {}, {} bytes)", self.round, self.digest, self.bytes.len())
    }
}

impl Image {
    /// The image of a state of which nothing else is remembered: no answers, and no ballots.
    pub fn of(state: &State, head: Digest) -> Self {
        image(state.clone(), head, Memory::default())
    }

    /// The state in it.
    ///
    /// # Errors
    /// [`LogError::Diverges`] if there is none.
    pub fn state(&self) -> Result<State, LogError> {
        Ok(Restored::at(self)?.state)
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Image({}, {}, {} bytes)", self.version, self.head, self.bytes.len())
    }
}
