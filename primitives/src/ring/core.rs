//! The protocol: how messages are published, kept and given up. The guide is in the module's page.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::vec::Drain;
use std::{iter, mem, ptr};

use super::segment::{Entry, Segment};
use super::waiting::{Lines, Side};
use super::window::Window;
use crate::lock::ShortLock;
use crate::panics::{drop_each, go_on, keep_first};
use crate::slots::{Slot, Slots};
use crate::sync::{Arc, AtomicBool, AtomicPtr, AtomicU64, Ordering, fence, model_or};

/// How many messages a segment has at most.
const LONGEST_SEGMENT: usize = model_or(2, 64);
/// How many segments a ring has at least, if its capacity allows it.
const SEGMENTS: usize = model_or(1, 8);

/// On lines of its own (two, as processors fetch them in pairs).
#[repr(align(128))]
pub(super) struct Line<V>(pub(super) V);

/// What publishers and subscribers share.
pub(super) struct Ring<T> {
    /// How many messages were published, doubled, and one more once the ring is closed.
    tail: Line<AtomicU64>,
    /// The number of the oldest segment that was not given up.
    floor: Line<AtomicU64>,
    pub(super) state: Line<ShortLock<State<T>>>,
    /// Segment number n stands in place n modulo their count.
    segments: Box<[AtomicPtr<Segment<T>>]>,
    /// A segment has 2 to this many messages.
    shift: u32,
    pub(super) capacity: usize,
    /// In which those announce the segment that they read for whom nobody waits.
    pub(super) readers: Slots<Segment<T>, 0>,
    /// Whether publishers wait for room; perhaps none does any more. Written under the lock.
    pub(super) room_wanted: Line<AtomicBool>,
}

// SAFETY: subscribers get `&T` on their threads, and any thread may be the one that drops a `T`.
unsafe impl<T: Send + Sync> Send for Ring<T> {}
// SAFETY: as above; who accesses a place when is the protocol's matter.
unsafe impl<T: Send + Sync> Sync for Ring<T> {}

/// What publishers change, one at a time.
pub(super) struct State<T> {
    /// The position of the next message.
    next: u64,
    closed: bool,
    publishers: usize,
    /// The segment in which the next message is put, unless it is to begin a new one.
    current: *const Segment<T>,
    /// A position that every `Block` subscription has reached: the oldest, at the last look.
    reached: u64,
    seats: Vec<Arc<Seat>>,
    windows: Vec<Arc<Window<T>>>,
    /// How many subscriptions announce what they read.
    announcing: usize,
    /// Segments that were given up while they were read. At most as many as `announcing`.
    aside: Vec<*mut Segment<T>>,
    /// What was announced at the last look. Kept for its memory.
    announced: Vec<*mut Segment<T>>,
    pub(super) lines: Lines,
}

/// Where a `Block` subscription is, as far as publishers need to know.
pub(super) struct Seat {
    /// Messages below this position are not read any more.
    released: Line<AtomicU64>,
}

/// Above all positions.
const NO_POSITION: u64 = u64::MAX;

impl Seat {
    /// Says that messages below `position` are not read any more.
    pub(super) fn release(&self, position: u64) {
        // SeqCst, for the look at the waiting publishers that follows. It is also a Release, which pairs with the
        // Acquire in `Ring::have_reached`.
        self.released.0.store(position, Ordering::SeqCst);
    }
}

/// Why a message cannot be published now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// A look at the tail.
#[derive(Clone, Copy)]
pub(super) struct Tail(u64);

impl Tail {
    /// How many messages are published.
    #[inline]
    pub(super) fn position(self) -> u64 {
        self.0 >> 1
    }

    /// Whether there will not be more.
    #[inline]
    pub(super) fn is_closed(self) -> bool {
        self.0 & 1 == 1
    }
}

/// A subscription as the ring knows it.
pub(super) struct Joined {
    pub(super) position: u64,
    pub(super) replayed: u64,
}

