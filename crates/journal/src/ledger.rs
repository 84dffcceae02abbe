//! Owns which segments there are and what lives in them. Pure: knows no files.
//! Always holds: a segment is offered for freeing only when it is sealed, nothing in it is live or pinned, and a newer
//! one exists (the newest name is what keeps positions from being used twice).

use std::collections::BTreeMap;

use crate::batch::RECORD_HEADER_BYTES;
use crate::position::{Extent, Position, SegmentNo};
use crate::record::Format;

/// The accounts of all segments.
#[derive(Debug)]
pub(crate) struct Ledger {
    format: Format,
    segments: BTreeMap<SegmentNo, Account>,
    live_bytes: u64,
    dead_bytes: u64,
}

#[derive(Debug, Default)]
struct Account {
    stage: Stage,
    live: u64,
    dead: u64,
    /// Bytes of records in here that stay because an older segment is still there; they are live too.
    pinned: u64,
    /// Records elsewhere that stay until this segment is gone, with their payload lengths.
    holds: BTreeMap<Position, u32>,
}

/// A record that stays until another segment is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// The record.
    pub record: Extent,
    /// The segment that it outlives.
    pub older: SegmentNo,
}

/// A segment that is worth cleaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which one.
    pub segment: SegmentNo,
    /// The pinned records in it.
    pub pinned: Vec<Pinned>,
    /// Whether records are live in it that are not pinned.
    pub others: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    Sealed,
    /// Being freed: its name is changing on the disk.
    Leaving,
}

impl Ledger {
    pub(crate) fn new(format: Format) -> Ledger {
        Ledger { format, segments: BTreeMap::new(), live_bytes: 0, dead_bytes: 0 }
    }

    /// A segment starts to take records.
    pub(crate) fn open(&mut self, segment: SegmentNo) {
        self.segments.insert(segment, Account::default());
    }

    /// A segment takes no more records.
    pub(crate) fn seal(&mut self, segment: SegmentNo) {
        if let Some(account) = self.segments.get_mut(&segment) {
            account.stage = Stage::Sealed;
        }
    }

    /// Records of so many bytes, headers included, are live in a segment.
    pub(crate) fn add(&mut self, segment: SegmentNo, bytes: u64) {
        if let Some(account) = self.segments.get_mut(&segment) {
            account.live += bytes;
            self.live_bytes += bytes;
        }
    }

    /// A record is not needed any more. Returns whether its segment may be free now.
    pub(crate) fn release(&mut self, position: Position, len: u32) -> bool {
        let bytes = bytes_of(len);
        let Some(account) = self.segments.get_mut(&self.format.segment_of(position)) else { return false };
        debug_assert!(account.live >= bytes, "record {position} was released twice or with a wrong length");
        let bytes = bytes.min(account.live);
        account.live -= bytes;
        account.dead += bytes;
        self.live_bytes -= bytes;
        self.dead_bytes += bytes;
        account.live == 0 && account.stage == Stage::Sealed
    }

    /// Keeps `record` until `older` is gone, then releases it. Returns whether its segment may be free now.
    pub(crate) fn pin(&mut self, record: Extent, older: SegmentNo) -> bool {
        let own = self.format.segment_of(record.position);
        if older == own || !self.segments.contains_key(&older) {
            return self.release(record.position, record.len);
        }
        if let Some(account) = self.segments.get_mut(&own) {
            account.pinned += bytes_of(record.len);
        }
        if let Some(account) = self.segments.get_mut(&older) {
            account.holds.insert(record.position, record.len);
        }
        false
    }

    /// `copy` takes the place of a pinned record, which is released. Returns whether a segment may be free now.
    pub(crate) fn move_pin(&mut self, pinned: Pinned, copy: Extent) -> bool {
        let Pinned { record, older } = pinned;
        let holder = self.segments.get_mut(&older);
        if holder.and_then(|account| account.holds.remove(&record.position)).is_none() {
            // The older segment went meanwhile, and the record with it.
            return self.release(copy.position, copy.len);
        }
        let copy_free = self.pin(copy, older);
        self.unpin(record) || copy_free
    }

