//! Owns what was written at once, shared by all links that send it, and frames on their way out. Knows no order.
//! Always holds: bodies are not copied for a link.

use std::io::IoSlice;
use std::sync::Arc;

use super::frame::{Frame, RECORDS_BYTES_MAX, append_head};
use crate::batch::{Batch, RECORD_HEADER_BYTES};
use crate::position::Position;

/// Batches that were written at once, stamped, and the seal if the segment ended with them.
#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) batches: Vec<Batch>,
    pub(crate) seal: Option<[u8; RECORD_HEADER_BYTES]>,
}

/// A frame to send: its bytes in pieces, so that a large body need not be copied.
#[derive(Debug)]
pub struct Outgoing {
    head: Vec<u8>,
    body: Body,
    /// Bytes of records in it, and where they end.
    pub(super) records: u64,
    pub(super) position: Position,
}

#[derive(Debug)]
enum Body {
    None,
    Bytes(Vec<u8>),
    Group { group: Arc<Group>, from: usize, to: usize, seal: bool },
}

impl Outgoing {
    /// Its bytes, piece by piece.
    pub fn slices<'a>(&'a self, to: &mut Vec<IoSlice<'a>>) {
        to.push(IoSlice::new(&self.head));
        match &self.body {
            Body::None => {}
            Body::Bytes(bytes) => to.push(IoSlice::new(bytes)),
            Body::Group { group, from, to: until, seal } => {
                group.batches[*from..*until].iter().for_each(|batch| batch.slices(to));
                if let (true, Some(seal)) = (*seal, &group.seal) {
                    to.push(IoSlice::new(seal));
                }
            }
        }
    }

    /// Number of its bytes.
    pub fn len(&self) -> usize {
        self.head.len() + self.records as usize
    }

    /// Whether it has none; it always has.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Its bytes in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut slices = Vec::new();
        self.slices(&mut slices);
        slices.iter().flat_map(|s| s.iter().copied()).collect()
    }

    /// A frame of no records.
    pub fn frame(frame: &Frame) -> Outgoing {
        Outgoing { head: frame.encode(), body: Body::None, records: 0, position: Position(0) }
    }

    /// Records read from the log.
    pub(crate) fn records(session: u64, position: Position, bytes: Vec<u8>) -> Outgoing {
        let head = append_head(session, position, true, bytes.len());
        let records = bytes.len() as u64;
        Outgoing { head, body: Body::Bytes(bytes), records, position }
    }
}

impl Group {
    /// The frames that bring a group, which stands at `position`, to a holder.
    pub(crate) fn frames(self: &Arc<Group>, session: u64, position: Position, urgent: bool) -> Vec<Outgoing> {
        let mut frames = Vec::new();
        let (mut from, mut at, mut bytes) = (0, position, 0);
        for (index, batch) in self.batches.iter().enumerate() {
            if bytes + batch.bytes() > RECORDS_BYTES_MAX - RECORD_HEADER_BYTES {
                frames.push(self.part(session, at, from..index, bytes, false, false));
                (from, at, bytes) = (index, Position(at.0 + bytes as u64), 0);
            }
            bytes += batch.bytes();
        }
        let seal = self.seal.is_some();
        let bytes = bytes + if seal { RECORD_HEADER_BYTES } else { 0 };
        // Only the last one asks for an answer: a sync for all of them.
        frames.push(self.part(session, at, from..self.batches.len(), bytes, seal, urgent));
        frames
    }

    fn part(
        self: &Arc<Group>,
        session: u64,
        position: Position,
        batches: std::ops::Range<usize>,
        bytes: usize,
        seal: bool,
        urgent: bool,
    ) -> Outgoing {
        let head = append_head(session, position, urgent, bytes);
        let body = Body::Group { group: self.clone(), from: batches.start, to: batches.end, seal };
        Outgoing { head, body, records: bytes as u64, position }
    }

    /// All bytes of it in the log.
    pub(crate) fn bytes(&self) -> u64 {
        let batches: usize = self.batches.iter().map(Batch::bytes).sum();
        (batches + self.seal.map_or(0, |s| s.len())) as u64
    }
}
