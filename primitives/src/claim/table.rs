//! The table itself.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::panic::RefUnwindSafe;

use super::directory::{Directory, is_claim};
use super::error::{ClaimError, StaleClaim};
use super::free::Line;
use super::pinned::{Found, Killed, Pinned, Refused};
use super::slot::{Over, Record, Slot};
use super::state::{Kind, State};
use super::token::{ClaimToken, FencingToken, Incarnation, OwnerId};
use crate::sync::{AtomicU64, Ordering, model_or};

/// How many counters tokens come from. The counter of an id is chosen by its hash.
const COUNTERS: usize = model_or(1, 64);

/// Ids, and who holds each; the [module page](super) states the protocol and its bounds.
///
/// ```
/// use queenright_primitives::claim::{ClaimError, ClaimTable, Incarnation, OwnerId};
///
/// let table = ClaimTable::with_capacity(1000, 30, Incarnation(1));
/// let token = table.claim("build", OwnerId(1), 0).unwrap();
/// assert!(matches!(table.claim("build", OwnerId(2), 10), Err(ClaimError::Held { .. })));
///
/// // The first owner is silent for too long, and the second takes over.
/// let taken = table.claim("build", OwnerId(2), 30).unwrap();
/// assert!(taken.fencing() > token.fencing());
/// assert!(table.complete(&token, 31).is_err());
/// table.complete(&taken, 31).unwrap();
/// ```
pub struct ClaimTable<K, S = foldhash::fast::RandomState> {
    directory: Directory<K>,
    counters: Box<[Line<AtomicU64>]>,
    lease: u64,
    incarnation: Incarnation,
    hasher: S,
}

// A panic in the caller's code leaves the table as it was.
impl<K: RefUnwindSafe, S: RefUnwindSafe> RefUnwindSafe for ClaimTable<K, S> {}

/// Who holds a claim, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The owner.
    pub by: OwnerId,
    /// When the lease ends, unless a heartbeat comes before.
    pub until: u64,
    /// The number of its token.
    pub token: FencingToken,
}

/// A claim whose lease was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lapsed {
    /// Whose it was.
    pub by: OwnerId,
    /// The number of its last token: whoever shows this or a lower one for the id is to be refused.
    /// (If a transfer was under way that was refused for this, owner and number may be those that it was about to give.)
    pub token: FencingToken,
}

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Somebody holds it.
    Held(Holder),
    /// It was completed, and not forgotten.
    Completed,
}

impl<K: Hash + Eq> ClaimTable<K> {
    /// A table of at most `capacity` ids, held and completed together, with leases of `lease` ticks.
    ///
    /// A capacity beyond [`MAX_CAPACITY`](ClaimTable::MAX_CAPACITY) counts as that. All memory is allocated here. O(capacity).
    pub fn with_capacity(capacity: usize, lease: u64, incarnation: Incarnation) -> Self {
        Self::with_capacity_and_hasher(capacity, lease, incarnation, Default::default())
    }
}

impl<K, S> ClaimTable<K, S> {
    /// The most ids that any table holds: 16,777,215.
    pub const MAX_CAPACITY: usize = super::link::MOST;

    /// How many ids it holds at most.
    pub fn capacity(&self) -> usize {
        self.directory.slots().len()
    }

    /// How many ids it holds: claimed (leases that are over and were not reclaimed included) and completed. Beside other
    /// threads a number that was near it. O(1).
    pub fn len(&self) -> usize {
        self.directory.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How long a lease is, in ticks.
    pub fn lease(&self) -> u64 {
        self.lease
    }

    /// The incarnation of all its tokens.
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }
}

impl<K: Hash + Eq, S: BuildHasher> ClaimTable<K, S> {
    /// As [`with_capacity`](ClaimTable::with_capacity), with a hash function of your own. Take a seeded one if ids come from
    /// outside: ids that share a hash are looked at one by one.
    pub fn with_capacity_and_hasher(
        capacity: usize,
        lease: u64,
        incarnation: Incarnation,
        hasher: S,
    ) -> Self {
        ClaimTable {
            directory: Directory::with_capacity(capacity),
            counters: (0..COUNTERS).map(|_| Line(AtomicU64::new(1))).collect(),
            lease,
            incarnation,
            hasher,
        }
    }

