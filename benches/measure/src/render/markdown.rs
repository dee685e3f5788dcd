//! The report as Markdown: whole, or in pieces for documents that people write.

use super::figure::{NONE, counted, date, figure, figure_or_none, percent, ratio, signed_percent};
use super::outline::{
    self, Scenario, Suite, best_peer, made_line, mark, missed, misses, param_text, suites, tally,
};
use crate::{Change, Comparison, Report, Row};

/// The whole report as one Markdown document.
pub fn markdown(report: &Report) -> String {
    let mut text = String::from("# Benchmark report\n\n");
    text += &format!("{}\n\n{}\n\n", made_line(report), machine_line(report));
    text += &summary(report);
    text += "\n## Limits\n\n";
    text += &limits_table(report);
    text += "\n× best peer: how many times better ours is. × limit: how many times the limit ours costs. ± is half the \
             distance between the lowest and the highest round.\n";
    for suite in suites(report) {
        text += &format!("\n## {}\n", escaped(suite.name));
        text += &suite_tables(&suite, None);
    }
    if let Some(comparison) = &report.comparison {
        text += &comparison_section(comparison);
    }
    if !report.criterion.is_empty() {
        text += &criterion_section(report);
    }
    text
}

/// The tables of one suite, each under its scenario's heading of the third level and with the day, the source and the
/// machine; empty if the report has no row of that suite.
pub fn tables(report: &Report, suite: &str) -> String {
    let found = suites(report).into_iter().find(|candidate| candidate.name == suite);
    let source = report.made.source.as_deref().map(|source| format!(" at {source}"));
    let (day, source) = (date(report.made.at), source.unwrap_or_default());
    let day = day.split(' ').next().unwrap_or_default();
    let machine = format!("{}, {}", report.machine.cpu, counted(report.machine.cores, "core"));
    let origin = format!("measured {day}{source} on {machine}");
    let tables = |suite| suite_tables(&suite, Some(&origin)).trim_start().to_owned();
    found.map_or_else(String::new, tables)
}

/// What the hardware and the clock themselves cost, as a table.
pub fn limits_table(report: &Report) -> String {
    let mut table = Table::new(&[("limit", false), ("p50", true), ("±", true), ("what", false)]);
    for limit in &report.limits {
        table.row([
            escaped(&limit.name),
            figure(limit.stats.p50, &limit.unit),
            percent(limit.stats.spread),
            escaped(&limit.what),
        ]);
    }
    table.text
}

/// The machine, in one line.
pub fn machine_line(report: &Report) -> String {
    escaped(&outline::machine_line(report))
}

fn summary(report: &Report) -> String {
    let tally = tally(&report.rows);
    let mut text = format!("**Targets met: {} of {}.**", tally.met, tally.judged());
    if tally.unjudged > 0 {
        text += &format!(" {} with a target not judged yet.", counted(tally.unjudged, "row"));
    }
    if let Some(comparison) = &report.comparison {
        text += &format!(" {}.", counted(comparison.regressions.len(), "regression"));
    }
    text += "\n";
    let missed = missed(report);
    if !missed.is_empty() {
        text += "\nMissed:\n\n";
    }
    for (row, check) in missed {
        text += &format!(
            "- {}: {}: {}\n",
            escaped(&row.id()),
            escaped(&check.target),
            escaped(&check.measured)
        );
    }
    text
}

fn suite_tables(suite: &Suite<'_>, origin: Option<&str>) -> String {
    let mut text = String::new();
    for scenario in &suite.scenarios {
        text += &format!("\n### {}\n\n", escaped(scenario.name));
        let (what, note) = (scenario.shared_what(), scenario.shared_note());
        for sentence in [what, note, origin].into_iter().flatten() {
            text += &format!("{}\n\n", escaped(sentence));
        }
        text += &scenario_table(scenario);
        text += &remarks(scenario);
    }
    text
}

fn scenario_table(scenario: &Scenario<'_>) -> String {
    let names = scenario.param_names();
    let mut columns = Vec::new();
    match &names {
        Some(names) => {
            for name in names {
                let mut values = scenario.rows.iter().filter_map(|row| row.params.get(*name));
                columns.push((*name, values.all(|value| value.is_number())));
            }
        }
        None => columns.push(("parameters", false)),
    }
    columns.extend([
        ("ours p50", true),
        ("±", true),
        ("p99", true),
        ("best peer", false),
        ("its p50", true),
        ("× best peer", true),
        ("× limit", true),
        ("target", false),
        ("met", false),
    ]);
    let mut table = Table::new(&columns);
    let footnotes = scenario.footnotes();
    for row in &scenario.rows {
        let mut cells = match &names {
            Some(names) => names
                .iter()
                .map(|name| row.params.get(*name).map_or(NONE.to_owned(), param_text))
                .collect(),
            None => vec![row.params_text()],
        };
        cells.extend(figures(row, &scenario.marks(row, &footnotes)));
        table.row(cells.iter().map(|cell| escaped(cell)));
    }
    table.text
}

fn figures(row: &Row, marks: &str) -> [String; 9] {
    let ours = row.ours.as_ref();
    let peer = best_peer(row);
    let met = match row.met {
        Some(true) => "met",
        Some(false) => "MISSED",
        None => NONE,
    };
    [
        ours.map_or("none yet".to_owned(), |ours| figure(ours.p50, &row.unit)),
        ours.map_or(NONE.to_owned(), |ours| percent(ours.spread)),
        figure_or_none(ours.and_then(|ours| ours.p99), &row.unit),
        peer.map_or(NONE.to_owned(), |peer| peer.name.clone()),
        figure_or_none(peer.map(|peer| peer.p50), &row.unit),
        ratio(row.ratio_best_peer),
        ratio(row.ratio_limit),
        row.target.clone().unwrap_or_else(|| NONE.to_owned()),
        format!("{met} {marks}").trim_end().to_owned(),
    ]
}

