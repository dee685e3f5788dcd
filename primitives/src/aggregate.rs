//! Merging many commutative changes into one, whatever their order.
//!
//! A change that is [`Commutative`] can be merged with others of its kind in any order and grouping, with one
//! result. Some combinations are impossible (two unequal values that should agree, a bound that could break); then
//! the merge is refused, and it is refused in every order. [`laws::check`] tests both for your own operators.
//!
//! [`Aggregator`] merges by key and drains one change per key.
//!
//! | operator | merges to | refused when |
//! |---|---|---|
//! | [`Sum`] | the sum, with all bounds | totals leave `i128` |
//! | [`Max`], [`Min`] | the larger, the smaller | never |
//! | [`Union`] | the union | never |
//! | [`Agree`] | the one value | the values differ |
//! | [`Meet`] on your own type | the greatest lower bound | it is empty |

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use crate::flat::FlatMap;

pub mod laws;

/// A change that merges with others of its kind, in any order and grouping, to one result.
///
/// Laws, which [`laws::check`] tests: if merging a set of changes succeeds in one order, it succeeds in
/// every order and grouping with an equal result; and whatever is added to a refused set, it stays refused.
pub trait Commutative {
    /// Why two changes cannot be merged.
    type Refusal;

    /// Merges `other` into `self`.
    ///
    /// # Errors
    /// When the two cannot stand together; `self` is unchanged then.
    fn merge(&mut self, other: &Self) -> Result<(), Self::Refusal>;
}

/// A sum of integers with bounds, checked as in escrow (O'Neil, *The escrow transactional method*, 1986): a bound
/// must hold in *every* order in which the parts could be applied, from the moment its own part is applied.
///
/// The worst order for a lower bound applies all decreases first, and of the increases only the bound's own part; for an
/// upper bound it is the other way round. So increases and decreases are added up apart, and each bound is
/// kept less its own part. The range of `i64` binds at every moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sum {
    increase: i128,
    decrease: i128,
    low: Bound,
    high: Bound,
}

/// A bound, ordered by how far the parts of others may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Bound {
    /// The bound less the part that it came with.
    limit: i128,
    /// The bound as it was stated.
    stated: i64,
}

impl Sum {
    /// Adds `amount`, within the range of `i64`.
    pub fn of(amount: i64) -> Self {
        let range = |stated| Bound { limit: i128::from(stated), stated };
        Sum {
            increase: i128::from(amount.max(0)),
            decrease: i128::from(amount.min(0)),
            low: range(i64::MIN),
            high: range(i64::MAX),
        }
    }

    /// The same, but once this is added the total must not fall below `stated`.
    #[must_use]
    pub fn at_least(mut self, stated: i64) -> Self {
        let limit = i128::from(stated) - self.increase;
        self.low = self.low.max(Bound { limit, stated });
        self
    }

    /// The same, but once this is added the total must not rise above `stated`.
    #[must_use]
    pub fn at_most(mut self, stated: i64) -> Self {
        let limit = i128::from(stated) - self.decrease;
        self.high = self.high.min(Bound { limit, stated });
        self
    }

    /// The total when it starts from `start`.
    ///
    /// # Errors
    /// [`OutOfBounds`] when some order of the parts could break a bound.
    pub fn apply(&self, start: i64) -> Result<i64, OutOfBounds> {
        let lowest = i128::from(start) + self.decrease;
        let highest = i128::from(start) + self.increase;
        // What the total is in the worst order, just after the part that states the bound.
        let broken = |reached: i128, bound: Bound| OutOfBounds {
            reached: reached + i128::from(bound.stated) - bound.limit,
            bound: bound.stated,
        };
        if lowest < self.low.limit {
            return Err(broken(lowest, self.low));
        }
        if highest > self.high.limit {
            return Err(broken(highest, self.high));
        }
        let in_range = |reached: i128, bound| {
            i64::try_from(reached).map_err(|_| OutOfBounds { reached, bound })
        };
        in_range(lowest, i64::MIN)?;
        in_range(highest, i64::MAX)?;
        in_range(highest + self.decrease, i64::MIN)
    }
}

impl Commutative for Sum {
    type Refusal = OutOfBounds;

