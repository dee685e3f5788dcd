//! The claim table: one holder at most, whoever comes late; ids are found or absent as they should be; no slot is lost,
//! used twice at once, or used again while somebody looks at it.
//!
//! An id here is watched: comparing it reads it, and its drop is a write.

#![cfg(queenright_loom)]

mod shared;

use std::hash::{BuildHasher, Hash, Hasher};

use loom::sync::Arc;
use loom::thread;
use queenright_primitives::claim::{
    ClaimError, ClaimTable, ClaimToken, Holder, Incarnation, OwnerId, Status,
};
use shared::{Watched, explore, spawn_with};

const LEASE: u64 = 10;
const ANT: OwnerId = OwnerId(1);
const BEE: OwnerId = OwnerId(2);
const CAT: OwnerId = OwnerId(3);

struct Id(Watched);

impl PartialEq for Id {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Id {}

impl Hash for Id {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.get());
    }
}

fn id(number: u64) -> Id {
    Id(Watched::new(number))
}

/// The number is the hash, so that neighbours have chains of their own; or all ids have the same hash.
#[derive(Clone, Copy)]
enum Hashes {
    Own,
    One,
}

struct Number(Hashes, u64);

impl Hasher for Number {
    fn finish(&self) -> u64 {
        self.1
    }
    fn write(&mut self, _: &[u8]) {}
    fn write_u64(&mut self, number: u64) {
        match self.0 {
            Hashes::Own => self.1 = number,
            Hashes::One => {}
        }
    }
}

impl BuildHasher for Hashes {
    type Hasher = Number;
    fn build_hasher(&self) -> Number {
        Number(*self, 0)
    }
}

type Table = Arc<ClaimTable<Id, Hashes>>;

fn table(capacity: usize, hashes: Hashes) -> Table {
    Arc::new(ClaimTable::with_capacity_and_hasher(capacity, LEASE, Incarnation(1), hashes))
}

/// Claims without looking at why not.
fn claimed(
    table: &ClaimTable<Id, Hashes>,
    number: u64,
    by: OwnerId,
    now: u64,
) -> Option<ClaimToken> {
    table.claim(id(number), by, now).ok()
}

fn holder(table: &ClaimTable<Id, Hashes>, number: u64, now: u64) -> Option<Holder> {
    table.holder(&id(number), now)
}

/// Asserts that all of the table's memory can be used, and no more.
#[track_caller]
fn assert_room(table: &ClaimTable<Id, Hashes>, live: usize) {
    assert_eq!(table.len(), live);
    for number in 0..(table.capacity() - live) as u64 {
        assert!(claimed(table, 100 + number, CAT, 0).is_some());
    }
    assert!(matches!(table.claim(id(200), CAT, 0), Err(ClaimError::Full { .. })));
    assert_eq!(table.len(), table.capacity());
}

#[test]
fn of_two_claimers_of_a_new_id_one_wins() {
    explore(|| {
        let table = table(2, Hashes::One);
        let other = spawn_with(&table, |table| table.claim(id(7), BEE, 0));
        let mine = table.claim(id(7), ANT, 0);
        let (winner, token, lost) = match (mine, other.join().unwrap()) {
            (Ok(token), Err(lost)) => (ANT, token, lost),
            (Err(lost), Ok(token)) => (BEE, token, lost),
            _ => panic!("not exactly one"),
        };
        assert!(matches!(lost, ClaimError::Held { by, until: LEASE, .. } if by == winner));
        assert_eq!(lost.into_id().0.get(), 7);
        assert_eq!(holder(&table, 7, 0).unwrap().by, winner);
        table.release(&token, 0).unwrap();
        assert!(holder(&table, 7, 0).is_none());
        assert_room(&table, 0);
    });
}

#[test]
fn of_two_ids_in_one_chain_both_are_claimed() {
    explore(|| {
        let table = table(3, Hashes::One);
        assert!(claimed(&table, 1, CAT, 0).is_some());
        let other = spawn_with(&table, |table| claimed(table, 2, BEE, 0).unwrap());
        let mine = claimed(&table, 3, ANT, 0).unwrap();
        assert!(other.join().unwrap().fencing() != mine.fencing());
        for (number, by) in [(1, CAT), (2, BEE), (3, ANT)] {
            assert_eq!(holder(&table, number, 0).unwrap().by, by);
        }
        assert_room(&table, 3);
    });
}