    /// Claims `id` for `owner` until a lease after `now`. Of all who claim an id that is free, exactly one gets it.
    ///
    /// A claim whose lease is over is taken over: its token is stale from then on. Who claims an id sees all that its last
    /// holder did before it released the id. Lock-free; O(1) expected.
    ///
    /// # Errors
    /// [`Held`](ClaimError::Held), [`Completed`](ClaimError::Completed) or [`Full`](ClaimError::Full), with the id.
    #[inline]
    pub fn claim(&self, id: K, owner: OwnerId, now: u64) -> Result<ClaimToken, ClaimError<K>> {
        let hash = self.hasher.hash_one(&id);
        let mut id = id;
        let mut reserved = None;
        loop {
            let first = match self.directory.search(hash, |key| *key == id) {
                Ok(found) => match self.take_over(found, now) {
                    Some(refusal) => return Err(refusal.of(id)),
                    None => continue,
                },
                Err(first) => first,
            };
            let Some(slot) = reserved.take().or_else(|| self.directory.reserve()) else {
                return Err(ClaimError::Full { id });
            };
            // A new number for each attempt: it has to be higher than that of any claim of this id before, and the chain's
            // first link, which was read before, has passed on all of those.
            let counter = self.next_counter(hash);
            let until = now.saturating_add(self.lease);
            match slot.publish(id, hash, first, Record { owner, counter, deadline: until }) {
                Ok((slot, held)) => return Ok(self.token(slot, held, counter, until)),
                Err(Refused { key, slot }) => (id, reserved) = (key, slot),
            }
        }
    }

    /// Puts the end of the lease off to a lease after `now`, and says to when. An end that is later already stays.
    ///
    /// Lock-free, O(1).
    ///
    /// # Errors
    /// The token is stale: the lease was over at `now`, or somebody has found it over before, or the claim was released,
    /// completed or transferred.
    #[inline]
    pub fn heartbeat(&self, token: &ClaimToken, now: u64) -> Result<u64, StaleClaim> {
        let pinned = self.pin(token).ok_or(stale(token))?;
        let until = pinned.slot().renew(now, now.saturating_add(self.lease));
        // Only if the claim is held by this token after the renewal, it was then.
        let held = pinned.unpin();
        match until {
            Ok(until) if held.is(Kind::Held) && held.generation() == token.generation => Ok(until),
            _ => Err(stale(token)),
        }
    }

    /// Gives the id up; anybody may claim it at once.
    ///
    /// Lock-free; O(1) expected.
    ///
    /// # Errors
    /// The token is stale, or its lease is over at `now`.
    #[inline]
    pub fn release(&self, token: &ClaimToken, now: u64) -> Result<(), StaleClaim> {
        let (_, held) = self.current(token, now).ok_or(stale(token))?;
        let step = self.directory.find(token.slot as usize, |state| state.same_token(held));
        let killed = step.and_then(|step| Killed::at(&self.directory, &step, held));
        killed.map(drop).ok_or(stale(token))
    }

    /// Says that what the id stands for is done: nobody can claim it any more until it is [forgotten](Self::forget).
    ///
    /// Who is told so sees all that this holder did before. Lock-free, O(1).
    ///
    /// # Errors
    /// The token is stale, or its lease is over at `now`.
    #[inline]
    pub fn complete(&self, token: &ClaimToken, now: u64) -> Result<(), StaleClaim> {
        loop {
            let (slot, held) = self.current(token, now).ok_or(stale(token))?;
            if slot.change(held, held.turned(Kind::Done)).is_ok() {
                return Ok(());
            }
        }
    }

