//! Owns what opening finds: the records in order, what is lost, and where the log ends.
//! Knows nothing of appending. Always holds: it only reads. A bad record is a torn tail only in the newest segment, and
//! only when nothing behind it says that it had been synced; everywhere else it is damage.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::path::{Path, PathBuf};

use world::{File, Open, World};

use crate::batch::RECORD_HEADER_BYTES;
use crate::ends::{Ends, SegmentEnd};
use crate::error::OpenError;
use crate::files::segment_path;
use crate::ledger::Ledger;
use crate::position::{Position, SegmentNo};
use crate::record::{Format, Header};
use crate::walk::{End, search, walk};
use crate::windows::{Ahead, Direct};

/// What was found.
pub(crate) struct Recovered {
    /// All segments, all records live, all sealed but the newest.
    pub(crate) ledger: Ledger,
    /// Where each segment ends; of no use when something is lost.
    pub(crate) ends: Ends,
    /// Positions that are unreadable.
    pub(crate) lost: Vec<Range<Position>>,
    /// The end of the newest segment.
    pub(crate) tail: Option<Tail>,
}

/// Where a log ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tail {
    pub(crate) segment: SegmentNo,
    /// Offset behind the last record: the place of the seal.
    pub(crate) at: u64,
    /// Everything before is known to be synced.
    pub(crate) durable: u64,
    /// See [`SegmentEnd::chain`]; without the seal.
    pub(crate) chain: u32,
    /// Whether there is a seal at `at` already.
    pub(crate) sealed: bool,
}

/// The newest segment, which goes on at its end.
pub(crate) struct Resumed {
    pub(crate) tail: Tail,
    pub(crate) file: Box<dyn File>,
}

/// Reads all segments, oldest first.
pub(crate) struct Recovery<'a> {
    pub(crate) world: &'a World,
    pub(crate) dir: &'a Path,
    pub(crate) format: Format,
    pub(crate) segments: &'a [SegmentNo],
    /// Whether a thread reads ahead.
    pub(crate) threads: bool,
}

impl Recovery<'_> {
    /// Shows every intact record to `show`.
    pub(crate) fn run(&self, show: &mut dyn FnMut(&Header, &[u8])) -> Result<Recovered, OpenError> {
        let mut found = Recovered { ledger: Ledger::new(self.format), ends: Ends::new(), lost: Vec::new(), tail: None };
        let mut ahead = match self.threads && !self.segments.is_empty() {
            true => {
                let paths = self.segments.iter().map(|no| self.path(*no)).collect();
                let started = Ahead::start(self.world, paths);
                Some(started.map_err(|source| failed(self.dir.to_path_buf(), source))?)
            }
            false => None,
        };
        for (index, segment) in self.segments.iter().enumerate() {
            let read = self.segment(index, *segment, ahead.as_mut(), &mut found, show);
            read.map_err(|source| failed(self.path(*segment), source))?;
        }
        Ok(found)
    }

    fn segment(
        &self,
        index: usize,
        segment: SegmentNo,
        ahead: Option<&mut Ahead>,
        found: &mut Recovered,
        show: &mut dyn FnMut(&Header, &[u8]),
    ) -> io::Result<()> {
        found.ledger.open(segment);
        let mut live = 0;
        let mut count = |header: &Header, payload: &[u8]| {
            live += header.total() as u64;
            show(header, payload);
        };
        let mut end = match ahead {
            Some(ahead) => walk(&mut ahead.file(index), &self.format, segment, 0, &mut count)?,
            None => self.walk_directly(segment, 0, &mut count)?,
        };
        let newest = index + 1 == self.segments.len();
        while !end.sealed {
            let Some(next) = self.damage(segment, newest, &end, &mut found.lost)? else { break };
            end = self.walk_directly(segment, next, &mut count)?;
        }
        found.ledger.add(segment, live);
        found.ends.insert(segment, SegmentEnd::from(end));
        if newest {
            found.tail = Some(Tail { segment, at: end.at, durable: end.durable, chain: end.chain, sealed: end.sealed });
        } else {
            found.ledger.seal(segment);
        }
        Ok(())
    }

    /// Judges a bad record at `end.at`. Damage is noted; the answer is where to go on, if anywhere.
    fn damage(
        &self,
        segment: SegmentNo,
        newest: bool,
        end: &End,
        lost: &mut Vec<Range<Position>>,
    ) -> io::Result<Option<u64>> {
        let file = self.world.disk.open(&self.path(segment), Open::Read)?;
        let from = end.at + 1;
        let behind = search(&mut Direct::new(file.as_ref(), from), &self.format, segment, from, newest)?;
        if newest && behind.durable <= end.at {
            return Ok(None);
        }
        let start = self.format.start(segment).0;
        let lost_end = behind.next.unwrap_or(self.format.segment_bytes);
        lost.push(Position(start + end.at)..Position(start + lost_end));
        Ok(behind.next)
    }

    fn walk_directly(&self, segment: SegmentNo, from: u64, show: &mut dyn FnMut(&Header, &[u8])) -> io::Result<End> {
        let file = self.world.disk.open(&self.path(segment), Open::Read)?;
        walk(&mut Direct::new(file.as_ref(), from), &self.format, segment, from, show)
    }

    fn path(&self, segment: SegmentNo) -> PathBuf {
        segment_path(self.dir, &self.format, segment)
    }
}

