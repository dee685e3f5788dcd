//! Which of a batch of proposals can stand together: the greedy subset, in their order. Each proposal wants four keys
//! for itself.

use std::collections::HashMap;

use queenright_primitives::conflict::{ConflictIndex, Footprint};
use queenright_primitives::proposal::{Mode, Write};

/// The keys of one proposal.
pub type Keys = [u64; 4];

/// One who finds conflicts. What it keeps between calls is scratch memory only.
pub trait Finder: 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// One without any scratch memory yet.
    fn new(batch: &[Keys]) -> Self;

    /// How many proposals of the batch stand: each that shares no key with one that stands before it.
    fn standing(&mut self, batch: &[Keys]) -> usize;
}

/// Ours.
pub struct Ours {
    index: ConflictIndex<u64, u8>,
    writes: Vec<[Write<u64, u8>; 4]>,
}

impl Finder for Ours {
    const NAME: &'static str = "queenright ConflictIndex";

    fn new(batch: &[Keys]) -> Self {
        let writes = |keys: &Keys| keys.map(|key| Write { key, mode: Mode::Exclusive });
        Ours { index: ConflictIndex::new(), writes: batch.iter().map(writes).collect() }
    }

    fn standing(&mut self, _: &[Keys]) -> usize {
        self.index.clear();
        let admit = |(who, writes): (usize, &[Write<u64, u8>; 4])| {
            self.index.try_admit(who, Footprint { reads: &[], writes }).is_ok()
        };
        self.writes.iter().enumerate().map(admit).filter(|stands| *stands).count()
    }
}

/// A hash table of who holds each key: hashbrown with ahash.
pub struct HashbrownAhash(hashbrown::HashMap<u64, u32, ahash::RandomState>);

impl Finder for HashbrownAhash {
    const NAME: &'static str = "hashbrown + ahash";

    fn new(_: &[Keys]) -> Self {
        HashbrownAhash(hashbrown::HashMap::default())
    }

    fn standing(&mut self, batch: &[Keys]) -> usize {
        let holders = &mut self.0;
        holders.clear();
        let mut standing = 0;
        for (who, keys) in batch.iter().enumerate() {
            if keys.iter().all(|key| !holders.contains_key(key)) {
                holders.extend(keys.iter().map(|key| (*key, who as u32)));
                standing += 1;
            }
        }
        standing
    }
}

/// The same with std's map and its keyed hash.
pub struct StdMap(HashMap<u64, u32>);

impl Finder for StdMap {
    const NAME: &'static str = "std HashMap";

    fn new(_: &[Keys]) -> Self {
        StdMap(HashMap::new())
    }

    fn standing(&mut self, batch: &[Keys]) -> usize {
        let holders = &mut self.0;
        holders.clear();
        let mut standing = 0;
        for (who, keys) in batch.iter().enumerate() {
            if keys.iter().all(|key| !holders.contains_key(key)) {
                holders.extend(keys.iter().map(|key| (*key, who as u32)));
                standing += 1;
            }
        }
        standing
    }
}

/// Sorts all keys to number them, and then needs only a table of bits.
pub struct Sorted {
    order: Vec<(u64, u32)>,
    numbers: Vec<u32>,
    taken: Vec<bool>,
}

impl Finder for Sorted {
    const NAME: &'static str = "sort";

    fn new(_: &[Keys]) -> Self {
        Sorted { order: Vec::new(), numbers: Vec::new(), taken: Vec::new() }
    }

    fn standing(&mut self, batch: &[Keys]) -> usize {
        self.order.clear();
        self.order.extend(batch.iter().flatten().zip(0..).map(|(key, place)| (*key, place)));
        self.order.sort_unstable();
        self.numbers.clear();
        self.numbers.resize(self.order.len(), 0);
        let mut number = 0;
        for (at, (key, place)) in self.order.iter().enumerate() {
            number += u32::from(at > 0 && self.order[at - 1].0 != *key);
            self.numbers[*place as usize] = number;
        }
        self.taken.clear();
        self.taken.resize(number as usize + 1, false);
        let mut standing = 0;
        for numbers in self.numbers.chunks_exact(4) {
            if numbers.iter().all(|number| !self.taken[*number as usize]) {
                numbers.iter().for_each(|number| self.taken[*number as usize] = true);
                standing += 1;
            }
        }
        standing
    }
}

/// Each proposal against each that stands before it.
pub struct Pairs(Vec<Keys>);

impl Finder for Pairs {
    const NAME: &'static str = "naive pairs";

    fn new(_: &[Keys]) -> Self {
        Pairs(Vec::new())
    }

    fn standing(&mut self, batch: &[Keys]) -> usize {
        self.0.clear();
        for keys in batch {
            let clashes = |other: &Keys| keys.iter().any(|key| other.contains(key));
            if !self.0.iter().any(clashes) {
                self.0.push(*keys);
            }
        }
        self.0.len()
    }
}

/// Touches one slot of a table for each key, without looking whose it is: what any hash index costs at least.
pub struct Touch(Vec<u32>);

impl Finder for Touch {
    const NAME: &'static str = "one slot touched a key";

    fn new(batch: &[Keys]) -> Self {
        Touch(vec![0; (batch.len() * 8).next_power_of_two()])
    }

    fn standing(&mut self, batch: &[Keys]) -> usize {
        let mask = self.0.len() - 1;
        for keys in batch {
            for key in keys {
                // Fibonacci hashing: one multiplication, the high bits.
                let slot = (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask;
                self.0[slot] = self.0[slot].wrapping_add(1);
            }
        }
        batch.len()
    }
}
