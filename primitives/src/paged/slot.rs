//! Where a key is kept.

/// Where a [`PagedMap`](super::PagedMap) keeps a key: valid in all versions of the map that have the same known keys, and known in no other map of
/// this process. Whoever keeps one finds the key again without a search.
///
/// ```
/// use queenright_primitives::paged::PagedMap;
///
/// let first: PagedMap<u32, &str> = (0..100).map(|key| (key, "first")).collect();
/// let slot = first.slot(&7);
/// let mut second = first.clone();
/// second.insert(7, "second");
/// assert_eq!((first.at(slot), second.at(slot)), (Some(&"first"), Some(&"second")));
///
/// let other: PagedMap<u32, &str> = (0..100).map(|key| (key, "other")).collect();
/// assert!(!other.knows(slot) && other.at(slot).is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slot {
    /// Which keys those of the map are; 0 for none.
    pub(super) build: u32,
    /// The number among them.
    pub(super) number: u32,
}

impl Slot {
    /// That of no key.
    pub const NONE: Slot = Slot { build: 0, number: 0 };

    /// The number of the key among the known ones, from 0 in their order; `None` for the slot of no key.
    #[inline]
    pub fn number(self) -> Option<u32> {
        (self.build != 0).then_some(self.number)
    }

    /// Whether two keys are the same one, if their slots tell: those of one map do.
    ///
    /// ```
    /// use queenright_primitives::paged::{PagedMap, Slot};
    ///
    /// let map: PagedMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
    /// let [one, two] = [1, 2].map(|key| map.slot(&key));
    /// assert_eq!((one.is_same(one), one.is_same(two)), (Some(true), Some(false)));
    /// assert_eq!(one.is_same(Slot::NONE), None);
    /// ```
    #[inline]
    pub fn is_same(self, other: Slot) -> Option<bool> {
        (self.build == other.build && self.build != 0).then_some(self.number == other.number)
    }
}
