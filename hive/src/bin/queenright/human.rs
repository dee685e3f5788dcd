//! Output for people.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, LineStyle, Table, Width, presets};
use queenright::packs::{Conflict, Explanation, Kind, Report, Resolution, Series};

/// The width of tables where there is no terminal.
const WIDTH: u16 = 100;
/// How many conflicts of each sort are shown without `-v`.
const CONFLICTS_SHOWN: usize = 50;
/// How many characters of a value are shown without `-v`.
const VALUE_SHOWN: usize = 160;
/// How many packages in several series are shown without `-v`.
const SERIES_SHOWN: usize = 10;

/// The summary of a run.
pub(crate) fn summary(resolution: &Resolution, file: Option<&Path>, verbose: bool) -> String {
    let report = &resolution.report;
    let mut text = headline(report);
    if verbose {
        text += &rounds(resolution);
    }
    let unresolved: Vec<&Conflict> = report.unresolved().collect();
    let settled: Vec<&Conflict> =
        report.conflicts.iter().filter(|c| c.resolved_by.is_some()).collect();
    text += &conflicts("unresolved conflict", &unresolved, verbose);
    text += &conflicts("conflict resolved by the policy", &settled, verbose);
    text += &inactive(report);
    text += &series(&report.series, verbose);
    if report.waiting > 0 {
        let _ = writeln!(
            text,
            "\nNot settled: {} had more to say after {}. Allow more with --rounds.",
            count(report.waiting, "agent"),
            count(report.rounds as usize, "round"),
        );
    }
    let keys: usize = report.resolved.values().map(BTreeMap::len).sum();
    let place = match file {
        Some(path) => format!("written to {}", path.display()),
        None => "not written; --out FILE writes it".to_owned(),
    };
    let _ = writeln!(text, "\nResolved configuration: {}, {place}.", count(keys, "key"));
    text
}

fn headline(report: &Report) -> String {
    let mut text = format!(
        "{}: {}, {}, {}, seed {}\n{}: {} accepted",
        report.hive,
        count(report.packs, "pack"),
        count(report.agents, "agent"),
        count(report.rounds as usize, "round"),
        report.seed,
        count(report.proposals, "proposal"),
        report.accepted,
    );
    let refused: usize = report.refused.values().sum();
    let _ = write!(text, ", {refused} refused");
    if refused > 0 {
        let rules: Vec<_> = report.refused.iter().map(|(rule, n)| format!("{rule} {n}")).collect();
        let _ = write!(text, " ({})", rules.join(", "));
    }
    text.push('\n');
    text
}

fn rounds(resolution: &Resolution) -> String {
    let mut text = String::new();
    for record in &resolution.history {
        let (all, accepted) = (record.batch.len(), record.verdicts.accepted.len());
        let digest = record.digest.to_string();
        let _ = writeln!(
            text,
            "  round {}: {}, {accepted} accepted, record {}",
            record.input.round,
            count(all, "proposal"),
            &digest[..12]
        );
    }
    text
}

fn conflicts(what: &str, conflicts: &[&Conflict], verbose: bool) -> String {
    if conflicts.is_empty() {
        return match what {
            "unresolved conflict" => "\nNo unresolved conflicts.\n".to_owned(),
            _ => String::new(),
        };
    }
    let mut table = table(["key", "winner", "loser", "rule", "what to do"]);
    let most = if verbose { usize::MAX } else { CONFLICTS_SHOWN };
    for conflict in conflicts.iter().take(most) {
        let (wanted, held) = (cut(&conflict.wanted, verbose), cut(&conflict.held, verbose));
        let mut loser = format!("{}\nwants {wanted}", conflict.loser);
        if verbose {
            let _ = write!(loser, "\n{}:{}", conflict.file, conflict.at);
        }
        table.add_row([
            conflict.key.to_string(),
            format!("{}\nholds {held}", conflict.winners),
            loser,
            format!("{}: {}", conflict.kind, rule(conflict.kind, conflict.rule)),
            conflict.advice.clone(),
        ]);
    }
    // Keys are looked up, so they stay whole where there is room; the other columns wrap.
    let longest = conflicts.iter().map(|conflict| conflict.key.as_str().chars().count()).max();
    let room = usize::from(width()) * 2 / 5;
    if let Some(keys) = table.column_mut(0) {
        keys.set_constraint(match longest.is_some_and(|longest| longest <= room) {
            true => ColumnConstraint::ContentWidth,
            false => ColumnConstraint::Absolute(Width::Fixed(width() * 2 / 5)),
        });
    }
    let more = match conflicts.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("… and {}; -v shows all\n", count(more, "more conflict")),
    };
    let plural = match conflicts.len() {
        1 => what.to_owned(),
        _ => what.replacen("conflict", "conflicts", 1),
    };
    format!("\n{} {plural}\n{}\n{more}", conflicts.len(), trimmed(&table))
}

