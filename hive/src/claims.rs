//! Claims and lives of agents: what keeps those out of rounds who have been replaced.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock};

use queenright_primitives::Version;
use queenright_primitives::claim::{
    self, ClaimTable, ClaimToken, Incarnation, OwnerId, StaleClaim, Turns,
};

use crate::consensus::{Clock, RoundInput};
use crate::id::AgentId;
use crate::key::{IntoKey, Key, KeyError};
use crate::lock::lock;
use crate::proposal::{Claimed, Proposal};

/// Who holds what, in a hive: leases by its clock, and proposals that are refused once they are over.
///
/// ```
/// use queenright::{Hive, Op, Outcome, Proposal};
///
/// let hive = Hive::builder().build()?;
/// let claim = hive.claims().claim("task/7", "ant")?;
/// assert!(hive.claims().claim("task/7", "bee").is_err());
///
/// let done = |id: &str| Proposal::on(&hive.snapshot(), "ant", id).write("task/7", Op::Set("done".into()));
/// assert!(hive.propose(done("first")?.under(claim.claimed()))?.wait().is_committed());
///
/// hive.claims().release(&claim)?;
/// let late = hive.propose(done("second")?.under(claim.claimed()))?.wait();
/// assert!(matches!(late, Outcome::StaleClaim { .. }), "{late}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Claims {
    /// Made when it is first needed.
    table: OnceLock<ClaimTable<Key>>,
    term: u64,
    capacity: usize,
    lease: u64,
    clock: Clock,
    /// The rounds that have begun.
    rounds: Turns,
    owners: Mutex<Owners>,
    /// The lowest life of each agent that has lost one.
    lives: Mutex<Lives>,
}

/// Agents by number.
#[derive(Default)]
struct Owners {
    numbers: HashMap<AgentId, u64>,
    names: Vec<AgentId>,
}

/// A claim that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    key: Key,
    token: ClaimToken,
    since: Version,
}

impl Claim {
    /// What a proposal shows that is made [under](Proposal::under) it.
    pub fn claimed(&self) -> Claimed {
        Claimed { key: self.key.clone(), token: self.token.fencing(), since: self.since }
    }

    /// The version from which on it holds: whoever held it before can have changed nothing after that.
    pub fn since(&self) -> Version {
        self.since
    }

    /// The time of the hive's clock at which it ends, unless a heartbeat comes before.
    pub fn until(&self) -> u64 {
        self.token.until()
    }
}

/// Why nothing was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ClaimError {
    /// The text is no key.
    Key(KeyError),
    /// Somebody holds it.
    Held {
        /// Who.
        by: AgentId,
        /// Until which time of the hive's clock, unless a heartbeat comes before.
        until: u64,
    },
    /// It was completed: nothing is left to do.
    Completed,
    /// There are as many claims as the hive has room for.
    Full {
        /// How many.
        most: usize,
    },
}

impl fmt::Display for ClaimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClaimError::Key(error) => error.fmt(f),
            ClaimError::Held { by, until } => {
                write!(f, "{by} holds it until {until}: claim another, or this one later")
            }
            ClaimError::Completed => f.write_str("completed already: nothing is left to do"),
            ClaimError::Full { most } => write!(
                f,
                "{most} are claimed or completed, and no more are allowed: forget what is completed, or raise \
                 the limit with `HiveBuilder::claims`"
            ),
        }
    }
}

impl std::error::Error for ClaimError {}

#[derive(Default)]
struct Lives {
    /// Of those agents of whom some were ended.
    ended: BTreeMap<AgentId, Ended>,
    /// The number of the next that the hive begins, unless more were ended.
    next: u64,
}

/// Which lives of an agent are kept out.
#[derive(Default)]
struct Ended {
    /// The lowest that may propose.
    lowest: u64,
    /// How many of the hive's own may still have something on its way. Once there are none, all is forgotten, unless somebody
    /// else has asked for it.
    own: u32,
    is_kept: bool,
}

/// What keeps an agent's earlier lives out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fenced {
    /// The lowest life whose proposals are judged from now on.
    pub incarnation: u64,
    /// The last version that an earlier life may still have changed.
    pub since: Version,
}

impl Claims {
    /// In a term of a log, tokens and lives are higher than in all terms before.
    pub(crate) fn new(capacity: usize, lease: u64, term: u64, clock: Clock) -> Self {
        let lives = Lives { next: term << 32, ..Lives::default() };
        Claims {
            table: OnceLock::new(),
            term,
            capacity: capacity.max(1),
            lease,
            clock,
            rounds: Turns::new(),
            owners: Mutex::default(),
            lives: Mutex::new(lives),
        }
    }

    /// Claims a key, which need not hold anything, for the time of a lease.
    ///
    /// # Errors
    /// [`ClaimError`], and then the caller holds nothing.
    pub fn claim(&self, key: impl IntoKey, agent: impl Into<AgentId>) -> Result<Claim, ClaimError> {
        let key = key.into_key().map_err(ClaimError::Key)?;
        // The caller's code, before a lock is taken.
        let agent = agent.into();
        let owner = OwnerId(self.owners().number(agent));
        let granted = self.table().claim(key.clone(), owner, (self.clock)());
        match granted {
            // Rounds that had begun may have been decided without looking at this claim.
            Ok(token) => Ok(Claim { key, token, since: Version(self.rounds.current()) }),
            Err(claim::ClaimError::Held { by, until, .. }) => {
                Err(ClaimError::Held { by: self.owners().name(by), until })
            }
            Err(claim::ClaimError::Completed { .. }) => Err(ClaimError::Completed),
            Err(_) => {
                // Room that is only taken by leases which are over.
                if self.table().reclaim_expired((self.clock)(), |_, _| ()) > 0 {
                    let agent = self.owners().name(owner);
                    return self.claim(key, agent);
                }
                Err(ClaimError::Full { most: self.capacity })
            }
        }
    }

