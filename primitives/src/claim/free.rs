//! Slots that nobody uses: stacks without a lock (Treiber 1986), of which each thread prefers one.

use super::link::Link;
use super::slot::Slot;
use crate::sync::{AtomicU64, Ordering, model_or, thread_number};

/// How many stacks there are: a power of two.
const STACKS: usize = model_or(2, 16);

/// The free slots of a table.
///
/// Each slot has one stack that it always returns to, so that whoever frees what many have claimed leaves the stacks as
/// they were. A stack is a link to its topmost slot. In that one's `below` stand the slot beneath it, if any, and how many there are
/// from it down, so that a stack need not be counted.
pub(super) struct FreeList {
    stacks: [Line<Stack>; STACKS],
    /// A slot's index times this has the number of its stack above the 32nd bit.
    stacks_per_slot: u64,
}

struct Stack {
    top: AtomicU64,
    /// Where those who preferred this stack have found a slot when it was empty: as many stacks further on, bit by bit.
    elsewhere: AtomicU64,
}

#[repr(align(128))]
pub(super) struct Line<V>(pub(super) V);

/// What `below` says.
fn beneath(top: Link, height: u64) -> u64 {
    let index = top.index().map_or(0, |index| index as u64 + 1);
    height << 32 | index
}

fn next_down(below: u64) -> Option<usize> {
    (below as u32).checked_sub(1).map(|index| index as usize)
}

fn height(below: u64) -> u64 {
    below >> 32
}

impl FreeList {
    /// All slots of a new table.
    pub(super) fn of<K>(slots: &[Slot<K>]) -> Self {
        let empty = || Stack { top: AtomicU64::new(Link::NEW.0), elsewhere: AtomicU64::new(0) };
        // Rounded down, so that the last slot's stack is there, and all have as many slots, but for a few.
        let stacks_per_slot = ((STACKS as u64) << 32) / slots.len().max(1) as u64;
        let list = FreeList { stacks: std::array::from_fn(|_| Line(empty())), stacks_per_slot };
        (0..slots.len()).rev().for_each(|index| list.push(index, slots));
        list
    }

    /// Lock-free, O(1).
    #[inline]
    pub(super) fn push<K>(&self, index: usize, slots: &[Slot<K>]) {
        let stack = (index as u64 * self.stacks_per_slot) >> 32;
        let stack = &self.stacks[stack as usize].0.top;
        // Acquire pairs with the Release below: the height is that of this top.
        let mut top = Link(stack.load(Ordering::Acquire));
        loop {
            let below = top.index().map_or(0, |top| slots[top].below.load(Ordering::Relaxed));
            slots[index].below.store(beneath(top, height(below) + 1), Ordering::Relaxed);
            // Release pairs with the Acquire in `pop_from`.
            match stack.compare_exchange(
                top.0,
                top.renamed(Some(index)).0,
                Ordering::Release,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(other) => top = Link(other),
            }
        }
    }

    /// Takes a slot; `None` if at one moment of the call there was none. Lock-free.
    #[inline]
    pub(super) fn pop<K>(&self, slots: &[Slot<K>]) -> Option<usize> {
        let near = thread_number() % STACKS;
        let Stack { top, elsewhere } = &self.stacks[near].0;
        pop_from(top, slots).or_else(|| {
            // Relaxed: a guess.
            let far = near ^ elsewhere.load(Ordering::Relaxed) as usize;
            pop_from(&self.stacks[far].0.top, slots).or_else(|| self.pop_anywhere(near, slots))
        })
    }

    #[cold]
    fn pop_anywhere<K>(&self, near: usize, slots: &[Slot<K>]) -> Option<usize> {
        loop {
            let before = self.tops();
            // In this order no two threads look at one stack at a time, if they prefer different ones and keep step.
            for distance in 0..STACKS {
                if let Some(index) = pop_from(&self.stacks[near ^ distance].0.top, slots) {
                    self.stacks[near].0.elsewhere.store(distance as u64, Ordering::Relaxed);
                    return Some(index);
                }
            }
            // A slot may have come back to a stack that had been looked at before one was taken from a stack that was not. If
            // no link has changed between two looks at all of them, they were all empty at once. These looks are Relaxed: those
            // in `pop_from`, which come between them, are ordered after what they find.
            let empty = before.iter().all(|top| top.index().is_none());
            if empty && before == self.tops() {
                return None;
            }
        }
    }

    fn tops(&self) -> [Link; STACKS] {
        std::array::from_fn(|stack| Link(self.stacks[stack].0.top.load(Ordering::Relaxed)))
    }

    /// How many there are; beside other threads, a number that was near it.
    pub(super) fn len<K>(&self, slots: &[Slot<K>]) -> usize {
        let height = |top: usize| height(slots[top].below.load(Ordering::Relaxed)) as usize;
        self.tops().into_iter().filter_map(Link::index).map(height).sum()
    }
}

#[inline]
fn pop_from<K>(stack: &AtomicU64, slots: &[Slot<K>]) -> Option<usize> {
    // Acquire pairs with the Release in `push`, that of deeper slots too: an exchange passes on what the one before it
    // released.
    let mut top = Link(stack.load(Ordering::Acquire));
    loop {
        let index = top.index()?;
        let below = next_down(slots[index].below.load(Ordering::Relaxed));
        // A slot that was taken and put back since has moved the tag on. Release pairs with the Acquire above: who finds
        // this stack empty afterwards finds others as they were before, or later.
        match stack.compare_exchange(
            top.0,
            top.renamed(below).0,
            Ordering::Release,
            Ordering::Acquire,
        ) {
            Ok(_) => return Some(index),
            Err(other) => top = Link(other),
        }
    }
}
