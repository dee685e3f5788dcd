use std::sync::Arc;

use crate::consensus::{CastVote, RoundInput, Verdicts};
use crate::digest::{Digest, Feed, Sink};
use crate::proposal::Proposal;

/// A round as it was decided: what came in, on what it depended, what was said.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// The digest of the record before; all zeros for the first.
    pub previous: Digest,
    /// What the decision depended on besides snapshot and batch.
    pub input: RoundInput,
    /// The proposals on which a ballot was opened.
    pub opened: Vec<Arc<Proposal>>,
    /// The votes that were counted, in that order. The ballots that they decided are those of `input`.
    pub votes: Vec<CastVote>,
    /// The proposals.
    pub batch: Vec<Proposal>,
    /// What was said to each.
    pub verdicts: Verdicts,
    /// The digest of all fields above.
    pub digest: Digest,
}

impl Record {
    pub(crate) fn new(
        previous: Digest,
        input: RoundInput,
        (opened, votes): (Vec<Arc<Proposal>>, Vec<CastVote>),
        batch: Vec<Proposal>,
        verdicts: Verdicts,
    ) -> Self {
        let digest = Digest::default();
        let mut record = Record { previous, input, opened, votes, batch, verdicts, digest };
        record.digest = record.computed_digest();
        record
    }

    /// The digest that the other fields have now.
    pub(crate) fn computed_digest(&self) -> Digest {
        let mut sink = Sink::new();
        self.previous.feed(&mut sink);
        self.input.feed(&mut sink);
        sink.all(self.opened.iter().map(|proposal| &**proposal)).all(self.votes.iter());
        sink.all(self.batch.iter()).all(self.verdicts.outcomes.iter());
        sink.number(self.verdicts.serial.len() as u64);
        sink.number(self.verdicts.pending.len() as u64);
        let Verdicts { accepted, serial, pending, .. } = &self.verdicts;
        for places in [accepted, serial, pending] {
            places.iter().for_each(|&place| {
                sink.number(place as u64);
            });
        }
        sink.finish()
    }

    /// The accepted proposals in the order they were judged.
    pub fn accepted(&self) -> impl Iterator<Item = &Proposal> {
        self.verdicts.accepted.iter().filter_map(|&place| self.batch.get(place))
    }
}
