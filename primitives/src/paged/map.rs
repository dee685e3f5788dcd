//! The map itself, and when it is rebuilt.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::{Bound, Index, RangeBounds};
use std::sync::Arc;

use super::index::{Keys as Known, NONE, count_before};
use super::iter::{Iter, Keys, Values};
use super::pages::Pages;
use super::slot::Slot;
use super::tree::Tree;

/// So many added keys, or removed ones, are no reason for a rebuild.
const FEW: usize = 64;

/// An ordered map of which every version stays readable, made for many changes of values and fewer of keys.
///
/// [Cloning](Clone::clone) it makes a version of its own in O(1); both share all that neither has changed since. What it
/// is made of, what that costs, and when another map is better: see the [module](super).
///
/// ```
/// use queenright_primitives::paged::PagedMap;
///
/// let first: PagedMap<&str, u32> = [("bee", 1), ("wasp", 2)].into_iter().collect();
/// let mut second = first.clone();
/// second.insert("ant", 3);
/// second.remove("wasp");
/// assert_eq!(first.get("wasp"), Some(&2));
/// assert!(second.iter().eq([(&"ant", &3), (&"bee", &1)]));
/// ```
pub struct PagedMap<K, V, S = foldhash::fast::RandomState> {
    /// The keys of the last rebuild, which all versions since then share.
    known: Arc<Known<K, S>>,
    /// What those of them hold that hold something.
    pages: Pages<V>,
    /// How many do.
    held: usize,
    /// All entries with other keys.
    added: Tree<K, V>,
    /// Most keys that are not among those.
    not_added: Filter,
}

/// Tells of most keys that were never put into it that they were not (Bloom, *Space/time trade-offs in hash coding with allowable
/// errors*, 1970). With as many keys as are added without a rebuild to a small map it errs for one in twenty.
#[derive(Clone, Copy)]
struct Filter([u64; 8]);

impl Filter {
    const NONE: Filter = Filter([0; 8]);

    /// Where the two bits of a tag stand: a word and a mask for each.
    #[inline]
    fn bits(tag: u32) -> [(usize, u64); 2] {
        [tag >> 23, tag >> 14].map(|bits| ((bits as usize >> 6) & 7, 1 << (bits & 63)))
    }

    fn add(&mut self, tag: u32) {
        Self::bits(tag).into_iter().for_each(|(word, bit)| self.0[word] |= bit);
    }

    #[inline]
    fn may_hold(&self, tag: u32) -> bool {
        Self::bits(tag).into_iter().all(|(word, bit)| self.0[word] & bit != 0)
    }
}

impl<K, V> PagedMap<K, V> {
    /// An empty map with a hash key of its own.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<K, V, S> PagedMap<K, V, S> {
    /// An empty map that hashes with `hasher`, of whose hashes the upper 32 bits must tell keys apart.
    pub fn with_hasher(hasher: S) -> Self {
        let known = Arc::new(Known::none(hasher));
        PagedMap {
            known,
            pages: Pages::none(),
            held: 0,
            added: Tree::none(),
            not_added: Filter::NONE,
        }
    }

    /// How many keys hold a value. O(1).
    pub fn len(&self) -> usize {
        self.held + self.added.len()
    }

