//! Which proposals can stand in one commit: exact conflict detection by hash.
//!
//! A [`ConflictIndex`] remembers, per key, what the accepted proposals read and wrote. A candidate is
//! checked in time linear in its own keys (times their depth, for hierarchical ones), not in the number of
//! proposals. Keys are compared on every hash hit, so a collision never invents a conflict; the hash is
//! keyed per index, so that crafted keys cannot flood it.
//!
//! # Rules
//! 1. *Write-write*: two writes of one key, unless both are commutative and of the same operator.
//! 2. *Read-write*: a candidate that reads what an accepted one writes (RAW) **and** writes what an
//!    accepted one reads (WAR). One of the two alone is no conflict: with RAW alone the candidate goes
//!    before all accepted so far, otherwise after them. This is the reordering rule of Aria (Lu, Yu, Cao
//!    and Madden, VLDB 2020), applied against the accepted set only.
//!
//! # Why that is serializable
//! Claim: executing the accepted in the order `front … back` gives every read the value of the snapshot or
//! of nothing else. A candidate put at the back has no RAW: nothing accepted wrote what it reads, so whatever
//! runs before it leaves its reads alone. One put at the front has no WAR: no accepted one reads what it
//! writes, so running it first disturbs nobody, and its own reads come before every accepted write. Each step
//! keeps the claim for those accepted before. Writes of one key in any order give one result, by rule 1.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasher;

use crate::proposal::{Hierarchy, Mode, Read, Write};

/// Where a candidate goes among those accepted before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before all of them: it reads what some of them write.
    Front,
    /// After all of them.
    Back,
}

/// Which rule a candidate broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// Both write the key, and the writes do not go together.
    WriteWrite,
    /// The candidate reads what accepted ones write and writes what accepted ones read.
    ReadWrite,
}

/// Why a candidate was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash<K> {
    /// The accepted proposal it clashes with, by the number it was admitted under.
    pub with: usize,
    /// Where: the key written twice, or the key (or prefix) the candidate reads and `with` writes.
    pub key: K,
    /// The rule that was broken.
    pub rule: Rule,
}

/// What one proposal reads and writes.
#[derive(Clone, Copy, Debug)]
pub struct Footprint<'a, K, M> {
    /// The read set.
    pub reads: &'a [Read<K>],
    /// The write set; each key once.
    pub writes: &'a [Write<K, M>],
}

/// What the accepted proposals read and wrote, by key.
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
    touched: HashMap<K, Touched<M>, S>,
}

/// The first accepted proposal of each kind at one key, or at a prefix.
#[derive(Clone, Debug)]
struct Touched<M> {
    written: Option<(usize, Mode<M>)>,
    read: Option<usize>,
    /// Somebody wrote this key or one below it.
    written_under: Option<usize>,
    /// Somebody read this as a prefix.
    read_as_prefix: Option<usize>,
}

impl<M> Default for Touched<M> {
    fn default() -> Self {
        Touched { written: None, read: None, written_under: None, read_as_prefix: None }
    }
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

impl<K: Hierarchy, M: Copy + Eq, S: BuildHasher> ConflictIndex<K, M, S> {
    /// An empty index that hashes with `hasher`.
    pub fn with_hasher(hasher: S) -> Self {
        ConflictIndex { touched: HashMap::with_hasher(hasher) }
    }

    /// Forgets everything but keeps the memory.
    pub fn clear(&mut self) {
        self.touched.clear();
    }

    /// Whether a candidate can stand with those admitted, and where. O(its keys × depth).
    ///
    /// # Errors
    /// The first [`Clash`], writes before reads, in the order of the footprint.
    pub fn check(&self, candidate: Footprint<'_, K, M>) -> Result<Position, Clash<K>> {
        if let Some(clash) = candidate.writes.iter().find_map(|write| self.write_write(write)) {
            return Err(clash);
        }
        let Some((key, with)) = candidate.reads.iter().find_map(|read| self.written(read)) else {
            return Ok(Position::Back);
        };
        match candidate.writes.iter().any(|write| self.is_read(write.key)) {
            true => Err(Clash { with, key, rule: Rule::ReadWrite }),
            false => Ok(Position::Front),
        }
    }

    /// Records an accepted proposal under the number `who`, without checking it.
    pub fn admit(&mut self, who: usize, accepted: Footprint<'_, K, M>) {
        for write in accepted.writes {
            self.at(write.key).written.get_or_insert((who, write.mode));
            let mut prefix = Some(write.key);
            while let Some(key) = prefix {
                self.at(key).written_under.get_or_insert(who);
                prefix = key.parent();
            }
        }
        for read in accepted.reads {
            match *read {
                Read::Key(key) => self.at(key).read.get_or_insert(who),
                Read::Under(key) => self.at(key).read_as_prefix.get_or_insert(who),
            };
        }
    }

    /// Checks a candidate and, if it clashes with nothing, records it.
    ///
    /// # Errors
    /// As [`check`](Self::check); nothing is recorded then.
    pub fn try_admit(
        &mut self,
        who: usize,
        candidate: Footprint<'_, K, M>,
    ) -> Result<Position, Clash<K>> {
        let position = self.check(candidate)?;
        self.admit(who, candidate);
        Ok(position)
    }

    fn at(&mut self, key: K) -> &mut Touched<M> {
        self.touched.entry(key).or_default()
    }

    fn write_write(&self, write: &Write<K, M>) -> Option<Clash<K>> {
        let (with, mode) = self.touched.get(&write.key)?.written.as_ref()?;
        let clashes = !mode.goes_with(&write.mode);
        clashes.then_some(Clash { with: *with, key: write.key, rule: Rule::WriteWrite })
    }

    /// The accepted writer of what is read, if there is one.
    fn written(&self, read: &Read<K>) -> Option<(K, usize)> {
        match *read {
            Read::Key(key) => Some((key, self.touched.get(&key)?.written.as_ref()?.0)),
            Read::Under(key) => Some((key, self.touched.get(&key)?.written_under?)),
        }
    }

    /// Whether an accepted proposal reads the key, by itself or under a prefix.
    fn is_read(&self, key: K) -> bool {
        if self.touched.get(&key).is_some_and(|touched| touched.read.is_some()) {
            return true;
        }
        std::iter::successors(Some(key), |key| key.parent())
            .any(|key| self.touched.get(&key).is_some_and(|t| t.read_as_prefix.is_some()))
    }
}

/// The answer of [`greedy`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subset<K> {
    /// The accepted, by their place in the input, in a serial order that explains every read.
    pub serial: VecDeque<usize>,
    /// The others, each with the clash that kept it out.
    pub rejected: Vec<(usize, Clash<K>)>,
}

/// The maximal subset without conflicts that taking proposals in the given order yields.
///
/// Maximal: no rejected one could be added. O(all keys × depth).
pub fn greedy<'a, K, M>(proposals: impl IntoIterator<Item = Footprint<'a, K, M>>) -> Subset<K>
where
    K: Hierarchy + 'a,
    M: Copy + Eq + 'a,
{
    let mut index = ConflictIndex::new();
    let mut subset = Subset { serial: VecDeque::new(), rejected: Vec::new() };
    for (who, candidate) in proposals.into_iter().enumerate() {
        match index.try_admit(who, candidate) {
            Ok(Position::Front) => subset.serial.push_front(who),
            Ok(Position::Back) => subset.serial.push_back(who),
            Err(clash) => subset.rejected.push((who, clash)),
        }
    }
    subset
}

#[cfg(test)]
mod tests;
