//! What a hive tells to whoever watches it: numbers, spans and events.
//!
//! Nothing else names the crates behind the features `metrics`, `tracing` and `prometheus`; without them nothing of this does
//! anything. Recorders and subscribers are somebody else's code, so that a panic of theirs goes no further than here.

#[cfg(feature = "metrics")]
mod meters;
#[cfg(feature = "prometheus")]
pub mod prometheus;
#[cfg(feature = "prometheus")]
mod server;
#[cfg(feature = "tracing")]
mod spans;

use std::sync::Arc;
use std::time::{Duration, Instant};

use queenright_primitives::schedule::Class;

use crate::agent::{AgentEvent, AgentState, Going};
use crate::consensus::Verdicts;
use crate::id::AgentId;
use crate::log::{LogError, Record};
use crate::metrics::Metrics;
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// A round's record, and the same as bytes, if it goes into a log.
type Logged = (Arc<Record>, Vec<u8>);
/// A metric's label and its value.
type Label = Option<(&'static str, &'static str)>;

/// What is counted when the feature is off.
#[cfg(not(feature = "metrics"))]
mod meters {
    use super::Label;

    pub(super) const ON: bool = false;
    pub(super) fn describe() {}
    pub(super) fn count(_: &'static str, _: Label, _: u64) {}
    pub(super) fn shift(_: &'static str, _: Label, _: usize, _: usize) {}
    pub(super) fn record(_: &'static str, _: f64) {}
}

/// What is traced when the feature is off.
#[cfg(not(feature = "tracing"))]
mod spans {
    use super::*;

    pub(super) fn round(run: impl FnOnce() -> Logged) -> Logged {
        run()
    }
    pub(super) fn agent_run<R>(_: &AgentId, _: u32, _: u64, run: impl FnOnce() -> R) -> R {
        run()
    }
    pub(super) fn agent_going<T>(_: &AgentId, _: u32, _: u64, going: Going<T>) -> Going<T> {
        going
    }
    pub(super) fn without_a_round(_: &[Proposal], _: &Outcome) {}
    pub(super) fn supervised(_: &AgentEvent) {}
    pub(super) fn hangs(_: &AgentId, _: u64, _: Duration) {}
    pub(super) fn queen_panicked() {}
    pub(super) fn log_fails(_: &LogError) {}
    pub(super) fn no_image(_: &LogError) {}
}

/// A hive is built: says what its metrics mean, and that those without a label are 0 unless they are more.
pub(crate) fn describe() {
    meters::describe();
}

/// Decides a round, in a span and by the clock.
pub(crate) fn round(run: impl FnOnce() -> Logged) -> Logged {
    spans::round(|| {
        let began = meters::ON.then(Instant::now);
        let logged = run();
        if let Some(began) = began {
            meters::record("hive_round_duration_seconds", began.elapsed().as_secs_f64());
        }
        logged
    })
}

/// A round was decided, after which these were the numbers.
pub(crate) fn decided(before: &Metrics, verdicts: &Verdicts, next_window: usize) {
    if !meters::ON {
        return;
    }
    meters::count("hive_rounds_total", None, 1);
    meters::record("hive_round_proposals", verdicts.outcomes.len() as f64);
    pending(before, verdicts.pending.len());
    window(before, next_window);
    // Kinds of answers are few, and each has one name.
    let mut kinds: Vec<(&Outcome, u64)> = Vec::new();
    for (place, outcome) in verdicts.outcomes.iter().enumerate() {
        if verdicts.is_pending(place) {
            continue;
        }
        match kinds.iter_mut().find(|(kind, _)| kind.name() == outcome.name()) {
            Some((_, times)) => *times += 1,
            None => kinds.push((outcome, 1)),
        }
    }
    for (outcome, times) in kinds {
        answered(outcome, times);
    }
}

/// So many proposals were answered like this.
pub(crate) fn answered(outcome: &Outcome, times: u64) {
    meters::count("hive_proposals_total", Some(("outcome", outcome.name())), times);
    if let Outcome::Conflict { rule, .. } = outcome {
        meters::count("hive_conflicts_total", Some(("rule", rule.name())), times);
    }
}

/// These were answered without a round, as far as spans go.
pub(crate) fn without_a_round(proposals: &[Proposal], outcome: &Outcome) {
    spans::without_a_round(proposals, outcome);
}

/// So many proposals are pending now.
pub(crate) fn pending(before: &Metrics, now: usize) {
    meters::shift("hive_proposals_pending", None, before.pending, now);
}

/// So many proposals are being voted on now.
pub(crate) fn voted_on(before: &Metrics, now: usize) {
    meters::shift("hive_ballots_open", None, before.voted_on, now);
}

/// So many proposals go into the next round now.
pub(crate) fn window(before: &Metrics, now: usize) {
    meters::shift("hive_window", None, before.window, now);
}

/// A hive is gone, and with it what it has added to the gauges.
pub(crate) fn gone(last: &Metrics) {
    pending(last, 0);
    voted_on(last, 0);
    window(last, 0);
}

/// Puts something into the queue without waiting. It is counted first, as it may be taken before this returns.
pub(crate) fn queueing<E>(class: Class, push: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
    queued(class);
    push().inspect_err(|_| unqueued([class]))
}

/// Something is in the queue.
pub(crate) fn queued(class: Class) {
    meters::shift("hive_queue_depth", class_label(class), 0, 1);
}

/// These were taken from the queue.
pub(crate) fn unqueued(classes: impl IntoIterator<Item = Class>) {
    if !meters::ON {
        return;
    }
    for class in classes {
        meters::shift("hive_queue_depth", class_label(class), 1, 0);
    }
}

fn class_label(class: Class) -> Label {
    Some(("class", class.name()))
}

/// Runs an agent, in a span. Agents that run in waves have one life, which is 0.
pub(crate) fn agent_run<R>(agent: &AgentId, attempt: u32, life: u64, run: impl FnOnce() -> R) -> R {
    spans::agent_run(agent, attempt, life, run)
}

/// A run of an agent that takes place elsewhere.
pub(crate) fn agent_going<T: 'static>(
    agent: &AgentId,
    attempt: u32,
    life: u64,
    going: Going<T>,
) -> Going<T> {
    spans::agent_going(agent, attempt, life, going)
}

/// An agent has its name, and is starting.
pub(crate) fn agent_named() {
    let state = Some(("state", AgentState::Starting.name()));
    meters::shift("hive_agents", state, 0, 1);
}

/// An agent stands elsewhere. Called where its state is locked, so that the changes of one agent come in their order.
pub(crate) fn agent_moved(from: &AgentState, to: &AgentState) {
    if !meters::ON || from == to {
        return;
    }
    let label = |state: &AgentState| Some(("state", state.name()));
    match to.is_over() {
        true => meters::count("hive_agents_ended_total", label(to), 1),
        false => meters::shift("hive_agents", label(to), 0, 1),
    }
    meters::shift("hive_agents", label(from), 1, 0);
    if (from, to) == (&AgentState::Restarting, &AgentState::Starting) {
        meters::count("hive_agent_restarts_total", None, 1);
    }
}

/// Where a life of an agent has come to by itself: in some cases that is a failure.
pub(crate) fn agent_came_to(state: &AgentState) {
    if matches!(state, AgentState::Restarting | AgentState::Failed(_)) {
        meters::count("hive_agent_failures_total", None, 1);
    }
}

/// An agent has read a message.
pub(crate) fn message_read() {
    meters::count("hive_messages_total", None, 1);
}

/// So many messages will be read by nobody.
pub(crate) fn messages_dropped(messages: u64) {
    meters::count("hive_messages_dropped_total", None, messages);
}

/// A supervisor has seen to a failure.
pub(crate) fn supervised(event: &AgentEvent) {
    spans::supervised(event);
}

/// An agent was not heard of for so long, and is given up.
pub(crate) fn hangs(agent: &AgentId, life: u64, silent: Duration) {
    spans::hangs(agent, life, silent);
}

/// A log takes nothing any more.
pub(crate) fn log_fails(error: &LogError) {
    spans::log_fails(error);
}

/// No image was made.
pub(crate) fn no_image(error: &LogError) {
    spans::no_image(error);
}

/// Appends to a log, by the clock.
pub(crate) fn append<R>(rounds: usize, run: impl FnOnce() -> R) -> R {
    let began = meters::ON.then(Instant::now);
    let appended = run();
    if let Some(began) = began {
        meters::record("hive_log_append_duration_seconds", began.elapsed().as_secs_f64());
        meters::record("hive_log_append_rounds", rounds as f64);
    }
    appended
}

/// The queen's thread ends, by a panic or because all is done.
pub(crate) fn queen_ends() {
    if std::thread::panicking() {
        spans::queen_panicked();
    }
}
