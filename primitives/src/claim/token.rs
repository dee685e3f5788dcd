//! Who claims, and what proves that a claim is current.

use std::fmt;

/// Who holds a claim: a number of your own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OwnerId(pub u64);

/// Which start of the program, or which table of several, a token comes from.
///
/// Give each table a higher number than all tables before it that protected the same things, restarts of the machine
/// included: a number in a file, raised and *synced* before the table is made, or the number of a term that a
/// consensus service grants. A wall clock does only if it never goes back and never shows the same time to two starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u64);

/// A number that rises with each claim of an id: what a resource compares to refuse a holder whose claim has passed on to
/// another (Kleppmann, *How to do distributed locking*, 2016).
///
/// The resource keeps, for each id, the highest token that it has seen, and refuses a lower one. Which order holds
/// between the tokens of different ids is said in the [module page](super#tokens).
///
/// ```
/// use queenright_primitives::claim::{FencingToken, Incarnation};
///
/// let before = FencingToken { incarnation: Incarnation(3), counter: 900 };
/// let after_the_restart = FencingToken { incarnation: Incarnation(4), counter: 1 };
/// assert!(after_the_restart > before);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken {
    /// The table's.
    pub incarnation: Incarnation,
    /// Rises with the claims of an id within an incarnation; no two claims of a table have the same.
    pub counter: u64,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation.0, self.counter)
    }
}

/// What a successful claim gives, and what its holder shows with each further step.
///
/// It is a plain value: copies of it are as good, and go stale together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClaimToken {
    pub(super) fencing: FencingToken,
    pub(super) slot: u32,
    pub(super) generation: u64,
    pub(super) until: u64,
}

impl ClaimToken {
    /// The number to show to resources.
    pub fn fencing(&self) -> FencingToken {
        self.fencing
    }

    /// When the lease ends that came with this token. A heartbeat grants a later end, and returns that.
    pub fn until(&self) -> u64 {
        self.until
    }
}