    /// Releases a record that nothing holds any more.
    fn unpin(&mut self, record: Extent) -> bool {
        if let Some(own) = self.segments.get_mut(&self.format.segment_of(record.position)) {
            own.pinned -= bytes_of(record.len);
        }
        self.release(record.position, record.len)
    }

    /// The oldest segment that can be freed. It stays in the accounts until [`Ledger::gone`] or [`Ledger::stays`].
    pub(crate) fn leave(&mut self) -> Option<SegmentNo> {
        let newest = *self.segments.keys().next_back()?;
        let free = |(no, a): &(&SegmentNo, &mut Account)| **no != newest && a.stage == Stage::Sealed && a.live == 0;
        let (no, account) = self.segments.iter_mut().find(free)?;
        account.stage = Stage::Leaving;
        Some(*no)
    }

    /// Freeing did not work; it is offered again.
    pub(crate) fn stays(&mut self, segment: SegmentNo) {
        self.seal(segment);
    }

    /// A segment is durably gone: what it pinned is released.
    pub(crate) fn gone(&mut self, segment: SegmentNo) {
        let Some(account) = self.segments.remove(&segment) else { return };
        self.dead_bytes -= account.dead;
        for (position, len) in account.holds {
            self.unpin(Extent { position, len });
        }
    }

    /// See `Journal::cleaning_candidate`. The share is of the whole segment: what a short one wastes counts too. One in which
    /// all that is left is pinned has no mail on its way that would free it: it need not be `behind`.
    pub(crate) fn cleaning_candidate(&self, from: SegmentNo, below_percent: u32, behind: u64) -> Option<Candidate> {
        let newest = self.newest()?;
        let few = |a: &Account| a.live * 100 < u64::from(below_percent) * self.format.segment_bytes;
        let ripe = |no: &SegmentNo, a: &Account| a.live == a.pinned || no.0 + behind <= newest.0;
        let worth = |no: &SegmentNo, a: &Account| a.stage == Stage::Sealed && a.live > 0 && few(a) && ripe(no, a);
        let (segment, account) = self.segments.range(from..).find(|(no, a)| worth(no, a))?;
        let pinned = if account.pinned > 0 { self.pinned_in(*segment) } else { Vec::new() };
        Some(Candidate { segment: *segment, pinned, others: account.live > account.pinned })
    }

    fn pinned_in(&self, segment: SegmentNo) -> Vec<Pinned> {
        let inside = self.format.start(segment)..self.format.start(SegmentNo(segment.0 + 1));
        let held_by = |(older, account): (&SegmentNo, &Account)| {
            let older = *older;
            let records = account.holds.range(inside.clone()).map(|(position, len)| (*position, *len));
            records.map(move |(position, len)| Pinned { record: Extent { position, len }, older }).collect::<Vec<_>>()
        };
        self.segments.range(..segment).flat_map(held_by).collect()
    }

    pub(crate) fn oldest(&self) -> Option<SegmentNo> {
        self.segments.keys().next().copied()
    }

    pub(crate) fn newest(&self) -> Option<SegmentNo> {
        self.segments.keys().next_back().copied()
    }

    pub(crate) fn exists(&self, segment: SegmentNo) -> bool {
        self.segments.contains_key(&segment)
    }

    pub(crate) fn is_sealed(&self, segment: SegmentNo) -> bool {
        self.segments.get(&segment).is_some_and(|a| a.stage == Stage::Sealed)
    }

    pub(crate) fn len(&self) -> usize {
        self.segments.len()
    }

    /// Live and dead bytes.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.live_bytes, self.dead_bytes)
    }
}

