//! The priority queue.

use std::collections::VecDeque;
use std::hint::black_box;

use queenright_measure::{Case, Contender, Goal, Per, Sampler, Scenario, Side};
use queenright_primitives::schedule::{Class, Hint, LatencyTier, PriorityQueue};

use crate::peers::queue::{
    ArrayQueues, CLASSES, Ours, OursAging, ParkingLotHeap, ParkingLotLanes, Queue, SegQueues,
    SkipList, StdHeap, Unsynchronised,
};

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "priority_scheduling",
            what: "one pop and one push of a task of some other class, or of one class with a later deadline, at a steady depth; per thread",
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
            name: "scheduling_hint_sorting",
            what: "one of so many hints, of all classes, deadlines, tiers and costs, sorted into the order of service",
            cases: sorting,
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
    for deadlines in [false, true] {
        for (threads, batch) in [(1, 1), (1, 16), (2, 1), (2, 16), (8, 1), (8, 16)] {
            for &depth in depths {
                // While the other threads hold a batch each, there must be one left to take.
                let too_shallow = depth < threads * batch;
                if too_shallow || quick && (threads == 8 || (batch == 16 && depth != 1000)) {
                    continue;
                }
                let work = Work { deadlines, threads, batch, depth };
                let case = Case::nanoseconds()
                    .param("deadlines", if deadlines { "all" } else { "none" })
                    .param("threads", threads)
                    .param("batch", batch)
                    .axis("depth", depth)
                    .goal(Goal::NotSlower)
                    .limit("contended atomic add", 2.0 / batch as f64)
                    .contenders(move || contenders(work));
                cases.push(match threads {
                    1 => case,
                    _ => case.note("one queue a class, and the skip list, do not keep the order beside other threads; with aging, ours keeps more than the peers do"),
                });
            }
        }
    }
    cases
}

/// What each thread does, again and again: pop so many tasks, push them again.
#[derive(Clone, Copy)]
pub(super) struct Work {
    pub(super) deadlines: bool,
    pub(super) threads: usize,
    pub(super) batch: usize,
    pub(super) depth: usize,
}

impl Work {
    /// The hint of a task that is pushed again, and the task as it is from then on. Without deadlines it counts its times, and
    /// each time it is of some other class. With deadlines all are of one class, so that the heap stays as deep as it was,
    /// and each has a deadline that is some time after its last one.
    fn again(self, task: u64) -> (u64, Hint) {
        let (past, number) = (task >> PAST_AT, task & ((1 << PAST_AT) - 1));
        let spread = task.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        if !self.deadlines {
            let class = Class::ALL[(spread % CLASSES as u64) as usize];
            return ((past + 1) << PAST_AT | number, class.into());
        }
        let deadline = past + 1 + spread % (2 * self.depth as u64);
        (deadline << PAST_AT | number, Hint::new(Class::Normal).with_deadline(deadline))
    }
}

/// Where a task's count, or its deadline, stands in it, above its number.
const PAST_AT: u32 = 24;

fn contenders(work: Work) -> Vec<Contender> {
    let unordered = if work.threads == 1 { Side::Peer } else { Side::Beside };
    let mut all = vec![
        contender::<Ours>(Side::Ours, work),
        contender::<OursAging>(Side::Beside, work),
        contender::<ParkingLotHeap>(Side::Peer, work),
        contender::<StdHeap>(Side::Peer, work),
        contender::<SkipList>(unordered, work),
    ];
    if !work.deadlines {
        all.push(contender::<ParkingLotLanes>(Side::Peer, work));
        all.push(contender::<SegQueues>(unordered, work));
        all.push(contender::<ArrayQueues>(unordered, work));
    }
    if work.threads == 1 && !work.deadlines {
        all.push(unsynchronised(work));
    }
    all
}

/// One queue at this work.
pub(super) fn contender<Q: Queue>(side: Side, work: Work) -> Contender {
    Contender::new(Q::NAME, side, move |sampler| {
        let queue = Q::with_room(work.depth + work.threads * work.batch);
        for task in 0..work.depth as u64 {
            let (task, hint) = work.again(task);
            queue.push(task, hint);
        }
        measure(&queue, sampler, work);
        assert_eq!(
            std::iter::from_fn(|| queue.pop()).count(),
            work.depth,
            "none lost, none doubled"
        );
    })
}

