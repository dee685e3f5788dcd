//! Claims: of all who ask for a task exactly one gets it, until it releases the task or its lease is over.

use std::collections::hash_map::{Entry, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use papaya::{Compute, Operation};
use queenright_primitives::claim::{ClaimTable, ClaimToken, Incarnation, OwnerId};

/// How long a lease is; longer than any run.
const LEASE: u64 = 1 << 40;

/// A table under comparison. Ids are numbers.
pub trait Claims: Send + Sync + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// What a claim gives.
    type Token: Send;

    /// A table with room for so many ids.
    fn with_room(ids: usize) -> Self;

    /// Claims an id, unless somebody holds it whose lease is not over.
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<Self::Token>;

    /// Gives an id back; `false` if the token is stale.
    fn release(&self, id: u64, token: &Self::Token, now: u64) -> bool;
}

/// Ours.
pub struct Ours(ClaimTable<u64>);

impl Claims for Ours {
    const NAME: &'static str = "queenright ClaimTable";

    type Token = ClaimToken;

    fn with_room(ids: usize) -> Self {
        // Each call under way may have a slot or two beside those that are claimed.
        Ours(ClaimTable::with_capacity(ids + 64, LEASE, Incarnation(1)))
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<ClaimToken> {
        self.0.claim(id, OwnerId(owner), now).ok()
    }

    #[inline]
    fn release(&self, _: u64, token: &ClaimToken, now: u64) -> bool {
        self.0.release(token, now).is_ok()
    }
}

/// What a peer's map keeps of a claim.
#[derive(Clone, Copy)]
struct Held {
    #[allow(dead_code, reason = "kept for whoever is refused")]
    owner: u64,
    until: u64,
    token: u64,
}

impl Held {
    #[inline]
    fn new(owner: u64, now: u64, token: u64) -> Held {
        Held { owner, until: now + LEASE, token }
    }

    #[inline]
    fn is_current(&self, token: u64, now: u64) -> bool {
        self.token == token && now < self.until
    }
}

/// The numbers of tokens, rising for each id; as ours, so that no peer waits for one counter.
struct Numbers([Padded; 64]);

#[repr(align(128))]
struct Padded(AtomicU64);

impl Numbers {
    fn new() -> Self {
        Numbers(std::array::from_fn(|_| Padded(AtomicU64::new(1))))
    }

    #[inline]
    fn next(&self, id: u64) -> u64 {
        let which = id % 64;
        self.0[which as usize].0.fetch_add(1, Ordering::Relaxed) * 64 + which
    }
}

/// A map under one lock, the number beside it.
struct Locked {
    held: HashMap<u64, Held, RandomState>,
    number: u64,
}

impl Locked {
    fn with_room(ids: usize) -> Self {
        let hasher = RandomState::default();
        Locked { held: HashMap::with_capacity_and_hasher(ids, hasher), number: 0 }
    }

    #[inline]
    fn claim(&mut self, id: u64, owner: u64, now: u64) -> Option<u64> {
        let entry = self.held.entry(id);
        if let Entry::Occupied(held) = &entry
            && now < held.get().until
        {
            return None;
        }
        self.number += 1;
        entry.insert_entry(Held::new(owner, now, self.number));
        Some(self.number)
    }

    #[inline]
    fn release(&mut self, id: u64, token: u64, now: u64) -> bool {
        match self.held.entry(id) {
            Entry::Occupied(held) if held.get().is_current(token, now) => {
                held.remove();
                true
            }
            _ => false,
        }
    }
}

/// A map under std's lock.
pub struct StdMutex(Mutex<Locked>);

impl Claims for StdMutex {
    const NAME: &'static str = "std Mutex<HashMap>";

    type Token = u64;

    fn with_room(ids: usize) -> Self {
        StdMutex(Mutex::new(Locked::with_room(ids)))
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).claim(id, owner, now)
    }

    #[inline]
    fn release(&self, id: u64, token: &u64, now: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).release(id, *token, now)
    }
}

/// A map under parking_lot's lock.
pub struct ParkingLotMutex(parking_lot::Mutex<Locked>);

