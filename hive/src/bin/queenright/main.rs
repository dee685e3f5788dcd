//! The `queenright` command.

#![forbid(unsafe_code)]

mod args;
mod human;
mod json;
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
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come this way too, and they are no fault.
            let status = if error.use_stderr() { FAULTY } else { RESOLVED };
            let _ = error.print();
            return status.into();
        }
    };
    let args::Command::Run(run) = cli.command;
    run::run(&run).into()
}

/// Writes to standard output; whoever closed it (`| head`) has seen enough.
fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes to standard error.
fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
