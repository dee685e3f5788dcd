//! Conflict detection.

use std::hint::black_box;

use queenright_measure::{Case, Contender, Goal, Scenario, Side};

use crate::peers::conflict::{Finder, HashbrownAhash, Ours, Pairs, Sorted, StdMap, Touch};
use crate::workload::quadruples;

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: SUITE,
        name: "conflict_detection",
        what: "one proposal of four keys, kept if none of them is held by one kept before it (greedy subset)",
        cases,
    }]
}

fn cases(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick { &[500, 5000] } else { &[10, 50, 100, 500, 5000, 100_000] };
    let mut cases = Vec::new();
    for share in [1, 50] {
        for &proposals in sizes {
            let mut case = Case::nanoseconds()
                .param("hot %", share)
                .axis("proposals", proposals)
                .contenders(move || contenders(proposals, share))
                .goal(Goal::TimesPeer(HashbrownAhash::NAME, 4.0));
            match proposals {
                500 => case = case.goal(Goal::AtMost(15.0)),
                100_000 => case = case.goal(Goal::AtMost(110.0)),
                _ => {}
            }
            cases.push(case);
        }
    }
    cases
}

fn contenders(proposals: u64, share: u64) -> Vec<Contender> {
    let mut all = vec![
        contender::<Ours>(Side::Ours, proposals, share),
        contender::<HashbrownAhash>(Side::Peer, proposals, share),
        contender::<StdMap>(Side::Peer, proposals, share),
        contender::<Sorted>(Side::Peer, proposals, share),
        contender::<Touch>(Side::Limit, proposals, share),
    ];
    // Quadratic: seconds at 100,000.
    if proposals <= 5000 {
        all.push(contender::<Pairs>(Side::Peer, proposals, share));
    }
    all
}

fn contender<F: Finder>(side: Side, proposals: u64, share: u64) -> Contender {
    Contender::made(F::NAME, side, move || {
        let batch = quadruples(proposals, share);
        let expected = match proposals {
            _ if side == Side::Limit => batch.len(),
            0..=5000 => Pairs::new(&batch).standing(&batch),
            _ => HashbrownAhash::new(&batch).standing(&batch),
        };
        let mut finder = F::new(&batch);
        move |sampler| {
            sampler.blocks_per(proposals, |count| {
                for _ in 0..count {
                    assert_eq!(finder.standing(black_box(&batch)), expected, "as pair by pair");
                }
            });
        }
    })
}
