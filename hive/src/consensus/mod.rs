//! How a batch of proposals becomes one commit.
//!
//! "Consensus" here is *queen-led*: one queen per hive decides rounds, so agents agree because they all read her
//! commits. `round` is the decision itself, a pure function; `window` remembers which intents were answered;
//! `queen` drives rounds on a thread of her own; `replay` recomputes them from the log.

mod queen;
mod replay;
mod round;
mod window;

pub(crate) use queen::{Core, Intake, Queen, Submission};
pub use replay::{Divergence, replay};
pub use round::{Limits, RoundInput, RoundPolicy, Verdicts, apply, decide};
pub use window::Known;
