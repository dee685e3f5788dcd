//! Logs that do what a test wants.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use queenright::log::{Archive, CommitLog, Entry, LogError, MemoryLog, MemoryLogWriter};
use queenright::{Hive, HiveBuilder, Version};

type Append = dyn FnMut(&mut MemoryLogWriter, Version, &[Entry]) -> Result<(), LogError> + Send;

/// A log in memory, but for how it appends.
pub(crate) struct Hooked {
    log: MemoryLogWriter,
    append: Box<Append>,
}

impl Hooked {
    pub(crate) fn on(
        log: &MemoryLog,
        append: impl FnMut(&mut MemoryLogWriter, Version, &[Entry]) -> Result<(), LogError>
        + Send
        + 'static,
    ) -> Self {
        Hooked { log: log.open(), append: Box::new(append) }
    }
}

impl CommitLog for Hooked {
    fn term(&self) -> u64 {
        self.log.term()
    }
    fn last(&self) -> Version {
        self.log.last()
    }
    fn append(&mut self, expected: Version, entries: &[Entry]) -> Result<(), LogError> {
        (self.append)(&mut self.log, expected, entries)
    }
    fn wants_image(&mut self) -> bool {
        false
    }
    fn archive(&self) -> Arc<dyn Archive> {
        self.log.archive()
    }
}

/// A log whose appends wait until they are let through; how many bytes each entry of an append has is told before.
pub(crate) fn slow(log: &MemoryLog) -> (Hooked, Sender<()>, Receiver<Vec<usize>>) {
    let (let_through, may) = channel::<()>();
    let (appended, begun) = channel();
    let slow = Hooked::on(log, move |log, expected, entries| {
        // Who does not want to know has gone.
        let _ = appended.send(entries.iter().map(|entry| entry.bytes.len()).collect());
        may.recv().map_err(|_| LogError::Other("nobody lets it through".to_owned()))?;
        log.append(expected, entries)
    });
    (slow, let_through, begun)
}

/// A hive on a log whose appends wait until they are let through. What lets them is dropped before it, so that a failing test ends.
pub(crate) fn on_slow(
    log: &MemoryLog,
    builder: HiveBuilder,
) -> (Hive, Sender<()>, Receiver<Vec<usize>>) {
    let (slow, let_through, begun) = slow(log);
    (builder.log(slow).build().unwrap(), let_through, begun)
}
