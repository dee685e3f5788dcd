//! Watchers of histories that threads and proptest make up: each version is told once, in order, and exactly.

mod watched;

use std::num::NonZeroUsize;
use std::thread;

use proptest::prelude::*;
use queenright::{Hive, HiveBuilder, Key, Op, Operator, Proposal, Snapshot, State, Watch, Watched};
use watched::{Contents, HANGS, as_difference, contents, difference, fold, read_to_the_end, told};

#[test]
fn beside_many_writers_each_watcher_sees_each_version_once_and_in_order() {
    const WRITERS: u64 = 4;
    const TURNS: u64 = 100;
    let base = (0..4).map(|n| (Key::new(format!("k/{n}")).unwrap(), 0.into()));
    let hive = Hive::builder().base(base).keep_rounds(1 << 20).build().unwrap();
    let start = hive.snapshot();
    let watch_k = || hive.watch().under("k").unwrap();
    let told: Vec<(bool, Vec<Watched>)> = thread::scope(|scope| {
        let watchers: Vec<_> = (0..8)
            .map(|way| {
                let all = way < 4;
                let watch = if all { hive.watch() } else { watch_k() };
                (all, scope.spawn(move || read_to_the_end(watch, way)))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|w| {
                scope.spawn({
                    let hive = &hive;
                    move || {
                        for turn in 0..TURNS {
                            let key = format!("k/{}", (w + turn) % 4);
                            let op = match turn % 5 {
                                0 => Op::Set((turn as i64).into()),
                                1 => Op::Remove,
                                _ => Op::add(1),
                            };
                            let proposal = Proposal::on(
                                &hive.snapshot(),
                                format!("w{w}"),
                                format!("{w} {turn}"),
                            );
                            let proposal = proposal.write(key, op).unwrap();
                            let proposal = proposal.write(
                                format!("own/{w}/{}", turn % 3),
                                Op::Set((turn as i64).into()),
                            );
                            // It may lose to others, which changes nothing.
                            drop(hive.propose(proposal.unwrap()).unwrap().wait());
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        hive.shutdown(HANGS);
        watchers.into_iter().map(|(all, watcher)| (all, watcher.join().unwrap())).collect()
    });
    let (all, under_k): (Vec<_>, Vec<_>) = told.into_iter().partition(|(all, _)| *all);
    for (_, told) in &all {
        assert_eq!(told, &all[0].1, "they have seen the same");
        let versions: Vec<u64> = told.iter().map(|it| it.version().0).collect();
        assert!(versions.is_sorted_by(|a, b| a < b));
        assert!(told.iter().all(|it| matches!(it, Watched::Commit { .. })));
        let mut state = contents(&start);
        told.iter().for_each(|it| fold(&mut state, it.changes()));
        assert_eq!(state, contents(&hive.snapshot()));
    }
    let of_k = |it: &Watched| {
        let changes = it.changes().iter().filter(|change| change.key.is_under("k"));
        (it.version(), changes.cloned().collect::<Vec<_>>())
    };
    let expected: Vec<_> = all[0].1.iter().map(of_k).filter(|it| !it.1.is_empty()).collect();
    for (_, told) in &under_k {
        assert!(told.iter().map(of_k).eq(expected.iter().cloned()));
    }
}

// All of it, on histories that are made up.

#[derive(Clone, Debug)]
struct Step {
    key: usize,
    op: Op,
}

const KEYS: [&str; 6] = ["a", "a/b", "a/b/c", "a-b", "b", "b/a"];

fn step() -> impl Strategy<Value = Step> {
    let op = prop_oneof![
        3 => (0i64..3).prop_map(|n| Op::Set(n.into())),
        2 => Just(Op::Remove),
        4 => (-1i64..2).prop_map(Op::add),
        1 => (0i64..4).prop_map(|n| Op::Max(n.into())),
    ];
    (0..KEYS.len(), op).prop_map(|(key, op)| Step { key, op })
}

#[derive(Clone, Debug)]
struct Filter {
    keys: Vec<usize>,
    prefixes: Vec<usize>,
}

fn filter() -> impl Strategy<Value = Filter> {
    let some = || prop::collection::vec(0..KEYS.len(), 0..3);
    (some(), some()).prop_map(|(keys, prefixes)| Filter { keys, prefixes })
}

impl Filter {
    fn on(&self, watch: Watch) -> Watch {
        let watch = self.keys.iter().fold(watch, |it, key| it.key(KEYS[*key]).unwrap());
        self.prefixes.iter().fold(watch, |it, prefix| it.under(KEYS[*prefix]).unwrap())
    }

    fn passes(&self, key: &Key) -> bool {
        self.keys.is_empty() && self.prefixes.is_empty()
            || self.keys.iter().any(|wanted| KEYS[*wanted] == key.as_str())
            || self.prefixes.iter().any(|prefix| key.is_under(KEYS[*prefix]))
    }
}

/// What is to be told between two versions that follow each other.
fn assert_is_exact(watched: &Watched, versions: &[Snapshot], filter: &Filter) {
    let from = match watched {
        Watched::Commit { version, .. } => version.0 - 1,
        Watched::Missed { from, .. } => from.0,
        _ => panic!("{watched:?}"),
    };
    let [before, after] = [from, watched.version().0].map(|it| &versions[it as usize]);
    let expected = difference(before, after, |key| filter.passes(key));
    assert_eq!(as_difference(watched.changes()), expected, "{watched:?}");
    for change in watched.changes() {
        if let Some(entry) = after.entry(change.key.as_str()) {
            let origin = (Some(&entry.writer), entry.operator);
            assert_eq!((change.writer.as_ref(), change.operator), origin);
        } else {
            assert_eq!(change.operator, Operator::Remove);
        }
    }
}

/// One-threaded, since what is made up is decided round by round.
fn builder(keep: usize) -> HiveBuilder {
    Hive::builder().keep_rounds(keep).threads(NonZeroUsize::MIN)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_told_is_exactly_how_the_versions_differ(
        rounds in prop::collection::vec(prop::collection::vec(step(), 1..6), 1..14),
        filter in filter(),
        keep in prop_oneof![Just(1024usize), 1usize..6],
        look_every in 1usize..9,
        since in 0usize..14,
    ) {
        let hive = builder(keep).build().unwrap();
        let mut versions = vec![hive.snapshot()];
        let mut live = filter.on(hive.watch());
        let mut now_and_then = live.clone();
        let (mut of_live, mut of_other) = (Vec::new(), Vec::new());
        for (round, steps) in rounds.iter().enumerate() {
            let snapshot = hive.snapshot();
            let batch = steps.iter().enumerate().map(|(n, Step { key, op })| {
                let id = format!("{round} {n}");
                Proposal::on(&snapshot, format!("a{n}"), id).write(KEYS[*key], op.clone()).unwrap()
            });
            drop(hive.propose_many(batch.collect()).unwrap().wait());
            versions.push(hive.snapshot());
            prop_assert_eq!(versions.len() as u64, hive.version().0 + 1);
            of_live.extend(told(&mut live));
            if round % look_every == 0 {
                of_other.extend(told(&mut now_and_then));
            }
        }
        of_other.extend(told(&mut now_and_then));
        let since = &versions[since % versions.len()];
        let replayed = told(&mut filter.on(hive.watch()).since(since));
        for told in [&of_live, &of_other, &replayed] {
            told.iter().for_each(|watched| assert_is_exact(watched, &versions, &filter));
            prop_assert!(told.is_sorted_by(|a, b| a.version() < b.version()));
        }
        // Who looks each time misses nothing.
        let all_told: Vec<u64> = of_live.iter().map(|it| it.version().0).collect();
        let changed = versions.windows(2).filter(|two| {
            !difference(&two[0], &two[1], |key| filter.passes(key)).is_empty()
        });
        let changed: Vec<u64> = changed.map(|two| two[1].version().0).collect();
        prop_assert_eq!(all_told, changed);
        for (told, from) in [(&of_live, &versions[0]), (&of_other, &versions[0]), (&replayed, since)] {
            let mut state = contents(from);
            told.iter().for_each(|it| fold(&mut state, it.changes()));
            let passes = |state: &State| -> Contents {
                contents(state).into_iter().filter(|(key, _)| filter.passes(key)).collect()
            };
            state.retain(|key, _| filter.passes(key));
            prop_assert_eq!(state, passes(&hive.snapshot()));
        }
        if keep > 100 {
            prop_assert_eq!(&of_live, &of_other);
            let is_commit = |it: &Watched| matches!(it, Watched::Commit { .. });
            prop_assert!(replayed.iter().all(is_commit));
        }
    }
}
