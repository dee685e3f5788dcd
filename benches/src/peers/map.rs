//! Maps of which every version stays readable: what a hive stages its next state in.

use std::sync::Arc;

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

    /// The sum of the values under a prefix.
    fn sum_under(&self, prefix: &str) -> u64;
}

macro_rules! map {
    ($(#[$doc:meta])* $name:ident($inner:ty), $text:literal, insert: $insert:ident, ordered: $ordered:tt) => {
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

            map!(@sum $ordered);
        }
    };
    (@sum yes) => {
        fn sum_under(&self, prefix: &str) -> u64 {
            let under = self.0.range(Key::from(prefix)..).take_while(|(key, _)| key.starts_with(prefix));
            under.map(|(_, value)| value).sum()
        }
    };
    (@sum no) => {
        fn sum_under(&self, prefix: &str) -> u64 {
            let under = self.0.iter().filter(|(key, _)| key.starts_with(prefix));
            under.map(|(_, value)| value).sum()
        }
    };
}

map!(
    /// What the hive's state is made of in this version.
    ImblOrdMap(imbl::OrdMap<Key, u64>), "imbl OrdMap", insert: insert, ordered: yes
);
map!(
    /// imbl's hash trie.
    ImblHashMap(imbl::HashMap<Key, u64>), "imbl HashMap", insert: insert, ordered: no
);
map!(
    /// im's B-tree.
    ImOrdMap(im::OrdMap<Key, u64>), "im OrdMap", insert: insert, ordered: yes
);
map!(
    /// im's hash trie.
    ImHashMap(im::HashMap<Key, u64>), "im HashMap", insert: insert, ordered: no
);
map!(
    /// rpds's red-black tree, with `Arc`s.
    RpdsTree(rpds::RedBlackTreeMapSync<Key, u64>), "rpds RedBlackTreeMap", insert: insert_mut, ordered: yes
);
map!(
    /// rpds's hash trie, with `Arc`s.
    RpdsHash(rpds::HashTrieMapSync<Key, u64>), "rpds HashTrieMap", insert: insert_mut, ordered: no
);
map!(
    /// A whole copy of a hash map.
    CloneHash(std::collections::HashMap<Key, u64, foldhash::fast::RandomState>), "clone of HashMap", insert: insert,
    ordered: no
);
map!(
    /// A whole copy of a B-tree.
    CloneTree(std::collections::BTreeMap<Key, u64>), "clone of BTreeMap", insert: insert, ordered: yes
);
