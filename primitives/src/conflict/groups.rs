//! All conflicts of a batch, by key.

use std::hash::BuildHasher;
use std::iter;

use super::Footprint;
use crate::flat::{FlatMap, NONE};
use crate::proposal::{Hierarchy, Mode, Read, Write};

/// Finds which proposals of a batch stand in each other's way, and where. Keeps its memory from one batch to the next.
///
/// Two proposals meet at a key if both write it and the writes do not go together, or if one writes it and the other reads it; and at a
/// prefix, if one reads the prefix and the other writes the key that it names or one below. That need not keep them from being
/// accepted together: [`greedy`](super::greedy) says which are.
///
/// ```
/// use queenright_primitives::conflict::{ConflictGroups, Footprint, Meeting};
/// use queenright_primitives::proposal::{Mode, Read, Write};
///
/// let write = |key| [Write::<_, ()> { key, mode: Mode::Exclusive }];
/// let (port, host) = (write("server/port"), write("server/host"));
/// let all = [Read::Under("server")];
/// let batch = [
///     Footprint { reads: &[], writes: &port },
///     Footprint { reads: &[], writes: &port },
///     Footprint { reads: &all, writes: &[] },
///     Footprint { reads: &[], writes: &host },
/// ];
/// let mut finder = ConflictGroups::new();
/// let found = finder.find(&batch);
/// let places: Vec<_> = found.groups().map(|group| (*group.key(), group.members().count())).collect();
/// assert_eq!(places, [("server/port", 2), ("server", 4)]);
/// let pairs: Vec<_> = found.pairs().map(|pair| (pair.first, pair.second, pair.meeting)).collect();
/// assert_eq!(pairs[0], (0, 1, Meeting::Writes));
/// assert_eq!(pairs[1..].len(), 3, "each write with the one who reads all of them");
/// ```
#[derive(Clone, Debug)]
pub struct ConflictGroups<K, M, S = foldhash::fast::RandomState> {
    keys: FlatMap<K, Met<M>, S>,
    /// The prefixes that somebody reads.
    prefixes: FlatMap<K, Met<M>, S>,
    accesses: Vec<Access<M>>,
}

/// Who met at one key or prefix.
#[derive(Clone, Copy, Debug)]
struct Met<M> {
    /// The first and the last access, by place in `accesses`.
    first: u32,
    last: u32,
    writers: Few,
    readers: Few,
    /// How the first writer writes it.
    mode: Mode<M>,
    /// Whether another writes it in a way that does not go with the first's: then some two do not go together.
    clash: bool,
}

/// None, one, or more than one proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Few {
    None,
    One(u32),
    More,
}

impl Few {
    fn add(&mut self, proposal: u32) {
        *self = match *self {
            Few::None => Few::One(proposal),
            Few::One(other) if other == proposal => Few::One(proposal),
            _ => Few::More,
        };
    }
}

#[derive(Clone, Copy, Debug)]
struct Access<M> {
    proposal: u32,
    /// How it writes; `None` if it reads.
    write: Option<Mode<M>>,
    /// The next at this key.
    next: u32,
}

impl<M> Met<M> {
    fn nobody() -> Self {
        Met {
            first: NONE,
            last: NONE,
            writers: Few::None,
            readers: Few::None,
            mode: Mode::Exclusive,
            clash: false,
        }
    }

    /// Notes that a proposal reads or writes here.
    #[inline]
    fn meet(&mut self, accesses: &mut Vec<Access<M>>, proposal: u32, write: Option<Mode<M>>)
    where
        M: Copy + Eq,
    {
        match write {
            None => self.readers.add(proposal),
            Some(mode) => {
                if self.writers == Few::None {
                    self.mode = mode;
                } else if self.writers != Few::One(proposal) && !self.mode.goes_with(&mode) {
                    self.clash = true;
                }
                self.writers.add(proposal);
            }
        }
        let place = accesses.len() as u32;
        match accesses.get_mut(self.last as usize) {
            Some(last) => last.next = place,
            None => self.first = place,
        }
        self.last = place;
        accesses.push(Access { proposal, write, next: NONE });
    }

    fn is_group(&self) -> bool {
        self.clash
            || match (self.writers, self.readers) {
                (Few::None, _) | (_, Few::None) => false,
                (Few::One(writer), Few::One(reader)) => writer != reader,
                _ => true,
            }
    }
}

impl<K: Hierarchy, M: Copy + Eq> ConflictGroups<K, M> {
    /// With a hash key of its own.
    pub fn new() -> Self {
        Self::with_hasher(foldhash::fast::RandomState::default())
    }
}

