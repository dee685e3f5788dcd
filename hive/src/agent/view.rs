//! One run's window on the state.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use queenright_primitives::Version;
use queenright_primitives::schedule::Class;
use siphasher::sip::SipHasher13;

use super::context::Context;
use crate::error::TOO_DEEP;
use crate::id::{AgentId, ProposalId};
use crate::key::{IntoKey, Key, KeyError};
use crate::op::{Op, Operator, Refusal};
use crate::proposal::{Hint, Precondition, Proposal, Read};
use crate::state::{Entry, Snapshot};
use crate::value::Value;

/// What one run of an agent reads and writes, on one snapshot.
///
/// Reads are recorded as they happen: if another agent changes what was read, this run's proposal loses and the agent
/// runs again. [`peek`](View::peek) and [`peek_under`](View::peek_under) look without that promise; what they
/// saw may have changed by the time the proposal is committed.
pub struct View {
    snapshot: Snapshot,
    context: Context,
    reads: BTreeSet<Read<Key>>,
    peeks: BTreeSet<Read<Key>>,
    preconditions: Vec<Precondition>,
    writes: BTreeMap<Key, Op>,
}

impl View {
    pub(crate) fn new(snapshot: Snapshot, context: Context) -> Self {
        View {
            snapshot,
            context,
            reads: BTreeSet::new(),
            peeks: BTreeSet::new(),
            preconditions: Vec::new(),
            writes: BTreeMap::new(),
        }
    }

    /// What this run may ask about itself.
    pub fn context(&mut self) -> &mut Context {
        &mut self.context
    }

    /// The version that this run sees.
    pub fn version(&self) -> Version {
        self.snapshot.version()
    }

    /// What a key holds, as this run has left it. Recorded as read.
    ///
    /// # Errors
    /// [`ViewError`] if the text is no key.
    pub fn get(&mut self, key: impl IntoKey) -> Result<Option<Value>, ViewError> {
        let key = self.snapshot.key(key)?;
        let value = self.current(&key);
        // What this run wrote itself, it knows without reading.
        if !matches!(self.writes.get(&key), Some(Op::Set(_) | Op::Remove)) {
            self.reads.insert(Read::Key(key));
        }
        Ok(value)
    }

    /// All entries at and below a prefix, as the snapshot has them. Recorded as read, so that an entry created or
    /// removed there by another agent counts as a change.
    ///
    /// # Errors
    /// [`ViewError`] if the text is neither a key nor empty.
    pub fn under(&mut self, prefix: &str) -> Result<Vec<(Key, Value)>, ViewError> {
        let found = self.snapshot.under(prefix);
        let found = found.map(|(key, entry)| (key.clone(), entry.value.clone())).collect();
        self.reads.insert(Read::Under(Key::prefix(prefix)?));
        Ok(found)
    }

    /// What the snapshot holds under a key, with its origin, without a claim that it stays so.
    ///
    /// # Errors
    /// [`ViewError`] if the text is no key.
    pub fn peek(&mut self, key: impl IntoKey) -> Result<Option<&Entry>, ViewError> {
        let key = self.snapshot.key(key)?;
        let entry = self.snapshot.entry_of(&key);
        self.peeks.insert(Read::Key(key));
        Ok(entry)
    }

    /// All entries of the snapshot at and below a prefix, without a claim that they stay so.
    ///
    /// # Errors
    /// [`ViewError`] if the text is neither a key nor empty.
    pub fn peek_under(&mut self, prefix: &str) -> Result<Vec<(&Key, &Entry)>, ViewError> {
        self.peeks.insert(Read::Under(Key::prefix(prefix)?));
        Ok(self.snapshot.under(prefix).collect())
    }

    /// The whole snapshot. Recorded as a read of everything.
    pub fn snapshot(&mut self) -> &Snapshot {
        self.reads.insert(Read::Under(Key::root()));
        &self.snapshot
    }

