//! What a round depends on besides the snapshot and the batch.

use std::collections::{BTreeMap, BTreeSet};

use queenright_primitives::Version;
use queenright_primitives::claim::FencingToken;

use crate::consensus::intents::Known;
use crate::consensus::{Ballot, Permissions};
use crate::encoding::fields;
use crate::id::{AgentId, ProposalId};
use crate::key::Key;

/// How large a proposal may be, and a round. What is beyond is refused as [`LimitReached`](crate::Outcome::LimitReached); how
/// long and deep keys and how deep values may be is fixed, and said when they are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most entries of its read set, preconditions and write set together.
    pub keys: usize,
    /// The most bytes its operations may carry.
    pub bytes: usize,
    /// The most bytes one value may have.
    pub value: usize,
    /// The most proposals that are judged in one round; those whose turn comes later are refused.
    pub proposals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { keys: 65_536, bytes: 16 << 20, value: 4 << 20, proposals: 1 << 20 }
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
    /// For how many rounds a proposal that read nothing, and lost against others of its round, is judged again by itself
    /// before it is refused. 0: it is refused at once, as it is where it would fall out of the window.
    pub pending: u64,
    /// Who may write where.
    pub permissions: Permissions,
}

impl Default for RoundPolicy {
    fn default() -> Self {
        RoundPolicy {
            limits: Limits::default(),
            aging: 8,
            window: 1024,
            pending: 0,
            permissions: Permissions::everybody(),
        }
    }
}

/// The rules by which this version of the code judges. A later one that judges otherwise has others, so that what was recorded under
/// these is not taken for wrong.
pub const RULES: u32 = 1;

/// Everything a round depends on besides the snapshot and the batch. It is recorded with the round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundInput {
    /// The version that this round makes: one more than the snapshot's.
    pub round: Version,
    /// The [rules](RULES) by which it is judged.
    pub rules: u32,
    /// The hive's clock when the round began.
    pub now: u64,
    /// What breaks ties, so that no id always wins.
    pub seed: u64,
    /// What is the same for all rounds.
    pub policy: RoundPolicy,
    /// What was answered before to the intents of this batch.
    pub decided: BTreeMap<ProposalId, Known>,
    /// The attempts of this batch that were taken back before the round began.
    pub cancelled: BTreeSet<(ProposalId, u32)>,
    /// The current token of each claim that this batch shows; none for what nobody holds.
    pub claims: BTreeMap<Key, FencingToken>,
    /// The lowest life that may propose, of those agents of this batch who have lost one.
    pub incarnations: BTreeMap<AgentId, u64>,
    /// The votes on those attempts of this batch that need any.
    pub ballots: BTreeMap<(ProposalId, u32), Ballot>,
}

impl RoundInput {
    /// For a round at time 0 with seed 0, which nothing came before.
    pub fn new(round: Version) -> Self {
        RoundInput {
            round,
            rules: RULES,
            now: 0,
            seed: 0,
            policy: RoundPolicy::default(),
            decided: BTreeMap::new(),
            cancelled: BTreeSet::new(),
            claims: BTreeMap::new(),
            incarnations: BTreeMap::new(),
            ballots: BTreeMap::new(),
        }
    }
}

fields!(Limits { keys, bytes, value, proposals });

fields!(RoundPolicy { limits, aging, window, pending, permissions });

fields!(RoundInput {
    round,
    rules,
    now,
    seed,
    policy,
    decided,
    cancelled,
    claims,
    incarnations,
    ballots
});
