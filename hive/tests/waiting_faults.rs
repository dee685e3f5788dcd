//! Faults that agents had which wait for other things than their hive, or are asked while they have proposed something.

#[path = "common/waits.rs"]
mod waits;

use std::future::poll_fn;
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use queenright::consensus::{OpenBallot, Vote};
use queenright::{
    Agent, AgentError, AgentRef, AgentState, AsyncAgent, Class, Context, Next, Op, Outcome, Spawn,
    Supervision, Supervisor, Value, View,
};
use waits::{
    Busy, Door, LONG, ended, hive_with, hold_queen, ms, number, put_to_vote, quarantined, strict,
    voted_on, wait_until,
};

/// What an agent was asked, in order.
type Log = Arc<Mutex<Vec<&'static str>>>;

/// Waits before a door, then adds one, and keeps a log of all that it is asked.
struct Logs(Door, Log);

impl Logs {
    fn was(&self, asked: &'static str) {
        self.1.lock().unwrap().push(asked);
    }
}

impl AsyncAgent for Logs {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        self.was("run");
        self.0.clone().await;
        view.write("count", Op::add(1))?;
        Ok(Next::Watch)
    }
    async fn outcome(&mut self, _: &Outcome) {
        self.was("told");
    }
    async fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        self.was("message");
        Ok(message)
    }
    async fn vote(&mut self, _: &OpenBallot, _: &mut Context) -> Result<Option<Vote>, AgentError> {
        self.was("vote");
        Ok(None)
    }
}

/// The same, on a thread of the hive.
struct LogsHere(Logs);

impl Agent for LogsHere {
    fn name(&self) -> &str {
        "agent"
    }
    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        self.0.was("run");
        wait_until("the door is open", || self.0.0.is_open());
        view.write("count", Op::add(1))?;
        Ok(Next::Watch)
    }
    fn outcome(&mut self, _: &Outcome) {
        self.0.was("told");
    }
    fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        self.0.was("message");
        Ok(message)
    }
    fn vote(&mut self, _: &OpenBallot, _: &mut Context) -> Result<Option<Vote>, AgentError> {
        self.0.was("vote");
        Ok(None)
    }
}

fn spawn_log(supervisor: &Supervisor, is_here: bool) -> (AgentRef, Door, Log) {
    let (door, log) = (Door::default(), Log::default());
    let its = (door.clone(), Arc::clone(&log));
    let make = move || Ok(Logs(its.0.clone(), Arc::clone(&its.1)));
    let agent = match is_here {
        true => supervisor.spawn("agent", Spawn::default(), move || make().map(LogsHere)),
        false => supervisor.spawn_async("agent", Spawn::default(), make),
    };
    wait_until("it runs", || *log.lock().unwrap() == ["run"]);
    (agent.unwrap(), door, log)
}

/// Who is asked while it has proposed something could be ended over it, and be run again for what is committed already.
#[test]
fn while_its_proposal_is_on_its_way_an_agent_is_asked_nothing() {
    for is_here in [true, false] {
        let (hive, supervisor) = hive_with(2, strict());
        let (agent, door, log) = spawn_log(&supervisor, is_here);
        let asks = put_to_vote(&hive, "asks", &["agent"]);
        let held = hold_queen(&hive);
        agent.tell(1).unwrap();
        door.open();
        wait_until("it has proposed", || agent.stats().proposed == 1);
        drop(held);
        wait_until("it was asked everything", || log.lock().unwrap().len() >= 4);
        let log = log.lock().unwrap()[..4].to_vec();
        assert_eq!(log, ["run", "told", "vote", "message"], "here: {is_here}");
        asks.cancel();
    }
}

