mod model;
mod panics;
mod stress;

use std::hash::{BuildHasher, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Gives every id the same hash.
#[derive(Clone, Copy, Default)]
struct OneHash;

impl Hasher for OneHash {
    fn finish(&self) -> u64 {
        7
    }
    fn write(&mut self, _: &[u8]) {}
}

impl BuildHasher for OneHash {
    type Hasher = OneHash;
    fn build_hasher(&self) -> OneHash {
        OneHash
    }
}

const LEASE: u64 = 10;
const ANT: OwnerId = OwnerId(1);
const BEE: OwnerId = OwnerId(2);

fn table<K: std::hash::Hash + Eq>(capacity: usize) -> ClaimTable<K> {
    ClaimTable::with_capacity(capacity, LEASE, Incarnation(1))
}

/// Asserts that each step of a holder is refused.
#[track_caller]
fn assert_stale<K, S>(table: &ClaimTable<K, S>, token: &ClaimToken, now: u64)
where
    K: std::hash::Hash + Eq,
    S: BuildHasher,
{
    let refused = StaleClaim { token: token.fencing() };
    assert!(!table.is_current(token, now));
    assert_eq!(table.heartbeat(token, now), Err(refused));
    assert_eq!(table.complete(token, now), Err(refused));
    assert_eq!(table.transfer(token, BEE, now), Err(refused));
    assert_eq!(table.release(token, now), Err(refused));
}

#[test]
fn a_held_id_is_refused_with_its_holder() {
    let table = table(4);
    let token = table.claim("a", ANT, 5).unwrap();
    assert_eq!(token.until(), 15);
    assert_eq!(table.claim("a", BEE, 14), Err(ClaimError::Held { id: "a", by: ANT, until: 15 }));
    // The holder itself does not get a second token either.
    assert!(table.claim("a", ANT, 14).is_err());
    let holder = table.holder("a", 14).unwrap();
    assert_eq!((holder.by, holder.until, holder.token), (ANT, 15, token.fencing()));
    assert!(table.is_current(&token, 14));
    assert!(table.claim("b", BEE, 5).is_ok());
}

#[test]
fn stale_holder_cannot_act_after_lease_expiry() {
    let table = table(4);
    let token = table.claim("a", ANT, 0).unwrap();
    // Nobody has claimed it since, yet the lease is over.
    assert_stale(&table, &token, 10);
    assert_eq!(table.holder("a", 10), None);
    assert_eq!(table.status("a", 10), None);
    let taken = table.claim("a", BEE, 10).unwrap();
    assert!(taken.fencing() > token.fencing());
    assert_stale(&table, &token, 11);
    // Nor does a clock that goes wrong bring it back.
    assert_stale(&table, &token, 0);
    assert!(table.is_current(&taken, 11));
    table.complete(&taken, 11).unwrap();
}

#[test]
fn a_heartbeat_puts_the_end_off_and_never_forward() {
    let table = table(4);
    let token = table.claim("a", ANT, 0).unwrap();
    assert_eq!(table.heartbeat(&token, 9), Ok(19));
    assert_eq!(table.heartbeat(&token, 3), Ok(19));
    assert_eq!(table.claim("a", BEE, 18), Err(ClaimError::Held { id: "a", by: ANT, until: 19 }));
    assert_stale(&table, &token, 19);
    assert!(table.claim("a", BEE, 19).is_ok());
}

#[test]
fn a_lease_that_was_found_over_stays_over() {
    let table = table(4);
    let token = table.claim("a", ANT, 0).unwrap();
    let told = |table: &ClaimTable<_>, now| {
        let mut told = Vec::new();
        let count = table.reclaim_expired(now, |id: &&str, lapsed| told.push((*id, lapsed)));
        assert_eq!(count, told.len());
        told
    };
    assert_eq!(told(&table, 9), []);
    let lapsed = Lapsed { by: ANT, token: token.fencing() };
    assert_eq!(told(&table, 10), [("a", lapsed)]);
    assert_eq!(told(&table, 10), []);
    assert!(table.is_empty());
    assert_stale(&table, &token, 0);
    assert!(table.claim("a", BEE, 0).unwrap().fencing() > token.fencing());
}

#[test]
fn a_released_id_is_free_at_once_and_its_memory_too() {
    let table = table(1);
    let mut last = None;
    for turn in 0..1000 {
        let token = table.claim(turn % 3, ANT, turn).unwrap();
        assert_eq!(table.len(), 1);
        table.release(&token, turn).unwrap();
        assert!(table.is_empty());
        assert_stale(&table, &token, turn);
        if let Some(before) = last.replace(token) {
            assert_stale(&table, &before, turn);
        }
    }
}

#[test]
fn a_completed_id_is_refused_until_it_is_forgotten() {
    let table = table(1);
    let token = table.claim("a", ANT, 0).unwrap();
    assert!(!table.forget("a"), "it is held");
    table.complete(&token, 1).unwrap();
    assert_stale(&table, &token, 2);
    assert_eq!(table.claim("a", BEE, 2), Err(ClaimError::Completed { id: "a" }));
    // Long after the lease, too.
    assert_eq!(table.claim("a", BEE, 1000), Err(ClaimError::Completed { id: "a" }));
    assert_eq!(table.reclaim_expired(1000, |_, _| ()), 0);
    assert_eq!((table.status("a", 2), table.holder("a", 2)), (Some(Status::Completed), None));
    assert_eq!(table.claim("b", BEE, 2), Err(ClaimError::Full { id: "b" }));
    assert!(table.forget("a"));
    assert!(!table.forget("a"));
    assert_eq!(table.status("a", 2), None);
    assert!(table.claim("a", BEE, 2).unwrap().fencing() > token.fencing());
}

#[test]
fn a_transferred_claim_has_another_token() {
    let table = table(4);
    let token = table.claim("a", ANT, 0).unwrap();
    let moved = table.transfer(&token, BEE, 5).unwrap();
    assert!(moved.fencing() > token.fencing());
    assert_eq!(moved.until(), 15);
    assert_stale(&table, &token, 6);
    let holder = table.holder("a", 6).unwrap();
    assert_eq!((holder.by, holder.until, holder.token), (BEE, 15, moved.fencing()));
    assert_eq!(table.claim("a", ANT, 6), Err(ClaimError::Held { id: "a", by: BEE, until: 15 }));
    table.release(&moved, 6).unwrap();
    assert!(table.claim("a", ANT, 6).unwrap().fencing() > moved.fencing());
}

#[test]
fn a_full_table_gives_the_id_back() {
    let table = table(2);
    let token = table.claim("a".to_owned(), ANT, 0).unwrap();
    table.claim("b".to_owned(), ANT, 5).unwrap();
    let full = table.claim("c".to_owned(), ANT, 6).unwrap_err();
    assert_eq!(full, ClaimError::Full { id: "c".to_owned() });
    assert_eq!(full.into_id(), "c");
    // What is held is said to be held, though there is no room; and what lapsed makes room for itself.
    assert!(matches!(table.claim("a".to_owned(), BEE, 6), Err(ClaimError::Held { .. })));
    assert!(table.claim("a".to_owned(), BEE, 10).is_ok());
    assert_stale(&table, &token, 10);
    assert_eq!(table.reclaim_expired(15, |_, _| ()), 1);
    assert!(table.claim("c".to_owned(), ANT, 15).is_ok());
}

#[test]
fn a_table_without_room_refuses_and_does_nothing_else() {
    let table = table(0);
    assert_eq!(table.claim(1, ANT, 0), Err(ClaimError::Full { id: 1 }));
    assert_eq!((table.holder(&1, 0), table.len(), table.capacity()), (None, 0, 0));
    assert_eq!(table.reclaim_expired(9, |_, _| ()), 0);
}

#[test]
fn all_of_the_room_can_be_used() {
    for capacity in [1, 2, 15, 16, 17, 100] {
        let table = table(capacity);
        let tokens: Vec<_> = (0..capacity).map(|id| table.claim(id, ANT, 0).unwrap()).collect();
        assert_eq!((table.len(), table.capacity()), (capacity, capacity));
        assert!(matches!(table.claim(capacity, ANT, 0), Err(ClaimError::Full { .. })));
        tokens.iter().for_each(|token| table.release(token, 1).unwrap());
        assert_eq!(table.len(), 0);
    }
}

#[test]
fn tokens_never_repeat_and_rise_for_each_id() {
    let table = table(50);
    let mut seen = std::collections::HashSet::new();
    let mut newest = [None; 50];
    for turn in 0..2000 {
        let id = turn * turn % 50;
        let token = table.claim(id, ANT, 0).unwrap();
        assert!(seen.insert(token.fencing()));
        assert!(newest[id].replace(token.fencing()) < Some(token.fencing()));
        let token = table.transfer(&token, BEE, 0).unwrap();
        assert!(seen.insert(token.fencing()));
        assert!(newest[id].replace(token.fencing()) < Some(token.fencing()));
        table.release(&token, 0).unwrap();
    }
}

#[test]
fn a_token_from_before_a_restart_is_stale() {
    let start =
        |number| ClaimTable::with_capacity_and_hasher(1, LEASE, Incarnation(number), OneHash);
    let (before, after) = (start(1), start(2));
    let old = before.claim("a", ANT, 0).unwrap();
    let new = after.claim("a", BEE, 0).unwrap();
    assert!(new.fencing() > old.fencing());
    // It names the same slot, in the same generation, with the same counter.
    assert_eq!((old.slot, old.generation), (new.slot, new.generation));
    assert_eq!(old.fencing().counter, new.fencing().counter);
    assert_stale(&after, &old, 1);
    assert!(after.is_current(&new, 1));
}

#[test]
fn a_token_of_another_table_is_stale_or_harmless() {
    let large = table(100);
    let small = table(1);
    let tokens: Vec<_> = (0..100).map(|id| large.claim(id, ANT, 0).unwrap()).collect();
    // Nothing to act upon; and no slot of such a number.
    tokens.iter().for_each(|token| assert_stale(&small, token, 0));
    let held = small.claim(1, BEE, 0).unwrap();
    for token in tokens.iter().filter(|token| token.fencing() != held.fencing()) {
        assert_stale(&small, token, 0);
    }
    assert!(small.is_current(&held, 0));
}

#[test]
fn ids_of_one_hash_are_told_apart() {
    let table = ClaimTable::with_capacity_and_hasher(8, LEASE, Incarnation(1), OneHash);
    let tokens: Vec<_> = (0..8).map(|id| table.claim(id, OwnerId(id), 0).unwrap()).collect();
    for id in 0..8 {
        assert_eq!(table.holder(&id, 1).unwrap().by, OwnerId(id));
        assert!(matches!(table.claim(id, BEE, 1), Err(ClaimError::Held { .. })));
    }
    // From the middle, the end and the front.
    for gone in [3, 4, 0, 7, 1] {
        table.release(&tokens[gone as usize], 1).unwrap();
        assert_eq!(table.holder(&gone, 1), None);
    }
    for id in [2, 5, 6] {
        assert_eq!(table.holder(&id, 1).unwrap().by, OwnerId(id));
    }
    assert_eq!(table.len(), 3);
    let mut shown = Vec::new();
    table.for_each(1, |id, _| shown.push(*id));
    shown.sort();
    assert_eq!(shown, [2, 5, 6]);
}

#[test]
fn everything_that_is_held_or_completed_is_shown() {
    let table = table(10);
    let done = table.claim(1, ANT, 0).unwrap();
    table.complete(&done, 0).unwrap();
    table.claim(2, ANT, 0).unwrap();
    let held = table.claim(3, BEE, 5).unwrap();
    let released = table.claim(4, BEE, 5).unwrap();
    table.release(&released, 5).unwrap();
    let mut shown = Vec::new();
    table.for_each(10, |id, status| shown.push((*id, status)));
    shown.sort_by_key(|(id, _)| *id);
    let holder = Holder { by: BEE, until: 15, token: held.fencing() };
    assert_eq!(shown, [(1, Status::Completed), (3, Status::Held(holder))]);
}

#[test]
fn the_clock_may_show_anything() {
    let table = table(4);
    // The lease ends with time itself, but it does end.
    let token = table.claim("a", ANT, u64::MAX - 3).unwrap();
    assert_eq!((token.until(), table.is_current(&token, u64::MAX - 1)), (u64::MAX, true));
    assert_stale(&table, &token, u64::MAX);
    let lapsed_at_birth = table.claim("b", ANT, u64::MAX).unwrap();
    assert_stale(&table, &lapsed_at_birth, u64::MAX);
    let no_lease = ClaimTable::with_capacity(1, 0, Incarnation(1));
    let token = no_lease.claim("a", ANT, 0).unwrap();
    assert_stale(&no_lease, &token, 0);
    assert!(no_lease.claim("a", BEE, 0).is_ok());
}

/// Counts how many of its kind are alive; equal by name.
#[derive(Debug)]
struct Counted<'c>(u32, &'c AtomicUsize);

