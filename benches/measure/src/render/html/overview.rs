//! What stands before the scenarios: the verdict first, then where to look.

use super::svg::{Anchor, CIRCLE, Svg, TICK, WIDTH, number, text_width};
use super::tables::Table;
use super::{anchor, escaped, slug};
use crate::render::figure::{count, counted, date, figure, percent, ratio, signed_percent};
use crate::render::outline::{Scenario, Suite, machine_line, made_line, misses, tally};
use crate::{Change, Check, Report, Row};

/// When, how and where.
pub(super) fn facts(report: &Report) -> String {
    let mut facts = format!(
        "<p class=\"facts\">{}</p><p class=\"facts\">{}</p>",
        escaped(&made_line(report)),
        escaped(&machine_line(report))
    );
    if let Some(source) = &report.made.source {
        facts += &format!("<p class=\"facts\">Source: <code>{}</code></p>", escaped(source));
    }
    if !report.made.arguments.is_empty() {
        facts += &format!(
            "<p class=\"facts\">Arguments: <code>{}</code></p>",
            escaped(&report.made.arguments)
        );
    }
    facts
}

/// The figures that sum the report up.
pub(super) fn glance(report: &Report, suites: &[Suite<'_>]) -> String {
    let tally = tally(&report.rows);
    let scenarios = suites.iter().map(|suite| suite.scenarios.len()).sum();
    let unjudged = format!("{} not judged yet", counted(tally.unjudged, "row"));
    let mut tiles = String::from("<ul class=\"tiles\">");
    tiles += &tile(
        "good",
        &format!("{} of {}", tally.met, tally.judged()),
        "targets met",
        (tally.unjudged > 0).then_some(unjudged),
    );
    let class = if tally.missed > 0 { "bad" } else { "good" };
    tiles += &tile(class, &tally.missed.to_string(), "targets missed", None);
    if let Some(comparison) = &report.comparison {
        let (worse, better) = (comparison.regressions.len(), comparison.improvements.len());
        let class = if worse > 0 { "bad" } else { "good" };
        let more =
            format!("{}; noise {}", counted(better, "improvement"), percent(comparison.noise));
        tiles += &tile(class, &worse.to_string(), "regressions", Some(more));
    } else {
        tiles += &tile("", "–", "regressions", Some("compared with no baseline".to_owned()));
    }
    let of = format!("in {} of {}", counted(scenarios, "scenario"), counted(suites.len(), "suite"));
    tiles += &tile("", &count(report.rows.len() as u64), "rows", Some(of));
    tiles + "</ul>\n"
}

fn tile(class: &str, figure: &str, what: &str, more: Option<String>) -> String {
    let more = more.map_or_else(String::new, |more| format!("<small>{}</small>", escaped(&more)));
    format!("<li class=\"{class}\"><b>{}</b> {what}{more}</li>", escaped(figure))
}

/// More missed targets than this are folded, scenario by scenario: the index above has them all at a glance.
const OPEN: usize = 12;

/// Each missed target by scenario, with a link to its row.
pub(super) fn missed_targets(suites: &[Suite<'_>]) -> String {
    let scenarios = suites.iter().flat_map(|suite| &suite.scenarios);
    let missed: Vec<(&Scenario<'_>, Vec<(&Row, &Check)>)> = scenarios
        .map(|scenario| {
            let rows = scenario.rows.iter().copied();
            (
                scenario,
                rows.flat_map(|row| misses(row).map(move |check| (row, check))).collect::<Vec<_>>(),
            )
        })
        .filter(|(_, missed)| !missed.is_empty())
        .collect();
    let all: usize = missed.iter().map(|(_, missed)| missed.len()).sum();
    if all == 0 {
        return String::new();
    }
    let open = if all <= OPEN { " open=\"\"" } else { "" };
    let mut section = String::from("<section><h2 id=\"missed\">Missed targets</h2>");
    for (scenario, missed) in missed {
        section += &format!(
            "<details{open}><summary>{}: {}</summary><ul class=\"list bad\">",
            escaped(scenario.name),
            counted(missed.len(), "missed target")
        );
        for (row, check) in missed {
            let params = row.params_text();
            section += &format!(
                "<li><a href=\"#{}\">{}</a><br/><b class=\"bad\">✗ {}</b>: {}</li>",
                anchor(row),
                escaped(if params.is_empty() { &row.name } else { &params }),
                escaped(&check.target),
                escaped(&check.measured)
            );
        }
        section += "</ul></details>";
    }
    section + "</section>\n"
}

/// What changed since the baseline.
pub(super) fn comparison(report: &Report) -> String {
    let Some(comparison) = &report.comparison else { return String::new() };
    let mut section = format!(
        "<section><h2 id=\"comparison\">Against the baseline of {}</h2><p>{} of ours compared, {} in only one of the two. \
         The machine drifted by {}, which is taken out; noise is {}.</p>",
        date(comparison.baseline_at),
        counted(comparison.compared, "figure"),
        counted(comparison.unmatched, "row"),
        signed_percent(comparison.drift),
        percent(comparison.noise)
    );
    section += &changes(report, "Regressions", &comparison.regressions, "bad");
    section += &changes(report, "Improvements", &comparison.improvements, "good");
    section + "</section>\n"
}

fn changes(report: &Report, title: &str, changes: &[Change], class: &str) -> String {
    if changes.is_empty() {
        return format!("<p>{title}: none.</p>");
    }
    let way = if class == "bad" { "worse" } else { "better" };
    let mut list = format!("<h3>{title}</h3><ul class=\"list {class}\">");
    for change in changes {
        let is_here = report.rows.iter().any(|row| row.id() == change.row);
        let row = if is_here {
            format!("<a href=\"#{}\">{}</a>", slug(&change.row), escaped(&change.row))
        } else {
            escaped(&change.row)
        };
        list += &format!(
            "<li>{row}<br/><b class=\"{class}\">{} {} {way}</b>: {} → {} <small>noise {}</small></li>",
            escaped(&change.figure),
            percent(change.worse.abs()),
            escaped(&figure(change.before, &change.unit)),
            escaped(&figure(change.after, &change.unit)),
            percent(change.noise)
        );
    }
    list + "</ul>"
}

/// All scenarios on one scale: where ours is better than its best peer, and where it is not.
pub(super) fn index(suites: &[Suite<'_>]) -> String {
    let rows = suites.iter().flat_map(|suite| &suite.scenarios).flat_map(|scenario| &scenario.rows);
    let ratios = rows.filter_map(|row| finite_ratio(row));
    let widest = ratios.map(|ratio| ratio.log2().abs()).fold(1.0, f64::max);
    let strip = Strip { end: widest.ceil().min(10.0) };

    let mut section = format!(
        "<section><h2 id=\"scenarios\">Scenarios</h2><p class=\"muted\">Each dot is a row: how many times better ours is than \
         the best peer. <b class=\"bad\">×</b> marks a row with a missed target.</p>\
         <ul class=\"index\"><li class=\"head\"><span class=\"strip\">{}</span></li>",
        strip.axis()
    );
    for suite in suites {
        section += &format!(
            "<li class=\"suite\"><a href=\"#{}\">{}</a></li>",
            slug(suite.name),
            escaped(suite.name)
        );
        for scenario in &suite.scenarios {
            section += &index_entry(suite, scenario, &strip);
        }
    }
    section + "</ul></section>\n"
}

fn index_entry(suite: &Suite<'_>, scenario: &Scenario<'_>, strip: &Strip) -> String {
    let mut ratios: Vec<f64> = scenario.rows.iter().filter_map(|row| finite_ratio(row)).collect();
    ratios.sort_by(f64::total_cmp);
    let range = match (ratios.first(), ratios.last()) {
        (Some(least), Some(most)) => {
            let (least, most) = (ratio(Some(*least)), ratio(Some(*most)));
            if least == most { least } else { format!("{least} to {most}") }
        }
        _ if scenario.rows.iter().all(|row| row.ours.is_none()) => "none of ours yet".to_owned(),
        _ => "no peers".to_owned(),
    };
    format!(
        "<li><a href=\"#{}\">{}</a><span class=\"rows\">{}</span><span class=\"strip\">{}</span>\
         <span class=\"range\">{range}</span>{}</li>",
        scenario_anchor(suite.name, scenario),
        escaped(scenario.name),
        counted(scenario.rows.len(), "row"),
        if ratios.is_empty() { String::new() } else { strip.dots(scenario, &range) },
        targets_badge(scenario)
    )
}

/// What links to a scenario refer to.
pub(super) fn scenario_anchor(suite: &str, scenario: &Scenario<'_>) -> String {
    // Two dots, so that a scenario whose rows have no parameters does not share the anchor of its row.
    format!("{}..{}", slug(suite), slug(scenario.name))
}

/// How many targets of a scenario are met.
pub(super) fn targets_badge(scenario: &Scenario<'_>) -> String {
    let tally = tally(scenario.rows.iter().copied());
    let (class, text) = match (tally.missed, tally.judged()) {
        (_, 0) if tally.unjudged > 0 => ("badge", "not judged yet".to_owned()),
        (_, 0) => ("badge", "no target".to_owned()),
        (0, judged) => ("badge good", format!("{judged} of {judged} met")),
        (_, judged) => ("badge bad", format!("{} of {judged} met", tally.met)),
    };
    format!("<span class=\"{class}\">{text}</span>")
}

fn finite_ratio(row: &Row) -> Option<f64> {
    row.ratio_best_peer.filter(|ratio| ratio.is_finite() && *ratio > 0.0)
}

/// A logarithmic scale of ratios, the same to both sides of 1.
struct Strip {
    /// The powers of two to each side.
    end: f64,
}

impl Strip {
    fn x(&self, ratio: f64) -> f64 {
        let share = (ratio.log2() / self.end).clamp(-1.0, 1.0);
        WIDTH / 2.0 + share * (WIDTH / 2.0 - 20.0)
    }

    fn axis(&self) -> String {
        let mut svg = Svg::new();
        svg.text("tick", (0.0, 12.0), Anchor::Start, WIDTH, "◂ worse");
        svg.text("tick", (WIDTH / 2.0, 12.0), Anchor::Middle, WIDTH, "level");
        svg.text("tick", (WIDTH, 12.0), Anchor::End, WIDTH, "better ▸");
        for power in self.marks() {
            let ratio = power.exp2();
            let text = if power < 0.0 {
                format!("1/{}×", figure((-power).exp2(), ""))
            } else {
                format!("{}×", figure(ratio, ""))
            };
            // Labels at the ends stay inside the image.
            let half = text_width(&text, TICK) / 2.0;
            let x = self.x(ratio).clamp(half, WIDTH - half);
            svg.text("tick", (x, 28.0), Anchor::Middle, WIDTH, &text);
        }
        svg.finish(WIDTH, 32.0, "scale: times better than the best peer")
    }

    fn marks(&self) -> Vec<f64> {
        let half = (self.end / 2.0).round();
        if half >= 1.0 && half < self.end {
            vec![-self.end, -half, 0.0, half, self.end]
        } else {
            vec![-self.end, 0.0, self.end]
        }
    }

    fn dots(&self, scenario: &Scenario<'_>, range: &str) -> String {
        let mut svg = Svg::new();
        svg.line("grid", (20.0, 10.0), (WIDTH - 20.0, 10.0));
        for power in self.marks() {
            let class = if power == 0.0 { "axis" } else { "grid" };
            let x = self.x(power.exp2());
            svg.line(class, (x, 2.0), (x, 18.0));
        }
        let is_missed = |row: &Row| misses(row).next().is_some();
        for (index, row) in scenario.rows.iter().enumerate() {
            let Some(ratio) = finite_ratio(row) else { continue };
            // Rows of the same ratio would hide each other.
            let (x, y) = (self.x(ratio), [10.0, 6.0, 14.0][index % 3]);
            let title = format!("{}: {}", row.params_text(), figure(ratio, "×"));
            if is_missed(row) {
                let corner = (number(x - 4.5), number(y - 4.5));
                let data = format!("M{} {}l9 9m0 -9l-9 9", corner.0, corner.1);
                svg.path("cross", &data, &title);
            } else {
                let data = format!("M{} {}{CIRCLE}", number(x), number(y));
                svg.path("dot", &data, &title);
            }
        }
        svg.finish(WIDTH, 20.0, &format!("ours against the best peer: {range}"))
    }
}

/// What the hardware and the clock cost.
pub(super) fn limits(report: &Report) -> String {
    if report.limits.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[("limit", false), ("p50", true), ("±", true), ("what", false)]);
    for limit in &report.limits {
        table.row(
            "",
            &[
                escaped(&limit.name),
                escaped(&figure(limit.stats.p50, &limit.unit)),
                percent(limit.stats.spread),
                format!("<span class=\"prose\">{}</span>", escaped(&limit.what)),
            ],
        );
    }
    format!(
        "<section><h2 id=\"limits\">Limits of this machine</h2><p class=\"muted\">Measured in the same run: what no program can \
         go below, and what measuring itself costs.</p>{}</section>\n",
        table.finish()
    )
}

/// Criterion's own results, folded.
pub(super) fn criterion(report: &Report) -> String {
    if report.criterion.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[("benchmark", false), ("median", true), ("95 % interval", true)]);
    for result in &report.criterion {
        let (low, high) = result.interval;
        table.row(
            "",
            &[
                escaped(&result.id),
                figure(result.median, "ns"),
                format!("{} to {}", figure(low, "ns"), figure(high, "ns")),
            ],
        );
    }
    format!(
        "<section><h2 id=\"criterion\">Criterion&#39;s results</h2><details><summary>{}</summary>{}</details></section>\n",
        counted(report.criterion.len(), "benchmark"),
        table.finish()
    )
}
