//! The queen: takes proposals in, decides rounds, publishes versions, answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant};

use queenright_primitives::Version;
use queenright_primitives::notify::Sender;
use queenright_primitives::panics::quietly;
use queenright_primitives::snapshot::SnapshotCell;

use super::ballots::{Attempt, Ballots};
use super::intake::{Counted, Intake, Submission, tell};
use super::intents::Intents;
use super::news::News;
use super::quorum::{Ballot, CastVote, VoteError};
use super::round::{RoundInput, RoundPolicy, Verdicts, apply, decide};
use super::window::{BatchWindow, Window};
use crate::agent::Runtime;
use crate::claims::Claims;
use crate::lock::lock;
use crate::log::{MemoryLog, Record};
use crate::metrics::Counters;
use crate::observe;
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
    /// Whether that counts milliseconds, so that one can wait until it shows a time.
    pub(crate) is_real_time: bool,
    pub(crate) claims: Arc<Claims>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) intents: Intents,
    pub(crate) ballots: Arc<Mutex<Ballots>>,
    /// Those who may have looked at what a round changes.
    pub(crate) agents: Arc<OnceLock<Arc<Runtime>>>,
    pub(crate) news: Arc<News>,
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
        self.claims.begin(self.cell.version().next());
    }

    /// What a round of this batch depends on, but for votes and cancellations.
    fn input(&self, state: &State, batch: &[Proposal], now: u64) -> RoundInput {
        let mut input = RoundInput {
            now,
            seed: self.seed,
            policy: self.policy.clone(),
            decided: self.intents.of(batch),
            ..RoundInput::new(state.version().next())
        };
        self.claims.tell(batch, &mut input);
        input
    }

    /// Whether nothing but a ballot decides about a proposal now.
    fn waits_for_votes(&self, proposal: &Proposal, now: u64) -> bool {
        let state = self.cell.load();
        let alone = std::slice::from_ref(proposal);
        let input = self.input(&state, alone, now);
        // What was answered before is answered again.
        let is_answered = input.decided.values().any(|known| {
            known.committed.is_some() || known.attempts.contains_key(&proposal.attempt)
        });
        if is_answered {
            return false;
        }
        let verdicts = decide(&state, alone, &input);
        matches!(verdicts.outcomes.first(), Some(Outcome::Rejected { .. }))
    }

    /// Decides one round and publishes it. A version becomes readable only after its record is in the log.
    fn round(&mut self, batch: Vec<Proposal>, votes: Votes) -> Arc<Record> {
        let state = self.cell.load();
        let mut input = self.input(&state, &batch, votes.now);
        input.cancelled = votes.cancelled;
        input.ballots = votes.decided;
        let verdicts = decide(&state, &batch, &input);
        let next = apply(&state, &batch, &input, &verdicts);
        self.intents.remember(&input, &batch, &verdicts, next.horizon);
        let log = || lock(&self.log);
        // Nobody else appends. It is hashed while others may read the log.
        let head = log().head();
        let votes = (votes.opened, votes.counted);
        let record = Arc::new(Record::new(head, input, votes, batch, verdicts));
        log().append(Arc::clone(&record));
        let published = self.cell.compare_and_commit(state.version(), next);
        assert!(published.is_ok(), "the queen alone publishes versions: {published:?}");
        if let Some(agents) = self.agents.get() {
            agents.committed(&record);
        }
        self.news.tell();
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
    owed: Vec<Owed>,
    votes: Vec<(Vec<CastVote>, Sender<Counted>)>,
    marks: Vec<Sender<()>>,
    /// What is refused without a round.
    refused: Vec<(Owed, Outcome)>,
}

