//! What changed between the versions of a zone, for secondaries that have an earlier one (IXFR, RFC 1995).
//!
//! Always holds: the changes are bounded in number and are never more than the zone itself: then the whole zone is cheaper.

use std::sync::Arc;

use crate::record::RecordSet;

/// From one version to the next.
#[derive(Debug)]
pub(crate) struct Change {
    /// The SOA before.
    pub from: Arc<RecordSet>,
    pub from_serial: u32,
    /// The SOA after.
    pub to: Arc<RecordSet>,
    pub removed: Vec<RecordSet>,
    pub added: Vec<RecordSet>,
}

impl Change {
    fn record_count(&self) -> usize {
        let count = |sets: &[RecordSet]| sets.iter().map(|set| set.data.len()).sum::<usize>();
        2 + count(&self.removed) + count(&self.added)
    }
}

/// The last changes, the oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct History(Vec<Arc<Change>>);

impl History {
    /// With one more change, of a zone that has so many records now.
    pub fn with(&self, change: Change, record_count: usize) -> History {
        let mut changes = self.0.clone();
        changes.push(Arc::new(change));
        let room = record_count.max(RECORDS_MIN);
        let sizes = changes.iter().rev().scan(0, |sum, change| {
            *sum += change.record_count();
            Some(*sum)
        });
        let kept = sizes.take_while(|sum| *sum <= room).take(CHANGES_MAX).count();
        changes.drain(..changes.len() - kept);
        History(changes)
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Those from this one on.
    pub fn from(&self, first: usize) -> &[Arc<Change>] {
        self.0.get(first..).unwrap_or_default()
    }

    /// The changes that lead from this version to now; none if it is not remembered.
    pub fn since(&self, serial: u32) -> Option<&[Arc<Change>]> {
        let at = self.0.iter().position(|change| change.from_serial == serial)?;
        Some(&self.0[at..])
    }
}

/// Changes that are remembered.
const CHANGES_MAX: usize = 100;
/// A small zone remembers changes of so many records all the same.
const RECORDS_MIN: usize = 500;
