//! Where ids are found: chains of slots, after Michael (2002), with tags in place of reclamation.

use std::mem::needs_drop;

use super::free::FreeList;
use super::link::{Link, MOST};
use super::pinned::{Found, Reserved};
use super::slot::Slot;
use super::state::{Kind, State};
use crate::panics::drop_each;
use crate::sync::{AtomicU64, Ordering};

/// The slots of a table, the chains that they stand in, and the free ones.
pub(super) struct Directory<K> {
    slots: Box<[Slot<K>]>,
    /// The first link of each chain; their number is a power of two.
    heads: Box<[AtomicU64]>,
    free: FreeList,
}

/// A slot of a chain, and the link that led to it: it was in the chain, with this state, at one moment of the walk.
pub(super) struct Step<'d, K> {
    from: &'d AtomicU64,
    link: Link,
    pub(super) index: usize,
    pub(super) slot: &'d Slot<K>,
    pub(super) state: State,
    hash: u64,
    next: Link,
}

/// What to do after a step.
enum After<R> {
    GoOn,
    /// Something has changed: walk again from the beginning.
    Again,
    End(R),
}

impl<K> Step<'_, K> {
    /// Takes a dead slot out of its chain; `false` if somebody else has, or has changed the link before it.
    #[inline]
    pub(super) fn unlink(&self) -> bool {
        if !self.is_frozen_behind() {
            return false;
        }
        // Release: who looks into the chain sees all that was done before a slot was taken out, also by way of this link.
        let rest = self.link.renamed(self.next.index());
        let done =
            self.from.compare_exchange(self.link.0, rest.0, Ordering::Release, Ordering::Relaxed);
        done.is_ok()
    }

    /// Freezes the link behind a dead slot, from which nobody unlinks the next slot then, which would be lost. The end of a
    /// chain never changes anyway, as slots are added at the front only.
    #[inline]
    fn is_frozen_behind(&self) -> bool {
        if self.next.index().is_none() || self.next.is_frozen() {
            return true;
        }
        // A slot that has begun another life since has another link behind it.
        let frozen = self.next.0 | Link::FREEZE;
        let next = &self.slot.next;
        next.compare_exchange(self.next.0, frozen, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

impl<K> Directory<K> {
    pub(super) fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.min(MOST);
        let slots: Box<[_]> = (0..capacity).map(|_| Slot::new()).collect();
        // Twice as many chains as slots: most ids are first in theirs, which saves one random access to memory in four.
        let chains = (2 * capacity).next_power_of_two();
        let heads = (0..chains).map(|_| AtomicU64::new(Link::NEW.0)).collect();
        Directory { free: FreeList::of(&slots), slots, heads }
    }

    #[inline]
    pub(super) fn slot(&self, index: usize) -> &Slot<K> {
        &self.slots[index]
    }

    /// The slot of a token, which may be another table's.
    #[inline]
    pub(super) fn get(&self, index: usize) -> Option<&Slot<K>> {
        self.slots.get(index)
    }

    pub(super) fn slots(&self) -> &[Slot<K>] {
        &self.slots
    }

    /// How many slots are in use or on their way to be free.
    pub(super) fn len(&self) -> usize {
        self.slots.len().saturating_sub(self.free.len(&self.slots))
    }

    #[inline]
    fn head(&self, hash: u64) -> &AtomicU64 {
        &self.heads[hash as usize & (self.heads.len() - 1)]
    }

    /// Puts a filled slot before `first`, which it must name as its next one.
    #[inline]
    pub(super) fn prepend(&self, hash: u64, first: Link, index: usize) -> bool {
        let linked = first.renamed(Some(index)).0;
        // Release publishes the slot.
        let head = self.head(hash);
        head.compare_exchange(first.0, linked, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Walks along a chain and takes dead slots out of it. Lock-free: each further attempt means that somebody changed the
    /// chain.
    ///
    /// # Errors
    /// Gives the chain's first link if no step ended the walk. Then whatever was in the chain when it had that link, and
    /// was not met, has died since.
    #[inline]
    fn walk<'d, R>(
        &'d self,
        hash: u64,
        mut visit: impl FnMut(&Step<'d, K>) -> After<R>,
    ) -> Result<R, Link> {
        let head = self.head(hash);
        'again: loop {
            let mut from = head;
            // Acquire, here and for each next link, pairs with the Release of whoever put the slot there.
            let first = Link(from.load(Ordering::Acquire));
            let mut link = first;
            while let Some(index) = link.index() {
                let slot = self.slot(index);
                let (state, hash, next) = (slot.state(), slot.hash(), slot.next());
                // If the link is the same as before, the slot was in this chain all the time, so that all of this belongs
                // to one life. Relaxed, after loads with Acquire: see `Slot`.
                if from.load(Ordering::Relaxed) != link.0 {
                    continue 'again;
                }
                let step = Step { from, link, index, slot, state, hash, next };
                if !state.is_live() || next.is_frozen() {
                    step.unlink();
                    continue 'again;
                }
                match visit(&step) {
                    After::GoOn => (from, link) = (&slot.next, next),
                    After::Again => continue 'again,
                    After::End(result) => return Ok(result),
                }
            }
            return Err(first);
        }
    }

    /// Looks for an id, of which there is one live slot at most.
    ///
    /// # Errors
    /// Gives the first link of the chain: as long as the chain begins with that, the id is not there.
    #[inline]
    pub(super) fn search(&self, hash: u64, is: impl Fn(&K) -> bool) -> Result<Found<'_, K>, Link> {
        self.walk(hash, |step| {
            if step.hash != hash {
                return After::GoOn;
            }
            let Some(found) = Found::new(self, step) else { return After::Again };
            if found.key(&is) { After::End(found) } else { After::GoOn }
        })
    }

    /// Looks for a slot in its chain, with a state that `is` what it should be.
    #[inline]
    pub(super) fn find(&self, index: usize, is: impl Fn(State) -> bool) -> Option<Step<'_, K>> {
        let met = self.walk(self.slot(index).hash(), |step| {
            if step.index != index {
                return After::GoOn;
            }
            let Step { from, link, slot, state, hash, next, .. } = *step;
            After::End(is(state).then_some(Step { from, link, index, slot, state, hash, next }))
        });
        met.ok().flatten()
    }

    /// Pins a slot that is found in its chain, with a state that `is` what it should be.
    pub(super) fn pin(&self, index: usize, is: impl Fn(State) -> bool) -> Option<Found<'_, K>> {
        loop {
            let step = self.find(index, &is)?;
            if let Some(found) = Found::new(self, &step) {
                return Some(found);
            }
        }
    }

    /// Takes all dead slots out of a chain that were dead when this was called.
    #[cold]
    pub(super) fn sweep(&self, hash: u64) {
        let _first = self.walk(hash, |_| After::<()>::GoOn);
    }

    /// A free slot; `None` if at one moment of the call there was none.
    #[inline]
    pub(super) fn reserve(&self) -> Option<Reserved<'_, K>> {
        self.free.pop(&self.slots).map(|index| Reserved::new(self, index))
    }

    /// Frees a slot that is dead or blank and in no chain, and that nobody pins.
    #[inline]
    pub(super) fn recycle(&self, index: usize) {
        let slot = self.slot(index);
        let state = slot.state();
        // SAFETY: whoever comes here took the last pin away, which only happens once, and dead slots are pinned no more.
        let key = state.has_key().then(|| unsafe { slot.take_key() });
        slot.clear(state);
        self.give_back(index);
        if needs_drop::<K>() {
            // The caller's code, which may panic, comes last.
            drop_each(key);
        }
    }

    #[inline]
    pub(super) fn give_back(&self, index: usize) {
        self.free.push(index, &self.slots);
    }
}

impl<K> Drop for Directory<K> {
    fn drop(&mut self) {
        let with_keys = self.slots.iter().filter(|slot| slot.state().has_key());
        // SAFETY: nobody else has the table, and a slot with a key is taken from once.
        drop_each(with_keys.map(|slot| unsafe { slot.take_key() }));
    }
}

/// Whether a claim stands behind a state.
pub(super) fn is_claim(state: State) -> bool {
    state.is(Kind::Held) || state.is(Kind::Moving)
}
