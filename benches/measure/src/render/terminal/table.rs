//! How the rows of one scenario are laid out in columns.

use super::GAP;
use super::words::{characters, left, right};
use crate::Row;
use crate::render::figure::{NONE, figure, percent, ratio};
use crate::render::outline::{Scenario, param_text};

/// The widths of a scenario's columns; 0 is a column that is left out.
#[derive(Default)]
pub(super) struct Columns {
    pub(super) p50: usize,
    pub(super) spread: usize,
    pub(super) p99: usize,
    pub(super) bar: usize,
    pub(super) ratio: usize,
    pub(super) peer: usize,
    pub(super) limit: usize,
    pub(super) verdict: usize,
}

impl Columns {
    fn taken(&self) -> usize {
        let all = [
            self.p50,
            self.spread,
            self.p99,
            self.bar,
            self.ratio,
            self.peer,
            self.limit,
            self.verdict,
        ];
        all.iter().filter(|width| **width > 0).map(|width| width + GAP).sum()
    }
}

/// How a scenario's rows are laid out.
pub(super) struct Table {
    pub(super) columns: Columns,
    pub(super) head: String,
    /// The parameters of each row, all of the same length unless stacked.
    pub(super) params: Vec<String>,
    /// The parameters that are the same in all rows, to stand beside the heading.
    pub(super) constants: String,
    /// The parameters are too long, so they have a line of their own.
    pub(super) stacked: bool,
}

const LEAST_BAR: usize = 7;
const MOST_BAR: usize = 33;
const LEAST_PEER: usize = 10;

impl Table {
    pub(super) fn new(scenario: &Scenario<'_>, width: usize) -> Self {
        let rows = &scenario.rows;
        let widest = |text: &dyn Fn(&Row) -> Option<String>, title: &str| {
            let widths = rows.iter().filter_map(|row| text(row)).map(|text| characters(&text));
            widths.max().map_or(0, |width| width.max(characters(title)))
        };
        let of_ours = |row: &Row, value: Option<f64>| value.map(|value| figure(value, &row.unit));
        let mut columns = Columns {
            p50: widest(&|row| of_ours(row, row.ours.as_ref().map(|ours| ours.p50)), "p50"),
            p99: widest(&|row| of_ours(row, row.ours.as_ref()?.p99), "p99"),
            ratio: widest(&|row| row.ratio_best_peer.map(|value| ratio(Some(value))), "×"),
            limit: widest(&|row| row.ratio_limit.map(|value| ratio(Some(value))), "× limit"),
            verdict: widest(
                &|row| row.met.map(|met| if met { "met" } else { "MISS" }.to_owned()),
                "",
            ),
            ..Columns::default()
        };
        let (varied, constants) = params_by_column(scenario);
        let (param_head, mut params) = param_columns(scenario, varied.as_deref());
        let peer = widest(&|row| row.best_peer.clone(), "of best peer");
        let least = if peer > 0 { LEAST_BAR + LEAST_PEER + 2 * GAP } else { 0 };
        let params_width = params.first().map_or(0, |params| characters(params));
        let stacked = 2 + params_width + columns.taken() + least > width;
        let begin = if stacked { 6 } else { 2 + params_width };

        let left = width.saturating_sub(begin + columns.taken());
        let mut for_peer = left;
        if left >= least + 6 + GAP + peer.saturating_sub(LEAST_PEER) {
            columns.spread =
                widest(&|row| Some(format!("±{}", percent(row.ours.as_ref()?.spread))), "±");
            for_peer -= columns.spread + GAP;
        }
        if peer > 0 {
            let for_both = for_peer.saturating_sub(2 * GAP);
            columns.bar = for_both.saturating_sub(peer).clamp(LEAST_BAR, MOST_BAR);
            // A bar has as much to the left of its tick as to the right.
            columns.bar -= usize::from(columns.bar.is_multiple_of(2));
            columns.peer = for_both.saturating_sub(columns.bar).min(peer);
        }
        if stacked {
            params = rows.iter().map(|row| row.params_text()).collect();
        }
        let head = table_head(&columns, if stacked { "    " } else { &param_head });
        Self { columns, head, params, constants, stacked }
    }
}

fn table_head(columns: &Columns, params: &str) -> String {
    let cells = [
        right("p50", columns.p50),
        right("±", columns.spread),
        right("p99", columns.p99),
        left("", columns.bar),
        right("×", columns.ratio),
        left("best peer", columns.peer),
        right("× limit", columns.limit),
    ];
    let cells = cells.iter().filter(|cell| !cell.is_empty());
    cells.fold(params.to_owned(), |line, cell| line + &" ".repeat(GAP) + cell)
}

/// The names of the parameters that have columns, if all rows have the same, and the others in words.
fn params_by_column<'a>(scenario: &Scenario<'a>) -> (Option<Vec<&'a str>>, String) {
    let Some(names) = scenario.param_names() else { return (None, String::new()) };
    let first = scenario.rows[0];
    let is_varied = |name: &&str| {
        scenario.rows.len() == 1
            || scenario.rows.iter().any(|row| row.params.get(*name) != first.params.get(*name))
    };
    let (varied, constant): (Vec<&str>, Vec<&str>) = names.into_iter().partition(is_varied);
    let words = constant.iter().filter_map(|name| Some((name, first.params.get(*name)?)));
    let words: String =
        words.map(|(name, value)| format!(", {name} {}", param_text(value))).collect();
    (Some(varied), words)
}

/// The parameters' heading, and for each row their values under it.
fn param_columns(scenario: &Scenario<'_>, names: Option<&[&str]>) -> (String, Vec<String>) {
    let Some(names) = names else {
        let texts: Vec<_> = scenario.rows.iter().map(|row| row.params_text()).collect();
        let width = texts.iter().map(|text| characters(text)).max().unwrap_or(0);
        return (left("", width), texts.iter().map(|text| left(text, width)).collect());
    };
    let mut head = Vec::new();
    let mut rows = vec![Vec::new(); scenario.rows.len()];
    for &name in names {
        let values: Vec<_> = scenario.rows.iter().map(|row| row.params.get(name)).collect();
        let is_number = values.iter().flatten().all(|value| value.is_number());
        let texts: Vec<_> =
            values.iter().map(|value| value.map_or(NONE.to_owned(), param_text)).collect();
        let width =
            texts.iter().map(|text| characters(text)).max().unwrap_or(0).max(characters(name));
        let aligned = |text: &str| if is_number { right(text, width) } else { left(text, width) };
        head.push(aligned(name));
        for (row, text) in rows.iter_mut().zip(&texts) {
            row.push(aligned(text));
        }
    }
    (head.join("  "), rows.iter().map(|row| row.join("  ")).collect())
}
