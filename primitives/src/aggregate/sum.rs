//! Sums with bounds.

use std::fmt;

use super::{Commutative, Conditional};

/// A sum of integers with bounds, checked as in escrow (O'Neil, *The escrow transactional method*, 1986): a bound
/// must hold in *every* order in which the parts could be applied, from the moment its own part is applied.
///
/// The worst order for a lower bound applies all decreases first, and of the increases only the bound's own part; for an
/// upper bound it is the other way round. So increases and decreases are added up apart, and each bound is kept with its own
/// part. The range of `i64` binds at every moment: increases, or decreases, of more than `u64::MAX` fit nowhere, and are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    increase: u64,
    decrease: u64,
    low: Bound,
    high: Bound,
}

/// A bound, and what the part that came with it adds in its direction's favour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Bound {
    stated: i64,
    own: u64,
}

impl Bound {
    const LOWEST: Bound = Bound { stated: i64::MIN, own: 0 };
    const HIGHEST: Bound = Bound { stated: i64::MAX, own: 0 };

    /// How far the parts of others may go down.
    fn lower_limit(self) -> i128 {
        i128::from(self.stated) - i128::from(self.own)
    }

    /// How far the parts of others may go up.
    fn upper_limit(self) -> i128 {
        i128::from(self.stated) + i128::from(self.own)
    }
}

impl Sum {
    /// Adds `amount`, within the range of `i64`.
    #[inline]
    pub fn of(amount: i64) -> Self {
        let (increase, decrease) =
            if amount > 0 { (amount.unsigned_abs(), 0) } else { (0, amount.unsigned_abs()) };
        Sum { increase, decrease, low: Bound::LOWEST, high: Bound::HIGHEST }
    }

    /// The same, but once this is added the total must not fall below `stated`.
    #[must_use]
    pub fn at_least(mut self, stated: i64) -> Self {
        self.raise_low(Bound { stated, own: self.increase });
        self
    }

    /// The same, but once this is added the total must not rise above `stated`.
    #[must_use]
    pub fn at_most(mut self, stated: i64) -> Self {
        self.sink_high(Bound { stated, own: self.decrease });
        self
    }

    fn raise_low(&mut self, other: Bound) {
        let tightness = |bound: Bound| (bound.lower_limit(), bound.stated);
        if tightness(other) > tightness(self.low) {
            self.low = other;
        }
    }

    fn sink_high(&mut self, other: Bound) {
        let tightness = |bound: Bound| (bound.upper_limit(), bound.stated);
        if tightness(other) < tightness(self.high) {
            self.high = other;
        }
    }

    /// The total when it starts from `start`.
    ///
    /// # Errors
    /// [`OutOfBounds`] when some order of the parts could break a bound.
    pub fn apply(&self, start: i64) -> Result<i64, OutOfBounds> {
        let lowest = i128::from(start) - i128::from(self.decrease);
        let highest = i128::from(start) + i128::from(self.increase);
        // What the total is in the worst order, just after the part that states the bound.
        let (low, high) = (self.low, self.high);
        if lowest < low.lower_limit() {
            let reached = lowest + i128::from(low.own);
            return Err(OutOfBounds { reached, bound: low.stated });
        }
        if highest > high.upper_limit() {
            let reached = highest - i128::from(high.own);
            return Err(OutOfBounds { reached, bound: high.stated });
        }
        let in_range = |reached: i128, bound| {
            i64::try_from(reached).map_err(|_| OutOfBounds { reached, bound })
        };
        in_range(lowest, i64::MIN)?;
        in_range(highest, i64::MAX)?;
        in_range(highest - i128::from(self.decrease), i64::MIN)
    }
}

impl Commutative for Sum {
    type Refusal = OutOfBounds;

    #[inline]
    fn merge(&mut self, other: &Self) -> Result<(), OutOfBounds> {
        let increase = self.increase.checked_add(other.increase);
        let decrease = self.decrease.checked_add(other.decrease);
        let (Some(increase), Some(decrease)) = (increase, decrease) else {
            return Err(self.overflow(other));
        };
        (self.increase, self.decrease) = (increase, decrease);
        // Every sum has those of the range already.
        if other.low != Bound::LOWEST {
            self.raise_low(other.low);
        }
        if other.high != Bound::HIGHEST {
            self.sink_high(other.high);
        }
        Ok(())
    }
}

impl Conditional<i64> for Sum {
    #[inline]
    fn stands_on(&self, base: &i64) -> Result<(), OutOfBounds> {
        self.apply(*base).map(drop)
    }
}

impl Sum {
    /// No start is so far from the end of the range that these would fit.
    #[cold]
    fn overflow(&self, other: &Self) -> OutOfBounds {
        let both = |a: u64, b: u64| i128::from(a) + i128::from(b);
        let increase = both(self.increase, other.increase);
        if increase > i128::from(u64::MAX) {
            return OutOfBounds { reached: i128::from(i64::MIN) + increase, bound: i64::MAX };
        }
        let decrease = both(self.decrease, other.decrease);
        OutOfBounds { reached: i128::from(i64::MAX) - decrease, bound: i64::MIN }
    }
}

/// A sum could leave its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfBounds {
    /// What the total could reach.
    pub reached: i128,
    /// The bound that this would break.
    pub bound: i64,
}

impl fmt::Display for OutOfBounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sum could reach {}, beyond its bound {}", self.reached, self.bound)
    }
}

impl std::error::Error for OutOfBounds {}
