//! Keeps time for agents: wakes those that wait, starts those again that have failed, and notices those that hang.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::cell::Cell;
use super::life::{Life, nudge_all};
use super::runtime::Runtime;

/// The keeper looks for agents that hang four times in the shortest time after which one does, and this often at least.
pub(super) const LOOK: Duration = Duration::from_secs(1);

/// What the keeper is told.
pub(super) enum Note {
    WakeAt(Instant, Weak<Life>),
    /// It has fallen so often, the last time for this reason.
    Failed(Arc<Cell>, u64, String),
    /// Agents hang after as little as this.
    HangAfter(Duration),
    StartAt(Instant, Vec<(Arc<Cell>, u64)>),
    Stop,
}

/// Keeps time.
pub(super) struct Keeper {
    runtime: Arc<Runtime>,
    timers: BinaryHeap<Reverse<Timer>>,
    number: u64,
    /// How long it sleeps at most.
    look: Duration,
    /// When it looked for agents that hang.
    looked: Instant,
}

struct Timer {
    at: Instant,
    number: u64,
    what: What,
}

enum What {
    Wake(Weak<Life>),
    Start(Vec<(Arc<Cell>, u64)>),
}

impl Keeper {
    pub(super) fn new(runtime: Arc<Runtime>) -> Self {
        Keeper { runtime, timers: BinaryHeap::new(), number: 0, look: LOOK, looked: Instant::now() }
    }

    pub(super) fn run(mut self, told: &Receiver<Note>) {
        let began = Instant::now();
        loop {
            let now = Instant::now();
            while let Some(Reverse(timer)) = self.timers.peek()
                && timer.at <= now
            {
                match self.timers.pop().map(|Reverse(timer)| timer.what) {
                    Some(What::Wake(life)) => nudge_all([life]),
                    Some(What::Start(cells)) => {
                        for (cell, falls) in cells {
                            cell.begin_again(falls, &self.runtime);
                        }
                    }
                    None => {}
                }
            }
            if now.saturating_duration_since(self.looked) >= self.look {
                self.looked = now;
                self.runtime.look_for_hangs(now);
            }
            let next =
                self.timers.peek().map(|Reverse(timer)| timer.at.saturating_duration_since(now));
            let wait = next.unwrap_or(self.look).min(self.look);
            match told.recv_timeout(wait) {
                Ok(Note::WakeAt(at, life)) => self.add(at, What::Wake(life)),
                Ok(Note::HangAfter(time)) => {
                    self.look = self.look.min(time / 4).max(Duration::from_millis(1));
                }
                Ok(Note::StartAt(at, cells)) => self.add(at, What::Start(cells)),
                Ok(Note::Failed(cell, falls, reason)) => {
                    if !self.runtime.is_stopping() {
                        cell.supervise((falls, &reason), began.elapsed(), &self.runtime);
                    }
                }
                Ok(Note::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn add(&mut self, at: Instant, what: What) {
        self.number += 1;
        self.timers.push(Reverse(Timer { at, number: self.number, what }));
    }
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
