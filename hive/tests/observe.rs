//! Numbers as Prometheus sees them, held against what the hive says of itself.
#![cfg(feature = "prometheus")]

mod held;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use held::{adding, held};
use queenright::consensus::{
    CastVote, Limits, Permissions, QuorumRule, RoundPolicy, Threshold, Vote, WhenFull,
};
use queenright::prometheus::{self, Prometheus};
use queenright::{
    Agent, AgentError, AgentState, Class, Context, Hive, HiveBuilder, Key, Next, Op, Outcome,
    Overflow, Precondition, Proposal, ProposeError, Read, Snapshot, Spawn, Supervision, Value,
    View, agent,
};

/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

/// The recorder is one for the process, so one test at a time looks at it.
struct Watch {
    before: BTreeMap<String, f64>,
    _alone: MutexGuard<'static, ()>,
}

fn recorder() -> &'static Prometheus {
    static RECORDER: OnceLock<Prometheus> = OnceLock::new();
    RECORDER.get_or_init(|| prometheus::install().unwrap())
}

fn watch() -> Watch {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    Watch { before: numbers(&recorder().render()), _alone: alone }
}

/// Each line of Prometheus' text that is no comment.
fn numbers(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let number = |line: &str| {
        let (name, number) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), number.parse().unwrap())
    };
    lines.map(number).collect()
}

impl Watch {
    /// By how much everything has risen since.
    fn all(&self) -> BTreeMap<String, f64> {
        let mut now = numbers(&recorder().render());
        for (name, number) in &mut now {
            *number -= self.before.get(name).copied().unwrap_or(0.0);
        }
        now
    }

    fn of(&self, name: &str) -> f64 {
        self.all().get(name).copied().unwrap_or(0.0)
    }

    /// The numbers of one metric that are not 0, by the value of its label.
    fn by_label(&self, metric: &str) -> BTreeMap<String, f64> {
        let of = |(name, number): (String, f64)| {
            let label = name.strip_prefix(metric)?.strip_prefix('{')?.split('"').nth(1)?;
            (number != 0.0).then(|| (label.to_owned(), number))
        };
        self.all().into_iter().filter_map(of).collect()
    }

    /// Everything that a hive says of itself is said by the recorder as well.
    #[track_caller]
    fn assert_agrees_with(&self, hives: &[&Hive]) {
        let mut outcomes = BTreeMap::<String, f64>::new();
        let (mut rounds, mut pending, mut voted_on, mut window) = (0.0, 0.0, 0.0, 0.0);
        for metrics in hives.iter().map(|hive| hive.metrics()) {
            for (name, times) in metrics.outcomes {
                *outcomes.entry(name.to_owned()).or_default() += times as f64;
            }
            rounds += metrics.rounds as f64;
            pending += metrics.pending as f64;
            voted_on += metrics.voted_on as f64;
            window += metrics.window as f64;
        }
        assert_eq!(self.by_label("hive_proposals_total"), outcomes);
        outcomes.retain(|name, _| RULES.contains(&name.as_str()));
        assert_eq!(self.by_label("hive_conflicts_total"), outcomes);
        assert_eq!(self.of("hive_rounds_total"), rounds);
        assert_eq!(self.of("hive_round_duration_seconds_count"), rounds);
        assert_eq!(self.of("hive_round_proposals_count"), rounds);
        assert_eq!(self.of("hive_proposals_pending"), pending);
        assert_eq!(self.of("hive_ballots_open"), voted_on);
        assert_eq!(self.of("hive_window"), window);
    }

    /// Gauges of hives that are gone are where they were.
    #[track_caller]
    fn assert_nothing_is_left(&self) {
        for gauge in ["hive_proposals_pending", "hive_ballots_open", "hive_window"] {
            assert_eq!(self.of(gauge), 0.0, "{gauge}");
        }
        for gauge in ["hive_agents", "hive_queue_depth"] {
            assert_eq!(self.by_label(gauge), BTreeMap::new(), "{gauge}");
        }
    }
}

const RULES: [&str; 7] =
    ["stale-read", "write-write", "read-write", "disagree", "empty", "bound", "operator"];

fn key(path: &str) -> Key {
    Key::new(path).unwrap()
}

