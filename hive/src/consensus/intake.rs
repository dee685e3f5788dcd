//! The way to the queen, and what she owes to those who came.

use std::sync::OnceLock;
use std::thread::{self, ThreadId};
use std::time::Duration;

use queenright_primitives::notify::{self, Receiver, Sender};
use queenright_primitives::panics::quietly;
use queenright_primitives::schedule::{Class, LaneChannel, PushError};

use super::quorum::{CastVote, Tally, VoteError};
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// What became of votes: how the ballot stands with it, or why it does not count.
pub(crate) type Counted = Vec<Result<Tally, VoteError>>;

/// What is on its way to the queen.
pub(crate) enum Submission {
    /// One proposal, for whatever round comes next.
    One(Box<Proposal>, Sender<Outcome>),
    /// Proposals that go into one round, with others.
    Many(Vec<Proposal>, Sender<Vec<Outcome>>),
    /// Proposals that make a round of their own.
    Round(Vec<Proposal>, Sender<Vec<Outcome>>),
    /// Votes on open ballots.
    Votes(Vec<CastVote>, Sender<Counted>),
    /// Nothing but the wish to know when everything before it in its class is answered.
    Mark(Class, Sender<()>),
}

impl Submission {
    pub(crate) fn one(proposal: Proposal) -> (Self, Receiver<Outcome>) {
        let (sender, receiver) = notify::oneshot();
        (Submission::One(Box::new(proposal), sender), receiver)
    }

    pub(crate) fn many(proposals: Vec<Proposal>) -> (Self, Receiver<Vec<Outcome>>) {
        let (sender, receiver) = notify::oneshot();
        (Submission::Many(proposals, sender), receiver)
    }

    pub(crate) fn round(batch: Vec<Proposal>) -> (Self, Receiver<Vec<Outcome>>) {
        let (sender, receiver) = notify::oneshot();
        (Submission::Round(batch, sender), receiver)
    }

    pub(crate) fn votes(votes: Vec<CastVote>) -> (Self, Receiver<Counted>) {
        let (sender, receiver) = notify::oneshot();
        (Submission::Votes(votes, sender), receiver)
    }

    /// What is proposed.
    fn proposals(&self) -> &[Proposal] {
        match self {
            Submission::One(proposal, _) => std::slice::from_ref(proposal),
            Submission::Many(proposals, _) | Submission::Round(proposals, _) => proposals,
            Submission::Votes(..) | Submission::Mark(..) => &[],
        }
    }

    pub(crate) fn into_proposals(self) -> Vec<Proposal> {
        match self {
            Submission::One(proposal, _) => vec![*proposal],
            Submission::Many(proposals, _) | Submission::Round(proposals, _) => proposals,
            Submission::Votes(..) | Submission::Mark(..) => Vec::new(),
        }
    }

    /// How many proposals it is.
    pub(crate) fn len(&self) -> usize {
        self.proposals().len()
    }

    /// Roughly the bytes of what is proposed.
    pub(crate) fn bytes(&self) -> usize {
        self.proposals().iter().map(Proposal::bytes).sum()
    }

    /// The most urgent class in it.
    fn class(&self) -> Class {
        if let Submission::Mark(class, _) = self {
            return *class;
        }
        self.proposals().iter().map(|proposal| proposal.hint.class).min().unwrap_or_default()
    }
}

/// Sends, which wakes a thread or a task: the waker is its owner's code, and a panic there must not stop the queen.
pub(crate) fn tell<T>(sender: Sender<T>, answer: T) {
    quietly(|| sender.send(answer));
}

/// Takes from the queue, and tells whoever watches.
fn counted<R>(out: &mut Vec<Submission>, take: impl FnOnce(&mut Vec<Submission>) -> R) -> R {
    let before = out.len();
    let taken = take(out);
    observe::unqueued(out[before..].iter().map(Submission::class));
    taken
}

/// What is done with a proposal for which there is no room in the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// The proposer waits for room.
    #[default]
    Wait,
    /// The proposer waits for so long, and has the proposal back then.
    WaitFor(Duration),
    /// The proposer has the proposal back.
    Refuse,
}

