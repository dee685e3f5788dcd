//! Reading a log, and looking whether it is as it was written.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::vec;

use queenright_primitives::Version;

use super::files;
use super::frame;
use super::manifest::{self, Manifest};
use super::open::Torn;
use super::segment::{Bad, Segment, Wanted, damaged};
use crate::encoding::Digest;
use crate::log::{Durability, Entries, Entry, Image, LogError};

/// Where a frame begins, and what is before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start {
    pub(super) at: usize,
    pub(super) first: Version,
    pub(super) previous: Digest,
}

/// A part of a log, up to its end, that was looked at and is whole.
pub(super) struct Scanned {
    /// The last segment, and the frames in it.
    pub(super) tail: Segment,
    pub(super) starts: Vec<Start>,
    /// Where the last of these ends.
    pub(super) end: usize,
    pub(super) last: Version,
    pub(super) head: Digest,
    pub(super) torn: Option<Torn>,
    /// How many bytes the frames after the version have.
    pub(super) bytes: u64,
}

/// Looks at everything after a version, whose digest is known or not.
pub(super) fn scan(
    folder: &Path,
    manifest: &Manifest,
    (from, known): (Version, Option<Digest>),
) -> Result<Scanned, LogError> {
    let place = holding(manifest, from)?;
    let mut before: Option<(Version, Digest)> = None;
    let mut after = 0;
    for (number, listed) in manifest.segments.iter().enumerate() {
        let (first, length) = (Some(listed.first), listed.length);
        let wanted = Wanted { id: manifest.id, number: listed.number, first, length };
        let segment = Segment::read(folder, wanted, number < place)?;
        if number < place {
            continue;
        }
        let follows = before.is_none_or(|before| {
            before == (Version(listed.first.0.saturating_sub(1)), segment.header.previous)
        });
        if !follows {
            return Err(damaged(
                &segment.path,
                0,
                first,
                "it does not follow the segment before it",
            ));
        }
        let mut head = segment.header.previous;
        is_known(&segment, 0, (segment.header.first.0.saturating_sub(1), head), from, known)?;
        let mut starts = Vec::new();
        let mut frames = segment.frames();
        for (at, frame) in frames.by_ref() {
            starts.push(Start { at, first: frame.header.first, previous: head });
            if frame.last() > from {
                after += frame.len() as u64;
            }
            for (record, round) in frame.records().zip(frame.header.first.0..) {
                if frame::previous(record) != Some(head) {
                    let what = "the record does not follow the one before it";
                    return Err(damaged(&segment.path, at as u64, Some(Version(round)), what));
                }
                head = Digest(*blake3::hash(record).as_bytes());
                is_known(&segment, at, (round, head), from, known)?;
            }
        }
        let (end, next) = (frames.at, frames.next);
        let bad = (end < segment.len()).then(|| segment.what_is_at(end, next));
        let torn = match (bad, listed.length) {
            (None, _) | (Some(Bad::Torn(0)), None) => None,
            // Where nothing was synced, whatever was written may be missing.
            (Some(Bad::Damaged(_)), None) if manifest.mode != Durability::Durable => {
                let bytes = (segment.len() - end) as u64;
                Some(Torn { path: segment.path.clone(), offset: end as u64, bytes })
            }
            (Some(Bad::Damaged(error)), _) => return Err(error),
            (Some(Bad::Torn(_)), Some(_)) => {
                let what = "a frame is not as it was written, but later segments are there";
                return Err(damaged(&segment.path, end as u64, Some(next), what));
            }
            (Some(Bad::Torn(bytes)), None) => {
                Some(Torn { path: segment.path.clone(), offset: end as u64, bytes: bytes as u64 })
            }
        };
        let last = Version(next.0 - 1);
        before = Some((last, head));
        if number + 1 == manifest.segments.len() {
            return Ok(Scanned { tail: segment, starts, end, last, head, torn, bytes: after });
        }
    }
    // A manifest lists at least one.
    Err(LogError::Other("the manifest lists no segment".to_owned()))
}

/// Refuses a history that does not go through what is known.
fn is_known(
    segment: &Segment,
    at: usize,
    (round, head): (u64, Digest),
    from: Version,
    known: Option<Digest>,
) -> Result<(), LogError> {
    match known {
        Some(known) if round == from.0 && known != head => {
            let what = "the image of that version was made of another record";
            Err(damaged(&segment.path, at as u64, Some(from), what))
        }
        _ => Ok(()),
    }
}

