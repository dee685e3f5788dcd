use super::laws::{self, Claims};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

impl Meet for BTreeSet<u8> {
    fn meet(&self, other: &Self) -> Option<Self> {
        let both: BTreeSet<u8> = self & other;
        (!both.is_empty()).then_some(both)
    }
}

fn sums() -> impl Strategy<Value = Vec<Sum>> {
    let amount = prop_oneof![-5i64..5, Just(i64::MAX), Just(i64::MIN)];
    prop::collection::vec((amount, -9i64..0, 0i64..9), 0..6).prop_map(|parts| {
        parts.into_iter().map(|(by, lo, hi)| Sum::of(by).at_least(lo).at_most(hi)).collect()
    })
}

proptest! {
    #[test]
    fn sums_keep_the_laws(samples in sums()) {
        laws::check(&samples, Claims::default()).unwrap();
    }

    #[test]
    fn lattices_keep_the_laws(
        numbers in prop::collection::vec(0u8..4, 0..5),
        sets in prop::collection::vec(prop::collection::btree_set(0u8..4, 1..4), 0..5)
    ) {
        let idempotent = Claims { idempotent: true };
        laws::check(&numbers.iter().map(|n| Max(*n)).collect::<Vec<_>>(), idempotent).unwrap();
        laws::check(&numbers.iter().map(|n| Min(*n)).collect::<Vec<_>>(), idempotent).unwrap();
        laws::check(&numbers.iter().map(|n| Agree(*n)).collect::<Vec<_>>(), idempotent).unwrap();
        laws::check(&sets.iter().cloned().map(Union).collect::<Vec<_>>(), idempotent).unwrap();
        laws::check(&sets.iter().cloned().map(Narrow).collect::<Vec<_>>(), idempotent).unwrap();
    }

    /// A sum is accepted exactly if no order of its parts breaks a bound from the moment that bound's part is
    /// applied: all orders are tried.
    #[test]
    fn a_sum_is_accepted_if_and_only_if_every_order_keeps_every_bound(
        parts in prop::collection::vec(
            (-4i64..5, prop::option::of(-6i64..6), prop::option::of(-6i64..6)), 0..5
        ),
        start in -3i64..4
    ) {
        let mut sum = Sum::of(0);
        for (by, least, most) in &parts {
            let part = Sum::of(*by);
            let part = least.map_or(part, |bound| part.at_least(bound));
            sum.merge(&most.map_or(part, |bound| part.at_most(bound))).unwrap();
        }
        let keeps = |order: &[usize]| {
            let (mut total, mut low, mut high) = (start, i64::MIN, i64::MAX);
            order.iter().all(|&part| {
                let (by, least, most) = parts[part];
                total += by;
                low = low.max(least.unwrap_or(low));
                high = high.min(most.unwrap_or(high));
                (low..=high).contains(&total)
            })
        };
        let all_keep = orders(parts.len()).iter().all(|order| keeps(order));
        prop_assert_eq!(sum.apply(start).is_ok(), all_keep, "{:?} from {}", parts, start);
        if all_keep {
            let total = start + parts.iter().map(|(by, ..)| by).sum::<i64>();
            prop_assert_eq!(sum.apply(start), Ok(total));
        }
    }
}

/// Every order of 0 to n-1.
fn orders(n: usize) -> Vec<Vec<usize>> {
    match n {
        0 => vec![vec![]],
        _ => orders(n - 1)
            .into_iter()
            .flat_map(|order| {
                (0..n).map(move |at| {
                    let mut longer = order.clone();
                    longer.insert(at, n - 1);
                    longer
                })
            })
            .collect(),
    }
}

#[test]
fn a_part_may_mend_what_is_out_of_its_bounds() {
    assert_eq!(Sum::of(8).at_least(5).apply(0), Ok(8));
    assert_eq!(Sum::of(-100).at_most(5).apply(50), Ok(-50));
    assert_eq!(Sum::of(4).at_least(5).apply(0), Err(OutOfBounds { reached: 4, bound: 5 }));
}

#[test]
fn an_unbounded_add_cannot_break_an_accepted_bound() {
    let mut totals = Aggregator::new();
    totals.submit("k", &Sum::of(3).at_most(10)).unwrap();
    let merged = totals.preview(&"k", &Sum::of(8)).unwrap();
    assert_eq!(merged.apply(0), Err(OutOfBounds { reached: 11, bound: 10 }));
}

#[test]
fn a_refused_change_leaves_no_trace() {
    let mut values = Aggregator::new();
    values.submit(1u32, &Agree("x")).unwrap();
    assert_eq!(values.submit(1, &Agree("y")), Err(Disagreement));
    assert_eq!(values.drain().collect::<Vec<_>>(), [(1, Agree("x"))]);
}

/// One proposal: its precondition's answer, and additions with bounds.
fn proposal() -> impl Strategy<Value = (bool, Vec<(u8, Sum)>)> {
    let sum = (-4i64..5, prop::option::of(-3i64..1), prop::option::of(0i64..6));
    let sum = sum.prop_map(|(by, low, high)| {
        let sum = low.map_or(Sum::of(by), |low| Sum::of(by).at_least(low));
        high.map_or(sum, |high| sum.at_most(high))
    });
    (prop::bool::weighted(0.9), prop::collection::vec((0u8..4, sum), 0..4))
}

