//! Agents that wait for other things than their hive, and agents that are asked for their votes.

#[path = "common/waits.rs"]
mod waits;

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use queenright::consensus::{OpenBallot, QuorumRule, Threshold, Vote};
use queenright::{
    Agent, AgentError, AgentState, AsyncAgent, Context, Hive, Next, Op, Outcome, Proposal, Spawn,
    Supervision, Supervisor, Value, View,
};

use waits::{Door, LONG, ended, strict};

fn hive() -> (Hive, Supervisor) {
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    (hive, supervisor)
}

/// Waits before a door, then adds one.
struct Adder(Door);

impl AsyncAgent for Adder {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        self.0.clone().await;
        view.write("count", Op::add(1))?;
        Ok(Next::Done)
    }
}

#[test]
fn hundreds_wait_and_nobody_is_held_up() {
    let (hive, supervisor) = hive();
    let door = Door::default();
    let adders = (0..300).map(|n| {
        let door = door.clone();
        let make = move || Ok(Adder(door.clone()));
        supervisor.spawn_async(format!("adder-{n}"), Spawn::default(), make).unwrap()
    });
    let adders: Vec<_> = adders.collect();
    let deadline = Instant::now() + LONG;
    while door.waiting() < 300 {
        assert!(Instant::now() < deadline, "{} wait", door.waiting());
        std::thread::yield_now();
    }
    assert_eq!(hive.agents().get("active"), Some(&300));
    door.open();
    adders.iter().for_each(|adder| assert_eq!(ended(adder), AgentState::Done));
    assert_eq!(hive.snapshot().get("count"), Some(&300.into()));
}

/// Reads a key, waits, and writes what it has read.
struct Copier(Door, Arc<AtomicUsize>, Arc<Mutex<Vec<String>>>);

impl AsyncAgent for Copier {
    async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        let from = view.get("from")?;
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.clone().await;
        match from {
            Some(from) => view.set("to", from)?,
            None => return Ok(Next::Watch),
        }
        Ok(Next::Watch)
    }

    async fn outcome(&mut self, outcome: &Outcome) {
        self.2.lock().unwrap().push(outcome.name().to_owned());
    }

    async fn message(&mut self, message: Value, _: &mut Context) -> Result<Value, AgentError> {
        self.0.clone().await;
        message.as_int().map(|n| (n + 1).into()).ok_or_else(|| AgentError::new("no number"))
    }
}

#[test]
fn what_it_read_while_it_waited_may_lose_and_it_runs_again() {
    let (hive, supervisor) = hive();
    hive.transact(|view| Ok(view.set("from", 1)?)).unwrap();
    let (door, runs, told) = (Door::default(), Arc::default(), Arc::default());
    let made = (door.clone(), Arc::clone(&runs), Arc::clone(&told));
    let make = move || Ok(Copier(made.0.clone(), Arc::clone(&made.1), Arc::clone(&made.2)));
    let copier = supervisor.spawn_async("copier", Spawn::default(), make).unwrap();
    while runs.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    hive.transact(|view| Ok(view.set("from", 2)?)).unwrap();
    door.open();
    copier.wait_for(|state| *state == AgentState::Waiting);
    assert_eq!(hive.snapshot().get("to"), Some(&2.into()));
    assert_eq!(*told.lock().unwrap(), ["stale-read", "committed"]);
    assert_eq!(copier.ask(41, LONG), Ok(42.into()));
    assert!(copier.ask("x", LONG).is_err());
    copier.stop();
    assert_eq!(ended(&copier), AgentState::Stopped);
}

