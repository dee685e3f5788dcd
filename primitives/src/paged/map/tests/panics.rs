//! What a panic in the code of keys and values leaves behind.

use std::cell::Cell;
use std::cmp::Ordering;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;

thread_local! {
    /// How many calls of a key's or a value's code are left until one panics.
    static FUSE: Cell<Option<u32>> = const { Cell::new(None) };
}

fn call() {
    if let Some(left) = FUSE.get() {
        FUSE.set(left.checked_sub(1));
        assert!(left > 0, "the fuse is burnt");
    }
}

#[derive(Debug)]
struct Brittle(u32);

impl Clone for Brittle {
    fn clone(&self) -> Self {
        call();
        Brittle(self.0)
    }
}

impl Drop for Brittle {
    fn drop(&mut self) {
        // A second panic would end the process.
        if !std::thread::panicking() {
            call();
        }
    }
}

impl PartialEq for Brittle {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Brittle {}

impl PartialOrd for Brittle {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Brittle {
    fn cmp(&self, other: &Self) -> Ordering {
        call();
        self.0.cmp(&other.0)
    }
}

impl Hash for Brittle {
    fn hash<H: Hasher>(&self, state: &mut H) {
        call();
        self.0.hash(state);
    }
}

type Map = PagedMap<Brittle, Brittle>;
type Model = BTreeMap<u32, u32>;

fn is(map: &Map, model: &Model) -> bool {
    map.iter().map(|(key, value)| (key.0, value.0)).eq(model.iter().map(|(k, v)| (*k, *v)))
        && map.len() == model.len()
        && model
            .iter()
            .all(|(key, value)| map.get(&Brittle(*key)).is_some_and(|held| held.0 == *value))
}

/// Lets each call of user code panic in turn. After it the map must be as before the change or as after it, and work.
fn survives(map: &Map, change: impl Fn(&mut Map), on_model: impl Fn(&mut Model)) {
    let before: Model = map.iter().map(|(key, value)| (key.0, value.0)).collect();
    let mut after = before.clone();
    on_model(&mut after);
    for shared in [true, false] {
        for fuse in 0.. {
            // Unshared: everything is copied first.
            let mut next = if shared { map.clone() } else { own(map) };
            FUSE.set(Some(fuse));
            let panicked = catch_unwind(AssertUnwindSafe(|| change(&mut next))).is_err();
            FUSE.set(None);
            next.assert_whole();
            let is_after = is(&next, &after);
            assert!(
                is_after || panicked && is(&next, &before),
                "as before or after, at call {fuse}"
            );
            assert!(is(map, &before), "the other version is as it was");
            next.insert(Brittle(u32::MAX), Brittle(1));
            assert_eq!(next.remove(&Brittle(u32::MAX)), Some(Brittle(1)));
            if !panicked {
                break;
            }
        }
    }
}

/// The same entries in the same places, shared with nobody.
fn own(map: &Map) -> Map {
    let known = map.known.sorted.iter().map(|key| (key.clone(), Brittle(0)));
    let mut own: Map = known.collect();
    for key in &map.known.sorted {
        own.remove(key);
    }
    map.iter().for_each(|(key, value)| drop(own.insert(key.clone(), value.clone())));
    own
}

/// A map of even keys, of which some are held since the last rebuild and some were removed or added since.
fn mixed(known: u32, removed: u32, added: u32) -> Map {
    let mut map: Map = (0..known).map(|n| (Brittle(n * 4), Brittle(n))).collect();
    for n in 0..removed {
        map.remove(&Brittle(n * 4));
    }
    for n in 0..added {
        map.insert(Brittle(n * 4 + 2), Brittle(n));
    }
    map
}

#[test]
fn a_map_survives_panics_of_its_keys_and_values() {
    let page = FEW as u32;
    let insert = |map: &Map, key: u32| {
        let change = |map: &mut Map| drop(map.insert(Brittle(key), Brittle(9)));
        survives(map, change, |model| _ = model.insert(key, 9));
    };
    let remove = |map: &Map, key: u32| {
        let change = |map: &mut Map| drop(map.remove(&Brittle(key)));
        survives(map, change, |model| _ = model.remove(&key));
    };
    let map = mixed(100, 10, 40);
    for key in [0, 2, 3, 80, 200, 396, 400] {
        insert(&map, key);
        remove(&map, key);
    }
    // The next key needs a rebuild; nodes above it are split before.
    for added in [15, 16, 17, page - 1, page] {
        for key in [1, 401] {
            insert(&mixed(20, 0, added), key);
        }
    }
    // Above them another node is split.
    let wide = mixed(600, 0, 127);
    insert(&wide, 511);
    // Leaves are joined.
    let mut sparse = mixed(400, 0, 90);
    for n in (0..90).filter(|n| n % 3 != 0) {
        sparse.remove(&Brittle(n * 4 + 2));
    }
    for key in (0..90).map(|n| n * 4 + 2).step_by(6) {
        remove(&sparse, key);
    }
    // The next removal needs a rebuild.
    for removed in [page - 1, page, page + 1] {
        let map = mixed(page + 10, removed, 5);
        for key in [2, (page + 5) * 4] {
            remove(&map, key);
        }
    }
}

#[test]
fn a_large_batch_is_taken_whole_or_not_at_all() {
    let map = mixed(30, 3, 5);
    let batch = || (0..90).map(|n| (Brittle(n), Brittle(7)));
    let mut after: Model = map.iter().map(|(key, value)| (key.0, value.0)).collect();
    let before = after.clone();
    after.extend((0..90).map(|n| (n, 7)));
    for fuse in 0.. {
        let mut next = map.clone();
        FUSE.set(Some(fuse));
        let panicked = catch_unwind(AssertUnwindSafe(|| next.extend(batch()))).is_err();
        FUSE.set(None);
        next.assert_whole();
        assert!(is(&next, if panicked && !is(&next, &after) { &before } else { &after }));
        assert!(is(&map, &before));
        if !panicked {
            break;
        }
    }
}
