use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

impl<K: Ord, V> Tree<K, V> {
    /// Panics unless all leaves are at one level and not empty, no node is too wide, and lengths and limits are right.
    pub(crate) fn assert_whole(&self) {
        let Some(root) = &self.root else { return assert_eq!(self.len, 0) };
        let (len, _) = root.assert_whole(None, None);
        assert_eq!(len, self.len);
    }
}

impl<K: Ord, V> Node<K, V> {
    /// The entries below it and its height.
    fn assert_whole(&self, from: Option<&K>, to: Option<&K>) -> (usize, usize) {
        assert!((1..=WIDE).contains(&self.width()));
        match self {
            Node::Leaf(entries) => {
                assert!(entries.is_sorted_by(|one, other| one.0 < other.0));
                assert!(from.is_none_or(|from| *from <= entries[0].0));
                assert!(to.is_none_or(|to| entries[entries.len() - 1].0 < *to));
                (entries.len(), 0)
            }
            Node::Inner { limits, children } => {
                assert_eq!(limits.len() + 1, children.len());
                let mut heights = Vec::new();
                for (at, child) in children.iter().enumerate() {
                    let from = if at == 0 { from } else { Some(&limits[at - 1]) };
                    let (len, height) = child.node.assert_whole(from, limits.get(at).or(to));
                    assert_eq!(len, child.len);
                    heights.push(height);
                }
                assert!(heights.iter().all(|height| *height == heights[0]));
                (children.iter().map(|child| child.len).sum(), heights[0] + 1)
            }
        }
    }
}

fn insert(tree: &mut Tree<u32, u32>, key: u32, value: u32) {
    let place = tree.place(&key);
    match tree.value(&place) {
        Some(held) if place.found => *held = value,
        _ => tree.insert(place, key, value),
    }
}

fn assert_is(tree: &Tree<u32, u32>, model: &BTreeMap<u32, u32>) {
    tree.assert_whole();
    assert_eq!(tree.len(), model.len());
    let mut rank = 0;
    while let Some((leaf, before)) = tree.leaf(rank) {
        assert_eq!(before, rank);
        assert!(
            leaf.iter()
                .map(|(key, value)| (key, value))
                .eq(model.iter().skip(rank).take(leaf.len()))
        );
        rank += leaf.len();
    }
    assert_eq!(rank, model.len());
}

#[test]
fn grows_in_any_direction_and_shrinks_to_nothing() {
    const COUNT: u32 = 3000;
    let orders: [fn(u32) -> u32; 3] = [|n| n, |n| COUNT - n, |n| n * 1009 % COUNT];
    for up in orders {
        for down in orders {
            let (mut tree, mut model) = (Tree::none(), BTreeMap::new());
            for n in 0..COUNT {
                insert(&mut tree, up(n), n);
                model.insert(up(n), n);
                if n % 97 == 0 {
                    assert_is(&tree, &model);
                }
            }
            let full = (tree.clone(), model.clone());
            for n in 0..COUNT {
                let place = tree.place(&down(n));
                assert_eq!(place.found, model.contains_key(&down(n)));
                if place.found {
                    assert_eq!(tree.remove(place), model.remove_entry(&down(n)));
                }
                if n % 97 == 0 {
                    assert_is(&tree, &model);
                }
            }
            assert_is(&full.0, &full.1);
        }
    }
}

#[test]
fn keeps_few_nodes_for_few_entries() {
    let mut tree = Tree::none();
    (0..4096).for_each(|key| insert(&mut tree, key, key));
    for key in (0..4096).filter(|key| key % 16 != 0) {
        let place = tree.place(&key);
        tree.remove(place);
    }
    let mut leaves = 0;
    let mut rank = 0;
    while let Some((leaf, _)) = tree.leaf(rank) {
        rank += leaf.len();
        leaves += 1;
    }
    assert_eq!(rank, 256);
    // Two neighbours have more than JOINED entries, or had when they were last touched.
    assert!(leaves <= 2 * 256 / JOINED + 8, "{leaves} leaves");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn is_a_map_whatever_is_shared(
        steps in prop::collection::vec((0u32..600, 0u32..10, any::<bool>()), 0..1500),
    ) {
        let (mut tree, mut model) = (Tree::none(), BTreeMap::new());
        let mut versions = Vec::new();
        for (number, (key, what, keep)) in steps.into_iter().enumerate() {
            if keep && number % 50 == 0 {
                versions.push((tree.clone(), model.clone()));
            }
            let place = tree.place(&key);
            prop_assert_eq!(place.rank, model.range(..key).count());
            let held = tree.get(&key).map(|(key, value)| (key, value));
            prop_assert_eq!(held, model.get_key_value(&key));
            match what {
                0..4 if place.found => {
                    prop_assert_eq!(tree.remove(place), model.remove_entry(&key));
                }
                _ => {
                    insert(&mut tree, key, what);
                    model.insert(key, what);
                }
            }
            tree.assert_whole();
        }
        versions.push((tree, model));
        versions.iter().for_each(|(tree, model)| assert_is(tree, model));
    }
}
