//! Owns the words for how far a segment goes and what it holds up to there, so that two logs can be compared without
//! reading them. Knows no files. Always holds: the chain covers every record header up to the end, and a header covers
//! its payload; so equal ends with equal chains are equal bytes.

use std::collections::BTreeMap;

use crate::batch::RECORD_HEADER_BYTES;
use crate::position::SegmentNo;
use crate::record;
use crate::walk::End;

/// How far a segment goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Offset behind the last record, or behind the seal.
    pub at: u64,
    /// Running checksum of all record headers before `at`, the seal's too.
    pub chain: u32,
    /// Whether the segment takes no more records.
    pub sealed: bool,
}

/// The ends of all segments of a log.
pub(crate) type Ends = BTreeMap<SegmentNo, SegmentEnd>;

impl SegmentEnd {
    /// The end behind one more record, or behind the seal.
    pub(crate) fn then(self, header: &[u8], total: u64, seal: bool) -> SegmentEnd {
        SegmentEnd { at: self.at + total, chain: record::chain(self.chain, header), sealed: seal }
    }
}

impl From<End> for SegmentEnd {
    fn from(end: End) -> SegmentEnd {
        match end.sealed {
            true => SegmentEnd { at: end.at + RECORD_HEADER_BYTES as u64, chain: end.chain_sealed, sealed: true },
            false => SegmentEnd { at: end.at, chain: end.chain, sealed: false },
        }
    }
}
