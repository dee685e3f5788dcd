//! The queue does what a list does that is searched from end to end.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::*;

/// The same queue, as plain as can be.
struct Model {
    waiting: Vec<(Hint, u64, u32)>,
    capacity: usize,
    limits: [usize; 5],
    patience: u64,
    come: u64,
    gone: u64,
}

impl Model {
    fn len_of(&self, class: Class) -> usize {
        self.waiting.iter().filter(|(hint, ..)| hint.class() == class).count()
    }

    fn class_is_full(&self, class: Class) -> bool {
        self.len_of(class) >= self.limits[class.index()]
    }

    fn push(&mut self, task: u32, hint: Hint) -> bool {
        let room = self.waiting.len() < self.capacity && !self.class_is_full(hint.class());
        if room {
            self.waiting.push((hint, self.come, task));
            self.come += 1;
        }
        room
    }

    fn force_push(&mut self, task: u32, hint: Hint) -> Option<u32> {
        if self.push(task, hint) {
            return None;
        }
        let full = self.class_is_full(hint.class());
        let among = |(other, ..): &(Hint, u64, u32)| !full || other.class() == hint.class();
        let last = (0..self.waiting.len())
            .filter(|&at| among(&self.waiting[at]))
            .max_by_key(|&at| (self.waiting[at].0, self.waiting[at].1));
        match last {
            Some(last) if self.waiting[last].0 > hint => {
                self.gone += 1;
                let displaced = self.waiting.remove(last);
                assert!(self.push(task, hint));
                Some(displaced.2)
            }
            _ => Some(task),
        }
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
    Push(Hint),
    PushMany(Vec<Hint>),
    ForcePush(Hint),
    Pop,
    PopMany(usize),
}

fn hint() -> impl Strategy<Value = Hint> {
    let keyed =
        (0..5usize, 0..4u64, 0..4usize, 0..3u16).prop_map(|(class, deadline, tier, cost)| {
            let hint =
                Hint::new(Class::ALL[class]).with_latency(LatencyTier::ALL[tier]).with_cost(cost);
            if deadline > 0 { hint.with_deadline(deadline) } else { hint }
        });
    prop_oneof![(0..5usize).prop_map(|class| Class::ALL[class].into()), keyed]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => hint().prop_map(Step::Push),
        1 => prop::collection::vec(hint(), 0..12).prop_map(Step::PushMany),
        1 => hint().prop_map(Step::ForcePush),
        4 => Just(Step::Pop),
        1 => (0..12usize).prop_map(Step::PopMany),
    ]
}

proptest! {
    #[test]
    fn it_behaves_as_a_list_that_is_searched(
        steps in prop::collection::vec(step(), 0..400),
        capacity in prop_oneof![1..8usize, Just(1000)],
        limits in prop::array::uniform5(prop_oneof![0..6usize, Just(1000)]),
        patience in prop_oneof![0..20u64, Just(u64::MAX)],
    ) {
        let mut queue = PriorityQueue::bounded(capacity, patience);
        for class in Class::ALL {
            queue = queue.with_limit(class, limits[class.index()]);
        }
        let limits = limits.map(|limit| limit.min(capacity));
        let mut model = Model { waiting: Vec::new(), capacity, limits, patience, come: 0, gone: 0 };
        let mut tasks = 0..;
        for step in steps {
            match step {
                Step::Push(hint) => {
                    let task = tasks.next().unwrap();
                    prop_assert_eq!(queue.try_push(task, hint).is_ok(), model.push(task, hint));
                }
                Step::PushMany(hints) => {
                    let mut batch: VecDeque<(u32, Hint)> =
                        hints.into_iter().map(|hint| (tasks.next().unwrap(), hint)).collect();
                    let all = batch.clone();
                    let pushed = queue.try_push_many(&mut batch).unwrap();
                    let expected = all.iter().take_while(|(task, hint)| model.push(*task, *hint)).count();
                    prop_assert_eq!(pushed, expected);
                    prop_assert!(batch.iter().eq(all.iter().skip(expected)));
                }
                Step::ForcePush(hint) => {
                    let task = tasks.next().unwrap();
                    prop_assert_eq!(queue.force_push(task, hint), Ok(model.force_push(task, hint)));
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
            prop_assert_eq!(queue.depths(), Class::ALL.map(|class| model.len_of(class)));
            queue.state.with(|state| assert!(state.ready().is_tidy()));
        }
        let left: Vec<u32> = std::iter::from_fn(|| model.pop()).collect();
        prop_assert_eq!(super::drained(&queue), left);
    }
}