#[test]
fn a_run_that_waits_is_dropped_when_it_is_killed_or_hangs() {
    struct Tells(mpsc::Sender<&'static str>, Door);
    impl Drop for Tells {
        fn drop(&mut self) {
            let _ = self.0.send("dropped");
        }
    }
    impl AsyncAgent for Tells {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            view.set("written", true)?;
            let _ = self.0.send("runs");
            self.1.clone().await;
            Ok(Next::Done)
        }
    }
    let (hive, _) = hive();
    let supervisor = hive.supervisor(strict()).unwrap();
    for is_killed in [true, false] {
        let (sender, told) = mpsc::channel();
        let make = move || Ok(Tells(sender.clone(), Door::default()));
        let spawn =
            Spawn::default().hang_after(if is_killed { LONG } else { Duration::from_millis(50) });
        let agent = supervisor.spawn_async("agent", spawn, make).unwrap();
        assert_eq!(told.recv_timeout(LONG), Ok("runs"));
        if is_killed {
            agent.kill();
            assert_eq!(agent.state(), AgentState::Killed);
        } else {
            assert!(matches!(ended(&agent), AgentState::Quarantined(why) if why.contains("hangs")));
        }
        assert_eq!(told.recv_timeout(LONG), Ok("dropped"));
    }
    assert_eq!(hive.version().0, 0);
}

#[test]
fn a_panic_after_a_wait_is_a_failure() {
    struct Panics(Arc<AtomicUsize>);
    impl AsyncAgent for Panics {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            let mut is_first = true;
            poll_fn(|context| match std::mem::take(&mut is_first) {
                true => {
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                false => Poll::Ready(()),
            })
            .await;
            assert!(self.0.fetch_add(1, Ordering::SeqCst) > 0, "the first run panics");
            view.set("done", true)?;
            Ok(Next::Done)
        }
    }
    let (hive, supervisor) = hive();
    let runs = Arc::<AtomicUsize>::default();
    let make = move || Ok(Panics(Arc::clone(&runs)));
    let agent = supervisor.spawn_async("agent", Spawn::default(), make).unwrap();
    assert_eq!(ended(&agent), AgentState::Done);
    assert_eq!((agent.stats().failures, agent.stats().restarts), (1, 1));
    assert_eq!(hive.snapshot().get("done"), Some(&true.into()));
}

/// A member of a roll; it agrees with small numbers.
struct Careful;

impl Agent for Careful {
    fn name(&self) -> &str {
        "careful"
    }
    fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
        Ok(Next::Watch)
    }
    fn vote(&mut self, open: &OpenBallot, _: &mut Context) -> Result<Option<Vote>, AgentError> {
        let written = open.proposal.writes.iter().filter_map(|(_, op)| match op {
            Op::Set(value) => value.as_int(),
            _ => None,
        });
        Ok(match written.max() {
            Some(number) if number < 10 => Some(Vote::Yes),
            Some(number) if number < 100 => Some(Vote::No),
            Some(number) => return Err(AgentError::new(format!("{number} is beyond all measure"))),
            None => None,
        })
    }
}

fn proposal(hive: &Hive, id: &str, number: i64, roll: &[&str]) -> Proposal {
    let rule = QuorumRule::new(roll.iter().copied(), Threshold::Unanimous).unwrap();
    let proposal = Proposal::on(&hive.snapshot(), "me", id).write("n", Op::Set(number.into()));
    proposal.unwrap().with_quorum(rule)
}

#[test]
fn members_that_live_are_asked_for_their_votes() {
    let (hive, supervisor) = hive();
    // It is asked also for what was opened before it came.
    let early = hive.propose(proposal(&hive, "early", 3, &["careful"])).unwrap();
    let careful = supervisor.spawn("careful", Spawn::default(), || Ok(Careful)).unwrap();
    assert!(early.wait().is_committed());
    let others = hive.propose(proposal(&hive, "others", 4, &["somebody"])).unwrap();
    for n in 0..50 {
        let ticket = hive.propose(proposal(&hive, &format!("yes-{n}"), 9, &["careful"])).unwrap();
        assert!(ticket.wait().is_committed());
    }
    let no = hive.propose(proposal(&hive, "no", 10, &["careful"])).unwrap().wait();
    assert_eq!(no.name(), "rejected");
    assert_eq!(careful.stats().votes, 52);
    assert_eq!(hive.ballots().len(), 1, "nobody has voted on the others' one");
    others.cancel();

    // Who fails over a ballot is started again, and asked again: too often is too often.
    let mad = hive.propose(proposal(&hive, "mad", 1000, &["careful"])).unwrap();
    assert!(matches!(ended(&careful), AgentState::Quarantined(why) if why.contains("measure")));
    assert_eq!(careful.stats().restarts, u64::from(Supervision::default().max_restarts));
    mad.cancel();
    hive.drain().unwrap();
    assert_eq!(hive.ballots().len(), 0);
}