fn on(snapshot: &Snapshot, id: &str, key: &str, op: Op) -> Proposal {
    Proposal::on(snapshot, "me", id).write(key, op).unwrap()
}

fn none_of_one() -> QuorumRule {
    QuorumRule::new(["a"], Threshold::Majority).unwrap().within(1000)
}

// Answers.

fn every_kind_of_answer() -> (Hive, Arc<AtomicU64>) {
    let permissions = ["me", "old"]
        .into_iter()
        .fold(Permissions::nobody(), |all, agent| all.allow(agent, "k").unwrap());
    let limits = Limits { keys: 4, ..Limits::default() };
    let policy = RoundPolicy { permissions, limits, window: 16, ..RoundPolicy::default() };
    let now = Arc::new(AtomicU64::new(5));
    let clock = Arc::clone(&now);
    let hive = Hive::builder()
        .policy(policy)
        .ballots(2)
        .base([(key("k/text"), "text".into())])
        .clock(move || clock.load(Ordering::SeqCst))
        .build()
        .unwrap();
    (hive, now)
}

fn add_at_most_ten(by: i64) -> Op {
    Op::Add { by, at_least: None, at_most: Some(10) }
}

fn only(element: i64) -> Op {
    Op::Intersect(Arc::new([Value::from(element)].into()))
}

#[test]
fn every_answer_is_counted_once_and_as_the_hive_counts_it() {
    let watch = watch();
    let (hive, now) = every_kind_of_answer();
    let base = hive.snapshot();
    hive.fence("old");
    let set = |id: &str, key: &str| on(&base, id, key, Op::Set(id.into()));
    let reading = |path: &str| Read::Key(key(path));
    let mut too_large = set("too large", "k/0");
    for n in 1..5 {
        too_large = too_large.write(format!("k/{n}"), Op::add(1)).unwrap();
    }
    let answers = hive.propose_many(vec![
        set("first", "k/w"),
        set("second", "k/w"),
        set("to", "k/a").read(reading("k/b")),
        set("fro", "k/b").read(reading("k/a")),
        on(&base, "one", "k/d", Op::Agree(1.into())),
        on(&base, "other", "k/d", Op::Agree(2.into())),
        on(&base, "six", "k/n", add_at_most_ten(6)),
        on(&base, "seven", "k/n", add_at_most_ten(7)),
        on(&base, "these", "k/e", only(1)),
        on(&base, "those", "k/e", only(2)),
        on(&base, "no number", "k/text", Op::add(1)),
        set("unmet", "k/u").require(Precondition::Exists(key("k/missing"))),
        set("late", "k/l").deadline(0),
        set("elsewhere", "elsewhere"),
        too_large,
        set("twice", "k/t").write("k/t", Op::Remove).unwrap(),
        Proposal { agent: "old".into(), ..set("before", "k/o") },
    ]);
    answers.unwrap().wait();
    let stale = set("stale", "k/s").read(reading("k/w"));
    assert_eq!(hive.propose(stale).unwrap().wait().name(), "stale-read");
    watch.assert_agrees_with(&[&hive]);

    let voted = |id: &str| hive.propose(set(id, "k/v").with_quorum(none_of_one())).unwrap();
    let (agreed, ignored) = (voted("agreed"), voted("ignored"));
    assert_eq!(voted("one too many").wait().name(), "limit", "refused without a round");
    assert_eq!(watch.of("hive_ballots_open"), 2.0);
    watch.assert_agrees_with(&[&hive]);
    hive.vote(CastVote::on("agreed", "a", Vote::Yes)).unwrap();
    assert!(agreed.wait().is_committed());
    now.store(5000, Ordering::SeqCst);
    hive.drain().unwrap();
    assert_eq!(ignored.wait().name(), "rejected");

    for id in 0..20 {
        let id = format!("pass{id}");
        hive.propose(on(&hive.snapshot(), &id, "k/n", Op::add(0))).unwrap().wait();
    }
    assert_eq!(hive.propose(set("from long ago", "k/x")).unwrap().wait().name(), "too-old");
    watch.assert_agrees_with(&[&hive]);
    let counted = watch.by_label("hive_proposals_total");
    let others = ["committed", "precondition", "expired", "forbidden", "limit", "invalid"];
    let more = ["stale-claim", "rejected", "too-old"];
    for name in RULES.iter().chain(&others).chain(&more) {
        assert!(counted.contains_key(*name), "no {name} in {counted:?}");
    }
    let sizes: usize = hive.history().iter().map(|record| record.batch.len()).sum();
    assert_eq!(watch.of("hive_round_proposals_sum"), sizes as f64);
    drop(hive);
    watch.assert_nothing_is_left();
}

