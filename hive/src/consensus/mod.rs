//! How a batch of proposals becomes one commit.
//!
//! "Consensus" here is *queen-led*: one queen per hive decides rounds, so agents agree because they all read her
//! commits. `round` is the decision itself, a pure function, with `permissions` and `quorum` as a part of
//! what it looks at; `ballots` are those that are open; `intents` remembers which were answered; `intake` is the way to the `queen`, who drives rounds on a thread of her own, as wide
//! as `window` says, and owes answers (`debts`). They are given, and the version shown, by `publish`, which tells the `news`: at once, or when the `scribe` has
//! the record in a log. `restore` finds in a log what a hive has to remember, `images` shorten that, and `replay` recomputes rounds from their records.

mod ballots;
mod debts;
mod images;
mod intake;
mod intents;
mod news;
mod permissions;
mod publish;
mod queen;
mod quorum;
mod replay;
mod restore;
mod round;
mod scribe;
mod window;

pub use ballots::OpenBallot;
pub(crate) use ballots::{Attempt, Ballots};
pub(crate) use images::Images;
pub use intake::WhenFull;
pub(crate) use intake::{Counted, Intake, Submission};
pub(crate) use intents::Intents;
pub use intents::Known;
pub(crate) use news::News;
pub use permissions::Permissions;
pub(crate) use publish::Publisher;
pub(crate) use queen::{Clock, Core, Queen, Stop};
pub use quorum::{
    Ballot, CastVote, QuorumError, QuorumRule, Tally, Threshold, Tie, Vote, VoteError,
};
pub use replay::{Divergence, Replay, replay};
pub(crate) use restore::{Memory, Restored, image};
pub use round::{Limits, RULES, RoundInput, RoundPolicy, Verdicts, apply, decide};
pub(crate) use scribe::{Failure, Scribe, Way};
pub use window::BatchWindow;