    /// Whether none does. O(1).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries in ascending order of their keys. As [`range`](Self::range).
    pub fn iter(&self) -> Iter<'_, K, V> {
        let known = &self.known.sorted;
        Iter::new(known, &self.pages, (0, known.len()), &self.added, (0, self.added.len()))
    }

    /// All keys in ascending order.
    pub fn keys(&self) -> Keys<'_, K, V> {
        Keys(self.iter())
    }

    /// All values in ascending order of their keys.
    pub fn values(&self) -> Values<'_, K, V> {
        Values(self.iter())
    }

    /// The entries between two keys, in ascending order; none if the first is the greater one.
    ///
    /// O(log n) to begin, then O(1) an entry, in pages; a removed key costs as much as an entry until the next rebuild.
    pub fn range<Q, R>(&self, range: R) -> Iter<'_, K, V>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
        R: RangeBounds<Q>,
    {
        let known = &self.known.sorted;
        let (from, to) = (range.start_bound(), range.end_bound());
        let is_before = |key: &K| match from {
            Bound::Unbounded => false,
            Bound::Included(from) => key.borrow() < from,
            Bound::Excluded(from) => key.borrow() <= from,
        };
        let is_inside = |key: &K| match to {
            Bound::Unbounded => true,
            Bound::Included(to) => key.borrow() <= to,
            Bound::Excluded(to) => key.borrow() < to,
        };
        let first = match from {
            Bound::Unbounded => 0,
            _ => known.partition_point(is_before),
        };
        let end = match to {
            Bound::Unbounded => known.len(),
            _ => first + count_before(&known[first..], is_inside),
        };
        let rank = |bound: Bound<&Q>, unbounded: usize, with_equal: bool| match bound {
            _ if self.added.len() == 0 => 0,
            Bound::Unbounded => unbounded,
            Bound::Included(key) | Bound::Excluded(key) => {
                let place = self.added.place(key);
                place.rank + usize::from(place.found && with_equal)
            }
        };
        let start = rank(from, 0, matches!(from, Bound::Excluded(_)));
        let stop = rank(to, self.added.len(), matches!(to, Bound::Included(_)));
        Iter::new(known, &self.pages, (first, end), &self.added, (start, stop.max(start)))
    }
}

impl<K, V, S: BuildHasher> PagedMap<K, V, S> {
    /// The value of a key. O(1), but O(log n) for one that was added since the last rebuild, and for none.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let tag = self.known.tag(key);
        match self.known.find_tagged(tag, key) {
            Some(id) => self.pages.get(id),
            None => self.get_added(tag, key).map(|(_, value)| value),
        }
    }

    /// An entry whose key was not there at the last rebuild.
    #[inline]
    fn get_added<Q>(&self, tag: u32, key: &Q) -> Option<&(K, V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        if self.not_added.may_hold(tag) { self.added.get(key) } else { None }
    }

    /// The values of many keys, in their order.
    ///
    /// As so many [`get`](Self::get)s; where the map is larger than the processor's cache, in a fraction of their time, as it waits for the
    /// memory of many keys at once.
    pub fn get_many(&self, keys: &[&K]) -> Vec<Option<&V>>
    where
        K: Ord + Hash,
    {
        self.get_many_at(keys, &self.slots(keys, |_| Slot::NONE))
    }

    /// The same for keys whose [slots](Self::slots) in this map are known, [`Slot::NONE`] for those that have none.
    pub fn get_many_at(&self, keys: &[&K], slots: &[Slot]) -> Vec<Option<&V>>
    where
        K: Ord + Hash,
    {
        let value = |(key, slot): (&&K, &Slot)| match self.number(*slot) {
            Some(number) => self.pages.get(number),
            None => self.get(*key),
        };
        keys.iter().zip(slots).map(value).collect()
    }

    /// Where a key is kept; [`Slot::NONE`] unless it was there at the last rebuild.
    #[inline]
    pub fn slot<Q>(&self, key: &Q) -> Slot
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.known.find(key).map_or(Slot::NONE, |number| self.numbered(number as u32))
    }

    /// Where many keys are kept. `remembered` says what their owners believe, and is asked first: only keys whose slots are of other maps, or
    /// of before the last rebuild, are searched for, all together.
    pub fn slots(&self, keys: &[&K], remembered: impl Fn(&K) -> Slot) -> Vec<Slot>
    where
        K: Eq + Hash,
    {
        let mut unknown = Vec::new();
        let known = |(place, key): (usize, &&K)| {
            let slot = remembered(key);
            if self.knows(slot) {
                return slot;
            }
            unknown.push(place);
            Slot::NONE
        };
        let mut slots: Vec<Slot> = keys.iter().enumerate().map(known).collect();
        if !unknown.is_empty() && !self.known.sorted.is_empty() {
            let searched: Vec<&K> = unknown.iter().map(|place| keys[*place]).collect();
            for (place, number) in unknown.into_iter().zip(self.known.find_each(&searched)) {
                slots[place] = if number == NONE { Slot::NONE } else { self.numbered(number) };
            }
        }
        slots
    }

    /// Whether a slot is one of this map.
    #[inline]
    pub fn knows(&self, slot: Slot) -> bool {
        self.number(slot).is_some()
    }

    /// What is held where a key is kept; `None` also for slots of other maps.
    #[inline]
    pub fn at(&self, slot: Slot) -> Option<&V> {
        self.pages.get(self.number(slot)?)
    }

    #[inline]
    fn numbered(&self, number: u32) -> Slot {
        match self.known.build {
            0 => Slot::NONE,
            build => Slot { build, number },
        }
    }

    #[inline]
    fn number(&self, slot: Slot) -> Option<usize> {
        (slot.build == self.known.build && slot.build != 0).then_some(slot.number as usize)
    }

    /// A key as the map has it, and its value. As [`get`](Self::get).
    pub fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        let tag = self.known.tag(key);
        match self.known.find_tagged(tag, key) {
            Some(id) => self.pages.get(id).map(|value| (&self.known.sorted[id], value)),
            None => self.get_added(tag, key).map(|(key, value)| (key, value)),
        }
    }

    /// Whether a key holds a value. As [`get`](Self::get).
    pub fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        self.get(key).is_some()
    }
}

