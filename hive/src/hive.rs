//! The hive itself.

mod start;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use queenright_primitives::Version;
use queenright_primitives::schedule::{Class, PushError};
use queenright_primitives::snapshot::SnapshotCell;

use crate::agent::{
    Agent, AgentError, Context, Intent, Links, Roster, Runtime, Settled, Supervision, Supervisor,
    View,
};
use crate::claims::{Claims, Fenced};
use crate::config::HiveBuilder;
use crate::consensus::{
    Ballots, CastVote, Failure, Intake, News, OpenBallot, Stop, Submission, Tally, VoteError,
};
use crate::error::{HiveError, ProposeError, TransactError};
use crate::id::{AgentId, Own, own_id};
use crate::lock::lock;
use crate::log::{LogError, Recent, Record};
use crate::metrics::{Counters, Metrics};
use crate::outcome::Outcome;
use crate::proposal::Proposal;
use crate::state::{BASE_AGENT, Snapshot, State};
use crate::ticket::{Ticket, Tickets, Votes};
use crate::value::Value;
use crate::watch::{Source, Watch};

/// Who proposes the changes of [`Hive::transact`].
pub(crate) const TRANSACT_AGENT: &str = "transact";

/// Shared state with a queen who decides what is committed to it.
///
/// Any number of threads may use one hive. Dropping it refuses new proposals, decides those that are queued, and
/// joins the queen's thread.
///
/// ```
/// use queenright::{Hive, Op, Proposal};
///
/// let hive = Hive::builder().seed(7).build()?;
/// let proposal = Proposal::on(&hive.snapshot(), "me", "first").write("answer", Op::Set(42.into()))?;
/// assert!(hive.propose(proposal)?.wait().is_committed());
/// assert_eq!(hive.snapshot().get("answer"), Some(&42.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Hive {
    name: String,
    cell: Arc<SnapshotCell<State>>,
    recent: Arc<Mutex<Recent>>,
    intake: Arc<Intake>,
    news: Arc<News>,
    claims: Arc<Claims>,
    ballots: Arc<Mutex<Ballots>>,
    /// Made when the first agent is spawned.
    agents: Arc<OnceLock<Arc<Runtime>>>,
    starting: Mutex<()>,
    /// The names of all agents that are not over.
    names: Arc<Mutex<HashSet<AgentId>>>,
    seed: u64,
    /// That of its log; 0 without one.
    term: u64,
    /// The term in ids of transactions and of agents that run in waves.
    wave_term: u64,
    failure: Failure,
    counters: Arc<Counters>,
    stop: Arc<Stop>,
    roster: Mutex<Roster>,
    transactions: Mutex<u64>,
    max_attempts: u32,
    /// `None`: rayon's global pool.
    pool: Option<rayon::ThreadPool>,
    queen: Mutex<Option<JoinHandle<()>>>,
}

impl Hive {
    /// Starts to describe a hive.
    pub fn builder() -> HiveBuilder {
        HiveBuilder::default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The current state. Lock-free, and never waits for the queen.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::published(self.cell.load())
    }

    /// The current version.
    pub fn version(&self) -> Version {
        self.cell.version()
    }

    /// The last rounds, oldest first: as many as [`HiveBuilder::keep_rounds`] says.
    pub fn history(&self) -> Vec<Arc<Record>> {
        lock(&self.recent).records()
    }

    /// Why its log takes nothing any more, if it does not: then the queen has stopped, and the hive can only be read. Open the log
    /// anew, and build another hive on it.
    pub fn log_failure(&self) -> Option<&LogError> {
        self.failure.get()
    }

    /// Everything that is committed from now on, version by version: what has changed, from what to what, and by whom. See
    /// [`Watch`] for how to look for some keys alone, and for how to begin earlier.
    pub fn watch(&self) -> Watch {
        Watch::of(Source {
            cell: Arc::clone(&self.cell),
            recent: Arc::clone(&self.recent),
            news: Arc::clone(&self.news),
            intake: Arc::clone(&self.intake),
        })
    }

    /// What it has done so far, in numbers.
    ///
    /// What the queen counts is of one moment; what the queue holds is of another, a little later.
    pub fn metrics(&self) -> Metrics {
        Metrics { queued: self.intake.depths(), ..self.counters.read() }
    }

