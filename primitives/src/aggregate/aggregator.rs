//! One thread merges.

use std::hash::{BuildHasher, Hash};

use super::Commutative;
use crate::flat::FlatMap;

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
    #[inline]
    pub fn submit(&mut self, key: K, change: &C) -> Result<(), C::Refusal> {
        self.submit_or_return(key, change).map_err(|(_, refusal)| refusal)
    }

    /// The same, and gives the key back if the change is refused.
    #[inline]
    pub(super) fn submit_or_return(&mut self, key: K, change: &C) -> Result<(), (K, C::Refusal)> {
        self.merged.reserve(1);
        let (number, known) = self.merged.number_of(key, || change.clone());
        let Some(key) = known else { return Ok(()) };
        self.merged.value_mut(number).merge(change).map_err(|refusal| (key, refusal))
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
