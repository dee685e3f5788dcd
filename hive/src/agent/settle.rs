//! Running agents until none of them has anything left to do.

use std::collections::BTreeMap;
use std::ops::Bound;

use queenright_primitives::Version;
use rayon::prelude::*;

use super::view::Looked;
use super::{Agent, Context, Intent, Next, View, guarded};
use crate::id::{AgentId, Own, own_id};
use crate::key::Key;
use crate::observe;
use crate::outcome::Outcome;
use crate::proposal::{Proposal, Read};
use crate::state::Snapshot;

/// What [`Hive::run_until_settled`](crate::Hive::run_until_settled) came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settled {
    /// How many rounds it decided.
    pub rounds: u64,
    /// How many agents still had something to do when the limit was reached; 0 when all is settled.
    pub waiting: usize,
    /// The agents that stopped with an error, a panic, or a proposal that cannot be retried.
    pub failed: Vec<Failure>,
}

impl Settled {
    /// Whether nothing was left to do.
    pub fn is_settled(&self) -> bool {
        self.waiting == 0
    }
}

/// An agent that stopped before its work was done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// Which.
    pub agent: AgentId,
    /// Its error, its panic message, or the outcome that ended it.
    pub reason: String,
}

/// The agents of a hive, in the order they were spawned.
#[derive(Default)]
pub(crate) struct Roster {
    members: Vec<Member>,
}

struct Member {
    /// That of the log of its hive.
    term: u64,
    agent: Box<dyn Agent>,
    id: AgentId,
    /// How many intents it has begun.
    intents: u64,
    intent: Intent,
    status: Status,
}

enum Status {
    /// To be run.
    Woken,
    /// Ran; the proposal awaits its outcome.
    Proposed {
        next: Next,
        looked: Looked,
    },
    /// To be run when something it looked at changes after that version.
    Watching {
        looked: Looked,
        seen: Version,
    },
    Done,
    Failed(String),
}

/// The keys written by a round, each by one member or by several.
type Written = BTreeMap<Key, Option<usize>>;

impl Roster {
    /// Adds an agent, woken.
    pub(crate) fn add(&mut self, id: AgentId, agent: Box<dyn Agent>, (term, now): (u64, Version)) {
        let mut member = Member {
            agent,
            term,
            intents: 0,
            intent: Intent { id: "".into(), attempt: 0, born: now },
            id,
            status: Status::Woken,
        };
        member.begin(now);
        self.members.push(member);
    }

    /// Runs every woken agent on one snapshot, in parallel, and returns their proposals with the members that made
    /// them, in the order of the roster.
    pub(crate) fn run_woken(&mut self, snapshot: &Snapshot, seed: u64) -> Vec<(usize, Proposal)> {
        let run =
            |(place, member): (usize, &mut Member)| Some((place, member.run(snapshot, seed)?));
        self.members.par_iter_mut().enumerate().filter_map(run).collect()
    }

    /// How many agents are woken.
    pub(crate) fn woken(&self) -> usize {
        self.members.iter().filter(|member| matches!(member.status, Status::Woken)).count()
    }

    /// Tells each proposer its outcome, and wakes whoever looked at what has changed.
    pub(crate) fn deliver(&mut self, answers: Vec<(usize, Proposal, Outcome)>, now: &Snapshot) {
        let written = written(&answers);
        for (place, proposal, outcome) in &answers {
            self.members[*place].take(*place, proposal.base, outcome, &written, now);
        }
        self.wake_on_change(now);
    }

    /// Wakes every agent that watches something which has changed since it looked.
    pub(crate) fn wake_on_change(&mut self, now: &Snapshot) {
        for member in &mut self.members {
            member.wake_on_change(now);
        }
    }

    pub(crate) fn failures(&self) -> Vec<Failure> {
        let failure = |member: &Member| match &member.status {
            Status::Failed(reason) => {
                Some(Failure { agent: member.id.clone(), reason: reason.clone() })
            }
            _ => None,
        };
        self.members.iter().filter_map(failure).collect()
    }
}

