//! Every way in which the files of a small log can be wrong.

mod damage;
mod faults;
mod usage;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::*;

/// A folder in memory, if the system has one: these tests sync often, and are about what is read.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    }
    .unwrap()
}

/// A chain of entries, after one whose digest is `head`.
fn chain(head: &mut Digest, first: u64, contents: &[&str]) -> Vec<Entry> {
    let entry = |(content, round): (&&str, u64)| {
        let bytes = [&head.0[..], content.as_bytes()].concat();
        *head = Digest(*blake3::hash(&bytes).as_bytes());
        Entry { round: Version(round), digest: *head, bytes }
    };
    contents.iter().zip(first..).map(entry).collect()
}

/// What a log was given.
#[derive(Default)]
struct Written {
    entries: Vec<Entry>,
    head: Digest,
}

impl Written {
    fn last(&self) -> Version {
        Version(self.entries.len() as u64)
    }

    /// Appends a frame.
    fn append(&mut self, log: &mut DiskLog, contents: &[&str]) {
        let last = self.last();
        let entries = chain(&mut self.head, last.0 + 1, contents);
        log.append(last, &entries).unwrap();
        self.entries.extend(entries);
    }

    fn image(&self) -> Image {
        let bytes = format!("image of {}", self.last()).into_bytes();
        Image { version: self.last(), head: self.head, bytes }
    }
}

/// Everything after a version.
fn read(log: &DiskLog, after: Version) -> Vec<Entry> {
    log.archive().after(after).unwrap().collect::<Result<_, _>>().unwrap()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for name in names(from) {
        fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

/// The names of all that is there, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let numbers = files::find(folder).unwrap().segments;
    numbers.into_iter().map(|number| files::segment(folder, number)).collect()
}

/// A log of three segments with two images, closed.
fn small_log(folder: &Path) -> Written {
    let mut written = Written::default();
    let mut log = DiskLog::options().segment_bytes(420).open(folder).unwrap();
    log.archive().keep_image(&written.image()).unwrap();
    written.append(&mut log, &["one"]);
    written.append(&mut log, &["two", "three, which is a bit longer"]);
    written.append(&mut log, &["four"]);
    written.append(&mut log, &["five"]);
    log.archive().keep_image(&written.image()).unwrap();
    written.append(&mut log, &["six", "seven"]);
    written.append(&mut log, &["eight"]);
    written.append(&mut log, &["nine"]);
    written.append(&mut log, &["ten", "eleven"]);
    drop(log);
    assert_eq!(segments(folder).len(), 3, "{:?}", names(folder));
    written
}
