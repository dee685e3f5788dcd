//! Agents that live: run, told things, watched over, stopped.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::time::Duration;

use queenright::{
    Agent, AgentError, AgentEvent, AgentRef, AgentState, AskError, Context, Hive, Next, Op,
    Outcome, Overflow, Spawn, SpawnError, Strategy, Supervision, Supervisor, TellError, Value,
    View, agent,
};

/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

fn supervised(hive: &Hive) -> Supervisor {
    hive.supervisor(Supervision::default()).unwrap()
}

fn int(hive: &Hive, key: &str) -> i64 {
    hive.snapshot().get(key).and_then(Value::as_int).unwrap_or(0)
}

fn read(view: &mut View, key: &str) -> Result<i64, AgentError> {
    Ok(view.get(key)?.and_then(|value| value.as_int()).unwrap_or(0))
}

/// Waits until a key holds a number.
fn wait_for(hive: &Hive, key: &str, number: i64) {
    let deadline = std::time::Instant::now() + LONG;
    while int(hive, key) != number {
        assert!(std::time::Instant::now() < deadline, "{key} is {}", int(hive, key));
        std::thread::yield_now();
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

#[test]
fn an_agent_runs_until_it_is_done() {
    let hive = Hive::builder().build().unwrap();
    let mut left = 3;
    let counter = supervised(&hive).spawn("counter", Spawn::default(), move || {
        Ok(agent("counter", move |view: &mut View| {
            left -= 1;
            let count = read(view, "count")?;
            view.set("count", count + 1)?;
            // It watches what it wrote itself, which is no change to it.
            Ok(if left > 0 { Next::Watch } else { Next::Done })
        }))
    });
    let counter = counter.unwrap();
    wait_for(&hive, "count", 1);
    counter.wait_for(|state| *state == AgentState::Waiting);
    // Neither another key nor a change that changes nothing is one, and after it it still watches.
    hive.transact(|view| Ok(view.set("other", 1)?)).unwrap();
    hive.transact(|view| Ok(view.write("count", Op::add(0))?)).unwrap();
    assert_eq!(counter.stats().runs, 1);
    hive.transact(|view| Ok(view.set("count", 10)?)).unwrap();
    wait_for(&hive, "count", 11);
    counter.wait_for(|state| *state == AgentState::Waiting);
    assert_eq!(counter.stats().runs, 2);
    hive.transact(|view| Ok(view.set("count", 20)?)).unwrap();
    assert_eq!(counter.join(), AgentState::Done);
    assert_eq!(int(&hive, "count"), 21);
    let stats = counter.stats();
    assert_eq!((stats.runs, stats.committed, stats.refused, stats.failures), (3, 3, 0, 0));
    assert!(hive.agents().is_empty());
}

#[test]
fn what_one_writes_wakes_who_watches_it() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    // Each copies the key before it: one change runs through all of them.
    let copy = |place: usize| {
        let (from, to) = (format!("k/{place}"), format!("k/{}", place + 1));
        let make = move || {
            let (from, to) = (from.clone(), to.clone());
            Ok(agent("copy", move |view: &mut View| {
                let value = read(view, &from)?;
                if read(view, &to)? != value {
                    view.set(to.as_str(), value)?;
                }
                Ok(Next::Watch)
            }))
        };
        (format!("copy-{place}"), make)
    };
    let agents = supervisor.spawn_all(Spawn::default(), (0..20).map(copy)).unwrap();
    for number in 1..20 {
        hive.transact(|view| Ok(view.set("k/0", number)?)).unwrap();
        wait_for(&hive, "k/20", number);
    }
    supervisor.stop_all();
    assert!(agents.iter().all(|agent| agent.state() == AgentState::Stopped));
}

/// Counts what it is told.
struct Clerk(i64);

impl Agent for Clerk {
    fn name(&self) -> &str {
        "clerk"
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        view.set("told", self.0)?;
        Ok(Next::Watch)
    }

    fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        let by = message.as_int().ok_or_else(|| AgentError::new("that is no number"))?;
        assert_ne!(by, -1, "told to panic");
        self.0 += by;
        Ok(self.0.into())
    }
}

