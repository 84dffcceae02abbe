//! Owns the steps from a directory to an open journal, in the order that keeps a failed opening without a trace.
//! Knows no threads. Always holds: nothing but a new journal's first files is written before recovery has succeeded.

use std::io;
use std::path::{Path, PathBuf};

use world::{Disk, Lock, World};

use crate::ends::SegmentEnd;
use crate::error::OpenError;
use crate::files;
use crate::meta::{self, Identity};
use crate::record::{Format, Header};
use crate::recovery::{self, Recovered, Recovery, Resumed, Tail};
use crate::settings::Settings;
use crate::shelf::SpareNo;

/// A directory that was opened.
pub(crate) struct Opened {
    pub(crate) lock: Option<Box<dyn Lock>>,
    pub(crate) format: Format,
    pub(crate) recovered: Recovered,
    /// The newest segment, if it goes on.
    pub(crate) resumed: Option<Resumed>,
    pub(crate) spares: Vec<SpareNo>,
}

/// Makes the durable identity of an empty journal in `dir` (made if missing), with the epoch and the segment size of `settings`, unless there
/// is one already; gives the one that is there. The journal is not opened: its name may be needed to ask who owns it, and under which
/// epoch. A crash at any instant leaves nothing or all of it.
pub fn found(world: &World, dir: &Path, settings: &Settings) -> Result<Identity, OpenError> {
    if let Some(there) = meta::identity(world, dir)? {
        return Ok(there);
    }
    check(settings)?;
    let disk = world.disk.as_ref();
    disk.create_dir_all_durable(dir).map_err(|e| failed("making", dir, e))?;
    let _lock = lock(world, dir)?;
    let format = match stored(disk, dir)? {
        // Somebody else was first.
        Some(format) => format,
        None => {
            let format = new_format(world, settings);
            meta::write(world, dir, &format)?;
            format
        }
    };
    Ok(Identity { salt: format.salt, epoch: format.epoch })
}

/// Opens `dir` to append.
pub(crate) fn to_serve(
    world: &World,
    dir: &Path,
    settings: &Settings,
    threads: bool,
    show: &mut dyn FnMut(&Header, &[u8]),
) -> Result<Opened, OpenError> {
    check(settings)?;
    let disk = world.disk.as_ref();
    disk.create_dir_all_durable(dir).map_err(|e| failed("making", dir, e))?;
    let lock = lock(world, dir)?;
    let stored = stored(disk, dir)?;
    let format = match stored {
        Some(format) if format.epoch > settings.epoch => {
            return Err(OpenError::StaleEpoch { stored: format.epoch, asked: settings.epoch });
        }
        Some(format) => Format { epoch: settings.epoch, ..format },
        None => new_format(world, settings),
    };
    let found = files::find(disk, dir, &format).map_err(|e| failed("listing", dir, e))?;
    let mut recovered = Recovery { world, dir, format, segments: &found.segments, threads }.run(show)?;
    if !recovered.lost.is_empty() {
        return Err(OpenError::Damaged { lost: recovered.lost });
    }
    if stored != Some(format) {
        meta::write(world, dir, &format)?;
    }
    for path in &found.litter {
        disk.remove(path).map_err(|e| failed("removing", path, e))?;
    }
    let mut resumed = None;
    if let Some(tail) = recovered.tail {
        match finish(world, dir, &format, tail, found.spares.is_empty())? {
            Finished::GoesOn(newest) => {
                let end = SegmentEnd { at: tail.at, chain: tail.chain, sealed: false };
                recovered.ends.insert(tail.segment, end);
                resumed = Some(newest);
            }
            Finished::Sealed(end) => {
                recovered.ends.insert(tail.segment, end);
                recovered.ledger.seal(tail.segment);
            }
        }
    }
    disk.sync_dir(dir).map_err(|e| failed("syncing", dir, e))?;
    Ok(Opened { lock: Some(lock), format, recovered, resumed, spares: found.spares })
}

/// Opens `dir` to read what is left. Writes nothing.
pub(crate) fn to_rescue(
    world: &World,
    dir: &Path,
    threads: bool,
    show: &mut dyn FnMut(&Header, &[u8]),
) -> Result<Opened, OpenError> {
    let disk = world.disk.as_ref();
    let lock = match lock(world, dir) {
        Ok(lock) => Some(lock),
        Err(error @ OpenError::InUse(_)) => return Err(error),
        // A disk that can only be read is no hindrance here.
        Err(_) => None,
    };
    let format = meta::read(disk, dir)?.ok_or_else(|| OpenError::Meta(dir.join("journal.meta")))?;
    let found = files::find(disk, dir, &format).map_err(|e| failed("listing", dir, e))?;
    let mut recovered = Recovery { world, dir, format, segments: &found.segments, threads }.run(show)?;
    if let Some(tail) = recovered.tail {
        recovered.ledger.seal(tail.segment);
    }
    Ok(Opened { lock, format, recovered, resumed: None, spares: Vec::new() })
}

/// Ends the newest segment; or lets it go on when there is no other and a good part of it is left.
fn finish(world: &World, dir: &Path, format: &Format, tail: Tail, no_spare: bool) -> Result<Finished, OpenError> {
    let path = || files::segment_path(dir, format, tail.segment);
    if no_spare && format.segment_bytes - tail.at >= format.segment_bytes / 8 {
        match recovery::wipe(world, dir, format, tail) {
            Ok(resumed) => return Ok(Finished::GoesOn(resumed)),
            // A file system that copies on write: a seal takes less.
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {}
            Err(error) => return Err(failed("wiping", &path(), error)),
        }
    }
    let sealed = recovery::seal(world, dir, format, tail).map_err(|e| failed("sealing", &path(), e))?;
    Ok(Finished::Sealed(sealed))
}

/// What becomes of the newest segment.
enum Finished {
    Sealed(SegmentEnd),
    GoesOn(Resumed),
}

/// What the directory's journal is; `None` when there is none.
fn stored(disk: &dyn Disk, dir: &Path) -> Result<Option<Format>, OpenError> {
    match meta::read(disk, dir)? {
        None if files::any(disk, dir).map_err(|e| failed("listing", dir, e))? => {
            Err(OpenError::Meta(dir.join("journal.meta")))
        }
        stored => Ok(stored),
    }
}

/// What a new journal is.
fn new_format(world: &World, settings: &Settings) -> Format {
    let salt = world.chance.u64() as u32;
    Format { segment_bytes: settings.segment_bytes, salt, epoch: settings.epoch }
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    if !Format::allows(settings.segment_bytes) {
        return Err(OpenError::Setting("segment_bytes: 8 KiB to 1 GiB, a multiple of 4096"));
    }
    Ok(())
}

fn lock(world: &World, dir: &Path) -> Result<Box<dyn Lock>, OpenError> {
    let path = dir.join("lock");
    world.disk.lock(&path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => OpenError::InUse(dir.to_path_buf()),
        _ => failed("locking", &path, error),
    })
}

fn failed(what: &'static str, path: &Path, source: io::Error) -> OpenError {
    OpenError::Io { what, path: PathBuf::from(path), source }
}
