//! A log in files. `docs/LOG.md` says what is where, byte by byte.
//!
//! Records are appended to the last of several segments, a frame for each sync. A manifest, which is replaced as a whole, says which segments
//! there are. Nothing is ever synced again on a file on which a sync may have failed: whoever opens the log copies its last frames
//! to a new segment first.

mod files;
mod frame;
mod image;
mod manifest;
mod open;
mod read;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use queenright_primitives::Version;

use self::files::doing;
use self::frame::Salt;
use self::manifest::{Listed, Manifest};
pub use self::open::{Opening, Torn};
pub use self::read::{DiskReader, Verified};
use super::points;
use super::{Archive, CommitLog, Entries, Entry, Image, LogError};
use crate::encoding::Digest;
use crate::lock::lock;

/// What an answer promises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// It survives the loss of power: each append is synced. At most what was not answered is lost.
    #[default]
    Durable,
    /// It survives the end of the process, `kill -9` included: each append is given to the system. What the system had not written is
    /// lost with the power.
    Flush,
    /// It survives nothing: appends are gathered and written from time to time. What was not written is lost with the process.
    Memory,
}

/// How much of the past is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keep {
    /// All of it.
    #[default]
    Everything,
    /// At least the last so many rounds, and what is needed to replay them.
    Rounds(u64),
    /// At least the last so many bytes of records, and what is needed to replay them.
    Bytes(u64),
}

/// How a [`DiskLog`] is opened; see [`DiskLog::options`].
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open` is called"]
pub struct DiskLogOptions {
    durability: Durability,
    keep: Keep,
    segment: u64,
    image: u64,
}

impl Default for DiskLogOptions {
    fn default() -> Self {
        DiskLogOptions {
            durability: Durability::Durable,
            keep: Keep::Everything,
            segment: 32 << 20,
            image: 16 << 20,
        }
    }
}

impl DiskLogOptions {
    /// What an answer promises. Default: [`Durability::Durable`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How much of the past is kept. Default: [`Keep::Everything`].
    pub fn keep(mut self, keep: Keep) -> Self {
        self.keep = keep;
        self
    }

    /// After how many bytes another segment is begun. Default: 32 MiB.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment = bytes;
        self
    }

    /// After how many bytes of records another image is written; but never before as many as the last image has. Default: 16 MiB.
    pub fn image_bytes(mut self, bytes: u64) -> Self {
        self.image = bytes;
        self
    }

    /// Opens the log in this folder, or makes one.
    ///
    /// # Errors
    /// [`LogError`] says which file is wrong, how, and what can be done. Nothing was changed then.
    pub fn open(self, folder: impl AsRef<Path>) -> Result<DiskLog, LogError> {
        open::open(folder.as_ref(), self)
    }
}

/// A log in files, open to be written: give it to [`HiveBuilder::log`](crate::HiveBuilder::log).
///
/// ```
/// use queenright::log::DiskLog;
/// use queenright::{Hive, Op, Proposal};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("log");
/// let hive = Hive::builder().log(DiskLog::open(&path)?).build()?;
/// let proposal = Proposal::on(&hive.snapshot(), "me", "first").write("answer", Op::Set(42.into()))?;
/// assert!(hive.propose(proposal)?.wait().is_committed());
/// drop(hive);
///
/// let again = Hive::builder().log(DiskLog::open(&path)?).build()?;
/// assert_eq!(again.snapshot().get("answer"), Some(&42.into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DiskLog {
    shared: Arc<Shared>,
    options: DiskLogOptions,
    opening: Opening,
    /// The segment that grows.
    file: File,
    salt: Salt,
    /// How long it is, with what is still to be written.
    length: u64,
    /// How far it is filled with zeros.
    filled: u64,
    last: Version,
    head: Digest,
    /// Why nothing is appended any more.
    failure: Option<LogError>,
    /// The frame that is written, whose memory is used again.
    frame: Vec<u8>,
    /// Frames that are to be written later, by [`Durability::Memory`].
    gathered: Vec<u8>,
    /// Bytes of records since the last image that was taken into account.
    since_image: u64,
}