impl Queen {
    pub(crate) fn new(
        core: Core,
        intake: Arc<Intake>,
        (rule, max_batch): (BatchWindow, usize),
        most_ballots: usize,
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
            waiting: BTreeMap::new(),
            most_ballots,
            passed: BTreeMap::new(),
            marks: Vec::new(),
        }
    }

    /// Runs until the intake is closed and everything in it is answered.
    pub(crate) fn run(mut self) {
        // If a round panics, nobody may wait for an answer that cannot come, or for another version: a closed intake
        // refuses new proposals, and dropping what is queued closes its tickets.
        let _close = CloseOnDrop(Arc::clone(&self.intake), Arc::clone(&self.core.news));
        self.intake.is_taken_here();
        while let Some(batch) = self.next_batch() {
            if self.stop.get().is_some_and(|stop| stop.is_some_and(|stop| Instant::now() >= stop)) {
                observe::without_a_round(&batch.proposals, &Outcome::Cancelled);
                self.cancel(batch);
            } else {
                self.decide(batch);
            }
        }
        self.cancel_ballots();
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
        if is_needed || has_begun {
            let starts: Vec<usize> = owed
                .iter()
                .scan(0, |start, owed| Some(std::mem::replace(start, *start + owed.len())))
                .collect();
            let record = observe::round(|| self.core.round(proposals, votes));
            self.observe(&record.verdicts, record.input.round);
            self.keep_passed(&record);
            for (owed, start) in owed.into_iter().zip(starts) {
                self.answer(&record, owed, start);
            }
            let used = self.groups.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            self.groups.truncate(used);
        }
        for (sender, counted) in counted {
            tell(sender, counted);
        }
        for (owed, outcome) in refused {
            self.core.counters.refused(&outcome);
            self.tell_all(owed, outcome);
        }
        self.pass_marks(marks);
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
            waiting.iter().any(|(_, owed)| self.is_cancelled(owed))
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
            for (proposal, owed) in part.into_iter().zip(self.divide(owed)) {
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

    /// One debt for each proposal of a part.
    fn divide(&mut self, owed: Owed) -> Vec<Owed> {
        match owed {
            Owed::Many(count, sender) => {
                let group = self.groups.len();
                self.groups.push(Some(Group { outcomes: vec![None; count], sender }));
                (0..count).map(|place| Owed::Member { group, place }).collect()
            }
            one => vec![one],
        }
    }

    /// The ballots of those that are judged once more are kept for that.
    fn keep_passed(&mut self, record: &Record) {
        let Record { input, batch, verdicts, .. } = record;
        if input.ballots.is_empty() {
            return;
        }
        let pending = verdicts.pending.iter().map(|&place| &batch[place]);
        let name = |it: &Proposal| (it.id.clone(), it.attempt);
        let kept = pending.filter_map(|it| input.ballots.get_key_value(&name(it)));
        self.passed = kept.map(|(name, ballot)| (name.clone(), ballot.clone())).collect();
    }

    /// What was taken back of a batch.
    fn unwanted(&self, batch: &Batch) -> BTreeSet<Attempt> {
        let mut unwanted = BTreeSet::new();
        let mut start = 0;
        for owed in &batch.owed {
            let part = start..start + owed.len();
            start = part.end;
            if self.is_cancelled(owed) {
                unwanted.extend(batch.proposals[part].iter().map(|it| (it.id.clone(), it.attempt)));
            }
        }
        unwanted
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
            self.tell_all(owed, Outcome::Cancelled);
        }
        for (votes, sender) in batch.votes {
            tell(sender, vec![Err(VoteError::Closed); votes.len()]);
        }
        self.pass_marks(batch.marks);
    }

    /// Nobody can vote any more.
    fn cancel_ballots(&mut self) {
        for (proposal, owed) in std::mem::take(&mut self.waiting).into_values().flatten() {
            observe::without_a_round(&[proposal], &Outcome::Cancelled);
            self.core.counters.cancelled(1);
            self.tell_all(owed, Outcome::Cancelled);
        }
        *self.ballots() = Ballots::default();
        self.core.counters.votes_on(0);
    }

    fn tell_all(&mut self, owed: Owed, outcome: Outcome) {
        match owed {
            Owed::One(sender) => tell(sender, outcome),
            Owed::Many(count, sender) => tell(sender, vec![outcome; count]),
            Owed::Member { group, place } => self.answer_member(group, place, outcome),
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
