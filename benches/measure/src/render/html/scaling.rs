//! How a figure grows with one parameter while the others stay the same.

use super::axis::Axis;
use super::lines::{Chart, Look, Series, lines};
use crate::render::figure::count;
use crate::render::outline::{label, param_text};
use crate::{Row, Stats};

/// Rows that differ in one numeric parameter only.
pub(super) struct Curve<'a> {
    /// The parameter that grows.
    pub(super) axis: &'a str,
    /// The others in words; empty if there are none.
    pub(super) others: String,
    /// Rising along the axis.
    pub(super) rows: Vec<(f64, &'a Row)>,
}

/// The curves that a scenario's rows make, in order of appearance; two points at least each.
pub(super) fn curves<'a>(rows: &[&'a Row]) -> Vec<Curve<'a>> {
    let mut curves: Vec<Curve<'a>> = Vec::new();
    for row in rows {
        let Some(axis) = row.axis.as_deref() else { continue };
        let Some(at) = row.params.get(axis).and_then(serde_json::Value::as_f64) else { continue };
        let others = others(row, axis);
        let same = |curve: &&mut Curve<'_>| {
            curve.axis == axis && curve.others == others && curve.rows[0].1.unit == row.unit
        };
        match curves.iter_mut().find(same) {
            Some(curve) => curve.rows.push((at, row)),
            None => curves.push(Curve { axis, others, rows: vec![(at, row)] }),
        }
    }
    for curve in &mut curves {
        curve.rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        curve.rows.dedup_by(|a, b| a.0 == b.0);
    }
    curves.retain(|curve| curve.rows.len() > 1);
    curves
}

fn others(row: &Row, axis: &str) -> String {
    let others = row.params.iter().filter(|(name, _)| *name != axis);
    others
        .map(|(name, value)| format!("{name} {}", param_text(value)))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The curve's chart; `names` are the scenario's peers, whose positions decide how they look.
pub(super) fn scaling(curve: &Curve<'_>, names: &[&str], label: &str) -> String {
    let unit = curve.rows[0].1.unit.as_str();
    let places: Vec<f64> = curve.rows.iter().map(|(at, _)| *at).collect();
    let along = Along::new(&places);

    let mut series = Vec::new();
    let ours = line(curve, &along, Look::Ours, |row| row.ours.as_ref());
    series.extend(ours);
    for (index, name) in names.iter().enumerate() {
        let peer = |row: &'_ Row| row.peers.iter().position(|peer| peer.name == *name);
        let look = Look::Other(index);
        series.extend(line(curve, &along, look, |row| peer(row).map(|index| &row.peers[index])));
    }
    let limits: Vec<_> =
        curve.rows.iter().filter_map(|(at, row)| Some((along.at(*at), row.limit?))).collect();
    if limits.len() > 1 {
        let name = curve.rows[0].1.limit_name.as_deref().unwrap_or("of the machine");
        series.push(Series {
            name: format!("limit: {name}"),
            look: Look::Limit,
            points: limits,
            marks: Vec::new(),
            whiskers: Vec::new(),
        });
    }

    let values: Vec<f64> =
        series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value)).collect();
    let y = Axis::suited(&values, unit);
    let chart = Chart {
        label,
        x_title: &format!("{}{}", curve.axis, if along.is_log { ", log scale" } else { "" }),
        x_ticks: places.iter().map(|at| (along.at(*at), place_text(*at))).collect(),
        y_title: if y.is_log { "p50, log scale" } else { "p50" },
        y,
        unit,
    };
    lines(&chart, &series)
}

/// One contender's line; `None` if no row has it.
fn line<'a>(
    curve: &Curve<'a>,
    along: &Along,
    look: Look,
    of: impl Fn(&'a Row) -> Option<&'a Stats>,
) -> Option<Series> {
    let found: Vec<_> =
        curve.rows.iter().filter_map(|(at, row)| Some((along.at(*at), of(row)?))).collect();
    let found: Vec<_> = found.into_iter().filter(|(_, stats)| stats.p50.is_finite()).collect();
    let points: Vec<_> = found.iter().map(|(at, stats)| (*at, stats.p50)).collect();
    let whiskers = found.iter().filter(|_| look == Look::Ours).filter_map(|(at, stats)| {
        let rounds = || stats.rounds.iter().map(|round| round.p50);
        Some((*at, rounds().reduce(f64::min)?, rounds().reduce(f64::max)?))
    });
    Some(Series {
        name: label(found.first()?.1),
        look,
        marks: points.clone(),
        whiskers: whiskers.collect(),
        points,
    })
}

/// The axis of the parameter: from its least to its greatest value.
struct Along {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Along {
    fn new(rising: &[f64]) -> Self {
        let (low, high) = (rising[0], rising[rising.len() - 1]);
        Self { low, high, is_log: low > 0.0 && high / low > 4.0 }
    }

    fn at(&self, value: f64) -> f64 {
        if self.is_log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        }
    }
}

fn place_text(value: f64) -> String {
    if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
        count(value as u64)
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn rows_are_joined_where_only_the_axis_differs() {
        let report = sample::report();
        let rows: Vec<&Row> =
            report.rows.iter().filter(|row| row.name == "snapshot_reads").collect();
        let curves = curves(&rows);
        let others: Vec<_> = curves.iter().map(|curve| curve.others.as_str()).collect();
        assert_eq!(
            others,
            ["readers 1, writer idle", "readers 2, writer paced", "readers 8, writer hot"]
        );
        assert!(curves.iter().all(|curve| curve.rows.len() == 5));
    }

    #[test]
    fn a_single_row_is_no_curve() {
        let report = sample::report();
        assert!(curves(&[&report.rows[0]]).is_empty());
    }
}