/// How much is gathered before it is written.
const GATHER: usize = 1 << 20;
/// So many zeros are written after a frame where none are left, for the frames after it: a sync of bytes that the file has already
/// need not sync where they are as well.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// What writers and readers of a log share.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    keep: Keep,
    state: Mutex<Layout>,
    /// How large the last image was, unpacked.
    image: AtomicU64,
    /// Kept locked as long as somebody uses the log.
    _lock: File,
}

#[derive(Debug)]
struct Layout {
    manifest: Manifest,
    /// So many bytes of the last segment are as durable as was promised.
    length: u64,
    last: Version,
}

impl DiskLog {
    /// Opens the log in this folder, or makes one, with all [options](Self::options) as they are by default.
    ///
    /// # Errors
    /// [`LogError`] says which file is wrong, how, and what can be done.
    pub fn open(folder: impl AsRef<Path>) -> Result<DiskLog, LogError> {
        DiskLog::options().open(folder)
    }

    /// How a log is opened otherwise.
    pub fn options() -> DiskLogOptions {
        DiskLogOptions::default()
    }

    /// What was found when it was opened.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// Lets readers see all that was appended.
    fn can_be_read(&self) {
        let mut layout = self.shared.layout();
        (layout.length, layout.last) = (self.length, self.last);
    }

    /// Writes the frame that stands in `self.frame`.
    fn write_frame(&mut self, path: &Path) -> Result<(), LogError> {
        if self.options.durability == Durability::Memory {
            self.gathered.extend_from_slice(&self.frame);
            return match self.gathered.len() >= GATHER {
                true => self.write_gathered(path),
                false => Ok(()),
            };
        }
        points::at("log.append.before").map_err(doing("write", path))?;
        let (one, other) = self.frame.split_at(points::half(self.frame.len()));
        let file = &mut self.file;
        let written = file.write_all(one).and_then(|()| {
            points::at("log.append.half")?;
            file.write_all(other)?;
            points::at("log.append.written")
        });
        written.and_then(|()| self.fill()).map_err(doing("write", path))?;
        if self.options.durability == Durability::Durable {
            let synced = self.file.sync_data().and_then(|()| points::at("log.append.synced"));
            synced.map_err(doing("sync", path))?;
        }
        Ok(())
    }

    /// Fills the file behind the frame that was written, if it ends there.
    fn fill(&mut self) -> io::Result<()> {
        let room = self.options.segment.saturating_sub(self.length);
        if self.options.durability == Durability::Durable && self.length > self.filled && room > 0 {
            let zeros =
                usize::try_from(room).map_or(&ZEROS[..], |room| &ZEROS[..room.min(ZEROS.len())]);
            self.file.write_all(zeros)?;
            self.file.seek(SeekFrom::Start(self.length))?;
            self.filled = self.length + zeros.len() as u64;
        }
        Ok(())
    }

    /// Removes the zeros from the end of a file that is not written any more. They do no harm if they stay.
    fn without_zeros(&self) {
        if self.length < self.filled {
            let _ = self.file.set_len(self.length);
        }
    }

    fn write_gathered(&mut self, path: &Path) -> Result<(), LogError> {
        if !self.gathered.is_empty() {
            self.file.write_all(&self.gathered).map_err(doing("write", path))?;
            self.gathered.clear();
            self.can_be_read();
        }
        Ok(())
    }