#[test]
fn of_two_claimers_of_a_lapsed_id_one_takes_over() {
    explore(|| {
        let table = table(2, Hashes::One);
        let old = claimed(&table, 7, CAT, 0).unwrap();
        let other = spawn_with(&table, |table| claimed(table, 7, BEE, LEASE));
        let mine = claimed(&table, 7, ANT, LEASE);
        let theirs = other.join().unwrap();
        assert!(mine.is_some() != theirs.is_some());
        let token = mine.or(theirs).unwrap();
        assert!(token.fencing() > old.fencing());
        assert_eq!(holder(&table, 7, LEASE).unwrap().token, token.fencing());
        assert!(table.complete(&old, 0).is_err());
        assert_room(&table, 1);
    });
}

#[test]
fn of_a_heartbeat_and_a_takeover_one_comes_too_late() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let beat = spawn_with(&table, move |table| table.heartbeat(&token, LEASE - 1));
        let taken = table.claim(id(7), BEE, LEASE);
        match (beat.join().unwrap(), taken) {
            (Ok(until), Err(ClaimError::Held { by: ANT, until: told, .. })) => {
                assert_eq!((until, told), (2 * LEASE - 1, until));
                assert!(table.is_current(&token, LEASE));
            }
            (Err(_), Ok(taken)) => {
                assert!(!table.is_current(&token, 0));
                assert_eq!(holder(&table, 7, LEASE).unwrap().until, taken.until());
            }
            _ => panic!("not exactly one"),
        }
        assert_room(&table, 1);
    });
}

#[test]
fn of_a_heartbeat_and_a_reclamation_one_comes_too_late() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let beat = spawn_with(&table, move |table| table.heartbeat(&token, LEASE - 1).is_ok());
        let reclaimed = table.reclaim_expired(LEASE, |lapsed, old| {
            assert_eq!((lapsed.0.get(), old.by, old.token), (7, ANT, token.fencing()));
        });
        assert_eq!(beat.join().unwrap(), reclaimed == 0);
        assert_room(&table, 1 - reclaimed);
    });
}

#[test]
fn two_heartbeats_leave_the_later_end() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let beat = spawn_with(&table, move |table| table.heartbeat(&token, 5).unwrap());
        let mine = table.heartbeat(&token, 3).unwrap();
        let theirs = beat.join().unwrap();
        assert!((13..=15).contains(&mine) && theirs == 15);
        assert_eq!(holder(&table, 7, 0).unwrap().until, 15);
        table.release(&token, 0).unwrap();
        assert_room(&table, 0);
    });
}

#[test]
fn of_a_completion_and_a_reclamation_one_comes_too_late() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let done = spawn_with(&table, move |table| table.complete(&token, LEASE - 1).is_ok());
        let reclaimed = table.reclaim_expired(LEASE, |_, _| ());
        let done = done.join().unwrap();
        assert_eq!(done, reclaimed == 0);
        let status = table.status(&id(7), 0);
        assert_eq!(status, done.then_some(Status::Completed));
        assert_room(&table, usize::from(done));
    });
}

#[test]
fn of_a_completion_and_a_takeover_one_comes_too_late() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let done = Arc::new(Watched::new(0));
        let result = Arc::clone(&done);
        let holder = spawn_with(&table, move |table| {
            result.set(1);
            table.complete(&token, LEASE - 1).is_ok()
        });
        match table.claim(id(7), BEE, LEASE) {
            // Who is told that it is done sees what was done.
            Err(ClaimError::Completed { .. }) => assert_eq!(done.get(), 1),
            Ok(_) => {}
            Err(_) => panic!("the lease was over"),
        }
        let done = holder.join().unwrap();
        assert_eq!(table.status(&id(7), LEASE) == Some(Status::Completed), done);
        assert_room(&table, 1);
    });
}