/// What does not fit into the table: what was measured where a target is missed, and the footnotes.
fn remarks(scenario: &Scenario<'_>) -> String {
    let mut text = String::new();
    for row in &scenario.rows {
        for check in misses(row) {
            let params = row.params_text();
            text += &format!(
                "- {}{}missed {}: {}\n",
                escaped(&params),
                if params.is_empty() { "" } else { ": " },
                escaped(&check.target),
                escaped(&check.measured)
            );
        }
    }
    for (number, footnote) in (1..).zip(scenario.footnotes()) {
        text += &format!("- {} {}\n", mark(number), escaped(&footnote));
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

fn comparison_section(comparison: &Comparison) -> String {
    let mut text = format!(
        "\n## Against the baseline of {}\n\n{} compared, {} in only one of the two. The machine drifted by {}, \
         which is taken out; noise is {}.\n",
        date(comparison.baseline_at),
        counted(comparison.compared, "figure"),
        counted(comparison.unmatched, "row"),
        signed_percent(comparison.drift),
        percent(comparison.noise)
    );
    text += &changes("Regressions", &comparison.regressions);
    text += &changes("Improvements", &comparison.improvements);
    text
}

fn changes(title: &str, changes: &[Change]) -> String {
    if changes.is_empty() {
        return format!("\n{title}: none.\n");
    }
    let mut table = Table::new(&[
        ("row", false),
        ("figure", false),
        ("before", true),
        ("after", true),
        ("worse by", true),
        ("noise", true),
    ]);
    for change in changes {
        table.row([
            escaped(&change.row),
            escaped(&change.figure),
            figure(change.before, &change.unit),
            figure(change.after, &change.unit),
            signed_percent(change.worse),
            percent(change.noise),
        ]);
    }
    format!("\n{title}:\n\n{}", table.text)
}

fn criterion_section(report: &Report) -> String {
    let mut table = Table::new(&[("benchmark", false), ("median", true), ("95 % interval", true)]);
    for result in &report.criterion {
        let (low, high) = result.interval;
        table.row([
            escaped(&result.id),
            figure(result.median, "ns"),
            format!("{} – {}", figure(low, "ns"), figure(high, "ns")),
        ]);
    }
    format!("\n## Criterion's results\n\n{}", table.text)
}

/// A Markdown table; cells are already escaped.
struct Table {
    text: String,
}

impl Table {
    /// Each column's heading, and whether it is aligned to the right.
    fn new(columns: &[(&str, bool)]) -> Self {
        let mut table = Self { text: String::new() };
        table.row(columns.iter().map(|(title, _)| escaped(title)));
        let rule = |(_, right): &(&str, bool)| if *right { "---:" } else { "---" }.to_owned();
        table.row(columns.iter().map(rule));
        table
    }

    fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<_> = cells.into_iter().collect();
        self.text += &format!("| {} |\n", cells.join(" | "));
    }
}

/// Text in which Markdown finds neither a table's cell, nor HTML, nor emphasis or code, nor a new line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\n' | '\r' => escaped.push(' '),
            '|' | '*' | '`' | '[' | ']' | '\\' => escaped.extend(['\\', character]),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn each_row_is_a_line_of_its_scenarios_table() {
        let report = sample::report();
        let text = markdown(&report);
        for suite in suites(&report) {
            for scenario in suite.scenarios {
                let from = text.find(&format!("### {}\n", scenario.name)).unwrap();
                let section = text[from..].split("\n#").next().unwrap();
                let lines = section.lines().filter(|line| line.starts_with('|')).count();
                assert_eq!(lines, 2 + scenario.rows.len(), "{section}");
            }
        }
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn a_tables_lines_have_equally_many_cells() {
        let mut report = sample::report();
        report.rows[0].peers[0].name = "a | b".to_owned();
        report.rows[0].best_peer = Some("a | b".to_owned());
        let text = tables(&report, "swarm_primitives");
        assert!(text.contains(r"a \| b"));
        let cells = |line: &str| line.replace(r"\|", "").matches('|').count();
        for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
            let mut lines = table.lines().filter(|line| line.starts_with('|')).map(cells);
            let first = lines.next().unwrap();
            assert!(lines.all(|cells| cells == first), "{table}");
        }
    }

    #[test]
    fn a_suites_tables_are_only_its_own() {
        let report = sample::report();
        let text = tables(&report, "hive_coordination");
        assert!(text.starts_with("### round_throughput\n"));
        assert!(text.contains("### consensus_latency") && !text.contains("snapshot_"));
        assert!(text.contains("missed ≥ 3M proposals/s: 2.87 M/s"));
        assert_eq!(tables(&report, "absent"), "");
    }

    #[test]
    fn html_in_a_name_stays_text() {
        assert_eq!(escaped("Arc<T> | `x`\n*"), r"Arc&lt;T&gt; \| \`x\` \*");
        assert!(!markdown(&sample::report()).contains("<&"));
    }

    #[test]
    fn limits_and_the_machine_stand_alone() {
        let report = sample::report();
        let limits = limits_table(&report);
        assert!(limits.contains("| pointer load | 0.62 ns |"), "{limits}");
        assert!(machine_line(&report).contains("2 cores · 7.76 GiB"));
    }
}
