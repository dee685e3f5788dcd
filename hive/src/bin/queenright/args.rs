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
