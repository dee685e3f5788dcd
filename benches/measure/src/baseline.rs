//! Whether a run is worse than one before it.
//!
//! Two runs of the same code differ: the machine is shared, its clock drifts, memory lies elsewhere. How much they differ is
//! not guessed but read off the peers and the limits, whose code did not change:
//!
//! - *Drift* is what all of them have in common: the median change of the row's own peers, or of the whole run where a row
//!   has fewer than two. It is taken out of our change.
//! - *Noise between the runs* is what is left of their changes. Figures of one kind are pooled (a figure, of one kind of sample,
//!   with or without other threads in it), and the noise is what 95 % of them stay below; a row's own peers can only raise it.
//! - *Noise within a run* is what its rounds show: three quarters of the new rounds must be worse than three quarters of
//!   the old ones.
//!
//! A figure of ours is a regression if, without the drift, it is worse by more than 10 % and beyond both noises. A percentile is
//! compared only if at least ten samples lie beyond it in both runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::goal::Figure;
use crate::row::{Better, Change, Comparison, FORMAT, Limit, Report, Round, Row, Sample, Stats};

/// A change by less than this share is never a regression.
const TOLERANCE: f64 = 0.10;
/// The share of unchanged figures that noise covers.
const COVERED: f64 = 0.95;
const FIGURES: [Figure; 3] = [Figure::P50, Figure::P95, Figure::P99];

/// Why a baseline cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum BaselineError {
    /// It cannot be read or written.
    File(std::io::Error),
    /// It is not a report of this tool's form.
    Form(serde_json::Error),
    /// It has another version of the form.
    Format(u32),
    /// It was made on another machine, or with another compiler.
    Machine {
        /// The baseline's.
        baseline: String,
        /// This one.
        here: String,
    },
    /// It was measured with other budgets, so that its noise says nothing.
    Budget,
}

impl std::fmt::Display for BaselineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let again = "save a new one with `--baseline save`";
        match self {
            BaselineError::File(error) => write!(f, "{error}; {again}"),
            BaselineError::Form(error) => write!(f, "not a report ({error}); {again}"),
            BaselineError::Format(found) => {
                write!(f, "a report of form {found}, and this is {FORMAT}; {again}")
            }
            BaselineError::Machine { baseline, here } => write!(
                f,
                "made on another machine, so nothing can be compared:\n  then: {baseline}\n  now:  {here}\n{again}"
            ),
            BaselineError::Budget => {
                write!(f, "one of the two is a quick run and the other is not; {again}")
            }
        }
    }
}

impl std::error::Error for BaselineError {}

/// Reads a saved report.
///
/// # Errors
/// [`BaselineError::File`], [`Form`](BaselineError::Form) or [`Format`](BaselineError::Format).
pub fn load_baseline(file: &Path) -> Result<Report, BaselineError> {
    let text = fs::read_to_string(file).map_err(BaselineError::File)?;
    let report: Report = serde_json::from_str(&text).map_err(BaselineError::Form)?;
    if report.format != FORMAT { Err(BaselineError::Format(report.format)) } else { Ok(report) }
}

/// Whether two runs can be compared at all.
///
/// # Errors
/// [`BaselineError::Machine`] or [`BaselineError::Budget`].
pub fn comparable(before: &Report, after: &Report) -> Result<(), BaselineError> {
    if before.machine != after.machine {
        let words = |report: &Report| {
            let it = &report.machine;
            format!("{}, {} cores, {} bytes, {}, {}", it.cpu, it.cores, it.memory, it.os, it.rustc)
        };
        return Err(BaselineError::Machine { baseline: words(before), here: words(after) });
    }
    if before.made.quick != after.made.quick { Err(BaselineError::Budget) } else { Ok(()) }
}

