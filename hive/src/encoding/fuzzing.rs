//! What the fuzzers of this repository need. No part of the API.

use super::{Decode, Encode, decoded, encoded};
use crate::consensus::{Ballots, Intents};
use crate::log::Record;
use crate::state::State;

fn again<T: Encode + Decode>(bytes: &[u8]) -> Option<Vec<u8>> {
    decoded::<T>(bytes).ok().map(|value| encoded(&value))
}

/// The encoding of the [`Record`] that these bytes are read as.
pub fn record(bytes: &[u8]) -> Option<Vec<u8>> {
    decoded::<Record>(bytes).ok().map(|record| record.to_bytes())
}

/// The same of a [`State`].
pub fn state(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<State>(bytes)
}

/// The same of the answers that were given to intents.
pub fn intents(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<Intents>(bytes)
}

/// The same of the ballots that are open.
pub fn ballots(bytes: &[u8]) -> Option<Vec<u8>> {
    again::<Ballots>(bytes)
}
