//! Entries added since the last rebuild: a B-tree of which versions share the nodes.
//!
//! Every change first finds its path, which is the only time that keys are compared, then copies what is shared on it, and
//! changes the tree only when nothing of the user's can panic any more. Nodes are split before something is inserted below them,
//! and joined before something is removed, so that each step by itself leaves a whole tree.

use std::borrow::Borrow;
use std::sync::Arc;

/// The most entries of a leaf and children of an inner node.
pub(super) const WIDE: usize = 24;
/// Neighbours that together have no more than this are joined.
const JOINED: usize = WIDE * 3 / 4;
/// No tree is higher: nodes are split in halves, and neighbours joined, so that this would hold more than 8¹⁶ entries.
const HEIGHT: usize = 16;

/// An ordered map that knows the rank of its keys.
pub(super) struct Tree<K, V> {
    root: Option<Arc<Node<K, V>>>,
    len: usize,
}

pub(super) enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Inner {
        /// One key less than children: no key below the child after it is less, all below those before it are. By itself,
        /// because nodes are copied often, and other children or limits are rare.
        limits: Arc<[K]>,
        children: Vec<Child<K, V>>,
    },
}

pub(super) struct Child<K, V> {
    /// Entries below it.
    len: usize,
    node: Arc<Node<K, V>>,
}

/// Where a key is, or would be inserted.
pub(super) struct Place {
    /// The child to take at each inner node, then the place in the leaf.
    path: [usize; HEIGHT],
    /// How many keys are less.
    pub(super) rank: usize,
    /// Whether the key is there.
    pub(super) found: bool,
}

impl<K, V> Clone for Tree<K, V> {
    fn clone(&self) -> Self {
        Tree { root: self.root.clone(), len: self.len }
    }
}

/// With room for more, because nodes are copied to be changed.
impl<K: Clone, V: Clone> Clone for Node<K, V> {
    fn clone(&self) -> Self {
        fn roomy<T: Clone>(items: &[T]) -> Vec<T> {
            let mut copy = Vec::with_capacity(WIDE);
            copy.extend_from_slice(items);
            copy
        }
        match self {
            Node::Leaf(entries) => Node::Leaf(roomy(entries)),
            Node::Inner { limits, children } => {
                Node::Inner { limits: Arc::clone(limits), children: roomy(children) }
            }
        }
    }
}

impl<K, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        Child { len: self.len, node: Arc::clone(&self.node) }
    }
}

impl<K, V> Tree<K, V> {
    pub(super) const fn none() -> Self {
        Tree { root: None, len: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The entry of a key.
    pub(super) fn get<Q>(&self, key: &Q) -> Option<&(K, V)>
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut node = self.root.as_ref()?;
        loop {
            match &**node {
                Node::Inner { limits, children } => node = &children[child_of(limits, key)].node,
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(known, _)| known.borrow() < key);
                    return entries.get(at).filter(|(known, _)| known.borrow() == key);
                }
            }
        }
    }

    /// Where a key is or would be.
    pub(super) fn place<Q>(&self, key: &Q) -> Place
    where
        K: Borrow<Q>,
        Q: Ord + ?Sized,
    {
        let mut place = Place { path: [0; HEIGHT], rank: 0, found: false };
        let mut node = self.root.as_ref();
        let mut level = 0;
        while let Some(inner) = node {
            let at;
            (at, node) = match &**inner {
                Node::Inner { limits, children } => {
                    let at = child_of(limits, key);
                    place.rank += children[..at].iter().map(|child| child.len).sum::<usize>();
                    (at, Some(&children[at].node))
                }
                Node::Leaf(entries) => {
                    let at = entries.partition_point(|(known, _)| known.borrow() < key);
                    place.rank += at;
                    place.found = entries.get(at).is_some_and(|(known, _)| known.borrow() == key);
                    (at, None)
                }
            };
            place.path[level] = at;
            level += 1;
        }
        place
    }

    /// The entries of the leaf with this rank, and the rank of the first of them.
    pub(super) fn leaf(&self, rank: usize) -> Option<(&[(K, V)], usize)> {
        let mut node = self.root.as_ref().filter(|_| rank < self.len)?;
        let mut before = 0;
        loop {
            match &**node {
                Node::Leaf(entries) => return Some((entries, before)),
                Node::Inner { children, .. } => {
                    let mut children = children.iter();
                    node = loop {
                        let child = children.next()?;
                        if rank < before + child.len {
                            break &child.node;
                        }
                        before += child.len;
                    };
                }
            }
        }
    }
}

