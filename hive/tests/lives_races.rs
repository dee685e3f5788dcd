//! Agents that live: what goes wrong between two of them, or between two lives of one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{self, Wake, Waker};
use std::time::{Duration, Instant};

use queenright::{
    Agent, AgentError, AgentEvent, AgentRef, AgentState, Context, Hive, Next, Op, Proposal, Spawn,
    SpawnError, Strategy, Supervision, Supervisor, Ticket, Value, View, agent,
};

/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

/// Nobody is started again.
fn strict(hive: &Hive) -> Supervisor {
    hive.supervisor(Supervision { max_restarts: 0, ..Supervision::default() }).unwrap()
}

/// Commits something each time that it is told to go.
fn goer() -> Result<impl Agent, AgentError> {
    Ok(agent("x", |view: &mut View| {
        let go = view.get("go")?;
        if let Some(go) = go {
            view.set("went", go)?;
        }
        Ok(Next::Watch)
    }))
}

/// Whether its proposals are accepted.
fn goes(hive: &Hive, agent: &AgentRef, number: i64) -> bool {
    hive.transact(|view| Ok(view.set("go", number)?)).unwrap();
    let deadline = Instant::now() + LONG;
    while hive.snapshot().get("went") != Some(&number.into()) {
        if agent.state().is_over() || Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

/// Runs until it is cancelled.
fn busy(view: &mut View) -> Result<Next, AgentError> {
    while !view.context().is_cancelled() {
        std::thread::yield_now();
    }
    Ok(Next::Watch)
}

/// Spawns one that is done in its second life, and waits for that.
fn fails_once(supervisor: &Supervisor) {
    let lives = AtomicU32::new(0);
    let other = supervisor.spawn("other", Spawn::default(), move || {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        Ok(agent("other", move |_: &mut View| {
            assert!(life > 0, "once");
            Ok(Next::Done)
        }))
    });
    assert_eq!(other.unwrap().join(), AgentState::Done);
}

/// An agent in a run that does not end before what comes with it is dropped.
fn one_that_hangs(supervisor: &Supervisor, spawn: Spawn) -> (AgentRef, mpsc::Sender<()>) {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (begin, begun) = mpsc::channel();
    let make = move || {
        let (gate, begin) = (Arc::clone(&gate), begin.clone());
        Ok(agent("x", move |_: &mut View| {
            let _ = begin.send(());
            let _ = gate.lock().unwrap().recv();
            Ok(Next::Watch)
        }))
    };
    let agent = supervisor.spawn("x", spawn, make).unwrap();
    begun.recv().unwrap();
    (agent, release)
}

#[test]
fn a_restart_that_was_meant_for_another_time_disturbs_nobody() {
    let hive = Hive::builder().build().unwrap();
    let delay = Duration::from_millis(20);
    let slow = hive.supervisor(Supervision { delay, ..Supervision::default() }).unwrap();
    let fails = || Ok(agent("x", |_: &mut View| panic!("once")));
    let old = slow.spawn("x", Spawn::default(), fails).unwrap();
    assert!(matches!(slow.next_event(LONG), Some(AgentEvent::Restarted { .. })));
    old.kill();
    let new = strict(&hive).spawn("x", Spawn::default(), goer).unwrap();
    // Another restart, which is due after that of the one that was killed.
    fails_once(&slow);
    assert!(goes(&hive, &new, 1), "{:?}", new.state());
    assert_eq!((old.state(), old.stats().restarts), (AgentState::Killed, 0));
}

#[test]
fn two_who_fail_at_once_are_started_again_once() {
    let hive = Hive::builder().threads(4.try_into().unwrap()).build().unwrap();
    let rule = Supervision { strategy: Strategy::OneForAll, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let both = Arc::new(Barrier::new(2));
    let make = |name: &'static str| {
        let (lives, both) = (AtomicU32::new(0), Arc::clone(&both));
        let make = move || {
            let (life, both) = (lives.fetch_add(1, Ordering::SeqCst), Arc::clone(&both));
            Ok(agent("x", move |view: &mut View| {
                if life == 0 {
                    both.wait();
                    panic!("both at once");
                }
                view.write("lives", Op::add(1))?;
                Ok(Next::Done)
            }))
        };
        supervisor.spawn(name, Spawn::default(), make).unwrap()
    };
    let agents = ["a", "b"].map(make);
    assert!(agents.iter().all(|agent| agent.join() == AgentState::Done));
    assert_eq!(hive.snapshot().get("lives"), Some(&2.into()));
    assert!(agents.iter().all(|agent| agent.stats().failures <= 1), "their second lives are whole");
}

#[test]
fn one_that_hangs_though_it_was_killed_disturbs_nobody_of_its_name() {
    let hive = Hive::builder().threads(2.try_into().unwrap()).build().unwrap();
    let supervisor = strict(&hive);
    let spawn = Spawn::default().hang_after(Duration::from_millis(50));
    let (old, release) = one_that_hangs(&supervisor, spawn.clone());
    old.kill();
    let new = supervisor.spawn("x", Spawn::default(), goer).unwrap();
    // One that hangs later, and is found to: by then the first was looked at.
    let (last, end) = mpsc::channel::<()>();
    let end = Mutex::new(Some(end));
    let hangs = supervisor.spawn("hangs", spawn, move || {
        let end = end.lock().unwrap().take().ok_or_else(|| AgentError::new("once"))?;
        Ok(agent("hangs", move |_: &mut View| {
            let _ = end.recv();
            Ok(Next::Watch)
        }))
    });
    assert!(matches!(hangs.unwrap().join(), AgentState::Quarantined(_)));
    assert!(goes(&hive, &new, 1), "{:?}", new.state());
    assert_eq!(old.stats().failures, 0);
    drop((release, last));
}

#[test]
fn whose_name_is_free_has_no_hold_on_the_next() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = strict(&hive);
    let adds = || {
        Ok(agent("x", |view: &mut View| {
            view.write("n", Op::add(1))?;
            Ok(Next::Done)
        }))
    };
    for _ in 0..300 {
        let old = supervisor.spawn("x", Spawn::default(), || Ok(agent("x", busy))).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| old.kill());
            let new = loop {
                match supervisor.spawn("x", Spawn::default(), adds) {
                    Ok(new) => break new,
                    Err(error) => assert_eq!(error, SpawnError::NameTaken("x".into())),
                }
            };
            assert_eq!(new.join(), AgentState::Done);
        });
    }
    assert_eq!(hive.snapshot().get("n"), Some(&300.into()));
}

