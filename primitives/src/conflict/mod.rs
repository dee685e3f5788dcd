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

use std::collections::VecDeque;

use crate::proposal::{Hierarchy, Read, Write};

mod groups;
mod ids;
mod index;

pub use groups::{ConflictGroups, Conflicts, Group, Meeting, Member, Pair};
pub use index::{ConflictIndex, KeyNumber, Numbered};

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
