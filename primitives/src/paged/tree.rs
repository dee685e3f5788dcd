//! Entries added since the last rebuild: a B-tree of which versions share the nodes.
//!
//! Every change first finds its path, which is the only time that keys are compared, then copies what is shared on it, and
//! changes the tree only when nothing of the user's can panic any more. Nodes are split before something is inserted below them,
//! and joined before something is removed, so that each step by itself leaves a whole tree.

use std::borrow::Borrow;
use std::sync::Arc;

/// The most entries of a leaf and children of an inner node.
pub(super) const WIDE: usize = 16;
/// Neighbours that together have no more than this are joined.
const JOINED: usize = WIDE * 3 / 4;
/// No tree is higher: nodes are split in halves, and neighbours joined, so that this would be more than 5¹⁶ entries.
const HEIGHT: usize = 16;

/// An ordered map that knows the rank of its keys.
pub(super) struct Tree<K, V> {
    root: Option<Arc<Node<K, V>>>,
    len: usize,
}

pub(super) enum Node<K, V> {
    Leaf(Vec<(K, V)>),
    Inner(Vec<Child<K, V>>),
}

pub(super) struct Child<K, V> {
    /// No key below this child is less, unless it is the leftmost child; all to the left of it are less.
    from: K,
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
            Node::Inner(children) => Node::Inner(roomy(children)),
        }
    }
}