    /// Who holds what, so that of several who want to do a thing one does it.
    pub fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Ends all earlier lives of an agent: the proposals they have sent, or are still to send, are refused as
    /// [`StaleClaim`](Outcome::StaleClaim) unless they were judged already. The next life shows its number in
    /// [`Proposal::incarnation`], and starts from a snapshot of version [`since`](Fenced::since) or later.
    pub fn fence(&self, agent: impl Into<AgentId>) -> Fenced {
        self.claims.fence(agent.into())
    }

    /// Hands a proposal to the queen. When her queue is full, it waits, or gives up, as [`HiveBuilder::when_full`] says.
    ///
    /// # Errors
    /// [`ProposeError`] gives the proposal back: `Closed` when the queen has stopped, `TooDeep` when a value is nested
    /// too deeply, `Reserved` when its id begins with `@`, `Full` only if the hive was told not to wait for ever, or on the queen's own thread, where the wakers of tickets run.
    pub fn propose(&self, proposal: Proposal) -> Result<Ticket, ProposeError> {
        self.submit(from_outside(proposal)?)
    }

    fn submit(&self, proposal: Proposal) -> Result<Ticket, ProposeError> {
        let (submission, receiver) = Submission::one(checked(proposal)?);
        self.intake.push(submission).map_err(one_given_back)?;
        Ok(Ticket::new(receiver))
    }

    /// Hands several proposals to the queen at once: they are decided in one round, unless some stay pending. For many it
    /// costs a fraction of as many [`propose`](Self::propose).
    ///
    /// Whether one is accepted does not depend on the others being so: that is what one proposal with several writes is for.
    ///
    /// With a [log](HiveBuilder::log) they have at most 256 MiB together, roughly; more are refused as
    /// [`LimitReached`](Outcome::LimitReached).
    ///
    /// # Errors
    /// As [`propose`](Self::propose), with all of them.
    pub fn propose_many(
        &self,
        proposals: Vec<Proposal>,
    ) -> Result<Tickets, ProposeError<Vec<Proposal>>> {
        if proposals.iter().any(|proposal| proposal.id.is_of_a_hive()) {
            return Err(ProposeError::Reserved(proposals));
        }
        if !proposals.iter().all(is_flat) {
            return Err(ProposeError::TooDeep(proposals));
        }
        let count = proposals.len();
        let (submission, receiver) = Submission::many(proposals);
        let pushed = self.intake.push(submission);
        pushed.map_err(|error| given_back(error, Submission::into_proposals))?;
        Ok(Tickets::new(receiver, count))
    }

    /// Hands a proposal to the queen if there is room in her queue.
    ///
    /// # Errors
    /// [`ProposeError`] gives the proposal back.
    pub fn try_propose(&self, proposal: Proposal) -> Result<Ticket, ProposeError> {
        let (submission, receiver) = Submission::one(checked(from_outside(proposal)?)?);
        self.intake.try_push(submission).map_err(one_given_back)?;
        Ok(Ticket::new(receiver))
    }

    /// The proposals that are being voted on, in order of their ids. Who is of the roll may [`vote`](Self::vote).
    pub fn ballots(&self) -> Vec<OpenBallot> {
        lock(&self.ballots).iter().cloned().collect()
    }

    /// Votes on a proposal, and waits until the vote is recorded. Tells how the ballot stands with it.
    ///
    /// ```
    /// use queenright::consensus::{CastVote, QuorumRule, Threshold, Vote};
    /// use queenright::{Hive, Op, Proposal};
    ///
    /// let hive = Hive::builder().build()?;
    /// let rule = QuorumRule::new(["ada", "bob", "cyd"], Threshold::Majority)?;
    /// let proposal = Proposal::on(&hive.snapshot(), "ada", "release").write("live", Op::Set(2.into()))?;
    /// let ticket = hive.propose(proposal.with_quorum(rule))?;
    ///
    /// let tally = hive.vote(CastVote::on("release", "bob", Vote::Yes))?;
    /// assert_eq!((tally.yes, tally.needed), (1, 2));
    /// hive.vote(CastVote::on("release", "cyd", Vote::Yes))?;
    /// assert!(ticket.wait().is_committed());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`VoteError`] says why the vote does not count.
    pub fn vote(&self, vote: CastVote) -> Result<Tally, VoteError> {
        if self.intake.is_queens_thread() {
            return Err(VoteError::Busy);
        }
        let counted = self.cast(vec![vote]).wait();
        counted.into_iter().next().unwrap_or(Err(VoteError::Closed))
    }

