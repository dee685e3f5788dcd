//! A hash table for one batch after another: keys are numbered in the order in which they came, and forgotten all at once.

use std::hash::{BuildHasher, Hash};

/// From keys to values, which are numbered from 0.
///
/// Entries stand in the order in which they came. Where they are is found by open addressing in groups of eight, as in
/// Abseil's and hashbrown's tables, here in one machine word: for each place a byte with seven bits of the hash, or 0 if it is
/// vacant. Beside it stands the number of an entry, in which the whole key is compared. What is searched is only as large as the
/// last batch needed, so that forgetting a small batch costs little after a large one. At most half of the places are taken.
#[derive(Clone, Debug)]
pub(crate) struct FlatMap<K, V, S> {
    /// The bytes of each group. All beyond `mask` are 0.
    groups: Vec<u64>,
    /// The number that each place holds.
    numbers: Vec<u32>,
    /// The number of groups that are searched, less one: that is a power of two.
    mask: usize,
    entries: Vec<(K, V)>,
    /// How many of them are not found by their keys.
    apart: usize,
    hasher: S,
}

/// The number of no entry.
pub(crate) const NONE: u32 = u32::MAX;

/// How many places a group has.
const PLACES: usize = 8;
/// From how many keys on they do not stay in cache.
const WORTH_IT: usize = 1 << 14;
/// How many keys are looked for at once.
const TOGETHER: usize = 32;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

impl<K: Eq + Hash, V, S: BuildHasher> FlatMap<K, V, S> {
    pub(crate) fn with_hasher(hasher: S) -> Self {
        FlatMap {
            groups: vec![0],
            numbers: vec![0; PLACES],
            mask: 0,
            entries: Vec::new(),
            apart: 0,
            hasher,
        }
    }