#[test]
fn who_claims_a_released_id_sees_what_was_done() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let work = Arc::new(Watched::new(0));
        let done = Arc::clone(&work);
        let holder = spawn_with(&table, move |table| {
            done.set(1);
            table.release(&token, 0).unwrap();
        });
        if claimed(&table, 7, BEE, 0).is_some() {
            assert_eq!(work.get(), 1);
            work.set(2);
        }
        holder.join().unwrap();
    });
}

#[test]
fn who_claims_a_released_id_sees_what_was_done_though_the_chain_was_changed() {
    explore(|| {
        let table = table(3, Hashes::One);
        let first = claimed(&table, 1, ANT, 0).unwrap();
        let second = claimed(&table, 2, CAT, 0).unwrap();
        let work = Arc::new(Watched::new(0));
        let done = Arc::clone(&work);
        let holder = spawn_with(&table, move |table| {
            done.set(1);
            table.release(&first, 0).unwrap();
        });
        // The second stands before the first in the chain, and leaves it with what it knows of the rest.
        table.release(&second, 0).unwrap();
        if claimed(&table, 1, BEE, 0).is_some() {
            assert_eq!(work.get(), 1);
        }
        holder.join().unwrap();
    });
}

#[test]
fn holders_one_after_the_other_have_higher_tokens() {
    explore(|| {
        let table = table(2, Hashes::One);
        // The claim is a lock around the last token.
        let last = Arc::new(Watched::new(0));
        let turn = |table: &ClaimTable<Id, Hashes>, last: &Watched| {
            let Some(token) = claimed(table, 7, ANT, 0) else { return };
            assert!(token.fencing().counter > last.get());
            last.set(token.fencing().counter);
            table.release(&token, 0).unwrap();
        };
        let theirs = Arc::clone(&last);
        let other = spawn_with(&table, move |table| turn(table, &theirs));
        turn(&table, &last);
        other.join().unwrap();
        turn(&table, &last);
        assert_room(&table, 0);
    });
}

#[test]
fn of_two_releases_one_is_refused() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let other = spawn_with(&table, move |table| table.release(&token, 0).is_ok());
        let mine = table.release(&token, 0).is_ok();
        assert!(mine != other.join().unwrap());
        assert_room(&table, 0);
    });
}

#[test]
fn of_a_release_and_a_completion_one_is_refused() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let done = spawn_with(&table, move |table| table.complete(&token, 0).is_ok());
        let released = table.release(&token, 0).is_ok();
        let done = done.join().unwrap();
        assert!(released != done);
        assert_room(&table, usize::from(done));
    });
}

#[test]
fn of_a_release_and_a_reclamation_one_comes_too_late() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let released = spawn_with(&table, move |table| table.release(&token, LEASE - 1).is_ok());
        let reclaimed = table.reclaim_expired(LEASE, |lapsed, _| assert_eq!(lapsed.0.get(), 7));
        assert_eq!(released.join().unwrap(), reclaimed == 0);
        assert_room(&table, 0);
    });
}

#[test]
fn two_reclamations_tell_of_a_lapse_once() {
    explore(|| {
        let table = table(1, Hashes::One);
        claimed(&table, 7, ANT, 0).unwrap();
        let other = spawn_with(&table, |table| table.reclaim_expired(LEASE, |_, _| ()));
        let mine = table.reclaim_expired(LEASE, |_, _| ());
        assert_eq!(mine + other.join().unwrap(), 1);
        assert_room(&table, 0);
    });
}

#[test]
fn a_heartbeat_that_comes_after_the_slots_next_claim_does_not_touch_it() {
    explore(|| {
        let table = table(1, Hashes::Own);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let beat = spawn_with(&table, move |table| table.heartbeat(&token, 5));
        table.release(&token, 0).unwrap();
        // In the same slot, if that is free by now, with the same end as the claim before.
        if let Some(next) = claimed(&table, 8, BEE, 0) {
            let told = holder(&table, 8, 0).unwrap();
            assert_eq!((told.by, told.until), (BEE, LEASE));
            beat.join().unwrap().ok();
            let told = holder(&table, 8, 0).unwrap();
            assert_eq!((told.by, told.until), (BEE, LEASE));
            table.complete(&next, 0).unwrap();
        } else {
            beat.join().unwrap().ok();
        }
        assert!(table.heartbeat(&token, 0).is_err());
    });
}

