//! Spans and events, for whatever subscriber the program has.

use std::future::poll_fn;
use std::time::Duration;

use queenright_primitives::panics::quietly;
use tracing::field::Empty;
use tracing::level_filters::LevelFilter;
use tracing::{Level, Span, debug_span, info_span, warn};

use super::Logged;
use crate::agent::{AgentEvent, Going};
use crate::id::AgentId;
use crate::log::{LogError, Record};
use crate::outcome::Outcome;
use crate::proposal::Proposal;

/// Decides a round in its span, and gives each answer a span of its own below that.
pub(super) fn round(run: impl FnOnce() -> Logged) -> Logged {
    let new = || {
        info_span!(
            target: "queenright",
            "hive.round",
            round = Empty,
            proposals = Empty,
            accepted = Empty,
            lost = Empty,
            pending = Empty,
        )
    };
    let mut span = Span::none();
    quietly(|| span = new());
    let (record, bytes) = within(&span, run);
    quietly(|| {
        fill(&span, &record);
        tell_answers(&span, &record);
        drop(span);
    });
    (record, bytes)
}

/// Runs inside a span. Only what the subscriber does may panic without being noticed.
fn within<R>(span: &Span, run: impl FnOnce() -> R) -> R {
    let mut entered = None;
    quietly(|| entered = Some(span.enter()));
    let result = run();
    quietly(|| drop(entered));
    result
}

fn fill(span: &Span, record: &Record) {
    if span.is_disabled() {
        return;
    }
    let verdicts = &record.verdicts;
    let conflicts =
        verdicts.outcomes.iter().filter(|it| matches!(it, Outcome::Conflict { .. })).count();
    let pending = verdicts.pending.len();
    span.record("round", record.input.round.0)
        .record("proposals", record.batch.len())
        .record("accepted", verdicts.accepted.len())
        // What stays pending has lost as well, but not for good.
        .record("lost", conflicts - pending)
        .record("pending", pending);
}

fn tell_answers(round: &Span, record: &Record) {
    let answers = record.batch.iter().zip(&record.verdicts.outcomes).enumerate();
    let answers = answers.filter(|(place, _)| !record.verdicts.is_pending(*place));
    tell_each(round, answers.map(|(_, answer)| answer));
}

/// These have no round to be below of.
pub(super) fn without_a_round(proposals: &[Proposal], outcome: &Outcome) {
    quietly(|| tell_each(&Span::none(), proposals.iter().map(|it| (it, outcome))));
}

fn tell_each<'a>(round: &Span, answers: impl Iterator<Item = (&'a Proposal, &'a Outcome)>) {
    if LevelFilter::current() < Level::DEBUG {
        return;
    }
    for (proposal, outcome) in answers {
        let span = debug_span!(
            target: "queenright",
            parent: round,
            "hive.proposal",
            id = %proposal.id,
            agent = %proposal.agent,
            attempt = proposal.attempt,
            outcome = outcome.name(),
        );
        // Whether anybody wants it is asked before the fields are looked at, so the others are not wanted either.
        if span.is_disabled() {
            return;
        }
    }
}

fn of_agent(agent: &AgentId, attempt: u32, life: u64) -> Span {
    let mut span = Span::none();
    quietly(|| {
        span = info_span!(target: "queenright", "hive.agent", name = %agent, attempt, life);
    });
    span
}

/// A run that takes place elsewhere, in its span whenever it is looked at.
pub(super) fn agent_going<T: 'static>(
    agent: &AgentId,
    attempt: u32,
    life: u64,
    mut going: Going<T>,
) -> Going<T> {
    let span = of_agent(agent, attempt, life);
    if span.is_none() {
        return going;
    }
    Box::pin(poll_fn(move |context| within(&span, || going.as_mut().poll(context))))
}

pub(super) fn agent_run<R>(agent: &AgentId, attempt: u32, life: u64, run: impl FnOnce() -> R) -> R {
    let span = of_agent(agent, attempt, life);
    let result = within(&span, run);
    quietly(|| drop(span));
    result
}

pub(super) fn supervised(event: &AgentEvent) {
    quietly(|| match event {
        AgentEvent::Restarted { agent, reason, delay } => {
            warn!(target: "queenright", %agent, reason, ?delay, "an agent has failed, and is started again");
        }
        AgentEvent::Quarantined { agent, reason } => {
            warn!(target: "queenright", %agent, reason, "an agent has failed too often, and is not started again");
        }
    });
}

pub(super) fn hangs(agent: &AgentId, life: u64, silent: Duration) {
    quietly(|| {
        warn!(target: "queenright", %agent, life, ?silent, "an agent hangs, and is given up");
    });
}

pub(super) fn queen_panicked() {
    quietly(|| warn!(target: "queenright", "the queen's thread has panicked: the hive is closed"));
}

pub(super) fn log_fails(error: &LogError) {
    quietly(|| {
        tracing::error!(target: "queenright", %error, "the log has failed: nothing is committed any more");
    });
}

pub(super) fn no_image(error: &LogError) {
    quietly(|| warn!(target: "queenright", %error, "no image of the state was made"));
}
