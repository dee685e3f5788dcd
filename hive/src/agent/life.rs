//! One life of a running agent: from its start until it ends, fails, or is replaced.

mod doings;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, TryLockError, Weak};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::Instant;

use queenright_primitives::Version;
use queenright_primitives::notify::Activation;

use super::away::{Going, Kind};
use super::cell::Cell;
use super::context::Pulse;
use super::runtime::Runtime;
use super::state::AgentState;
use super::view::{Intent, Looked};
use super::{Next, drop_guarded, guarded};
use crate::consensus::Attempt;
use crate::lock::lock;
use crate::proposal::Read;
use crate::ticket::Ticket;

/// One life of an agent.
pub(crate) struct Life {
    pub(crate) cell: Arc<Cell>,
    /// No other life has it, and later ones have larger ones. Its proposals show it.
    pub(crate) number: u64,
    pub(crate) pulse: Arc<Pulse>,
    activation: Activation,
    /// Whether its agent does something elsewhere, so that a turn is no sign of life.
    is_away: AtomicBool,
    /// Whether what its agent waits for has come, but nobody has looked yet.
    is_woken: AtomicBool,
    fence: Mutex<Fence>,
    body: Mutex<Body>,
}

/// Whether proposals of a life are kept out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fence {
    Open,
    Shut,
    /// None can come any more.
    Past,
}

/// What a life is made of besides its name.
struct Body {
    agent: Option<Kind>,
    intent: Intent,
    phase: Phase,
    /// Its number among the watchers.
    watching: Option<u64>,
    /// How many messages it has read since it ran last.
    told: u32,
    /// How often it has lost since it last won.
    losses: u32,
    /// The open ballots for which it was asked.
    asked: BTreeSet<Attempt>,
}

impl Body {
    /// Whether its agent is, or may be, elsewhere.
    fn is_away(&self) -> bool {
        matches!(self.phase, Phase::Away(_)) || matches!(self.agent, Some(Kind::Away(_)))
    }
}

enum Phase {
    /// It is to be made.
    Start,
    Run,
    /// Its agent does something elsewhere. What is to be done then comes with it.
    Away(Going<Then>),
    Proposed(Box<Proposed>),
    /// It lost, and is run again then.
    Backoff(Instant),
    Watching(Looked, Version),
    /// It is told to end.
    Ending,
    Over,
}

struct Proposed {
    ticket: Ticket,
    base: Version,
    next: Next,
    looked: Looked,
}

/// After so many steps others have their turn.
const STEPS: u32 = 64;
/// So many messages are read before the agent is run.
const LETTERS: u32 = 16;

/// What is to be done with an agent that is back.
type Then = Box<dyn FnOnce(&Arc<Life>, &mut Body, &Arc<Runtime>) -> Step + Send>;

/// How a step of a life went on.
enum Step {
    Again,
    /// Nothing is left to do until somebody wakes it.
    Rest,
    Ended(AgentState),
    Failed(String),
}

impl Life {
    pub(crate) fn new(cell: Arc<Cell>, number: u64) -> Arc<Self> {
        let intent = Intent { id: "".into(), attempt: 0, born: Version(0) };
        let body = Body {
            agent: None,
            intent,
            phase: Phase::Start,
            watching: None,
            told: 0,
            losses: 0,
            asked: BTreeSet::new(),
        };
        let hang_after = cell.hang_after;
        Arc::new(Life {
            cell,
            number,
            pulse: Arc::new(Pulse::new(hang_after)),
            activation: Activation::new(),
            is_away: AtomicBool::new(false),
            is_woken: AtomicBool::new(false),
            fence: Mutex::new(Fence::Open),
            body: Mutex::new(body),
        })
    }

    /// Has it look at what is new.
    pub(crate) fn nudge(self: &Arc<Self>) {
        if self.activation.wake()
            && let Some(runtime) = self.cell.runtime.upgrade()
        {
            runtime.queue(Arc::clone(self));
        }
    }

    /// Keeps out what it has proposed, unless its round has begun.
    pub(crate) fn shut_out(&self, runtime: &Runtime) {
        let mut fence = lock(&self.fence);
        if *fence == Fence::Open {
            *fence = Fence::Shut;
            runtime.claims().fence_life(&self.cell.id, self.number);
        }
    }

