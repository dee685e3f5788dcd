//! Whether a run is worse than one before it.
//!
//! Two runs of the same code differ: the machine is shared, its clock drifts, memory lies elsewhere. How much they differ is
//! not guessed but read off the peers and the limits, whose code did not change:
//!
//! - *Drift* is what all of them have in common: the median change of the row's own peers and limit, or of the whole run
//!   where a row has fewer than two. It is taken out of our change.
//! - *Noise between the runs* is what is left of their changes. Figures of one kind (the median of blocks, of windows; p95,
//!   p99 of operations) are pooled, and the noise is what 95 % of them stay below; a row's own peers can only raise it.
//! - *Noise within a run* is twice the standard error of the rounds' median, by their quartiles; those of both runs are
//!   added in squares.
//!
//! A figure of ours is a regression if, without the drift, it is worse by more than 10 % and by more than both noises
//! together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::goal::Figure;
use crate::row::{Better, Change, Comparison, FORMAT, Report, Round, Row, Sample, Stats};

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

/// Compares two runs; the [module page](self) says how.
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
            compared += 1;
            let worse = worse - controls.drift_of(&after.id());
            let between = controls.noise_of(&after.id(), figure, new.sample);
            let within = error_within(figure, old).hypot(error_within(figure, new));
            let noise = between.hypot(within);
            if worse.abs() <= TOLERANCE.ln_1p().max(noise) {
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

/// Twice the standard error of the median of a figure's rounds, as a share of it.
fn error_within(figure: Figure, stats: &Stats) -> f64 {
    let of_round = |round: &Round| match figure {
        Figure::P50 => Some(round.p50),
        Figure::P95 => round.p95,
        Figure::P99 => round.p99,
    };
    let mut values: Vec<f64> = stats.rounds.iter().filter_map(of_round).collect();
    values.sort_by(f64::total_cmp);
    let count = values.len() as f64;
    let (low, middle, high) = (at(&values, 0.25), at(&values, 0.5), at(&values, 0.75));
    if middle <= 0.0 {
        return 0.0;
    }
    // For a normal distribution the quartiles are 1.349 deviations apart, and the median's error is 1.253 of the mean's.
    2.0 * 1.253 * (high - low) / 1.349 / count.sqrt() / middle
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

/// What is known of the runs' noise from those whose code did not change.
struct Controls {
    drift: f64,
    overall: f64,
    /// By row, where it has peers enough.
    drifts: BTreeMap<String, f64>,
    /// What is left of each control's change: by row, figure and kind of sample.
    left: Vec<(String, Figure, Sample, f64)>,
}

impl Controls {
    fn of(before: &Report, after: &Report, pairs: &[(&Row, &Row)]) -> Controls {
        let mut changes: Vec<(String, Figure, Sample, f64)> = Vec::new();
        let mut note = |row: String, better, old: &Stats, new: &Stats| {
            for figure in FIGURES {
                let change = worsening(better, figure, old, new);
                changes.extend(change.map(|change| (row.clone(), figure, new.sample, change)));
            }
        };
        for (old, new) in pairs {
            for peer in &new.peers {
                if let Some(same) = old.peers.iter().find(|other| other.name == peer.name) {
                    note(new.id(), new.better, same, peer);
                }
            }
        }
        for limit in &after.limits {
            if let Some(same) = before.limits.iter().find(|other| other.name == limit.name) {
                note(String::new(), Better::Lower, &same.stats, &limit.stats);
            }
        }
        // What is counted, not timed, does not drift.
        changes.retain(|(_, _, kind, _)| *kind != Sample::Value);
        let medians = |changes: &[(String, Figure, Sample, f64)], row: Option<&str>| -> Vec<f64> {
            let wanted = |change: &&(String, Figure, Sample, f64)| {
                change.1 == Figure::P50 && row.is_none_or(|row| change.0 == row)
            };
            changes.iter().filter(wanted).map(|change| change.3).collect()
        };
        let drift = median(medians(&changes, None));
        let mut drifts = BTreeMap::new();
        for (_, row) in pairs {
            let of_row = medians(&changes, Some(&row.id()));
            if of_row.len() >= 2 {
                drifts.insert(row.id(), median(of_row));
            }
        }
        for (row, _, _, change) in &mut changes {
            *change -= drifts.get(row).copied().unwrap_or(drift);
        }
        let overall = covered(changes.iter().map(|(_, _, _, change)| change.abs()).collect());
        Controls { drift, overall, drifts, left: changes }
    }

    fn drift_of(&self, row: &str) -> f64 {
        self.drifts.get(row).copied().unwrap_or(self.drift)
    }

    fn noise_of(&self, row: &str, figure: Figure, kind: Sample) -> f64 {
        let left = self.left.iter().filter(|it| it.1 == figure && it.2 == kind);
        let of_row = left.clone().filter(|it| it.0 == row).map(|it| it.3.abs());
        let pooled = covered(left.map(|it| it.3.abs()).collect());
        of_row.fold(pooled, f64::max)
    }
}

fn covered(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    at(&values, COVERED)
}