fn patient(rounds: u64) -> RoundPolicy {
    RoundPolicy { pending: rounds, ..RoundPolicy::default() }
}

fn wait_until_closed(hive: &Hive) {
    while !matches!(hive.try_propose(adding(hive, "probe", 1)), Err(ProposeError::Closed(_))) {
        thread::yield_now();
    }
}

#[test]
fn those_cancelled_at_the_end_are_counted_once_pending_ones_and_ballots_among_them() {
    let watch = watch();
    let held = held(Hive::builder().policy(patient(9)).max_batch(3));
    let hive = &held.hive;
    let taken_back = hive.propose(adding(hive, "taken back", 1)).unwrap();
    taken_back.cancel();
    let voted = hive.propose(adding(hive, "voted on", 1).with_quorum(none_of_one())).unwrap();
    held.release.send(()).unwrap();
    assert!(held.first.wait().is_committed());
    held.release.send(()).unwrap();
    assert_eq!(taken_back.wait(), Outcome::Cancelled);
    let now = hive.snapshot();
    let set = |id: &str| on(&now, id, "x", Op::Set(id.into()));
    let rivals = hive.propose_many(["a", "b", "c"].map(set).into()).unwrap();
    let queued = hive.propose(adding(hive, "queued", 1)).unwrap();
    // She has taken the rivals, and asks for the time.
    while hive.metrics().taken < 6 {
        thread::yield_now();
    }
    thread::scope(|scope| {
        let shut = scope.spawn(|| hive.shutdown(Duration::ZERO));
        wait_until_closed(hive);
        drop(held.release);
        assert!(shut.join().unwrap() >= 4, "two rivals, the queued one, and the one voted on");
    });
    assert_eq!(rivals.wait().iter().filter(|it| **it == Outcome::Cancelled).count(), 2);
    assert_eq!((queued.wait(), voted.wait()), (Outcome::Cancelled, Outcome::Cancelled));
    watch.assert_agrees_with(&[hive]);
    drop(held.hive);
    watch.assert_nothing_is_left();
}

#[test]
fn who_is_answered_after_waiting_is_counted_then_and_once() {
    let watch = watch();
    let held = held(Hive::builder().policy(patient(5)));
    let hive = &held.hive;
    let set = |id: &str| on(&hive.snapshot(), id, "x", Op::Set(id.into()));
    let rivals = hive.propose_many(["a", "b", "c"].map(set).into()).unwrap();
    held.release.send(()).unwrap();
    held.release.send(()).unwrap();
    while hive.metrics().rounds < 2 {
        thread::yield_now();
    }
    assert_eq!(watch.of("hive_proposals_pending"), 2.0);
    watch.assert_agrees_with(&[hive]);
    drop(held.release);
    assert!(rivals.wait().iter().all(Outcome::is_committed));
    watch.assert_agrees_with(&[hive]);
    assert_eq!(watch.by_label("hive_conflicts_total"), BTreeMap::new());
}

#[test]
fn hives_of_one_process_add_up() {
    let watch = watch();
    let hives = [1, 2, 3].map(|n| {
        let hive = Hive::builder().max_batch(n).build().unwrap();
        (0..n).for_each(|_| hive.transact(|view| Ok(view.write("n", Op::add(1))?)).unwrap());
        hive
    });
    watch.assert_agrees_with(&hives.each_ref());
    drop(hives);
    watch.assert_nothing_is_left();
}

// The queue.

