//! Snapshot cells: reads, commits, and what a stalled reader costs.

use std::hint::{black_box, spin_loop};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use queenright_measure::{Case, Contender, Figure, Goal, Per, Sampler, Scenario, Side};

use crate::peers::snapshot::{
    ArcSwapCache, ArcSwapFull, ArcSwapLoad, BoxSwap, Cached, Cell, Epoch, Haphazard, HazarcCache,
    HazarcLoad, HazarcOwned, LeftRight, Owned, ParkingLot, PointerLoad, Reader as _, Scoped, Seize,
    StdRwLock, StdRwLockArc, Watch,
};

/// 64 bytes, all words alike, so that a torn read shows.
type Words = [u64; 8];
const FIRST: Words = [7; 8];

const SUITE: &str = "swarm_primitives";

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "snapshot_reads",
            what: "one read of one word of a 64-byte state, per reader thread",
            cases: reads,
        },
        Scenario {
            suite: SUITE,
            name: "snapshot_writes",
            what: "read a 64-byte state, build the next, publish it if nobody was faster; per writer thread",
            cases: writes,
        },
        Scenario {
            suite: SUITE,
            name: "snapshot_garbage",
            what: "versions alive after 100,000 publishes of 1 KiB beside a reader that never leaves",
            cases: garbage,
        },
    ]
}

/// What else is done to the cell while it is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Idle,
    Every(Duration),
    Hot,
}

impl Writer {
    const ALL: [Writer; 4] = [
        Writer::Idle,
        Writer::Every(Duration::from_micros(10)),
        Writer::Every(Duration::from_micros(1)),
        Writer::Hot,
    ];

    fn name(self) -> String {
        match self {
            Writer::Idle => "idle".to_owned(),
            Writer::Every(pause) => format!("every {} µs", pause.as_micros()),
            Writer::Hot => "hot".to_owned(),
        }
    }
}

fn reads(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for access in ["cached", "scoped", "owned"] {
        for readers in [1, 2, 8] {
            for writer in Writer::ALL {
                let told = readers == 1 || (readers == 2 && writer == Writer::Idle);
                if quick && (!told || writer == Writer::Every(Duration::from_micros(1))) {
                    continue;
                }
                let mut case = Case::nanoseconds()
                    .param("access", access)
                    .axis("readers", readers)
                    .param("writer", writer.name())
                    .goal(Goal::NotSlower)
                    .contenders(move || contenders(access, Work::Reads { readers, writer }));
                if access == "cached" && writer != Writer::Hot && readers < 8 {
                    case = case.goal(Goal::TimesLimit(1.2));
                }
                cases.push(case);
            }
        }
    }
    for access in ["cached", "scoped", "owned"] {
        for count in [10_u64, 50, 100, 500, 1000] {
            if quick && count != 100 {
                continue;
            }
            let case = Case::nanoseconds()
                .param("access", access)
                .param("timed", "together")
                .axis("reads", count)
                .goal(Goal::Below(Figure::P99, 1000.0))
                .contenders(move || contenders(access, Work::Timed { count }));
            cases.push(case);
        }
    }
    cases
}

/// What a contender is asked to do.
#[derive(Clone, Copy)]
enum Work {
    Reads { readers: usize, writer: Writer },
    Timed { count: u64 },
}

fn contenders(access: &str, work: Work) -> Vec<Contender> {
    let mut all = match access {
        "cached" => vec![
            reading::<Cached<Words>>(Side::Ours, work),
            reading::<ArcSwapCache<Words>>(Side::Peer, work),
            reading::<HazarcCache<Words>>(Side::Peer, work),
        ],
        "scoped" => vec![
            reading::<Scoped<Words>>(Side::Ours, work),
            reading::<ArcSwapLoad<Words>>(Side::Peer, work),
            reading::<HazarcLoad<Words>>(Side::Peer, work),
            reading::<Epoch<Words>>(Side::Peer, work),
            reading::<Seize<Words>>(Side::Peer, work),
            reading::<Haphazard<Words>>(Side::Peer, work),
            reading::<LeftRight<Words>>(Side::Peer, work),
            reading::<StdRwLock<Words>>(Side::Peer, work),
            reading::<ParkingLot<Words>>(Side::Peer, work),
            reading::<Watch<Words>>(Side::Peer, work),
        ],
        _ => vec![
            reading::<Owned<Words>>(Side::Ours, work),
            reading::<ArcSwapFull<Words>>(Side::Peer, work),
            reading::<HazarcOwned<Words>>(Side::Peer, work),
            reading::<StdRwLockArc<Words>>(Side::Peer, work),
        ],
    };
    all.push(reading::<PointerLoad<Words>>(Side::Limit, work));
    all
}

