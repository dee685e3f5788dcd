//! The persistent map that a hive stages its next state in.

use std::hint::black_box;
use std::sync::Arc;

use queenright_measure::{Case, Contender, Goal, Sampler, Scenario, Side};

use crate::peers::map::{
    CloneHash, CloneTree, ImHashMap, ImOrdMap, ImblHashMap, ImblOrdMap, Key, Map, Paged, RpdsHash,
    RpdsTree,
};
use crate::workload::{Random, paths};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: SUITE,
        name: "state_staging",
        what: "a new version of a map of strings, of which the old version stays readable; or a lookup; or the sum \
               of the entries under one of 512 prefixes",
        cases,
    }]
}

const GROWING: &str = "An eighth of the map's keys were added in small versions after it was built, as in a map that grows.";
const REPLACING: &str = "The time of one key, of which half are replaced by new ones in 32 versions, with all that is done only \
                         once in a while.";

#[derive(Clone, Copy)]
enum Work {
    Stage(usize),
    Insert(usize),
    Replace,
    Get,
    Scan,
}

fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    let sizes: &[u64] = if quick { &[1000, 100_000] } else { &[1000, 10_000, 100_000, 1_000_000] };
    for &entries in sizes {
        let case = |work: Work| {
            Case::nanoseconds().contenders(move || contenders(entries, work)).goal(Goal::NotSlower)
        };
        for changes in [1, 10, 100, 512] {
            if !quick || [1, 512].contains(&changes) {
                let case = case(Work::Stage(changes)).param("changes", changes);
                let case = case.limit("allocation", 1.0);
                cases.push(case.axis("entries", entries));
            }
        }
        let mut get = case(Work::Get).param("work", "get").axis("entries", entries);
        get = get.limit("pointer load", 1.0);
        if entries == 100_000 {
            get = get.goal(Goal::AtMost(40.0));
        }
        cases.push(get);
        for new in [1, 100] {
            let insert = case(Work::Insert(new)).param("new keys", new).axis("entries", entries);
            cases.push(insert.note(GROWING));
        }
        if entries <= 100_000 {
            let replace =
                case(Work::Replace).param("work", "replace keys").axis("entries", entries);
            cases.push(replace.note(REPLACING));
        }
        if entries <= 100_000 {
            let scan = case(Work::Scan).param("work", "prefix scan").axis("entries", entries);
            cases.push(scan.limit("pointer load", (entries / 512).max(1) as f64));
        }
    }
    cases
}

fn contenders(entries: u64, work: Work) -> Vec<Contender> {
    let mut all = vec![
        contender::<Paged>(Side::Ours, entries, work),
        contender::<ImblOrdMap>(Side::Peer, entries, work),
        contender::<ImOrdMap>(Side::Peer, entries, work),
        contender::<RpdsTree>(Side::Peer, entries, work),
        contender::<CloneTree>(Side::Peer, entries, work),
    ];
    // A hash map answers a prefix by looking at everything: that is another promise.
    if !matches!(work, Work::Scan) {
        all.push(contender::<ImblHashMap>(Side::Peer, entries, work));
        all.push(contender::<ImHashMap>(Side::Peer, entries, work));
        all.push(contender::<RpdsHash>(Side::Peer, entries, work));
        all.push(contender::<CloneHash>(Side::Peer, entries, work));
    }
    all
}

fn contender<M: Map>(side: Side, entries: u64, work: Work) -> Contender {
    Contender::made(M::NAME, side, move || prepared::<M>(entries, work))
}

fn prepared<M: Map>(entries: u64, work: Work) -> impl FnMut(&mut Sampler<'_>) {
    let mut random = Random::new(0xBB67_AE85_84CA_A73B);
    let (keys, new) = match work {
        Work::Insert(_) | Work::Replace => shuffled(entries, &mut random),
        _ => (paths(entries), Vec::new()),
    };
    let map = match work {
        Work::Insert(_) => grown::<M>(&keys),
        _ => M::of(keys.iter().cloned().zip(0..).collect()),
    };
    let from = if new.is_empty() { keys.clone() } else { new.clone() };
    let mut picked = move |count: usize| -> Vec<(Key, u64)> {
        let mut pick = || Arc::clone(&from[random.below(entries) as usize]);
        (0..count).map(|_| (pick(), entries)).collect()
    };
    move |sampler| match work {
        Work::Stage(count) | Work::Insert(count) => {
            let changes = picked(count);
            let staged = map.staged(&changes);
            for (key, value) in &changes {
                assert_eq!(staged.get(key), Some(*value), "the new version has it");
                assert!(map.get(key) < Some(entries), "and the old one has not");
            }
            sampler.each_with(|| picked(count), |changes| map.staged(&changes));
        }
        Work::Replace => {
            let part = keys.len() / 64;
            let part_of = |new: &[Key]| new.iter().cloned().zip(0..).collect::<Vec<_>>();
            let versions = new.chunks(part).zip(keys.chunks(part)).take(32);
            let versions: Vec<_> = versions.map(|(new, old)| (part_of(new), old)).collect();
            let replace = || {
                let first = map.clone();
                versions.iter().fold(first, |map, (new, old)| map.replaced(new, old))
            };
            let last = replace();
            for (new, old) in &versions {
                assert!(new.iter().all(|(key, value)| last.get(key) == Some(*value)));
                assert!(old.iter().all(|key| last.get(key).is_none() && map.get(key).is_some()));
            }
            sampler.each_per((part * 32) as u64, || (), |()| replace());
        }
        Work::Get => {
            let wanted = picked(4096);
            assert!(wanted.iter().all(|(key, _)| map.get(key).is_some()));
            let mut next = 0;
            sampler.blocks(|count| {
                for _ in 0..count {
                    next = (next + 1) % wanted.len();
                    black_box(map.get(&wanted[next].0));
                }
            });
        }
        Work::Scan => {
            let under = |prefix: u64| (prefix..entries).step_by(512).sum::<u64>();
            assert_eq!(map.sum_under("crates/017/"), under(17));
            let mut prefix = 0;
            sampler.each(|| {
                prefix = (prefix + 1) % 512;
                map.sum_under(&format!("crates/{prefix:03}/"))
            });
        }
    }
}

/// As many keys to begin with as to add later, both from everywhere in the order of keys.
fn shuffled(entries: u64, random: &mut Random) -> (Vec<Key>, Vec<Key>) {
    let mut keys = paths(2 * entries);
    for last in (1..keys.len()).rev() {
        keys.swap(last, random.below(last as u64 + 1) as usize);
    }
    let new = keys.split_off(entries as usize);
    (keys, new)
}

/// A map of which an eighth of the keys was added after the rest.
fn grown<M: Map>(keys: &[Key]) -> M {
    let (first, later) = keys.split_at(keys.len() / 8 * 7);
    let map = M::of(first.iter().cloned().zip(0..).collect());
    later.chunks(later.len() / 8).fold(map, |map, keys| {
        let added: Vec<_> = keys.iter().cloned().zip(0..).collect();
        map.staged(&added)
    })
}
