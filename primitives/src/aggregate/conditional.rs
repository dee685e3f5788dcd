//! Changes that stand only on what a snapshot holds.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use super::Commutative;
use crate::flat::FlatMap;

/// A change that may be undefined on what a key holds: by itself, or once it is merged with others.
pub trait Conditional<B: ?Sized>: Commutative {
    /// Whether this, which may be what many changes merged to, can be applied to `base`.
    ///
    /// # Errors
    /// Why not.
    fn stands_on(&self, base: &B) -> Result<(), Self::Refusal>;
}

/// Merges proposals of several changes each, all or nothing, as far as they stand on one snapshot.
///
/// The snapshot is whatever `base_of` says that a key holds. It must say the same for a key each time.
///
/// ```
/// use queenright_primitives::aggregate::{ConditionalAggregator, Refused, Sum};
///
/// // Everything is in stock three times.
/// let mut stock = ConditionalAggregator::new(|_: &&str| 3);
/// let take = |count: i64| Sum::of(-count).at_least(0);
/// stock.submit(&[("apples", take(2)), ("pears", take(1))], || Ok::<_, ()>(())).unwrap();
/// // Two more apples are not there, so that the pear is not taken either.
/// let refused = stock.submit(&[("pears", take(1)), ("apples", take(2))], || Ok::<_, ()>(()));
/// assert!(matches!(refused, Err(Refused::Change { key: "apples", .. })));
/// let left = stock.drain().map(|(key, change)| (key, change.apply(3).unwrap()));
/// assert_eq!(left.collect::<Vec<_>>(), [("apples", 1), ("pears", 2)]);
/// ```
#[derive(Clone, Debug)]
pub struct ConditionalAggregator<K, C, F, S = foldhash::fast::RandomState> {
    merged: FlatMap<K, Merged<C>, S>,
    base_of: F,
    /// Which proposal this is, so that a key that one names twice is noticed.
    turn: u64,
    /// What a proposal's keys are going to hold.
    next: Vec<(u32, C)>,
}

#[derive(Clone, Debug)]
struct Merged<C> {
    /// `None` as long as all were refused.
    change: Option<C>,
    turn: u64,
}

/// Why a proposal was refused. Nothing of it was merged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused<K, P, R> {
    /// Its precondition does not hold.
    Precondition(P),
    /// One of its changes does not stand on the snapshot, or not with those merged before.
    Change {
        /// Where.
        key: K,
        /// Why.
        refusal: R,
    },
    /// It has two changes of one key: merge them first.
    Repeated {
        /// Which.
        key: K,
    },
}

impl<K: fmt::Display, P: fmt::Display, R: fmt::Display> fmt::Display for Refused<K, P, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Precondition(precondition) => precondition.fmt(f),
            Refused::Change { key, refusal } => write!(f, "{key}: {refusal}"),
            Refused::Repeated { key } => {
                write!(f, "{key} is changed twice by one proposal: merge the changes first")
            }
        }
    }
}

impl<K, P, R> std::error::Error for Refused<K, P, R> where Self: fmt::Debug + fmt::Display {}

impl<K: Hash + Eq + Clone, C: Clone, F> ConditionalAggregator<K, C, F> {
    /// Without any change yet; `base_of` says what a key holds.
    pub fn new(base_of: F) -> Self {
        Self::with_hasher(base_of, foldhash::fast::RandomState::default())
    }
}

impl<K: Hash + Eq + Clone, C: Clone, F, S: BuildHasher> ConditionalAggregator<K, C, F, S> {
    /// As [`new`](ConditionalAggregator::new); it hashes with `hasher`.
    pub fn with_hasher(base_of: F, hasher: S) -> Self {
        let merged = FlatMap::with_hasher(hasher);
        ConditionalAggregator { merged, base_of, turn: 0, next: Vec::new() }
    }

    /// Merges a proposal's changes if its precondition holds and each stands on the snapshot together with those merged
    /// before. O(its changes), and the cost of their merges.
    ///
    /// # Errors
    /// The first reason found, the precondition first. Nothing is changed then.
    pub fn submit<B, P>(
        &mut self,
        changes: &[(K, C)],
        precondition: impl FnOnce() -> Result<(), P>,
    ) -> Result<(), Refused<K, P, C::Refusal>>
    where
        C: Conditional<B>,
        F: Fn(&K) -> B,
    {
        precondition().map_err(Refused::Precondition)?;
        self.turn += 1;
        self.next.clear();
        self.merged.reserve(changes.len());
        for (key, change) in changes {
            let refused = |refusal| Refused::Change { key: key.clone(), refusal };
            let untouched = || Merged { change: None, turn: 0 };
            let (number, _) = self.merged.number_of(key.clone(), untouched);
            let merged = self.merged.value_mut(number);
            if merged.turn == self.turn {
                return Err(Refused::Repeated { key: key.clone() });
            }
            merged.turn = self.turn;
            let mut together = change.clone();
            if let Some(before) = &merged.change {
                together.clone_from(before);
                together.merge(change).map_err(refused)?;
            }
            together.stands_on(&(self.base_of)(key)).map_err(refused)?;
            self.next.push((number, together));
        }
        for (number, change) in self.next.drain(..) {
            self.merged.value_mut(number).change = Some(change);
        }
        Ok(())
    }

    /// What the accepted changes of a key have merged to so far.
    pub fn get(&self, key: &K) -> Option<&C> {
        self.merged.get(key)?.change.as_ref()
    }

    /// Takes all merged changes out, and keeps the memory.
    pub fn drain(&mut self) -> impl Iterator<Item = (K, C)> + '_ {
        self.merged.drain().filter_map(|(key, merged)| Some((key, merged.change?)))
    }
}
