//! A subscriber's place in the ring.

use std::ptr::{self, NonNull};

use super::core::{Joined, Ring, Seat};
use super::error::RecvError;
use super::options::{Options, Overflow};
use super::segment::Segment;
use super::window::Window;
use crate::panics::drop_each;
use crate::slots::Slot;
use crate::sync::Arc;

/// What a subscriber reads, and how far it is. It does not know its ring, so that both can be borrowed at once: each of its methods
/// wants the ring that it was made for.
pub(super) struct Reader<T> {
    /// The position of the next message; with a window, how many were received.
    position: u64,
    /// Messages below this position are there, and stand in `segment`. 0 if the tail is to be looked at each time.
    end: u64,
    /// What is to be done at this position, `turn` does.
    turn: u64,
    segment: *const Segment<T>,
    /// The number of that segment.
    number: u64,
    lost: u64,
    replayed: u64,
    kind: Kind<T>,
}

enum Kind<T> {
    Block(Arc<Seat>),
    DropOldest(NonNull<Slot<Segment<T>>>),
    Latest(NonNull<Slot<Segment<T>>>),
    DropNewest(Arc<Window<T>>),
}

/// A number that no segment has.
const NO_SEGMENT: u64 = u64::MAX;

impl<T> Reader<T> {
    pub(super) fn join(ring: &Ring<T>, options: Options) -> Self {
        let announcing = || {
            // The slot first: adding one may allocate, which needs no lock.
            let slot = NonNull::from(ring.readers.take_idle());
            (ring.join_announcing(options.replay), slot)
        };
        let (joined, kind) = match options.overflow {
            Overflow::Block => {
                let (joined, seat) = ring.join_blocking(options.replay);
                (joined, Kind::Block(seat))
            }
            Overflow::DropOldest => {
                let (joined, slot) = announcing();
                (joined, Kind::DropOldest(slot))
            }
            Overflow::Latest => {
                let (joined, slot) = announcing();
                (joined, Kind::Latest(slot))
            }
            Overflow::DropNewest(window) => {
                let window = Arc::new(Window::new(window.get()));
                (ring.join_with_window(&window), Kind::DropNewest(window))
            }
        };
        let Joined { position, replayed } = joined;
        let turn = match kind {
            Kind::Block(_) => ring.start_of(ring.segment_of(position) + 1),
            Kind::DropNewest(_) => 0,
            Kind::DropOldest(_) | Kind::Latest(_) => u64::MAX,
        };
        Reader {
            position,
            end: 0,
            turn,
            segment: ptr::null(),
            number: NO_SEGMENT,
            lost: 0,
            replayed,
            kind,
        }
    }

    /// The next message, if there is one; the caller [advances](Self::advance) when it has read it.
    ///
    /// The answer is valid until then, or until the reader is used otherwise.
    #[inline]
    pub(super) fn next(&mut self, ring: &Ring<T>) -> Option<Result<NonNull<T>, RecvError>> {
        if self.position < self.end {
            return Some(Ok(self.message(ring, self.position)));
        }
        match self.look(ring)? {
            Ok(()) => Some(Ok(self.first(ring))),
            Err(error) => Some(Err(error)),
        }
    }

    /// How many messages can be read now without another look, after [`next`](Self::next) gave one: those that it gave and the ones behind it,
    /// at most `most`.
    pub(super) fn available(&self, ring: &Ring<T>, most: usize) -> u64 {
        let there = match &self.kind {
            // What it has not released stays, in whichever segment.
            Kind::Block(_) => ring.tail().position() - self.position,
            Kind::DropOldest(_) => {
                ring.tail().position().min(ring.start_of(self.number + 1)) - self.position
            }
            Kind::Latest(_) => 1,
            Kind::DropNewest(window) => window.len(),
        };
        there.min(most as u64)
    }

    /// The message that comes after `ahead` others, which is [available](Self::available).
    #[inline]
    pub(super) fn get(&self, ring: &Ring<T>, ahead: u64) -> NonNull<T> {
        let position = self.position + ahead;
        match &self.kind {
            // SAFETY: this is the only subscriber of the window, which holds that many.
            Kind::DropNewest(window) => unsafe { window.get(ahead) },
            _ if ring.segment_of(position) == self.number => self.message(ring, position),
            _ => {
                let segment = ring.segment(ring.segment_of(position));
                // SAFETY: segments in the ring are alive.
                let place = &unsafe { &*segment }.places()[ring.place_of(position)];
                // SAFETY: it is available.
                unsafe { place.message() }
            }
        }
    }

    /// The message at a position below `end`.
    #[inline]
    fn message(&self, ring: &Ring<T>, position: u64) -> NonNull<T> {
        // SAFETY: the segment was entered, and protects itself until another is.
        let segment = unsafe { &*self.segment };
        // SAFETY: the message was published, and its segment is not written before this reader has left it.
        unsafe { segment.places()[ring.place_of(position)].message() }
    }

