//! The queen: takes proposals in, decides rounds, publishes versions, answers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use queenright_primitives::notify::{self, Receiver, Sender};
use queenright_primitives::schedule::{Class, PriorityQueue, PushError};
use queenright_primitives::snapshot::SnapshotCell;

use super::intents::Intents;
use super::round::{RoundInput, RoundPolicy, apply, decide};
use crate::log::{MemoryLog, Record};
use crate::outcome::Outcome;
use crate::proposal::Proposal;
use crate::state::State;

/// The hive's clock: any number that does not fall. Deadlines of proposals are compared with it.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Proposals on their way to the queen.
pub(crate) struct Submission {
    proposals: Vec<(Proposal, Sender<Outcome>)>,
    /// Decided as one round, with nothing else in it.
    alone: bool,
}

impl Submission {
    /// One proposal, to be decided in whatever round comes next.
    pub(crate) fn one(proposal: Proposal) -> (Submission, Receiver<Outcome>) {
        let (sender, receiver) = notify::oneshot();
        (Submission { proposals: vec![(proposal, sender)], alone: false }, receiver)
    }

    /// A batch that makes a round of its own.
    pub(crate) fn round(batch: Vec<Proposal>) -> (Submission, Vec<Receiver<Outcome>>) {
        let (proposals, receivers) = batch
            .into_iter()
            .map(|proposal| {
                let (sender, receiver) = notify::oneshot();
                ((proposal, sender), receiver)
            })
            .unzip();
        (Submission { proposals, alone: true }, receivers)
    }

    /// The proposal of a submission made by [`one`](Self::one).
    pub(crate) fn into_proposal(mut self) -> Option<Proposal> {
        self.proposals.pop().map(|(proposal, _)| proposal)
    }

    fn class(&self) -> Class {
        let classes = self.proposals.iter().map(|(proposal, _)| proposal.hint.class);
        classes.min().unwrap_or_default()
    }
}

/// The way to the queen: bounded, by class.
pub(crate) struct Intake(PriorityQueue<Submission>);

impl Intake {
    pub(crate) fn bounded(capacity: usize) -> Self {
        // At most as many as there is room for overtake one that came before them.
        Intake(PriorityQueue::bounded(capacity, capacity as u64))
    }

    pub(crate) fn push(&self, submission: Submission) -> Result<(), PushError<Submission>> {
        let class = submission.class();
        self.0.push(submission, class)
    }

    pub(crate) fn try_push(&self, submission: Submission) -> Result<(), PushError<Submission>> {
        let class = submission.class();
        self.0.try_push(submission, class)
    }

    pub(crate) fn close(&self) {
        self.0.close();
    }
}

/// What rounds need besides proposals, and what they leave behind.
pub(crate) struct Core {
    pub(crate) cell: Arc<SnapshotCell<State>>,
    pub(crate) log: Arc<Mutex<MemoryLog>>,
    pub(crate) policy: RoundPolicy,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) intents: Intents,
}

impl Core {
    /// Decides one round and publishes it. A version becomes readable only after its record is in the log.
    fn round(&mut self, batch: Vec<Proposal>) -> Vec<Outcome> {
        let state = self.cell.load();
        let input = RoundInput {
            round: state.version().next(),
            now: (self.clock)(),
            seed: self.seed,
            policy: self.policy.clone(),
            decided: self.intents.of(&batch),
            ..RoundInput::new(state.version().next())
        };
        let verdicts = decide(&state, &batch, &input);
        let next = apply(&state, &batch, &input, &verdicts);
        let horizon = next.horizon;
        self.intents.remember(input.round, &batch, &verdicts, horizon);
        let outcomes = verdicts.outcomes.clone();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let record = Record::new(log.head(), input, batch, verdicts);
        log.append(record);
        drop(log);
        let published = self.cell.compare_and_commit(state.version(), next);
        assert!(published.is_ok(), "the queen alone publishes versions: {published:?}");
        outcomes
    }
}

/// The thread on which rounds are decided, one after the other.
pub(crate) struct Queen {
    core: Core,
    intake: Arc<Intake>,
    max_batch: usize,
}

impl Queen {
    pub(crate) fn new(core: Core, intake: Arc<Intake>, max_batch: usize) -> Self {
        Queen { core, intake, max_batch: max_batch.max(1) }
    }

    /// Runs until the intake is closed and everything in it is answered.
    pub(crate) fn run(mut self) {
        // If a round panics, nobody may wait for an answer that cannot come: a closed intake refuses new
        // proposals, and dropping what is queued closes its tickets.
        let _close = CloseOnDrop(Arc::clone(&self.intake));
        let mut taken = Vec::new();
        while self.intake.0.pop_many(&mut taken, self.max_batch) > 0 {
            let mut batch = Vec::new();
            for submission in taken.drain(..) {
                match submission.alone {
                    true => self.decide(submission.proposals),
                    false => batch.extend(submission.proposals),
                }
            }
            self.decide(batch);
        }
    }

    fn decide(&mut self, submitted: Vec<(Proposal, Sender<Outcome>)>) {
        if submitted.is_empty() {
            return;
        }
        let (batch, senders): (Vec<_>, Vec<_>) = submitted.into_iter().unzip();
        let outcomes = self.core.round(batch);
        for (sender, outcome) in senders.into_iter().zip(outcomes) {
            // Sending wakes a task, which is its owner's code: a panic there must not stop the queen.
            drop(catch_unwind(AssertUnwindSafe(|| sender.send(outcome))));
        }
    }
}

struct CloseOnDrop(Arc<Intake>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        while self.0.0.try_pop().is_some() {}
    }
}
