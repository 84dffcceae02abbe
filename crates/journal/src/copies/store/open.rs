//! Owns the steps from a directory to an open copy.
//! Always holds: afterwards nothing stands behind the end of a segment that could be taken for a record, and all of the
//! copy is synced.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;

use world::{File, Open, World};

use super::notes::{self, Notes};
use super::{Store, StoreError};
use crate::canary::Canary;
use crate::ends::{Ends, SegmentEnd};
use crate::error::OpenError;
use crate::files::{self, segment_path};
use crate::meta;
use crate::position::SegmentNo;
use crate::record::Format;
use crate::settings::Settings;
use crate::shelf::Shelf;
use crate::walk::{search, walk};
use crate::windows::Direct;

impl Store {
    /// Opens the copy in `dir` (made if missing). A torn tail is cut; a copy that has lost more is not level any more.
    pub(crate) fn open(world: &World, dir: &Path, settings: Settings, canary: Canary) -> Result<Store, OpenError> {
        let disk = world.disk.as_ref();
        let failed = |what, path: &Path, source| OpenError::Io { what, path: path.into(), source };
        disk.create_dir_all_durable(dir).map_err(|e| failed("making", dir, e))?;
        let lock = disk.lock(&dir.join("lock")).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse(dir.into()),
            _ => failed("locking", dir, error),
        })?;
        let format = meta::read(disk, dir)?;
        let found = match &format {
            Some(format) => files::find(disk, dir, format).map_err(|e| failed("listing", dir, e))?,
            None if files::any(disk, dir).map_err(|e| failed("listing", dir, e))? => {
                return Err(OpenError::Meta(dir.join("journal.meta")));
            }
            None => files::Found::default(),
        };
        for path in &found.litter {
            disk.remove(path).map_err(|e| failed("removing", path, e))?;
        }
        let notes = notes::read(world, dir)?;
        // The owner keeps the reserve; a copy takes what comes.
        let settings = Settings { reserve_segments: 0, ..settings };
        let shelf = Arc::new(Shelf::new(&settings, found.spares, found.segments.len()));
        let mut store = Store {
            world: world.clone(),
            dir: dir.into(),
            settings,
            format,
            segments: Ends::new(),
            shelf,
            notes,
            active: None,
            dead: false,
            canary,
            _lock: lock,
        };
        if let Some(format) = format {
            store.recover(&format, &found.segments).map_err(|e| failed("reading", dir, e))?;
        }
        disk.sync_dir(dir).map_err(|e| failed("syncing", dir, e))?;
        Ok(store)
    }

    fn recover(&mut self, format: &Format, segments: &[SegmentNo]) -> io::Result<()> {
        let mut intact = true;
        // Without notes (a journal that becomes a copy): older segments were synced before the newest one began.
        let newest = segments.last().map_or(0, |no| format.start(*no).0);
        let mark = if self.notes.mark.0 == 0 { newest } else { self.notes.mark.0 };
        for (index, no) in segments.iter().enumerate() {
            let newest = index + 1 == segments.len();
            let file = self.world.disk.open(&segment_path(&self.dir, format, *no), Open::Write)?;
            let start = format.start(*no).0;
            let synced = mark.saturating_sub(start);
            let end: SegmentEnd = walk(&mut Direct::new(file.as_ref(), 0), format, *no, 0, &mut |_, _| {})?.into();
            let damaged = !end.sealed && (!newest || end.at < synced);
            intact &= !damaged;
            settle(file.as_ref(), format, *no, &end, synced)?;
            self.segments.insert(*no, end);
        }
        // The mark stands behind everything that is there: the newest segment has lost its name.
        intact &= self.tail() >= self.notes.mark;
        if !intact && self.notes.level {
            match self.note(Notes { level: false, ..self.notes }) {
                Ok(()) => {}
                Err(StoreError::Io(error)) => return Err(error),
                Err(_) => return Err(io::ErrorKind::StorageFull.into()),
            }
        }
        Ok(())
    }
}

/// Makes a segment durable up to its end, from `synced` on, and wipes what stands behind its end if that could be taken for records.
/// What a dead process wrote and never synced is written once more: after a sync that failed, the kernel may count pages as clean
/// that never reached the disk.
fn settle(file: &dyn File, format: &Format, no: SegmentNo, end: &SegmentEnd, synced: u64) -> io::Result<()> {
    let mut dirty = false;
    if synced < end.at {
        let mut bytes = vec![0; (end.at - synced) as usize];
        file.read_exact_at(synced, &mut bytes)?;
        file.write_all_at(synced, &[IoSlice::new(&bytes)])?;
        dirty = true;
    }
    if !end.sealed {
        let from = end.at + 1;
        let behind = search(&mut Direct::new(file, from), format, no, from, false)?;
        if behind.next.is_some() {
            wipe(file, end.at, format.segment_bytes)?;
            dirty = true;
        }
    }
    if dirty { file.sync_data() } else { Ok(()) }
}

/// Writes zeros; does not sync them.
pub(super) fn wipe(file: &dyn File, from: u64, until: u64) -> io::Result<()> {
    let zeros = vec![0; WIPE_BYTES.min(until.saturating_sub(from) as usize)];
    let mut at = from;
    while at < until {
        let step = (until - at).min(zeros.len() as u64);
        file.write_all_at(at, &[IoSlice::new(&zeros[..step as usize])])?;
        at += step;
    }
    Ok(())
}

const WIPE_BYTES: usize = 1 << 20;
