//! The distribution of latencies: how long the fastest half took, and how long the slowest of ten thousand.

use super::axis::Axis;
use super::lines::{Chart, Look, Series, lines};
use crate::{Sample, Stats};

/// The marked shares, with their labels. Each nine more is as wide as the one before.
const TICKS: [(f64, &str); 7] = [
    (0.0, "0"),
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
    (0.99999, "99.999"),
];
/// Up to 99.99 % in any case, further where there are samples enough.
const LEAST_NINES: f64 = 4.0;
const MOST_NINES: f64 = 5.0;

/// Whether a contender's distribution is known: only where each operation was timed alone.
pub(super) fn has_distribution(stats: &Stats) -> bool {
    stats.sample == Sample::Operation && stats.curve.len() > 1
}

/// The chart of these contenders; empty if none of them has a distribution.
pub(super) fn latency(contenders: &[(String, Look, &Stats)], unit: &str, label: &str) -> String {
    let known: Vec<_> = contenders.iter().filter(|(.., stats)| has_distribution(stats)).collect();
    let most = known.iter().flat_map(|(.., stats)| points(stats)).map(|(nines, _)| nines);
    let end = most.fold(LEAST_NINES, f64::max).ceil().min(MOST_NINES);
    let values: Vec<f64> = known
        .iter()
        .flat_map(|(.., stats)| points(stats))
        .filter(|(nines, _)| *nines <= end)
        .map(|(_, value)| value)
        .collect();
    if values.is_empty() {
        return String::new();
    }
    let ticks = TICKS.iter().filter(|(share, _)| nines(*share) <= end + 0.01);
    let chart = Chart {
        label,
        x_title: "percentile (%)",
        x_ticks: ticks.map(|(share, text)| (nines(*share) / end, (*text).to_owned())).collect(),
        y_title: "time of one operation, log scale",
        y: Axis::log(&values, unit),
        unit,
    };
    let series = known.iter().map(|(name, look, stats)| {
        let points: Vec<_> = points(stats).filter(|(nines, _)| *nines <= end).collect();
        let marks = TICKS.iter().filter_map(|(share, _)| {
            let at = nines(*share);
            Some((at / end, value_at(&points, at)?))
        });
        Series {
            name: name.clone(),
            look: *look,
            marks: marks.collect(),
            points: points.iter().map(|(nines, value)| (nines / end, *value)).collect(),
            whiskers: Vec::new(),
        }
    });
    lines(&chart, &series.collect::<Vec<_>>())
}

/// The curve by nines: 0.9 is one, 0.99 is two.
fn points(stats: &Stats) -> impl Iterator<Item = (f64, f64)> {
    // The highest of n samples stands for the share below it, because all of them would be infinitely many nines.
    let most = (stats.n.max(2) as f64).log10();
    let points = stats.curve.iter().map(move |(share, value)| (nines(*share).min(most), *value));
    points.filter(|(nines, value)| nines.is_finite() && value.is_finite() && *value > 0.0)
}

fn nines(share: f64) -> f64 {
    -(1.0 - share.clamp(0.0, 1.0)).log10() + 0.0
}

/// The value between the two points around a position; `None` beyond the ends.
fn value_at(points: &[(f64, f64)], at: f64) -> Option<f64> {
    let after = points.iter().position(|(nines, _)| *nines >= at - 1e-9)?;
    let (right, high) = points[after];
    let Some((left, low)) = after.checked_sub(1).map(|before| points[before]) else {
        return (right <= at + 1e-9).then_some(high);
    };
    let share = if right > left { (at - left) / (right - left) } else { 1.0 };
    Some(low + (high - low) * share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn nines_grow_evenly() {
        assert_eq!(nines(0.0), 0.0);
        assert!((nines(0.99) - 2.0).abs() < 1e-9);
        assert_eq!(nines(1.0), f64::INFINITY);
    }

    #[test]
    fn the_highest_sample_has_as_many_nines_as_there_are_samples() {
        let report = sample::report();
        let row = report.rows.iter().find(|row| row.name == "consensus_latency").unwrap();
        let mut stats = row.ours.clone().unwrap();
        stats.n = 1000;
        stats.curve = vec![(0.0, 1.0), (1.0, 9.0)];
        assert_eq!(points(&stats).collect::<Vec<_>>(), [(0.0, 1.0), (3.0, 9.0)]);
    }

    #[test]
    fn values_between_points_are_between_theirs() {
        let points = [(0.3, 10.0), (1.3, 20.0)];
        assert_eq!(value_at(&points, 0.8), Some(15.0));
        assert_eq!(value_at(&points, 0.3), Some(10.0));
        assert_eq!(value_at(&points, 0.1), None);
        assert_eq!(value_at(&points, 2.0), None);
    }
}
