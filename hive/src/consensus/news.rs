//! How those who watch learn that there is something new.

use std::sync::atomic::{AtomicBool, Ordering};

use queenright_primitives::notify::Event;
use queenright_primitives::panics::quietly;

/// Tells that a version was published, and that there will be no more.
#[derive(Default)]
pub(crate) struct News {
    event: Event,
    is_over: AtomicBool,
}

impl News {
    /// A version was published.
    pub(crate) fn tell(&self) {
        // A waker is its owner's code.
        quietly(|| self.event.notify_all());
    }

    /// No version will be published any more.
    pub(crate) fn end(&self) {
        // SeqCst: there is no hurry.
        self.is_over.store(true, Ordering::SeqCst);
        self.tell();
    }

    /// Whether the current version is the last one.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// What is notified of both.
    pub(crate) fn event(&self) -> &Event {
        &self.event
    }
}
