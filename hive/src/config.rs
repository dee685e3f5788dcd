//! How a hive is set up.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use crate::consensus::{BatchWindow, RoundPolicy, WhenFull};
use crate::error::HiveError;
use crate::hive::Hive;
use crate::key::Key;
use crate::log::CommitLog;
use crate::value::Value;

/// Describes a [`Hive`]; made by [`Hive::builder`].
#[must_use = "a builder does nothing until `build` is called"]
pub struct HiveBuilder {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) threads: Option<NonZeroUsize>,
    pub(crate) base: Vec<(Key, Value)>,
    pub(crate) max_batch: usize,
    pub(crate) window: BatchWindow,
    pub(crate) queue: usize,
    pub(crate) when_full: WhenFull,
    pub(crate) ballots: usize,
    pub(crate) claims: usize,
    pub(crate) lease: u64,
    pub(crate) max_attempts: u32,
    pub(crate) keep_rounds: usize,
    pub(crate) policy: RoundPolicy,
    pub(crate) clock: Option<Arc<dyn Fn() -> u64 + Send + Sync>>,
    pub(crate) log: Option<Box<dyn CommitLog>>,
    /// Whether the ids of agents that run in waves, and of transactions, go on where those in the log end, as [`Hive::catch_up`] sees to.
    pub(crate) ids_go_on: bool,
}

impl Default for HiveBuilder {
    fn default() -> Self {
        HiveBuilder {
            name: "hive".to_owned(),
            seed: 0,
            threads: None,
            base: Vec::new(),
            max_batch: 4096,
            window: BatchWindow::adaptive(),
            queue: 512,
            when_full: WhenFull::default(),
            ballots: 1024,
            claims: 65_536,
            lease: 30_000,
            max_attempts: 128,
            keep_rounds: 1024,
            policy: RoundPolicy::default(),
            clock: None,
            log: None,
            ids_go_on: false,
        }
    }
}

impl HiveBuilder {
    /// Its name, for people. Default: `hive`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What breaks ties in rounds. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// How many threads of its own run agents. Default: rayon's global pool.
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The entries of version 0. Of two for one key, the later counts. A [log](Self::log) that is not empty has its own.
    pub fn base(mut self, entries: impl IntoIterator<Item = (Key, Value)>) -> Self {
        self.base = entries.into_iter().collect();
        self
    }

    /// The most proposals that one round takes from the queue, unless more were submitted together. Default: 4096.
    pub fn max_batch(mut self, proposals: usize) -> Self {
        self.max_batch = proposals;
        self
    }

    /// How the width of rounds follows the conflicts. Default: [`BatchWindow::adaptive`].
    pub fn window(mut self, window: BatchWindow) -> Self {
        self.window = window;
        self
    }

    /// The most submissions of each class that wait for the queen. Default: 512.
    pub fn queue(mut self, submissions: usize) -> Self {
        self.queue = submissions;
        self
    }

    /// What [`Hive::propose`] and [`Hive::propose_many`] do when the queue is full. Default: [`WhenFull::Wait`].
    pub fn when_full(mut self, policy: WhenFull) -> Self {
        self.when_full = policy;
        self
    }

    /// The most proposals that can be voted on at a time; what more needs a ballot is refused. Default: 1024.
    pub fn ballots(mut self, most: usize) -> Self {
        self.ballots = most;
        self
    }

    /// The most keys that can be claimed or completed at a time. Default: 65,536.
    pub fn claims(mut self, most: usize) -> Self {
        self.claims = most;
        self
    }

    /// How long a claim holds without a heartbeat, by the hive's clock. Default: 30,000.
    pub fn lease(mut self, time: u64) -> Self {
        self.lease = time;
        self
    }

    /// How often [`Hive::transact`] tries. Default: 128.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How many rounds [`Hive::history`] remembers. Default: 1024.
    pub fn keep_rounds(mut self, rounds: usize) -> Self {
        self.keep_rounds = rounds;
        self
    }

    /// Limits, aging, and the window of history that proposals are judged by.
    pub fn policy(mut self, policy: RoundPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The clock that deadlines are compared with: any number that never falls. Default: milliseconds since
    /// the hive was built, or since the last round in its log. Nobody waits for another clock: what it decides, such as the end of a ballot, is seen at the next proposal or
    /// [`drain`](Hive::drain).
    pub fn clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where its records go: a hive that is built on a log goes on where that ends, with its state, the answers it gave and the ballots that are
    /// open. A version can be read, and a proposal is answered, only once its record is as durable as the log says. Default: none, so that everything ends
    /// with the process.
    ///
    /// If the log fails, nothing is committed any more, and [`Hive::log_failure`] says why; what was under way is answered as
    /// [`CommitUnknown`](crate::Outcome::CommitUnknown). The last state stays readable. Whoever opens the log anew finds what is in it,
    /// and who sends such a proposal once more is told what became of it.
    ///
    /// Claims, and what [`Hive::fence`] has ended, are not in the log: after a restart nobody holds anything, and no token from before is ever
    /// current again.
    pub fn log(mut self, log: impl CommitLog + 'static) -> Self {
        self.log = Some(Box::new(log));
        self
    }

    /// Starts the hive: its queen gets a thread.
    ///
    /// # Errors
    /// [`HiveError::Start`] when the system refuses a thread; [`HiveError::Log`] when the log cannot be read.
    pub fn build(self) -> Result<Hive, HiveError> {
        Hive::start(self)
    }
}

impl fmt::Debug for HiveBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HiveBuilder")
            .field("name", &self.name)
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}
