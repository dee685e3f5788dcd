//! Frames: what is written, and synced, at once. docs/LOG.md has them byte by byte.

use queenright_primitives::Version;

use crate::encoding::Digest;
use crate::log::Entry;

/// How a frame begins. These bytes are nowhere in UTF-8.
const MARKER: [u8; 4] = [0xf8, 0xfb, 0xfd, 0xfe];
/// The bytes of a frame's header.
pub(super) const HEADER: usize = 36;
/// The most bytes a frame's payload may have.
pub(super) const MOST: usize = 1 << 30;

/// What differs from segment to segment, and goes into each checksum: no frame of another segment, and nothing that somebody
/// wrote into a value, passes for a frame of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Salt(pub(super) u64);

impl Salt {
    pub(super) fn checksum(self, parts: &[&[u8]]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.0.to_le_bytes());
        parts.iter().for_each(|part| hasher.update(part));
        hasher.finalize()
    }
}

/// What a frame says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The round of its first record.
    pub(super) first: Version,
    /// How many records it holds; at least one.
    pub(super) count: u32,
    /// Under which term it was written.
    pub(super) term: u64,
    /// The bytes that follow the header.
    pub(super) length: usize,
    checksum: u32,
}

impl Header {
    /// The header that these bytes begin with, if they do.
    pub(super) fn read(bytes: &[u8], salt: Salt) -> Option<Header> {
        let bytes = bytes.get(..HEADER)?;
        let number = |at: usize| u32_at(bytes, at);
        let is_one = bytes.starts_with(&MARKER)
            && number(32) == salt.checksum(&[&bytes[..32]])
            && number(4) as usize <= MOST
            && number(16) > 0;
        is_one.then(|| Header {
            length: number(4) as usize,
            first: Version(u64_at(bytes, 8)),
            count: number(16),
            checksum: number(20),
            term: u64_at(bytes, 24),
        })
    }

    fn write(&self, salt: Salt) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MARKER);
        bytes[4..8].copy_from_slice(&(self.length as u32).to_le_bytes());
        bytes[8..16].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.count.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.term.to_le_bytes());
        let checksum = salt.checksum(&[&bytes[..32]]);
        bytes[32..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }
}

/// A frame that is as it was written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'b> {
    pub(super) header: Header,
    /// Its records, each after its length.
    payload: &'b [u8],
}

impl<'b> Frame<'b> {
    /// The frame that these bytes begin with, if it is whole.
    pub(super) fn read(bytes: &'b [u8], salt: Salt) -> Option<Frame<'b>> {
        let header = Header::read(bytes, salt)?;
        let payload = bytes.get(HEADER..)?.get(..header.length)?;
        let frame = Frame { header, payload };
        let is_whole = salt.checksum(&[payload]) == header.checksum
            && frame.records().count() as u64 == u64::from(header.count)
            && frame.records().map(|record| 4 + record.len()).sum::<usize>() == header.length;
        is_whole.then_some(frame)
    }

    /// How many bytes it takes.
    pub(super) fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// Its last round.
    pub(super) fn last(&self) -> Version {
        Version(self.header.first.0.saturating_add(u64::from(self.header.count) - 1))
    }

    /// Its records in order, as they were appended.
    pub(super) fn records(&self) -> impl Iterator<Item = &'b [u8]> + use<'b> {
        let mut left = self.payload;
        std::iter::from_fn(move || {
            let length = u32_at(left.get(..4)?, 0) as usize;
            let record = left.get(4..)?.get(..length)?;
            left = &left[4 + length..];
            Some(record)
        })
    }

    /// The same frame, for another segment.
    pub(super) fn copy_to(&self, salt: Salt, out: &mut Vec<u8>) {
        let header = Header { checksum: salt.checksum(&[self.payload]), ..self.header };
        out.extend_from_slice(&header.write(salt));
        out.extend_from_slice(self.payload);
    }
}

/// Writes a frame of these entries, of which there is at least one. `None` if they are too large for one.
pub(super) fn write(entries: &[Entry], term: u64, salt: Salt, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    out.resize(HEADER, 0);
    for entry in entries {
        let length = u32::try_from(entry.bytes.len()).ok()?;
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&entry.bytes);
    }
    let length = out.len() - HEADER;
    let header = Header {
        first: entries.first()?.round,
        count: u32::try_from(entries.len()).ok()?,
        term,
        length,
        checksum: salt.checksum(&[&out[HEADER..]]),
    };
    out[..HEADER].copy_from_slice(&header.write(salt));
    (length <= MOST).then_some(())
}

/// Where in these bytes a frame begins that was written after what is before it: its header is whole, whatever became of the rest.
pub(super) fn find(bytes: &[u8], salt: Salt, after: Version) -> Option<(usize, Header)> {
    let starts = bytes.windows(MARKER.len()).enumerate().filter(|(_, it)| *it == MARKER);
    let mut found = starts.filter_map(|(at, _)| Some((at, Header::read(&bytes[at..], salt)?)));
    found.find(|(_, header)| header.first > after)
}

/// The digest with which a record begins: that of the one before.
pub(super) fn previous(record: &[u8]) -> Option<Digest> {
    Some(Digest(record.get(..32)?.try_into().ok()?))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}
