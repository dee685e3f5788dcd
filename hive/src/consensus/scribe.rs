//! The thread between the queen and a durable log. While one append is under way the queen decides on; all rounds that she has decided
//! meanwhile go into the next.

use std::mem::take;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use queenright_primitives::Version;
use queenright_primitives::panics::quietly;

use super::images::{Images, Wish};
use super::intake::Intake;
use super::publish::{Publisher, Step};
use crate::error::HiveError;
use crate::lock::lock;
use crate::log::{CommitLog, Entry, LogError};
use crate::observe;
use crate::state::Snapshot;

/// How many steps the queen may be ahead of the log.
const AHEAD: usize = 64;
/// So many bytes are appended at once at most, unless one record has more.
const AT_ONCE: usize = 8 << 20;

/// Why a log takes nothing any more, once it does not.
pub(crate) type Failure = Arc<OnceLock<LogError>>;

/// A step, and the record of its round as bytes.
type Written = (Step, Vec<u8>);

/// Where decided rounds go.
pub(crate) enum Way {
    /// They are published at once.
    Here(Publisher),
    /// They are published once they are in a log.
    Log(ToScribe),
}

/// The way to the scribe, who ends before it is gone: also when the queen panics.
pub(crate) struct ToScribe {
    steps: Option<SyncSender<Written>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for ToScribe {
    fn drop(&mut self) {
        drop(self.steps.take());
        if let Some(thread) = self.thread.take() {
            // Its panic, if there was one, was printed, and has closed the tickets.
            drop(thread.join());
        }
    }
}

impl Way {
    /// Whether what is sent needs the bytes of its record.
    pub(crate) fn is_logged(&self) -> bool {
        matches!(self, Way::Log(..))
    }

    pub(crate) fn send(&self, step: Step, bytes: Vec<u8>) {
        match self {
            Way::Here(publisher) => publisher.publish(step),
            // If the log has failed, dropping the step tells its owners.
            Way::Log(scribe) => {
                if let Some(steps) = &scribe.steps {
                    // Wakers are their owners' code.
                    quietly(|| drop(steps.send((step, bytes))));
                }
            }
        }
    }

    /// Waits until everything that was sent is published.
    pub(crate) fn end(self) {
        drop(self);
    }
}

pub(crate) struct Scribe {
    pub(crate) log: Box<dyn CommitLog>,
    pub(crate) publisher: Publisher,
    pub(crate) intake: Arc<Intake>,
    pub(crate) failure: Failure,
    pub(crate) images: Images,
}

impl Scribe {
    /// Starts the thread.
    pub(crate) fn start(self) -> Result<Way, HiveError> {
        let (sender, steps) = sync_channel(AHEAD);
        let thread = thread::Builder::new()
            .name("queenright-scribe".to_owned())
            .spawn(move || self.run(&steps))
            .map_err(|error| HiveError::Start(error.to_string()))?;
        Ok(Way::Log(ToScribe { steps: Some(sender), thread: Some(thread) }))
    }

    fn run(mut self, steps: &Receiver<Written>) {
        // The log, and what watches, are somebody else's code.
        if catch_unwind(AssertUnwindSafe(|| self.write(steps))).is_err() {
            let error = LogError::Other("the thread of the log has panicked".to_owned());
            self.fail(error, Vec::new(), steps);
        }
    }

    /// Appends and publishes until the queen ends, or the log fails.
    fn write(&mut self, steps: &Receiver<Written>) {
        self.intake.is_answered_here();
        let mut last = self.log.last();
        let mut carried: Option<Written> = None;
        while let Some(first) = carried.take().or_else(|| steps.recv().ok()) {
            let mut size = first.1.len();
            let mut together = vec![first];
            while carried.is_none()
                && let Ok(next) = steps.try_recv()
            {
                size = size.saturating_add(next.1.len());
                match size <= AT_ONCE {
                    true => together.push(next),
                    // It goes into the next append.
                    false => carried = Some(next),
                }
            }
            match self.append(last, &mut together) {
                Ok(end) => last = end,
                Err(error) => {
                    together.extend(carried);
                    return self.fail(error, together, steps);
                }
            }
            for (step, _) in together {
                self.publisher.publish(step);
            }
            self.make_an_image();
        }
    }

    fn append(&mut self, last: Version, together: &mut [Written]) -> Result<Version, LogError> {
        let entry = |(step, bytes): &mut Written| {
            let record = &step.round.as_ref()?.record;
            Some(Entry { round: record.input.round, digest: record.digest, bytes: take(bytes) })
        };
        let entries: Vec<Entry> = together.iter_mut().filter_map(entry).collect();
        let Some(end) = entries.last() else { return Ok(last) };
        // Somebody else's code.
        let append = || observe::append(entries.len(), || self.log.append(last, &entries));
        match catch_unwind(AssertUnwindSafe(append)) {
            Ok(appended) => appended.map(|()| end.round),
            Err(_) => Err(LogError::Other("the log has panicked".to_owned())),
        }
    }

    /// Nothing is committed any more. What was decided, and is not known to be in the log, is not known.
    fn fail(&self, error: LogError, together: Vec<Written>, steps: &Receiver<Written>) {
        observe::log_fails(&error);
        let _ = self.failure.set(error);
        self.intake.close();
        for (step, _) in together.into_iter().chain(steps.iter()) {
            // Wakers are their owners' code.
            quietly(|| self.publisher.give_up(step));
        }
    }

    fn make_an_image(&mut self) {
        if self.log.wants_image() {
            let state = Snapshot::published(self.publisher.cell.load());
            let record = lock(&self.publisher.recent).record(state.version());
            if let Some(head) = record.map(|record| record.digest) {
                self.images.make(Wish { state, head });
            }
        }
    }
}
