//! A report's rows in reading order, and what is worth saying about them: the same for every renderer.

use serde_json::Value;

use super::figure::{count, counted};
use crate::{Check, Report, Row, Stats};

/// The rows of one suite.
pub(super) struct Suite<'a> {
    pub(super) name: &'a str,
    pub(super) scenarios: Vec<Scenario<'a>>,
}

/// The rows of one scenario.
pub(super) struct Scenario<'a> {
    pub(super) name: &'a str,
    pub(super) rows: Vec<&'a Row>,
}

/// How many targets are met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) met: usize,
    pub(super) missed: usize,
    /// Rows that have a target in words, but nothing that was judged: most often because ours does not exist yet.
    pub(super) unjudged: usize,
}

impl Tally {
    pub(super) fn judged(self) -> usize {
        self.met + self.missed
    }
}

/// The rows by suite and scenario, both in the order in which they first appear.
pub(super) fn suites(report: &Report) -> Vec<Suite<'_>> {
    let mut suites: Vec<Suite<'_>> = Vec::new();
    for row in &report.rows {
        let suite = entry(
            &mut suites,
            |suite| suite.name == row.suite,
            || Suite { name: &row.suite, scenarios: Vec::new() },
        );
        let scenario = entry(
            &mut suite.scenarios,
            |scenario| scenario.name == row.name,
            || Scenario { name: &row.name, rows: Vec::new() },
        );
        scenario.rows.push(row);
    }
    suites
}

fn entry<T>(list: &mut Vec<T>, same: impl Fn(&T) -> bool, new: impl FnOnce() -> T) -> &mut T {
    let index = list.iter().position(same).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    &mut list[index]
}

impl<'a> Scenario<'a> {
    /// The sentence that says what one operation is, if it is the same for all rows.
    pub(super) fn shared_what(&self) -> Option<&'a str> {
        self.shared(|row| Some(row.what.as_str()).filter(|what| !what.is_empty()))
    }

    /// The note, if all rows have the same.
    pub(super) fn shared_note(&self) -> Option<&'a str> {
        self.shared(|row| row.note.as_deref())
    }

    /// The names of the parameters, if all rows have the same in the same order: then each can have a column.
    pub(super) fn param_names(&self) -> Option<Vec<&'a str>> {
        let mut rows = self.rows.iter().map(|row| row.params.keys().map(String::as_str));
        let first: Vec<&str> = rows.next()?.collect();
        rows.all(|names| names.eq(first.iter().copied())).then_some(first)
    }

    /// The notes of single rows, each once, in order of appearance. Their positions are their footnotes' numbers.
    pub(super) fn footnotes(&self) -> Vec<String> {
        let (what, note) = (self.shared_what(), self.shared_note());
        let mut footnotes = Vec::new();
        for text in self.rows.iter().flat_map(|row| notes(row, what, note)) {
            if !footnotes.contains(&text) {
                footnotes.push(text);
            }
        }
        footnotes
    }

    /// The marks of a row's footnotes: `¹ ²`.
    pub(super) fn marks(&self, row: &Row, footnotes: &[String]) -> String {
        let own = notes(row, self.shared_what(), self.shared_note());
        let numbers = (1..).zip(footnotes).filter(|(_, text)| own.contains(text));
        numbers.map(|(number, _)| mark(number)).collect::<Vec<_>>().join(" ")
    }

    fn shared(&self, text: impl Fn(&'a Row) -> Option<&'a str>) -> Option<&'a str> {
        let first = text(self.rows.first()?)?;
        self.rows.iter().all(|row| text(row) == Some(first)).then_some(first)
    }
}

/// How many targets of these rows are met.
pub(super) fn tally<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Tally {
    let mut tally = Tally::default();
    for row in rows {
        let met = row.checks.iter().filter(|check| check.met).count();
        tally.met += met;
        tally.missed += row.checks.len() - met;
        tally.unjudged += usize::from(row.target.is_some() && row.checks.is_empty());
    }
    tally
}

/// The missed targets, in order of appearance.
pub(super) fn missed(report: &Report) -> Vec<(&Row, &Check)> {
    let checks = |row| misses(row).map(move |check| (row, check));
    report.rows.iter().flat_map(checks).collect()
}

/// A row's missed targets.
pub(super) fn misses(row: &Row) -> impl Iterator<Item = &Check> {
    row.checks.iter().filter(|check| !check.met)
}

/// The peer that ours is compared with.
pub(super) fn best_peer(row: &Row) -> Option<&Stats> {
    row.peers.iter().find(|peer| Some(&peer.name) == row.best_peer.as_ref())
}

/// A contender's name, and whether it is only shown beside.
pub(super) fn label(stats: &Stats) -> String {
    if stats.beside { format!("{} (beside)", stats.name) } else { stats.name.clone() }
}

/// All contenders of a row, and whether each is ours.
pub(super) fn contenders(row: &Row) -> impl Iterator<Item = (bool, &Stats)> {
    let ours = row.ours.iter().map(|stats| (true, stats));
    ours.chain(row.peers.iter().map(|stats| (false, stats)))
}

