//! One scenario: what it is, its rows in a table, the plots that say most, and the rest folded.

use super::bars::{Bar, Chart, Measure};
use super::latency::{has_distribution, latency};
use super::lines::Look;
use super::overview::{scenario_anchor, targets_badge};
use super::scaling::{Curve, curves, scaling};
use super::{anchor, escaped, tables};
use crate::render::figure::{counted, figure};
use crate::render::outline::{Scenario, contenders, label, mark, misses, most_telling};
use crate::{Better, Row, Stats};

/// Plots that are shown without being asked for: so many rows, and so many curves.
const OPEN: usize = 3;
/// Lines in one chart that can still be told apart.
const MOST_LINES: usize = 8;

/// The scenario's section.
pub(super) fn section(suite: &str, scenario: &Scenario<'_>) -> String {
    let footnotes = scenario.footnotes();
    let mut section = format!(
        "<section class=\"scenario\"><h3 id=\"{}\">{} {}</h3>",
        scenario_anchor(suite, scenario),
        escaped(scenario.name),
        targets_badge(scenario)
    );
    for sentence in [scenario.shared_what(), scenario.shared_note()].into_iter().flatten() {
        section += &format!("<p>{}</p>", escaped(sentence));
    }
    section += &tables::glance(scenario, &footnotes);
    for (number, footnote) in (1..).zip(&footnotes) {
        section += &format!("<p class=\"note\">{} {}</p>", mark(number), escaped(footnote));
    }
    section += &Plots::new(scenario).html();
    section += &format!(
        "<details><summary>All figures of all contenders</summary>{}</details>",
        tables::full(&scenario.rows)
    );
    section + "<p class=\"up\"><a href=\"#scenarios\">↑ all scenarios</a></p></section>\n"
}

struct Plots<'a> {
    rows: &'a [&'a Row],
    /// In order of appearance: a peer looks the same in every plot of the scenario.
    peers: Vec<&'a str>,
}

impl<'a> Plots<'a> {
    fn new(scenario: &'a Scenario<'a>) -> Self {
        let mut peers: Vec<&str> = Vec::new();
        for peer in scenario.rows.iter().flat_map(|row| &row.peers) {
            if !peers.contains(&peer.name.as_str()) {
                peers.push(&peer.name);
            }
        }
        Self { rows: &scenario.rows, peers }
    }

    fn html(&self) -> String {
        let curves = curves(self.rows);
        let open_curves = self.telling_curves(&curves);
        let open_rows = most_telling(self.rows, OPEN);
        let scaling = |wanted: &dyn Fn(usize) -> bool| {
            let chosen = (0..).zip(&curves).filter(|(index, _)| wanted(*index));
            chosen.map(|(_, curve)| self.scaling(curve)).collect::<String>()
        };
        let rows = |wanted: &dyn Fn(usize) -> bool| {
            let chosen = (0..).zip(self.rows).filter(|(index, _)| wanted(*index));
            chosen.map(|(_, row)| self.row(row)).collect::<String>()
        };

        let open = scaling(&|index| open_curves.contains(&index));
        let more = scaling(&|index| !open_curves.contains(&index));
        let more = folded(&more, curves.len() - open_curves.len(), "more scaling curve");
        if self.peers.is_empty() {
            return grid(&(open + &self.ours_alone(curves.is_empty()))) + &more;
        }
        let mut html = grid(&open) + &more;
        html += &self.bars_legend();
        html += &grid(&rows(&|index| open_rows.contains(&index)));
        let more = rows(&|index| !open_rows.contains(&index));
        html + &folded(&more, self.rows.len() - open_rows.len(), "more row")
    }

    /// The curves that hold the most telling rows.
    fn telling_curves(&self, curves: &[Curve<'a>]) -> Vec<usize> {
        let worst = |curve: &Curve<'a>| {
            let rows: Vec<&Row> = curve.rows.iter().map(|(_, row)| *row).collect();
            most_telling(&rows, 1).first().map(|index| rows[*index])
        };
        let worst: Vec<&Row> = curves.iter().filter_map(worst).collect();
        most_telling(&worst, OPEN)
    }

    fn scaling(&self, curve: &Curve<'_>) -> String {
        let with = format!("with {}", curve.axis);
        let with = if curve.others.is_empty() { with } else { format!("{with}: {}", curve.others) };
        let plot = scaling(curve, &self.peers, &format!("p50 {with}"));
        figure_of(&format!("<b>Scaling</b> {}", escaped(&with)), &plot)
    }

