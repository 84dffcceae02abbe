//! Owns winning back nearly dead segments: what is still needed in them is appended again, then released there.
//! Knows no schedule. Always holds: the old record is released after the new one is durable; a message is claimed while its
//! records move, so that nothing becomes of it meanwhile; the rate is bounded by [`MOVE_BYTES`] and [`PAUSE_MS`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use journal::{Batch, Extent, RECORD_HEADER_BYTES, Seen, SegmentNo, When};
use mail::MessageId;

use crate::book::{Claim, Effects};
use crate::cleaner::{Cleaning, Flight};
use crate::record::{self, Accept, Part, State, Survivor};
use crate::settings::Canary;
use crate::shared::{Inner, Spool};

/// Starts the thread that cleans until the spool stops or is dropped.
pub fn start(spool: &Spool) -> io::Result<()> {
    let spool = Arc::downgrade(&spool.inner);
    let body = move || {
        while let Some(inner) = spool.upgrade() {
            let wait_ms = if step(&inner) { PAUSE_MS } else { IDLE_MS };
            if inner.cleaner.wait(wait_ms) {
                return;
            }
        }
    };
    std::thread::Builder::new().name(String::from("spool-clean")).spawn(body).map(|_| ())
}

/// One piece of work. `false` when there was none.
pub fn step(inner: &Inner) -> bool {
    let mut work = inner.cleaner.work();
    if let Some(mut flight) = work.flight.take() {
        let Some(outcome) = flight.commit.try_take() else {
            work.flight = Some(flight);
            return true;
        };
        inner.land_moved(&flight, outcome.ok().map(|committed| committed.extents().collect()));
        return true;
    }
    if work.is_empty() && !inner.next_segment(&mut work) {
        return false;
    }
    work.flight = inner.move_some(&mut work);
    work.moved_any |= work.flight.is_some();
    work.flight.is_some()
}

impl Inner {
    /// Looks for the next segment that is worth it, and for what is needed in it. `false` when there is none for now.
    fn next_segment(&self, work: &mut Cleaning) -> bool {
        let now_ms = self.now_ms();
        if now_ms < work.not_before_ms {
            return false;
        }
        let Some(candidate) = self.journal.cleaning_candidate(work.next) else {
            // From the start again; not at once, if all that was found is in somebody's hand.
            let found_any = std::mem::take(&mut work.next) > SegmentNo(0);
            if !std::mem::take(&mut work.moved_any) && found_any {
                work.not_before_ms = now_ms + RETRY_MS;
            }
            return false;
        };
        work.next = SegmentNo(candidate.segment.0 + 1);
        let mut survivors = VecDeque::new();
        let mut scan =
            || self.journal.scan_segment(candidate.segment, &mut |seen| survivors.extend(self.survivor(seen)));
        // A segment that cannot be read is not cleaned; its messages fail when they are delivered, and say so then.
        if candidate.others && scan().is_err() {
            return false;
        }
        work.survivors = survivors;
        work.tombstones = candidate.pinned.into();
        !work.is_empty()
    }

    /// A record that its message needs now, by what it says of itself.
    fn survivor(&self, seen: Seen<'_>) -> Option<Survivor> {
        let (id, part) = match seen.kind {
            record::CHUNK => record::read_chunk_head(seen.payload).ok().map(|(id, n)| (id, Part::Chunk(n)))?,
            record::ACCEPT => (Accept::read(seen.payload).ok()?.id, Part::Accept),
            record::STATE => State::read(seen.payload).ok().map(|(id, state)| (id, Part::State(state.seq)))?,
            // Tombstones that are needed are pinned: the journal names them.
            _ => return None,
        };
        let survivor = Survivor { id, part, extent: seen.extent };
        self.book().needs(&survivor).then_some(survivor)
    }

    /// Appends some of what is needed again; the messages of survivors are claimed, those in hand are left for another time.
    fn move_some(&self, work: &mut Cleaning) -> Option<Flight> {
        let mut load = Load::new(MOVE_BYTES.min(self.journal.stats().segment_bytes as usize / 2));
        let mut claims: BTreeMap<MessageId, Claim> = BTreeMap::new();
        let mut moved = Vec::new();
        while let Some(survivor) = load.next_of(&mut work.survivors, |survivor| survivor.extent) {
            {
                let mut book = self.book();
                let Some(at) = book.find(survivor.id).filter(|_| book.needs(&survivor)) else { continue };
                if let Entry::Vacant(unclaimed) = claims.entry(survivor.id) {
                    let Some(claim) = book.claim(at) else { continue };
                    unclaimed.insert(claim);
                }
            }
            let Ok(payload) = self.journal.read(survivor.extent) else { continue };
            load.push(survivor.part.kind(), payload);
            moved.push(survivor);
        }
        let mut tombstones = Vec::new();
        while let Some(pinned) = load.next_of(&mut work.tombstones, |pinned| pinned.record) {
            let Ok(mut payload) = self.journal.read(pinned.record) else { continue };
            if self.settings.canary == Canary::LoseTombstones {
                payload.clear();
            }
            load.push(record::DONE, payload);
            tombstones.push(pinned);
        }
        if moved.is_empty() && tombstones.is_empty() && claims.is_empty() {
            return None;
        }
        let commit = self.journal.append(load.batch, When::Here);
        Some(Flight { commit, moved, tombstones, claims: claims.into_values().collect() })
    }

    /// The copies are durable (or were not taken): they count from now on, and the old ones are released.
    fn land_moved(&self, flight: &Flight, extents: Option<Vec<Extent>>) {
        let now_ms = self.now_ms();
        let mut effects = Effects::default();
        let mut dead = Vec::new();
        let mut extents = extents.into_iter().flatten();
        {
            let mut book = self.book();
            for (survivor, extent) in flight.moved.iter().zip(extents.by_ref()) {
                dead.push(book.moved(survivor, extent, self.journal.segment_of(survivor.extent.position)));
            }
            for claim in &flight.claims {
                book.unclaim(claim, now_ms, &mut effects);
            }
        }
        dead.into_iter().for_each(|extent| self.release(extent));
        for (pinned, copy) in flight.tombstones.iter().zip(extents) {
            self.journal.move_pin(*pinned, copy);
        }
        self.tell(effects, None);
    }
}

/// What is appended again at once.
struct Load {
    batch: Batch,
    bytes_max: usize,
}

impl Load {
    fn new(bytes_max: usize) -> Load {
        Load { batch: Batch::new().may_use_reserve(), bytes_max }
    }

    /// The first of `queue`, if it still goes with the rest; a first one always does.
    fn next_of<T>(&self, queue: &mut VecDeque<T>, extent: impl Fn(&T) -> Extent) -> Option<T> {
        let len = extent(queue.front()?).len as usize;
        let fits = self.batch.bytes() == 0 || self.batch.bytes() + RECORD_HEADER_BYTES + len <= self.bytes_max;
        if fits { queue.pop_front() } else { None }
    }

    fn push(&mut self, kind: u8, payload: Vec<u8>) {
        self.batch.push(kind, &[], payload);
    }
}

/// Bytes that are moved at once; with [`PAUSE_MS`], 25 MB/s at most.
const MOVE_BYTES: usize = 512 << 10;
const PAUSE_MS: u64 = 20;
/// Wait after there was nothing to do.
const IDLE_MS: u64 = 250;
/// Wait before segments that gave nothing are looked through again.
const RETRY_MS: u64 = 10_000;
