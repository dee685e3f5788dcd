//! What a proposal reads and writes. Most are small, so that two entries of each stand in the proposal itself.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::slice;

use smallvec::SmallVec;

use crate::key::Key;
use crate::op::Op;
use crate::proposal::Read;

/// How many entries need no memory of their own.
const FEW: usize = 2;

/// What was read to compute a proposal, absences included: in order, each entry once.
///
/// ```
/// use queenright::{Key, Read, ReadSet};
///
/// let (b, a) = (Read::Key(Key::new("b")?), Read::Under(Key::new("a")?));
/// let mut reads = ReadSet::from_iter([b.clone(), a.clone(), b.clone()]);
/// assert!(!reads.insert(a));
/// assert_eq!((reads.len(), &reads[0]), (2, &b), "keys come before prefixes");
/// # Ok::<(), queenright::KeyError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Default)]
pub struct ReadSet(SmallVec<[Read<Key>; FEW]>);

impl ReadSet {
    /// Nothing was read.
    pub fn new() -> Self {
        ReadSet::default()
    }

    /// Adds an entry, and says whether it is new. O(1) if it comes after all others, else O(their number): to add many,
    /// [`extend`](Extend::extend) it.
    pub fn insert(&mut self, read: Read<Key>) -> bool {
        match self.0.last() {
            Some(last) if *last >= read => match self.0.binary_search(&read) {
                Ok(_) => return false,
                Err(place) => self.0.insert(place, read),
            },
            _ => self.0.push(read),
        }
        true
    }

    /// The keys, but not the prefixes, for changes after which each is the same as before.
    #[inline]
    pub(crate) fn each_key(&mut self, mut each: impl FnMut(&mut Key)) {
        for read in &mut self.0 {
            if let Read::Key(key) = read {
                each(key);
            }
        }
    }
}

impl Extend<Read<Key>> for ReadSet {
    fn extend<I: IntoIterator<Item = Read<Key>>>(&mut self, reads: I) {
        // The caller's code, which may panic: as long as it runs, nothing is out of order.
        let more: SmallVec<[Read<Key>; FEW]> = reads.into_iter().collect();
        let before = self.0.len();
        self.0.extend(more);
        if self.0[before.saturating_sub(1)..].windows(2).any(|two| two[0] >= two[1]) {
            self.0.sort_unstable();
            self.0.dedup();
        }
    }
}

impl FromIterator<Read<Key>> for ReadSet {
    fn from_iter<I: IntoIterator<Item = Read<Key>>>(reads: I) -> Self {
        let mut set = ReadSet::new();
        set.extend(reads);
        set
    }
}

impl Deref for ReadSet {
    type Target = [Read<Key>];
    fn deref(&self) -> &[Read<Key>] {
        &self.0
    }
}

impl<'s> IntoIterator for &'s ReadSet {
    type Item = &'s Read<Key>;
    type IntoIter = slice::Iter<'s, Read<Key>>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for ReadSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self).finish()
    }
}

/// What a proposal writes: one operation a key, in the order in which they were given.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct WriteSet(SmallVec<[(Key, Op); FEW]>);

impl WriteSet {
    /// Nothing is written.
    pub fn new() -> Self {
        WriteSet::default()
    }

    /// Adds an operation. That a key is written twice is found when the proposal is judged.
    pub fn push(&mut self, write: (Key, Op)) {
        self.0.push(write);
    }
}

impl Extend<(Key, Op)> for WriteSet {
    fn extend<I: IntoIterator<Item = (Key, Op)>>(&mut self, writes: I) {
        self.0.extend(writes);
    }
}

impl FromIterator<(Key, Op)> for WriteSet {
    fn from_iter<I: IntoIterator<Item = (Key, Op)>>(writes: I) -> Self {
        WriteSet(writes.into_iter().collect())
    }
}

impl Deref for WriteSet {
    type Target = [(Key, Op)];
    fn deref(&self) -> &[(Key, Op)] {
        &self.0
    }
}

impl DerefMut for WriteSet {
    fn deref_mut(&mut self) -> &mut [(Key, Op)] {
        &mut self.0
    }
}

impl<'s> IntoIterator for &'s WriteSet {
    type Item = &'s (Key, Op);
    type IntoIter = slice::Iter<'s, (Key, Op)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(key, op)| (key, op))).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn read() -> impl Strategy<Value = Read<Key>> {
        (0u8..9, any::<bool>()).prop_map(|(key, under)| {
            let key = Key::new(format!("k{key}")).unwrap();
            if under { Read::Under(key) } else { Read::Key(key) }
        })
    }

    #[test]
    fn an_iterator_that_panics_leaves_the_set_in_order() {
        let key = |name: &str| Read::Key(Key::new(name).unwrap());
        let mut set = ReadSet::from_iter([key("b")]);
        let reads = ["c", "a", ""].map(|name| move || key(name));
        let extend = || set.extend(reads.iter().map(|read| read()));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(extend)).is_err());
        assert!(set.is_sorted(), "{set:?}");
    }

    proptest! {
        #[test]
        fn a_read_set_is_a_set(parts in prop::collection::vec(prop::collection::vec(read(), 0..5), 0..5)) {
            let (mut set, mut model) = (ReadSet::new(), BTreeSet::new());
            for (turn, part) in parts.into_iter().enumerate() {
                if turn % 2 == 0 {
                    model.extend(part.iter().cloned());
                    set.extend(part);
                } else {
                    for read in part {
                        prop_assert_eq!(set.insert(read.clone()), model.insert(read));
                    }
                }
                prop_assert!(set.iter().eq(&model));
            }
        }
    }
}
