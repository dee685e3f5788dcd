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
    start: Instant,
    end: Instant,
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
            Per::Second => 1e9 * self.counted as f64 / self.per_operation(parts),
        };
        let unfair = self.counted == 2 && least < work / 4.0;
        (value, Verdict::of(preempted, unfair, self.threads() > cores()))
    }

    /// Nanoseconds that an operation takes a thread, all operations of the counted ones counting alike.
    ///
    /// Threads that share cores do not start and end together, and each would seem to have had a core to itself: for those
    /// the time is that from the first start to the last end.
    pub(crate) fn per_operation(self, parts: &[Part]) -> f64 {
        let counted = &parts[..self.counted];
        let done: u64 = counted.iter().map(|part| part.done).sum();
        let took = |part: &Part| nanoseconds(part.end - part.start);
        let time = if self.threads() <= cores() {
            counted.iter().map(took).sum()
        } else {
            let first = counted.iter().map(|part| part.start).min();
            let last = counted.iter().map(|part| part.end).max();
            let span = first.zip(last).map_or(Duration::ZERO, |(first, last)| last - first);
            nanoseconds(span) * self.counted as f64
        };
        time / done.max(1) as f64
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
        let end = Instant::now();
        if ends(done, end - start) {
            let preempted = before != preemptions_of_thread();
            return Part { done, start, end, preempted };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(each: &[(u64, u64, u64)]) -> Vec<Part> {
        let zero = Instant::now();
        let at = |nanoseconds| zero + Duration::from_nanos(nanoseconds);
        let part =
            |&(start, end, done)| Part { done, start: at(start), end: at(end), preempted: false };
        each.iter().map(part).collect()
    }

    #[test]
    fn each_operation_counts_alike_however_unfairly_the_threads_share() {
        let crew = Crew { counted: 1, background: 0 };
        assert_eq!(crew.per_operation(&parts(&[(0, 1000, 100)])), 10.0);
        if cores() >= 2 {
            let crew = Crew { counted: 2, background: 0 };
            let parts = parts(&[(0, 1000, 300), (0, 1000, 100)]);
            assert_eq!(crew.per_operation(&parts), 5.0);
            assert_eq!(crew.window(Per::Second, &parts).0, 4e8);
        }
    }

    #[test]
    fn threads_that_ran_one_after_the_other_did_not_have_a_core_each() {
        let threads = cores() + 1;
        let crew = Crew { counted: threads, background: 0 };
        let parts: Vec<_> = (0..threads as u64).map(|n| (1000 * n, 1000 * (n + 1), 10)).collect();
        let parts = self::parts(&parts);
        assert_eq!(crew.window(Per::Second, &parts).0, 1e7);
        assert_eq!(crew.per_operation(&parts), 100.0 * threads as f64);
    }
}
