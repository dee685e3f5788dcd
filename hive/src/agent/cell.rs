//! What stays of an agent from life to life.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use queenright_primitives::notify::{self, WaitError};

use super::away::Made;
use super::life::Life;
use super::mailbox::{Letter, Mailbox};
use super::runtime::Runtime;
use super::spawn::Spawn;
use super::state::{AgentState, Counts};
use super::supervisor::Group;
use super::{AgentError, guarded};
use crate::id::AgentId;
use crate::lock::lock;
use crate::observe;

/// Makes an agent, as often as it has lives.
pub(super) type Make = dyn FnMut() -> Result<Made, AgentError> + Send;

/// An agent, whatever life it is in.
pub(crate) struct Cell {
    pub(crate) id: AgentId,
    /// Its place among those of its supervisor.
    pub(super) place: usize,
    make: Mutex<Box<Make>>,
    pub(super) mailbox: Mutex<Mailbox>,
    now: Mutex<Now>,
    pub(super) wants_stop: AtomicBool,
    /// Whether there may be a ballot that it has not seen.
    has_ballots: AtomicBool,
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
    /// As what its life ends, though it is not over yet.
    ending: Option<AgentState>,
    /// Who waits for its state to change.
    waiting: Vec<notify::Sender<()>>,
}

impl Cell {
    /// One that is not begun yet.
    pub(super) fn new(
        id: AgentId,
        (group, place): (Arc<Group>, usize),
        spawn: &Spawn,
        make: Box<Make>,
        runtime: &Arc<Runtime>,
    ) -> Arc<Self> {
        Arc::new(Cell {
            id,
            place,
            make: Mutex::new(make),
            mailbox: Mutex::new(Mailbox::new(spawn.mailbox, spawn.overflow)),
            now: Mutex::new(Now {
                state: AgentState::Starting,
                life: None,
                was_ready: false,
                falls: 0,
                ending: None,
                waiting: Vec::new(),
            }),
            wants_stop: AtomicBool::new(false),
            has_ballots: AtomicBool::new(true),
            stats: Counts::default(),
            runtime: Arc::downgrade(runtime),
            group,
            attempts: spawn.attempts,
            hang_after: spawn.hang_after,
            seed: runtime.seed(),
        })
    }

    pub(crate) fn state(&self) -> AgentState {
        lock(&self.now).state.clone()
    }

    pub(crate) fn is_asked_to_stop(&self) -> bool {
        self.wants_stop.load(Ordering::SeqCst)
    }

    pub(crate) fn has_ballots(&self) -> bool {
        self.has_ballots.load(Ordering::SeqCst)
    }

    /// No ballot was open that it had not seen. To be said before it is looked.
    pub(crate) fn looks_at_ballots(&self) {
        self.has_ballots.store(false, Ordering::SeqCst);
    }

    /// There is, or may be, a ballot in which it has a vote.
    pub(crate) fn has_a_vote(&self) {
        self.has_ballots.store(true, Ordering::SeqCst);
    }

    /// Has its life look at what is new.
    pub(super) fn nudge(&self) {
        let life = lock(&self.now).life.clone();
        if let Some(life) = life {
            life.nudge();
        }
    }

    /// Makes the agent anew.
    pub(crate) fn make(&self) -> Result<Made, String> {
        guarded(|| (lock(&self.make))())
    }

    pub(crate) fn next_letter(&self) -> Option<Letter> {
        lock(&self.mailbox).next()
    }

    /// Says where a life stands, if it is the current one; how often it has fallen by then.
    pub(crate) fn put(self: &Arc<Self>, life: &Arc<Life>, state: AgentState) -> Option<u64> {
        let mut now = lock(&self.now);
        if !now.life.as_ref().is_some_and(|current| Arc::ptr_eq(current, life)) {
            return None;
        }
        now.was_ready |= matches!(state, AgentState::Active);
        let has_ended = state.is_over() || state == AgentState::Restarting;
        now.falls += u64::from(state == AgentState::Restarting);
        let falls = now.falls;
        let changes = now.state != state;
        let left = if state.is_over() { self.close() } else { VecDeque::new() };
        observe::agent_came_to(&state);
        observe::agent_moved(&now.state, &state);
        now.state = state;
        let life = if has_ended { now.life.take() } else { None };
        let waiting = if changes { std::mem::take(&mut now.waiting) } else { Vec::new() };
        drop(now);
        // Who asked is told that nobody will answer.
        drop((life, left));
        waiting.into_iter().for_each(|waiting| waiting.send(()));
        Some(falls)
    }

    /// A life has failed.
    pub(crate) fn failed(self: &Arc<Self>, life: &Arc<Life>, reason: &str, runtime: &Runtime) {
        let state = {
            let now = lock(&self.now);
            match &now.ending {
                // Whatever goes wrong at its end, it has done its work.
                Some(end) => end.clone(),
                None if now.was_ready => AgentState::Restarting,
                None => AgentState::Failed(reason.to_owned()),
            }
        };
        let restarts = state == AgentState::Restarting;
        // Counted first, for whoever is told.
        self.stats.failures.fetch_add(1, Ordering::Relaxed);
        match self.put(life, state) {
            // It was ended from outside before.
            None => drop(self.stats.failures.fetch_sub(1, Ordering::Relaxed)),
            Some(falls) if restarts => {
                // After it was put there, as whoever asks it to stop looks where it stands after that.
                if self.is_asked_to_stop() {
                    self.end(AgentState::Stopped, runtime);
                } else {
                    runtime.tell_failure(Arc::clone(self), falls, reason.to_owned());
                }
            }
            Some(_) => {}
        }
    }

