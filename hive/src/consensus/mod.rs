//! How a batch of proposals becomes one commit.
//!
//! "Consensus" here is *queen-led*: one queen per hive decides rounds, so agents agree because they all read her
//! commits. `round` is the decision itself, a pure function, with `permissions` and `quorum` as a part of
//! what it looks at; `ballots` are those that are open; `intents` remembers which were answered; `intake` is the way to the `queen`, who drives rounds on a thread of her own, as wide
//! as `window` says, and tells the `news`; `replay` recomputes them from the log.

mod ballots;
mod intake;
mod intents;
mod news;
mod permissions;
mod queen;
mod quorum;
mod replay;
mod round;
mod window;

pub use ballots::OpenBallot;
pub(crate) use ballots::{Attempt, Ballots};
pub use intake::WhenFull;
pub(crate) use intake::{Counted, Intake, Submission};
pub(crate) use intents::Intents;
pub use intents::Known;
pub(crate) use news::News;
pub use permissions::Permissions;
pub(crate) use queen::{Clock, Core, Queen, Stop};
pub use quorum::{
    Ballot, CastVote, QuorumError, QuorumRule, Tally, Threshold, Tie, Vote, VoteError,
};
pub use replay::{Divergence, replay};
pub use round::{Limits, RoundInput, RoundPolicy, Verdicts, apply, decide};
pub use window::BatchWindow;