impl<K, V, S> PagedMap<K, V, S>
where
    K: Clone + Ord + Hash,
    V: Clone,
    S: BuildHasher + Clone,
{
    /// The value of a key, for changes. O(1), or O(log n) as [`get`](Self::get); copies what other versions share.
    pub fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        match self.known.find(key) {
            Some(id) => match self.pages.get(id) {
                Some(_) => self.pages.place(id)?.as_mut(),
                None => None,
            },
            None => {
                let place = self.added.place(key);
                if place.found { self.added.value(&place) } else { None }
            }
        }
    }

    /// Lets a key hold a value, and returns what it held before. The map keeps the key that it had.
    ///
    /// O(1) for a key of the last rebuild, held or removed: one page and the few nodes above it are copied, if other
    /// versions share them. O(log n) for other keys, and a share of the next rebuild.
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let tag = self.known.tag(&key);
        if let Some(id) = self.known.find_tagged(tag, &key) {
            let before = self.pages.place(id)?.replace(value);
            self.held += usize::from(before.is_none());
            return before;
        }
        self.insert_added(tag, key, value)
    }

    /// The same for a key that was not there at the last rebuild; by itself, so that the usual case stays short.
    #[inline(never)]
    fn insert_added(&mut self, tag: u32, key: K, value: V) -> Option<V> {
        let mut place = self.added.place(&key);
        if place.found {
            return self.added.value(&place).map(|held| std::mem::replace(held, value));
        }
        if self.added.len() >= FEW.max(self.known.sorted.len() / 4) {
            self.rebuild();
            place = self.added.place(&key);
        }
        // First, so that a panic in a key's code leaves nothing that cannot be found.
        self.not_added.add(tag);
        self.added.insert(place, key, value);
        None
    }

    /// Lets a key hold what `change` makes of what it holds; `None` leaves that as it is. Says whether it was changed.
    ///
    /// As [`get`](Self::get) and then [`insert`](Self::insert), with one search for a key of the last rebuild. Nothing is
    /// copied unless it is changed.
    ///
    /// ```
    /// use queenright_primitives::paged::PagedMap;
    ///
    /// let mut bees: PagedMap<&str, u32> = [("queens", 1)].into_iter().collect();
    /// assert!(bees.update(&"workers", |held| Some(held.copied().unwrap_or(0) + 10)));
    /// assert!(!bees.update(&"queens", |held| held.is_none().then_some(1)));
    /// assert_eq!((bees["queens"], bees["workers"]), (1, 10));
    /// ```
    #[inline]
    pub fn update(&mut self, key: &K, change: impl FnOnce(Option<&V>) -> Option<V>) -> bool {
        let tag = self.known.tag(key);
        let id = self.known.find_tagged(tag, key);
        let held = match id {
            Some(id) => self.pages.get(id),
            None => self.get_added(tag, key).map(|(_, value)| value),
        };
        let Some(value) = change(held) else { return false };
        match id.and_then(|id| self.pages.place(id)) {
            Some(place) => self.held += usize::from(place.replace(value).is_none()),
            None => drop(self.insert_added(tag, key.clone(), value)),
        }
        true
    }

    /// Lets each of many *different* keys hold what `change` makes of its place in `keys` and of what it holds; `None` leaves that as it is.
    /// Says how many were changed.
    ///
    /// As so many [`update`](Self::update)s, in another order; where the map is larger than the processor's cache, in a fraction of their time,
    /// as it waits for the memory of many keys at once.
    ///
    /// ```
    /// use queenright_primitives::paged::PagedMap;
    ///
    /// let mut bees: PagedMap<&str, u32> = [("queens", 1)].into_iter().collect();
    /// let by = [0, 10];
    /// let changed = bees.update_many(&[&"queens", &"workers"], |place, held| {
    ///     (by[place] > 0).then(|| held.copied().unwrap_or(0) + by[place])
    /// });
    /// assert_eq!((changed, bees["queens"], bees["workers"]), (1, 1, 10));
    /// ```
    pub fn update_many(
        &mut self,
        keys: &[&K],
        change: impl FnMut(usize, Option<&V>) -> Option<V>,
    ) -> usize {
        let slots = self.slots(keys, |_| Slot::NONE);
        self.update_many_at(keys, &slots, change)
    }

    /// The same for keys whose [slots](Self::slots) in this map are known, [`Slot::NONE`] for those that have none.
    pub fn update_many_at(
        &mut self,
        keys: &[&K],
        slots: &[Slot],
        mut change: impl FnMut(usize, Option<&V>) -> Option<V>,
    ) -> usize {
        // Looks at each value, so that it is in the cache when its turn comes.
        let held: Vec<bool> = slots.iter().map(|slot| self.at(*slot).is_some()).collect();
        let mut changed = 0;
        for (place, (slot, held)) in slots.iter().zip(held).enumerate() {
            let Some(number) = self.number(*slot) else { continue };
            if let Some(value) = change(place, self.pages.get(number))
                && let Some(place) = self.pages.place(number)
            {
                *place = Some(value);
                self.held += usize::from(!held);
                changed += 1;
            }
        }
        // At last, as these may number all keys anew.
        let build = self.known.build;
        for (place, _) in
            slots.iter().enumerate().filter(|(_, slot)| slot.build != build || build == 0)
        {
            changed += usize::from(self.update(keys[place], |value| change(place, value)));
        }
        changed
    }

    /// Lets a key hold nothing, and returns what it held before. As [`insert`](Self::insert).
    pub fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Ord + Hash + ?Sized,
    {
        // Before anything is removed, so that a panic in a key's or a value's code takes nothing away.
        let dead = self.known.sorted.len() - self.held;
        if dead >= FEW.max(self.len()) && self.contains_key(key) {
            self.rebuild();
        }
        match self.known.find(key) {
            Some(id) => {
                self.pages.get(id)?;
                let before = self.pages.place(id)?.take();
                self.held -= 1;
                before
            }
            None => {
                let place = self.added.place(key);
                if place.found { self.added.remove(place).map(|entry| entry.1) } else { None }
            }
        }
    }

    /// Gives all entries numbers in order of their keys and forgets all other keys.
    fn rebuild(&mut self) {
        *self = self.with(Vec::new());
    }

    /// A map of all entries and of further ones, which are in ascending order and win.
    fn with(&self, further: Vec<(K, V)>) -> Self {
        let known = self.known.sorted.iter().zip(&self.known.tags);
        let known = known.zip(self.pages.iter(self.known.sorted.len()));
        let known = known.filter_map(|((key, tag), value)| Some((key, value.as_ref()?, *tag)));
        let added = Iter::new(&[], &self.pages, (0, 0), &self.added, (0, self.added.len()));
        let added = added.map(|(key, value)| (key, value, self.known.tag(key)));
        let (mut known, mut added) = (known.peekable(), added.peekable());
        let mut both = std::iter::from_fn(|| match (known.peek(), added.peek()) {
            (Some(one), Some(other)) if one.0 > other.0 => added.next(),
            (Some(_), _) => known.next(),
            (None, _) => added.next(),
        })
        .peekable();

        let most = self.len() + further.len();
        let (mut keys, mut values, mut tags) =
            (Vec::with_capacity(most), Vec::with_capacity(most), Vec::with_capacity(most));
        let mut push = |key: K, value: V, tag: u32| {
            keys.push(key);
            values.push(value);
            tags.push(tag);
        };
        for (key, value) in further {
            while let Some((key, value, tag)) = both.next_if(|entry| *entry.0 < key) {
                push(key.clone(), value.clone(), tag);
            }
            match both.next_if(|entry| *entry.0 == key) {
                Some((known, _, tag)) => push(known.clone(), value, tag),
                None => {
                    let tag = self.known.tag(&key);
                    push(key, value, tag);
                }
            }
        }
        both.for_each(|(key, value, tag)| push(key.clone(), value.clone(), tag));
        PagedMap {
            held: keys.len(),
            known: Arc::new(Known::of(self.known.hasher.clone(), keys, tags)),
            pages: Pages::of(values),
            added: Tree::none(),
            not_added: Filter::NONE,
        }
    }
}

