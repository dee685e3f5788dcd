//! The threads on which agents live: workers that run them, and a keeper of time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use queenright_primitives::Version;
use queenright_primitives::notify::Event;
use queenright_primitives::snapshot::SnapshotCell;

use super::cell::Cell;
use super::keeper::{Keeper, LOOK, Note};
use super::life::{Life, nudge_all};
use super::state::AgentState;
use super::view::Looked;
use super::watchers::Watchers;
use crate::claims::Claims;
use crate::consensus::{Attempt, Ballots, CastVote, Intake, OpenBallot, Submission};
use crate::error::{HiveError, ProposeError};
use crate::hive::one_given_back;
use crate::id::{AgentId, Own, ProposalId, own_id};
use crate::lock::lock;
use crate::log::{Recent, Record};
use crate::observe;
use crate::proposal::{Proposal, sees};
use crate::state::{Snapshot, State};
use crate::ticket::Ticket;

/// What agents reach of their hive.
pub(crate) struct Links {
    pub(crate) cell: Arc<SnapshotCell<State>>,
    pub(crate) intake: Arc<Intake>,
    pub(crate) recent: Arc<Mutex<Recent>>,
    pub(crate) claims: Arc<Claims>,
    pub(crate) ballots: Arc<Mutex<Ballots>>,
    pub(crate) seed: u64,
    /// That of the hive's log.
    pub(crate) term: u64,
    /// All names that are taken, those of agents that are run in waves among them.
    pub(crate) names: Arc<Mutex<HashSet<AgentId>>>,
}

/// So many rounds wait to be looked at by watchers; if there are more, all of them are woken.
const ROUNDS: usize = 1024;
/// How long the end waits for agents that are running.
const END_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct Runtime {
    links: Links,
    jobs: Mutex<VecDeque<Job>>,
    has_jobs: Event,
    watchers: Mutex<Watchers>,
    rounds: Mutex<Rounds>,
    names: Mutex<HashMap<AgentId, Arc<Cell>, RandomState>>,
    intents: AtomicU64,
    workers: Mutex<Vec<Arc<Worker>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Threads that have ended tell.
    has_ended: Event,
    notes: Sender<Note>,
    /// Nobody comes in any more.
    is_stopping: AtomicBool,
    /// All who were there have been told to end.
    is_ending: AtomicBool,
    /// Threads that hang in an agent.
    hanging: Mutex<Vec<ThreadId>>,
    /// After how many nanoseconds without a sign of life an agent hangs, at the least.
    shortest: AtomicU64,
    /// Lives whose agents do something elsewhere, by number.
    away: Mutex<HashMap<u64, Weak<Life>, RandomState>>,
}

enum Job {
    Turn(Arc<Life>),
    /// Somebody may have looked at what has changed.
    Rounds,
}

#[derive(Default)]
struct Rounds {
    records: VecDeque<Arc<Record>>,
    /// Some were dropped.
    missed: bool,
}

/// One thread that runs agents.
struct Worker {
    thread: OnceLock<ThreadId>,
    /// Whose turn it is, and since when.
    running: Mutex<Option<(Arc<Life>, Instant)>>,
    /// It hangs in an agent, and is not counted on any more.
    is_abandoned: AtomicBool,
}

impl Runtime {
    pub(crate) fn start(links: Links, workers: usize) -> Result<Arc<Self>, HiveError> {
        let (notes, told) = channel();
        let runtime = Arc::new(Runtime {
            links,
            jobs: Mutex::default(),
            has_jobs: Event::new(),
            watchers: Mutex::default(),
            rounds: Mutex::default(),
            names: Mutex::default(),
            intents: AtomicU64::new(0),
            workers: Mutex::default(),
            threads: Mutex::default(),
            has_ended: Event::new(),
            notes,
            is_stopping: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            hanging: Mutex::default(),
            // The keeper looks often enough for this without being told.
            shortest: AtomicU64::new(4 * LOOK.as_nanos() as u64),
            away: Mutex::default(),
        });
        for _ in 0..workers.max(1) {
            runtime.add_worker()?;
        }
        let keeper = Arc::clone(&runtime);
        runtime.spawn_thread("queenright-keeper", move || Keeper::new(keeper).run(&told))?;
        Ok(runtime)
    }

