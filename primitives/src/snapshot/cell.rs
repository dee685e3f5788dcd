use std::fmt;
use std::ops::{Deref, DerefMut};

use crate::sync::epoch::{self, Atomic, Guard, Owned, Shared};
use crate::sync::{Arc, Ordering};

/// How often [`SnapshotCell::update`] recomputes before it gives up.
///
/// Each retry means that another writer committed, so the cell as a whole moved on that often.
const UPDATE_ATTEMPTS: usize = 4096;

/// The number of a published state; the first is 0, and each commit adds 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version after this one.
    #[must_use]
    pub fn next(self) -> Version {
        Version(self.0.saturating_add(1))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

struct Node<T> {
    version: Version,
    value: Arc<T>,
}

/// One current immutable state that any number of threads read while writers replace it.
///
/// See the [module page](crate::snapshot) for the protocol, its progress and its memory bound.
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
    root: Atomic<Node<T>>,
}

impl<T: Send + Sync + 'static> SnapshotCell<T> {
    /// A cell whose version 0 is `value`.
    pub fn new(value: T) -> Self {
        Self::starting_at(Version(0), value)
    }

    /// A cell whose first version is `version`, to go on from a state that was stored.
    pub fn starting_at(version: Version, value: T) -> Self {
        let value = Arc::new(value);
        SnapshotCell { root: Atomic::new(Node { version, value }) }
    }

    /// The current version. Lock-free.
    pub fn version(&self) -> Version {
        self.node(&epoch::pin()).version
    }

    /// An owned handle on the current state. Lock-free; costs a reference count.
    pub fn load(&self) -> Snapshot<T> {
        let guard = epoch::pin();
        let node = self.node(&guard);
        Snapshot { version: node.version, value: Arc::clone(&node.value) }
    }

    /// Runs `f` on the current state without touching a reference count. Lock-free.
    ///
    /// No version that is retired while `f` runs can be freed before it returns: keep it short.
    pub fn read<R>(&self, f: impl FnOnce(&T, Version) -> R) -> R {
        let guard = epoch::pin();
        let node = self.node(&guard);
        f(&node.value, node.version)
    }

    /// Makes `value` the next version, provided that the current one is still `base`. Lock-free.
    ///
    /// # Errors
    /// [`Stale`] gives the value back when another commit came first.
    pub fn compare_and_commit(&self, base: Version, value: T) -> Result<Version, Stale<T>> {
        let guard = epoch::pin();
        let current = self.shared(&guard);
        let seen = node_of(current).version;
        if seen != base {
            return Err(Stale { current: seen, staged: Staged { base, value } });
        }
        let next = base.next();
        let node = Owned::new(Node { version: next, value: Arc::new(value) });
        // Release publishes the node to the Acquire load in `shared`. On failure nothing is read
        // through the pointer that the exchange returns, so Relaxed is enough.
        match self.root.compare_exchange(
            current,
            node,
            Ordering::Release,
            Ordering::Relaxed,
            &guard,
        ) {
            Ok(_) => {
                // SAFETY: the exchange unlinked `current`, so no thread that pins from now on can
                // reach it, and only the thread whose exchange succeeded retires it.
                unsafe { guard.defer_destroy(current) };
                Ok(next)
            }
            Err(lost) => {
                let Node { value, .. } = *lost.new.into_box();
                let current = self.node(&guard).version;
                Err(Stale { current, staged: Staged { base, value: unshare(value) } })
            }
        }
    }

    /// Commits what was staged, provided that nothing was committed since it was staged. Lock-free.
    ///
    /// # Errors
    /// [`Stale`] gives the staged work back when another commit came first.
    pub fn commit(&self, staged: Staged<T>) -> Result<Version, Stale<T>> {
        self.compare_and_commit(staged.base, staged.value)
    }

    /// Replaces the state by `f` of it, again and again until no other commit came between.
    ///
    /// Lock-free as a group: an attempt fails only because another writer succeeded. A panic in `f`
    /// leaves the cell as it was.
    ///
    /// # Errors
    /// [`Contended`] after 4096 attempts lost in a row; nothing was changed.
    pub fn update(&self, mut f: impl FnMut(&T) -> T) -> Result<Version, Contended> {
        for _ in 0..UPDATE_ATTEMPTS {
            let seen = self.load();
            if let Ok(version) = self.compare_and_commit(seen.version, f(&seen)) {
                return Ok(version);
            }
        }
        Err(Contended { attempts: UPDATE_ATTEMPTS })
    }

    fn shared<'g>(&self, guard: &'g Guard) -> Shared<'g, Node<T>> {
        // Acquire pairs with the Release of the exchange that published the node.
        self.root.load(Ordering::Acquire, guard)
    }

    fn node<'g>(&self, guard: &'g Guard) -> &'g Node<T> {
        node_of(self.shared(guard))
    }
}

