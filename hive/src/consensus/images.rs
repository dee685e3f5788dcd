//! The thread that makes images, so that neither the queen nor the log waits for them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use queenright_primitives::Version;

use super::restore::{Memory, image};
use crate::encoding::Digest;
use crate::error::HiveError;
use crate::log::{Archive, LogError};
use crate::observe;
use crate::state::Snapshot;

/// Of what an image is to be made.
pub(crate) struct Wish {
    pub(crate) state: Snapshot,
    /// The digest of its record.
    pub(crate) head: Digest,
}

/// Has images made, one at a time.
pub(crate) struct Images {
    wishes: Option<SyncSender<Wish>>,
    thread: Option<JoinHandle<()>>,
}

/// Makes them.
struct Painter {
    archive: Arc<dyn Archive>,
    /// What is remembered at the version of the last image, or later.
    memory: Memory,
    version: Version,
}

impl Images {
    /// Starts the thread, which knows what is remembered at a version.
    pub(crate) fn start(
        archive: Arc<dyn Archive>,
        memory: Memory,
        version: Version,
    ) -> Result<Self, HiveError> {
        let (sender, wishes) = sync_channel(0);
        let mut painter = Painter { archive, memory, version };
        let thread = thread::Builder::new()
            .name("queenright-images".to_owned())
            .spawn(move || painter.run(&wishes))
            .map_err(|error| HiveError::Start(error.to_string()))?;
        Ok(Images { wishes: Some(sender), thread: Some(thread) })
    }

    /// Has an image made, unless another is being made.
    pub(crate) fn make(&self, wish: Wish) {
        if let Some(wishes) = &self.wishes {
            let _ = wishes.try_send(wish);
        }
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        drop(self.wishes.take());
        if let Some(thread) = self.thread.take() {
            // What it has not made is not needed.
            drop(thread.join());
        }
    }
}

impl Painter {
    fn run(&mut self, wishes: &Receiver<Wish>) {
        while let Ok(wish) = wishes.recv() {
            // An archive is somebody else's code.
            let made = catch_unwind(AssertUnwindSafe(|| self.make(wish)));
            let panicked = |_| Err(LogError::Other("the log has panicked".to_owned()));
            // The log is as good without; the next one is tried again.
            if let Err(error) = made.unwrap_or_else(panicked) {
                observe::no_image(&error);
            }
        }
    }

    fn make(&mut self, Wish { state, head }: Wish) -> Result<(), LogError> {
        let version = state.version();
        for entry in self.archive.after(self.version)? {
            let entry = entry?;
            if entry.round > version {
                break;
            }
            let record = entry.record()?;
            self.memory.follow(&record);
            self.version = entry.round;
        }
        let image = image((*state).clone(), head, self.memory.clone());
        match self.version == version {
            true => self.archive.keep_image(&image),
            false => Err(LogError::OutOfSequence { last: self.version, expected: version }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::{Restored, RoundPolicy};
    use crate::log::MemoryLog;
    use crate::state::State;
    use crate::{Hive, Op, Proposal};

    /// Rivals lose, and are pending for a round each: what is remembered differs from round to round.
    fn rivals() -> MemoryLog {
        let log = MemoryLog::new();
        let policy = RoundPolicy { pending: 10, ..RoundPolicy::default() };
        let hive = Hive::builder().log(log.open()).policy(policy).build().unwrap();
        let rival = |id: &str| {
            let proposal = Proposal::on(&hive.snapshot(), "me", id);
            proposal.write("k", Op::Set(id.into())).unwrap()
        };
        hive.propose_many(["a", "b", "c", "d"].map(rival).to_vec()).unwrap().wait();
        assert_eq!(hive.version(), Version(4), "one of them in each round");
        log
    }

    #[test]
    fn an_image_remembers_what_was_known_at_its_version_however_far_the_log_is() {
        let log = rivals();
        let mut painter = Painter {
            archive: Arc::new(log.clone()),
            memory: Memory::default(),
            version: Version(0),
        };
        let mut expected = Restored::at_base(State::base([]));
        for entry in log.after(Version(0)).unwrap() {
            expected.follow(&entry.unwrap().record().unwrap()).unwrap();
            let version = expected.state.version();
            if version == Version(2) {
                // One at which nobody has wished for an image.
                continue;
            }
            let state = Snapshot::from(expected.state.clone());
            painter.make(Wish { state, head: expected.head }).unwrap();
            let made = log.image(version).unwrap().unwrap();
            let Restored { state, head, memory } = Restored::at(&made).unwrap();
            let waiting = (4 - version.0) as usize;
            assert_eq!((made.version, memory.again.pending.len()), (version, waiting));
            assert!(made == image(expected.state.clone(), expected.head, expected.memory.clone()));
            assert!(made == image(state, head, memory), "and it is read as it was written");
        }
    }
}
