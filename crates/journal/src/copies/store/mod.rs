//! Owns the directory of one copy: the owner's bytes at the owner's positions, in the files of a journal, so that
//! `Journal::open` with a higher epoch goes on where the copy ends. Knows no links and no sessions.
//! Always holds: what [`Store::sync`] confirmed survives a crash; only the newest segment may be torn after one (a copy where it is
//! another one is not level); a name is synced before its segment gets a byte, a removal before the next one;
//! a failed write or sync ends the process.

mod notes;
mod open;
mod shape;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use world::{File, Lock, Open, World};

use self::notes::Notes;
use super::frame::Hello;
use super::runs;
use crate::canary::Canary;
use crate::ends::{Ends, SegmentEnd};
use crate::error::OpenError;
use crate::files::segment_path;
use crate::meta;
use crate::position::{Position, SegmentNo};
use crate::record::Format;
use crate::settings::Settings;
use crate::shelf::Shelf;

/// The copy in one directory, locked against everybody else.
pub(crate) struct Store {
    world: World,
    dir: PathBuf,
    settings: Settings,
    /// `None` until an owner has said what the journal is.
    format: Option<Format>,
    segments: Ends,
    shelf: Arc<Shelf>,
    notes: Notes,
    /// The segment that was written last.
    active: Option<Active>,
    /// Nothing was promised after this.
    dead: bool,
    canary: Canary,
    _lock: Box<dyn Lock>,
}

struct Active {
    segment: SegmentNo,
    file: Arc<dyn File>,
    /// Something in it is not synced.
    dirty: bool,
}

/// Why a copy does not do what it was told.
#[derive(Debug)]
pub(crate) enum StoreError {
    /// No space. Later it may work.
    Full,
    /// The copy had to be cut off: it holds less than its owner believes.
    Again,
    /// It does not fit what is there, or is not what it says.
    Misfit(&'static str),
    /// The disk refused; nothing was promised that does not hold.
    Io(io::Error),
    /// A write or a sync failed: the process is ending.
    Dead,
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full => f.write_str("no space for the copy"),
            StoreError::Again => f.write_str("cut off what a deposed owner wrote"),
            StoreError::Misfit(what) => write!(f, "does not fit its owner's log: {what}"),
            StoreError::Io(error) => write!(f, "the disk refused: {error}"),
            StoreError::Dead => f.write_str("a write or sync failed, the process is ending"),
        }
    }
}

/// What became of an owner's introduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Joined {
    /// Its epoch is the highest, durably.
    Yes,
    /// The copy has seen this higher epoch.
    Stale(u32),
    /// The copy is of another journal.
    Other,
}

impl Store {
    /// Highest epoch seen; 0 before there was any.
    pub(crate) fn epoch(&self) -> u32 {
        self.format.map_or(0, |f| f.epoch)
    }

    /// Whatever its owner wrote before the tail under this epoch or a lower one is here.
    pub(crate) fn proven(&self) -> u32 {
        self.notes.proven
    }

    /// Size of its segments, once that is known.
    pub(crate) fn segment_bytes(&self) -> Option<u64> {
        self.format.map(|f| f.segment_bytes)
    }

    /// Whether it may be taken over.
    pub(crate) fn level(&self) -> bool {
        self.notes.level
    }

    /// Where each segment ends.
    pub(crate) fn ends(&self) -> &Ends {
        &self.segments
    }

    /// Where the copy ends.
    pub(crate) fn tail(&self) -> Position {
        let (Some(format), Some((no, end))) = (&self.format, self.segments.last_key_value()) else {
            return Position(0);
        };
        Position(format.start(*no).0 + end.at)
    }

    /// Listens to an owner if its epoch is not lower than any before; a higher one is durable when this returns.
    pub(crate) fn join(&mut self, hello: &Hello) -> Result<Joined, StoreError> {
        self.alive()?;
        let asked = Format { segment_bytes: hello.segment_bytes, salt: hello.salt, epoch: hello.epoch };
        match self.format {
            None if !Format::allows(asked.segment_bytes) => return Ok(Joined::Other),
            None => {}
            Some(known) if (known.segment_bytes, known.salt) != (asked.segment_bytes, asked.salt) => {
                return Ok(Joined::Other);
            }
            Some(known) if asked.epoch < known.epoch && self.canary != Canary::EpochIgnored => {
                return Ok(Joined::Stale(known.epoch));
            }
            Some(known) if asked.epoch <= known.epoch => return Ok(Joined::Yes),
            Some(_) => {}
        }
        self.write_epoch(asked).map(|()| Joined::Yes)
    }

