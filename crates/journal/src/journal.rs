//! Owns the face of the journal: what its owner can ask for.

use std::ops::Range;
use std::path::Path;

use world::World;

use crate::batch::Batch;
use crate::commit::Commit;
use crate::error::{OpenError, ReadError};
use crate::position::{Extent, Position, SegmentNo};
use crate::settings::Settings;
use crate::stats::{Room, Stats};

/// An open journal. Clones are the same journal; the last one dropped closes it.
#[derive(Clone)]
pub struct Journal {}

/// What a journal is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To append. Damage is an error.
    Serve,
    /// To read what is left. Nothing is written; appends answer `Stopped`.
    Rescue,
}

/// When an append is confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After it is synced.
    Durable,
    /// After it is written; it is synced with the next durable batch or within `Settings::lazy_sync_ms`.
    Soon,
}

/// A record found while opening or scanning.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The owner's kind, 1 to 239.
    pub kind: u8,
    /// Where it is.
    pub extent: Extent,
    /// Its payload, checked.
    pub payload: &'a [u8],
}

impl Journal {
    /// Opens the journal in `dir` (made if missing) and shows each intact record, in order, to `visit`.
    /// Every record shown is live until released. A torn tail is cut and sealed.
    pub fn open(
        world: &World,
        dir: &Path,
        settings: Settings,
        mode: Mode,
        visit: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Journal, OpenError> {
        let _ = (world, dir, settings, mode, visit);
        todo!()
    }

    /// The same without threads, for simulations and tests: nothing happens but in [`Journal::pump`].
    pub fn open_inline(
        world: &World,
        dir: &Path,
        settings: Settings,
        mode: Mode,
        visit: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Journal, OpenError> {
        let _ = (world, dir, settings, mode, visit);
        todo!()
    }

    /// One round of the writer and of the background work on the caller's thread. Returns whether anything was done.
    pub fn pump(&self) -> bool {
        todo!()
    }

    /// Queues a batch. Never blocks on I/O.
    pub fn append(&self, batch: Batch, when: When) -> Commit {
        let _ = (batch, when);
        todo!()
    }

    /// The payload of a live record, checked. Blocks for one read.
    pub fn read(&self, extent: Extent) -> Result<Vec<u8>, ReadError> {
        let _ = extent;
        todo!()
    }

    /// A part of the payload of a live record from `offset` on, NOT checked against the checksum. Fills `buf` or fails.
    pub fn read_into(&self, extent: Extent, offset: u32, buf: &mut [u8]) -> Result<(), ReadError> {
        let _ = (extent, offset, buf);
        todo!()
    }

    /// Says that a record is not needed any more. Each record at most once; `len` is its payload length.
    pub fn release(&self, position: Position, len: u32) {
        let _ = (position, len);
        todo!()
    }

    /// Releases `record` (a tombstone) by itself once segment `older` has been freed, so that what it cancels can
    /// never be seen again without it. At once if `older` is gone already or is the record's own segment.
    pub fn pin_until_gone(&self, record: Extent, older: SegmentNo) {
        let _ = (record, older);
        todo!()
    }

    /// The segment of a position.
    pub fn segment_of(&self, position: Position) -> SegmentNo {
        let _ = position;
        todo!()
    }

    /// The oldest segment that still has records.
    pub fn oldest_segment(&self) -> Option<SegmentNo> {
        todo!()
    }

    /// Whether a segment is still there.
    pub fn exists(&self, segment: SegmentNo) -> bool {
        let _ = segment;
        todo!()
    }

    /// A sealed segment with so few live bytes that re-appending them is worth it, oldest first.
    /// Segments that hold pinned records are not offered: what pins them goes first.
    pub fn cleaning_candidate(&self) -> Option<SegmentNo> {
        todo!()
    }

    /// Shows each record of a sealed segment, in order, released ones too.
    pub fn scan_segment(&self, segment: SegmentNo, visit: &mut dyn FnMut(Seen<'_>)) -> Result<(), ReadError> {
        let _ = (segment, visit);
        todo!()
    }

    /// Positions that are unreadable; empty unless opened with [`Mode::Rescue`].
    pub fn lost(&self) -> Vec<Range<Position>> {
        todo!()
    }

    /// The figures.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Whether ordinary batches are taken.
    pub fn room(&self) -> Room {
        todo!()
    }

    /// Writes and syncs what is queued, refuses later appends with `Stopped`, and ends the threads.
    pub fn close(self) {
        todo!()
    }
}
