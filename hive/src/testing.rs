//! Help for tests of what you build on a hive: a clock that you set, agents that do as they are told, and histories recomputed.
//!
//! | you want to see | use |
//! |---|---|
//! | the same run each time | [`hive`]: seeded, one thread, a clock that stands still |
//! | what a deadline, a lease or the end of a ballot does | its [`Clock`], and [`Hive::drain`] after it was advanced |
//! | how your agent takes a conflict, or another one's failure | a [`Script`] as the other one |
//! | what was told to whom | its [`Transcript`] |
//! | that what was recorded leads to what there is | [`assert_replays`] |
//! | that your own operators commute | [`laws`] |
//!
//! ```
//! use queenright::testing::{self, Script, assert_replays};
//! use queenright::{Class, Next, Op, agent};
//!
//! let (builder, _clock) = testing::hive(7);
//! let hive = builder.build()?;
//! let start = hive.snapshot();
//! // The other one is more urgent, so that it wins.
//! let rival = Script::new("rival").with_class(Class::Critical).read("stock").set("stock", 5).done();
//! let told = rival.transcript();
//! hive.spawn_all([rival])?;
//! hive.spawn_all([agent("mine", |view| {
//!     let left = view.get("stock")?.and_then(|it| it.as_int()).unwrap_or(0);
//!     view.set("stock", left - 1)?;
//!     Ok(Next::Done)
//! })])?;
//!
//! let settled = hive.run_until_settled(10)?;
//! assert_eq!(settled.rounds, 2, "mine has lost once, and looked again");
//! assert_eq!(hive.snapshot().get("stock"), Some(&4.into()));
//! assert!(told.outcomes()[0].is_committed());
//! assert_replays(&hive, &start);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod script;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[doc(inline)]
pub use queenright_primitives::aggregate::{Commutative, laws};
pub use script::{Script, Transcript};

use crate::config::HiveBuilder;
use crate::consensus::replay;
use crate::hive::Hive;
use crate::state::{Entry, Snapshot};

/// A hive whose runs are the same each time, and its clock, which stands still at 0 until it is advanced. Set what else you need before you build it.
///
/// It has one thread for agents. Those of [`run_until_settled`](Hive::run_until_settled) would do the same on any number;
/// those of a [`Supervisor`](crate::Supervisor) run whenever something changes, so that what they do together still depends on the time.
pub fn hive(seed: u64) -> (HiveBuilder, Clock) {
    let clock = Clock::new();
    let builder = Hive::builder().seed(seed).threads(NonZeroUsize::MIN).clock(clock.reader());
    (builder, clock)
}

/// A clock that goes only when it is told to. All clones show the same time.
///
/// Nobody waits for it: after it was advanced, [`Hive::drain`] has the hive look at it.
///
/// ```
/// use queenright::testing::Clock;
/// use queenright::{Hive, Op, Outcome, Proposal};
///
/// let clock = Clock::new();
/// let hive = Hive::builder().clock(clock.reader()).build()?;
/// let proposal = Proposal::on(&hive.snapshot(), "me", "late").write("k", Op::add(1))?.deadline(10);
/// clock.advance(11);
/// assert_eq!(hive.propose(proposal)?.wait(), Outcome::Expired);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Clock(Arc<AtomicU64>);

impl Clock {
    /// One that shows 0.
    pub fn new() -> Self {
        Clock::default()
    }

    /// One that shows this.
    pub fn at(time: u64) -> Self {
        Clock(Arc::new(AtomicU64::new(time)))
    }

    /// What it shows.
    pub fn now(&self) -> u64 {
        // SeqCst: there is no hurry. The same below.
        self.0.load(Ordering::SeqCst)
    }

    /// Sets it forward, and tells what it shows then. It stops at the largest number.
    pub fn advance(&self, by: u64) -> u64 {
        let later = |now: u64| now.saturating_add(by);
        let before =
            self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |now| Some(later(now)));
        before.map_or_else(|now| now, later)
    }

    /// What [`HiveBuilder::clock`] asks for.
    pub fn reader(&self) -> impl Fn() -> u64 + Send + Sync + 'static {
        let clock = self.clone();
        move || clock.now()
    }
}

/// Recomputes the rounds that were recorded after `since`, and holds the result against what the hive had committed when it was called.
///
/// `since` is a snapshot of this hive, such as that from before the test. If it is the very first, votes are counted again as well.
///
/// # Panics
/// At the first round that does not follow from what is recorded, or the first key that differs; or if records after `since` are no longer
/// [kept](HiveBuilder::keep_rounds).
#[track_caller]
pub fn assert_replays(hive: &Hive, since: &Snapshot) {
    // What was committed by then was recorded before.
    let now = hive.snapshot();
    let history = hive.history();
    let is_wanted = |round| since.version() < round && round <= now.version();
    let records = history.iter().filter(|record| is_wanted(record.input.round));
    let kept = records.clone().count() as u64;
    let wanted = now.version().0.saturating_sub(since.version().0);
    assert!(
        kept == wanted,
        "the last {kept} of {wanted} rounds since version {} are kept: begin later, or have the hive keep more",
        since.version(),
    );
    let replayed = match replay((**since).clone(), records.map(|record| &**record)) {
        Ok(state) => state,
        Err(divergence) => panic!("the history does not replay: {divergence}"),
    };
    let shown = |entry: Option<&Entry>| match entry {
        Some(Entry { value, version, writer, operator }) => {
            format!("{value} (version {version}, {operator} by {writer})")
        }
        None => "nothing".to_owned(),
    };
    let keys = replayed.iter().chain(now.iter()).map(|(key, _)| key.as_str());
    let differing = keys.filter(|key| replayed.entry(key) != now.entry(key)).min();
    if let Some(key) = differing {
        let [ours, theirs] = [&replayed, &*now].map(|state| shown(state.entry(key)));
        panic!("the history does not replay: {key} holds {theirs}, but the records lead to {ours}");
    }
}
