//! The pool against a plain list of what is idle.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Take,
    TryTake,
    TakeOwned,
    /// Drops one of those in use; a spoiled one is refused.
    Drop(usize, bool),
    Keep(usize),
    Put,
    ShrinkTo(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Take),
        2 => Just(Step::TryTake),
        1 => Just(Step::TakeOwned),
        6 => (any::<usize>(), prop::bool::weighted(0.1)).prop_map(|(at, bad)| Step::Drop(at, bad)),
        1 => any::<usize>().prop_map(Step::Keep),
        1 => Just(Step::Put),
        1 => (0_usize..20).prop_map(Step::ShrinkTo),
    ]
}

enum Object<'p> {
    Borrowed(Pooled<'p, Counted>),
    Owned(OwnedPooled<Counted>),
}

impl Object<'_> {
    fn get(&mut self) -> &mut Counted {
        match self {
            Object::Borrowed(object) => object,
            Object::Owned(object) => object,
        }
    }

    fn into_inner(self) -> Counted {
        match self {
            Object::Borrowed(object) => Pooled::into_inner(object),
            Object::Owned(object) => OwnedPooled::into_inner(object),
        }
    }
}

/// What the pool should have done.
struct Model {
    capacity: usize,
    idle: Vec<usize>,
    stats: Stats,
}

impl Model {
    /// One was taken. None is made while one is idle.
    fn took(&mut self, number: usize) {
        match self.idle.iter().position(|idle| *idle == number) {
            Some(at) => {
                self.idle.remove(at);
                self.stats.hits += 1;
            }
            None => {
                assert!(self.idle.is_empty(), "one was idle");
                self.stats.misses += 1;
            }
        }
    }

    /// One was returned, and kept or not, for which there must have been a reason.
    fn returned(&mut self, number: usize, kept: bool) {
        if kept {
            assert!(self.idle.len() < self.capacity);
            self.idle.push(number);
            self.stats.returned += 1;
        } else {
            // One place may wait for another object.
            assert!(self.idle.len() + usize::from(self.capacity > 2) >= self.capacity);
            self.stats.discarded += 1;
        }
    }
}

proptest! {
    #[test]
    fn it_behaves_as_a_list_of_idle_objects(
        capacity in 0_usize..20,
        steps in prop::collection::vec(step(), 1..200),
    ) {
        let counter: Arc<AtomicUsize> = Arc::default();
        let (alive_here, next) = (Arc::clone(&counter), AtomicUsize::new(0));
        let pool = Pool::builder(move || Counted::new(&alive_here, next.fetch_add(1, Ordering::Relaxed)))
            .capacity(capacity)
            .keep_if(|object| object.number != usize::MAX)
            .reset(|object| object.dirty = false)
            .build();
        let mut model = Model { capacity, idle: Vec::new(), stats: Stats::default() };
        let mut used: Vec<Object<'_>> = Vec::new();
        let mut kept = Vec::new();
        let mut foreign = 1_000_000;
        for step in steps {
            match step {
                Step::Take => used.push(Object::Borrowed(pool.take())),
                Step::TakeOwned => used.push(Object::Owned(pool.take_owned())),
                Step::TryTake => match pool.try_take() {
                    Some(object) => used.push(Object::Borrowed(object)),
                    None => prop_assert!(model.idle.is_empty()),
                },
                Step::Drop(at, spoiled) if !used.is_empty() => {
                    let mut object = used.swap_remove(at % used.len());
                    let number = object.get().number;
                    if spoiled {
                        object.get().number = usize::MAX;
                    }
                    let before = pool.len();
                    drop(object);
                    if spoiled {
                        prop_assert_eq!(pool.len(), before);
                        model.stats.discarded += 1;
                    } else {
                        model.returned(number, pool.len() > before);
                    }
                    continue;
                }
                Step::Keep(at) if !used.is_empty() => {
                    kept.push(used.swap_remove(at % used.len()).into_inner());
                    continue;
                }
                Step::Put => {
                    foreign += 1;
                    let put = pool.put(Counted::new(&counter, foreign));
                    let discarded = model.stats.discarded;
                    model.returned(foreign, put.is_ok());
                    // What is given back is not dropped by the pool.
                    model.stats.discarded = discarded;
                    continue;
                }
                Step::ShrinkTo(most) => {
                    pool.shrink_to(most);
                    let left: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
                    let numbers: Vec<_> = left.iter().map(|object| object.number).collect();
                    prop_assert_eq!(numbers.len(), most.min(model.idle.len()));
                    prop_assert!(numbers.iter().all(|number| model.idle.contains(number)));
                    model.stats.hits += left.len() as u64;
                    model.stats.returned += left.len() as u64;
                    let before = pool.stats().discarded;
                    drop(left);
                    // All of them fit: each came from a place that it goes back to, or left one empty.
                    prop_assert_eq!(pool.stats().discarded, before);
                    model.idle = numbers;
                    continue;
                }
                Step::Drop(..) | Step::Keep(_) => continue,
            }
            if let Some(object) = used.last_mut() && !object.get().dirty {
                object.get().dirty = true;
                model.took(object.get().number);
            }
            prop_assert!(used.iter_mut().all(|object| object.get().dirty));
            prop_assert_eq!(pool.len(), model.idle.len());
            prop_assert_eq!(pool.stats(), model.stats);
            prop_assert_eq!(alive(&counter), used.len() + kept.len() + model.idle.len());
        }
        drop((used, kept));
        drop(pool);
        prop_assert_eq!(alive(&counter), 0);
    }
}