impl<T> Ring<T> {
    /// A ring with one publisher.
    pub(super) fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        let shift = (capacity / SEGMENTS).clamp(1, LONGEST_SEGMENT).ilog2();
        let places = 1 << shift;
        // A segment is given up whole, and still at least `capacity` messages are to be kept: see the module's page.
        let count = (capacity - 1).div_ceil(places) + 1;
        let segment = || AtomicPtr::new(Box::into_raw(Box::new(Segment::new(places))));
        Ring {
            tail: Line(AtomicU64::new(0)),
            floor: Line(AtomicU64::new(0)),
            state: Line(ShortLock::new(State {
                next: 0,
                closed: false,
                lines: Lines::default(),
                publishers: 1,
                current: ptr::null(),
                reached: NO_POSITION,
                seats: Vec::new(),
                windows: Vec::new(),
                announcing: 0,
                aside: Vec::new(),
                announced: Vec::new(),
            })),
            segments: iter::repeat_with(segment).take(count).collect(),
            shift,
            capacity,
            readers: Slots::new(),
            room_wanted: Line(AtomicBool::new(false)),
        }
    }

    /// How many messages a segment has.
    pub(super) fn places(&self) -> u64 {
        1 << self.shift
    }

    /// How many of these messages are published at once, at most.
    pub(super) fn run(&self, messages: usize) -> usize {
        messages.min(1 << self.shift)
    }

    /// How many messages there are places for.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn total(&self) -> u64 {
        (self.segments.len() as u64) << self.shift
    }

    /// The place of a message in its segment.
    #[inline]
    pub(super) fn place_of(&self, position: u64) -> usize {
        (position & (self.places() - 1)) as usize
    }

    #[inline]
    pub(super) fn segment_of(&self, position: u64) -> u64 {
        position >> self.shift
    }

    /// The first position of a segment.
    #[inline]
    pub(super) fn start_of(&self, segment: u64) -> u64 {
        segment << self.shift
    }

    fn index_of(&self, segment: u64) -> usize {
        (segment % self.segments.len() as u64) as usize
    }

    /// The segment of this number, if messages of it were seen to be published and it was not given up meanwhile.
    pub(super) fn segment(&self, number: u64) -> *mut Segment<T> {
        // Acquire pairs with the Release by which another segment is put in place of one that was given up: who finds
        // the other sees that the floor was moved. (A model orders that by the fence that it puts beside the
        // announcement, and so misses neither of the two.)
        self.segments[self.index_of(number)].load(Ordering::Acquire)
    }

    /// Where the messages end. Whoever looks sees those that come before.
    #[inline]
    pub(super) fn tail(&self) -> Tail {
        // Acquire pairs with the Release in `set_tail`.
        Tail(self.tail.0.load(Ordering::Acquire))
    }

    /// The number of the oldest segment that was not given up. `SeqCst` orders this after the caller's announcement.
    pub(super) fn floor(&self) -> u64 {
        self.floor.0.load(Ordering::SeqCst)
    }

    /// Publishes a message, if that is possible without waiting.
    #[inline]
    pub(super) fn try_publish(&self, message: T) -> Result<(), (Refused, T)> {
        let published = self.state.0.with(|state| self.publish_here(state, message))?;
        self.finish(published);
        Ok(())
    }

    /// Publishes a message under the lock; the caller is to [finish](Self::finish) that when it has let go of it.
    pub(super) fn publish_in(
        &self,
        state: &mut State<T>,
        message: T,
    ) -> Result<Published<T>, (Refused, T)> {
        self.publish_here(state, message)
    }

    // Always, because what it gives would else go through memory: a tenth of what a publication costs.
    #[inline(always)]
    fn publish_here(&self, state: &mut State<T>, message: T) -> Result<Published<T>, (Refused, T)> {
        match self.admit(state) {
            Ok(()) => {
                let replaced = self.put(state, message);
                Ok(Published { sleepers: self.set_tail(state), replaced })
            }
            Err(refused) => Err((refused, message)),
        }
    }

    /// Wakes subscribers, and drops what stood there before. Both is code of others, and may panic.
    #[inline]
    pub(super) fn finish(&self, published: Published<T>) {
        if published.sleepers > 0 {
            self.wake(Side::Messages, published.sleepers);
        }
        drop(published);
    }

    /// Publishes the first of these messages under the lock, as many as fit into one segment. What stood there before is put into
    /// `replaced`. Says how many subscribers are to be woken.
    pub(super) fn publish_some_in(
        &self,
        state: &mut State<T>,
        messages: &mut Drain<'_, T>,
        replaced: &mut Vec<Entry<T>>,
    ) -> Result<usize, Refused> {
        self.admit(state)?;
        let room = self.places() as usize - self.place_of(state.next);
        for message in messages.take(room) {
            let entry = self.put(state, message);
            if entry.needs_drop() {
                replaced.push(entry);
            }
        }
        Ok(self.set_tail(state))
    }

    /// Makes sure that there is a place for the next message.
    #[inline]
    fn admit(&self, state: &mut State<T>) -> Result<(), Refused> {
        if state.closed {
            return Err(Refused::Closed);
        }
        if self.place_of(state.next) == 0 { self.begin_segment(state) } else { Ok(()) }
    }

    /// Puts a message in the next place, and gives what was there before.
    #[inline]
    fn put(&self, state: &mut State<T>, message: T) -> Entry<T> {
        let entry =
            if state.windows.is_empty() { Entry::Own(message) } else { state.offer(message) };
        // SAFETY: there is a current segment, as there is a place in it; segments are freed with the ring, or when
        // they are set aside.
        let segment = unsafe { &*state.current };
        let place = &segment.places()[self.place_of(state.next)];
        state.next += 1;
        // SAFETY: publishers do this one at a time. Nobody reads the place: see `begin_segment`.
        unsafe { place.replace(entry) }
    }

    /// Publishes what was put, and says how many wait for it.
    #[inline]
    fn set_tail(&self, state: &mut State<T>) -> usize {
        // Release: see `tail`.
        self.tail.0.store(state.next << 1 | u64::from(state.closed), Ordering::Release);
        state.lines.standing(Side::Messages)
    }

    /// Gives up the oldest segment, once all are in use, so that the next message begins a new one.
    ///
    /// Afterwards nobody reads its places. All `Block` subscriptions have released them. All that announced it are found here,
    /// in which case another segment takes its place; or, when they look again, they find that the floor was moved:
    /// announcement, look, move and fence are in that one order in which the fence is (see `Slot::announced`).
    #[cold]
    fn begin_segment(&self, state: &mut State<T>) -> Result<(), Refused> {
        let number = self.segment_of(state.next);
        let place = &self.segments[self.index_of(number)];
        // Relaxed: it changes under the lock alone.
        let mut segment = place.load(Ordering::Relaxed);
        if let Some(oldest) = number.checked_sub(self.segments.len() as u64) {
            if !self.have_reached(state, self.start_of(oldest + 1)) {
                return Err(Refused::Full);
            }
            // Relaxed: the fence orders it.
            self.floor.0.store(oldest + 1, Ordering::Relaxed);
            if state.announcing > 0 {
                // SeqCst: see above.
                fence(Ordering::SeqCst);
                self.look_at_announced(state);
                if state.announced.contains(&segment) {
                    let other = state.unused().unwrap_or_else(|| self.new_segment());
                    state.aside.push(segment);
                    segment = other;
                    // Release: see `segment`.
                    place.store(segment, Ordering::Release);
                }
            }
        }
        state.current = segment;
        Ok(())
    }

    /// Whether all `Block` subscriptions have released what is below `position`.
    fn have_reached(&self, state: &mut State<T>, position: u64) -> bool {
        if state.reached < position {
            // Acquire pairs with the Release in `Seat::release`: what was released is read no more.
            let released = state.seats.iter().map(|seat| seat.released.0.load(Ordering::Acquire));
            state.reached = released.min().unwrap_or(NO_POSITION);
        }
        state.reached >= position
    }

    fn new_segment(&self) -> *mut Segment<T> {
        Box::into_raw(Box::new(Segment::new(1 << self.shift)))
    }

    /// One look at each slot, so that no more segments are found announced than there are subscriptions that announce.
    fn look_at_announced(&self, state: &mut State<T>) {
        state.announced.clear();
        state.announced.extend(self.readers.iter().filter_map(Slot::announced));
    }

    pub(super) fn add_publisher(&self) {
        self.state.0.with(|state| state.publishers += 1);
    }

    /// Closes the ring with its last publisher.
    pub(super) fn remove_publisher(&self) {
        let last = self.state.0.with(|state| {
            state.publishers -= 1;
            state.publishers == 0
        });
        if last {
            self.close();
        }
    }

    /// Says that nothing will be published any more, and wakes everybody.
    pub(super) fn close(&self) {
        let standing = self.state.0.with(|state| {
            state.closed = true;
            let sleepers = self.set_tail(state);
            [(Side::Messages, sleepers), (Side::Room, state.lines.standing(Side::Room))]
        });
        let mut panic = None;
        for (side, standing) in standing {
            keep_first(&mut panic, catch_unwind(AssertUnwindSafe(|| self.wake(side, standing))));
        }
        go_on(panic);
    }

    fn join(&self, replay: usize, register: impl FnOnce(&mut State<T>, u64)) -> Joined {
        self.state.0.with(|state| {
            // Relaxed: it changes under the lock alone.
            let oldest = self.start_of(self.floor.0.load(Ordering::Relaxed));
            let position = state.next.saturating_sub(replay as u64).max(oldest);
            register(state, position);
            Joined { position, replayed: state.next - position }
        })
    }

    /// Adds a subscription for which publishers wait.
    pub(super) fn join_blocking(&self, replay: usize) -> (Joined, Arc<Seat>) {
        let seat = Arc::new(Seat { released: Line(AtomicU64::new(NO_POSITION)) });
        let joined = self.join(replay, |state, position| {
            // Relaxed: publishers see it under the lock.
            seat.released.0.store(position, Ordering::Relaxed);
            state.reached = state.reached.min(position);
            state.seats.push(Arc::clone(&seat));
        });
        (joined, seat)
    }

    /// Adds a subscription that announces what it reads.
    pub(super) fn join_announcing(&self, replay: usize) -> Joined {
        self.join(replay, |state, _| state.announcing += 1)
    }

    /// Adds a subscription with a window.
    pub(super) fn join_with_window(&self, window: &Arc<Window<T>>) -> Joined {
        self.join(0, |state, _| state.windows.push(Arc::clone(window)))
    }

    /// Removes a subscription, and lets publishers go on that wait for it.
    pub(super) fn leave_blocking(&self, seat: &Arc<Seat>) {
        let standing = self.state.0.with(|state| {
            state.seats.retain(|other| !Arc::ptr_eq(other, seat));
            state.lines.standing(Side::Room)
        });
        self.wake(Side::Room, standing);
    }

    /// Removes a subscription that has given its slot back, and a segment that was set aside, if there is one too many.
    pub(super) fn leave_announcing(&self) {
        let surplus = self.state.0.with(|state| {
            state.announcing -= 1;
            if state.aside.len() <= state.announcing {
                return None;
            }
            self.look_at_announced(state);
            state.unused()
        });
        if let Some(segment) = surplus {
            // SAFETY: it came from a box, and nobody else has it.
            drop_each(unsafe { Box::from_raw(segment) }.into_entries());
        }
    }

    pub(super) fn leave_with_window(&self, window: &Arc<Window<T>>) {
        self.state.0.with(|state| state.windows.retain(|other| !Arc::ptr_eq(other, window)));
    }

    /// How many subscriptions there are.
    pub(super) fn subscribers(&self) -> usize {
        self.state.0.with(|state| state.seats.len() + state.windows.len() + state.announcing)
    }

    /// How many wait for messages, and for room.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn waiting(&self) -> (usize, usize) {
        let standing = |side| self.state.0.with(|state| state.lines.standing(side));
        (standing(Side::Messages), standing(Side::Room))
    }

    /// How many segments there are beside those in the ring.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn aside(&self) -> usize {
        self.state.0.with(|state| state.aside.len())
    }
}