/// The way to the queen: bounded, by class, without a lock.
pub(crate) struct Intake {
    lanes: LaneChannel<Submission>,
    when_full: WhenFull,
    /// The queen's thread, which would wait for itself.
    queen: OnceLock<ThreadId>,
    /// The thread that answers for her, if it is another one: she would wait for it.
    scribe: OnceLock<ThreadId>,
}

impl Intake {
    /// With room for so many submissions of each class.
    pub(crate) fn bounded(capacity: usize, when_full: WhenFull) -> Self {
        // At most as many as there is room for overtake one that came before them.
        let lanes = LaneChannel::bounded(capacity, capacity.max(1) as u64);
        Intake { lanes, when_full, queen: OnceLock::new(), scribe: OnceLock::new() }
    }

    /// Says that this is the thread that takes what comes.
    pub(crate) fn is_taken_here(&self) {
        let _ = self.queen.set(thread::current().id());
    }

    /// Says that this is the thread that answers for her.
    pub(crate) fn is_answered_here(&self) {
        let _ = self.scribe.set(thread::current().id());
    }

    /// Whether this is one of those threads, where wakers run as well: nobody may wait for her there.
    pub(crate) fn is_queens_thread(&self) -> bool {
        let this = Some(thread::current().id());
        self.queen.get() == this.as_ref() || self.scribe.get() == this.as_ref()
    }

    /// As the policy says; but on the queen's own thread nobody waits.
    pub(crate) fn push(&self, submission: Submission) -> Result<(), PushError<Submission>> {
        let class = submission.class();
        match (self.try_push(submission), self.when_full) {
            (Err(PushError::Full(back)), _) if self.is_queens_thread() => {
                Err(PushError::Full(back))
            }
            (Err(PushError::Full(back)), WhenFull::Wait) => {
                self.lanes.push(back, class).inspect(|()| observe::queued(class))
            }
            (Err(PushError::Full(back)), WhenFull::WaitFor(time)) => {
                let pushed = self.lanes.push_timeout(back, class, time);
                pushed.inspect(|()| observe::queued(class))
            }
            (pushed, _) => pushed,
        }
    }

    /// Waits, whatever the policy says.
    pub(crate) fn push_waiting(&self, submission: Submission) -> Result<(), PushError<Submission>> {
        let class = submission.class();
        match self.try_push(submission) {
            Err(PushError::Full(back)) => {
                self.lanes.push(back, class).inspect(|()| observe::queued(class))
            }
            pushed => pushed,
        }
    }

    pub(crate) fn try_push(&self, submission: Submission) -> Result<(), PushError<Submission>> {
        let class = submission.class();
        observe::queueing(class, || self.lanes.try_push(submission, class))
    }

    /// A mark behind everything that is queued, in each class.
    pub(crate) fn marks(&self) -> Result<Vec<Receiver<()>>, PushError<Submission>> {
        let mark = |class: &Class| {
            let (sender, receiver) = notify::oneshot();
            self.push_waiting(Submission::Mark(*class, sender)).map(|()| receiver)
        };
        Class::ALL.iter().map(mark).collect()
    }

    /// Takes up to `most` submissions, at least one; none once the intake is closed and empty.
    pub(crate) fn take(&self, out: &mut Vec<Submission>, most: usize) -> usize {
        counted(out, |out| self.lanes.pop_many(out, most))
    }

    /// As [`take`](Self::take); `None` if nothing came for so long.
    pub(crate) fn take_within(
        &self,
        out: &mut Vec<Submission>,
        most: usize,
        time: Duration,
    ) -> Option<usize> {
        counted(out, |out| self.lanes.pop_many_timeout(out, most, time))
    }

    /// Takes up to `most` submissions, or none.
    pub(crate) fn try_take(&self, out: &mut Vec<Submission>, most: usize) -> usize {
        counted(out, |out| self.lanes.try_pop_many(out, most))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lanes.is_closed()
    }

    pub(crate) fn close(&self) {
        self.lanes.close();
    }

    /// Submissions by class.
    pub(crate) fn depths(&self) -> [usize; Class::ALL.len()] {
        self.lanes.depths()
    }
}