#[test]
fn the_queue_is_as_deep_as_the_hive_says() {
    let watch = watch();
    let held = held(Hive::builder().queue(2).when_full(WhenFull::Refuse));
    let hive = &held.hive;
    let classes = [Class::Critical, Class::Low, Class::Low, Class::Low, Class::Normal];
    let told = classes
        .iter()
        .enumerate()
        .map(|(place, class)| hive.propose(adding(hive, format!("p{place}"), 1).class(*class)));
    let refused = told.filter(|told| matches!(told, Err(ProposeError::Full(_)))).count();
    assert_eq!(refused, 1, "of three in one class");
    assert_eq!(hive.metrics().queued, [1, 0, 1, 2, 0]);
    let queued = || {
        let depths = Class::ALL.iter().zip(hive.metrics().queued).filter(|(_, depth)| *depth > 0);
        depths.map(|(class, depth)| (class.name().to_owned(), depth as f64)).collect()
    };
    assert_eq!(watch.by_label("hive_queue_depth"), queued());
    thread::scope(|scope| {
        let drained = scope.spawn(|| hive.drain());
        // Its marks go through the queue of each class; one of them waits for room there.
        let deadline = Instant::now() + LONG;
        while hive.metrics().queued != [2, 1, 2, 2, 0] && Instant::now() < deadline {
            thread::yield_now();
        }
        let (counted, queued) = (watch.by_label("hive_queue_depth"), queued());
        drop(held.release);
        drained.join().unwrap().unwrap();
        assert_eq!(counted, queued);
        assert_eq!(queued.values().sum::<f64>(), 7.0);
    });
    assert_eq!(watch.by_label("hive_queue_depth"), BTreeMap::new());
    drop(held.hive);
    watch.assert_nothing_is_left();
}

#[test]
fn after_a_panic_of_the_queen_nothing_stays_in_the_gauges() {
    let watch = watch();
    let hive = Hive::builder().clock(|| panic!("on purpose")).build().unwrap();
    let tickets: Vec<_> =
        (0..9).filter_map(|id| hive.propose(adding(&hive, format!("p{id}"), 1)).ok()).collect();
    tickets.into_iter().for_each(|ticket| assert_eq!(ticket.wait(), Outcome::CommitUnknown));
    drop(hive);
    watch.assert_nothing_is_left();
}

// Agents.

/// Fails as often as it is told to, and then watches.
struct Clerk {
    fails: bool,
}

impl Agent for Clerk {
    fn name(&self) -> &str {
        "clerk"
    }

    fn run(&mut self, _: &mut View) -> Result<Next, AgentError> {
        if self.fails { Err(AgentError::new("on purpose")) } else { Ok(Next::Watch) }
    }

    fn message(&mut self, _: Value, _: &mut Context) -> Result<Value, AgentError> {
        Ok(1.into())
    }
}

fn clerk(failing_lives: u32) -> impl FnMut() -> Result<Clerk, AgentError> + Send + 'static {
    let mut lives = 0;
    move || {
        lives += 1;
        Ok(Clerk { fails: lives <= failing_lives })
    }
}

fn named(states: BTreeMap<&'static str, usize>) -> BTreeMap<String, f64> {
    states.into_iter().map(|(state, count)| (state.to_owned(), count as f64)).collect()
}

