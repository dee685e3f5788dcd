//! Guards: whoever has one keeps a slot from its next life.

use std::mem::ManuallyDrop;

use super::directory::{Directory, Step};
use super::link::Link;
use super::slot::{Record, Slot};
use super::state::{Kind, State};

/// A pin: the slot is not used again while this lives. What it is a pin of may end meanwhile.
pub(super) struct Pinned<'d, K> {
    directory: &'d Directory<K>,
    index: usize,
}

impl<'d, K> Pinned<'d, K> {
    /// Sets a pin, if the state is still `seen`, and that is a live one.
    #[inline]
    pub(super) fn new(directory: &'d Directory<K>, index: usize, seen: State) -> Option<Self> {
        if !seen.is_live() {
            return None;
        }
        let set = directory.slot(index).change(seen, seen.pinned()?);
        set.ok().map(|()| Pinned { directory, index })
    }

    #[inline]
    pub(super) fn slot(&self) -> &'d Slot<K> {
        self.directory.slot(self.index)
    }

    /// Takes the pin away, and says what the state was.
    #[inline]
    pub(super) fn unpin(self) -> State {
        ManuallyDrop::new(self).end()
    }

    #[inline]
    fn end(&self) -> State {
        let before = self.slot().unpin();
        // Whoever kills a slot has a pin until it stands in no chain. So the last one finds it out of reach.
        if before.pins() == 1 && !before.is_live() {
            self.directory.recycle(self.index);
        }
        before
    }
}

impl<K> Drop for Pinned<'_, K> {
    #[inline]
    fn drop(&mut self) {
        self.end();
    }
}

/// A pin on a slot that was seen to stand in its chain during this life, so that its key is there to be looked at.
///
/// Tokens alone do not prove that: one of another table may name a slot that its finder is about to fill.
pub(super) struct Found<'d, K>(Pinned<'d, K>);

impl<'d, K> Found<'d, K> {
    /// A pin on what a walk met.
    #[inline]
    pub(super) fn new(directory: &'d Directory<K>, step: &Step<'d, K>) -> Option<Self> {
        Pinned::new(directory, step.index, step.state).map(Found)
    }

    #[inline]
    pub(super) fn slot(&self) -> &'d Slot<K> {
        self.0.slot()
    }

    #[inline]
    pub(super) fn key<R>(&self, look: impl FnOnce(&K) -> R) -> R {
        // SAFETY: the slot stood in its chain when the pin was set or before, in this life, so the key is there, and
        // it is taken out only after the last pin is gone.
        unsafe { self.slot().key(look) }
    }

    /// Ends the slot's life, if its state `dies`.
    ///
    /// # Errors
    /// It does not, and the pin goes on.
    pub(super) fn kill(self, dies: impl Fn(State) -> bool) -> Result<Killed<'d, K>, Self> {
        let mut state = self.slot().state();
        loop {
            if !dies(state) {
                return Err(self);
            }
            match self.slot().change(state, state.turned(Kind::Dead)) {
                Ok(()) => return Ok(Killed { pinned: ManuallyDrop::new(self.0), linked: true }),
                Err(other) => state = other,
            }
        }
    }
}

/// The pin of whoever ended a slot's life, and has to see to it that the slot leaves its chain.
pub(super) struct Killed<'d, K> {
    pinned: ManuallyDrop<Pinned<'d, K>>,
    linked: bool,
}

impl<'d, K> Killed<'d, K> {
    /// Ends the life of the slot of a step, if the token of `held` is still the newest.
    #[inline]
    pub(super) fn at(directory: &'d Directory<K>, step: &Step<'d, K>, held: State) -> Option<Self> {
        let mut state = step.state;
        loop {
            if !state.same_token(held) {
                return None;
            }
            // A million pins: some of them will go.
            let Some(pinned) = state.pinned() else {
                state = step.slot.state();
                continue;
            };
            match step.slot.change(state, pinned.turned(Kind::Dead)) {
                Ok(()) => break,
                Err(other) => state = other,
            }
        }
        let pinned = ManuallyDrop::new(Pinned { directory, index: step.index });
        Some(Killed { pinned, linked: !step.unlink() })
    }

    /// What the slot says of the claim that ended.
    #[inline]
    pub(super) fn record(&self) -> Record {
        self.pinned.slot().record()
    }

    pub(super) fn key<R>(&self, look: impl FnOnce(&K) -> R) -> R {
        // SAFETY: it was found in its chain, so the key is there, and it is taken out only after this pin is gone.
        unsafe { self.pinned.slot().key(look) }
    }
}

impl<K> Drop for Killed<'_, K> {
    #[inline]
    fn drop(&mut self) {
        let Pinned { directory, index } = *self.pinned;
        let slot = directory.slot(index);
        if self.linked {
            directory.sweep(slot.hash());
        }
        // Nobody pins a dead slot any more. If this pin is the last one, nobody else changes the state.
        if slot.state().pins() == 1 {
            directory.recycle(index);
        } else {
            self.pinned.end();
        }
    }
}

/// A free slot that one thread has to itself.
pub(super) struct Reserved<'d, K> {
    directory: &'d Directory<K>,
    index: usize,
}

/// Why a slot was not put into its chain.
pub(super) struct Refused<'d, K> {
    pub(super) key: K,
    /// The slot, to try again.
    pub(super) slot: Option<Reserved<'d, K>>,
}

impl<'d, K> Reserved<'d, K> {
    pub(super) fn new(directory: &'d Directory<K>, index: usize) -> Self {
        Reserved { directory, index }
    }

    /// Puts the slot before `first` into the chain of `hash`, with this key and record, and says where and in which state.
    ///
    /// # Errors
    /// Gives the key back if the chain has changed since it began with `first`.
    #[inline]
    pub(super) fn publish(
        self,
        key: K,
        hash: u64,
        first: Link,
        record: Record,
    ) -> Result<(usize, State), Refused<'d, K>> {
        let slot = self.directory.slot(self.index);
        // SAFETY: the slot is reserved, and it came without a key.
        let held = unsafe { slot.fill(key, hash, first.index(), record) };
        if self.directory.prepend(hash, first, self.index) {
            let placed = ManuallyDrop::new(self);
            return Ok((placed.index, held));
        }
        // SAFETY: the slot has never been in a chain in this life, and only what was found in a chain is looked at.
        let key = unsafe { slot.take_key() };
        Err(Refused { key, slot: self.retracted(held) })
    }

    /// The slot, emptied again. A token of another table, or of an earlier life of this one's numbers, may have touched it
    /// meanwhile, and even have left a pin; then it is left to that one.
    fn retracted(self, held: State) -> Option<Self> {
        let slot = self.directory.slot(self.index);
        let mut state = held;
        loop {
            let (kind, mine) =
                if state.pins() == 0 { (Kind::Free, true) } else { (Kind::Blank, false) };
            match slot.change(state, state.turned(kind).next()) {
                Ok(()) if mine => return Some(self),
                Ok(()) => {
                    let _not_mine = ManuallyDrop::new(self);
                    return None;
                }
                Err(other) => state = other,
            }
        }
    }
}

impl<K> Drop for Reserved<'_, K> {
    fn drop(&mut self) {
        self.directory.give_back(self.index);
    }
}