fn reading<C: Cell<Words>>(side: Side, work: Work) -> Contender {
    Contender::new(C::NAME, side, move |sampler| {
        let cell = C::new(FIRST);
        match work {
            Work::Reads { readers: 1, writer: Writer::Idle } => {
                let mut reader = cell.reader();
                sampler.blocks(|count| {
                    let read = |sum, _| sum + black_box(reader.with(|words| words[0]));
                    let sum = (0..count).fold(0, read);
                    assert_eq!(sum, 7 * count);
                });
            }
            Work::Timed { count } => {
                let mut reader = cell.reader();
                let mut read = || black_box(reader.with(|words| words[0]));
                let read = |()| (0..count).map(|_| read()).sum::<u64>();
                sampler.each_per(count, || (), read);
            }
            Work::Reads { readers, writer } => reading_beside(&cell, sampler, readers, writer),
        }
        cell.reader()
            .with(|words| assert!(words.iter().all(|word| *word == words[0]), "a torn state"));
    })
}

fn reading_beside<C: Cell<Words>>(
    cell: &C,
    sampler: &mut Sampler<'_>,
    readers: usize,
    writer: Writer,
) {
    const CHUNK: u64 = 512;
    let writers = usize::from(writer != Writer::Idle);
    sampler.windows(Per::Operation, readers, writers, |number| {
        let mut reader = (number < readers).then(|| cell.reader());
        let mut due = Instant::now();
        let mut last = 0;
        move || match &mut reader {
            Some(reader) => {
                let mut newest = 0;
                for _ in 0..CHUNK {
                    newest = black_box(reader.with(|words| words[0]));
                }
                assert!(newest >= last, "versions went backwards");
                last = newest;
                CHUNK
            }
            None => {
                if let Writer::Every(pause) = writer {
                    // Paced by the clock alone: a sleep is far longer than the pause.
                    due = (due + pause).max(Instant::now());
                    while Instant::now() < due {
                        spin_loop();
                    }
                }
                cell.commit(|words| words.map(|word| word + 1));
                1
            }
        }
    });
}

/// Why the peers' commits cost more in a full run than in a quick one.
const NODES: &str = "arc-swap's writers visit a node of every thread that ever read in this process, so earlier scenarios decide \
                     what a commit costs there";

fn writes(quick: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for writers in [1_usize, 2] {
        let case = Case::nanoseconds()
            .axis("writers", writers)
            .note(NODES)
            .goal(Goal::TimesPeer("arc-swap load", 3.0))
            .contenders(move || writing_contenders(Writing::Long { writers }));
        cases.push(case);
    }
    let beside = Case::nanoseconds()
        .param("beside", "a hot reader")
        .axis("writers", 1)
        .note(NODES)
        .goal(Goal::NotSlower)
        .contenders(|| {
            vec![
                writing_beside::<Cached<Words>>(Side::Ours),
                writing_beside::<ArcSwapCache<Words>>(Side::Peer),
                writing_beside::<HazarcCache<Words>>(Side::Peer),
                writing_beside::<Epoch<Words>>(Side::Peer),
                writing_beside::<Seize<Words>>(Side::Peer),
                writing_beside::<Haphazard<Words>>(Side::Peer),
                writing_beside::<LeftRight<Words>>(Side::Peer),
            ]
        });
    cases.push(beside);
    for count in [10_u64, 50, 100, 200] {
        if !quick || count == 100 {
            let case = Case::nanoseconds()
                .param("timed", "together")
                .axis("commits", count)
                .note(NODES)
                .goal(Goal::TimesPeer("arc-swap load", 3.0))
                .contenders(move || writing_contenders(Writing::Timed { count }));
            cases.push(case);
        }
    }
    cases
}

#[derive(Clone, Copy)]
enum Writing {
    Long { writers: usize },
    Timed { count: u64 },
}

fn writing_contenders(work: Writing) -> Vec<Contender> {
    let limit = Contender::limit("box, swap, free", move |sampler| {
        let cell = BoxSwap::new(FIRST);
        commit_as_asked(work, sampler, &|| cell.commit(|words| words.map(|word| word + 1)));
    });
    vec![
        writing::<Owned<Words>>(Side::Ours, work),
        writing::<ArcSwapLoad<Words>>(Side::Peer, work),
        writing::<HazarcLoad<Words>>(Side::Peer, work),
        writing::<Epoch<Words>>(Side::Peer, work),
        writing::<Seize<Words>>(Side::Peer, work),
        writing::<Haphazard<Words>>(Side::Peer, work),
        writing::<LeftRight<Words>>(Side::Peer, work),
        writing::<StdRwLockArc<Words>>(Side::Peer, work),
        writing::<Watch<Words>>(Side::Peer, work),
        limit,
    ]
}

