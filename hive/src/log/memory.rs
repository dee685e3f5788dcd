//! A log that is kept in memory, for as long as somebody holds a handle on it.

use std::sync::{Arc, Mutex, MutexGuard};

use queenright_primitives::Version;

use super::{Archive, CommitLog, Entries, Entry, Image, LogError};
use crate::lock::lock;

/// A log in memory. It outlives the hive that writes it, not the process: for tests, and for hives that take over from one another.
///
/// ```
/// use queenright::log::MemoryLog;
/// use queenright::{Hive, Op, Proposal};
///
/// let log = MemoryLog::new();
/// let hive = Hive::builder().log(log.open()).build()?;
/// let proposal = Proposal::on(&hive.snapshot(), "me", "first").write("answer", Op::Set(42.into()))?;
/// assert!(hive.propose(proposal)?.wait().is_committed());
/// drop(hive);
///
/// let again = Hive::builder().log(log.open()).build()?;
/// assert_eq!(again.snapshot().get("answer"), Some(&42.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct MemoryLog(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    term: u64,
    entries: Vec<Entry>,
    images: Vec<Image>,
}

/// What appends to a [`MemoryLog`], until another is [opened](MemoryLog::open).
#[derive(Debug)]
pub struct MemoryLogWriter {
    log: MemoryLog,
    term: u64,
}

impl MemoryLog {
    /// An empty log.
    pub fn new() -> Self {
        MemoryLog::default()
    }

    /// Opens it to be written. Whoever wrote it before appends nothing any more.
    pub fn open(&self) -> MemoryLogWriter {
        let mut kept = self.kept();
        kept.term += 1;
        MemoryLogWriter { log: self.clone(), term: kept.term }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        lock(&self.0)
    }
}

impl CommitLog for MemoryLogWriter {
    fn term(&self) -> u64 {
        self.term
    }

    fn last(&self) -> Version {
        Version(self.log.kept().entries.len() as u64)
    }

    fn append(&mut self, expected: Version, entries: &[Entry]) -> Result<(), LogError> {
        let mut kept = self.log.kept();
        if kept.term != self.term {
            return Err(LogError::Fenced { term: self.term, current: kept.term });
        }
        let last = Version(kept.entries.len() as u64);
        if expected != last {
            return Err(LogError::OutOfSequence { last, expected });
        }
        kept.entries.extend_from_slice(entries);
        Ok(())
    }

    fn wants_image(&mut self) -> bool {
        false
    }

    fn archive(&self) -> Arc<dyn Archive> {
        Arc::new(self.log.clone())
    }
}

impl Archive for MemoryLog {
    fn after(&self, round: Version) -> Result<Entries, LogError> {
        let kept = self.kept();
        let start = usize::try_from(round.0).unwrap_or(usize::MAX).min(kept.entries.len());
        let entries = kept.entries[start..].to_vec();
        Ok(Box::new(entries.into_iter().map(Ok)))
    }

    fn image(&self, most: Version) -> Result<Option<Image>, LogError> {
        let kept = self.kept();
        let fits = kept.images.iter().filter(|image| image.version <= most);
        Ok(fits.max_by_key(|image| image.version).cloned())
    }

    fn keep_image(&self, image: &Image) -> Result<(), LogError> {
        self.kept().images.push(image.clone());
        Ok(())
    }
}
