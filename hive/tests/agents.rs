//! Agents: who is run, when, on what, and what becomes of those that fail.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use queenright::consensus::RoundPolicy;
use queenright::{
    Agent, AgentError, Class, Digest, Failure, FnAgent, Hive, HiveBuilder, HiveError, Key, Next,
    Op, Outcome, Precondition, Proposal, Settled, Value, View, ViewError, agent,
};

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

/// Two threads of its own, so that agents do run in parallel.
fn builder() -> HiveBuilder {
    Hive::builder().threads(NonZeroUsize::new(2).unwrap())
}

fn hive() -> Hive {
    builder().build().unwrap()
}

fn int(hive: &Hive, path: &str) -> i64 {
    hive.snapshot().get(path).and_then(Value::as_int).unwrap_or(0)
}

/// A change by somebody who is no agent.
fn set(hive: &Hive, path: &str, value: i64) {
    hive.transact(|view| Ok(view.set(path, value)?)).unwrap();
}

fn settle(hive: &Hive) -> Settled {
    let settled = hive.run_until_settled(100).unwrap();
    assert!(settled.is_settled(), "{settled:?}");
    settled
}

/// How often something was run.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicU64>);

impl Runs {
    /// Counts one more, and gives how many there were before.
    fn count(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }

    fn so_far(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// An agent that reads `n` and writes one more.
fn counter(name: impl Into<String>) -> impl Agent + 'static {
    agent(name, |view| {
        let n = view.get("n")?.and_then(|n| n.as_int()).unwrap_or(0);
        view.set("n", n + 1)?;
        Ok(Next::Done)
    })
}

/// An agent that looks, proposes nothing, and watches what it saw.
fn watcher<T>(
    runs: &Runs,
    look: impl Fn(&mut View) -> Result<T, ViewError> + Send + 'static,
) -> impl Agent + 'static {
    let runs = runs.clone();
    agent("watcher", move |view: &mut View| {
        runs.count();
        look(view)?;
        Ok(Next::Watch)
    })
}

// Who is run.

#[test]
fn every_agent_is_run_and_what_all_added_is_there() {
    let hive = hive();
    let add = |number: i64| {
        agent(format!("adder-{number}"), move |view| {
            view.write("n", Op::add(number))?;
            Ok(Next::Done)
        })
    };
    hive.spawn_all((1..=20).map(add)).unwrap();
    assert_eq!(int(&hive, "n"), 0, "nobody runs before the run");
    assert_eq!(settle(&hive).rounds, 1);
    assert_eq!(int(&hive, "n"), 210);
    assert_eq!(settle(&hive).rounds, 0, "who is done stays done");
}

#[test]
fn a_name_is_given_once() {
    let hive = hive();
    for reserved in ["base", "transact"] {
        let taken = hive.spawn_all([counter(reserved)]);
        assert_eq!(taken, Err(HiveError::NameTaken(reserved.into())));
    }
    // Those before the first bad one are added.
    let twice = hive.spawn_all(["a", "b", "a", "c"].map(counter));
    assert_eq!(twice, Err(HiveError::NameTaken("a".into())));
    settle(&hive);
    assert_eq!(int(&hive, "n"), 2);
    // Nor is the name of one that is done given again: its intents are remembered under it.
    assert_eq!(hive.spawn_all([counter("b")]), Err(HiveError::NameTaken("b".into())));
}

/// Adds to `n`, and keeps what it is told.
struct Told(Arc<Mutex<Vec<(String, Outcome)>>>, String);

impl Agent for Told {
    fn name(&self) -> &str {
        &self.1
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        counter("inner").run(view)
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.0.lock().unwrap().push((self.1.clone(), outcome.clone()));
    }
}

#[test]
fn losers_are_told_and_run_again_until_all_have_won() {
    let hive = hive();
    let told = Arc::default();
    let agents = (0..6).map(|number| Told(Arc::clone(&told), format!("counter-{number}")));
    hive.spawn_all(agents).unwrap();
    let mut waiting = Vec::new();
    let settled = hive.run_until_settled_with(100, |now, left| {
        assert_eq!(now.get("n").and_then(Value::as_int), Some(now.version().0 as i64));
        waiting.push(left);
    });
    assert_eq!(settled.unwrap().rounds, 6, "one wins in each round");
    assert_eq!((int(&hive, "n"), waiting), (6, vec![5, 4, 3, 2, 1, 0]));
    let told = told.lock().unwrap();
    for number in 0..6 {
        let name = format!("counter-{number}");
        let own: Vec<_> = told.iter().filter(|(agent, _)| *agent == name).collect();
        let (last, lost) = own.split_last().unwrap();
        assert!(last.1.is_committed() && lost.iter().all(|(_, outcome)| outcome.may_retry()));
    }
    assert_eq!(told.len(), 6 + 5 + 4 + 3 + 2 + 1);
}

