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
    /// Records in here that stay because an older segment is still there.
    pinned: u32,
    /// Records elsewhere that stay until this segment is gone.
    holds: Vec<Extent>,
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
        let bytes = u64::from(len) + RECORD_HEADER_BYTES as u64;
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
            account.pinned += 1;
        }
        if let Some(account) = self.segments.get_mut(&older) {
            account.holds.push(record);
        }
        false
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
        for record in account.holds {
            if let Some(own) = self.segments.get_mut(&self.format.segment_of(record.position)) {
                own.pinned -= 1;
            }
            self.release(record.position, record.len);
        }
    }

    /// See `Journal::cleaning_candidate`. The share is of the whole segment: what a short one wastes counts too.
    pub(crate) fn cleaning_candidate(&self, below_percent: u32) -> Option<SegmentNo> {
        let few = |a: &Account| a.live * 100 < u64::from(below_percent) * self.format.segment_bytes;
        let worth = |a: &Account| a.stage == Stage::Sealed && a.pinned == 0 && a.live > 0 && few(a);
        self.segments.iter().find(|(_, a)| worth(a)).map(|(no, _)| *no)
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
        assert_eq!(ledger.cleaning_candidate(50), Some(SegmentNo(1)), "2 and 3 hold pinned records");
        assert_eq!(ledger.leave(), None);
        ledger.release(record(1).position, 100);
        for no in 1..=3 {
            assert_eq!(ledger.leave(), Some(SegmentNo(no)));
            ledger.gone(SegmentNo(no));
        }
        assert!(ledger.pin(record(4), SegmentNo(1)), "gone already: released at once");
    }

    #[test]
    fn candidates_are_sealed_and_nearly_dead() {
        let mut ledger = ledger(&[1, 2]);
        ledger.add(SegmentNo(1), 500);
        assert_eq!(ledger.cleaning_candidate(30), Some(SegmentNo(2)));
        assert_eq!(ledger.cleaning_candidate(13), None);
        assert_eq!(ledger.cleaning_candidate(64), Some(SegmentNo(1)));
    }
}
