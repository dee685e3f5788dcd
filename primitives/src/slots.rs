//! Slots in which threads announce what they read and something is left to them meanwhile: hazard pointers (Michael 2004)
//! with the hand-over of Pass The Buck (Herlihy, Luchangco, Moir 2002). Those who wait leave their wakers in them.

use std::iter;
use std::ptr::{self, NonNull};

use crate::sync::{AtomicPtr, Ordering, fence, model_or};

/// How many slots the first block that is added has; each further one has twice as many.
const FIRST_BLOCK: usize = model_or(1, 8);

/// One reader's place.
///
/// On a line of its own (two, as processors fetch them in pairs), so that readers do not slow each other.
#[repr(align(128))]
pub(crate) struct Slot<N> {
    /// What the reader protects: null when nobody has the slot, [`nothing`] when its owner reads nothing at the
    /// moment, else a node.
    announced: AtomicPtr<N>,
    /// A node that somebody wanted to free while it was announced here, or null. Whoever takes it out is
    /// to free it or to leave it to another slot. In a waiter's slot, its waker.
    left: AtomicPtr<N>,
}

/// A value that marks a slot as taken and is no node's address.
fn nothing<N>() -> *mut N {
    ptr::without_provenance_mut(1)
}

impl<N> Slot<N> {
    fn new(announced: *mut N) -> Self {
        Slot { announced: AtomicPtr::new(announced), left: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Announces that `node` is about to be read; whatever was announced before is read no more.
    ///
    /// `SeqCst` orders this before the `SeqCst` load by which the caller then makes sure that `node` is
    /// still the current one. It is also a Release: see [`announced`](Self::announced).
    #[inline]
    pub(crate) fn announce(&self, node: *mut N) {
        self.announced.store(node, Ordering::SeqCst);
    }

    /// Says that nothing is read any more; the slot stays with its owner.
    pub(crate) fn clear(&self) {
        // Release pairs with the Acquire in `announced`.
        self.announced.store(nothing(), Ordering::Release);
    }

    /// Gives the slot back.
    #[inline]
    pub(crate) fn give_back(&self) {
        // Release pairs with the Acquire in `announced`, and with that of whoever takes the slot next, who
        // thereby passes it on.
        self.announced.store(ptr::null_mut(), Ordering::Release);
    }

    /// Takes the slot if it is free, and announces `node` as [`announce`](Self::announce) does.
    #[inline]
    fn take(&self, node: *mut N) -> bool {
        let free = ptr::null_mut();
        let announced = &self.announced;
        announced.compare_exchange(free, node, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }

    /// What is announced here now, if anything; it may be gone already.
    ///
    /// Whatever was unlinked before the caller's `SeqCst` fence and is announced in none of the slots is read by
    /// nobody, and whoever read it has done so before. For a reader that announced a node afterwards
    /// finds, when it looks again, that the node is no longer the current one: announcement, look,
    /// unlinking and fence are in that one order in which the fence is. And one that has announced
    /// something else since, or nothing, did so with Release, which the Acquire here pairs with.
    pub(crate) fn announced(&self) -> Option<*mut N> {
        let node = self.announced.load(Ordering::Acquire);
        (!node.is_null() && node != nothing()).then_some(node)
    }

    fn seems_free(&self) -> bool {
        self.announced.load(Ordering::Relaxed).is_null()
    }

    /// Leaves `node` here, and gives what was left here before, if anything.
    pub(crate) fn leave(&self, node: NonNull<N>) -> Option<NonNull<N>> {
        // AcqRel: who takes a node out sees all that those did who had it before.
        NonNull::new(self.left.swap(node.as_ptr(), Ordering::AcqRel))
    }

    /// Takes out what was left here.
    pub(crate) fn take_left(&self) -> Option<NonNull<N>> {
        // Relaxed: it only saves the exchange.
        if !self.has_left() {
            return None;
        }
        // AcqRel: as in `leave`.
        NonNull::new(self.left.swap(ptr::null_mut(), Ordering::AcqRel))
    }

    /// Whether something was left here and is here still. A guess, unless the caller orders it.
    pub(crate) fn has_left(&self) -> bool {
        !self.left.load(Ordering::Relaxed).is_null()
    }

    /// Takes out what was left here, unless it is announced here at the moment.
    pub(crate) fn take_stale(&self) -> Option<NonNull<N>> {
        // Relaxed: a guess. Whatever is taken out is looked into before it is freed.
        let left = self.left.load(Ordering::Relaxed);
        if left == self.announced.load(Ordering::Relaxed) { None } else { self.take_left() }
    }
}

/// A set of slots that grows and never shrinks. `INLINE` of them stand in the set itself.
pub(crate) struct Slots<N, const INLINE: usize> {
    inline: [Slot<N>; INLINE],
    /// The newest block, which is the largest.
    blocks: AtomicPtr<Block<N>>,
}

struct Block<N> {
    slots: Box<[Slot<N>]>,
    /// The block before; never changes once this one can be reached.
    older: *const Block<N>,
}

impl<N, const INLINE: usize> Slots<N, INLINE> {
    pub(crate) fn new() -> Self {
        Slots {
            inline: std::array::from_fn(|_| Slot::new(ptr::null_mut())),
            blocks: AtomicPtr::new(ptr::null_mut()),
        }
    }

    /// Takes a slot and announces `node` in it; tries the inline slot of number `hint` first. Lock-free,
    /// O(1) if that one is free, else O(slots).
    #[inline]
    pub(crate) fn take_near(&self, hint: usize, node: *mut N) -> &Slot<N> {
        let near = &self.inline[hint % INLINE];
        if near.take(node) { near } else { self.take_any(node) }
    }

    /// Takes a slot that announces nothing yet. Lock-free, O(slots).
    pub(crate) fn take_idle(&self) -> &Slot<N> {
        self.take_any(nothing())
    }

    #[cold]
    fn take_any(&self, node: *mut N) -> &Slot<N> {
        let slot = loop {
            let newest = self.newest();
            let free = self.iter_from(newest).find(|slot| slot.seems_free() && slot.take(node));
            if let Some(slot) = free.or_else(|| self.grow(newest, node)) {
                break slot;
            }
        };
        // The slot may stand in a block that somebody else has just added. The fence orders that, too,
        // before all that this thread is about to look at, as `Slot::announced` needs it.
        fence(Ordering::SeqCst);
        slot
    }

    /// Adds a block, whose first slot is taken already; `None` if it would not come after `newest`.
    fn grow(&self, newest: Option<&Block<N>>, node: *mut N) -> Option<&Slot<N>> {
        let count = newest.map_or(FIRST_BLOCK, |block| 2 * block.slots.len());
        let older = newest.map_or(ptr::null(), ptr::from_ref);
        let announced = iter::once(node).chain(iter::repeat_n(ptr::null_mut(), count - 1));
        let block = Block { slots: announced.map(Slot::new).collect(), older };
        let block = Box::into_raw(Box::new(block));
        let expected = older.cast_mut();
        match self.blocks.compare_exchange(expected, block, Ordering::Release, Ordering::Relaxed) {
            // SAFETY: as above.
            Ok(_) => unsafe { &*block }.slots.first(),
            Err(_) => {
                // SAFETY: it came from the box above, and nobody else has seen it.
                drop(unsafe { Box::from_raw(block) });
                None
            }
        }
    }

    fn newest(&self) -> Option<&Block<N>> {
        // Acquire pairs with the Release by which a block is added.
        // SAFETY: blocks are freed only with the set.
        unsafe { self.blocks.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Slot<N>> {
        self.iter_from(self.newest())
    }

    fn iter_from<'s>(&'s self, newest: Option<&'s Block<N>>) -> impl Iterator<Item = &'s Slot<N>> {
        // SAFETY: blocks are freed only with the set, and were written before their successors were added.
        let blocks = iter::successors(newest, |block| unsafe { block.older.as_ref() });
        self.inline.iter().chain(blocks.flat_map(|block| &block.slots))
    }
}

impl<N, const INLINE: usize> Drop for Slots<N, INLINE> {
    fn drop(&mut self) {
        // Relaxed: `&mut self` proves that all others are done.
        let mut next = self.blocks.load(Ordering::Relaxed).cast_const();
        while !next.is_null() {
            // SAFETY: it came from a box, and each block is the `older` of one other or the newest.
            let block = unsafe { Box::from_raw(next.cast_mut()) };
            next = block.older;
        }
    }
}
