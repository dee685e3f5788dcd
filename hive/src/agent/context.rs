//! What a running agent may ask about its run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::view::Intent;

/// What an agent's run may ask: whether it is still wanted, and for numbers that are the same each time it is run again from a record.
#[derive(Clone, Debug)]
pub struct Context {
    pulse: Option<Arc<Pulse>>,
    attempt: u32,
    random: u64,
}

/// The life that a run belongs to.
#[derive(Debug)]
pub(crate) struct Pulse {
    /// Whether nothing that it does counts any more.
    over: AtomicBool,
    began: Instant,
    /// After how long without a sign of life it is given up.
    hang_after: Duration,
    /// When it was last heard of, in nanoseconds since it began.
    beat: AtomicU64,
}

impl Pulse {
    pub(crate) fn new(hang_after: Duration) -> Self {
        let (over, beat) = (AtomicBool::new(false), AtomicU64::new(0));
        Pulse { over, began: Instant::now(), hang_after, beat }
    }

    pub(crate) fn end(&self) {
        // SeqCst: there is no hurry.
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn beat(&self) {
        let since = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: it orders nothing.
        self.beat.store(since, Ordering::Relaxed);
    }

    /// When it was last heard of.
    pub(crate) fn last_beat(&self) -> Instant {
        // Relaxed: as above.
        self.began + Duration::from_nanos(self.beat.load(Ordering::Relaxed))
    }
}

impl Context {
    /// Of an agent that is run in waves, where nobody is stopped or watched over.
    pub(crate) fn of_wave(intent: &Intent, seed: u64) -> Self {
        Context { pulse: None, attempt: intent.attempt, random: intent.random(seed) }
    }

    pub(crate) fn of_life(pulse: Arc<Pulse>, intent: &Intent, seed: u64) -> Self {
        Context { pulse: Some(pulse), ..Context::of_wave(intent, seed) }
    }

    /// Which attempt at the same thing this is: 0 unless what was proposed before has lost.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether nothing that this run does counts any more, so that it may as well end: the agent was killed, or the hive is going down.
    pub fn is_cancelled(&self) -> bool {
        self.pulse.as_ref().is_some_and(|pulse| pulse.is_over())
    }

    /// Says that the agent is not hanging, though this run takes long.
    pub fn heartbeat(&self) {
        if let Some(pulse) = &self.pulse {
            pulse.beat();
        }
    }

    /// When the run counts as hanging, unless there is a [heartbeat](Self::heartbeat) before: after
    /// [`Spawn::hang_after`](super::Spawn::hang_after). `None` for agents that are run in waves, and for a time that no clock reaches.
    pub fn deadline(&self) -> Option<Instant> {
        let pulse = self.pulse.as_ref()?;
        pulse.last_beat().checked_add(pulse.hang_after)
    }

    /// The next of a row of numbers (SplitMix64) that depends on the hive's seed, the intent and the attempt alone. Not for secrets.
    pub fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
