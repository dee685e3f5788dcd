//! The queen: takes proposals in, decides rounds, publishes versions, answers.

mod ending;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use queenright_primitives::Version;
use queenright_primitives::notify::Sender;
use queenright_primitives::panics::quietly;

use super::ballots::{Attempt, Ballots};
use super::debts::{Debts, Owed};
use super::intake::{Counted, Intake, Submission, tell};
use super::intents::Intents;
use super::news::News;
use super::publish::{Answer, Round, Step};
use super::quorum::{Ballot, CastVote, VoteError};
use super::restore::Again;
use super::round::{RoundInput, RoundPolicy, Verdicts, apply, decide};
use super::scribe::{Failure, Way};
use super::window::{BatchWindow, Window};
use crate::claims::Claims;
use crate::encoding::Digest;
use crate::lock::lock;
use crate::log::Record;
use crate::metrics::Counters;
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::Proposal;
use crate::state::State;

/// With a log: a submission of more bytes, roughly, is refused, as its record might be too large for it.
const MOST_BYTES: usize = 256 << 20;
/// With a log: what would make a batch larger than this waits for the next round.
const BATCH_BYTES: usize = 64 << 20;

/// The hive's clock: any number that does not fall. Deadlines of proposals are compared with it.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What rounds need besides proposals, and what they leave behind.
pub(crate) struct Core {
    /// What she decided last. It may not be published yet, if it has to be in a log first.
    pub(crate) state: State,
    /// The digest of the last record.
    pub(crate) head: Digest,
    pub(crate) policy: RoundPolicy,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    /// Whether that counts milliseconds, so that one can wait until it shows a time.
    pub(crate) is_real_time: bool,
    pub(crate) claims: Arc<Claims>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) intents: Intents,
    pub(crate) ballots: Arc<Mutex<Ballots>>,
}

/// What a round comes to before anything is judged in it.
#[derive(Default)]
struct Votes {
    now: u64,
    opened: Vec<Arc<Proposal>>,
    counted: Vec<CastVote>,
    decided: BTreeMap<Attempt, Ballot>,
    cancelled: BTreeSet<Attempt>,
}

impl Core {
    /// Begins the next round: who claims anything from now on is told to wait for its version.
    fn begin(&self) {
        self.claims.begin(self.state.version().next());
    }

    /// What a round of this batch depends on, but for votes and cancellations.
    fn input(&self, batch: &[Proposal], now: u64) -> RoundInput {
        let mut input = RoundInput {
            now,
            seed: self.seed,
            policy: self.policy.clone(),
            decided: self.intents.of(batch),
            ..RoundInput::new(self.state.version().next())
        };
        self.claims.tell(batch, &mut input);
        input
    }

    /// Whether nothing but a ballot decides about a proposal now.
    fn waits_for_votes(&self, proposal: &Proposal, now: u64) -> bool {
        let alone = std::slice::from_ref(proposal);
        let input = self.input(alone, now);
        // What was answered before is answered again.
        let is_answered = input.decided.values().any(|known| {
            known.committed.is_some() || known.attempts.contains_key(&proposal.attempt)
        });
        if is_answered {
            return false;
        }
        let verdicts = decide(&self.state, alone, &input);
        matches!(verdicts.outcomes.first(), Some(Outcome::Rejected { .. }))
    }

    /// What was answered before to what is sent again, and when.
    fn answered(&self, proposal: &Proposal) -> Option<(Version, Outcome)> {
        let at = self.intents.answered_at(proposal)?;
        let alone = std::slice::from_ref(proposal);
        // Only what was answered counts, whatever the time is.
        let mut verdicts = decide(&self.state, alone, &self.input(alone, 0));
        Some((at, verdicts.outcomes.pop()?))
    }

