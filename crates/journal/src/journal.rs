//! Owns the face of the journal: what its owner can ask for, and who does the work.
//! Knows no formats. Always holds: the writer's thread ends before the keeper's, the lock is released after both.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use world::{Lock, World};

use crate::batch::{Batch, RECORD_HEADER_BYTES};
use crate::canary::Canary;
use crate::commit::Commit;
use crate::copies::Copies;
use crate::error::{OpenError, RaiseError, ReadError};
use crate::keeper;
use crate::ledger::{Candidate, Pinned};
use crate::meta;
use crate::opening;
use crate::position::{Extent, Position, SegmentNo};
use crate::queue::Pending;
use crate::record::{Format, Header};
use crate::recovery::Recovered;
use crate::settings::Settings;
use crate::shared::{Shared, Start, lock};
use crate::stats::{Room, Stats};
use crate::walk::walk;
use crate::when::When;
use crate::windows::Direct;
use crate::writer::{Writer, is_no_space};

/// An open journal. Clones are the same journal; the last one dropped closes it.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    lost: Vec<Range<Position>>,
    opened_at: Position,
    mode: Mode,
    drive: Mutex<Drive>,
    /// Released last: after the threads have ended.
    directory: Mutex<Option<Box<dyn Lock>>>,
}

/// Who does the work.
enum Drive {
    /// Nobody: opened for rescue, or closed.
    Nobody,
    /// The caller of [`Journal::pump`].
    Caller(Box<Writer>),
    Threads {
        writer: JoinHandle<()>,
        keeper: JoinHandle<()>,
    },
}

/// What a journal is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To append. Damage is an error.
    Serve,
    /// To read what is left. Nothing is written; appends answer `Stopped`.
    Rescue,
}

/// A record found while opening or scanning.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The owner's kind, 1 to 239.
    pub kind: u8,
    /// Where it is.
    pub extent: Extent,
    /// The epoch under which it was written.
    pub epoch: u32,
    /// Its payload, checked.
    pub payload: &'a [u8],
}

