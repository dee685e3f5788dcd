//! An ordered map of which every version stays readable, for many changes of values and fewer of keys.
//!
//! A new version of a map is usually made to change what some known keys hold. So keys and values are kept apart:
//!
//! | part | holds | shared by |
//! |---|---|---|
//! | known keys | the keys of the last rebuild in ascending order, and a hash index of them | all versions since, unchanged |
//! | pages | the values of known keys in the same order, in pages of 64 (16 if values need to be dropped) below a tree of nodes 16 wide | page by page |
//! | added entries | all others, in a B-tree of nodes 24 wide | node by node |
//!
//! Writing to a known key copies one page and the nodes above it, if another version shares them, and no key at all. A
//! batch copies each page once, and a version that shares nothing any more copies nothing. What is removed leaves its place
//! in the page empty; the key is still known, and finds its place again when it comes back.
//!
//! A **rebuild** makes all entries known ones, in O(n). It happens when a key is added while the added entries are a quarter
//! of the known ones, and when one is removed while more known keys hold nothing than there are entries; with fewer than 64
//! such keys, never. So each addition or removal pays for a constant number of entries, spread over time. (Versions
//! that are forked off just before a rebuild and then changed each pay for their own.)
//!
//! # Costs
//! | operation | time |
//! |---|---|
//! | clone | O(1): 18 reference counts at most |
//! | look up, change | O(1) for known keys; O(log n) for added and for absent ones |
//! | insert a key, remove one | O(log n) and its share of a rebuild |
//! | range | O(log n), then O(1) an entry, held or removed since the last rebuild |
//! | from an iterator | O(n log n) |
//!
//! O(1) is not quite right: from a key's number to its value are log₁₆ n steps, four for a million entries.
//!
//! # Slots
//! Where a known key is kept may be remembered: a [`Slot`] leads to its value, in all versions since the same rebuild, without a search, and two
//! keys are the same if their slots are. Whoever names keys again and again finds them once.
//!
//! # Memory
//! Beyond the key and an `Option` of the value, a known key takes 17 bytes in the index. Known keys are at most
//! twice the entries and 65 more, whatever was inserted and removed; removed values are dropped at once, if no other
//! version holds them. Another version costs what it changed: with 8-byte values, a page of 1 KiB and nodes of 280 bytes.
//! Numbers of keys have 32 bits; a rebuild of 2³² − 1 keys or more panics.
//!
//! # When another map is better
//! - One version at a time is enough: `HashMap` looks up in about two thirds of the time or less, `BTreeMap` is smaller.
//! - Values are large, or costly to clone: a write clones the 16 or 64 of a page. Keep them behind an `Arc`.
//! - Keys come and go as often as values change: then this is a B-tree with rebuilds, and `imbl::OrdMap` has no spikes.
//! - Nearly everything changes in every version: clone a `HashMap`.
//!
//! # Panics in `Ord`, `Hash`, `Clone` or `Drop` of keys and values
//! A map in which a change panicked is as before that change or as after it, and other versions are not touched. A batch
//! of [`Extend`] may have been inserted in part. Keys that are not ordered or hashed consistently are not found; nothing
//! worse happens.

mod index;
mod iter;
mod map;
mod pages;
mod slot;
mod tree;

pub use iter::{Iter, Keys, Values};
pub use map::PagedMap;
pub use slot::Slot;