    /// Decides one round. Its record is also written as bytes, if that is wished.
    fn round(
        &mut self,
        mut batch: Vec<Proposal>,
        votes: Votes,
        is_logged: bool,
    ) -> (Arc<Record>, Vec<u8>) {
        // Searched for once, not for each step.
        self.state.locate(&mut batch);
        let mut input = self.input(&batch, votes.now);
        input.cancelled = votes.cancelled;
        input.ballots = votes.decided;
        let verdicts = decide(&self.state, &batch, &input);
        self.state = apply(&self.state, &batch, &input, &verdicts);
        self.intents.remember(&input, &batch, &verdicts, self.state.horizon);
        let votes = (votes.opened, votes.counted);
        let (record, bytes) = match is_logged {
            true => Record::with_bytes(self.head, input, votes, batch, verdicts),
            false => (Record::new(self.head, input, votes, batch, verdicts), Vec::new()),
        };
        self.head = record.digest;
        (Arc::new(record), bytes)
    }
}

/// When everything that is not answered by then is cancelled.
pub(crate) type Stop = OnceLock<Option<Instant>>;

/// The thread on which rounds are decided, one after the other.
pub(crate) struct Queen {
    core: Core,
    way: Way,
    /// Set when the log has failed.
    failure: Failure,
    intake: Arc<Intake>,
    window: Window,
    stop: Arc<Stop>,
    /// Taken from the intake, but too much for the round before.
    taken: Option<Submission>,
    debts: Debts,
    /// What is voted on, with everything that came under that name meanwhile.
    waiting: BTreeMap<Attempt, Vec<(Proposal, Owed)>>,
    most_ballots: usize,
    /// The ballots of those that are judged once more.
    passed: BTreeMap<Attempt, Ballot>,
    /// Marks that wait for those that were pending when they came: until the round after this version at most.
    marks: Vec<(Version, Sender<()>)>,
}

/// What goes into a round.
#[derive(Default)]
struct Batch {
    proposals: Vec<Proposal>,
    /// So many of them, the first, were pending.
    again: usize,
    owed: Vec<Owed>,
    votes: Vec<(Vec<CastVote>, Sender<Counted>)>,
    marks: Vec<Sender<()>>,
    /// Roughly their bytes, if there is a log.
    bytes: usize,
    /// What is refused without a round.
    refused: Vec<(Owed, Outcome)>,
}

impl Queen {
    pub(crate) fn new(
        core: Core,
        (way, failure): (Way, Failure),
        intake: Arc<Intake>,
        (rule, max_batch): (BatchWindow, usize),
        (most_ballots, again): (usize, Again),
        stop: Arc<Stop>,
    ) -> Self {
        let window = Window::new(rule, max_batch);
        let Again { pending, passed } = again;
        let version = core.state.version();
        core.counters.starts_with(window.size(), version, pending.len());
        let restored: BTreeMap<_, _> = lock(&core.ballots)
            .iter()
            .map(|open| {
                let proposal = &open.proposal;
                let name = (proposal.id.clone(), proposal.attempt);
                (name, vec![((**proposal).clone(), Owed::Nobody)])
            })
            .collect();
        core.counters.votes_on(restored.len());
        core.counters.took(restored.len() + pending.len());
        // Nobody waits for them any more; whoever sends them again is answered with them.
        let pending = pending.into_iter().map(|proposal| (proposal, Owed::Nobody)).collect();
        Queen {
            core,
            way,
            failure,
            intake,
            window,
            stop,
            taken: None,
            debts: Debts::of(pending),
            waiting: restored,
            most_ballots,
            passed,
            marks: Vec::new(),
        }
    }

    /// Runs until the intake is closed and everything in it is answered.
    pub(crate) fn run(self, news: Arc<News>) {
        // If a round panics, nobody may wait for an answer that cannot come, or for another version: a closed intake
        // refuses new proposals, and dropping what is queued closes its tickets.
        let _close = CloseOnDrop(Arc::clone(&self.intake), news);
        let counters = Arc::clone(&self.core.counters);
        let way = self.run_to_the_end();
        way.end();
        // The last rounds were published after she had ended what they left pending.
        counters.ended();
    }