    /// Begins another segment.
    fn roll(&mut self, path: &Path) -> Result<(), LogError> {
        self.write_gathered(path)?;
        self.without_zeros();
        if self.options.durability != Durability::Durable {
            self.file.sync_data().map_err(doing("sync", path))?;
        }
        let mut layout = self.shared.layout();
        let mut manifest = layout.manifest.clone();
        let number = manifest.last().number + 1;
        let first = self.last.next();
        let header = segment::Header {
            id: manifest.id,
            number,
            first,
            previous: self.head,
            salt: Salt(random()),
            term: manifest.term,
        };
        let file = segment::create(&self.shared.folder, &header, &[])?;
        points::at("log.roll.created").map_err(doing("create", path))?;
        if let Some(last) = manifest.segments.last_mut() {
            last.length = Some(self.length);
        }
        manifest.segments.push(Listed { number, first, length: None });
        manifest.write(&self.shared.folder)?;
        let length = segment::HEADER as u64;
        *layout = Layout { manifest, length, last: self.last };
        drop(layout);
        (self.file, self.salt) = (file, header.salt);
        (self.length, self.filled) = (length, length);
        Ok(())
    }

    fn append_frame(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let too_large = || LogError::TooLarge { round: entries[0].round };
        frame::write(entries, self.term(), self.salt, &mut self.frame).ok_or_else(too_large)?;
        let mut path = self.growing();
        let is_full = self.length + self.frame.len() as u64 > self.options.segment;
        if is_full && self.length > segment::HEADER as u64 {
            self.roll(&path)?;
            frame::write(entries, self.term(), self.salt, &mut self.frame).ok_or_else(too_large)?;
            path = self.growing();
        }
        self.length += self.frame.len() as u64;
        self.write_frame(&path)
    }

    /// The segment that grows.
    fn growing(&self) -> PathBuf {
        files::segment(&self.shared.folder, self.shared.layout().manifest.last().number)
    }
}

impl CommitLog for DiskLog {
    fn term(&self) -> u64 {
        self.shared.layout().manifest.term
    }

    fn last(&self) -> Version {
        self.last
    }

    fn append(&mut self, expected: Version, entries: &[Entry]) -> Result<(), LogError> {
        let last = self.last;
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        if expected != last {
            return Err(LogError::OutOfSequence { last, expected });
        }
        let rounds = entries.iter().map(|entry| entry.round.0);
        if !rounds.eq(last.0 + 1..last.0 + 1 + entries.len() as u64) {
            let expected =
                entries.first().map_or(expected, |it| Version(it.round.0.saturating_sub(1)));
            return Err(LogError::OutOfSequence { last, expected });
        }
        let Some(end) = entries.last() else { return Ok(()) };
        if let Err(error) = self.append_frame(entries) {
            self.failure = Some(LogError::Failed);
            return Err(error);
        }
        (self.last, self.head) = (end.round, end.digest);
        self.since_image += self.frame.len() as u64;
        if self.gathered.is_empty() {
            self.can_be_read();
        }
        Ok(())
    }

    fn wants_image(&mut self) -> bool {
        // Relaxed: it orders nothing.
        let least = self.options.image.max(self.shared.image.load(Ordering::Relaxed));
        if self.since_image < least || self.failure.is_some() {
            return false;
        }
        self.since_image = 0;
        let path = self.growing();
        // An image is durable, so that its records have to be. Those of the segments before are.
        let written = self.write_gathered(&path).and_then(|()| match self.options.durability {
            Durability::Durable => Ok(()),
            _ => self.file.sync_data().map_err(doing("sync", &path)),
        });
        // It is told with the next append.
        self.failure = written.err();
        self.failure.is_none()
    }

    fn archive(&self) -> Arc<dyn Archive> {
        Arc::clone(&self.shared) as Arc<dyn Archive>
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        if self.failure.is_some() {
            return;
        }
        self.without_zeros();
        if self.options.durability != Durability::Durable {
            let path = self.growing();
            // What is lost then is what this way of writing may lose.
            let _ = self.write_gathered(&path);
            let _ = self.file.sync_data();
        }
    }
}