#[test]
fn at_the_limit_of_rounds_somebody_still_waits() {
    let hive = hive();
    hive.spawn_all((0..5).map(|number| counter(format!("counter-{number}")))).unwrap();
    let limited = hive.run_until_settled(3).unwrap();
    assert_eq!((limited.rounds, limited.waiting, limited.is_settled()), (3, 2, false));
    assert_eq!(hive.run_until_settled(0).unwrap().waiting, 2);
    assert_eq!(settle(&hive).rounds, 2, "and it can be gone on with");
    assert_eq!(int(&hive, "n"), 5);
}

// Watching.

#[test]
fn a_watcher_is_woken_by_what_it_looked_at_and_by_nothing_else() {
    type Look = fn(&mut View) -> Result<(), ViewError>;
    let looks: [(&str, Look); 5] = [
        ("get", |view| view.get("k").map(drop)),
        ("under", |view| view.under("k").map(drop)),
        ("peek", |view| view.peek("k").map(drop)),
        ("peek_under", |view| view.peek_under("k").map(drop)),
        ("a refusal", |view| view.check("k", &Op::Agree(0.into())).or(Ok(()))),
    ];
    for (how, look) in looks {
        let (hive, runs) = (hive(), Runs::default());
        set(&hive, "k", 1);
        hive.spawn_all([watcher(&runs, look)]).unwrap();
        settle(&hive);
        set(&hive, "other", 1);
        set(&hive, "k-sorts-near", 1);
        set(&hive, "k", 1); // which it is already
        settle(&hive);
        assert_eq!(runs.so_far(), 1, "{how}");
        set(&hive, "k", 2);
        settle(&hive);
        assert_eq!(runs.so_far(), 2, "{how}");
        if how.ends_with("under") {
            set(&hive, "k/below", 1);
            settle(&hive);
            assert_eq!(runs.so_far(), 3, "{how}");
        }
    }
}

#[test]
fn a_watcher_is_woken_by_an_agent_of_the_same_round() {
    let (hive, runs) = (hive(), Runs::default());
    let counted = runs.clone();
    // Both commit in one round: the echo goes before the writer, since it has read what was before.
    let echo = agent("echo", move |view: &mut View| {
        counted.count();
        let heard = view.get("word")?.unwrap_or(0.into());
        view.set("echo", heard)?;
        Ok(Next::Watch)
    });
    let writer = agent("writer", |view: &mut View| {
        view.set("word", 7)?;
        Ok(Next::Done)
    });
    hive.spawn_all([Box::new(echo) as Box<dyn Agent>, Box::new(writer)].map(Boxed)).unwrap();
    assert_eq!(settle(&hive).rounds, 2);
    assert_eq!((runs.so_far(), int(&hive, "echo")), (2, 7));
}

/// Agents of several types in one list.
struct Boxed(Box<dyn Agent>);

impl Agent for Boxed {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn class(&self) -> Class {
        self.0.class()
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        self.0.run(view)
    }
}

#[test]
fn a_change_during_its_run_wakes_a_watcher() {
    let (hive, runs) = (Arc::new(hive()), Runs::default());
    let (elsewhere, counted) = (Arc::downgrade(&hive), runs.clone());
    hive.spawn_all([agent("watcher", move |view: &mut View| {
        view.get("k")?;
        if counted.count() == 0 {
            set(&elsewhere.upgrade().unwrap(), "k", 1);
        }
        Ok(Next::Watch)
    })])
    .unwrap();
    settle(&hive);
    assert_eq!(runs.so_far(), 2);
}

#[test]
fn a_removal_wakes_a_watcher_even_when_it_is_forgotten() {
    let policy = RoundPolicy { window: 2, ..Default::default() };
    let (hive, runs) = (builder().policy(policy).build().unwrap(), Runs::default());
    set(&hive, "k", 1);
    hive.spawn_all([watcher(&runs, |view| view.get("k"))]).unwrap();
    settle(&hive);
    hive.transact(|view| Ok(view.remove("k")?)).unwrap();
    (0..5).for_each(|tick| set(&hive, "tick", tick));
    settle(&hive);
    assert_eq!(runs.so_far(), 2);
}

#[test]
fn its_own_write_does_not_wake_a_watcher() {
    let (hive, runs) = (hive(), Runs::default());
    let counted = runs.clone();
    hive.spawn_all([agent("doubler", move |view: &mut View| {
        counted.count();
        let n = view.get("n")?.and_then(|n| n.as_int()).unwrap_or(1);
        view.set("n", 2 * n)?;
        Ok(Next::Watch)
    })])
    .unwrap();
    settle(&hive);
    assert_eq!((runs.so_far(), int(&hive, "n")), (1, 2));
    set(&hive, "n", 5);
    settle(&hive);
    assert_eq!((runs.so_far(), int(&hive, "n")), (2, 10), "but somebody else's does");
}