/// Seals the newest segment at its end and makes all of it durable. What a dead process wrote and never synced is written
/// once more: after a sync that failed, the kernel may count pages as clean that never reached the disk.
pub(crate) fn seal(world: &World, dir: &Path, format: &Format, tail: Tail) -> io::Result<SegmentEnd> {
    let file = world.disk.open(&segment_path(dir, format, tail.segment), Open::Write)?;
    let again = unsynced(file.as_ref(), tail)?;
    let position = Position(format.start(tail.segment).0 + tail.at);
    let mut header = [0; RECORD_HEADER_BYTES];
    match tail.sealed {
        // The same bytes again: copies have them already.
        true => file.read_exact_at(tail.at, &mut header)?,
        false => Header::seal(format, position, again.len() as u32).encode(format, &mut header),
    }
    file.write_all_at(tail.durable, &[IoSlice::new(&again), IoSlice::new(&header)])?;
    file.sync_data()?;
    let end = SegmentEnd { at: tail.at, chain: tail.chain, sealed: false };
    Ok(end.then(&header, RECORD_HEADER_BYTES as u64, true))
}

/// Instead of [`seal`], when there is no empty segment: makes all up to the end durable and wipes what is behind it, so that
/// the newest segment can go on. Dearer than a seal; but on a full disk a restart must not cost a segment.
pub(crate) fn wipe(world: &World, dir: &Path, format: &Format, tail: Tail) -> io::Result<Resumed> {
    let file = world.disk.open(&segment_path(dir, format, tail.segment), Open::Write)?;
    let again = unsynced(file.as_ref(), tail)?;
    file.write_all_at(tail.durable, &[IoSlice::new(&again)])?;
    let zeros = vec![0; WIPE_BYTES];
    let mut at = tail.at;
    while at < format.segment_bytes {
        let step = (format.segment_bytes - at).min(WIPE_BYTES as u64);
        file.write_all_at(at, &[IoSlice::new(&zeros[..step as usize])])?;
        at += step;
    }
    file.sync_data()?;
    Ok(Resumed { tail, file })
}

fn failed(path: PathBuf, source: io::Error) -> OpenError {
    OpenError::Io { what: "reading", path, source }
}

fn unsynced(file: &dyn File, tail: Tail) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; (tail.at - tail.durable) as usize];
    file.read_exact_at(tail.durable, &mut bytes)?;
    Ok(bytes)
}

const WIPE_BYTES: usize = 1 << 20;
