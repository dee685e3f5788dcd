//! How one contender is measured during one turn.

use std::hint::{black_box, spin_loop};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::machine::{cores, pin, preemptions_of_process, preemptions_of_thread};
use crate::row::{Sample, Windows};
use crate::samples::Samples;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// How often each contender of a row has its turn.
    pub rounds: usize,
    /// How long a turn takes, at least.
    pub turn: Duration,
    /// How long a throughput window is; several fit into a turn.
    pub window: Duration,
}

/// One block takes about this long, so that the clock's own cost disappears in it.
const BLOCK: Duration = Duration::from_micros(20);

/// What a throughput window tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// Nanoseconds that an operation takes a thread: the mean over the counted threads.
    Operation,
    /// Operations in a second: the sum over the counted threads.
    Second,
}

/// The turn of one contender.
pub struct Sampler<'s> {
    budget: Budget,
    samples: &'s mut Samples,
}

impl<'s> Sampler<'s> {
    pub(crate) fn new(budget: Budget, samples: &'s mut Samples) -> Self {
        samples.begin_round();
        Sampler { budget, samples }
    }

    /// For operations under 100 ns: `work(n)` does `n` of them, and a sample is the mean of a block. There is no p99 of
    /// means, so none is given.
    pub fn blocks(&mut self, mut work: impl FnMut(u64)) {
        let size = match self.samples.block {
            Some(size) => size,
            None => *self.samples.block.insert(block_size(&mut work)),
        };
        let turn = Instant::now();
        loop {
            let start = Instant::now();
            work(size);
            let took = start.elapsed();
            self.samples.record(Sample::Block, nanoseconds(took) / size as f64);
            if turn.elapsed() >= self.budget.turn {
                return;
            }
        }
    }

    /// Times each operation alone, and drops no sample. The clock's own cost is in each.
    pub fn each<R>(&mut self, mut operation: impl FnMut() -> R) {
        self.each_with(|| (), |()| operation());
    }

    /// As [`each`](Self::each), with an input made before the clock starts; the result is dropped after it stops.
    pub fn each_with<I, R>(
        &mut self,
        mut input: impl FnMut() -> I,
        mut operation: impl FnMut(I) -> R,
    ) {
        self.each_per(1, &mut input, &mut operation);
    }

    /// As [`each_with`](Self::each_with), but a sample is the operation's time divided by the `items` it handled. A
    /// percentile is one of whole operations, then divided.
    pub fn each_per<I, R>(
        &mut self,
        items: u64,
        mut input: impl FnMut() -> I,
        mut operation: impl FnMut(I) -> R,
    ) {
        let turn = Instant::now();
        loop {
            let input = input();
            let start = Instant::now();
            let result = black_box(operation(input));
            let took = start.elapsed();
            drop(result);
            self.samples.record(Sample::Operation, nanoseconds(took) / items as f64);
            if turn.elapsed() >= self.budget.turn {
                return;
            }
        }
    }

    /// One reading of something that is counted, not timed.
    pub fn value(&mut self, value: f64) {
        self.samples.record(Sample::Value, value);
    }

    /// Lets threads work for windows of fixed time. `spawn(number)` runs in each thread and gives the worker, which does a
    /// small chunk of operations at a call and says how many. It must never wait for another thread without an end.
    ///
    /// The first `counted` threads are counted; `background` ones beside them (a writer beside readers) only run. A
    /// window is set aside if a thread was preempted, or if one of two counted threads did less than a quarter of
    /// the work.
    pub fn windows<W: FnMut() -> u64>(
        &mut self,
        per: Per,
        counted: usize,
        background: usize,
        spawn: impl Fn(usize) -> W + Sync,
    ) {
        let threads = counted + background;
        let oversubscribed = threads > cores();
        let windows = (self.budget.turn.as_nanos() / self.budget.window.as_nanos().max(1)).max(1);
        let length = self.budget.window;
        let gate = Gate::new(threads);
        let parts: Vec<Vec<Part>> = thread::scope(|scope| {
            let (gate, spawn) = (&gate, &spawn);
            let start = |number| {
                scope.spawn(move || {
                    if !oversubscribed {
                        pin(number);
                    }
                    let mut worker = spawn(number);
                    worker();
                    (0..windows).map(|_| part(gate, length, &mut worker)).collect()
                })
            };
            let threads: Vec<_> = (0..threads).map(start).collect();
            threads.into_iter().map(joined).collect()
        });
        for window in 0..windows as usize {
            let parts: Vec<Part> = parts.iter().map(|thread| thread[window]).collect();
            self.window(per, &parts, counted, oversubscribed);
        }
    }

