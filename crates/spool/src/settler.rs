//! Owns settle records on their way to the journal: what waits for company, what flies, what may be released after.
//! Knows no book: it is told what to write, and tells what has landed.
//! Always holds: the records of a finished message are released after its tombstone is durable, never before; a tombstone is
//! kept until the segment of the accept record that it cancels is gone.

use std::collections::VecDeque;
use std::sync::Arc;

use journal::{AppendError, Batch, Commit, Committed, Extent, SegmentNo, When};
use mail::{Envelope, MessageId};

use crate::book::{Arrival, Finished};
use crate::hop::{HopId, HopKey};
use crate::record::{self, Accept, State};
use crate::words::Priority;

/// Settle records, and those who wait for them.
#[derive(Default)]
pub struct Settler {
    /// Waits for company, or for its delay to pass.
    pub pending: Bundle,
    /// Since when, in the book's milliseconds.
    pub pending_since_ms: u64,
    /// When a tick looked here last, in the book's milliseconds.
    pub looked_ms: u64,
    /// Did not fit: tried again.
    pub refused: Vec<Bundle>,
    /// Appended, oldest first.
    pub flights: VecDeque<Flight>,
    /// Written but perhaps not synced, oldest first.
    pub unsynced: VecDeque<Unsynced>,
    /// Chunks of forgotten messages, to be released once they are where they will be.
    pub orphans: Vec<Commit>,
    /// Marks whose session went away before their sync.
    pub abandoned: Vec<Abandoned>,
    /// Messages that are to be under way.
    pub starts: Vec<Start>,
}

/// A mark that nobody waits for any more.
pub struct Abandoned {
    /// Its batch.
    pub commit: Commit,
    /// What it would have made ours.
    pub arrival: Arrival,
    /// The notification in front of it.
    pub notice: Option<Arrival>,
}

/// Records that let the first messages of a queue start, on their way.
pub struct Start {
    /// Their batch.
    pub commit: Commit,
    /// The queue.
    pub hop: HopId,
    /// Each message, and the number of its state.
    pub ids: Vec<(MessageId, u32)>,
    /// Flights that were written when this was appended.
    pub written: u64,
    /// The answer, if it was there at once.
    pub outcome: Option<Result<Committed, AppendError>>,
}

/// What is written together.
#[derive(Default)]
pub struct Bundle {
    /// Messages that are finished.
    pub burials: Vec<Burial>,
    /// What became of messages so far.
    pub states: Vec<(MessageId, State)>,
    /// Notifications that take the place of what is settled: they stand first in the batch.
    pub notices: Vec<Notice>,
    /// A reason to sync, and nothing else.
    pub note: bool,
}

/// A finished message, to be buried.
pub struct Burial {
    /// Its name.
    pub id: MessageId,
    /// The segment whose copy of the accept record is cancelled.
    pub segment: SegmentNo,
    /// What may be released then.
    pub extents: Finished,
}

/// A notification, made and not yet in custody.
pub struct Notice {
    /// Its name.
    pub id: MessageId,
    /// Its bytes.
    pub body: Arc<Vec<u8>>,
    /// Its envelope.
    pub envelope: Arc<Envelope>,
    /// The same, packed.
    pub packed: Vec<u8>,
    /// Where it goes.
    pub hops: Vec<HopKey>,
    /// Its mark says that it is under way.
    pub at_once: bool,
}

/// A bundle that was appended.
pub struct Flight {
    commit: Commit,
    bundle: Bundle,
    /// For a durable one: how many flights were written when it was appended.
    covers: Option<u64>,
    /// The tombstone records at the end of the batch, by segment.
    graves: Vec<SegmentNo>,
}

/// What a landed flight asks for.
pub struct Landed {
    /// Which records were written, in the order of the bundle: two per notice, one per state, one per grave, the note.
    pub committed: Committed,
    /// What was written.
    pub bundle: Bundle,
    /// See [`Flight`].
    pub covers: Option<u64>,
    /// See [`Flight`].
    pub graves: Vec<SegmentNo>,
}

/// What waits for a sync.
pub struct Unsynced {
    /// Number of the flight.
    pub flight: u64,
    /// When it was written, in the book's milliseconds.
    pub since_ms: u64,
    /// Records to release.
    pub release: Vec<Extent>,
    /// Tombstones, each to be kept until a segment is gone.
    pub pins: Vec<(Extent, SegmentNo)>,
}

/// So many finished messages are written without waiting for more.
pub const COMPANY: usize = 64;

impl Bundle {
    /// Number of things in it.
    pub fn len(&self) -> usize {
        self.burials.len() + self.states.len() + self.notices.len() + usize::from(self.note)
    }

    /// Nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what is in `other`.
    pub fn merge(&mut self, other: Bundle) {
        self.burials.extend(other.burials);
        self.states.extend(other.states);
        self.notices.extend(other.notices);
        self.note |= other.note;
    }

