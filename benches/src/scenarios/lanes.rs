//! The lock-free queue by class, beside one lock-free queue a class.

use queenright_measure::{Case, Goal, Scenario, Side};

use super::scheduling::{Work, contender};
use crate::peers::lanes::Lanes;
use crate::peers::queue::{ArrayQueues, Ours, SegQueues};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: "swarm_primitives",
        name: "priority_lanes",
        what: "one pop and one push of a task of another class, at a steady depth, in lanes: first come, first served within a class, no promise across classes beside other threads; per thread",
        cases,
    }]
}

fn cases(quick: bool) -> Vec<Case> {
    let depths: &[usize] =
        if quick { &[10, 1000, 100_000] } else { &[10, 100, 1000, 10_000, 100_000] };
    let mut cases = Vec::new();
    for (threads, batch) in [(1, 1), (1, 16), (2, 1), (2, 16), (8, 1), (8, 16)] {
        for &depth in depths {
            // While the other threads hold a batch each, there must be one left to take.
            let too_shallow = depth < threads * batch;
            if too_shallow || quick && (threads == 8 || (batch == 16 && depth != 1000)) {
                continue;
            }
            let work = Work { deadlines: false, threads, batch, depth };
            cases.push(
                Case::nanoseconds()
                    .param("threads", threads)
                    .param("batch", batch)
                    .axis("depth", depth)
                    .goal(Goal::NotSlower)
                    .limit("contended atomic add", 2.0 / batch as f64)
                    .note("PriorityQueue promises more, and may block")
                    .contenders(move || {
                        vec![
                            contender::<Lanes>(Side::Ours, work),
                            contender::<SegQueues>(Side::Peer, work),
                            contender::<ArrayQueues>(Side::Peer, work),
                            contender::<Ours>(Side::Beside, work),
                        ]
                    }),
            );
        }
    }
    cases
}
