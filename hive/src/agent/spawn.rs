//! Agents that live: started under a supervisor, told things, watched over, stopped.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use queenright_primitives::notify::{self, Event, WaitError};

use super::life::Life;
use super::mailbox::{Letter, Mailbox, Overflow, Posted};
use super::runtime::{Runtime, lock};
use super::supervise::{Restarts, Supervision};
use super::{Agent, AgentError, guarded};
use crate::error::HiveError;
use crate::hive::TRANSACT_AGENT;
use crate::id::AgentId;
use crate::outcome::Outcome;
use crate::state::BASE_AGENT;
use crate::value::Value;

/// How an agent is spawned.
#[derive(Clone, Debug)]
pub struct Spawn {
    pub(crate) mailbox: usize,
    pub(crate) overflow: Overflow,
    pub(crate) attempts: u32,
    pub(crate) hang_after: Duration,
}

impl Default for Spawn {
    fn default() -> Self {
        Spawn {
            mailbox: 64,
            overflow: Overflow::default(),
            attempts: 16,
            hang_after: Duration::from_secs(30),
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
}

/// Where an agent stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentState {
    /// It is being made.
    Starting,
    /// It runs, or waits for the outcome of a proposal.
    Active,
    /// It waits until something that it looked at changes, or somebody tells it something.
    Waiting,
    /// It has failed, and is to be started again.
    Restarting,
    /// It has said that its work is done.
    Done,
    /// It was asked to stop, and did.
    Stopped,
    /// It was ended from outside.
    Killed,
    /// It could not be started.
    Failed(String),
    /// It failed too often, and is not started again.
    Quarantined(String),
}

impl AgentState {
    /// Whether it never runs again.
    pub fn is_over(&self) -> bool {
        !matches!(
            self,
            AgentState::Starting
                | AgentState::Active
                | AgentState::Waiting
                | AgentState::Restarting
        )
    }

    /// Its name in lower case, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            AgentState::Starting => "starting",
            AgentState::Active => "active",
            AgentState::Waiting => "waiting",
            AgentState::Restarting => "restarting",
            AgentState::Done => "done",
            AgentState::Stopped => "stopped",
            AgentState::Killed => "killed",
            AgentState::Failed(_) => "failed",
            AgentState::Quarantined(_) => "quarantined",
        }
    }
}

impl fmt::Display for AgentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AgentState::Failed(reason) | AgentState::Quarantined(reason) => {
                write!(f, "{}: {reason}", self.name())
            }
            _ => f.pad(self.name()),
        }
    }
}

/// What an agent has done so far, over all its lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AgentStats {
    /// How often it was run.
    pub runs: u64,
    /// Proposals made. Each is committed, refused, or left behind when a life was ended, unless it waits for its outcome.
    pub proposed: u64,
    /// Proposals committed.
    pub committed: u64,
    /// Proposals refused.
    pub refused: u64,
    /// Messages read.
    pub messages: u64,
    /// Messages dropped, because there was no room or because the agent ended.
    pub dropped: u64,
    /// Messages that wait.
    pub waiting: usize,
    /// Lives that failed.
    pub failures: u64,
    /// Lives begun, beside the first.
    pub restarts: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) runs: AtomicU64,
    pub(crate) proposed: AtomicU64,
    committed: AtomicU64,
    refused: AtomicU64,
    pub(crate) messages: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    restarts: AtomicU64,
}

impl Counts {
    pub(crate) fn answered(&self, outcome: &Outcome) {
        // Relaxed, as all of them: they order nothing.
        match outcome.is_committed() {
            true => self.committed.fetch_add(1, Ordering::Relaxed),
            false => self.refused.fetch_add(1, Ordering::Relaxed),
        };
    }
}

type Make = dyn FnMut() -> Result<Box<dyn Agent>, AgentError> + Send;

/// An agent, whatever life it is in.
pub(crate) struct Cell {
    pub(crate) id: AgentId,
    /// Its place among those of its supervisor.
    place: usize,
    make: Mutex<Box<Make>>,
    mailbox: Mutex<Mailbox>,
    now: Mutex<Now>,
    wants_stop: AtomicBool,
    pub(crate) stats: Counts,
    pub(crate) runtime: Weak<Runtime>,
    group: Arc<Group>,
    pub(crate) attempts: u32,
    pub(crate) hang_after: Duration,
    pub(crate) seed: u64,
}

