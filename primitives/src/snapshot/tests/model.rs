//! Random histories against a version number and a value behind a mutex.

use std::sync::Mutex;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Stage,
    Change(usize, u64),
    Commit(usize),
    CompareAndCommit(u64, u64),
    Update(u64),
    Load,
    Keep,
    DropSnapshot(usize),
    NewReader,
    Get(usize),
    Release(usize),
    Export(usize),
    DropReader(usize),
    Burst(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0usize..4;
    let value = 0_u64..1000;
    prop_oneof![
        Just(Step::Stage),
        (at.clone(), value.clone()).prop_map(|(at, value)| Step::Change(at, value)),
        at.clone().prop_map(Step::Commit),
        (0_u64..6, value.clone()).prop_map(|(back, value)| Step::CompareAndCommit(back, value)),
        value.prop_map(Step::Update),
        Just(Step::Load),
        Just(Step::Keep),
        at.clone().prop_map(Step::DropSnapshot),
        Just(Step::NewReader),
        at.clone().prop_map(Step::Get),
        at.clone().prop_map(Step::Release),
        at.clone().prop_map(Step::Export),
        at.prop_map(Step::DropReader),
        (1_u64..100).prop_map(Step::Burst),
    ]
}

/// The current version of the model, and its value.
type Model = Mutex<(u64, u64)>;

/// A handle, and the version and value that it must show.
struct Kept<H>(H, u64, u64);

/// A reader, with the version that it got last.
type Following = (SnapshotReader<Counted>, Option<u64>);

struct World {
    counter: Arc<AtomicUsize>,
    cell: SnapshotCell<Counted>,
    model: Model,
    staged: Vec<Staged<Counted>>,
    snapshots: Vec<Kept<Snapshot<Counted>>>,
    readers: Vec<Following>,
}

impl World {
    fn now(&self) -> (u64, u64) {
        *self.model.lock().unwrap()
    }

    fn value(&self, number: u64) -> Counted {
        Counted::new(&self.counter, number)
    }

    fn commit(&self, base: u64, value: u64, done: bool) -> Result<(), TestCaseError> {
        let mut model = self.model.lock().unwrap();
        prop_assert_eq!(done, base == model.0);
        if done {
            *model = (base + 1, value);
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let (version, value) = self.now();
        match step {
            Step::Stage => self.staged.push(self.cell.stage()),
            Step::Change(at, to) => {
                if let Some(work) = self.staged.get_mut(at) {
                    work.number = to;
                }
            }
            Step::Commit(at) if at < self.staged.len() => {
                let work = self.staged.remove(at);
                let (base, wanted) = (work.base().0, work.number);
                let done = match self.cell.commit(work) {
                    Ok(next) => next == Version(base + 1),
                    Err(stale) => {
                        prop_assert_eq!(stale.current, Version(version));
                        prop_assert_eq!(
                            (stale.staged.base().0, stale.staged.number),
                            (base, wanted)
                        );
                        false
                    }
                };
                self.commit(base, wanted, done)?;
            }
            Step::CompareAndCommit(back, to) => {
                let base = version.saturating_sub(back);
                let done = self.cell.compare_and_commit(Version(base), self.value(to)).is_ok();
                self.commit(base, to, done)?;
            }
            Step::Update(by) => {
                let next = |old: &Counted| Counted::new(&old.alive, old.number + by);
                prop_assert_eq!(self.cell.update(next), Ok(Version(version + 1)));
                self.commit(version, value + by, true)?;
            }
            Step::Burst(count) => {
                for version in version..version + count {
                    prop_assert_eq!(self.cell.update(Clone::clone), Ok(Version(version + 1)));
                    self.commit(version, value, true)?;
                }
            }
            Step::Load => {
                let seen = self.cell.load();
                prop_assert_eq!((seen.version().0, seen.number), (version, value));
                let read = self.cell.read(|state, version| (version.0, state.number));
                prop_assert_eq!(read, (version, value));
            }
            Step::Keep => self.snapshots.push(Kept(self.cell.load(), version, value)),
            Step::DropSnapshot(at) if at < self.snapshots.len() => drop(self.snapshots.remove(at)),
            Step::NewReader => self.readers.push((self.cell.reader(), None)),
            Step::Get(at) if at < self.readers.len() => {
                let (reader, last) = &mut self.readers[at];
                prop_assert_eq!(reader.get().number, value);
                *last = Some(version);
            }
            Step::Release(at) if at < self.readers.len() => self.readers[at].0.release(),
            Step::Export(at) if at < self.readers.len() => {
                let (reader, last) = &mut self.readers[at];
                self.snapshots.push(Kept(reader.snapshot(), version, value));
                *last = Some(version);
            }
            Step::DropReader(at) if at < self.readers.len() => drop(self.readers.remove(at)),
            _ => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let (version, value) = self.now();
        let seen = self.cell.load();
        prop_assert_eq!((self.cell.version().0, seen.number), (version, value));
        for Kept(snapshot, version, value) in &self.snapshots {
            prop_assert_eq!((snapshot.version().0, snapshot.number), (*version, *value));
        }
        for (reader, last) in &self.readers {
            prop_assert_eq!(reader.version().map(|version| version.0), *last);
        }
        let alive = alive(&self.counter) - self.staged.len();
        prop_assert_eq!(self.cell.live_versions(), alive);
        prop_assert!(alive <= 64 + self.readers.len() + self.snapshots.len());
        Ok(())
    }
}

proptest! {
    #[test]
    fn it_behaves_as_a_versioned_value_behind_a_mutex(steps in prop::collection::vec(step(), 0..120)) {
        let counter = counter();
        let mut world = World {
            cell: SnapshotCell::new(Counted::first(&counter)),
            counter: Arc::clone(&counter),
            model: Mutex::default(),
            staged: Vec::new(),
            snapshots: Vec::new(),
            readers: Vec::new(),
        };
        for step in steps {
            world.take(step)?;
            world.check()?;
        }
        drop(world);
        prop_assert_eq!(alive(&counter), 0);
    }
}
