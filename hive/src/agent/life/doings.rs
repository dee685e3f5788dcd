//! What a life lets its agent do: start, run, read, vote, learn what became of its proposal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use queenright_primitives::notify::Sender;
use queenright_primitives::schedule::Class;

use super::{Body, Life, Phase, Proposed, Step};
use crate::agent::away::{Kind, Made};
use crate::agent::context::Context;
use crate::agent::mailbox::Letter;
use crate::agent::runtime::Runtime;
use crate::agent::state::AgentState;
use crate::agent::view::{Intent, View};
use crate::agent::{Next, guarded};
use crate::consensus::{Attempt, CastVote, OpenBallot, Vote};
use crate::error::ProposeError;
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::{Proposal, Read};
use crate::value::Value;

impl Life {
    pub(super) fn start(self: &Arc<Self>, body: &mut Body) -> Step {
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
    pub(super) fn read(self: &Arc<Self>, body: &mut Body, letter: Letter) -> Step {
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
    pub(super) fn next_ballot(&self, body: &mut Body, runtime: &Runtime) -> Option<OpenBallot> {
        // Said first, so that one which is opened meanwhile is not missed.
        self.cell.looks_at_ballots();
        let ballot = runtime.next_ballot(&self.cell.id, &mut body.asked)?;
        // There may be more.
        self.cell.has_a_vote();
        Some(ballot)
    }

    /// Asks the agent for its vote on one proposal.
    pub(super) fn ask(
        self: &Arc<Self>,
        body: &mut Body,
        ballot: OpenBallot,
        runtime: &Arc<Runtime>,
    ) -> Step {
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
        Context::of_life(Arc::clone(&self.pulse), intent, self.cell.seed)
    }

    pub(super) fn run(self: &Arc<Self>, body: &mut Body, runtime: &Arc<Runtime>) -> Step {
        if let Some(number) = body.watching.take() {
            runtime.watchers().remove(number);
        }
        body.told = 0;
        self.cell.put(self, AgentState::Active);
        let snapshot = runtime.snapshot();
        if body.intent.attempt == 0 {
            let id = runtime.next_id(&self.cell.id);
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
                    // Its own code, too.
                    let ran = guarded(|| Ok((ran?, agent.class())));
                    body.agent = Some(Kind::Away(agent));
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
    pub(super) fn answered(
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