proptest! {
    /// Each proposal is held against all that were accepted before, merged anew.
    #[test]
    fn a_proposal_is_merged_whole_or_not_at_all(
        batch in prop::collection::vec(proposal(), 0..12),
        bases in prop::array::uniform4(-2i64..3)
    ) {
        let mut merging = ConditionalAggregator::new(|key: &u8| bases[usize::from(*key)]);
        let mut accepted: Vec<(u8, Sum)> = Vec::new();
        for (holds, changes) in &batch {
            let with_this: Vec<_> = accepted.iter().chain(changes).copied().collect();
            let stands = |key: u8| {
                let mut of_key = with_this.iter().filter(|(k, _)| *k == key).map(|(_, sum)| *sum);
                let Some(first) = of_key.next() else { return true };
                let merged = of_key.try_fold(first, |mut all, sum| all.merge(&sum).map(|()| all));
                merged.is_ok_and(|sum| sum.apply(bases[usize::from(key)]).is_ok())
            };
            let twice = (0..4).any(|key| changes.iter().filter(|(k, _)| *k == key).count() > 1);
            let expected = *holds && !twice && (0..4).all(stands);
            let found = merging.submit(changes, || holds.then_some(()).ok_or("it does not hold"));
            prop_assert_eq!(found.is_ok(), expected, "{:?}", found);
            match found {
                Ok(()) => accepted.extend(changes),
                Err(Refused::Precondition(_)) => prop_assert!(!holds),
                Err(Refused::Repeated { .. }) => prop_assert!(twice),
                Err(Refused::Change { key, .. }) => prop_assert!(!stands(key) || twice),
            }
        }
        for (key, merged) in merging.drain() {
            let base = bases[usize::from(key)];
            let total = accepted.iter().filter(|(k, _)| *k == key).map(|(_, sum)| *sum);
            let total = total.map(|sum| sum.apply_alone()).sum::<i64>();
            prop_assert_eq!(merged.apply(base), Ok(base + total));
        }
        prop_assert_eq!(merging.drain().count(), 0);
    }
}

impl Sum {
    /// What one part adds, whatever its bounds are.
    fn apply_alone(self) -> i64 {
        let parts = (-10..=10).find_map(|start| self.apply(start).ok().map(|end| end - start));
        parts.expect("an accepted part stands somewhere near 0")
    }
}

#[test]
fn threads_that_submit_lose_and_double_nothing_beside_one_that_drains() {
    const THREADS: u64 = 4;
    const EACH: u64 = 2000;
    let totals = CommutativeAggregator::new();
    let mut merged = Aggregator::new();
    std::thread::scope(|scope| {
        let submit = |thread: u64| {
            let totals = &totals;
            move || {
                let mut submitter = totals.submitter();
                for n in 0..EACH {
                    let change = Sum::of(1 << (16 * (thread % 3)));
                    match n % 3 {
                        0 => totals.submit(n % 7, change),
                        _ => submitter.submit(n % 7, &change).unwrap(),
                    }
                    if n % 100 == 0 {
                        submitter.send();
                    }
                }
            }
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(submit(thread))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            for (key, change) in totals.drain().merged {
                merged.submit(key, &change).unwrap();
            }
        }
    });
    for (key, change) in totals.drain().merged {
        merged.submit(key, &change).unwrap();
    }
    let total: i64 = merged.drain().map(|(_, sum)| sum.apply(0).unwrap()).sum();
    assert_eq!(total, EACH as i64 * (2 + (1 << 16) + (1 << 32)));
}

#[test]
fn what_cannot_stand_with_what_came_before_is_given_back() {
    let values = CommutativeAggregator::new();
    values.submit("a", Agree(1));
    values.submit("b", Agree(1));
    values.submit("a", Agree(2));
    values.submit("b", Agree(1));
    let drained = values.drain();
    assert_eq!(drained.merged, [("a", Agree(1)), ("b", Agree(1))]);
    let refused = &drained.refused[0];
    assert_eq!((refused.key, refused.change), ("a", Agree(2)));
    assert_eq!(drained.refused.len(), 1);
    assert_eq!(values.drain().merged, []);
}

#[test]
fn what_nobody_drains_is_dropped_once_whatever_drops_do() {
    #[derive(Clone)]
    struct Dropped(std::sync::Arc<std::sync::atomic::AtomicUsize>);
    impl Commutative for Dropped {
        type Refusal = ();
        fn merge(&mut self, _: &Self) -> Result<(), ()> {
            Ok(())
        }
    }
    impl Drop for Dropped {
        fn drop(&mut self) {
            let before = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            assert!(before != 1, "the second drop panics");
        }
    }
    let drops = std::sync::Arc::default();
    let totals = CommutativeAggregator::new();
    (0..5).for_each(|key| totals.submit(key, Dropped(std::sync::Arc::clone(&drops))));
    let panicked = std::panic::catch_unwind(move || drop(totals));
    assert!(panicked.is_err());
    assert_eq!(drops.load(std::sync::atomic::Ordering::SeqCst), 5);
}

#[test]
fn increases_that_fit_no_start_are_refused() {
    let mut sum = Sum::of(i64::MAX);
    sum.merge(&Sum::of(i64::MAX)).unwrap();
    assert!(sum.apply(i64::MIN).is_ok());
    let whole = sum;
    let refused = sum.merge(&Sum::of(2)).unwrap_err();
    assert_eq!((refused.reached, refused.bound), (1 << 63, i64::MAX));
    assert_eq!(sum, whole);
    let mut down = Sum::of(i64::MIN);
    let refused = down.merge(&Sum::of(i64::MIN)).unwrap_err();
    assert_eq!((refused.reached, refused.bound), (-(1 << 63) - 1, i64::MIN));
}
