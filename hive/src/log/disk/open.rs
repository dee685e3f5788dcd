//! Opening a log to write it.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use queenright_primitives::Version;

use super::files::{self, Found, doing};
use super::frame::{Frame, Salt};
use super::manifest::{Listed, Manifest};
use super::read::{self, Scanned, Start};
use super::segment::{self, Stray};
use super::{DiskLog, DiskLogOptions, Durability, Layout, Shared, manifest, random};
use crate::encoding::Digest;
use crate::log::LogError;

pub(super) const LOCK: &str = "LOCK";
/// How often it is looked whether the log is free, and how long it takes until it is looked again.
const LOOKS: u32 = 5;
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// How much of the last segment is copied at most, unless its last frame is larger.
const COPIED: usize = 1 << 20;

/// What was found when a log was opened.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Opening {
    /// The last round.
    pub last: Version,
    /// The version of the image from which its hive goes on.
    pub image: Option<Version>,
    /// What was left out at the end. Nobody was told that it is there, unless it has rotted since.
    pub torn: Option<Torn>,
    /// What was wrong with newer images, which are not needed.
    pub unusable_images: Vec<LogError>,
}

/// Bytes at the end of a log that are no frame: one that was not written to its end. One that has rotted looks the same.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Torn {
    /// In which file. They stay there, and do not count.
    pub path: PathBuf,
    /// From which byte on.
    pub offset: u64,
    /// How many; with the zeros behind them, if some were written ahead.
    pub bytes: u64,
}

pub(super) fn open(folder: &Path, options: DiskLogOptions) -> Result<DiskLog, LogError> {
    if !folder.is_dir() {
        fs::create_dir_all(folder).map_err(doing("create", folder))?;
        files::sync_folder_of(folder)?;
    }
    let mut lock = locked(folder)?;
    let found = files::find(folder)?;
    let (manifest, scanned, mut opening) = match Manifest::read(folder)? {
        Some(manifest) => {
            let (scanned, opening) = look_at(folder, &manifest)?;
            (manifest, Some(scanned), opening)
        }
        None => {
            refuse_what_is_left(folder, &found, &mut lock)?;
            let id = u128::from(random()) << 64 | u128::from(random());
            let mode = options.durability;
            (Manifest { id, term: 0, mode, segments: Vec::new() }, None, Opening::default())
        }
    };
    let last = scanned.as_ref().map_or(Version(0), |scanned| scanned.last);
    let log = scanned.as_ref().map(|_| (manifest.id, manifest.term));
    let newest = manifest.segments.last().map_or(0, |listed| listed.number);
    let mut not_ours = BTreeSet::new();
    for number in found.segments.iter().copied().filter(|number| *number > newest) {
        match segment::stray(folder, number, log)? {
            Stray::LeftOver => {}
            Stray::Unreadable => drop(not_ours.insert(number)),
            Stray::Records => {
                return Err(LogError::Missing {
                    path: folder.join(manifest::NAME),
                    what: format!(
                        "it should list {}, which holds records: the manifest is older than the log. Restore it from \
                         a backup of the log's folder",
                        files::segment(folder, number).display()
                    ),
                });
            }
        }
    }
    let taken = found.segments.iter().copied().chain([newest]).max().unwrap_or(0);
    let number = taken.checked_add(1).ok_or_else(|| {
        LogError::Other(format!("there is a segment of the number {taken}: remove that file"))
    })?;
    let salt = Salt(random());
    let tail = Tail::of(scanned.as_ref(), manifest.mode, salt);
    let term = manifest.term + 1;
    let (first, previous) = (tail.first, tail.previous);
    let header = segment::Header { id: manifest.id, number, first, previous, salt, term };
    let file = segment::create(folder, &header, &tail.frames)?;
    let mut segments = manifest.segments;
    if let Some(before) = segments.pop()
        && let Some(end) = tail.before
    {
        segments.push(Listed { length: Some(end), ..before });
    }
    segments.push(Listed { number, first: tail.first, length: None });
    let manifest = Manifest { id: manifest.id, term, mode: options.durability, segments };
    if let Err(error) = manifest.write(folder) {
        // Unless it is in place already.
        if Manifest::read(folder).is_ok_and(|there| there.as_ref() != Some(&manifest)) {
            files::forget(&files::segment(folder, number));
        }
        return Err(error);
    }
    write_id(&mut lock, manifest.id).map_err(doing("write", &folder.join(LOCK)))?;
    let listed: BTreeSet<u64> = manifest.segments.iter().map(|it| it.number).collect();
    let is_left_over = |number: &u64| !listed.contains(number) && !not_ours.contains(number);
    for number in found.segments.into_iter().filter(is_left_over) {
        files::forget(&files::segment(folder, number));
    }
    found.unfinished.iter().for_each(|path| files::forget(path));
    opening.last = last;
    let length = (segment::HEADER + tail.frames.len()) as u64;
    let since_image = scanned.as_ref().map_or(0, |scanned| scanned.bytes);
    let state = Mutex::new(Layout { manifest, length, last });
    let shared = Arc::new(Shared {
        folder: folder.to_owned(),
        keep: options.keep,
        state,
        image: AtomicU64::new(0),
        _lock: lock,
    });
    Ok(DiskLog {
        shared,
        options,
        opening,
        file,
        salt,
        length,
        filled: length,
        last,
        head: scanned.map_or_else(Digest::default, |scanned| scanned.head),
        failure: None,
        frame: Vec::new(),
        gathered: Vec::new(),
        since_image,
    })
}

