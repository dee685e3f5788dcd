//! Why a claim, or a step of its holder, is refused.

use std::fmt;

use super::{FencingToken, OwnerId};

/// An id that was not claimed, given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError<K> {
    /// Somebody holds it: claim another, or this one again after `until`.
    #[non_exhaustive]
    Held {
        /// What was to be claimed.
        id: K,
        /// Who holds it.
        by: OwnerId,
        /// When the lease ends, unless a heartbeat comes before.
        until: u64,
    },
    /// It was completed, and not [forgotten](super::ClaimTable::forget) since: there is nothing left to do.
    #[non_exhaustive]
    Completed {
        /// What was to be claimed.
        id: K,
    },
    /// The table has no room for a further id: reclaim leases that are over, forget what is completed, or try again when
    /// something was released.
    #[non_exhaustive]
    Full {
        /// What was to be claimed.
        id: K,
    },
}

impl<K> ClaimError<K> {
    /// What was to be claimed.
    pub fn into_id(self) -> K {
        match self {
            ClaimError::Held { id, .. }
            | ClaimError::Completed { id }
            | ClaimError::Full { id } => id,
        }
    }
}

impl<K> fmt::Display for ClaimError<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Held { by, until, .. } => {
                write!(f, "held by owner {} until {until}: claim another, or this one later", by.0)
            }
            ClaimError::Completed { .. } => f.write_str("completed already: nothing is left to do"),
            ClaimError::Full { .. } => f.write_str(
                "the table is full: reclaim leases that are over, or forget what is completed",
            ),
        }
    }
}

impl<K: fmt::Debug> std::error::Error for ClaimError<K> {}

/// The token does not hold the claim any more: its lease is over, or it was released, completed or transferred. Whatever was
/// done under it since may have been done by another too; stop, and claim again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StaleClaim {
    /// The number of the token that was refused.
    pub token: FencingToken,
}

impl fmt::Display for StaleClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {} holds nothing any more: stop this work, and claim again", self.token)
    }
}

impl std::error::Error for StaleClaim {}