/// A parameter's value as it is shown in a table.
pub(super) fn param_text(value: &Value) -> String {
    match (value, value.as_u64()) {
        (_, Some(number)) => count(number),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// A footnote's number, raised.
pub(super) fn mark(number: usize) -> String {
    const RAISED: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let digits = number.to_string();
    digits.bytes().filter_map(|digit| RAISED.get(usize::from(digit - b'0'))).collect()
}

/// What a reader must know to judge the row, apart from what is said once for the whole scenario: what it measures, its
/// note, and what the measurement itself shows.
pub(super) fn notes(
    row: &Row,
    shared_what: Option<&str>,
    shared_note: Option<&str>,
) -> Vec<String> {
    let own =
        |text: &&str| !text.is_empty() && Some(*text) != shared_what && Some(*text) != shared_note;
    let texts = [Some(row.what.as_str()), row.note.as_deref()].into_iter().flatten();
    let mut notes: Vec<String> = texts.filter(own).map(str::to_owned).collect();
    if row.peers.iter().any(|peer| peer.beside) {
        notes.push("Beside: promises less, and is not what ours is compared with.".to_owned());
    }
    for (_, stats) in contenders(row) {
        let Some(windows) = stats.windows else { continue };
        let disturbed = windows.preempted + windows.unfair;
        if windows.kept == 0 && disturbed > 0 {
            notes.push(format!(
                "{}: none of {} ran undisturbed, so its figures are of disturbed ones",
                stats.name,
                counted(usize::try_from(disturbed).unwrap_or(usize::MAX), "window")
            ));
        }
    }
    notes
}

/// At most `limit` positions of the rows that say most, in order of appearance: missed targets first, then where ours
/// does worst against a peer, then where it does best.
pub(super) fn most_telling(rows: &[&Row], limit: usize) -> Vec<usize> {
    let rank = |row: &Row| row.ratio_best_peer.filter(|ratio| ratio.is_finite()).unwrap_or(1.0);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| rank(rows[a]).total_cmp(&rank(rows[b])));

    let is_missed = |&index: &usize| misses(rows[index]).next().is_some();
    let candidates = (order.iter().copied().filter(is_missed))
        .chain(order.first().copied())
        .chain(order.last().copied())
        .chain(0..rows.len());
    let mut chosen = Vec::new();
    for index in candidates {
        if chosen.len() < limit && !chosen.contains(&index) {
            chosen.push(index);
        }
    }
    chosen.sort_unstable();
    chosen
}

/// What the run was, in one line.
pub(super) fn made_line(report: &Report) -> String {
    let made = &report.made;
    format!(
        "{}{} · {} of {} ms · {}",
        super::figure::date(made.at),
        if made.quick { " · quick run" } else { "" },
        counted(made.rounds, "round"),
        count(made.turn_ms),
        super::figure::duration(made.seconds)
    )
}

/// The machine, in one line.
pub(super) fn machine_line(report: &Report) -> String {
    let machine = &report.machine;
    let mut parts = vec![machine.cpu.clone(), counted(machine.cores, "core")];
    if machine.memory > 0 {
        parts.push(super::figure::figure(machine.memory as f64, "bytes"));
    }
    parts.push(machine.os.clone());
    parts.push(match &machine.hypervisor {
        Some(hypervisor) => format!("virtual machine ({hypervisor})"),
        None => "hypervisor unknown".to_owned(),
    });
    parts.push(machine.rustc.clone());
    parts.join(" · ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    #[test]
    fn rows_are_grouped_in_order_of_appearance() {
        let mut report = sample::report();
        let moved = report.rows.remove(0);
        report.rows.push(moved);
        let suites = suites(&report);
        let names: Vec<_> = suites.iter().map(|suite| suite.name).collect();
        assert_eq!(names, ["swarm_primitives", "hive_coordination"]);
        let reads = &suites[0].scenarios[0];
        assert_eq!((reads.name, reads.rows.len()), ("snapshot_reads", 15));
        assert_eq!(reads.param_names(), Some(vec!["reads", "readers", "writer"]));
        assert!(reads.shared_what().is_some());
    }

    #[test]
    fn rows_with_other_parameters_share_no_columns() {
        let mut report = sample::report();
        report.rows[1].params.shift_remove("writer");
        assert_eq!(suites(&report)[0].scenarios[0].param_names(), None);
    }

    #[test]
    fn each_target_is_counted_and_rows_without_ours_are_not_judged() {
        let report = sample::report();
        let tally = tally(&report.rows);
        assert_eq!(tally.missed, missed(&report).len());
        assert_eq!(tally.missed, 3);
        assert_eq!(tally.unjudged, 4);
        assert_eq!(tally.judged(), report.rows.iter().map(|row| row.checks.len()).sum::<usize>());
    }

    #[test]
    fn the_most_telling_rows_are_the_missed_the_worst_and_the_best() {
        let mut report = sample::report();
        report.rows.truncate(6);
        for (row, ratio) in report.rows.iter_mut().zip([2.0, 0.5, 3.0, 9.0, 1.1, 4.0]) {
            row.ratio_best_peer = Some(ratio);
            row.checks.clear();
        }
        report.rows[4].checks =
            vec![Check { target: String::new(), measured: String::new(), met: false }];
        let rows: Vec<&Row> = report.rows.iter().collect();
        assert_eq!(most_telling(&rows, 3), [1, 3, 4]);
        assert_eq!(most_telling(&rows[..2], 3), [0, 1]);
    }

    #[test]
    fn a_note_that_some_rows_share_is_one_footnote() {
        let report = sample::report();
        let suites = suites(&report);
        let reads = &suites[0].scenarios[0];
        let footnotes = reads.footnotes();
        assert_eq!(footnotes, ["More threads than cores."]);
        assert_eq!(reads.marks(reads.rows[14], &footnotes), "¹");
        assert_eq!(reads.marks(reads.rows[0], &footnotes), "");
        assert_eq!(mark(12), "¹²");
    }

    #[test]
    fn figures_of_disturbed_windows_are_told() {
        let mut report = sample::report();
        let row = report.rows.iter_mut().find(|row| row.name == "round_throughput").unwrap();
        let ours = row.ours.as_mut().unwrap();
        ours.windows = Some(crate::Windows { preempted: 11, unfair: 1, ..Default::default() });
        assert!(notes(row, None, None).iter().any(|note| note.contains("none of 12 windows")));
    }
}
