use std::fmt;
use std::num::NonZero;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::time::Duration;

use super::core::{Core, SEGMENT};
use super::follow::Changed;
use super::node::Snapshot;
use super::reader::SnapshotReader;
use super::staged::{Contended, Staged, Stale};
use super::version::Version;
use crate::sync::Arc;

/// How often [`SnapshotCell::update`] recomputes before it gives up.
///
/// Each retry means that another writer committed, so the cell as a whole moved on that often.
const UPDATE_ATTEMPTS: usize = 4096;

/// One current immutable state that any number of threads read while writers replace it.
///
/// `T` must be sized: an address of what is not has two words, more than a compare-and-swap takes. Put it in a `Box`.
///
/// See the [module page](crate::snapshot) for the protocol, its progress and its memory bound. A cell occupies
/// about 2 KiB beside its state.
///
/// ```
/// use queenright_primitives::snapshot::SnapshotCell;
///
/// let cell = SnapshotCell::new(vec![1, 2]);
/// let before = cell.load();
///
/// let mut staged = cell.stage();
/// staged.push(3);
/// let version = cell.commit(staged).unwrap();
///
/// assert_eq!(*before, [1, 2]);        // an old snapshot never changes
/// assert_eq!(*cell.load(), [1, 2, 3]);
/// assert_eq!(cell.version(), version);
/// ```
pub struct SnapshotCell<T> {
    core: Arc<Core<T>>,
}

impl<T> SnapshotCell<T> {
    /// A cell whose version 0 is `value`.
    pub fn new(value: T) -> Self {
        Self::starting_at(Version(0), value)
    }

    /// A cell whose first version is `version`, to go on from a state that was stored. After `u64::MAX` comes 0;
    /// no commit is fooled by that, but who waits across it may wait in vain.
    pub fn starting_at(version: Version, value: T) -> Self {
        Self::reclaiming_every(SEGMENT, version, value)
    }

    /// A cell of which every `commits`th commit frees what these have replaced, in place of every 32nd.
    ///
    /// With 1, each commit frees what it replaces, for states that are large; it costs about twice as
    /// much then.
    pub fn reclaiming_every(commits: NonZero<u8>, version: Version, value: T) -> Self {
        SnapshotCell { core: Arc::new(Core::new(commits, version, value)) }
    }

    /// The current version. Lock-free; O(1) if the slot that is nearest to this thread is free, see
    /// [Progress](crate::snapshot#progress).
    pub fn version(&self) -> Version {
        self.core.enter().version()
    }

    /// An owned handle on the current state. As [`version`](Self::version), and a reference count.
    #[inline]
    pub fn load(&self) -> Snapshot<T> {
        self.core.enter().export()
    }

    /// Runs `f` on the current state without touching a reference count. Beside `f` as
    /// [`version`](Self::version).
    ///
    /// The version that `f` sees stays alive until it returns, however long that takes; others do not.
    #[inline]
    pub fn read<R>(&self, f: impl FnOnce(&T, Version) -> R) -> R {
        let guest = self.core.enter();
        f(guest.value(), guest.version())
    }

    /// A handle for reading again and again: see [`SnapshotReader`]. Lock-free, O(handles).
    pub fn reader(&self) -> SnapshotReader<T> {
        SnapshotReader::new(Arc::clone(&self.core))
    }

    /// Makes `value` the next version, provided that the current one is still `base`. Lock-free; O(1) as
    /// [`version`](Self::version) is, but every 32nd commit frees what 32 have replaced.
    ///
    /// # Errors
    /// [`Stale`] gives the value back when another commit came first.
    ///
    /// # Panics
    /// Only if a waker or the drop of an old state panics, and the same holds for all ways to commit. A commit that
    /// succeeded has then happened, and all others were woken or dropped. One that is refused wakes nobody, but may have
    /// been the last to read an old version, which it drops: then nothing was committed, and `value` is dropped as well.
    pub fn compare_and_commit(&self, base: Version, value: T) -> Result<Version, Stale<T>> {
        let guest = self.core.enter();
        let current = guest.version();
        if current != base {
            return Err(Stale { current, staged: Staged::new(base, value) });
        }
        self.core.publish(guest, value).map_err(|value| {
            let staged = Staged::new(base, value);
            Stale { current: self.version(), staged }
        })
    }

    /// Commits what was staged, provided that nothing was committed since it was staged. Lock-free.
    ///
    /// # Errors
    /// [`Stale`] gives the staged work back when another commit came first.
    pub fn commit(&self, staged: Staged<T>) -> Result<Version, Stale<T>> {
        self.compare_and_commit(staged.base(), staged.into_inner())
    }

