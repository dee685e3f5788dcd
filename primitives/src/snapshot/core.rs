//! The protocol: how versions are protected, published and reclaimed. The guide is in the module's page.

use std::marker::PhantomData;
use std::mem::forget;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};

use super::Version;
use super::node::{Node, Snapshot};
use crate::notify::Waiters;
use crate::panics::{go_on, keep_first};
use crate::slots::{Slot, Slots};
use crate::sync::{
    Arc, AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence, model_or, thread_number,
};

/// Of how many commits one reclaims what they all replaced, unless somebody asks for another number.
pub(super) const SEGMENT: NonZero<u8> = NonZero::new(model_or(2, 32) as u8).unwrap();

/// How many stale versions one commit looks for in the slots, or as many as a segment has.
const SWEEP: u8 = model_or(1, 32) as u8;

/// How many threads can be inside a cell at once before slots are added.
const GUESTS: usize = model_or(2, 8);

/// What a cell, its readers and its followers share.
pub(super) struct Core<T> {
    /// The current version. On lines that only commits write.
    root: Line<AtomicPtr<Node<T>>>,
    /// Those who are inside for the time of one call.
    guests: Slots<Node<T>, GUESTS>,
    /// Those with a handle.
    readers: Slots<Node<T>, 0>,
    segment: u8,
    first: Version,
    reclaimed: AtomicU64,
    /// How many reclaimed versions are still held by snapshots. They may outlive the cell, and it them.
    outliving: Arc<AtomicUsize>,
    pub(super) followers: Waiters,
    closed: AtomicBool,
    _owns: PhantomData<Node<T>>,
}

#[repr(align(128))]
struct Line<V>(V);

// SAFETY: threads get `&T` from the core, and any of them may be the one that drops a `T`.
unsafe impl<T: Send + Sync> Send for Core<T> {}
// SAFETY: as above.
unsafe impl<T: Send + Sync> Sync for Core<T> {}

impl<T> Core<T> {
    pub(super) fn new(segment: NonZero<u8>, first: Version, value: T) -> Self {
        let root = Box::into_raw(Node::new(first, 0, ptr::null_mut(), value));
        Core {
            root: Line(AtomicPtr::new(root)),
            guests: Slots::new(),
            readers: Slots::new(),
            segment: segment.get(),
            first,
            reclaimed: AtomicU64::new(0),
            outliving: Arc::new(AtomicUsize::new(0)),
            followers: Waiters::new(),
            closed: AtomicBool::new(false),
            _owns: PhantomData,
        }
    }

    /// The address of the current version. Nothing protects what it points to.
    #[inline]
    pub(super) fn glance(&self) -> *mut Node<T> {
        // Relaxed: whoever uses the address compares it with one that is protected, and orders itself by
        // how that one was found. That a version which is known to exist is not missed, coherence grants.
        self.root.0.load(Ordering::Relaxed)
    }

