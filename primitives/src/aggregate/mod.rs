//! Merging many commutative changes into one, whatever their order.
//!
//! A change that is [`Commutative`] can be merged with others of its kind in any order and grouping, with one
//! result. Some combinations are impossible (two unequal values that should agree, a bound that could break); then
//! the merge is refused, and it is refused in every order. [`laws::check`] tests both for your own operators.
//!
//! | | takes changes from | and |
//! |---|---|---|
//! | [`Aggregator`] | one thread | refuses what cannot stand with those before it |
//! | [`ConditionalAggregator`] | one thread | refuses proposals of several changes whole, if one does not stand on a snapshot, and says why |
//! | [`CommutativeAggregator`] | many threads, without a lock | gives back, when it is drained, what cannot stand with those before it |
//!
//! | operator | merges to | refused when |
//! |---|---|---|
//! | [`Sum`] | the sum, with all bounds | increases or decreases leave `u64` |
//! | [`Max`], [`Min`] | the larger, the smaller | never |
//! | [`Union`] | the union | never |
//! | [`Agree`] | the one value | the values differ |
//! | [`Meet`] on your own type | the greatest lower bound | it is empty |

mod aggregator;
mod conditional;
pub mod laws;
mod operators;
mod shared;
mod sum;

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;

pub use aggregator::Aggregator;
pub use conditional::{Conditional, ConditionalAggregator, Refused};
pub use operators::{Agree, Disagreement, Max, Meet, Min, Narrow, NothingLeft, Union};
pub use shared::{CommutativeAggregator, Drained, RefusedChange, Submitter};
pub use sum::{OutOfBounds, Sum};

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
