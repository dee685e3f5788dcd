//! Those who wait for a turn, first come, first served: a list that its owner guards with a lock.

use std::task::Waker;

/// Wakers in the order in which they came. Every operation is O(1), and none runs code of the caller's: a waker that is no
/// longer needed is given back, to be dropped outside the lock.
#[derive(Debug, Default)]
pub(crate) struct Line {
    places: Vec<Spot>,
    /// A spot that nobody has; the others follow through `next`.
    free: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    standing: usize,
}

/// Somebody's place, until it is given up with [`Line::leave`].
#[derive(Debug)]
pub(crate) struct Place(usize);

#[derive(Debug)]
struct Spot {
    /// None once it was called.
    waker: Option<Waker>,
    before: Option<usize>,
    next: Option<usize>,
}

impl Line {
    /// Whether nobody waits to be called.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes the first out of the line, to be woken. It keeps its place.
    #[inline]
    pub(crate) fn call(&mut self) -> Option<Waker> {
        let first = self.first?;
        self.unlink(first)
    }

    /// Stands behind all others.
    pub(crate) fn join(&mut self, waker: Waker) -> Place {
        let spot = Spot { waker: Some(waker), before: self.last, next: None };
        let place = match self.free {
            Some(place) => {
                self.free = self.places[place].next;
                self.places[place] = spot;
                place
            }
            None => {
                self.places.push(spot);
                self.places.len() - 1
            }
        };
        match self.last.replace(place) {
            Some(before) => self.places[before].next = Some(place),
            None => self.first = Some(place),
        }
        self.standing += 1;
        Place(place)
    }

    /// Waits on with this waker: where it stands, or before all others if it was called. Gives the old waker.
    pub(crate) fn stay(&mut self, place: &Place, waker: Waker) -> Option<Waker> {
        if self.was_called(place) {
            self.standing += 1;
            let spot = &mut self.places[place.0];
            spot.next = self.first;
            match self.first.replace(place.0) {
                Some(next) => self.places[next].before = Some(place.0),
                None => self.last = Some(place.0),
            }
        }
        self.places[place.0].waker.replace(waker)
    }

    /// Whether it was called since it last joined or stayed.
    pub(crate) fn was_called(&self, place: &Place) -> bool {
        self.places[place.0].waker.is_none()
    }

    /// Whether it waits already, and so that this waker's task is woken.
    pub(crate) fn waits_with(&self, place: &Place, waker: &Waker) -> bool {
        self.places[place.0].waker.as_ref().is_some_and(|mine| mine.will_wake(waker))
    }

    /// Gives a place up; and the waker, unless it was called.
    pub(crate) fn leave(&mut self, place: Place) -> Option<Waker> {
        let waker = self.unlink(place.0);
        self.places[place.0].next = self.free.replace(place.0);
        waker
    }

    /// How many wait to be called.
    pub(crate) fn standing(&self) -> usize {
        self.standing
    }

    /// How many places there are, taken or not.
    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(crate) fn places(&self) -> usize {
        self.places.len()
    }

    /// Takes one out of the line, if it stands there.
    fn unlink(&mut self, place: usize) -> Option<Waker> {
        let spot = &mut self.places[place];
        let waker = spot.waker.take()?;
        self.standing -= 1;
        let (before, next) = (spot.before.take(), spot.next.take());
        match before {
            Some(before) => self.places[before].next = next,
            None => self.first = next,
        }
        match next {
            Some(next) => self.places[next].before = before,
            None => self.last = before,
        }
        Some(waker)
    }
}
