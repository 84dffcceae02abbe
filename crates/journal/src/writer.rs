//! Owns the tail of the log: everything that waits is written at once, synced once, then confirmed.
//! Knows no appenders. Always holds: nothing is confirmed `Durable` before its sync; a segment's seal is synced, and the
//! next one's name too, before the next one gets a byte; after a failed write or sync nothing is confirmed.

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use world::{File, Open};

use crate::batch::{Batch, RECORD_HEADER_BYTES};
use crate::commit::Committed;
use crate::copies::{Answer, Group};
use crate::ends::SegmentEnd;
use crate::error::AppendError;
use crate::files::{segment_path, spare_path};
use crate::keeper;
use crate::position::{Position, SegmentNo};
use crate::queue::{Call, Pending};
use crate::record::{self, Format, Header};
use crate::recovery::Resumed;
use crate::shared::{Shared, lock};
use crate::shelf::{SpareNo, Taken};

/// The one who writes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    /// Number of the newest segment.
    newest: SegmentNo,
    taken: Vec<Pending>,
    /// Batches of `taken` that go into the next gathered write.
    group: Vec<Pending>,
    /// What to answer for the group once it is synced, or written if that is enough.
    answers: Vec<Answer>,
    /// When the oldest record that is written and not synced was written.
    unsynced_since_us: Option<u64>,
}

/// The segment that takes records. Offsets in bytes.
struct Active {
    segment: SegmentNo,
    file: Arc<dyn File>,
    tail: u64,
    /// Everything before is synced.
    durable: u64,
    /// Of the headers of all records before `tail`.
    chain: u32,
}

impl Writer {
    /// With `resumed` the newest segment goes on at its end.
    pub(crate) fn new(shared: Arc<Shared>, resumed: Option<Resumed>) -> Writer {
        let newest = shared.ledger().newest().unwrap_or_default();
        let active = resumed.map(|Resumed { tail, file }| {
            shared.active_left.store(shared.format().room_in_segment() - tail.at, Ordering::Relaxed);
            Active { segment: tail.segment, file: file.into(), tail: tail.at, durable: tail.at, chain: tail.chain }
        });
        let (taken, group, answers) = (Vec::new(), Vec::new(), Vec::new());
        Writer { shared, active, newest, taken, group, answers, unsynced_since_us: None }
    }

    /// The body of the writer's thread.
    pub(crate) fn run(mut self) {
        loop {
            let due = self.sync_due_us();
            let call = self.shared.queue.take(&mut self.taken, self.shared.world.clock.as_ref(), due);
            self.answer(call);
            if call == Call::Stop {
                return;
            }
        }
    }

    /// Does what is to be done now without waiting; `false` when there was nothing.
    pub(crate) fn pump(&mut self) -> bool {
        let due = self.sync_due_us();
        let call = self.shared.queue.take_now(&mut self.taken, self.shared.world.clock.as_ref(), due);
        self.answer(call);
        matches!(call, Call::Write | Call::Sync)
    }

    fn sync_due_us(&self) -> Option<u64> {
        self.unsynced_since_us.map(|since| since + self.shared.settings.lazy_sync_ms * 1000)
    }

    fn answer(&mut self, call: Call) {
        self.shared.busy_since_us.store(self.shared.world.clock.mono_us().max(1), Ordering::Relaxed);
        self.act(call);
        self.shared.busy_since_us.store(0, Ordering::Relaxed);
    }

    fn act(&mut self, call: Call) {
        match call {
            Call::Write => self.write_taken(),
            Call::Sync => {
                self.sync(0);
            }
            // A seal tells the next opening that all before it was confirmed.
            Call::Stop => {
                if self.active.is_some() && !self.shared.is_dead() {
                    self.sync(0);
                    self.flush(true);
                }
            }
            Call::Nothing => {}
        }
    }

    /// Writes all of `taken`, in as few gathered writes as segments allow.
    fn write_taken(&mut self) {
        if self.shared.hub.is_deposed() {
            self.shared.queue.close();
            self.taken.clear(); // answers Stopped
            return;
        }
        let mut taken = std::mem::take(&mut self.taken);
        let mut group_bytes = 0;
        for pending in taken.drain(..) {
            let bytes = pending.batch.bytes() as u64;
            if !self.fits(group_bytes + bytes) {
                match self.next_segment(bytes, pending.batch.uses_reserve) {
                    Ok(()) => group_bytes = 0,
                    Err(error) => {
                        pending.ticket.complete(Err(error));
                        continue;
                    }
                }
            }
            group_bytes += bytes;
            self.group.push(pending);
        }
        self.taken = taken;
        self.flush(false);
        let left = self.active.as_ref().map_or(0, |a| self.shared.format().room_in_segment() - a.tail);
        self.shared.active_left.store(left, Ordering::Relaxed);
    }