impl Journal {
    /// Opens the journal in `dir` (made if missing) and shows each intact record, in order, to `visit`.
    /// Every record shown is durable, and live until released. A torn tail is cut and sealed.
    pub fn open(
        world: &World,
        dir: &Path,
        settings: Settings,
        mode: Mode,
        visit: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Journal, OpenError> {
        let (journal, writer) = Journal::assemble(world, dir, settings, mode, true, visit)?;
        if mode == Mode::Serve {
            let started = journal.inner.start_threads(writer);
            started.map_err(|source| OpenError::Io { what: "starting threads for", path: dir.into(), source })?;
        }
        Ok(journal)
    }

    /// The same without threads, for simulations and tests: nothing happens but in [`Journal::pump`].
    pub fn open_inline(
        world: &World,
        dir: &Path,
        settings: Settings,
        mode: Mode,
        visit: &mut dyn FnMut(Seen<'_>),
    ) -> Result<Journal, OpenError> {
        let (journal, writer) = Journal::assemble(world, dir, settings, mode, false, visit)?;
        if mode == Mode::Serve {
            *lock(&journal.inner.drive) = Drive::Caller(Box::new(writer));
        }
        Ok(journal)
    }

    fn assemble(
        world: &World,
        dir: &Path,
        settings: Settings,
        mode: Mode,
        threads: bool,
        visit: &mut dyn FnMut(Seen<'_>),
    ) -> Result<(Journal, Writer), OpenError> {
        let show = &mut |header: &Header, payload: &[u8]| {
            visit(Seen { kind: header.kind, extent: header.extent(), epoch: header.epoch, payload });
        };
        let opened = match mode {
            Mode::Serve => opening::to_serve(world, dir, &settings, threads, show)?,
            Mode::Rescue => opening::to_rescue(world, dir, threads, show)?,
        };
        let Recovered { ledger, ends, lost, tail } = opened.recovered;
        let opened_at = tail.map_or(Position(0), |t| Position(opened.format.start(t.segment).0 + t.at));
        let start = Start { format: opened.format, ledger, ends, spares: opened.spares };
        let shared = Shared::new(world, dir.into(), start, settings, threads);
        if mode == Mode::Rescue {
            shared.queue.close();
        }
        let drive = Mutex::new(Drive::Nobody);
        let shared = Arc::new(shared);
        let writer = Writer::new(shared.clone(), opened.resumed);
        let directory = Mutex::new(opened.lock);
        let inner = Inner { shared, lost, opened_at, mode, drive, directory };
        Ok((Journal { inner: Arc::new(inner) }, writer))
    }

    /// One round of the writer and of the background work on the caller's thread. Returns whether anything was done.
    /// Does nothing on a journal with threads.
    pub fn pump(&self) -> bool {
        match &mut *lock(&self.inner.drive) {
            Drive::Caller(writer) => {
                let wrote = writer.pump();
                let kept = !self.inner.shared.is_dead() && keeper::step(&self.inner.shared);
                wrote || kept
            }
            _ => false,
        }
    }

    /// Queues a batch. Never blocks on I/O. A batch that is larger than a segment is answered with `Full`.
    pub fn append(&self, batch: Batch, when: When) -> Commit {
        let (commit, ticket) = Commit::open();
        self.inner.shared.queue.push(Pending { batch, ticket, when });
        commit
    }

    /// The payload of a live record, checked. Blocks for one read.
    pub fn read(&self, extent: Extent) -> Result<Vec<u8>, ReadError> {
        let shared = &self.inner.shared;
        let mut bytes = vec![0; RECORD_HEADER_BYTES + extent.len as usize];
        self.read_at(extent.position, 0, &mut bytes)?;
        let damaged = || ReadError::Damaged(extent.position);
        let header = Header::decode(&shared.format(), extent.position, &bytes).ok_or_else(damaged)?;
        if !header.fits(&bytes[RECORD_HEADER_BYTES..]) {
            return Err(damaged());
        }
        bytes.drain(..RECORD_HEADER_BYTES);
        Ok(bytes)
    }

    /// A part of the payload of a live record from `offset` on, NOT checked against the checksum. Fills `buf` or fails.
    pub fn read_into(&self, extent: Extent, offset: u32, buf: &mut [u8]) -> Result<(), ReadError> {
        if u64::from(offset) + buf.len() as u64 > u64::from(extent.len) {
            return Err(ReadError::Damaged(extent.position));
        }
        self.read_at(extent.position, RECORD_HEADER_BYTES as u64 + u64::from(offset), buf)
    }

    fn read_at(&self, position: Position, skip: u64, buf: &mut [u8]) -> Result<(), ReadError> {
        let shared = &self.inner.shared;
        let file = shared.reader(position, self.segment_of(position))?;
        let offset = shared.format().offset(position) + skip;
        file.read_exact_at(offset, buf).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ReadError::Damaged(position),
            _ => ReadError::Io(error),
        })
    }

    /// Says that a record is not needed any more. Each record at most once; `len` is its payload length.
    /// Nothing of it is written: after a restart the record may be seen again.
    pub fn release(&self, position: Position, len: u32) {
        if self.inner.shared.ledger().release(position, len) {
            self.inner.shared.errand.call();
        }
    }

    /// Releases `record` (a tombstone) by itself once segment `older` has been freed, so that what it cancels can
    /// never be seen again without it. At once if `older` is gone already or is the record's own segment.
    pub fn pin_until_gone(&self, record: Extent, older: SegmentNo) {
        if self.inner.shared.ledger().pin(record, older) {
            self.inner.shared.errand.call();
        }
    }

    /// The segment of a position.
    pub fn segment_of(&self, position: Position) -> SegmentNo {
        self.inner.shared.format().segment_of(position)
    }

    /// The oldest segment that still has records.
    pub fn oldest_segment(&self) -> Option<SegmentNo> {
        self.inner.shared.ledger().oldest()
    }

    /// Whether a segment is still there.
    pub fn exists(&self, segment: SegmentNo) -> bool {
        self.inner.shared.ledger().exists(segment)
    }

    /// The first sealed segment from `from` on with so few live bytes that appending them again is worth it.
    pub fn cleaning_candidate(&self, from: SegmentNo) -> Option<Candidate> {
        let shared = &self.inner.shared;
        let settings = &shared.settings;
        let behind = if shared.shelf.plenty() { settings.clean_behind_segments } else { 0 };
        shared.ledger().cleaning_candidate(from, settings.clean_below_percent, behind)
    }

    /// `copy`, a durable copy of a pinned record, takes its place: it is pinned to the same segment, and the record is released.
    pub fn move_pin(&self, pinned: Pinned, copy: Extent) {
        if self.inner.shared.ledger().move_pin(pinned, copy) {
            self.inner.shared.errand.call();
        }
    }

    /// Shows each record of a sealed segment, in order, released ones too.
    pub fn scan_segment(&self, segment: SegmentNo, visit: &mut dyn FnMut(Seen<'_>)) -> Result<(), ReadError> {
        let shared = &self.inner.shared;
        let start = shared.format().start(segment);
        if !shared.ledger().is_sealed(segment) {
            return Err(ReadError::Gone(start));
        }
        let file = shared.reader(start, segment)?;
        let mut windows = Direct::new(file.as_ref(), 0);
        let end = walk(&mut windows, &shared.format(), segment, 0, &mut |header, payload| {
            visit(Seen { kind: header.kind, extent: header.extent(), epoch: header.epoch, payload });
        });
        let end = end.map_err(ReadError::Io)?;
        if end.sealed { Ok(()) } else { Err(ReadError::Damaged(Position(start.0 + end.at))) }
    }

    /// Positions that are unreadable; empty unless opened with [`Mode::Rescue`].
    pub fn lost(&self) -> Vec<Range<Position>> {
        self.inner.lost.clone()
    }

    /// Where the log ended when it was opened: every record found lies before it, every record of this opening behind.
    /// After a take-over this is what the journal was taken at.
    pub fn opened_at(&self) -> Position {
        self.inner.opened_at
    }

    /// The epoch under which records are written now: that of the opening, or what it was raised to.
    pub fn epoch(&self) -> u32 {
        self.inner.shared.format().epoch
    }

    /// Goes on under a higher epoch: whoever decides who owns what has given one while the journal is open. It is durable before the first
    /// record has it; every link begins anew with it. What waits for copies goes on waiting for the same ones. A lower epoch, or the
    /// same, changes nothing. Blocks for the disk.
    pub fn raise_epoch(&self, epoch: u32) -> Result<(), RaiseError> {
        let shared = &self.inner.shared;
        let _one_after_the_other = lock(&shared.raising);
        if self.inner.mode == Mode::Rescue || shared.is_dead() || shared.hub.is_deposed() {
            return Err(RaiseError::Stopped);
        }
        let format = shared.format();
        if epoch <= format.epoch {
            return Ok(());
        }
        if shared.settings.canary != Canary::EpochBeforeMeta {
            match meta::write(&shared.world, &shared.dir, &Format { epoch, ..format }) {
                Ok(()) => {}
                Err(OpenError::Io { source, .. }) if is_no_space(&source) => return Err(RaiseError::Full),
                Err(error) => {
                    shared.die(&error.to_string());
                    return Err(RaiseError::Stopped);
                }
            }
        }
        if shared.hub.raise(epoch) { Ok(()) } else { Err(RaiseError::Stopped) }
    }

    /// The copies of this journal.
    pub fn copies(&self) -> Copies {
        Copies::new(self.inner.shared.hub.clone())
    }

    /// The figures.
    pub fn stats(&self) -> Stats {
        let shared = &self.inner.shared;
        let mut stats = lock(&shared.counts).clone();
        let ledger = shared.ledger();
        stats.segments = ledger.len() as u64;
        (stats.live_bytes, stats.dead_bytes) = ledger.bytes();
        drop(ledger);
        stats.spare = shared.shelf.len() as u64;
        stats.segment_bytes = shared.format().segment_bytes;
        let (batches, bytes) = shared.queue.waiting();
        (stats.waiting_batches, stats.waiting_bytes) = (batches as u64, bytes as u64);
        let busy_since_us = shared.busy_since_us.load(Ordering::Relaxed);
        if busy_since_us > 0 {
            stats.busy_us = shared.world.clock.mono_us().saturating_sub(busy_since_us);
        }
        stats.free_for_accept = self.room() == Room::Plenty;
        stats
    }

    /// Whether ordinary batches are taken.
    pub fn room(&self) -> Room {
        let shared = &self.inner.shared;
        if self.inner.mode == Mode::Rescue || shared.is_dead() {
            return Room::OnlyReserve;
        }
        let left = shared.active_left.load(Ordering::Relaxed);
        let some_left = left >= shared.format().segment_bytes / 8;
        if shared.shelf.plenty() || some_left { Room::Plenty } else { Room::OnlyReserve }
    }

    /// Writes and syncs what is queued, refuses later appends with `Stopped`, and ends the threads. Then the directory is free for whoever
    /// opens it next, though others still have this journal and read from it.
    pub fn close(self) {
        self.inner.stop(true);
    }
}

impl Inner {
    fn start_threads(&self, writer: Writer) -> io::Result<()> {
        let shared = self.shared.clone();
        let keeper = Builder::new().name("journal-keeper".into()).spawn(move || keeper::run(&shared))?;
        let writer = match Builder::new().name("journal-writer".into()).spawn(move || writer.run()) {
            Ok(writer) => writer,
            Err(error) => {
                self.shared.errand.end();
                return Err(error);
            }
        };
        *lock(&self.drive) = Drive::Threads { writer, keeper };
        Ok(())
    }

    /// Ends the work. The caller's own work is finished only when it asks for it: a dropped journal in a simulation
    /// is a process that died.
    fn stop(&self, finish: bool) {
        self.shared.queue.close();
        match std::mem::replace(&mut *lock(&self.drive), Drive::Nobody) {
            Drive::Nobody => {}
            Drive::Caller(mut writer) => while finish && writer.pump() {},
            Drive::Threads { writer, keeper } => {
                // The writer may still need empty segments, so the keeper goes last. A thread that panicked has
                // said so already, and its tickets have answered.
                let _ = writer.join();
                self.shared.errand.end();
                let _ = keeper.join();
            }
        }
        self.shared.hub.let_go();
        drop(lock(&self.directory).take());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop(false);
    }
}