#[test]
fn an_agent_answers_what_it_is_asked_and_is_run_after() {
    let hive = Hive::builder().build().unwrap();
    let clerk = supervised(&hive).spawn("clerk", Spawn::default(), || Ok(Clerk(0))).unwrap();
    assert_eq!(clerk.ask(5, LONG), Ok(5.into()));
    clerk.tell(2).unwrap();
    assert_eq!(clerk.ask(0, LONG), Ok(7.into()));
    wait_for(&hive, "told", 7);
    assert_eq!(clerk.ask("x", LONG), Err(AskError::Failed("that is no number".into())));
    assert!(matches!(clerk.ask(-1, LONG), Err(AskError::Failed(why)) if why.contains("panicked")));
    assert_eq!(clerk.ask(1, LONG), Ok(1.into()), "another life, which begins anew");
    clerk.stop();
    assert_eq!(clerk.join(), AgentState::Stopped);
    let over = TellError::Over(1.into());
    assert_eq!(clerk.ask(1, LONG), Err(AskError::NotTold(over.clone())));
    assert_eq!(clerk.tell(1), Err(over));
    assert_eq!(clerk.stats().messages, 6);
}

#[test]
fn a_full_mailbox_keeps_its_rule() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    for (rule, told, dropped) in
        [(Overflow::Refuse, 3, 0), (Overflow::DropOldest, 6, 7), (Overflow::DropNewest, 3, 7)]
    {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let (begin, begun) = mpsc::channel();
        struct Slow(Arc<Mutex<mpsc::Receiver<()>>>, mpsc::Sender<()>, i64);
        impl Agent for Slow {
            fn name(&self) -> &str {
                "slow"
            }
            fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
                let _ = self.1.send(());
                let _ = self.0.lock().unwrap().recv();
                Ok(Next::Watch)
            }
            fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
                self.2 += message.as_int().unwrap_or(0);
                Ok(self.2.into())
            }
        }
        let make = move || Ok(Slow(Arc::clone(&gate), begin.clone(), 0));
        let spawn = Spawn::default().mailbox(2).overflow(rule);
        let slow = supervisor.spawn(format!("{rule:?}"), spawn, make).unwrap();
        begun.recv().unwrap();
        // 1, 2, 2, 2, …: while it runs, nothing is read.
        let posted = (0..9).map(|n: i64| slow.tell(n.min(1) + 1)).filter(Result::is_ok).count();
        assert_eq!(posted, if rule == Overflow::Refuse { 2 } else { 9 });
        drop(release);
        slow.wait_for(|state| *state == AgentState::Waiting);
        let sum = slow.ask(0, LONG).unwrap().as_int().unwrap();
        let kept = if rule == Overflow::DropOldest { 4 } else { 3 };
        assert_eq!((sum, slow.stats().dropped), (kept, dropped), "{rule:?} {told}");
        slow.kill();
    }
}

#[test]
fn who_waits_too_long_for_an_answer_is_told_so_and_so_is_who_is_not_read() {
    let hive = Hive::builder().build().unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let make = move || {
        let gate = Arc::clone(&gate);
        Ok(agent("busy", move |_: &mut View| {
            let _ = gate.lock().unwrap().recv();
            Ok(Next::Watch)
        }))
    };
    let busy = supervised(&hive).spawn("busy", Spawn::default(), make).unwrap();
    assert_eq!(busy.ask(1, Duration::from_millis(1)), Err(AskError::TimedOut));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| busy.ask(1, LONG));
        while busy.stats().waiting < 2 {
            std::thread::yield_now();
        }
        busy.stop();
        drop(release);
        assert_eq!(asked.join().unwrap(), Err(AskError::Unread));
    });
    assert_eq!(busy.stats().dropped, 2);
}

#[test]
fn one_that_panics_once_is_started_again_and_does_its_work() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    let lives = Arc::new(AtomicU32::new(0));
    let made = Arc::clone(&lives);
    let make = move || {
        let life = made.fetch_add(1, Ordering::SeqCst);
        Ok(agent("shaky", move |view: &mut View| {
            assert!(life > 0, "the first life ends at once");
            view.write("done", Op::add(1))?;
            Ok(Next::Done)
        }))
    };
    let shaky = supervisor.spawn("shaky", Spawn::default(), make).unwrap();
    assert_eq!(shaky.join(), AgentState::Done);
    assert_eq!((int(&hive, "done"), lives.load(Ordering::SeqCst)), (1, 2));
    let stats = shaky.stats();
    assert_eq!((stats.failures, stats.restarts), (1, 1));
    let Some(AgentEvent::Restarted { agent, reason, .. }) = supervisor.next_event(LONG) else {
        panic!("it was told")
    };
    assert_eq!(agent.as_str(), "shaky");
    assert!(reason.contains("the first life ends at once"), "{reason}");
}

