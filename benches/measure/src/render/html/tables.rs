//! Tables: one line for each row of a scenario, and every figure of every contender.

use super::{anchor, escaped};
use crate::render::figure::{NONE, count, figure, figure_or_none, percent, ratio};
use crate::render::outline::{Scenario, best_peer, contenders, label, param_text};
use crate::{Row, Sample, Stats, Windows};

/// Beyond this spread of the rounds a figure should be doubted.
const WIDE_SPREAD: f64 = 0.1;
/// Ratios nearer to 1 than this are level.
const LEVEL: f64 = 0.05;

/// A table whose cells are already HTML. It scrolls by itself where it is wider than the page.
pub(super) struct Table {
    html: String,
    aligned_right: Vec<bool>,
}

impl Table {
    /// Each column's heading, and whether it is aligned to the right.
    pub(super) fn new(columns: &[(&str, bool)]) -> Self {
        let mut html = String::from("<div class=\"scroll\"><table><thead><tr>");
        for (title, right) in columns {
            let class = if *right { " class=\"number\"" } else { "" };
            html += &format!("<th scope=\"col\"{class}>{}</th>", escaped(title));
        }
        html += "</tr></thead><tbody>";
        Self { html, aligned_right: columns.iter().map(|(_, right)| *right).collect() }
    }

    /// One row; `attributes` are those of its element.
    pub(super) fn row(&mut self, attributes: &str, cells: &[String]) {
        self.html += &format!("<tr{attributes}>");
        for (cell, right) in cells.iter().zip(&self.aligned_right) {
            let class = if *right { " class=\"number\"" } else { "" };
            self.html += &format!("<td{class}>{cell}</td>");
        }
        self.html += "</tr>";
    }

    /// A heading for the rows below it.
    fn heading(&mut self, text: &str) {
        self.html += &format!(
            "<tr class=\"heading\"><th scope=\"rowgroup\" colspan=\"{}\"><span>{}</span></th></tr>",
            self.aligned_right.len(),
            escaped(text)
        );
    }

    pub(super) fn finish(self) -> String {
        self.html + "</tbody></table></div>"
    }
}

/// The scenario's rows at a glance; links to rows lead here.
pub(super) fn glance(scenario: &Scenario<'_>, footnotes: &[String]) -> String {
    let names = scenario.param_names();
    let mut columns: Vec<(&str, bool)> = match &names {
        Some(names) => names.iter().map(|name| (*name, is_numeric(scenario, name))).collect(),
        None => vec![("parameters", false)],
    };
    // A column that is empty in every row would only push the others away.
    let rows = &scenario.rows;
    let has_p99 = rows.iter().any(|row| row.ours.as_ref().is_some_and(|ours| ours.p99.is_some()));
    let has_peers = rows.iter().any(|row| !row.peers.is_empty());
    let has_limit = rows.iter().any(|row| row.ratio_limit.is_some());
    let has_target = rows.iter().any(|row| row.target.is_some() || !row.checks.is_empty());
    columns.push(("ours p50", true));
    if has_peers {
        columns.extend([("× best peer", true), ("best peer", false), ("its p50", true)]);
    }
    columns.push(("±", true));
    columns.extend(has_p99.then_some(("p99", true)));
    columns.extend(has_limit.then_some(("× limit", true)));
    columns.extend(has_target.then_some(("targets", false)));

    let mut table = Table::new(&columns);
    for row in rows {
        let mut cells: Vec<String> = match &names {
            Some(names) => names
                .iter()
                .map(|name| {
                    row.params
                        .get(*name)
                        .map_or(NONE.to_owned(), |value| escaped(&param_text(value)))
                })
                .collect(),
            None => vec![wrapping(&row.params_text())],
        };
        let ours = row.ours.as_ref();
        let marks = scenario.marks(row, footnotes);
        let p50 = ours.map_or("none yet".to_owned(), |ours| figure(ours.p50, &row.unit));
        cells.push(format!("<b>{}</b>{marks}", escaped(&p50)));
        if has_peers {
            let peer = best_peer(row);
            cells.push(judged_ratio(row.ratio_best_peer));
            cells.push(peer.map_or(NONE.to_owned(), |peer| wrapping(&peer.name)));
            cells.push(escaped(&figure_or_none(peer.map(|peer| peer.p50), &row.unit)));
        }
        cells.push(ours.map_or(NONE.to_owned(), spread));
        if has_p99 {
            cells.push(escaped(&figure_or_none(ours.and_then(|ours| ours.p99), &row.unit)));
        }
        if has_limit {
            cells.push(ratio(row.ratio_limit));
        }
        if has_target {
            cells.push(targets(row));
        }
        let missed = if row.met == Some(false) { " class=\"miss\"" } else { "" };
        table.row(&format!(" id=\"{}\"{missed}", anchor(row)), &cells);
    }
    table.finish()
}

