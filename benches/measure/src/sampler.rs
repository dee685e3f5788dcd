//! How one contender is measured during one turn.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use crate::crew::{Crew, Gate, Until, Verdict};
use crate::machine::{cores, preemptions_of_process};
use crate::row::Sample;
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
    /// Nanoseconds that an operation takes a thread: the mean over the operations of all counted threads.
    Operation,
    /// Operations in a second: the sum over the counted threads.
    Second,
}

/// The turn of one contender.
///
/// The same contenders run under the report tool, which keeps samples, and under criterion, which wants the time of a number
/// of iterations of its own choice.
pub struct Sampler<'s> {
    budget: Budget,
    sink: Sink<'s>,
}

enum Sink<'s> {
    Samples(&'s mut Samples),
    Driven(&'s mut Driver<'s>),
}

/// Calls a routine as often as it likes with a number of iterations, and is told how long they took.
pub type Driver<'d> = dyn FnMut(&mut dyn FnMut(u64) -> Duration) + 'd;

impl<'s> Sampler<'s> {
    pub(crate) fn new(budget: Budget, samples: &'s mut Samples) -> Self {
        samples.begin_round();
        Sampler { budget, sink: Sink::Samples(samples) }
    }

    /// One whose iterations somebody else chooses and times.
    pub fn driven(driver: &'s mut Driver<'s>) -> Self {
        let budget = Budget { rounds: 1, turn: Duration::ZERO, window: Duration::ZERO };
        Sampler { budget, sink: Sink::Driven(driver) }
    }

    /// For operations under 100 ns: `work(n)` does `n` of them, and a sample is the mean of a block. There is no p99 of
    /// means, so none is given.
    pub fn blocks(&mut self, work: impl FnMut(u64)) {
        self.blocks_per(1, work);
    }