impl<T> State<T> {
    /// Takes a segment that was set aside and that nobody reads any more, as of the last look at what is announced.
    ///
    /// Nobody begins to read one of those: whoever announces one finds, when it looks again, that it was given up.
    fn unused(&mut self) -> Option<*mut Segment<T>> {
        let unused = self.aside.iter().position(|segment| !self.announced.contains(segment))?;
        Some(self.aside.swap_remove(unused))
    }

    /// The message as it is to stand in the ring, after all windows took it that have room.
    #[cold]
    fn offer(&mut self, message: T) -> Entry<T> {
        let mut shared = None;
        let mut message = Some(message);
        for window in &self.windows {
            if !window.has_room() {
                window.lose();
                continue;
            }
            if let Some(message) = message.take() {
                shared = Some(Arc::new(message));
            }
            if let Some(shared) = &shared {
                // SAFETY: publishers do this one at a time, and there is room.
                unsafe { window.put(Arc::clone(shared)) };
            }
        }
        match (message, shared) {
            (Some(message), _) => Entry::Own(message),
            (None, Some(shared)) => Entry::Shared(shared),
            (None, None) => unreachable!("it is the one or the other"),
        }
    }
}

/// What is left to do when a message is published.
pub(super) struct Published<T> {
    /// How many subscribers are to be woken.
    sleepers: usize,
    /// What stood in the place before.
    replaced: Entry<T>,
}

impl<T> Drop for Published<T> {
    #[inline]
    fn drop(&mut self) {
        if self.replaced.needs_drop() {
            // It adds no second panic to that of a waker.
            drop_each([mem::replace(&mut self.replaced, Entry::Vacant)]);
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        // Nothing is aside any more: there are no subscriptions.
        // Relaxed: `&mut self` proves that all others are done.
        let segments = self.segments.iter().map(|place| place.load(Ordering::Relaxed));
        // SAFETY: they came from boxes, and nobody reads them any more.
        drop_each(segments.flat_map(|segment| unsafe { Box::from_raw(segment) }.into_entries()));
    }
}