impl<K: Hierarchy, M: Copy + Eq> Default for ConflictGroups<K, M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Hierarchy, M: Copy + Eq, S: BuildHasher + Clone> ConflictGroups<K, M, S> {
    /// Hashes with `hasher`.
    pub fn with_hasher(hasher: S) -> Self {
        ConflictGroups {
            keys: FlatMap::with_hasher(hasher.clone()),
            prefixes: FlatMap::with_hasher(hasher),
            accesses: Vec::new(),
        }
    }
}

impl<K: Hierarchy, M: Copy + Eq, S: BuildHasher> ConflictGroups<K, M, S> {
    /// Looks through a batch, each of whose proposals writes a key once at most. O(its keys), and × depth if prefixes are read.
    pub fn find<'a>(&mut self, batch: &[Footprint<'a, K, M>]) -> Conflicts<'_, K, M, S>
    where
        K: 'a,
        M: 'a,
    {
        self.keys.clear();
        self.prefixes.clear();
        self.accesses.clear();
        for (proposal, footprint) in (0..).zip(batch) {
            self.keys.reserve(footprint.writes.len() + footprint.reads.len());
            for write in footprint.writes {
                let (number, _) = self.keys.number_of(write.key, Met::nobody);
                let met = self.keys.value_mut(number);
                met.meet(&mut self.accesses, proposal, Some(write.mode));
            }
            for read in footprint.reads {
                let (at, key) = match read {
                    Read::Key(key) => (&mut self.keys, *key),
                    Read::Under(prefix) => {
                        self.prefixes.reserve(1);
                        (&mut self.prefixes, prefix.as_prefix())
                    }
                };
                let (number, _) = at.number_of(key, Met::nobody);
                at.value_mut(number).meet(&mut self.accesses, proposal, None);
            }
        }
        if self.prefixes.len() > 0 {
            let writes = |(proposal, footprint): (u32, &Footprint<'a, K, M>)| {
                footprint.writes.iter().map(move |write| (proposal, *write))
            };
            for (proposal, write) in (0..).zip(batch).flat_map(writes) {
                self.meet_readers_of_prefixes(proposal, &write);
            }
        }
        Conflicts { found: self }
    }

    fn meet_readers_of_prefixes(&mut self, proposal: u32, write: &Write<K, M>) {
        for prefix in iter::successors(Some(write.key.as_prefix()), |key| key.parent()) {
            if let Some(number) = self.prefixes.number(&prefix) {
                let met = self.prefixes.value_mut(number);
                met.meet(&mut self.accesses, proposal, Some(write.mode));
            }
        }
    }

    /// Gives back memory beyond what so many keys need.
    pub fn shrink_to(&mut self, keys: usize) {
        self.keys.shrink_to(keys);
        self.prefixes.shrink_to(keys);
        self.accesses.shrink_to(keys);
    }
}

/// What [`ConflictGroups::find`] has found.
#[derive(Clone, Copy, Debug)]
pub struct Conflicts<'f, K, M, S = foldhash::fast::RandomState> {
    found: &'f ConflictGroups<K, M, S>,
}

/// The proposals that meet at one key or prefix.
#[derive(Clone, Copy, Debug)]
pub struct Group<'f, K, M> {
    read: Read<&'f K>,
    met: &'f Met<M>,
    accesses: &'f [Access<M>],
}

/// A proposal of a [`Group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Member<M> {
    /// The proposal, by its place in the batch. One that reads and writes the key comes twice.
    pub proposal: usize,
    /// How it writes the key, or one under the prefix; `None` if it reads it.
    pub write: Option<Mode<M>>,
}

/// Two proposals that meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Pair<K> {
    /// The one, by its place in the batch. If one of the two reads, the other.
    pub first: usize,
    /// The other.
    pub second: usize,
    /// Where.
    pub key: K,
    /// How.
    pub meeting: Meeting,
}

/// How two proposals meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Meeting {
    /// Both write the key, and the writes do not go together.
    Writes,
    /// The first writes the key that the second reads.
    WriteAndRead,
    /// The first writes the key or one below it, and the second reads it as a prefix.
    WriteUnderRead,
}

impl<'f, K: Hierarchy, M: Copy + Eq, S: BuildHasher> Conflicts<'f, K, M, S> {
    /// The keys and then the prefixes at which some two meet, in the order in which the batch names them first.
    pub fn groups(&self) -> impl Iterator<Item = Group<'f, K, M>> + use<'f, K, M, S> {
        let accesses = &self.found.accesses;
        let keys = self.found.keys.entries().iter();
        let keys = keys.map(|(key, met)| Group { read: Read::Key(key), met, accesses });
        let prefixes = self.found.prefixes.entries().iter();
        let prefixes = prefixes.map(|(key, met)| Group { read: Read::Under(key), met, accesses });
        keys.chain(prefixes).filter(Group::is_one)
    }