    /// As [`blocks`](Self::blocks), for operations that handle several `items` each; the figures are an item's.
    pub fn blocks_per(&mut self, items: u64, mut work: impl FnMut(u64)) {
        let mut timed = |count| {
            let start = Instant::now();
            work(count);
            start.elapsed()
        };
        let samples = match &mut self.sink {
            Sink::Samples(samples) => samples,
            Sink::Driven(driver) => return driver(&mut |count| timed(count).div_f64(items as f64)),
        };
        let size = *samples.block.get_or_insert_with(|| block_size(&mut timed));
        let turn = Instant::now();
        loop {
            let took = timed(size);
            samples.record(Sample::Block, nanoseconds(took) / (size * items) as f64);
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
    pub fn each_with<I, R>(&mut self, input: impl FnMut() -> I, operation: impl FnMut(I) -> R) {
        self.each_per(1, input, operation);
    }

    /// As [`each_with`](Self::each_with), but a sample is the operation's time divided by the `items` it handled. A
    /// percentile is one of whole operations, then divided.
    pub fn each_per<I, R>(
        &mut self,
        items: u64,
        mut input: impl FnMut() -> I,
        mut operation: impl FnMut(I) -> R,
    ) {
        let mut timed = || {
            let input = input();
            let start = Instant::now();
            let result = black_box(operation(input));
            let took = start.elapsed();
            drop(result);
            took
        };
        let samples = match &mut self.sink {
            Sink::Samples(samples) => samples,
            Sink::Driven(driver) => {
                return driver(&mut |count| {
                    (0..count).map(|_| timed()).sum::<Duration>().div_f64(items as f64)
                });
            }
        };
        let turn = Instant::now();
        loop {
            let took = timed();
            samples.record(Sample::Operation, nanoseconds(took) / items as f64);
            if turn.elapsed() >= self.budget.turn {
                return;
            }
        }
    }

    /// One reading of something that is counted, not timed. Nobody else can time it.
    pub fn value(&mut self, value: f64) {
        if let Sink::Samples(samples) = &mut self.sink {
            samples.record(Sample::Value, value);
        }
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
        let crew = Crew { counted, background };
        let samples = match &mut self.sink {
            Sink::Samples(samples) => samples,
            Sink::Driven(driver) => {
                return driver(&mut |count| {
                    let parts = crew.work(1, Until::Done(count.div_ceil(counted as u64)), &spawn);
                    Duration::from_secs_f64(crew.per_operation(&parts[0]) * count as f64 / 1e9)
                });
            }
        };
        // Threads that share cores need a window in which each gets its turns.
        let window =
            if counted + background <= cores() { self.budget.window } else { self.budget.turn };
        let windows = (self.budget.turn.as_nanos() / window.as_nanos().max(1)).max(1);
        for parts in crew.work(windows as usize, Until::After(window), &spawn) {
            let (value, verdict) = crew.window(per, &parts);
            samples.record_window(value, verdict);
        }
    }

    /// Lets threads finish a fixed amount of work: `work(number)` runs to its end in each thread and says how many
    /// operations it finished. Everything is made ready by `prepare` before the clock starts, which stops with the last
    /// thread. A window is set aside if any thread of the process was preempted meanwhile, unless there are more of
    /// them (`threads` and `helpers`, such as a contender's own thread) than cores.
    pub fn work<P: Sync, R>(
        &mut self,
        per: Per,
        threads: usize,
        helpers: usize,
        mut prepare: impl FnMut() -> P,
        work: impl Fn(&P, usize) -> u64 + Sync,
        finish: impl Fn(P, u64) -> R,
    ) {
        let mut timed = || {
            let prepared = prepare();
            let (took, done, preempted) = finished_work(threads, &prepared, &work);
            drop(finish(prepared, done));
            (took, done.max(1), preempted)
        };
        let samples = match &mut self.sink {
            Sink::Samples(samples) => samples,
            Sink::Driven(driver) => {
                return driver(&mut |count| {
                    let (mut took, mut done) = (Duration::ZERO, 0);
                    while done < count {
                        let (more, finished, _) = timed();
                        took += more;
                        done += finished;
                    }
                    took.mul_f64(count as f64 / done as f64)
                });
            }
        };
        let oversubscribed = threads + helpers > cores();
        let turn = Instant::now();
        loop {
            let (took, done, preempted) = timed();
            let value = match per {
                Per::Operation => nanoseconds(took) / done as f64,
                Per::Second => done as f64 * 1e9 / nanoseconds(took),
            };
            samples.record_window(value, Verdict::of(preempted, false, oversubscribed));
            if turn.elapsed() >= self.budget.turn {
                return;
            }
        }
    }
}

/// How long the work took from the first start to the last end, how much was done, and whether a thread of the process was
/// preempted.
fn finished_work<P: Sync>(
    threads: usize,
    prepared: &P,
    work: &(impl Fn(&P, usize) -> u64 + Sync),
) -> (Duration, u64, bool) {
    let gate = Gate::new(threads);
    let before = preemptions_of_process();
    let ends: Vec<(Instant, Instant, u64)> = thread::scope(|scope| {
        let gate = &gate;
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
    let start = ends.iter().map(|(start, _, _)| *start).min();
    let end = ends.iter().map(|(_, end, _)| *end).max();
    let took = start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start);
    (took, ends.iter().map(|(_, _, done)| done).sum(), preempted)
}

/// The size of a block that takes about [`BLOCK`]: each of three times, as one that is preempted takes long at any size.
fn block_size(timed: &mut impl FnMut(u64) -> Duration) -> u64 {
    let mut size = 1;
    while size < 1 << 30 && (0..3).any(|_| timed(size) < BLOCK) {
        size *= 2;
    }
    size
}

pub(crate) fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    // A contender that panics has failed an assertion about itself: the run ends with its message.
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

pub(crate) fn nanoseconds(time: Duration) -> f64 {
    time.as_nanos() as f64
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

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
    fn a_block_is_long_enough_even_if_something_else_took_its_time_meanwhile() {
        let mut calls = 0;
        let mut timed = |count: u64| {
            calls += 1;
            let preempted = if calls == 1 { BLOCK } else { Duration::ZERO };
            Duration::from_nanos(count) + preempted
        };
        assert!(u128::from(block_size(&mut timed)) >= BLOCK.as_nanos());
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
    fn a_driver_gets_the_time_of_the_iterations_it_asked_for() {
        let done = AtomicU64::new(0);
        let mut times = Vec::new();
        let mut drive = |measure: &dyn Fn(&mut Sampler<'_>)| {
            let mut driver = |routine: &mut dyn FnMut(u64) -> Duration| times.push(routine(100));
            measure(&mut Sampler::driven(&mut driver));
        };
        let one = || done.fetch_add(1, Ordering::Relaxed);
        drive(&|sampler| sampler.blocks(|count| (0..count).for_each(|_| assert!(one() < 100))));
        assert_eq!(done.swap(0, Ordering::Relaxed), 100);
        drive(&|sampler| sampler.each(one));
        assert_eq!(done.swap(0, Ordering::Relaxed), 100);
        drive(&|sampler| {
            sampler.windows(Per::Operation, 1, 1, |number| {
                let done = &done;
                move || {
                    done.fetch_add(u64::from(number == 0), Ordering::Relaxed);
                    1
                }
            });
        });
        // One call more than asked for gets each worker going.
        assert_eq!(done.swap(0, Ordering::Relaxed), 101);
        drive(&|sampler| {
            sampler.work(Per::Operation, 2, 0, || (), |_, _| one().min(1) + 1, |_, _| ())
        });
        assert_eq!(times.len(), 4);
        assert!(times.iter().all(|time| *time > Duration::ZERO));
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