    fn first(&self, ring: &Ring<T>) -> NonNull<T> {
        self.get(ring, 0)
    }

    /// Looks for the next message where the tail says.
    #[cold]
    fn look(&mut self, ring: &Ring<T>) -> Option<Result<(), RecvError>> {
        loop {
            let tail = ring.tail();
            let last = || tail.is_closed().then_some(Err(RecvError::Closed));
            if let Kind::DropNewest(window) = &self.kind {
                return if window.len() > 0 { Some(Ok(())) } else { last() };
            }
            // Who has lagged may be ahead of the tail that it sees: the floor is moved first.
            if tail.position() <= self.position {
                return last();
            }
            if let Kind::Latest(_) = self.kind {
                self.skip_to(tail.position() - 1);
            }
            match self.enter(ring) {
                Ok(()) => {
                    let end = ring.start_of(self.number + 1).min(tail.position());
                    self.end = if let Kind::Latest(_) = self.kind { 0 } else { end };
                    return Some(Ok(()));
                }
                Err(floor) => {
                    let lost = self.skip_to(ring.start_of(floor));
                    if let Kind::DropOldest(_) = self.kind {
                        return Some(Err(RecvError::Lagged(lost)));
                    }
                }
            }
        }
    }

    /// Goes on at `position`, and says how many messages are lost by that.
    fn skip_to(&mut self, position: u64) -> u64 {
        let lost = position - self.position;
        self.lost += lost;
        self.position = position;
        lost
    }

    /// Makes sure that the segment of the next message, which was published, is not written while this reader is there; or gives the number of the
    /// oldest segment, if it is too late for that.
    fn enter(&mut self, ring: &Ring<T>) -> Result<(), u64> {
        let number = ring.segment_of(self.position);
        if number == self.number {
            return Ok(());
        }
        let segment = ring.segment(number);
        if let Kind::DropOldest(slot) | Kind::Latest(slot) = &self.kind {
            // SAFETY: slots live as long as the ring.
            unsafe { slot.as_ref() }.announce(segment);
            // What was announced before is protected no more, and not read either: this reader never goes back.
            let floor = ring.floor();
            if floor > number {
                return Err(floor);
            }
        }
        (self.segment, self.number) = (segment, number);
        Ok(())
    }

    /// Says that the next `count` messages were read.
    #[inline]
    pub(super) fn advance(&mut self, ring: &Ring<T>, count: u64) {
        self.position += count;
        if self.position >= self.turn {
            self.turn(ring, count);
        }
    }

    #[cold]
    fn turn(&mut self, ring: &Ring<T>, count: u64) {
        match &self.kind {
            Kind::Block(seat) => {
                self.turn = ring.start_of(ring.segment_of(self.position) + 1);
                seat.release(self.position);
                ring.wake_for_room();
            }
            Kind::DropNewest(window) => {
                // SAFETY: this is the only subscriber, and what was read is used no more.
                drop_each((0..count).map(|_| unsafe { window.take() }));
            }
            Kind::DropOldest(_) | Kind::Latest(_) => {}
        }
    }

    /// Whether [`next`](Self::next) would give an answer.
    pub(super) fn is_ready(&self, ring: &Ring<T>) -> bool {
        let tail = ring.tail();
        let news = match &self.kind {
            Kind::DropNewest(window) => window.len() > 0,
            _ => tail.position() > self.position,
        };
        news || tail.is_closed()
    }

    /// How many messages were published and not received.
    pub(super) fn len(&self, ring: &Ring<T>) -> u64 {
        match &self.kind {
            Kind::DropNewest(window) => window.len(),
            _ => ring.tail().position().saturating_sub(self.position),
        }
    }

    pub(super) fn lost(&self) -> u64 {
        match &self.kind {
            Kind::DropNewest(window) => window.lost(),
            _ => self.lost,
        }
    }

    pub(super) fn replayed(&self) -> u64 {
        self.replayed
    }

    /// Ends the subscription. The reader is not used afterwards.
    pub(super) fn leave(&mut self, ring: &Ring<T>) {
        match &self.kind {
            Kind::Block(seat) => ring.leave_blocking(seat),
            Kind::DropOldest(slot) | Kind::Latest(slot) => {
                // SAFETY: slots live as long as the ring.
                unsafe { slot.as_ref() }.give_back();
                ring.leave_announcing();
            }
            Kind::DropNewest(window) => {
                ring.leave_with_window(window);
                let held = window.len();
                // SAFETY: this is the only subscriber, and reads nothing any more.
                drop_each((0..held).map(|_| unsafe { window.take() }));
            }
        }
    }
}