    /// Writes a value.
    ///
    /// # Errors
    /// [`ViewError`] if the text is no key.
    pub fn set(&mut self, key: impl IntoKey, value: impl Into<Value>) -> Result<(), ViewError> {
        self.write(key, Op::Set(value.into()))
    }

    /// Removes a key.
    ///
    /// # Errors
    /// [`ViewError`] if the text is no key.
    pub fn remove(&mut self, key: impl IntoKey) -> Result<(), ViewError> {
        self.write(key, Op::Remove)
    }

    /// Adds an operation, on top of what this run already wrote to the key.
    ///
    /// # Errors
    /// [`ViewError`] if the text is no key, or the operation is undefined on what the key holds as far as this
    /// run can see; then it is not added.
    pub fn write(&mut self, key: impl IntoKey, op: Op) -> Result<(), ViewError> {
        let key = self.snapshot.key(key)?;
        let op = self.defined(&key, &op)?;
        self.writes.insert(key, op);
        Ok(())
    }

    /// Whether [`write`](Self::write) would add the operation.
    ///
    /// # Errors
    /// As there.
    pub fn check(&mut self, key: impl IntoKey, op: &Op) -> Result<(), ViewError> {
        let key = self.snapshot.key(key)?;
        self.defined(&key, op).map(drop)
    }

    /// The operation together with what this run wrote before, if it is defined on the snapshot.
    ///
    /// A refusal tells something of what is stored, so it counts as a peek; a blind write does not.
    fn defined(&mut self, key: &Key, op: &Op) -> Result<Op, ViewError> {
        if !op.is_shallow() {
            return Err(ViewError::TooDeep(key.clone()));
        }
        let both = match self.writes.get(key) {
            None => Ok(op.clone()),
            Some(before) => then(before, op),
        };
        let stored = self.snapshot.entry_of(key).map(|entry| &entry.value);
        let defined = both.and_then(|both| both.apply(stored).map(|_| both));
        defined.map_err(|refusal| {
            self.peeks.insert(Read::Key(key.clone()));
            ViewError::Refused { key: key.clone(), refusal }
        })
    }

    /// Adds a condition that must hold in the round that decides.
    ///
    /// # Errors
    /// [`ViewError::TooDeep`] if the value it names is nested too deeply.
    pub fn require(&mut self, precondition: Precondition) -> Result<(), ViewError> {
        if !precondition.value().is_none_or(Value::is_shallow) {
            return Err(ViewError::TooDeep(precondition.key().clone()));
        }
        self.preconditions.push(precondition);
        Ok(())
    }

    /// Forgets what this run wrote and required, but not what it has read.
    #[cfg(feature = "process")]
    pub(crate) fn forget_writes(&mut self) {
        self.writes.clear();
        self.preconditions.clear();
    }

    fn current(&self, key: &Key) -> Option<Value> {
        let stored = self.snapshot.entry_of(key).map(|entry| &entry.value);
        match self.writes.get(key) {
            None => stored.cloned(),
            // `write` checked that the operation is defined here.
            Some(op) => op.apply(stored).ok().flatten(),
        }
    }

    /// Whether this run proposes anything.
    pub(crate) fn proposes(&self) -> bool {
        !self.writes.is_empty() || !self.preconditions.is_empty()
    }

    /// The proposal of this run, if it wrote anything, and all that it looked at.
    pub(crate) fn finish(
        self,
        agent: AgentId,
        intent: &Intent,
        class: Class,
    ) -> (Option<Proposal>, Looked) {
        let version = self.snapshot.version();
        let looked: Vec<_> = self.reads.iter().chain(&self.peeks).cloned().collect();
        let proposal = self.proposes().then(|| Proposal {
            id: intent.id.clone(),
            attempt: intent.attempt,
            agent,
            incarnation: 0,
            base: version,
            born: intent.born,
            reads: self.reads.into_iter().collect(),
            preconditions: self.preconditions,
            writes: self.writes.into_iter().collect(),
            hint: Hint { class, deadline: None },
            claim: None,
            quorum: None,
        });
        (proposal, looked)
    }
}

