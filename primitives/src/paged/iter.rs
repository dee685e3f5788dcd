//! Entries in order of their keys: those of the pages and those added since, merged.

use std::fmt;
use std::iter::FusedIterator;

use super::pages::Pages;
use super::tree::Tree;

/// Entries of a [`PagedMap`](super::PagedMap) in ascending order of their keys.
pub struct Iter<'a, K, V> {
    paged: Paged<'a, K, V>,
    added: Added<'a, K, V>,
}

/// Keys of a [`PagedMap`](super::PagedMap) in ascending order.
pub struct Keys<'a, K, V>(pub(super) Iter<'a, K, V>);

/// Values of a [`PagedMap`](super::PagedMap) in ascending order of their keys.
pub struct Values<'a, K, V>(pub(super) Iter<'a, K, V>);

impl<'a, K, V> Iter<'a, K, V> {
    /// Between two numbers of keys, and between two ranks among those added.
    pub(super) fn new(
        keys: &'a [K],
        pages: &'a Pages<V>,
        numbers: (usize, usize),
        added: &'a Tree<K, V>,
        ranks: (usize, usize),
    ) -> Self {
        let paged = Paged { keys, pages, middle: numbers, front: (&[], &[]), back: (&[], &[]) };
        Iter { paged, added: Added { tree: added, middle: ranks, front: &[], back: &[] } }
    }
}

impl<'a, K: Ord, V> Iterator for Iter<'a, K, V> {
    type Item = (&'a K, &'a V);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some(added) = self.added.first() else { return self.paged.next() };
        match self.paged.first() {
            Some(paged) if paged < &added.0 => self.paged.next(),
            _ => self.added.next(),
        }
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let added = self.added.len();
        (added, Some(added + self.paged.most()))
    }

    /// Page by page while nothing has to be merged in.
    #[inline]
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut result = init;
        while self.added.len() > 0 {
            let Some(entry) = self.next() else { return result };
            result = f(result, entry);
        }
        while self.paged.first().is_some() {
            let (keys, places) = std::mem::take(&mut self.paged.front);
            let run = keys.iter().zip(places);
            let run = run.filter_map(|(key, place)| Some((key, place.as_ref()?)));
            result = run.fold(result, &mut f);
        }
        result
    }
}

impl<K: Ord, V> DoubleEndedIterator for Iter<'_, K, V> {
    #[inline]
    fn next_back(&mut self) -> Option<Self::Item> {
        let Some(added) = self.added.last() else { return self.paged.next_back() };
        match self.paged.last() {
            Some(paged) if paged > &added.0 => self.paged.next_back(),
            _ => self.added.next_back(),
        }
    }
}

impl<K: Ord, V> FusedIterator for Iter<'_, K, V> {}

impl<K, V> Clone for Iter<'_, K, V> {
    fn clone(&self) -> Self {
        Iter { paged: self.paged.clone(), added: self.added.clone() }
    }
}

impl<K: Ord + fmt::Debug, V: fmt::Debug> fmt::Debug for Iter<'_, K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

macro_rules! part {
    ($name:ident, $item:ident, $part:tt) => {
        impl<'a, K: Ord, V> Iterator for $name<'a, K, V> {
            type Item = &'a $item;
            #[inline]
            fn next(&mut self) -> Option<Self::Item> {
                self.0.next().map(|entry| entry.$part)
            }
            #[inline]
            fn size_hint(&self) -> (usize, Option<usize>) {
                self.0.size_hint()
            }
            #[inline]
            fn fold<B, F: FnMut(B, Self::Item) -> B>(self, init: B, mut f: F) -> B {
                self.0.fold(init, |result, entry| f(result, entry.$part))
            }
        }

        impl<K: Ord, V> DoubleEndedIterator for $name<'_, K, V> {
            #[inline]
            fn next_back(&mut self) -> Option<Self::Item> {
                self.0.next_back().map(|entry| entry.$part)
            }
        }

        impl<K: Ord, V> FusedIterator for $name<'_, K, V> {}

        impl<K, V> Clone for $name<'_, K, V> {
            fn clone(&self) -> Self {
                $name(self.0.clone())
            }
        }

        impl<K: Ord, V> fmt::Debug for $name<'_, K, V>
        where
            $item: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_list().entries(self.clone()).finish()
            }
        }
    };
}

part!(Keys, K, 0);
part!(Values, V, 1);

/// Keys and their places in one page; as many of these as of those.
type Run<'a, K, V> = (&'a [K], &'a [Option<V>]);

/// Values in pages: what is left of the pages at both ends, and the numbers between them.
struct Paged<'a, K, V> {
    keys: &'a [K],
    pages: &'a Pages<V>,
    front: Run<'a, K, V>,
    middle: (usize, usize),
    back: Run<'a, K, V>,
}

impl<K, V> Clone for Paged<'_, K, V> {
    fn clone(&self) -> Self {
        Paged { ..*self }
    }
}

