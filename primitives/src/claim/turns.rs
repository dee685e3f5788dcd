//! Which of two comes first: a change by one thread, or a turn of another that looks whether there was one.

use crate::sync::{AtomicU64, Ordering, fence};

/// The number of the turn that a thread has begun last, for others who change what it looks at in its turns.
///
/// Whoever changes something (claims an id, say) and then asks for the [current](Self::current) turn knows: each *later* turn sees the
/// change. So turns up to that number may still have been decided without it, and all after it were decided with it.
///
/// ```
/// use queenright_primitives::claim::Turns;
///
/// let turns = Turns::new();
/// turns.begin(7);
/// // … the one thread looks at what is shared, and acts upon it. Another, after it has changed something:
/// assert_eq!(turns.current(), 7);
/// ```
#[derive(Debug)]
pub struct Turns(AtomicU64);

impl Turns {
    /// No turn was begun: the current one is 0.
    pub fn new() -> Self {
        Turns(AtomicU64::new(0))
    }

    /// Begins a turn, before anything is looked at in it. Only one thread at a time may do so, with numbers that rise.
    pub fn begin(&self, turn: u64) {
        // Relaxed: the fence orders it.
        self.0.store(turn, Ordering::Relaxed);
        // SeqCst orders the number before the looks of this turn. On the other side stand a change and the look at the
        // number, with such a fence between them: one of the two sees the other.
        fence(Ordering::SeqCst);
    }

    /// The turn that was begun last, as far as the caller's changes are concerned: those after it see them.
    pub fn current(&self) -> u64 {
        // SeqCst orders the caller's change before the look at the number.
        fence(Ordering::SeqCst);
        // Relaxed: as above.
        self.0.load(Ordering::Relaxed)
    }
}

impl Default for Turns {
    fn default() -> Self {
        Turns::new()
    }
}
