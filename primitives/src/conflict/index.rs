//! The index of what was accepted.

use std::hash::BuildHasher;
use std::iter;

use super::ids::Ids;
use super::{Clash, Footprint, Position, Rule};
use crate::flat::{FlatMap, NONE};
use crate::proposal::{Hierarchy, Mode, Read, Write};

/// What the accepted proposals read and wrote, by key.
///
/// If `Hash`, `Eq` or `parent` of a key panics, what the index says is unspecified until it is [cleared](Self::clear).
///
/// ```
/// use queenright_primitives::conflict::{ConflictIndex, Footprint, Position, Rule};
/// use queenright_primitives::proposal::{Mode, Read, Write};
///
/// let mut index = ConflictIndex::<&str, ()>::new();
/// let set_port = [Write { key: "server/port", mode: Mode::Exclusive }];
/// let first = Footprint { reads: &[], writes: &set_port };
/// assert_eq!(index.try_admit(0, first), Ok(Position::Back));
///
/// let clash = index.try_admit(1, first).unwrap_err();
/// assert_eq!((clash.with, clash.rule), (0, Rule::WriteWrite));
///
/// // Reading everything under `server` while another writes there: fine, it goes first.
/// let reader = Footprint { reads: &[Read::Under("server")], writes: &[] };
/// assert_eq!(index.try_admit(2, reader), Ok(Position::Front));
/// ```
#[derive(Clone, Debug)]
pub struct ConflictIndex<K, M, S = foldhash::fast::RandomState> {
    /// Keys of candidates that were not accepted stand here too, untouched.
    touched: FlatMap<K, Touched<M>, S>,
    /// The numbers among those of keys that have ids.
    ids: Ids,
    /// What was done to the prefixes of keys. Nothing is, unless somebody reads a prefix.
    prefixes: FlatMap<K, Prefix, S>,
    /// The number that each of the accepted was admitted under.
    accepted: Vec<usize>,
    /// Of how many keys the prefixes know whether they are written.
    told: usize,
    /// Which of those were written since.
    written_since: Vec<u32>,
    /// How many entries are settled. Those behind them are keys that the last candidate brought, and say what is to be said if
    /// it is accepted; unless it is, they are wiped before the next one.
    settled: usize,
    /// The settled entries that change if the candidate is accepted: those that it writes first, and those that it reads.
    to_write: Vec<(u32, Mode<M>)>,
    to_read: Vec<u32>,
}

/// The number of a key in one [`ConflictIndex`], until that is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyNumber(u32);

/// A [`Footprint`] whose keys were [numbered](ConflictIndex::number) before.
#[derive(Clone, Copy, Debug)]
pub struct Numbered<'a, K, M> {
    /// The keys that are read.
    pub reads: &'a [KeyNumber],
    /// The prefixes that are read.
    pub under: &'a [K],
    /// The keys that are written, each once.
    pub writes: &'a [(KeyNumber, Mode<M>)],
}

/// What the accepted did at one key: who did it first, by place in `accepted`, or [`NONE`].
///
/// Two whole words, as it is copied in these: of less, a part would be written in smaller pieces than it is read in right after, which a
/// processor has to wait for.
#[derive(Clone, Copy, Debug)]
#[repr(align(8))]
struct Touched<M> {
    written: u32,
    read: u32,
    /// How it was written, if it was.
    mode: Mode<M>,
}

/// What the accepted did at and under a prefix: who did it first, by place in `accepted`, or [`NONE`].
#[derive(Clone, Copy, Debug)]
struct Prefix {
    written: u32,
    read: u32,
}

impl<K: Hierarchy, M: Copy + Eq> ConflictIndex<K, M> {
    /// An empty index with a hash key of its own.
    pub fn new() -> Self {
        Self::with_hasher(foldhash::fast::RandomState::default())
    }
}

impl<K: Hierarchy, M: Copy + Eq> Default for ConflictIndex<K, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hierarchy, M: Copy + Eq, S: BuildHasher + Clone> ConflictIndex<K, M, S> {
    /// An empty index that hashes with `hasher`.
    pub fn with_hasher(hasher: S) -> Self {
        ConflictIndex {
            ids: Ids::with_hasher(&hasher),
            touched: FlatMap::with_hasher(hasher.clone()),
            prefixes: FlatMap::with_hasher(hasher),
            accepted: Vec::new(),
            told: 0,
            written_since: Vec::new(),
            settled: 0,
            to_write: Vec::new(),
            to_read: Vec::new(),
        }
    }
}

impl<K: Hierarchy, M: Copy + Eq, S: BuildHasher> ConflictIndex<K, M, S> {
    /// Forgets everything but keeps the memory. A byte is written for each two keys there were.
    pub fn clear(&mut self) {
        self.touched.clear();
        self.ids.clear();
        self.prefixes.clear();
        self.accepted.clear();
        self.told = 0;
        self.written_since.clear();
        self.settled = 0;
    }