struct Now {
    state: AgentState,
    life: Option<Arc<Life>>,
    /// Whether it was started once, so that a failure is for its supervisor to see to.
    was_ready: bool,
    /// How often it has failed or was ended to be started again: a restart that was meant for an earlier time does nothing.
    falls: u64,
    /// Who waits for its state to change.
    waiting: Vec<notify::Sender<()>>,
}

impl Cell {
    pub(crate) fn state(&self) -> AgentState {
        lock(&self.now).state.clone()
    }

    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.wants_stop.load(Ordering::SeqCst)
    }

    /// Makes the agent anew.
    pub(crate) fn make(&self) -> Result<Box<dyn Agent>, String> {
        guarded(|| (lock(&self.make))())
    }

    pub(crate) fn next_letter(&self) -> Option<Letter> {
        lock(&self.mailbox).next()
    }

    /// Changes what is said of a life, if that is the current one.
    fn put(self: &Arc<Self>, life: &Arc<Life>, state: AgentState) -> bool {
        let mut now = lock(&self.now);
        if !now.life.as_ref().is_some_and(|current| Arc::ptr_eq(current, life)) {
            return false;
        }
        now.was_ready |= matches!(state, AgentState::Active);
        let has_ended = state.is_over() || state == AgentState::Restarting;
        now.falls += u64::from(state == AgentState::Restarting);
        let changes = now.state != state;
        let left = if state.is_over() { self.close() } else { VecDeque::new() };
        now.state = state;
        let life = if has_ended { now.life.take() } else { None };
        let waiting = if changes { std::mem::take(&mut now.waiting) } else { Vec::new() };
        drop(now);
        // Who asked is told that nobody will answer.
        drop((life, left));
        waiting.into_iter().for_each(|waiting| waiting.send(()));
        true
    }

    pub(crate) fn is_in(self: &Arc<Self>, life: &Arc<Life>, state: AgentState) {
        self.put(life, state);
    }

    /// A life has ended by itself.
    pub(crate) fn ended(self: &Arc<Self>, life: &Arc<Life>, state: AgentState) {
        self.put(life, state);
    }

    /// A life has failed.
    pub(crate) fn failed(self: &Arc<Self>, life: &Arc<Life>, reason: &str, runtime: &Runtime) {
        let was_ready = lock(&self.now).was_ready;
        let state = match was_ready {
            true => AgentState::Restarting,
            false => AgentState::Failed(reason.to_owned()),
        };
        // Counted first, for whoever is told.
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        if !self.put(life, state) {
            // It was ended from outside before.
            self.stats.failures.fetch_sub(1, Ordering::Relaxed);
        } else if was_ready {
            let falls = lock(&self.now).falls;
            runtime.tell_failure(Arc::clone(self), falls, reason.to_owned());
        }
    }

    /// Its run has not been heard of for too long.
    pub(crate) fn hangs(self: &Arc<Self>, life: &Arc<Life>, silent: Duration, runtime: &Runtime) {
        life.pulse.end();
        runtime.claims().fence_life(&self.id, life.number);
        self.failed(life, &format!("hangs: not heard of for {silent:.1?}"), runtime);
    }

    /// Nothing is read or run any more, and the name is free: before anybody is told that it is over.
    #[must_use = "it has to be dropped without a lock, as that wakes others"]
    fn close(self: &Arc<Self>) -> VecDeque<Letter> {
        let left = lock(&self.mailbox).close();
        self.stats.dropped.fetch_add(left.len() as u64, Ordering::Relaxed);
        self.group.forget(self.place);
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.free_name(self);
        }
        left
    }

    /// Begins its first life.
    fn begin(self: &Arc<Self>, runtime: &Runtime) {
        let life = Life::new(Arc::clone(self), runtime.next_life(&self.id));
        {
            let mut now = lock(&self.now);
            // Somebody may have ended it already, or have it started again.
            if now.state != AgentState::Starting || now.life.is_some() {
                return;
            }
            now.life = Some(Arc::clone(&life));
        }
        life.nudge();
    }

    /// Begins another life after the last fall, unless it was ended or started meanwhile.
    pub(crate) fn begin_again(self: &Arc<Self>, falls: u64, runtime: &Runtime) {
        let life = Life::new(Arc::clone(self), runtime.next_life(&self.id));
        let waiting = {
            let mut now = lock(&self.now);
            if now.state != AgentState::Restarting || now.falls != falls {
                return;
            }
            now.state = AgentState::Starting;
            now.life = Some(Arc::clone(&life));
            std::mem::take(&mut now.waiting)
        };
        waiting.into_iter().for_each(|waiting| waiting.send(()));
        self.stats.restarts.fetch_add(1, Ordering::Relaxed);
        life.nudge();
    }

    /// Ends its life; the state says why. Says whether it was not over before.
    fn end(self: &Arc<Self>, state: AgentState, runtime: &Runtime) -> bool {
        let (life, left, waiting) = {
            let mut now = lock(&self.now);
            if now.state.is_over() {
                return false;
            }
            let life = now.life.take();
            if let Some(life) = &life
                && life.end()
            {
                // What it has proposed and was not judged is refused.
                runtime.claims().fence_life(&self.id, life.number);
            }
            let left = if state.is_over() { self.close() } else { VecDeque::new() };
            now.falls += u64::from(state == AgentState::Restarting);
            now.state = state;
            (life, left, std::mem::take(&mut now.waiting))
        };
        drop((life, left));
        waiting.into_iter().for_each(|waiting| waiting.send(()));
        true
    }

    pub(crate) fn kill(self: &Arc<Self>, runtime: &Runtime) {
        self.end(AgentState::Killed, runtime);
    }

    /// Has its supervisor see to a failure.
    pub(crate) fn supervise(
        self: &Arc<Self>,
        (falls, reason): (u64, &str),
        now: Duration,
        runtime: &Runtime,
    ) {
        // Somebody may have ended it meanwhile, or it was started again with others.
        if self.fallen() == Some(falls) {
            self.group.see_to(self, reason, now, runtime);
        }
    }

    /// How often it has fallen, if it waits to be started again.
    fn fallen(&self) -> Option<u64> {
        let now = lock(&self.now);
        (now.state == AgentState::Restarting).then_some(now.falls)
    }
}

