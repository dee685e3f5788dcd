//! What a report holds. `report.json` is exactly these types; the crate's README documents them field by field.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The version of the report's form. A reader refuses a file with another one.
pub const FORMAT: u32 = 1;

/// Everything one run of the report tool measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// When, how and how long.
    pub made: Made,
    /// Where.
    pub machine: Machine,
    /// What the hardware and the clock themselves cost, measured in the same run.
    pub limits: Vec<Limit>,
    /// One for each scenario and parameters.
    pub rows: Vec<Row>,
    /// Criterion's own results, if there were any under `target/criterion`.
    pub criterion: Vec<CriterionResult>,
    /// The comparison with a saved baseline, if one was asked for.
    pub comparison: Option<Comparison>,
}

/// How a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// Seconds since 1970-01-01 UTC.
    pub at: u64,
    /// The source that was measured, as git describes it; `None` outside a repository.
    pub source: Option<String>,
    /// The command line after the program's name.
    pub arguments: String,
    /// Whether it was a quick run: fewer rows, fewer and shorter windows.
    pub quick: bool,
    /// How often each contender of a row had its turn.
    pub rounds: usize,
    /// The length of one turn, in milliseconds.
    pub turn_ms: u64,
    /// How long the whole run took, in seconds.
    pub seconds: f64,
}

/// The machine. Baselines of different machines are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many cores the process may use.
    pub cores: usize,
    /// In bytes; 0 where it is not known.
    pub memory: u64,
    /// The system and its version.
    pub os: String,
    /// Whether it is a virtual machine, and whose; `None` where that is not known.
    pub hypervisor: Option<String>,
    /// `rustc --version` of the compiler that built this.
    pub rustc: String,
}

/// A cost that no program can go below, or the cost of measuring itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Rows refer to it by this name.
    pub name: String,
    /// One sentence.
    pub what: String,
    /// `ns`, `ops/s`, `bytes`.
    pub unit: String,
    /// The figures.
    pub stats: Stats,
}

/// Whether more or less of a row's unit is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// Times and bytes.
    Lower,
    /// Rates.
    Higher,
}

/// One scenario with one set of parameters: ours beside its peers, on the same work, in the same run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The suite, such as `swarm_primitives`.
    pub suite: String,
    /// The scenario, such as `snapshot_reads`.
    pub name: String,
    /// What is varied, in the order in which it is shown: numbers or strings.
    pub params: Map<String, Value>,
    /// The parameter that grows along a scaling curve, if there is one.
    pub axis: Option<String>,
    /// One sentence: what one operation is.
    pub what: String,
    /// The unit of every figure: `ns`, `ops/s`, `bytes`, `versions`.
    pub unit: String,
    /// Which way is better.
    pub better: Better,
    /// Whether each operation waits for other threads, so that its time is the scheduler's as well.
    pub hands_over: bool,
    /// Ours; `None` if only peers exist so far.
    pub ours: Option<Stats>,
    /// The others, best first.
    pub peers: Vec<Stats>,
    /// The limit's p50 in the row's unit.
    pub limit: Option<f64>,
    /// Which of [`Report::limits`].
    pub limit_name: Option<String>,
    /// The name of the peer with the best p50 among those that promise as much.
    pub best_peer: Option<String>,
    /// How many times better ours is than the best peer: 2 is twice as good, 0.5 half as good.
    pub ratio_best_peer: Option<f64>,
    /// How many times the limit ours costs: 1 is at the limit, 2 is twice as bad.
    pub ratio_limit: Option<f64>,
    /// The targets in words, joined by `; `.
    pub target: Option<String>,
    /// Whether all of them are met.
    pub met: Option<bool>,
    /// The targets one by one.
    pub checks: Vec<Check>,
    /// What a reader must know to judge the row.
    pub note: Option<String>,
}

/// One target, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Such as `p99 < 1 µs`.
    pub target: String,
    /// What was measured, in words, such as `p99 is 310 ns`.
    pub measured: String,
    /// Whether it is met.
    pub met: bool,
}