    fn fits(&self, bytes: u64) -> bool {
        self.active.as_ref().is_some_and(|a| a.tail + bytes <= self.shared.format().room_in_segment())
    }

    /// Ends the active segment with what is grouped, and starts the next one. On error the active one goes on.
    fn next_segment(&mut self, bytes: u64, may_use_reserve: bool) -> Result<(), AppendError> {
        if bytes > self.shared.format().room_in_segment() {
            return Err(AppendError::Full);
        }
        let spare = self.take_spare(may_use_reserve)?;
        if self.active.is_some() {
            self.flush(true);
        }
        if self.shared.is_dead() {
            return Err(AppendError::Stopped);
        }
        match self.start(SegmentNo(self.newest.0 + 1), spare) {
            Ok(()) => Ok(()),
            Err(error) if is_no_space(&error) => {
                self.shared.shelf.put(spare);
                Err(AppendError::Full)
            }
            Err(error) => {
                self.shared.die(&format!("starting a segment in {} failed: {error}", self.shared.dir.display()));
                Err(AppendError::Stopped)
            }
        }
    }

    /// An empty segment; waits while the keeper is making one.
    fn take_spare(&self, may_use_reserve: bool) -> Result<SpareNo, AppendError> {
        loop {
            if self.shared.is_dead() {
                return Err(AppendError::Stopped);
            }
            let taken = self.shared.shelf.take(may_use_reserve);
            self.shared.errand.call();
            match taken {
                Taken::Spare(spare) => return Ok(spare),
                Taken::Nothing => return Err(AppendError::Full),
                Taken::Soon if self.shared.threads => self.shared.shelf.wait(may_use_reserve),
                Taken::Soon => {
                    keeper::step(&self.shared);
                }
            }
        }
    }

    fn start(&mut self, segment: SegmentNo, spare: SpareNo) -> io::Result<()> {
        let disk = self.shared.world.disk.as_ref();
        let path = segment_path(&self.shared.dir, &self.shared.format(), segment);
        disk.rename(&spare_path(&self.shared.dir, spare), &path)?;
        disk.sync_dir(&self.shared.dir)?;
        let file: Arc<dyn File> = disk.open(&path, Open::Write)?.into();
        self.newest = segment;
        self.shared.ledger().open(segment);
        self.shared.handles.put(segment, file.clone());
        self.active = Some(Active { segment, file, tail: 0, durable: 0, chain: 0 });
        let begin = self.shared.format().start(segment);
        self.shared.hub.written(begin, SegmentEnd::default(), Some(Group::default()), false);
        // An older segment may have waited for a newer one.
        self.shared.errand.call();
        Ok(())
    }

    /// Writes the group, syncs it if somebody asked for that, and confirms it. With `seal` the segment ends here.
    fn flush(&mut self, seal: bool) {
        if self.shared.is_dead() {
            self.group.clear(); // answers Stopped
            return;
        }
        let Some(active) = &mut self.active else { return };
        if self.group.is_empty() && !seal {
            return;
        }
        let (from, durable) = (active.tail, active.durable);
        // One epoch for all of it, whatever is raised meanwhile.
        let format = self.shared.format();
        let start = format.start(active.segment);
        let (mut at, mut chain) = (from, active.chain);
        for pending in &mut self.group {
            at = stamp(&format, &mut pending.batch, start, at, durable, &mut chain);
        }
        let group_end = at;
        let seal_bytes = seal.then(|| seal_at(&format, active, group_end));
        let written = write_group(active, &self.group, group_end, seal_bytes.as_ref());
        match written {
            Ok(()) => {}
            Err(error) if is_no_space(&error) && !self.group.is_empty() => return self.cut_off(),
            Err(error) => return self.fail("writing to", &error),
        }
        let mut end = SegmentEnd { at: group_end, chain, sealed: false };
        if let Some(seal) = &seal_bytes {
            end = end.then(seal, RECORD_HEADER_BYTES as u64, true);
        }
        (active.tail, active.chain) = (end.at, end.chain);
        let records = self.group.iter().map(|p| p.batch.len() as u64).sum();
        let urgent = self.group.iter().any(|p| p.when.wants_sync());
        let position = Position(start.0 + from);
        let commits = self.group.len() as u64;
        self.hand_over(position, end, seal_bytes, urgent);
        if seal || urgent {
            if !self.sync(records) {
                return;
            }
        } else if self.unsynced_since_us.is_none() {
            self.unsynced_since_us = Some(self.shared.world.clock.mono_us());
        }
        self.confirm(position, group_end - from, records, commits);
        if seal {
            self.seal_done();
        }
    }

    /// The active segment is sealed and synced: it takes nothing any more.
    fn seal_done(&mut self) {
        if let Some(active) = self.active.take() {
            self.shared.ledger().seal(active.segment);
            self.shared.errand.call();
        }
    }