    /// Replaces the state by `f` of it, again and again until no other commit came between.
    ///
    /// Lock-free as a group: an attempt fails only because another writer succeeded. Each costs as
    /// [`compare_and_commit`](Self::compare_and_commit), beside `f`. A panic in `f` leaves the cell as it was.
    ///
    /// # Errors
    /// [`Contended`] after 4096 attempts lost in a row; nothing was changed.
    #[inline]
    pub fn update(&self, mut f: impl FnMut(&T) -> T) -> Result<Version, Contended> {
        for _ in 0..UPDATE_ATTEMPTS {
            let guest = self.core.enter();
            let value = f(guest.value());
            if let Ok(version) = self.core.publish(guest, value) {
                return Ok(version);
            }
        }
        Err(Contended { attempts: UPDATE_ATTEMPTS })
    }

    /// Makes `value` the next version, whatever the current one is. Lock-free: a further attempt means that
    /// another writer committed. Each costs as [`compare_and_commit`](Self::compare_and_commit).
    pub fn replace(&self, mut value: T) -> Version {
        loop {
            match self.core.publish(self.core.enter(), value) {
                Ok(version) => return version,
                Err(back) => value = back,
            }
        }
    }

    /// Blocks until `version` or a later one is current, and gives that.
    ///
    /// ```
    /// use queenright_primitives::snapshot::{SnapshotCell, Version};
    ///
    /// let cell = SnapshotCell::new("first");
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| assert_eq!(*cell.wait_for(Version(1)), "second"));
    ///     cell.update(|_| "second").unwrap();
    /// });
    /// ```
    pub fn wait_for(&self, version: Version) -> Snapshot<T> {
        match Changed::new(&self.core, version).wait(None) {
            Some(snapshot) => snapshot,
            None => unreachable!("there was no time limit"),
        }
    }

    /// As [`wait_for`](Self::wait_for); `None` when `timeout` has passed before.
    pub fn wait_for_timeout(&self, version: Version, timeout: Duration) -> Option<Snapshot<T>> {
        Changed::new(&self.core, version).wait(Some(timeout))
    }

    /// A future of the first version that is seen to be newer than `since`. Versions may be skipped.
    ///
    /// To make it is O(1). A poll is lock-free; it looks at the current version as [`version`](Self::version) does, and
    /// one that has to wait takes a slot for its waker, O(those who waited at once).
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing: the next one with the same `since` is ready at once.
    pub fn changed(&self, since: Version) -> Changed<'_, T> {
        Changed::new(&self.core, since.next())
    }

    /// How many versions were replaced and are not yet freed or left to their snapshots. For metrics: exact
    /// while nobody commits. As [`version`](Self::version).
    pub fn retired(&self) -> usize {
        self.core.retired()
    }

    /// How many versions are alive: the current one, the [`retired`](Self::retired) ones, and those that only
    /// snapshots hold. For metrics: exact while nobody commits. As [`version`](Self::version).
    pub fn live_versions(&self) -> usize {
        1 + self.core.retired() + self.core.outliving()
    }
}

/// What tests look at.
#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
impl<T> SnapshotCell<T> {
    pub(super) fn slot_count(&self) -> usize {
        self.core.slot_count()
    }

    pub(super) fn waiting(&self) -> usize {
        self.core.followers.len()
    }
}

impl<T: Clone> SnapshotCell<T> {
    /// A private copy of the current state to change and then [`commit`](Self::commit). Beside the cloning as
    /// [`version`](Self::version).
    pub fn stage(&self) -> Staged<T> {
        self.read(|value, version| Staged::new(version, value.clone()))
    }
}

impl<T> Drop for SnapshotCell<T> {
    fn drop(&mut self) {
        self.core.close();
    }
}

impl<T: fmt::Debug> fmt::Debug for SnapshotCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.load();
        f.debug_struct("SnapshotCell")
            .field("version", &seen.version().0)
            .field("value", &*seen)
            .finish()
    }
}

impl<T: Default> Default for SnapshotCell<T> {
    fn default() -> Self {
        SnapshotCell::new(T::default())
    }
}

impl<T> From<T> for SnapshotCell<T> {
    fn from(value: T) -> Self {
        SnapshotCell::new(value)
    }
}

// A panic in the caller's code leaves the cell as it was or with a whole new version, never in between.
impl<T: RefUnwindSafe> UnwindSafe for SnapshotCell<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for SnapshotCell<T> {}
