//! Owns the bytes of a record's header, and how a true header is told from stale or foreign bytes.
//! Knows no files. Always holds: a header is taken for one only at the position that it names, with the
//! journal's own salt under its checksum; so neither the last life of a recycled segment nor a stranger's mail
//! that looks like a record can be taken for one.
//!
//! Layout, little-endian: payload length u32, payload crc32c u32, magic `PH`, kind u8, zero u8, epoch u32,
//! position u64, durable_back u32, crc32c u32 of the 28 bytes before it, begun from the salt.

use crate::batch::{BATCH_BYTES_MAX, RECORD_HEADER_BYTES};
use crate::position::{Extent, Position, SegmentNo};

/// What all records of a journal have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Size of each segment in bytes.
    pub(crate) segment_bytes: u64,
    /// Random for each journal, begins each header's checksum.
    pub(crate) salt: u32,
    /// The epoch that new records get; older records have this or a lower one.
    pub(crate) epoch: u32,
}

impl Format {
    /// Position of the first byte of a segment.
    pub(crate) fn start(&self, segment: SegmentNo) -> Position {
        Position(segment.0 * self.segment_bytes)
    }

    /// The segment of a position.
    pub(crate) fn segment_of(&self, position: Position) -> SegmentNo {
        SegmentNo(position.0 / self.segment_bytes)
    }

    /// Offset of a position in its segment's file.
    pub(crate) fn offset(&self, position: Position) -> u64 {
        position.0 % self.segment_bytes
    }

    /// Whether segments may have this size.
    pub(crate) fn allows(segment_bytes: u64) -> bool {
        (SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment_bytes) && segment_bytes.is_multiple_of(4096)
    }

    /// Bytes of a segment that records may take; the rest is left for the seal.
    pub(crate) fn room_in_segment(&self) -> u64 {
        self.segment_bytes - RECORD_HEADER_BYTES as u64
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) len: u32,
    pub(crate) payload_crc: u32,
    pub(crate) epoch: u32,
    pub(crate) position: Position,
    /// Everything in this segment up to `position - durable_back` was synced before this record was written.
    pub(crate) durable_back: u32,
}

impl Header {
    /// The seal that ends a segment.
    pub(crate) fn seal(format: &Format, position: Position, durable_back: u32) -> Header {
        Header { kind: SEAL, len: 0, payload_crc: 0, epoch: format.epoch, position, durable_back }
    }

    /// Whether the segment ends here.
    pub(crate) fn ends_segment(&self) -> bool {
        self.kind == SEAL || self.kind == STOPGAP
    }

    /// Bytes of header and payload.
    pub(crate) fn total(&self) -> usize {
        RECORD_HEADER_BYTES + self.len as usize
    }

    /// Where the record is.
    pub(crate) fn extent(&self) -> Extent {
        Extent { position: self.position, len: self.len }
    }

    /// Whether this is the payload that was written under this header.
    pub(crate) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() == self.len as usize && crc32c::crc32c(payload) == self.payload_crc
    }

    /// Writes the header into the first [`RECORD_HEADER_BYTES`] of `to`.
    pub(crate) fn encode(&self, format: &Format, to: &mut [u8]) {
        to[0..4].copy_from_slice(&self.len.to_le_bytes());
        to[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        to[8..10].copy_from_slice(&MAGIC);
        to[10] = self.kind;
        to[11] = 0;
        to[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        to[16..24].copy_from_slice(&self.position.0.to_le_bytes());
        to[24..28].copy_from_slice(&self.durable_back.to_le_bytes());
        let crc = crc32c::crc32c_append(format.salt, &to[..CHECKED_BYTES]);
        to[28..32].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header in the first [`RECORD_HEADER_BYTES`] of `bytes`, if it is a true one for `position`.
    pub(crate) fn decode(format: &Format, position: Position, bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        let u32_at = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let place = u64::from(u32_at(16)) | u64::from(u32_at(20)) << 32;
        if bytes[8..10] != MAGIC || place != position.0 {
            return None;
        }
        let header = Header {
            kind: bytes[10],
            len: u32_at(0),
            payload_crc: u32_at(4),
            epoch: u32_at(12),
            position,
            durable_back: u32_at(24),
        };
        let offset = format.offset(position);
        let true_one = u32_at(28) == crc32c::crc32c_append(format.salt, &bytes[..CHECKED_BYTES])
            && header.kind != 0
            && header.total() <= BATCH_BYTES_MAX
            && offset + header.total() as u64 <= format.segment_bytes
            && u64::from(header.durable_back) <= offset
            && header.epoch <= format.epoch;
        true_one.then_some(header)
    }
}

const SEGMENT_BYTES_MIN: u64 = 8 << 10;
const SEGMENT_BYTES_MAX: u64 = 1 << 30;

/// The running checksum behind one more header. Without the header's own checksum: a checksum over bytes and their checksum is the
/// same whatever the bytes are.
pub(crate) fn chain(chain: u32, header: &[u8]) -> u32 {
    crc32c::crc32c_append(chain, &header[..CHECKED_BYTES])
}

/// The bytes of a header that its checksum covers.
const CHECKED_BYTES: usize = RECORD_HEADER_BYTES - 4;

/// The kind of a seal: the segment ends here, whatever bytes follow.
pub(crate) const SEAL: u8 = 240;

/// The kind of a seal that a copy makes by itself: its owner has released the rest of the segment before the copy got it. Should an
/// owner send that rest after all, it goes in the place of this seal.
pub(crate) const STOPGAP: u8 = 241;

/// Makes headers cheap to find when one looks for what is left behind damage.
pub(crate) const MAGIC: [u8; 2] = *b"PH";

/// Where the magic stands in a header.
pub(crate) const MAGIC_OFFSET: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { segment_bytes: 1 << 16, salt: 77, epoch: 3 };

    #[test]
    fn a_header_is_true_only_where_it_was_written_and_with_its_salt() {
        let position = Position((5 << 16) + 1000);
        let header = Header { kind: 9, len: 4, payload_crc: 1, epoch: 2, position, durable_back: 1000 };
        let mut bytes = [0; RECORD_HEADER_BYTES];
        header.encode(&FORMAT, &mut bytes);
        assert_eq!(Header::decode(&FORMAT, position, &bytes), Some(header));
        assert_eq!(Header::decode(&FORMAT, Position(position.0 + (1 << 16)), &bytes), None);
        assert_eq!(Header::decode(&Format { salt: 78, ..FORMAT }, position, &bytes), None);
        assert_eq!(Header::decode(&Format { epoch: 1, ..FORMAT }, position, &bytes), None, "from a later epoch");
        for bit in 0..bytes.len() * 8 {
            let mut bent = bytes;
            bent[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::decode(&FORMAT, position, &bent), None, "bit {bit}");
        }
        assert_eq!(Header::decode(&FORMAT, Position(1 << 16), &[0; RECORD_HEADER_BYTES]), None);
        let mut other = bytes;
        Header { epoch: 1, ..header }.encode(&FORMAT, &mut other);
        assert_ne!(chain(7, &bytes), chain(7, &other), "a chain tells headers apart");
    }
}
