//! Commit engines: transactions that read two keys and write two, decided in the end by one order.
//!
//! A transaction names the version it was computed from, and is refused if a key it read was written since. What an
//! engine publishes and explains differs, and is said beside its name.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use crossbeam_channel as channel;
use queenright::{Hive, Key, Op, Proposal, Read};
use stm::{TVar, atomically};

/// A key as the peers hold it: a number or a string. The hive makes its own of it.
pub trait Name: Hash + Eq + Ord + Clone + Send + Sync + std::fmt::Display + 'static {}

impl<T: Hash + Eq + Ord + Clone + Send + Sync + std::fmt::Display + 'static> Name for T {}

/// One transaction, by places in the table of keys.
#[derive(Debug, Clone, Copy)]
pub struct Transaction {
    /// What it reads.
    pub reads: [u32; 2],
    /// What it writes.
    pub writes: [u32; 2],
}

/// An engine under comparison.
pub trait Engine<K: Name>: Send + Sync + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// An engine whose state has each of these keys.
    fn new(keys: &[K]) -> Self;

    /// Submits all transactions at once and waits for all outcomes: how many were accepted.
    fn batch(&self, transactions: &[Transaction]) -> u64;

    /// Submits each transaction by itself and waits for all outcomes at the end: how many were accepted.
    fn singly(&self, transactions: &[Transaction]) -> u64;
}

/// The table of an engine that lives in one thread or under one lock.
struct Table<K> {
    keys: Arc<[K]>,
    entries: HashMap<K, (u64, u64), foldhash::fast::RandomState>,
    version: u64,
}

impl<K: Name> Table<K> {
    fn new(keys: &[K]) -> Self {
        Table {
            keys: keys.into(),
            entries: keys.iter().map(|key| (key.clone(), (0, 0))).collect(),
            version: 0,
        }
    }

    fn commit(&mut self, base: u64, transactions: &[Transaction]) -> Vec<bool> {
        self.version += 1;
        transactions.iter().map(|one| self.commit_one(base, one)).collect()
    }

    fn commit_one(&mut self, base: u64, one: &Transaction) -> bool {
        let unchanged = |place: &u32| {
            let entry = self.entries.get(&self.keys[*place as usize]);
            entry.is_some_and(|(version, _)| *version <= base)
        };
        let accepted = one.reads.iter().all(unchanged);
        if accepted {
            for place in one.writes {
                let key = &self.keys[place as usize];
                if let Some(entry) = self.entries.get_mut(key) {
                    *entry = (self.version, u64::from(place));
                }
            }
        }
        accepted
    }
}

fn count(accepted: &[bool]) -> u64 {
    accepted.iter().filter(|accepted| **accepted).count() as u64
}

/// What an actor thread is asked to do: the base, the transactions, and where the outcomes go.
type Order = (u64, Vec<Transaction>, channel::Sender<Vec<bool>>);