/// The agents of one supervisor.
pub(crate) struct Group {
    rule: Supervision,
    /// Those that are not over, by place.
    members: Mutex<BTreeMap<usize, Weak<Cell>>>,
    next_place: AtomicUsize,
    restarts: Mutex<HashMap<usize, Restarts>>,
    events: Mutex<VecDeque<AgentEvent>>,
    has_events: Event,
}

/// What a supervisor has done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AgentEvent {
    /// An agent has failed, and is started again.
    Restarted {
        /// Which.
        agent: AgentId,
        /// Why.
        reason: String,
        /// After how long.
        delay: Duration,
    },
    /// An agent has failed too often: somebody has to see to it.
    Quarantined {
        /// Which.
        agent: AgentId,
        /// Why.
        reason: String,
    },
}

/// So many events wait to be taken; then the oldest are dropped.
const EVENTS: usize = 1024;

impl Group {
    fn see_to(&self, failed: &Arc<Cell>, reason: &str, now: Duration, runtime: &Runtime) {
        let delay =
            lock(&self.restarts).entry(failed.place).or_default().after_failure(&self.rule, now);
        let strategy = self.rule.strategy;
        let mut affected = self.living();
        affected.retain(|cell| strategy.affects(cell.place, failed.place));
        let agent = failed.id.clone();
        let reason = reason.to_owned();
        match delay {
            Some(delay) => {
                for cell in affected.iter().filter(|cell| !Arc::ptr_eq(cell, failed)) {
                    cell.end(AgentState::Restarting, runtime);
                }
                self.tell(AgentEvent::Restarted { agent, reason, delay });
                let fallen = affected.into_iter().filter_map(|cell| Some((cell.fallen()?, cell)));
                let fallen = fallen.map(|(falls, cell)| (cell, falls)).collect();
                // A time that no clock reaches never comes.
                if let Some(time) = Instant::now().checked_add(delay) {
                    runtime.start_at(time, fallen);
                }
            }
            None => {
                for cell in &affected {
                    let why = match Arc::ptr_eq(cell, failed) {
                        true => reason.clone(),
                        false => format!("{agent} failed too often: {reason}"),
                    };
                    cell.end(AgentState::Quarantined(why), runtime);
                }
                self.tell(AgentEvent::Quarantined { agent, reason });
            }
        }
    }