    /// Gives what was written to the copies, at the same time as it is synced here, and keeps the answers.
    fn hand_over(
        &mut self,
        position: Position,
        end: SegmentEnd,
        seal: Option<[u8; RECORD_HEADER_BYTES]>,
        urgent: bool,
    ) {
        let copied = self.shared.hub.wants_groups();
        let mut batches = Vec::with_capacity(if copied { self.group.len() } else { 0 });
        let mut first = position;
        for Pending { batch, ticket, when } in self.group.drain(..) {
            let committed = Committed::new(first, batch.entries.iter().map(|e| e.payload_len));
            first = Position(first.0 + batch.bytes() as u64);
            self.answers.push(Answer { ticket, committed, when, end: first });
            if copied {
                batches.push(batch);
            }
        }
        let group = copied.then_some(Group { batches, seal });
        self.shared.hub.written(position, end, group, urgent);
    }

    /// Counts the group's records as live, then gives each appender its positions, or leaves that to the copies.
    fn confirm(&mut self, first: Position, bytes: u64, records: u64, commits: u64) {
        let segment = self.shared.format().segment_of(first);
        self.shared.ledger().add(segment, bytes);
        let mut counts = lock(&self.shared.counts);
        counts.appended_records += records;
        counts.appended_bytes += bytes;
        counts.commits += commits;
        drop(counts);
        self.shared.hub.synced(&mut self.answers);
    }

    /// No space although the segment was filled ahead (a file system that copies on write): a seal, synced, cuts off
    /// whatever was half written, and nothing of the group is kept.
    fn cut_off(&mut self) {
        let group = std::mem::take(&mut self.group);
        self.flush(true);
        let outcome = if self.shared.is_dead() { AppendError::Stopped } else { AppendError::Full };
        for pending in group {
            pending.ticket.complete(Err(outcome));
        }
    }

    /// Syncs the active segment; `false` when that failed and all is over.
    fn sync(&mut self, records: u64) -> bool {
        let Some(active) = &mut self.active else {
            self.unsynced_since_us = None; // a sealed segment is synced
            return true;
        };
        let clock = self.shared.world.clock.as_ref();
        let started_us = clock.mono_us();
        if let Err(error) = active.file.sync_data() {
            self.fail("syncing", &error);
            return false;
        }
        active.durable = active.tail;
        self.unsynced_since_us = None;
        lock(&self.shared.counts).count_sync(clock.mono_us() - started_us, records);
        true
    }

    /// A failed write or sync: no second attempt can prove anything.
    fn fail(&mut self, what: &str, error: &io::Error) {
        let segment = self.active.take().map(|a| a.segment).unwrap_or_default();
        let path = segment_path(&self.shared.dir, &self.shared.format(), segment);
        self.shared.die(&format!("{what} {} failed: {error}", path.display()));
        self.unsynced_since_us = None;
        // Both answer Stopped.
        self.group.clear();
        self.answers.clear();
    }
}

/// Fills in a batch's headers from offset `at` on; returns the offset behind it.
fn stamp(format: &Format, batch: &mut Batch, start: Position, mut at: u64, durable: u64, chain: &mut u32) -> u64 {
    for entry in &batch.entries {
        let header = Header {
            kind: entry.kind,
            len: entry.payload_len,
            payload_crc: entry.payload_crc,
            epoch: format.epoch,
            position: Position(start.0 + at),
            durable_back: (at - durable) as u32,
        };
        let bytes = &mut batch.small[entry.small.clone()];
        header.encode(format, bytes);
        *chain = record::chain(*chain, bytes);
        at += header.total() as u64;
    }
    at
}

/// The seal that ends a segment at offset `end`.
fn seal_at(format: &Format, active: &Active, end: u64) -> [u8; RECORD_HEADER_BYTES] {
    let mut bytes = [0; RECORD_HEADER_BYTES];
    let position = Position(format.start(active.segment).0 + end);
    Header::seal(format, position, (end - active.durable) as u32).encode(format, &mut bytes);
    bytes
}

/// One gathered write of the group's records, a seal if there is one, and zeros up to the page's end: no later write has
/// to read the rest of that page from the disk first.
fn write_group(
    active: &Active,
    group: &[Pending],
    end: u64,
    seal: Option<&[u8; RECORD_HEADER_BYTES]>,
) -> io::Result<()> {
    let mut parts = Vec::with_capacity(2 * group.iter().map(|p| p.batch.len()).sum::<usize>() + 2);
    for pending in group {
        pending.batch.slices(&mut parts);
    }
    let mut end = end;
    if let Some(seal) = seal {
        parts.push(IoSlice::new(seal));
        end += RECORD_HEADER_BYTES as u64;
    }
    let rest = end.next_multiple_of(PAGE as u64) - end;
    parts.push(IoSlice::new(&ZEROS[..rest as usize]));
    active.file.write_all_at(active.tail, &parts)
}

/// Whether space is all that is missing.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

const PAGE: usize = 4096;
static ZEROS: [u8; PAGE] = [0; PAGE];
