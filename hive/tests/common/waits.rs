//! Agents, and what they wait for; threads of a hive that are held up.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use queenright::consensus::{CastVote, QuorumRule, Threshold, Vote};
use queenright::{
    Agent, AgentError, AgentRef, AgentState, Context, Hive, Next, Op, Proposal, Spawn, Supervision,
    Supervisor, Ticket, Value, View,
};

/// Far more than anything here takes: what waits so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Nobody is started again.
pub(crate) fn strict() -> Supervision {
    Supervision { max_restarts: 0, ..Supervision::default() }
}

pub(crate) fn ended(agent: &AgentRef) -> AgentState {
    agent.join_timeout(LONG).unwrap_or_else(|| panic!("it is {}", agent.state()))
}

/// Why an agent that may not be started again is over.
pub(crate) fn quarantined(agent: &AgentRef) -> String {
    match ended(agent) {
        AgentState::Quarantined(reason) => reason,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "it is not so that {what}");
        std::thread::yield_now();
    }
}

/// What an integer is by now.
pub(crate) fn number(hive: &Hive, key: &str) -> Option<i64> {
    hive.snapshot().get(key).and_then(Value::as_int)
}

/// A door that is opened once, and whoever waits before it.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<(bool, Vec<Waker>)>>);

impl Door {
    pub(crate) fn open(&self) {
        let mut door = self.0.lock().unwrap();
        door.0 = true;
        door.1.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().unwrap().0
    }

    pub(crate) fn waiting(&self) -> usize {
        self.0.lock().unwrap().1.len()
    }
}

impl Future for Door {
    type Output = ();
    fn poll(self: Pin<&mut Self>, context: &mut TaskContext<'_>) -> Poll<()> {
        let mut door = self.0.lock().unwrap();
        if door.0 {
            return Poll::Ready(());
        }
        door.1.push(context.waker().clone());
        Poll::Pending
    }
}

/// A proposal that writes `number` once all of the roll have agreed.
pub(crate) fn voted_on(hive: &Hive, id: &str, number: i64, roll: &[&str]) -> Proposal {
    let rule = QuorumRule::new(roll.iter().copied(), Threshold::Unanimous).unwrap();
    let proposal = Proposal::on(&hive.snapshot(), "me", id);
    proposal.write(format!("voted/{id}"), Op::Set(number.into())).unwrap().with_quorum(rule)
}

/// Puts something to the vote, and waits until it is open.
pub(crate) fn put_to_vote(hive: &Hive, id: &str, roll: &[&str]) -> Ticket {
    let ticket = hive.propose(voted_on(hive, id, 1, roll)).unwrap();
    let is_open = || hive.ballots().iter().any(|open| open.proposal.id.as_str() == id);
    wait_until("it can be voted on", is_open);
    ticket
}

/// Holds up the queen, so that nothing is judged until this is dropped.
pub(crate) struct HeldQueen(Sender<()>);

struct Holds(Mutex<Option<Receiver<()>>>, Sender<()>);

impl Wake for Holds {
    fn wake(self: Arc<Self>) {
        let held = self.0.lock().unwrap().take();
        if let Some(held) = held {
            let _ = self.1.send(());
            let _ = held.recv_timeout(LONG);
        }
    }
}

pub(crate) fn hold_queen(hive: &Hive) -> HeldQueen {
    let (go_on, held) = mpsc::channel();
    let (sender, is_held) = mpsc::channel();
    let waker = Waker::from(Arc::new(Holds(Mutex::new(Some(held)), sender)));
    // It has to be waited for before it is answered, as something is on which nobody has voted.
    let mut ticket = put_to_vote(hive, "holds", &["nobody"]);
    let polled = Pin::new(&mut ticket).poll(&mut TaskContext::from_waker(&waker));
    assert!(polled.is_pending());
    let _votes = hive.cast(vec![CastVote::on("holds", "nobody", Vote::Yes)]);
    is_held.recv_timeout(LONG).unwrap();
    HeldQueen(go_on)
}

/// An agent that keeps a worker from others.
pub(crate) struct Busy {
    agent: AgentRef,
    has_begun: Receiver<()>,
    go_on: Sender<()>,
}

struct KeepsBusy(Sender<()>, Arc<Mutex<Receiver<()>>>);

impl Agent for KeepsBusy {
    fn name(&self) -> &str {
        "busy"
    }
    fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
        Ok(Next::Watch)
    }
    fn message(&mut self, time: Value, _: &mut Context) -> Result<Value, AgentError> {
        let most = time.as_int().and_then(|time| time.try_into().ok()).map_or(LONG, ms);
        let _ = self.0.send(());
        let _ = self.1.lock().unwrap().recv_timeout(most);
        Ok(time)
    }
}

impl Busy {
    pub(crate) fn of(hive: &Hive) -> Busy {
        let (begun, has_begun) = mpsc::channel();
        let (go_on, held) = mpsc::channel();
        let held = Arc::new(Mutex::new(held));
        let make = move || Ok(KeepsBusy(begun.clone(), Arc::clone(&held)));
        let agent = hive.supervisor(strict()).unwrap().spawn("busy", Spawn::default(), make);
        let agent = agent.unwrap();
        agent.wait_for(|state| *state == AgentState::Waiting);
        Busy { agent, has_begun, go_on }
    }

    /// Keeps its worker busy for so long, or until it is told to end; that has begun when this returns.
    pub(crate) fn begin(&self, most: Duration) {
        self.agent.tell(most.as_millis() as i64).unwrap();
        self.has_begun.recv_timeout(LONG).unwrap();
    }

    pub(crate) fn end(&self) {
        self.go_on.send(()).unwrap();
    }
}

/// With so many threads for agents.
pub(crate) fn hive_with(workers: usize, rule: Supervision) -> (Hive, Supervisor) {
    let hive = Hive::builder().threads(NonZeroUsize::new(workers).unwrap()).build().unwrap();
    let supervisor = hive.supervisor(rule).unwrap();
    (hive, supervisor)
}
