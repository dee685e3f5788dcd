//! What a hive has done so far, in numbers.

use std::collections::BTreeMap;
use std::sync::Mutex;

use queenright_primitives::Version;
use queenright_primitives::schedule::Class;

use crate::consensus::Verdicts;
use crate::lock::lock;
use crate::observe;
use crate::outcome::Outcome;

/// What a hive has done since it was built. See [`Hive::metrics`](crate::Hive::metrics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// The version that the last round made.
    pub version: Version,
    /// Rounds decided.
    pub rounds: u64,
    /// Proposals taken from the queue. With a log, those that were pending or voted on when it was opened are among them.
    pub taken: u64,
    /// Answers given, by [`Outcome::name`]. Together with `pending`, `voted_on` and those of a round under way they are those `taken`.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Proposals that lost, and will be judged again in the next round.
    pub pending: usize,
    /// Proposals that are being voted on.
    pub voted_on: usize,
    /// How many proposals the next round takes from the queue.
    pub window: usize,
    /// Proposals that were cancelled because the hive was shut down before their turn.
    pub shut_out: u64,
    /// Submissions in the queue, by class, the most urgent first.
    pub queued: [usize; Class::ALL.len()],
}

impl Metrics {
    /// Answers of all kinds.
    pub fn answered(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

/// Where the queen keeps count.
#[derive(Debug, Default)]
pub(crate) struct Counters(Mutex<Metrics>);

impl Counters {
    /// Everything but what the queue knows.
    pub(crate) fn read(&self) -> Metrics {
        self.with(|metrics| metrics.clone())
    }

    pub(crate) fn took(&self, proposals: usize) {
        self.with(|metrics| metrics.taken += proposals as u64);
    }

    /// Counts a round.
    pub(crate) fn decided(&self, version: Version, verdicts: &Verdicts, window: usize) {
        self.with(|metrics| {
            observe::decided(metrics, verdicts, window);
            metrics.version = version;
            metrics.rounds += 1;
            metrics.pending = verdicts.pending.len();
            metrics.window = window;
            let mut committed = 0;
            for (place, outcome) in verdicts.outcomes.iter().enumerate() {
                if outcome.is_committed() {
                    committed += 1;
                } else if !verdicts.is_pending(place) {
                    *metrics.outcomes.entry(outcome.name()).or_default() += 1;
                }
            }
            if committed > 0 {
                let name = Outcome::COMMITTED;
                *metrics.outcomes.entry(name).or_default() += committed;
            }
        });
    }

    /// Counts proposals that were answered without a round, and are not pending any more if they were.
    pub(crate) fn cancelled(&self, proposals: usize) {
        self.with(|metrics| {
            observe::pending(metrics, 0);
            observe::answered(&Outcome::Cancelled, proposals as u64);
            metrics.pending = 0;
            metrics.shut_out += proposals as u64;
            let name = Outcome::Cancelled.name();
            *metrics.outcomes.entry(name).or_default() += proposals as u64;
        });
    }

    /// Counts a round of which nobody knows whether it is in the log.
    pub(crate) fn unknown(&self, verdicts: &Verdicts) {
        let answered = (verdicts.outcomes.len() - verdicts.pending.len()) as u64;
        observe::answered(&Outcome::CommitUnknown, answered);
        let name = Outcome::CommitUnknown.name();
        self.with(|metrics| *metrics.outcomes.entry(name).or_default() += answered);
    }

    /// Counts proposals that were answered like this without a round.
    pub(crate) fn refused(&self, outcome: &Outcome, proposals: usize) {
        let proposals = proposals as u64;
        observe::answered(outcome, proposals);
        self.with(|metrics| *metrics.outcomes.entry(outcome.name()).or_default() += proposals);
    }

    /// Nothing is pending any more: the last round was published.
    pub(crate) fn ended(&self) {
        self.with(|metrics| {
            observe::pending(metrics, 0);
            metrics.pending = 0;
        });
    }

    /// So many proposals are being voted on.
    pub(crate) fn votes_on(&self, proposals: usize) {
        self.with(|metrics| {
            observe::voted_on(metrics, proposals);
            metrics.voted_on = proposals;
        });
    }

    /// A hive begins at this version, with proposals that were left pending by the rounds before.
    pub(crate) fn starts_with(&self, window: usize, version: Version, pending: usize) {
        self.with(|metrics| {
            observe::window(metrics, window);
            observe::pending(metrics, pending);
            metrics.window = window;
            metrics.version = version;
            metrics.pending = pending;
        });
    }

    fn with<R>(&self, run: impl FnOnce(&mut Metrics) -> R) -> R {
        run(&mut lock(&self.0))
    }
}

impl Drop for Counters {
    fn drop(&mut self) {
        observe::gone(&self.read());
    }
}