    fn merge(&mut self, other: &Self) -> Result<(), OutOfBounds> {
        // Parts are i64, so the totals leave i128 only after 2^63 merges; refused all the same.
        let overflow = |bound| OutOfBounds { reached: i128::from(bound), bound };
        let increase = self.increase.checked_add(other.increase);
        let decrease = self.decrease.checked_add(other.decrease);
        *self = Sum {
            increase: increase.filter(|sum| *sum < i128::MAX / 2).ok_or(overflow(i64::MAX))?,
            decrease: decrease.filter(|sum| *sum > i128::MIN / 2).ok_or(overflow(i64::MIN))?,
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        };
        Ok(())
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

/// Keeps the largest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Max<T>(pub T);

impl<T: Ord + Clone> Commutative for Max<T> {
    type Refusal = Infallible;
    fn merge(&mut self, other: &Self) -> Result<(), Infallible> {
        if other.0 > self.0 {
            self.0 = other.0.clone();
        }
        Ok(())
    }
}

/// Keeps the smallest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Min<T>(pub T);

impl<T: Ord + Clone> Commutative for Min<T> {
    type Refusal = Infallible;
    fn merge(&mut self, other: &Self) -> Result<(), Infallible> {
        if other.0 < self.0 {
            self.0 = other.0.clone();
        }
        Ok(())
    }
}

/// Keeps every element.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Union<T: Ord>(pub BTreeSet<T>);

impl<T: Ord + Clone> Commutative for Union<T> {
    type Refusal = Infallible;
    fn merge(&mut self, other: &Self) -> Result<(), Infallible> {
        self.0.extend(other.0.iter().cloned());
        Ok(())
    }
}

/// Equal values agree; unequal ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Agree<T>(pub T);

impl<T: Eq> Commutative for Agree<T> {
    type Refusal = Disagreement;
    fn merge(&mut self, other: &Self) -> Result<(), Disagreement> {
        if self.0 == other.0 { Ok(()) } else { Err(Disagreement) }
    }
}

/// Two values that should be equal are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disagreement;

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the values differ, and this operator keeps only equal ones")
    }
}

impl std::error::Error for Disagreement {}

/// A type with greatest lower bounds (a meet-semilattice), such as sets under intersection or version
/// requirements: `meet` is commutative, associative and idempotent.
pub trait Meet: Sized {
    /// What both admit; `None` when they admit nothing in common.
    fn meet(&self, other: &Self) -> Option<Self>;
}

/// Narrows to what all admit; refused when nothing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Narrow<T>(pub T);

impl<T: Meet> Commutative for Narrow<T> {
    type Refusal = NothingLeft;
    fn merge(&mut self, other: &Self) -> Result<(), NothingLeft> {
        self.0 = self.0.meet(&other.0).ok_or(NothingLeft)?;
        Ok(())
    }
}

/// No value satisfies all that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NothingLeft;

impl fmt::Display for NothingLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing satisfies all that was asked")
    }
}

impl std::error::Error for NothingLeft {}

/// Merges commutative changes by key.
///
/// ```
/// use queenright_primitives::aggregate::{Aggregator, Sum};
///
/// let mut totals = Aggregator::new();
/// totals.submit("stock/apples", &Sum::of(5)).unwrap();
/// totals.submit("stock/apples", &Sum::of(-2)).unwrap();
/// assert_eq!(totals.get(&"stock/apples").unwrap().apply(10), Ok(13));
/// ```
#[derive(Clone, Debug)]
pub struct Aggregator<K, C, S = foldhash::fast::RandomState> {
    merged: FlatMap<K, C, S>,
}

impl<K: Hash + Eq, C: Commutative + Clone> Aggregator<K, C> {
    /// Without any change yet.
    pub fn new() -> Self {
        Self::with_hasher(foldhash::fast::RandomState::default())
    }
}

impl<K: Hash + Eq, C: Commutative + Clone> Default for Aggregator<K, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hash + Eq, C: Commutative + Clone, S: BuildHasher> Aggregator<K, C, S> {
    /// Without any change yet; it hashes with `hasher`.
    pub fn with_hasher(hasher: S) -> Self {
        Aggregator { merged: FlatMap::with_hasher(hasher) }
    }

    /// Merges one change. O(1) and the cost of a merge.
    ///
    /// # Errors
    /// When it cannot stand with those submitted before; nothing is changed then.
    pub fn submit(&mut self, key: K, change: &C) -> Result<(), C::Refusal> {
        self.merged.reserve(1);
        let (number, is_new) = self.merged.number_of(key, || change.clone());
        if is_new { Ok(()) } else { self.merged.value_mut(number).merge(change) }
    }

    /// What the key's changes would merge to with this one, without submitting it.
    ///
    /// # Errors
    /// When it cannot stand with those submitted before.
    pub fn preview(&self, key: &K, change: &C) -> Result<C, C::Refusal> {
        match self.merged.get(key) {
            None => Ok(change.clone()),
            Some(merged) => {
                let mut merged = merged.clone();
                merged.merge(change)?;
                Ok(merged)
            }
        }
    }

    /// What the key's changes have merged to so far.
    pub fn get(&self, key: &K) -> Option<&C> {
        self.merged.get(key)
    }

    /// Takes all merged changes out, in the order in which their keys came, and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, C)> + '_ {
        self.merged.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::laws::{self, Claims};
    use super::*;
    use proptest::prelude::*;

