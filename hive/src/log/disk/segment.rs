//! One file of a log: a header, and frames.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use queenright_primitives::Version;

use super::files::{self, doing};
use super::frame::{self, Frame, Salt, u32_at, u64_at};
use super::manifest::FORMAT;
use crate::encoding::Digest;
use crate::log::LogError;

const MAGIC: [u8; 8] = *b"\xf8QRSEGM\n";
/// The bytes of a segment's header.
pub(super) const HEADER: usize = 96;

/// How a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The log's.
    pub(super) id: u128,
    /// By which the file is named.
    pub(super) number: u64,
    /// The round of its first record, be it still to come.
    pub(super) first: Version,
    /// The digest of the record before that.
    pub(super) previous: Digest,
    pub(super) salt: Salt,
    /// Under which it was made.
    pub(super) term: u64,
}

impl Header {
    pub(super) fn write(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.id.to_le_bytes());
        bytes[28..36].copy_from_slice(&self.number.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[44..76].copy_from_slice(&self.previous.0);
        bytes[76..84].copy_from_slice(&self.salt.0.to_le_bytes());
        bytes[84..92].copy_from_slice(&self.term.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..92]);
        bytes[92..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// `Ok(None)` if there is none, or not a whole one.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<Header>, u32> {
        let Some(bytes) = bytes.get(..HEADER) else { return Ok(None) };
        if !bytes.starts_with(&MAGIC) || u32_at(bytes, 92) != crc32fast::hash(&bytes[..92]) {
            return Ok(None);
        }
        match u32_at(bytes, 8) {
            FORMAT => {}
            found => return Err(found),
        }
        let mut id = [0; 16];
        id.copy_from_slice(&bytes[12..28]);
        let mut previous = [0; 32];
        previous.copy_from_slice(&bytes[44..76]);
        Ok(Some(Header {
            id: u128::from_le_bytes(id),
            number: u64_at(bytes, 28),
            first: Version(u64_at(bytes, 36)),
            previous: Digest(previous),
            salt: Salt(u64_at(bytes, 76)),
            term: u64_at(bytes, 84),
        }))
    }
}

/// Makes the file of a segment, durably, with these frames in it.
pub(super) fn create(folder: &Path, header: &Header, frames: &[u8]) -> Result<File, LogError> {
    let path = files::segment(folder, header.number);
    let file = File::options().write(true).create_new(true).open(&path);
    let mut file = file.map_err(doing("create", &path))?;
    let written = file
        .write_all(&header.write())
        .and_then(|()| file.write_all(frames))
        .and_then(|()| file.sync_all())
        .map_err(doing("create", &path))
        .and_then(|()| files::sync_folder_of(&path));
    match written {
        Ok(()) => Ok(file),
        Err(error) => {
            // No manifest lists it.
            files::forget(&path);
            Err(error)
        }
    }
}

/// A segment in memory.
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    /// All that counts of it, header included.
    bytes: Vec<u8>,
}

/// What a segment is read for.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) id: u128,
    pub(super) number: u64,
    pub(super) first: Option<Version>,
    pub(super) length: Option<u64>,
}

