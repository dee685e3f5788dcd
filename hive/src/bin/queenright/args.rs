use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A commit engine for swarms of agents.
#[derive(Debug, Parser)]
#[command(name = "queenright", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Resolve packs: find manifests, let one agent each propose, settle them, explain every conflict.
    ///
    /// Exit status: 0 resolved; 2 unresolved conflicts remain; 1 the input or the call is wrong.
    Run(Run),
    /// Look into a commit log: what `run --log` and durable hives write.
    #[command(subcommand)]
    Log(Log),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Log {
    /// Look whether a log is whole: every byte, the chain of records, and all verdicts, which are decided again.
    ///
    /// Exit status: 0 it is whole; 1 it is not, or the call is wrong.
    Verify(Verify),
    /// Show rounds, one of them in full, the history of a key, or what became of a proposal.
    ///
    /// Exit status: 0; 1 something cannot be read, is not there, or the call is wrong.
    Show(Show),
    /// Decide all rounds again, and print the state that they lead to.
    ///
    /// Exit status: 0; 1 a verdict differs from the recorded one, something cannot be read, or the call is wrong.
    Replay(Replay),
    /// Compare two logs: where they part, in what, and how their last states differ.
    ///
    /// Exit status: 0 they are the same; 1 they differ; 2 one cannot be read, or the call is wrong.
    Diff(Diff),
}

#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The log's folder.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Look at the bytes and the chain alone, and decide nothing again.
    #[arg(long)]
    pub(crate) chain_only: bool,

    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The log's folder.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Rounds from this one on.
    #[arg(long, value_name = "N", conflicts_with_all = ["round", "key", "proposal"])]
    pub(crate) from: Option<u64>,

    /// Rounds up to this one.
    #[arg(long, value_name = "N", conflicts_with_all = ["round", "key", "proposal"])]
    pub(crate) to: Option<u64>,

    /// This round in full: each proposal with its outcome, votes and ballots.
    #[arg(long, value_name = "N", conflicts_with_all = ["key", "proposal"])]
    pub(crate) round: Option<u64>,

    /// The history of this key: who changed it when, by what, from which value to which.
    #[arg(long, value_name = "KEY", conflicts_with = "proposal")]
    pub(crate) key: Option<String>,

    /// All attempts at this intent, and what each was told.
    #[arg(long, value_name = "ID")]
    pub(crate) proposal: Option<String>,

    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,

    /// Tell more: every line of a long table, and long values whole.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The log's folder.
    #[arg(value_name = "PATH")]
    pub(crate) path: PathBuf,

    /// Stop at this version [default: the last].
    #[arg(long, value_name = "VERSION")]
    pub(crate) at: Option<u64>,

    /// Print this key and those below it, instead of all.
    #[arg(long, value_name = "PREFIX", default_value = "", hide_default_value = true)]
    pub(crate) under: String,

    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,

    /// Tell more: every line of a long table, and long values whole.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The folder of one log.
    #[arg(value_name = "ONE")]
    pub(crate) one: PathBuf,

    /// The folder of the other.
    #[arg(value_name = "OTHER")]
    pub(crate) other: PathBuf,

    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,

    /// Tell more: every line of a long table, and long values whole.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Folders to search for `pack.toml` and `Cargo.toml`, or such files.
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,

    /// Use this `hive.toml` [default: the one in a folder given, or beside a file given].
    #[arg(long, value_name = "FILE")]
    pub(crate) hive: Option<PathBuf>,

    /// Write the resolved configuration there, as TOML or JSON by its ending.
    #[arg(long, value_name = "FILE", value_parser = out_file)]
    pub(crate) out: Option<PathBuf>,

    /// What to print: text for people, or JSON for programs.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub(crate) format: Format,

    /// Tell the history of one key instead of the summary: who contributed, who lost and why.
    #[arg(long, value_name = "KEY")]
    pub(crate) explain: Option<String>,

    /// What breaks ties [default: from hive.toml, or 0].
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,

    /// How many threads run agents; the result is the same for any number [default: from hive.toml, or one per core].
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<NonZeroUsize>,

    /// After how many rounds to give up [default: from hive.toml, or 256].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) rounds: Option<u64>,

    /// Keep the rounds in a log in this folder, and go on with those that are there: an interrupted run is continued.
    #[arg(long, value_name = "DIR")]
    pub(crate) log: Option<PathBuf>,

    /// Tell more: every round, every package in several series, where each loser asked.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Text for people.
    Human,
    /// One JSON document; its form is stable and documented in docs/COMMAND.md.
    Json,
}

/// The ending decides the format, so that it is checked before any work is done.
fn out_file(path: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(path);
    let manifests = ["pack.toml", "Cargo.toml", "hive.toml"];
    if path.file_name().is_some_and(|name| manifests.iter().any(|manifest| name == *manifest)) {
        return Err("that is the name of a manifest, which must not be overwritten".to_owned());
    }
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("toml" | "json") => Ok(path),
        _ => Err("the name must end in `.toml` or `.json`, which decides the format".to_owned()),
    }
}