#[test]
fn a_completion_that_comes_after_the_slots_next_claim_does_not_touch_it() {
    explore(|| {
        let table = table(1, Hashes::Own);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let late = spawn_with(&table, move |table| {
            (table.complete(&token, 0).is_ok(), table.release(&token, 0).is_ok())
        });
        if table.release(&token, 0).is_ok() {
            let next = claimed(&table, 8, BEE, 0);
            assert_eq!(late.join().unwrap(), (false, false));
            assert!(table.is_current(&next.unwrap(), 0));
        } else {
            late.join().unwrap();
        }
    });
}

#[test]
fn an_old_token_is_not_current_by_the_slots_next_lease() {
    explore(|| {
        let table = table(1, Hashes::Own);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let late = spawn_with(&table, move |table| table.is_current(&token, 50));
        table.release(&token, 0).unwrap();
        assert!(claimed(&table, 8, BEE, 100).is_some());
        assert!(!late.join().unwrap());
    });
}

#[test]
fn an_id_that_is_looked_at_is_not_dropped() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let look = spawn_with(&table, |table| holder(table, 7, 0).map(|it| it.by));
        table.release(&token, 0).unwrap();
        let next = claimed(&table, 8, BEE, 0).is_some();
        assert!(look.join().unwrap().is_none_or(|by| by == ANT));
        assert_eq!(holder(&table, 8, 0).is_some(), next);
        assert_room(&table, usize::from(next));
    });
}

#[test]
fn an_id_that_is_shown_is_not_dropped() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let look = spawn_with(&table, |table| {
            table.for_each(0, |id, status| {
                let Status::Held(holder) = status else { panic!("nothing was completed") };
                assert_eq!(id.0.get(), 6 + holder.by.0);
            });
        });
        table.release(&token, 0).unwrap();
        let next = claimed(&table, 8, BEE, 0).is_some();
        look.join().unwrap();
        assert_room(&table, usize::from(next));
    });
}

#[test]
fn an_id_that_lapsed_is_told_of_before_it_is_dropped() {
    explore(|| {
        let table = table(2, Hashes::One);
        claimed(&table, 7, ANT, 0).unwrap();
        let other = spawn_with(&table, |table| claimed(table, 7, BEE, LEASE));
        let told = table.reclaim_expired(LEASE, |lapsed, old| {
            assert_eq!((lapsed.0.get(), old.by), (7, ANT));
        });
        assert!(told <= 1);
        assert!(other.join().unwrap().is_some());
        assert_room(&table, 1);
    });
}

#[test]
fn of_a_transfer_and_a_reclamation_one_comes_too_late() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let moved = spawn_with(&table, move |table| table.transfer(&token, BEE, LEASE - 1));
        let reclaimed = table.reclaim_expired(LEASE, |_, old| {
            assert!(old.token >= token.fencing());
        });
        match moved.join().unwrap() {
            Ok(moved) => {
                assert_eq!(reclaimed, 0);
                let holder = holder(&table, 7, LEASE).unwrap();
                assert_eq!((holder.by, holder.until), (BEE, 2 * LEASE - 1));
                assert_eq!(holder.token, moved.fencing());
                assert!(table.is_current(&moved, LEASE));
            }
            Err(_) => assert_eq!(reclaimed, 1),
        }
        assert!(!table.is_current(&token, 0));
        assert_room(&table, 1 - reclaimed);
    });
}

#[test]
fn a_lapse_beside_a_transfer_is_told_of_with_the_last_token() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let moved = spawn_with(&table, move |table| table.transfer(&token, BEE, 5));
        let told = Arc::new(Watched::new(0));
        // Beyond the lease that the transfer grants, too.
        table.reclaim_expired(100, |_, old| told.set(old.by.0 << 32 | old.token.counter));
        let (by, counter) = (told.get() >> 32, told.get() & 0xFFFF_FFFF);
        match moved.join().unwrap() {
            Ok(moved) => assert_eq!((OwnerId(by), counter), (BEE, moved.fencing().counter)),
            Err(_) => assert!(counter >= token.fencing().counter),
        }
        assert_room(&table, 0);
    });
}