impl<T: Clone + Send + Sync + 'static> SnapshotCell<T> {
    /// A private copy of the current state to change and then [`commit`](Self::commit).
    pub fn stage(&self) -> Staged<T> {
        let seen = self.load();
        Staged { base: seen.version, value: T::clone(&seen) }
    }
}

fn node_of<T>(shared: Shared<'_, Node<T>>) -> &Node<T> {
    // SAFETY: the root is never null, every node it has held was fully written before the Release that
    // published it, and the guard behind `shared`'s lifetime keeps the node from being freed.
    unsafe { shared.deref() }
}

/// Takes back the value of a node that was never published.
fn unshare<T>(value: Arc<T>) -> T {
    match Arc::try_unwrap(value) {
        Ok(value) => value,
        Err(_) => unreachable!("a node that was never published has one owner"),
    }
}

impl<T> Drop for SnapshotCell<T> {
    fn drop(&mut self) {
        let root = std::mem::replace(&mut self.root, Atomic::null());
        // SAFETY: `&mut self` proves that no other thread can reach the root, the root is never null
        // while the cell lives, and every earlier node was retired by the commit that replaced it.
        drop(unsafe { root.into_owned() });
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> fmt::Debug for SnapshotCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = self.load();
        f.debug_struct("SnapshotCell")
            .field("version", &seen.version.0)
            .field("value", &*seen)
            .finish()
    }
}

impl<T: Default + Send + Sync + 'static> Default for SnapshotCell<T> {
    fn default() -> Self {
        SnapshotCell::new(T::default())
    }
}

impl<T: Send + Sync + 'static> From<T> for SnapshotCell<T> {
    fn from(value: T) -> Self {
        SnapshotCell::new(value)
    }
}

/// An owned handle on one version. Cloning costs a reference count; the state behind it never changes.
pub struct Snapshot<T> {
    version: Version,
    value: Arc<T>,
}

impl<T> Snapshot<T> {
    /// Which version this is.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl<T> Clone for Snapshot<T> {
    fn clone(&self) -> Self {
        Snapshot { version: self.version, value: Arc::clone(&self.value) }
    }
}

impl<T> Deref for Snapshot<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Snapshot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("version", &self.version.0)
            .field("value", &**self)
            .finish()
    }
}

/// A private copy of a state, and the version it was copied from.
#[derive(Clone, Debug)]
pub struct Staged<T> {
    base: Version,
    value: T,
}

impl<T> Staged<T> {
    /// The version that this work is based on.
    pub fn base(&self) -> Version {
        self.base
    }

    /// The staged value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

impl<T> Deref for Staged<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Staged<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// A commit came too late: its base is no longer the current version. Carries the rejected work.
pub struct Stale<T> {
    /// The version that was current when the commit was refused.
    pub current: Version,
    /// The rejected work, to be redone on a newer state.
    pub staged: Staged<T>,
}

impl<T> fmt::Debug for Stale<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stale")
            .field("base", &self.staged.base.0)
            .field("current", &self.current.0)
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Stale<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "staged from version {}, but version {} is current: stage again from it",
            self.staged.base, self.current
        )
    }
}

impl<T> std::error::Error for Stale<T> {}

/// Every attempt of [`SnapshotCell::update`] lost to another writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contended {
    /// How many attempts were made.
    pub attempts: usize,
}

impl fmt::Display for Contended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} attempts lost to other writers: try again later", self.attempts)
    }
}

impl std::error::Error for Contended {}
