//! The persistent map that a hive stages its next state in.

use std::hint::black_box;
use std::sync::Arc;

use queenright_measure::{Case, Contender, Goal, Sampler, Scenario, Side};

use crate::peers::map::{
    CloneHash, CloneTree, ImHashMap, ImOrdMap, ImblHashMap, ImblOrdMap, Key, Map, RpdsHash,
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

#[derive(Clone, Copy)]
enum Work {
    Stage(usize),
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
        if entries <= 100_000 {
            let scan = case(Work::Scan).param("work", "prefix scan").axis("entries", entries);
            cases.push(scan.limit("pointer load", (entries / 512).max(1) as f64));
        }
    }
    cases
}

fn contenders(entries: u64, work: Work) -> Vec<Contender> {
    let mut all = vec![
        contender::<ImblOrdMap>(Side::Ours, entries, work),
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
    let keys = paths(entries);
    let map = M::of(keys.iter().cloned().zip(0..).collect());
    let mut random = Random::new(0xBB67_AE85_84CA_A73B);
    let mut picked = move |count: usize| -> Vec<(Key, u64)> {
        let mut pick = || Arc::clone(&keys[random.below(entries) as usize]);
        (0..count).map(|_| (pick(), entries)).collect()
    };
    move |sampler| match work {
        Work::Stage(count) => {
            let changes = picked(count);
            let staged = map.staged(&changes);
            for (key, value) in &changes {
                assert_eq!(staged.get(key), Some(*value), "the new version has it");
                assert!(map.get(key) < Some(entries), "and the old one has not");
            }
            sampler.each_with(|| picked(count), |changes| map.staged(&changes));
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
