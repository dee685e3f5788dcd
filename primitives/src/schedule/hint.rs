//! What a task says of its own urgency.

use std::fmt;

use super::Class;

/// How soon somebody notices that a task was late. Of two tasks of one class and deadline, the one of the earlier tier goes
/// first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LatencyTier {
    /// A machine or a protocol waits for it.
    Realtime,
    /// Somebody looks at the screen.
    Interactive,
    /// What most work is.
    #[default]
    Standard,
    /// Nobody waits for it in particular.
    Batch,
}

impl LatencyTier {
    /// All tiers, the first to be served first.
    pub const ALL: [LatencyTier; 4] = [
        LatencyTier::Realtime,
        LatencyTier::Interactive,
        LatencyTier::Standard,
        LatencyTier::Batch,
    ];
}

const COST_BITS: u32 = 16;
const TIER_BITS: u32 = 2;
const DEADLINE_BITS: u32 = 43;
const CLASS_BITS: u32 = 3;

const TIER_AT: u32 = COST_BITS;
const DEADLINE_AT: u32 = TIER_AT + TIER_BITS;
const CLASS_AT: u32 = DEADLINE_AT + DEADLINE_BITS;

const NO_DEADLINE: u64 = (1 << DEADLINE_BITS) - 1;

/// How urgent a task is: its [`Class`], and within the class a deadline, a [`LatencyTier`] and a cost. 8 bytes.
///
/// # Order
/// `a < b` means that `a` goes first: the more urgent class; then the earlier deadline, with none as the
/// latest; then the earlier tier; then the lower cost. The order is total, and it is that of [`sort_key`](Self::sort_key), so
/// that sorting hints costs what sorting `u64` costs. Hints that are equal are told apart by who arrived first.
///
/// ```
/// use queenright_primitives::schedule::{Class, Hint, LatencyTier};
///
/// let cheap = Hint::new(Class::High).with_deadline(500).with_cost(1);
/// let dear = Hint::new(Class::High).with_deadline(500).with_cost(20);
/// let seen = dear.with_latency(LatencyTier::Interactive);
/// let mut hints = [Class::Normal.into(), dear, cheap, seen, Class::High.into()];
/// hints.sort_unstable();
/// assert_eq!(hints, [seen, cheap, dear, Class::High.into(), Class::Normal.into()]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hint(
    /// From the top bit down: class (3 bits), deadline (43), tier (2), cost (16).
    u64,
);

impl Hint {
    /// The latest deadline that is told apart from later ones, in the caller's unit: 2⁴³ − 2. In
    /// milliseconds 278 years, in microseconds 101 days.
    pub const LATEST: u64 = NO_DEADLINE - 1;

    /// Of this class, without a deadline, of the standard tier, at no cost.
    pub const fn new(class: Class) -> Hint {
        let class = (class.index() as u64) << CLASS_AT;
        Hint(class | NO_DEADLINE << DEADLINE_AT | (LatencyTier::Standard as u64) << TIER_AT)
    }

    /// To be done by `deadline`, in whatever unit and from whatever zero the caller counts time; all tasks of a queue must do
    /// so alike. A deadline after [`LATEST`](Self::LATEST) counts as that one: milliseconds since 1970 fit, microseconds since
    /// 1970 do not, and would all be equal. Count those from the start of the program.
    #[must_use]
    pub const fn with_deadline(self, deadline: u64) -> Hint {
        let deadline = if deadline > Hint::LATEST { Hint::LATEST } else { deadline };
        self.with(DEADLINE_AT, DEADLINE_BITS, deadline)
    }

    /// Of this tier.
    #[must_use]
    pub const fn with_latency(self, tier: LatencyTier) -> Hint {
        self.with(TIER_AT, TIER_BITS, tier as u64)
    }

    /// Of this cost, in the caller's unit: of two that are equally urgent, the cheaper goes first.
    #[must_use]
    pub const fn with_cost(self, cost: u16) -> Hint {
        self.with(0, COST_BITS, cost as u64)
    }

    const fn with(self, at: u32, bits: u32, value: u64) -> Hint {
        Hint(self.0 & !(((1 << bits) - 1) << at) | value << at)
    }

    const fn part(self, at: u32, bits: u32) -> u64 {
        (self.0 >> at) & ((1 << bits) - 1)
    }

    /// Its class.
    pub const fn class(self) -> Class {
        Class::ALL[self.class_index()]
    }

    /// The [index](Class::index) of its class.
    pub(super) const fn class_index(self) -> usize {
        (self.0 >> CLASS_AT) as usize
    }

    /// By when it is to be done, if it was said.
    pub const fn deadline(self) -> Option<u64> {
        match self.part(DEADLINE_AT, DEADLINE_BITS) {
            NO_DEADLINE => None,
            deadline => Some(deadline),
        }
    }

    /// Its tier.
    pub const fn latency(self) -> LatencyTier {
        LatencyTier::ALL[self.part(TIER_AT, TIER_BITS) as usize]
    }

    /// Its cost.
    pub const fn cost(self) -> u16 {
        self.part(0, COST_BITS) as u16
    }

    /// A number that is smaller, the sooner the task goes: equal for equal hints alone.
    pub const fn sort_key(self) -> u64 {
        self.0
    }

    /// Whether it names nothing but a class.
    pub(super) const fn is_plain(self) -> bool {
        self.0 << CLASS_BITS == Hint::new(Class::Critical).0 << CLASS_BITS
    }
}

impl Default for Hint {
    /// Of [`Class::Normal`], and nothing else said.
    fn default() -> Self {
        Hint::new(Class::default())
    }
}

impl From<Class> for Hint {
    fn from(class: Class) -> Self {
        Hint::new(class)
    }
}

impl fmt::Debug for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hint")
            .field("class", &self.class())
            .field("deadline", &self.deadline())
            .field("latency", &self.latency())
            .field("cost", &self.cost())
            .finish()
    }
}
