//! How an agent is spawned.

use std::time::Duration;

use super::mailbox::Overflow;

/// How an agent is spawned.
#[derive(Clone, Debug)]
pub struct Spawn {
    pub(crate) mailbox: usize,
    pub(crate) overflow: Overflow,
    pub(crate) attempts: u32,
    pub(crate) hang_after: Duration,
    pub(super) place: Place,
}

/// Where agents that wait are polled.
#[derive(Clone, Debug, Default)]
pub(super) enum Place {
    #[default]
    Hive,
    #[cfg(feature = "tokio")]
    Tokio(tokio::runtime::Handle),
}

impl Default for Spawn {
    fn default() -> Self {
        Spawn {
            mailbox: 64,
            overflow: Overflow::default(),
            attempts: 16,
            hang_after: Duration::from_secs(30),
            place: Place::default(),
        }
    }
}

impl Spawn {
    /// The most messages that wait to be read. Default: 64.
    #[must_use]
    pub fn mailbox(mut self, messages: usize) -> Self {
        self.mailbox = messages;
        self
    }

    /// What is done with a message for which there is no room. Default: [`Overflow::Refuse`].
    #[must_use]
    pub fn overflow(mut self, rule: Overflow) -> Self {
        self.overflow = rule;
        self
    }

    /// How often it may lose in a row with one thing before it has failed. Default: 16.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// After how long without a [heartbeat](super::Context::heartbeat) a run counts as hanging. Its thread cannot be ended, so
    /// it is left alone and another takes its place; nothing that it still does counts. Default: 30 seconds.
    #[must_use]
    pub fn hang_after(mut self, time: Duration) -> Self {
        self.hang_after = time;
        self
    }

    /// Lets an [`AsyncAgent`](super::AsyncAgent) run as tasks of a tokio runtime. Other agents do not ask for it.
    #[cfg(feature = "tokio")]
    #[must_use]
    pub fn on_tokio(mut self, runtime: tokio::runtime::Handle) -> Self {
        self.place = Place::Tokio(runtime);
        self
    }
}