/// What a record with so long a payload takes.
fn bytes_of(len: u32) -> u64 {
    u64::from(len) + RECORD_HEADER_BYTES as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { segment_bytes: 1000, salt: 0, epoch: 0 };

    fn ledger(segments: &[u64]) -> Ledger {
        let mut ledger = Ledger::new(FORMAT);
        for no in segments {
            ledger.open(SegmentNo(*no));
            ledger.add(SegmentNo(*no), 132);
            ledger.seal(SegmentNo(*no));
        }
        ledger
    }

    fn record(segment: u64) -> Extent {
        Extent { position: Position(segment * 1000), len: 100 }
    }

    #[test]
    fn only_sealed_dead_and_older_segments_leave() {
        let mut ledger = ledger(&[1, 2]);
        assert!(ledger.release(record(2).position, 100));
        assert_eq!(ledger.leave(), None, "1 is live, 2 is the newest");
        ledger.open(SegmentNo(3));
        assert_eq!(ledger.leave(), Some(SegmentNo(2)));
        assert_eq!(ledger.leave(), None, "it is leaving already");
        assert!(ledger.exists(SegmentNo(2)));
        ledger.stays(SegmentNo(2));
        assert_eq!(ledger.leave(), Some(SegmentNo(2)));
        ledger.gone(SegmentNo(2));
        assert!(!ledger.exists(SegmentNo(2)));
        assert_eq!(ledger.bytes(), (132, 0));
    }

    #[test]
    fn a_pin_holds_until_the_older_segment_is_gone_and_the_next_follows() {
        let mut ledger = ledger(&[1, 2, 3, 4]);
        assert!(!ledger.pin(record(2), SegmentNo(1)));
        assert!(!ledger.pin(record(3), SegmentNo(2)));
        let candidate = ledger.cleaning_candidate(SegmentNo(2), 50, 0).unwrap();
        let pinned = Pinned { record: record(2), older: SegmentNo(1) };
        assert_eq!(candidate, Candidate { segment: SegmentNo(2), pinned: vec![pinned], others: false });
        assert_eq!(ledger.leave(), None);
        ledger.release(record(1).position, 100);
        for no in 1..=3 {
            assert_eq!(ledger.leave(), Some(SegmentNo(no)));
            ledger.gone(SegmentNo(no));
        }
        assert!(ledger.pin(record(4), SegmentNo(1)), "gone already: released at once");
    }

    #[test]
    fn a_moved_pin_frees_its_segment_and_holds_as_before() {
        let mut ledger = ledger(&[1, 2, 3, 4]);
        let pinned = Pinned { record: record(2), older: SegmentNo(1) };
        ledger.pin(pinned.record, pinned.older);
        assert!(ledger.move_pin(pinned, record(3)), "2 may be free now");
        assert_eq!(ledger.leave(), Some(SegmentNo(2)));
        ledger.gone(SegmentNo(2));
        assert_eq!(ledger.leave(), None, "3 holds for 1");
        ledger.release(record(1).position, 100);
        assert_eq!(ledger.leave(), Some(SegmentNo(1)));
        ledger.gone(SegmentNo(1));
        assert!(ledger.move_pin(pinned, record(4)), "1 is gone: nothing is to be held any more");
        assert_eq!(ledger.bytes(), (0, 264));
    }

    #[test]
    fn candidates_are_sealed_nearly_dead_and_not_too_young() {
        let mut ledger = ledger(&[1, 2]);
        ledger.add(SegmentNo(1), 500);
        let candidate = |from, percent, behind| {
            ledger.cleaning_candidate(SegmentNo(from), percent, behind).map(|candidate| candidate.segment.0)
        };
        assert_eq!(candidate(0, 30, 0), Some(2));
        assert_eq!(candidate(0, 13, 0), None);
        assert_eq!(candidate(0, 64, 0), Some(1));
        assert_eq!(candidate(2, 64, 0), Some(2));
        assert_eq!(candidate(2, 64, 1), None);
        assert_eq!(candidate(0, 64, 9), None);
        ledger.pin(record(2), SegmentNo(1));
        assert_eq!(ledger.cleaning_candidate(SegmentNo(0), 64, 9).map(|c| (c.segment.0, c.others)), Some((2, false)));
    }
}
