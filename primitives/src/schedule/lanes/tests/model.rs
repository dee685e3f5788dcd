//! The queue does what a list does that is searched from end to end.

use std::cell::Cell;

use proptest::prelude::*;

use super::super::*;
use super::drained;

/// The same queue, as plain as can be: each task with its class and its number of arrival.
struct Model {
    waiting: Vec<(Class, u64, u32)>,
    capacities: [usize; 5],
    patience: u64,
    come: u64,
    gone: u64,
}

impl Model {
    fn len_of(&self, class: Class) -> usize {
        self.waiting.iter().filter(|(of, ..)| *of == class).count()
    }

    fn push(&mut self, task: u32, class: Class) -> bool {
        let room = self.len_of(class) < self.capacities[class.index()];
        if room {
            self.waiting.push((class, self.come, task));
            self.come += 1;
        }
        room
    }

    fn pop(&mut self) -> Option<u32> {
        let oldest = (0..self.waiting.len()).min_by_key(|&at| self.waiting[at].1)?;
        let first =
            (0..self.waiting.len()).min_by_key(|&at| (self.waiting[at].0, self.waiting[at].1))?;
        let overdue = self.gone >= self.waiting[oldest].1.saturating_add(self.patience);
        self.gone += 1;
        Some(self.waiting.remove(if overdue { oldest } else { first }).2)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(usize),
    Pop,
    PopMany(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (0..5usize).prop_map(Step::Push),
        4 => Just(Step::Pop),
        1 => (0..12usize).prop_map(Step::PopMany),
    ]
}

proptest! {
    #[test]
    fn it_behaves_as_a_list_that_is_searched(
        steps in prop::collection::vec(step(), 0..600),
        capacities in prop::array::uniform5(prop_oneof![1..8usize, Just(100)]),
        // Beyond, arrivals are counted in steps.
        patience in prop_oneof![0..20u64, 0..256u64, Just(u64::MAX)],
    ) {
        let queue = LaneQueue::with_capacities(capacities, patience);
        let mut model = Model { waiting: Vec::new(), capacities, patience, come: 0, gone: 0 };
        let mut tasks = 0..;
        for step in steps {
            match step {
                Step::Push(class) => {
                    let (task, class) = (tasks.next().unwrap(), Class::ALL[class]);
                    let expected = if model.push(task, class) { Ok(()) } else { Err(PushError::Full(task)) };
                    prop_assert_eq!(queue.try_push(task, class), expected);
                }
                Step::Pop => prop_assert_eq!(queue.try_pop(), model.pop()),
                Step::PopMany(most) => {
                    let mut popped = Vec::new();
                    queue.try_pop_many(&mut popped, most);
                    let expected: Vec<u32> = (0..most).map_while(|_| model.pop()).collect();
                    prop_assert_eq!(popped, expected);
                }
            }
            prop_assert_eq!(queue.len(), model.waiting.len());
            prop_assert_eq!(queue.is_empty(), model.waiting.is_empty());
            prop_assert_eq!(queue.depths(), Class::ALL.map(|class| model.len_of(class)));
        }
        let left: Vec<u32> = std::iter::from_fn(|| model.pop()).collect();
        prop_assert_eq!(drained(&queue), left);
    }

    #[test]
    fn no_task_is_overtaken_more_often_than_it_says(
        pushes in prop::collection::vec((0..5usize, 0..3u8), 0..1500),
        capacities in prop::array::uniform5(prop_oneof![1..8usize, 100..1000usize]),
        patience in prop_oneof![0..300u64, 256..4000u64, Just(8192)],
    ) {
        let queue = LaneQueue::with_capacities(capacities, patience);
        let come = Cell::new(0u64);
        let mut gone = Vec::new();
        for (class, pops) in pushes {
            if queue.try_push(come.get(), Class::ALL[class]).is_ok() {
                come.set(come.get() + 1);
            }
            // So that the queue is filled first and kept filled then.
            gone.extend((0..pops.min(1)).map_while(|_| queue.try_pop()));
        }
        gone.extend(drained(&queue));
        prop_assert_eq!(gone.len() as u64, come.get());
        let bound = patience + 15 * (queue.aging.step() - 1);
        for (task, overtaken) in super::aging::overtaken(&gone) {
            prop_assert!(overtaken <= bound, "{} was overtaken by {} of {}", task, overtaken, bound);
        }
    }
}
