use std::collections::BTreeMap;
use std::fmt::Debug;
use std::hash::{BuildHasherDefault, Hasher};

use proptest::prelude::*;

use super::*;

mod panics;

/// Gives every key the same hash.
#[derive(Default)]
pub(super) struct Colliding;

impl Hasher for Colliding {
    fn finish(&self) -> u64 {
        0x0123_4567_89AB_CDEF
    }
    fn write(&mut self, _: &[u8]) {}
}

type Random = foldhash::fast::RandomState;
type Constant = BuildHasherDefault<Colliding>;

impl<K: Ord, V, S> PagedMap<K, V, S> {
    /// Panics unless all counts are right and removed keys are within their bound.
    fn assert_whole(&self) {
        self.added.assert_whole();
        assert!(self.known.sorted.is_sorted_by(|one, other| one < other));
        let held = self.pages.iter(self.known.sorted.len()).flatten().count();
        assert_eq!(self.held, held);
        assert!(self.known.sorted.len() - held <= FEW.max(self.len() + 1), "few removed keys");
        assert!(self.added.len() <= FEW.max(self.known.sorted.len() / 4), "few added keys");
        let all = self.known.sorted.iter();
        assert!(
            all.into_iter().all(|key| !self.added.place(key).found),
            "each key is known or added"
        );
    }
}

