use std::num::NonZero;

/// What happens to a subscription that does not keep up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Overflow {
    /// Publishers wait. Nothing is lost.
    Block,
    /// The oldest messages are overwritten. The subscriber is told how many, once, and goes on with the oldest that is left.
    DropOldest,
    /// The subscription holds this many messages that were not received; what is published meanwhile is lost to it.
    DropNewest(NonZero<usize>),
    /// The subscriber gets the newest message each time, and none twice; those in between are lost to it.
    Latest,
}

/// How to subscribe: what is lost if the subscriber does not keep up, and with which message it begins.
///
/// ```
/// use queenright_primitives::ring::{Options, Publisher};
///
/// let publisher = Publisher::bounded(8);
/// publisher.publish("before").unwrap();
/// let mut late = publisher.subscribe(Options::drop_oldest().replay(10));
/// assert_eq!(late.replayed(), 1);
/// assert_eq!(*late.recv().unwrap(), "before");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    pub(super) overflow: Overflow,
    pub(super) replay: usize,
}

impl Options {
    /// With this rule, beginning with the next message.
    pub fn new(overflow: Overflow) -> Self {
        Options { overflow, replay: 0 }
    }

    /// Publishers wait for this subscription.
    pub fn block() -> Self {
        Self::new(Overflow::Block)
    }

    /// It loses the oldest messages.
    pub fn drop_oldest() -> Self {
        Self::new(Overflow::DropOldest)
    }

    /// It holds `window` messages (at least one), and loses those that are published while it is full. The places of the window are
    /// allocated at once.
    pub fn drop_newest(window: usize) -> Self {
        Self::new(Overflow::DropNewest(NonZero::new(window).unwrap_or(NonZero::<usize>::MIN)))
    }

    /// It gets the newest message only.
    pub fn latest() -> Self {
        Self::new(Overflow::Latest)
    }

    /// Begins with the last `messages` that were published before, or as many of them as the ring still has; at
    /// least its capacity, if so many were published. [`Subscriber::replayed`](super::Subscriber::replayed) tells how many.
    ///
    /// A [`DropNewest`](Overflow::DropNewest) subscription gets none, as what it holds is put aside when it is published. To a
    /// [`Latest`](Overflow::Latest) one they are older messages, of which it gets the newest.
    #[must_use]
    pub fn replay(mut self, messages: usize) -> Self {
        self.replay = messages;
        self
    }
}
