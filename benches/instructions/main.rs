//! How many instructions the hot single-threaded paths execute, counted by valgrind's callgrind.
//!
//! A count does not depend on the load of the machine, so that a change of one per cent means something.
//! `cargo bench -p queenright-instructions` prints the counts; `.ci/instructions` holds them against `counts.json`.
//!
//! Each benchmark runs in a process of its own, so that the heap it finds does not depend on the others.
//! It sets its work up, has it [`counted`], and asserts the result; only what is inside `counted` is counted.
#![allow(clippy::print_stdout, reason = "printing counts is what it is for")]

mod hive;
mod primitives;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

struct Benchmark {
    /// What is done, on how much of what, and how many times: `what/how_much/xTIMES`.
    name: &'static str,
    run: fn(),
}

/// The argument with which this program starts itself under valgrind to run one benchmark.
const ONE: &str = "--one";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Flags of other benchmark harnesses say nothing here; `cargo bench` itself passes `--bench`.
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let all = primitives::ALL.iter().chain(hive::ALL);
    if given(ONE) {
        all.filter(|benchmark| wanted.contains(&benchmark.name)).for_each(run_on_a_thread);
        return ExitCode::SUCCESS;
    }
    let selected = all.filter(|benchmark| {
        wanted.is_empty() || wanted.iter().any(|part| benchmark.name.contains(part))
    });
    if given("--test") {
        selected.for_each(|benchmark| (benchmark.run)());
        return ExitCode::SUCCESS;
    }
    let Some(valgrind) = valgrind() else {
        println!("instructions: skipped, because valgrind is not installed");
        return ExitCode::SUCCESS;
    };
    for benchmark in selected {
        match count(&valgrind, benchmark.name) {
            Ok(count) => println!("{:<44}{count:>12}", benchmark.name),
            Err(problem) => {
                println!("{}: {problem}", benchmark.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

/// How many steps it takes to compare or copy bytes depends on where they lie: the main thread's stack begins where
/// path and environment end, that of another thread at a page.
fn run_on_a_thread(benchmark: &Benchmark) {
    let ran = std::thread::spawn(benchmark.run).join();
    assert!(ran.is_ok(), "{} failed", benchmark.name);
}

/// Where valgrind is, if it is installed. Callgrind runs without a `PATH`.
fn valgrind() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("valgrind"))
        .find(|file| file.is_file())
}

/// Runs one benchmark under callgrind.
fn count(valgrind: &Path, name: &str) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // Variables that tune the allocator or preload a library would be counted with the rest.
    let ran = Command::new(valgrind)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=queenright_counted")
        .arg(program)
        .args([ONE, name])
        .env_clear()
        .envs(std::env::var_os("VALGRIND_LIB").map(|folder| ("VALGRIND_LIB", folder)))
        .output()
        .map_err(|error| error.to_string())?;
    let log = String::from_utf8_lossy(&ran.stderr);
    let collected =
        log.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    match collected {
        Some(count) if ran.status.success() && count > 0 => Ok(count),
        _ => Err(format!("nothing was counted ({})\n{log}", ran.status)),
    }
}

/// Does the work with collection on.
fn counted<T>(work: impl FnOnce() -> T) -> T {
    let mut work = Some(work);
    let mut result = None;
    queenright_counted(&mut || result = work.take().map(|work| black_box(work())));
    result.expect("the work was done")
}

// SAFETY: no other symbol of this program has this name.
#[unsafe(no_mangle)]
#[inline(never)]
fn queenright_counted(work: &mut dyn FnMut()) {
    work();
}

/// Pseudo-random numbers (xorshift), the same in each run.
fn numbers() -> impl FnMut() -> u64 {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    }
}