#[test]
fn one_that_panics_always_is_quarantined_and_disturbs_nobody() {
    let hive = Hive::builder().build().unwrap();
    let rule = Supervision { max_restarts: 2, within: LONG, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let clerk = supervisor.spawn("clerk", Spawn::default(), || Ok(Clerk(0))).unwrap();
    let make = || Ok(agent("bad", |_: &mut View| panic!("always")));
    let bad = supervisor.spawn("bad", Spawn::default(), make).unwrap();
    let AgentState::Quarantined(reason) = bad.join() else { panic!("{:?}", bad.state()) };
    assert!(reason.contains("always"), "{reason}");
    assert_eq!((bad.stats().failures, bad.stats().restarts), (3, 2));
    let events: Vec<_> = (0..3).filter_map(|_| supervisor.next_event(LONG)).collect();
    assert!(matches!(&events[2], AgentEvent::Quarantined { agent, .. } if agent.as_str() == "bad"));
    assert_eq!(clerk.ask(1, LONG), Ok(1.into()));
    assert_eq!(clerk.stats().restarts, 0);
    clerk.wait_for(|state| *state == AgentState::Waiting);
    assert_eq!(hive.agents(), [("waiting", 1)].into(), "its name is free again");
}

/// Three agents of which the second fails when it is told to: how often each is made, and what state it is in at the end.
fn lives_under(strategy: Strategy, failures: usize) -> (Vec<usize>, Vec<&'static str>) {
    let hive = Hive::builder().build().unwrap();
    let rule = Supervision { strategy, max_restarts: 1, within: LONG, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let made: Vec<_> = (0..3).map(|_| Arc::new(AtomicUsize::new(0))).collect();
    let agents: Vec<_> = made
        .iter()
        .enumerate()
        .map(|(place, made)| {
            let made = Arc::clone(made);
            let make = move || {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Clerk(0))
            };
            supervisor.spawn(format!("a{place}"), Spawn::default(), make).unwrap()
        })
        .collect();
    for _ in 0..failures {
        assert!(matches!(agents[1].ask(-1, LONG), Err(AskError::Failed(_))));
        supervisor.next_event(LONG).unwrap();
        for agent in &agents {
            agent.wait_for(|state| *state == AgentState::Waiting);
        }
    }
    let made = made.iter().map(|made| made.load(Ordering::SeqCst)).collect();
    (made, agents.iter().map(|agent| agent.state().name()).collect())
}

#[test]
fn a_strategy_says_who_is_started_again_and_who_is_given_up() {
    let waiting = vec!["waiting"; 3];
    assert_eq!(lives_under(Strategy::OneForOne, 1), (vec![1, 2, 1], waiting.clone()));
    assert_eq!(lives_under(Strategy::OneForAll, 1), (vec![2, 2, 2], waiting.clone()));
    assert_eq!(lives_under(Strategy::RestForOne, 1), (vec![1, 2, 2], waiting));
    let (waits, gone) = ("waiting", "quarantined");
    assert_eq!(lives_under(Strategy::OneForOne, 2).1, [waits, gone, waits]);
    assert_eq!(lives_under(Strategy::OneForAll, 2).1, [gone, gone, gone]);
    assert_eq!(lives_under(Strategy::RestForOne, 2).1, [waits, gone, gone]);
}

#[test]
fn one_that_hangs_is_replaced_and_what_it_does_later_does_not_count() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (late, came) = mpsc::channel();
    let lives = AtomicUsize::new(0);
    let make = move || {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        let (gate, late) = (Arc::clone(&gate), late.clone());
        Ok(agent("sleeper", move |view: &mut View| {
            if life == 0 {
                let _ = gate.lock().unwrap().recv();
                view.set("by", "the dead")?;
                let _ = late.send(view.context().is_cancelled());
                return Ok(Next::Done);
            }
            view.set("by", "the living")?;
            Ok(Next::Watch)
        }))
    };
    let spawn = Spawn::default().hang_after(Duration::from_millis(50));
    let sleeper = supervisor.spawn("sleeper", spawn, make).unwrap();
    let Some(AgentEvent::Restarted { reason, .. }) = supervisor.next_event(LONG) else {
        panic!("it was told")
    };
    assert!(reason.starts_with("hangs"), "{reason}");
    sleeper.wait_for(|state| *state == AgentState::Waiting);
    drop(release);
    assert_eq!(came.recv(), Ok(true), "who asks is told");
    hive.drain().unwrap();
    assert_eq!(hive.snapshot().get("by"), Some(&"the living".into()));
    assert_eq!(sleeper.state(), AgentState::Waiting);
}