    /// Those that are not over, in the order of their places.
    fn living(&self) -> Vec<Arc<Cell>> {
        lock(&self.members).values().filter_map(Weak::upgrade).collect()
    }

    fn forget(&self, place: usize) {
        lock(&self.members).remove(&place);
        lock(&self.restarts).remove(&place);
    }

    fn tell(&self, event: AgentEvent) {
        let mut events = lock(&self.events);
        if events.len() >= EVENTS {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        self.has_events.notify_all();
    }
}

/// Watches over the agents that are spawned under it. Made by [`Hive::supervisor`](crate::Hive::supervisor).
///
/// What waits here, or at an [`AgentRef`], waits for agents, and they for the queen: not for wakers of tickets, which run on her thread, nor for
/// an agent that would wait for itself.
///
/// Dropping it stops nobody: its agents live as long as their hive, and are watched over as before.
///
/// ```
/// use queenright::{Hive, Next, Op, Spawn, Supervision, agent};
///
/// let hive = Hive::builder().build()?;
/// let supervisor = hive.supervisor(Supervision::default())?;
/// let counter = supervisor.spawn("counter", Spawn::default(), || {
///     Ok(agent("counter", |view| {
///         view.write("count", Op::add(1))?;
///         Ok(Next::Done)
///     }))
/// })?;
/// counter.join();
/// assert_eq!(hive.snapshot().get("count"), Some(&1.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Supervisor {
    group: Arc<Group>,
    runtime: Weak<Runtime>,
}

impl Supervisor {
    pub(crate) fn new(rule: Supervision, runtime: &Arc<Runtime>) -> Self {
        let group = Group {
            rule,
            members: Mutex::default(),
            next_place: AtomicUsize::new(0),
            restarts: Mutex::default(),
            events: Mutex::default(),
            has_events: Event::new(),
        };
        Supervisor { group: Arc::new(group), runtime: Arc::downgrade(runtime) }
    }

    /// Starts an agent, and waits until it is made. `make` is called on a thread of the hive, now and whenever the agent is started again.
    ///
    /// Not from inside an agent: its thread may be the one that is needed.
    ///
    /// # Errors
    /// [`SpawnError::Failed`] when `make` fails, or panics; then nothing is left of it.
    pub fn spawn<A: Agent + 'static>(
        &self,
        name: impl Into<AgentId>,
        spawn: Spawn,
        make: impl FnMut() -> Result<A, AgentError> + Send + 'static,
    ) -> Result<AgentRef, SpawnError> {
        let agent = self.begin(name.into(), &spawn, make)?;
        agent.ready()?;
        Ok(agent)
    }

    /// Starts many agents at once: they are made in parallel. Waits until all of them are.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), with the first that could not be started; the others are started.
    pub fn spawn_all<A, M>(
        &self,
        spawn: Spawn,
        agents: impl IntoIterator<Item = (impl Into<AgentId>, M)>,
    ) -> Result<Vec<AgentRef>, SpawnError>
    where
        A: Agent + 'static,
        M: FnMut() -> Result<A, AgentError> + Send + 'static,
    {
        let begun = agents.into_iter().map(|(name, make)| self.begin(name.into(), &spawn, make));
        let begun: Vec<_> = begun.collect();
        let ready = begun.into_iter().map(|agent| {
            let agent = agent?;
            agent.ready()?;
            Ok(agent)
        });
        // All of them are awaited, also after one has failed.
        ready.collect::<Vec<_>>().into_iter().collect()
    }

    fn begin<A: Agent + 'static>(
        &self,
        id: AgentId,
        spawn: &Spawn,
        mut make: impl FnMut() -> Result<A, AgentError> + Send + 'static,
    ) -> Result<AgentRef, SpawnError> {
        let runtime = self.runtime.upgrade().ok_or(SpawnError::Closed)?;
        if [BASE_AGENT, TRANSACT_AGENT].contains(&id.as_str()) {
            return Err(SpawnError::NameTaken(id));
        }
        let cell = Arc::new(Cell {
            id,
            // Relaxed: it only has to differ, and to rise for one caller.
            place: self.group.next_place.fetch_add(1, Ordering::Relaxed),
            make: Mutex::new(Box::new(move || Ok(Box::new(make()?)))),
            mailbox: Mutex::new(Mailbox::new(spawn.mailbox, spawn.overflow)),
            now: Mutex::new(Now {
                state: AgentState::Starting,
                life: None,
                was_ready: false,
                falls: 0,
                waiting: Vec::new(),
            }),
            wants_stop: AtomicBool::new(false),
            stats: Counts::default(),
            runtime: Weak::clone(&self.runtime),
            group: Arc::clone(&self.group),
            attempts: spawn.attempts,
            hang_after: spawn.hang_after,
            seed: runtime.seed(),
        });
        if !runtime.take_name(&cell) {
            return Err(match runtime.is_stopping() {
                true => SpawnError::Closed,
                false => SpawnError::NameTaken(cell.id.clone()),
            });
        }
        lock(&self.group.members).insert(cell.place, Arc::downgrade(&cell));
        // Whoever ended it before that did not find it there.
        if cell.state().is_over() {
            self.group.forget(cell.place);
        }
        cell.begin(&runtime);
        Ok(AgentRef(cell))
    }

    /// What has happened since this was asked last, oldest first; the last 1024 events at most.
    pub fn events(&self) -> Vec<AgentEvent> {
        lock(&self.group.events).drain(..).collect()
    }

    /// The next event, as soon as there is one; `None` if there was none for so long.
    pub fn next_event(&self, timeout: Duration) -> Option<AgentEvent> {
        self.group.has_events.wait_until_timeout(timeout, || lock(&self.group.events).pop_front())
    }

    /// Its agents that are not over, in the order in which they were spawned.
    pub fn agents(&self) -> Vec<AgentRef> {
        self.group.living().into_iter().map(AgentRef).collect()
    }

    /// Asks all of them to stop, the last first, and waits until they have.
    pub fn stop_all(&self) {
        let agents = self.agents();
        agents.iter().rev().for_each(AgentRef::stop);
        agents.iter().rev().for_each(|agent| drop(agent.join()));
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("rule", &self.group.rule).finish_non_exhaustive()
    }
}

