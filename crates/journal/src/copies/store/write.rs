//! Owns how an owner's records get into a copy.
//! Always holds: only whole, true records are written; where the copy had other records than the owner, the owner's stand.

use std::io::IoSlice;
use std::sync::Arc;

use world::{File, Open};

use super::notes::Notes;
use super::{Active, Store, StoreError};
use crate::batch::RECORD_HEADER_BYTES;
use crate::copies::runs::{self, run};
use crate::ends::SegmentEnd;
use crate::files::{segment_path, spare_path};
use crate::position::{Position, SegmentNo};
use crate::record::{Format, Header, STOPGAP};
use crate::shelf::{SpareNo, Taken};
use crate::spares;

impl Store {
    /// Writes the owner's records at `position`; no bytes: the segment exists. What is there already is compared, and where it
    /// differs, the copy is cut off first. Not durable before [`Store::sync`].
    pub(crate) fn write(&mut self, position: Position, bytes: &[u8]) -> Result<(), StoreError> {
        self.alive()?;
        let format = self.format()?;
        let (segment, offset) = (format.segment_of(position), format.offset(position));
        if segment.0 == 0 {
            return Err(StoreError::Misfit("position 0 is never used"));
        }
        let Some(mut end) = self.segments.get(&segment).copied() else {
            if offset > 0 {
                return Err(StoreError::Misfit("a segment begins in its middle"));
            }
            self.start(&format, segment)?;
            return self.extend(&format, segment, SegmentEnd::default(), bytes);
        };
        if offset > end.at {
            return Err(StoreError::Misfit("records are missing before these"));
        }
        let mut new = bytes;
        if offset < end.at {
            let file = self.file(&format, segment)?;
            let mut known = vec![0; bytes.len().min((end.at - offset) as usize)];
            file.read_exact_at(offset, &mut known).map_err(StoreError::Io)?;
            let same = known.iter().zip(bytes).take_while(|(a, b)| a == b).count();
            if same == bytes.len() {
                return Ok(());
            }
            let same = whole(&format, position, &bytes[..same], bytes);
            let at = offset + same as u64;
            let ours = at + RECORD_HEADER_BYTES as u64 == end.at && self.ends_by_itself(&format, segment, at)?;
            if at < end.at && (ours || is_stopgap(&format, Position(position.0 + same as u64), &bytes[same..])) {
                // Here or there the rest had been released before it came. That is no reason to doubt newer segments.
                end = self.end_before(&format, segment, at)?;
            } else if at < end.at {
                if self.cut(segment, at)? {
                    // What this session believes to be here is not here any more.
                    return Err(StoreError::Again);
                }
                end = self.segments.get(&segment).copied().unwrap_or_default();
            }
            new = &bytes[same..];
        }
        if new.is_empty() {
            return Ok(());
        }
        if end.sealed {
            return Err(StoreError::Misfit("records behind a seal"));
        }
        self.extend(&format, segment, end, new)
    }

