//! Folders for what is measured on a disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An empty folder beside the program that runs, removed with all that is in it when this is dropped.
pub struct Scratch(PathBuf);

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    /// Makes one.
    pub fn new() -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = beside().join(format!("scratch-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder can be made beside the program");
        Scratch(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Scratch::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in a target directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn beside() -> PathBuf {
    let program = std::env::current_exe().expect("the program is a file");
    program.parent().expect("a file is in a folder").to_owned()
}

/// The kind of the file system that these folders are on, as Linux calls it.
///
/// # Panics
/// If it is none on a disk: what is synced there costs nothing.
pub fn file_system() -> String {
    let folder = beside();
    let Ok(mounts) = fs::read_to_string("/proc/mounts") else {
        return "an unknown file system".to_owned();
    };
    let kinds = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (words.next()?, words.next()?);
        folder.starts_with(place).then_some((place.len(), kind))
    });
    let kind = kinds.max_by_key(|(length, _)| *length).map_or("an unknown file system", |it| it.1);
    assert!(!["tmpfs", "ramfs"].contains(&kind), "{} is in memory", folder.display());
    kind.to_owned()
}