    fn window(&mut self, per: Per, parts: &[Part], counted: usize, oversubscribed: bool) {
        let preempted = parts.iter().any(|part| part.preempted) && !oversubscribed;
        let parts = &parts[..counted];
        let work: f64 = parts.iter().map(|part| part.done as f64).sum();
        let least = parts.iter().map(|part| part.done as f64).fold(f64::MAX, f64::min);
        let value = match per {
            Per::Operation => {
                let each = parts.iter().map(|part| part.nanoseconds / part.done.max(1) as f64);
                each.sum::<f64>() / counted as f64
            }
            Per::Second => parts.iter().map(|part| part.done as f64 * 1e9 / part.nanoseconds).sum(),
        };
        self.sort_window(value, preempted, counted == 2 && least < work / 4.0, oversubscribed);
    }

    /// Lets threads finish a fixed amount of work: `work(number)` runs to its end in each thread and says how many
    /// operations it finished. Everything is made ready by `prepare` before the clock starts, which stops with the last
    /// thread. A window is set aside if any thread of the process was preempted meanwhile, unless there are more of
    /// them (`threads` and `helpers`, such as a contender's own thread) than cores.
    pub fn work<P, R>(
        &mut self,
        per: Per,
        threads: usize,
        helpers: usize,
        mut prepare: impl FnMut() -> P,
        work: impl Fn(&P, usize) -> u64 + Sync,
        finish: impl Fn(P, u64) -> R,
    ) where
        P: Sync,
    {
        let oversubscribed = threads + helpers > cores();
        let turn = Instant::now();
        loop {
            let prepared = prepare();
            let gate = Gate::new(threads);
            let before = preemptions_of_process();
            let ends: Vec<(Instant, Instant, u64)> = thread::scope(|scope| {
                let (gate, work, prepared) = (&gate, &work, &prepared);
                let start = |number| {
                    scope.spawn(move || {
                        gate.pass();
                        let start = Instant::now();
                        let done = work(prepared, number);
                        (start, Instant::now(), done)
                    })
                };
                let threads: Vec<_> = (0..threads).map(start).collect();
                threads.into_iter().map(joined).collect()
            });
            let preempted = before != preemptions_of_process();
            let done: u64 = ends.iter().map(|(_, _, done)| done).sum();
            let start = ends.iter().map(|(start, _, _)| *start).min();
            let end = ends.iter().map(|(_, end, _)| *end).max();
            if let (Some(start), Some(end)) = (start, end) {
                let took = nanoseconds(end - start);
                let value = match per {
                    Per::Operation => took / done.max(1) as f64,
                    Per::Second => done as f64 * 1e9 / took,
                };
                self.sort_window(value, preempted && !oversubscribed, false, oversubscribed);
            }
            drop(finish(prepared, done));
            if turn.elapsed() >= self.budget.turn {
                return;
            }
        }
    }

    fn sort_window(&mut self, value: f64, preempted: bool, unfair: bool, oversubscribed: bool) {
        let windows: &mut Windows = self.samples.windows();
        windows.oversubscribed = oversubscribed;
        windows.preempted += u64::from(preempted);
        windows.unfair += u64::from(unfair && !preempted);
        if preempted || unfair {
            self.samples.set_aside(value);
        } else {
            windows.kept += 1;
            self.samples.record(Sample::Window, value);
        }
    }
}

/// What one thread did in one window.
#[derive(Clone, Copy)]
struct Part {
    done: u64,
    nanoseconds: f64,
    preempted: bool,
}

