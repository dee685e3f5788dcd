//! The promise of outcomes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use queenright_primitives::notify::{Receiver, WaitError};

use crate::consensus::{Counted, Tally, VoteError};
use crate::outcome::Outcome;

/// What [`Hive::propose`](crate::Hive::propose) gives: block on it with [`wait`](Ticket::wait), or await it.
///
/// # Cancel safety
/// Dropping a ticket does not take the proposal back: it is decided all the same. [`cancel`](Self::cancel) does, if there is time.
#[derive(Debug)]
#[must_use = "a proposal may be refused: wait for its outcome, or drop the ticket explicitly"]
pub struct Ticket(Promise<Outcome>);

/// What [`Hive::propose_many`](crate::Hive::propose_many) gives: all outcomes at once, in the order of the proposals.
///
/// # Cancel safety
/// As that of [`Ticket`].
#[derive(Debug)]
#[must_use = "proposals may be refused: wait for their outcomes, or drop the tickets explicitly"]
pub struct Tickets(Promise<Vec<Outcome>>, usize);

/// An answer that is to come, or has come and is kept.
#[derive(Debug)]
struct Promise<T>(Receiver<T>, Option<T>);

impl<T: Clone> Promise<T> {
    fn wait(self) -> Option<T> {
        self.1.or_else(|| self.0.wait().ok())
    }

    fn wait_timeout(&mut self, timeout: Duration, closed: impl FnOnce() -> T) -> Option<T> {
        if self.1.is_none() {
            self.1 = match self.0.wait_timeout(timeout) {
                Ok(answer) => Some(answer),
                Err(WaitError::TimedOut) => None,
                Err(_) => Some(closed()),
            };
        }
        self.1.clone()
    }

    fn poll(&mut self, context: &mut Context<'_>, closed: impl FnOnce() -> T) -> Poll<T> {
        if let Some(answer) = &self.1 {
            return Poll::Ready(answer.clone());
        }
        let answer = Pin::new(&mut self.0).poll(context).map(|it| it.unwrap_or_else(|_| closed()));
        if let Poll::Ready(answer) = &answer {
            self.1 = Some(answer.clone());
        }
        answer
    }
}

/// What [`Hive::cast`](crate::Hive::cast) gives: how each ballot stands with the vote, or why that does not count, in the order of the votes.
///
/// # Cancel safety
/// Dropping it takes no vote back.
#[derive(Debug)]
#[must_use = "a vote may not count: wait for the answer, or drop it explicitly"]
pub struct Votes(Promise<Counted>, usize);

impl Votes {
    pub(crate) fn new(receiver: Receiver<Counted>, count: usize) -> Self {
        Votes(Promise(receiver, None), count)
    }

    /// Blocks until all are counted.
    pub fn wait(self) -> Vec<Result<Tally, VoteError>> {
        let count = self.1;
        self.0.wait().unwrap_or_else(|| uncounted(count))
    }
}

impl Future for Votes {
    type Output = Vec<Result<Tally, VoteError>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let count = self.1;
        self.0.poll(context, || uncounted(count))
    }
}

fn uncounted(count: usize) -> Counted {
    vec![Err(VoteError::Closed); count]
}

impl Ticket {
    pub(crate) fn new(receiver: Receiver<Outcome>) -> Self {
        Ticket(Promise(receiver, None))
    }

    /// Blocks until the proposal is decided. Not for wakers of other tickets: they run on the thread that decides it.
    pub fn wait(self) -> Outcome {
        self.0.wait().unwrap_or(Outcome::CommitUnknown)
    }

    /// Blocks until the proposal is decided or `timeout` has passed; `None` leaves the ticket good for another wait.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Outcome> {
        self.0.wait_timeout(timeout, || Outcome::CommitUnknown)
    }

    /// Takes the proposal back, if the round that judges it has not begun. Its outcome tells: it is
    /// [`Cancelled`](Outcome::Cancelled) then. It is the attempt that is taken back, also for others who sent the same one. If it is being voted on,
    /// that ends with the next thing that the queen does, such as a [`drain`](crate::Hive::drain).
    pub fn cancel(&self) {
        self.0.0.cancel();
    }
}

impl Tickets {
    pub(crate) fn new(receiver: Receiver<Vec<Outcome>>, count: usize) -> Self {
        Tickets(Promise(receiver, None), count)
    }

    /// How many proposals there are.
    pub fn len(&self) -> usize {
        self.1
    }

    /// Whether nothing was proposed.
    pub fn is_empty(&self) -> bool {
        self.1 == 0
    }

    /// Blocks until all are decided.
    pub fn wait(self) -> Vec<Outcome> {
        let count = self.1;
        self.0.wait().unwrap_or_else(|| unknown(count))
    }

    /// Blocks until all are decided or `timeout` has passed; `None` leaves the tickets good for another wait.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Vec<Outcome>> {
        let count = self.1;
        self.0.wait_timeout(timeout, || unknown(count))
    }

    /// Takes back those whose round has not begun, as [`Ticket::cancel`].
    pub fn cancel(&self) {
        self.0.0.cancel();
    }
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        self.0.poll(context, || Outcome::CommitUnknown)
    }
}

impl Future for Tickets {
    type Output = Vec<Outcome>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Vec<Outcome>> {
        let count = self.1;
        self.0.poll(context, || unknown(count))
    }
}

/// What is told if the queen failed.
fn unknown(count: usize) -> Vec<Outcome> {
    vec![Outcome::CommitUnknown; count]
}