    impl Meet for BTreeSet<u8> {
        fn meet(&self, other: &Self) -> Option<Self> {
            let both: BTreeSet<u8> = self & other;
            (!both.is_empty()).then_some(both)
        }
    }

    fn sums() -> impl Strategy<Value = Vec<Sum>> {
        let amount = prop_oneof![-5i64..5, Just(i64::MAX), Just(i64::MIN)];
        prop::collection::vec((amount, -9i64..0, 0i64..9), 0..6).prop_map(|parts| {
            parts.into_iter().map(|(by, lo, hi)| Sum::of(by).at_least(lo).at_most(hi)).collect()
        })
    }

    proptest! {
        #[test]
        fn sums_keep_the_laws(samples in sums()) {
            laws::check(&samples, Claims::default()).unwrap();
        }

        #[test]
        fn lattices_keep_the_laws(
            numbers in prop::collection::vec(0u8..4, 0..5),
            sets in prop::collection::vec(prop::collection::btree_set(0u8..4, 1..4), 0..5)
        ) {
            let idempotent = Claims { idempotent: true };
            laws::check(&numbers.iter().map(|n| Max(*n)).collect::<Vec<_>>(), idempotent).unwrap();
            laws::check(&numbers.iter().map(|n| Min(*n)).collect::<Vec<_>>(), idempotent).unwrap();
            laws::check(&numbers.iter().map(|n| Agree(*n)).collect::<Vec<_>>(), idempotent).unwrap();
            laws::check(&sets.iter().cloned().map(Union).collect::<Vec<_>>(), idempotent).unwrap();
            laws::check(&sets.iter().cloned().map(Narrow).collect::<Vec<_>>(), idempotent).unwrap();
        }

        /// A sum is accepted exactly if no order of its parts breaks a bound from the moment that bound's part is
        /// applied: all orders are tried.
        #[test]
        fn a_sum_is_accepted_if_and_only_if_every_order_keeps_every_bound(
            parts in prop::collection::vec(
                (-4i64..5, prop::option::of(-6i64..6), prop::option::of(-6i64..6)), 0..5
            ),
            start in -3i64..4
        ) {
            let mut sum = Sum::of(0);
            for (by, least, most) in &parts {
                let part = Sum::of(*by);
                let part = least.map_or(part, |bound| part.at_least(bound));
                sum.merge(&most.map_or(part, |bound| part.at_most(bound))).unwrap();
            }
            let keeps = |order: &[usize]| {
                let (mut total, mut low, mut high) = (start, i64::MIN, i64::MAX);
                order.iter().all(|&part| {
                    let (by, least, most) = parts[part];
                    total += by;
                    low = low.max(least.unwrap_or(low));
                    high = high.min(most.unwrap_or(high));
                    (low..=high).contains(&total)
                })
            };
            let all_keep = orders(parts.len()).iter().all(|order| keeps(order));
            prop_assert_eq!(sum.apply(start).is_ok(), all_keep, "{:?} from {}", parts, start);
            if all_keep {
                let total = start + parts.iter().map(|(by, ..)| by).sum::<i64>();
                prop_assert_eq!(sum.apply(start), Ok(total));
            }
        }
    }

    /// Every order of 0 to n-1.
    fn orders(n: usize) -> Vec<Vec<usize>> {
        match n {
            0 => vec![vec![]],
            _ => orders(n - 1)
                .into_iter()
                .flat_map(|order| {
                    (0..n).map(move |at| {
                        let mut longer = order.clone();
                        longer.insert(at, n - 1);
                        longer
                    })
                })
                .collect(),
        }
    }

    #[test]
    fn a_part_may_mend_what_is_out_of_its_bounds() {
        assert_eq!(Sum::of(8).at_least(5).apply(0), Ok(8));
        assert_eq!(Sum::of(-100).at_most(5).apply(50), Ok(-50));
        assert_eq!(Sum::of(4).at_least(5).apply(0), Err(OutOfBounds { reached: 4, bound: 5 }));
    }

    #[test]
    fn an_unbounded_add_cannot_break_an_accepted_bound() {
        let mut totals = Aggregator::new();
        totals.submit("k", &Sum::of(3).at_most(10)).unwrap();
        let merged = totals.preview(&"k", &Sum::of(8)).unwrap();
        assert_eq!(merged.apply(0), Err(OutOfBounds { reached: 11, bound: 10 }));
    }

    #[test]
    fn a_refused_change_leaves_no_trace() {
        let mut values = Aggregator::new();
        values.submit(1u32, &Agree("x")).unwrap();
        assert_eq!(values.submit(1, &Agree("y")), Err(Disagreement));
        assert_eq!(values.drain().collect::<Vec<_>>(), [(1, Agree("x"))]);
    }
}
