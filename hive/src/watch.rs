//! What was committed, one version after the other, for those who want to know.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::replace;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queenright_primitives::Version;
use queenright_primitives::snapshot::SnapshotCell;

use crate::consensus::{Intake, News, apply};
use crate::id::AgentId;
use crate::key::{IntoKey, Key, KeyError};
use crate::lock::lock;
use crate::log::{Recent, Record};
use crate::op::Operator;
use crate::proposal::{Read, sees};
use crate::state::{Snapshot, State};
use crate::value::Value;

/// The changes that a hive commits, in order: made by [`Hive::watch`](crate::Hive::watch).
///
/// It is told nothing: it keeps the version up to which it has read, and looks at what was recorded since. So the queen waits for no
/// watcher, and one that is slow keeps one version of the state and nothing else, however long it stalls. When it has fallen
/// behind what [`HiveBuilder::keep_rounds`](crate::HiveBuilder::keep_rounds) keeps, it is [told](Watched::Missed) so, with the difference.
///
/// Wait for the next as a thread ([`next`](Iterator::next), [`next_timeout`](Self::next_timeout)), as a task
/// ([`next_async`](Self::next_async)), or not at all ([`try_next`](Self::try_next)). It does not keep the hive going: when that was shut down or dropped,
/// what was committed is still to be had, and then the watch is over.
///
/// ```
/// use queenright::{Hive, Op, Proposal, Watched};
///
/// let hive = Hive::builder().build()?;
/// let start = hive.snapshot();
/// for (id, key) in [("1", "stock/apples"), ("2", "weather"), ("3", "stock/pears")] {
///     hive.propose(Proposal::on(&start, "me", id).write(key, Op::add(1))?)?.wait();
/// }
/// let mut stock = hive.watch().under("stock")?.since(&start);
/// drop(hive);
///
/// let Some(Watched::Commit { version, changes, .. }) = stock.next() else { panic!("that was the first") };
/// assert_eq!((version.0, changes[0].key.as_str()), (1, "stock/apples"));
/// assert_eq!((&changes[0].before, &changes[0].after), (&None, &Some(1.into())));
/// let told: Vec<u64> = stock.map(|watched| watched.version().0).collect();
/// assert_eq!(told, [3], "version 2 changed nothing there");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Costs
/// Each version between the one it has read and the current one is recomputed from its record, as the queen has computed it; one that
/// keeps up reads the published one. Each write of a version is compared with each part of the filter.
/// Every version wakes whoever waits, to look whether anything passes; and while one catches up, it does not look at the time.
#[derive(Clone)]
#[must_use = "a watch tells nothing unless it is asked for the next change"]
pub struct Watch {
    source: Source,
    cursor: Cursor,
}

/// What of a hive a watch looks at. None of it keeps the queen going.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) cell: Arc<SnapshotCell<State>>,
    pub(crate) recent: Arc<Mutex<Recent>>,
    pub(crate) news: Arc<News>,
    /// For whether this is the queen's thread.
    pub(crate) intake: Arc<Intake>,
}

/// How far a watch has read, and what it looks for.
#[derive(Clone)]
struct Cursor {
    at: Snapshot,
    /// Nothing: it looks for everything.
    filter: Vec<Read<Key>>,
}

/// What a [`Watch`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Watched {
    /// A version in which something that passes the filter has changed.
    #[non_exhaustive]
    Commit {
        /// Which.
        version: Version,
        /// What has changed in it, in order of the keys; not empty.
        changes: Vec<Change>,
    },
    /// So far behind that the records of the next versions are no longer kept. It goes on after these.
    #[non_exhaustive]
    Missed {
        /// The last version before them.
        from: Version,
        /// The last of them.
        to: Version,
        /// How the state at `to` differs from that at `from`, in order of the keys. What has changed in between and back again is not
        /// among it, so that there may be nothing.
        changes: Vec<Change>,
    },
}

/// A key that holds something else than before, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Which.
    pub key: Key,
    /// What it held before; `None` if nothing.
    pub before: Option<Value>,
    /// What it holds after it; `None` if it was removed.
    pub after: Option<Value>,
    /// Who has changed it last; of several who did it together, the one that was accepted first. `None` only in [`Watched::Missed`], for a key that
    /// was removed so long ago that nobody knows.
    pub writer: Option<AgentId>,
    /// With which operator.
    pub operator: Operator,
}

/// Why there is no next change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WatchError {
    /// Nothing that passes the filter was committed, so far or in time.
    NothingYet,
    /// The same, on the queen's own thread, where the wakers of tickets run: nobody waits there.
    Busy,
}

impl Watched {
    /// The version after it.
    pub fn version(&self) -> Version {
        match self {
            Watched::Commit { version, .. } => *version,
            Watched::Missed { to, .. } => *to,
        }
    }