/// An agent that was spawned. Dropping it ends nothing.
#[derive(Clone)]
pub struct AgentRef(Arc<Cell>);

impl AgentRef {
    /// Its name.
    pub fn id(&self) -> &AgentId {
        &self.0.id
    }

    /// Where it stands.
    pub fn state(&self) -> AgentState {
        self.0.state()
    }

    /// What it has done so far.
    pub fn stats(&self) -> AgentStats {
        let Counts { runs, proposed, committed, refused, messages, dropped, failures, restarts } =
            &self.0.stats;
        // Relaxed: see there.
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        AgentStats {
            runs: read(runs),
            proposed: read(proposed),
            committed: read(committed),
            refused: read(refused),
            messages: read(messages),
            dropped: read(dropped),
            waiting: lock(&self.0.mailbox).len(),
            failures: read(failures),
            restarts: read(restarts),
        }
    }

    /// Tells it something, which it [reads](Agent::message) between two runs.
    ///
    /// # Errors
    /// [`TellError`] gives the message back.
    pub fn tell(&self, message: impl Into<Value>) -> Result<(), TellError> {
        self.post(Letter { message: message.into(), reply: None })
    }

    /// Tells it something, and waits for its answer.
    ///
    /// # Errors
    /// [`AskError`] says why there is none. After a timeout the message may still be read.
    pub fn ask(&self, message: impl Into<Value>, timeout: Duration) -> Result<Value, AskError> {
        let (sender, mut receiver) = notify::oneshot();
        self.post(Letter { message: message.into(), reply: Some(sender) })
            .map_err(AskError::NotTold)?;
        match receiver.wait_timeout(timeout) {
            Ok(answer) => answer.map_err(AskError::Failed),
            Err(WaitError::TimedOut) => Err(AskError::TimedOut),
            Err(_) => Err(AskError::Unread),
        }
    }

    fn post(&self, letter: Letter) -> Result<(), TellError> {
        let posted = lock(&self.0.mailbox).post(letter);
        match posted {
            Posted::Taken(dropped) => {
                self.0.stats.dropped.fetch_add(dropped, Ordering::Relaxed);
                self.nudge();
                Ok(())
            }
            Posted::Full(letter) => Err(TellError::Full(letter.message)),
            Posted::Closed(letter) => Err(TellError::Over(letter.message)),
        }
    }

