//! Who spawns agents and watches over them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use queenright_primitives::notify::Event;

use super::away::Made;
use super::cell::{Cell, Make};
use super::reference::AgentRef;
use super::runtime::Runtime;
use super::spawn::Spawn;
use super::state::AgentState;
use super::supervise::{Restarts, Supervision};
use super::{Agent, AgentError};
use crate::error::HiveError;
use crate::hive::TRANSACT_AGENT;
use crate::id::AgentId;
use crate::lock::lock;
use crate::observe;
use crate::state::BASE_AGENT;

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

/// What is said to those who would wait there.
pub(super) const QUEENS_THREAD: &str =
    "this is the queen's own thread, and agents wait for her: do it on another thread";

/// So many events wait to be taken; then the oldest are dropped.
const EVENTS: usize = 1024;

impl Group {
    pub(super) fn see_to(
        &self,
        failed: &Arc<Cell>,
        reason: &str,
        now: Duration,
        runtime: &Runtime,
    ) {
        let delay =
            lock(&self.restarts).entry(failed.place).or_default().after_failure(&self.rule, now);
        let strategy = self.rule.strategy;
        let mut affected = self.living();
        affected.retain(|cell| strategy.affects(cell.place, failed.place) && cell.goes_on());
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

    pub(super) fn forget(&self, place: usize) {
        lock(&self.members).remove(&place);
        lock(&self.restarts).remove(&place);
    }

    fn tell(&self, event: AgentEvent) {
        observe::supervised(&event);
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
    pub(super) runtime: Weak<Runtime>,
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
        let agent = self.begin(name.into(), &spawn, boxed(make))?;
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
        let begun =
            agents.into_iter().map(|(name, make)| self.begin(name.into(), &spawn, boxed(make)));
        let begun: Vec<_> = begun.collect();
        let ready = begun.into_iter().map(|agent| {
            let agent = agent?;
            agent.ready()?;
            Ok(agent)
        });
        // All of them are awaited, also after one has failed.
        ready.collect::<Vec<_>>().into_iter().collect()
    }

    pub(super) fn begin(
        &self,
        id: AgentId,
        spawn: &Spawn,
        make: Box<Make>,
    ) -> Result<AgentRef, SpawnError> {
        let runtime = self.runtime.upgrade().ok_or(SpawnError::Closed)?;
        if runtime.is_queens_thread() {
            return Err(SpawnError::Busy);
        }
        if [BASE_AGENT, TRANSACT_AGENT].contains(&id.as_str()) {
            return Err(SpawnError::NameTaken(id));
        }
        // Relaxed: it only has to differ, and to rise for one caller.
        let place = self.group.next_place.fetch_add(1, Ordering::Relaxed);
        let cell = Cell::new(id, (Arc::clone(&self.group), place), spawn, make, &runtime);
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

fn boxed<A: Agent + 'static>(
    mut make: impl FnMut() -> Result<A, AgentError> + Send + 'static,
) -> Box<Make> {
    Box::new(move || Ok(Made::Here(Box::new(make()?))))
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("rule", &self.group.rule).finish_non_exhaustive()
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
    /// This is the queen's own thread, where the wakers of tickets run: spawn from another one.
    Busy,
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
            SpawnError::Busy => f.write_str(QUEENS_THREAD),
            SpawnError::Closed => f.write_str("the hive is shut down"),
        }
    }
}

impl std::error::Error for SpawnError {}
