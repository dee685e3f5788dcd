//! Object pools, and plain allocation. Whoever takes an object gets it as good as new, from any thread.

use std::ops::{Deref, DerefMut};

use object_pool::Reusable;
use opool::PoolAllocator;
use queenright_primitives::pool as ours;
use regex_automata::util::pool as regex;

/// What is pooled.
pub trait Object: Default + Send + Sync + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// Makes it as good as new.
    fn reset(&mut self);

    /// Uses it, and says something about it that is 1 for a new one.
    fn touch(&mut self) -> u64;

    /// How it is held by whoever has no pool.
    type Alone: DerefMut<Target = Self>;

    /// Allocates one.
    fn alone() -> Self::Alone;
}

/// An object that has its memory elsewhere, as it is.
pub struct Bare<O>(O);

impl<O> Deref for Bare<O> {
    type Target = O;

    #[inline]
    fn deref(&self) -> &O {
        &self.0
    }
}

impl<O> DerefMut for Bare<O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut O {
        &mut self.0
    }
}

/// A buffer with room for 4 KiB.
pub struct Buffer(Vec<u8>);

impl Default for Buffer {
    fn default() -> Self {
        Buffer(Vec::with_capacity(4096))
    }
}

impl Object for Buffer {
    const NAME: &'static str = "buffer of 4 KiB";

    #[inline]
    fn reset(&mut self) {
        self.0.clear();
    }

    #[inline]
    fn touch(&mut self) -> u64 {
        self.0.push(1);
        self.0.len() as u64
    }

    type Alone = Bare<Self>;

    #[inline]
    fn alone() -> Bare<Self> {
        Bare(Buffer::default())
    }
}

/// 64 bytes.
#[derive(Default)]
pub struct Small([u64; 8]);

impl Object for Small {
    const NAME: &'static str = "struct of 64 bytes";

    #[inline]
    fn reset(&mut self) {
        self.0[0] = 0;
    }

    #[inline]
    fn touch(&mut self) -> u64 {
        self.0[0] += 1;
        self.0[0]
    }

    type Alone = Box<Self>;

    #[inline]
    fn alone() -> Box<Self> {
        Box::default()
    }
}

/// A pool under comparison.
pub trait Pool<O: Object>: Send + Sync + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// An object in use, which goes back when it is dropped.
    type Taken<'p>: DerefMut<Target = O>;

    /// A pool that keeps so many objects.
    fn of(objects: usize) -> Self;

    /// Takes an object, or makes one.
    fn take(&self) -> Self::Taken<'_>;
}

/// Ours.
pub struct Ours<O>(ours::Pool<O>);

impl<O: Object> Pool<O> for Ours<O> {
    const NAME: &'static str = "queenright Pool";
    type Taken<'p> = ours::Pooled<'p, O>;

    fn of(objects: usize) -> Self {
        Ours(ours::Pool::builder(O::default).capacity(objects).reset(O::reset).build())
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        self.0.take()
    }
}

/// How `opool` makes and resets objects.
pub struct Defaults;

impl<O: Object> PoolAllocator<O> for Defaults {
    #[inline]
    fn allocate(&self) -> O {
        O::default()
    }

    #[inline]
    fn reset(&self, object: &mut O) {
        object.reset();
    }
}

/// On an `ArrayQueue`.
pub struct Opool<O: Object>(opool::Pool<Defaults, O>);

impl<O: Object> Pool<O> for Opool<O> {
    const NAME: &'static str = "opool";
    type Taken<'p> = opool::RefGuard<'p, Defaults, O>;

    fn of(objects: usize) -> Self {
        Opool(opool::Pool::new(objects, Defaults))
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        self.0.get()
    }
}

/// On a vector under parking_lot's lock.
pub struct ObjectPool<O>(object_pool::Pool<O>);

/// Resets what a pool gives out again without a reset of its own.
pub struct ResetOnDrop<G: DerefMut<Target: Object>>(G);

impl<G: DerefMut<Target: Object>> Drop for ResetOnDrop<G> {
    #[inline]
    fn drop(&mut self) {
        self.0.reset();
    }
}

