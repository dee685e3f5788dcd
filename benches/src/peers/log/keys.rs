//! Keys and values that are durable when a transaction is answered.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel as channel;
use queenright::log::{CommitLog, DiskLog, Durability};
use queenright::{Hive, Key, Op, Outcome, Proposal};
use rusqlite::Connection;

use super::durable_sqlite;
use crate::peers::engine::Transaction;

/// A store under comparison. Only what transactions write is looked at.
pub trait Store: Send + Sync + Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// One in an empty folder, with so many keys.
    fn new(folder: &Path, keys: u64) -> Self;

    /// Submits all transactions at once and waits for all outcomes: how many were committed.
    fn batch(&self, transactions: &[Transaction]) -> u64;

    /// Submits each by itself and waits for all outcomes at the end: how many were committed.
    fn singly(&self, transactions: &[Transaction]) -> u64;

    /// Ends it, and says how often something was committed to it.
    fn end(self) -> u64;

    /// Opens the one in this folder once more, and says how many keys it has, and how often something was committed to it.
    fn count(folder: &Path) -> (u64, u64);
}

/// A hive, however durable.
pub struct Proposing {
    hive: Hive,
    keys: Vec<Key>,
    proposed: AtomicU64,
}

/// The keys of hives: as many as are asked for.
pub fn keys(count: u64) -> Vec<Key> {
    (0..count).map(|n| Key::new(format!("k/{n}")).expect("a plain path")).collect()
}

impl Proposing {
    /// One on a log, or on none.
    pub fn on(log: Option<impl CommitLog + 'static>, count: u64) -> Self {
        let base = keys(count).into_iter().map(|key| (key, 0.into()));
        let hive = Hive::builder().base(base).keep_rounds(16);
        let hive = match log {
            Some(log) => hive.log(log),
            None => hive,
        };
        Proposing::of(hive.build().expect("a thread can be started"), count)
    }

    /// Proposals for a hive that has so many keys.
    pub fn of(hive: Hive, count: u64) -> Self {
        Proposing { hive, keys: keys(count), proposed: AtomicU64::new(0) }
    }

    /// The hive.
    pub fn hive(&self) -> &Hive {
        &self.hive
    }

    /// The next proposals, whose ids are those of no others before.
    pub fn proposals(&self, transactions: &[Transaction]) -> Vec<Proposal> {
        let snapshot = self.hive.snapshot();
        let first = self.proposed.fetch_add(transactions.len() as u64, Ordering::Relaxed);
        let propose = |(one, number): (&Transaction, u64)| {
            let mut proposal = Proposal::on(&snapshot, "bench", number.to_string());
            let key = |place: u32| self.keys[place as usize].clone();
            let writes = one.writes.map(|place| (key(place), Op::Set((number as i64).into())));
            proposal.writes.extend(writes);
            proposal
        };
        transactions.iter().zip(first..).map(propose).collect()
    }

    /// As [`Store::batch`].
    pub fn batch(&self, transactions: &[Transaction]) -> u64 {
        let tickets = self.hive.propose_many(self.proposals(transactions));
        let outcomes = tickets.expect("the queen is there").wait();
        assert_eq!(outcomes.len(), transactions.len(), "each is answered");
        outcomes.iter().map(committed).sum()
    }

    /// As [`Store::singly`].
    pub fn singly(&self, transactions: &[Transaction]) -> u64 {
        let propose = |proposal| self.hive.propose(proposal).expect("the queen is there");
        let tickets: Vec<_> = self.proposals(transactions).into_iter().map(propose).collect();
        tickets.into_iter().map(|ticket| committed(&ticket.wait())).sum()
    }
}

fn committed(outcome: &Outcome) -> u64 {
    assert!(
        matches!(outcome, Outcome::Committed { .. } | Outcome::Conflict { .. }),
        "nothing else can happen: {outcome:?}"
    );
    u64::from(outcome.is_committed())
}

/// Ours: a hive on a durable log.
pub struct Ours(Proposing);

impl Store for Ours {
    const NAME: &'static str = "queenright hive, DiskLog";

    fn new(folder: &Path, keys: u64) -> Self {
        let log = DiskLog::options().durability(Durability::Durable).open(folder);
        Ours(Proposing::on(Some(log.expect("the folder is empty")), keys))
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        self.0.batch(transactions)
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        self.0.singly(transactions)
    }