    /// How many entries there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn entries(&self) -> &[(K, V)] {
        &self.entries
    }

    #[inline]
    pub(crate) fn value(&self, number: u32) -> &V {
        &self.entries[number as usize].1
    }

    #[inline]
    pub(crate) fn value_mut(&mut self, number: u32) -> &mut V {
        &mut self.entries[number as usize].1
    }

    /// The values from this number on.
    pub(crate) fn values_from(&mut self, number: usize) -> impl Iterator<Item = &mut V> {
        self.entries[number..].iter_mut().map(|(_, value)| value)
    }

    #[inline]
    pub(crate) fn entry(&self, number: u32) -> &(K, V) {
        &self.entries[number as usize]
    }

    /// Forgets all entries, and keeps their memory. A byte is written for each two of them, and drops are run if there are any.
    pub(crate) fn clear(&mut self) {
        self.forget();
        self.entries.clear();
    }

    /// Gives all entries away, in the order of their numbers, and keeps the memory.
    pub(crate) fn drain(&mut self) -> std::vec::Drain<'_, (K, V)> {
        self.forget();
        self.entries.drain(..)
    }

    fn forget(&mut self) {
        self.groups[..=self.mask].fill(0);
        self.mask = groups_for(self.hashed()) - 1;
        self.apart = 0;
    }

    /// How many entries are found by their keys.
    #[inline]
    fn hashed(&self) -> usize {
        self.entries.len() - self.apart
    }

    /// Gives back the memory beyond what so many entries need, or as many as there are.
    pub(crate) fn shrink_to(&mut self, entries: usize) {
        self.entries.shrink_to(entries);
        let groups = groups_for(entries).max(self.mask + 1);
        self.groups.truncate(groups);
        self.groups.shrink_to_fit();
        self.numbers.truncate(groups * PLACES);
        self.numbers.shrink_to_fit();
    }

    /// Makes room for so many more entries.
    #[inline]
    pub(crate) fn reserve(&mut self, more: usize) {
        let all = self.hashed() + more;
        if all > (self.mask + 1) * (PLACES / 2) {
            self.grow(groups_for(all));
        }
    }

    #[cold]
    fn grow(&mut self, groups: usize) {
        assert!(groups * PLACES <= NONE as usize, "a batch has fewer than 2³¹ different keys");
        let hashed = self.hashed_numbers();
        self.groups[..=self.mask].fill(0);
        self.groups.resize(groups.max(self.groups.len()), 0);
        self.numbers.resize(self.groups.len() * PLACES, 0);
        self.mask = groups - 1;
        for number in hashed {
            let hash = self.hasher.hash_one(&self.entries[number as usize].0);
            let vacancy = self.vacancy(hash);
            self.fill(vacancy, number);
        }
    }

    /// The numbers of all entries that are found by their keys.
    fn hashed_numbers(&self) -> Vec<u32> {
        if self.apart == 0 {
            return (0..self.entries.len() as u32).collect();
        }
        let is_taken =
            |place: &usize| self.groups[place / PLACES] >> (place % PLACES * 8) & 0xFF != 0;
        let taken = (0..(self.mask + 1) * PLACES).filter(is_taken);
        taken.map(|place| self.numbers[place]).collect()
    }

    /// Where an entry of this hash would stand that is not there.
    fn vacancy(&self, hash: u64) -> Vacancy {
        let mut group = hash as usize;
        loop {
            group &= self.mask;
            if let Some(vacancy) = Vacancy::of(group, self.groups[group], hash) {
                return vacancy;
            }
            group += 1;
        }
    }

    #[inline]
    fn fill(&mut self, Vacancy { group, bit, tag }: Vacancy, number: u32) {
        self.groups[group] |= tag << (bit - 7);
        self.numbers[group * PLACES + bit as usize / 8] = number;
    }

    /// The number of a key, or where it would stand.
    #[inline]
    fn find(&self, key: &K) -> Result<u32, Vacancy> {
        self.find_hashed(self.hasher.hash_one(key), key)
    }

    #[inline]
    fn find_hashed(&self, hash: u64, key: &K) -> Result<u32, Vacancy> {
        let tags = tag_of(hash) * EACH_BYTE;
        let mut group = hash as usize;
        loop {
            group &= self.mask;
            let bytes = self.groups[group];
            let equal = equal_bytes(bytes, tags);
            if equal != 0
                && let Some(number) = self.find_among(group, equal, key)
            {
                return Ok(number);
            }
            if let Some(vacancy) = Vacancy::of(group, bytes, hash) {
                return Err(vacancy);
            }
            group += 1;
        }
    }

    /// The number of a key, if it is one of those in a group whose bytes these are.
    #[inline]
    fn find_among(&self, group: usize, mut bytes: u64, key: &K) -> Option<u32> {
        while bytes != 0 {
            let number = self.numbers[group * PLACES + bytes.trailing_zeros() as usize / 8];
            if self.entries[number as usize].0 == *key {
                return Some(number);
            }
            bytes &= bytes - 1;
        }
        None
    }

    /// Calls `each` with the numbers of the keys, one after the other. Those that are not there are added with the value of `new`.
    pub(crate) fn numbers_of(&mut self, keys: &[K], new: impl Fn() -> V, mut each: impl FnMut(u32))
    where
        K: Copy,
    {
        if keys.len() < WORTH_IT {
            self.reserve(keys.len());
            keys.iter().for_each(|key| each(self.number_of(*key, &new).0));
        } else {
            self.numbers_together(keys, new, each);
        }
    }

    /// Several are looked for at once, step by step, so that the memory of all of them is asked for before that of the first is needed.
    fn numbers_together(&mut self, keys: &[K], new: impl Fn() -> V, mut each: impl FnMut(u32))
    where
        K: Copy,
    {
        for keys in keys.chunks(TOGETHER) {
            self.reserve(keys.len());
            let mut found = [(0, NONE); TOGETHER];
            for ((hash, _), key) in found.iter_mut().zip(keys) {
                *hash = self.hasher.hash_one(key);
            }
            for (hash, number) in &mut found[..keys.len()] {
                let group = *hash as usize & self.mask;
                let equal = equal_bytes(self.groups[group], tag_of(*hash) * EACH_BYTE);
                let place = equal.trailing_zeros() as usize / 8;
                *number = if equal == 0 { NONE } else { self.numbers[group * PLACES + place] };
            }
            for ((_, number), key) in found.iter_mut().zip(keys) {
                let known = self.entries.get(*number as usize);
                *number = if known.is_some_and(|(known, _)| known == key) { *number } else { NONE };
            }
            for ((hash, number), key) in found.into_iter().zip(keys) {
                each(if number == NONE { self.number_or_add(hash, *key, &new) } else { number });
            }
        }
    }

    /// There must be room for it.
    fn number_or_add(&mut self, hash: u64, key: K, new: impl FnOnce() -> V) -> u32 {
        self.find_hashed(hash, &key).unwrap_or_else(|vacancy| self.add(vacancy, key, new()))
    }

    #[inline]
    fn add(&mut self, vacancy: Vacancy, key: K, value: V) -> u32 {
        let number = self.entries.len() as u32;
        self.entries.push((key, value));
        self.fill(vacancy, number);
        number
    }

    /// Adds entries that are not found by their keys.
    #[inline]
    pub(crate) fn append_all(&mut self, entries: impl IntoIterator<Item = (K, V)>) {
        let before = self.entries.len();
        self.entries.extend(entries);
        self.apart += self.entries.len() - before;
    }

    /// The number of a key; `None` if it is not there.
    #[inline]
    pub(crate) fn number(&self, key: &K) -> Option<u32> {
        self.find(key).ok()
    }

    /// The value of a key; `None` if it is not there.
    #[inline]
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.number(key).map(|number| self.value(number))
    }

    /// The number of a key, and the key itself if it is there already; if not, it is added with the value of `new`. There
    /// must be [room](Self::reserve) for it.
    #[inline]
    pub(crate) fn number_of(&mut self, key: K, new: impl FnOnce() -> V) -> (u32, Option<K>) {
        match self.find(&key) {
            Ok(number) => (number, Some(key)),
            Err(vacancy) => (self.add(vacancy, key, new()), None),
        }
    }
}

