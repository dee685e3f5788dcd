//! What is to be measured: scenarios, their cases, and the contenders of each case.

use serde_json::{Map, Value};

use crate::goal::Goal;
use crate::row::{Better, in_words};
use crate::sampler::Sampler;

/// A scenario of the suites: one question, asked with several sets of parameters.
pub struct Scenario {
    /// The suite that it belongs to.
    pub suite: &'static str,
    /// Its fixed name.
    pub name: &'static str,
    /// One sentence: what one operation is.
    pub what: &'static str,
    /// Its cases; a quick run asks for fewer.
    pub cases: fn(quick: bool) -> Vec<Case>,
}

/// One set of parameters. Each becomes a row of the report.
pub struct Case {
    pub(crate) params: Map<String, Value>,
    pub(crate) axis: Option<&'static str>,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    pub(crate) goals: Vec<Goal>,
    pub(crate) limit: Option<(&'static str, f64)>,
    pub(crate) note: Option<&'static str>,
    pub(crate) hands_over: bool,
    pub(crate) contenders: Box<dyn FnOnce() -> Vec<Contender>>,
}

impl Case {
    /// A case whose figures are nanoseconds an operation, less being better.
    pub fn nanoseconds() -> Case {
        Case::of("ns", Better::Lower)
    }

    /// A case whose figures are operations a second.
    pub fn rate() -> Case {
        Case::of("ops/s", Better::Higher)
    }

    /// A case that counts something of which less is better: `bytes`, `versions`.
    pub fn count(unit: &'static str) -> Case {
        Case::of(unit, Better::Lower)
    }

    fn of(unit: &'static str, better: Better) -> Case {
        Case {
            params: Map::new(),
            axis: None,
            unit,
            better,
            goals: Vec::new(),
            limit: None,
            note: None,
            hands_over: false,
            contenders: Box::new(Vec::new),
        }
    }

    /// Adds a parameter that is told apart by name.
    pub fn param(mut self, name: &'static str, value: impl Into<Value>) -> Case {
        self.params.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the parameter that grows along a scaling curve.
    pub fn axis(mut self, name: &'static str, value: impl Into<Value>) -> Case {
        self.axis = Some(name);
        self.param(name, value)
    }

    /// Adds a target.
    pub fn goal(mut self, goal: Goal) -> Case {
        self.goals.push(goal);
        self
    }

    /// Each operation waits for other threads, so its time is the scheduler's as well.
    pub fn hands_over(mut self) -> Case {
        self.hands_over = true;
        self
    }

    /// Compares with a limit that was measured for the whole run, which one operation needs so many `times`. A contender
    /// on the limit's side takes its place.
    pub fn limit(mut self, name: &'static str, times: f64) -> Case {
        self.limit = Some((name, times));
        self
    }

    /// Says what a reader must know to judge the row.
    pub fn note(mut self, note: &'static str) -> Case {
        self.note = Some(note);
        self
    }

    /// Who is measured, ours first.
    pub fn into_contenders(self) -> Vec<Contender> {
        (self.contenders)()
    }

    /// Whether the case measures time, so that another tool can time it too.
    pub fn is_timed(&self) -> bool {
        ["ns", "ops/s"].contains(&self.unit)
    }

    /// The parameter that grows along a scaling curve and its value, and all others in words.
    pub fn axis_and_others(&self) -> (Option<&Value>, String) {
        let mut others = self.params.clone();
        let axis = self.axis.and_then(|axis| {
            others.shift_remove(axis);
            self.params.get(axis)
        });
        (axis, in_words(&others))
    }

    /// Says who is measured. The closure is called just before they are.
    pub fn contenders(mut self, make: impl FnOnce() -> Vec<Contender> + 'static) -> Case {
        self.contenders = Box::new(make);
        self
    }
}

/// Whose a contender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Ours; one a case.
    Ours,
    /// Somebody else's, on the same work and with the same promises.
    Peer,
    /// Somebody else's who promises less: shown, but not what ours is measured against, but where a target names it.
    Beside,
    /// What the hardware allows on the same work: no contender could be safe at this cost.
    Limit,
}

/// One who is measured.
pub struct Contender {
    pub(crate) name: &'static str,
    pub(crate) side: Side,
    make: Box<dyn FnOnce() -> Measure>,
}

/// Called once a round; asserts that the work was really done.
pub type Measure = Box<dyn FnMut(&mut Sampler<'_>)>;

impl Contender {
    /// A contender on a side. `make` prepares what lives through all rounds, just before the first; what it gives is called once
    /// a round, and asserts that the work was really done.
    pub fn made<M: FnMut(&mut Sampler<'_>) + 'static>(
        name: &'static str,
        side: Side,
        make: impl FnOnce() -> M + 'static,
    ) -> Contender {
        Contender { name, side, make: Box::new(|| Box::new(make())) }
    }

    /// A contender that needs nothing prepared.
    pub fn new(
        name: &'static str,
        side: Side,
        measure: impl FnMut(&mut Sampler<'_>) + 'static,
    ) -> Contender {
        Contender::made(name, side, || measure)
    }

    /// Ours.
    pub fn ours(name: &'static str, measure: impl FnMut(&mut Sampler<'_>) + 'static) -> Contender {
        Contender::new(name, Side::Ours, measure)
    }

    /// A peer on the same work.
    pub fn peer(name: &'static str, measure: impl FnMut(&mut Sampler<'_>) + 'static) -> Contender {
        Contender::new(name, Side::Peer, measure)
    }

    /// The limit on the same work.
    pub fn limit(name: &'static str, measure: impl FnMut(&mut Sampler<'_>) + 'static) -> Contender {
        Contender::new(name, Side::Limit, measure)
    }

    /// As it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Prepares it.
    pub fn make(self) -> Measure {
        (self.make)()
    }
}