    /// Its run has not been heard of for too long.
    pub(crate) fn hangs(self: &Arc<Self>, life: &Arc<Life>, silent: Duration, runtime: &Runtime) {
        observe::hangs(&self.id, life.number, silent);
        life.end(runtime);
        self.failed(life, &format!("hangs: not heard of for {silent:.1?}"), runtime);
    }

    /// Nothing is read or run any more, and the name is free: before anybody is told that it is over.
    #[must_use = "it has to be dropped without a lock, as that wakes others"]
    fn close(self: &Arc<Self>) -> VecDeque<Letter> {
        let left = lock(&self.mailbox).close();
        observe::messages_dropped(left.len() as u64);
        self.stats.dropped.fetch_add(left.len() as u64, Ordering::Relaxed);
        self.group.forget(self.place);
        if let Some(runtime) = self.runtime.upgrade() {
            runtime.free_name(self);
        }
        left
    }

    /// Begins its first life.
    pub(super) fn begin(self: &Arc<Self>, runtime: &Runtime) {
        runtime.look_after(self.hang_after);
        let life = Life::new(Arc::clone(self), runtime.claims().next_life(&self.id));
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
        let life = Life::new(Arc::clone(self), runtime.claims().next_life(&self.id));
        let waiting = {
            let mut now = lock(&self.now);
            if now.state != AgentState::Restarting || now.falls != falls {
                return;
            }
            observe::agent_moved(&now.state, &AgentState::Starting);
            now.state = AgentState::Starting;
            now.life = Some(Arc::clone(&life));
            // The life before may have been about to end when others were started again.
            now.ending = None;
            std::mem::take(&mut now.waiting)
        };
        waiting.into_iter().for_each(|waiting| waiting.send(()));
        self.stats.restarts.fetch_add(1, Ordering::Relaxed);
        // This life was not asked for its votes.
        self.has_a_vote();
        life.nudge();
    }

    /// Ends its life, unless it is over; the state says why.
    pub(super) fn end(self: &Arc<Self>, state: AgentState, runtime: &Runtime) {
        let (life, left, waiting) = {
            let mut now = lock(&self.now);
            if now.state.is_over() {
                return;
            }
            let life = now.life.take();
            if let Some(life) = &life {
                // Before anybody is told.
                life.shut_out(runtime);
            }
            let left = if state.is_over() { self.close() } else { VecDeque::new() };
            now.falls += u64::from(state == AgentState::Restarting);
            observe::agent_moved(&now.state, &state);
            now.state = state;
            (life, left, std::mem::take(&mut now.waiting))
        };
        if let Some(life) = life {
            life.end(runtime);
        }
        drop(left);
        waiting.into_iter().for_each(|waiting| waiting.send(()));
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

    /// The work of a life is done, or it was asked to stop; all that is left is its end.
    pub(crate) fn is_ending(&self, life: &Arc<Life>, state: &AgentState) {
        let mut now = lock(&self.now);
        // Others may have had it started again meanwhile.
        if now.life.as_ref().is_some_and(|current| Arc::ptr_eq(current, life)) {
            now.ending = Some(state.clone());
        }
    }

    /// Whether it is to be started again with others that fail.
    pub(super) fn goes_on(&self) -> bool {
        lock(&self.now).ending.is_none()
    }

    /// Asks it to stop. One that waits to be started again has nothing left to do.
    pub(super) fn stop(self: &Arc<Self>) {
        self.wants_stop.store(true, Ordering::SeqCst);
        if self.fallen().is_some()
            && let Some(runtime) = self.runtime.upgrade()
        {
            self.end(AgentState::Stopped, &runtime);
        }
        self.nudge();
    }

    /// How often it has fallen, if it waits to be started again.
    pub(super) fn fallen(&self) -> Option<u64> {
        let now = lock(&self.now);
        (now.state == AgentState::Restarting).then_some(now.falls)
    }

    /// Where it stands, if that is where `is_it` says or it is over; otherwise something that is answered once it has changed.
    pub(super) fn change(
        &self,
        is_it: impl Fn(&AgentState) -> bool,
    ) -> Result<AgentState, notify::Receiver<()>> {
        let mut now = lock(&self.now);
        if now.state.is_over() || is_it(&now.state) {
            return Ok(now.state.clone());
        }
        // Those who gave up.
        now.waiting.retain(|waiting| !waiting.is_cancelled());
        let (sender, receiver) = notify::oneshot();
        now.waiting.push(sender);
        Err(receiver)
    }

    /// Waits until it stands where `is_it` says, or is over; `None` if it does not by then.
    pub(super) fn wait_until(
        &self,
        is_it: impl Fn(&AgentState) -> bool,
        deadline: Option<Instant>,
    ) -> Option<AgentState> {
        loop {
            let mut changed = match self.change(&is_it) {
                Ok(state) => return Some(state),
                Err(changed) => changed,
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
}