    fn end(self) -> u64 {
        self.0.hive.version().0
    }

    fn count(folder: &Path) -> (u64, u64) {
        let log = DiskLog::open(folder).expect("it is whole");
        let hive = Hive::builder().log(log).build().expect("it can be restored");
        (hive.snapshot().len() as u64, hive.version().0)
    }
}

/// What the thread of a database is asked to do: the transactions, and where the answer goes.
type Order = (Vec<Transaction>, channel::Sender<u64>);

/// A table of keys and values, and one of events, in write-ahead mode. A thread owns it, and does all that was asked for meanwhile in
/// one transaction. Nothing ever conflicts: the later write stands.
pub struct Sqlite {
    orders: Option<channel::Sender<Order>>,
    thread: Option<JoinHandle<u64>>,
}

/// So many orders are done together at most.
const TOGETHER: usize = 4096;

fn commit(connection: &mut Connection, orders: &[Order], commits: u64) {
    let transaction = connection.transaction().expect("none is open");
    let upsert =
        "INSERT INTO keys (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
    let mut upsert = transaction.prepare_cached(upsert).expect("the table is there");
    let mut event = Vec::new();
    for one in orders.iter().flat_map(|(transactions, _)| transactions) {
        for place in one.writes {
            let key = format!("k/{place}");
            upsert.execute((&key, commits)).expect("any key will do");
            event.extend_from_slice(key.as_bytes());
        }
    }
    drop(upsert);
    let insert = "INSERT INTO events (number, what) VALUES (?1, ?2)";
    let mut insert = transaction.prepare_cached(insert).expect("the table is there");
    insert.execute((commits, event)).expect("the number is new");
    drop(insert);
    transaction.commit().expect("the disk has room");
}

const DATABASE: &str = "keys.db";

impl Sqlite {
    fn submit(&self, transactions: &[Transaction]) -> channel::Receiver<u64> {
        let (sender, receiver) = channel::bounded(1);
        let orders = self.orders.as_ref().expect("open until it is ended");
        orders.send((transactions.to_vec(), sender)).expect("the thread lives as long");
        receiver
    }
}

impl Store for Sqlite {
    const NAME: &'static str = "SQLite (WAL, synchronous=FULL) behind a thread";

    fn new(folder: &Path, keys: u64) -> Self {
        let mut connection = durable_sqlite(&folder.join(DATABASE));
        let tables =
            "CREATE TABLE keys (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
             CREATE TABLE events (number INTEGER PRIMARY KEY, what BLOB NOT NULL)";
        connection.execute_batch(tables).expect("the database is empty");
        let filling = connection.transaction().expect("none is open");
        for number in 0..keys {
            let insert = filling.prepare_cached("INSERT INTO keys (key, value) VALUES (?1, 0)");
            insert
                .expect("the table is there")
                .execute([format!("k/{number}")])
                .expect("it is new");
        }
        filling.commit().expect("the disk has room");
        let (orders, queue) = channel::bounded::<Order>(TOGETHER);
        let thread = std::thread::spawn(move || {
            let mut commits = 0;
            while let Ok(order) = queue.recv() {
                let mut together = vec![order];
                together.extend(queue.try_iter().take(TOGETHER - 1));
                commits += 1;
                commit(&mut connection, &together, commits);
                for (transactions, answer) in together {
                    // Whoever asked may have gone.
                    let _ = answer.send(transactions.len() as u64);
                }
            }
            commits
        });
        Sqlite { orders: Some(orders), thread: Some(thread) }
    }

    fn batch(&self, transactions: &[Transaction]) -> u64 {
        self.submit(transactions).recv().expect("each is answered")
    }

    fn singly(&self, transactions: &[Transaction]) -> u64 {
        let answers: Vec<_> = transactions.iter().map(|one| self.submit(&[*one])).collect();
        answers.iter().map(|answer| answer.recv().expect("each is answered")).sum()
    }

    fn end(mut self) -> u64 {
        self.orders = None;
        let thread = self.thread.take().expect("it is ended once");
        thread.join().expect("it has not panicked")
    }

    fn count(folder: &Path) -> (u64, u64) {
        let connection = Connection::open(folder.join(DATABASE)).expect("it is there");
        let count = |table: &str| {
            let count = format!("SELECT count(*) FROM {table}");
            connection.query_row(&count, [], |row| row.get(0)).expect("the table is there")
        };
        (count("keys"), count("events"))
    }
}