    /// Casts votes, and does not wait for them to be counted. It waits for room in the queue.
    pub fn cast(&self, votes: Vec<CastVote>) -> Votes {
        let count = votes.len();
        let (submission, receiver) = Submission::votes(votes);
        // If the hive is closed, the answer says so.
        drop(match self.intake.is_queens_thread() {
            true => self.intake.try_push(submission),
            false => self.intake.push_waiting(submission),
        });
        Votes::new(receiver, count)
    }

    /// Somebody who watches over agents that live: they run at once, whenever what they looked at changes or somebody tells them
    /// something, until they are done. For runs that are the same each time, see [`run_until_settled`](Self::run_until_settled).
    ///
    /// # Errors
    /// [`HiveError::Start`] when the system refuses a thread; [`HiveError::Closed`] when the hive is shut down.
    pub fn supervisor(&self, rule: Supervision) -> Result<Supervisor, HiveError> {
        Ok(Supervisor::new(rule, self.runtime()?))
    }

    fn runtime(&self) -> Result<&Arc<Runtime>, HiveError> {
        let _one_at_a_time = lock(&self.starting);
        if self.intake.is_closed() {
            return Err(HiveError::Closed);
        }
        if let Some(runtime) = self.agents.get() {
            return Ok(runtime);
        }
        let links = Links {
            cell: Arc::clone(&self.cell),
            intake: Arc::clone(&self.intake),
            recent: Arc::clone(&self.recent),
            claims: Arc::clone(&self.claims),
            ballots: Arc::clone(&self.ballots),
            seed: self.seed,
            term: self.term,
            names: Arc::clone(&self.names),
        };
        let workers = match &self.pool {
            Some(pool) => pool.current_num_threads(),
            None => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        };
        let runtime = Runtime::start(links, workers)?;
        Ok(self.agents.get_or_init(|| runtime))
    }

