//! Merging commutative changes.

use std::convert::Infallible;
use std::hint::black_box;

use queenright_measure::{Case, Contender, Goal, Sampler, Scenario, Side};
use queenright_primitives::aggregate::{Commutative as _, ConditionalAggregator, Refused, Sum};

use crate::peers::aggregate::{Ahash, Dense, Foldhash, Merger, Ours, StdMap};
use crate::workload::{Random, additions};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "commutative_aggregation",
            what: "one proposal's four additions, over 1,024 keys, merged into one delta, which is drained",
            cases: commutative,
        },
        Scenario {
            suite: SUITE,
            name: "conditional_aggregation",
            what: "one proposal's four additions, each refused if its bound could break; accepted and refused are counted",
            cases: conditional,
        },
        Scenario {
            suite: SUITE,
            name: "proposal_merging",
            what: "one operation on a key, merged with those before it",
            cases: merging,
        },
    ]
}

fn commutative(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[100, 1000] } else { &[10, 50, 100, 500, 1000] };
    let case = |&proposals: &u64| {
        let mut case = Case::nanoseconds()
            .axis("proposals", proposals)
            .contenders(move || {
                vec![
                    merger::<Ours>(Side::Ours, proposals),
                    merger::<Foldhash>(Side::Peer, proposals),
                    merger::<Ahash>(Side::Peer, proposals),
                    merger::<StdMap>(Side::Peer, proposals),
                    merger::<Dense>(Side::Limit, proposals),
                ]
            })
            .goal(Goal::TimesPeer(Foldhash::NAME, 4.0));
        if proposals == 100 {
            case = case.goal(Goal::AtMost(20.0)); // 100 proposals in 2 µs
        }
        if proposals == 1000 {
            case = case.goal(Goal::AtMost(10.0));
        }
        case
    };
    sizes.iter().map(case).collect()
}

fn merger<M: Merger>(side: Side, proposals: u64) -> Contender {
    Contender::made(M::NAME, side, move || merging_all::<M>(proposals))
}

fn merging_all<M: Merger>(proposals: u64) -> impl FnMut(&mut Sampler<'_>) {
    let changes = additions(proposals);
    let mut keys: Vec<u64> = changes.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let expected = (keys.len(), changes.iter().map(|(_, amount)| amount).sum::<i64>());
    let mut merger = M::new();
    move |sampler| {
        sampler.blocks_per(proposals, |count| {
            for _ in 0..count {
                assert_eq!(
                    merger.merge(black_box(&changes)),
                    expected,
                    "nothing lost, nothing doubled"
                );
            }
        });
    }
}

fn conditional(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[100] } else { &[10, 50, 100, 200] };
    let mut cases = Vec::new();
    for &proposals in sizes {
        for share in [0_u64, 1, 50] {
            let case = Case::nanoseconds()
                .param("refused %", share)
                .axis("proposals", proposals)
                .contenders(move || {
                    vec![bounded(Side::Ours, proposals, share), unbounded(proposals)]
                })
                .goal(Goal::TimesLimit(2.0));
            cases.push(case);
        }
    }
    cases
}

/// Each addition states a bound that holds, but for `share` in a hundred proposals, whose own amount breaks it.
fn bounded(side: Side, proposals: u64, share: u64) -> Contender {
    let mut random = Random::new(0x3C6E_F372_FE94_F82B);
    let mut refused = 0;
    let broken: Vec<bool> = (0..proposals)
        .map(|_| {
            let broken = random.percent(share);
            refused += u64::from(broken);
            broken
        })
        .collect();
    let changes = additions(proposals);
    let sums: Vec<[(u64, Sum); 4]> = changes
        .chunks_exact(4)
        .zip(&broken)
        .map(|(chunk, broken)| {
            let most = if *broken { 0 } else { 1 << 40 };
            std::array::from_fn(|at| (chunk[at].0, Sum::of(chunk[at].1).at_most(most)))
        })
        .collect();
    let mut totals = ConditionalAggregator::new(|_: &u64| 0);
    Contender::new("queenright ConditionalAggregator", side, move |sampler| {
        sampler.blocks_per(proposals, |count| {
            for _ in 0..count {
                let mut found = 0;
                for four in black_box(&sums) {
                    match totals.submit(four, || Ok::<(), Infallible>(())) {
                        Ok(()) => {}
                        Err(Refused::Change { .. }) => found += 1,
                        Err(other) => panic!("{other:?}"),
                    }
                }
                assert_eq!(found, refused, "refused are exactly those whose bound breaks");
                black_box(totals.drain().count());
            }
        });
    })
}

/// The commutative case on the same changes: what the conditional one is compared with.
fn unbounded(proposals: u64) -> Contender {
    merger::<Ours>(Side::Limit, proposals)
}

fn merging(_: bool) -> Vec<Case> {
    let case = |operations: u64| {
        let case = Case::nanoseconds()
            .axis("operations", operations)
            .limit("pointer load", 1.0)
            .contenders(move || {
                let sums: Vec<Sum> =
                    (0..operations).map(|n| Sum::of(n as i64).at_least(-100)).collect();
                let total = (0..operations as i64).sum::<i64>();
                vec![Contender::ours("queenright Sum", move |sampler| {
                    sampler.blocks_per(operations, |count| {
                        for _ in 0..count {
                            let mut merged = Sum::of(0);
                            for sum in black_box(&sums) {
                                assert!(merged.merge(sum).is_ok());
                            }
                            assert_eq!(merged.apply(0), Ok(total));
                        }
                    });
                })]
            });
        // Linear: an operation among twenty costs no more than one among five, within the noise of a block.
        if operations == 20 {
            case.goal(Goal::TimesRow("operations 5".to_owned(), 1.25))
        } else {
            case
        }
    };
    [2, 5, 10, 20].map(case).into()
}