    /// Ends it, whatever it is doing. It may run the agent's own code, so that nothing may be locked.
    pub(crate) fn end(self: &Arc<Self>, runtime: &Runtime) {
        self.shut_out(runtime);
        // From here on no run of it begins.
        self.pulse.end();
        let body = match self.body.try_lock() {
            Ok(body) => Some(body),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        match body {
            // Nobody has to have time for it first.
            Some(mut body) if body.is_away() => drop(self.see_out(&mut body, runtime)),
            // Whoever has its turn sees to it, unless it hangs.
            _ => self.nudge(),
        }
    }

    /// One turn, on a worker's thread. Only for whom the activation told to.
    pub(crate) fn turn(self: &Arc<Self>, runtime: &Arc<Runtime>) {
        self.activation.begin();
        {
            let mut body = lock(&self.body);
            for step in 0.. {
                if step >= STEPS {
                    // Others wait. This one owns the activation, so that nobody else is told to run it.
                    let _ = self.activation.wake();
                    break;
                }
                self.beat();
                match self.step(&mut body, runtime) {
                    Step::Again => {}
                    Step::Rest => break,
                    Step::Ended(state) => {
                        self.leave(&mut body, runtime);
                        self.cell.put(self, state);
                        break;
                    }
                    Step::Failed(reason) => {
                        self.leave(&mut body, runtime);
                        self.cell.failed(self, &reason, runtime);
                        break;
                    }
                }
            }
        }
        if self.activation.end() {
            runtime.queue(Arc::clone(self));
        }
    }

    /// Says that it was heard of, by whoever has its turn.
    pub(crate) fn beat(&self) {
        // SeqCst, as all of it: there is no hurry.
        if !self.is_away.load(Ordering::SeqCst) {
            self.pulse.beat();
        }
    }

    /// Gives up what it has: its agent, and what it has begun.
    fn leave(&self, body: &mut Body, runtime: &Runtime) {
        if let Some(number) = body.watching.take() {
            runtime.watchers().remove(number);
        }
        self.is_back(runtime);
        drop_guarded((std::mem::replace(&mut body.phase, Phase::Over), body.agent.take()));
    }

    /// Leaves as one that was ended, and is kept out until what it has proposed is answered. Nothing can come of it after that.
    fn see_out(self: &Arc<Self>, body: &mut Body, runtime: &Runtime) -> Step {
        drop_guarded(body.agent.take());
        if let Phase::Proposed(proposed) = &mut body.phase {
            proposed.ticket.cancel();
            let waker = self.waker();
            let ticket = Pin::new(&mut proposed.ticket);
            if ticket.poll(&mut TaskContext::from_waker(&waker)).is_pending() {
                return Step::Rest;
            }
        }
        self.leave(body, runtime);
        let mut fence = lock(&self.fence);
        if std::mem::replace(&mut *fence, Fence::Past) == Fence::Shut {
            runtime.claims().forget_life(&self.cell.id);
        }
        Step::Rest
    }

    /// Whether it is not heard of because nobody has had time to look.
    pub(crate) fn is_woken(&self) -> bool {
        self.is_woken.load(Ordering::SeqCst)
    }

    fn is_back(&self, runtime: &Runtime) {
        if self.is_away.swap(false, Ordering::SeqCst) {
            runtime.is_back(self.number);
        }
    }

    fn step(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        if self.pulse.is_over() {
            return self.see_out(body, runtime);
        }
        if let Phase::Over = body.phase {
            return Step::Rest;
        }
        if let Phase::Away(_) = body.phase {
            return self.go_on(body, runtime);
        }
        // What it has proposed comes first, and may be its last word.
        let is_proposed = matches!(body.phase, Phase::Proposed(_));
        if !is_proposed
            && let Some(Kind::Away(agent)) = &mut body.agent
            && let Poll::Ready(ended) = agent.has_ended(&mut TaskContext::from_waker(&self.waker()))
        {
            return match ended {
                Ok(()) if body.intent.attempt == 0 => self.end_as(body, AgentState::Done),
                Ok(()) => Step::Failed("it has ended, though what it proposed has lost".to_owned()),
                Err(reason) => Step::Failed(reason),
            };
        }
        let is_made = !matches!(body.phase, Phase::Start);
        if !is_proposed && body.told == 0 && self.cell.is_asked_to_stop() {
            return self.end_as(body, AgentState::Stopped);
        }
        if is_made
            && !is_proposed
            && self.cell.has_ballots()
            && let Some(ballot) = self.next_ballot(body, runtime)
        {
            return self.ask(body, ballot, runtime);
        }
        let has_read = body.told >= LETTERS || body.told > 0 && self.cell.is_asked_to_stop();
        if is_made
            && !(is_proposed || has_read)
            && let Some(letter) = self.cell.next_letter()
        {
            return self.read(body, letter);
        }
        match &mut body.phase {
            Phase::Start => self.start(body),
            Phase::Run => self.run(body, runtime),
            Phase::Proposed(proposed) => {
                let waker = self.waker();
                let ticket = Pin::new(&mut proposed.ticket);
                match ticket.poll(&mut TaskContext::from_waker(&waker)) {
                    Poll::Pending => Step::Rest,
                    Poll::Ready(outcome) => self.answered(body, outcome, runtime),
                }
            }
            Phase::Backoff(until) => {
                if Instant::now() < *until {
                    return Step::Rest;
                }
                body.phase = Phase::Run;
                Step::Again
            }
            Phase::Watching(looked, seen) => {
                // Registered first, so that what is committed after this look wakes it.
                let mut watchers = runtime.watchers();
                // A registration is used up by a change, also by one that a reader cannot see.
                if !body.watching.is_some_and(|number| watchers.has(number)) && !looked.is_empty() {
                    body.watching = Some(watchers.add(Arc::downgrade(self), looked.clone()));
                }
                drop(watchers);
                let now = runtime.snapshot();
                let has_changed = |read: &Read<_>| now.changed_since(read, *seen).is_some();
                if looked.is_empty() || *seen >= now.horizon && !looked.iter().any(has_changed) {
                    self.cell.put(self, AgentState::Waiting);
                    return Step::Rest;
                }
                body.phase = Phase::Run;
                Step::Again
            }
            // Those away were seen to above.
            Phase::Away(_) | Phase::Ending | Phase::Over => Step::Rest,
        }
    }

    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Looks whether its agent is back.
    fn go_on(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        let Phase::Away(going) = &mut body.phase else { return Step::Rest };
        if self.is_woken() {
            // First, as the keeper may look at any time.
            self.pulse.beat();
            // Cleared before it is looked, so that nothing is missed.
            self.is_woken.store(false, Ordering::SeqCst);
        }
        let waker = Waker::from(Arc::new(Woken(Arc::clone(self))));
        let looked = guarded(|| Ok(going.as_mut().poll(&mut TaskContext::from_waker(&waker))));
        match looked {
            Ok(Poll::Pending) => Step::Rest,
            Ok(Poll::Ready(then)) => {
                self.is_back(runtime);
                then(self, body, runtime)
            }
            Err(reason) => Step::Failed(reason),
        }
    }

    /// Lets its agent do something elsewhere.
    fn send_away<T: Send + 'static>(
        self: &Arc<Self>,
        body: &mut Body,
        runtime: &Runtime,
        going: Going<T>,
        then: impl FnOnce(T, &Arc<Life>, &mut Body, &Arc<Runtime>) -> Step + Send + 'static,
    ) -> Step {
        self.pulse.beat();
        self.is_away.store(true, Ordering::SeqCst);
        // How long a start or an end may take is for whoever makes it to say.
        if !matches!(body.phase, Phase::Start | Phase::Ending) {
            runtime.is_away(self);
        }
        body.phase = Phase::Away(Box::pin(async move {
            let back = going.await;
            let then: Then = Box::new(move |life, body, runtime| then(back, life, body, runtime));
            then
        }));
        Step::Again
    }