impl<K: Clone, V> Clone for Child<K, V> {
    fn clone(&self) -> Self {
        Child { from: self.from.clone(), len: self.len, node: Arc::clone(&self.node) }
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
                Node::Inner(children) => node = &children[child_of(children, key)].node,
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
                Node::Inner(children) => {
                    let at = child_of(children, key);
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
                Node::Inner(children) => {
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
fn child_of<K: Borrow<Q>, V, Q: Ord + ?Sized>(children: &[Child<K, V>], key: &Q) -> usize {
    // What the leftmost holds may be less than it says.
    children[1..].partition_point(|child| child.from.borrow() <= key)
}

impl<K: Clone, V: Clone> Tree<K, V> {
    /// The value at a place where there is one.
    pub(super) fn value(&mut self, place: &Place) -> Option<&mut V> {
        let mut node = Arc::make_mut(self.root.as_mut()?);
        let mut path = place.path.iter();
        loop {
            let at = *path.next()?;
            match node {
                Node::Inner(children) => node = Arc::make_mut(&mut children.get_mut(at)?.node),
                Node::Leaf(entries) => return entries.get_mut(at).map(|(_, value)| value),
            }
        }
    }

    /// Inserts a key at its place, where it is not yet.
    pub(super) fn insert(&mut self, mut place: Place, key: K, value: V) {
        let root = self.root.get_or_insert_with(|| Arc::new(Node::Leaf(Vec::new())));
        let path = if root.is_full() {
            let from = root.first().clone();
            let only = Child { from, len: self.len, node: Arc::clone(root) };
            *root = Arc::new(Node::Inner(vec![only]));
            place.path.rotate_right(1);
            place.path[0] = 0;
            &mut place.path
        } else {
            &mut place.path
        };
        Arc::make_mut(root).insert(path, key, value);
        self.len += 1;
    }

    /// Removes the entry at a place where there is one.
    pub(super) fn remove(&mut self, mut place: Place) -> Option<(K, V)> {
        let mut emptied = Vec::new();
        let removed = Arc::make_mut(self.root.as_mut()?).remove(&mut place.path, &mut emptied)?;
        self.len -= 1;
        while let Some(Node::Inner(children)) = self.root.as_deref()
            && children.len() <= 1
        {
            self.root = children.first().map(|child| Arc::clone(&child.node));
        }
        if self.len == 0 {
            self.root = None;
        }
        Some(removed)
    }
}

impl<K, V> Node<K, V> {
    fn width(&self) -> usize {
        match self {
            Node::Leaf(entries) => entries.len(),
            Node::Inner(children) => children.len(),
        }
    }

    fn is_full(&self) -> bool {
        self.width() >= WIDE
    }

    /// Something that no key below this node is less than, unless it is the leftmost of its level.
    fn first(&self) -> &K {
        match self {
            Node::Leaf(entries) => &entries[0].0,
            Node::Inner(children) => &children[0].from,
        }
    }
}

impl<K: Clone, V: Clone> Node<K, V> {
    fn insert(&mut self, path: &mut [usize], key: K, value: V) {
        match self {
            Node::Leaf(entries) => entries.insert(path[0], (key, value)),
            Node::Inner(children) => {
                let mut at = path[0];
                if children[at].node.is_full() {
                    at += split(children, at, &mut path[1]);
                }
                Arc::make_mut(&mut children[at].node).insert(&mut path[1..], key, value);
                children[at].len += 1;
            }
        }
    }

    /// Children without entries are put into `emptied`, because dropping a key may panic.
    fn remove(&mut self, path: &mut [usize], emptied: &mut Vec<Child<K, V>>) -> Option<(K, V)> {
        match self {
            Node::Leaf(entries) => (path[0] < entries.len()).then(|| entries.remove(path[0])),
            Node::Inner(children) => {
                let mut at = path[0];
                if at > 0 && are_few(&children[at - 1..=at]) {
                    at -= 1;
                    path[1] += children[at].node.width();
                    join(children, at);
                } else if at + 1 < children.len() && are_few(&children[at..=at + 1]) {
                    join(children, at);
                }
                let child = &mut children[at];
                let removed = Arc::make_mut(&mut child.node).remove(&mut path[1..], emptied)?;
                child.len -= 1;
                if child.len == 0 {
                    emptied.push(children.remove(at));
                }
                Some(removed)
            }
        }
    }
}

/// Splits a child in two. `within` is a place in it; it is changed to that in the half where it is, and which that is returned.
fn split<K: Clone, V: Clone>(
    children: &mut Vec<Child<K, V>>,
    at: usize,
    within: &mut usize,
) -> usize {
    const HALF: usize = WIDE / 2;
    let child = &mut children[at];
    let (from, right, len, is_right) = match Arc::make_mut(&mut child.node) {
        Node::Leaf(entries) => {
            let from = entries[HALF].0.clone();
            let right = entries.split_off(HALF);
            let len = right.len();
            // What is inserted before the right half's first key is less than it.
            (from, Node::Leaf(right), len, *within > HALF)
        }
        Node::Inner(inner) => {
            let from = inner[HALF].from.clone();
            let right = inner.split_off(HALF);
            let len = right.iter().map(|child| child.len).sum();
            (from, Node::Inner(right), len, *within >= HALF)
        }
    };
    child.len -= len;
    children.insert(at + 1, Child { from, len, node: Arc::new(right) });
    if is_right {
        *within -= HALF;
    }
    usize::from(is_right)
}

fn are_few<K, V>(children: &[Child<K, V>]) -> bool {
    children.iter().map(|child| child.node.width()).sum::<usize>() <= JOINED
}

/// Moves what the right neighbour of a child holds into it.
fn join<K: Clone, V: Clone>(children: &mut Vec<Child<K, V>>, at: usize) {
    let mut right = Node::clone(&children[at + 1].node);
    if let Node::Inner(right) = &mut right {
        // It is not the leftmost any more, so what it says must hold.
        right[0].from = children[at + 1].from.clone();
    }
    match (Arc::make_mut(&mut children[at].node), right) {
        (Node::Leaf(left), Node::Leaf(mut right)) => left.append(&mut right),
        (Node::Inner(left), Node::Inner(mut right)) => left.append(&mut right),
        // All leaves are at one level.
        _ => return,
    }
    let gone = children.remove(at + 1);
    children[at].len += gone.len;
}

#[cfg(test)]
mod tests;
