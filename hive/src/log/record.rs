use std::collections::BTreeMap;
use std::sync::Arc;

use crate::consensus::{Attempt, Ballot, CastVote, RoundInput, Verdicts};
use crate::encoding::{self, Decode, DecodeError, Digest, Encode, Sink, Source};
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
        votes: (Vec<Arc<Proposal>>, Vec<CastVote>),
        batch: Vec<Proposal>,
        verdicts: Verdicts,
    ) -> Self {
        let mut record = Record::without_digest(previous, input, votes, batch, verdicts);
        record.digest = record.computed_digest();
        record
    }

    /// The record, and its [bytes](Self::to_bytes), of which the digest is made as well.
    pub(crate) fn with_bytes(
        previous: Digest,
        input: RoundInput,
        votes: (Vec<Arc<Proposal>>, Vec<CastVote>),
        batch: Vec<Proposal>,
        verdicts: Verdicts,
    ) -> (Self, Vec<u8>) {
        let mut record = Record::without_digest(previous, input, votes, batch, verdicts);
        let bytes = record.to_bytes();
        record.digest = Digest::of(&bytes);
        (record, bytes)
    }

    fn without_digest(
        previous: Digest,
        input: RoundInput,
        (opened, votes): (Vec<Arc<Proposal>>, Vec<CastVote>),
        batch: Vec<Proposal>,
        verdicts: Verdicts,
    ) -> Self {
        let digest = Digest::default();
        Record { previous, input, opened, votes, batch, verdicts, digest }
    }

    /// The digest that the other fields have now.
    pub(crate) fn computed_digest(&self) -> Digest {
        encoding::digest(self)
    }

    /// All fields but the digest, which is that of these bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        encoding::encoded(self)
    }

    /// The accepted proposals in the order they were judged.
    pub fn accepted(&self) -> impl Iterator<Item = &Proposal> {
        self.verdicts.accepted.iter().filter_map(|&place| self.batch.get(place))
    }

    /// The proposals that are judged once more in the next round.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Proposal> {
        self.verdicts.pending.iter().filter_map(|&place| self.batch.get(place))
    }

    /// The ballots of those.
    pub(crate) fn passed(&self) -> BTreeMap<Attempt, Ballot> {
        let name = |it: &Proposal| (it.id.clone(), it.attempt);
        let kept = self.pending().filter_map(|it| self.input.ballots.get_key_value(&name(it)));
        kept.map(|(name, ballot)| (name.clone(), ballot.clone())).collect()
    }
}

impl Encode for Record {
    fn encode(&self, sink: &mut Sink) {
        let Record { previous, input, opened, votes, batch, verdicts, digest: _ } = self;
        previous.encode(sink);
        input.encode(sink);
        opened.encode(sink);
        votes.encode(sink);
        batch.encode(sink);
        verdicts.encode(sink);
    }
}

impl Decode for Record {
    fn decode(source: &mut Source<'_>) -> Result<Self, DecodeError> {
        let offset = source.offset();
        let mut record = Record {
            previous: Decode::decode(source)?,
            input: Decode::decode(source)?,
            opened: Decode::decode(source)?,
            votes: Decode::decode(source)?,
            batch: Decode::decode(source)?,
            verdicts: Decode::decode(source)?,
            digest: Digest::default(),
        };
        record.digest = Digest::of(source.since(offset));
        Ok(record)
    }
}