    /// Ends it; an agent that is not here has time to end in its own way.
    fn end_as(self: &Arc<Self>, body: &mut Body, state: AgentState) -> Step {
        self.cell.is_ending(self, &state);
        let Some(Kind::Away(_)) = body.agent else { return Step::Ended(state) };
        let (Some(Kind::Away(agent)), Some(runtime)) =
            (body.agent.take(), self.cell.runtime.upgrade())
        else {
            return Step::Ended(state);
        };
        body.phase = Phase::Ending;
        self.send_away(body, &runtime, agent.stop(), |(), _, _, _| Step::Ended(state))
    }
}

/// Wakes a life because of what its agent waits for: that it has come is a sign of life, whenever somebody has time to look.
struct Woken(Arc<Life>);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.is_woken.store(true, Ordering::SeqCst);
        self.0.nudge();
    }
}

impl Wake for Life {
    fn wake(self: Arc<Self>) {
        self.nudge();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.nudge();
    }
}

/// Wakes whoever of these still lives.
pub(crate) fn nudge_all(lives: impl IntoIterator<Item = Weak<Life>>) {
    lives.into_iter().filter_map(|life| life.upgrade()).for_each(|life| life.nudge());
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use crate::{Hive, Next, Op, Spawn, Supervision, View, agent};

    #[test]
    fn of_those_that_were_ended_nothing_is_remembered() {
        let hive = Hive::builder().build().unwrap();
        let supervisor = hive.supervisor(Supervision::default()).unwrap();
        for round in 0..20 {
            let agents = (0..20).map(|n| {
                let make = move || {
                    Ok(agent("x", move |view: &mut View| {
                        view.write("sum", Op::add(1))?;
                        view.get("hot")?;
                        Ok(Next::Watch)
                    }))
                };
                (format!("a{round}-{n}"), make)
            });
            let agents = supervisor.spawn_all(Spawn::default(), agents).unwrap();
            hive.transact(|view| Ok(view.set("hot", round)?)).unwrap();
            agents.iter().for_each(super::super::AgentRef::kill);
        }
        let deadline = Instant::now() + Duration::from_secs(60);
        while hive.claims().kept_out() > 0 {
            assert!(Instant::now() < deadline, "{} are kept out", hive.claims().kept_out());
            std::thread::yield_now();
        }
        hive.fence("a0-0");
        assert_eq!(hive.claims().kept_out(), 1, "somebody has asked for it");
    }
}
