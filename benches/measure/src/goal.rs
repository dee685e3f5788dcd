//! Targets, and whether measured rows meet them.

use crate::render::{figure, ratio};
use crate::row::{Better, Check, Row, Stats};

/// From this share of a peer's speed on counts as not slower: two runs of the same code differ by as much.
const NOT_SLOWER: f64 = 0.95;

/// Which figure of a contender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Figure {
    /// The median; the only one of blocks, windows and counts.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

impl Figure {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Figure::P50 => "p50",
            Figure::P95 => "p95",
            Figure::P99 => "p99",
        }
    }

    pub(crate) fn of(self, stats: &Stats) -> Option<f64> {
        match self {
            Figure::P50 => Some(stats.p50),
            Figure::P95 => stats.p95,
            Figure::P99 => stats.p99,
        }
    }
}

/// A target of a row, in the row's unit. Targets are fixed before anything is measured, and never lowered after.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// A figure is below a value.
    Below(Figure, f64),
    /// The median is at most a value.
    AtMost(f64),
    /// The median is at least a value.
    AtLeast(f64),
    /// This many times better than a peer.
    TimesPeer(&'static str, f64),
    /// This many times better than the best peer.
    TimesBest(f64),
    /// Not slower than any peer, within 5 %.
    NotSlower,
    /// At most this many times the limit's cost.
    TimesLimit(f64),
    /// At most this many times what another row of the scenario shows, which is named by its parameters in words.
    TimesRow(String, f64),
}

impl Goal {
    fn words(&self, unit: &str) -> String {
        match self {
            Goal::Below(which, value) => format!("{} < {}", which.name(), figure(*value, unit)),
            Goal::AtMost(value) => format!("≤ {}", figure(*value, unit)),
            Goal::AtLeast(value) => format!("≥ {}", figure(*value, unit)),
            Goal::TimesPeer(peer, times) => format!("≥ {} {peer}", ratio(Some(*times))),
            Goal::TimesBest(times) => format!("≥ {} the best peer", ratio(Some(*times))),
            Goal::NotSlower => "not slower than any peer".to_owned(),
            Goal::TimesLimit(times) => format!("≤ {} the limit", ratio(Some(*times))),
            Goal::TimesRow(other, times) => format!("≤ {} of {other}", ratio(Some(*times))),
        }
    }

    /// Judges the row; `others` are all rows of the run. `None` if there is none of ours yet, or if the other row was not
    /// asked for. What else cannot be compared is a miss: a target must not vanish because a peer was renamed.
    fn judge(&self, row: &Row, others: &[Row]) -> Option<Check> {
        let ours = row.ours.as_ref()?;
        let verdict = match self {
            Goal::TimesRow(other, times) => {
                let same = |it: &&Row| {
                    (&it.suite, &it.name) == (&row.suite, &row.name) && it.params_text() == *other
                };
                let other = others.iter().find(same)?.ours.as_ref()?;
                let found = 1.0 / advantage(row.better, ours.p50, other.p50);
                Some((found <= *times, ratio(Some(found))))
            }
            alone => alone.judge_alone(row, ours),
        };
        let (met, measured) = verdict.unwrap_or((false, "not measured".to_owned()));
        Some(Check { target: self.words(&row.unit), measured, met })
    }

    fn judge_alone(&self, row: &Row, ours: &Stats) -> Option<(bool, String)> {
        let in_unit = |value| figure(value, &row.unit);
        let against_best = |least: f64| {
            let found = row.ratio_best_peer?;
            Some((found >= least, format!("{} {}", ratio(Some(found)), row.best_peer.as_deref()?)))
        };
        Some(match self {
            Goal::Below(which, value) => {
                let found = which.of(ours)?;
                (found < *value, format!("{} is {}", which.name(), in_unit(found)))
            }
            Goal::AtMost(value) => (ours.p50 <= *value, in_unit(ours.p50)),
            Goal::AtLeast(value) => (ours.p50 >= *value, in_unit(ours.p50)),
            Goal::TimesPeer(peer, times) => {
                let peer = row.peers.iter().find(|stats| stats.name == *peer)?;
                let found = advantage(row.better, ours.p50, peer.p50);
                (found >= *times, ratio(Some(found)))
            }
            Goal::TimesBest(times) => against_best(*times)?,
            Goal::NotSlower => against_best(NOT_SLOWER)?,
            Goal::TimesLimit(times) => {
                let found = row.ratio_limit?;
                (found <= *times, ratio(Some(found)))
            }
            Goal::TimesRow(..) => return None,
        })
    }
}

/// How many times better `ours` is than `theirs`.
pub(crate) fn advantage(better: Better, ours: f64, theirs: f64) -> f64 {
    match better {
        Better::Lower => theirs / ours,
        Better::Higher => ours / theirs,
    }
}

/// Judges all rows by their goals, which are given in the rows' order.
pub(crate) fn judge(rows: &mut [Row], goals: &[Vec<Goal>]) {
    let checks: Vec<Vec<Check>> = rows
        .iter()
        .zip(goals)
        .map(|(row, goals)| goals.iter().filter_map(|goal| goal.judge(row, rows)).collect())
        .collect();
    for (row, checks) in rows.iter_mut().zip(checks) {
        let words: Vec<&str> = checks.iter().map(|check| check.target.as_str()).collect();
        row.target = (!words.is_empty()).then(|| words.join("; "));
        row.met = (!words.is_empty()).then(|| checks.iter().all(|check| check.met));
        row.checks = checks;
    }
}
