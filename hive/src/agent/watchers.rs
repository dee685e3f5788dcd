//! Who is to be woken when what it looked at has changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Weak;

use foldhash::fast::RandomState;

use super::life::Life;
use super::view::Looked;
use crate::key::Key;
use crate::proposal::Read;

/// By key and by prefix. Each registration is good for one wake-up.
#[derive(Default)]
pub(crate) struct Watchers {
    by_key: HashMap<Key, Vec<u64>, RandomState>,
    by_prefix: HashMap<Key, Vec<u64>, RandomState>,
    /// By number, so that one who is woken by one key is forgotten at all.
    watching: BTreeMap<u64, (Weak<Life>, Looked)>,
    next: u64,
}

impl Watchers {
    /// Registers one that has looked at this; the number takes it out again.
    pub(crate) fn add(&mut self, life: Weak<Life>, looked: Looked) -> u64 {
        let number = self.next;
        self.next += 1;
        for read in &looked {
            self.table(read).entry(read.key().clone()).or_default().push(number);
        }
        self.watching.insert(number, (life, looked));
        number
    }

    pub(crate) fn has(&self, number: u64) -> bool {
        self.watching.contains_key(&number)
    }

    fn table(&mut self, read: &Read<Key>) -> &mut HashMap<Key, Vec<u64>, RandomState> {
        match read {
            Read::Key(_) => &mut self.by_key,
            Read::Under(_) => &mut self.by_prefix,
        }
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Weak<Life>> {
        let (life, looked) = self.watching.remove(&number)?;
        for read in &looked {
            let table = self.table(read);
            if let Some(numbers) = table.get_mut(read.key()) {
                numbers.retain(|other| *other != number);
                if numbers.is_empty() {
                    table.remove(read.key());
                }
            }
        }
        Some(life)
    }

    /// Takes out all who looked at a key that was written.
    pub(crate) fn take(&mut self, written: &Key, out: &mut Vec<Weak<Life>>) {
        let mut numbers = self.by_key.get(written.as_str()).cloned().unwrap_or_default();
        if !self.by_prefix.is_empty() {
            let path = written.as_str();
            let above = path.rmatch_indices('/').map(|(at, _)| &path[..at]);
            for prefix in std::iter::once(path).chain(above).chain(std::iter::once("")) {
                numbers.extend(self.by_prefix.get(prefix).into_iter().flatten());
            }
        }
        out.extend(numbers.into_iter().filter_map(|number| self.remove(number)));
    }

    /// Takes out everybody.
    pub(crate) fn take_all(&mut self) -> Vec<Weak<Life>> {
        self.by_key.clear();
        self.by_prefix.clear();
        std::mem::take(&mut self.watching).into_values().map(|(life, _)| life).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(path: &str) -> Key {
        Key::new(path).unwrap()
    }

    fn woken(watchers: &mut Watchers, written: &str) -> usize {
        let mut out = Vec::new();
        watchers.take(&key(written), &mut out);
        out.len()
    }

    #[test]
    fn who_looked_at_it_or_above_it_is_woken_once() {
        let mut watchers = Watchers::default();
        let looked = |reads: &[Read<Key>]| reads.to_vec();
        watchers.add(Weak::new(), looked(&[Read::Key(key("a/b")), Read::Key(key("c"))]));
        watchers.add(Weak::new(), looked(&[Read::Under(key("a"))]));
        watchers.add(Weak::new(), looked(&[Read::Under(Key::root())]));
        assert_eq!(woken(&mut watchers, "ab"), 1, "only who looked at everything");
        assert_eq!(woken(&mut watchers, "a/b"), 2);
        assert_eq!(woken(&mut watchers, "c"), 0, "it was woken before");
        let number = watchers.add(Weak::new(), looked(&[Read::Key(key("c"))]));
        assert!(watchers.remove(number).is_some() && watchers.remove(number).is_none());
        assert_eq!(woken(&mut watchers, "c"), 0);
        assert!(watchers.by_key.is_empty() && watchers.by_prefix.is_empty());
    }
}