impl<G: DerefMut<Target: Object>> Deref for ResetOnDrop<G> {
    type Target = G::Target;

    #[inline]
    fn deref(&self) -> &G::Target {
        &self.0
    }
}

impl<G: DerefMut<Target: Object>> DerefMut for ResetOnDrop<G> {
    #[inline]
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.0
    }
}

impl<O: Object> Pool<O> for ObjectPool<O> {
    const NAME: &'static str = "object-pool";
    type Taken<'p> = ResetOnDrop<Reusable<'p, O>>;

    fn of(_: usize) -> Self {
        ObjectPool(object_pool::Pool::from_vec(Vec::new()))
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        ResetOnDrop(self.0.pull(O::default))
    }
}

/// On pages of 32 with a bitmap each.
pub struct Linear<O>(lockfree_object_pool::LinearObjectPool<O>);

impl<O: Object> Pool<O> for Linear<O> {
    const NAME: &'static str = "lockfree-object-pool, linear";
    type Taken<'p> = lockfree_object_pool::LinearReusable<'p, O>;

    fn of(_: usize) -> Self {
        Linear(lockfree_object_pool::LinearObjectPool::new(O::default, O::reset))
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        self.0.pull()
    }
}

/// On a vector under a spin lock.
pub struct Spin<O>(lockfree_object_pool::SpinLockObjectPool<O>);

impl<O: Object> Pool<O> for Spin<O> {
    const NAME: &'static str = "lockfree-object-pool, spin lock";
    type Taken<'p> = lockfree_object_pool::SpinLockReusable<'p, O>;

    fn of(_: usize) -> Self {
        Spin(lockfree_object_pool::SpinLockObjectPool::new(O::default, O::reset))
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        self.0.pull()
    }
}

/// One free list a thread, and one for what other threads give back.
pub struct Slab<O: Object>(sharded_slab::Pool<Cleared<O>>);

/// As the slab wants it.
#[derive(Default)]
pub struct Cleared<O>(O);

impl<O: Object> sharded_slab::Clear for Cleared<O> {
    #[inline]
    fn clear(&mut self) {
        self.0.reset();
    }
}

/// An entry of the slab in use, whose key must be cleared for it to go back.
pub struct Entry<'p, O: Object> {
    entry: Option<sharded_slab::pool::RefMut<'p, Cleared<O>>>,
    slab: &'p Slab<O>,
}

impl<O: Object> Deref for Entry<'_, O> {
    type Target = O;

    #[inline]
    fn deref(&self) -> &O {
        &self.entry.as_ref().expect("there until it is dropped").0
    }
}

impl<O: Object> DerefMut for Entry<'_, O> {
    #[inline]
    fn deref_mut(&mut self) -> &mut O {
        &mut self.entry.as_mut().expect("there until it is dropped").0
    }
}

impl<O: Object> Drop for Entry<'_, O> {
    #[inline]
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            let key = entry.key();
            drop(entry);
            assert!(self.slab.0.clear(key), "it was in use");
        }
    }
}

impl<O: Object> Pool<O> for Slab<O> {
    const NAME: &'static str = "sharded-slab";
    type Taken<'p> = Entry<'p, O>;

    fn of(_: usize) -> Self {
        Slab(sharded_slab::Pool::new())
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        Entry { entry: Some(self.0.create().expect("there is room")), slab: self }
    }
}

/// One object of the thread that came first, and vectors under locks for all others.
pub struct Regex<O: Object>(regex::Pool<O>);

impl<O: Object> Pool<O> for Regex<O> {
    const NAME: &'static str = "regex-automata";
    type Taken<'p> = ResetOnDrop<regex::PoolGuard<'p, O, fn() -> O>>;

    fn of(_: usize) -> Self {
        Regex(regex::Pool::new(O::default))
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        ResetOnDrop(self.0.get())
    }
}

/// No pool: each object is allocated and freed.
pub struct Allocator;

impl<O: Object> Pool<O> for Allocator {
    const NAME: &'static str = "allocation";
    type Taken<'p> = O::Alone;

    fn of(_: usize) -> Self {
        Allocator
    }

    #[inline]
    fn take(&self) -> Self::Taken<'_> {
        O::alone()
    }
}
