//! Recomputing rounds from their records.

use std::fmt;

use queenright_primitives::Version;

use super::round::{apply, decide};
use crate::log::Record;
use crate::state::State;

/// Decides every recorded round again, from `base` on, and returns the last state.
///
/// # Errors
/// The first [`Divergence`]: a record that does not follow from the one before, or whose verdicts differ.
pub fn replay<'r>(
    base: State,
    records: impl IntoIterator<Item = &'r Record>,
) -> Result<State, Divergence> {
    let mut state = base;
    let mut head = None;
    for record in records {
        let version = record.input.round;
        let follows = head.is_none_or(|head| head == record.previous);
        if !follows
            || version != state.version().next()
            || record.digest != record.computed_digest()
        {
            return Err(Divergence {
                version,
                what: "the record does not follow the one before it",
            });
        }
        let verdicts = decide(&state, &record.batch, &record.input);
        if verdicts != record.verdicts {
            return Err(Divergence { version, what: "the verdicts differ from the recorded ones" });
        }
        state = apply(&state, &record.batch, &record.input, &verdicts);
        head = Some(record.digest);
    }
    Ok(state)
}

/// A record that a replay does not confirm.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// The round.
    pub version: Version,
    /// What is wrong with it.
    pub what: &'static str,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "round {}: {}", self.version, self.what)
    }
}

impl std::error::Error for Divergence {}
