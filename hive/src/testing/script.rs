//! Agents that do as they are told.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

use queenright_primitives::schedule::Class;

use crate::agent::{Agent, AgentError, Next, View};
use crate::key::{IntoKey, Key, KeyError};
use crate::lock::lock;
use crate::op::Op;
use crate::outcome::Outcome;
use crate::proposal::Precondition;
use crate::value::Value;

/// An agent that does as it is told, one run after the other, and writes down what it is told.
///
/// Steps are added in order; [`done`](Self::done), [`watch`](Self::watch), [`fail`](Self::fail) or [`panic`](Self::panic) ends a run, and what comes after that is the next.
/// When its proposal loses, the same run is run again on the newer snapshot, as with any agent; else the next time it is run, the next one is. The last
/// one is run again and again. What was left open is done.
///
/// A clone is the same agent in another life: it goes on where the other was, after a run that has failed with the next. So a factory for a
/// [`Supervisor`](crate::Supervisor) may clone it.
///
/// ```
/// use queenright::testing::{self, Script};
/// use queenright::{Op, Spawn, Supervision};
///
/// let hive = testing::hive(7).0.build()?;
/// let script = Script::new("clerk").panic("it happens").write("count", Op::add(1)).done();
/// let told = script.transcript();
/// let supervisor = hive.supervisor(Supervision::default())?;
/// let clerk = supervisor.spawn("clerk", Spawn::default(), move || Ok(script.clone()))?;
/// clerk.join();
/// assert_eq!((told.runs(), told.outcomes().len()), (2, 1));
/// assert_eq!(hive.snapshot().get("count"), Some(&1.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
#[must_use = "a script does nothing until it is spawned"]
pub struct Script {
    name: String,
    class: Class,
    runs: Vec<Run>,
    /// Steps of the run that has no end yet.
    open: Vec<Step>,
    told: Arc<Mutex<Told>>,
}

#[derive(Clone)]
struct Run {
    steps: Vec<Step>,
    end: End,
}

#[derive(Clone)]
enum Step {
    Read(Result<Key, KeyError>),
    ReadUnder(String),
    Write(Result<Key, KeyError>, Op),
    Require(Precondition),
    Call(Arc<Hook>),
}

type Hook = dyn Fn(&mut View) -> Result<(), AgentError> + Send + Sync;

#[derive(Clone)]
enum End {
    Next(Next),
    Fail(String),
    Panic(String),
}

/// What has become of a [`Script`] so far. Cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct Transcript(Arc<Mutex<Told>>);

#[derive(Debug, Default)]
struct Told {
    outcomes: Vec<Outcome>,
    reads: Vec<(Key, Option<Value>)>,
    runs: usize,
    /// How many are over, so that the next is due.
    over: usize,
}

impl Script {
    /// An agent of this name that does nothing yet.
    pub fn new(name: impl Into<String>) -> Self {
        Script {
            name: name.into(),
            class: Class::Normal,
            runs: Vec::new(),
            open: Vec::new(),
            told: Arc::default(),
        }
    }

