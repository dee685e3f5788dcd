//! The report as text for a terminal.

mod table;
mod words;

use self::table::Table;
use self::words::{bar, characters, left, right, shortened, wrapped};
use super::figure::{counted, date, figure, figure_or_none, percent, ratio, signed_percent};
use super::outline::{Scenario, best_peer, machine_line, made_line, misses, notes, suites, tally};
use crate::{Change, Comparison, Report, Row};

/// Below this a row's columns do not fit, so a narrower terminal wraps lines.
const NARROWEST: usize = 60;
/// Spaces between columns.
const GAP: usize = 2;

/// The report as text: one line for each row, under the heading of its scenario, and what was missed at the end, where
/// it is still on the screen when the run is over.
///
/// No line is longer than `width` characters, or than 60 if that is more. `colour` adds ANSI colours, which never say
/// anything that the text does not say too.
pub fn terminal(report: &Report, width: usize, colour: bool) -> String {
    let mut page = Page { text: String::new(), width: width.max(NARROWEST), colour };
    page.head(report);
    for suite in suites(report) {
        page.blank();
        page.painted(0, Style::Bold, suite.name);
        for scenario in &suite.scenarios {
            page.scenario(scenario);
        }
    }
    page.blank();
    if let Some(comparison) = &report.comparison {
        page.comparison(comparison);
    }
    page.targets(report);
    page.text
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

struct Page {
    text: String,
    width: usize,
    colour: bool,
}

impl Page {
    fn head(&mut self, report: &Report) {
        self.painted(0, Style::Bold, "Queenright benchmark report");
        self.painted(0, Style::Plain, &made_line(report));
        self.painted(0, Style::Plain, &machine_line(report));
        let limits = report.limits.iter();
        let limits: Vec<_> = limits
            .map(|limit| format!("{} {}", limit.name, figure(limit.stats.p50, &limit.unit)))
            .collect();
        if !limits.is_empty() {
            self.painted(0, Style::Plain, &format!("Limits: {}", limits.join(" · ")));
        }
        self.painted(
            0,
            Style::Dim,
            "Bars show ours against the best peer: │ is level, to the right ours is better, to the left worse; a full \
             half is 8×, and an arrow more. × is always how many times better, × limit how many times the limit.",
        );
    }

    fn scenario(&mut self, scenario: &Scenario<'_>) {
        self.blank();
        let shared_what = scenario.shared_what();
        let table = Table::new(scenario, self.width);
        self.painted(2, Style::Bold, &format!("{}{}", scenario.name, table.constants));
        for sentence in [shared_what, scenario.shared_note()].into_iter().flatten() {
            self.painted(4, Style::Dim, sentence);
        }
        let head = self.paint(Style::Dim, table.head.trim_end());
        self.line(&format!("  {head}"));

        let notes = |row: &Row| notes(row, shared_what, scenario.shared_note());
        // A note that several rows in a row have is told once, under the last of them.
        let mut rows_with_note = 0;
        for (index, (row, params)) in scenario.rows.iter().zip(&table.params).enumerate() {
            self.row(row, params, &table);
            for check in misses(row) {
                let text = format!("MISS {}: {}", check.target, check.measured);
                self.painted(6, Style::Bad, &text);
            }
            let own = notes(row);
            rows_with_note += 1;
            if scenario.rows.get(index + 1).is_some_and(|next| notes(next) == own) {
                continue;
            }
            for note in own {
                let of = if rows_with_note > 1 {
                    format!("({rows_with_note} rows) ")
                } else {
                    String::new()
                };
                self.painted(6, Style::Dim, &format!("{of}{note}"));
            }
            rows_with_note = 0;
        }
    }

    fn row(&mut self, row: &Row, params: &str, table: &Table) {
        let mut line = String::from("  ");
        if table.stacked {
            self.painted(2, Style::Plain, params);
            line.push_str("    ");
        } else {
            line.push_str(params);
        }
        let Some(ours) = &row.ours else {
            let peer = best_peer(row).map_or_else(String::new, |peer| {
                format!("; best peer {} {}", peer.name, figure(peer.p50, &row.unit))
            });
            let text = format!("{}no contender of ours yet{peer}", " ".repeat(GAP));
            let text = shortened(&text, self.width - characters(&line));
            line.push_str(&self.paint(Style::Dim, &text));
            self.line(&line);
            return;
        };
        let columns = &table.columns;
        let judged = match row.ratio_best_peer {
            Some(ratio) if ratio > 1.05 => Style::Good,
            Some(ratio) if ratio < 0.95 => Style::Bad,
            _ => Style::Plain,
        };
        let verdict = match row.met {
            Some(true) => ("met", Style::Good),
            Some(false) => ("MISS", Style::Bad),
            None => ("", Style::Plain),
        };
        let peer = row.best_peer.as_deref().unwrap_or("no peer");
        let cells = [
            (columns.p50, right(&figure(ours.p50, &row.unit), columns.p50), Style::Bold),
            (
                columns.spread,
                right(&format!("±{}", percent(ours.spread)), columns.spread),
                Style::Dim,
            ),
            (columns.p99, right(&figure_or_none(ours.p99, &row.unit), columns.p99), Style::Plain),
            (columns.bar, bar(row.ratio_best_peer, columns.bar), judged),
            (columns.ratio, right(&ratio(row.ratio_best_peer), columns.ratio), judged),
            (columns.peer, left(peer, columns.peer), Style::Plain),
            (columns.limit, right(&ratio(row.ratio_limit), columns.limit), Style::Plain),
            (columns.verdict, verdict.0.to_owned(), verdict.1),
        ];
        for (_, text, style) in cells.iter().filter(|(width, ..)| *width > 0) {
            line.push_str(&" ".repeat(GAP));
            line.push_str(&self.paint(*style, text));
        }
        self.line(&line);
    }

    fn comparison(&mut self, comparison: &Comparison) {
        self.painted(
            0,
            Style::Bold,
            &format!("Against the baseline of {}", date(comparison.baseline_at)),
        );
        self.painted(
            2,
            Style::Plain,
            &format!(
                "{} compared, {} in only one of the two; machine drift {}, noise {}",
                counted(comparison.compared, "figure"),
                counted(comparison.unmatched, "row"),
                signed_percent(comparison.drift),
                percent(comparison.noise)
            ),
        );
        self.changes("regression", "worse", &comparison.regressions, Style::Bad);
        self.changes("improvement", "better", &comparison.improvements, Style::Good);
        self.blank();
    }

    fn changes(&mut self, title: &str, way: &str, changes: &[Change], style: Style) {
        self.painted(2, Style::Plain, &counted(changes.len(), title));
        for change in changes {
            let text = format!(
                "{} {way}: {} {}: {} → {}",
                percent(change.worse.abs()),
                change.row,
                change.figure,
                figure(change.before, &change.unit),
                figure(change.after, &change.unit)
            );
            self.painted(4, style, &text);
        }
    }

    fn targets(&mut self, report: &Report) {
        let all = tally(&report.rows);
        let mut summary = format!("Targets met: {} of {}", all.met, all.judged());
        if all.unjudged > 0 {
            summary +=
                &format!(" ({} more rows have a target that nothing was judged by)", all.unjudged);
        }
        self.painted(0, Style::Bold, &summary);
        for scenario in suites(report).iter().flat_map(|suite| &suite.scenarios) {
            let tally = tally(scenario.rows.iter().copied());
            if tally.missed > 0 {
                let text =
                    format!("MISS {}: {} of {}", scenario.name, tally.missed, tally.judged());
                self.painted(2, Style::Bad, &text);
            }
        }
    }

    /// A paragraph in one style, wrapped; its later lines are two deeper.
    fn painted(&mut self, indent: usize, style: Style, text: &str) {
        for (index, line) in wrapped(text, self.width - indent).iter().enumerate() {
            let indent = " ".repeat(if index == 0 { indent } else { indent + 2 });
            let line = self.paint(style, line);
            self.line(&format!("{indent}{line}"));
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        let code = match style {
            _ if !self.colour || text.trim().is_empty() => return text.to_owned(),
            Style::Plain => return text.to_owned(),
            Style::Bold => "1",
            Style::Dim => "2",
            Style::Good => "32",
            Style::Bad => "1;31",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn blank(&mut self) {
        self.text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for width in [60, 80, 100, 120, 200] {
            for line in terminal(&sample::report(), width, false).lines() {
                assert!(characters(line) <= width, "{width}: {} {line}", characters(line));
            }
        }
    }

    #[test]
    fn colours_only_add_to_the_text() {
        let coloured = terminal(&sample::report(), 80, true);
        let mut plain = String::new();
        for (index, part) in coloured.split('\u{1b}').enumerate() {
            let text = if index == 0 { part } else { part.split_once('m').unwrap().1 };
            plain.push_str(text);
        }
        assert_eq!(plain, terminal(&sample::report(), 80, false));
    }

    #[test]
    fn a_missed_target_is_told_under_its_row_and_at_the_end() {
        let text = terminal(&sample::report(), 120, false);
        assert_eq!(text.matches("MISS ≥ 3M proposals/s: 2.87 M/s").count(), 1);
        assert!(text.contains("Targets met: 14 of 17"));
        let end = &text[text.find("Targets met").unwrap()..];
        assert!(end.contains("MISS round_throughput: 2 of "), "{end}");
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }

    #[test]
    fn a_row_without_ours_says_so() {
        let text = terminal(&sample::report(), 80, false);
        assert!(
            text.contains("1→100  no contender of ours yet; best peer tokio broadcast 12 M/s"),
            "{text}"
        );
    }

    #[test]
    fn parameters_that_do_not_fit_have_a_line_of_their_own() {
        let mut report = sample::report();
        report.rows.truncate(2);
        report.rows[0]
            .params
            .insert("kind".to_owned(), "a very long description of the kind".into());
        let text = terminal(&report, 60, false);
        assert!(text.contains("  reads 10, readers 1, writer idle, kind a very long"), "{text}");
        assert!(text.lines().all(|line| characters(line) <= 60));
    }
}