    /// Notes the epoch of its next owner durably; one that is not higher changes nothing.
    pub(crate) fn raise(&mut self, epoch: u32) -> Result<(), StoreError> {
        let format = self.format()?;
        if epoch <= format.epoch { Ok(()) } else { self.write_epoch(Format { epoch, ..format }) }
    }

    fn write_epoch(&mut self, format: Format) -> Result<(), StoreError> {
        match meta::write(&self.world, &self.dir, &format) {
            Ok(()) => {
                self.format = Some(format);
                Ok(())
            }
            Err(OpenError::Io { source, .. }) => Err(self.judge("writing the epoch of", source)),
            Err(_) => Err(StoreError::Misfit("the epoch could not be written")),
        }
    }

    /// Makes everything durable that was written.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.alive()?;
        let Some(active) = &mut self.active else { return Ok(()) };
        if !std::mem::take(&mut active.dirty) || self.canary == Canary::AckBeforeSync {
            return Ok(());
        }
        let synced = active.file.sync_data();
        synced.map_err(|error| self.fail("syncing", &error))
    }

    /// Notes how far everything is durable, so that after a crash damage is told from a torn tail. Call it now and then
    /// after a sync.
    pub(crate) fn mark(&mut self) -> Result<(), StoreError> {
        let tail = self.tail();
        if tail <= self.notes.mark || self.active.as_ref().is_some_and(|a| a.dirty) {
            return Ok(());
        }
        // Nothing depends on it: a full disk may keep the old one.
        match self.note(Notes { mark: tail, ..self.notes }) {
            Err(StoreError::Full) => Ok(()),
            noted => noted,
        }
    }

    /// Syncs everything before the directory becomes a journal's, and returns where it ends. The mark is taken back: a journal does not
    /// move it, and should this be a copy again, an old mark would have all that was written since written once more.
    pub(crate) fn finish(&mut self) -> Result<Position, StoreError> {
        self.sync()?;
        match self.note(Notes { mark: Position(0), ..self.notes }) {
            Ok(()) | Err(StoreError::Full) => Ok(self.tail()),
            Err(error) => Err(error),
        }
    }

    /// Whole records of a segment from `offset` on, and where it ends; nothing when it is not here or not readable.
    pub(crate) fn read(&self, segment: SegmentNo, offset: u64) -> (SegmentEnd, Vec<u8>) {
        let (Some(format), Some(end)) = (&self.format, self.segments.get(&segment)) else { return Default::default() };
        let path = segment_path(&self.dir, format, segment);
        let file = self.world.disk.open(&path, Open::Read);
        let read = file.and_then(|file| runs::read(file.as_ref(), format, segment, offset, end.at));
        match read {
            Ok((bytes, true)) => (*end, bytes),
            _ => Default::default(),
        }
    }

    /// The empty segments, so that another thread can make one while this one writes.
    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        self.shelf.clone()
    }

    fn format(&self) -> Result<Format, StoreError> {
        self.format.ok_or(StoreError::Misfit("no owner has joined"))
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.dead { Err(StoreError::Dead) } else { Ok(()) }
    }

    fn note(&mut self, mut notes: Notes) -> Result<(), StoreError> {
        if self.canary == Canary::AckBeforeSync {
            // Otherwise the copy would notice its loss by itself.
            notes.mark = Position(0);
        }
        if let Err(error) = notes::write(&self.world, &self.dir, &notes) {
            return Err(self.judge("writing the notes of", error));
        }
        self.notes = notes;
        Ok(())
    }

    /// No space is a reason to wait; any other failed write is the end.
    fn judge(&mut self, what: &str, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => self.fail(what, &error),
        }
    }

    /// A failed write or sync: no second attempt can prove anything.
    fn fail(&mut self, what: &str, error: &io::Error) -> StoreError {
        self.dead = true;
        self.world.abort(&format!("{what} the copy in {} failed: {error}", self.dir.display()));
        StoreError::Dead
    }
}

/// Consecutive segments as runs: the first one, and how many.
pub(crate) fn to_runs(segments: impl Iterator<Item = SegmentNo>) -> Vec<(SegmentNo, u32)> {
    let mut runs: Vec<(SegmentNo, u32)> = Vec::new();
    for no in segments {
        match runs.last_mut() {
            Some((first, count)) if first.0 + u64::from(*count) == no.0 => *count += 1,
            _ => runs.push((no, 1)),
        }
    }
    runs
}

/// Whether a segment is in one of the runs.
pub(crate) fn in_runs(runs: &BTreeMap<SegmentNo, u32>, no: SegmentNo) -> bool {
    runs.range(..=no).next_back().is_some_and(|(first, count)| no.0 - first.0 < u64::from(*count))
}
