//! The `queenright` command.

#![forbid(unsafe_code)]

mod args;
mod human;
mod json;
mod log;
mod run;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

/// Everything was resolved.
const RESOLVED: u8 = 0;
/// The input or the call is wrong; nothing was resolved.
const FAULTY: u8 = 1;
/// Conflicts remain.
const UNRESOLVED: u8 = 2;

fn main() -> ExitCode {
    // Places at which tests let this process die; the environment names them.
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and they are no fault.
            if !error.use_stderr() {
                let _ = error.print();
                return RESOLVED.into();
            }
            // Whoever asked for JSON reads JSON, also of a call that could not be understood.
            match wants_json() {
                true => drop(out(&json::failure(error.to_string().trim_end()))),
                false => drop(error.print()),
            }
            return if wants_diff() { log::TROUBLE } else { FAULTY }.into();
        }
    };
    match cli.command {
        args::Command::Run(run) => run::run(&run),
        args::Command::Log(log) => log::run(&log),
    }
    .into()
}

/// Whether this is a call of `log diff`, which says by 1 that logs differ.
fn wants_diff() -> bool {
    std::env::args_os().skip(1).take(2).eq(["log", "diff"])
}

fn wants_json() -> bool {
    let args: Vec<_> = std::env::args_os().collect();
    let pair = args.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    pair || args.iter().any(|arg| arg == "--format=json")
}

/// Writes to standard output. Whoever closed it (`| head`) has seen enough; a full disk is an error.
fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes to standard error.
fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
