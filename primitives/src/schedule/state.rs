//! What the queue guards with its lock: the tasks, who waits for one, and who waits for room.

use std::collections::VecDeque;
use std::task::Waker;

use super::ready::Ready;
use super::{Class, Hint, PushError};
use crate::notify::Line;

const CLASSES: usize = Class::ALL.len();

/// Who waits: for a task, or for room for one of a class.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Consumers,
    Producers(Class),
}

/// What a batch has moved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moved {
    pub(super) count: usize,
    /// How many on the other side are to be called, if they can go.
    pub(super) to_call: usize,
}

/// A batch was not taken, as there is no space for so many tasks: nobody allocates for it under the lock.
#[derive(Clone, Copy, Debug)]
pub(super) struct NeedsSpace(pub(super) usize);

/// The tasks and those who wait.
///
/// A consumer joins its line only if there is no task, and a producer only if there is no room for its class. Each task that
/// comes calls one consumer, and each that goes one producer that has room. Who was called and does not take what it was called
/// for, because it gave up or somebody else was quicker, has the next one called if that can go. So beside somebody who was
/// not called there are at most as many tasks (as much room for its class) as others on their way.
#[derive(Debug)]
pub(super) struct State<T> {
    ready: Ready<T>,
    closed: bool,
    /// Whether anybody stands in the lines of the producers. Perhaps nobody does any more.
    room_wanted: bool,
    consumers: Line,
    producers: [Line; CLASSES],
    capacity: usize,
    /// The most of each class.
    limits: [usize; CLASSES],
}

impl<T> State<T> {
    pub(super) fn new(capacity: usize, patience: u64) -> Self {
        State {
            ready: Ready::new(patience),
            closed: false,
            room_wanted: false,
            consumers: Line::default(),
            producers: Default::default(),
            capacity,
            limits: [capacity; CLASSES],
        }
    }

    #[inline]
    pub(super) fn ready(&self) -> &Ready<T> {
        &self.ready
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    pub(super) fn limit_of(&self, class: Class) -> usize {
        self.limits[class.index()]
    }

    pub(super) fn set_limit(&mut self, class: Class, most: usize) {
        self.limits[class.index()] = most.min(self.capacity);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    #[inline]
    fn has_room(&self, class: Class) -> bool {
        self.ready.len() < self.capacity && self.ready.len_of(class) < self.limit_of(class)
    }

    /// Adds a task, and gives the consumer that is to be woken.
    #[inline]
    pub(super) fn push(&mut self, task: T, hint: Hint) -> Result<Option<Waker>, PushError<T>> {
        if self.closed {
            return Err(PushError::Closed(task));
        }
        if !self.has_room(hint.class()) {
            return Err(PushError::Full(task));
        }
        self.ready.push(task, hint);
        Ok(self.consumers.call())
    }

    /// Adds the tasks before the first for which there is no room.
    pub(super) fn push_many(
        &mut self,
        tasks: &mut VecDeque<(T, Hint)>,
    ) -> Result<Moved, PushError<()>> {
        if self.closed {
            return Err(PushError::Closed(()));
        }
        let room = self.capacity - self.ready.len();
        let count = match self.limits.iter().all(|&limit| limit == self.capacity) {
            true => room.min(tasks.len()),
            false => self.fitting(tasks.iter().take(room)),
        };
        // All that is left stays where it is.
        self.ready.push_many(tasks, count);
        let to_call = if self.consumers.is_empty() { 0 } else { count };
        Ok(Moved { count, to_call })
    }

    /// How many come before the first whose class has no room.
    fn fitting<'t>(&self, tasks: impl Iterator<Item = &'t (T, Hint)>) -> usize
    where
        T: 't,
    {
        let mut room =
            Class::ALL.map(|class| self.limit_of(class).saturating_sub(self.ready.len_of(class)));
        let fits = |(_, hint): &&(T, Hint)| {
            let left = &mut room[hint.class_index()];
            let fits = *left > 0;
            *left -= usize::from(fits);
            fits
        };
        tasks.take_while(fits).count()
    }

    /// Adds a task; if there is no room, in place of the last of those that share the room, which may be itself.
    pub(super) fn force_push(
        &mut self,
        task: T,
        hint: Hint,
    ) -> Result<(Option<T>, Option<Waker>), PushError<T>> {
        let class = hint.class();
        if self.closed || self.has_room(class) {
            return self.push(task, hint).map(|woken| (None, woken));
        }
        let class_is_full = self.ready.len_of(class) >= self.limit_of(class);
        let among = class_is_full.then_some(class);
        match self.ready.last_key(among) {
            Some(last) if last > hint.sort_key() => {
                let displaced = self.ready.pop_last(among);
                self.ready.push(task, hint);
                Ok((displaced, None))
            }
            _ => Ok((Some(task), None)),
        }
    }

    /// Takes the next task, and gives the producer that is to be woken.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(T, Option<Waker>)> {
        let task = self.ready.pop()?;
        let woken = if self.room_wanted { self.call_producer() } else { None };
        Some((task, woken))
    }

    /// Moves up to `most` tasks to `out`, if that has space for all that are there.
    pub(super) fn pop_many(&mut self, out: &mut Vec<T>, most: usize) -> Result<Moved, NeedsSpace> {
        let count = most.min(self.ready.len());
        if count > out.capacity() - out.len() {
            return Err(NeedsSpace(count));
        }
        self.ready.pop_many(out, count);
        Ok(Moved { count, to_call: if self.room_wanted { count } else { 0 } })
    }

    /// Calls the next on this side who can go: a consumer if there is a task, a producer of any class if there is room.
    pub(super) fn call(&mut self, side: Side) -> Option<Waker> {
        match side {
            Side::Consumers => self.call_consumer(),
            Side::Producers(_) => self.call_producer(),
        }
    }

    /// The first, if there is a task.
    pub(super) fn call_consumer(&mut self) -> Option<Waker> {
        if self.ready.len() > 0 { self.consumers.call() } else { None }
    }

    /// Of those who have room the first of the most urgent class.
    #[cold]
    pub(super) fn call_producer(&mut self) -> Option<Waker> {
        self.room_wanted = self.producers.iter().any(|line| !line.is_empty());
        let can_go =
            |class: &Class| !self.producers[class.index()].is_empty() && self.has_room(*class);
        let class = Class::ALL.into_iter().find(can_go)?;
        self.producers[class.index()].call()
    }

    /// Calls anybody.
    pub(super) fn call_any(&mut self) -> Option<Waker> {
        let lines = std::iter::once(&mut self.consumers).chain(&mut self.producers);
        lines.into_iter().find_map(Line::call)
    }

    pub(super) fn line(&mut self, side: Side) -> &mut Line {
        match side {
            Side::Consumers => &mut self.consumers,
            Side::Producers(class) => &mut self.producers[class.index()],
        }
    }

    /// The line in which somebody is about to stand.
    pub(super) fn line_to_stand_in(&mut self, side: Side) -> &mut Line {
        if let Side::Producers(_) = side {
            self.room_wanted = true;
        }
        self.line(side)
    }

    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn waiting(&self) -> usize {
        let lines = std::iter::once(&self.consumers).chain(&self.producers);
        lines.map(Line::standing).sum()
    }

    #[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
    pub(super) fn places(&self) -> usize {
        self.consumers.places()
    }
}
