//! What was promised for each record, and the checks of it. Each violation is a sentence.

use std::collections::{BTreeMap, BTreeSet};

use journal::{AppendError, Committed, Extent, Journal, When};

pub type Id = u64;

/// What is known of one record.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub kind: u8,
    pub payload: Vec<u8>,
    pub extent: Option<Extent>,
    /// It is in the log of the owner that stands in the register now.
    pub here: bool,
    /// That owner has it synced.
    pub durable: bool,
    /// Every level copy had it synced when that was promised.
    pub protected: bool,
    /// Given up by the true owner.
    pub released: bool,
    /// It was given up, and seen again on a copy that had not been told; another copy may have been. Until it is protected anew,
    /// nobody has promised it.
    pub given_up: bool,
    /// Answered `Full`.
    pub full: bool,
    /// The record that this one cancels.
    pub cancels: Option<Id>,
    /// The copy of it that allowed its release.
    pub moved_to: Option<Id>,
    /// The tombstone that was relied on when this one was released.
    pub cancelled_by: Option<Id>,
}

/// A record as an opening showed it.
pub struct Shown {
    pub kind: u8,
    pub extent: Extent,
    pub payload: Vec<u8>,
}

#[derive(Default)]
pub struct Ledger {
    pub records: BTreeMap<Id, Known>,
    next: Id,
    /// What each epoch's opening showed.
    shown: BTreeMap<u32, BTreeSet<Id>>,
    /// Commits that were protected, for the test that there were any.
    pub protected: u64,
    pub take_overs: u64,
    pub raises: u64,
}

impl Ledger {
    /// Makes a record with content that no other has.
    pub fn new_record(&mut self, len: usize, cancels: Option<Id>) -> (Id, u8, Vec<u8>) {
        self.next += 1;
        let id = self.next;
        let kind = if cancels.is_some() { 2 } else { 1 };
        let mut payload = id.to_le_bytes().to_vec();
        payload.extend((0..len).map(|n| (id as usize * 31 + n * 7) as u8));
        self.records.insert(id, Known { kind, payload: payload.clone(), cancels, ..Known::default() });
        (id, kind, payload)
    }

    /// Records that the true owner can work with.
    pub fn live(&self, plain: bool) -> Vec<(Id, Extent)> {
        let wanted = |k: &Known| !k.released && k.durable && (!plain || k.cancels.is_none());
        self.records.iter().filter(|(_, k)| wanted(k)).filter_map(|(id, k)| Some((*id, k.extent?))).collect()
    }

    pub fn known(&mut self, id: Id) -> &mut Known {
        self.records.entry(id).or_default()
    }

    /// Notes the answer to a batch of an owner of `epoch`; `current` says whether it is the true one.
    pub fn answered(
        &mut self,
        ids: &[Id],
        when: When,
        outcome: &Result<Committed, AppendError>,
        epoch: u32,
        current: bool,
    ) -> Result<(), String> {
        let committed = match outcome {
            Ok(committed) => committed,
            Err(AppendError::Full) => {
                ids.iter().for_each(|id| self.known(*id).full = true);
                return Ok(());
            }
            Err(AppendError::Stopped) => return Ok(()),
        };
        let (durable, protected) = (when != When::Soon, committed.copies > 0);
        let mut end = 0;
        for (id, extent) in ids.iter().zip(committed.extents()) {
            let known = self.known(*id);
            known.extent = Some(extent);
            known.here |= current;
            known.durable |= durable && current;
            known.protected |= protected;
            known.given_up &= !protected;
            end = extent.position.0;
        }
        self.protected += u64::from(protected);
        if protected && let Some((later, shown)) = self.shown.range(epoch + 1..).next() {
            // A promise of a deposed owner: good only if whoever took over has it.
            let missing = ids.iter().find(|id| !shown.contains(id));
            return match missing {
                Some(id) => {
                    Err(format!("record {id} was protected under epoch {epoch}, and epoch {later} has not got it"))
                }
                None => Ok(()),
            };
        }
        if durable && current {
            for known in self.records.values_mut() {
                if known.here && known.extent.is_some_and(|e| e.position.0 < end) {
                    known.durable = true;
                    known.protected |= protected;
                    known.given_up &= !protected;
                }
            }
        }
        Ok(())
    }

