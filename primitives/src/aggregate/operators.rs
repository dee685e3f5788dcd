//! The other operators.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;

use super::Commutative;

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
