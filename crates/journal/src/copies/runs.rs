//! Owns the reading of whole records out of bytes and out of a segment's file. Knows no order of work.
//! Always holds: what it calls whole has true headers at their own positions and true payloads.

use std::io;

use world::File;

use super::frame::RECORDS_BYTES_MAX;
use crate::batch::RECORD_HEADER_BYTES;
use crate::ends::SegmentEnd;
use crate::position::{Position, SegmentNo};
use crate::record::{Format, Header};
use crate::walk::walk;
use crate::windows::Direct;

/// Whole records from the beginning of some bytes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The end behind them.
    pub(crate) end: SegmentEnd,
    /// Their bytes.
    pub(crate) len: usize,
    /// What follows is a bad record, not only a part of one.
    pub(crate) bad: bool,
}

/// The whole records at the beginning of `bytes`, which stand in `segment` from `end` on.
pub(crate) fn run(format: &Format, segment: SegmentNo, end: SegmentEnd, bytes: &[u8]) -> Run {
    let start = format.start(segment).0;
    let mut run = Run { end, len: 0, bad: false };
    while !run.end.sealed {
        let left = &bytes[run.len..];
        if left.len() < RECORD_HEADER_BYTES {
            break;
        }
        let Some(header) = Header::decode(format, Position(start + run.end.at), left) else {
            run.bad = true;
            break;
        };
        let total = header.total();
        if left.len() < total {
            break;
        }
        if !header.fits(&left[RECORD_HEADER_BYTES..total]) {
            run.bad = true;
            break;
        }
        run.end = run.end.then(&left[..RECORD_HEADER_BYTES], total as u64, header.ends_segment());
        run.len += total;
    }
    run
}

/// Whole records of a segment between the offsets `from` and `until`, at most a frame's worth.
pub(crate) fn read(
    file: &dyn File,
    format: &Format,
    segment: SegmentNo,
    from: u64,
    until: u64,
) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = vec![0; until.saturating_sub(from).min(RECORDS_BYTES_MAX as u64) as usize];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(from + done as u64, &mut bytes[done..])? {
            0 => break,
            n => done += n,
        }
    }
    let found = run(format, segment, SegmentEnd { at: from, ..SegmentEnd::default() }, &bytes[..done]);
    bytes.truncate(found.len);
    let good = !found.bad && (found.len > 0 || until <= from);
    Ok((bytes, good))
}

/// The end that a segment has when nothing from offset `until` on counts.
pub(crate) fn end_before(file: &dyn File, format: &Format, segment: SegmentNo, until: u64) -> io::Result<SegmentEnd> {
    Ok(walk(&mut Direct::part(file, 0, until), format, segment, 0, &mut |_, _| {})?.into())
}