impl<K, V, S> Extend<(K, V)> for PagedMap<K, V, S>
where
    K: Clone + Ord + Hash,
    V: Clone,
    S: BuildHasher + Clone,
{
    /// As many [`insert`](PagedMap::insert)s; for half as many entries as the map has or more, one rebuild: O(n + m log m).
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        let mut further: Vec<(K, V)> = entries.into_iter().collect();
        if further.len() < FEW.max(self.len() / 2) {
            return further.into_iter().for_each(|(key, value)| drop(self.insert(key, value)));
        }
        further.sort_by(|one, other| one.0.cmp(&other.0));
        further.dedup_by(|later, before| {
            let same = later.0 == before.0;
            if same {
                std::mem::swap(later, before);
            }
            same
        });
        *self = self.with(further);
    }
}

impl<K, V, S> FromIterator<(K, V)> for PagedMap<K, V, S>
where
    K: Clone + Ord + Hash,
    V: Clone,
    S: BuildHasher + Clone + Default,
{
    /// O(n log n). Of entries with one key the last stays.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        map.extend(entries);
        map
    }
}

/// O(1): a reference count for each part and for each child of the pages' root, 18 at most.
impl<K, V, S> Clone for PagedMap<K, V, S> {
    fn clone(&self) -> Self {
        PagedMap {
            known: Arc::clone(&self.known),
            pages: self.pages.clone(),
            held: self.held,
            added: self.added.clone(),
            not_added: self.not_added,
        }
    }
}

impl<K, V, S: Default> Default for PagedMap<K, V, S> {
    fn default() -> Self {
        Self::with_hasher(S::default())
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug, S> fmt::Debug for PagedMap<K, V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<K: Ord, V: PartialEq, S> PartialEq for PagedMap<K, V, S> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Ord, V: Eq, S> Eq for PagedMap<K, V, S> {}

impl<'a, K: Ord, V, S> IntoIterator for &'a PagedMap<K, V, S> {
    type Item = (&'a K, &'a V);
    type IntoIter = Iter<'a, K, V>;
    fn into_iter(self) -> Iter<'a, K, V> {
        self.iter()
    }
}

impl<K, V, S, Q> Index<&Q> for PagedMap<K, V, S>
where
    K: Borrow<Q>,
    Q: Ord + Hash + ?Sized,
    S: BuildHasher,
{
    type Output = V;

    /// # Panics
    /// If the key holds no value.
    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("a key that holds a value")
    }
}

#[cfg(test)]
mod tests;