#[test]
fn who_spawns_while_the_hive_goes_down_is_left_with_nobody_alive() {
    for round in 0..60 {
        let hive = Hive::builder().threads(1.try_into().unwrap()).build().unwrap();
        let supervisor = hive.supervisor(Supervision::default()).unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        struct Counts(Arc<AtomicUsize>);
        impl Drop for Counts {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::SeqCst);
            }
        }
        let (begin, begun) = mpsc::channel();
        let agents: Vec<AgentRef> = std::thread::scope(|scope| {
            let (supervisor, dropped) = (&supervisor, &dropped);
            let spawning = scope.spawn(move || {
                let mut agents = Vec::new();
                for number in 0.. {
                    let dropped = Arc::clone(dropped);
                    let make = move || {
                        let counts = Counts(Arc::clone(&dropped));
                        Ok(agent("x", move |view: &mut View| {
                            let _kept = &counts;
                            view.get("k")?;
                            Ok(Next::Watch)
                        }))
                    };
                    match supervisor.spawn(format!("x{number}"), Spawn::default(), make) {
                        Ok(agent) => agents.push(agent),
                        Err(error) => {
                            assert_eq!(error, SpawnError::Closed);
                            break;
                        }
                    }
                    let _ = begin.send(());
                }
                agents
            });
            (0..round % 20).for_each(|_| begun.recv().unwrap());
            hive.shutdown(Duration::ZERO);
            spawning.join().unwrap()
        });
        assert!(agents.iter().all(|agent| agent.join() == AgentState::Killed));
        let alive = agents.len().saturating_sub(dropped.load(Ordering::SeqCst));
        assert_eq!(alive, 0, "of {}", agents.len());
    }
}

/// Its thread is left alone, and ends when it returns.
#[test]
fn a_hive_that_is_dropped_does_not_wait_for_ever_for_one_that_hangs() {
    let hive = Hive::builder().build().unwrap();
    let (stuck, release) = one_that_hangs(&strict(&hive), Spawn::default());
    drop(hive);
    assert_eq!(stuck.state(), AgentState::Killed);
    drop(release);
}

