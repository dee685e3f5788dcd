use std::fmt;

use super::Pool;
use super::core::{Make, Restore};

/// How many idle objects a pool keeps unless it is told otherwise.
const CAPACITY: usize = 64;

/// Makes a [`Pool`]: see [`Pool::builder`].
#[must_use = "a builder does nothing until it builds"]
pub struct Builder<T> {
    capacity: usize,
    make: Make<T>,
    keep_if: Option<KeepIf<T>>,
    reset: Option<Reset<T>>,
}

type KeepIf<T> = Box<dyn Fn(&T) -> bool + Send + Sync>;
type Reset<T> = Box<dyn Fn(&mut T) + Send + Sync>;

impl<T> Builder<T> {
    pub(super) fn new(make: impl Fn() -> T + Send + Sync + 'static) -> Self {
        Builder { capacity: CAPACITY, make: Box::new(make), keep_if: None, reset: None }
    }

    /// How many idle objects are kept at most: 64 unless something else is said. With 0 none is.
    pub fn capacity(mut self, objects: usize) -> Self {
        self.capacity = objects;
        self
    }

    /// What makes a returned object fit to be taken again. It runs on the thread that returns the object, before anybody
    /// else can take it; if it panics the object is dropped.
    pub fn reset(mut self, reset: impl Fn(&mut T) + Send + Sync + 'static) -> Self {
        self.reset = Some(Box::new(reset));
        self
    }

    /// Whether a returned object is worth keeping: one that has grown too large is not, for example. Asked before the
    /// [`reset`](Self::reset); what is not kept is dropped without one.
    pub fn keep_if(mut self, worth: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        self.keep_if = Some(Box::new(worth));
        self
    }

    /// The pool, without any object yet.
    ///
    /// # Panics
    /// If the capacity is beyond what memory can be addressed for.
    pub fn build(self) -> Pool<T>
    where
        T: 'static,
    {
        let restore: Option<Restore<T>> = match (self.keep_if, self.reset) {
            (None, None) => None,
            (Some(worth), None) => Some(Box::new(move |object| worth(object))),
            (None, Some(reset)) => Some(Box::new(move |object| {
                reset(object);
                true
            })),
            (Some(worth), Some(reset)) => Some(Box::new(move |object| {
                let kept = worth(object);
                if kept {
                    reset(object);
                }
                kept
            })),
        };
        Pool::of(self.capacity, self.make, restore)
    }
}

impl<T> fmt::Debug for Builder<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
