//! One life of a running agent: from its start until it ends, fails, or is replaced.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use queenright_primitives::Version;
use queenright_primitives::notify::{Activation, Sender};
use queenright_primitives::schedule::Class;

use super::away::{Going, Kind, Made};
use super::cell::Cell;
use super::context::{Context, Pulse};
use super::mailbox::Letter;
use super::runtime::Runtime;
use super::state::AgentState;
use super::view::{Intent, Looked, View};
use super::{Next, guarded};
use crate::consensus::{Attempt, CastVote, OpenBallot, Vote};
use crate::error::ProposeError;
use crate::id::OWN;
use crate::lock::lock;
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::{Proposal, Read};
use crate::ticket::Ticket;
use crate::value::Value;

/// One life of an agent.
pub(crate) struct Life {
    pub(crate) cell: Arc<Cell>,
    /// No other life has it, and later ones have larger ones. Its proposals show it.
    pub(crate) number: u64,
    pub(crate) pulse: Arc<Pulse>,
    activation: Activation,
    /// Whether its agent does something elsewhere, so that a turn is no sign of life.
    is_away: AtomicBool,
    body: Mutex<Body>,
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
        Arc::new(Life {
            cell,
            number,
            pulse: Arc::new(Pulse::new()),
            activation: Activation::new(),
            is_away: AtomicBool::new(false),
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

    /// Ends it, whatever it is doing. Says whether it has proposed something that is not judged yet, or may be about to.
    pub(crate) fn end(self: &Arc<Self>) -> bool {
        self.pulse.end();
        // From here on no run of it begins.
        let is_busy = match self.body.try_lock() {
            Ok(body) => matches!(body.phase, Phase::Proposed(_)),
            Err(_) => true,
        };
        // It sees to what it has begun, unless it hangs.
        self.nudge();
        is_busy
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
        let left = (std::mem::replace(&mut body.phase, Phase::Over), body.agent.take());
        // An agent's own code.
        drop(guarded(|| {
            drop(left);
            Ok(())
        }));
    }

    fn is_back(&self, runtime: &Runtime) {
        if self.is_away.swap(false, Ordering::SeqCst) {
            runtime.is_back(self.number);
        }
    }

    fn step(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        if let Phase::Over = body.phase {
            return Step::Rest;
        }
        if self.pulse.is_over() {
            if let Phase::Proposed(proposed) = &body.phase {
                proposed.ticket.cancel();
            }
            self.leave(body, runtime);
            return Step::Rest;
        }
        if let Phase::Away(_) = body.phase {
            return self.go_on(body, runtime);
        }
        if let Some(Kind::Away(agent)) = &mut body.agent
            && let Poll::Ready(ended) = agent.has_ended(&mut TaskContext::from_waker(&self.waker()))
        {
            return match ended {
                Ok(()) => self.end_as(body, AgentState::Done),
                Err(reason) => Step::Failed(reason),
            };
        }
        let is_proposed = matches!(body.phase, Phase::Proposed(_));
        let is_made = !matches!(body.phase, Phase::Start);
        if !is_proposed && body.told == 0 && self.cell.is_asked_to_stop() {
            return self.end_as(body, AgentState::Stopped);
        }
        if is_made
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
            Phase::Away(_) => self.go_on(body, runtime),
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
            Phase::Over => Step::Rest,
        }
    }

    fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }

    /// Looks whether its agent is back.
    fn go_on(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        let Phase::Away(going) = &mut body.phase else { return Step::Rest };
        let waker = self.waker();
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
        // How long a start may take is for whoever makes it to say.
        if !matches!(body.phase, Phase::Start) {
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
        let Some(Kind::Away(_)) = body.agent else { return Step::Ended(state) };
        let (Some(Kind::Away(agent)), Some(runtime)) =
            (body.agent.take(), self.cell.runtime.upgrade())
        else {
            return Step::Ended(state);
        };
        self.send_away(body, &runtime, agent.stop(), |(), _, _, _| Step::Ended(state))
    }

    fn start(self: &Arc<Self>, body: &mut Body) -> Step {
        match self.cell.make() {
            Ok(Made::Here(agent)) => self.started(body, Kind::Here(agent)),
            Ok(Made::Away(agent)) => self.started(body, Kind::Away(agent)),
            #[cfg(feature = "process")]
            Ok(Made::Coming(agent)) => {
                let Some(runtime) = self.cell.runtime.upgrade() else { return Step::Rest };
                self.send_away(body, &runtime, agent, |made, life, body, _| match made {
                    Ok(agent) => life.started(body, Kind::Away(agent)),
                    Err(error) => Step::Failed(error.to_string()),
                })
            }
            Err(reason) => Step::Failed(reason),
        }
    }

    fn started(self: &Arc<Self>, body: &mut Body, agent: Kind) -> Step {
        body.agent = Some(agent);
        body.phase = Phase::Run;
        self.cell.put(self, AgentState::Active);
        Step::Again
    }

    /// Lets the agent read a message. Then it is run, as what it does may depend on it.
    fn read(self: &Arc<Self>, body: &mut Body, letter: Letter) -> Step {
        let mut context = self.context(&body.intent);
        let Letter { message, reply } = letter;
        match body.agent.take() {
            Some(Kind::Here(mut agent)) => {
                // An error's text is its owner's code, too.
                let told = guarded(|| {
                    Ok(agent.message(message, &mut context).map_err(|it| it.to_string()))
                });
                body.agent = Some(Kind::Here(agent));
                self.has_read(body, told, reply)
            }
            Some(Kind::Away(agent)) => {
                let Some(runtime) = self.cell.runtime.upgrade() else { return Step::Rest };
                let going = agent.message(message, context);
                let before = std::mem::replace(&mut body.phase, Phase::Run);
                self.send_away(body, &runtime, going, |(agent, told), life, body, _| {
                    (body.agent, body.phase) = (Some(Kind::Away(agent)), before);
                    life.has_read(body, Ok(told.map_err(|it| it.to_string())), reply)
                })
            }
            None => Step::Rest,
        }
    }

    fn has_read(
        self: &Arc<Self>,
        body: &mut Body,
        told: Result<Result<Value, String>, String>,
        reply: Option<Sender<Result<Value, String>>>,
    ) -> Step {
        self.cell.stats.messages.fetch_add(1, Ordering::Relaxed);
        observe::message_read();
        let (answer, failed) = match told {
            Ok(answer) => (answer, None),
            Err(panic) => (Err(panic.clone()), Some(panic)),
        };
        if let Some(reply) = reply {
            reply.send(answer);
        }
        if let Some(reason) = failed {
            return Step::Failed(reason);
        }
        body.told += 1;
        if let Phase::Watching(..) = body.phase {
            body.phase = Phase::Run;
        }
        Step::Again
    }

    /// A ballot in which it has a vote, and was not asked for it.
    fn next_ballot(&self, body: &mut Body, runtime: &Runtime) -> Option<OpenBallot> {
        // Said first, so that one which is opened meanwhile is not missed.
        self.cell.looks_at_ballots();
        let ballot = runtime.next_ballot(&self.cell.id, &mut body.asked)?;
        // There may be more.
        self.cell.has_a_vote();
        Some(ballot)
    }

    /// Asks the agent for its vote on one proposal.
    fn ask(self: &Arc<Self>, body: &mut Body, ballot: OpenBallot, runtime: &Arc<Runtime>) -> Step {
        let attempt = (ballot.proposal.id.clone(), ballot.proposal.attempt);
        body.asked.insert(attempt.clone());
        let mut context = self.context(&body.intent);
        match body.agent.take() {
            Some(Kind::Here(mut agent)) => {
                let voted = guarded(|| agent.vote(&ballot, &mut context));
                body.agent = Some(Kind::Here(agent));
                self.voted(attempt, voted, runtime)
            }
            Some(Kind::Away(agent)) => {
                let going = agent.vote(ballot, context);
                let before = std::mem::replace(&mut body.phase, Phase::Run);
                self.send_away(body, runtime, going, |(agent, voted), life, body, runtime| {
                    (body.agent, body.phase) = (Some(Kind::Away(agent)), before);
                    life.voted(attempt, voted.map_err(|error| error.to_string()), runtime)
                })
            }
            None => Step::Rest,
        }
    }

    fn voted(
        &self,
        (proposal, attempt): Attempt,
        voted: Result<Option<Vote>, String>,
        runtime: &Runtime,
    ) -> Step {
        match voted {
            Ok(Some(vote)) => {
                let cast = CastVote::on(proposal, self.cell.id.clone(), vote);
                // Counted first, for whoever is told what it comes to.
                self.cell.stats.votes.fetch_add(1, Ordering::Relaxed);
                runtime.cast(CastVote { attempt, ..cast });
                Step::Again
            }
            Ok(None) => Step::Again,
            Err(reason) => Step::Failed(reason),
        }
    }

    fn context(&self, intent: &Intent) -> Context {
        Context::of_life(Arc::clone(&self.pulse), intent.random(self.cell.seed))
    }

    fn run(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        if let Some(number) = body.watching.take() {
            runtime.watchers().remove(number);
        }
        body.told = 0;
        self.cell.put(self, AgentState::Active);
        let snapshot = runtime.snapshot();
        if body.intent.attempt == 0 {
            let id = format!("{OWN}{}:{}", self.cell.id, runtime.next_intent()).into();
            body.intent = Intent { id, attempt: 0, born: snapshot.version() };
        }
        let context = self.context(&body.intent);
        let attempt = body.intent.attempt;
        let mut view = View::new(snapshot, context);
        self.cell.stats.runs.fetch_add(1, Ordering::Relaxed);
        match body.agent.take() {
            Some(Kind::Here(mut agent)) => {
                let run = || guarded(|| Ok((agent.run(&mut view)?, agent.class())));
                let ran = observe::agent_run(&self.cell.id, attempt, self.number, run);
                body.agent = Some(Kind::Here(agent));
                self.has_run(body, runtime, view, ran)
            }
            Some(Kind::Away(agent)) => {
                let going = agent.run(view);
                let going = observe::agent_going(&self.cell.id, attempt, self.number, going);
                self.send_away(body, runtime, going, |(agent, view, ran), life, body, runtime| {
                    let class = agent.class();
                    body.agent = Some(Kind::Away(agent));
                    let ran = ran.map(|next| (next, class)).map_err(|error| error.to_string());
                    life.has_run(body, runtime, view, ran)
                })
            }
            None => Step::Rest,
        }
    }

    /// Takes what a run has come to.
    fn has_run(
        self: &Arc<Self>,
        body: &mut Body,
        runtime: &Arc<Runtime>,
        view: View,
        ran: Result<(Next, Class), String>,
    ) -> Step {
        let (next, class) = match ran {
            Ok(ran) => ran,
            Err(reason) => return Step::Failed(reason),
        };
        body.phase = Phase::Run;
        if self.pulse.is_over() {
            return Step::Again;
        }
        let seen = view.version();
        let (proposal, looked) = view.finish(self.cell.id.clone(), &body.intent, class);
        let Some(proposal) = proposal else {
            body.intent.attempt = 0;
            return match next {
                Next::Done => self.end_as(body, AgentState::Done),
                Next::Watch => {
                    body.phase = Phase::Watching(looked, seen);
                    Step::Again
                }
            };
        };
        let base = proposal.base;
        match runtime.propose(Proposal { incarnation: self.number, ..proposal }) {
            Ok(ticket) => {
                self.cell.stats.proposed.fetch_add(1, Ordering::Relaxed);
                body.phase = Phase::Proposed(Box::new(Proposed { ticket, base, next, looked }));
                Step::Again
            }
            Err(ProposeError::Full(_)) => self.back_off(body, runtime),
            Err(error) => Step::Failed(error.to_string()),
        }
    }

    /// Takes the outcome of its proposal.
    fn answered(
        self: &Arc<Self>,
        body: &mut Body,
        outcome: Outcome,
        runtime: &Arc<Runtime>,
    ) -> Step {
        let phase = std::mem::replace(&mut body.phase, Phase::Run);
        let Phase::Proposed(proposed) = phase else { return Step::Rest };
        match body.agent.take() {
            Some(Kind::Here(mut agent)) => {
                let told = guarded(|| {
                    agent.outcome(&outcome);
                    Ok(())
                });
                body.agent = Some(Kind::Here(agent));
                self.was_told(body, (&outcome, *proposed), told, runtime)
            }
            Some(Kind::Away(agent)) => {
                let going = agent.outcome(outcome.clone());
                self.send_away(body, runtime, going, move |agent, life, body, runtime| {
                    (body.agent, body.phase) = (Some(Kind::Away(agent)), Phase::Run);
                    life.was_told(body, (&outcome, *proposed), Ok(()), runtime)
                })
            }
            None => Step::Rest,
        }
    }

    /// Goes on after an outcome of which its agent was told.
    fn was_told(
        self: &Arc<Self>,
        body: &mut Body,
        (outcome, proposed): (&Outcome, Proposed),
        told: Result<(), String>,
        runtime: &Arc<Runtime>,
    ) -> Step {
        let Proposed { base, next, looked, .. } = proposed;
        self.cell.stats.answered(outcome);
        if let Err(reason) = told {
            return Step::Failed(reason);
        }
        match outcome {
            Outcome::Committed { version, .. } => {
                (body.intent.attempt, body.losses) = (0, 0);
                match next {
                    Next::Done => self.end_as(body, AgentState::Done),
                    Next::Watch
                        if runtime.others_changed(&self.cell.id, &looked, base, *version) =>
                    {
                        Step::Again
                    }
                    Next::Watch => {
                        body.phase = Phase::Watching(looked, *version);
                        Step::Again
                    }
                }
            }
            Outcome::PreconditionFailed { expected, .. } => {
                // It fails again until something that it depends on has changed.
                body.intent.attempt = body.intent.attempt.saturating_add(1);
                let mut looked = looked;
                looked.push(Read::Key(expected.key().clone()));
                body.phase = Phase::Watching(looked, base);
                Step::Again
            }
            // None of its attempts was committed, so that a new intent doubles nothing.
            Outcome::TooOld { .. } => {
                body.intent.attempt = 0;
                Step::Again
            }
            outcome if outcome.may_retry() => {
                body.losses += 1;
                if body.losses >= self.cell.attempts {
                    let attempts = self.cell.attempts;
                    return Step::Failed(format!("lost {attempts} times in a row: {outcome}"));
                }
                body.intent.attempt = body.intent.attempt.saturating_add(1);
                self.back_off(body, runtime)
            }
            outcome => Step::Failed(outcome.to_string()),
        }
    }

    /// Waits before the next attempt: twice as long each time, from a quarter of a millisecond to a quarter of a second, less a
    /// random part of up to a half, so that those who lost together do not meet again.
    fn back_off(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        let doublings = body.losses.saturating_sub(1).min(10);
        let most = Duration::from_micros(250) * (1 << doublings);
        let mut context = self.context(&body.intent);
        let part = (context.random() >> 33) as u32;
        let less = (most / 2).mul_f64(f64::from(part) / f64::from(1_u32 << 31));
        let until = Instant::now() + most - less;
        body.phase = Phase::Backoff(until);
        runtime.wake_at(until, Arc::downgrade(self));
        Step::Rest
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