/// The figures of one contender in one row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Who.
    pub name: String,
    /// A peer that promises less, and is shown beside without being compared with.
    pub beside: bool,
    /// The best (lowest) sample.
    pub min: f64,
    /// The median.
    pub p50: f64,
    /// `None` where one operation is too fast to be timed alone, and in rates.
    pub p95: Option<f64>,
    /// As `p95`.
    pub p99: Option<f64>,
    /// As `p95`.
    pub p999: Option<f64>,
    /// The highest sample.
    pub max: f64,
    /// How many samples: operations where each was timed, else blocks or windows.
    pub n: u64,
    /// What one sample is.
    pub sample: Sample,
    /// The same figures for each round alone.
    pub rounds: Vec<Round>,
    /// How far the rounds' medians lie apart: half of (highest − lowest) / p50.
    pub spread: f64,
    /// What became of throughput windows.
    pub windows: Option<Windows>,
    /// Points of the distribution for a plot: (share of samples at or below, value), rising in both.
    pub curve: Vec<(f64, f64)>,
}

/// What one sample of a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sample {
    /// One operation, timed alone; the clock's own cost is in it.
    Operation,
    /// The mean of a block of operations.
    Block,
    /// The mean over a window in which several threads worked.
    Window,
    /// One reading, such as of a counter of bytes.
    Value,
}

/// One round of one contender.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// The median.
    pub p50: f64,
    /// As in [`Stats`].
    pub p95: Option<f64>,
    /// As in [`Stats`].
    pub p99: Option<f64>,
}

/// What became of a contender's throughput windows. Only `kept` ones are in the figures, unless there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    /// No thread was preempted, and each did its share.
    pub kept: u64,
    /// A thread was preempted (involuntary context switches by `getrusage`).
    pub preempted: u64,
    /// One of two threads did less than a quarter of the work.
    pub unfair: u64,
    /// More threads than cores: preemption is what is measured, so no window is left out for it.
    pub oversubscribed: bool,
    /// The median of the windows that were left out.
    pub set_aside_p50: Option<f64>,
}

/// One estimate of criterion's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CriterionResult {
    /// Group, function and parameter, joined by `/`.
    pub id: String,
    /// The median, in nanoseconds.
    pub median: f64,
    /// Its 95 % confidence interval, in nanoseconds.
    pub interval: (f64, f64),
}

/// This run beside a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// When the baseline was made: seconds since 1970-01-01 UTC.
    pub baseline_at: u64,
    /// How many figures of ours were compared.
    pub compared: usize,
    /// Rows of ours that only one of the two has.
    pub unmatched: usize,
    /// By how much peers' figures, whose code did not change, differ between the runs: 95 % of them by less than this
    /// share, after the machine's common drift is taken out.
    pub noise: f64,
    /// How the whole machine drifted: the median change of the peers' figures; 0.05 is 5 % slower.
    pub drift: f64,
    /// What became worse by more than a tenth, beyond noise.
    pub regressions: Vec<Change>,
    /// What became better by as much.
    pub improvements: Vec<Change>,
}

/// One figure that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Suite, scenario and parameters.
    pub row: String,
    /// `p50`, `p95`, `p99`.
    pub figure: String,
    /// The baseline's.
    pub before: f64,
    /// This run's.
    pub after: f64,
    /// The row's unit.
    pub unit: String,
    /// How much worse after the drift is taken out: 0.3 is 30 % worse, negative is better.
    pub worse: f64,
    /// The noise that it exceeds, as a share.
    pub noise: f64,
}

impl Report {
    /// The same report with some rows measured anew.
    pub fn with_rows_replaced(&self, rows: Vec<Row>) -> Report {
        let mut report = self.clone();
        for new in rows {
            if let Some(old) = report.rows.iter_mut().find(|old| old.id() == new.id()) {
                *old = new;
            }
        }
        report
    }
}

impl Row {
    /// Suite, scenario and parameters: what identifies a row between runs.
    pub fn id(&self) -> String {
        let params = self.params_text();
        if params.is_empty() {
            format!("{}/{}", self.suite, self.name)
        } else {
            format!("{}/{} ({params})", self.suite, self.name)
        }
    }

    /// The parameters in words: `readers 2, writer hot`.
    pub fn params_text(&self) -> String {
        in_words(&self.params)
    }
}

pub(crate) fn in_words(params: &Map<String, Value>) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let parts = params.iter().map(|(name, value)| format!("{name} {}", text(value)));
    parts.collect::<Vec<_>>().join(", ")
}
