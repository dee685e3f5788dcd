//! The protocol: how objects are found, taken and put back. The guide is in the module's page.

use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use super::Stats;
use super::place::{Line, Place, WIDE};
use crate::panics::{Payload, drop_each, go_on, keep_first};
use crate::sync::{AtomicU64, Ordering, model_or, thread_number};

/// So many lines there are if each still has [`LEAST`] places and one more.
const LINES: usize = model_or(2, 8);

/// With so many places in each line, the first of them is kept for the object that was taken from it.
const LEAST: usize = model_or(2, 3);

/// Makes an object.
pub(super) type Make<T> = Box<dyn Fn() -> T + Send + Sync>;

/// Makes a returned object fit to be taken again, and says whether to keep it.
pub(super) type Restore<T> = Box<dyn Fn(&mut T) -> bool + Send + Sync>;

/// What a pool and its owned handles share.
pub(super) struct Core<T> {
    /// As many as a power of two.
    lines: Box<[Line<Node<T>>]>,
    /// Whether the first place of each line is kept for the object that was taken from it.
    keeps_first: bool,
    pub(super) capacity: usize,
    make: Make<T>,
    restore: Option<Restore<T>>,
    /// Idle objects that were dropped because somebody asked for it.
    cleared: AtomicU64,
    _owns: PhantomData<T>,
}

/// An object in memory. It never moves.
struct Node<T> {
    home: Home,
    object: T,
}

/// Where an object goes back to.
#[derive(Clone, Copy)]
struct Home {
    line: u32,
    /// Whether the first place of that line is held for it.
    is_held: bool,
}

/// An object that was taken, which its owner has alone. It must be given back or leave the pool, or it leaks, and the place
/// that is held for it is lost.
///
/// One word, so that a handle has two, which pass in registers.
pub(super) struct Taken<T>(NonNull<Node<T>>);

impl<T> Taken<T> {
    /// # Safety
    /// The node came from a box, and the caller has it alone.
    unsafe fn of(mut node: NonNull<Node<T>>, line: usize, is_held: bool) -> Self {
        // SAFETY: the caller's promise.
        unsafe { node.as_mut() }.home = Home::of(line, is_held);
        Taken(node)
    }

    fn made(object: T, line: usize) -> Self {
        let node = Node { home: Home::of(line, false), object };
        Taken(NonNull::from(Box::leak(Box::new(node))))
    }

    #[inline]
    pub(super) fn object(&self) -> &T {
        // SAFETY: the node is alive, and its owner has it alone.
        &unsafe { self.0.as_ref() }.object
    }

    #[inline]
    pub(super) fn object_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        &mut unsafe { self.0.as_mut() }.object
    }

    #[inline]
    fn home(&self) -> Home {
        // SAFETY: as above.
        unsafe { self.0.as_ref() }.home
    }
}

impl Home {
    fn of(line: usize, is_held: bool) -> Self {
        // There is no memory for 2³² lines.
        Home { line: line as u32, is_held }
    }
}

// SAFETY: objects go from thread to thread, one has each at a time, and none is looked at while it is idle.
unsafe impl<T: Send> Send for Core<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Core<T> {}

/// How many lines a pool has: a power of two, and as many as its places need.
fn lines_for(capacity: usize) -> usize {
    let needed = capacity.div_ceil(WIDE).max(1).next_power_of_two();
    let wanted = (capacity / (LEAST + 1)).clamp(1, LINES);
    needed.max((wanted / 2 + 1).next_power_of_two())
}

impl<T> Core<T> {
    pub(super) fn new(capacity: usize, make: Make<T>, restore: Option<Restore<T>>) -> Self {
        let count = lines_for(capacity);
        let (each, more) = (capacity / count, capacity % count);
        Core {
            lines: (0..count).map(|at| Line::of(each + usize::from(at < more))).collect(),
            keeps_first: each >= LEAST,
            capacity,
            make,
            restore,
            cleared: AtomicU64::new(0),
            _owns: PhantomData,
        }
    }

    /// The line that this thread looks into first.
    #[inline]
    fn home(&self) -> usize {
        thread_number() & (self.lines.len() - 1)
    }

    /// All lines but this one, beginning with the next.
    fn other_lines(&self, line: usize) -> impl Iterator<Item = &Line<Node<T>>> {
        self.lines[line + 1..].iter().chain(&self.lines[..line])
    }

    fn places(&self) -> impl Iterator<Item = &Place<Node<T>>> {
        self.lines.iter().flat_map(|line| &line.places)
    }

    /// The line that an object goes back to.
    fn line(&self, home: Home) -> &Line<Node<T>> {
        &self.lines[home.line as usize]
    }

    /// Takes an idle object. Wait-free: it looks at each place once at most.
    #[inline]
    pub(super) fn try_take(&self) -> Option<Taken<T>> {
        let line = self.home();
        if self.keeps_first {
            let first = &self.lines[line].places[0];
            if let Some(node) = first.take() {
                first.count_hit();
                // SAFETY: it was taken.
                return Some(unsafe { Taken::of(node, line, true) });
            }
        }
        self.take_anywhere(line)
    }

