//! The keys of a map as of its last rebuild, and the way from a key to its number.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};

use crate::sync::unique_number;

/// How many keys one cache line of the index points to.
const WIDE: usize = 8;
/// How many of them are taken on average. More would overflow often, fewer would need more cache.
const TAKEN: usize = 5;
/// The number of no key.
pub(super) const NONE: u32 = u32::MAX;
/// The lowest bit of each byte.
const LOW: u64 = u64::MAX / 0xFF;

/// The keys in ascending order, of which the place is the number, and a hash index of them. Never changes.
pub(super) struct Keys<K, S> {
    /// What no other keys have in this process; 0 if there are none, or numbers have run out.
    pub(super) build: u32,
    pub(super) hasher: S,
    pub(super) sorted: Box<[K]>,
    /// The upper halves of the keys' hashes, so that a rebuild need not hash.
    pub(super) tags: Box<[u32]>,
    groups: Box<[Group]>,
}

/// Places of the index in one cache line, filled from the front.
#[derive(Clone)]
#[repr(align(64))]
struct Group {
    /// A byte of each key's hash, which is not 0.
    marks: u64,
    /// Numbers of keys, or [`NONE`].
    ids: [u32; WIDE],
}

impl<K, S> Keys<K, S> {
    pub(super) fn none(hasher: S) -> Self {
        Keys {
            build: 0,
            hasher,
            sorted: Box::default(),
            tags: Box::default(),
            groups: Box::default(),
        }
    }

    /// Of keys in ascending order and the tags of all of them.
    ///
    /// # Panics
    /// For 2³² − 1 keys or more: numbers have 32 bits.
    pub(super) fn of(hasher: S, sorted: Vec<K>, tags: Vec<u32>) -> Self {
        assert!(sorted.len() < NONE as usize, "a map of fewer than 2^32 - 1 keys");
        let empty = Group { marks: 0, ids: [NONE; WIDE] };
        let mut groups = vec![empty; sorted.len().div_ceil(TAKEN)];
        for (id, tag) in (0..).zip(&tags) {
            let mut at = home(*tag, groups.len());
            // There are more places than keys, so there is a free one.
            let free = loop {
                match groups[at].ids.iter().position(|id| *id == NONE) {
                    Some(free) => break free,
                    None => at = (at + 1) % groups.len(),
                }
            };
            groups[at].marks |= mark(*tag) << (8 * free);
            groups[at].ids[free] = id;
        }
        Keys {
            build: unique_number(),
            hasher,
            sorted: sorted.into(),
            tags: tags.into(),
            groups: groups.into(),
        }
    }
}

impl<K, S: BuildHasher> Keys<K, S> {
    /// What the index needs of a key's hash.
    #[inline]
    pub(super) fn tag<Q: Hash + ?Sized>(&self, key: &Q) -> u32 {
        (self.hasher.hash_one(key) >> 32) as u32
    }

    /// The number of a key.
    #[inline]
    pub(super) fn find<Q>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.find_tagged(self.tag(key), key)
    }

    /// The same for a key whose tag is known.
    #[inline]
    pub(super) fn find_tagged<Q>(&self, tag: u32, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut at = home(tag, self.groups.len());
        loop {
            let group = self.groups.get(at)?;
            let mut alike = group.alike(tag);
            while alike != 0 {
                // An empty place has a number beyond all keys.
                let id = group.ids[alike.trailing_zeros() as usize / 8] as usize;
                if self.sorted.get(id).is_some_and(|known| known.borrow() == key) {
                    return Some(id);
                }
                alike &= alike - 1;
            }
            if group.ids[WIDE - 1] == NONE {
                return None;
            }
            at = (at + 1) % self.groups.len();
        }
    }
}

impl<K: Eq + Hash, S: BuildHasher> Keys<K, S> {
    /// The numbers of many keys, [`NONE`] for those that are not there.
    ///
    /// In passes over all of them: what one key needs from memory is asked for while that of others is on its way.
    pub(super) fn find_each(&self, keys: &[&K]) -> Vec<u32> {
        let tags: Vec<u32> = keys.iter().map(|key| self.tag(*key)).collect();
        let first_alike = |tag: &u32| {
            let group = self.groups.get(home(*tag, self.groups.len()))?;
            let alike = group.alike(*tag);
            (alike != 0).then(|| group.ids[alike.trailing_zeros() as usize / 8])
        };
        let candidates: Vec<u32> =
            tags.iter().map(|tag| first_alike(tag).unwrap_or(NONE)).collect();
        let is_it = |(key, id): (&&K, &u32)| self.sorted.get(*id as usize) == Some(*key);
        let found: Vec<bool> = keys.iter().zip(&candidates).map(is_it).collect();
        let number = |((key, id), is_it): ((&&K, &u32), &bool)| match is_it {
            true => *id,
            // Another one is first in its group, or its group is full.
            false => self.find(*key).map_or(NONE, |id| id as u32),
        };
        keys.iter().zip(&candidates).zip(&found).map(number).collect()
    }
}

impl Group {
    /// The highest bit of each byte where the mark is that of a tag, and sometimes of bytes above such a one.
    #[inline]
    fn alike(&self, tag: u32) -> u64 {
        let apart = self.marks ^ (LOW * mark(tag));
        apart.wrapping_sub(LOW) & !apart & (LOW << 7)
    }
}

/// The byte of a tag that is kept in the index.
#[inline]
fn mark(tag: u32) -> u64 {
    u64::from(tag & 0xFF).max(1)
}

/// The group that a tag belongs to.
#[inline]
fn home(tag: u32, groups: usize) -> usize {
    ((u64::from(tag) * groups as u64) >> 32) as usize
}

/// How many of `sorted` come first, for which `before` holds, where few are expected: in time of their count's logarithm.
#[inline]
pub(super) fn count_before<K>(sorted: &[K], before: impl Fn(&K) -> bool) -> usize {
    let mut end = 1;
    while end <= sorted.len() && before(&sorted[end - 1]) {
        end *= 2;
    }
    let start = end / 2;
    start + sorted[start..(end - 1).min(sorted.len())].partition_point(before)
}