    /// How many agents that were [spawned](Supervisor::spawn) and are not over are in which state, by its
    /// [name](crate::AgentState::name).
    pub fn agents(&self) -> BTreeMap<&'static str, usize> {
        self.agents.get().map(|agents| agents.states()).unwrap_or_default()
    }

    /// Adds agents. They run when [`run_until_settled`](Self::run_until_settled) is called next.
    ///
    /// # Errors
    /// [`HiveError::NameTaken`] for the first agent whose name is taken or reserved (`base`, `transact`); the agents
    /// before it are added. [`HiveError::Busy`] while `run_until_settled` runs, such as from inside an agent.
    pub fn spawn_all<A: Agent + 'static>(
        &self,
        agents: impl IntoIterator<Item = A>,
    ) -> Result<(), HiveError> {
        let mut roster = self.roster()?;
        let now = self.version();
        for agent in agents {
            if [BASE_AGENT, TRANSACT_AGENT].contains(&agent.name()) {
                return Err(HiveError::NameTaken(agent.name().into()));
            }
            let name = AgentId::from(agent.name());
            if !lock(&self.names).insert(name.clone()) {
                return Err(HiveError::NameTaken(name));
            }
            roster.add(name, Box::new(agent), (self.wave_term, now));
        }
        Ok(())
    }

    /// Runs agents in parallel, round after round, until none has anything left to do, or `limit` rounds were decided,
    /// or agents were woken `limit` times without proposing anything.
    ///
    /// Every woken agent is awaited, then their proposals are decided as one batch. So with the same agents, base and
    /// seed the rounds are the same, whatever the threads do, as long as nobody else proposes meanwhile.
    ///
    /// # Errors
    /// [`HiveError::Busy`] when it runs already, or on the queen's own thread; [`HiveError::Closed`] when the queen has stopped.
    pub fn run_until_settled(&self, limit: u64) -> Result<Settled, HiveError> {
        self.run_until_settled_with(limit, |_, _| ())
    }

    /// As [`run_until_settled`](Self::run_until_settled), calling `progress` after each round with the new state and
    /// the number of agents that still have something to do.
    ///
    /// # Errors
    /// As there.
    pub fn run_until_settled_with(
        &self,
        limit: u64,
        mut progress: impl FnMut(&Snapshot, usize),
    ) -> Result<Settled, HiveError> {
        if self.intake.is_queens_thread() {
            return Err(HiveError::Busy);
        }
        let mut roster = self.roster()?;
        let (mut rounds, mut idle) = (0, 0);
        while rounds < limit && idle < limit {
            let snapshot = self.snapshot();
            // Somebody else may have changed what an agent watches, before this call or since the last round.
            roster.wake_on_change(&snapshot);
            if roster.woken() == 0 {
                break;
            }
            let members = &mut *roster;
            let proposed = self.in_pool(|| members.run_woken(&snapshot, self.seed));
            if proposed.is_empty() {
                // Whoever was woken is done or watching now. Agents that change the state by other ways could wake
                // themselves for ever, so this is counted too.
                idle += 1;
                continue;
            }
            let answers = self.decide(proposed);
            let closed = answers.iter().any(|(.., outcome)| *outcome == Outcome::CommitUnknown);
            rounds += 1;
            let now = self.snapshot();
            roster.deliver(answers, &now);
            if closed {
                return Err(HiveError::Closed);
            }
            progress(&now, roster.woken());
        }
        // At the limit nobody has looked yet at what came since, such as the start of another wave.
        roster.wake_on_change(&self.snapshot());
        Ok(Settled { rounds, waiting: roster.woken(), failed: roster.failures() })
    }

    /// Brings agents, just spawned, to where those were who made the rounds of a log that is kept from its `base` on: each runs on
    /// the versions that they ran on, and is told what they were told. What follows is as if nothing had been interrupted.
    ///
    /// # Errors
    /// The first round that these agents do not propose.
    #[cfg(feature = "packs")]
    pub(crate) fn catch_up(&self, base: State, records: &[Arc<Record>]) -> Result<(), Version> {
        let mut roster = lock(&self.roster);
        let members = &mut *roster;
        let transactions = self.in_pool(|| members.catch_up(base, records, self.seed))?;
        *lock(&self.transactions) += transactions;
        Ok(())
    }

    fn decide(&self, proposed: Vec<(usize, Proposal)>) -> Vec<(usize, Proposal, Outcome)> {
        let batch = proposed.iter().map(|(_, proposal)| proposal.clone()).collect();
        let (submission, receiver) = Submission::round(batch);
        let count = proposed.len();
        // If the queen stops, each proposer is told that it is not known, and fails.
        drop(self.intake.push_waiting(submission));
        let outcomes = Tickets::new(receiver, count).wait();
        let told = proposed.into_iter().zip(outcomes);
        told.map(|((place, proposal), outcome)| (place, proposal, outcome)).collect()
    }

    /// Reads and writes through a view, and commits what was written; on a conflict, again on the newer state.
    ///
    /// What `f` only read is one consistent snapshot. If it wrote nothing, nothing is proposed. `f` may run many
    /// times, so it should have no effect besides.
    ///
    /// # Errors
    /// [`TransactError`]: `f`'s own error (nothing was committed), a refusal that no retry can mend, or
    /// [`HiveBuilder::max_attempts`] lost in a row.
    pub fn transact<R>(
        &self,
        mut f: impl FnMut(&mut View) -> Result<R, AgentError>,
    ) -> Result<R, TransactError> {
        let fresh = || {
            let mut next = lock(&self.transactions);
            *next += 1;
            Intent {
                id: own_id(Own::InWaves, TRANSACT_AGENT, self.wave_term, *next),
                attempt: 0,
                born: self.version(),
            }
        };
        if self.intake.is_queens_thread() {
            return Err(TransactError::Busy);
        }
        let mut intent = fresh();
        let mut attempts = 0;
        loop {
            let context = Context::of_wave(&intent, self.seed);
            let mut view = View::new(self.snapshot(), context);
            let value = f(&mut view).map_err(TransactError::Aborted)?;
            let agent = AgentId::from(TRANSACT_AGENT);
            let (proposal, _) = view.finish(agent, &intent, Class::Normal);
            let Some(proposal) = proposal else {
                return Ok(value);
            };
            let outcome = self.submit(proposal).map_err(TransactError::from)?.wait();
            intent.attempt += 1;
            attempts += 1;
            match outcome {
                Outcome::Committed { .. } => return Ok(value),
                outcome if !outcome.may_retry() => {
                    return Err(TransactError::Refused(Box::new(outcome)));
                }
                last if attempts >= self.max_attempts => {
                    return Err(TransactError::Exhausted { attempts, last: Box::new(last) });
                }
                // None of its attempts was committed, so that a new intent doubles nothing.
                Outcome::TooOld { .. } => intent = fresh(),
                _ => {}
            }
        }
    }

    /// Waits until everything that was submitted before is answered. Others may go on submitting.
    ///
    /// # Errors
    /// [`HiveError::Closed`] when the queen has stopped; [`HiveError::Busy`] on the queen's own thread, where the wakers of tickets
    /// run.
    pub fn drain(&self) -> Result<(), HiveError> {
        if self.intake.is_queens_thread() {
            return Err(HiveError::Busy);
        }
        let marks = self.intake.marks().map_err(|_| HiveError::Closed)?;
        marks.into_iter().try_for_each(|mark| mark.wait().map_err(|_| HiveError::Closed))
    }

    /// Refuses proposals from now on, and waits until those that were submitted are answered: each by its round, but after
    /// `grace` those that are left as [`Cancelled`](Outcome::Cancelled), unless with a [log](HiveBuilder::log) they were pending or voted on:
    /// these go on when another hive is built on it, and are [`CommitUnknown`](Outcome::CommitUnknown). What was answered before is told the same again. A round that has begun by then is finished.
    ///
    /// The last state stays readable. Of several calls the first sets the time. Says how many were cancelled by it.
    pub fn shutdown(&self, grace: Duration) -> u64 {
        // A time that no clock reaches is no limit.
        let _ = self.stop.set(Instant::now().checked_add(grace));
        self.join();
        self.counters.read().shut_out
    }

    /// Ends the queen's work, and waits for the end.
    fn join(&self) {
        let agents = {
            // Whoever starts them has done so, or finds the hive closed.
            let _one_at_a_time = lock(&self.starting);
            self.intake.close();
            self.agents.get().cloned()
        };
        if let Some(agents) = agents {
            agents.stop();
            if !self.intake.is_queens_thread() {
                agents.wait_for_the_end();
            }
        }
        // The last handle may be dropped, or the hive shut down, by a waker on the queen's own thread: nobody waits there, not
        // for the lock either, which may be held by one who waits for her.
        if self.intake.is_queens_thread() {
            return;
        }
        let mut queen = lock(&self.queen);
        if let Some(queen) = queen.take() {
            // A panic of the queen was printed by the panic hook and closed all tickets; nothing is left to do.
            drop(queen.join());
        }
    }

    fn roster(&self) -> Result<MutexGuard<'_, Roster>, HiveError> {
        match self.roster.try_lock() {
            Ok(roster) => Ok(roster),
            // Agents' panics are caught, so a poisoned roster means that our own code panicked between agents.
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(HiveError::Busy),
        }
    }

    fn in_pool<R: Send>(&self, run: impl FnOnce() -> R + Send) -> R {
        match &self.pool {
            Some(pool) => pool.install(run),
            None => run(),
        }
    }
}

