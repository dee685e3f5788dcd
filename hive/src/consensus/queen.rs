//! The queen: takes proposals in, decides rounds, publishes versions, answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use queenright_primitives::Version;
use queenright_primitives::notify::Sender;
use queenright_primitives::panics::quietly;
use queenright_primitives::snapshot::SnapshotCell;

use super::intake::{Intake, Submission, tell};
use super::intents::Intents;
use super::round::{RoundInput, RoundPolicy, Verdicts, apply, decide};
use super::window::{BatchWindow, Window};
use crate::claims::Claims;
use crate::id::ProposalId;
use crate::log::{MemoryLog, Record};
use crate::metrics::Counters;
use crate::outcome::Outcome;
use crate::proposal::Proposal;
use crate::state::State;

/// The hive's clock: any number that does not fall. Deadlines of proposals are compared with it.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What rounds need besides proposals, and what they leave behind.
pub(crate) struct Core {
    pub(crate) cell: Arc<SnapshotCell<State>>,
    pub(crate) log: Arc<Mutex<MemoryLog>>,
    pub(crate) policy: RoundPolicy,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) claims: Arc<Claims>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) intents: Intents,
}

impl Core {
    /// Decides one round and publishes it. A version becomes readable only after its record is in the log.
    fn round(
        &mut self,
        batch: Vec<Proposal>,
        cancelled: BTreeSet<(ProposalId, u32)>,
    ) -> Arc<Record> {
        let state = self.cell.load();
        let round = state.version().next();
        self.claims.begin(round);
        let mut input = RoundInput {
            now: (self.clock)(),
            seed: self.seed,
            policy: self.policy.clone(),
            decided: self.intents.of(&batch),
            cancelled,
            ..RoundInput::new(round)
        };
        self.claims.tell(&batch, &mut input);
        let verdicts = decide(&state, &batch, &input);
        let next = apply(&state, &batch, &input, &verdicts);
        self.intents.remember(&input, &batch, &verdicts, next.horizon);
        let log = || self.log.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else appends. It is hashed while others may read the log.
        let head = log().head();
        let record = Arc::new(Record::new(head, input, batch, verdicts));
        log().append(Arc::clone(&record));
        let published = self.cell.compare_and_commit(state.version(), next);
        assert!(published.is_ok(), "the queen alone publishes versions: {published:?}");
        record
    }
}

/// To whom the outcomes of a part of a batch are owed, in the order of the batch.
enum Owed {
    One(Sender<Outcome>),
    Many(usize, Sender<Vec<Outcome>>),
    /// One of several that were submitted together, some of which are answered already.
    Member {
        group: usize,
        place: usize,
    },
}

impl Owed {
    fn len(&self) -> usize {
        match self {
            Owed::Many(count, _) => *count,
            Owed::One(_) | Owed::Member { .. } => 1,
        }
    }
}

/// Proposals that were submitted together, of which some stay pending.
struct Group {
    outcomes: Vec<Option<Outcome>>,
    sender: Sender<Vec<Outcome>>,
}

/// When everything that is not answered by then is cancelled.
pub(crate) type Stop = OnceLock<Option<Instant>>;

/// The thread on which rounds are decided, one after the other.
pub(crate) struct Queen {
    core: Core,
    intake: Arc<Intake>,
    window: Window,
    stop: Arc<Stop>,
    /// Taken from the intake, but too much for the round before.
    taken: Option<Submission>,
    /// What lost in the last round and is judged again in the next.
    pending: Vec<(Proposal, Owed)>,
    groups: Vec<Option<Group>>,
    /// Marks that wait for those that were pending when they came: until the round after this version at most.
    marks: Vec<(Version, Sender<()>)>,
}

/// What goes into a round.
#[derive(Default)]
struct Batch {
    proposals: Vec<Proposal>,
    owed: Vec<Owed>,
    marks: Vec<Sender<()>>,
}

