//! What a proposal touches: hierarchical keys, reads and writes.
//!
//! These types say nothing about values. They are what [`conflict`](crate::conflict) needs to decide
//! whether two proposals can stand in one commit.

use std::hash::Hash;

/// A key that may lie under another key, as a path lies under a folder.
///
/// `parent` leads from a key to the prefix just above it and ends with `None` at the root. Reading a prefix
/// covers the key that equals it and everything below, at whole segments: `a/b` covers `a/b` and `a/b/c`, not
/// `a/bc`.
pub trait Hierarchy: Copy + Eq + Hash {
    /// The prefix just above, or `None` for the root.
    fn parent(self) -> Option<Self>;

    /// A number that no other key has that is compared with this one, if it has such a number: it is found by that then, and not by its hash. Of
    /// equal keys all have it or none.
    #[inline]
    fn id(self) -> Option<u32> {
        None
    }

    /// The key itself as a prefix. Prefixes are only ever compared with prefixes, and keys with keys, so that both may be told apart in ways of
    /// their own.
    #[inline]
    fn as_prefix(self) -> Self {
        self
    }
}

/// Segments separated by `/`; the root is the empty string.
impl Hierarchy for &str {
    fn parent(self) -> Option<Self> {
        match self.rfind('/') {
            Some(slash) => Some(&self[..slash]),
            None if self.is_empty() => None,
            None => Some(""),
        }
    }
}

/// Integers are flat: none lies under another.
macro_rules! flat {
    ($($int:ty),*) => {$(
        impl Hierarchy for $int {
            fn parent(self) -> Option<Self> {
                None
            }
        }
    )*};
}
flat!(u32, u64, usize);

/// One entry of a read set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Read<K> {
    /// One key, present or absent.
    Key(K),
    /// A prefix: the key itself and everything below it, creations and removals included.
    Under(K),
}

impl<K> Read<K> {
    /// The key, or the prefix.
    #[inline]
    pub fn key(&self) -> &K {
        match self {
            Read::Key(key) | Read::Under(key) => key,
        }
    }

    /// The key, if it is not a prefix that is read.
    #[inline]
    pub(crate) fn as_key(&self) -> Option<&K> {
        match self {
            Read::Key(key) => Some(key),
            Read::Under(_) => None,
        }
    }
}

/// One entry of a write set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Write<K, M> {
    /// What is written.
    pub key: K,
    /// How it combines with other writes of the key.
    pub mode: Mode<M>,
}

/// How two writes of one key combine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode<M> {
    /// Goes with no other write of the key.
    Exclusive,
    /// Goes with writes of the same operator, named by `M`.
    Commutative(M),
}

impl<M: Eq> Mode<M> {
    /// Whether two writes of one key can stand in one commit.
    pub fn goes_with(&self, other: &Mode<M>) -> bool {
        match (self, other) {
            (Mode::Commutative(a), Mode::Commutative(b)) => a == b,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_of_a_path_end_at_the_root() {
        let mut seen = vec!["a/b/c"];
        while let Some(up) = seen[seen.len() - 1].parent() {
            seen.push(up);
        }
        assert_eq!(seen, ["a/b/c", "a/b", "a", ""]);
    }
}
