//! Who has which cells in hand.

use std::array;

use super::CLASSES;
use super::atomic::AtomicU64;
use crate::sync::{Ordering, model_or, own_number};

/// How many threads have a holder to themselves.
const OWN: usize = model_or(1, 16);
/// How many holders there are for all others, and for a thread whose own cell is in use.
pub(super) const SHARED: usize = model_or(2, 16);
/// How many holders there are.
pub(super) const HOLDERS: usize = OWN + SHARED;

const FREE: u64 = 0;
const TAKEN: u64 = 1;

/// A cell of each lane, for one thread to write into. On a line of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
pub(super) struct Holder {
    /// [`FREE`], or [`TAKEN`] by a thread that has none of its own. Not used in one that is a thread's own.
    taken: AtomicU64,
    cells: [AtomicU64; CLASSES],
}

/// A cell that is held by this thread alone for now.
pub(super) struct Held<'h> {
    holder: &'h AtomicU64,
    pub(super) cell: u64,
}

/// The holders of a queue.
pub(super) struct Holders {
    own: [Holder; OWN],
    shared: [Holder; SHARED],
}

impl Holder {
    /// With the cell of this number beyond the capacity of each lane.
    fn new(number: usize, capacities: &[usize; CLASSES]) -> Self {
        let cells = capacities.map(|capacity| AtomicU64::new((capacity + number) as u64));
        Holder { taken: AtomicU64::new(FREE), cells }
    }

    fn take(&self) -> Option<Taken<'_>> {
        // Acquire pairs with the Release in `Taken::drop`.
        let taken = self.taken.compare_exchange(FREE, TAKEN, Ordering::Acquire, Ordering::Relaxed);
        // Not made before it is known: what is dropped is given back.
        taken.is_ok().then(|| Taken(self))
    }

    /// The cell of a lane.
    #[inline]
    fn held(&self, class: usize) -> Held<'_> {
        let holder = &self.cells[class];
        // Relaxed, as in `exchange`: a holder is used by one thread at a time, and handed on in order.
        Held { holder, cell: holder.load(Ordering::Relaxed) }
    }
}

/// A shared holder that this thread has taken.
pub(super) struct Taken<'h>(&'h Holder);

impl Taken<'_> {
    pub(super) fn held(&self, class: usize) -> Held<'_> {
        self.0.held(class)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // Release pairs with the Acquire in `Holder::take`: the next sees which cells are here.
        self.0.taken.store(FREE, Ordering::Release);
    }
}

impl Holders {
    /// For lanes of these capacities, each of which has [`HOLDERS`] cells more.
    pub(super) fn new(capacities: &[usize; CLASSES]) -> Self {
        Holders {
            own: array::from_fn(|number| Holder::new(number, capacities)),
            shared: array::from_fn(|number| Holder::new(OWN + number, capacities)),
        }
    }

    /// This thread's own cell of a class, if it has one. The caller is done with it before it asks again.
    #[inline]
    pub(super) fn own(&self, class: usize) -> Option<Held<'_>> {
        Some(self.own.get(own_number()?)?.held(class))
    }

    /// Takes one after another of the shared holders that are free.
    pub(super) fn take_each(&self) -> impl Iterator<Item = Taken<'_>> {
        self.shared.iter().filter_map(Holder::take)
    }
}

impl Held<'_> {
    /// Leaves another cell here, for the next call.
    #[inline]
    pub(super) fn exchange(self, other: u64) {
        self.holder.store(other, Ordering::Relaxed);
    }
}