/// A thread that owns the table.
struct Actor {
    orders: Option<channel::Sender<Order>>,
    version: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Actor {
    /// `publish` is called after each batch, before its outcomes are told.
    fn start<K: Name>(
        keys: &[K],
        mut publish: impl FnMut(&[K], &[Transaction], &[bool], u64) + Send + 'static,
    ) -> Self {
        let (orders, queue) = channel::bounded::<Order>(1024);
        let version = Arc::new(AtomicU64::new(0));
        let mut table = Table::new(keys);
        let committed = Arc::clone(&version);
        let thread = std::thread::spawn(move || {
            for (base, transactions, outcomes) in queue {
                let accepted = table.commit(base, &transactions);
                publish(&table.keys, &transactions, &accepted, table.version);
                committed.store(table.version, Ordering::Release);
                // Whoever asked may have gone.
                let _ = outcomes.send(accepted);
            }
        });
        Actor { orders: Some(orders), version, thread: Some(thread) }
    }

    fn submit(&self, transactions: Vec<Transaction>) -> channel::Receiver<Vec<bool>> {
        let (outcomes, receiver) = channel::bounded(1);
        let base = self.version.load(Ordering::Acquire);
        let orders = self.orders.as_ref().expect("open until it is dropped");
        orders.send((base, transactions, outcomes)).expect("the actor lives as long");
        receiver
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        count(&self.submit(transactions.to_vec()).recv().expect("each is answered"))
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let outcomes: Vec<_> = transactions.iter().map(|one| self.submit(vec![*one])).collect();
        outcomes.iter().map(|outcome| count(&outcome.recv().expect("each is answered"))).sum()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Ours: explains every refusal, records every round, publishes every version.
pub struct Ours {
    hive: Hive,
    keys: Vec<Key>,
    proposed: AtomicU64,
}

impl Ours {
    fn proposals(&self, transactions: &[Transaction]) -> impl Iterator<Item = Proposal> {
        let snapshot = self.hive.snapshot();
        let key = |place: u32| self.keys[place as usize].clone();
        let first = self.proposed.fetch_add(transactions.len() as u64, Ordering::Relaxed);
        let propose = move |(one, number): (&Transaction, u64)| {
            let mut proposal = Proposal::on(&snapshot, "bench", number.to_string());
            proposal.reads.extend(one.reads.map(|place| Read::Key(key(place))));
            let writes = one.writes.map(|place| (key(place), Op::Set(i64::from(place).into())));
            proposal.writes.extend(writes);
            proposal
        };
        transactions.iter().zip(first..).map(propose)
    }
}

impl<K: Name> Engine<K> for Ours {
    const NAME: &'static str = "queenright hive";

    fn new(keys: &[K]) -> Self {
        let key = |key: &K| Key::new(format!("k/{key}")).expect("a plain path");
        let keys: Vec<Key> = keys.iter().map(key).collect();
        let base = keys.iter().map(|key| (key.clone(), 0.into()));
        let hive = Hive::builder().base(base).keep_rounds(16).build();
        let hive = hive.expect("a thread can be started");
        let snapshot = hive.snapshot();
        let keys = keys.into_iter().map(|key| snapshot.key(key).expect("it is a key")).collect();
        Ours { hive, keys, proposed: AtomicU64::new(0) }
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        let tickets = self.hive.propose_many(self.proposals(transactions).collect());
        let outcomes = tickets.expect("the queen is there").wait();
        outcomes.iter().filter(|outcome| outcome.is_committed()).count() as u64
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let propose = |proposal| self.hive.propose(proposal).expect("the queen is there");
        let tickets: Vec<_> = self.proposals(transactions).map(propose).collect();
        tickets.into_iter().map(|ticket| u64::from(ticket.wait().is_committed())).sum()
    }
}

/// A thread that owns a hash map, and publishes another map after each batch: looking versions up in the published one would
/// be slower, and so would be cloning one map of versions and values.
pub struct ActorPublishing<M> {
    actor: Actor,
    /// The version and the map that was current in it.
    published: Arc<ArcSwap<(u64, M)>>,
}

/// A map that an actor publishes; a clone of it is a version of its own.
pub trait Published<K>: FromIterator<(K, u64)> + Clone + Send + Sync + 'static {
    /// What an actor that publishes it is called in reports.
    const NAME: &'static str;

    /// Writes a value.
    fn write(&mut self, key: K, value: u64);
}

/// Copied whole.
pub type Cloned<K> = HashMap<K, u64, foldhash::fast::RandomState>;

impl<K: Name> Published<K> for Cloned<K> {
    const NAME: &'static str = "actor + cloned map";

    fn write(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }
}

impl<K: Name> Published<K> for imbl::HashMap<K, u64> {
    const NAME: &'static str = "actor + imbl map";

    fn write(&mut self, key: K, value: u64) {
        self.insert(key, value);
    }
}

impl<K: Name, M: Published<K>> Engine<K> for ActorPublishing<M> {
    const NAME: &'static str = M::NAME;

    fn new(keys: &[K]) -> Self {
        let mut map: M = keys.iter().map(|key| (key.clone(), 0)).collect();
        let published = Arc::new(ArcSwap::from_pointee((0, map.clone())));
        let here = Arc::clone(&published);
        let actor = Actor::start(keys, move |keys, transactions, accepted, version| {
            write(keys, transactions, accepted, |key| map.write(key.clone(), version));
            here.store(Arc::new((version, map.clone())));
        });
        ActorPublishing { actor, published }
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        let before = self.actor.version.load(Ordering::Acquire);
        let accepted = self.actor.batch(transactions);
        assert!(self.published.load().0 > before, "published before it was answered");
        accepted
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        self.actor.singly(transactions)
    }
}

fn write<K>(
    keys: &[K],
    transactions: &[Transaction],
    accepted: &[bool],
    mut write: impl FnMut(&K),
) {
    for (one, accepted) in transactions.iter().zip(accepted) {
        if *accepted {
            one.writes.iter().for_each(|place| write(&keys[*place as usize]));
        }
    }
}

/// A thread that owns a hash map and publishes nothing.
pub struct ActorOnly(Actor);

impl<K: Name> Engine<K> for ActorOnly {
    const NAME: &'static str = "thread actor (publishes nothing)";

    fn new(keys: &[K]) -> Self {
        ActorOnly(Actor::start(keys, |_, _, _, _| ()))
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        self.0.batch(transactions)
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        self.0.singly(transactions)
    }
}

/// One lock around a hash map; publishes nothing.
pub struct Locked<K>(Mutex<Table<K>>);

impl<K: Name> Engine<K> for Locked<K> {
    const NAME: &'static str = "Mutex<HashMap> (publishes nothing)";

    fn new(keys: &[K]) -> Self {
        Locked(Mutex::new(Table::new(keys)))
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let base = table.version;
        count(&table.commit(base, transactions))
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let commit = |one: &Transaction| {
            let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let base = table.version;
            table.version += 1;
            u64::from(table.commit_one(base, one))
        };
        transactions.iter().map(commit).sum()
    }
}

/// What the tokio actor is asked to do.
type AsyncOrder = (u64, Vec<Transaction>, tokio::sync::oneshot::Sender<Vec<bool>>);

/// A task on a tokio runtime of its own that owns a hash map; an mpsc channel in, a oneshot back. Publishes nothing.
pub struct TokioActor {
    orders: Option<tokio::sync::mpsc::Sender<AsyncOrder>>,
    version: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl TokioActor {
    fn submit(&self, transactions: Vec<Transaction>) -> tokio::sync::oneshot::Receiver<Vec<bool>> {
        let (outcomes, receiver) = tokio::sync::oneshot::channel();
        let base = self.version.load(Ordering::Acquire);
        let orders = self.orders.as_ref().expect("open until it is dropped");
        orders.blocking_send((base, transactions, outcomes)).expect("the actor lives as long");
        receiver
    }
}

impl<K: Name> Engine<K> for TokioActor {
    const NAME: &'static str = "tokio mpsc + oneshot actor (publishes nothing)";

    fn new(keys: &[K]) -> Self {
        let (orders, mut queue) = tokio::sync::mpsc::channel::<AsyncOrder>(1024);
        let version = Arc::new(AtomicU64::new(0));
        let committed = Arc::clone(&version);
        let mut table = Table::new(keys);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("no driver is asked for").block_on(async move {
                while let Some((base, transactions, outcomes)) = queue.recv().await {
                    let accepted = table.commit(base, &transactions);
                    committed.store(table.version, Ordering::Release);
                    // Whoever asked may have gone.
                    let _ = outcomes.send(accepted);
                }
            });
        });
        TokioActor { orders: Some(orders), version, thread: Some(thread) }
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        count(&self.submit(transactions.to_vec()).blocking_recv().expect("each is answered"))
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let outcomes: Vec<_> = transactions.iter().map(|one| self.submit(vec![*one])).collect();
        let answered = |outcome: tokio::sync::oneshot::Receiver<Vec<bool>>| {
            count(&outcome.blocking_recv().expect("each is answered"))
        };
        outcomes.into_iter().map(answered).sum()
    }
}

impl Drop for TokioActor {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Software transactional memory: a variable a key. Publishes nothing.
pub struct Stm<K> {
    variables: Vec<(K, TVar<u64>)>,
}

impl<K: Name> Engine<K> for Stm<K> {
    const NAME: &'static str = "stm crate (publishes nothing)";

    fn new(keys: &[K]) -> Self {
        Stm { variables: keys.iter().map(|key| (key.clone(), TVar::new(0))).collect() }
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        Engine::<K>::singly(self, transactions)
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let variable = |place: u32| &self.variables[place as usize].1;
        for one in transactions {
            atomically(|transaction| {
                let read = one.reads.map(variable);
                let sum = read[0].read(transaction)?.wrapping_add(read[1].read(transaction)?);
                for place in one.writes {
                    variable(place).write(transaction, sum ^ u64::from(place))?;
                }
                Ok(())
            });
        }
        transactions.len() as u64
    }
}