    /// Gives the claim to another owner, with a lease from `now` on and a higher token. This token is stale then.
    ///
    /// While this runs neither token holds the claim. Whoever looks at the id meanwhile is shown owner, number and end of the lease each as
    /// before or as after. A heartbeat with the old token that runs at the same time may put the end of the lease off though it is
    /// refused. Lock-free, O(1).
    ///
    /// # Errors
    /// The token is stale, or its lease is over at `now`, or was found over before this call had ended.
    pub fn transfer(
        &self,
        token: &ClaimToken,
        owner: OwnerId,
        now: u64,
    ) -> Result<ClaimToken, StaleClaim> {
        let pinned = self.pin(token).ok_or(stale(token))?;
        let slot = pinned.slot();
        let held = loop {
            let (_, held) = self.current(token, now).ok_or(stale(token))?;
            if slot.change(held, held.turned(Kind::Moving)).is_ok() {
                break held;
            }
        };
        // From here on no other thread changes what is written below.
        let counter = self.next_counter(slot.hash());
        let until = slot.renew(now, now.saturating_add(self.lease));
        let until = until.map_err(|Over| stale(token))?;
        slot.set_owner(owner, counter);
        let moving = held.turned(Kind::Moving);
        let mut state = moving;
        loop {
            // It was found over meanwhile, after that renewal.
            if !state.same_token(moving) {
                return Err(stale(token));
            }
            let next = state.turned(Kind::Held).next();
            match slot.change(state, next) {
                Ok(()) => return Ok(self.token(token.slot as usize, next, counter, until)),
                Err(other) => state = other,
            }
        }
    }

    /// Whether the token holds its claim at `now`. Lock-free, O(1).
    ///
    /// The answer is about a moment of this call. To keep a holder that is suspended right after it from doing harm, show
    /// [the token's number](ClaimToken::fencing) to the resource.
    pub fn is_current(&self, token: &ClaimToken, now: u64) -> bool {
        self.current(token, now).is_some_and(|(slot, held)| slot.state().same_token(held))
    }