/// Everything a run read or peeked at.
pub(crate) type Looked = Vec<Read<Key>>;

/// What the attempts at one thing share.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) id: ProposalId,
    pub(crate) attempt: u32,
    pub(crate) born: Version,
}

impl Intent {
    /// A number that depends on this attempt and the hive's seed alone.
    pub(crate) fn random(&self, seed: u64) -> u64 {
        let keyed = SipHasher13::new_with_keys(seed, u64::from(self.attempt));
        keyed.hash(self.id.as_str().as_bytes())
    }
}

/// One operation that does what `before` and then `next` do.
fn then(before: &Op, next: &Op) -> Result<Op, Refusal> {
    let both = (before.operator(), next.operator());
    match (before, next) {
        // These also claim something about the stored value, which a plain overwrite would forget.
        (Op::Agree(_) | Op::Constrain(_) | Op::Intersect(_), Op::Set(_) | Op::Remove) => {
            Err(Refusal::Operators(both.0, both.1))
        }
        (Op::Add { at_least, at_most, .. }, Op::Set(_) | Op::Remove)
            if at_least.is_some() || at_most.is_some() =>
        {
            Err(Refusal::Operators(both.0, both.1))
        }
        (_, Op::Set(_) | Op::Remove) => Ok(next.clone()),
        (Op::Set(value), _) => Ok(next.apply(Some(value))?.map_or(Op::Remove, Op::Set)),
        (Op::Remove, _) => Ok(next.apply(None)?.map_or(Op::Remove, Op::Set)),
        (Op::Add { by: a, at_least, at_most }, Op::Add { by: b, at_least: l, at_most: m }) => {
            let by = a.checked_add(*b).ok_or(Refusal::Operators(both.0, both.1))?;
            let at_least = (*at_least).max(*l);
            let at_most = [*at_most, *m].into_iter().flatten().min();
            Ok(Op::Add { by, at_least, at_most })
        }
        _ if both.0 == both.1 && both.0 != Operator::Add => merged(before, next),
        _ => Err(Refusal::Operators(both.0, both.1)),
    }
}

/// Two operations whose merge is what applying the second to the first's value gives.
fn merged(before: &Op, next: &Op) -> Result<Op, Refusal> {
    let value = before.apply(None).and_then(|value| next.apply(value.as_ref()))?;
    Ok(match (next, value) {
        (Op::Max(_), Some(value)) => Op::Max(value),
        (Op::Min(_), Some(value)) => Op::Min(value),
        (Op::Agree(_), Some(value)) => Op::Agree(value),
        (Op::Union(_), Some(Value::Set(set))) => Op::Union(set),
        (Op::Intersect(_), Some(Value::Set(set))) => Op::Intersect(set),
        (Op::Constrain(_), Some(Value::Requirement(requirement))) => Op::Constrain(requirement),
        _ => return Err(Refusal::Operators(before.operator(), next.operator())),
    })
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View")
            .field("version", &self.version().0)
            .field("reads", &self.reads.len())
            .field("writes", &self.writes.len())
            .finish_non_exhaustive()
    }
}

/// Why a view refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ViewError {
    /// The text is no key.
    Key(KeyError),
    /// The operation is undefined on what the key holds.
    Refused {
        /// Which key.
        key: Key,
        /// Why.
        refusal: Refusal,
    },
    /// The value is nested deeper than [`MAX_VALUE_DEPTH`](crate::MAX_VALUE_DEPTH).
    TooDeep(Key),
}

impl From<KeyError> for ViewError {
    fn from(error: KeyError) -> Self {
        ViewError::Key(error)
    }
}

impl fmt::Display for ViewError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ViewError::Key(error) => error.fmt(f),
            ViewError::TooDeep(key) => write!(f, "{key}: {TOO_DEEP}"),
            ViewError::Refused { key, refusal } => write!(f, "{key}: {refusal}"),
        }
    }
}

impl std::error::Error for ViewError {}