#[test]
fn an_old_token_is_not_current_by_the_lease_of_a_transfer() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let late = spawn_with(&table, move |table| table.is_current(&token, 12));
        table.transfer(&token, BEE, 5).unwrap();
        assert!(!late.join().unwrap());
    });
}

#[test]
fn a_transfer_that_is_under_way_does_not_hold_up_a_takeover() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let moved = spawn_with(&table, move |table| table.transfer(&token, BEE, 5));
        // Beyond the lease that the transfer grants, too.
        let taken = claimed(&table, 7, CAT, 100).unwrap();
        if let Ok(moved) = moved.join().unwrap() {
            assert!(moved.fencing() > token.fencing() && moved.fencing() < taken.fencing());
            assert!(table.complete(&moved, 0).is_err());
        }
        assert_eq!(holder(&table, 7, 100).unwrap().by, CAT);
        table.complete(&taken, 100).unwrap();
        assert_room(&table, 1);
    });
}

#[test]
fn of_two_transfers_one_is_refused() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let other = spawn_with(&table, move |table| table.transfer(&token, BEE, 0));
        let mine = table.transfer(&token, CAT, 0);
        let (by, moved) = match (mine, other.join().unwrap()) {
            (Ok(moved), Err(_)) => (CAT, moved),
            (Err(_), Ok(moved)) => (BEE, moved),
            _ => panic!("not exactly one"),
        };
        let holder = holder(&table, 7, 0).unwrap();
        assert_eq!((holder.by, holder.token), (by, moved.fencing()));
        table.release(&moved, 0).unwrap();
        assert_room(&table, 0);
    });
}

#[test]
fn of_a_transfer_and_a_completion_one_is_refused() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let done = spawn_with(&table, move |table| table.complete(&token, 0).is_ok());
        let moved = table.transfer(&token, BEE, 0);
        assert!(moved.is_ok() != done.join().unwrap());
        assert!(moved.is_err() || table.complete(&moved.unwrap(), 0).is_ok());
        assert_eq!(table.status(&id(7), 0), Some(Status::Completed));
    });
}

#[test]
fn of_a_transfer_and_a_release_one_is_refused() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let released = spawn_with(&table, move |table| table.release(&token, 0).is_ok());
        let moved = table.transfer(&token, BEE, 0);
        assert!(moved.is_ok() != released.join().unwrap());
        assert_room(&table, usize::from(moved.is_ok()));
    });
}

#[test]
fn a_heartbeat_beside_a_transfer_is_refused_or_comes_before() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let beat = spawn_with(&table, move |table| table.heartbeat(&token, 8));
        let moved = table.transfer(&token, BEE, 5).unwrap();
        let beat = beat.join().unwrap();
        let holder = holder(&table, 7, 0).unwrap();
        assert_eq!((holder.by, holder.token), (BEE, moved.fencing()));
        assert!(holder.until == 15 || holder.until == 18);
        assert!(holder.until >= moved.until());
        // One that succeeds came before the transfer, which knows of it.
        assert!(beat.is_err() || moved.until() == 18);
        assert!(table.heartbeat(&token, 8).is_err());
        table.release(&moved, 0).unwrap();
        assert_room(&table, 0);
    });
}

#[test]
fn who_is_refused_during_a_transfer_is_told_one_of_both() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let moved = spawn_with(&table, move |table| table.transfer(&token, BEE, 5).unwrap());
        let Err(ClaimError::Held { by, until, .. }) = table.claim(id(7), CAT, 5) else {
            panic!("it was held all the time")
        };
        assert!(by == ANT || by == BEE);
        assert!(until == 10 || until == 15);
        let moved = moved.join().unwrap();
        assert!(table.is_current(&moved, 14));
    });
}

#[test]
fn who_finds_the_transferred_claim_finds_all_of_it() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        let moved = spawn_with(&table, move |table| table.transfer(&token, BEE, 5).unwrap());
        let before = holder(&table, 7, 5).unwrap();
        // A number that is higher than the first is that of a token by which somebody holds it, or is about to.
        let moved = moved.join().unwrap();
        assert!([token.fencing(), moved.fencing()].contains(&before.token));
        let after = holder(&table, 7, 5).unwrap();
        assert_eq!((after.by, after.until, after.token), (BEE, 15, moved.fencing()));
    });
}