/// A vacant place.
#[derive(Clone, Copy)]
struct Vacancy {
    group: usize,
    /// The high bit of its byte.
    bit: u32,
    /// What it would hold.
    tag: u64,
}

impl Vacancy {
    /// The first in a group, if there is one.
    #[inline]
    fn of(group: usize, bytes: u64, hash: u64) -> Option<Self> {
        let vacant = !bytes & HIGH_BITS;
        (vacant != 0).then(|| Vacancy { group, bit: vacant.trailing_zeros(), tag: tag_of(hash) })
    }
}

/// What stands for a hash in a group: never 0. The group is found by other bits.
#[inline]
fn tag_of(hash: u64) -> u64 {
    hash >> 56 | 0x80
}

/// The high bit of each byte that equals the tag, and perhaps of one above it that has another.
#[inline]
fn equal_bytes(bytes: u64, tags: u64) -> u64 {
    let differ = bytes ^ tags;
    differ.wrapping_sub(EACH_BYTE) & !differ & HIGH_BITS
}

/// How many groups so many entries need: a power of two, of whose places at most half are taken.
fn groups_for(entries: usize) -> usize {
    entries.div_ceil(PLACES / 2).next_power_of_two()
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests {
    use std::collections::HashMap;
    use std::hash::{BuildHasherDefault, Hasher};

    use proptest::prelude::*;

    use super::*;

    /// Lets few hashes through.
    #[derive(Default)]
    struct Few(u64);

    impl Hasher for Few {
        fn finish(&self) -> u64 {
            let few = self.0 % 3;
            (few << 56) | (few / 2)
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0 = bytes.iter().fold(0, |all, byte| all << 8 | u64::from(*byte));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Put(u16, u32),
        Together(Vec<u16>),
        Clear,
        Drain,
        Shrink(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            60 => (0u16..90, any::<u32>()).prop_map(|(key, value)| Step::Put(key, value)),
            4 => prop::collection::vec(0u16..90, 0..2 * TOGETHER).prop_map(Step::Together),
            1 => Just(Step::Clear),
            1 => Just(Step::Drain),
            2 => (0usize..100).prop_map(Step::Shrink),
        ]
    }

    fn behaves_as_a_map<S: BuildHasher + Default>(steps: &[Step]) -> Result<(), TestCaseError> {
        let mut map = FlatMap::with_hasher(S::default());
        let mut model = HashMap::new();
        let mut order = Vec::new();
        for step in steps {
            match step {
                Step::Together(keys) => {
                    let mut numbers = Vec::new();
                    map.numbers_together(keys, || 7, |number| numbers.push(number));
                    for (key, number) in keys.iter().zip(numbers) {
                        model.entry(*key).or_insert_with(|| {
                            order.push(*key);
                            7
                        });
                        prop_assert_eq!(order[number as usize], *key);
                    }
                }
                &Step::Put(key, value) => {
                    map.reserve(1);
                    let (number, known) = map.number_of(key, || value);
                    prop_assert_eq!(known.is_some(), model.contains_key(&key));
                    if known.is_none() {
                        order.push(key);
                    }
                    *map.value_mut(number) = value;
                    model.insert(key, value);
                    prop_assert_eq!(order[number as usize], key);
                }
                Step::Clear => {
                    map.clear();
                    model.clear();
                    order.clear();
                }
                Step::Drain => {
                    let all: Vec<_> = order.drain(..).map(|key| (key, model[&key])).collect();
                    prop_assert_eq!(map.drain().collect::<Vec<_>>(), all);
                    model.clear();
                }
                Step::Shrink(entries) => map.shrink_to(*entries),
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..90 {
                prop_assert_eq!(map.get(&key), model.get(&key));
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_map(steps in prop::collection::vec(step(), 0..200)) {
            behaves_as_a_map::<foldhash::fast::RandomState>(&steps)?;
        }

        #[test]
        fn it_behaves_as_a_map_if_hashes_collide(steps in prop::collection::vec(step(), 0..100)) {
            behaves_as_a_map::<BuildHasherDefault<Few>>(&steps)?;
        }
    }

    #[test]
    fn a_small_batch_after_a_large_one_searches_little() {
        let mut map = FlatMap::with_hasher(foldhash::fast::RandomState::default());
        map.reserve(10_000);
        (0..10_000).for_each(|key| assert!(map.number_of(key, || ()).1.is_none()));
        map.clear();
        map.reserve(1);
        map.number_of(1, || ());
        map.clear();
        assert_eq!(map.mask, 0, "one group is enough");
        assert!(map.groups.iter().all(|bytes| *bytes == 0));
    }
}