    /// Protects the current version until the guest is dropped. Lock-free.
    #[inline]
    pub(super) fn enter(&self) -> Guest<'_, T> {
        let likely = self.glance();
        let slot = self.guests.take_near(thread_number(), likely);
        Guest { node: self.settle(slot, likely), core: self, slot }
    }

    /// Everybody's slots.
    fn slots(&self) -> impl Iterator<Item = &Slot<Node<T>>> {
        self.guests.iter().chain(self.readers.iter())
    }

    /// A slot for a reader that will announce what it reads, and give it back.
    pub(super) fn register(&self) -> &Slot<Node<T>> {
        self.readers.take_idle()
    }

    /// Announces the current version in a slot of this core, in place of what was announced there; `likely` is
    /// a guess at it. Lock-free: a further attempt means that somebody committed.
    pub(super) fn protect(&self, slot: &Slot<Node<T>>, likely: *mut Node<T>) -> NonNull<Node<T>> {
        slot.announce(likely);
        self.settle(slot, likely)
    }

    /// Makes sure that what was just announced is current, or announces again.
    #[inline]
    fn settle(&self, slot: &Slot<Node<T>>, mut announced: *mut Node<T>) -> NonNull<Node<T>> {
        loop {
            // SeqCst orders this after the announcement. It is also an Acquire, which pairs with the Release
            // in `publish`.
            let current = self.root.0.load(Ordering::SeqCst);
            if current == announced {
                // SAFETY: the root is never null.
                return unsafe { NonNull::new_unchecked(current) };
            }
            announced = current;
            slot.announce(announced);
        }
    }

    /// Makes `value` the version after the guest's, if that is still the current one. Lock-free.
    ///
    /// # Errors
    /// Gives the value back when another commit came first.
    #[inline]
    pub(super) fn publish(&self, guest: Guest<'_, T>, value: T) -> Result<Version, T> {
        let base = guest.node;
        // The last place of the longest segment is 254.
        let place = if guest.place() + 1 < self.segment { guest.place() + 1 } else { 0 };
        let version = Version(guest.version().0.wrapping_add(1));
        let node = Box::into_raw(Node::new(version, place, base.as_ptr(), value));
        // SeqCst, for the look at the followers below. It is also a Release, which publishes the node. The
        // guest protects the base, so that its address cannot have come back for another version. On
        // failure nothing is read through the pointer that is returned.
        let root = &self.root.0;
        match root.compare_exchange(base.as_ptr(), node, Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => {
                // From here on `node` may be reclaimed at any time, but not `base`, if that falls to us.
                let slot = guest.leave();
                let garbage = (place == 0).then(|| self.collect(base));
                // Only now comes code of others, which may panic: wakers, and values that are dropped. What is
                // skipped then is done by a later commit.
                self.followers.wake_all();
                drop(garbage);
                self.take_over(slot);
                if place == 0 {
                    drop(self.sweep());
                }
                Ok(version)
            }
            Err(_) => {
                // SAFETY: it came from the box above and was not published.
                Err(unsafe { Box::from_raw(node) }.value)
            }
        }
    }

    /// Takes the segment of history that ends with `last`, to be freed when the answer is dropped.
    ///
    /// History is one chain, each version linked to the one before, and so what was replaced needs no other
    /// list. The commit that begins a segment owns the one before it: the chain from its base to the node
    /// of place 0. Nobody else follows these links.
    #[cold]
    fn collect(&self, last: NonNull<Node<T>>) -> Garbage<'_, T> {
        let mut retired = List::new();
        retired.push_segment(last.as_ptr());
        self.sort_out(retired)
    }

    /// Finds out which of these nodes nobody protects, to be freed when the answer is dropped. Each other one is left
    /// to a slot in which it is announced; what was left there before takes its place here.
    ///
    /// So the caller never holds more nodes than it came with, and a slot never more than one. It comes to an
    /// end: a slot to which the node was left that it announces is not asked again until its owner moves on.
    fn sort_out(&self, mut nodes: List<T>) -> Garbage<'_, T> {
        let mut garbage = Garbage { core: self, nodes: List::new() };
        while !nodes.is_empty() {
            // SeqCst: see `Slot::announced`. All of `nodes` was unlinked before; what is taken out of the slots
            // below was perhaps not, and so it waits for the next turn.
            fence(Ordering::SeqCst);
            let announced = self.slots().filter_map(|slot| Some((slot.announced()?, slot)));
            let mut announced: Vec<_> = announced.collect();
            announced.sort_unstable_by_key(|(node, _)| *node);

            let mut displaced = List::new();
            while let Some(node) = nodes.pop() {
                match announced.binary_search_by_key(&node.as_ptr(), |(node, _)| *node) {
                    Ok(at) => {
                        if let Some(other) = announced[at].1.leave(node) {
                            displaced.push(other);
                        }
                    }
                    Err(_) => garbage.nodes.push(node),
                }
            }
            nodes = displaced;
        }
        garbage
    }

    /// Takes out of the slots what was left there and is announced there no more, some of it at least.
    fn sweep(&self) -> Garbage<'_, T> {
        let mut stale = List::new();
        let most = self.segment.max(SWEEP).into();
        self.slots().filter_map(Slot::take_stale).take(most).for_each(|node| stale.push(node));
        self.sort_out(stale)
    }

    /// Frees what was left to a slot whose owner reads nothing any more.
    #[inline]
    pub(super) fn take_over(&self, slot: &Slot<Node<T>>) {
        if slot.has_left() {
            self.take_over_what_is_left(slot);
        }
    }

    #[cold]
    fn take_over_what_is_left(&self, slot: &Slot<Node<T>>) {
        if let Some(node) = slot.take_left() {
            let mut nodes = List::new();
            nodes.push(node);
            drop(self.sort_out(nodes));
        }
    }

    /// Says that nobody will commit any more.
    pub(super) fn close(&self) {
        // SeqCst, for the look at the followers. It is also a Release: see `is_closed`.
        self.closed.store(true, Ordering::SeqCst);
        self.followers.wake_all();
    }

    /// Whether nobody will commit any more; then all that was committed is seen by whoever looks now.
    pub(super) fn is_closed(&self) -> bool {
        // Acquire pairs with the Release in `close`; a follower's fence orders this after its waker.
        self.closed.load(Ordering::Acquire)
    }

    /// How many versions were replaced and still wait to be reclaimed. Exact while nobody commits.
    pub(super) fn retired(&self) -> usize {
        let reclaimed = self.reclaimed.load(Ordering::Relaxed);
        let replaced = self.enter().version().0.wrapping_sub(self.first.0);
        usize::try_from(replaced.saturating_sub(reclaimed)).unwrap_or(usize::MAX)
    }

    /// How many versions are held by snapshots alone.
    pub(super) fn outliving(&self) -> usize {
        self.outliving.load(Ordering::Relaxed)
    }
}

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
impl<T> Core<T> {
    pub(super) fn slot_count(&self) -> usize {
        self.slots().count() + self.followers.slot_count()
    }
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        // `&mut self` proves that nobody is inside, so that no commit is on its way and all earlier
        // segments were taken.
        let mut nodes = List::new();
        nodes.push_segment(self.root.0.load(Ordering::Relaxed));
        self.slots().filter_map(Slot::take_left).for_each(|node| nodes.push(node));
        drop(Garbage { core: self, nodes });
    }
}