fn part(gate: &Gate, length: Duration, worker: &mut impl FnMut() -> u64) -> Part {
    let before = preemptions_of_thread();
    gate.pass();
    let start = Instant::now();
    let mut done = 0;
    loop {
        done += worker();
        let took = start.elapsed();
        if took >= length {
            let preempted = before != preemptions_of_thread();
            return Part { done, nanoseconds: nanoseconds(took), preempted };
        }
    }
}

/// Where threads meet before each window. Those who wait sleep first, because the others may need the core, and then
/// spin for the last microseconds, so that all start together; but not if they must share cores.
struct Gate {
    barrier: Barrier,
    arrived: AtomicUsize,
    threads: usize,
}

impl Gate {
    fn new(threads: usize) -> Gate {
        Gate { barrier: Barrier::new(threads), arrived: AtomicUsize::new(0), threads }
    }

    fn pass(&self) {
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

fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    // A contender that panics has failed an assertion about itself: the run ends with its message.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn block_size(work: &mut impl FnMut(u64)) -> u64 {
    let mut size = 1;
    loop {
        let start = Instant::now();
        work(size);
        let took = start.elapsed();
        if took >= BLOCK || size >= 1 << 30 {
            return size;
        }
        size *= 2;
    }
}

pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn measured(measure: impl FnOnce(&mut Sampler<'_>)) -> crate::Stats {
        let budget =
            Budget { rounds: 1, turn: Duration::from_millis(4), window: Duration::from_millis(1) };
        let mut samples = Samples::of("x");
        measure(&mut Sampler::new(budget, &mut samples));
        samples.finish().unwrap()
    }

    #[test]
    fn each_operation_is_one_sample() {
        let mut count = 0;
        let stats = measured(|sampler| sampler.each(|| count += 1));
        assert_eq!((stats.n, stats.sample), (count, Sample::Operation));
        assert!(stats.p99.is_some());
    }

    #[test]
    fn a_block_is_the_mean_of_what_it_was_asked_to_do() {
        let done = AtomicU64::new(0);
        let stats = measured(|sampler| {
            sampler.blocks(|n| {
                for _ in 0..n {
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        assert!(stats.n > 1 && stats.n < done.load(Ordering::Relaxed));
        assert_eq!(stats.p99, None);
    }

    #[test]
    fn every_window_is_kept_or_set_aside_and_background_work_is_not_counted() {
        let counted = AtomicU64::new(0);
        let stats = measured(|sampler| {
            sampler.windows(Per::Second, 1, 1, |number| {
                let counted = &counted;
                move || {
                    counted.fetch_add(u64::from(number == 0), Ordering::Relaxed);
                    u64::from(number == 0)
                }
            });
        });
        let windows = stats.windows.unwrap();
        assert_eq!(windows.kept + windows.preempted + windows.unfair, 4);
        assert!(counted.load(Ordering::Relaxed) > 0 && stats.p50 > 0.0);
    }

    #[test]
    fn a_starving_thread_makes_a_window_unfair() {
        let stats = measured(|sampler| {
            sampler.windows(Per::Second, 2, 0, |number| move || if number == 0 { 1000 } else { 1 });
        });
        let windows = stats.windows.unwrap();
        assert_eq!(windows.kept, 0);
        assert_eq!(windows.unfair + windows.preempted, 4);
    }

    #[test]
    fn fixed_work_counts_what_was_done() {
        let mut finished = Vec::new();
        let stats = measured(|sampler| {
            let finished = std::sync::Mutex::new(&mut finished);
            sampler.work(
                Per::Second,
                2,
                0,
                || AtomicU64::new(0),
                |shared, _| {
                    shared.fetch_add(10, Ordering::Relaxed);
                    10
                },
                |shared, done| {
                    assert_eq!(shared.into_inner(), done);
                    finished.lock().unwrap().push(done);
                },
            );
        });
        assert!(finished.iter().all(|done| *done == 20) && !finished.is_empty());
        assert_eq!(stats.sample, Sample::Window);
    }
}