    /// Starts a thread that the end of the hive waits for.
    pub(crate) fn spawn_thread(
        self: &Arc<Self>,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), HiveError> {
        let runtime = Arc::clone(self);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            run();
            runtime.has_ended.notify_all();
        });
        let thread = thread.map_err(|error| HiveError::Start(error.to_string()))?;
        let mut threads = lock(&self.threads);
        threads.retain(|thread| !thread.is_finished());
        threads.push(thread);
        Ok(())
    }

    fn add_worker(self: &Arc<Self>) -> Result<(), HiveError> {
        let worker = Arc::new(Worker {
            thread: OnceLock::new(),
            running: Mutex::default(),
            is_abandoned: AtomicBool::new(false),
        });
        let (runtime, this) = (Arc::clone(self), Arc::clone(&worker));
        self.spawn_thread("queenright-agents", move || this.run(&runtime))?;
        lock(&self.workers).push(worker);
        Ok(())
    }

    pub(crate) fn watchers(&self) -> MutexGuard<'_, Watchers> {
        lock(&self.watchers)
    }

    pub(crate) fn claims(&self) -> &Claims {
        &self.links.claims
    }

    pub(crate) fn seed(&self) -> u64 {
        self.links.seed
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::published(self.links.cell.load())
    }

    /// The id of an agent's next intent.
    pub(crate) fn next_id(&self, agent: &AgentId) -> ProposalId {
        // Relaxed: it only has to differ.
        let number = self.intents.fetch_add(1, Ordering::Relaxed);
        own_id(Own::Living, agent.as_str(), self.links.term, number)
    }

    pub(crate) fn propose(&self, proposal: Proposal) -> Result<Ticket, ProposeError> {
        let (submission, receiver) = Submission::one(proposal);
        self.links.intake.push(submission).map_err(one_given_back)?;
        Ok(Ticket::new(receiver))
    }

    pub(crate) fn queue(&self, life: Arc<Life>) {
        self.add_job(Job::Turn(life));
    }

    fn add_job(&self, job: Job) {
        lock(&self.jobs).push_back(job);
        self.has_jobs.notify_one();
    }

    pub(crate) fn wake_at(&self, time: Instant, life: Weak<Life>) {
        // The keeper is gone only if all agents are to end.
        let _ = self.notes.send(Note::WakeAt(time, life));
    }

    pub(crate) fn tell_failure(&self, cell: Arc<Cell>, falls: u64, reason: String) {
        let _ = self.notes.send(Note::Failed(cell, falls, reason));
    }

    /// Has somebody look whether an agent has not been heard of for so long.
    pub(crate) fn look_after(&self, hang_after: Duration) {
        let time = u64::try_from(hang_after.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: it orders nothing. The keeper is woken only if it has to look more often than before.
        if self.shortest.fetch_min(time, Ordering::Relaxed) > time {
            let _ = self.notes.send(Note::HangAfter(hang_after));
        }
    }

    /// Starts those again that have not fallen once more by then, or were ended.
    pub(crate) fn start_at(&self, time: Instant, cells: Vec<(Arc<Cell>, u64)>) {
        let _ = self.notes.send(Note::StartAt(time, cells));
    }

    /// An agent does something elsewhere.
    pub(crate) fn is_away(&self, life: &Arc<Life>) {
        lock(&self.away).insert(life.number, Arc::downgrade(life));
    }

    pub(crate) fn is_back(&self, life: u64) {
        lock(&self.away).remove(&life);
    }

    /// An open ballot in which a member of its roll has not voted, and for which it was not asked. Those that are not open any more
    /// are forgotten.
    pub(crate) fn next_ballot(
        &self,
        member: &AgentId,
        asked: &mut BTreeSet<Attempt>,
    ) -> Option<OpenBallot> {
        let ballots = lock(&self.links.ballots);
        asked.retain(|attempt| ballots.is_open(attempt));
        let is_asked =
            |open: &OpenBallot| asked.contains(&(open.proposal.id.clone(), open.proposal.attempt));
        let wants = |open: &&OpenBallot| {
            open.rule().roll().contains_key(member)
                && !open.ballot.votes.contains_key(member)
                && !is_asked(open)
        };
        ballots.iter().find(wants).cloned()
    }

    /// Casts a vote, whatever becomes of it.
    pub(crate) fn cast(&self, vote: CastVote) {
        let (submission, _) = Submission::votes(vec![vote]);
        drop(self.links.intake.push_waiting(submission));
    }

    /// Tells those of the rolls that they have a vote.
    fn has_opened(&self, opened: &[Arc<Proposal>]) {
        let rolls = opened.iter().filter_map(|proposal| proposal.quorum.as_ref());
        let members = rolls.flat_map(|rule| rule.roll().keys());
        let asked: Vec<Arc<Cell>> = {
            let names = lock(&self.names);
            members.filter_map(|member| names.get(member).cloned()).collect()
        };
        for cell in asked {
            cell.has_a_vote();
            cell.nudge();
        }
    }

    /// A round was published.
    pub(crate) fn committed(&self, record: &Arc<Record>) {
        if !record.opened.is_empty() {
            self.has_opened(&record.opened);
        }
        if record.verdicts.accepted.is_empty() {
            return;
        }
        let mut rounds = lock(&self.rounds);
        let was_empty = rounds.records.is_empty() && !rounds.missed;
        if rounds.records.len() < ROUNDS {
            rounds.records.push_back(Arc::clone(record));
        } else {
            rounds.missed = true;
        }
        drop(rounds);
        if was_empty {
            self.add_job(Job::Rounds);
        }
    }

    /// Wakes those who looked at what has changed.
    fn look_at_rounds(&self) {
        let rounds = std::mem::take(&mut *lock(&self.rounds));
        let mut woken = Vec::new();
        let mut watchers = self.watchers();
        if rounds.missed {
            woken = watchers.take_all();
        } else {
            let writes = rounds.records.iter().flat_map(|record| record.accepted());
            for (key, _) in writes.flat_map(|proposal| &proposal.writes) {
                watchers.take(key, &mut woken);
            }
        }
        drop(watchers);
        nudge_all(woken);
    }

    /// Whether others changed what an agent looked at, up to and including the version that committed its own proposal.
    pub(crate) fn others_changed(
        &self,
        agent: &AgentId,
        looked: &Looked,
        base: Version,
        version: Version,
    ) -> bool {
        // Rounds from elsewhere came between: rather run once more than miss one of their changes.
        if version > base.next() {
            return true;
        }
        let Some(record) = lock(&self.links.recent).record(version) else { return true };
        let others = record.accepted().filter(|proposal| proposal.agent != *agent);
        let mut written = others.flat_map(|proposal| &proposal.writes).map(|(key, _)| key);
        written.any(|key| looked.iter().any(|read| sees(read, key)))
    }

    /// Takes a name; says whether it was free.
    pub(crate) fn take_name(&self, cell: &Arc<Cell>) -> bool {
        let mut names = lock(&self.names);
        let mut taken = lock(&self.links.names);
        // Looked at under the lock, so that nobody comes in after those who are there were told to end.
        if self.is_stopping() || !taken.insert(cell.id.clone()) {
            return false;
        }
        observe::agent_named();
        names.insert(cell.id.clone(), Arc::clone(cell));
        true
    }

    pub(crate) fn free_name(&self, cell: &Arc<Cell>) {
        let mut names = lock(&self.names);
        if names.get(&cell.id).is_some_and(|holder| Arc::ptr_eq(holder, cell)) {
            names.remove(&cell.id);
            lock(&self.links.names).remove(&cell.id);
        }
    }

    /// How many agents are in which state.
    pub(crate) fn states(&self) -> BTreeMap<&'static str, usize> {
        let cells: Vec<_> = lock(&self.names).values().cloned().collect();
        let mut states = BTreeMap::new();
        for cell in cells {
            *states.entry(cell.state().name()).or_default() += 1;
        }
        states
    }

    /// Whether this is the queen's own thread: nobody may wait for an agent there, as agents wait for her.
    pub(crate) fn is_queens_thread(&self) -> bool {
        self.links.intake.is_queens_thread()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// Ends all agents, and tells the threads to end.
    pub(crate) fn stop(&self) {
        let cells: Vec<Arc<Cell>> = {
            let names = lock(&self.names);
            self.is_stopping.store(true, Ordering::SeqCst);
            names.values().cloned().collect()
        };
        for cell in cells {
            cell.end(AgentState::Killed, self);
        }
        // Only now, as each of them has a last turn.
        self.is_ending.store(true, Ordering::SeqCst);
        let _ = self.notes.send(Note::Stop);
        self.has_jobs.notify_all();
    }

    /// Waits for the threads to end. An agent that is running is waited for, but not for ever: then its thread is left alone.
    pub(crate) fn wait_for_the_end(&self) {
        let this = thread::current().id();
        let hang = lock(&self.hanging).clone();
        let is_awaited = |id: ThreadId| id != this && !hang.contains(&id);
        let mut threads = Vec::new();
        // Who was about to start a thread has done so.
        let mut all_ended = || {
            let mut new = std::mem::take(&mut *lock(&self.threads));
            new.retain(|thread| is_awaited(thread.thread().id()));
            threads.append(&mut new);
            threads.iter().all(JoinHandle::is_finished).then_some(())
        };
        // A thread tells before it is quite at its end, so that somebody has to look once more.
        let deadline = Instant::now() + END_WITHIN;
        while all_ended().is_none() && Instant::now() < deadline {
            let _ = self.has_ended.wait_until_timeout(Duration::from_millis(1), &mut all_ended);
        }
        for thread in threads.into_iter().filter(JoinHandle::is_finished) {
            drop(thread.join());
        }
    }

    /// Gives up on workers whose agent has not been heard of for too long, and puts others in their place.
    pub(super) fn look_for_hangs(self: &Arc<Self>, now: Instant) {
        let workers = lock(&self.workers).clone();
        for worker in workers {
            // As long as this is held, the worker does not go on to another.
            let running = lock(&worker.running);
            let Some((life, began)) = running.clone() else { continue };
            let heard = life.pulse.last_beat().max(began);
            let silent = now.saturating_duration_since(heard);
            if silent < life.cell.hang_after {
                continue;
            }
            worker.is_abandoned.store(true, Ordering::SeqCst);
            lock(&self.hanging).extend(worker.thread.get());
            lock(&self.workers).retain(|other| !Arc::ptr_eq(other, &worker));
            drop(running);
            // If there is no thread to be had, those that are left go on.
            let _ = self.add_worker();
            life.cell.hangs(&life, silent, self);
        }
        self.look_for_those_away(now);
    }

    /// Gives up on those that are elsewhere and have not been heard of for too long. What they wait for is dropped.
    fn look_for_those_away(&self, now: Instant) {
        let away: Vec<_> = lock(&self.away).values().filter_map(Weak::upgrade).collect();
        for life in away.into_iter().filter(|life| !life.is_woken()) {
            let silent = now.saturating_duration_since(life.pulse.last_beat());
            if silent >= life.cell.hang_after {
                life.cell.hangs(&life, silent, self);
            }
        }
    }

    fn next_job(&self, worker: &Worker) -> Option<Job> {
        self.has_jobs.wait_until(|| {
            if worker.is_abandoned.load(Ordering::SeqCst) {
                return Some(None);
            }
            match lock(&self.jobs).pop_front() {
                Some(job) => Some(Some(job)),
                None => self.is_ending.load(Ordering::SeqCst).then_some(None),
            }
        })
    }
}

impl Worker {
    fn run(&self, runtime: &Arc<Runtime>) {
        let _ = self.thread.set(thread::current().id());
        while let Some(job) = runtime.next_job(self) {
            match job {
                Job::Rounds => runtime.look_at_rounds(),
                Job::Turn(life) => {
                    life.beat();
                    *lock(&self.running) = Some((Arc::clone(&life), Instant::now()));
                    let turn = || life.turn(runtime);
                    if catch_unwind(AssertUnwindSafe(turn)).is_err() {
                        life.cell.failed(&life, "an error of the hive itself", runtime);
                    }
                    *lock(&self.running) = None;
                }
            }
        }
        // It may have been given up, and has come back.
        lock(&runtime.hanging).retain(|thread| *thread != thread::current().id());
    }
}