/// Compares everything that can be asked.
fn assert_is<S: BuildHasher>(map: &PagedMap<u32, u32, S>, model: &BTreeMap<u32, u32>) {
    map.assert_whole();
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    assert!(map.iter().eq(model));
    assert!(map.iter().rev().eq(model.iter().rev()));
    assert!(map.keys().eq(model.keys()) && map.values().rev().eq(model.values().rev()));
    assert_eq!(
        map.values().map(|value| u64::from(*value)).sum::<u64>(),
        model.values().map(|v| u64::from(*v)).sum()
    );
    let keys: Vec<u32> = (0..model.last_key_value().map_or(2, |last| last.0 + 2)).rev().collect();
    let many = map.get_many(&keys.iter().collect::<Vec<_>>());
    assert!(many.into_iter().eq(keys.iter().map(|key| model.get(key))));
    for key in 0..model.last_key_value().map_or(2, |last| last.0 + 2) {
        assert_eq!(map.get_key_value(&key), model.get_key_value(&key));
        assert_eq!(map.contains_key(&key), model.contains_key(&key));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Fork(usize),
    Insert(usize, u32, u32),
    /// With an odd number nothing is changed.
    Update(usize, u32, u32),
    Remove(usize, u32),
    Change(usize, u32, u32),
    /// Keys from one on, in steps; each third is left as it is.
    UpdateMany(usize, u32, u32, u32),
    /// Keys from one on, in steps.
    InsertMany(usize, u32, u32, u32),
    RemoveMany(usize, u32, u32, u32),
    Extend(usize, Vec<(u32, u32)>),
}

fn step(keys: u32) -> impl Strategy<Value = Step> {
    let version = 0usize..8;
    let many = (version.clone(), 0..keys, 1u32..8, 0..keys / 2);
    prop_oneof![
        2 => version.clone().prop_map(Step::Fork),
        8 => (version.clone(), 0..keys, any::<u32>()).prop_map(|(v, k, x)| Step::Insert(v, k, x)),
        6 => (version.clone(), 0..keys, any::<u32>()).prop_map(|(v, k, x)| Step::Update(v, k, x)),
        6 => (version.clone(), 0..keys).prop_map(|(v, k)| Step::Remove(v, k)),
        3 => (version.clone(), 0..keys, any::<u32>()).prop_map(|(v, k, x)| Step::Change(v, k, x)),
        2 => many.clone().prop_map(|(v, from, by, n)| Step::InsertMany(v, from, by, n)),
        3 => many.clone().prop_map(|(v, from, by, n)| Step::UpdateMany(v, from, by, n)),
        2 => many.prop_map(|(v, from, by, n)| Step::RemoveMany(v, from, by, n)),
        1 => (version, prop::collection::vec((0..keys, any::<u32>()), 0..200)).prop_map(|(v, e)| Step::Extend(v, e)),
    ]
}

/// A version, and what it should hold.
type Modelled<S> = (PagedMap<u32, u32, S>, BTreeMap<u32, u32>);

/// Whatever slots are remembered, of this version or of any other, each key is found.
fn slots_lead_to_their_keys<S: BuildHasher + Clone>(versions: &[Modelled<S>]) {
    let keys: Vec<u32> = (0..5_000).step_by(7).chain(0..50).collect();
    let keys: Vec<&u32> = keys.iter().collect();
    for (other, _) in versions {
        let remembered: BTreeMap<u32, Slot> =
            keys.iter().map(|key| (**key, other.slot(*key))).collect();
        for (map, model) in versions {
            let slots = map.slots(&keys, |key| remembered[key]);
            for (slot, key) in slots.iter().zip(&keys) {
                assert_eq!(*slot, map.slot(*key), "{key}");
                assert_eq!(map.knows(*slot), *slot != Slot::NONE);
                let found = if map.knows(*slot) { map.at(*slot) } else { map.get(*key) };
                assert_eq!(found, model.get(*key), "{key}");
                let there = remembered[*key];
                assert!(!map.knows(there) || there == *slot, "{key} is elsewhere");
            }
            let found = map.get_many_at(&keys, &slots);
            assert!(found.into_iter().eq(keys.iter().map(|key| model.get(*key))));
            let mut next = map.clone();
            let mut keys = keys.clone();
            keys.sort_unstable();
            keys.dedup();
            let slots = next.slots(&keys, |key| remembered[key]);
            let changed = next.update_many_at(&keys, &slots, |place, held| {
                assert_eq!(held, model.get(keys[place]));
                (place % 2 == 0).then_some(7)
            });
            assert_eq!(changed, keys.len().div_ceil(2));
            assert!(keys.iter().step_by(2).all(|key| next[*key] == 7));
        }
    }
}

/// Runs a history over several versions and compares all of them with their models in the end.
fn history<S: BuildHasher + Clone + Default>(steps: Vec<Step>) {
    let mut versions = vec![(PagedMap::<u32, u32, S>::default(), BTreeMap::new())];
    for step in steps {
        let count = versions.len();
        let (Step::Fork(version)
        | Step::Insert(version, ..)
        | Step::Update(version, ..)
        | Step::UpdateMany(version, ..)
        | Step::Remove(version, ..)
        | Step::Change(version, ..)
        | Step::InsertMany(version, ..)
        | Step::RemoveMany(version, ..)
        | Step::Extend(version, ..)) = step;
        let (map, model) = &mut versions[version % count];
        match step {
            Step::Fork(_) => {
                let fork = (map.clone(), model.clone());
                if count < 8 {
                    versions.push(fork);
                }
            }
            Step::Insert(_, key, value) => {
                assert_eq!(map.insert(key, value), model.insert(key, value))
            }
            Step::Update(_, key, value) => {
                let change = |held: Option<&u32>| {
                    assert_eq!(held, model.get(&key));
                    (value % 2 == 0).then_some(value)
                };
                assert_eq!(map.update(&key, change), value % 2 == 0);
                if value % 2 == 0 {
                    model.insert(key, value);
                }
            }
            Step::UpdateMany(_, from, by, count) => {
                let keys: Vec<u32> = (from..).step_by(by as usize).take(count as usize).collect();
                let changed = map.update_many(&keys.iter().collect::<Vec<_>>(), |place, held| {
                    assert_eq!(held, model.get(&keys[place]));
                    (place % 3 != 0).then_some(by)
                });
                let written = || keys.iter().enumerate().filter(|(place, _)| place % 3 != 0);
                assert_eq!(changed, written().count());
                model.extend(written().map(|(_, key)| (*key, by)));
            }
            Step::Remove(_, key) => assert_eq!(map.remove(&key), model.remove(&key)),
            Step::Change(_, key, value) => {
                let (mine, of_model) = (map.get_mut(&key), model.get_mut(&key));
                assert_eq!(mine, of_model);
                if let (Some(mine), Some(of_model)) = (mine, of_model) {
                    (*mine, *of_model) = (value, value);
                }
            }
            Step::InsertMany(_, from, by, count) => {
                for key in (from..).step_by(by as usize).take(count as usize) {
                    assert_eq!(map.insert(key, by), model.insert(key, by));
                }
            }
            Step::RemoveMany(_, from, by, count) => {
                for key in (from..).step_by(by as usize).take(count as usize) {
                    assert_eq!(map.remove(&key), model.remove(&key));
                }
            }
            Step::Extend(_, entries) => {
                map.extend(entries.iter().copied());
                model.extend(entries);
            }
        }
    }
    versions.iter().for_each(|(map, model)| assert_is(map, model));
    slots_lead_to_their_keys(&versions);
    let (first, last) = (&versions[0], &versions[versions.len() - 1]);
    assert_eq!(first.0 == last.0, first.1 == last.1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn every_version_keeps_to_its_model(steps in prop::collection::vec(step(300), 0..80)) {
        history::<Random>(steps);
    }

    #[test]
    fn so_does_one_of_many_keys(steps in prop::collection::vec(step(4000), 0..40)) {
        history::<Random>(steps);
    }

    #[test]
    fn so_does_one_of_keys_with_one_hash(steps in prop::collection::vec(step(200), 0..50)) {
        history::<Constant>(steps);
    }

    #[test]
    fn ranges_are_those_of_a_b_tree(
        built in prop::collection::btree_map(0u32..500, any::<u32>(), 0..400),
        inserted in prop::collection::vec(0u32..500, 0..150),
        removed in prop::collection::vec(0u32..500, 0..150),
        bounds in prop::collection::vec((bound(), bound()), 1..20),
        backwards in prop::collection::vec(any::<bool>(), 0..500),
    ) {
        let mut map: PagedMap<u32, u32> = built.clone().into_iter().collect();
        let mut model = built;
        for key in inserted {
            map.insert(key, key);
            model.insert(key, key);
        }
        for key in removed {
            map.remove(&key);
            model.remove(&key);
        }
        for range in bounds {
            // A B-tree refuses ranges that are the wrong way round.
            let inside = |key: &&u32| range.contains(*key);
            let expected: Vec<_> = model.keys().filter(inside).map(|key| (key, &model[key])).collect();
            let found = map.range(range);
            prop_assert!(found.clone().eq(expected.iter().copied()));
            prop_assert!(found.clone().rev().eq(expected.iter().rev().copied()));
            let (least, most) = found.size_hint();
            prop_assert!(least <= expected.len() && expected.len() <= most.unwrap());
            // From both ends by turns.
            let (mut found, mut expected) = (found, expected.into_iter());
            for back in &backwards {
                let (one, other) =
                    if *back { (found.next_back(), expected.next_back()) } else { (found.next(), expected.next()) };
                prop_assert_eq!(one, other);
            }
            let rest = found.fold(Vec::new(), |mut all, one| {
                all.push(one);
                all
            });
            prop_assert!(rest.into_iter().eq(expected));
        }
    }
}

fn bound() -> impl Strategy<Value = Bound<u32>> {
    prop_oneof![
        1 => Just(Bound::Unbounded),
        3 => (0u32..510).prop_map(Bound::Included),
        3 => (0u32..510).prop_map(Bound::Excluded),
    ]
}

#[test]
fn nothing_is_in_an_empty_map() {
    let mut map = PagedMap::<String, u32>::new();
    assert_eq!((map.get("a"), map.len()), (None, 0));
    assert_eq!(map.get_mut("a"), None);
    assert!(map.is_empty());
    assert_eq!(map.remove("a"), None);
    assert_eq!((map.iter().next(), map.range::<String, _>(..).next_back()), (None, None));
    assert_eq!(map, std::iter::empty().collect());
    assert_eq!(format!("{map:?}"), "{}");
}

#[test]
fn one_key_comes_and_goes() {
    let mut map = PagedMap::<String, u32>::new();
    for round in 0..3 * FEW as u32 {
        assert_eq!(map.insert("a".to_owned(), round), None);
        assert_eq!(map["a"], round);
        assert_eq!(map.insert("a".to_owned(), round + 1), Some(round));
        assert_eq!(
            format!("{:?} {:?}", map, map.iter()),
            format!("{{\"a\": {0}}} [(\"a\", {0})]", round + 1)
        );
        assert_eq!(map.remove("a"), Some(round + 1));
        assert_eq!(map.len(), 0);
    }
}

#[test]
fn grows_over_all_thresholds_one_by_one_and_at_once() {
    let (mut map, mut model) = (PagedMap::<u32, u32>::new(), BTreeMap::new());
    for n in 0..9000u32 {
        let key = n * 7919 % 9001;
        map.insert(key, n);
        model.insert(key, n);
        if n % 509 == 0 || n.is_power_of_two() || (n + 1).is_power_of_two() {
            assert_is(&map, &model);
            assert_is(&model.clone().into_iter().collect::<PagedMap<_, _>>(), &model);
        }
    }
    assert_is(&map, &model);
    // A page, a node, and the root of two and three levels are just full, or just not.
    for size in [1, 64, 65, 1024, 1025, 16_384, 16_385, 262_144, 262_145] {
        let map: PagedMap<u32, u32> = (0..size).map(|n| (n, !n)).collect();
        let boxed: PagedMap<u32, Box<u32>> = (0..size / 4).map(|n| (n, Box::new(!n))).collect();
        assert!(boxed.values().all(|value| boxed[&!**value] == *value));
        assert!(
            map.iter().eq((0..size)
                .map(|n| (n, !n))
                .collect::<Vec<_>>()
                .iter()
                .map(|(k, v)| (k, v)))
        );
        assert_eq!((map.get(&(size - 1)), map.get(&size)), (Some(&!(size - 1)), None));
    }
}

#[test]
fn the_last_of_equal_keys_stays_and_the_first_key_is_kept() {
    /// Equal by its number alone.
    #[derive(Clone, Debug)]
    struct Named(u32, &'static str);
    impl PartialEq for Named {
        fn eq(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }
    impl Eq for Named {}
    impl PartialOrd for Named {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }
    impl Ord for Named {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }
    impl Hash for Named {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    let twice = || (0..200).flat_map(|n| [(Named(n, "first"), n), (Named(n, "second"), n + 1)]);
    let mut map: PagedMap<Named, u32> = twice().take(2).collect();
    assert_eq!(map.values().collect::<Vec<_>>(), [&1]);
    map.insert(Named(0, "third"), 7);
    map.insert(Named(1, "known later"), 7);
    map.extend(twice());
    assert!(map.values().copied().eq(1..201));
    let name = |n| map.get_key_value(&Named(n, "")).map(|(key, _)| key.1);
    assert_eq!([name(0), name(1)], [Some("first"), Some("known later")]);
}

#[test]
fn prefixes_are_ranges() {
    let paths = (0..2000).map(|n| format!("crates/{:03}/version-{n:05}", n % 64));
    let mut map: PagedMap<String, usize> = paths.zip(0..).collect();
    for n in 0..64 {
        map.insert(format!("crates/{n:03}/added"), n);
        map.remove(format!("crates/{n:03}/version-{:05}", 64 + n).as_str());
    }
    for n in 0..64 {
        let prefix = format!("crates/{n:03}/");
        let bounds = (Bound::Included(prefix.clone()), Bound::Excluded(format!("crates/{n:03}0")));
        let under = map.range::<String, _>(bounds);
        let expected = map.iter().filter(|(key, _)| key.starts_with(&prefix));
        assert!(under.eq(expected));
    }
}

#[test]
fn order_and_equality_do_not_depend_on_the_hash() {
    let entries = || (0..500).map(|n| (format!("key-{n}"), n));
    let one: PagedMap<_, _> = entries().collect();
    let other: PagedMap<_, _> = entries().rev().collect();
    assert!(one.iter().eq(&other));
    assert_eq!(one, other);
    let mut other = other;
    other.insert("key-7".to_owned(), 8);
    assert_ne!(one, other);
}

/// Something of which all copies are counted.
fn token() -> (Arc<()>, impl Fn(&Arc<()>) -> usize) {
    (Arc::new(()), |token| Arc::strong_count(token) - 1)
}

#[test]
fn memory_stays_bounded_while_fresh_keys_come_and_go() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
    struct Counted(u64, Arc<()>);
    impl Hash for Counted {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.0.hash(state);
        }
    }
    for live in [1, 10, 100, 1000] {
        for built in [false, true] {
            let ((keys, count_keys), (values, count_values)) = (token(), token());
            let key = |n| Counted(n, Arc::clone(&keys));
            let first = (0..live).map(|n| (key(n), Arc::clone(&values)));
            let mut map = PagedMap::<Counted, Arc<()>>::new();
            if built {
                map.extend(first);
            } else {
                first.for_each(|(key, value)| drop(map.insert(key, value)));
            }
            for n in live..live + 20 * live.max(FEW as u64) {
                map.insert(key(n), Arc::clone(&values));
                assert!(map.remove(&key(n - live)).is_some());
                if n % 16 == 0 {
                    map.assert_whole();
                }
                assert_eq!(count_values(&values), map.len(), "a removed value is gone");
                // Of added keys a few are copied into the nodes above.
                let bound = 2 * map.len() + FEW + 1 + map.added.len() / 4;
                assert!(count_keys(&keys) <= bound, "{} keys for {}", count_keys(&keys), map.len());
            }
        }
    }
}

#[test]
fn a_batch_copies_each_page_once_and_an_unshared_map_nothing() {
    thread_local!(static COPIES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    #[derive(Debug, PartialEq)]
    struct Counted(u32);
    impl Clone for Counted {
        fn clone(&self) -> Self {
            COPIES.set(COPIES.get() + 1);
            Counted(self.0)
        }
    }
    let copies = |work: &mut dyn FnMut()| {
        let before = COPIES.get();
        work();
        COPIES.get() - before
    };
    let first: PagedMap<u32, Counted> = (0..10_000).map(|n| (n, Counted(n))).collect();
    let mut next = first.clone();
    let wide = Pages::<Counted>::PAGE;
    let page = 3 * wide as u32;
    let change = |next: &mut PagedMap<u32, Counted>, key| *next.get_mut(&key).unwrap() = Counted(0);
    assert_eq!(copies(&mut || change(&mut next, page)), wide);
    assert_eq!(
        copies(&mut || (page..page + wide as u32).for_each(|key| change(&mut next, key))),
        0
    );
    assert_eq!(copies(&mut || assert!(next.remove(&page).is_some())), 0);
    assert_eq!(copies(&mut || assert_eq!(next.get_mut(&page), None)), 0);
    assert_eq!(copies(&mut || assert!(next.insert(9_999, Counted(1)).is_some())), 10_000 % wide);
    assert_eq!(first[&page], Counted(page));
}

#[test]
fn versions_cross_threads() {
    fn crosses<T: Send + Sync + Clone + Debug>(_: &T) {}
    crosses(&PagedMap::<String, u32>::new());
}