#[test]
fn one_that_is_fenced_by_name_goes_on_in_another_life() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let agent = supervisor.spawn("x", Spawn::default(), goer).unwrap();
    assert!(goes(&hive, &agent, 1));
    agent.wait_for(|state| *state == AgentState::Waiting);
    let fenced = hive.fence("x");
    let late = Proposal::on(&hive.snapshot(), "x", "late").write("n", Op::add(1)).unwrap();
    let late = Proposal { incarnation: fenced.incarnation - 1, ..late };
    assert!(!hive.propose(late).unwrap().wait().is_committed());
    assert!(goes(&hive, &agent, 2), "{:?}", agent.state());
    assert_eq!(agent.stats().restarts, 1, "its earlier life was refused once");
}

/// Drops the last handle of a hive.
struct DropsHive(Mutex<Option<Arc<Hive>>>);

impl Wake for DropsHive {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[test]
fn a_hive_that_is_dropped_by_its_own_queen_takes_its_agents_with_it() {
    let hive = Arc::new(Hive::builder().build().unwrap());
    let agent = strict(&hive).spawn("x", Spawn::default(), goer).unwrap();
    agent.wait_for(|state| *state == AgentState::Waiting);
    let held = Arc::clone(&hive);
    let dropper = Arc::new(DropsHive(Mutex::new(Some(hive))));
    let proposal = Proposal::on(&held.snapshot(), "me", "p").write("n", Op::add(1)).unwrap();
    let mut ticket: Ticket = held.propose(proposal).unwrap();
    let waker = Waker::from(Arc::clone(&dropper));
    let polled = Pin::new(&mut ticket).poll(&mut task::Context::from_waker(&waker));
    drop(held);
    if polled.is_ready() {
        // It was answered before anybody could wait for that.
        dropper.wake();
    }
    assert_eq!(agent.join(), AgentState::Killed);
}

/// Answers slowly, or fails in a way that nobody expects.
struct Clerk(Duration);

#[derive(Debug)]
struct Unspeakable;

impl fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("it cannot be said")
    }
}

impl std::error::Error for Unspeakable {}

impl Agent for Clerk {
    fn name(&self) -> &str {
        "clerk"
    }

    fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
        Ok(Next::Watch)
    }

    fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        if message.as_int() == Some(-1) {
            return Err(Unspeakable.into());
        }
        let end = Instant::now() + self.0;
        while Instant::now() < end {
            std::thread::yield_now();
        }
        Ok(message)
    }
}

#[test]
fn many_short_messages_are_no_hang() {
    let hive = Hive::builder().build().unwrap();
    let spawn = Spawn::default().hang_after(Duration::from_millis(200));
    let each = Duration::from_millis(20);
    let clerk = strict(&hive).spawn("clerk", spawn, move || Ok(Clerk(each))).unwrap();
    for _ in 0..30 {
        clerk.tell(1).unwrap();
    }
    assert_eq!(clerk.ask(2, LONG), Ok(2.into()));
    assert_eq!(clerk.stats().failures, 0);
}

#[test]
fn an_error_that_cannot_be_said_stops_nobody_else() {
    let hive = Hive::builder().threads(1.try_into().unwrap()).build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let make = || Ok(Clerk(Duration::ZERO));
    let bad = supervisor.spawn("bad", Spawn::default(), make).unwrap();
    let good = supervisor.spawn("good", Spawn::default(), make).unwrap();
    assert!(bad.ask(-1, LONG).is_err());
    assert_eq!(good.ask(1, LONG), Ok(1.into()));
    assert_eq!(bad.ask(1, LONG), Ok(1.into()), "in another life");
}