fn filled<Q: Queue>(depth: usize) -> Q {
    let queue = Q::with_room(depth);
    (0..depth).for_each(|task| queue.push(task as u64, Class::ALL[task % CLASSES].into()));
    queue
}

fn measure<Q: Queue>(queue: &Q, sampler: &mut Sampler<'_>, work: Work) {
    let worker = || {
        let mut taken = Vec::with_capacity(work.batch);
        let mut next = VecDeque::with_capacity(work.batch);
        // Says how many tasks it moved.
        move |times: u64| {
            let mut moved = 0;
            for _ in 0..times {
                if work.batch == 1 {
                    let Some(task) = queue.pop() else { continue };
                    let (task, hint) = work.again(task);
                    queue.push(task, hint);
                    moved += 1;
                } else {
                    moved += queue.pop_many(&mut taken, work.batch) as u64;
                    next.extend(taken.drain(..).map(|task| work.again(task)));
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

fn unsynchronised(work: Work) -> Contender {
    Contender::limit("unsynchronised classes", move |sampler| {
        let mut queue = Unsynchronised::with_room(work.depth + work.batch);
        (0..work.depth).for_each(|task| queue.push(task % CLASSES, task as u64));
        let mut taken = Vec::with_capacity(work.batch);
        sampler.blocks_per(work.batch as u64, |times| {
            for _ in 0..times {
                taken.extend((0..work.batch).filter_map(|_| queue.pop()));
                for task in taken.drain(..) {
                    let (task, hint) = work.again(task);
                    queue.push(hint.class().index(), task);
                }
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
                    draining::<ParkingLotLanes>(Side::Peer, tasks),
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
        let fill = || filled::<Q>(tasks);
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
                vec![Contender::ours("queenright depths", move |sampler| {
                    let queue = PriorityQueue::bounded(depth, depth as u64);
                    for task in 0..depth {
                        assert!(queue.try_push(task, Class::ALL[task % CLASSES]).is_ok());
                    }
                    sampler.blocks_per(CLASSES as u64, |count| {
                        for _ in 0..count {
                            let all: usize = queue.depths().into_iter().sum();
                            assert_eq!(black_box(all), depth);
                        }
                    });
                })]
            })
    };
    depths.iter().map(case).collect()
}

fn sorting(quick: bool) -> Vec<Case> {
    let sizes: &[usize] = if quick { &[100, 5000] } else { &[100, 500, 1000, 5000] };
    let case = |&hints: &usize| {
        Case::nanoseconds()
            .axis("hints", hints)
            .limit("pointer load", 1.0)
            // At most 20 % more than sorting numbers.
            .goal(Goal::TimesBest(1.0 / 1.2))
            .contenders(move || {
                let keys = move || (0..hints as u64).map(any_hint).map(Hint::sort_key).collect();
                vec![
                    sorted(
                        Side::Ours,
                        "queenright Hint",
                        hints,
                        move || (0..hints as u64).map(any_hint).collect(),
                        |hints: &mut [Hint]| hints.sort_unstable(),
                    ),
                    sorted(
                        Side::Peer,
                        "std sort_unstable of u64",
                        hints,
                        keys,
                        |keys: &mut [u64]| {
                            keys.sort_unstable();
                        },
                    ),
                    sorted(Side::Peer, "radsort of u64", hints, keys, |keys: &mut [u64]| {
                        radsort::sort(keys);
                    }),
                ]
            })
    };
    sizes.iter().map(case).collect()
}

/// Some hint, in which everything varies.
fn any_hint(number: u64) -> Hint {
    // The finaliser of SplitMix64.
    let mixed = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    Hint::new(Class::ALL[(mixed >> 61) as usize % CLASSES])
        .with_deadline(mixed >> 33 & 0xF_FFFF)
        .with_latency(LatencyTier::ALL[(mixed >> 16) as usize % 4])
        .with_cost((mixed >> 18) as u16)
}

fn sorted<T: Copy + Ord + 'static>(
    side: Side,
    name: &'static str,
    hints: usize,
    make: impl Fn() -> Vec<T> + Send + Sync + 'static,
    sort: fn(&mut [T]),
) -> Contender {
    Contender::new(name, side, move |sampler| {
        let unsorted = make();
        let mut sorted = unsorted.clone();
        sort(&mut sorted);
        assert!(sorted.is_sorted() && sorted.len() == hints);
        sampler.each_per(
            hints as u64,
            || unsorted.clone(),
            |mut hints| {
                sort(&mut hints);
                hints
            },
        );
    })
}