fn locked(folder: &Path) -> Result<File, LogError> {
    let path = folder.join(LOCK);
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(doing("open", &path))?;
    // Whoever only looks whether it is in use has it for a moment.
    for _ in 0..LOOKS {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK_AGAIN),
            Err(TryLockError::Error(error)) => return Err(doing("lock", &path)(error)),
        }
    }
    Err(LogError::Locked { path: folder.to_owned() })
}

fn write_id(lock: &mut File, id: u128) -> std::io::Result<()> {
    lock.seek(SeekFrom::Start(0))?;
    lock.write_all(format!("{id:032x}\n").as_bytes())
}

/// Where there is no manifest there may have been a log.
fn refuse_what_is_left(folder: &Path, found: &Found, lock: &mut File) -> Result<(), LogError> {
    let mut id = String::new();
    // Whatever is not text is no id.
    let _ = lock.read_to_string(&mut id);
    let mut has_records = false;
    for number in &found.segments {
        has_records |= !matches!(segment::stray(folder, *number, None)?, Stray::LeftOver);
    }
    if !has_records && found.images.is_empty() && id.trim().is_empty() {
        return Ok(());
    }
    Err(LogError::Missing {
        path: folder.join(manifest::NAME),
        what: "other files of a log are here: restore it from a backup of the log's folder, or use an empty \
               folder to begin another log"
            .to_owned(),
    })
}

fn look_at(folder: &Path, manifest: &Manifest) -> Result<(Scanned, Opening), LogError> {
    let first = Version(manifest.segments[0].first.0.saturating_sub(1));
    let image = read::image(folder, manifest.id, Version(u64::MAX))?;
    let Some((image, unusable_images)) = image else {
        let scanned = read::scan(folder, manifest, (first, None))?;
        // It was not there yet when somebody was stopped.
        if (first, scanned.last) == (Version(0), Version(0)) {
            let torn = scanned.torn.clone();
            return Ok((scanned, Opening { torn, ..Opening::default() }));
        }
        return Err(LogError::Missing {
            path: files::image(folder, first),
            what: "without any image nobody knows from where the records go on: restore one from a backup of the \
                   log's folder"
                .to_owned(),
        });
    };
    if image.version < first {
        return Err(LogError::Missing {
            path: files::image(folder, first),
            what: format!(
                "the newest image that can be read is of version {}, and the records between are not kept. Restore \
                 a later one from a backup of the log's folder",
                image.version
            ),
        });
    }
    let scanned = read::scan(folder, manifest, (image.version, Some(image.head)))?;
    if image.version > scanned.last {
        return Err(read::newer_image(folder, image.version, scanned.last));
    }
    if let Some(newer) = unusable_images.iter().find_map(version_of).filter(|it| *it > scanned.last)
    {
        return Err(read::newer_image(folder, newer, scanned.last));
    }
    let torn = scanned.torn.clone();
    let opening =
        Opening { image: Some(image.version), torn, unusable_images, ..Opening::default() };
    Ok((scanned, opening))
}

/// Of which version an image is that cannot be read.
fn version_of(error: &LogError) -> Option<Version> {
    match error {
        LogError::Damaged { path, .. } => path.file_stem()?.to_str()?.parse().ok().map(Version),
        _ => None,
    }
}

/// The last frames of the segment that grew before. The last of them was in the file of which nobody knows whether it was synced.
struct Tail {
    frames: Vec<u8>,
    first: Version,
    previous: Digest,
    /// So much of that segment is left; `None` if nothing is.
    before: Option<u64>,
}

impl Tail {
    fn of(scanned: Option<&Scanned>, mode: Durability, salt: Salt) -> Tail {
        let Some(Scanned { tail, starts, end, last, head, .. }) = scanned else {
            let (first, previous) = (Version(1), Digest::default());
            return Tail { frames: Vec::new(), first, previous, before: None };
        };
        // Of what was never synced, nobody knows how much is durable.
        let from = match mode {
            Durability::Durable => {
                starts.iter().find(|start| end - start.at <= COPIED).or(starts.last())
            }
            _ => starts.first(),
        };
        let end_of_all = Start { at: *end, first: last.next(), previous: *head };
        let from = from.unwrap_or(&end_of_all);
        let mut frames = Vec::new();
        let mut bytes = tail.between(from.at, *end);
        while let Some(frame) = Frame::read(bytes, tail.header.salt) {
            frame.copy_to(salt, &mut frames);
            bytes = &bytes[frame.len()..];
        }
        let before = (from.at > segment::HEADER).then_some(from.at as u64);
        Tail { frames, first: from.first, previous: from.previous, before }
    }
}