    // Out of line, as is its counterpart below, so that the way to the first place stays short.
    #[inline(never)]
    fn take_anywhere(&self, line: usize) -> Option<Taken<T>> {
        let near = self.lines[line].take();
        let node = near.or_else(|| self.other_lines(line).find_map(Line::take))?;
        // SAFETY: it was taken.
        Some(unsafe { Taken::of(node, line, false) })
    }

    /// Takes an idle object, or makes one.
    #[inline]
    pub(super) fn take(&self) -> Taken<T> {
        self.try_take().unwrap_or_else(|| self.make())
    }

    #[cold]
    fn make(&self) -> Taken<T> {
        let taken = self.adopt((self.make)());
        // Relaxed, as for all such numbers: they are for people.
        self.line(taken.home()).misses.fetch_add(1, Ordering::Relaxed);
        taken
    }

    /// An object that comes from elsewhere, to be given back.
    pub(super) fn adopt(&self, object: T) -> Taken<T> {
        Taken::made(object, self.home())
    }

    /// Restores an object and puts it back; drops it if that fails, or if there is no room.
    #[inline]
    pub(super) fn give_back(&self, mut taken: Taken<T>) {
        match self.restore(&mut taken) {
            Ok(true) => {
                if let Err(taken) = self.put(taken) {
                    self.discard(taken, None);
                }
            }
            Ok(false) => self.discard(taken, None),
            Err(panic) => self.discard(taken, Some(panic)),
        }
    }

    /// Whether the object may be kept, after it was made fit to be.
    #[inline]
    pub(super) fn restore(&self, taken: &mut Taken<T>) -> Result<bool, Payload> {
        let Some(restore) = &self.restore else { return Ok(true) };
        catch_unwind(AssertUnwindSafe(|| restore(taken.object_mut())))
    }

    /// Makes an object idle. Wait-free: it looks at each place once at most.
    ///
    /// # Errors
    /// Gives it back if there is no room.
    #[inline]
    pub(super) fn put(&self, taken: Taken<T>) -> Result<(), Taken<T>> {
        let home = taken.home();
        if home.is_held {
            self.line(home).places[0].put_back(taken.0);
            return Ok(());
        }
        self.put_anywhere(taken)
    }

    #[inline(never)]
    fn put_anywhere(&self, taken: Taken<T>) -> Result<(), Taken<T>> {
        let line = taken.home().line as usize;
        let put =
            self.lines[line].put(taken.0) || self.other_lines(line).any(|line| line.put(taken.0));
        if put { Ok(()) } else { Err(taken) }
    }

    /// Drops an object that was returned, and lets go on what it or `panic` was about to do.
    #[cold]
    pub(super) fn discard(&self, taken: Taken<T>, mut panic: Option<Payload>) {
        self.line(taken.home()).discarded.fetch_add(1, Ordering::Relaxed);
        let object = self.release(taken);
        keep_first(&mut panic, catch_unwind(AssertUnwindSafe(|| drop(object))));
        go_on(panic);
    }

    /// Lets an object leave the pool.
    pub(super) fn release(&self, taken: Taken<T>) -> T {
        let home = taken.home();
        if home.is_held {
            self.line(home).places[0].vacate();
        }
        // SAFETY: the caller had it alone.
        unsafe { freed(taken.0) }
    }

    /// Drops up to `most` idle objects.
    pub(super) fn clear(&self, most: usize) {
        let idle = self.places().filter_map(|place| {
            let node = place.take()?;
            place.vacate();
            self.cleared.fetch_add(1, Ordering::Relaxed);
            // SAFETY: it was taken.
            Some(unsafe { freed(node) })
        });
        drop_each(idle.take(most));
    }

    pub(super) fn len(&self) -> usize {
        self.places().filter(|place| place.is_full()).count()
    }

    pub(super) fn stats(&self) -> Stats {
        let sum = |count: fn(&Line<Node<T>>) -> u64| {
            self.lines.iter().map(count).fold(0, u64::wrapping_add)
        };
        let hits = sum(|line| line.places.iter().map(Place::hits).fold(0, u64::wrapping_add));
        // What was put back is idle, or was taken again, or cleared.
        let cleared = self.cleared.load(Ordering::Relaxed);
        Stats {
            hits,
            misses: sum(|line| line.misses.load(Ordering::Relaxed)),
            returned: hits.wrapping_add(cleared).wrapping_add(self.len() as u64),
            discarded: sum(|line| line.discarded.load(Ordering::Relaxed)),
        }
    }
}

/// The object of a node, whose memory is freed.
///
/// # Safety
/// It came from a box, and nobody else has it.
unsafe fn freed<T>(node: NonNull<Node<T>>) -> T {
    // SAFETY: the caller's promise.
    unsafe { Box::from_raw(node.as_ptr()) }.object
}

impl<T> Drop for Core<T> {
    fn drop(&mut self) {
        // SAFETY: they were taken; and as nobody else has the core, none is overlooked.
        drop_each(self.places().filter_map(Place::take).map(|node| unsafe { freed(node) }));
    }
}