impl Segment {
    /// Reads a segment, or only its header.
    pub(super) fn read(
        folder: &Path,
        wanted: Wanted,
        only_header: bool,
    ) -> Result<Segment, LogError> {
        let path = files::segment(folder, wanted.number);
        let missing = |_| LogError::Missing {
            path: path.clone(),
            what: "the manifest lists it: restore it from a backup of the log's folder".to_owned(),
        };
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(error)),
            file => file.map_err(doing("open", &path))?,
        };
        let length = file.metadata().map_err(doing("look at", &path))?.len();
        if wanted.length.is_some_and(|wanted| length < wanted) {
            return Err(damaged(&path, length, None, "it is shorter than the manifest says"));
        }
        let most = match only_header {
            true => HEADER as u64,
            false => wanted.length.unwrap_or(length),
        };
        let mut bytes = Vec::new();
        // A file may say that it is larger than any memory.
        let room = usize::try_from(most).ok().map(|most| bytes.try_reserve_exact(most));
        if !matches!(room, Some(Ok(()))) {
            return Err(damaged(&path, length, None, "it is larger than this machine's memory"));
        }
        file.take(most).read_to_end(&mut bytes).map_err(doing("read", &path))?;
        let header = match Header::read(&bytes) {
            Ok(Some(header)) => header,
            Ok(None) => return Err(damaged(&path, 0, wanted.first, "its header is not whole")),
            Err(found) => return Err(LogError::UnknownFormat { path, found }),
        };
        let other = |what| Err(damaged(&path, 0, wanted.first, what));
        if header.id != wanted.id {
            return other("it is of another log");
        }
        if header.number != wanted.number || wanted.first.is_some_and(|it| it != header.first) {
            return other("it is another segment of the log");
        }
        Ok(Segment { path, header, bytes })
    }

    /// Its frames, from the first on that is whole to the last before one that is not.
    pub(super) fn frames(&self) -> Frames<'_> {
        Frames { segment: self, at: HEADER, next: self.header.first }
    }

    /// How many of its bytes count.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The frames between two places.
    pub(super) fn between(&self, from: usize, to: usize) -> &[u8] {
        &self.bytes[from..to]
    }

    /// Says that it is damaged from there on, or, if nothing was written after it, that the frame there was never whole, or never
    /// begun.
    pub(super) fn what_is_at(&self, at: usize, next: Version) -> Bad {
        let rest = &self.bytes[at..];
        if rest.iter().all(|byte| *byte == 0) {
            return Bad::Torn(0);
        }
        match frame::find(rest, self.header.salt, next) {
            Some((_, header)) => Bad::Damaged(damaged(
                &self.path,
                at as u64,
                Some(next),
                &format!(
                    "a frame is not as it was written, but a later one is there, with round {}",
                    header.first
                ),
            )),
            None => Bad::Torn(rest.len()),
        }
    }
}

/// What is behind the last frame that is whole.
pub(super) enum Bad {
    /// So many bytes of a frame that was not written to its end, or has rotted: nothing tells these apart. 0 where nothing but zeros
    /// is, which were written ahead.
    Torn(usize),
    /// Something that was durable.
    Damaged(LogError),
}

/// That a file is damaged.
pub(super) fn damaged(path: &Path, offset: u64, round: Option<Version>, what: &str) -> LogError {
    let what = format!("{what}. Restore the file from a backup of the log's folder");
    LogError::Damaged { path: path.to_owned(), offset, round, what }
}

/// See [`Segment::frames`].
pub(super) struct Frames<'s> {
    segment: &'s Segment,
    /// Where the next begins.
    pub(super) at: usize,
    /// The round with which it begins.
    pub(super) next: Version,
}

impl<'s> Iterator for Frames<'s> {
    type Item = (usize, Frame<'s>);

    fn next(&mut self) -> Option<(usize, Frame<'s>)> {
        let bytes = self.segment.bytes.get(self.at..)?;
        let frame = Frame::read(bytes, self.segment.header.salt)?;
        if frame.header.first != self.next {
            return None;
        }
        let at = self.at;
        self.at += frame.len();
        self.next = frame.last().next();
        Some((at, frame))
    }
}

/// What a segment is that the manifest does not list, though it was made after those that it does.
pub(super) enum Stray {
    /// Somebody was stopped before anything was acknowledged that is only there.
    LeftOver,
    /// Nobody can say.
    Unreadable,
    /// It holds records that may have been acknowledged.
    Records,
}

/// Looks at a stray segment of a log with this id that was last opened under this term; `None` if there is no manifest.
pub(super) fn stray(
    folder: &Path,
    number: u64,
    log: Option<(u128, u64)>,
) -> Result<Stray, LogError> {
    let path = files::segment(folder, number);
    let bytes = fs::read(&path).map_err(doing("read", &path))?;
    let Ok(Some(header)) = Header::read(&bytes) else {
        let was_never_whole = bytes.len() < HEADER || bytes.iter().all(|byte| *byte == 0);
        return Ok(if was_never_whole { Stray::LeftOver } else { Stray::Unreadable });
    };
    // Whoever made it has not come to the manifest of that term, and until then nobody is told anything.
    let is_of_an_opening = log.is_some_and(|(id, term)| header.id == id && header.term > term);
    let segment = Segment { path, header, bytes };
    match is_of_an_opening || segment.frames().next().is_none() {
        true => Ok(Stray::LeftOver),
        false => Ok(Stray::Records),
    }
}
