//! Reading a log from where it begins, round by round.

use std::path::{Path, PathBuf};

use queenright::consensus::Divergence;
use queenright::log::{DiskReader, Entries, Image, LogError};
use queenright::{Digest, Record, State, Version};

use super::Fault;

/// A log in a folder.
pub(super) struct Log {
    pub(super) path: PathBuf,
    pub(super) reader: DiskReader,
}

/// From where rounds can be decided again.
pub(super) struct Start {
    pub(super) state: State,
    /// The digest of the record that made it.
    pub(super) head: Digest,
}

impl Log {
    pub(super) fn open(path: &Path) -> Result<Log, Fault> {
        Ok(Log { path: path.to_owned(), reader: DiskReader::open(path)? })
    }

    /// The version from which on rounds are kept.
    pub(super) fn before(&self) -> Version {
        Version(self.reader.first().0.saturating_sub(1))
    }

    /// The oldest image that can be used.
    pub(super) fn start(&self) -> Result<Start, Fault> {
        let mut wrong = None;
        for version in self.reader.images()?.into_iter().filter(|it| *it >= self.before()) {
            match self.image(version).and_then(|image| start(&image)) {
                Ok(start) => return Ok(start),
                Err(error) => wrong = wrong.or(Some(error)),
            }
        }
        if wrong.is_none()
            && self.before() == Version(0)
            && self.after(Version(0), None)?.next().is_none()
        {
            // It was opened, but no hive has begun it.
            return Ok(Start { state: State::base([]), head: Digest::default() });
        }
        Err(wrong.map_or_else(
            || {
                let what =
                    format!("{} has no image with which its rounds begin", self.path.display());
                Fault::new(what).help("restore the images from a backup of the log's folder")
            },
            Fault::from,
        ))
    }

    /// The newest state that the log has, nothing of which is decided again.
    pub(super) fn last_state(&self) -> Result<State, Fault> {
        let Some(image) = self.reader.image(Version(u64::MAX))? else {
            return Ok(self.start()?.state);
        };
        let Start { mut state, head } = start(&image)?;
        for record in self.after(state.version(), Some(head))? {
            state = applied(&state, &record?);
        }
        Ok(state)
    }

    /// The image of exactly this version.
    pub(super) fn image(&self, version: Version) -> Result<Image, LogError> {
        let image = self.reader.image(version)?.filter(|image| image.version == version);
        let what = || format!("the image of version {version} cannot be read");
        image.ok_or_else(|| LogError::Other(what()))
    }

    /// The records after a round. Each has to follow the one before; the first this digest, if it is known.
    pub(super) fn after(&self, round: Version, head: Option<Digest>) -> Result<Records, Fault> {
        Ok(Records { entries: self.reader.after(round)?, head })
    }

    /// What a round that cannot be confirmed means.
    pub(super) fn diverges(&self, divergence: &Divergence) -> Fault {
        let round = divergence.version.0;
        Fault::new(format!("{}: {divergence}", self.path.display())).in_round(round).help(format!(
            "the record is whole, but this is not what was decided: it was changed together with its checksums, or decided by \
             another version of queenright. Restore the log's folder from a backup; `queenright log show {path} --round {round}` \
             prints the round, `queenright log replay {path} --at {before}` the state before it",
            path = self.path.display(),
            before = round.saturating_sub(1)
        ))
    }
}

fn start(image: &Image) -> Result<Start, LogError> {
    Ok(Start { state: image.state()?, head: image.head })
}

/// The state after a round.
pub(super) fn applied(state: &State, record: &Record) -> State {
    queenright::consensus::apply(state, &record.batch, &record.input, &record.verdicts)
}

/// Records, of which those of one file are in memory at a time.
pub(super) struct Records {
    entries: Entries,
    head: Option<Digest>,
}

impl Iterator for Records {
    type Item = Result<Record, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.entries.next()?.and_then(|entry| {
            let record = entry.record()?;
            let follows = self.head.is_none_or(|head| head == record.previous);
            self.head = Some(entry.digest);
            let what = || "the record does not follow the one before it".to_owned();
            let diverges = || LogError::Diverges { round: entry.round, what: what() };
            if follows { Ok(record) } else { Err(diverges()) }
        });
        Some(record.map_err(Fault::from))
    }
}
