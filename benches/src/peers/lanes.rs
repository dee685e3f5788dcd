//! Our lock-free queue by class. Its peers stand in [`queue`](super::queue).

use queenright_primitives::schedule::{Hint, LaneQueue};

use super::queue::Queue;

/// Ours.
pub struct Lanes(LaneQueue<u64>);

/// More than a run does, so that only what aging costs is measured: the peers have none.
const PATIENCE: u64 = 1 << 40;

impl Queue for Lanes {
    const NAME: &'static str = "queenright LaneQueue";

    fn with_room(tasks: usize) -> Self {
        Lanes(LaneQueue::bounded(tasks, PATIENCE))
    }

    #[inline]
    fn push(&self, task: u64, hint: Hint) {
        assert!(self.0.try_push(task, hint.class()).is_ok(), "there is room");
    }

    #[inline]
    fn pop(&self) -> Option<u64> {
        self.0.try_pop()
    }

    fn pop_many(&self, out: &mut Vec<u64>, most: usize) -> usize {
        self.0.try_pop_many(out, most)
    }
}