/// Compares two runs. How is said at the head of this file.
pub fn compare(before: &Report, after: &Report) -> Comparison {
    let known: BTreeMap<String, &Row> = before.rows.iter().map(|row| (row.id(), row)).collect();
    let pairs: Vec<(&Row, &Row)> =
        after.rows.iter().filter_map(|row| Some((*known.get(&row.id())?, row))).collect();
    let controls = Controls::of(before, after, &pairs);
    let mut compared = 0;
    let mut regressions = Vec::new();
    let mut improvements = Vec::new();
    for (before, after) in &pairs {
        let (Some(old), Some(new)) = (&before.ours, &after.ours) else { continue };
        for figure in FIGURES {
            let Some(worse) = worsening(after.better, figure, old, new) else { continue };
            if !is_known(figure, old) || !is_known(figure, new) {
                continue;
            }
            compared += 1;
            let drift = controls.drift_of(&after.id());
            let worse = worse - drift;
            let noise = controls.noise_of(&after.id(), Kind::of(after, figure, new));
            // The new rounds as they would have been without the drift.
            let undrifted = match after.better {
                Better::Lower => (-drift).exp(),
                Better::Higher => drift.exp(),
            };
            let (old_low, old_high) = quartiles(figure, old);
            let (new_low, new_high) = quartiles(figure, new);
            let apart = if (worse > 0.0) == (after.better == Better::Lower) {
                new_low * undrifted > old_high
            } else {
                new_high * undrifted < old_low
            };
            if worse.abs() <= TOLERANCE.ln_1p().max(noise) || !apart {
                continue;
            }
            let list = if worse > 0.0 { &mut regressions } else { &mut improvements };
            list.push(Change {
                row: after.id(),
                figure: figure.name().to_owned(),
                before: figure.of(old).unwrap_or_default(),
                after: figure.of(new).unwrap_or_default(),
                unit: after.unit.clone(),
                worse: worse.exp_m1(),
                noise: noise.exp_m1(),
            });
        }
    }
    regressions.sort_by(|a: &Change, b: &Change| b.worse.total_cmp(&a.worse));
    improvements.sort_by(|a: &Change, b: &Change| a.worse.total_cmp(&b.worse));
    let ours = |report: &Report| report.rows.iter().filter(|row| row.ours.is_some()).count();
    let matched = pairs.iter().filter(|(old, new)| old.ours.is_some() && new.ours.is_some());
    Comparison {
        baseline_at: before.made.at,
        compared,
        unmatched: ours(before) + ours(after) - 2 * matched.count(),
        noise: controls.overall.exp_m1(),
        drift: controls.drift.exp_m1(),
        regressions,
        improvements,
    }
}

/// What of a first comparison's regressions a second measurement of the same rows found again: a shared machine may be slow once.
pub fn confirmed(first: Comparison, second: &Comparison) -> Comparison {
    let again = |change: &Change| {
        let same = |other: &&Change| (&other.row, &other.figure) == (&change.row, &change.figure);
        second.regressions.iter().any(|other| same(&other))
    };
    let regressions = first.regressions.iter().filter(|change| again(change)).cloned().collect();
    Comparison { regressions, ..first }
}

/// By how much a figure became worse, as a logarithm: the same change up and down has the same size.
fn worsening(better: Better, figure: Figure, old: &Stats, new: &Stats) -> Option<f64> {
    let (old, new) = (figure.of(old)?, figure.of(new)?);
    if old <= 0.0 || new <= 0.0 {
        // Counts may be zero. From nothing to something is worse without measure.
        return match (old > 0.0, new > 0.0) {
            (false, true) => Some(f64::MAX.ln()),
            (true, false) => Some(-f64::MAX.ln()),
            _ => Some(0.0),
        };
    }
    let change = (new / old).ln();
    Some(match better {
        Better::Lower => change,
        Better::Higher => -change,
    })
}

/// Whether there are samples enough beyond a percentile to know it.
fn is_known(figure: Figure, stats: &Stats) -> bool {
    match figure {
        Figure::P50 => true,
        Figure::P95 => stats.n >= 200,
        Figure::P99 => stats.n >= 1000,
    }
}

/// What a quarter and three quarters of the rounds stay below.
fn quartiles(figure: Figure, stats: &Stats) -> (f64, f64) {
    let of_round = |round: &Round| match figure {
        Figure::P50 => Some(round.p50),
        Figure::P95 => round.p95,
        Figure::P99 => round.p99,
    };
    let mut values: Vec<f64> = stats.rounds.iter().filter_map(of_round).collect();
    values.sort_by(f64::total_cmp);
    (at(&values, 0.25), at(&values, 0.75))
}