    /// What has changed, in order of the keys.
    pub fn changes(&self) -> &[Change] {
        match self {
            Watched::Commit { changes, .. } | Watched::Missed { changes, .. } => changes,
        }
    }
}

impl Watch {
    /// From the current version on, for everything.
    pub(crate) fn of(source: Source) -> Self {
        let at = Snapshot::published(source.cell.load());
        Watch { source, cursor: Cursor { at, filter: Vec::new() } }
    }

    /// Looks for changes of this key, and of what else it was told to look for. One that was told nothing looks for everything.
    ///
    /// # Errors
    /// [`KeyError`] if the text is no key.
    pub fn key(mut self, key: impl IntoKey) -> Result<Self, KeyError> {
        self.cursor.filter.push(Read::Key(key.into_key()?));
        Ok(self)
    }

    /// Looks for changes at and below this prefix, too. The empty one is that of everything.
    ///
    /// # Errors
    /// [`KeyError`] if the text is neither a key nor empty.
    pub fn under(mut self, prefix: &str) -> Result<Self, KeyError> {
        self.cursor.filter.push(Read::Under(Key::prefix(prefix)?));
        Ok(self)
    }

    /// Begins after this snapshot, which must be of the same hive: what has changed since is told first.
    pub fn since(mut self, snapshot: &Snapshot) -> Self {
        self.cursor.at = snapshot.clone();
        self
    }

    /// The state up to which it has told everything: what the next change changes.
    pub fn snapshot(&self) -> &Snapshot {
        &self.cursor.at
    }

    /// The next that was committed already; `Ok(None)` when the hive has ended and all of it was told.
    ///
    /// ```
    /// use queenright::{Hive, WatchError};
    ///
    /// let hive = Hive::builder().build()?;
    /// let mut watch = hive.watch();
    /// assert_eq!(watch.try_next(), Err(WatchError::NothingYet));
    /// drop(hive);
    /// assert_eq!(watch.try_next(), Ok(None));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`WatchError::NothingYet`].
    pub fn try_next(&mut self) -> Result<Option<Watched>, WatchError> {
        self.source.look(&mut self.cursor).ok_or(WatchError::NothingYet)
    }

    /// Waits for the next, for at most so long; `Ok(None)` when the hive has ended and all of it was told.
    ///
    /// # Errors
    /// [`WatchError::NothingYet`] when the time is up; [`WatchError::Busy`] at once, if there is nothing, on the queen's own thread.
    pub fn next_timeout(&mut self, timeout: Duration) -> Result<Option<Watched>, WatchError> {
        if self.source.intake.is_queens_thread() {
            return self.try_next().map_err(|_| WatchError::Busy);
        }
        let Watch { source, cursor } = self;
        let next = source.news.event().wait_until_timeout(timeout, || source.look(cursor));
        next.ok_or(WatchError::NothingYet)
    }

    /// Waits for the next as a task does, on any executor; `None` when the hive has ended and all of it was told.
    ///
    /// # Cancel safety
    /// Dropped before it is done, the future loses nothing.
    pub fn next_async(&mut self) -> impl Future<Output = Option<Watched>> + Send + Unpin {
        let Watch { source, cursor } = self;
        source.news.event().until(|| source.look(cursor))
    }
}

/// Waits for the next; over when the hive has ended and all of it was told.
///
/// On the queen's own thread, where the wakers of tickets run, nobody waits: there it ends where nothing was committed yet, and goes on when
/// it is asked again. [`next_timeout`](Watch::next_timeout) tells the two apart.
impl Iterator for Watch {
    type Item = Watched;

    fn next(&mut self) -> Option<Watched> {
        if self.source.intake.is_queens_thread() {
            return self.try_next().unwrap_or(None);
        }
        let Watch { source, cursor } = self;
        source.news.event().wait_until(|| source.look(cursor))
    }
}

impl Source {
    /// The next of what was committed by now; `Some(None)` if all of it was told and nothing will come any more.
    fn look(&self, cursor: &mut Cursor) -> Option<Option<Watched>> {
        // Before the version: none is published after that.
        let is_over = self.news.is_over();
        let now = Snapshot::published(self.cell.load());
        if cursor.is_of_keys() && !cursor.may_have_changed(&now) {
            cursor.go_on_to(now);
            return is_over.then_some(None);
        }
        while cursor.at.version() < now.version() {
            if let Some(watched) = self.step(cursor, &now) {
                return Some(Some(watched));
            }
        }
        is_over.then_some(None)
    }