impl Claims for ParkingLotMutex {
    const NAME: &'static str = "parking_lot Mutex<HashMap>";

    type Token = u64;

    fn with_room(ids: usize) -> Self {
        ParkingLotMutex(parking_lot::Mutex::new(Locked::with_room(ids)))
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<u64> {
        self.0.lock().claim(id, owner, now)
    }

    #[inline]
    fn release(&self, id: u64, token: &u64, now: u64) -> bool {
        self.0.lock().release(id, *token, now)
    }
}

/// A map in shards, a lock each.
pub struct Sharded {
    held: DashMap<u64, Held, RandomState>,
    numbers: Numbers,
}

impl Claims for Sharded {
    const NAME: &'static str = "dashmap";

    type Token = u64;

    fn with_room(ids: usize) -> Self {
        let held = DashMap::with_capacity_and_hasher(ids, RandomState::default());
        Sharded { held, numbers: Numbers::new() }
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<u64> {
        let entry = self.held.entry(id);
        if let dashmap::Entry::Occupied(held) = &entry
            && now < held.get().until
        {
            return None;
        }
        let token = self.numbers.next(id);
        entry.insert(Held::new(owner, now, token));
        Some(token)
    }

    #[inline]
    fn release(&self, id: u64, token: &u64, now: u64) -> bool {
        self.held.remove_if(&id, |_, held| held.is_current(*token, now)).is_some()
    }
}

/// A map with a lock a bucket.
pub struct Scc {
    held: scc::HashMap<u64, Held, RandomState>,
    numbers: Numbers,
}

impl Claims for Scc {
    const NAME: &'static str = "scc";

    type Token = u64;

    fn with_room(ids: usize) -> Self {
        let held = scc::HashMap::with_capacity_and_hasher(ids, RandomState::default());
        Scc { held, numbers: Numbers::new() }
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<u64> {
        let entry = self.held.entry_sync(id);
        if let scc::hash_map::Entry::Occupied(held) = &entry
            && now < held.get().until
        {
            return None;
        }
        let token = self.numbers.next(id);
        entry.insert_entry(Held::new(owner, now, token));
        Some(token)
    }

    #[inline]
    fn release(&self, id: u64, token: &u64, now: u64) -> bool {
        self.held.remove_if_sync(&id, |held| held.is_current(*token, now)).is_some()
    }
}

/// A map without locks whose entries are replaced.
pub struct Papaya {
    held: papaya::HashMap<u64, Held, RandomState>,
    numbers: Numbers,
}

impl Claims for Papaya {
    const NAME: &'static str = "papaya";

    type Token = u64;

    fn with_room(ids: usize) -> Self {
        let held = papaya::HashMap::with_capacity_and_hasher(ids, RandomState::default());
        Papaya { held, numbers: Numbers::new() }
    }

    #[inline]
    fn claim(&self, id: u64, owner: u64, now: u64) -> Option<u64> {
        let claim = |entry: Option<(&u64, &Held)>| match entry {
            Some((_, held)) if now < held.until => Operation::Abort(()),
            _ => Operation::Insert(Held::new(owner, now, self.numbers.next(id))),
        };
        match self.held.pin().compute(id, claim) {
            Compute::Inserted(_, held) | Compute::Updated { new: (_, held), .. } => {
                Some(held.token)
            }
            _ => None,
        }
    }

    #[inline]
    fn release(&self, id: u64, token: &u64, now: u64) -> bool {
        let held = self.held.pin();
        matches!(held.remove_if(&id, |_, held| held.is_current(*token, now)), Ok(Some(_)))
    }
}

/// One thread's own map, without any synchronisation: what finding and keeping an id costs at least.
pub struct Unsynchronised(Locked);

impl Unsynchronised {
    /// A map with room for so many ids.
    pub fn with_room(ids: usize) -> Self {
        Unsynchronised(Locked::with_room(ids))
    }

    /// Claims an id and gives it back.
    #[inline]
    pub fn claim_and_release(&mut self, id: u64, owner: u64, now: u64) -> bool {
        self.0.claim(id, owner, now).is_some_and(|token| self.0.release(id, token, now))
    }
}
