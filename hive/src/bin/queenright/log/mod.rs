//! `queenright log`: looking into commit logs.

mod diff;
mod history;
mod read;
mod replay;
mod round;
mod rounds;
mod verify;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use queenright::log::LogError;
use serde_json::{Value as Json, json};

use crate::args::{Format, Log};
use crate::{FAULTY, RESOLVED, json, note, out};

/// One of the logs to compare cannot be read, or the call is wrong.
pub(crate) const TROUBLE: u8 = 2;
/// They differ.
const DIFFERENT: u8 = 1;

/// Does what was asked, and returns the exit status.
pub(crate) fn run(log: &Log) -> u8 {
    let (format, faulty, done) = match log {
        Log::Verify(args) => (args.format, FAULTY, verify::run(args)),
        Log::Show(args) => {
            let done = match (args.round, &args.key, &args.proposal) {
                (Some(round), ..) => round::run(args, round),
                (_, Some(key), _) => history::of_key(args, key),
                (_, _, Some(id)) => history::of_proposal(args, id),
                _ => rounds::run(args),
            };
            (args.format, FAULTY, done)
        }
        Log::Replay(args) => (args.format, FAULTY, replay::run(args)),
        Log::Diff(args) => (args.format, TROUBLE, diff::run(args)),
    };
    match (done, format) {
        (Ok(status), _) => return status,
        (Err(fault), Format::Human) => note(&fault.to_string()),
        (Err(fault), Format::Json) => {
            let errors = json!({ "format": json::FORMAT, "errors": [fault.to_json()] });
            drop(out(&json::pretty(&errors)));
        }
    }
    faulty
}

/// Prints what came of a call that found nothing wrong.
fn print(text: &str, status: u8) -> Result<u8, Fault> {
    match out(&harmless(text)) {
        Ok(()) => Ok(status),
        Err(error) => Err(cannot_be_written(&error)),
    }
}

/// Without what a terminal would obey: names of agents and of proposals can be any text. JSON stays the same JSON.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmful = |c: char| c.is_control() && c != '\n';
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| match is_harmful(c) {
        true => format!("\\u{:04x}", u32::from(c)),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(one).collect())
}

fn cannot_be_written(error: &std::io::Error) -> Fault {
    Fault::new(format!("standard output cannot be written: {error}"))
}

/// What is wrong, where, and what to do.
#[derive(Debug)]
struct Fault {
    file: Option<PathBuf>,
    byte: Option<u64>,
    round: Option<u64>,
    message: String,
    help: String,
}

impl Fault {
    fn new(message: impl Into<String>) -> Fault {
        let (message, help) = (message.into(), String::new());
        Fault { file: None, byte: None, round: None, message, help }
    }

    fn help(self, help: impl Into<String>) -> Fault {
        Fault { help: help.into(), ..self }
    }

    fn in_round(self, round: u64) -> Fault {
        Fault { round: Some(round), ..self }
    }

    fn to_json(&self) -> Json {
        json!({
            "file": self.file.as_ref().map(|file| file.display().to_string()),
            "line": null,
            "column": null,
            "byte": self.byte,
            "round": self.round,
            "message": self.message,
            "help": self.help,
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match self.help.is_empty() {
            true => Ok(()),
            false => write!(f, "\n  help: {}", self.help),
        }
    }
}

impl From<LogError> for Fault {
    fn from(error: LogError) -> Self {
        let fault = Fault::new(error.to_string());
        match error {
            LogError::Damaged { path, offset, round, .. } => Fault {
                file: Some(path),
                byte: Some(offset),
                round: round.map(|round| round.0),
                ..fault
            },
            LogError::Io { path, .. }
            | LogError::Locked { path }
            | LogError::UnknownFormat { path, .. }
            | LogError::Missing { path, .. } => Fault { file: Some(path), ..fault },
            LogError::Diverges { round, .. } => {
                fault.in_round(round.0).help("restore the log's folder from a backup")
            }
            _ => fault,
        }
    }
}

/// Of everything that this command prints as JSON, the first field.
fn document(mut fields: Json) -> String {
    if let Json::Object(fields) = &mut fields {
        fields.shift_insert(0, "format".to_owned(), json::FORMAT.into());
    }
    json::pretty(&fields)
}

/// The status of a call that found nothing wrong.
const FINE: u8 = RESOLVED;
