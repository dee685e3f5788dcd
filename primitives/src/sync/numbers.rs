//! Small numbers that are lent and given back: each to one at a time.

use super::{AtomicU64, Ordering};

/// The numbers that are lent: a bit for each.
#[derive(Debug)]
pub struct Numbers(AtomicU64);

impl Numbers {
    /// With all 64 to lend.
    #[cfg(not(queenright_loom))]
    pub const fn new() -> Self {
        Numbers(AtomicU64::new(0))
    }

    /// With so many to lend; a model needs few.
    #[cfg(queenright_loom)]
    pub fn of(count: u32) -> Self {
        Numbers(AtomicU64::new(u64::MAX << count))
    }

    /// Lends the smallest number there is. Lock-free.
    pub fn lend(&self) -> Option<u32> {
        // Relaxed: a guess.
        let mut lent = self.0.load(Ordering::Relaxed);
        while lent != u64::MAX {
            let number = lent.trailing_ones();
            // Acquire pairs with the Release in `give_back`: who has a number comes after whoever had it before.
            match self.0.compare_exchange(
                lent,
                lent | 1 << number,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Some(number),
                Err(now) => lent = now,
            }
        }
        None
    }

    /// Takes back a number that was lent. Wait-free.
    pub fn give_back(&self, number: u32) {
        // Release pairs with the Acquire in `lend`.
        self.0.fetch_and(!(1 << number), Ordering::Release);
    }
}