/// The place of the segment that holds what comes after a round.
fn holding(manifest: &Manifest, round: Version) -> Result<usize, LogError> {
    let holds = manifest.segments.iter().rposition(|listed| listed.first <= round.next());
    holds.ok_or_else(|| {
        LogError::Other(format!("what came after round {round} is not kept any more"))
    })
}

/// Reads what comes after a round, up to so many bytes of the last segment.
pub(super) fn entries(
    folder: &Path,
    manifest: Manifest,
    length: Option<u64>,
    after: Version,
) -> Result<Entries, LogError> {
    let place = holding(&manifest, after)?;
    let mut segments = manifest.segments;
    if let Some(last) = segments.last_mut() {
        last.length = length;
    }
    let wanted = segments.split_off(place).into_iter().map(move |listed| Wanted {
        id: manifest.id,
        number: listed.number,
        first: Some(listed.first),
        length: listed.length,
    });
    let wanted: Vec<_> = wanted.collect();
    Ok(Box::new(Reading {
        folder: folder.to_owned(),
        wanted: wanted.into_iter(),
        after,
        here: Vec::new().into_iter(),
    }))
}

struct Reading {
    folder: PathBuf,
    wanted: vec::IntoIter<Wanted>,
    after: Version,
    here: vec::IntoIter<Entry>,
}

impl Reading {
    fn segment(&self, wanted: Wanted) -> Result<Vec<Entry>, LogError> {
        let segment = Segment::read(&self.folder, wanted, false)?;
        let mut frames = segment.frames();
        let mut entries = Vec::new();
        for (_, frame) in frames.by_ref().filter(|(_, frame)| frame.last() > self.after) {
            let records = frame.records().zip(frame.header.first.0..);
            entries.extend(records.filter(|(_, round)| *round > self.after.0).map(
                |(record, round)| Entry {
                    round: Version(round),
                    digest: Digest(*blake3::hash(record).as_bytes()),
                    bytes: record.to_vec(),
                },
            ));
        }
        let (end, next) = (frames.at, frames.next);
        let bad = (end < segment.len()).then(|| segment.what_is_at(end, next));
        match (bad, wanted.length) {
            (Some(Bad::Damaged(error)), _) => Err(error),
            (Some(Bad::Torn(_)), Some(_)) => {
                let what = "a frame is not as it was written";
                Err(damaged(&segment.path, end as u64, Some(next), what))
            }
            (None | Some(Bad::Torn(_)), _) => Ok(entries),
        }
    }
}

