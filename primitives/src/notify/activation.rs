//! Running something once for all that happened since it ran last.

use crate::sync::{AtomicU64, Ordering};

/// Nobody runs it, and nothing happened.
const IDLE: u64 = 0;
/// Somebody runs it, or is about to.
const OWNED: u64 = 1;
/// The same, and something has happened since that turn began.
const WOKEN: u64 = 3;

/// Whether a thing that is run turn by turn (an actor, a task) has to be run: whoever has something new for it wakes it, at most one
/// thread runs it at a time, and no wake-up is lost. Wait-free.
///
/// ```
/// use queenright_primitives::notify::Activation;
///
/// let activation = Activation::new();
/// assert!(activation.wake(), "who wakes it first has to see to it that it is run");
/// assert!(!activation.wake());
/// activation.begin();
/// assert!(!activation.wake(), "it is being run");
/// assert!(activation.end(), "so it has to be run once more");
/// activation.begin();
/// assert!(!activation.end());
/// ```
#[derive(Debug)]
pub struct Activation(AtomicU64);

impl Activation {
    /// Nothing has happened.
    pub fn new() -> Self {
        Activation(AtomicU64::new(IDLE))
    }

    /// Says that something has happened. If it answers `true`, the caller has to have it run.
    #[must_use = "if it says so, the caller has to have it run"]
    pub fn wake(&self) -> bool {
        // Release orders what has happened before the turn that begins after it. The exchange keeps what others have released
        // here: who else has woken it, and the end of the last turn.
        self.0.swap(WOKEN, Ordering::Release) == IDLE
    }

    /// Begins a turn, before it looks at what has happened. Only for whom [`wake`](Self::wake) or [`end`](Self::end) told to.
    pub fn begin(&self) {
        // Acquire pairs with the Release of those who have woken it, and of the end of the last turn.
        self.0.swap(OWNED, Ordering::Acquire);
    }

    /// Ends a turn. If it answers `true`, something has happened since it began, and the caller has to have it run once more.
    #[must_use = "if it says so, the caller has to have it run once more"]
    pub fn end(&self) -> bool {
        // Release orders this turn before the next, whoever runs it. Relaxed if it fails: this thread, or whom it tells to, begins the
        // next turn with an Acquire.
        self.0.compare_exchange(OWNED, IDLE, Ordering::Release, Ordering::Relaxed).is_err()
    }
}

impl Default for Activation {
    fn default() -> Self {
        Activation::new()
    }
}