impl<'a, K, V> Paged<'a, K, V> {
    const PAGE: usize = Pages::<V>::PAGE;

    /// The keys and places of some numbers in one page.
    #[inline]
    fn run(&self, from: usize, to: usize) -> Run<'a, K, V> {
        let keys = &self.keys[from..to];
        let start = from % Self::PAGE;
        match self.pages.page(from) {
            Some(page) => (keys, &page[start..start + keys.len()]),
            None => (&[], &[]),
        }
    }

    /// Goes to the first entry that is left and gives its key.
    #[inline]
    fn first(&mut self) -> Option<&'a K> {
        loop {
            let (keys, places) = self.front;
            if let (Some((key, keys)), Some((place, places))) =
                (keys.split_first(), places.split_first())
            {
                if place.is_some() {
                    return Some(key);
                }
                self.front = (keys, places);
            } else if self.middle.0 < self.middle.1 {
                let from = self.middle.0;
                let to = (from / Self::PAGE * Self::PAGE + Self::PAGE).min(self.middle.1);
                self.front = self.run(from, to);
                self.middle.0 = to;
            } else if self.back.0.is_empty() {
                return None;
            } else {
                self.front = std::mem::take(&mut self.back);
            }
        }
    }

    /// Goes to the last entry that is left and gives its key.
    #[inline]
    fn last(&mut self) -> Option<&'a K> {
        loop {
            let (keys, places) = self.back;
            if let (Some((key, keys)), Some((place, places))) =
                (keys.split_last(), places.split_last())
            {
                if place.is_some() {
                    return Some(key);
                }
                self.back = (keys, places);
            } else if self.middle.0 < self.middle.1 {
                let to = self.middle.1;
                let from = ((to - 1) / Self::PAGE * Self::PAGE).max(self.middle.0);
                self.back = self.run(from, to);
                self.middle.1 = from;
            } else if self.front.0.is_empty() {
                return None;
            } else {
                self.back = std::mem::take(&mut self.front);
            }
        }
    }

    #[inline]
    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        self.first()?;
        let (keys, places) = self.front;
        let ((key, keys), (place, places)) = (keys.split_first()?, places.split_first()?);
        self.front = (keys, places);
        Some((key, place.as_ref()?))
    }

    #[inline]
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        self.last()?;
        let (keys, places) = self.back;
        let ((key, keys), (place, places)) = (keys.split_last()?, places.split_last()?);
        self.back = (keys, places);
        Some((key, place.as_ref()?))
    }

    /// There are no more entries than this.
    fn most(&self) -> usize {
        self.front.0.len() + (self.middle.1 - self.middle.0) + self.back.0.len()
    }
}

/// Entries added since the last rebuild: what is left of the leaves at both ends, and the ranks between them.
struct Added<'a, K, V> {
    tree: &'a Tree<K, V>,
    front: &'a [(K, V)],
    middle: (usize, usize),
    back: &'a [(K, V)],
}

impl<K, V> Clone for Added<'_, K, V> {
    fn clone(&self) -> Self {
        Added { ..*self }
    }
}

impl<'a, K, V> Added<'a, K, V> {
    #[inline]
    fn len(&self) -> usize {
        self.front.len() + (self.middle.1 - self.middle.0) + self.back.len()
    }

    #[inline]
    fn first(&mut self) -> Option<&'a (K, V)> {
        if self.len() == 0 {
            return None;
        }
        if self.front.is_empty() {
            if let Some((leaf, before)) = self.leaf(self.middle.0) {
                let end = (before + leaf.len()).min(self.middle.1);
                self.front = &leaf[self.middle.0 - before..end - before];
                self.middle.0 = end;
            } else {
                self.front = std::mem::take(&mut self.back);
            }
        }
        self.front.first()
    }

    #[inline]
    fn last(&mut self) -> Option<&'a (K, V)> {
        if self.len() == 0 {
            return None;
        }
        if self.back.is_empty() {
            if let Some((leaf, before)) = self.leaf(self.middle.1.wrapping_sub(1)) {
                let start = before.max(self.middle.0);
                self.back = &leaf[start - before..self.middle.1 - before];
                self.middle.1 = start;
            } else {
                self.back = std::mem::take(&mut self.front);
            }
        }
        self.back.last()
    }

    /// The leaf of a rank that is left between the ends.
    fn leaf(&self, rank: usize) -> Option<(&'a [(K, V)], usize)> {
        if self.middle.0 < self.middle.1 { self.tree.leaf(rank) } else { None }
    }

    #[inline]
    fn next(&mut self) -> Option<(&'a K, &'a V)> {
        self.first()?;
        let ((key, value), rest) = self.front.split_first()?;
        self.front = rest;
        Some((key, value))
    }

    #[inline]
    fn next_back(&mut self) -> Option<(&'a K, &'a V)> {
        self.last()?;
        let ((key, value), rest) = self.back.split_last()?;
        self.back = rest;
        Some((key, value))
    }
}
