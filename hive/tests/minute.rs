//! A thousand agents that start, stop, fail, hang and are killed at random. Alone in its process, so that what is left can be counted.
//!
//! `QUEENRIGHT_SECONDS=60` lets it go on for a minute.
#![allow(clippy::print_stderr)]

use std::future::{Future, poll_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};
use std::{env, fs};

use queenright::consensus::{QuorumRule, RoundPolicy, Threshold, Vote};
use queenright::{
    Agent, AgentError, AgentRef, AsyncAgent, Context, Hive, Next, Op, Proposal, Spawn, SpawnError,
    Strategy, Supervision, Supervisor, Value, View,
};

/// How many live at a time.
const AGENTS: usize = 1_000;
/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

/// What any agent here does in a run: adds to a sum by all, and at times overwrites what others read.
fn act(view: &mut View) -> Result<Next, AgentError> {
    let random = view.context().random();
    view.write("sum", Op::add(1))?;
    if random & 3 == 0 {
        let key = format!("hot/{}", random / 4 % 8);
        let held = view.get(key.as_str())?.and_then(|value| value.as_int()).unwrap_or(0);
        view.set(key, held + 1)?;
        view.write("hot-sum", Op::add(1))?;
    }
    match random >> 58 {
        0 => Err(AgentError::new("at times")),
        1 => panic!("at times"),
        2..40 => Ok(Next::Watch),
        _ => Ok(Next::Done),
    }
}

struct Here;

impl Agent for Here {
    fn name(&self) -> &str {
        "here"
    }
    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        act(view)
    }
    fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        Ok(message)
    }
    fn vote(
        &mut self,
        _: &queenright::consensus::OpenBallot,
        context: &mut Context,
    ) -> Result<Option<Vote>, AgentError> {
        Ok([Some(Vote::Yes), Some(Vote::No), None][(context.random() % 3) as usize])
    }
}

struct Elsewhere;

impl AsyncAgent for Elsewhere {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        later().await;
        act(view)
    }
    async fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        later().await;
        Ok(message)
    }
}

/// Others have their turn first.
fn later() -> impl Future<Output = ()> {
    let mut is_first = true;
    poll_fn(move |context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
}

#[cfg(feature = "process")]
fn program(supervisor: &Supervisor, name: String, spawn: Spawn) -> Result<AgentRef, SpawnError> {
    let script = r#"echo '{"type":"hello","protocol":1}'
        while read -r line; do case $line in
            *'"run"'*) echo '{"type":"propose","writes":[{"op":"add","key":"sum","by":1}]}' ;;
            *stop*) exit ;;
        esac; done"#;
    supervisor.spawn_process(name, spawn, queenright::Program::new("sh").arg("-c").arg(script))
}

#[cfg(not(feature = "process"))]
fn program(supervisor: &Supervisor, name: String, spawn: Spawn) -> Result<AgentRef, SpawnError> {
    supervisor.spawn(name, spawn, || Ok(Here))
}

fn spawn(supervisor: &Supervisor, name: String, random: u64) -> Result<AgentRef, SpawnError> {
    let spawn = Spawn::default().mailbox(4).attempts(1000);
    match random % 200 {
        0 => program(supervisor, name, spawn),
        1..100 => supervisor.spawn(name, spawn, || Ok(Here)),
        _ => supervisor.spawn_async(name, spawn, || Ok(Elsewhere)),
    }
}

/// Threads, children and open files of this process.
fn counts() -> [usize; 3] {
    let count = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let children = tasks.filter_map(|it| fs::read_to_string(it.path().join("children")).ok());
    let children = children.map(|list| list.split_whitespace().count()).sum();
    [count("/proc/self/task"), children, count("/proc/self/fd")]
}

