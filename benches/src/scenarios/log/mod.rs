//! The commit log: appends alone, whole hives on it, how it is opened again, and images.

mod hives;
mod images;
mod reopening;

use queenright::log::Entry;
use queenright::{Digest, Version};
use queenright_measure::{Case, Contender, Goal, Sampler, Scenario, Side};

use crate::peers::log::{Fjall, Log, Ours, Raw, Sqlite};
use crate::scratch::{Scratch, file_system};
use crate::workload::Random;

const SUITE: &str = "log";
/// Bytes of an entry.
const ENTRY: usize = 200;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            suite: SUITE,
            name: "commit_log",
            what: "one entry of 200 bytes of those that are appended and synced together, by the log alone",
            cases: appending,
        },
        Scenario {
            suite: SUITE,
            name: "commit_log_hive",
            what: "transactions that write two of 100,000 keys, from submission until they are durable and answered; of the accepted, or of all",
            cases: hives::durable,
        },
        Scenario {
            suite: SUITE,
            name: "commit_log_memory",
            what: "the same, 256 at a time, where nothing has to be durable: what the log's machinery costs",
            cases: hives::in_memory,
        },
        Scenario {
            suite: SUITE,
            name: "commit_log_reopen",
            what: "a log opened, and a hive on it restored and ready",
            cases: reopening::cases,
        },
        Scenario {
            suite: SUITE,
            name: "snapshot_restore",
            what: "a whole state made into an image, written durably, and read back",
            cases: images::cases,
        },
    ]
}

/// Whether criterion only tries what it would measure: then little is prepared.
fn is_tried() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

/// Says on which kind of file system a row was measured.
fn on_disk(case: Case) -> Case {
    let kind = file_system();
    case.note(format!("on {kind}").leak())
}

fn appending(_: bool) -> Vec<Case> {
    let case = |entries: usize| {
        let case = Case::nanoseconds().axis("entries", entries).contenders(move || {
            vec![
                appends::<Ours>(Side::Ours, entries),
                appends::<Sqlite>(Side::Peer, entries),
                appends::<Fjall>(Side::Peer, entries),
                appends::<Raw>(Side::Limit, entries),
            ]
        });
        on_disk(if entries == 256 { case.goal(Goal::TimesBest(1.3)) } else { case })
    };
    [1, 16, 256].map(case).into()
}

fn appends<L: Log>(side: Side, entries: usize) -> Contender {
    Contender::made(L::NAME, side, move || {
        let mut log = Checked::<L>::new();
        let mut chain = Chain::new();
        move |sampler: &mut Sampler<'_>| {
            sampler.each_per(
                entries as u64,
                || chain.next(entries),
                |entries| {
                    log.append(&entries);
                    entries
                },
            );
        }
    })
}

/// Entries, each of which begins with the digest of the one before.
struct Chain {
    last: Version,
    head: Digest,
    random: Random,
}

impl Chain {
    fn new() -> Self {
        Chain { last: Version(0), head: Digest::default(), random: Random::new(5) }
    }

    fn next(&mut self, count: usize) -> Vec<Entry> {
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> Entry {
        let mut bytes = Vec::with_capacity(ENTRY);
        bytes.extend_from_slice(&self.head.0);
        while bytes.len() < ENTRY {
            bytes.extend_from_slice(&self.random.number().to_le_bytes());
        }
        self.head = Digest(*blake3::hash(&bytes).as_bytes());
        self.last = self.last.next();
        Entry { round: self.last, digest: self.head, bytes }
    }
}

/// A log of which, in the end, everything is read back.
struct Checked<L: Log> {
    log: Option<L>,
    folder: Scratch,
    written: u64,
}

impl<L: Log> Checked<L> {
    fn new() -> Self {
        let folder = Scratch::new();
        Checked { log: Some(L::new(folder.path())), folder, written: 0 }
    }

    fn append(&mut self, entries: &[Entry]) {
        if let Some(log) = &mut self.log {
            log.append(entries);
            self.written += entries.len() as u64;
        }
    }
}

impl<L: Log> Drop for Checked<L> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        drop(self.log.take());
        let found = L::count(self.folder.path());
        assert_eq!(found, (self.written, self.written * ENTRY as u64), "{}: all is there", L::NAME);
    }
}