    /// Makes room for so many more keys.
    pub fn reserve(&mut self, keys: usize) {
        self.touched.reserve(keys);
        self.ids.reserve(keys);
    }

    /// Gives back memory beyond what so many keys need, or as many as are recorded.
    pub fn shrink_to(&mut self, keys: usize) {
        self.touched.shrink_to(keys);
        self.ids.shrink_to(keys);
        self.prefixes.shrink_to(keys);
        self.accepted.shrink_to(keys);
        self.written_since.shrink_to(keys);
        self.to_write.shrink_to(keys);
        self.to_read.shrink_to(keys);
    }

    /// Records an accepted proposal under the number `who`, without checking it.
    pub fn admit(&mut self, who: usize, accepted: Footprint<'_, K, M>) {
        self.begin(accepted);
        for write in accepted.writes {
            let (number, _) = self.number_of(write.key, || Touched::NOT);
            self.to_write.push((number, write.mode));
        }
        for key in keys_of(accepted.reads) {
            let (number, _) = self.number_of(key, || Touched::NOT);
            self.to_read.push(number);
        }
        self.record(who, accepted);
    }

    /// Looks whether a candidate can stand with those admitted, and where; if so, records it under the number `who`. O(its keys), and × depth if
    /// prefixes are read.
    ///
    /// # Errors
    /// The first [`Clash`], writes before reads, in the order of the footprint; nothing is recorded then.
    #[inline]
    pub fn try_admit(
        &mut self,
        who: usize,
        candidate: Footprint<'_, K, M>,
    ) -> Result<Position, Clash<K>> {
        let position = self.position(candidate)?;
        self.record(who, candidate);
        Ok(position)
    }

    /// Gives numbers to keys, under which they can be named until the index is cleared; they are appended in the order of the keys.
    ///
    /// Numbering the keys of many candidates before the first is checked pays where their order is not the one in which they
    /// lie in memory: what is looked at then is small.
    pub fn number(&mut self, keys: &[K], numbers: &mut Vec<KeyNumber>) {
        self.forget_candidate();
        numbers.reserve(keys.len());
        let mut numbered = 0;
        // Those in a row that have ids, and those that have none.
        while let Some(first) = keys.get(numbered) {
            let has_id = first.id().is_some();
            let run = keys[numbered..].iter().take_while(|key| key.id().is_some() == has_id);
            let run = &keys[numbered..numbered + run.count()];
            numbered += run.len();
            if has_id {
                self.number_by_id(run, numbers);
            } else {
                let number = |number| numbers.push(KeyNumber(number));
                self.touched.numbers_of(run, || Touched::NOT, number);
            }
        }
        self.settled = self.touched.len();
    }

    /// The number of a key, if it was given one or is touched by an accepted proposal. Of a batch of which all that is written has numbers, what
    /// has none is written by nobody: to read it cannot conflict.
    #[inline]
    pub fn numbered(&self, key: &K) -> Option<KeyNumber> {
        match key.id() {
            Some(id) => self.ids.get(id),
            None => self.touched.number(key),
        }
        .map(KeyNumber)
    }

    /// As [`number`](Self::number), for keys that have ids.
    fn number_by_id(&mut self, keys: &[K], numbers: &mut Vec<KeyNumber>) {
        self.ids.reserve(keys.len());
        let known = self.touched.len();
        let mut added = Vec::with_capacity(keys.len());
        let number = |key: &K| {
            let next = (known + added.len()) as u32;
            let number = self.ids.number_of(key.id().unwrap_or(NONE), next);
            if number == next {
                added.push(*key);
            }
            KeyNumber(number)
        };
        numbers.extend(keys.iter().map(number));
        // All at once: each by itself would be put together on the stack first.
        self.touched.append_all(added.into_iter().map(|key| (key, Touched::NOT)));
    }

    /// The number of a key, and whether it was known; if it was not, it is added with the value of `new`. There must be room for one without an id.
    #[inline]
    fn number_of(&mut self, key: K, new: impl FnOnce() -> Touched<M>) -> (u32, bool) {
        let Some(id) = key.id() else {
            let (number, known) = self.touched.number_of(key, new);
            return (number, known.is_some());
        };
        self.ids.reserve(1);
        let next = self.touched.len() as u32;
        let number = self.ids.number_of(id, next);
        if number == next {
            self.touched.append_all(iter::once((key, new())));
        }
        (number, number != next)
    }