fn written(answers: &[(usize, Proposal, Outcome)]) -> Written {
    let mut written = Written::new();
    for (place, proposal, _) in answers.iter().filter(|(_, _, outcome)| outcome.is_committed()) {
        for (key, _) in &proposal.writes {
            written
                .entry(key.clone())
                .and_modify(|by| *by = by.filter(|by| by == place))
                .or_insert(Some(*place));
        }
    }
    written
}

impl Member {
    fn begin(&mut self, now: Version) {
        let id = own_id(Own::InWaves, self.id.as_str(), self.term, self.intents);
        self.intents += 1;
        self.intent = Intent { id, attempt: 0, born: now };
    }

    fn run(&mut self, snapshot: &Snapshot, seed: u64) -> Option<Proposal> {
        if !matches!(self.status, Status::Woken) {
            return None;
        }
        if self.intent.attempt == 0 {
            self.intent.born = snapshot.version();
        }
        let mut view = View::new(snapshot.clone(), Context::of_wave(&self.intent, seed));
        let run = || guarded(|| Ok((self.agent.run(&mut view)?, self.agent.class())));
        let (next, class) = match observe::agent_run(&self.id, self.intent.attempt, 0, run) {
            Ok(ran) => ran,
            Err(reason) => {
                self.status = Status::Failed(reason);
                return None;
            }
        };
        let (proposal, looked) = view.finish(self.id.clone(), &self.intent, class);
        self.status = match (&proposal, next) {
            (Some(_), next) => Status::Proposed { next, looked },
            (None, Next::Watch) => Status::Watching { looked, seen: snapshot.version() },
            (None, Next::Done) => Status::Done,
        };
        proposal
    }

    /// Takes the outcome of the proposal that was based on `base`.
    fn take(
        &mut self,
        place: usize,
        base: Version,
        outcome: &Outcome,
        written: &Written,
        now: &Snapshot,
    ) {
        let Status::Proposed { next, looked } = std::mem::replace(&mut self.status, Status::Woken)
        else {
            return;
        };
        let told = guarded(|| {
            self.agent.outcome(outcome);
            Ok(())
        });
        self.status = match (told, outcome) {
            (Err(reason), _) => Status::Failed(reason),
            (_, Outcome::Committed { version, .. }) => {
                self.begin(now.version());
                match next {
                    Next::Done => Status::Done,
                    Next::Watch if overtaken(place, base, *version, &looked, written, now) => {
                        Status::Woken
                    }
                    Next::Watch => Status::Watching { looked, seen: *version },
                }
            }
            (_, Outcome::TooOld { .. }) => {
                self.begin(now.version());
                Status::Woken
            }
            (_, Outcome::PreconditionFailed { expected, .. }) => {
                // It fails again until something that it depends on has changed.
                self.intent.attempt += 1;
                let mut looked = looked;
                looked.push(Read::Key(expected.key().clone()));
                Status::Watching { looked, seen: base }
            }
            (_, outcome) if outcome.may_retry() => {
                self.intent.attempt += 1;
                Status::Woken
            }
            (_, outcome) => Status::Failed(outcome.to_string()),
        };
    }

    fn wake_on_change(&mut self, now: &Snapshot) {
        let Status::Watching { looked, seen } = &self.status else {
            return;
        };
        if *seen < now.horizon || looked.iter().any(|read| now.changed_since(read, *seen).is_some())
        {
            self.status = Status::Woken;
        }
    }
}

/// Whether others changed what a member looked at, up to and including the version that committed its own proposal.
fn overtaken(
    place: usize,
    base: Version,
    version: Version,
    looked: &Looked,
    written: &Written,
    now: &Snapshot,
) -> bool {
    // Rounds from elsewhere came between: rather run once more than miss one of their changes.
    if version > base.next() {
        return true;
    }
    let by_another = |by: &Option<usize>| *by != Some(place);
    looked.iter().filter(|read| now.changed_since(read, base).is_some()).any(|read| match read {
        Read::Key(key) => written.get(key).is_some_and(by_another),
        Read::Under(prefix) => {
            let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
            let mut below = written.range::<str, _>(from);
            let starts = |key: &Key| key.as_str().starts_with(prefix.as_str());
            below
                .by_ref()
                .take_while(|(key, _)| starts(key))
                .any(|(key, by)| key.is_under(prefix.as_str()) && by_another(by))
        }
    })
}