#[test]
fn one_that_says_that_it_lives_is_not_taken_to_hang() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    let make = || {
        Ok(agent("slow", |view: &mut View| {
            let end = std::time::Instant::now() + Duration::from_millis(200);
            while std::time::Instant::now() < end {
                view.context().heartbeat();
                std::thread::yield_now();
            }
            Ok(Next::Done)
        }))
    };
    // Beside other tests it may have to wait for a core.
    let spawn = Spawn::default().hang_after(Duration::from_millis(150));
    let slow = supervisor.spawn("slow", spawn, make).unwrap();
    assert_eq!((slow.join(), slow.stats().failures), (AgentState::Done, 0));
}

#[test]
fn what_is_killed_has_committed_or_never_will() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    for round in 0..200 {
        let key = format!("n/{round}");
        let written = key.clone();
        let make = move || {
            let key = written.clone();
            Ok(agent("x", move |view: &mut View| {
                view.write(key.as_str(), Op::add(1))?;
                Ok(Next::Done)
            }))
        };
        let doomed = supervisor.spawn("doomed", Spawn::default(), make).unwrap();
        if round % 2 == 0 {
            std::thread::yield_now();
        }
        doomed.kill();
        // A round may have begun by then, but none that begins later.
        let last = hive.version().next();
        assert!(doomed.join().is_over());
        hive.drain().unwrap();
        let state = hive.snapshot();
        assert!(state.entry(&key).is_none_or(|entry| entry.version <= last));
    }
    let metrics = hive.metrics();
    assert_eq!(metrics.taken, metrics.answered(), "each of its proposals has an outcome");
}

#[test]
fn who_is_asked_to_stop_ends_what_it_has_begun() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    for _ in 0..50 {
        let make = || {
            Ok(agent("x", |view: &mut View| {
                view.write("n", Op::add(1))?;
                view.peek("other")?;
                Ok(Next::Watch)
            }))
        };
        let agent = supervisor.spawn("x", Spawn::default(), make).unwrap();
        agent.stop();
        assert_eq!(agent.join(), AgentState::Stopped);
        let stats = agent.stats();
        assert_eq!(stats.proposed, stats.committed, "each was answered before it stopped");
    }
}

#[test]
fn what_was_read_is_acted_upon_before_a_stop() {
    /// Is asked to stop while it reads, and writes down what it has read.
    struct Last(Arc<OnceLock<AgentRef>>, i64);
    impl Agent for Last {
        fn name(&self) -> &str {
            "last"
        }
        fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            view.set("told", self.1)?;
            Ok(Next::Watch)
        }
        fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
            self.1 = message.as_int().unwrap_or(-1);
            self.0.get().unwrap().stop();
            Ok(message)
        }
    }
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    for round in 1..20 {
        let this = Arc::<OnceLock<AgentRef>>::default();
        let made = Arc::clone(&this);
        let make = move || Ok(Last(Arc::clone(&made), 0));
        let last = supervisor.spawn("last", Spawn::default(), make).unwrap();
        this.set(last.clone()).unwrap();
        assert_eq!(last.ask(round, LONG), Ok(round.into()));
        assert_eq!(last.join(), AgentState::Stopped);
        assert_eq!(int(&hive, "told"), round);
    }
}

#[test]
fn agents_are_made_in_parallel() {
    let hive = Hive::builder().threads(2.try_into().unwrap()).build().unwrap();
    let both = Arc::new(Barrier::new(2));
    let make = |name: &'static str| {
        let both = Arc::clone(&both);
        (name, move || {
            both.wait();
            Ok(Clerk(0))
        })
    };
    let agents = supervised(&hive).spawn_all(Spawn::default(), ["a", "b"].map(make)).unwrap();
    assert_eq!(agents.len(), 2);
}

#[test]
fn who_cannot_be_made_is_not_spawned_and_leaves_the_name() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    let fails = || -> Result<Clerk, AgentError> { Err(AgentError::new("no room at the inn")) };
    let error = supervisor.spawn("a", Spawn::default(), fails).unwrap_err();
    assert_eq!(error.to_string(), "a could not be started: no room at the inn");
    let panics = || -> Result<Clerk, AgentError> { panic!("worse") };
    let error = supervisor.spawn("a", Spawn::default(), panics).unwrap_err();
    assert!(error.to_string().contains("worse"), "{error}");
    let a = supervisor.spawn("a", Spawn::default(), || Ok(Clerk(0))).unwrap();
    let again = supervisor.spawn("a", Spawn::default(), || Ok(Clerk(0))).unwrap_err();
    assert_eq!(again, SpawnError::NameTaken("a".into()));
    a.kill();
    assert!(supervisor.spawn("a", Spawn::default(), || Ok(Clerk(0))).is_ok());
    hive.shutdown(LONG);
    let late = supervisor.spawn("b", Spawn::default(), || Ok(Clerk(0))).unwrap_err();
    assert_eq!(late, SpawnError::Closed);
}