    /// Looks at what is known of keys, and says nothing: done for those of several candidates before the first of them is checked, it brings
    /// their memory into the cache together, not one after the other.
    ///
    /// # Panics
    /// As [`check_numbered`](Self::check_numbered).
    #[inline]
    pub fn look_ahead(&self, keys: impl Iterator<Item = KeyNumber>) {
        let known = |number: KeyNumber| self.touched.value(number.0).written;
        std::hint::black_box(keys.fold(0, |all, number| all ^ known(number)));
    }

    /// Looks whether a candidate can stand with those admitted, and where, by keys that have numbers. Whoever has looked further may
    /// [admit](Self::admit_numbered) it. O(its keys), and × depth if prefixes are read.
    ///
    /// # Errors
    /// The first [`Clash`]: writes before keys that are read, and those before prefixes.
    ///
    /// # Panics
    /// A number that this index did not give since it was cleared may be out of its range.
    #[inline]
    pub fn check_numbered(&mut self, candidate: Numbered<'_, K, M>) -> Result<Position, Clash<K>> {
        self.forget_candidate();
        let mut writes_read = false;
        for (number, mode) in candidate.writes {
            let touched = self.touched.value(number.0);
            if touched.written != NONE && !touched.mode.goes_with(mode) {
                return Err(self.clash(touched.written, *number, Rule::WriteWrite));
            }
            writes_read |= touched.read != NONE;
        }
        let writer = |number: &&KeyNumber| self.touched.value(number.0).written;
        let read = candidate.reads.iter().find(|number| writer(number) != NONE);
        let of_key = read.map(|number| self.clash(writer(&number), *number, Rule::ReadWrite));
        let Some(clash) = of_key.or_else(|| self.clash_under(candidate.under)) else {
            return Ok(Position::Back);
        };
        let key = |write: &(KeyNumber, Mode<M>)| self.touched.entry(write.0.0).0;
        if writes_read || self.is_any_under_read(candidate.writes.iter().map(key)) {
            return Err(clash);
        }
        Ok(Position::Front)
    }

    fn clash(&self, with: u32, key: KeyNumber, rule: Rule) -> Clash<K> {
        Clash { with: self.accepted[with as usize], key: self.touched.entry(key.0).0, rule }
    }

    /// The first prefix under which an accepted one writes.
    fn clash_under(&mut self, prefixes: &[K]) -> Option<Clash<K>> {
        let mut written = |prefix: &K| Some(self.written_under(prefix)).filter(|it| *it != NONE);
        let (writer, prefix) = prefixes.iter().find_map(|it| Some((written(it)?, it)))?;
        let with = self.accepted[writer as usize];
        Some(Clash { with, key: *prefix, rule: Rule::ReadWrite })
    }

    /// As [`admit`](Self::admit), of keys that have numbers.
    ///
    /// # Panics
    /// As [`check_numbered`](Self::check_numbered).
    #[inline]
    pub fn admit_numbered(&mut self, who: usize, accepted: Numbered<'_, K, M>) {
        self.forget_candidate();
        let place = self.accepted.len() as u32;
        self.accepted.push(who);
        for &(number, mode) in accepted.writes {
            self.write_first(number.0, mode, place);
        }
        for number in accepted.reads {
            self.touched.value_mut(number.0).read.set_first(place);
        }
        for prefix in accepted.under {
            self.prefix_mut(*prefix).read.set_first(place);
        }
    }

    /// Forgets the last candidate, if it was not accepted.
    #[inline]
    fn forget_candidate(&mut self) {
        if self.settled < self.touched.len() {
            self.touched.values_from(self.settled).for_each(|touched| *touched = Touched::NOT);
            self.settled = self.touched.len();
        }
    }

    /// Forgets the last candidate, if it was not accepted, and makes room for this one.
    #[inline]
    fn begin(&mut self, candidate: Footprint<'_, K, M>) {
        self.forget_candidate();
        self.to_write.clear();
        self.to_read.clear();
        self.touched.reserve(candidate.writes.len() + candidate.reads.len());
    }

    /// Where a candidate can go. What is to be changed if it is accepted is left behind.
    #[inline]
    fn position(&mut self, candidate: Footprint<'_, K, M>) -> Result<Position, Clash<K>> {
        self.begin(candidate);
        let place = self.accepted.len() as u32;
        let mut writes_read = false;
        for write in candidate.writes {
            let as_written = || Touched { written: place, read: NONE, mode: write.mode };
            let (number, is_known) = self.number_of(write.key, as_written);
            if is_known {
                writes_read |= self.write_again(number, write)?;
            }
        }
        if candidate.reads.is_empty() {
            return Ok(Position::Back);
        }
        match self.first_read_of_written(candidate.reads, place) {
            None => Ok(Position::Back),
            Some((key, writer))
                if writes_read
                    || self.is_any_under_read(candidate.writes.iter().map(|write| write.key)) =>
            {
                Err(Clash { with: self.accepted[writer as usize], key, rule: Rule::ReadWrite })
            }
            Some(_) => Ok(Position::Front),
        }
    }

