//! How a batch of proposals becomes one commit.
//!
//! "Consensus" here is *queen-led*: one queen per hive decides rounds, so agents agree because they all read her
//! commits. `round` is the decision itself, a pure function; `intents` remembers which were answered;
//! `queen` drives rounds on a thread of her own; `replay` recomputes them from the log.

mod intake;
mod intents;
mod permissions;
mod queen;
mod quorum;
mod replay;
mod round;
mod window;

pub use intake::WhenFull;
pub(crate) use intake::{Intake, Submission, quietly};
pub use intents::Known;
pub use permissions::Permissions;
pub(crate) use queen::{Clock, Core, Queen, Stop};
pub use quorum::{Ballot, QuorumError, QuorumRule, Tally, Threshold, Vote};
pub use replay::{Divergence, replay};
pub use round::{Limits, RoundInput, RoundPolicy, Verdicts, apply, decide};
pub use window::BatchWindow;
