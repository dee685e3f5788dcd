//! What becomes of a round once its record is as durable as the log promises: its version can be read, and those who wait are answered.

use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

use queenright_primitives::Version;
use queenright_primitives::notify::Sender;
use queenright_primitives::snapshot::SnapshotCell;

use super::intake::{Counted, tell};
use super::news::News;
use crate::agent::Runtime;
use crate::lock::lock;
use crate::log::{Recent, Record};
use crate::metrics::Counters;
use crate::outcome::Outcome;
use crate::state::State;

/// A round that was decided, and is to be published.
pub(crate) struct Round {
    pub(crate) state: State,
    pub(crate) record: Arc<Record>,
    /// How wide the next one will be.
    pub(crate) window: usize,
}

/// An answer, and whose it is.
pub(crate) enum Answer {
    /// What the round says of the proposal at this place.
    One(Sender<Outcome>, usize),
    /// What it says of these.
    Many(Sender<Vec<Outcome>>, Range<usize>),
    /// What several rounds, or none, have said.
    Said(Sender<Outcome>, Outcome),
    AllSaid(Sender<Vec<Outcome>>, Vec<Outcome>),
    Counted(Sender<Counted>, Counted),
    Mark(Sender<()>),
}

/// What the queen has done, and what is to be told once all before it was told: mostly a round.
pub(crate) struct Step {
    pub(crate) round: Option<Round>,
    pub(crate) answers: Vec<Answer>,
    /// Whether the answers are right whatever has become of the rounds before.
    pub(crate) stands: bool,
}

/// Makes known what was decided, one step after the other.
pub(crate) struct Publisher {
    pub(crate) cell: Arc<SnapshotCell<State>>,
    pub(crate) recent: Arc<Mutex<Recent>>,
    /// Those who may have looked at what a round changes.
    pub(crate) agents: Arc<OnceLock<Arc<Runtime>>>,
    pub(crate) news: Arc<News>,
    pub(crate) counters: Arc<Counters>,
}

impl Publisher {
    /// Publishes a round, if there is one, and answers.
    pub(crate) fn publish(&self, step: Step) {
        let record = step.round.map(|round| self.publish_round(round));
        let outcomes = record.as_ref().map_or(&[][..], |record| &record.verdicts.outcomes);
        for answer in step.answers {
            match answer {
                Answer::One(sender, place) => tell(sender, outcomes[place].clone()),
                Answer::Many(sender, places) => tell(sender, outcomes[places].to_vec()),
                Answer::Said(sender, outcome) => tell(sender, outcome),
                Answer::AllSaid(sender, outcomes) => tell(sender, outcomes),
                Answer::Counted(sender, counted) => tell(sender, counted),
                Answer::Mark(sender) => tell(sender, ()),
            }
        }
    }

    fn publish_round(&self, Round { state, record, window }: Round) -> Arc<Record> {
        lock(&self.recent).append(Arc::clone(&record));
        let version = record.input.round;
        let published = self.cell.compare_and_commit(Version(version.0 - 1), state);
        assert!(published.is_ok(), "the queen alone publishes versions: {published:?}");
        if let Some(agents) = self.agents.get() {
            agents.committed(&record);
        }
        self.news.tell();
        self.counters.decided(version, &record.verdicts, window);
        record
    }

    /// Says of a step that nobody knows what becomes of it: to its owners when it is dropped.
    pub(crate) fn give_up(&self, step: Step) {
        if step.stands {
            return self.publish(step);
        }
        if let Some(Round { record, .. }) = &step.round {
            self.counters.unknown(&record.verdicts);
        }
    }
}