fn is_numeric(scenario: &Scenario<'_>, name: &str) -> bool {
    let mut values = scenario.rows.iter().filter_map(|row| row.params.get(name));
    values.all(|value| value.is_number())
}

/// Words that may take several lines, so that the figures beside them stay in sight.
fn wrapping(text: &str) -> String {
    format!("<span class=\"wrap\">{}</span>", escaped(text))
}

/// A ratio that says by more than its colour which way it goes.
fn judged_ratio(value: Option<f64>) -> String {
    let text = ratio(value);
    match value {
        Some(value) if value > 1.0 + LEVEL => format!("<b class=\"good\">▲ {text}</b>"),
        Some(value) if value < 1.0 - LEVEL => format!("<b class=\"bad\">▼ {text}</b>"),
        _ => text,
    }
}

fn spread(stats: &Stats) -> String {
    let text = percent(stats.spread);
    if stats.spread > WIDE_SPREAD { format!("<b class=\"doubt\">{text}</b>") } else { text }
}

/// Each target with its verdict and what was measured.
fn targets(row: &Row) -> String {
    if row.checks.is_empty() {
        return match &row.target {
            Some(target) => {
                format!("<span class=\"prose\">{} (not judged yet)</span>", escaped(target))
            }
            None => NONE.to_owned(),
        };
    }
    let lines = row.checks.iter().map(|check| {
        let (class, mark, verdict) =
            if check.met { ("good", "✓", "met") } else { ("bad", "✗", "missed") };
        format!(
            "<span class=\"prose\"><b class=\"{class}\" title=\"{verdict}\">{mark}</b> {}: {}</span>",
            escaped(&check.target),
            escaped(&check.measured)
        )
    });
    lines.collect()
}

/// Every figure of every contender.
pub(super) fn full(rows: &[&Row]) -> String {
    let mut table = Table::new(&[
        ("contender", false),
        ("p50", true),
        ("±", true),
        ("p95", true),
        ("p99", true),
        ("p99.9", true),
        ("min", true),
        ("max", true),
        ("n", true),
        ("sample", false),
        ("windows", true),
    ]);
    for row in rows {
        let params = row.params_text();
        table.heading(if params.is_empty() { &row.name } else { &params });
        for (is_ours, stats) in contenders(row) {
            let shown = |value| escaped(&figure(value, &row.unit));
            let maybe = |value| escaped(&figure_or_none(value, &row.unit));
            let name = escaped(&label(stats));
            let cells = [
                if is_ours { format!("<b class=\"ours\">{name}</b>") } else { name },
                shown(stats.p50),
                spread(stats),
                maybe(stats.p95),
                maybe(stats.p99),
                maybe(stats.p999),
                shown(stats.min),
                shown(stats.max),
                count(stats.n),
                sample(stats.sample).to_owned(),
                stats.windows.map_or(NONE.to_owned(), windows),
            ];
            table.row("", &cells);
        }
    }
    table.finish()
}

fn sample(sample: Sample) -> &'static str {
    match sample {
        Sample::Operation => "operation",
        Sample::Block => "block",
        Sample::Window => "window",
        Sample::Value => "value",
    }
}

fn windows(windows: Windows) -> String {
    let text = format!("{} / {} / {}", windows.kept, windows.preempted, windows.unfair);
    if windows.oversubscribed { format!("{text}, more threads than cores") } else { text }
}
