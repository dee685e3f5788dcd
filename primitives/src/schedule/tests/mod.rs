//! The queue against a plain model, its bounds, and what it does when the caller's code panics.

mod model;
mod panics;
mod waiting;

use super::*;

#[test]
fn classes_go_first_and_each_is_first_in_first_out() {
    let queue = PriorityQueue::bounded(16, 100);
    for (task, class) in [(1, Class::Low), (2, Class::High), (3, Class::Low), (4, Class::High)] {
        queue.try_push(task, class).unwrap();
    }
    assert_eq!(queue.len_of(Class::Low), 2);
    assert_eq!(queue.depths(), [0, 2, 0, 2, 0]);
    assert_eq!(drained(&queue), [2, 4, 1, 3]);
}

#[test]
fn within_a_class_deadline_then_tier_then_cost_then_arrival() {
    let queue = PriorityQueue::bounded(16, 100);
    let late = Hint::new(Class::Normal).with_deadline(9);
    let hints = [
        ("plain", Class::Normal.into()),
        ("batch", Hint::new(Class::Normal).with_latency(LatencyTier::Batch)),
        ("dear", late.with_cost(2)),
        ("dear, later", late.with_cost(2)),
        ("cheap", late.with_cost(1)),
        ("seen", late.with_cost(2).with_latency(LatencyTier::Interactive)),
        ("soon", late.with_deadline(8).with_cost(7)),
        ("plain, later", Class::Normal.into()),
        ("urgent", Class::High.into()),
    ];
    for (task, hint) in hints {
        queue.try_push(task, hint).unwrap();
    }
    let order = [
        "urgent",
        "soon",
        "seen",
        "cheap",
        "dear",
        "dear, later",
        "plain",
        "plain, later",
        "batch",
    ];
    assert_eq!(drained(&queue), order);
}

#[test]
fn hints_say_what_was_put_into_them() {
    for class in Class::ALL {
        for latency in LatencyTier::ALL {
            let hint = Hint::new(class).with_latency(latency).with_cost(u16::MAX).with_deadline(0);
            assert_eq!((hint.class(), hint.latency()), (class, latency));
            assert_eq!((hint.cost(), hint.deadline()), (u16::MAX, Some(0)));
        }
    }
    let hint = Hint::default();
    assert_eq!((hint.class(), hint.deadline(), hint.cost()), (Class::Normal, None, 0));
    let latest = hint.with_deadline(u64::MAX);
    assert_eq!(latest.deadline(), Some(Hint::LATEST));
    assert!(latest < hint, "any deadline is before none");
}

#[test]
fn a_full_queue_gives_the_task_back() {
    let queue = PriorityQueue::bounded(1, 1);
    queue.try_push('a', Class::Normal).unwrap();
    assert_eq!(queue.try_push('b', Class::Critical), Err(PushError::Full('b')));
    queue.close();
    assert_eq!(queue.push('c', Class::Critical), Err(PushError::Closed('c')));
    assert_eq!(queue.force_push('c', Class::Critical), Err(PushError::Closed('c')));
    let mut more = [('d', Hint::default())].into();
    assert_eq!(queue.try_push_many(&mut more), Err(PushError::Closed(())));
    assert_eq!(queue.push_many(&mut more), Err(PushError::Closed('d')));
    assert_eq!(queue.pop(), Some('a'));
    assert_eq!(queue.pop(), None);
    assert_eq!(queue.pop_timeout(std::time::Duration::MAX), Err(PopError::Closed));
}

#[test]
fn a_class_at_its_limit_is_full_and_the_others_are_not() {
    let queue =
        PriorityQueue::bounded(4, 9).with_limit(Class::Low, 1).with_limit(Class::Background, 0);
    queue.try_push(1, Class::Low).unwrap();
    assert_eq!(queue.try_push(2, Class::Low), Err(PushError::Full(2)));
    assert_eq!(queue.try_push(3, Class::Background), Err(PushError::Full(3)));
    assert_eq!(queue.force_push(3, Class::Background), Ok(Some(3)));
    queue.try_push(4, Class::High).unwrap();
    let mut more = [5, 6, 7].map(|task| (task, Class::High.into())).into();
    assert_eq!(queue.try_push_many(&mut more), Ok(2), "four in all");
    assert_eq!(more, [(7, Class::High.into())]);
    assert_eq!(drained(&queue), [4, 5, 6, 1]);
}

#[test]
fn the_newest_of_the_least_urgent_gives_way() {
    let queue = PriorityQueue::bounded(3, u64::MAX).with_limit(Class::High, 1);
    for (task, class) in [(1, Class::Low), (2, Class::Low), (3, Class::High)] {
        assert_eq!(queue.force_push(task, class), Ok(None));
    }
    assert_eq!(queue.force_push(4, Class::Low), Ok(Some(4)), "the newest is the newcomer");
    assert_eq!(queue.force_push(5, Class::Normal), Ok(Some(2)));
    let sooner = Hint::new(Class::High).with_deadline(1);
    assert_eq!(queue.force_push(6, sooner), Ok(Some(3)), "its class has reached its limit");
    assert_eq!(drained(&queue), [6, 5, 1]);
}

#[test]
fn a_low_task_waits_a_bounded_number_of_pops_under_a_flood() {
    let patience = 8;
    for low in &Class::ALL[1..] {
        let queue = PriorityQueue::bounded(1000, patience);
        let before = 200;
        for (count, class) in
            (0..before).zip(Class::ALL.iter().filter(|class| *class != low).cycle())
        {
            queue.try_push(false, Hint::new(*class).with_deadline(count)).unwrap();
        }
        queue.try_push(true, *low).unwrap();
        let mut waited = 0;
        while queue.try_pop() != Some(true) {
            queue.try_push(false, Class::Critical).unwrap();
            waited += 1;
        }
        assert!(waited <= before + patience, "{low} waited {waited} pops");
    }
}

#[test]
fn nothing_overtakes_more_often_than_patience_allows_under_a_flood_of_deadlines() {
    for patience in [0, 1, 7, 64] {
        let queue = PriorityQueue::bounded(1000, patience);
        let mut next = 0u64;
        let mut push = || {
            // Always the most urgent so far.
            let hint = Hint::new(Class::ALL[(next % 5) as usize]).with_deadline(1_000_000 - next);
            queue.try_push(next, hint).unwrap();
            next += 1;
        };
        (0..300).for_each(|_| push());
        let mut gone: Vec<u64> = Vec::new();
        for _ in 0..1000 {
            push();
            gone.push(queue.try_pop().unwrap());
        }
        gone.extend(drained(&queue));
        for (popped_as, task) in gone.iter().enumerate() {
            let overtaken_by =
                gone[..popped_as].iter().filter(|other| *other > task).count() as u64;
            assert!(overtaken_by <= patience, "{task} was overtaken {overtaken_by} times");
        }
    }
}

#[test]
fn what_has_gone_leaves_nothing_behind_beside_one_that_stays() {
    let queue = PriorityQueue::bounded(100, u64::MAX);
    // The least urgent came first, and stays.
    queue.try_push(0, Hint::new(Class::Normal).with_deadline(Hint::LATEST)).unwrap();
    for task in 1..100_000 {
        queue.try_push(task, Hint::new(Class::Normal).with_deadline(task)).unwrap();
        assert_eq!(queue.try_pop(), Some(task));
    }
    queue.state.with(|state| assert!(state.ready().is_tidy()));
    assert_eq!(drained(&queue), [0]);
}

fn drained<T>(queue: &PriorityQueue<T>) -> Vec<T> {
    std::iter::from_fn(|| queue.try_pop()).collect()
}