/// Refuses ids that are the hive's own: their answers would be taken for those to its transactions and agents.
fn from_outside(proposal: Proposal) -> Result<Proposal, ProposeError> {
    match proposal.id.is_of_a_hive() {
        false => Ok(proposal),
        true => Err(ProposeError::Reserved(Box::new(proposal))),
    }
}

/// Refuses values that could overflow the stack of whoever walks them, before the queen has to.
fn checked(proposal: Proposal) -> Result<Proposal, ProposeError> {
    match is_flat(&proposal) {
        true => Ok(proposal),
        false => Err(ProposeError::TooDeep(Box::new(proposal))),
    }
}

fn is_flat(proposal: &Proposal) -> bool {
    proposal.writes.iter().all(|(_, op)| op.is_shallow())
        && proposal.preconditions.iter().all(|p| p.value().is_none_or(Value::is_shallow))
}

fn given_back<P>(
    error: PushError<Submission>,
    proposed: impl FnOnce(Submission) -> P,
) -> ProposeError<P> {
    let is_full = matches!(error, PushError::Full(_));
    let back = proposed(error.into_inner());
    if is_full { ProposeError::Full(back) } else { ProposeError::Closed(back) }
}

pub(crate) fn one_given_back(error: PushError<Submission>) -> ProposeError {
    given_back(error, |submission| match submission {
        Submission::One(proposal, _) => proposal,
        _ => unreachable!("what was submitted is one proposal"),
    })
}

impl Drop for Hive {
    fn drop(&mut self) {
        self.join();
    }
}

impl fmt::Debug for Hive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hive")
            .field("name", &self.name)
            .field("version", &self.version().0)
            .finish_non_exhaustive()
    }
}
