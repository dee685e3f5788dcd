//! Nothing waits for ever.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::super::*;
use super::drained;
use super::stopped::{Queue, stopped};

/// Of tasks that are numbered as they came, in the order in which they have gone: how many overtook each.
pub(super) fn overtaken(gone: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    // What came before a task and has not gone before it has been overtaken by it.
    let place_of = {
        let mut places = vec![0; gone.len()];
        gone.iter().enumerate().for_each(|(place, task)| places[*task as usize] = place as u64);
        places
    };
    let mut before = Counts(vec![0; gone.len() + 1]);
    // Task by task as they came: those that have gone before its place and came before it.
    (0..gone.len() as u64).map(move |task| {
        let place = place_of[task as usize];
        let older = before.up_to(place);
        before.add(place);
        (task, place - older)
    })
}

/// A Fenwick tree.
struct Counts(Vec<u64>);

impl Counts {
    fn add(&mut self, at: u64) {
        let mut at = at as usize + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn up_to(&self, end: u64) -> u64 {
        let (mut at, mut sum) = (end as usize, 0);
        while at > 0 {
            sum += self.0[at];
            at &= at - 1;
        }
        sum
    }
}

#[test]
fn the_steps_are_as_documented() {
    let steps = [(0, 1), (255, 1), (256, 2), (1000, 4), (8191, 32), (8192, 64), (u64::MAX, 64)];
    for (patience, step) in steps {
        assert_eq!(LaneQueue::<u8>::bounded(1, patience).aging.step(), step);
        assert!(15 * (step - 1) <= patience / 8);
    }
}

#[test]
fn a_low_task_waits_a_bounded_number_of_pops_under_a_flood() {
    for (patience, low) in
        [8, 300, 10_000].into_iter().flat_map(|it| Class::ALL[1..].iter().map(move |low| (it, low)))
    {
        let queue = LaneQueue::bounded(1000, patience);
        let before = 200;
        for (_, class) in (0..before).zip(Class::ALL.iter().filter(|class| *class != low).cycle()) {
            queue.try_push(false, *class).unwrap();
        }
        queue.try_push(true, *low).unwrap();
        let mut waited = 0;
        while queue.try_pop() != Some(true) {
            queue.try_push(false, Class::Critical).unwrap();
            waited += 1;
        }
        let bound = before + patience + 15 * (queue.aging.step() - 1);
        assert!(waited <= bound, "{low} waited {waited} pops, not {bound}");
        assert!(waited >= patience, "{low} was not patient: {waited} pops");
    }
}

#[test]
fn nothing_overtakes_more_often_than_patience_allows_under_a_flood() {
    for patience in [0, 1, 7, 64, 256, 1000, 8192] {
        let queue = LaneQueue::bounded(2000, patience);
        let mut come = 0u64;
        let mut push = |class: Class| {
            queue.try_push(come, class).unwrap();
            come += 1;
        };
        // The least urgent first, in bursts, so that many are alike in their number of arrival.
        for class in Class::ALL.iter().rev() {
            (0..300).for_each(|_| push(*class));
        }
        let mut gone = Vec::new();
        for _ in 0..12_000 {
            push(Class::Critical);
            gone.push(queue.try_pop().unwrap());
        }
        gone.extend(drained(&queue));
        let bound = patience + 15 * (queue.aging.step() - 1);
        for (task, overtaken) in overtaken(&gone) {
            assert!(overtaken <= bound, "{task} was overtaken by {overtaken}, not {bound}");
        }
    }
}

struct SetsOnDrop<'f>(&'f AtomicBool);

impl Drop for SetsOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn beside_threads_that_flood_the_queue_a_low_task_waits_as_long_as_it_says() {
    const FLOODERS: u64 = 3;
    const DEPTH: u64 = 8;
    const LOW: u64 = u64::MAX;
    for patience in [10, 600] {
        let queue = LaneQueue::bounded(64, patience);
        for task in 0..DEPTH {
            queue.try_push(task, Class::Critical).unwrap();
        }
        let (popped, low_went_after, done) =
            (AtomicU64::new(1), AtomicU64::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..FLOODERS {
                scope.spawn(|| {
                    while !done.load(Ordering::SeqCst) {
                        // All that were counted by now are gone before the one that comes next.
                        let gone = popped.load(Ordering::SeqCst);
                        let Some(task) = queue.try_pop() else { continue };
                        popped.fetch_add(1, Ordering::SeqCst);
                        if task == LOW {
                            low_went_after.store(gone, Ordering::SeqCst);
                        } else {
                            queue.try_push(task, Class::Critical).unwrap();
                        }
                    }
                });
            }
            // Also if an assertion fails.
            let _done = SetsOnDrop(&done);
            for _ in 0..50 {
                low_went_after.store(0, Ordering::SeqCst);
                queue.try_push(LOW, Class::Background).unwrap();
                let came_at = popped.load(Ordering::SeqCst);
                let went_after = loop {
                    match low_went_after.load(Ordering::SeqCst) {
                        0 => thread::yield_now(),
                        went_after => break went_after,
                    }
                };
                let step = queue.aging.step();
                let bound = patience + 15 * (step - 1) + (FLOODERS + 1) * (3 * step + 2);
                // A flooder counts its pop after it: so many may have been before the task came.
                let waited = went_after.saturating_sub(came_at);
                assert!(waited <= DEPTH + bound + FLOODERS, "waited {waited} pops");
            }
        });
    }
}

#[test]
fn a_pop_that_stopped_between_two_looks_overlooks_nobody_who_came_meanwhile() {
    const PATIENCE: u64 = 200;
    // Two loads for whether anything may be due, one of the count of arrivals, two for each empty lane.
    for access in 0..16 {
        let queue: Queue = Queue::new(LaneQueue::bounded(8, PATIENCE));
        for _ in 0..PATIENCE {
            queue.try_push(0, Class::High).unwrap();
            queue.try_pop().unwrap();
        }
        let pop = stopped(&queue, access, |queue| queue.try_pop());
        queue.try_push(1, Class::Low).unwrap();
        let mut waited = 0;
        // Overtaken almost often enough, when one that is even less urgent comes.
        for _ in 0..PATIENCE - 1 {
            queue.try_push(2, Class::High).unwrap();
            assert_eq!(queue.try_pop(), Some(2));
            waited += 1;
        }
        queue.try_push(3, Class::Background).unwrap();
        queue.try_push(2, Class::High).unwrap();
        if pop.finish() == Some(1) {
            continue;
        }
        waited += 1;
        loop {
            queue.try_push(2, Class::High).unwrap();
            match queue.try_pop() {
                Some(1) => break,
                _ => waited += 1,
            }
        }
        let bound = PATIENCE + 3 + 2;
        assert!(
            waited <= bound,
            "stopped before access {access}: overtaken by {waited}, not {bound}"
        );
    }
}