fn supervised(builder: HiveBuilder) -> (Hive, queenright::Supervisor) {
    let hive = builder.build().unwrap();
    let rule = Supervision { max_restarts: 2, within: LONG, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    (hive, supervisor)
}

#[test]
fn agents_are_counted_where_they_stand_and_where_they_ended() {
    let watch = watch();
    let (hive, supervisor) = supervised(Hive::builder());
    let spawn = |name: &str, fails| {
        let one_letter = Spawn::default().mailbox(1).overflow(Overflow::DropNewest);
        supervisor.spawn(name, one_letter, clerk(fails)).unwrap()
    };
    let waiting = |state: &AgentState| *state == AgentState::Waiting;
    let agents = [spawn("lives", 0), spawn("shaky", 2), spawn("killed", 0), spawn("stopped", 0)];
    agents.iter().for_each(|agent| assert!(waiting(&agent.wait_for(waiting))));
    let quarantined = spawn("hopeless", 3);
    assert_eq!(quarantined.join().name(), "quarantined");
    let failed = supervisor.spawn("unmade", Spawn::default(), || -> Result<Clerk, AgentError> {
        Err(AgentError::new("on purpose"))
    });
    assert!(failed.is_err());
    assert_eq!(watch.by_label("hive_agents"), named(hive.agents()));
    assert_eq!(watch.of("hive_agents{state=\"waiting\"}"), 4.0);

    agents[0].ask(1, LONG).unwrap();
    agents[2].kill();
    agents[3].stop();
    assert_eq!(agents[3].join(), AgentState::Stopped);
    let done = supervisor.spawn("done", Spawn::default(), || {
        Ok(agent("done", |view| {
            view.write("n", Op::add(1))?;
            Ok(Next::Done)
        }))
    });
    let done = done.unwrap();
    assert_eq!(done.join(), AgentState::Done);
    agents[0].wait_for(waiting);
    assert_eq!(watch.by_label("hive_agents"), named(hive.agents()));
    let ended = ["quarantined", "failed", "killed", "stopped", "done"];
    let ended: BTreeMap<_, _> = ended.map(|state| (state.to_owned(), 1.0)).into();
    assert_eq!(watch.by_label("hive_agents_ended_total"), ended);

    let all = agents.iter().chain([&quarantined, &done]).map(|agent| agent.stats());
    let sums = all.fold((0, 0, 0, 0), |sum, it| {
        (sum.0 + it.failures, sum.1 + it.restarts, sum.2 + it.messages, sum.3 + it.dropped)
    });
    let counted = [
        "hive_agent_failures_total",
        "hive_agent_restarts_total",
        "hive_messages_total",
        "hive_messages_dropped_total",
    ];
    // The one that could not be made has no reference, and has failed once.
    let sums = [sums.0 + 1, sums.1, sums.2, sums.3].map(|sum| sum as f64);
    assert_eq!(sums, [6.0, 4.0, 1.0, 0.0]);
    assert_eq!(counted.map(|name| watch.of(name)), sums);
    drop((agents, supervisor, hive));
    watch.assert_nothing_is_left();
    assert_eq!(watch.of("hive_agents_ended_total{state=\"killed\"}"), 3.0, "two by the end");
}

#[test]
fn messages_that_nobody_reads_are_counted_as_dropped() {
    let watch = watch();
    let (hive, supervisor) = supervised(Hive::builder());
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let (begin, begun) = std::sync::mpsc::channel();
    let spawn = Spawn::default().mailbox(2).overflow(Overflow::DropOldest);
    let busy = supervisor.spawn("busy", spawn, move || {
        let (gate, begin) = (Arc::clone(&gate), begin.clone());
        Ok(agent("busy", move |_: &mut View| {
            begin.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
            Ok(Next::Watch)
        }))
    });
    let busy = busy.unwrap();
    begun.recv().unwrap();
    (0..5).for_each(|n| busy.tell(n).unwrap());
    assert_eq!(watch.of("hive_messages_dropped_total"), 3.0, "there is room for two of five");
    busy.kill();
    assert_eq!(watch.of("hive_messages_dropped_total"), 5.0, "nobody will read the others");
    assert_eq!((busy.stats().dropped, watch.of("hive_messages_total")), (5, 0.0));
    drop(release);
    drop((supervisor, hive));
    watch.assert_nothing_is_left();
}

#[test]
fn whatever_threads_do_to_agents_the_states_add_up() {
    let watch = watch();
    let (hive, supervisor) = supervised(Hive::builder());
    const EACH: u64 = 40;
    thread::scope(|scope| {
        for thread in 0..4 {
            let supervisor = &supervisor;
            scope.spawn(move || {
                for n in 0..EACH {
                    let fails = (n % 4) as u32;
                    let name = format!("{thread}-{n}");
                    let spawned = supervisor.spawn(name, Spawn::default(), clerk(fails)).unwrap();
                    match n % 3 {
                        0 => spawned.kill(),
                        1 => spawned.stop(),
                        _ => {}
                    }
                }
            });
        }
    });
    drop((supervisor, hive));
    watch.assert_nothing_is_left();
    let ended: f64 = watch.by_label("hive_agents_ended_total").values().sum();
    assert_eq!(ended, 4.0 * EACH as f64);
}
