//! Values by number, in pages that versions share until one of them writes.

use std::mem::needs_drop;
use std::sync::Arc;

/// Children of a node. Copying a node touches the reference counts of all of them.
const WIDE: usize = 16;

/// A page: a value or nothing for each number.
pub(super) type Page<V> = [Option<V>];

/// A tree of pages. Its shape is fixed when it is built.
pub(super) struct Pages<V> {
    /// Not behind a reference count of its own: a version is made to be written to, and then the root is copied in any case.
    root: Node<V>,
    /// How many bits of a number are below those that the root looks at.
    shift: u32,
}

enum Node<V> {
    Inner([Option<Arc<Node<V>>>; WIDE]),
    Last([Option<Arc<Page<V>>>; WIDE]),
}

impl<V> Clone for Pages<V> {
    fn clone(&self) -> Self {
        Pages { root: self.root.clone(), shift: self.shift }
    }
}

impl<V> Clone for Node<V> {
    fn clone(&self) -> Self {
        match self {
            Node::Inner(nodes) => Node::Inner(nodes.clone()),
            Node::Last(pages) => Node::Last(pages.clone()),
        }
    }
}

impl<V> Pages<V> {
    /// Values in a page, which is what one write copies: few where a copy may be more than one of bytes.
    pub(super) const PAGE: usize = if needs_drop::<V>() { 16 } else { 64 };

    pub(super) const fn none() -> Self {
        Pages { root: Node::Last([const { None }; WIDE]), shift: Self::PAGE.ilog2() }
    }

    /// The values of the numbers 0, 1, …
    pub(super) fn of(values: Vec<V>) -> Self {
        let mut values = values.into_iter().map(Some);
        let pages = std::iter::from_fn(|| {
            let page: Arc<Page<V>> = values.by_ref().take(Self::PAGE).collect();
            (!page.is_empty()).then_some(page)
        });
        let mut level: Vec<_> = groups(pages).map(Node::Last).collect();
        let mut shift = Self::PAGE.ilog2();
        while level.len() > 1 {
            level = groups(level.into_iter().map(Arc::new)).map(Node::Inner).collect();
            shift += WIDE.ilog2();
        }
        level.pop().map_or(Pages::none(), |root| Pages { root, shift })
    }

    /// The value of a number.
    #[inline]
    pub(super) fn get(&self, id: usize) -> Option<&V> {
        self.page(id)?.get(id % Self::PAGE)?.as_ref()
    }

    /// What the first numbers hold, in order.
    pub(super) fn iter(&self, count: usize) -> impl Iterator<Item = &Option<V>> {
        (0..count).step_by(Self::PAGE).filter_map(|id| self.page(id)).flatten().take(count)
    }

    /// The page with a number.
    #[inline]
    pub(super) fn page(&self, id: usize) -> Option<&Page<V>> {
        let (mut node, mut shift) = (&self.root, self.shift);
        loop {
            let child = (id >> shift) % WIDE;
            match node {
                Node::Inner(nodes) => node = nodes[child].as_deref()?,
                Node::Last(pages) => return pages[child].as_deref(),
            }
            shift -= WIDE.ilog2();
        }
    }
}

impl<V: Clone> Pages<V> {
    /// The place of a number, for this version alone: nodes and pages that others share are copied first.
    #[inline]
    pub(super) fn place(&mut self, id: usize) -> Option<&mut Option<V>> {
        let (mut node, mut shift) = (&mut self.root, self.shift);
        loop {
            let child = (id >> shift) % WIDE;
            match node {
                Node::Inner(nodes) => node = Arc::make_mut(nodes[child].as_mut()?),
                Node::Last(pages) => {
                    return Arc::make_mut(pages[child].as_mut()?).get_mut(id % Self::PAGE);
                }
            }
            shift -= WIDE.ilog2();
        }
    }
}

/// Cuts into arrays, of which the last is filled up with nothing.
fn groups<T>(items: impl IntoIterator<Item = T>) -> impl Iterator<Item = [Option<T>; WIDE]> {
    let mut items = items.into_iter();
    std::iter::from_fn(move || {
        let first = items.next()?;
        let mut group = [const { None }; WIDE];
        group[0] = Some(first);
        for place in &mut group[1..] {
            *place = items.next();
        }
        Some(group)
    })
}