/// A rule in words.
fn rule(kind: Kind, name: &str) -> &str {
    match name {
        "disagree" => "the values differ",
        "empty" if kind == Kind::Version => "no version is left",
        "empty" => "nothing in common",
        "bound" => "a bound could break",
        "operator" => "the operators differ",
        "kind" => "the kinds of value differ",
        "condition" => "its condition no longer holds",
        "inactive" => "the required pack is inactive",
        other => other,
    }
}

fn inactive(report: &Report) -> String {
    let mut text = String::new();
    for pack in &report.inactive {
        let found = pack.found.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
        let _ = write!(
            text,
            "\nInactive: {} waits for {} = {}, which holds {found}.",
            pack.pack, pack.key, pack.expected
        );
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn series(series: &[Series], verbose: bool) -> String {
    if series.is_empty() {
        return String::new();
    }
    let most = if verbose { usize::MAX } else { SERIES_SHOWN };
    let mut table = list(["package", "series", "requirement", "needed by"]);
    for package in series.iter().take(most) {
        for (place, (series, requirement, packs)) in package.needed.iter().enumerate() {
            let name = if place == 0 { package.name.as_str() } else { "" };
            table.add_row([name, series, requirement, &needed_by(packs, verbose)]);
        }
    }
    let more = match series.len().saturating_sub(most) {
        0 => String::new(),
        more => format!("… and {}; -v shows all\n", count(more, "more package")),
    };
    let (number, verb) =
        (count(series.len(), "package"), if series.len() == 1 { "is" } else { "are" });
    format!("\n{number} {verb} needed in several series\n{}\n{more}", trimmed(&table))
}

fn needed_by(packs: &[String], verbose: bool) -> String {
    const SHOWN: usize = 3;
    match packs.len() {
        more if more > SHOWN && !verbose => {
            format!("{} and {}", packs[..SHOWN].join(", "), count(more - SHOWN, "other"))
        }
        _ => packs.join(", "),
    }
}

/// The history of one key.
pub(crate) fn explanation(explanation: &Explanation) -> String {
    let value =
        explanation.value.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let mut text = format!("{} holds {value}\npolicy: {}\n", explanation.key, explanation.policy);
    for step in &explanation.steps {
        let round = match step.round {
            0 => "base".to_owned(),
            round => format!("round {round}"),
        };
        let refused = step.refused.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        let mark = if step.refused.is_none() { "+" } else { "-" };
        let _ = writeln!(text, "  {mark} {round}: {} {}{refused}", step.pack, step.op);
    }
    for conflict in &explanation.conflicts {
        let outcome =
            conflict.resolved_by.map_or("unresolved".to_owned(), |by| format!("resolved by {by}"));
        let _ = writeln!(
            text,
            "{outcome}: {} wants {}; held is {}, by {} ({}: {})\n  at {}:{}\n  {}",
            conflict.loser,
            conflict.wanted,
            conflict.held,
            conflict.winners,
            conflict.kind,
            rule(conflict.kind, conflict.rule),
            conflict.file,
            conflict.at,
            conflict.advice
        );
    }
    text
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width())
        .set_header(header);
    table
}

/// A table of many short rows, without lines between them.
pub(crate) fn list<const N: usize>(header: [&str; N]) -> Table {
    let mut table = table(header);
    table.style_mut().row_separator = LineStyle::none();
    table
}

/// The width of the terminal, but never too narrow for five columns.
fn width() -> u16 {
    terminal_size::terminal_size().map_or(WIDTH, |(width, _)| width.0).max(60)
}

/// A long value without its middle part; `-v` and JSON show it whole.
pub(crate) fn cut(value: &str, verbose: bool) -> String {
    let length = value.chars().count();
    if verbose || length <= VALUE_SHOWN {
        return value.to_owned();
    }
    let half = VALUE_SHOWN / 2;
    let (start, end) = (value.chars().take(half), value.chars().skip(length - half));
    start.chain(" … ".chars()).chain(end).collect()
}

/// Without the padding at the ends of lines.
pub(crate) fn trimmed(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A number of things.
pub(crate) fn count(number: impl TryInto<u64>, what: &str) -> String {
    match number.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// A duration with three digits.
pub(crate) fn time(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        s if s >= 1.0 => format!("{s:.2} s"),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s * 1e6),
    }
}
