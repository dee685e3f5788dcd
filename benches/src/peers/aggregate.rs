//! Merging what many proposals add to keys into one delta.

use std::collections::HashMap;
use std::hash::BuildHasher;

use queenright_primitives::aggregate::{Aggregator, Sum};

/// One who merges. What it keeps between calls is scratch memory only.
pub trait Merger: 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// One without any scratch memory yet.
    fn new() -> Self;

    /// Adds each amount to its key, and drains: the number of keys, and the sum over all of them.
    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64);
}

/// Ours.
pub struct Ours(Aggregator<u64, Sum>);

impl Merger for Ours {
    const NAME: &'static str = "queenright Aggregator";

    fn new() -> Self {
        Ours(Aggregator::new())
    }

    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64) {
        for (key, amount) in changes {
            assert!(self.0.submit(*key, &Sum::of(*amount)).is_ok(), "no bound is stated");
        }
        let drained = self.0.drain().filter_map(|(_, sum)| sum.apply(0).ok());
        drained.fold((0, 0), |(keys, total), amount| (keys + 1, total + amount))
    }
}

fn merge_in<S: BuildHasher>(
    totals: &mut HashMap<u64, i64, S>,
    changes: &[(u64, i64)],
) -> (usize, i64) {
    for (key, amount) in changes {
        let total = totals.entry(*key).or_insert(0);
        *total = total.checked_add(*amount).expect("small amounts");
    }
    totals.drain().fold((0, 0), |(keys, total), (_, amount)| (keys + 1, total + amount))
}

/// std's map with foldhash.
pub struct Foldhash(HashMap<u64, i64, foldhash::fast::RandomState>);

impl Merger for Foldhash {
    const NAME: &'static str = "foldhash map";

    fn new() -> Self {
        Foldhash(HashMap::default())
    }

    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64) {
        merge_in(&mut self.0, changes)
    }
}

/// std's map with ahash.
pub struct Ahash(HashMap<u64, i64, ahash::RandomState>);

impl Merger for Ahash {
    const NAME: &'static str = "ahash map";

    fn new() -> Self {
        Ahash(HashMap::default())
    }

    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64) {
        merge_in(&mut self.0, changes)
    }
}

/// std's map with its own keyed hash.
pub struct StdMap(HashMap<u64, i64>);

impl Merger for StdMap {
    const NAME: &'static str = "std HashMap";

    fn new() -> Self {
        StdMap(HashMap::new())
    }

    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64) {
        merge_in(&mut self.0, changes)
    }
}

/// Keys that are indices already: an addition to an array, and a pass over it.
pub struct Dense(Vec<i64>);

impl Merger for Dense {
    const NAME: &'static str = "dense array";

    fn new() -> Self {
        Dense(Vec::new())
    }

    fn merge(&mut self, changes: &[(u64, i64)]) -> (usize, i64) {
        for (key, amount) in changes {
            let key = *key as usize;
            if key >= self.0.len() {
                self.0.resize(key + 1, 0);
            }
            self.0[key] += amount;
        }
        let touched = self.0.iter_mut().filter(|amount| **amount != 0);
        touched.fold((0, 0), |(keys, total), amount| (keys + 1, total + std::mem::take(amount)))
    }
}
