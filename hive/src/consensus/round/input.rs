//! What a round depends on besides the snapshot and the batch.

use std::collections::BTreeMap;

use queenright_primitives::Version;

use crate::consensus::window::Known;
use crate::digest::{Feed, Sink};
use crate::id::ProposalId;

/// How large a proposal may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of its read set, preconditions and write set together.
    pub keys: usize,
    /// The most bytes its operations may carry.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keys: 65_536, bytes: 16 << 20 }
    }
}

/// What is the same for all rounds of a hive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundPolicy {
    /// How large a proposal may be.
    pub limits: Limits,
    /// After how many rounds of waiting an intent's class rises by one. At least 1.
    pub aging: u64,
    /// How many versions of history are kept: for removals, and for the answers given to intents.
    pub window: u64,
}

impl Default for RoundPolicy {
    fn default() -> Self {
        RoundPolicy { limits: Limits::default(), aging: 8, window: 1024 }
    }
}

/// Everything a round depends on besides the snapshot and the batch. It is recorded with the round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundInput {
    /// The version that this round makes: one more than the snapshot's.
    pub round: Version,
    /// The hive's clock when the round began.
    pub now: u64,
    /// What breaks ties, so that no id always wins.
    pub seed: u64,
    /// What is the same for all rounds.
    pub policy: RoundPolicy,
    /// What was answered before to the intents of this batch.
    pub decided: BTreeMap<ProposalId, Known>,
}

impl Feed for RoundInput {
    fn feed(&self, sink: &mut Sink) {
        self.round.feed(sink);
        sink.number(self.now).number(self.seed);
        sink.number(self.policy.limits.keys as u64).number(self.policy.limits.bytes as u64);
        sink.number(self.policy.aging).number(self.policy.window);
        sink.number(self.decided.len() as u64);
        for (id, known) in &self.decided {
            id.feed(sink);
            known.feed(sink);
        }
    }
}