/// Memory in use, in KiB.
fn memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// What one who spawns and ends agents does, until it is time to end.
fn come_and_go(
    hive: &Hive,
    supervisors: &[Supervisor],
    turns: &AtomicU64,
    worker: u64,
    end: Instant,
) {
    let mut random = worker.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut living: Vec<AgentRef> = Vec::new();
    for number in 0_u64.. {
        if Instant::now() >= end {
            break;
        }
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let chosen = random >> 33;
        living.retain(|agent| !agent.state().is_over());
        // All at first, then a few at a time.
        let most = if number == 0 { AGENTS / 4 } else { living.len() + 8 };
        while living.len() < most.min(AGENTS / 4) {
            turns.fetch_add(1, Ordering::Relaxed);
            let supervisor = &supervisors[living.len() % supervisors.len()];
            let name = format!("a{worker}-{number}-{}", living.len());
            match spawn(supervisor, name, chosen + living.len() as u64) {
                Ok(agent) => living.push(agent),
                // One for all: another has failed meanwhile too often.
                Err(error) => panic!("{error}"),
            }
        }
        if living.is_empty() {
            continue;
        }
        let agent = &living[chosen as usize % living.len()];
        match chosen % 11 {
            0 => agent.kill(),
            1 => agent.stop(),
            2 => drop(agent.ask(1, Duration::from_millis(1))),
            3 => {
                let rule = QuorumRule::new([agent.id().clone()], Threshold::Majority).unwrap();
                let proposal = Proposal::on(&hive.snapshot(), "me", format!("b{worker}-{number}"));
                let proposal = proposal.write("ballots", Op::add(1)).unwrap();
                drop(hive.propose(proposal.with_quorum(rule.within(20))));
            }
            4 => drop(hive.transact(|view| Ok(view.set(format!("hot/{}", chosen % 8), 0)?))),
            _ => drop(agent.tell(2)),
        }
    }
}

#[test]
fn a_thousand_agents_that_come_and_go_leave_outcomes_and_nothing_else() {
    let seconds = env::var("QUEENRIGHT_SECONDS").ok().and_then(|it| it.parse().ok()).unwrap_or(2);
    // Panics on purpose are many.
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or_default();
        if text != "at times" {
            eprintln!("{info}");
        }
    }));
    let run = |time: Duration| {
        // What was answered is remembered for so many rounds.
        let policy = RoundPolicy { window: 64, ..RoundPolicy::default() };
        let hive = Hive::builder().seed(1).keep_rounds(64).policy(policy).build().unwrap();
        let strategies = [Strategy::OneForOne, Strategy::RestForOne];
        let supervisors = strategies.map(|strategy| {
            let rule = Supervision { strategy, max_restarts: 3, ..Supervision::default() };
            hive.supervisor(rule).unwrap()
        });
        let (turns, end) = (AtomicU64::new(0), Instant::now() + time);
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (hive, supervisors, turns) = (&hive, &supervisors, &turns);
                scope.spawn(move || come_and_go(hive, supervisors, turns, worker, end));
            }
        });
        supervisors.iter().for_each(Supervisor::stop_all);
        assert!(hive.agents().is_empty(), "{:?}", hive.agents());
        // Ballots end by their time.
        let deadline = Instant::now() + LONG;
        while !hive.ballots().is_empty() {
            assert!(Instant::now() < deadline);
            std::thread::yield_now();
        }
        hive.drain().unwrap();
        let metrics = hive.metrics();
        assert_eq!(metrics.taken, metrics.answered(), "each proposal has one outcome");
        let snapshot = hive.snapshot();
        let sum = snapshot.get("sum").and_then(Value::as_int).unwrap_or(0);
        assert!(sum > 100, "{sum}");
        (turns.into_inner(), metrics.rounds)
    };
    run(Duration::from_millis(300));
    let (before, memory_before) = (counts(), memory());
    let (turns, rounds) = run(Duration::from_secs(seconds));
    // A thread that has ended may still be seen for a moment.
    let deadline = Instant::now() + LONG;
    while counts() != before {
        assert!(
            Instant::now() < deadline,
            "threads, children, files: {before:?} -> {:?}",
            counts()
        );
        std::thread::yield_now();
    }
    let grown = memory().saturating_sub(memory_before);
    eprintln!("{turns} agents, {rounds} rounds, {grown} KiB more");
    assert!(grown < 64 * 1024, "{grown} KiB more after {turns} agents");
}