    /// Writes records behind `end`, the end of a segment.
    fn extend(&mut self, format: &Format, segment: SegmentNo, end: SegmentEnd, bytes: &[u8]) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        if end.at + bytes.len() as u64 > format.segment_bytes {
            return Err(StoreError::Misfit("records do not fit their segment"));
        }
        let run = run(format, segment, end, bytes);
        if run.len != bytes.len() {
            return Err(StoreError::Misfit("a record is not whole or not true"));
        }
        let position = Position(format.start(segment).0 + end.at);
        if position < self.notes.mark {
            self.note(Notes { mark: position, ..self.notes })?;
        }
        let file = self.file(format, segment)?;
        // Zeros up to the page's end: no later write has to read the rest of that page from the disk first.
        let rest = run.end.at.next_multiple_of(PAGE as u64).min(format.segment_bytes) - run.end.at;
        let parts = [IoSlice::new(bytes), IoSlice::new(&ZEROS[..rest as usize])];
        let written = file.write_all_at(end.at, &parts);
        if let Some(active) = &mut self.active {
            active.dirty = true;
        }
        written.map_err(|error| self.judge("writing to", error))?;
        self.segments.insert(segment, run.end);
        Ok(())
    }

    /// Gives a segment its name. What was written elsewhere is synced first, so that only the newest one can be torn.
    fn start(&mut self, format: &Format, segment: SegmentNo) -> Result<(), StoreError> {
        self.sync()?;
        self.seal_newest(format, segment)?;
        let spare = self.spare(format)?;
        let path = segment_path(&self.dir, format, segment);
        let disk = self.world.disk.clone();
        let started = disk.rename(&spare_path(&self.dir, spare), &path).and_then(|()| disk.sync_dir(&self.dir));
        if let Err(error) = started {
            return Err(self.fail("starting a segment in", &error));
        }
        self.segments.insert(segment, SegmentEnd::default());
        let begin = format.start(segment);
        if self.segments.last_key_value().is_some_and(|(no, _)| *no == segment) && begin > self.notes.mark {
            match self.note(Notes { mark: begin, ..self.notes }) {
                Ok(()) | Err(StoreError::Full) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The owner has begun `next` and never sent the seal of our newest segment: it was released meanwhile. Until we are told so, it
    /// has to be a whole one, or a take-over would find damage.
    fn seal_newest(&mut self, format: &Format, next: SegmentNo) -> Result<(), StoreError> {
        let Some((newest, end)) = self.segments.last_key_value().map(|(no, end)| (*no, *end)) else { return Ok(()) };
        if newest >= next || end.sealed {
            return Ok(());
        }
        let mut seal = [0; RECORD_HEADER_BYTES];
        let position = Position(format.start(newest).0 + end.at);
        Header { kind: STOPGAP, ..Header::seal(format, position, 0) }.encode(format, &mut seal);
        self.extend(format, newest, end, &seal)?;
        self.sync()
    }

    /// Whether the seal at `at` is one that a copy made.
    fn ends_by_itself(&mut self, format: &Format, segment: SegmentNo, at: u64) -> Result<bool, StoreError> {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        self.file(format, segment)?.read_exact_at(at, &mut bytes).map_err(StoreError::Io)?;
        Ok(is_stopgap(format, Position(format.start(segment).0 + at), &bytes))
    }

    /// An empty segment, made now if nobody has made one.
    fn spare(&mut self, format: &Format) -> Result<SpareNo, StoreError> {
        loop {
            match self.shelf.take(true) {
                Taken::Spare(spare) => return Ok(spare),
                Taken::Nothing if !self.shelf.wants_one(self.world.clock.mono_ms()) => return Err(StoreError::Full),
                Taken::Soon | Taken::Nothing => {
                    let made = spares::make(&self.world, &self.dir, format.segment_bytes, &self.settings, &self.shelf);
                    if !made {
                        return Err(StoreError::Full);
                    }
                }
            }
        }
    }

    /// The file of a segment, to write. Whatever else was written is synced before.
    pub(super) fn file(&mut self, format: &Format, segment: SegmentNo) -> Result<Arc<dyn File>, StoreError> {
        if let Some(active) = &self.active
            && active.segment == segment
        {
            return Ok(active.file.clone());
        }
        self.sync()?;
        let path = segment_path(&self.dir, format, segment);
        let file: Arc<dyn File> = self.world.disk.open(&path, Open::Write).map_err(StoreError::Io)?.into();
        self.active = Some(Active { segment, file: file.clone(), dirty: false });
        Ok(file)
    }

    /// The end that a segment has without what stands from `at` on.
    pub(super) fn end_before(
        &mut self,
        format: &Format,
        segment: SegmentNo,
        at: u64,
    ) -> Result<SegmentEnd, StoreError> {
        let file = self.file(format, segment)?;
        let end = runs::end_before(file.as_ref(), format, segment, at).map_err(StoreError::Io)?;
        if end.at == at { Ok(end) } else { Err(StoreError::Misfit("no record ends there")) }
    }
}

fn is_stopgap(format: &Format, position: Position, bytes: &[u8]) -> bool {
    Header::decode(format, position, bytes).is_some_and(|header| header.kind == STOPGAP)
}

/// The length of those records of `bytes` that end within `same`, their common beginning with what is there.
fn whole(format: &Format, position: Position, same: &[u8], bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(header) = Header::decode(format, Position(position.0 + at as u64), &bytes[at..]) {
        if at + header.total() > same.len() {
            break;
        }
        at += header.total();
    }
    at
}

const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];
