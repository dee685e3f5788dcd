//! Files that hold what a hive remembers at one version, so that nobody has to read the log from its beginning.

use std::fs;
use std::io;
use std::path::Path;

use queenright_primitives::Version;

use super::files::{self, doing};
use super::frame::{u32_at, u64_at};
use super::manifest::FORMAT;
use crate::encoding::Digest;
use crate::log::{Image, LogError};

const MAGIC: [u8; 8] = *b"\xf8QRIMAG\n";
const HEADER: usize = 84;
/// So much is compressed at a time.
const CHUNK: usize = 1 << 20;

/// The content of the file.
pub(super) fn to_bytes(image: &Image, id: u128) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    for chunk in image.bytes.chunks(CHUNK) {
        let compressed = lz4_flex::block::compress(chunk);
        // Both fit: a chunk is small, and what is compressed hardly larger.
        bytes.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(compressed.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&compressed);
    }
    let checksum = crc32fast::hash(&bytes[HEADER..]);
    let length = (bytes.len() - HEADER) as u64;
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..28].copy_from_slice(&id.to_le_bytes());
    bytes[28..36].copy_from_slice(&image.version.0.to_le_bytes());
    bytes[36..68].copy_from_slice(&image.head.0);
    bytes[68..76].copy_from_slice(&length.to_le_bytes());
    bytes[76..80].copy_from_slice(&checksum.to_le_bytes());
    let checksum = crc32fast::hash(&bytes[..80]);
    bytes[80..84].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads an image.
pub(super) fn read(folder: &Path, version: Version, id: u128) -> Result<Image, LogError> {
    let path = files::image(folder, version);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let what = "it was there when the log was opened".to_owned();
            return Err(LogError::Missing { path, what });
        }
        bytes => bytes.map_err(doing("read", &path))?,
    };
    let damaged = |offset: usize, what: &str| LogError::Damaged {
        path: path.clone(),
        offset: offset as u64,
        round: None,
        what: format!("{what}. Restore the file from a backup of the log's folder"),
    };
    let is_header = bytes.len() >= HEADER
        && bytes.starts_with(&MAGIC)
        && crc32fast::hash(&bytes[..80]) == u32_at(&bytes, 80);
    if !is_header {
        return Err(damaged(0, "the image's header is not whole"));
    }
    match u32_at(&bytes, 8) {
        FORMAT => {}
        found => return Err(LogError::UnknownFormat { path, found }),
    }
    let body = &bytes[HEADER..];
    if bytes[12..28] != id.to_le_bytes() || u64_at(&bytes, 28) != version.0 {
        return Err(damaged(0, "it is the image of another log, or of another version"));
    }
    if u64_at(&bytes, 68) != body.len() as u64 || crc32fast::hash(body) != u32_at(&bytes, 76) {
        return Err(damaged(HEADER, "the image is not as it was written"));
    }
    let mut head = Digest::default();
    head.0.copy_from_slice(&bytes[36..68]);
    let content = decompressed(body).ok_or_else(|| damaged(HEADER, "it cannot be unpacked"))?;
    Ok(Image { version, head, bytes: content })
}

fn decompressed(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    while !body.is_empty() {
        let (sizes, rest) = body.split_at_checked(8)?;
        let (length, packed) = (u32_at(sizes, 0) as usize, u32_at(sizes, 4) as usize);
        let (chunk, rest) = rest.split_at_checked(packed)?;
        if length > CHUNK {
            return None;
        }
        content.extend(lz4_flex::block::decompress(chunk, length).ok()?);
        body = rest;
    }
    Some(content)
}
