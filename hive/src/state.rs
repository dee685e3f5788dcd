//! The shared state: one immutable map per version.

use std::fmt;
use std::ops::{Bound, Deref};
use std::sync::Arc;

use queenright_primitives::Version;
use queenright_primitives::paged::{PagedMap, Slot};
use queenright_primitives::snapshot;

use crate::id::AgentId;
use crate::key::{IntoKey, Key, KeyError};
use crate::op::Operator;
use crate::proposal::{Proposal, Read};
use crate::value::Value;

/// Who wrote an entry of the initial state.
pub const BASE_AGENT: &str = "base";

/// What a key holds, and where it comes from.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The value.
    pub value: Value,
    /// The version that last wrote it.
    pub version: Version,
    /// Who wrote it then; of several who wrote it together, the one that was accepted first.
    pub writer: AgentId,
    /// With which operator.
    pub operator: Operator,
}

impl Clone for Entry {
    /// By itself: where it is inlined into the copy of a page, its parts are written to the stack and read back in other pieces than they were
    /// written in, which a processor has to wait for.
    #[inline(never)]
    fn clone(&self) -> Self {
        let Entry { value, version, writer, operator } = self;
        Entry {
            value: value.clone(),
            version: *version,
            writer: writer.clone(),
            operator: *operator,
        }
    }
}

/// When a key was removed, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Removal {
    pub(crate) version: Version,
    pub(crate) writer: AgentId,
}

/// One version of the state. It never changes; cloning shares everything.
#[derive(Clone, Default)]
pub struct State {
    pub(crate) version: Version,
    /// Changes after this version are all known, removals included.
    pub(crate) horizon: Version,
    pub(crate) entries: PagedMap<Key, Entry>,
    pub(crate) removed: PagedMap<Key, Removal>,
    /// What each version removed, so that old removals are forgotten without a search.
    pub(crate) removals: PagedMap<Version, Arc<[Key]>>,
}

impl State {
    /// Version 0, holding the given entries.
    pub fn base(entries: impl IntoIterator<Item = (Key, Value)>) -> State {
        let writer = AgentId::from(BASE_AGENT);
        let entry = |value| Entry {
            value,
            version: Version(0),
            writer: writer.clone(),
            operator: Operator::Set,
        };
        let entries = entries.into_iter().map(|(key, value)| (key, entry(value))).collect();
        State { entries, ..State::default() }
    }

    /// Which version this is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of a key. O(1); O(log n) for one that is new since the map of entries was last rebuilt, and for none.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value of a key with its origin. As [`get`](Self::get).
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// A key that knows where this state keeps it, so that it is found without a search: in this version, and in most that come after it. Made once
    /// and cloned, it spares the queen the searches for every proposal that names it. What it is does not change.
    ///
    /// # Errors
    /// [`KeyError`] if the text is no key.
    ///
    /// ```
    /// use queenright::{Hive, Op, Proposal};
    ///
    /// let hive = Hive::builder().build()?;
    /// hive.transact(|view| Ok(view.set("count", 0)?))?;
    /// let count = hive.snapshot().key("count")?;
    /// for turn in 0..3 {
    ///     let proposal = Proposal::on(&hive.snapshot(), "me", format!("turn {turn}"));
    ///     assert!(hive.propose(proposal.write(&count, Op::add(1))?)?.wait().is_committed());
    /// }
    /// assert_eq!(hive.snapshot().get("count"), Some(&3.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn key(&self, key: impl IntoKey) -> Result<Key, KeyError> {
        let mut key = key.into_key()?;
        if !self.entries.knows(key.slot()) {
            key.remember(self.entries.slot(&key));
        }
        Ok(key)
    }

    /// As [`entry`](Self::entry), without a search for a key that knows where it is kept.
    pub(crate) fn entry_of(&self, key: &Key) -> Option<&Entry> {
        match self.entries.knows(key.slot()) {
            true => self.entries.at(key.slot()),
            false => self.entries.get(key),
        }
    }

    /// Has all keys of a batch remember where they are kept.
    pub(crate) fn locate(&self, batch: &mut [Proposal]) {
        let is_unknown = |key: &Key| !self.entries.knows(key.slot());
        let unknown = batch.iter().flat_map(Proposal::keys).filter(|key| is_unknown(key));
        let unknown: Vec<&Key> = unknown.collect();
        if unknown.is_empty() {
            return;
        }
        let mut slots = self.entries.slots(&unknown, |_| Slot::NONE).into_iter();
        for proposal in batch {
            proposal.each_key(|key| {
                if is_unknown(key)
                    && let Some(slot) = slots.next()
                {
                    key.remember(slot);
                }
            });
        }
    }

    /// All entries whose key equals `prefix` or lies below it, in order of the keys. The empty prefix gives everything.
    pub fn under<'s>(
        &'s self,
        prefix: &str,
    ) -> impl Iterator<Item = (&'s Key, &'s Entry)> + use<'s> {
        under(&self.entries, prefix)
    }

    /// All entries in order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Entry)> {
        self.entries.iter()
    }

    /// How many keys hold something.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key holds anything.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last change of what is read, if it is newer than `since`: a write or a removal.
    pub(crate) fn changed_since(
        &self,
        read: &Read<Key>,
        since: Version,
    ) -> Option<(Version, &AgentId)> {
        match read {
            Read::Key(key) => {
                let written = self.entry_of(key).map(|entry| (entry.version, &entry.writer));
                let removed = self.removed.get(key).map(|gone| (gone.version, &gone.writer));
                written.or(removed).filter(|(version, _)| *version > since)
            }
            Read::Under(prefix) => {
                let prefix = prefix.as_str();
                let written = under(&self.entries, prefix).map(|(_, e)| (e.version, &e.writer));
                let removed =
                    under(&self.removed, prefix).map(|(_, gone)| (gone.version, &gone.writer));
                written.chain(removed).filter(|(version, _)| *version > since).max_by_key(|c| c.0)
            }
        }
    }
}