    /// Puts the end of the lease off, and says to when.
    ///
    /// # Errors
    /// [`StaleClaim`]: it is not the current claim any more.
    pub fn heartbeat(&self, claim: &Claim) -> Result<u64, StaleClaim> {
        self.table().heartbeat(&claim.token, (self.clock)())
    }

    /// Gives it up: anybody may claim it at once.
    ///
    /// # Errors
    /// [`StaleClaim`]: it is not the current claim any more.
    pub fn release(&self, claim: &Claim) -> Result<(), StaleClaim> {
        self.table().release(&claim.token, (self.clock)())
    }

    /// Says that it is done: nobody can claim it until it is [forgotten](Self::forget).
    ///
    /// # Errors
    /// [`StaleClaim`]: it is not the current claim any more.
    pub fn complete(&self, claim: &Claim) -> Result<(), StaleClaim> {
        self.table().complete(&claim.token, (self.clock)())
    }

    /// Forgets that a key was completed, and says whether it was.
    pub fn forget(&self, key: &Key) -> bool {
        self.table.get().is_some_and(|table| table.forget(key))
    }

    /// Who holds a key.
    pub fn holder(&self, key: &Key) -> Option<AgentId> {
        let holder = self.table.get()?.holder(key, (self.clock)())?;
        Some(self.owners().name(holder.by))
    }

    /// Ends all earlier lives of an agent: their proposals are refused from now on.
    pub(crate) fn fence(&self, agent: AgentId) -> Fenced {
        let incarnation = {
            let mut lives = lock(&self.lives);
            let begun = lives.next;
            let ended = lives.ended.entry(agent).or_default();
            // Those that the hive has begun are ended too.
            ended.lowest = (ended.lowest + 1).max(begun);
            ended.is_kept = true;
            ended.lowest
        };
        Fenced { incarnation, since: Version(self.rounds.current()) }
    }

    /// Begins a round, before it looks at anything.
    pub(crate) fn begin(&self, round: Version) {
        self.rounds.begin(round.0);
    }

    /// A number for a life that the hive begins: larger than those of all that it began before, and of all that were ended.
    pub(crate) fn next_life(&self, agent: &AgentId) -> u64 {
        let mut lives = lock(&self.lives);
        let lowest = lives.ended.get(agent).map_or(0, |ended| ended.lowest);
        let number = lives.next.max(lowest);
        lives.next = number + 1;
        number
    }

    /// Ends a life of an agent that has this number, and all before it; those after it are left alone.
    pub(crate) fn fence_life(&self, agent: &AgentId, number: u64) {
        let mut lives = lock(&self.lives);
        let ended = lives.ended.entry(agent.clone()).or_default();
        ended.lowest = number.saturating_add(1).max(ended.lowest);
        ended.own += 1;
    }

    /// Nothing of a life that was [ended](Self::fence_life) is on its way any more.
    pub(crate) fn forget_life(&self, agent: &AgentId) {
        let mut lives = lock(&self.lives);
        let Some(ended) = lives.ended.get_mut(agent) else { return };
        ended.own = ended.own.saturating_sub(1);
        if ended.own == 0 && !ended.is_kept {
            lives.ended.remove(agent);
        }
    }

    /// Of how many agents some lives are kept out.
    #[cfg(test)]
    pub(crate) fn kept_out(&self) -> usize {
        lock(&self.lives).ended.len()
    }

    /// Tells a round what its batch needs to know.
    pub(crate) fn tell(&self, batch: &[Proposal], input: &mut RoundInput) {
        if let Some(table) = self.table.get() {
            for key in batch.iter().filter_map(|it| Some(&it.claim.as_deref()?.key)) {
                if let Some(holder) = table.holder(key, input.now) {
                    input.claims.insert(key.clone(), holder.token);
                }
            }
        }
        let lives = lock(&self.lives);
        if !lives.ended.is_empty() {
            let lost = batch.iter().filter_map(|it| lives.ended.get_key_value(&it.agent));
            input.incarnations.extend(lost.map(|(agent, ended)| (agent.clone(), ended.lowest)));
        }
    }

    fn table(&self) -> &ClaimTable<Key> {
        let table = || ClaimTable::with_capacity(self.capacity, self.lease, Incarnation(self.term));
        self.table.get_or_init(table)
    }

    fn owners(&self) -> MutexGuard<'_, Owners> {
        lock(&self.owners)
    }
}

impl Owners {
    fn number(&mut self, agent: AgentId) -> u64 {
        if let Some(number) = self.numbers.get(&agent) {
            return *number;
        }
        let number = self.names.len() as u64;
        self.names.push(agent.clone());
        self.numbers.insert(agent, number);
        number
    }

    fn name(&self, owner: OwnerId) -> AgentId {
        self.names.get(owner.0 as usize).cloned().unwrap_or_else(|| "".into())
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.table.get().map_or(0, ClaimTable::len);
        f.debug_struct("Claims").field("held", &held).finish_non_exhaustive()
    }
}