/// The current version, protected for the time of one call.
pub(super) struct Guest<'c, T> {
    node: NonNull<Node<T>>,
    core: &'c Core<T>,
    slot: &'c Slot<Node<T>>,
}

impl<'c, T> Guest<'c, T> {
    /// Gives the slot back, and does not look yet into what was left there meanwhile.
    fn leave(self) -> &'c Slot<Node<T>> {
        let slot = self.slot;
        forget(self);
        slot.give_back();
        slot
    }

    fn node(&self) -> &Node<T> {
        // SAFETY: the slot protects the node, and gives no reference that outlives the guest.
        unsafe { self.node.as_ref() }
    }

    #[inline]
    pub(super) fn value(&self) -> &T {
        &self.node().value
    }

    #[inline]
    pub(super) fn version(&self) -> Version {
        self.node().version
    }

    fn place(&self) -> u8 {
        self.node().place
    }

    /// An owned handle on the guest's version.
    #[inline]
    pub(super) fn export(&self) -> Snapshot<T> {
        // SAFETY: the slot protects the node.
        unsafe { Snapshot::hold(self.node) }
    }
}

impl<T> Drop for Guest<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.slot.give_back();
        self.core.take_over(self.slot);
    }
}

/// Nodes that one thread owns, linked by `next`.
struct List<T>(*mut Node<T>);

impl<T> List<T> {
    fn new() -> Self {
        List(ptr::null_mut())
    }

    fn is_empty(&self) -> bool {
        self.0.is_null()
    }

    fn push(&mut self, node: NonNull<Node<T>>) {
        // SAFETY: nodes on their way into a list of ours are alive.
        let this = unsafe { node.as_ref() };
        // SAFETY: and in nobody else's.
        unsafe { this.set_next(self.0) };
        self.0 = node.as_ptr();
    }

    fn pop(&mut self) -> Option<NonNull<Node<T>>> {
        let node = NonNull::new(self.0)?;
        // SAFETY: nodes in a list of ours are alive.
        let this = unsafe { node.as_ref() };
        // SAFETY: and in nobody else's.
        self.0 = unsafe { this.next() };
        Some(node)
    }

    /// Adds the nodes of the segment that ends with `last`, which the caller owns.
    fn push_segment(&mut self, last: *mut Node<T>) {
        let mut next = NonNull::new(last);
        while let Some(node) = next {
            // SAFETY: the caller owns the segment.
            let this = unsafe { node.as_ref() };
            // SAFETY: as above.
            let before = || NonNull::new(unsafe { this.next() });
            next = if this.place == 0 { None } else { before() };
            self.push(node);
        }
    }
}

/// Nodes that nobody else can reach but through snapshots. Dropping it lets go of all of them, also if dropping
/// the value of one panics; the first panic goes on afterwards.
struct Garbage<'c, T> {
    core: &'c Core<T>,
    nodes: List<T>,
}

impl<T> Drop for Garbage<'_, T> {
    fn drop(&mut self) {
        let mut panic = None;
        let mut count = 0;
        while let Some(node) = self.nodes.pop() {
            // SAFETY: nodes get here once, after they were unlinked and found unprotected, or when nobody
            // else has the core.
            let release = || unsafe { Node::release(node, &self.core.outliving) };
            keep_first(&mut panic, catch_unwind(AssertUnwindSafe(release)));
            count += 1;
        }
        // Relaxed: a number for people.
        self.core.reclaimed.fetch_add(count, Ordering::Relaxed);
        go_on(panic);
    }
}