/// The part of an ordered map at and below a prefix.
///
/// Between `a` and `a/` other keys may sort (`a-b`), so the prefix itself and what is below it are two ranges.
fn under<'m, V: Clone>(
    map: &'m PagedMap<Key, V>,
    prefix: &str,
) -> impl Iterator<Item = (&'m Key, &'m V)> + use<'m, V> {
    let (exact, from, to) = match prefix {
        "" => (None, Bound::Unbounded, Bound::Unbounded),
        // `0` is the character after `/`.
        _ => (
            map.get_key_value(prefix),
            Bound::Included(format!("{prefix}/")),
            Bound::Excluded(format!("{prefix}0")),
        ),
    };
    let from = from.as_ref().map(String::as_str);
    let to = to.as_ref().map(String::as_str);
    exact.into_iter().chain(map.range::<str, _>((from, to)))
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("version", &self.version.0)
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}

/// An owned handle on one version of the state: cheap to clone, readable without locks, never changing.
#[derive(Clone)]
pub struct Snapshot(Inner);

#[derive(Clone)]
enum Inner {
    /// Read from the hive's cell.
    Published(snapshot::Snapshot<State>),
    /// Made by itself, for tests and replays.
    Alone(Arc<State>),
}

impl Snapshot {
    pub(crate) fn published(snapshot: snapshot::Snapshot<State>) -> Self {
        Snapshot(Inner::Published(snapshot))
    }
}

impl From<State> for Snapshot {
    fn from(state: State) -> Self {
        Snapshot(Inner::Alone(Arc::new(state)))
    }
}

impl Deref for Snapshot {
    type Target = State;
    fn deref(&self) -> &State {
        match &self.0 {
            Inner::Published(snapshot) => snapshot,
            Inner::Alone(state) => state,
        }
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        Key::new(path).unwrap()
    }

    #[test]
    fn a_prefix_is_whole_segments_even_among_keys_that_sort_between() {
        let keys = ["a", "a-b", "a.c", "a/b", "a/b/c", "a0", "ab", "b"];
        let state = State::base(keys.map(|k| (key(k), Value::from(1))));
        let found = |prefix: &str| -> Vec<String> {
            state.under(prefix).map(|(key, _)| key.to_string()).collect()
        };
        assert_eq!(found("a"), ["a", "a/b", "a/b/c"]);
        assert_eq!(found("a/b"), ["a/b", "a/b/c"]);
        assert_eq!(found("").len(), keys.len());
        assert!(found("c").is_empty());
    }

    #[test]
    fn a_removed_key_counts_as_changed() {
        let mut state = State { version: Version(3), ..State::default() };
        let gone = Removal { version: Version(3), writer: "x".into() };
        state.removed.insert(key("a/b"), gone);
        for read in [Read::Key(key("a/b")), Read::Under(key("a"))] {
            assert!(state.changed_since(&read, Version(2)).is_some());
            assert!(state.changed_since(&read, Version(3)).is_none());
        }
    }
}