/// Each reads and writes one key, so that of all who run at once one wins.
#[test]
fn who_loses_is_run_again_until_it_wins() {
    const AGENTS: i64 = 32;
    let hive = Hive::builder().build().unwrap();
    let make = |n: i64| {
        let make = || {
            Ok(agent("x", |view: &mut View| {
                let n = read(view, "n")?;
                view.set("n", n + 1)?;
                Ok(Next::Done)
            }))
        };
        (format!("a{n}"), make)
    };
    let spawn = Spawn::default().attempts(1000);
    let agents = supervised(&hive).spawn_all(spawn, (0..AGENTS).map(make)).unwrap();
    assert!(agents.iter().all(|agent| agent.join() == AgentState::Done));
    assert_eq!(int(&hive, "n"), AGENTS);
    let (runs, committed, refused) = agents.iter().fold((0, 0, 0), |(r, c, f), agent| {
        let stats = agent.stats();
        (r + stats.runs, c + stats.committed, f + stats.refused)
    });
    assert_eq!((committed, runs), (AGENTS as u64, committed + refused), "an outcome for each run");
}

#[test]
fn who_always_loses_has_failed_after_as_many_attempts_as_it_has() {
    let hive = Arc::new(Hive::builder().build().unwrap());
    let rule = Supervision { max_restarts: 0, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let rival = Arc::downgrade(&hive);
    let make = move || {
        let rival = rival.clone();
        Ok(agent("loser", move |view: &mut View| {
            let n = read(view, "n")?;
            // Somebody is always faster.
            let hive = rival.upgrade().ok_or_else(|| AgentError::new("the hive is gone"))?;
            hive.transact(|view| Ok(view.set("n", n + 1)?))?;
            view.set("n", -1)?;
            Ok(Next::Done)
        }))
    };
    let loser = supervisor.spawn("loser", Spawn::default().attempts(5), make).unwrap();
    let AgentState::Quarantined(reason) = loser.join() else { panic!("{:?}", loser.state()) };
    assert!(reason.starts_with("lost 5 times in a row"), "{reason}");
    assert_eq!((loser.stats().refused, int(&hive, "n")), (5, 5));
}

#[test]
fn what_can_never_be_accepted_is_not_tried_again() {
    let hive = Hive::builder().build().unwrap();
    hive.transact(|view| Ok(view.set("flag", "text")?)).unwrap();
    struct Liar(Arc<Mutex<Vec<Outcome>>>);
    impl Agent for Liar {
        fn name(&self) -> &str {
            "liar"
        }
        fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            view.set("x".repeat(600).as_str(), "y".repeat(100))?;
            Ok(Next::Done)
        }
        fn outcome(&mut self, outcome: &Outcome) {
            self.0.lock().unwrap().push(outcome.clone());
        }
    }
    let mut policy = queenright::consensus::RoundPolicy::default();
    policy.limits.value = 50;
    let hive = Hive::builder().policy(policy).build().unwrap();
    let rule = Supervision { max_restarts: 0, ..Supervision::default() };
    let told = Arc::default();
    let of_liar = Arc::clone(&told);
    let liar = hive
        .supervisor(rule)
        .unwrap()
        .spawn("liar", Spawn::default(), move || Ok(Liar(Arc::clone(&of_liar))));
    assert!(matches!(liar.unwrap().join(), AgentState::Quarantined(_)));
    assert!(matches!(told.lock().unwrap()[..], [Outcome::LimitReached { .. }]));
}

#[test]
fn numbers_of_a_run_depend_on_seed_and_attempt_alone() {
    let drawn = |seed| {
        let hive = Hive::builder().seed(seed).build().unwrap();
        let make = || {
            Ok(agent("x", |view: &mut View| {
                let drawn = [view.context().random(), view.context().random()];
                assert_ne!(drawn[0], drawn[1]);
                view.set("drawn", format!("{drawn:?}"))?;
                Ok(Next::Done)
            }))
        };
        supervised(&hive).spawn("x", Spawn::default(), make).unwrap().join();
        hive.snapshot().get("drawn").cloned()
    };
    assert_eq!(drawn(1), drawn(1));
    assert_ne!(drawn(1), drawn(2));
}