    /// Each two that meet, as often as there are keys at which they do; group by group.
    ///
    /// There may be as many as the square of the batch: take as many as you need. The next one is found in O(1); the first of
    /// a group in O(its members × operators), with an allocation.
    pub fn pairs(&self) -> impl Iterator<Item = Pair<K>> + use<'f, K, M, S> {
        self.groups().flat_map(|group| group.into_pairs())
    }
}

impl<'f, K: Hierarchy, M: Copy + Eq> Group<'f, K, M> {
    fn is_one(&self) -> bool {
        match self.read {
            Read::Key(_) => self.met.is_group(),
            Read::Under(_) => Met { clash: false, ..*self.met }.is_group(),
        }
    }

    /// Where they meet.
    pub fn key(&self) -> &'f K {
        match self.read {
            Read::Key(key) | Read::Under(key) => key,
        }
    }

    /// Whether they meet because somebody reads the key as a prefix.
    pub fn is_prefix(&self) -> bool {
        matches!(self.read, Read::Under(_))
    }

    /// Who reads or writes it, in the order of the batch, but that those who read a prefix come first.
    pub fn members(&self) -> impl Iterator<Item = Member<M>> + use<'f, K, M> {
        let accesses = self.accesses;
        let access = |place: u32| accesses.get(place as usize);
        iter::successors(access(self.met.first), move |it| access(it.next))
            .map(|it| Member { proposal: it.proposal as usize, write: it.write })
    }

    fn into_pairs(self) -> Pairs<K> {
        let members = || self.members();
        let readers = members().filter(|it| it.write.is_none()).map(|it| it.proposal).collect();
        let writers: Vec<_> = members().filter_map(|it| Some((it.proposal, it.write?))).collect();
        let meeting = match self.is_prefix() {
            true => Meeting::WriteUnderRead,
            false => Meeting::WriteAndRead,
        };
        let mut pairs =
            Pairs { key: *self.key(), meeting, writers: Vec::new(), readers, writer: 0, other: 0 };
        pairs.sort(&writers);
        pairs.other = pairs.first_other();
        pairs
    }
}

/// The pairs of one group: each writer with those behind it that it does not go with, and then with each reader.
struct Pairs<K> {
    key: K,
    meeting: Meeting,
    /// Those who go together stand together.
    writers: Vec<Writer>,
    readers: Vec<usize>,
    /// The place of the writer whose pairs come next.
    writer: usize,
    /// With whom: the place of a writer or, counted on, of a reader.
    other: usize,
}

struct Writer {
    proposal: usize,
    /// The place of the first behind it that it does not go with, as all behind that one.
    does_not_go_with: usize,
}

impl<K> Pairs<K> {
    /// O(writers × operators).
    fn sort<M: Copy + Eq>(&mut self, writers: &[(usize, Mode<M>)]) {
        let mut modes: Vec<Mode<M>> = Vec::new();
        for (_, mode) in writers {
            if !modes.contains(mode) {
                modes.push(*mode);
            }
        }
        for mode in modes {
            let alike = || writers.iter().filter(|(_, other)| *other == mode);
            let end = self.writers.len() + alike().count();
            for (proposal, _) in alike() {
                let next = self.writers.len() + 1;
                let does_not_go_with = if mode.goes_with(&mode) { end } else { next };
                self.writers.push(Writer { proposal: *proposal, does_not_go_with });
            }
        }
    }

    fn first_other(&self) -> usize {
        match self.writers.get(self.writer) {
            // What is written below a prefix need not go together.
            Some(writer) if self.meeting == Meeting::WriteAndRead => writer.does_not_go_with,
            _ => self.writers.len(),
        }
    }
}

impl<K: Copy> Iterator for Pairs<K> {
    type Item = Pair<K>;

    fn next(&mut self) -> Option<Pair<K>> {
        loop {
            let writer = self.writers.get(self.writer)?.proposal;
            let other = self.other;
            self.other += 1;
            let pair = |first, second, meeting| Pair { first, second, key: self.key, meeting };
            if let Some(Writer { proposal, .. }) = self.writers.get(other) {
                let (first, second) = (writer.min(*proposal), writer.max(*proposal));
                return Some(pair(first, second, Meeting::Writes));
            }
            match self.readers.get(other - self.writers.len()) {
                Some(reader) if *reader != writer => {
                    return Some(pair(writer, *reader, self.meeting));
                }
                Some(_) => {}
                None => {
                    self.writer += 1;
                    self.other = self.first_other();
                }
            }
        }
    }
}