#[test]
fn what_one_that_is_killed_has_proposed_does_not_count() {
    for is_here in [true, false] {
        let (hive, supervisor) = hive_with(2, strict());
        let (agent, door, log) = spawn_log(&supervisor, is_here);
        let asks = put_to_vote(&hive, "asks", &["agent"]);
        let held = hold_queen(&hive);
        door.open();
        wait_until("it has proposed", || agent.stats().proposed == 1);
        agent.kill();
        drop(held);
        // No round before this one is left.
        hive.transact(|view| Ok(view.set("after", 1)?)).unwrap();
        assert_eq!(number(&hive, "count"), None, "here: {is_here}");
        assert_eq!(*log.lock().unwrap(), ["run"]);
        asks.cancel();
    }
}

/// Its last proposal is its last word: it is over with the outcome, whatever its vote would have come to.
#[test]
fn one_whose_last_proposal_is_on_its_way_is_not_asked_for_its_vote() {
    struct Votes(Door, bool);
    impl AsyncAgent for Votes {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            self.0.clone().await;
            view.write("count", Op::add(1))?;
            Ok(Next::Done)
        }
        async fn vote(
            &mut self,
            _: &OpenBallot,
            _: &mut Context,
        ) -> Result<Option<Vote>, AgentError> {
            match self.1 {
                true => Err(AgentError::new("no vote")),
                false => std::future::pending().await,
            }
        }
    }
    for fails in [true, false] {
        let (hive, supervisor) = hive_with(2, strict());
        let door = Door::default();
        let its = door.clone();
        let make = move || Ok(Votes(its.clone(), fails));
        let agent = supervisor.spawn_async("agent", Spawn::default(), make).unwrap();
        wait_until("it runs", || door.waiting() > 0);
        let asks = put_to_vote(&hive, "asks", &["agent"]);
        let held = hold_queen(&hive);
        door.open();
        wait_until("it has proposed", || agent.stats().proposed == 1);
        drop(held);
        assert_eq!(ended(&agent), AgentState::Done, "its vote fails: {fails}");
        assert_eq!(number(&hive, "count"), Some(1));
        assert_eq!((agent.stats().committed, agent.stats().failures), (1, 0));
        asks.cancel();
    }
}

/// Nobody has to have time for it first.
#[test]
fn what_it_waits_for_is_dropped_at_once_though_all_workers_are_busy() {
    struct Tells(mpsc::Sender<()>, Door);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    impl AsyncAgent for Tells {
        async fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            self.1.clone().await;
            Ok(Next::Done)
        }
    }
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let (sender, dropped) = mpsc::channel();
    let door = Door::default();
    let its = door.clone();
    let make = move || Ok(Tells(sender.clone(), its.clone()));
    let agent = supervisor.spawn_async("agent", Spawn::default(), make).unwrap();
    wait_until("it waits", || door.waiting() > 0);
    busy.begin(LONG / 2);
    agent.kill();
    // The worker is still busy, as nobody has told it to end.
    assert_eq!(dropped.recv_timeout(LONG / 4), Ok(()));
    busy.end();
}

/// That nobody has had time to look is not its fault.
#[test]
fn an_answer_that_came_in_time_counts_though_all_workers_are_busy() {
    struct Waits(Door);
    impl AsyncAgent for Waits {
        async fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            self.0.clone().await;
            Ok(Next::Done)
        }
    }
    let (hive, supervisor) = hive_with(1, strict());
    let busy = Busy::of(&hive);
    let door = Door::default();
    let its = door.clone();
    let patience = Spawn::default().hang_after(ms(500));
    let make = move || Ok(Waits(its.clone()));
    let agent = supervisor.spawn_async("agent", patience, make).unwrap();
    wait_until("it waits", || door.waiting() > 0);
    busy.begin(ms(1500));
    door.open();
    assert_eq!(ended(&agent), AgentState::Done);
}

#[test]
fn a_class_that_panics_is_a_failure() {
    struct Panics;
    impl AsyncAgent for Panics {
        fn class(&self) -> Class {
            panic!("it has no class")
        }
        async fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            Ok(Next::Watch)
        }
    }
    let (_hive, supervisor) = hive_with(2, strict());
    let agent = supervisor.spawn_async("agent", Spawn::default(), || Ok(Panics)).unwrap();
    let reason = quarantined(&agent);
    assert!(reason.contains("it has no class"), "{reason}");
}