impl<'c> Counted<'c> {
    fn new(name: u32, alive: &'c AtomicUsize) -> Self {
        alive.fetch_add(1, Ordering::Relaxed);
        Counted(name, alive)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl PartialEq for Counted<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Counted<'_> {}

impl std::hash::Hash for Counted<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

#[test]
fn each_id_is_dropped_once() {
    let alive = AtomicUsize::new(0);
    let alive_now = || alive.load(Ordering::Relaxed);
    let table = table(3);
    let claim = |name, now| table.claim(Counted::new(name, &alive), ANT, now);
    let first = claim(1, 0).unwrap();
    let second = claim(2, 0).unwrap();
    claim(3, 0).unwrap();
    assert_eq!(alive_now(), 3);
    drop(claim(1, 0).unwrap_err());
    drop(claim(4, 0).unwrap_err());
    assert_eq!(alive_now(), 3);
    table.release(&first, 0).unwrap();
    assert_eq!(alive_now(), 2);
    table.complete(&second, 0).unwrap();
    claim(3, 10).unwrap();
    assert_eq!(alive_now(), 2);
    assert!(table.forget(&Counted::new(2, &alive)));
    assert_eq!(alive_now(), 1);
    table.reclaim_expired(20, |_, _| assert_eq!(alive_now(), 1));
    assert_eq!(alive_now(), 0);
    // Those of each kind that are left go with the table.
    let done = claim(1, 30).unwrap();
    claim(2, 30).unwrap();
    table.complete(&done, 30).unwrap();
    drop(table);
    assert_eq!(alive.load(Ordering::Relaxed), 0);
}

#[test]
fn what_is_refused_says_what_to_do() {
    let table = table(1);
    let token = table.claim("a", ANT, 0).unwrap();
    let text = |id| table.claim(id, BEE, 1).unwrap_err().to_string();
    assert_eq!(text("a"), "held by owner 1 until 10: claim another, or this one later");
    assert!(text("b").contains("reclaim"));
    table.complete(&token, 1).unwrap();
    assert!(text("a").contains("completed"));
    let stale = table.complete(&token, 1).unwrap_err().to_string();
    assert!(stale.starts_with(&format!("token {}", token.fencing())), "{stale}");
    assert!(format!("{table:?}").contains("capacity: 1"));
}

#[test]
fn tables_and_tokens_go_to_other_threads() {
    fn goes<T: Send + Sync>() {}
    goes::<ClaimTable<String>>();
    goes::<ClaimToken>();
    goes::<ClaimError<String>>();
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    unwinds::<ClaimTable<String>>();
}
