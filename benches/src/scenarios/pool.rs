//! The object pool.

use std::hint::black_box;

use queenright_measure::{Case, Contender, Goal, Per, Sampler, Scenario, Side};

use crate::peers::pool::{
    Allocator, Buffer, Linear, Object, ObjectPool, Opool, Ours, Pool, Regex, Slab, Small, Spin,
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        suite: "swarm_primitives",
        name: "object_pool",
        what: "one object taken, used, reset and given back, while a thread holds so many; per thread",
        cases,
    }]
}

fn cases(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for threads in [1, 2, 8] {
        for held in [1, 4] {
            if quick && (threads == 8 || (held == 4 && threads != 1)) {
                continue;
            }
            cases.push(case::<Buffer>(Work { threads, held }));
            cases.push(case::<Small>(Work { threads, held }));
        }
    }
    cases
}

#[derive(Clone, Copy)]
struct Work {
    threads: usize,
    /// How many objects a thread takes before it gives them all back.
    held: usize,
}

fn case<O: Object>(work: Work) -> Case {
    Case::nanoseconds()
        .param("object", O::NAME)
        .param("held", work.held)
        .axis("threads", work.threads)
        .goal(Goal::NotSlower)
        .limit("atomic add", 1.0)
        .contenders(move || {
            vec![
                contender::<Ours<O>, O>(Side::Ours, work),
                contender::<Opool<O>, O>(Side::Peer, work),
                contender::<ObjectPool<O>, O>(Side::Peer, work),
                contender::<Linear<O>, O>(Side::Peer, work),
                contender::<Spin<O>, O>(Side::Peer, work),
                contender::<Slab<O>, O>(Side::Peer, work),
                contender::<Regex<O>, O>(Side::Peer, work),
                contender::<Allocator, O>(Side::Peer, work),
            ]
        })
}

fn contender<P: Pool<O>, O: Object>(side: Side, work: Work) -> Contender {
    Contender::new(P::NAME, side, move |sampler| {
        let pool = P::of(64);
        measure(&pool, sampler, work);
    })
}

fn measure<P: Pool<O>, O: Object>(pool: &P, sampler: &mut Sampler<'_>, work: Work) {
    let take = || {
        let mut object = pool.take();
        assert_eq!(black_box(&mut *object).touch(), 1, "as good as new");
        object
    };
    let worker = || {
        let mut holds = Vec::with_capacity(work.held);
        move |times: u64| {
            for _ in 0..times {
                if work.held == 1 {
                    drop(take());
                } else {
                    holds.extend((0..work.held).map(|_| take()));
                    holds.clear();
                }
            }
            times * work.held as u64
        }
    };
    if work.threads == 1 {
        let mut worker = worker();
        sampler.blocks_per(work.held as u64, |times| {
            worker(times);
        });
    } else {
        sampler.windows(Per::Operation, work.threads, 0, |_| {
            let mut worker = worker();
            move || worker(64)
        });
    }
}