fn writing<C: Cell<Words>>(side: Side, work: Writing) -> Contender {
    Contender::new(C::NAME, side, move |sampler| {
        let cell = C::new(FIRST);
        let commits =
            commit_as_asked(work, sampler, &|| cell.commit(|words| words.map(|word| word + 1)));
        cell.reader().with(|words| assert_eq!(*words, [7 + commits; 8], "every commit counted"));
    })
}

/// Commits beside a thread that reads without a pause: the other side of the reads beside a hot writer.
fn writing_beside<C: Cell<Words>>(side: Side) -> Contender {
    const CHUNK: u64 = 64;
    Contender::new(C::NAME, side, move |sampler| {
        let cell = C::new(FIRST);
        sampler.windows(Per::Operation, 1, 1, |number| {
            let mut reader = (number == 1).then(|| cell.reader());
            let cell = &cell;
            move || {
                for _ in 0..CHUNK {
                    match &mut reader {
                        Some(reader) => _ = black_box(reader.with(|words| words[0])),
                        None => cell.commit(|words| words.map(|word| word + 1)),
                    }
                }
                CHUNK
            }
        });
    })
}

/// Commits as often as asked, and says how often that was in all.
fn commit_as_asked(work: Writing, sampler: &mut Sampler<'_>, commit: &(impl Fn() + Sync)) -> u64 {
    const CHUNK: u64 = 64;
    let commits = AtomicUsize::new(0);
    let commit_many = |count: u64| {
        (0..count).for_each(|_| commit());
        commits.fetch_add(count as usize, Ordering::Relaxed);
    };
    match work {
        Writing::Long { writers: 1 } => sampler.blocks(commit_many),
        Writing::Long { writers } => sampler.windows(Per::Operation, writers, 0, |_| {
            || {
                commit_many(CHUNK);
                CHUNK
            }
        }),
        Writing::Timed { count } => sampler.each_per(count, || (), |()| commit_many(count)),
    }
    commits.into_inner() as u64
}

const PUBLISHES: usize = 100_000;

fn garbage(_: bool) -> Vec<Case> {
    let case = Case::count("versions")
        .param("reader", "stalled in a read")
        // One writer in commit, one reader, no owned version.
        .goal(Goal::AtMost(65.0))
        .contenders(|| {
            vec![
                stalled::<Scoped<Counted>>(Side::Ours),
                stalled::<ArcSwapLoad<Counted>>(Side::Peer),
                stalled::<HazarcLoad<Counted>>(Side::Peer),
                stalled::<Epoch<Counted>>(Side::Peer),
                stalled::<Seize<Counted>>(Side::Peer),
                stalled::<Haphazard<Counted>>(Side::Peer),
            ]
        })
        .note("left-right, the locks and tokio watch block the writer instead; 100,001 versions are 98 MiB");
    vec![case]
}

/// A version of 1 KiB that counts how many of it are alive.
struct Counted {
    alive: Arc<AtomicUsize>,
    _bytes: [u8; 1024],
}

impl Counted {
    fn new(alive: &Arc<AtomicUsize>) -> Counted {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted { alive: Arc::clone(alive), _bytes: [1; 1024] }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::new(&self.alive)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(1, Ordering::Relaxed);
    }
}

fn stalled<C: Cell<Counted>>(side: Side) -> Contender {
    Contender::new(C::NAME, side, move |sampler| {
        let alive = Arc::new(AtomicUsize::new(0));
        let cell = C::new(Counted::new(&alive));
        // The reader stands still on a thread of its own: reclamation in a writer's own thread would wait for itself.
        let (inside, entered) = std::sync::mpsc::channel();
        let (leave, left) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let cell = &cell;
            scope.spawn(move || {
                cell.reader().with(|_| {
                    // The other side may have panicked: then there is nothing to wait for.
                    let _ = inside.send(());
                    let _ = left.recv();
                });
            });
            assert!(entered.recv().is_ok(), "the reader is inside");
            (0..PUBLISHES).for_each(|_| cell.commit(Counted::clone));
            sampler.value(alive.load(Ordering::Relaxed) as f64);
            drop(leave);
        });
    })
}
