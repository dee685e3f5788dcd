//! What an agent asks the queen to commit.

use std::fmt;
use std::sync::Arc;

use queenright_primitives::Version;
use queenright_primitives::claim::FencingToken;
pub use queenright_primitives::proposal::Read;
use queenright_primitives::schedule::Class;

use crate::consensus::QuorumRule;
use crate::encoding::{self, Digest};
use crate::id::{AgentId, ProposalId};
use crate::key::{IntoKey, Key, KeyError};
use crate::op::Op;
use crate::sets::{ReadSet, WriteSet};
use crate::state::Snapshot;
use crate::value::Value;

/// How urgent a proposal is, and until when it is worth anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Hint {
    /// Its priority class.
    pub class: Class,
    /// The time of the hive's clock after which it is refused as expired.
    pub deadline: Option<u64>,
}

/// A condition on the snapshot of the round that decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precondition {
    /// The key holds exactly this value.
    Equals(Key, Value),
    /// The key holds something.
    Exists(Key),
    /// The key holds nothing.
    Absent(Key),
}

impl Precondition {
    /// The key it is about.
    pub fn key(&self) -> &Key {
        match self {
            Precondition::Equals(key, _)
            | Precondition::Exists(key)
            | Precondition::Absent(key) => key,
        }
    }

    fn key_mut(&mut self) -> &mut Key {
        match self {
            Precondition::Equals(key, _)
            | Precondition::Exists(key)
            | Precondition::Absent(key) => key,
        }
    }

    /// The value it asks for.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Precondition::Equals(_, value) => Some(value),
            Precondition::Exists(_) | Precondition::Absent(_) => None,
        }
    }

    /// Whether it holds when the key has this value.
    pub fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            Precondition::Equals(_, expected) => found == Some(expected),
            Precondition::Exists(_) => found.is_some(),
            Precondition::Absent(_) => found.is_none(),
        }
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Precondition::Equals(key, value) => write!(f, "{key} = {value}"),
            Precondition::Exists(key) => write!(f, "{key} exists"),
            Precondition::Absent(key) => write!(f, "{key} is absent"),
        }
    }
}

/// Whether what is read would see a change of a key.
pub(crate) fn sees(read: &Read<Key>, key: &Key) -> bool {
    match read {
        Read::Key(read) => read == key,
        Read::Under(prefix) => key.is_under(prefix.as_str()),
    }
}

/// What a proposal shows that was made by the holder of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claimed {
    /// What is claimed.
    pub key: Key,
    /// The number of the claim's token: the proposal is refused unless that is the current one when it is judged.
    pub token: FencingToken,
    /// The version from which on the claim holds: the proposal is refused if it was computed from an older one.
    pub since: Version,
}

/// A change that an agent proposes: all of it is committed, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The intent: all attempts at one thing share it, and at most one of them is committed.
    pub id: ProposalId,
    /// Which attempt at the intent this is.
    pub attempt: u32,
    /// Who proposes.
    pub agent: AgentId,
    /// Which life of the agent this comes from: proposals of lives that have been ended are refused.
    pub incarnation: u64,
    /// The version it was computed from.
    pub base: Version,
    /// The version at which the intent was born; the same for all attempts.
    pub born: Version,
    /// What was read to compute it, absences included.
    pub reads: ReadSet,
    /// What must hold in the round that decides.
    pub preconditions: Vec<Precondition>,
    /// One operation per key.
    pub writes: WriteSet,
    /// When it should be served.
    pub hint: Hint,
    /// The claim that it is made under.
    pub claim: Option<Box<Claimed>>,
    /// Who must agree with it before it is judged.
    pub quorum: Option<Arc<QuorumRule>>,
}

impl Proposal {
    /// Roughly the bytes of its record: never many times fewer.
    pub(crate) fn bytes(&self) -> usize {
        // Numbers, lengths and tags.
        const EACH: usize = 32;
        let key = |key: &Key| key.as_str().len() + EACH;
        let reads = self.reads.into_iter().map(|read| key(read.key()));
        let writes = self.writes.into_iter().map(|(it, op)| key(it) + op.bytes());
        let preconditions = self.preconditions.iter();
        let preconditions =
            preconditions.map(|it| key(it.key()) + it.value().map_or(0, Value::bytes));
        let named = self.id.as_str().len() + self.agent.as_str().len() + EACH;
        named + reads.sum::<usize>() + writes.sum::<usize>() + preconditions.sum::<usize>()
    }

    /// Each key that it reads, asks for or writes, in an order of their own.
    #[inline]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        let reads = self.reads.iter().filter_map(|read| match read {
            Read::Key(key) => Some(key),
            Read::Under(_) => None,
        });
        let asked = self.preconditions.iter().map(Precondition::key);
        reads.chain(asked).chain(self.writes.iter().map(|(key, _)| key))
    }

    /// The same in the same order, to have them remember where they are kept.
    #[inline]
    pub(crate) fn each_key(&mut self, mut each: impl FnMut(&mut Key)) {
        self.reads.each_key(&mut each);
        self.preconditions.iter_mut().for_each(|it| each(it.key_mut()));
        self.writes.iter_mut().for_each(|(key, _)| each(key));
    }

    /// An empty first attempt, computed from `snapshot`.
    pub fn on(snapshot: &Snapshot, agent: impl Into<AgentId>, id: impl Into<ProposalId>) -> Self {
        Proposal {
            id: id.into(),
            attempt: 0,
            agent: agent.into(),
            incarnation: 0,
            base: snapshot.version(),
            born: snapshot.version(),
            reads: ReadSet::new(),
            preconditions: Vec::new(),
            writes: WriteSet::new(),
            hint: Hint::default(),
            claim: None,
            quorum: None,
        }
    }

    /// A digest of all of it: what a [ballot](crate::consensus::Ballot) is about.
    pub fn digest(&self) -> Digest {
        encoding::digest(self)
    }

    /// Adds an operation on a key.
    ///
    /// # Errors
    /// [`KeyError`] if the text is no key. A key written twice is found when the proposal is decided.
    pub fn write(mut self, key: impl IntoKey, op: Op) -> Result<Self, KeyError> {
        self.writes.push((key.into_key()?, op));
        Ok(self)
    }

    /// Adds an entry to the read set.
    #[must_use]
    pub fn read(mut self, read: Read<Key>) -> Self {
        self.reads.insert(read);
        self
    }

    /// Adds a precondition.
    #[must_use]
    pub fn require(mut self, precondition: Precondition) -> Self {
        self.preconditions.push(precondition);
        self
    }

    /// Makes it depend on a claim: it is refused once the claim has passed on to somebody else.
    #[must_use]
    pub fn under(mut self, claim: Claimed) -> Self {
        self.claim = Some(Box::new(claim));
        self
    }

    /// Lets it be judged only if enough of a roll agree.
    #[must_use]
    pub fn with_quorum(mut self, rule: impl Into<Arc<QuorumRule>>) -> Self {
        self.quorum = Some(rule.into());
        self
    }

    /// Sets the time of the hive's clock after which it is refused as expired.
    #[must_use]
    pub fn deadline(mut self, deadline: u64) -> Self {
        self.hint.deadline = Some(deadline);
        self
    }

    /// Sets the priority class.
    #[must_use]
    pub fn class(mut self, class: Class) -> Self {
        self.hint.class = class;
        self
    }
}
