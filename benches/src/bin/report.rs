//! The report tool: measures every scenario beside its peers, judges the targets, compares with a baseline, and writes
//! the report.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use queenright_benches::allocator::Counting;
use queenright_benches::limits::limits;
use queenright_benches::scenarios;
use queenright_measure::{
    Budget, Comparison, FORMAT, Machine, Made, Progress, Report, Row, Selection, comparable,
    compare, confirmed, criterion_results, load_baseline, measure, measure_limits, render, source,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures Queenright beside its peers and writes report.json, report.md and report.html.
///
/// Exit status: 0 if every target that was measured is met and nothing regressed, 1 if not, 2 if the run failed.
#[derive(Parser)]
#[command(name = "report")]
struct Arguments {
    /// Fewer rows and shorter turns: under two minutes
    #[arg(long)]
    quick: bool,
    /// Only suites and scenarios whose SUITE/SCENARIO contains this; may be repeated
    #[arg(long = "suite", value_name = "S")]
    suites: Vec<String>,
    /// Save this run as the baseline, or compare it with the one saved before
    #[arg(long, value_name = "WHAT")]
    baseline: Option<Baseline>,
    /// Where the reports and the baseline go
    #[arg(long, value_name = "DIR", default_value = "target/report")]
    out: PathBuf,
    /// Renew the tables of what was measured between the markers of this Markdown file
    #[arg(long, value_name = "FILE")]
    update: Option<PathBuf>,
    /// Only say what would be measured
    #[arg(long)]
    list: bool,
    /// Only measure the rows whose names this JSON file lists: what the tool asks of a process of its own
    #[arg(long, value_name = "FILE", hide = true)]
    rows: Option<PathBuf>,
    /// Only measure the memory of this many agents, and print it: what the tool asks of a process of its own
    #[arg(long = scenarios::IDLE_AGENTS, hide = true)]
    idle_agents: Option<u64>,
    /// Those that live under a supervisor, instead of those that are run in waves
    #[arg(long = scenarios::SUPERVISED, hide = true)]
    supervised: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Baseline {
    Save,
    Compare,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

type Failed = Box<dyn std::error::Error>;

fn run(arguments: &Arguments) -> Result<bool, Failed> {
    let scenarios = scenarios::all();
    let mut out = io::stdout().lock();
    if let Some(count) = arguments.idle_agents {
        writeln!(out, "{}", scenarios::bytes_of_idle_agents(count, arguments.supervised))?;
        return Ok(true);
    }
    if arguments.list {
        for scenario in &scenarios {
            writeln!(out, "{}/{}: {}", scenario.suite, scenario.name, scenario.what)?;
        }
        return Ok(true);
    }
    drop(out);
    if arguments.update.is_some() && arguments.quick {
        return Err("--update replaces whole tables, and --quick measures a part of each".into());
    }
    if cfg!(debug_assertions) {
        return Err("this is a debug build, which measures nothing: add --release".into());
    }
    fs::create_dir_all(&arguments.out).map_err(|error| at(&arguments.out, error))?;
    let kind = if arguments.quick { "quick" } else { "full" };
    let baseline_file = arguments.out.join(format!("baseline-{kind}.json"));
    // Asked for before minutes are spent: a baseline that cannot be used is no surprise at the end.
    let baseline = match arguments.baseline {
        Some(Baseline::Compare) => {
            Some(load_baseline(&baseline_file).map_err(|error| at(&baseline_file, error))?)
        }
        _ => None,
    };

    // Now, as somebody may edit while it runs.
    let (started, source) = (Instant::now(), source());
    let progress = Progress::new();
    let budget = budget(arguments.quick);
    let only = arguments.rows.as_deref().map(rows_of).transpose()?;
    let selection = Selection {
        filters: &arguments.suites,
        rows: only.as_ref(),
        quick: arguments.quick,
        budget,
    };
    let limits = limits(&arguments.out).map_err(|error| at(&arguments.out, error))?;
    progress.expect(limits.len());
    let limits = measure_limits(limits, budget, &progress);
    let rows = measure(&scenarios, &limits, &selection, &progress);
    if rows.is_empty() {
        progress.finish();
        let asked = arguments.suites.join(", ");
        return Err(format!("no scenario's name contains `{asked}`; --list shows them all").into());
    }
    let mut report = Report {
        format: FORMAT,
        made: Made {
            at: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs()),
            source,
            arguments: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
            quick: arguments.quick,
            rounds: budget.rounds,
            turn_ms: budget.turn.as_millis() as u64,
            seconds: 0.0,
        },
        machine: Machine::describe(),
        limits,
        rows,
        criterion: criterion_results(Path::new("target/criterion")),
        comparison: None,
    };
    if let Some(before) = &baseline {
        comparable(before, &report).map_err(|error| at(&baseline_file, error))?;
        let mut comparison = compare(before, &report);
        for _ in 0..CONFIRMATIONS {
            let suspects: BTreeSet<String> =
                comparison.regressions.iter().map(|change| change.row.clone()).collect();
            if suspects.is_empty() {
                break;
            }
            let again = measured_again(arguments, &suspects)?;
            comparison = confirmed(comparison, &compare(before, &report.with_rows_replaced(again)));
        }
        report.comparison = Some(comparison);
    }
    progress.finish();
    report.made.seconds = started.elapsed().as_secs_f64();

    write_reports(arguments, &report)?;
    if arguments.baseline == Some(Baseline::Save) {
        write_file(&baseline_file, &serde_json::to_string(&report)?)?;
    }
    Ok(is_good(&report))
}

/// How often what looks worse is measured again before it is believed.
const CONFIRMATIONS: usize = 2;

/// Measures some rows once more, in a new process: where memory happens to lie stays the same for a process's whole
/// life, and is worth tens of percents in a few rows.
fn measured_again(arguments: &Arguments, rows: &BTreeSet<String>) -> Result<Vec<Row>, Failed> {
    let folder = arguments.out.join("again");
    fs::create_dir_all(&folder).map_err(|error| at(&folder, error))?;
    let list = folder.join("rows.json");
    write_file(&list, &serde_json::to_string(rows)?)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments.quick.then_some("--quick"));
    command.arg("--rows").arg(&list).arg("--out").arg(&folder).stdout(Stdio::null());
    // A missed target is no failure of the measurement.
    if command.status()?.code().is_none_or(|code| code > 1) {
        return Err("the rows that look worse could not be measured again".into());
    }
    let file = folder.join("report.json");
    Ok(load_baseline(&file).map_err(|error| at(&file, error))?.rows)
}

fn rows_of(file: &Path) -> Result<BTreeSet<String>, Failed> {
    let text = fs::read_to_string(file).map_err(|error| at(file, error))?;
    serde_json::from_str(&text).map_err(|error| at(file, error))
}

fn budget(quick: bool) -> Budget {
    let millis = Duration::from_millis;
    if quick {
        Budget { rounds: 9, turn: millis(8), window: millis(2) }
    } else {
        Budget { rounds: 15, turn: millis(12), window: millis(3) }
    }
}

/// Nothing regressed, and no target that was measured is missed.
fn is_good(report: &Report) -> bool {
    let regressed = |comparison: &Comparison| !comparison.regressions.is_empty();
    let missed = report.rows.iter().any(|row| row.met == Some(false));
    !missed && !report.comparison.as_ref().is_some_and(regressed)
}

fn write_reports(arguments: &Arguments, report: &Report) -> Result<(), Failed> {
    let out = &arguments.out;
    write_file(&out.join("report.json"), &serde_json::to_string_pretty(report)?)?;
    write_file(&out.join("report.md"), &render::markdown(report))?;
    write_file(&out.join("report.html"), &render::html(report))?;
    if let Some(file) = &arguments.update {
        update(file, report)?;
    }
    let mut stdout = io::stdout().lock();
    let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
    writeln!(stdout, "{}", render::terminal(report, width, colour))?;
    writeln!(stdout, "written: {}/report.json, report.md, report.html", out.display())?;
    Ok(())
}

/// Renews the tables of what was measured between the markers of a document; what was not stays as it is.
fn update(file: &Path, report: &Report) -> Result<(), Failed> {
    let mut text = fs::read_to_string(file).map_err(|error| at(file, error))?;
    let mut parts =
        vec![("machine", render::machine_line(report)), ("limits", render::limits_table(report))];
    let scenarios = scenarios::all();
    let mut suites: Vec<&str> = report.rows.iter().map(|row| row.suite.as_str()).collect();
    suites.dedup();
    for suite in suites {
        let of_suite = scenarios.iter().filter(|scenario| scenario.suite == suite);
        let order: Vec<_> = of_suite.map(|scenario| scenario.name).collect();
        let old = render::between_markers(&text, suite).map_err(|error| at(file, error))?;
        let tables = render::tables(report, suite);
        parts.push((suite, render::renewed_sections(old, &tables, &order)));
    }
    for (name, content) in parts {
        text = render::replace_between_markers(&text, name, &content)
            .map_err(|error| at(file, error))?;
    }
    write_file(file, &text)
}

/// Writes a file whole or not at all.
fn write_file(file: &Path, text: &str) -> Result<(), Failed> {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = file.with_file_name(name);
    fs::write(&new, text).and_then(|()| fs::rename(&new, file)).map_err(|error| at(file, error))
}

fn at(path: &Path, error: impl std::fmt::Display) -> Failed {
    format!("{}: {error}", path.display()).into()
}
