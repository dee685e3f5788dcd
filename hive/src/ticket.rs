//! The promise of one outcome.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use queenright_primitives::notify::{Closed, Receiver, WaitError};

use crate::outcome::Outcome;

/// What [`Hive::propose`](crate::Hive::propose) gives: block on it with [`wait`](Ticket::wait), or await it.
///
/// # Cancel safety
/// Dropping a ticket does not take the proposal back: it is decided all the same.
#[derive(Debug)]
#[must_use = "a proposal may be refused: wait for its outcome, or drop the ticket explicitly"]
pub struct Ticket(Receiver<Outcome>, Option<Outcome>);

impl Ticket {
    pub(crate) fn new(receiver: Receiver<Outcome>) -> Self {
        Ticket(receiver, None)
    }

    /// Blocks until the proposal is decided.
    pub fn wait(self) -> Outcome {
        self.1.unwrap_or_else(|| outcome(self.0.wait()))
    }

    /// Blocks until the proposal is decided or `timeout` has passed; `None` leaves the ticket good for another wait.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Outcome> {
        if self.1.is_none() {
            self.1 = match self.0.wait_timeout(timeout) {
                Ok(outcome) => Some(outcome),
                Err(WaitError::TimedOut) => None,
                Err(_) => Some(Outcome::CommitUnknown),
            };
        }
        self.1.clone()
    }
}

impl Future for Ticket {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        if let Some(outcome) = &self.1 {
            return Poll::Ready(outcome.clone());
        }
        let answer = Pin::new(&mut self.0).poll(context).map(outcome);
        if let Poll::Ready(outcome) = &answer {
            self.1 = Some(outcome.clone());
        }
        answer
    }
}

fn outcome(answer: Result<Outcome, Closed>) -> Outcome {
    answer.unwrap_or(Outcome::CommitUnknown)
}
