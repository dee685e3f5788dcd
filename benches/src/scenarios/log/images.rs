//! Images of whole states.

use std::path::Path;
use std::sync::Arc;

use queenright::log::{Archive, CommitLog as _, DiskLog, Image};
use queenright::{Digest, State, Version};
use queenright_measure::{Case, Contender, Sampler, Side};
use rusqlite::{Connection, MAIN_DB};

use super::{is_tried, on_disk};
use crate::peers::log::keys::keys;
use crate::scratch::Scratch;

#[derive(Clone, Copy)]
enum Work {
    Encode,
    Write,
    Read,
    Size,
}

pub(super) fn cases(quick: bool) -> Vec<Case> {
    let sizes: &[u64] = if quick || is_tried() { &[10_000] } else { &[10_000, 100_000, 1_000_000] };
    let mut cases = Vec::new();
    for work in [Work::Encode, Work::Write, Work::Read, Work::Size] {
        for &count in sizes {
            let case = match work {
                Work::Encode => Case::nanoseconds().param("work", "encoded"),
                Work::Write => on_disk(
                    Case::nanoseconds().param("work", "encoded, packed and written durably"),
                ),
                Work::Read => {
                    on_disk(Case::nanoseconds().param("work", "read back, unpacked and decoded"))
                }
                Work::Size => Case::count("bytes").param("work", "size of the file"),
            };
            cases.push(case.axis("keys", count).contenders(move || contenders(work, count)));
        }
    }
    cases
}

fn contenders(work: Work, count: u64) -> Vec<Contender> {
    let mut all = vec![Contender::made("queenright image", Side::Ours, move || ours(work, count))];
    // It promises the same; but its pages need not be decoded, and are found one by one.
    match work {
        Work::Encode => {
            all.push(Contender::made("clone into a BTreeMap", Side::Beside, move || {
                let state = state(count);
                move |sampler: &mut Sampler<'_>| {
                    sampler.each(|| {
                        let all = state.iter().map(|(key, entry)| (key.clone(), entry.clone()));
                        all.collect::<std::collections::BTreeMap<_, _>>()
                    });
                }
            }))
        }
        Work::Size => {
            all.push(Contender::made("the same, not packed", Side::Beside, move || {
                let image = Image::of(&state(count), Digest::default());
                move |sampler: &mut Sampler<'_>| sampler.value(image.bytes.len() as f64)
            }));
            all.push(Contender::made("SQLite backup", Side::Beside, move || sqlite(work, count)));
        }
        _ => all.push(Contender::made("SQLite backup", Side::Beside, move || sqlite(work, count))),
    }
    all
}

fn state(count: u64) -> State {
    State::base(keys(count).into_iter().zip(0_i64..).map(|(key, n)| (key, n.into())))
}

fn size(folder: &Path, name: &str) -> f64 {
    let files = std::fs::read_dir(folder).expect("the folder is there");
    let of = |file: std::fs::DirEntry| match file.file_name().to_string_lossy().ends_with(name) {
        true => file.metadata().expect("the file is there").len(),
        false => 0,
    };
    files.map(|file| of(file.expect("the folder can be read"))).sum::<u64>() as f64
}

fn ours(work: Work, count: u64) -> impl FnMut(&mut Sampler<'_>) {
    let folder = Scratch::new();
    let state = state(count);
    let image = Image::of(&state, Digest::default());
    let log = DiskLog::open(folder.path()).expect("the folder is empty");
    let archive: Arc<dyn Archive> = log.archive();
    archive.keep_image(&image).expect("the disk has room");
    let mut is_checked = false;
    move |sampler| {
        let read = || {
            let read = archive.image(Version(0)).expect("it is whole").expect("there is one");
            let state = read.state().expect("it is one");
            (read, state)
        };
        match work {
            Work::Encode => sampler.each(|| Image::of(&state, Digest::default())),
            Work::Write => sampler.each(|| {
                let image = Image::of(&state, Digest::default());
                archive.keep_image(&image).expect("the disk has room");
            }),
            Work::Read => sampler.each(read),
            Work::Size => sampler.value(size(folder.path(), ".image")),
        }
        // Once: it takes as long as the work.
        if !std::mem::replace(&mut is_checked, true) {
            let (read, again) = read();
            assert!(read == image, "the same bytes");
            assert!(Image::of(&again, Digest::default()) == image, "the same state");
            assert_eq!(again.len() as u64, count);
        }
    }
}

const COPY: &str = "copy.db";

fn sqlite(work: Work, count: u64) -> impl FnMut(&mut Sampler<'_>) {
    let folder = Scratch::new();
    let mut source = Connection::open_in_memory().expect("there is memory");
    let table =
        "CREATE TABLE keys (key TEXT PRIMARY KEY, value INTEGER NOT NULL, version INTEGER NOT NULL,
         writer TEXT NOT NULL, operator INTEGER NOT NULL) WITHOUT ROWID";
    source.execute_batch(table).expect("the database is empty");
    let filling = source.transaction().expect("none is open");
    for number in 0..count {
        let insert = "INSERT INTO keys VALUES (?1, ?2, 0, 'base', 0)";
        let mut insert = filling.prepare_cached(insert).expect("the table is there");
        insert.execute((format!("k/{number}"), number)).expect("it is new");
    }
    filling.commit().expect("there is memory");
    let copy = folder.path().join(COPY);
    source.backup(MAIN_DB, &copy, None::<fn(_)>).expect("the disk has room");
    move |sampler| {
        let sum = |connection: &Connection| -> (u64, u64) {
            let sum = "SELECT count(*), sum(value) FROM keys";
            let sum = connection.query_row(sum, [], |row| Ok((row.get(0)?, row.get(1)?)));
            sum.expect("the table is there")
        };
        let read = || {
            let mut memory = Connection::open_in_memory().expect("there is memory");
            memory.restore(MAIN_DB, &copy, None::<fn(_)>).expect("it is whole");
            memory
        };
        match work {
            Work::Encode => {}
            Work::Write => sampler.each(|| {
                source.backup(MAIN_DB, &copy, None::<fn(_)>).expect("the disk has room");
            }),
            Work::Read => sampler.each(read),
            Work::Size => sampler.value(size(folder.path(), COPY)),
        }
        assert_eq!(sum(&read()), (count, count * (count - 1) / 2), "all is there");
    }
}
