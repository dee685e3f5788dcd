//! What a hive remembers, and how it is found again in a log.

use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;

use queenright_primitives::Version;

use super::ballots::{Attempt, Ballots};
use super::intents::Intents;
use super::quorum::Ballot;
use super::round::{applied, horizon};
use crate::encoding::{Digest, decoded, encoded, fields};
use crate::log::{Archive, Image, LogError, Recent, Record};
use crate::proposal::Proposal;
use crate::state::State;

/// What is remembered beside the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// The clock of the last round.
    pub(crate) now: u64,
    pub(crate) intents: Intents,
    pub(crate) ballots: Ballots,
    pub(crate) again: Again,
}

/// What the last round has left to be judged in the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Again {
    pub(crate) pending: Vec<Proposal>,
    /// The ballots of those.
    pub(crate) passed: BTreeMap<Attempt, Ballot>,
}

impl Memory {
    /// Goes on to the next round.
    pub(crate) fn follow(&mut self, record: &Record) {
        let Record { input, batch, verdicts, .. } = record;
        self.now = input.now;
        let horizon = horizon(input.round, input.policy.window, self.intents.horizon());
        self.intents.remember(input, batch, verdicts, horizon);
        // As the queen did: she opens, counts and closes in this order.
        for proposal in &record.opened {
            self.ballots.open(proposal, input.now);
        }
        for vote in &record.votes {
            // What was recorded was counted.
            let _ = self.ballots.cast(vote, input.now);
        }
        for name in &input.cancelled {
            self.ballots.withdraw(name);
        }
        self.ballots.close(input.now);
        self.again =
            Again { pending: record.pending().cloned().collect(), passed: record.passed() };
    }
}

fields!(Again { pending, passed });
fields!(Memory { now, intents, ballots, again });

/// Where a hive goes on.
pub(crate) struct Restored {
    pub(crate) state: State,
    /// The digest of the last record.
    pub(crate) head: Digest,
    pub(crate) memory: Memory,
}

/// What is in an image.
struct Content {
    state: State,
    memory: Memory,
}

fields!(Content { state, memory });

/// The image of a version.
pub(crate) fn image(state: State, head: Digest, memory: Memory) -> Image {
    let version = state.version();
    Image { version, head, bytes: encoded(&Content { state, memory }) }
}

impl Restored {
    /// At the beginning.
    pub(crate) fn at_base(state: State) -> Self {
        Restored { state, head: Digest::default(), memory: Memory::default() }
    }

    /// Where an image was made.
    ///
    /// # Errors
    /// [`LogError::Diverges`] if it is none.
    pub(crate) fn at(image: &Image) -> Result<Self, LogError> {
        let diverges = |what| LogError::Diverges { round: image.version, what };
        let Content { state, memory } =
            decoded(&image.bytes).map_err(|error| diverges(format!("its image: {error}")))?;
        if state.version() != image.version {
            return Err(diverges("its image is that of another version".to_owned()));
        }
        Ok(Restored { state, head: image.head, memory })
    }

    /// Goes on to the next round, as it was judged.
    ///
    /// # Errors
    /// [`LogError::Diverges`] if the record does not follow.
    pub(crate) fn follow(&mut self, record: &Record) -> Result<(), LogError> {
        let round = self.state.version().next();
        if record.previous != self.head || record.input.round != round {
            let what = "the record does not follow the one before it".to_owned();
            return Err(LogError::Diverges { round, what });
        }
        let state = take(&mut self.state);
        self.state = applied(state, &record.batch, &record.input, &record.verdicts);
        self.memory.follow(record);
        self.head = record.digest;
        Ok(())
    }

    /// Reads a log up to a round, or begins one that is empty with this state.
    ///
    /// # Errors
    /// [`LogError`].
    pub(crate) fn from_log(
        archive: &dyn Archive,
        last: Version,
        base: impl FnOnce() -> State,
        recent: &mut Recent,
    ) -> Result<Self, LogError> {
        let mut restored = match archive.image(last)? {
            Some(image) => Restored::at(&image)?,
            None if last == Version(0) => {
                let Restored { state, head, memory } = Restored::at_base(base());
                archive.keep_image(&image(state.clone(), head, memory.clone()))?;
                Restored { state, head, memory }
            }
            None => {
                let what = "there is no image to begin with".to_owned();
                return Err(LogError::Diverges { round: Version(1), what });
            }
        };
        for entry in archive.after(restored.state.version())? {
            let entry = entry?;
            let record = entry.record()?;
            restored.follow(&record)?;
            recent.append(Arc::new(record));
        }
        match restored.state.version() == last {
            true => Ok(restored),
            false => {
                Err(LogError::OutOfSequence { last: restored.state.version(), expected: last })
            }
        }
    }
}