    /// Compares what the opening of `epoch` showed with what must and what may be there.
    /// `again`: the owner is the one before, so it must have what it had synced, too.
    pub fn opened(&mut self, shown: &[Shown], epoch: u32, again: bool) -> Result<(), String> {
        let mut seen: BTreeMap<Id, Extent> = BTreeMap::new();
        for record in shown {
            let id = self.identify(record)?;
            if self.records[&id].extent.is_some_and(|was| was != record.extent) {
                return Err(format!("record {id} is at {} now", record.extent.position));
            }
            seen.insert(id, record.extent);
        }
        for (id, known) in &self.records {
            let must = known.protected || (again && known.durable);
            if must && !self.is_covered(*id, &seen) {
                let what = if known.protected { "protected" } else { "durable" };
                let at = known.extent.map_or(0, |e| e.position.0);
                return Err(format!("record {id} at {at:x} was {what}, and the owner of epoch {epoch} has not got it"));
            }
            if known.full && seen.contains_key(id) {
                return Err(format!("record {id} was answered Full and is there"));
            }
            if let Some(tombstone) = known.cancelled_by
                && seen.contains_key(id)
                && !seen.contains_key(&tombstone)
                && (self.records[&tombstone].protected || (again && self.records[&tombstone].durable))
            {
                return Err(format!("tombstone {tombstone} is gone, and record {id} that it cancels is there"));
            }
        }
        for (id, known) in &mut self.records {
            let there = seen.get(id).copied();
            (known.here, known.durable) = (there.is_some(), there.is_some());
            known.extent = there.or(known.extent.filter(|_| known.released));
            let seen_again = known.released && there.is_some();
            known.given_up |= seen_again;
            known.protected &= !seen_again;
            known.released &= there.is_none();
            known.moved_to = known.moved_to.filter(|_| known.released);
            if there.is_none() && !known.released {
                // Nobody has promised it to anybody.
                known.extent = None;
            }
        }
        self.shown.entry(epoch).or_default().extend(seen.keys());
        Ok(())
    }

    /// Whether a record is seen, or its copy, or somebody gave it up.
    fn is_covered(&self, id: Id, seen: &BTreeMap<Id, Extent>) -> bool {
        let known = &self.records[&id];
        match known.moved_to {
            _ if seen.contains_key(&id) => true,
            Some(copy) if known.released => self.records[&copy].given_up || self.is_covered(copy, seen),
            _ => known.released,
        }
    }

    fn identify(&self, record: &Shown) -> Result<Id, String> {
        let id = record.payload.first_chunk().map_or(0, |bytes| Id::from_le_bytes(*bytes));
        match self.records.get(&id) {
            None => Err(format!("a record at {} was never appended", record.extent.position)),
            Some(known) if known.kind != record.kind || known.payload != record.payload => {
                Err(format!("record {id} at {} is not what was appended", record.extent.position))
            }
            Some(_) => Ok(id),
        }
    }

    /// What an owner does after an opening: tombstones cancel what they name, and stay while that can be seen.
    pub fn apply_tombstones(&mut self, journal: &Journal) {
        for (id, extent) in self.live(false) {
            let Some(target) = self.records[&id].cancels else { continue };
            self.cancel(journal, id, extent, target);
        }
    }

    /// `tombstone` is durable: the record that it cancels is released, and the tombstone pinned.
    pub fn cancel(&mut self, journal: &Journal, tombstone: Id, extent: Extent, target: Id) {
        let known = self.known(target);
        known.cancelled_by = Some(tombstone);
        match known.extent.filter(|_| known.durable && !known.released) {
            Some(cancelled) => {
                (known.released, known.moved_to) = (true, None);
                journal.release(cancelled.position, cancelled.len);
                // Pinned: the journal releases it by itself.
                self.known(tombstone).released = true;
                journal.pin_until_gone(extent, journal.segment_of(cancelled.position));
            }
            None => {
                self.known(tombstone).released = true;
                journal.release(extent.position, extent.len);
            }
        }
    }
}
