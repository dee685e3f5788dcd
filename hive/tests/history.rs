//! Eight threads at one hive, and a checker (Wing, Gong, Lowe) that looks for one order of all they did: each transaction takes
//! effect at one moment between its call and its answer, and there sees what it has read (G1).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use queenright::consensus::RoundPolicy;
use queenright::{Hive, Key, Op, Proposal, Read, Snapshot, Value};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::Action::{self, Call, Response};
use todc_utils::linearizability::history::History;
use todc_utils::specifications::Specification;

const KEYS: usize = 4;
const THREADS: usize = 8;

/// What one step saw, and did.
#[derive(Clone, Debug, PartialEq)]
struct Step {
    saw: Vec<(usize, i64)>,
    did: Vec<(usize, Change)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Change {
    Set(i64),
    Add(i64),
}

/// A few numbers in memory, and one step after the other.
struct Numbers;

impl Specification for Numbers {
    type State = [i64; KEYS];
    type Operation = Step;

    fn init() -> Self::State {
        [0; KEYS]
    }

    fn apply(step: &Step, state: &Self::State) -> (bool, Self::State) {
        let mut next = *state;
        for (key, change) in &step.did {
            match change {
                Change::Set(value) => next[*key] = *value,
                Change::Add(by) => next[*key] += by,
            }
        }
        (step.saw.iter().all(|(key, value)| state[*key] == *value), next)
    }
}

fn key(number: usize) -> Key {
    Key::new(format!("k/{number}")).unwrap()
}

fn value(snapshot: &Snapshot, number: usize) -> i64 {
    snapshot.get(key(number).as_str()).and_then(Value::as_int).unwrap_or(0)
}

/// Calls and answers in the order in which they were.
type Timed = Vec<(u64, usize, Action<Step>)>;

/// One thread's work: looks, transactions that read, blind writes and additions, alone and together.
fn work(hive: &Hive, clock: &AtomicU64, thread: usize, seed: u64, turns: usize) -> Timed {
    let tick = || clock.fetch_add(1, Ordering::SeqCst);
    let mut random = seed * 2 + 1;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % bound) as usize
    };
    let mut timed = Timed::new();
    let mut note = |called, answered, process, step: Step| {
        timed.push((called, process, Call(step.clone())));
        timed.push((answered, process, Response(step)));
    };
    for turn in 0..turns {
        let called = tick();
        let snapshot = hive.snapshot();
        if below(3) == 0 {
            let saw = (0..KEYS).map(|number| (number, value(&snapshot, number))).collect();
            note(called, tick(), thread, Step { saw, did: Vec::new() });
            continue;
        }
        let together = 1 + below(2);
        let mut steps = Vec::new();
        let mut proposals = Vec::new();
        for part in 0..together {
            let (from, to) = (below(KEYS as u64), below(KEYS as u64));
            let unique = (thread * 1000 + turn * 2 + part) as i64 + 1;
            let (saw, change) = match below(3) {
                0 => (vec![(from, value(&snapshot, from))], Change::Set(unique)),
                1 => (Vec::new(), Change::Set(unique)),
                _ => (Vec::new(), Change::Add(1)),
            };
            let op = match change {
                Change::Set(value) => Op::Set(value.into()),
                Change::Add(by) => Op::add(by),
            };
            let id = format!("{thread}#{turn}#{part}");
            let mut proposal = Proposal::on(&snapshot, format!("t{thread}"), id);
            proposal.reads.extend(saw.iter().map(|(number, _)| Read::Key(key(*number))));
            proposals.push(proposal.write(key(to), op).unwrap());
            steps.push(Step { saw, did: vec![(to, change)] });
        }
        let outcomes = hive.propose_many(proposals).unwrap().wait();
        let answered = tick();
        // What was refused has done nothing.
        for (part, (step, outcome)) in steps.into_iter().zip(&outcomes).enumerate() {
            if outcome.is_committed() {
                note(called, answered, thread + part * THREADS, step);
            }
        }
    }
    timed
}

fn run(seed: u64, turns: usize) -> Vec<(usize, Action<Step>)> {
    // Losers that wait are decided in rounds after those of their answers' neighbours.
    let policy = RoundPolicy { pending: seed % 3, ..RoundPolicy::default() };
    let base = (0..KEYS).map(|number| (key(number), 0.into()));
    let hive = Hive::builder().seed(seed).policy(policy).base(base).max_batch(6).build().unwrap();
    let clock = AtomicU64::new(0);
    let mut all: Timed = thread::scope(|scope| {
        let (hive, clock) = (&hive, &clock);
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let seed = seed * 64 + thread as u64;
                scope.spawn(move || work(hive, clock, thread, seed, turns))
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_by_key(|(time, ..)| *time);
    all.into_iter().map(|(_, process, action)| (process, action)).collect()
}

fn is_explained(actions: Vec<(usize, Action<Step>)>) -> bool {
    WGLChecker::<Numbers>::is_linearizable(History::from_actions(actions))
}

#[test]
fn one_order_explains_all_that_eight_threads_saw_and_did() {
    let mut committed = 0;
    for seed in 0..12 {
        let actions = run(seed, 12);
        committed += actions.len() / 2;
        assert!(is_explained(actions), "seed {seed}");
    }
    assert!(committed > 12 * 50, "{committed}");
}

/// The checker is one: if one read of a real history had seen something else, no order would explain it.
#[test]
fn a_history_with_one_wrong_read_is_not_explained() {
    let actions = run(99, 8);
    let is_look = |(_, action): &(usize, Action<Step>)| match action {
        Call(step) | Response(step) => {
            step.saw.len() == KEYS && step.saw.iter().any(|saw| saw.1 != 0)
        }
    };
    let last = actions.iter().rposition(is_look).expect("somebody looked in the end");
    let mut wrong = actions.clone();
    let process = wrong[last].0;
    // The answer, and its call before it.
    let mut of_the_look =
        wrong[..=last].iter_mut().rev().filter(|(other, _)| *other == process).take(2);
    for (_, action) in &mut of_the_look {
        let (Call(step) | Response(step)) = action;
        step.saw[0].1 = -1;
    }
    assert!(is_explained(actions));
    assert!(!is_explained(wrong));
}
