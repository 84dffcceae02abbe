//! What the owner of a journal may rely on, and the checks of it. Each violation is a sentence.

use std::collections::BTreeMap;

use journal::{AppendError, Committed, Extent, Journal, SegmentNo};

pub type Id = u64;

/// What is known of one record.
#[derive(Clone, Debug)]
pub struct Known {
    pub kind: u8,
    pub payload: Vec<u8>,
    pub fate: Fate,
    /// The record that this one cancels.
    pub cancels: Option<Id>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Appended, no answer yet; or the process died before one. It may be there or not.
    Open,
    /// Confirmed or recovered, and not released. `must`: it has to be there after any crash.
    Live { extent: Extent, must: bool },
    /// A tombstone that stays while the record that it cancels can be seen.
    Pinned { extent: Extent },
    /// Released: it may be seen again, once more or never.
    Released,
    /// Answered `Full`: it must never be seen.
    Full,
    /// Not there at some opening: it must never come back.
    Gone,
}

/// A record as an opening showed it.
pub struct Shown {
    pub kind: u8,
    pub extent: Extent,
    pub payload: Vec<u8>,
}

#[derive(Default)]
pub struct Model {
    pub records: BTreeMap<Id, Known>,
    next: Id,
}

impl Model {
    /// Makes a record with content that no other has.
    pub fn new_record(&mut self, len: usize, cancels: Option<Id>) -> (Id, u8, Vec<u8>) {
        self.next += 1;
        let id = self.next;
        let kind = if cancels.is_some() { 2 } else { 1 };
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend((0..len).map(|n| (id as usize * 31 + n * 7) as u8));
        self.records.insert(id, Known { kind, payload: payload.clone(), fate: Fate::Open, cancels });
        (id, kind, payload)
    }

    pub fn live(&self) -> Vec<(Id, Extent)> {
        let live = |(id, k): (&Id, &Known)| match k.fate {
            Fate::Live { extent, .. } => Some((*id, extent)),
            _ => None,
        };
        self.records.iter().filter_map(live).collect()
    }

    pub fn set(&mut self, id: Id, fate: Fate) {
        self.records.get_mut(&id).unwrap().fate = fate;
    }

    /// Notes the answer to a batch. A durable one makes all that stands before it durable.
    pub fn answered(&mut self, ids: &[Id], durable: bool, outcome: &Result<Committed, AppendError>) {
        match outcome {
            Ok(committed) => {
                for (id, extent) in ids.iter().zip(committed.extents()) {
                    self.set(*id, Fate::Live { extent, must: durable });
                }
                if durable {
                    self.synced_before(ids[ids.len() - 1]);
                }
            }
            Err(AppendError::Full) => ids.iter().for_each(|id| self.set(*id, Fate::Full)),
            Err(AppendError::Stopped) => {}
        }
    }

    /// All confirmed records up to `last` are durable.
    pub fn synced_before(&mut self, last: Id) {
        for known in self.records.range_mut(..=last).map(|(_, k)| k) {
            if let Fate::Live { must, .. } = &mut known.fate {
                *must = true;
            }
        }
    }

    /// Compares what an opening showed with what must and what may be there, and brings the model up to it.
    pub fn recovered(&mut self, shown: &[Shown]) -> Result<(), String> {
        let mut seen: BTreeMap<Id, Extent> = BTreeMap::new();
        let (mut last_id, mut last_end) = (0, 0);
        for record in shown {
            let id = self.identify(record)?;
            if id <= last_id || record.extent.position.0 < last_end {
                return Err(format!("record {id} at {} comes after record {last_id}", record.extent.position));
            }
            (last_id, last_end) = (id, record.extent.position.0 + u64::from(record.extent.len) + 32);
            seen.insert(id, record.extent);
        }
        for (id, known) in &mut self.records {
            known.fate = match (known.fate, seen.get(id)) {
                (Fate::Full, Some(_)) => return Err(format!("record {id} was answered Full and is there")),
                (Fate::Gone, Some(_)) => return Err(format!("record {id} was gone and is back")),
                (Fate::Live { extent: was, .. } | Fate::Pinned { extent: was }, Some(now)) if was != *now => {
                    return Err(format!("record {id} was at {} and is at {}", was.position, now.position));
                }
                (_, Some(now)) => Fate::Live { extent: *now, must: true },
                (Fate::Live { must: true, extent }, None) => {
                    return Err(format!("record {id} at {} was durable and is lost", extent.position));
                }
                (Fate::Pinned { .. }, None) if known.cancels.is_some_and(|c| seen.contains_key(&c)) => {
                    return Err(format!("tombstone {id} is gone, and what it cancels is there"));
                }
                (Fate::Full, None) => Fate::Full,
                (_, None) => Fate::Gone,
            };
        }
        Ok(())
    }

    fn identify(&self, record: &Shown) -> Result<Id, String> {
        let id = record.payload.first_chunk().map_or(0, |bytes| Id::from_le_bytes(*bytes));
        let Some(known) = self.records.get(&id) else {
            return Err(format!("a record at {} was never appended", record.extent.position));
        };
        if known.kind != record.kind
            || known.payload != record.payload
            || record.extent.len as usize != known.payload.len()
        {
            return Err(format!("record {id} at {} is not what was appended", record.extent.position));
        }
        Ok(id)
    }

    /// What an owner does after an opening: tombstones cancel what they name, and stay while that can be seen.
    pub fn apply_tombstones(&mut self, journal: &Journal) {
        for (id, extent) in self.live() {
            let Some(target) = self.records[&id].cancels else { continue };
            self.cancel(journal, id, extent, target);
        }
    }

    /// `tombstone` is durable: the record that it cancels is released, and the tombstone pinned.
    pub fn cancel(&mut self, journal: &Journal, tombstone: Id, extent: Extent, target: Id) {
        match self.records[&target].fate {
            Fate::Live { extent: cancelled, .. } => {
                let older: SegmentNo = journal.segment_of(cancelled.position);
                journal.release(cancelled.position, cancelled.len);
                self.set(target, Fate::Released);
                self.set(tombstone, Fate::Pinned { extent });
                journal.pin_until_gone(extent, older);
            }
            Fate::Gone => {
                journal.release(extent.position, extent.len);
                self.set(tombstone, Fate::Released);
            }
            Fate::Released if self.pinned_for(target) => {
                // Cleaning had moved it: one of the two is enough.
                journal.release(extent.position, extent.len);
                self.set(tombstone, Fate::Released);
            }
            _ => {}
        }
    }

    fn pinned_for(&self, target: Id) -> bool {
        self.records.values().any(|k| k.cancels == Some(target) && matches!(k.fate, Fate::Pinned { .. }))
    }

    /// Which tombstone is pinned at this place.
    pub fn pinned_at(&self, extent: Extent) -> Option<Id> {
        let there = |known: &Known| known.fate == Fate::Pinned { extent };
        self.records.iter().find(|(_, known)| there(known)).map(|(id, _)| *id)
    }
}