#[test]
fn a_forgotten_id_is_claimed_once() {
    explore(|| {
        let table = table(2, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        table.complete(&token, 0).unwrap();
        let forgot = spawn_with(&table, |table| table.forget(&id(7)));
        match table.claim(id(7), BEE, 0) {
            Ok(next) => assert!(next.fencing() > token.fencing()),
            Err(ClaimError::Completed { .. }) => {}
            Err(_) => panic!("nobody holds it"),
        }
        assert!(forgot.join().unwrap());
        assert!(!table.forget(&id(7)));
        let held = usize::from(holder(&table, 7, 0).is_some());
        assert_room(&table, held);
    });
}

#[test]
fn of_two_who_forget_an_id_one_did() {
    explore(|| {
        let table = table(1, Hashes::One);
        let token = claimed(&table, 7, ANT, 0).unwrap();
        table.complete(&token, 0).unwrap();
        let other = spawn_with(&table, |table| table.forget(&id(7)));
        let mine = table.forget(&id(7));
        assert!(mine != other.join().unwrap());
        assert_room(&table, 0);
    });
}

#[test]
fn neighbours_leave_their_chain_at_once() {
    explore(|| {
        let table = table(4, Hashes::One);
        let tokens =
            [1, 2, 3, 4].map(|number| claimed(&table, number, OwnerId(number), 0).unwrap());
        // In the chain: 4, 3, 2, 1.
        let other = spawn_with(&table, move |table| table.release(&tokens[2], 0).unwrap());
        table.release(&tokens[1], 0).unwrap();
        other.join().unwrap();
        for number in [1, 4] {
            assert_eq!(holder(&table, number, 0).unwrap().by, OwnerId(number));
        }
        assert!(holder(&table, 2, 0).is_none() && holder(&table, 3, 0).is_none());
        assert_room(&table, 2);
    });
}

#[test]
fn the_last_two_leave_their_chain_at_once() {
    explore(|| {
        let table = table(2, Hashes::One);
        let tokens = [1, 2].map(|number| claimed(&table, number, ANT, 0).unwrap());
        let other = spawn_with(&table, move |table| table.release(&tokens[0], 0).unwrap());
        table.release(&tokens[1], 0).unwrap();
        other.join().unwrap();
        assert_room(&table, 0);
    });
}

#[test]
fn an_id_is_not_missed_while_those_before_it_come_and_go() {
    explore(|| {
        let table = table(2, Hashes::One);
        claimed(&table, 1, CAT, 0).unwrap();
        let before = claimed(&table, 2, ANT, 0).unwrap();
        let look = spawn_with(&table, |table| holder(table, 1, 0).map(|holder| holder.by));
        table.release(&before, 0).unwrap();
        // In the same slot, before the other one again.
        claimed(&table, 3, BEE, 0);
        assert_eq!(look.join().unwrap(), Some(CAT));
    });
}

#[test]
fn a_walk_does_not_stray_into_another_chain() {
    explore(|| {
        // 1 and 5 have one chain, 2 has another.
        let table = table(2, Hashes::Own);
        claimed(&table, 1, CAT, 0).unwrap();
        let before = claimed(&table, 5, ANT, 0).unwrap();
        let look = spawn_with(&table, |table| holder(table, 1, 0).map(|holder| holder.by));
        table.release(&before, 0).unwrap();
        // In the slot that the walk may stand on, at the end of a chain without what it looks for.
        claimed(&table, 2, BEE, 0);
        assert_eq!(look.join().unwrap(), Some(CAT));
    });
}

#[test]
fn an_id_is_not_claimed_twice_behind_a_slot_that_came_back() {
    explore(|| {
        let table = table(3, Hashes::One);
        let before = claimed(&table, 2, CAT, 0).unwrap();
        let other = spawn_with(&table, |table| claimed(table, 1, BEE, 0));
        // The chain begins with the same slot again, but with one more behind it.
        table.release(&before, 0).unwrap();
        let mine = claimed(&table, 1, ANT, 0);
        claimed(&table, 2, CAT, 0);
        assert!(mine.is_some() != other.join().unwrap().is_some());
    });
}

#[test]
fn of_two_ids_for_the_last_slot_one_is_claimed() {
    explore(|| {
        let table = table(1, Hashes::Own);
        let other = spawn_with(&table, |table| table.claim(id(1), BEE, 0));
        let results = [table.claim(id(2), ANT, 0), other.join().unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        assert!(results.iter().any(|result| matches!(result, Err(ClaimError::Full { .. }))));
    });
}

#[test]
fn of_two_claimers_of_an_id_for_the_last_slot_the_loser_hears_of_the_winner() {
    explore(|| {
        let table = table(1, Hashes::One);
        let other = spawn_with(&table, |table| table.claim(id(7), BEE, 0));
        let results = [table.claim(id(7), ANT, 0), other.join().unwrap()];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
        // A slot on its way into its chain is taken already, though nothing is held by it.
        let full_or_held = |it: &Result<_, _>| {
            matches!(it, Err(ClaimError::Full { .. } | ClaimError::Held { .. }))
        };
        assert!(results.iter().any(full_or_held));
    });
}

#[test]
fn a_table_is_not_full_because_a_free_slot_changed_its_place() {
    explore(|| {
        // A slot for each of the two stacks of free ones.
        let table = table(2, Hashes::Own);
        let held = claimed(&table, 1, CAT, 0).unwrap();
        // Threads of odd number prefer the second stack: this one's number is 1, the next one's 2.
        thread::spawn(|| ()).join().unwrap();
        let looks = spawn_with(&table, |table| claimed(table, 2, ANT, 0).is_some());
        table.release(&held, 0).unwrap();
        let other = spawn_with(&table, |table| claimed(table, 3, BEE, 0).is_some());
        assert!(looks.join().unwrap() && other.join().unwrap());
        assert_room(&table, 2);
    });
}

#[test]
fn free_slots_are_counted_beside_those_who_free() {
    explore(|| {
        let table = table(4, Hashes::Own);
        let tokens = [1, 2, 3].map(|number| claimed(&table, number, ANT, 0).unwrap());
        let other = spawn_with(&table, move |table| {
            table.release(&tokens[0], 0).unwrap();
            claimed(table, 5, BEE, 0).unwrap();
        });
        // Two of the three slots return to the same stack.
        let two = spawn_with(&table, move |table| table.release(&tokens[1], 0).unwrap());
        table.release(&tokens[2], 0).unwrap();
        other.join().unwrap();
        two.join().unwrap();
        assert_room(&table, 1);
    });
}

/// A token of another table, of the same incarnation, that names the slot, the generation and the counter of what a thread
/// of this one is about to claim. What it may do to the claim is its user's mistake; memory it must not touch.
fn with_a_strange_token(
    strange: impl Fn(&ClaimTable<Id, Hashes>, &ClaimToken) + Copy + Send + Sync + 'static,
) {
    explore(move || {
        let other = table(2, Hashes::One);
        let token = claimed(&other, 7, CAT, 0).unwrap();
        let table = table(2, Hashes::One);
        let stranger = spawn_with(&table, move |table| strange(table, &token));
        let racer = spawn_with(&table, |table| table.claim(id(7), BEE, 0));
        let mine = table.claim(id(7), ANT, 0);
        stranger.join().unwrap();
        let theirs = racer.join().unwrap();
        let refused = |result: Result<_, ClaimError<Id>>| {
            result.err().map(|refused| refused.into_id().0.get())
        };
        // Whoever lost got its id back.
        assert!([refused(mine), refused(theirs)].into_iter().flatten().all(|id| id == 7));
        table.reclaim_expired(u64::MAX, |id, _| assert_eq!(id.0.get(), 7));
        table.forget(&id(7));
        assert_room(&table, 0);
    });
}

#[test]
fn a_strange_heartbeat_touches_no_memory() {
    with_a_strange_token(|table, token| _ = table.heartbeat(token, 0));
}

#[test]
fn a_strange_release_touches_no_memory() {
    with_a_strange_token(|table, token| _ = table.release(token, 0));
}

#[test]
fn a_strange_completion_touches_no_memory() {
    with_a_strange_token(|table, token| _ = table.complete(token, 0));
}

#[test]
fn a_strange_transfer_touches_no_memory() {
    with_a_strange_token(|table, token| _ = table.transfer(token, CAT, 0));
}