#[test]
fn watchers_that_repeat_the_same_settle() {
    let hive = hive();
    let member = |name| {
        agent(name, |view: &mut View| {
            view.get("set")?;
            view.write("set", Op::union([1.into()]))?;
            Ok(Next::Watch)
        })
    };
    hive.spawn_all(["a", "b", "c"].map(member)).unwrap();
    settle(&hive);
    assert_eq!(hive.snapshot().get("set"), Some(&Value::set([1.into()])));
}

#[test]
fn blind_adders_do_not_wake_each_other() {
    let hive = hive();
    let adder = |name| {
        agent(name, |view: &mut View| {
            view.write("n", Op::add(1))?;
            Ok(Next::Watch)
        })
    };
    hive.spawn_all(["a", "b", "c"].map(adder)).unwrap();
    assert_eq!(settle(&hive).rounds, 1);
    assert_eq!(int(&hive, "n"), 3);
}

#[test]
fn an_unmet_precondition_waits_for_a_change_instead_of_spinning() {
    let (hive, runs) = (hive(), Runs::default());
    let counted = runs.clone();
    hive.spawn_all([agent("patient", move |view: &mut View| {
        counted.count();
        view.require(Precondition::Exists(key("go")))?;
        view.set("k", 1)?;
        Ok(Next::Done)
    })])
    .unwrap();
    assert_eq!(settle(&hive).rounds, 1);
    assert_eq!((runs.so_far(), int(&hive, "k")), (1, 0));
    set(&hive, "go", 1);
    settle(&hive);
    assert_eq!((runs.so_far(), int(&hive, "k")), (2, 1));
}

#[test]
fn who_sleeps_does_not_age() {
    let hive = hive();
    let sleeper = agent("sleeper", |view: &mut View| {
        if view.get("go")?.is_some() {
            view.set("awake", 1)?;
        }
        Ok(Next::Watch)
    });
    hive.spawn_all([sleeper.with_class(Class::Background)]).unwrap();
    settle(&hive);
    (0..60).for_each(|tick| set(&hive, "tick", tick));
    set(&hive, "go", 1);
    settle(&hive);
    let history = hive.history();
    let woke = history.last().unwrap();
    let [proposal] = woke.batch.as_slice() else { panic!("{:?}", woke.batch) };
    assert_eq!((proposal.agent.as_str(), proposal.born.next()), ("sleeper", woke.input.round));
}

// Failing.

#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Unspeakable {}