#[test]
fn one_that_tells_itself_things_is_run_and_lets_others_live() {
    struct Chatter(Arc<Mutex<Option<AgentRef>>>, Arc<AtomicUsize>);
    impl Agent for Chatter {
        fn name(&self) -> &str {
            "chatter"
        }
        fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(Next::Watch)
        }
        fn message(&mut self, _: Value, _: &mut Context) -> Result<Value, AgentError> {
            if let Some(me) = &*self.0.lock().unwrap() {
                let _ = me.tell(1);
            }
            Ok(0.into())
        }
    }
    let hive = Hive::builder().threads(1.try_into().unwrap()).build().unwrap();
    let supervisor = strict(&hive);
    let (me, runs) = (Arc::new(Mutex::new(None)), Arc::new(AtomicUsize::new(0)));
    let (of_it, its_runs) = (Arc::clone(&me), Arc::clone(&runs));
    let make = move || Ok(Chatter(Arc::clone(&of_it), Arc::clone(&its_runs)));
    let chatter = supervisor.spawn("chatter", Spawn::default(), make).unwrap();
    let clerk = supervisor.spawn("clerk", Spawn::default(), || Ok(Clerk(Duration::ZERO))).unwrap();
    *me.lock().unwrap() = Some(chatter.clone());
    chatter.tell(1).unwrap();
    for number in 0..50 {
        assert_eq!(clerk.ask(number, LONG), Ok(number.into()));
    }
    let before = runs.load(Ordering::SeqCst);
    let deadline = Instant::now() + LONG;
    while runs.load(Ordering::SeqCst) < before + 3 {
        assert!(!chatter.state().is_over() && Instant::now() < deadline);
        std::thread::yield_now();
    }
    *me.lock().unwrap() = None;
}

#[test]
fn names_of_the_hive_and_of_agents_in_waves_are_taken() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = strict(&hive);
    for name in ["transact", "base"] {
        let error = supervisor.spawn(name, Spawn::default(), goer).unwrap_err();
        assert_eq!(error, SpawnError::NameTaken(name.into()));
    }
    let wave = |name: &str| agent(name, |_: &mut View| Ok(Next::Done));
    hive.spawn_all([wave("wave")]).unwrap();
    let error = supervisor.spawn("wave", Spawn::default(), goer).unwrap_err();
    assert_eq!(error, SpawnError::NameTaken("wave".into()));
    supervisor.spawn("live", Spawn::default(), goer).unwrap();
    assert!(hive.spawn_all([wave("live")]).is_err());
}

#[test]
fn a_restart_that_never_comes_stops_no_other() {
    let hive = Hive::builder().build().unwrap();
    let (delay, most_delay) = (Duration::MAX, Duration::MAX);
    let never = Supervision { delay, most_delay, ..Supervision::default() };
    let never = hive.supervisor(never).unwrap();
    let fails = || Ok(agent("x", |_: &mut View| panic!("once")));
    let stuck = never.spawn("stuck", Spawn::default(), fails).unwrap();
    assert!(never.next_event(LONG).is_some());
    fails_once(&hive.supervisor(Supervision::default()).unwrap());
    assert_eq!(stuck.state(), AgentState::Restarting);
}

#[test]
fn what_fails_after_it_was_killed_is_no_failure() {
    let hive = Hive::builder().build().unwrap();
    let (begin, begun) = mpsc::channel();
    let (late, ended) = mpsc::channel();
    let make = move || {
        let (begin, late) = (begin.clone(), late.clone());
        Ok(agent("x", move |view: &mut View| {
            let _ = begin.send(());
            busy(view)?;
            let _ = late.send(());
            Err(AgentError::new("cancelled"))
        }))
    };
    let doomed = strict(&hive).spawn("x", Spawn::default(), make).unwrap();
    begun.recv().unwrap();
    doomed.kill();
    ended.recv().unwrap();
    drop(hive);
    assert_eq!((doomed.state(), doomed.stats().failures), (AgentState::Killed, 0));
}

/// Waits in what it does with the outcome of its first life; its second fails once the first has ended.
struct Slow {
    life: u32,
    begin: mpsc::Sender<u32>,
    gate: Arc<Mutex<mpsc::Receiver<()>>>,
    first: Arc<AtomicU32>,
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.first.fetch_max(self.life + 1, Ordering::SeqCst);
    }
}

impl queenright::AsyncAgent for Slow {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        if self.life == 1 {
            let _ = self.begin.send(1);
            while self.first.load(Ordering::SeqCst) == 0 {
                std::thread::yield_now();
            }
            return Err(AgentError::new("its second life fails"));
        }
        view.write("runs", Op::add(1))?;
        Ok(Next::Done)
    }

    async fn outcome(&mut self, _: &queenright::Outcome) {
        if self.life == 0 {
            let _ = self.begin.send(0);
            let _ = self.gate.lock().unwrap().recv();
        }
    }
}