impl Queen {
    pub(crate) fn new(
        core: Core,
        intake: Arc<Intake>,
        (rule, max_batch): (BatchWindow, usize),
        stop: Arc<Stop>,
    ) -> Self {
        let window = Window::new(rule, max_batch);
        core.counters.starts_with(window.size());
        Queen {
            core,
            intake,
            window,
            stop,
            taken: None,
            pending: Vec::new(),
            groups: Vec::new(),
            marks: Vec::new(),
        }
    }

    /// Runs until the intake is closed and everything in it is answered.
    pub(crate) fn run(mut self) {
        // If a round panics, nobody may wait for an answer that cannot come: a closed intake refuses new
        // proposals, and dropping what is queued closes its tickets.
        let _close = CloseOnDrop(Arc::clone(&self.intake));
        self.intake.is_taken_here();
        while let Some(batch) = self.next_batch() {
            if self.stop.get().is_some_and(|stop| stop.is_some_and(|stop| Instant::now() >= stop)) {
                self.cancel(batch);
            } else {
                self.decide(batch);
            }
        }
    }

    /// What the next round decides; `None` if there will never be anything again.
    fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        for (proposal, owed) in self.pending.drain(..) {
            batch.proposals.push(proposal);
            batch.owed.push(owed);
        }
        let mut came = Vec::new();
        loop {
            let waits = batch.proposals.is_empty() && batch.marks.is_empty();
            let next = match self.taken.take() {
                Some(next) => next,
                // One at a time: what is left in the intake is in order of its class, and counts as queued.
                None => {
                    let is_full = batch.proposals.len() >= self.window.size();
                    if waits {
                        self.intake.take(&mut came, 1);
                    } else if !is_full {
                        self.intake.try_take(&mut came, 1);
                    }
                    match came.pop() {
                        Some(next) => next,
                        None => return (!waits).then_some(batch),
                    }
                }
            };
            let is_too_much = batch.proposals.len() + next.len() > self.window.size();
            // A round of its own goes alone, and what was submitted together is not divided.
            let is_alone = matches!(next, Submission::Round(..));
            if !batch.proposals.is_empty() && (is_too_much || is_alone) {
                self.taken = Some(next);
                return Some(batch);
            }
            self.core.counters.took(next.len());
            batch.add(next);
            if is_alone {
                return Some(batch);
            }
        }
    }

    fn decide(&mut self, batch: Batch) {
        let Batch { proposals, owed, marks } = batch;
        if !proposals.is_empty() {
            let starts: Vec<usize> = owed
                .iter()
                .scan(0, |start, owed| Some(std::mem::replace(start, *start + owed.len())))
                .collect();
            let unwanted = owed.iter().zip(&starts).filter(|(owed, _)| self.is_cancelled(owed));
            let unwanted =
                unwanted.flat_map(|(owed, start)| &proposals[*start..start + owed.len()]);
            let cancelled = unwanted.map(|it| (it.id.clone(), it.attempt)).collect();
            let record = self.core.round(proposals, cancelled);
            self.observe(&record.verdicts, record.input.round);
            for (owed, start) in owed.into_iter().zip(starts) {
                self.answer(&record, owed, start);
            }
            let used = self.groups.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            self.groups.truncate(used);
        }
        self.pass_marks(marks);
    }

    fn is_cancelled(&self, owed: &Owed) -> bool {
        match owed {
            Owed::One(sender) => sender.is_cancelled(),
            Owed::Many(_, sender) => sender.is_cancelled(),
            Owed::Member { group, .. } => {
                self.groups[*group].as_ref().is_some_and(|group| group.sender.is_cancelled())
            }
        }
    }

    fn observe(&mut self, verdicts: &Verdicts, round: Version) {
        let is_lost = |outcome: &&Outcome| matches!(outcome, Outcome::Conflict { .. });
        let lost = verdicts.outcomes.iter().filter(is_lost).count();
        self.window.observe(verdicts.outcomes.len(), lost);
        self.core.counters.decided(round, verdicts, self.window.size());
    }

    /// Answers a part of a round, which begins at `start`, or keeps what stays pending of it.
    fn answer(&mut self, record: &Record, owed: Owed, start: usize) {
        let Record { batch, verdicts, .. } = record;
        match owed {
            Owed::One(sender) if verdicts.is_pending(start) => {
                self.pending.push((batch[start].clone(), Owed::One(sender)));
            }
            Owed::One(sender) => tell(sender, verdicts.outcomes[start].clone()),
            Owed::Many(count, sender) => {
                let outcomes = &verdicts.outcomes[start..start + count];
                let mut pending =
                    (start..start + count).filter(|at| verdicts.is_pending(*at)).peekable();
                if pending.peek().is_none() {
                    return tell(sender, outcomes.to_vec());
                }
                let group = self.groups.len();
                let mut outcomes: Vec<_> = outcomes.iter().cloned().map(Some).collect();
                for at in pending {
                    let place = at - start;
                    outcomes[place] = None;
                    self.pending.push((batch[at].clone(), Owed::Member { group, place }));
                }
                self.groups.push(Some(Group { outcomes, sender }));
            }
            Owed::Member { .. } if verdicts.is_pending(start) => {
                self.pending.push((batch[start].clone(), owed));
            }
            Owed::Member { group, place } => {
                self.answer_member(group, place, verdicts.outcomes[start].clone());
            }
        }
    }

    /// Answers one of several, and all of them once it was the last.
    fn answer_member(&mut self, group: usize, place: usize, outcome: Outcome) {
        let Some(members) = &mut self.groups[group] else { return };
        members.outcomes[place] = Some(outcome);
        if members.outcomes.iter().all(Option::is_some)
            && let Some(Group { outcomes, sender }) = self.groups[group].take()
        {
            tell(sender, outcomes.into_iter().flatten().collect());
        }
    }

    /// Passes on the marks of which everything before is answered.
    fn pass_marks(&mut self, new: Vec<Sender<()>>) {
        let now = self.core.cell.version();
        let last = Version(now.0.saturating_add(self.core.policy.pending));
        self.marks.extend(new.into_iter().map(|mark| (last, mark)));
        let is_over = self.pending.is_empty();
        for (_, mark) in self.marks.extract_if(.., |(last, _)| is_over || *last <= now) {
            tell(mark, ());
        }
    }

    /// Answers everything without a round.
    fn cancel(&mut self, batch: Batch) {
        self.core.counters.cancelled(batch.proposals.len());
        for owed in batch.owed {
            match owed {
                Owed::One(sender) => tell(sender, Outcome::Cancelled),
                Owed::Many(count, sender) => tell(sender, vec![Outcome::Cancelled; count]),
                Owed::Member { group, place } => {
                    self.answer_member(group, place, Outcome::Cancelled);
                }
            }
        }
        self.pass_marks(batch.marks);
    }
}

impl Batch {
    fn add(&mut self, submission: Submission) {
        match submission {
            Submission::One(proposal, sender) => {
                self.proposals.push(*proposal);
                self.owed.push(Owed::One(sender));
            }
            Submission::Many(proposals, sender) | Submission::Round(proposals, sender)
                if proposals.is_empty() =>
            {
                tell(sender, Vec::new());
            }
            Submission::Many(mut proposals, sender) | Submission::Round(mut proposals, sender) => {
                self.owed.push(Owed::Many(proposals.len(), sender));
                match self.proposals.is_empty() {
                    true => self.proposals = proposals,
                    false => self.proposals.append(&mut proposals),
                }
            }
            Submission::Mark(sender) => self.marks.push(sender),
        }
    }
}

struct CloseOnDrop(Arc<Intake>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
        // Dropping them tells their owners that nobody knows.
        let mut left = Vec::new();
        while self.0.take(&mut left, usize::MAX) > 0 {
            for submission in left.drain(..) {
                // A waker is its owner's code.
                quietly(|| drop(submission));
            }
        }
    }
}