/// An agent that adds to `n`, or fails in the way of its name.
struct Fails(&'static str);

impl Agent for Fails {
    fn name(&self) -> &str {
        self.0
    }

    fn class(&self) -> Class {
        assert!(self.0 != "class", "no class");
        Class::Normal
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        view.write("n", Op::add(1))?;
        match self.0 {
            "run" => panic!("no run"),
            "payload" => std::panic::panic_any(7),
            "error" => Err(AgentError::new("no luck")),
            "key" => Ok(view.set("not//a key", 1).map(|()| Next::Done)?),
            "unspeakable" => Err(Unspeakable.into()),
            "too large" => Ok(view.set("large", "x".repeat(1000)).map(|()| Next::Done)?),
            _ => Ok(Next::Done),
        }
    }

    fn outcome(&mut self, _: &Outcome) {
        assert!(self.0 != "outcome", "no outcome");
    }
}

#[test]
fn an_agent_that_fails_takes_nobody_with_it() {
    let mut policy = RoundPolicy::default();
    policy.limits.bytes = 500;
    let hive = builder().policy(policy).build().unwrap();
    let expected = [
        ("run", "panicked: no run"),
        ("payload", "panicked: without a message"),
        ("error", "no luck"),
        ("key", "`not//a key` is no key"),
        ("unspeakable", "panicked: no words"),
        ("too large", "too large"),
        ("class", "panicked: no class"),
        ("outcome", "panicked: no outcome"),
    ];
    let names = ["first"].into_iter().chain(expected.map(|(way, _)| way)).chain(["last"]);
    hive.spawn_all(names.map(Fails)).unwrap();
    let settled = settle(&hive);
    assert_eq!(settled.failed.len(), expected.len(), "{:?}", settled.failed);
    for (Failure { agent, reason, .. }, (way, says)) in settled.failed.iter().zip(expected) {
        assert!(agent.as_str() == way && reason.starts_with(says), "{agent}: {reason}");
    }
    // The good ones, and the one that only could not bear the good news.
    assert_eq!(int(&hive, "n"), 3);
    let again = settle(&hive);
    assert_eq!((again.rounds, again.failed), (0, settled.failed), "none is run again");
}

// Agents that use the hive themselves.

#[test]
fn an_agent_that_calls_the_hive_is_served_or_told_that_it_is_busy() {
    let hive = Arc::new(builder().queue(1).build().unwrap());
    let caller = |number: i32| {
        let hive = Arc::downgrade(&hive);
        agent(format!("caller-{number}"), move |view: &mut View| {
            let hive = hive.upgrade().unwrap();
            hive.transact(|view| Ok(view.write("by transact", Op::add(1))?)).unwrap();
            let own = Proposal::on(&hive.snapshot(), "caller", format!("own-{number}"));
            let own = own.write("by proposal", Op::add(1))?;
            assert!(hive.propose(own).unwrap().wait().is_committed());
            // A lock taken twice would wait for ever.
            assert_eq!(hive.run_until_settled(1), Err(HiveError::Busy));
            assert_eq!(hive.spawn_all([counter("late")]), Err(HiveError::Busy));
            view.write("by agent", Op::add(1))?;
            Ok(Next::Done)
        })
    };
    let callers: Vec<_> = (0..20).map(caller).collect();
    hive.spawn_all(callers).unwrap();
    assert!(settle(&hive).failed.is_empty());
    for how in ["by transact", "by proposal", "by agent"] {
        assert_eq!(int(&hive, how), 20, "{how}");
    }
    assert_eq!(hive.spawn_all([counter("late")]), Ok(()), "not busy any more");
}

// Determinism.

/// Fifty agents of all classes that add, count, take stock, watch and get in each other's way.
fn crowd() -> impl Iterator<Item = FnAgent<impl FnMut(&mut View) -> Result<Next, AgentError>>> {
    (0..50_usize).map(|number| {
        let act = move |view: &mut View| {
            match number % 5 {
                0 => view.write("total", Op::add(number as i64))?,
                1 => {
                    let slot = format!("slot/{}", number % 3);
                    let held = view.get(&*slot)?.and_then(|held| held.as_int()).unwrap_or(0);
                    view.set(slot, held + 1)?;
                }
                2 => {
                    let stock = view.under("slot")?.len() as i64;
                    view.set(format!("stock/{}", number % 4), stock)?;
                    return Ok(Next::Watch);
                }
                3 => view.write("seen", Op::union([(number as i64).into()]))?,
                _ if view.peek("total")?.is_some() => view.set("last", number as i64)?,
                _ => return Ok(Next::Watch),
            }
            Ok(Next::Done)
        };
        agent(format!("agent-{number}"), act).with_class(Class::ALL[number / 5 % 5])
    })
}

/// G2: the digest of the last record stands for the whole chain before it.
#[test]
fn the_number_of_threads_changes_nothing() {
    let run = |threads: usize| -> (Digest, u64) {
        let threads = NonZeroUsize::new(threads).unwrap();
        let hive = Hive::builder().threads(threads).seed(7).clock(|| 0).build().unwrap();
        hive.spawn_all(crowd()).unwrap();
        let settled = settle(&hive);
        assert!(settled.failed.is_empty() && settled.rounds > 5, "{settled:?}");
        (hive.history().last().unwrap().digest, settled.rounds)
    };
    let one = run(1);
    for threads in [2, 8, 8, 8] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

/// What it watches it changes itself, by a transaction: nothing ends that but the limit.
#[test]
fn an_agent_that_wakes_itself_is_stopped_by_the_limit() {
    let hive = std::sync::Arc::new(hive());
    let (inside, runs) = (std::sync::Arc::downgrade(&hive), Runs::default());
    let counted = runs.clone();
    hive.spawn_all([agent("restless", move |view: &mut View| {
        counted.count();
        view.get("n")?;
        if let Some(hive) = inside.upgrade() {
            hive.transact(|view| Ok(view.write("n", Op::add(1))?))
                .map_err(|e| AgentError::new(e.to_string()))?;
        }
        Ok(Next::Watch)
    })])
    .unwrap();
    let settled = hive.run_until_settled(10).unwrap();
    assert_eq!((settled.rounds, runs.so_far()), (0, 10));
}

#[test]
fn agents_of_several_kinds_are_spawned_together() {
    let hive = hive();
    let low = agent("low", |view: &mut View| {
        view.set("k", 1)?;
        Ok(Next::Done)
    });
    let kinds: Vec<Box<dyn Agent>> =
        vec![Box::new(counter("a")), Box::new(low.with_class(Class::Low))];
    hive.spawn_all(kinds).unwrap();
    settle(&hive);
    assert_eq!((int(&hive, "n"), int(&hive, "k")), (1, 1));
    // The class of an agent in a box is its own.
    let classes: Vec<Class> = hive
        .history()
        .iter()
        .flat_map(|record| {
            record.batch.iter().map(|proposal| proposal.hint.class).collect::<Vec<_>>()
        })
        .collect();
    assert!(classes.contains(&Class::Low), "{classes:?}");
}