    fn nudge(&self) {
        let life = lock(&self.0.now).life.clone();
        if let Some(life) = life {
            life.nudge();
        }
    }

    /// Asks it to stop: what it has begun ends in an outcome first, and after a message that it has read it is run once more; what waits in its
    /// mailbox is dropped.
    pub fn stop(&self) {
        self.0.wants_stop.store(true, Ordering::SeqCst);
        self.nudge();
    }

    /// Ends it at once: what it has proposed is refused unless its round has begun, and nothing that it still does counts. A run that is under way
    /// is told by [`Context::is_cancelled`](super::Context::is_cancelled).
    pub fn kill(&self) {
        if let Some(runtime) = self.0.runtime.upgrade() {
            self.0.kill(&runtime);
        }
    }

    /// Waits until it is over, and says how.
    pub fn join(&self) -> AgentState {
        self.wait_for(|_| false)
    }

    /// The same, for at most so long.
    pub fn join_timeout(&self, timeout: Duration) -> Option<AgentState> {
        // A time that no clock reaches is no limit.
        let deadline = Instant::now().checked_add(timeout);
        self.wait_until(|_| false, deadline)
    }

    /// Waits until it stands where `is_it` says, or is over.
    pub fn wait_for(&self, is_it: impl Fn(&AgentState) -> bool) -> AgentState {
        // Without a deadline there is an answer.
        self.wait_until(is_it, None).unwrap_or(AgentState::Killed)
    }

    fn wait_until(
        &self,
        is_it: impl Fn(&AgentState) -> bool,
        deadline: Option<Instant>,
    ) -> Option<AgentState> {
        loop {
            let mut changed = {
                let mut now = lock(&self.0.now);
                if now.state.is_over() || is_it(&now.state) {
                    return Some(now.state.clone());
                }
                // Those who gave up.
                now.waiting.retain(|waiting| !waiting.is_cancelled());
                let (sender, receiver) = notify::oneshot();
                now.waiting.push(sender);
                receiver
            };
            match deadline {
                None => drop(changed.wait()),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if let Err(WaitError::TimedOut) = changed.wait_timeout(left) {
                        changed.cancel();
                        return None;
                    }
                }
            }
        }
    }

    fn ready(&self) -> Result<(), SpawnError> {
        match self.wait_for(|state| *state != AgentState::Starting) {
            AgentState::Failed(reason) => {
                Err(SpawnError::Failed { agent: self.0.id.clone(), reason })
            }
            AgentState::Killed if self.0.runtime.upgrade().is_none_or(|it| it.is_stopping()) => {
                Err(SpawnError::Closed)
            }
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for AgentRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentRef").field("id", &self.0.id).field("state", &self.state()).finish()
    }
}

/// Why an agent was not spawned.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpawnError {
    /// An agent of this name lives.
    NameTaken(AgentId),
    /// It could not be made.
    Failed {
        /// Which.
        agent: AgentId,
        /// Why.
        reason: String,
    },
    /// The hive is shut down.
    Closed,
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::NameTaken(name) => HiveError::NameTaken(name.clone()).fmt(f),
            SpawnError::Failed { agent, reason } => {
                write!(f, "{agent} could not be started: {reason}")
            }
            SpawnError::Closed => f.write_str("the hive is shut down"),
        }
    }
}

impl std::error::Error for SpawnError {}

/// A message that was not taken, given back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TellError {
    /// There is no room in the mailbox.
    Full(Value),
    /// The agent is over.
    Over(Value),
}

impl fmt::Display for TellError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TellError::Full(_) => {
                f.write_str("the agent's mailbox is full: tell it later, or make it larger")
            }
            TellError::Over(_) => f.write_str("the agent is over"),
        }
    }
}

impl std::error::Error for TellError {}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AskError {
    /// The message was not taken.
    NotTold(TellError),
    /// The agent has answered with an error, or panicked.
    Failed(String),
    /// There was no answer in time.
    TimedOut,
    /// The message was dropped, or the agent has ended before it was read.
    Unread,
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::NotTold(error) => error.fmt(f),
            AskError::Failed(reason) => write!(f, "the agent has refused: {reason}"),
            AskError::TimedOut => f.write_str("there was no answer in time"),
            AskError::Unread => f.write_str("nobody has read the message"),
        }
    }
}

impl std::error::Error for AskError {}
