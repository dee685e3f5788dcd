//! A commit engine for swarms of agents.
//!
//! Many agents read one consistent snapshot without locks and propose changes in parallel. A queen turns each batch
//! of proposals into one atomic, explained, replayable commit.
//!
//! ```text
//!   agents (any number of threads)                 the queen (one thread)
//!   ┌───────────────┐  proposals: reads, writes   ┌─────────────────────────┐
//!   │ read snapshot │ ──────────────────────────▶ │ order, judge, merge     │
//!   │ compute       │                             │ one version per round   │
//!   │ propose       │ ◀────────────────────────── │ one outcome per attempt │
//!   └───────▲───────┘  outcome: winner, key, rule └───────────┬─────────────┘
//!           └───────────── the next snapshot ─────────────────┘
//! ```
//!
//! # In reading order
//! - [`Hive`]: build one, [`propose`](Hive::propose), [`transact`](Hive::transact), or
//!   [`spawn_all`](Hive::spawn_all) agents and [`run_until_settled`](Hive::run_until_settled).
//! - [`Proposal`], [`Op`], [`Key`], [`Value`]: what is proposed. [`Outcome`]: what becomes of it.
//! - [`Agent`], [`agent()`](agent()), [`View`]: who proposes, and how it reads and writes.
//! - [`Watch`]: what was committed, version by version.
//! - [`consensus`]: the decision as a pure function, and its replay from [`Hive::history`].
//! - [`log`]: what outlives the process.
//! - [`testing`]: help for tests of your own agents.
//! - `packs` (feature): agents that resolve manifests; the `queenright` command (feature `cli`) is made of it.
//!
//! # Which call to use
//! | you want to | use |
//! |---|---|
//! | change something from one place | [`Hive::transact`] |
//! | send a change and go on | [`Hive::propose`], and wait or await its [`Ticket`] |
//! | run many workers to a common result, the same each time | [`Hive::spawn_all`] and [`Hive::run_until_settled`] |
//! | keep agents that react, are told things and are started again | [`Hive::supervisor`] and [`Supervisor::spawn`] |
//! | let agents wait for a network without a thread each | [`AsyncAgent`], [`Supervisor::spawn_async`] |
//! | let programs in other languages be agents | `Supervisor::spawn_process` (feature `process`) |
//! | change something only if enough of a roll agree | [`Proposal::with_quorum`], [`Hive::vote`] |
//! | only read | [`Hive::snapshot`] |
//! | see each change as it is committed, or since a snapshot | [`Hive::watch`] |
//! | test how your agents take conflicts, failures and the time | [`testing`] |
//!
//! # Guarantees
//! Commits are serializable; a round's verdicts depend only on snapshot, batch, policy and seed; each attempt gets exactly
//! one outcome; each intent is committed at most once within the kept window. `docs/GUARANTEES.md` in the repository
//! names the test of each.
//!
//! # When not to use it
//! - One writer and some readers: `queenright_primitives::snapshot` alone is enough.
//! - State larger than memory, or durable state: the commit log lives in memory in this version.
//! - Agents that lie: faults are crashes here, not malice.
//!
//! # Features
//! Nothing is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `disk` | a commit [`log`] in files |
//! | `failpoints` | places at which tests let a process with such a log die, or its disk fail (implies `disk`) |
//! | `process` | agents that are programs of their own, in any language (Unix) |
//! | `tokio` | lets agents that wait run as tasks of a tokio runtime |
//! | `packs` | manifests and their resolution |
//! | `cli` | the `queenright` command (implies `packs` and `disk`) |
//! | `tracing` | spans of rounds, proposals and agents, and events of what goes wrong |
//! | `metrics` | counters, gauges and histograms, for any recorder |
//! | `prometheus` | a recorder, and a small server of `GET /metrics` (implies `metrics`) |
//!
//! `docs/OBSERVABILITY.md` in the repository has every metric, span and event, `docs/PROTOCOL.md` what programs and hives say to each other, `docs/LOG.md` what is on disk.

#![forbid(unsafe_code)]

#[cfg(all(feature = "process", not(unix)))]
compile_error!(
    "the feature `process` needs process groups, as Unix has them: leave it out on this system"
);

/// Runs the examples of the repository's front page.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct FrontPage;

/// Runs the examples of this crate's own front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CratePage;

/// Runs the example of the page about metrics and spans.
#[cfg(all(doctest, feature = "prometheus", feature = "tracing"))]
#[doc = include_str!("../../docs/OBSERVABILITY.md")]
struct ObservabilityPage;

/// Runs the example of the page about logs.
#[cfg(all(doctest, feature = "disk"))]
#[doc = include_str!("../../docs/LOG.md")]
struct LogPage;

mod agent;
mod claims;
mod config;
pub mod consensus;
mod encoding;
mod error;
mod hive;
mod id;
#[cfg(any(feature = "packs", feature = "process"))]
pub mod json;
mod key;
mod lock;
pub mod log;
mod metrics;
mod observe;
mod op;
mod outcome;
#[cfg(feature = "packs")]
pub mod packs;
mod proposal;
pub mod requirement;
mod sets;
mod state;
pub mod testing;
mod ticket;
mod value;
mod watch;

pub use agent::{
    Agent, AgentError, AgentEvent, AgentRef, AgentState, AgentStats, AskError, AsyncAgent, Context,
    Failure, FnAgent, Next, Overflow, Settled, Spawn, SpawnError, Strategy, Supervision,
    Supervisor, TellError, View, ViewError, agent,
};
#[cfg(feature = "process")]
pub use agent::{PROTOCOL_VERSION, Program};
pub use claims::{Claim, ClaimError, Claims, Fenced};
pub use config::HiveBuilder;
pub use encoding::Digest;
#[doc(hidden)]
pub use encoding::fuzzing;
pub use error::{HiveError, ProposeError, TransactError};
pub use hive::Hive;
pub use id::{AgentId, ProposalId};
pub use key::{IntoKey, Key, KeyError, MAX_KEY_BYTES, MAX_KEY_DEPTH};
pub use log::Record;
pub use metrics::Metrics;
#[cfg(feature = "prometheus")]
pub use observe::prometheus;
pub use op::{Op, Operator, Refusal};
pub use outcome::{Fence, Outcome, Rule, Winner};
pub use proposal::{Claimed, Hint, Precondition, Proposal, Read};
pub use queenright_primitives::Version;
pub use queenright_primitives::claim::{FencingToken, StaleClaim};
pub use queenright_primitives::schedule::Class;
pub use sets::{ReadSet, WriteSet};
pub use state::{BASE_AGENT, Entry, Snapshot, State};
pub use ticket::{Ticket, Tickets, Votes};
pub use value::{Finite, MAX_VALUE_DEPTH, Number, Value};
pub use watch::{Change, Watch, WatchError, Watched};