/// G3 and no leak: agents that work, fail, flood and are stopped at any time.
#[test]
fn a_run_knows_until_when_it_is_waited_for() {
    let hive = Hive::builder().build().unwrap();
    let (sender, told) = mpsc::channel();
    let make = move || {
        let sender = sender.clone();
        Ok(agent("x", move |view: &mut View| {
            let before = std::time::Instant::now();
            view.context().heartbeat();
            let deadline = view.context().deadline().unwrap();
            sender.send((before, deadline, std::time::Instant::now()))?;
            Ok(Next::Done)
        }))
    };
    let hour = Duration::from_secs(3600);
    let supervisor = supervised(&hive);
    supervisor.spawn("x", Spawn::default().hang_after(hour), make.clone()).unwrap().join();
    let (before, deadline, after) = told.recv_timeout(LONG).unwrap();
    assert!(before + hour <= deadline && deadline <= after + hour);
    let in_waves = hive.transact(|view| Ok(view.context().deadline())).unwrap();
    assert_eq!(in_waves, None);
}

#[test]
fn agents_that_come_and_go_leave_outcomes_and_nothing_else() {
    let before = threads();
    {
        let hive = Arc::new(Hive::builder().seed(1).build().unwrap());
        let rule = Supervision { max_restarts: 2, ..Supervision::default() };
        let supervisor = hive.supervisor(rule).unwrap();
        let turn = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..4_u64 {
                let (supervisor, turn) = (&supervisor, &turn);
                scope.spawn(move || {
                    let mut random = worker + 1;
                    for number in 0..150 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(7);
                        let kind = random >> 61;
                        let make = move || {
                            Ok(agent("x", move |view: &mut View| {
                                let n = read(view, "hot")?;
                                view.set("hot", n + 1)?;
                                view.write("sum", Op::add(1))?;
                                let fails = kind == 7 && view.context().random() & 1 == 1;
                                assert!(!fails, "at times");
                                Ok(if kind < 4 { Next::Done } else { Next::Watch })
                            }))
                        };
                        let name = format!("a{worker}-{number}");
                        let agent = supervisor.spawn(name, Spawn::default().mailbox(4), make);
                        let agent = agent.unwrap();
                        let _ = agent.tell(1);
                        match kind % 4 {
                            0 => agent.kill(),
                            1 => agent.stop(),
                            2 => drop(agent.join_timeout(Duration::from_millis(1))),
                            _ => {}
                        }
                        turn.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
        supervisor.stop_all();
        assert!(hive.agents().is_empty(), "{:?}", hive.agents());
        hive.drain().unwrap();
        let metrics = hive.metrics();
        assert_eq!(metrics.taken, metrics.answered(), "each proposal has an outcome");
        assert_eq!(int(&hive, "hot"), int(&hive, "sum"));
        assert!(int(&hive, "sum") > 10, "{}", int(&hive, "sum"));
    }
    // Other tests run beside this one: theirs come and go.
    let deadline = std::time::Instant::now() + LONG;
    while threads() > before + 40 {
        assert!(std::time::Instant::now() < deadline, "{} threads", threads());
        std::thread::yield_now();
    }
}

#[test]
fn a_hive_that_is_dropped_takes_its_agents_with_it() {
    let dropped = Arc::new(AtomicUsize::new(0));
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let hive = Hive::builder().build().unwrap();
    let supervisor = supervised(&hive);
    let agents = (0..100).map(|n| {
        let dropped = Arc::clone(&dropped);
        let make = move || {
            let counts = Counts(Arc::clone(&dropped));
            Ok(agent("x", move |view: &mut View| {
                let _kept = &counts;
                read(view, "wanted")?;
                Ok(Next::Watch)
            }))
        };
        (format!("a{n}"), make)
    });
    let agents = supervisor.spawn_all(Spawn::default(), agents).unwrap();
    drop(hive);
    assert_eq!(dropped.load(Ordering::SeqCst), 100, "all of them are gone by then");
    assert!(agents.iter().all(|agent| agent.state() == AgentState::Killed));
    assert_eq!(
        supervisor.spawn("b", Spawn::default(), || Ok(Clerk(0))).unwrap_err(),
        SpawnError::Closed
    );
}
