//! Files of a log: their names, and how they are written so that they are there after a loss of power.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use queenright_primitives::Version;

use super::manifest;
use crate::log::LogError;
use crate::log::points;

const SEGMENT: &str = "segment";
const IMAGE: &str = "image";
/// What is not complete yet; nobody reads it.
const NEW: &str = "new";

pub(super) fn segment(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.{SEGMENT}"))
}

pub(super) fn image(folder: &Path, version: Version) -> PathBuf {
    folder.join(format!("{:016}.{IMAGE}", version.0))
}

/// What is in the folder of a log, by number, in order.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) segments: Vec<u64>,
    pub(super) images: Vec<Version>,
    /// Ours, left by somebody who was stopped while they were written.
    pub(super) unfinished: Vec<PathBuf>,
}

pub(super) fn find(folder: &Path) -> Result<Found, LogError> {
    let mut found = Found::default();
    for entry in fs::read_dir(folder).map_err(doing("list", folder))? {
        let path = entry.map_err(doing("list", folder))?.path();
        let ending = path.extension().and_then(|it| it.to_str());
        let number = || path.file_stem()?.to_str()?.parse::<u64>().ok();
        match (ending, number()) {
            (Some(SEGMENT), Some(number)) if segment(folder, number) == path => {
                found.segments.push(number);
            }
            (Some(IMAGE), Some(number)) if image(folder, Version(number)) == path => {
                found.images.push(Version(number));
            }
            (Some(NEW), Some(number))
                if image(folder, Version(number)).with_extension(NEW) == path =>
            {
                found.unfinished.push(path);
            }
            (Some(NEW), None) if folder.join(manifest::NAME).with_extension(NEW) == path => {
                found.unfinished.push(path);
            }
            _ => {}
        }
    }
    found.segments.sort_unstable();
    found.images.sort_unstable();
    Ok(found)
}

/// Writes a file as a whole, in the place of one that may be there: whoever looks finds the one or the other, also after a loss of
/// power.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), LogError> {
    let new = path.with_extension(NEW);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(content)?;
        points::at("log.replace.written")?;
        file.sync_all()
    });
    written.map_err(doing("write", &new))?;
    let renamed = points::at("log.replace.synced").and_then(|()| fs::rename(&new, path));
    renamed.map_err(doing("replace", path))?;
    sync_folder_of(path)
}

/// Makes durable which files are in a folder.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), LogError> {
    // Elsewhere folders cannot be opened, and their entries are as durable as the system makes them.
    if cfg!(unix)
        && let Some(folder) = path.parent()
    {
        // Of a name alone, where the process is.
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder).and_then(|it| it.sync_all()).map_err(doing("sync", folder))?;
    }
    Ok(())
}

/// Removes a file that is not needed any more. One that stays is found and removed when the log is opened next.
pub(super) fn forget(path: &Path) {
    let _ = fs::remove_file(path);
}

/// Says of an error what was done, and to which file.
pub(super) fn doing(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |error| LogError::Io { doing: what, path, kind: error.kind(), error: error.to_string() }
}
