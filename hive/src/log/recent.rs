use std::collections::VecDeque;
use std::sync::Arc;

use queenright_primitives::Version;

use super::Record;

/// The last rounds, for whoever looks back.
#[derive(Debug)]
pub(crate) struct Recent {
    records: VecDeque<Arc<Record>>,
    keep: usize,
}

impl Recent {
    /// Keeps the last `keep` records.
    pub(crate) fn keeping(keep: usize) -> Self {
        Recent { records: VecDeque::new(), keep }
    }

    pub(crate) fn append(&mut self, record: Arc<Record>) {
        self.records.push_back(record);
        while self.records.len() > self.keep {
            self.records.pop_front();
        }
    }

    /// The record of a round, if it is kept.
    pub(crate) fn record(&self, round: Version) -> Option<Arc<Record>> {
        let last = self.records.back()?.input.round;
        // One record a round, without a gap.
        let back = usize::try_from(last.0.checked_sub(round.0)?).ok()?;
        let place = self.records.len().checked_sub(1)?.checked_sub(back)?;
        self.records.get(place).cloned()
    }

    /// The kept records, oldest first.
    pub(crate) fn records(&self) -> Vec<Arc<Record>> {
        self.records.iter().cloned().collect()
    }
}
