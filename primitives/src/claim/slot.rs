//! One slot: an id, and what is known of its claim.

use std::mem::MaybeUninit;

use super::link::Link;
use super::state::{Kind, State};
use super::token::OwnerId;
use crate::sync::{AtomicU64, Ordering, UnsafeCell};

/// On a line of its own, so that owners do not slow each other.
#[repr(align(64))]
pub(super) struct Slot<K> {
    state: AtomicU64,
    /// The link of its chain that comes after this slot.
    pub(super) next: AtomicU64,
    hash: AtomicU64,
    /// When the lease ends; 0 once somebody has found it over.
    deadline: AtomicU64,
    owner: AtomicU64,
    counter: AtomicU64,
    /// In a free list, what lies below; see there.
    pub(super) below: AtomicU64,
    key: UnsafeCell<MaybeUninit<K>>,
}

// SAFETY: a key comes in with one thread and may be dropped by another.
unsafe impl<K: Send> Send for Slot<K> {}
// SAFETY: as above, and any thread may look at a key.
unsafe impl<K: Send + Sync> Sync for Slot<K> {}

/// What a slot says of a claim.
#[derive(Clone, Copy)]
pub(super) struct Record {
    pub(super) owner: OwnerId,
    pub(super) counter: u64,
    pub(super) deadline: u64,
}

impl<K> Slot<K> {
    pub(super) fn new() -> Self {
        Slot {
            state: AtomicU64::new(State::NEW.0),
            next: AtomicU64::new(Link::NEW.0),
            hash: AtomicU64::new(0),
            deadline: AtomicU64::new(0),
            owner: AtomicU64::new(0),
            counter: AtomicU64::new(0),
            below: AtomicU64::new(0),
            key: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    // The link, the state and the deadline are loaded with Acquire and, when the slot gets its next life, stored with Release.
    // So who meets one of the next life has seen the end of the one before: the next look at the state, or at the link that
    // led here, shows it. The rest comes with the state, and is not older. If it is of the next life, a counter names another
    // token, and a hash is taken for that of an id that has indeed gone.

    #[inline]
    pub(super) fn state(&self) -> State {
        State(self.state.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn hash(&self) -> u64 {
        self.hash.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn next(&self) -> Link {
        Link(self.next.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn deadline(&self) -> u64 {
        self.deadline.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn record(&self) -> Record {
        Record {
            owner: OwnerId(self.owner.load(Ordering::Relaxed)),
            counter: self.counter.load(Ordering::Relaxed),
            deadline: self.deadline(),
        }
    }

    /// Changes the state, if it is still `from`.
    ///
    /// # Errors
    /// Gives what it is instead.
    #[inline]
    pub(super) fn change(&self, from: State, to: State) -> Result<(), State> {
        // Release: who finds the claim ended sees all that its holder did before. Acquire: a transfer, which changes the state
        // first, then finds the deadline as the heartbeats left it that were in time. (Loom lets no thread's exchange take effect
        // before an earlier one of the same thread: no model misses this Acquire.)
        self.state
            .compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
            .map_err(State)
    }

    /// Takes a pin away, and says what the state was before.
    #[inline]
    pub(super) fn unpin(&self) -> State {
        // Release puts what was done with the key before its drop: whoever drops it looks at the state again.
        State(self.state.fetch_sub(1, Ordering::Release))
    }

    /// Begins a claim in a slot that its caller has to itself, and says in which state.
    ///
    /// # Safety
    /// The caller took the slot out of a free list, and the key that it had, if any, was taken out.
    #[inline]
    pub(super) unsafe fn fill(
        &self,
        key: K,
        hash: u64,
        next: Option<usize>,
        record: Record,
    ) -> State {
        // SAFETY: nobody reads a key before the slot stands in a chain.
        self.key.with_mut(|place| unsafe { (*place).write(key) });
        // Relaxed loads: the free list has passed on what the last user of the slot wrote.
        let link = Link(self.next.load(Ordering::Relaxed)).renamed(next);
        self.next.store(link.0, Ordering::Release);
        self.hash.store(hash, Ordering::Relaxed);
        self.deadline.store(record.deadline, Ordering::Release);
        self.owner.store(record.owner.0, Ordering::Relaxed);
        self.counter.store(record.counter, Ordering::Relaxed);
        let held = State(self.state.load(Ordering::Relaxed)).turned(Kind::Held);
        self.state.store(held.0, Ordering::Release);
        held
    }

    /// Ends the slot's life; nobody else has a pin.
    #[inline]
    pub(super) fn clear(&self, dead: State) {
        // Relaxed: it gets to the next user by way of the free list.
        let free = State(dead.0 - dead.pins()).turned(Kind::Free).next();
        self.state.store(free.0, Ordering::Relaxed);
    }

    /// # Safety
    /// The slot has a key, and nobody else looks at it, now or later.
    #[inline]
    pub(super) unsafe fn take_key(&self) -> K {
        // SAFETY: the caller's promise.
        self.key.with_mut(|place| unsafe { place.cast::<K>().read() })
    }

    /// # Safety
    /// The slot has a key, and a pin keeps it there.
    #[inline]
    pub(super) unsafe fn key<R>(&self, look: impl FnOnce(&K) -> R) -> R {
        self.key.with(|place| {
            // SAFETY: the caller's promise.
            look(unsafe { &*place.cast::<K>() })
        })
    }

    /// Puts the end of the lease off to `until`, if it is not over at `now`. The caller has a pin.
    ///
    /// # Errors
    /// It is over.
    #[inline]
    pub(super) fn renew(&self, now: u64, until: u64) -> Result<u64, Over> {
        let mut deadline = self.deadline();
        loop {
            if now >= deadline {
                return Err(Over);
            }
            let later = deadline.max(until);
            // All that is decided here is decided by this word alone; see `find_over`. Release: who finds the end that a
            // transfer grants finds the old token out of force.
            match self.deadline.compare_exchange(
                deadline,
                later,
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(later),
                Err(other) => deadline = other,
            }
        }
    }

    /// Finds the lease over, for good: after that nobody can renew it. The caller has a pin.
    ///
    /// # Errors
    /// It is not over at `now`, but at the time given.
    #[inline]
    pub(super) fn find_over(&self, now: u64) -> Result<(), u64> {
        let mut deadline = self.deadline();
        loop {
            if now < deadline {
                return Err(deadline);
            }
            // Of this and a renewal exactly one exchanges the deadline that both read. Acquire: the number that a transfer took
            // before its renewal is lower than that of whoever claims the id next. (Loom lets no exchange take effect before an
            // earlier one of the same thread: no model misses this.)
            match self.deadline.compare_exchange(deadline, 0, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return Ok(()),
                Err(other) => deadline = other,
            }
        }
    }

    /// Writes the next owner down, while the claim is between two tokens.
    pub(super) fn set_owner(&self, owner: OwnerId, counter: u64) {
        self.owner.store(owner.0, Ordering::Relaxed);
        self.counter.store(counter, Ordering::Relaxed);
    }
}

/// A lease is over.
pub(super) struct Over;