    fn run_to_the_end(mut self) -> Way {
        self.intake.is_taken_here();
        while let Some(batch) = self.next_batch() {
            let is_over = |stop: &Option<Instant>| stop.is_some_and(|stop| Instant::now() >= stop);
            if self.failure.get().is_some() || self.stop.get().is_some_and(is_over) {
                self.cancel(batch);
            } else {
                self.decide(batch);
            }
        }
        self.end_ballots();
        self.way
    }

    /// What the next round decides; `None` if there will never be anything again.
    fn next_batch(&mut self) -> Option<Batch> {
        let mut batch = Batch::default();
        for (proposal, owed) in self.debts.pending.drain(..) {
            batch.proposals.push(proposal);
            batch.owed.push(owed);
        }
        batch.again = batch.proposals.len();
        let is_logged = self.way.is_logged();
        if is_logged {
            batch.bytes = batch.proposals.iter().map(Proposal::bytes).sum();
        }
        let mut came = Vec::new();
        loop {
            let waits = batch.is_empty();
            let next = match self.taken.take() {
                Some(next) => next,
                // One at a time: what is left in the intake is in order of its class, and counts as queued.
                None => {
                    let is_full = batch.proposals.len() >= self.window.size();
                    if waits {
                        match self.time_to_closing() {
                            None => drop(self.intake.take(&mut came, 1)),
                            Some(time) => {
                                if self.intake.take_within(&mut came, 1, time).is_none() {
                                    // Nobody came, but a ballot is over.
                                    return Some(batch);
                                }
                            }
                        }
                    } else if !is_full {
                        self.intake.try_take(&mut came, 1);
                    }
                    match came.pop() {
                        Some(next) => next,
                        None => return (!waits).then_some(batch),
                    }
                }
            };
            let bytes = if is_logged { next.bytes() } else { 0 };
            if bytes > MOST_BYTES {
                self.core.counters.took(next.len());
                batch.refuse_as_too_large(next, bytes);
                return Some(batch);
            }
            let is_too_much = batch.proposals.len() + next.len() > self.window.size()
                || batch.bytes + bytes > BATCH_BYTES;
            // A round of its own goes alone, and what was submitted together is not divided.
            let is_alone = matches!(next, Submission::Round(..));
            if !batch.proposals.is_empty() && (is_too_much || is_alone) {
                self.taken = Some(next);
                return Some(batch);
            }
            self.core.counters.took(next.len());
            batch.bytes += bytes;
            batch.add(next);
            if is_alone {
                return Some(batch);
            }
        }
    }

    /// How long it takes until the next ballot is over.
    fn time_to_closing(&self) -> Option<Duration> {
        if self.waiting.is_empty() || !self.core.is_real_time {
            return None;
        }
        let closes = self.ballots().next_closing()?;
        Some(Duration::from_millis(closes.saturating_sub((self.core.clock)())))
    }

