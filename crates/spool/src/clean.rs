//! Owns winning back nearly dead segments: what is still needed in them is appended again, then released there.
//! Knows no schedule. Always holds: the old record is released after the new one is durable; a message is claimed while its
//! records move, so that nothing becomes of it meanwhile; the rate is bounded by [`MOVE_BYTES`] and [`PAUSE_MS`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use journal::{Batch, Extent, Seen, When};
use mail::MessageId;

use crate::book::{Claim, Effects};
use crate::cleaner::Flight;
use crate::record::{self, Accept, Part, State, Survivor};
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
    let now_ms = inner.now_ms();
    if work.survivors.is_empty() {
        if now_ms < work.not_before_ms {
            return false;
        }
        let Some(segment) = inner.journal.cleaning_candidate() else { return false };
        let mut survivors = VecDeque::new();
        // A segment that cannot be read is not cleaned; its messages fail when they are delivered, and say so then.
        let scanned = inner.journal.scan_segment(segment, &mut |seen| survivors.extend(inner.survivor(seen)));
        work.not_before_ms = now_ms + RETRY_MS;
        if scanned.is_err() {
            return false;
        }
        work.survivors = survivors;
        work.moved_any = false;
    }
    work.flight = inner.move_some(&mut work.survivors);
    work.moved_any |= work.flight.is_some();
    if work.survivors.is_empty() && work.moved_any {
        work.not_before_ms = now_ms;
    }
    work.flight.is_some()
}

impl Inner {
    /// A record that is needed now, by what it says of itself.
    fn survivor(&self, seen: Seen<'_>) -> Option<Survivor> {
        let (id, part) = match seen.kind {
            record::CHUNK => record::read_chunk_head(seen.payload).ok().map(|(id, n)| (id, Part::Chunk(n)))?,
            record::ACCEPT => (Accept::read(seen.payload).ok()?.id, Part::Accept),
            record::STATE => State::read(seen.payload).ok().map(|(id, state)| (id, Part::State(state.seq)))?,
            // Tombstones are pinned: their segments are not cleaned.
            _ => return None,
        };
        let survivor = Survivor { id, part, extent: seen.extent };
        self.book().needs(&survivor).then_some(survivor)
    }

    /// Appends some of the survivors again, their messages being claimed. Those in hand are left for another time.
    fn move_some(&self, survivors: &mut VecDeque<Survivor>) -> Option<Flight> {
        let mut claims: BTreeMap<MessageId, Claim> = BTreeMap::new();
        let mut batch = Batch::new().may_use_reserve();
        let mut moved = Vec::new();
        let mut bytes = 0;
        let bytes_max = MOVE_BYTES.min(self.journal.stats().segment_bytes as usize / 2);
        while let Some(survivor) = survivors.pop_front() {
            {
                let mut book = self.book();
                let Some(at) = book.find(survivor.id).filter(|_| book.needs(&survivor)) else { continue };
                if let Entry::Vacant(unclaimed) = claims.entry(survivor.id) {
                    let Some(claim) = book.claim(at) else { continue };
                    unclaimed.insert(claim);
                }
            }
            let Ok(payload) = self.journal.read(survivor.extent) else { continue };
            let kind = match survivor.part {
                Part::Chunk(_) => record::CHUNK,
                Part::Accept => record::ACCEPT,
                Part::State(_) => record::STATE,
            };
            bytes += payload.len();
            batch.push(kind, &[], payload);
            moved.push(survivor);
            let next = survivors.front().map_or(0, |next| next.extent.len as usize);
            if bytes + next > bytes_max {
                break;
            }
        }
        if claims.is_empty() {
            return None;
        }
        let commit = self.journal.append(batch, When::Durable);
        Some(Flight { commit, moved, claims: claims.into_values().collect() })
    }

    /// The copies are durable (or were not taken): they count from now on, and the old ones are released.
    fn land_moved(&self, flight: &Flight, extents: Option<Vec<Extent>>) {
        let now_ms = self.now_ms();
        let mut effects = Effects::default();
        let mut dead = Vec::new();
        {
            let mut book = self.book();
            for (survivor, extent) in flight.moved.iter().zip(extents.iter().flatten()) {
                dead.push(book.moved(survivor, *extent, self.journal.segment_of(survivor.extent.position)));
            }
            for claim in &flight.claims {
                book.unclaim(claim, now_ms, &mut effects);
            }
        }
        dead.into_iter().for_each(|extent| self.release(extent));
        self.tell(effects, None);
    }
}

/// Bytes that are moved at once; with [`PAUSE_MS`], 25 MB/s at most.
const MOVE_BYTES: usize = 512 << 10;
const PAUSE_MS: u64 = 20;
/// Wait after there was nothing to do.
const IDLE_MS: u64 = 1000;
/// Wait before a segment that gave nothing is looked through again.
const RETRY_MS: u64 = 10_000;