    /// Sets the priority class of its proposals: one that is more urgent than its rivals wins.
    pub fn with_class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.open.push(step);
        self
    }

    fn end(mut self, end: End) -> Self {
        let steps = std::mem::take(&mut self.open);
        self.runs.push(Run { steps, end });
        self
    }

    /// Reads a key. What is no key fails the run, here and below.
    pub fn read(self, key: impl IntoKey) -> Self {
        self.step(Step::Read(key.into_key()))
    }

    /// Reads everything at and below a prefix.
    pub fn read_under(self, prefix: impl Into<String>) -> Self {
        self.step(Step::ReadUnder(prefix.into()))
    }

    /// Writes a value.
    pub fn set(self, key: impl IntoKey, value: impl Into<Value>) -> Self {
        self.write(key, Op::Set(value.into()))
    }

    /// Removes a key.
    pub fn remove(self, key: impl IntoKey) -> Self {
        self.write(key, Op::Remove)
    }

    /// Writes by an operation. One that is undefined on what is there fails the run.
    pub fn write(self, key: impl IntoKey, op: Op) -> Self {
        self.step(Step::Write(key.into_key(), op))
    }

    /// Adds a condition that must hold in the round that decides.
    pub fn require(self, precondition: Precondition) -> Self {
        self.step(Step::Require(precondition))
    }

    /// Does whatever else an agent can.
    pub fn call(
        self,
        hook: impl Fn(&mut View) -> Result<(), AgentError> + Send + Sync + 'static,
    ) -> Self {
        self.step(Step::Call(Arc::new(hook)))
    }

    /// Ends the run, and the work: what it wrote is proposed.
    pub fn done(self) -> Self {
        self.end(End::Next(Next::Done))
    }

    /// Ends the run: what it wrote is proposed, and the next comes when another agent changes what this one has read.
    pub fn watch(self) -> Self {
        self.end(End::Next(Next::Watch))
    }

    /// Ends the run with an error.
    pub fn fail(self, why: impl Into<String>) -> Self {
        self.end(End::Fail(why.into()))
    }

    /// Ends the run with a panic. The panic hook is not called, so that nothing is printed.
    pub fn panic(self, why: impl Into<String>) -> Self {
        self.end(End::Panic(why.into()))
    }

    /// Where to look what has become of it.
    pub fn transcript(&self) -> Transcript {
        Transcript(Arc::clone(&self.told))
    }

    /// Begins the run that is due.
    fn begin(&self) -> Option<Run> {
        let mut told = lock(&self.told);
        told.runs += 1;
        let open = || Run { steps: self.open.clone(), end: End::Next(Next::Done) };
        let open = (!self.open.is_empty()).then(open);
        self.runs.get(told.over).cloned().or(open).or_else(|| self.runs.last().cloned())
    }

    fn take(&self, step: Step, view: &mut View) -> Result<(), AgentError> {
        let note = |key, value| lock(&self.told).reads.push((key, value));
        match step {
            Step::Read(key) => {
                let key = key?;
                let value = view.get(&key)?;
                note(key, value);
            }
            Step::ReadUnder(prefix) => {
                view.under(&prefix)?.into_iter().for_each(|(key, value)| note(key, Some(value)));
            }
            Step::Write(key, op) => view.write(key?, op)?,
            Step::Require(precondition) => view.require(precondition)?,
            Step::Call(hook) => hook(view)?,
        }
        Ok(())
    }
}

impl Agent for Script {
    fn name(&self) -> &str {
        &self.name
    }

    fn class(&self) -> Class {
        self.class
    }

    fn run(&mut self, view: &mut View) -> Result<Next, AgentError> {
        let Some(Run { steps, end }) = self.begin() else { return Ok(Next::Done) };
        let taken = steps.into_iter().try_for_each(|step| self.take(step, view));
        if taken.is_err() || !view.proposes() || !matches!(end, End::Next(_)) {
            // Nothing is proposed, so that no outcome says that it is over.
            lock(&self.told).over += 1;
        }
        taken?;
        match end {
            End::Next(next) => Ok(next),
            End::Fail(why) => Err(AgentError::new(why)),
            End::Panic(why) => resume_unwind(Box::new(why)),
        }
    }

    fn outcome(&mut self, outcome: &Outcome) {
        let mut told = lock(&self.told);
        told.over += usize::from(!outcome.may_retry());
        told.outcomes.push(outcome.clone());
    }
}

impl Transcript {
    /// The outcomes that it was told, oldest first.
    pub fn outcomes(&self) -> Vec<Outcome> {
        lock(&self.0).outcomes.clone()
    }

    /// What its steps have read, and found, in all runs, oldest first.
    pub fn reads(&self) -> Vec<(Key, Option<Value>)> {
        lock(&self.0).reads.clone()
    }

    /// How often it was run.
    pub fn runs(&self) -> usize {
        lock(&self.0).runs
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script")
            .field("name", &self.name)
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}