    /// Who holds `id` at `now`. Lock-free; O(1) expected.
    pub fn holder<Q>(&self, id: &Q, now: u64) -> Option<Holder>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.status(id, now)? {
            Status::Held(holder) => Some(holder),
            Status::Completed => None,
        }
    }

    /// What is known of `id` at `now`; `None` if anybody may claim it. Lock-free; O(1) expected.
    pub fn status<Q>(&self, id: &Q, now: u64) -> Option<Status>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.search(id)?;
        self.status_of(&found, now)
    }

    /// Forgets that `id` was completed, so that it can be claimed again, and says whether it was.
    ///
    /// Its next tokens are higher all the same. Lock-free; O(1) expected.
    pub fn forget<Q>(&self, id: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.search(id);
        found.is_some_and(|found| found.kill(|state| state.is(Kind::Done)).is_ok())
    }

    /// Frees all claims whose lease is over at `now`, and says how many. `lapsed` is told of each, after its token has gone
    /// stale; the id can be claimed by then.
    ///
    /// Claiming an id does not need this; it is for the memory of ids that nobody claims again, and to hear of holders that
    /// fell silent. Lock-free, O(capacity).
    ///
    /// # Panics
    /// Only if `lapsed` or the drop of an id does. What was told of is freed, and the rest is left as it is.
    pub fn reclaim_expired(&self, now: u64, mut lapsed: impl FnMut(&K, Lapsed)) -> usize {
        let is_over = |slot: &Slot<K>| is_claim(slot.state()) && now >= slot.deadline();
        let slots = self.directory.slots().iter().enumerate();
        let candidates = slots.filter(|(_, slot)| is_over(slot)).map(|(index, _)| index);
        let killed =
            candidates.filter_map(|index| self.lapse(self.directory.pin(index, is_claim)?, now));
        killed.map(|(killed, told)| killed.key(|id| lapsed(id, told))).count()
    }

    /// Shows all ids that are held at `now` or completed.
    ///
    /// An id that is there from the beginning to the end is shown once. One that comes or goes meanwhile (to be taken over is both)
    /// may be missed, or shown more than once. What `each` is shown stays where it is as long as `each` runs.
    /// Lock-free, O(capacity).
    ///
    /// # Panics
    /// Only if `each` does, or the drop of an id that went while it was shown.
    pub fn for_each(&self, now: u64, mut each: impl FnMut(&K, Status)) {
        for (index, slot) in self.directory.slots().iter().enumerate() {
            if !slot.state().is_live() {
                continue;
            }
            let Some(found) = self.directory.pin(index, State::is_live) else { continue };
            if let Some(status) = self.status_of(&found, now) {
                found.key(|id| each(id, status));
            }
        }
    }

    fn search<Q>(&self, id: &Q) -> Option<Found<'_, K>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.hasher.hash_one(id);
        self.directory.search(hash, |key| key.borrow() == id).ok()
    }

    /// Ends a claim whose lease is over; otherwise says why the id cannot be claimed.
    #[inline]
    fn take_over(&self, found: Found<'_, K>, now: u64) -> Option<Refusal> {
        match self.status_of(&found, now) {
            Some(Status::Held(Holder { by, until, .. })) => Some(Refusal::Held { by, until }),
            Some(Status::Completed) => Some(Refusal::Completed),
            None => {
                let _ended = self.lapse(found, now);
                None
            }
        }
    }

    /// Ends a claim whose lease is over at `now`, if it is, and the claim has not ended otherwise.
    ///
    /// First the lease is found over, which cannot be undone: of this and a heartbeat, or the renewal that belongs to a
    /// transfer, one comes too late. Only then the slot dies.
    fn lapse<'t>(&'t self, found: Found<'t, K>, now: u64) -> Option<(Killed<'t, K>, Lapsed)> {
        found.slot().find_over(now).ok()?;
        let killed = found.kill(is_claim).ok()?;
        // Only now: a transfer that was under way may have put its token into force before that.
        let Record { owner, counter, .. } = killed.record();
        Some((killed, Lapsed { by: owner, token: self.fencing(counter) }))
    }

    #[inline]
    fn status_of(&self, found: &Found<'_, K>, now: u64) -> Option<Status> {
        let slot = found.slot();
        let mut state = slot.state();
        loop {
            let record = slot.record();
            let again = slot.state();
            // Only a claim is written to, and by a transfer alone. Between two looks at one token the state may have been another
            // where stores are seen late: then this is a mixture of before and after, as `transfer` says.
            if again.same_token(state) {
                let Record { owner, counter, deadline } = record;
                let holder = Holder { by: owner, until: deadline, token: self.fencing(counter) };
                return match state.kind() {
                    Kind::Held | Kind::Moving if now < deadline => Some(Status::Held(holder)),
                    Kind::Done => Some(Status::Completed),
                    _ => None,
                };
            }
            state = again;
        }
    }

    /// The slot of a token that holds its claim at `now`, and the state in which it does. As long as the slot has that
    /// state the token is current, but for its lease.
    #[inline]
    fn current(&self, token: &ClaimToken, now: u64) -> Option<(&Slot<K>, State)> {
        let slot = self.directory.get(token.slot as usize)?;
        let state = slot.state();
        let record = slot.record();
        let current = self.names(token, state, record.counter) && now < record.deadline;
        current.then_some((slot, state))
    }

    #[inline]
    fn names(&self, token: &ClaimToken, state: State, counter: u64) -> bool {
        state.is(Kind::Held)
            && state.generation() == token.generation
            && self.fencing(counter) == token.fencing
    }

    /// A pin on the slot of a token that holds its claim, but for its lease.
    #[inline]
    fn pin(&self, token: &ClaimToken) -> Option<Pinned<'_, K>> {
        let slot = self.directory.get(token.slot as usize)?;
        loop {
            let state = slot.state();
            if !self.names(token, state, slot.record().counter) {
                return None;
            }
            if let Some(pinned) = Pinned::new(&self.directory, token.slot as usize, state) {
                return Some(pinned);
            }
        }
    }

    #[inline]
    fn next_counter(&self, hash: u64) -> u64 {
        let which = hash as usize % COUNTERS;
        // Relaxed: the order of two additions to one counter is all that matters.
        let turn = self.counters[which].0.fetch_add(1, Ordering::Relaxed);
        turn * COUNTERS as u64 + which as u64
    }

    #[inline]
    fn fencing(&self, counter: u64) -> FencingToken {
        FencingToken { incarnation: self.incarnation, counter }
    }

    #[inline]
    fn token(&self, slot: usize, held: State, counter: u64, until: u64) -> ClaimToken {
        let fencing = self.fencing(counter);
        ClaimToken { fencing, slot: slot as u32, generation: held.generation(), until }
    }
}

/// Why an id cannot be claimed.
enum Refusal {
    Held { by: OwnerId, until: u64 },
    Completed,
}

impl Refusal {
    fn of<K>(self, id: K) -> ClaimError<K> {
        match self {
            Refusal::Held { by, until } => ClaimError::Held { id, by, until },
            Refusal::Completed => ClaimError::Completed { id },
        }
    }
}

#[inline]
fn stale(token: &ClaimToken) -> StaleClaim {
    StaleClaim { token: token.fencing }
}

impl<K, S> fmt::Debug for ClaimTable<K, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimTable")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .field("lease", &self.lease)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
