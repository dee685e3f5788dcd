//! Reuse of objects that are costly to make: buffers, parsers, connections.
//!
//! ```
//! use queenright_primitives::pool::Pool;
//!
//! let pool = Pool::builder(|| String::with_capacity(1024)).capacity(32).reset(String::clear).build();
//! let mut text = pool.take();
//! text.push_str("written");
//! assert_eq!(text.len(), 7);
//! ```
//!
//! | to | use | cost when the thread finds an object near to hand |
//! |---|---|---|
//! | use an object here | [`Pool::take`], [`Pool::try_take`] | one read-modify-write, and a store to return it |
//! | hand it to a task or thread that outlives the frame | [`Pool::take_owned`], [`Pool::try_take_owned`] | two more, for a reference count |
//! | keep it for good | [`Pooled::into_inner`] | the same as to return it |
//! | bring one along | [`Pool::put`] | an allocation, and one read-modify-write |
//! | give memory back | [`Pool::clear`], [`Pool::shrink_to`] | one read-modify-write an object |
//!
//! A returned object is shown to the hooks, on the thread that returns it: first [`Builder::keep_if`], whether it is worth keeping,
//! then [`Builder::reset`]. So no take waits for a reset, a secret does not outlive its use, and whatever is idle is
//! clean. What is not kept is dropped: it was not worth it, or there was no room, or a hook panicked.
//!
//! # Protocol
//! A *place* is a word that is null, or holds the address of an idle object, or says that somebody *holds* the place. To take is
//! to look at a place and to exchange the address for that sign; to put is to exchange null for an address. Whoever
//! holds a place has it alone, counts a hit there, and gives it up by a plain store, of null or of an object. (An array whose
//! items are exchanged one by one, with one that is tried first, is the object pool of the Roslyn compiler; that each processor
//! or thread has its own store to begin with, Bonwick and Adams, *Magazines and vmem*, 2001. To hold the place, and the
//! return to it without an exchange, are added here.)
//!
//! Places stand in *lines* of up to seven, each in memory of its own that no other line shares a cache line with. A thread
//! begins with the line that its number names, and looks into the others only if there is nothing to take, or no room. The
//! *first* place of a line is held as long as the object that was taken from it is out, and is where that object returns to,
//! whichever thread drops it. All others are given up at once, and an object that was taken from them returns to an
//! empty place of the line that its taker began with. In a line the object that was put last is taken first, after
//! the one in the first place, so that those in use are warm.
//!
//! There is no stack or queue of free objects, and so no link from one to the next, and no two words that must agree.
//!
//! # What synchronises with what
//! | this | and this | so that |
//! |---|---|---|
//! | an object put or put back (Release) | the exchange that takes it (Acquire) | who takes it sees all that its last user and the reset did |
//! | a place given up empty (Release), through the exchange that fills it | the exchange that takes from it (Acquire) | hits are counted one after the other, without a read-modify-write |
//!
//! # Progress
//! | | progress | steps |
//! |---|---|---|
//! | `take`, `try_take` and the owned ones | wait-free, beside the making of an object | O(1) if the first place of the thread's line is full, else each other place is looked at once at most: O(capacity) |
//! | return, `put`, `into_inner` | wait-free, beside your hooks | O(1) for the object of a first place, else the same |
//! | `clear`, `shrink_to`, `len`, `stats` | wait-free, beside the drop of objects | O(capacity) |
//!
//! To allocate and to free is part of a miss and of a discard, and as wait-free as the allocator is. Nobody looks twice: an object that
//! comes back behind a look that has passed may be overlooked, and one made in its place; a place that is given up behind
//! one, likewise. So beside other threads a take may miss although something was idle, and a return may
//! be refused although there was room, but never more is kept than there is room for.
//!
//! # Memory
//! At most `capacity` objects are idle, whatever anybody does. In use may be as many as are taken: a pool bounds what it keeps,
//! not what you hold. Lines take 128 bytes each: that is 18 to 43 bytes a place, from three on. An object takes 8 bytes beside itself, or
//! its alignment.
//!
//! A first place waits for its object. If that stays out for long, or is leaked, the place stays empty meanwhile: at most a third of
//! all, one a line. Pools of one or two objects have none.
//!
//! # ABA
//! An exchange that takes compares the address that a look found. If that object was taken, dropped, and another came to the same
//! address and was put here meanwhile, then it is the one that is taken, and nothing was concluded from the look but that it might
//! be there. No address is read through before it was taken. So there is no tag, and nothing that could wrap around.
//!
//! # Panics in your code
//! One in the making of an object reaches whoever takes; nothing has changed. One in a hook reaches whoever returns the object (a drop of
//! a handle; if that thread panics already, it is discarded): the object is dropped and counted, its place is free, and nobody
//! is ever given an object that was not reset. One in the drop of an object reaches whoever drops it, after all is in order.
//!
//! A hook may use the pool. But a reset that takes an object from it and returns that will be asked to reset it in turn.
//!
//! # When something else is better
//! - **No pool**, if an object is made in less time than two atomic additions take, about what it costs to take and return
//!   one: measure before. Small allocations may be as cheap on one thread.
//! - **One object for each thread** in a `thread_local!`, if it never leaves its thread and nobody else uses it: no read-modify-write
//!   at all, and as many objects as there are threads.
//! - **A semaphore**, if the number of objects *in use* must be bounded: a pool makes a new one rather than wait.
//! - **`sharded-slab`**, if objects are found again by a key while they are in use.

mod builder;
mod core;
mod error;
mod handle;
mod object_pool;
mod place;
mod stats;

pub use builder::Builder;
pub use error::PutError;
pub use handle::{OwnedPooled, Pooled};
pub use object_pool::Pool;
pub use stats::Stats;

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;
