//! Aggregation by many threads: nothing that is submitted is lost or merged twice, and whoever merges it sees it whole.

#![cfg(queenright_loom)]

mod shared;

use std::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Arc;
use loom::thread;
use queenright_primitives::aggregate::{Commutative, CommutativeAggregator};

use shared::{Counted, explore};

/// A bit for each who submitted, in a place that loom watches.
struct Bits(Counted);

impl Bits {
    fn of(alive: &std::sync::Arc<AtomicUsize>, bit: u64) -> Self {
        let bits = Counted::new(alive, 0);
        bits.set(bit);
        Bits(bits)
    }
}

impl Clone for Bits {
    fn clone(&self) -> Self {
        let bits = Counted::new(self.0.alive(), 0);
        bits.set(self.0.get());
        Bits(bits)
    }
}

impl Commutative for Bits {
    type Refusal = ();

    fn merge(&mut self, other: &Self) -> Result<(), ()> {
        assert_eq!(self.0.get() & other.0.get(), 0, "merged twice");
        self.0.set(self.0.get() | other.0.get());
        Ok(())
    }
}

type Totals = CommutativeAggregator<u8, Bits>;

/// All that was drained, over all keys.
fn drained(totals: &Totals) -> u64 {
    let drained = totals.drain();
    assert!(drained.refused.is_empty());
    drained.merged.iter().fold(0, |all, (_, bits)| {
        assert_eq!(all & bits.0.get(), 0, "drained twice");
        all | bits.0.get()
    })
}

/// A model of an aggregator, at whose end nothing is left alive.
fn aggregating(model: impl Fn(Arc<Totals>, &std::sync::Arc<AtomicUsize>) + Sync + Send + 'static) {
    explore(move || {
        let alive = std::sync::Arc::new(AtomicUsize::new(0));
        model(Arc::new(Totals::new()), &alive);
        assert_eq!(alive.load(Ordering::Relaxed), 0, "each change was dropped once");
    });
}

#[test]
fn two_submitters_beside_one_who_drains_lose_and_double_nothing() {
    aggregating(|totals, alive| {
        let submitters = [1, 2].map(|bit| {
            let (totals, alive) = (Arc::clone(&totals), std::sync::Arc::clone(alive));
            thread::spawn(move || totals.submit(0, Bits::of(&alive, bit)))
        });
        let early = drained(&totals);
        submitters.into_iter().for_each(|submitter| submitter.join().unwrap());
        let late = drained(&totals);
        assert_eq!((early & late, early | late), (0, 3));
    });
}

#[test]
fn two_who_drain_take_each_change_once() {
    aggregating(|totals, alive| {
        totals.submit(0, Bits::of(alive, 1));
        let other = {
            let totals = Arc::clone(&totals);
            thread::spawn(move || drained(&totals))
        };
        totals.submit(1, Bits::of(alive, 2));
        let mine = drained(&totals);
        let theirs = other.join().unwrap();
        assert_eq!((mine & theirs, mine | theirs), (0, 3));
    });
}

#[test]
fn what_a_submitter_has_merged_comes_whole_and_its_rest_when_it_is_dropped() {
    aggregating(|totals, alive| {
        let submitter = {
            let (totals, alive) = (Arc::clone(&totals), std::sync::Arc::clone(alive));
            thread::spawn(move || {
                let mut submitter = totals.submitter();
                submitter.submit(0, &Bits::of(&alive, 1)).unwrap();
                submitter.submit(0, &Bits::of(&alive, 2)).unwrap();
                submitter.send();
                submitter.submit(1, &Bits::of(&alive, 4)).unwrap();
            })
        };
        let early = drained(&totals);
        assert!([0, 3, 7].contains(&early), "{early}");
        submitter.join().unwrap();
        assert_eq!(early | drained(&totals), 7);
    });
}

#[test]
fn what_nobody_drained_is_dropped_with_the_aggregator() {
    aggregating(|totals, alive| {
        let submitter = {
            let (totals, alive) = (Arc::clone(&totals), std::sync::Arc::clone(alive));
            thread::spawn(move || totals.submit(0, Bits::of(&alive, 1)))
        };
        totals.submit(0, Bits::of(alive, 2));
        drop(totals);
        submitter.join().unwrap();
    });
}
