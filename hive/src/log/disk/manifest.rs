//! The file that says which segments a log has, and under which term it is written.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::str::{FromStr, SplitWhitespace};

use queenright_primitives::Version;

use super::files::{self, doing};
use crate::log::{Durability, LogError};

pub(super) const NAME: &str = "MANIFEST";
/// What this version of the code writes, and the latest that it reads.
pub(super) const FORMAT: u32 = 1;

/// What a log consists of. Replaced as a whole, so that it is either the one before or the one after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Manifest {
    /// Of the log, in all its files.
    pub(super) id: u128,
    /// Rises each time the log is opened to be written.
    pub(super) term: u64,
    /// How the last segment is written: what of it may not be durable.
    pub(super) mode: Durability,
    /// In order; at least one.
    pub(super) segments: Vec<Listed>,
}

/// A segment, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// By which its file is named. No two files of a log ever have the same.
    pub(super) number: u64,
    /// The round of its first record, be it still to come.
    pub(super) first: Version,
    /// So many bytes of it count; `None` for the last, which grows.
    pub(super) length: Option<u64>,
}

impl Manifest {
    /// The manifest of a log; `None` if it has none.
    pub(super) fn read(folder: &Path) -> Result<Option<Manifest>, LogError> {
        let path = folder.join(NAME);
        let text = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(doing("read", &path)(error)),
        };
        let damaged = |what: &str| LogError::Damaged {
            path: path.clone(),
            offset: 0,
            round: None,
            what: format!("{what}: restore it from a backup of the log's folder"),
        };
        let text = String::from_utf8(text).map_err(|_| damaged("the manifest is not text"))?;
        if let Some(found) = text.strip_prefix("queenright-log ").and_then(|it| it.lines().next())
            && let Ok(found) = u32::from_str(found)
            && found > FORMAT
        {
            return Err(LogError::UnknownFormat { path, found });
        }
        match Manifest::parse(&text) {
            // Whatever is read is exactly what would be written.
            Some(manifest) if manifest.to_text() == text => Ok(Some(manifest)),
            _ => Err(damaged("the manifest is not as it was written")),
        }
    }

    fn parse(text: &str) -> Option<Manifest> {
        let mode = Durability::Durable;
        let mut manifest = Manifest { id: 0, term: 0, mode, segments: Vec::new() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next()? {
                "id" => manifest.id = u128::from_str_radix(words.next()?, 16).ok()?,
                "term" => manifest.term = number(&mut words)?,
                "mode" => {
                    let name = words.next()?;
                    manifest.mode = MODES.into_iter().find(|mode| mode.1 == name)?.0;
                }
                "segment" => {
                    let (number, first) = (number(&mut words)?, Version(number(&mut words)?));
                    let length = match words.next() {
                        Some(length) => Some(length.parse().ok()?),
                        None => None,
                    };
                    manifest.segments.push(Listed { number, first, length });
                }
                _ => {}
            }
        }
        let (last, closed) = manifest.segments.split_last()?;
        let is_in_order = manifest
            .segments
            .windows(2)
            .all(|two| two[0].number < two[1].number && two[0].first < two[1].first);
        let is_one = is_in_order
            && last.length.is_none()
            && closed.iter().all(|segment| segment.length.is_some());
        is_one.then_some(manifest)
    }

    fn to_text(&self) -> String {
        let Manifest { id, term, mode, .. } = self;
        // Each has a name.
        let mode = MODES.iter().find(|it| it.0 == *mode).map_or("", |it| it.1);
        let mut text = format!(
            "queenright-log {FORMAT}
id {id:032x}
term {term}
mode {mode}
"
        );
        for Listed { number, first, length } in &self.segments {
            // Writing to a string does not fail.
            let _ = match length {
                Some(length) => writeln!(text, "segment {number} {first} {length}"),
                None => writeln!(text, "segment {number} {first}"),
            };
        }
        let checksum = crc32fast::hash(text.as_bytes());
        let _ = writeln!(text, "checksum {checksum:08x}");
        text
    }

    /// Puts it in the place of the one before, durably.
    pub(super) fn write(&self, folder: &Path) -> Result<(), LogError> {
        files::replace(&folder.join(NAME), self.to_text().as_bytes())
    }

    /// The segment that grows.
    pub(super) fn last(&self) -> Listed {
        // At least one is there, as it was read or made so.
        self.segments[self.segments.len() - 1]
    }
}

/// By their names.
const MODES: [(Durability, &str); 3] = [
    (Durability::Durable, "durable"),
    (Durability::Flush, "flush"),
    (Durability::Memory, "memory"),
];

fn number(words: &mut SplitWhitespace<'_>) -> Option<u64> {
    words.next()?.parse().ok()
}