impl Iterator for Reading {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.here.next() {
                return Some(Ok(entry));
            }
            let wanted = self.wanted.next()?;
            match self.segment(wanted) {
                Ok(entries) => self.here = entries.into_iter(),
                Err(error) => {
                    self.wanted = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The newest image of a version up to `most` that can be read, and what was wrong with newer ones.
pub(super) fn image(
    folder: &Path,
    id: u128,
    most: Version,
) -> Result<Option<(Image, Vec<LogError>)>, LogError> {
    let mut wrong = Vec::new();
    let mut most = Some(most);
    while let Some(at_most) = most {
        // Listed anew each time: a hive that has the log open removes images, and makes newer ones before.
        let images = files::find(folder)?.images;
        let Some(version) = images.into_iter().rfind(|version| *version <= at_most) else { break };
        match super::image::read(folder, version, id) {
            Ok(image) => return Ok(Some((image, wrong))),
            Err(LogError::Missing { .. }) => {}
            Err(error @ LogError::UnknownFormat { .. }) => return Err(error),
            Err(error) => {
                wrong.push(error);
                most = version.0.checked_sub(1).map(Version);
            }
        }
    }
    wrong.into_iter().next().map_or(Ok(None), Err)
}

/// Reads a log without writing anything, also while a hive writes it.
#[derive(Clone, Debug)]
pub struct DiskReader {
    folder: PathBuf,
    manifest: Manifest,
}

/// What [`DiskReader::verify`] has found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Verified {
    /// The first round that is kept; one more than the last, if none is.
    pub first: Version,
    /// The last.
    pub last: Version,
    /// The digest of the last record.
    pub head: Digest,
    /// How many files hold records.
    pub segments: usize,
    /// How often the log was opened to be written.
    pub term: u64,
    /// What was not written to its end. Whoever opens the log to write it leaves that out.
    pub torn: Option<Torn>,
    /// The versions of which there are images.
    pub images: Vec<Version>,
    /// Whether a hive has it open.
    pub in_use: bool,
}

impl DiskReader {
    /// Looks for a log in this folder.
    ///
    /// # Errors
    /// [`LogError`] if there is none, or its manifest cannot be read.
    pub fn open(folder: impl AsRef<Path>) -> Result<DiskReader, LogError> {
        let folder = folder.as_ref();
        match Manifest::read(folder)? {
            Some(manifest) => Ok(DiskReader { folder: folder.to_owned(), manifest }),
            None => Err(LogError::Missing {
                path: folder.join(manifest::NAME),
                what: "this is not the folder of a log, or a part of it was removed".to_owned(),
            }),
        }
    }

    /// Looks at every byte: that all files are there and as they were written, and that each record follows the one before.
    ///
    /// # Errors
    /// The first [`LogError`].
    pub fn verify(&self) -> Result<Verified, LogError> {
        self.or_anew(Self::verify_now)
    }

    /// A hive that has the log open may remove what is looked for meanwhile: then it is looked for in what the log is now.
    fn or_anew<R>(&self, look: impl Fn(&Self) -> Result<R, LogError>) -> Result<R, LogError> {
        let mut this = self.clone();
        loop {
            let error = match look(&this) {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let manifest = Manifest::read(&this.folder)?;
            match manifest {
                Some(manifest) if manifest != this.manifest => this.manifest = manifest,
                _ => return Err(error),
            }
        }
    }

    fn verify_now(&self) -> Result<Verified, LogError> {
        // Those that are made while this looks are of later rounds than it sees.
        let mut images = files::find(&self.folder)?.images;
        let before = Version(self.manifest.segments[0].first.0.saturating_sub(1));
        let scanned = scan(&self.folder, &self.manifest, (before, None))?;
        let mut gone = Vec::new();
        for version in &images {
            let image = match super::image::read(&self.folder, *version, self.manifest.id) {
                Err(LogError::Missing { .. }) => {
                    gone.push(*version);
                    continue;
                }
                image => image?,
            };
            if *version >= before {
                // Once more for each, of which there are few.
                scan(&self.folder, &self.manifest, (*version, Some(image.head)))?;
            }
            if *version > scanned.last {
                return Err(newer_image(&self.folder, *version, scanned.last));
            }
        }
        images.retain(|version| !gone.contains(version));
        let lock = File::open(self.folder.join(super::open::LOCK));
        let in_use = lock.is_ok_and(|lock| lock.try_lock_shared().is_err());
        Ok(Verified {
            first: before.next(),
            last: scanned.last,
            head: scanned.head,
            segments: self.manifest.segments.len(),
            term: self.manifest.term,
            torn: scanned.torn,
            images,
            in_use,
        })
    }

    /// The first round that is kept, be it still to come.
    pub fn first(&self) -> Version {
        self.manifest.segments[0].first
    }

    /// The versions of which there are images, in order.
    ///
    /// # Errors
    /// [`LogError`] if the folder cannot be listed.
    pub fn images(&self) -> Result<Vec<Version>, LogError> {
        Ok(files::find(&self.folder)?.images)
    }

    /// The records after a round.
    ///
    /// # Errors
    /// [`LogError`] if that is not kept; what goes wrong later, the iterator says.
    pub fn after(&self, round: Version) -> Result<Entries, LogError> {
        self.or_anew(|this| entries(&this.folder, this.manifest.clone(), None, round))
    }

    /// The newest image that is not of a later version than `most`.
    ///
    /// # Errors
    /// [`LogError`], if there are images, and none of them can be read.
    pub fn image(&self, most: Version) -> Result<Option<Image>, LogError> {
        Ok(image(&self.folder, self.manifest.id, most)?.map(|(image, _)| image))
    }
}

/// That records are gone.
pub(super) fn newer_image(folder: &Path, image: Version, last: Version) -> LogError {
    LogError::Missing {
        path: files::image(folder, image).with_extension(""),
        what: format!(
            "the log ends with round {last}, but there is an image of version {image}: restore the rounds after {last} \
             from a backup of the log's folder, or remove the image if they are to be given up"
        ),
    }
}
