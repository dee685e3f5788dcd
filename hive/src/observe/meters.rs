//! Counters, gauges and histograms, for whatever recorder the program has installed.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use queenright_primitives::panics::quietly;

use super::Label;

pub(super) const ON: bool = true;

/// What a number is.
#[derive(Clone, Copy)]
enum Kind {
    Counter,
    /// A counter that has a label, so that it is not there before it counts something.
    Labelled,
    /// How many there are now, in all hives of the process together.
    Gauge,
    LabelledGauge,
    Histogram,
}

use Kind::{Counter, Gauge, Histogram, Labelled, LabelledGauge};

/// All metrics: what each is, in which unit, and what it means.
#[rustfmt::skip]
const ALL: [(&str, Kind, Unit, &str); 17] = [
    ("hive_proposals_total", Labelled, Unit::Count, "Proposals answered, by outcome."),
    ("hive_conflicts_total", Labelled, Unit::Count, "Proposals answered as conflicts, by the rule they lost by."),
    ("hive_proposals_pending", Gauge, Unit::Count, "Proposals that lost and are judged again in the next round."),
    ("hive_ballots_open", Gauge, Unit::Count, "Proposals that are being voted on."),
    ("hive_rounds_total", Counter, Unit::Count, "Rounds decided."),
    ("hive_round_duration_seconds", Histogram, Unit::Seconds, "How long it took to decide a round."),
    ("hive_round_proposals", Histogram, Unit::Count, "Proposals judged in a round."),
    ("hive_log_append_duration_seconds", Histogram, Unit::Seconds, "How long an append to the log took, until it was as durable as the log promises."),
    ("hive_log_append_rounds", Histogram, Unit::Count, "Rounds in an append to the log."),
    ("hive_window", Gauge, Unit::Count, "Proposals that the next round takes at most, unless more were submitted together."),
    ("hive_queue_depth", LabelledGauge, Unit::Count, "Submissions in the queue, by class."),
    ("hive_agents", LabelledGauge, Unit::Count, "Supervised agents that are not over, by state."),
    ("hive_agents_ended_total", Labelled, Unit::Count, "Supervised agents that are over, by the state they ended in."),
    ("hive_agent_failures_total", Counter, Unit::Count, "Lives of supervised agents that failed."),
    ("hive_agent_restarts_total", Counter, Unit::Count, "Lives of supervised agents begun, beside the first of each."),
    ("hive_messages_total", Counter, Unit::Count, "Messages read by agents."),
    ("hive_messages_dropped_total", Counter, Unit::Count, "Messages dropped, because there was no room or because the agent had ended."),
];

/// Says what each metric means, and that those without a label are 0 so far: otherwise the first increase would not look like one.
pub(super) fn describe() {
    quietly(|| {
        for (name, kind, unit, meaning) in ALL {
            match kind {
                Counter | Labelled => describe_counter!(name, unit, meaning),
                Gauge | LabelledGauge => describe_gauge!(name, unit, meaning),
                Histogram => describe_histogram!(name, unit, meaning),
            }
            match kind {
                Counter => counter!(name).increment(0),
                Gauge => gauge!(name).increment(0.0),
                Labelled | LabelledGauge | Histogram => {}
            }
        }
    });
}

pub(super) fn count(name: &'static str, label: Label, times: u64) {
    quietly(|| match label {
        Some((label, value)) => counter!(name, label => value).increment(times),
        None => counter!(name).increment(times),
    });
}

/// Moves a gauge by a difference, so that several hives of a process add up.
pub(super) fn shift(name: &'static str, label: Label, before: usize, now: usize) {
    if before == now {
        return;
    }
    let difference = now as f64 - before as f64;
    quietly(|| match label {
        Some((label, value)) => gauge!(name, label => value).increment(difference),
        None => gauge!(name).increment(difference),
    });
}

pub(super) fn record(name: &'static str, value: f64) {
    quietly(|| histogram!(name).record(value));
}