/// The child that a key is below.
fn child_of<K: Borrow<Q>, Q: Ord + ?Sized>(limits: &[K], key: &Q) -> usize {
    limits.partition_point(|limit| limit.borrow() <= key)
}

impl<K: Clone, V: Clone> Tree<K, V> {
    /// The value at a place where there is one.
    pub(super) fn value(&mut self, place: &Place) -> Option<&mut V> {
        let mut node = Arc::make_mut(self.root.as_mut()?);
        let mut path = place.path.iter();
        loop {
            let at = *path.next()?;
            match node {
                Node::Inner { children, .. } => {
                    node = Arc::make_mut(&mut children.get_mut(at)?.node);
                }
                Node::Leaf(entries) => return entries.get_mut(at).map(|(_, value)| value),
            }
        }
    }

    /// Inserts a key at its place, where it is not yet.
    pub(super) fn insert(&mut self, mut place: Place, key: K, value: V) {
        let root = self.root.get_or_insert_with(|| Arc::new(Node::Leaf(Vec::new())));
        if root.width() >= WIDE {
            let children = vec![Child { len: self.len, node: Arc::clone(root) }];
            *root = Arc::new(Node::Inner { limits: Arc::new([]), children });
            place.path.rotate_right(1);
            place.path[0] = 0;
        }
        Arc::make_mut(root).insert(&mut place.path, key, value);
        self.len += 1;
    }

    /// Removes the entry at a place where there is one.
    pub(super) fn remove(&mut self, mut place: Place) -> Option<(K, V)> {
        // What is not needed any more is dropped in the end, because dropping a key may panic.
        let mut gone = Gone::default();
        let removed = Arc::make_mut(self.root.as_mut()?).remove(&mut place.path, &mut gone)?;
        self.len -= 1;
        while let Some(Node::Inner { children, .. }) = self.root.as_deref()
            && children.len() <= 1
        {
            let only = children.first().map(|child| Arc::clone(&child.node));
            gone.0.extend(std::mem::replace(&mut self.root, only));
        }
        if self.len == 0 {
            self.root = None;
        }
        Some(removed)
    }
}

/// What a removal leaves over: nodes and limits.
type Gone<K, V> = (Vec<Arc<Node<K, V>>>, Vec<Arc<[K]>>);

impl<K, V> Node<K, V> {
    fn width(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner { children, .. } => children.len(),
        }
    }
}

impl<K: Clone, V: Clone> Node<K, V> {
    fn insert(&mut self, path: &mut [usize], key: K, value: V) {
        match self {
            Node::Leaf(entries) => entries.insert(path[0], (key, value)),
            Node::Inner { limits, children } => {
                let mut at = path[0];
                if children[at].node.width() >= WIDE {
                    at += split(limits, children, at, &mut path[1]);
                }
                Arc::make_mut(&mut children[at].node).insert(&mut path[1..], key, value);
                children[at].len += 1;
            }
        }
    }

