//! Spans and events, as a subscriber sees them.
#![cfg(feature = "tracing")]

mod held;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::Duration;

use held::{adding, held};
use queenright::consensus::{QuorumRule, RoundPolicy, Threshold};
use queenright::{
    AgentError, AgentState, Hive, Next, Op, Outcome, Proposal, ProposeError, Spawn, Supervision,
    View, agent,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// Far more than anything here takes: what waits so long has failed.
const LONG: Duration = Duration::from_secs(60);

type Fields = BTreeMap<&'static str, String>;

/// A span, or an event, whose name is its message.
#[derive(Clone, Debug, Default)]
struct Seen {
    id: u64,
    parent: Option<u64>,
    name: String,
    level: String,
    fields: Fields,
}

static SEEN: Mutex<Vec<Seen>> = Mutex::new(Vec::new());
static WANTS_DEBUG: AtomicBool = AtomicBool::new(true);
/// How often it was asked whether a proposal's span is wanted.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn seen() -> MutexGuard<'static, Vec<Seen>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Collect;

struct Into<'a>(&'a mut Fields);

impl Visit for Into<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}").trim_matches('"').to_owned());
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collect {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        ASKED.fetch_add(usize::from(metadata.name() == "hive.proposal"), Ordering::SeqCst);
        metadata.target() == "queenright"
            && (*metadata.level() < Level::DEBUG || WANTS_DEBUG.load(Ordering::SeqCst))
    }

    fn on_new_span(&self, span: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::new();
        span.record(&mut Into(&mut fields));
        let parent = context.span(id).and_then(|span| span.parent()).map(|it| it.id().into_u64());
        let metadata = span.metadata();
        let (name, level) = (metadata.name().to_owned(), metadata.level().to_string());
        seen().push(Seen { id: id.into_u64(), parent, name, level, fields });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut all = seen();
        // Numbers of spans are used again.
        let span = all.iter_mut().rev().find(|seen| seen.id == id.into_u64()).unwrap();
        values.record(&mut Into(&mut span.fields));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::new();
        event.record(&mut Into(&mut fields));
        let name = fields.remove("message").unwrap_or_default();
        let level = event.metadata().level().to_string();
        seen().push(Seen { name, level, fields, ..Seen::default() });
    }
}

/// The subscriber is one for the process, so one test at a time looks at it.
fn watch() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    static BEGIN: Once = Once::new();
    BEGIN.call_once(|| {
        let subscriber = tracing_subscriber::registry().with(Collect);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    WANTS_DEBUG.store(true, Ordering::SeqCst);
    seen().clear();
    alone
}

fn named(name: &str) -> Vec<Seen> {
    seen().iter().filter(|seen| seen.name == name).cloned().collect()
}

/// The events in which this is said.
fn told(words: &str) -> Vec<Seen> {
    seen().iter().filter(|seen| seen.name.contains(words)).cloned().collect()
}

fn fields<const N: usize>(fields: [(&'static str, &str); N]) -> Fields {
    fields.map(|(name, value)| (name, value.to_owned())).into()
}

fn patient(rounds: u64) -> RoundPolicy {
    RoundPolicy { pending: rounds, ..RoundPolicy::default() }
}

#[test]
fn each_answer_is_told_below_its_round() {
    let _watch = watch();
    let hive = Hive::builder().policy(patient(1)).clock(|| 5).build().unwrap();
    let set = |id: &str| Proposal::on(&hive.snapshot(), "me", id).write("x", Op::Set(id.into()));
    let all = ["a", "b", "c"].map(|id| set(id).unwrap());
    let again = Proposal { attempt: 3, ..adding(&hive, "added", 1) };
    let late = adding(&hive, "late", 1).deadline(0);
    let outcomes = hive.propose_many([all.as_slice(), &[again, late]].concat()).unwrap().wait();
    hive.shutdown(Duration::MAX);
    let ids = ["a", "b", "c", "added", "late"];
    let rounds = named("hive.round");
    let of_round = |round, proposals, accepted, lost, pending| {
        fields([
            ("round", round),
            ("proposals", proposals),
            ("accepted", accepted),
            ("lost", lost),
            ("pending", pending),
        ])
    };
    let found: Vec<_> = rounds.iter().map(|round| round.fields.clone()).collect();
    let first = of_round("1", "5", "2", "0", "2");
    assert_eq!(found, [first, of_round("2", "2", "1", "1", "0")]);
    assert!(rounds.iter().all(|round| round.level == "INFO" && round.parent.is_none()));
    let told = named("hive.proposal");
    assert_eq!(told.len(), 5, "each of them once, whoever waited: {told:?}");
    for (id, outcome) in ids.iter().zip(&outcomes) {
        let of_it: Vec<_> = told.iter().filter(|span| span.fields["id"] == *id).collect();
        let [span] = of_it[..] else { panic!("{id}: {of_it:?}") };
        let attempt = if *id == "added" { "3" } else { "0" };
        let outcome = outcome.name();
        let expected = [("id", *id), ("agent", "me"), ("attempt", attempt), ("outcome", outcome)];
        assert_eq!((span.fields.clone(), span.level.as_str()), (fields(expected), "DEBUG"));
        assert!(rounds.iter().any(|round| span.parent == Some(round.id)), "{span:?}");
    }
}

#[test]
fn answers_without_a_round_have_none_above_them() {
    let _watch = watch();
    let held = held(Hive::builder().ballots(1).max_batch(1));
    let hive = &held.hive;
    let rule = QuorumRule::new(["a"], Threshold::Majority).unwrap();
    let propose = |id: &str| hive.propose(adding(hive, id, 1).with_quorum(rule.clone())).unwrap();
    let (_open, refused) = (propose("open"), propose("one too many"));
    (0..3).for_each(|_| held.release.send(()).unwrap());
    assert!(held.first.wait().is_committed());
    assert_eq!(refused.wait().name(), "limit");
    let last = hive.propose(adding(hive, "last", 1)).unwrap();
    // She has taken it, and asks for the time.
    while hive.metrics().taken < 4 {
        thread::yield_now();
    }
    let left = hive.propose(adding(hive, "left", 1)).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| hive.shutdown(Duration::ZERO));
        while !matches!(hive.try_propose(adding(hive, "probe", 1)), Err(ProposeError::Closed(_))) {}
        drop(held.release);
    });
    assert!(last.wait().is_committed());
    assert_eq!(left.wait(), Outcome::Cancelled);
    let told = named("hive.proposal");
    let of = |id: &str| told.iter().filter(|span| span.fields["id"] == id).collect::<Vec<_>>();
    for (id, outcome) in [("one too many", "limit"), ("left", "cancelled"), ("open", "cancelled")] {
        let [span] = of(id)[..] else { panic!("{id}: {told:?}") };
        assert_eq!((span.fields["outcome"].as_str(), span.parent), (outcome, None), "{id}");
    }
}