#[test]
fn many_ballots_at_once_ask_each_member_once() {
    let (hive, supervisor) = hive();
    let asked = Arc::<Mutex<Vec<String>>>::default();
    struct Member(String, Arc<Mutex<Vec<String>>>);
    impl AsyncAgent for Member {
        async fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
            Ok(Next::Watch)
        }
        async fn vote(
            &mut self,
            open: &OpenBallot,
            _: &mut Context,
        ) -> Result<Option<Vote>, AgentError> {
            self.1.lock().unwrap().push(format!("{} {}", self.0, open.proposal.id));
            Ok(Some(Vote::Yes))
        }
    }
    for name in ["a", "b", "c"] {
        let asked = Arc::clone(&asked);
        let make = move || Ok(Member(name.to_owned(), Arc::clone(&asked)));
        supervisor.spawn_async(name, Spawn::default(), make).unwrap();
    }
    let proposals = (0..40).map(|n| {
        let proposal = proposal(&hive, &format!("p-{n}"), 1, &["a", "b", "c"]);
        Proposal { writes: Default::default(), ..proposal }
            .write(format!("k/{n}"), Op::add(1))
            .unwrap()
    });
    let outcomes = hive.propose_many(proposals.collect()).unwrap().wait();
    assert!(outcomes.iter().all(Outcome::is_committed), "{outcomes:?}");
    let mut asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 120);
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 120, "each was asked once");
}

#[cfg(feature = "tokio")]
mod on_tokio {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::runtime::{Handle, Runtime};

    use super::*;

    struct Reads(std::net::SocketAddr);

    impl AsyncAgent for Reads {
        async fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
            let number = TcpStream::connect(self.0).await?.read_u32().await?;
            tokio::time::timeout(LONG, std::future::ready(())).await?;
            view.write("sum", Op::add(number.into()))?;
            Ok(Next::Done)
        }
    }

    #[test]
    fn runs_are_tasks_of_the_runtime() {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                listener.accept().await.unwrap().0.write_u32(7).await.unwrap();
            }
        });
        let (hive, supervisor) = hive();
        let spawn = Spawn::default().on_tokio(runtime.handle().clone());
        let readers: Vec<_> = (0..20)
            .map(|n| {
                supervisor.spawn_async(format!("r-{n}"), spawn.clone(), move || Ok(Reads(address)))
            })
            .collect();
        runtime.block_on(async {
            for reader in readers {
                assert_eq!(reader.unwrap().ended().await, AgentState::Done);
            }
        });
        assert_eq!(hive.snapshot().get("sum"), Some(&140.into()));
    }

    #[test]
    fn without_its_runtime_it_fails() {
        let (hive, _) = hive();
        let supervisor = hive.supervisor(strict()).unwrap();
        let runtime = Runtime::new().unwrap();
        let handle: Handle = runtime.handle().clone();
        let make = || Ok(Adder(Door::default()));
        let agent = supervisor.spawn_async("a", Spawn::default().on_tokio(handle), make).unwrap();
        runtime.shutdown_background();
        let state = ended(&agent);
        assert!(
            matches!(&state, AgentState::Quarantined(why) if why.contains("runtime was shut down")),
            "{state}"
        );
    }
}