    /// The candidate writes a key that was there before. Says whether an accepted proposal reads it.
    #[inline]
    fn write_again(&mut self, number: u32, write: &Write<K, M>) -> Result<bool, Clash<K>> {
        let touched = self.touched.value(number);
        match self.accepted.get(touched.written as usize) {
            None if touched.written == NONE => self.to_write.push((number, write.mode)),
            Some(&with) if !touched.mode.goes_with(&write.mode) => {
                return Err(Clash { with, key: write.key, rule: Rule::WriteWrite });
            }
            // It goes with the accepted, or the candidate names the key twice.
            _ => {}
        }
        Ok(touched.read != NONE)
    }

    /// The first that an accepted proposal writes, and which one does.
    fn first_read_of_written(&mut self, reads: &[Read<K>], place: u32) -> Option<(K, u32)> {
        let mut first = None;
        for read in reads {
            let writer = match read {
                Read::Key(key) => {
                    let as_read = || Touched { written: NONE, read: place, mode: Mode::Exclusive };
                    let (number, is_known) = self.number_of(*key, as_read);
                    if is_known {
                        self.to_read.push(number);
                    }
                    self.touched.value(number).written
                }
                Read::Under(prefix) => self.written_under(prefix),
            };
            // What it writes itself counts as not written.
            if first.is_none() && writer < place {
                first = Some((*read.key(), writer));
            }
        }
        first
    }

    /// The first who wrote a key at or under a prefix, or [`NONE`].
    #[cold]
    fn written_under(&mut self, prefix: &K) -> u32 {
        self.tell_prefixes();
        self.prefixes.get(&prefix.as_prefix()).map_or(NONE, |prefix| prefix.written)
    }

    /// Whether an accepted proposal reads a prefix of one of these keys.
    fn is_any_under_read(&self, mut keys: impl Iterator<Item = K>) -> bool {
        let is_read = |prefix: K| self.prefixes.get(&prefix).is_some_and(|it| it.read != NONE);
        self.prefixes.len() > 0
            && keys
                .any(|key| iter::successors(Some(key.as_prefix()), |key| key.parent()).any(is_read))
    }

    /// Tells the prefixes of what was written that it was.
    fn tell_prefixes(&mut self) {
        while let Some(&number) = self.written_since.last() {
            self.tell_prefixes_of(number);
            self.written_since.pop();
        }
        while self.told < self.settled {
            self.tell_prefixes_of(self.told as u32);
            self.told += 1;
        }
    }

    fn tell_prefixes_of(&mut self, number: u32) {
        let (key, touched) = self.touched.entry(number);
        // `NONE` is larger than all others.
        let writer = touched.written;
        for prefix in iter::successors(Some(key.as_prefix()), |key| key.parent()) {
            let above = self.prefix_mut(prefix);
            above.written = above.written.min(writer);
        }
    }

    fn prefix_mut(&mut self, prefix: K) -> &mut Prefix {
        self.prefixes.reserve(1);
        let (number, _) =
            self.prefixes.number_of(prefix.as_prefix(), || Prefix { written: NONE, read: NONE });
        self.prefixes.value_mut(number)
    }

    /// Records that a key is written, if it was not.
    #[inline]
    fn write_first(&mut self, number: u32, mode: Mode<M>, place: u32) {
        let touched = self.touched.value_mut(number);
        if touched.written == NONE {
            (touched.written, touched.mode) = (place, mode);
            if (number as usize) < self.told {
                self.written_since.push(number);
            }
        }
    }

    /// Records the candidate.
    #[inline]
    fn record(&mut self, who: usize, accepted: Footprint<'_, K, M>) {
        let place = self.accepted.len() as u32;
        self.accepted.push(who);
        self.settled = self.touched.len();
        for at in 0..self.to_write.len() {
            let (number, mode) = self.to_write[at];
            self.write_first(number, mode, place);
        }
        for &number in &self.to_read {
            self.touched.value_mut(number).read.set_first(place);
        }
        for read in accepted.reads {
            if let Read::Under(prefix) = read {
                self.prefix_mut(*prefix).read.set_first(place);
            }
        }
    }
}

fn keys_of<K: Copy>(reads: &[Read<K>]) -> impl Iterator<Item = K> {
    reads.iter().filter_map(Read::as_key).copied()
}

impl<M> Touched<M> {
    const NOT: Self = Touched { written: NONE, read: NONE, mode: Mode::Exclusive };
}

/// Only the first counts.
trait SetFirst {
    fn set_first(&mut self, place: u32);
}

impl SetFirst for u32 {
    #[inline]
    fn set_first(&mut self, place: u32) {
        if *self == NONE {
            *self = place;
        }
    }
}