    /// The records. Notices come first: a crash that keeps only a part of the batch may repeat a notification, but
    /// cannot lose both it and what it is about.
    fn batch(&mut self) -> (Batch, Vec<SegmentNo>) {
        let mut batch = Batch::new().may_use_reserve();
        for notice in &self.notices {
            batch.push(record::CHUNK, &record::chunk_head(notice.id, 0), notice.body.clone());
            batch.push(record::ACCEPT, &notice.mark(), ());
        }
        for (id, state) in &self.states {
            batch.push(record::STATE, &state.write(*id), ());
        }
        self.burials.sort_by_key(|burial| burial.segment);
        let mut graves = Vec::new();
        for group in self.burials.chunk_by(|a, b| a.segment == b.segment) {
            for part in group.chunks(record::DONE_IDS_MAX) {
                let ids: Vec<u8> = part.iter().flat_map(|burial| burial.id.to_bytes()).collect();
                batch.push(record::DONE, &ids, ());
                graves.push(part[0].segment);
            }
        }
        if self.note {
            batch.push(record::NOTE, &[], ());
        }
        (batch, graves)
    }
}

impl Flight {
    /// Its landing will be a sync.
    pub fn is_durable(&self) -> bool {
        self.covers.is_some()
    }
}

impl Notice {
    /// The payload of its accept record.
    pub fn mark(&self) -> Vec<u8> {
        Accept {
            id: self.id,
            size_bytes: self.body.len() as u64,
            chunks: 1,
            hops: 0,
            priority: Priority::Normal,
            at_once: self.at_once,
            received_from: "",
            journey: &[],
            envelope: &self.packed,
        }
        .write()
    }
}

impl Settler {
    /// Appends a bundle. Notices are custody: they make it durable.
    pub fn fly(&mut self, journal: &journal::Journal, mut bundle: Bundle, written: u64) {
        if bundle.is_empty() {
            return;
        }
        let durable = bundle.note || !bundle.notices.is_empty();
        let (batch, graves) = bundle.batch();
        let commit = journal.append(batch, if durable { When::Here } else { When::Soon });
        self.flights.push_back(Flight { commit, bundle, covers: durable.then_some(written), graves });
    }

    /// Things that are settled and not yet written.
    pub fn unwritten(&self) -> usize {
        let flying = self.flights.iter().map(|flight| flight.bundle.len()).sum::<usize>();
        self.pending.len() + flying + self.refused.iter().map(Bundle::len).sum::<usize>()
    }

    /// Appends what waits for company.
    pub fn fly_pending(&mut self, journal: &journal::Journal, written: u64) {
        let bundle = std::mem::take(&mut self.pending);
        self.fly(journal, bundle, written);
    }

    /// The oldest flight, if it has landed. What did not fit is kept to be tried again.
    pub fn landed(&mut self) -> Option<Landed> {
        loop {
            let outcome = self.flights.front_mut()?.commit.try_take()?;
            let Flight { bundle, covers, graves, .. } = self.flights.pop_front()?;
            match outcome {
                Ok(committed) => return Some(Landed { committed, bundle, covers, graves }),
                Err(AppendError::Full) => self.refused.push(bundle),
                // The journal is closed or its disk failed: the process ends, and the next one knows what was written.
                Err(AppendError::Stopped) => {}
            }
        }
    }

    /// Chunks of forgotten messages whose place is known now.
    pub fn landed_orphans(&mut self) -> Vec<Extent> {
        let mut extents = Vec::new();
        self.orphans.retain_mut(|commit| match commit.try_take() {
            None => true,
            Some(Ok(committed)) => {
                extents.extend(committed.extents());
                false
            }
            Some(Err(_)) => false,
        });
        extents
    }

    /// Messages whose mark has landed although nobody waits for it.
    pub fn landed_abandoned(&mut self) -> Vec<Arrival> {
        let mut landed = Vec::new();
        for mut abandoned in std::mem::take(&mut self.abandoned) {
            match abandoned.commit.try_take() {
                None => self.abandoned.push(abandoned),
                Some(Ok(committed)) => {
                    let mut extents = committed.extents();
                    for mut arrival in abandoned.notice.into_iter().chain([abandoned.arrival]) {
                        arrival.locate(&mut extents);
                        landed.push(arrival);
                    }
                }
                Some(Err(_)) => {
                    abandoned.arrival.last_chunk = None;
                    landed.push(abandoned.arrival);
                }
            }
        }
        landed
    }

    /// What may be released: flights up to `synced`.
    pub fn synced(&mut self, synced: u64) -> Vec<Unsynced> {
        let end = self.unsynced.partition_point(|waiting| waiting.flight <= synced);
        self.unsynced.drain(..end).collect()
    }
}