impl Shared {
    fn layout(&self) -> MutexGuard<'_, Layout> {
        lock(&self.state)
    }

    /// Removes what is not kept any more. A log that holds too much is as good as one that does not.
    fn compact(&self) -> Result<(), LogError> {
        let images = files::find(&self.folder)?.images;
        let mut layout = self.layout();
        let Some(first_kept) = self.first_kept(&layout, &images) else { return Ok(()) };
        let mut manifest = layout.manifest.clone();
        // A segment may go if the one after it begins with what is kept, or before.
        let needed = |place: &usize| match manifest.segments.get(place + 1) {
            Some(next) => next.first > first_kept.next(),
            None => true,
        };
        let from = (0..manifest.segments.len()).find(needed).unwrap_or(0);
        let gone: Vec<Listed> = manifest.segments.drain(..from).collect();
        if !gone.is_empty() {
            manifest.write(&self.folder)?;
            layout.manifest = manifest;
        }
        // The last two, of which the second is there in case that the first rots; the oldest that is needed; and some between, each of which will
        // be that one day.
        let mut before = first_kept;
        for (place, version) in images.iter().enumerate() {
            let is_needed = *version == first_kept
                || place + 2 >= images.len()
                || *version > before && self.is_enough(&layout, before, *version, 4);
            match is_needed {
                true => before = before.max(*version),
                false => files::forget(&files::image(&self.folder, *version)),
            }
        }
        drop(layout);
        for listed in gone {
            files::forget(&files::segment(&self.folder, listed.number));
        }
        Ok(())
    }

    /// The image with which what is kept begins: nothing before it is needed. The oldest, unless after a newer one there is as much as is to
    /// be kept.
    fn first_kept(&self, layout: &Layout, images: &[Version]) -> Option<Version> {
        // The newest may rot.
        let mut newest = images.iter().rev().skip(1).copied();
        newest.find(|it| self.is_enough(layout, *it, layout.last, 1)).or(images.first().copied())
    }

    /// Whether between two versions there is as much as is to be kept, or such a part of it.
    fn is_enough(&self, layout: &Layout, from: Version, to: Version, part: u64) -> bool {
        match self.keep {
            Keep::Everything => false,
            Keep::Rounds(rounds) => to.0.saturating_sub(from.0) >= rounds / part,
            Keep::Bytes(bytes) => {
                // All bytes of these segments are between the two, but some of the last one's.
                let between = |it: &&Listed| from < it.first && it.first <= to;
                let segments = layout.manifest.segments.iter().filter(between);
                segments.map(|it| it.length.unwrap_or(layout.length)).sum::<u64>() >= bytes / part
            }
        }
    }
}

impl Archive for Shared {
    fn after(&self, round: Version) -> Result<Entries, LogError> {
        let layout = self.layout();
        let (manifest, length) = (layout.manifest.clone(), layout.length);
        drop(layout);
        read::entries(&self.folder, manifest, Some(length), round)
    }

    fn image(&self, most: Version) -> Result<Option<Image>, LogError> {
        let id = self.layout().manifest.id;
        let image = read::image(&self.folder, id, most)?.map(|(image, _)| image);
        if let Some(image) = &image {
            // Relaxed: it orders nothing.
            self.image.store(image.bytes.len() as u64, Ordering::Relaxed);
        }
        Ok(image)
    }

    fn keep_image(&self, image: &Image) -> Result<(), LogError> {
        let id = self.layout().manifest.id;
        let path = files::image(&self.folder, image.version);
        files::replace(&path, &image::to_bytes(image, id))?;
        points::at("log.image.written").map_err(doing("write", &path))?;
        self.image.store(image.bytes.len() as u64, Ordering::Relaxed);
        self.compact()
    }
}

/// A number that nobody can foresee.
fn random() -> u64 {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(std::process::id().into());
    hasher.finish()
}

impl fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLog")
            .field("folder", &self.shared.folder)
            .field("last", &self.last.0)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
