//! Claims: of all who want the same task exactly one gets it, for a time, and whoever comes too late is refused.
//!
//! A [`ClaimTable`] maps ids to claims. Whoever [claims](ClaimTable::claim) an id gets a [`ClaimToken`] and a lease: until the
//! lease is over nobody else gets the id, and a [heartbeat](ClaimTable::heartbeat) puts its end off. A claim ends when its holder
//! [releases](ClaimTable::release) the id, [completes](ClaimTable::complete) it, [transfers](ClaimTable::transfer) it to another
//! owner, or is silent for too long. From then on its token is *stale*, and every step that shows it is refused.
//!
//! | the id is | and can be claimed | its memory is free |
//! |---|---|---|
//! | held | no: [`Held`](ClaimError::Held) | |
//! | released | yes | at once |
//! | held by someone whose lease is over | yes | when it is claimed by another, or [reclaimed](ClaimTable::reclaim_expired) |
//! | completed | no: [`Completed`](ClaimError::Completed) | when it is [forgotten](ClaimTable::forget) |
//!
//! # Time
//! No clock is read here: each call is told what time it is, in ticks of your own, and what it says holds for that time. A lease is
//! over at its deadline, whether somebody has noticed or not: its holder can do nothing with it any more, not even if nobody wants
//! the id. Threads whose clocks differ may disagree on whether a lease is over, and one whose clock goes back may find it good
//! again. Who takes the id over or reclaims it first decides, for all others and for good: there is one holder at most, whatever
//! the clocks say, and no clock brings back what was taken over.
//!
//! A holder may be suspended right after it was told that its claim is current, for longer than the lease. What keeps it from
//! doing harm then is its token's number, [shown to the resource](FencingToken).
//!
//! # Tokens
//! No two tokens of a table have the same number, and the numbers of one id rise with its claims and transfers, also if it was
//! released, completed or forgotten in between. The numbers of *different* ids are in no order, because a counter that all ids
//! share would be what all threads wait for: there are 64 counters, chosen by the id's hash. A table of a higher
//! [`Incarnation`] has higher numbers for all ids.
//!
//! # Protocol
//! A table has as many *slots* as its capacity, and at least twice as many *chains* (a power of two). An id that is known stands in a
//! slot, and the slot in the chain of the id's hash. Slots that are not used stand in stacks (Treiber 1986).
//!
//! **Chains** are those of Michael, *High performance dynamic lock-free hash tables and list-based sets* (2002), in the
//! variant whose memory is never given back and whose links carry a tag that each change moves on. A slot is put into its chain at the
//! front only, by a compare-and-swap of the chain's first link against the one that the walk along the chain began with, which found the
//! id nowhere. As whoever puts an id there changes that link, two who put the same one there cannot both succeed: the
//! loser walks again, and finds the winner.
//!
//! **The state** of a slot is one word: what it is used for, its *generation*, and how many *pins* it has. A claim is held as
//! long as this word says so; it ends by a compare-and-swap of it, which one of all who try wins.
//!
//! **The deadline** is a word of its own, and decides between those who put it off and those who find it over. Both exchange the
//! deadline that they have read: a heartbeat for a later one, a takeover for 0, which no heartbeat gets past. Only after
//! that the takeover ends the claim. So a heartbeat that succeeded was in time, and no takeover follows that did not see it. After its
//! exchange a heartbeat looks whether the claim is still held, as it may have been released meanwhile.
//!
//! **A takeover** is the end of one claim and the beginning of another, in another slot, with the id that the new claimer brought.
//! **A transfer** stays in its slot. It first takes the old token out of force, which makes it the only one who writes the owner
//! and the number down, and then puts the new one into force. If it is suspended in between, the lease it has runs on,
//! and whoever finds that over ends the claim.
//!
//! **Pins** keep a slot from its next life while somebody compares its key or puts its deadline off: the end of such a call cannot
//! fall into another claim. Who looks for an id compares the stored hash first, and pins only where that is equal. A slot
//! without pins is used again as soon as it has left its chain; one with pins, when the last pin goes.
//!
//! **Keys** are looked at only by who found the slot in its chain, and only such a one ends a slot's life. A token alone
//! does not get so far: one from another table could name a slot that its finder is about to fill.
//!
//! # What synchronises with what
//! | this | and this | so that |
//! |---|---|---|
//! | a slot put into its chain (Release) | the walk (Acquire) | who finds a slot sees what it was filled with, and the number that it took |
//! | the state changed (Release) | the state (Acquire) | who finds an id completed or its holder gone sees what that one did before |
//! | a slot taken out of its chain (Release) | the walk (Acquire) | the same, if the slot is gone by then |
//! | link, state and deadline of a slot's next life (Release) | the same (Acquire), then the link that led there, or the state, again | what belongs to two lives is not taken for one |
//! | a pin taken away (Release) | the last one (Acquire) | a key is looked at only before it is dropped |
//! | a slot freed (Release) | a free slot taken (Acquire) | one life of a slot ends before the next begins |
//! | a free slot taken (Release) | the look at a stack that is empty then (Acquire) | a table is called full only if it was |
//! | the deadline put off by a transfer (Release) | the deadline (Acquire), then the state again | an old token is not current by the next one's lease |
//! | the same | a lease found over (Acquire) | the number that a transfer took is lower than that of whoever claims the id after it |
//! | the state changed by a heartbeat that ends (Release) | the state changed by a transfer (Acquire) | the lease that a transfer grants ends no earlier than that of the heartbeat |
//!
//! # Progress
//! | | progress | steps |
//! |---|---|---|
//! | `heartbeat`, `release`, `complete`, `transfer`, `is_current` | lock-free | O(1); `release` O(chain) |
//! | `claim`, `holder`, `status`, `forget` | lock-free, as far as `Eq` and `Hash` of the id are | O(chain) |
//! | `reclaim_expired`, `for_each` | lock-free, as far as your closure is | O(capacity) |
//! | `len`, `capacity` | wait-free | O(1) |
//!
//! A further attempt means that somebody else changed the same chain, slot or stack. A chain has half a slot or less in the mean if the
//! table is full. Who is suspended anywhere holds up nobody: what it has claimed lapses.
//!
//! # Memory
//! All of it is allocated at the beginning: 64 bytes a slot for ids of up to 8 bytes, else a multiple of 64 that holds the id and 56 bytes;
//! 8 bytes a chain; and 10 KiB. A slot that is released while others look at it, or by a thread that is suspended before the
//! end of its call, counts as used until they are done: two slots for each call under way, at most. A table is full only if at one
//! moment of a call all slots were used or on their way.
//!
//! # ABA
//! A compare-and-swap of a link could only be fooled if the link had been changed 2³⁹ times, by a multiple of that exactly, while
//! the thread was suspended between its look and its exchange; one of a state, if the slot had been used 2⁴¹ times. A
//! token is compared with the slot's full number of 64 bits as well, so that an old one stays stale for ever.
//!
//! # Panics in your code
//! A panic in `Eq` or `Hash` leaves the table as it was. One in the drop of an id reaches whoever freed its slot, after that
//! is done. A `claim` drops the id that it takes over and, if it loses the race for that, its own: if both panic, the process aborts.
//!
//! # When something else is better
//! - **A map under a lock**, if one thread claims nearly everything, or the threads hardly ever meet: a claim and its release take four
//!   read-modify-writes there and six here, and cost two thirds. It may also grow and shrink, and this table never does. But whoever
//!   is suspended with the lock holds up all others.
//! - **A queue** ([`schedule`](crate::schedule)), if the workers do not care which task they get: what is popped needs no claim.
//! - **A service with consensus**, if the owners are on several machines: this table lives in one process.

mod directory;
mod error;
mod free;
mod link;
mod pinned;
mod slot;
mod state;
mod table;
mod token;
mod turns;

#[cfg(all(test, not(any(queenright_loom, queenright_shuttle))))]
mod tests;

pub use error::{ClaimError, StaleClaim};
pub use table::{ClaimTable, Holder, Lapsed, Status};
pub use token::{ClaimToken, FencingToken, Incarnation, OwnerId};
pub use turns::Turns;
