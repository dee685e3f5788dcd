//! Maps of which every version stays readable: what a hive stages its next state in.

use std::ops::Bound;
use std::sync::Arc;

use queenright_primitives::paged::PagedMap;

/// Keys as the hive has them.
pub type Key = Arc<str>;

/// A map under comparison; cloning it makes a version of its own.
pub trait Map: Clone + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// A map of these entries.
    fn of(entries: Vec<(Key, u64)>) -> Self;

    /// The value of a key.
    fn get(&self, key: &str) -> Option<u64>;

    /// A new version with these changes; the old one stays as it is.
    fn staged(&self, changes: &[(Key, u64)]) -> Self;

    /// A new version with these keys, and without those.
    fn replaced(&self, added: &[(Key, u64)], removed: &[Key]) -> Self;

    /// The sum of the values under a prefix.
    fn sum_under(&self, prefix: &str) -> u64;
}

/// The text that follows all those that begin with `prefix`, of which the last character is ASCII.
fn beyond(prefix: &str) -> String {
    let mut beyond = prefix.to_owned();
    let next = beyond.pop().map(|last| char::from(last as u8 + 1));
    beyond.extend(next);
    beyond
}

macro_rules! map {
    ($(#[$doc:meta])* $name:ident($inner:ty), $text:literal, insert: $insert:ident, remove: $remove:ident, range: $range:tt) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name($inner);

        impl Map for $name {
            const NAME: &'static str = $text;

            fn of(entries: Vec<(Key, u64)>) -> Self {
                $name(entries.into_iter().collect())
            }

            #[inline]
            fn get(&self, key: &str) -> Option<u64> {
                self.0.get(key).copied()
            }

            fn staged(&self, changes: &[(Key, u64)]) -> Self {
                let mut next = self.0.clone();
                for (key, value) in changes {
                    next.$insert(Arc::clone(key), *value);
                }
                $name(next)
            }

            fn replaced(&self, added: &[(Key, u64)], removed: &[Key]) -> Self {
                let $name(mut next) = self.staged(added);
                for key in removed {
                    next.$remove(&**key);
                }
                $name(next)
            }

            map!(@sum $range);
        }
    };
    (@sum [$one:tt, $other:tt]) => {
        fn sum_under(&self, prefix: &str) -> u64 {
            let beyond = beyond(prefix);
            let bounds = (Bound::Included(prefix), Bound::Excluded(beyond.as_str()));
            self.0.range::<$one, $other>(bounds).map(|(_, value)| value).sum()
        }
    };
    (@sum none) => {
        fn sum_under(&self, prefix: &str) -> u64 {
            let under = self.0.iter().filter(|(key, _)| key.starts_with(prefix));
            under.map(|(_, value)| value).sum()
        }
    };
}

map!(
    /// Ours.
    Paged(PagedMap<Key, u64>), "PagedMap", insert: insert, remove: remove, range: [str, _]
);
map!(
    /// imbl's B-tree.
    ImblOrdMap(imbl::OrdMap<Key, u64>), "imbl OrdMap", insert: insert, remove: remove, range: [_, str]
);
map!(
    /// imbl's hash trie.
    ImblHashMap(imbl::HashMap<Key, u64>), "imbl HashMap", insert: insert, remove: remove, range: none
);
map!(
    /// im's B-tree.
    ImOrdMap(im::OrdMap<Key, u64>), "im OrdMap", insert: insert, remove: remove, range: [_, str]
);
map!(
    /// im's hash trie.
    ImHashMap(im::HashMap<Key, u64>), "im HashMap", insert: insert, remove: remove, range: none
);
map!(
    /// rpds's red-black tree, with `Arc`s.
    RpdsTree(rpds::RedBlackTreeMapSync<Key, u64>), "rpds RedBlackTreeMap", insert: insert_mut, remove: remove_mut, range: [str, _]
);
map!(
    /// rpds's hash trie, with `Arc`s.
    RpdsHash(rpds::HashTrieMapSync<Key, u64>), "rpds HashTrieMap", insert: insert_mut, remove: remove_mut, range: none
);
map!(
    /// A whole copy of a hash map.
    CloneHash(std::collections::HashMap<Key, u64, foldhash::fast::RandomState>), "clone of HashMap", insert: insert, remove: remove,
    range: none
);
map!(
    /// A whole copy of a B-tree.
    CloneTree(std::collections::BTreeMap<Key, u64>), "clone of BTreeMap", insert: insert, remove: remove, range: [str, _]
);