    /// Goes on to the next version, or as far as is needed. Tells what passes the filter.
    fn step(&self, cursor: &mut Cursor, now: &Snapshot) -> Option<Watched> {
        let version = cursor.at.version().next();
        let Some(record) = lock(&self.recent).record(version) else {
            return cursor.jump(now);
        };
        let next = match now.version() == version {
            true => now.clone(),
            false => {
                let Record { batch, input, verdicts, .. } = &*record;
                Snapshot::from(apply(&cursor.at, batch, input, verdicts))
            }
        };
        let before = replace(&mut cursor.at, next);
        let changes = cursor.changes(&before, &record);
        (!changes.is_empty()).then_some(Watched::Commit { version, changes })
    }
}

impl Cursor {
    /// Whether it looks for keys alone, so that it costs little to see whether any of them has changed.
    fn is_of_keys(&self) -> bool {
        let is_key = |read: &Read<Key>| matches!(read, Read::Key(_));
        !self.filter.is_empty() && self.filter.iter().all(is_key)
    }

    /// What it looks for.
    fn looked_for(&self) -> &[Read<Key>] {
        static EVERYTHING: [Read<Key>; 1] = [Read::Under(Key::root())];
        match self.filter.is_empty() {
            true => &EVERYTHING,
            false => &self.filter,
        }
    }

    fn passes(&self, key: &Key) -> bool {
        self.looked_for().iter().any(|read| sees(read, key))
    }

    /// Whether what it looks for was changed up to `now`, and be it back again.
    fn may_have_changed(&self, now: &State) -> bool {
        let since = self.at.version();
        // Removals from before the horizon are forgotten.
        since < now.horizon
            || self.looked_for().iter().any(|read| now.changed_since(read, since).is_some())
    }

    fn go_on_to(&mut self, now: Snapshot) {
        if self.at.version() < now.version() {
            self.at = now;
        }
    }

    /// What a round has changed of what is looked for. This is at the version that the round has made.
    fn changes(&self, before: &State, record: &Record) -> Vec<Change> {
        let mut changes = BTreeMap::new();
        for proposal in record.accepted() {
            for (key, op) in &proposal.writes {
                // Of several who write it together, the first counts.
                if self.passes(key) && !changes.contains_key(key) {
                    let origin = || (Some(proposal.agent.clone()), op.operator());
                    let change = Change::of(key, before, &self.at, origin);
                    changes.extend(change.map(|change| (key.clone(), change)));
                }
            }
        }
        changes.into_values().collect()
    }

    /// Goes on to `now`, past versions of which nobody knows any more what has changed in them.
    fn jump(&mut self, now: &Snapshot) -> Option<Watched> {
        let may_have_changed = self.may_have_changed(now);
        let before = replace(&mut self.at, now.clone());
        if !may_have_changed {
            return None;
        }
        let mut changes = BTreeMap::new();
        for read in self.looked_for() {
            let mut look_at = |key: &Key| {
                let change = Change::of(key, &before, now, || last_change(now, key));
                changes.extend(change.map(|change| (key.clone(), change)));
            };
            match read {
                Read::Key(key) => look_at(key),
                Read::Under(prefix) => {
                    let prefix = prefix.as_str();
                    before.under(prefix).for_each(|(key, _)| look_at(key));
                    let is_new = |key: &Key| before.get(key.as_str()).is_none();
                    let keys = now.under(prefix).map(|(key, _)| key);
                    keys.filter(|key| is_new(key)).for_each(look_at);
                }
            }
        }
        let (from, to) = (before.version(), now.version());
        Some(Watched::Missed { from, to, changes: changes.into_values().collect() })
    }
}

impl Change {
    /// How a key differs; `None` if it does not.
    fn of(
        key: &Key,
        before: &State,
        after: &State,
        origin: impl FnOnce() -> (Option<AgentId>, Operator),
    ) -> Option<Self> {
        let [before, after] = [before, after].map(|state| state.get(key.as_str()));
        if before == after {
            return None;
        }
        let (writer, operator) = origin();
        let (key, before, after) = (key.clone(), before.cloned(), after.cloned());
        Some(Change { key, before, after, writer, operator })
    }
}

/// By whom a key was changed last, as far as that is known, and how.
fn last_change(state: &State, key: &Key) -> (Option<AgentId>, Operator) {
    match state.entry(key.as_str()) {
        Some(entry) => (Some(entry.writer.clone()), entry.operator),
        None => (state.removed.get(key).map(|gone| gone.writer.clone()), Operator::Remove),
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("version", &self.cursor.at.version().0)
            .field("filter", &self.cursor.filter)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WatchError::NothingYet => {
                "nothing that is watched has changed yet: wait with `next`, or try later"
            }
            WatchError::Busy => {
                "nothing that is watched has changed yet, and this is the queen's own thread: \
                 wait on another one"
            }
        })
    }
}

impl std::error::Error for WatchError {}