    fn remove(&mut self, path: &mut [usize], gone: &mut Gone<K, V>) -> Option<(K, V)> {
        match self {
            Node::Leaf(entries) => (path[0] < entries.len()).then(|| entries.remove(path[0])),
            Node::Inner { limits, children } => {
                let mut at = path[0];
                if at > 0 && are_few(&children[at - 1..=at]) {
                    at -= 1;
                    path[1] += children[at].node.width();
                    join(limits, children, at);
                } else if at + 1 < children.len() && are_few(&children[at..=at + 1]) {
                    join(limits, children, at);
                }
                let child = &mut children[at];
                // The child takes the limit before it along, or the one after it if it is the first.
                let without = (child.len == 1).then(|| without(limits, at.saturating_sub(1)));
                let removed = Arc::make_mut(&mut child.node).remove(&mut path[1..], gone)?;
                child.len -= 1;
                if let Some(without) = without {
                    gone.0.push(children.remove(at).node);
                    gone.1.push(std::mem::replace(limits, without));
                }
                Some(removed)
            }
        }
    }
}

/// All limits but one.
fn without<K: Clone>(limits: &[K], at: usize) -> Arc<[K]> {
    let others = limits.iter().enumerate().filter(|(place, _)| *place != at);
    others.map(|(_, limit)| limit.clone()).collect()
}

/// Splits a child in two. `within` is a place in it; it is changed to that in the half where it is, and which that is returned.
fn split<K: Clone, V: Clone>(
    limits: &mut Arc<[K]>,
    children: &mut Vec<Child<K, V>>,
    at: usize,
    within: &mut usize,
) -> usize {
    const HALF: usize = WIDE / 2;
    let child = &mut children[at];
    let node = Arc::make_mut(&mut child.node);
    let first = match node {
        Node::Leaf(entries) => &entries[HALF].0,
        Node::Inner { limits, .. } => &limits[HALF - 1],
    };
    let (before, after) = limits.split_at(at);
    let all = before.iter().chain([first]).chain(after).cloned().collect();
    // Old limits are dropped in the end, because dropping a key may panic.
    let mut _old = None;
    let (right, len, is_right) = match node {
        Node::Leaf(entries) => {
            let right = entries.split_off(HALF);
            let len = right.len();
            // What is inserted before the right half's first key is less than it.
            (Node::Leaf(right), len, *within > HALF)
        }
        Node::Inner { limits, children } => {
            let (left, right) = (limits[..HALF - 1].into(), limits[HALF..].into());
            _old = Some(std::mem::replace(limits, left));
            let children = children.split_off(HALF);
            let len = children.iter().map(|child| child.len).sum();
            (Node::Inner { limits: right, children }, len, *within >= HALF)
        }
    };
    child.len -= len;
    children.insert(at + 1, Child { len, node: Arc::new(right) });
    let _old = (_old, std::mem::replace(limits, all));
    if is_right {
        *within -= HALF;
    }
    usize::from(is_right)
}

fn are_few<K, V>(children: &[Child<K, V>]) -> bool {
    children.iter().map(|child| child.node.width()).sum::<usize>() <= JOINED
}

/// Moves what the right neighbour of a child holds into it.
fn join<K: Clone, V: Clone>(limits: &mut Arc<[K]>, children: &mut Vec<Child<K, V>>, at: usize) {
    let all = without(limits, at);
    let right = Node::clone(&children[at + 1].node);
    // Old limits are dropped in the end, because dropping a key may panic.
    let mut _old = None;
    match (Arc::make_mut(&mut children[at].node), right) {
        (Node::Leaf(left), Node::Leaf(mut right)) => left.append(&mut right),
        (
            Node::Inner { limits: left, children },
            Node::Inner { limits: right, children: mut further },
        ) => {
            let between = limits[at].clone();
            let both = left.iter().cloned().chain([between]).chain(right.iter().cloned());
            _old = Some(std::mem::replace(left, both.collect()));
            children.append(&mut further);
        }
        // All leaves are at one level.
        _ => return,
    }
    let gone = children.remove(at + 1);
    children[at].len += gone.len;
    let _old = (_old, std::mem::replace(limits, all));
}

#[cfg(test)]
mod tests;
