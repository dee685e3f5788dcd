//! Logs: records that are durable when the append returns.

pub mod keys;

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use queenright::Version;
use queenright::log::{CommitLog as _, DiskLog, DiskReader, Durability, Entry, Image};
use rusqlite::Connection;

/// A log under comparison. All are given the same entries, and make each append durable before it returns.
pub trait Log: Sized + 'static {
    /// As it is called in reports.
    const NAME: &'static str;

    /// A new one in an empty folder.
    fn new(folder: &Path) -> Self;

    /// Appends entries, all or nothing, durably.
    fn append(&mut self, entries: &[Entry]);

    /// Opens the log in a folder once more, and counts its entries and their bytes.
    fn count(folder: &Path) -> (u64, u64);
}

/// Ours.
pub struct Ours(DiskLog);

impl Log for Ours {
    const NAME: &'static str = "queenright DiskLog";

    fn new(folder: &Path) -> Self {
        let log = DiskLog::options().durability(Durability::Durable).open(folder);
        let log = log.expect("the folder is empty");
        let image = Image { version: Version(0), head: Default::default(), bytes: Vec::new() };
        log.archive().keep_image(&image).expect("the disk has room");
        Ours(log)
    }

    fn append(&mut self, entries: &[Entry]) {
        let last = self.0.last();
        self.0.append(last, entries).expect("the disk has room");
    }

    fn count(folder: &Path) -> (u64, u64) {
        let reader = DiskReader::open(folder).expect("a log is there");
        reader.verify().expect("it is whole");
        let entries = reader.after(Version(0)).expect("all is kept");
        sum(entries.map(|entry| entry.expect("it is whole").bytes.len()))
    }
}

fn sum(lengths: impl Iterator<Item = usize>) -> (u64, u64) {
    lengths.fold((0, 0), |(count, bytes), length| (count + 1, bytes + length as u64))
}

/// One transaction an append, in write-ahead mode.
pub struct Sqlite(Connection);

/// A database whose transactions are durable when they are committed.
pub(super) fn durable_sqlite(path: &Path) -> Connection {
    let connection = Connection::open(path).expect("the folder is there");
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .expect("a new database takes any mode");
    assert_eq!(mode, "wal");
    connection.pragma_update(None, "synchronous", "FULL").expect("a known mode");
    connection
}

impl Log for Sqlite {
    const NAME: &'static str = "SQLite (WAL, synchronous=FULL)";

    fn new(folder: &Path) -> Self {
        let connection = durable_sqlite(&folder.join("log.db"));
        let table = "CREATE TABLE log (round INTEGER PRIMARY KEY, bytes BLOB NOT NULL)";
        connection.execute(table, []).expect("the database is empty");
        Sqlite(connection)
    }

    fn append(&mut self, entries: &[Entry]) {
        let transaction = self.0.transaction().expect("none is open");
        let insert = "INSERT INTO log (round, bytes) VALUES (?1, ?2)";
        let mut insert = transaction.prepare_cached(insert).expect("the table is there");
        for entry in entries {
            insert.execute((entry.round.0, &entry.bytes)).expect("the round is new");
        }
        drop(insert);
        transaction.commit().expect("the disk has room");
    }

    fn count(folder: &Path) -> (u64, u64) {
        let connection = Connection::open(folder.join("log.db")).expect("it is there");
        let sum = "SELECT count(*), sum(length(bytes)) FROM log";
        connection
            .query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("the table is there")
    }
}

/// One batch an append.
pub struct Fjall {
    database: Database,
    log: Keyspace,
}

impl Log for Fjall {
    const NAME: &'static str = "fjall (SyncData)";

    fn new(folder: &Path) -> Self {
        let database = Database::builder(folder).open().expect("the folder is empty");
        let log = database.keyspace("log", KeyspaceCreateOptions::default).expect("it is new");
        Fjall { database, log }
    }

    fn append(&mut self, entries: &[Entry]) {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for entry in entries {
            batch.insert(&self.log, entry.round.0.to_be_bytes(), entry.bytes.as_slice());
        }
        batch.commit().expect("the disk has room");
    }

    fn count(folder: &Path) -> (u64, u64) {
        let Fjall { log, .. } = Fjall::new(folder);
        sum(log.iter().map(|entry| entry.value().expect("it can be read").len()))
    }
}

/// A file to which frames with a checksum are appended: what the system costs. It is never looked at again, has no segments, and one
/// wrong byte is the end of it.
pub struct Raw {
    file: File,
    frame: Vec<u8>,
}

const RAW: &str = "raw";

impl Log for Raw {
    const NAME: &'static str = "one file, write and fdatasync";

    fn new(folder: &Path) -> Self {
        let file = File::create_new(folder.join(RAW)).expect("the folder is empty");
        file.sync_all().expect("the disk has room");
        Raw { file, frame: Vec::new() }
    }

    fn append(&mut self, entries: &[Entry]) {
        self.frame.clear();
        self.frame.extend_from_slice(&[0; 8]);
        for entry in entries {
            self.frame.extend_from_slice(&(entry.bytes.len() as u32).to_le_bytes());
            self.frame.extend_from_slice(&entry.bytes);
        }
        let length = (self.frame.len() - 8) as u32;
        let checksum = crc32fast::hash(&self.frame[8..]);
        self.frame[..4].copy_from_slice(&length.to_le_bytes());
        self.frame[4..8].copy_from_slice(&checksum.to_le_bytes());
        let written = self.file.write_all(&self.frame).and_then(|()| self.file.sync_data());
        written.expect("the disk has room");
    }

    fn count(folder: &Path) -> (u64, u64) {
        let bytes = std::fs::read(folder.join(RAW)).expect("it is there");
        let number = |at: usize| {
            let number = bytes[at..at + 4].try_into().expect("four bytes");
            u32::from_le_bytes(number) as usize
        };
        let (mut at, mut lengths) = (0, Vec::new());
        while at < bytes.len() {
            let end = at + 8 + number(at);
            assert_eq!(crc32fast::hash(&bytes[at + 8..end]) as usize, number(at + 4));
            at += 8;
            while at < end {
                lengths.push(number(at));
                at += 4 + number(at);
            }
        }
        sum(lengths.into_iter())
    }
}