    fn ballots(&self) -> MutexGuard<'_, Ballots> {
        lock(&self.core.ballots)
    }

    fn decide(&mut self, mut batch: Batch) {
        // Once it has begun it has to take place.
        let has_begun = !batch.proposals.is_empty();
        if has_begun {
            self.core.begin();
        }
        let cancelled = self.unwanted(&batch);
        let (mut votes, counted) = self.count_votes(&mut batch);
        votes.cancelled.extend(cancelled);
        let Batch { proposals, owed, marks, refused, .. } = batch;
        let is_needed = !proposals.is_empty() || !votes.counted.is_empty();
        if is_needed && !has_begun {
            self.core.begin();
        }
        let mut answers = Vec::with_capacity(owed.len() + counted.len() + refused.len());
        let mut round = None;
        let mut bytes = Vec::new();
        if is_needed || has_begun {
            let starts: Vec<usize> = owed
                .iter()
                .scan(0, |start, owed| Some(std::mem::replace(start, *start + owed.len())))
                .collect();
            let is_logged = self.way.is_logged();
            let (record, written) = observe::round(|| self.core.round(proposals, votes, is_logged));
            bytes = written;
            self.observe(&record.verdicts);
            self.keep_passed(&record);
            for (owed, start) in owed.into_iter().zip(starts) {
                self.debts.answer(&record, owed, start, &mut answers);
            }
            self.debts.tidy();
            let state = self.core.state.clone();
            round = Some(Round { state, record, window: self.window.size() });
        }
        answers.extend(counted.into_iter().map(|(sender, told)| Answer::Counted(sender, told)));
        self.refuse(refused, &mut answers);
        self.pass_marks(marks, &mut answers);
        self.way.send(Step { round, answers, stands: false }, bytes);
    }

    /// Opens ballots, counts votes, and adds what is decided to the batch.
    fn count_votes(&mut self, batch: &mut Batch) -> (Votes, Vec<(Sender<Counted>, Counted)>) {
        let mut votes = Votes { now: (self.core.clock)(), ..Votes::default() };
        votes.decided.append(&mut self.passed);
        let needs_votes = |proposal: &Proposal| proposal.quorum.is_some();
        if self.waiting.is_empty()
            && batch.votes.is_empty()
            && !batch.proposals.iter().any(needs_votes)
        {
            return (votes, Vec::new());
        }
        self.set_aside(batch, &mut votes);
        let mut counted = Vec::new();
        for (cast, sender) in batch.votes.drain(..) {
            let mut ballots = lock(&self.core.ballots);
            let of_each: Counted = cast.iter().map(|vote| ballots.cast(vote, votes.now)).collect();
            let counts = cast.into_iter().zip(&of_each).filter(|(_, told)| told.is_ok());
            votes.counted.extend(counts.map(|(vote, _)| vote));
            counted.push((sender, of_each));
        }
        let is_unwanted = |waiting: &Vec<(Proposal, Owed)>| {
            waiting.iter().any(|(_, owed)| self.debts.is_cancelled(owed))
        };
        let unwanted = self.waiting.iter().filter(|(_, waiting)| is_unwanted(waiting));
        let unwanted: Vec<Attempt> = unwanted.map(|(name, _)| name.clone()).collect();
        let mut closed: Vec<_> = {
            let mut ballots = self.ballots();
            unwanted.iter().filter_map(|name| ballots.withdraw(name)).collect()
        };
        closed.extend(self.ballots().close(votes.now));
        for open in closed {
            let name = (open.proposal.id.clone(), open.proposal.attempt);
            for (proposal, owed) in self.waiting.remove(&name).into_iter().flatten() {
                batch.proposals.push(proposal);
                batch.owed.push(owed);
            }
            if unwanted.contains(&name) {
                votes.cancelled.insert(name.clone());
            }
            votes.decided.insert(name, open.ballot);
        }
        self.core.counters.votes_on(self.waiting.values().map(Vec::len).sum());
        (votes, counted)
    }

    /// Takes what waits for votes out of a batch.
    fn set_aside(&mut self, batch: &mut Batch, votes: &mut Votes) {
        let mut proposals = std::mem::take(&mut batch.proposals).into_iter();
        for owed in std::mem::take(&mut batch.owed) {
            let part: Vec<Proposal> = proposals.by_ref().take(owed.len()).collect();
            let is_free = |it: &Proposal| {
                it.quorum.is_none()
                    && (self.waiting.is_empty()
                        || !self.waiting.contains_key(&(it.id.clone(), it.attempt)))
            };
            if part.iter().all(is_free) {
                batch.proposals.extend(part);
                batch.owed.push(owed);
                continue;
            }
            for (proposal, owed) in part.into_iter().zip(self.debts.divide(owed)) {
                self.set_one_aside(batch, votes, proposal, owed);
            }
        }
    }

    fn set_one_aside(
        &mut self,
        batch: &mut Batch,
        votes: &mut Votes,
        proposal: Proposal,
        owed: Owed,
    ) {
        let name = (proposal.id.clone(), proposal.attempt);
        let is_decided = proposal.quorum.is_none() || votes.decided.contains_key(&name);
        if let Some(waiting) = self.waiting.get_mut(&name) {
            // What has the same name is answered together.
            waiting.push((proposal, owed));
        } else if is_decided || !self.core.waits_for_votes(&proposal, votes.now) {
            batch.proposals.push(proposal);
            batch.owed.push(owed);
        } else if self.waiting.len() >= self.most_ballots {
            let most = self.most_ballots;
            let what =
                format!("{most} ballots are open, and no more are allowed: propose it later");
            let refused = Outcome::LimitReached { what };
            observe::without_a_round(&[proposal], &refused);
            batch.refused.push((owed, refused));
        } else {
            let opened = Arc::new(proposal.clone());
            self.ballots().open(&opened, votes.now);
            votes.opened.push(opened);
            self.waiting.insert(name, vec![(proposal, owed)]);
        }
    }

    /// The ballots of those that are judged once more are kept for that.
    fn keep_passed(&mut self, record: &Record) {
        if !record.input.ballots.is_empty() {
            self.passed = record.passed();
        }
    }

    /// What was taken back of a batch.
    fn unwanted(&self, batch: &Batch) -> BTreeSet<Attempt> {
        let mut unwanted = BTreeSet::new();
        let mut start = 0;
        for owed in &batch.owed {
            let part = start..start + owed.len();
            start = part.end;
            if self.debts.is_cancelled(owed) {
                unwanted.extend(batch.proposals[part].iter().map(|it| (it.id.clone(), it.attempt)));
            }
        }
        unwanted
    }

    fn observe(&mut self, verdicts: &Verdicts) {
        let is_lost = |outcome: &&Outcome| matches!(outcome, Outcome::Conflict { .. });
        let lost = verdicts.outcomes.iter().filter(is_lost).count();
        self.window.observe(verdicts.outcomes.len(), lost);
    }

    /// Passes on the marks of which everything before is answered.
    fn pass_marks(&mut self, new: Vec<Sender<()>>, answers: &mut Vec<Answer>) {
        let now = self.core.state.version();
        let last = Version(now.0.saturating_add(self.core.policy.pending));
        self.marks.extend(new.into_iter().map(|mark| (last, mark)));
        let is_over = self.debts.pending.is_empty();
        let passed = self.marks.extract_if(.., |(last, _)| is_over || *last <= now);
        answers.extend(passed.map(|(_, mark)| Answer::Mark(mark)));
    }

    /// What was refused without a round.
    fn refuse(&mut self, refused: Vec<(Owed, Outcome)>, answers: &mut Vec<Answer>) {
        for (owed, outcome) in refused {
            self.core.counters.refused(&outcome, owed.len());
            self.debts.answer_all(owed, outcome, answers);
        }
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
            Submission::Votes(votes, sender) => self.votes.push((votes, sender)),
            Submission::Mark(_, sender) => self.marks.push(sender),
        }
    }

    /// What would not fit into a log.
    fn refuse_as_too_large(&mut self, submission: Submission, bytes: usize) {
        let what = format!(
            "{bytes} bytes were proposed together, and at most {MOST_BYTES} go into a log at once: divide it"
        );
        let refused = Outcome::LimitReached { what };
        let mut alone = Batch::default();
        alone.add(submission);
        for proposal in &alone.proposals {
            observe::without_a_round(std::slice::from_ref(proposal), &refused);
        }
        self.refused.extend(alone.owed.into_iter().map(|owed| (owed, refused.clone())));
    }

    fn is_empty(&self) -> bool {
        self.proposals.is_empty() && self.votes.is_empty() && self.marks.is_empty()
    }
}

struct CloseOnDrop(Arc<Intake>, Arc<News>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        observe::queen_ends();
        self.0.close();
        self.1.end();
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