#[test]
fn where_nobody_wants_proposals_it_is_asked_once_a_round() {
    let _watch = watch();
    WANTS_DEBUG.store(false, Ordering::SeqCst);
    let hive = Hive::builder().build().unwrap();
    let before = ASKED.load(Ordering::SeqCst);
    let many = (0..100).map(|id| adding(&hive, format!("p{id}"), 1)).collect();
    hive.propose_many(many).unwrap().wait();
    hive.shutdown(Duration::MAX);
    assert_eq!(ASKED.load(Ordering::SeqCst) - before, 1, "one round");
    assert_eq!((named("hive.proposal").len(), named("hive.round").len()), (0, 1));
}

#[test]
fn each_run_of_an_agent_is_a_span() {
    let _watch = watch();
    let hive = Hive::builder().build().unwrap();
    hive.spawn_all(["ada", "bob"].map(|name| {
        agent(name, |view: &mut View| {
            let count = view.get("count")?.and_then(|count| count.as_int()).unwrap_or(0);
            view.set("count", count + 1)?;
            Ok(Next::Done)
        })
    }))
    .unwrap();
    assert!(hive.run_until_settled(9).unwrap().is_settled());
    let runs: Vec<_> = named("hive.agent").into_iter().map(|span| span.fields).collect();
    let run = |name, attempt| fields([("name", name), ("attempt", attempt), ("life", "0")]);
    for name in ["ada", "bob"] {
        assert!(runs.contains(&run(name, "0")), "{runs:?}");
    }
    let again = runs.iter().filter(|run| run["attempt"] == "1").count();
    assert_eq!((runs.len(), again), (3, 1), "one has lost, and ran again: {runs:?}");
}

#[test]
fn what_becomes_of_supervised_agents_is_told() {
    let _watch = watch();
    let hive = Hive::builder().build().unwrap();
    let rule = Supervision { max_restarts: 1, within: LONG, ..Supervision::default() };
    let supervisor = hive.supervisor(rule).unwrap();
    let spawned = supervisor.spawn("shaky", Spawn::default(), || {
        Ok(agent("shaky", |_: &mut View| Err(AgentError::new("out of paper"))))
    });
    assert_eq!(spawned.unwrap().join().name(), "quarantined");
    let lives: Vec<_> =
        named("hive.agent").into_iter().map(|span| span.fields["life"].clone()).collect();
    assert_eq!(lives.len(), 2, "each life ran once");
    assert_ne!(lives[0], lives[1]);
    // The agent is over before its supervisor tells.
    supervisor.next_event(LONG).unwrap();
    supervisor.next_event(LONG).unwrap();
    for words in ["is started again", "is not started again"] {
        let [event] = &told(words)[..] else { panic!("{words}: {:?}", seen()) };
        assert_eq!((event.level.as_str(), event.fields["agent"].as_str()), ("WARN", "shaky"));
        assert!(event.fields["reason"].contains("out of paper"), "{event:?}");
    }
}

#[test]
fn one_that_hangs_is_told() {
    let _watch = watch();
    let hive = Hive::builder().build().unwrap();
    let supervisor = hive.supervisor(Supervision::default()).unwrap();
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(Some(gate)));
    let spawn = Spawn::default().hang_after(Duration::from_millis(50));
    let spawned = supervisor.spawn("sleeper", spawn, move || {
        let gate = gate.lock().unwrap().take();
        Ok(agent("sleeper", move |_: &mut View| {
            if let Some(gate) = &gate {
                let _ = gate.recv();
            }
            Ok(Next::Watch)
        }))
    });
    let spawned = spawned.unwrap();
    supervisor.next_event(LONG).unwrap();
    spawned.wait_for(|state| *state == AgentState::Waiting);
    drop(release);
    let [event] = &told("hangs")[..1] else { panic!("{:?}", seen()) };
    assert_eq!((event.level.as_str(), event.fields["agent"].as_str()), ("WARN", "sleeper"));
}

#[test]
fn a_panic_of_the_queen_is_told_and_her_usual_end_is_not() {
    let _watch = watch();
    drop(Hive::builder().build().unwrap());
    assert_eq!(told("queen").len(), 0);
    let hive = Hive::builder().clock(|| panic!("on purpose")).build().unwrap();
    let ticket = hive.propose(adding(&hive, "doomed", 1)).unwrap();
    assert_eq!(ticket.wait(), Outcome::CommitUnknown);
    drop(hive);
    let [event] = &told("queen's thread has panicked")[..] else { panic!("{:?}", seen()) };
    assert_eq!(event.level, "WARN");
}