/// The end of its first life, which others that fail have cut short, is not the end of the agent.
#[test]
fn one_that_was_about_to_end_when_it_was_started_again_is_watched_over_as_before() {
    let hive = Hive::builder().threads(3.try_into().unwrap()).build().unwrap();
    let rule = Supervision { strategy: Strategy::OneForAll, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let ((release, gate), (begin, begun)) = (mpsc::channel::<()>(), mpsc::channel());
    let (lives, gate) = (AtomicU32::new(0), Arc::new(Mutex::new(gate)));
    let first = Arc::<AtomicU32>::default();
    let make = move || {
        let life = lives.fetch_add(1, Ordering::SeqCst);
        let (begin, gate, first) = (begin.clone(), Arc::clone(&gate), Arc::clone(&first));
        Ok(Slow { life, begin, gate, first })
    };
    let slow = supervisor.spawn_async("slow", Spawn::default(), make).unwrap();
    assert_eq!(begun.recv(), Ok(0));
    // The other fails in its first life, and takes both with it.
    fails_once(&supervisor);
    assert_eq!(begun.recv(), Ok(1));
    // Only now its first life goes on to its end, and then its second fails.
    drop(release);
    assert_eq!(slow.join_timeout(LONG), Some(AgentState::Done));
    assert_eq!(hive.snapshot().get("runs"), Some(&2.into()));
    assert_eq!((slow.stats().failures, slow.stats().restarts), (1, 2));
}

/// What is not dropped to its end before others say so.
struct Clings(Arc<Mutex<mpsc::Receiver<()>>>);

impl Drop for Clings {
    fn drop(&mut self) {
        let _ = self.0.lock().unwrap().recv();
    }
}

impl Agent for Clings {
    fn name(&self) -> &str {
        "clings"
    }
    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        view.write("runs", Op::add(1))?;
        Ok(Next::Done)
    }
}

impl queenright::AsyncAgent for Clings {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        Agent::run(self, view)
    }
}

#[test]
fn one_that_hangs_at_its_end_is_over_and_done() {
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let spawn = Spawn::default().hang_after(Duration::from_millis(50));
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let made = Arc::clone(&gate);
    let here = supervisor.spawn("here", spawn.clone(), move || Ok(Clings(Arc::clone(&made))));
    let away = supervisor.spawn_async("away", spawn, move || Ok(Clings(Arc::clone(&gate))));
    for agent in [here.unwrap(), away.unwrap()] {
        assert_eq!(agent.join_timeout(LONG), Some(AgentState::Done));
        assert_eq!((agent.stats().runs, agent.stats().failures), (1, 1));
    }
    assert_eq!(hive.snapshot().get("runs"), Some(&2.into()));
    drop(release);
}

/// Nothing is left for it to do, whenever its next life would begin.
#[test]
fn one_that_waits_to_be_started_again_stops_at_once() {
    let hive = Hive::builder().build().unwrap();
    let (delay, most_delay) = (Duration::MAX, Duration::MAX);
    let never = Supervision { delay, most_delay, ..Supervision::default() };
    let never = hive.supervisor(never).unwrap();
    let fails = || Ok(agent("x", |_: &mut View| panic!("once")));
    let before = never.spawn("before", Spawn::default(), fails).unwrap();
    assert!(never.next_event(LONG).is_some());
    before.stop();
    assert_eq!(before.join_timeout(LONG), Some(AgentState::Stopped));
    // And one that fails after it was asked to.
    let (begin, begun) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let fails = move || {
        let (begin, gate) = (begin.clone(), Arc::clone(&gate));
        Ok(agent("x", move |_: &mut View| {
            let _ = begin.send(());
            let _ = gate.lock().unwrap().recv();
            Err(AgentError::new("late"))
        }))
    };
    let after = never.spawn("after", Spawn::default(), fails).unwrap();
    begun.recv().unwrap();
    after.stop();
    drop(release);
    assert_eq!(after.join_timeout(LONG), Some(AgentState::Stopped));
    assert_eq!(after.stats().failures, 1);
}
