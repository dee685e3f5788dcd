//! Threads that work at the same time, in windows.

use std::hint::spin_loop;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{cores, pin, preemptions_of_thread};
use crate::sampler::{Per, joined, nanoseconds};

/// How many threads work, and how many of them are measured.
#[derive(Clone, Copy)]
pub(crate) struct Crew {
    pub(crate) counted: usize,
    pub(crate) background: usize,
}

/// When a window ends for a counted thread. The others stop by the clock too, or when all counted ones have.
#[derive(Clone, Copy)]
pub(crate) enum Until {
    After(Duration),
    Done(u64),
}

/// What one thread did in one window.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    done: u64,
    nanoseconds: f64,
    preempted: bool,
}

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It counts.
    Kept { oversubscribed: bool },
    /// A thread was preempted.
    Preempted,
    /// One of two threads did less than a quarter of the work.
    Unfair,
}

impl Verdict {
    /// With more threads than cores preemption is what is measured.
    pub(crate) fn of(preempted: bool, unfair: bool, oversubscribed: bool) -> Verdict {
        match (preempted && !oversubscribed, unfair) {
            (true, _) => Verdict::Preempted,
            (false, true) => Verdict::Unfair,
            (false, false) => Verdict::Kept { oversubscribed },
        }
    }
}

impl Crew {
    fn threads(self) -> usize {
        self.counted + self.background
    }

    /// Lets all threads work for some windows, and says what each did: a list of parts a window. Each worker is called once
    /// before the first window.
    pub(crate) fn work<W: FnMut() -> u64>(
        self,
        windows: usize,
        until: Until,
        spawn: &(impl Fn(usize) -> W + Sync),
    ) -> Vec<Vec<Part>> {
        let gate = Gate::new(self.threads());
        // How many counted threads have ended their window, over all windows.
        let ended = AtomicUsize::new(0);
        let of_threads: Vec<Vec<Part>> = thread::scope(|scope| {
            let (gate, ended) = (&gate, &ended);
            let start = |number| {
                scope.spawn(move || {
                    if self.threads() <= cores() {
                        pin(number);
                    }
                    let mut worker = spawn(number);
                    worker();
                    let one = |window| {
                        let all = (window + 1) * self.counted;
                        if number < self.counted {
                            let part = part(gate, &mut worker, |done, took| match until {
                                Until::After(length) => took >= length,
                                Until::Done(count) => done >= count,
                            });
                            ended.fetch_add(1, Ordering::Release);
                            part
                        } else {
                            part(gate, &mut worker, |_, took| match until {
                                Until::After(length) => took >= length,
                                Until::Done(_) => ended.load(Ordering::Acquire) >= all,
                            })
                        }
                    };
                    (0..windows).map(one).collect()
                })
            };
            let threads: Vec<_> = (0..self.threads()).map(start).collect();
            threads.into_iter().map(joined).collect()
        });
        (0..windows).map(|window| of_threads.iter().map(|parts| parts[window]).collect()).collect()
    }

    /// The value of a window, and what becomes of it.
    pub(crate) fn window(self, per: Per, parts: &[Part]) -> (f64, Verdict) {
        let preempted = parts.iter().any(|part| part.preempted);
        let counted = &parts[..self.counted];
        let work: f64 = counted.iter().map(|part| part.done as f64).sum();
        let least = counted.iter().map(|part| part.done as f64).fold(f64::MAX, f64::min);
        let value = match per {
            Per::Operation => self.per_operation(parts),
            Per::Second => {
                counted.iter().map(|part| part.done as f64 * 1e9 / part.nanoseconds).sum()
            }
        };
        let unfair = self.counted == 2 && least < work / 4.0;
        (value, Verdict::of(preempted, unfair, self.threads() > cores()))
    }

    /// Nanoseconds that an operation takes a thread: the mean over the counted ones.
    pub(crate) fn per_operation(self, parts: &[Part]) -> f64 {
        let counted = &parts[..self.counted];
        let each = counted.iter().map(|part| part.nanoseconds / part.done.max(1) as f64);
        each.sum::<f64>() / self.counted as f64
    }
}

fn part(
    gate: &Gate,
    worker: &mut impl FnMut() -> u64,
    ends: impl Fn(u64, Duration) -> bool,
) -> Part {
    let before = preemptions_of_thread();
    gate.pass();
    let start = Instant::now();
    let mut done = 0;
    loop {
        done += worker();
        let took = start.elapsed();
        if ends(done, took) {
            let preempted = before != preemptions_of_thread();
            return Part { done, nanoseconds: nanoseconds(took), preempted };
        }
    }
}

/// Where threads meet before each window. Those who wait sleep first, because the others may need the core, and then
/// spin for the last microseconds, so that all start together; but not if they must share cores.
pub(crate) struct Gate {
    barrier: Barrier,
    arrived: AtomicUsize,
    threads: usize,
}

impl Gate {
    pub(crate) fn new(threads: usize) -> Gate {
        Gate { barrier: Barrier::new(threads), arrived: AtomicUsize::new(0), threads }
    }

    pub(crate) fn pass(&self) {
        self.barrier.wait();
        if self.threads <= cores() {
            let mine = self.arrived.fetch_add(1, Ordering::AcqRel);
            let everyone = (mine / self.threads + 1) * self.threads;
            while self.arrived.load(Ordering::Acquire) < everyone {
                spin_loop();
            }
        }
    }
}