    /// Ours beside the peers, and their distributions if they are known.
    fn row(&self, row: &'a Row) -> String {
        let title = row_title(row);
        let bar = |(is_ours, stats): (bool, &'a Stats)| Bar { label: label(stats), is_ours, stats };
        let mut chosen: Vec<Bar<'_>> = contenders(row).map(bar).collect();
        chosen.sort_by(|a, b| match row.better {
            Better::Lower => a.stats.p50.total_cmp(&b.stats.p50),
            Better::Higher => b.stats.p50.total_cmp(&a.stats.p50),
        });
        let mut html = String::new();
        if !chosen.is_empty() {
            let chart = Chart::new(chosen, measure(row));
            let title = format!("{title}{}", limit_text(row, &chart));
            html += &figure_of(&title, &chart.svg(&format!("ours and peers: {}", row.id())));
        }
        let look = |is_ours: bool, name: &str| {
            let position = self.peers.iter().position(|peer| !is_ours && *peer == name);
            position.map_or(Look::Ours, Look::Other)
        };
        let line =
            |(is_ours, stats): (bool, &'a Stats)| (label(stats), look(is_ours, &stats.name), stats);
        let lines: Vec<_> = contenders(row).map(line).collect();
        let plot = latency(&lines, &row.unit, &format!("latencies: {}", row.id()));
        if !plot.is_empty() {
            html += &figure_of(&format!("<b>Latencies</b> {title}"), &plot);
        }
        html
    }

    /// Where there are no peers, rows of ours stand beside each other instead.
    fn ours_alone(&self, with_bars: bool) -> String {
        let Some(first) = self.rows.first() else { return String::new() };
        let of_unit = self.rows.iter().filter(|row| row.unit == first.unit);
        let ours: Vec<(String, &Stats)> =
            of_unit.filter_map(|row| Some((row.params_text(), row.ours.as_ref()?))).collect();
        let mut html = String::new();
        if with_bars && !ours.is_empty() {
            let chosen = ours.iter().map(|(label, stats)| Bar {
                label: label.clone(),
                is_ours: true,
                stats,
            });
            let measure = Measure { limit: None, ..measure(first) };
            let chart = Chart::new(chosen.collect(), measure);
            html += &figure_of("<b>Rows</b>", &chart.svg(&first.name));
        }
        let known: Vec<_> = ours.iter().filter(|(_, stats)| has_distribution(stats)).collect();
        // Spread evenly over the rows, with the first and the last.
        let last = known.len().saturating_sub(1);
        let shown = known.len().min(MOST_LINES);
        let lines = (0..shown).map(|line| {
            let (label, stats) = known[line * last / (shown - 1).max(1)];
            (label.clone(), Look::Other(line), *stats)
        });
        let plot = latency(&lines.collect::<Vec<_>>(), &first.unit, "latencies of ours by row");
        if !plot.is_empty() {
            html += &figure_of("<b>Latencies</b> of ours, by row", &plot);
        }
        html
    }

    fn bars_legend(&self) -> String {
        let limit = self.rows.iter().find_map(|row| Some((row.limit?, row)));
        let limit = limit.map_or_else(String::new, |(_, row)| {
            let name = row.limit_name.as_deref().unwrap_or("limit");
            format!("<li><i class=\"key limit\"></i><span>limit: {}</span></li>", escaped(name))
        });
        let has_ours = self.rows.iter().any(|row| row.ours.is_some());
        let ours =
            if has_ours { "<li><i class=\"key ours\"></i><span>ours</span></li>" } else { "" };
        format!(
            "<ul class=\"legend\">{ours}<li><i class=\"key peer\"></i><span>peers</span></li>\
             <li><i class=\"key rounds\"></i><span>lowest to highest round</span></li>{limit}</ul>"
        )
    }
}

fn row_title(row: &Row) -> String {
    let params = row.params_text();
    let params = if params.is_empty() { row.name.clone() } else { params };
    let missed = if misses(row).next().is_some() { " <b class=\"bad\">✗ missed</b>" } else { "" };
    format!("<a href=\"#{}\">{}</a>{missed}", anchor(row), escaped(&params))
}

fn limit_text(row: &Row, chart: &Chart<'_>) -> String {
    let Some(limit) = measure(row).limit else { return String::new() };
    let hidden = if chart.shown_limit().is_none() { ", off the axis" } else { "" };
    format!(" <small>limit {}{hidden}</small>", escaped(&figure(limit, &row.unit)))
}

fn measure(row: &Row) -> Measure<'_> {
    let limit = row.limit.filter(|limit| limit.is_finite() && *limit > 0.0);
    Measure { unit: &row.unit, better: row.better, limit }
}

/// A plot under its title.
fn figure_of(title: &str, plot: &str) -> String {
    format!("<figure><figcaption>{title}</figcaption>{plot}</figure>")
}

fn grid(figures: &str) -> String {
    if figures.is_empty() { String::new() } else { format!("<div class=\"plots\">{figures}</div>") }
}

fn folded(figures: &str, number: usize, noun: &str) -> String {
    if figures.is_empty() {
        return String::new();
    }
    format!("<details><summary>{}</summary>{}</details>", counted(number, noun), grid(figures))
}
