//! The priority queue.

use std::hint::black_box;

use queenright_measure::{Case, Contender, Goal, Per, Sampler, Scenario, Side};
use queenright_primitives::schedule::{Class, PriorityQueue};

use crate::peers::queue::{
    ArrayQueues, CLASSES, Ours, ParkingLotHeap, Queue, SegQueues, SkipList, StdHeap, Unsynchronised,
};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "priority_scheduling",
            what: "one pop and one push of a task of another class, at a steady depth; per thread",
            cases: push_and_pop,
        },
        Scenario {
            suite: SUITE,
            name: "priority_drain",
            what: "one task of a queue that is filled and then emptied",
            cases: drain,
        },
        Scenario {
            suite: SUITE,
            name: "scheduler_queue_depth",
            what: "the depth of each of five classes",
            cases: depth,
        },
    ]
}

fn push_and_pop(quick: bool) -> Vec<Case> {
    let depths: &[usize] =
        if quick { &[10, 1000, 100_000] } else { &[10, 100, 1000, 10_000, 100_000] };
    let mut cases = Vec::new();
    for threads in [1, 2, 8] {
        for batch in [1, 16] {
            for &depth in depths {
                // While the other threads hold a batch each, there must be one left to take.
                let too_shallow = depth < threads * batch;
                if too_shallow || quick && (threads == 8 || (batch == 16 && depth != 1000)) {
                    continue;
                }
                let case = Case::nanoseconds()
                    .param("threads", threads)
                    .param("batch", batch)
                    .axis("depth", depth)
                    .goal(Goal::NotSlower)
                    .limit("contended atomic add", 2.0 / batch as f64)
                    .contenders(move || contenders(Work { threads, batch, depth }));
                cases.push(match threads {
                    1 => case,
                    _ => case.note("one queue a class, and the skip list, do not keep the order beside other threads"),
                });
            }
        }
    }
    cases
}

#[derive(Clone, Copy)]
struct Work {
    threads: usize,
    batch: usize,
    depth: usize,
}

fn contenders(work: Work) -> Vec<Contender> {
    let unordered = if work.threads == 1 { Side::Peer } else { Side::Beside };
    let mut all = vec![
        contender::<Ours>(Side::Ours, work),
        contender::<ParkingLotHeap>(Side::Peer, work),
        contender::<StdHeap>(Side::Peer, work),
        contender::<SegQueues>(unordered, work),
        contender::<ArrayQueues>(unordered, work),
        contender::<SkipList>(unordered, work),
    ];
    if work.threads == 1 {
        all.push(unsynchronised(work));
    }
    all
}

fn contender<Q: Queue>(side: Side, work: Work) -> Contender {
    Contender::new(Q::NAME, side, move |sampler| {
        let queue = filled::<Q>(work.depth, work.threads * work.batch);
        measure(&queue, sampler, work);
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).count(),
            work.depth,
            "none lost, none doubled"
        );
    })
}

fn filled<Q: Queue>(depth: usize, room: usize) -> Q {
    let queue = Q::with_room(depth + room);
    (0..depth).for_each(|task| queue.push(task % CLASSES, task as u64));
    queue
}

fn measure<Q: Queue>(queue: &Q, sampler: &mut Sampler<'_>, work: Work) {
    let worker = || {
        let mut taken = Vec::with_capacity(work.batch);
        let mut next = Vec::with_capacity(work.batch);
        // Says how many tasks it moved.
        move |times: u64| {
            let mut moved = 0;
            for _ in 0..times {
                if work.batch == 1 {
                    let Some(task) = queue.pop() else { continue };
                    queue.push(class_after(task), task);
                    moved += 1;
                } else {
                    moved += queue.pop_many(&mut taken, work.batch) as u64;
                    next.extend(
                        taken.drain(..).map(|task| (task, Class::ALL[class_after(task)].into())),
                    );
                    queue.push_many(&mut next);
                }
            }
            moved
        }
    };
    if work.threads == 1 {
        let mut worker = worker();
        sampler.blocks_per(work.batch as u64, |times| {
            assert_eq!(worker(times), times * work.batch as u64, "never found empty");
        });
    } else {
        sampler.windows(Per::Operation, work.threads, 0, |_| {
            let mut worker = worker();
            move || worker(64)
        });
    }
}

/// A cheap function that spreads tasks over the classes.
fn class_after(task: u64) -> usize {
    (task.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61) as usize % CLASSES
}

fn unsynchronised(work: Work) -> Contender {
    Contender::limit("unsynchronised classes", move |sampler| {
        let mut queue = Unsynchronised::with_room(work.depth + work.batch);
        (0..work.depth).for_each(|task| queue.push(task % CLASSES, task as u64));
        let mut taken = Vec::with_capacity(work.batch);
        sampler.blocks_per(work.batch as u64, |times| {
            for _ in 0..times {
                taken.extend((0..work.batch).filter_map(|_| queue.pop()));
                taken.drain(..).for_each(|task| queue.push(class_after(task), task));
            }
        });
    })
}

fn drain(quick: bool) -> Vec<Case> {
    let sizes: &[usize] = if quick { &[1000, 100_000] } else { &[100, 1000, 10_000, 100_000] };
    let case = |&tasks: &usize| {
        let case = Case::nanoseconds().axis("tasks", tasks).limit("pointer load", 1.0).contenders(
            move || {
                vec![
                    draining::<Ours>(Side::Ours, tasks),
                    draining::<ParkingLotHeap>(Side::Peer, tasks),
                    draining::<StdHeap>(Side::Peer, tasks),
                    draining::<SegQueues>(Side::Peer, tasks),
                    draining::<ArrayQueues>(Side::Peer, tasks),
                    draining::<SkipList>(Side::Peer, tasks),
                ]
            },
        );
        // O(n log n) or better: a hundred times the tasks may cost log₂(100,000) / log₂(1,000) as much each.
        if tasks == 100_000 {
            case.goal(Goal::TimesRow("tasks 1000".to_owned(), 5.0 / 3.0))
        } else {
            case
        }
    };
    sizes.iter().map(case).collect()
}

fn draining<Q: Queue>(side: Side, tasks: usize) -> Contender {
    Contender::new(Q::NAME, side, move |sampler| {
        let fill = || filled::<Q>(tasks, 0);
        let empty = |queue: Q| {
            let mut last = 0;
            for count in 0.. {
                let Some(task) = queue.pop() else {
                    assert_eq!(count, tasks, "all of them came out");
                    break;
                };
                let class = task as usize % CLASSES;
                assert!(class >= last, "in the order of their classes");
                last = class;
            }
        };
        sampler.each_per(tasks as u64, fill, empty);
    })
}

fn depth(quick: bool) -> Vec<Case> {
    let depths: &[usize] = if quick { &[5000] } else { &[100, 500, 1000, 5000] };
    let case = |&depth: &usize| {
        Case::nanoseconds()
            .axis("depth", depth)
            .limit("pointer load", 1.0)
            .goal(Goal::AtMost(10.0))
            .contenders(move || {
                vec![Contender::ours("queenright len_of", move |sampler| {
                    let queue = PriorityQueue::bounded(depth, 16);
                    for task in 0..depth {
                        assert!(queue.try_push(task, Class::ALL[task % CLASSES]).is_ok());
                    }
                    sampler.blocks_per(CLASSES as u64, |count| {
                        for _ in 0..count {
                            let all: usize =
                                Class::ALL.iter().map(|class| queue.len_of(*class)).sum();
                            assert_eq!(black_box(all), depth);
                        }
                    });
                })]
            })
    };
    depths.iter().map(case).collect()
}