/// The value at a share of sorted values; 0 of none.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    at(&values, 0.5)
}

/// Figures that are disturbed alike.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    figure: Figure,
    sample: Sample,
    /// Whether other threads are part of it.
    threads: bool,
}

impl Kind {
    fn of(row: &Row, figure: Figure, stats: &Stats) -> Kind {
        let threads = row.hands_over || stats.sample == Sample::Window;
        Kind { figure, sample: stats.sample, threads }
    }
}

/// One figure of one who did not change.
struct Control {
    row: String,
    kind: Kind,
    /// By how much it became worse; later, what is left of that without the drift.
    change: f64,
}

/// What is known of the runs' noise from those whose code did not change.
struct Controls {
    all: Vec<Control>,
    /// The whole run's.
    drift: f64,
    /// By row, where it has peers enough.
    drifts: BTreeMap<String, f64>,
    overall: f64,
}

/// A pool of fewer controls says nothing about its kind.
const POOL: usize = 5;

impl Controls {
    fn of(before: &Report, after: &Report, pairs: &[(&Row, &Row)]) -> Controls {
        let mut all = Vec::new();
        for (old, new) in pairs {
            for peer in &new.peers {
                let Some(same) = old.peers.iter().find(|it| it.name == peer.name) else { continue };
                for figure in
                    FIGURES.into_iter().filter(|it| is_known(*it, same) && is_known(*it, peer))
                {
                    let kind = Kind::of(new, figure, peer);
                    let change = worsening(new.better, figure, same, peer);
                    all.extend(change.map(|change| Control { row: new.id(), kind, change }));
                }
            }
        }
        for limit in &after.limits {
            let same = |it: &&Limit| it.name == limit.name;
            let Some(same) = before.limits.iter().find(same) else { continue };
            let kind = Kind { figure: Figure::P50, sample: limit.stats.sample, threads: false };
            let change = worsening(Better::Lower, Figure::P50, &same.stats, &limit.stats);
            all.extend(change.map(|change| Control { row: String::new(), kind, change }));
        }
        // What is counted, not timed, does not drift.
        all.retain(|control| control.kind.sample != Sample::Value);
        let medians = |row: Option<&str>| -> Vec<f64> {
            let wanted = |it: &&Control| {
                it.kind.figure == Figure::P50 && row.is_none_or(|row| it.row == row)
            };
            all.iter().filter(wanted).map(|control| control.change).collect()
        };
        let drift = median(medians(None));
        let mut drifts = BTreeMap::new();
        for (_, row) in pairs {
            let of_row = medians(Some(&row.id()));
            if of_row.len() >= 2 {
                drifts.insert(row.id(), median(of_row));
            }
        }
        for control in &mut all {
            control.change -= drifts.get(&control.row).copied().unwrap_or(drift);
        }
        let overall = covered(all.iter().map(|control| control.change.abs()).collect());
        Controls { all, drift, drifts, overall }
    }

    fn drift_of(&self, row: &str) -> f64 {
        self.drifts.get(row).copied().unwrap_or(self.drift)
    }

    fn noise_of(&self, row: &str, kind: Kind) -> f64 {
        let alike = |it: &&Control| it.kind == kind;
        let mut pool: Vec<f64> =
            self.all.iter().filter(alike).map(|control| control.change.abs()).collect();
        if pool.len() < POOL {
            // Nobody is disturbed quite alike; then those are asked who have as much to do with other threads.
            let near = |it: &&Control| it.kind.threads == kind.threads;
            pool = self.all.iter().filter(near).map(|control| control.change.abs()).collect();
        }
        let of_row = self.all.iter().filter(|it| it.row == row && it.kind.figure == kind.figure);
        of_row.map(|control| control.change.abs()).fold(covered(pool), f64::max)
    }
}

fn covered(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    at(&values, COVERED)
}
