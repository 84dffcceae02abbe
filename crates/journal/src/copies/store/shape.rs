//! Owns how a copy loses what its owner does not have (any more): released segments, and what a deposed owner wrote.
//! Always holds: released segments go in the order given, each removal synced before the next; the mark goes down before what is
//! below it does.

use std::collections::BTreeMap;

use super::notes::Notes;
use super::open::wipe;
use super::{Store, StoreError, in_runs};
use crate::canary::Canary;
use crate::files::{segment_path, spare_path};
use crate::position::{Position, SegmentNo};
use crate::shelf::Taken;

impl Store {
    /// Removes released segments in this order. The newest one stays: its name is what keeps positions from being used twice.
    pub(crate) fn release(&mut self, segments: &[SegmentNo]) -> Result<(), StoreError> {
        self.sync()?;
        let there: Vec<SegmentNo> = segments.iter().copied().filter(|no| self.segments.contains_key(no)).collect();
        if there.iter().any(|no| Some(no) == self.segments.keys().next_back()) {
            return Err(StoreError::Misfit("the newest segment cannot be released"));
        }
        match self.canary {
            Canary::ReleasesBackwards => there.iter().rev().try_for_each(|no| self.remove(*no, true)),
            _ => there.iter().try_for_each(|no| self.remove(*no, true)),
        }
    }

    /// Gives the copy the owner's shape: exactly the segments in `runs`, the end at `tail`. From then on it is level.
    pub(crate) fn level_with(&mut self, tail: Position, runs: &[(SegmentNo, u32)]) -> Result<(), StoreError> {
        self.sync()?;
        let format = self.format()?;
        let runs: BTreeMap<SegmentNo, u32> = runs.iter().copied().collect();
        let newest = runs
            .iter()
            .next_back()
            .map(|(first, count)| SegmentNo(first.0.saturating_add(u64::from(*count).max(1) - 1)));
        if tail < self.notes.mark {
            self.note(Notes { mark: tail, ..self.notes })?;
        }
        // What a deposed owner wrote, the newest first: at no time there is a gap.
        let behind: Vec<SegmentNo> = self.segments.keys().rev().copied().take_while(|no| Some(*no) > newest).collect();
        if !behind.is_empty() {
            self.discard_spares()?;
        }
        behind.iter().try_for_each(|no| self.remove(*no, false))?;
        if let Some(newest) = newest {
            let at = tail.0.checked_sub(newest.0.saturating_mul(format.segment_bytes)).unwrap_or(u64::MAX);
            let end = self.segments.get(&newest).copied().unwrap_or_default();
            if end.at > at {
                self.cut(newest, at)?;
            }
        }
        let released: Vec<SegmentNo> = self.segments.keys().copied().filter(|no| !in_runs(&runs, *no)).collect();
        self.release(&released)?;
        let wanted: u64 = runs.values().map(|count| u64::from(*count)).sum();
        let whole = |(no, end): (&SegmentNo, &crate::ends::SegmentEnd)| end.sealed || Some(*no) == newest;
        if self.segments.len() as u64 != wanted || !self.segments.iter().all(whole) || self.tail() != tail {
            return Err(StoreError::Misfit("the copy is not level although all was sent"));
        }
        if self.notes.level && self.notes.proven == format.epoch {
            return self.mark();
        }
        match self.note(Notes { level: true, mark: tail, proven: format.epoch }) {
            // What it knew before is true still.
            Err(StoreError::Full) if self.notes.level => Ok(()),
            noted => noted,
        }
    }

    /// Removes everything from offset `at` of a segment on, newest first. Returns whether whole segments went.
    pub(super) fn cut(&mut self, segment: SegmentNo, at: u64) -> Result<bool, StoreError> {
        let format = self.format()?;
        self.sync()?;
        let position = Position(format.start(segment).0 + at);
        if position < self.notes.mark {
            self.note(Notes { mark: position, ..self.notes })?;
        }
        let newer: Vec<SegmentNo> = self.segments.keys().rev().copied().take_while(|no| *no > segment).collect();
        self.discard_spares()?;
        newer.iter().try_for_each(|no| self.remove(*no, false))?;
        let end = self.end_before(&format, segment, at)?;
        let file = self.file(&format, segment)?;
        let until = self.segments.get(&segment).map_or(at, |end| end.at);
        if let Err(error) = wipe(file.as_ref(), at, until).and_then(|()| file.sync_data()) {
            return Err(self.fail("cutting off", &error));
        }
        self.segments.insert(segment, end);
        Ok(!newer.is_empty())
    }

    /// Removes the empty segments: after a cut, positions are used again, and in an empty segment's last life they may have been used
    /// already. What is left of it would be taken for records.
    fn discard_spares(&mut self) -> Result<(), StoreError> {
        let disk = self.world.disk.clone();
        while let Taken::Spare(spare) = self.shelf.take(true) {
            disk.remove(&spare_path(&self.dir, spare)).map_err(StoreError::Io)?;
            self.shelf.removed();
        }
        disk.sync_dir(&self.dir).map_err(|error| self.fail("syncing", &error))
    }

    /// Removes a segment durably, or keeps its file as an empty one.
    fn remove(&mut self, segment: SegmentNo, may_keep: bool) -> Result<(), StoreError> {
        self.alive()?;
        let format = self.format()?;
        if self.active.as_ref().is_some_and(|a| a.segment == segment) {
            self.active = None;
        }
        let (disk, path) = (self.world.disk.clone(), segment_path(&self.dir, &format, segment));
        let spare = (may_keep && self.shelf.keeps_one()).then(|| self.shelf.next());
        match spare {
            Some(spare) => disk.rename(&path, &spare_path(&self.dir, spare)),
            None => disk.remove(&path),
        }
        .map_err(StoreError::Io)?;
        if let Err(error) = disk.sync_dir(&self.dir) {
            return Err(self.fail("syncing", &error));
        }
        self.segments.remove(&segment);
        match spare {
            Some(spare) => self.shelf.put(spare),
            None => self.shelf.removed(),
        }
        Ok(())
    }
}
