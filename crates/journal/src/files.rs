//! Owns the names of a journal's files, and open handles for reading them back.
//! Knows no records. Always holds: never more than [`HANDLES_MAX`] handles are kept, whatever the queue's length.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use world::{Disk, File, Open};

use crate::position::SegmentNo;
use crate::record::Format;
use crate::shelf::SpareNo;

/// What a journal's directory holds.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) segments: Vec<SegmentNo>,
    pub(crate) spares: Vec<SpareNo>,
    /// Half-made files that nothing needs.
    pub(crate) litter: Vec<PathBuf>,
}

/// `<position of the first byte, 16 hex digits>.seg`
pub(crate) fn segment_path(dir: &Path, format: &Format, segment: SegmentNo) -> PathBuf {
    dir.join(format!("{}.seg", format.start(segment)))
}

/// `spare-N`
pub(crate) fn spare_path(dir: &Path, spare: SpareNo) -> PathBuf {
    dir.join(format!("spare-{}", spare.0))
}

/// `spare-N.new`: being filled with zeros.
pub(crate) fn unfinished_path(dir: &Path, spare: SpareNo) -> PathBuf {
    dir.join(format!("spare-{}.new", spare.0))
}

/// Whether a directory holds segments or spares.
pub(crate) fn any(disk: &dyn Disk, dir: &Path) -> io::Result<bool> {
    Ok(disk.list(dir)?.iter().any(|e| e.name.ends_with(".seg") || e.name.starts_with("spare-")))
}

/// Looks what is there, in order. Names that are not ours are left alone.
pub(crate) fn find(disk: &dyn Disk, dir: &Path, format: &Format) -> io::Result<Found> {
    let mut found = Found::default();
    for entry in disk.list(dir)? {
        if let Some(position) = entry.name.strip_suffix(".seg").and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            let segment = SegmentNo(position / format.segment_bytes);
            if segment.0 > 0 && segment_path(dir, format, segment).ends_with(&entry.name) {
                found.segments.push(segment);
            }
        } else if let Some(number) = entry.name.strip_prefix("spare-") {
            match number.parse() {
                Ok(number) if entry.len == format.segment_bytes => found.spares.push(SpareNo(number)),
                _ => found.litter.push(dir.join(&entry.name)),
            }
        }
    }
    found.segments.sort();
    Ok(found)
}

/// Handles of segments, the one used last in front.
pub(crate) struct Handles(Mutex<VecDeque<(SegmentNo, Arc<dyn File>)>>);

impl Handles {
    pub(crate) fn new() -> Handles {
        Handles(Mutex::new(VecDeque::new()))
    }

    /// A handle to read a segment with.
    pub(crate) fn get(
        &self,
        disk: &dyn Disk,
        dir: &Path,
        format: &Format,
        segment: SegmentNo,
    ) -> io::Result<Arc<dyn File>> {
        if let Some(file) = self.known(segment) {
            return Ok(file);
        }
        let file: Arc<dyn File> = disk.open(&segment_path(dir, format, segment), Open::Read)?.into();
        self.put(segment, file.clone());
        Ok(file)
    }

    /// Keeps a handle.
    pub(crate) fn put(&self, segment: SegmentNo, file: Arc<dyn File>) {
        let mut handles = self.lock();
        handles.retain(|(no, _)| *no != segment);
        handles.push_front((segment, file));
        handles.truncate(HANDLES_MAX);
    }

    /// The segment is gone.
    pub(crate) fn forget(&self, segment: SegmentNo) {
        self.lock().retain(|(no, _)| *no != segment);
    }

    fn known(&self, segment: SegmentNo) -> Option<Arc<dyn File>> {
        let mut handles = self.lock();
        let at = handles.iter().position(|(no, _)| *no == segment)?;
        let entry = handles.remove(at)?;
        let file = entry.1.clone();
        handles.push_front(entry);
        Some(file)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(SegmentNo, Arc<dyn File>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bound for open handles of sealed segments.
pub(crate) const HANDLES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use world::World;

    #[test]
    fn only_our_names_are_found() {
        let (world, _) = World::simulated(1);
        let (disk, dir) = (world.disk.as_ref(), Path::new("/j"));
        let format = Format { segment_bytes: 8192, salt: 0, epoch: 0 };
        disk.create_dir_all_durable(dir).unwrap();
        assert!(!any(disk, dir).unwrap());
        let make = |path: PathBuf, len: u64| disk.open(&path, Open::CreateNew).unwrap().fill_zero(len).unwrap();
        make(segment_path(dir, &format, SegmentNo(12)), 8192);
        make(segment_path(dir, &format, SegmentNo(3)), 100);
        make(dir.join("0000000000000007.seg"), 8192); // not at a segment's start
        make(dir.join("0.seg"), 8192);
        make(spare_path(dir, SpareNo(2)), 8192);
        make(spare_path(dir, SpareNo(3)), 8191);
        make(unfinished_path(dir, SpareNo(4)), 8192);
        make(dir.join("README"), 1);
        let found = find(disk, dir, &format).unwrap();
        assert_eq!(found.segments, [SegmentNo(3), SegmentNo(12)]);
        assert_eq!(found.spares, [SpareNo(2)]);
        assert_eq!(found.litter, [dir.join("spare-3"), dir.join("spare-4.new")]);
        assert!(any(disk, dir).unwrap());
    }
}