/// What an agent has done is done, wherever it lives, though its destructor panics.
#[test]
fn a_destructor_that_panics_changes_nothing() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("dropped")
        }
    }
    impl Agent for Panics {
        fn name(&self) -> &str {
            "agent"
        }
        fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            view.write("count", Op::add(1))?;
            Ok(Next::Done)
        }
    }
    struct PanicsAway(#[allow(dead_code)] Panics);
    impl AsyncAgent for PanicsAway {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            view.write("count", Op::add(1))?;
            Ok(Next::Done)
        }
    }
    let (hive, supervisor) = hive_with(2, strict());
    let here = supervisor.spawn("here", Spawn::default(), || Ok(Panics)).unwrap();
    assert_eq!((ended(&here), number(&hive, "count")), (AgentState::Done, Some(1)));
    let away = supervisor.spawn_async("away", Spawn::default(), || Ok(PanicsAway(Panics)));
    assert_eq!((ended(&away.unwrap()), number(&hive, "count")), (AgentState::Done, Some(2)));
    assert!(supervisor.events().is_empty(), "nobody was started again");
}

/// Lets others have their turn so often.
async fn turns(mut left: u32) {
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[test]
fn of_those_that_are_killed_at_any_time_nothing_comes_later() {
    struct Adds;
    impl AsyncAgent for Adds {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            turns(1).await;
            view.write("count", Op::add(1))?;
            Ok(Next::Watch)
        }
        async fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
            turns(1).await;
            Ok(message)
        }
        async fn vote(
            &mut self,
            _: &OpenBallot,
            _: &mut Context,
        ) -> Result<Option<Vote>, AgentError> {
            turns(5).await;
            Ok(Some(Vote::Yes))
        }
    }
    let mut counts = [0; 2];
    for round in 0..200_usize {
        let (hive, supervisor) = hive_with(2, Supervision::default());
        let agent = supervisor.spawn_async("agent", Spawn::default(), || Ok(Adds)).unwrap();
        let mut tickets = Vec::new();
        for n in 0..round % 17 {
            let _ = agent.tell(1);
            if round % 2 == 0 {
                let proposal = voted_on(&hive, &format!("p-{n}"), 1, &["agent"]);
                tickets.push(hive.propose(proposal).unwrap());
            }
            (0..round % 7 * 20).for_each(|_| std::hint::spin_loop());
        }
        agent.kill();
        // What it had proposed is judged by then.
        hive.transact(|view| Ok(view.set("x", 1)?)).unwrap();
        let count = number(&hive, "count");
        hive.transact(|view| Ok(view.set("y", 1)?)).unwrap();
        assert_eq!(number(&hive, "count"), count, "in round {round}");
        counts[usize::from(count.is_some())] += 1;
    }
    assert!(counts.iter().all(|count| *count > 0), "some had committed, some had not: {counts:?}");
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use tokio::runtime::{Handle, Runtime};

    use super::*;

    /// Whoever uses timers or sockets needs the runtime also where it is made and dropped.
    #[test]
    fn agents_are_made_and_dropped_in_their_runtime() {
        struct Tells(mpsc::Sender<bool>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.send(Handle::try_current().is_ok());
            }
        }
        impl AsyncAgent for Tells {
            async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
                view.write("count", Op::add(1))?;
                Ok(Next::Done)
            }
        }
        let runtime = Runtime::new().unwrap();
        let (hive, supervisor) = hive_with(2, strict());
        let spawn = Spawn::default().on_tokio(runtime.handle().clone());
        let (sender, dropped) = mpsc::channel();
        for count in [1, 2] {
            let sender = sender.clone();
            let make = move || {
                drop(tokio::time::interval(ms(10)));
                Ok(Tells(sender.clone()))
            };
            let agent = supervisor.spawn_async("agent", spawn.clone(), make).unwrap();
            assert_eq!((ended(&agent), number(&hive, "count")), (AgentState::Done, Some(count)));
            assert_eq!(dropped.recv_timeout(LONG), Ok(true));
        }
    }
}
