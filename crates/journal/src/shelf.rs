//! Owns the empty segments that are ready for use, and who may take the last ones.
//! Knows no records and does no I/O. Always holds: an ordinary taker leaves the reserve where it is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::settings::Settings;

/// Number in the name `spare-N` of an empty segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SpareNo(pub(crate) u64);

/// What one gets who asks for an empty segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// This one; it is off the shelf.
    Spare(SpareNo),
    /// Nothing now; one is being made.
    Soon,
    /// Nothing, and none can be made.
    Nothing,
}

/// The empty segments.
pub(crate) struct Shelf {
    state: Mutex<State>,
    changed: Condvar,
    /// An ordinary batch may start a segment. Beside the lock, because each session asks.
    plenty: AtomicBool,
    reserve: usize,
    target: usize,
    keep_max: usize,
}

struct State {
    spares: Vec<SpareNo>,
    /// Segments with records and empty ones, those under way between the two too.
    files: usize,
    next: u64,
    /// No space was found; until then nobody tries again.
    blocked_until_ms: Option<u64>,
    closed: bool,
}

impl Shelf {
    pub(crate) fn new(settings: &Settings, spares: Vec<SpareNo>, segments: usize) -> Shelf {
        let next = spares.iter().max().map_or(1, |no| no.0 + 1);
        let files = segments + spares.len();
        let target = settings.reserve_segments + settings.spare_segments_min.max(1);
        Shelf {
            state: Mutex::new(State { spares, files, next, blocked_until_ms: None, closed: false }),
            changed: Condvar::new(),
            plenty: AtomicBool::new(true),
            reserve: settings.reserve_segments,
            target,
            keep_max: settings.spare_segments_max.max(target),
        }
    }

    /// Takes an empty segment.
    pub(crate) fn take(&self, may_use_reserve: bool) -> Taken {
        let mut state = self.lock();
        let untouched = if may_use_reserve { 0 } else { self.reserve };
        if state.spares.len() > untouched
            && let Some(spare) = state.spares.pop()
        {
            self.judge(&state);
            return Taken::Spare(spare);
        }
        if state.blocked_until_ms.is_some() || state.closed { Taken::Nothing } else { Taken::Soon }
    }

    /// Waits until there may be a different answer than [`Taken::Soon`].
    pub(crate) fn wait(&self, may_use_reserve: bool) {
        let untouched = if may_use_reserve { 0 } else { self.reserve };
        let mut state = self.lock();
        while state.spares.len() <= untouched && state.blocked_until_ms.is_none() && !state.closed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Puts an empty segment on the shelf.
    pub(crate) fn put(&self, spare: SpareNo) {
        let mut state = self.lock();
        state.spares.push(spare);
        self.judge(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// Puts a new file on the shelf.
    pub(crate) fn put_new(&self, spare: SpareNo) {
        self.lock().files += 1;
        self.unblock();
        self.put(spare);
    }

    /// A file was removed.
    pub(crate) fn removed(&self) {
        self.lock().files -= 1;
    }

    /// Number of all files of a segment's size.
    pub(crate) fn files(&self) -> usize {
        self.lock().files
    }

    /// A number for a new empty segment.
    pub(crate) fn next(&self) -> SpareNo {
        let mut state = self.lock();
        state.next += 1;
        SpareNo(state.next - 1)
    }

    /// Whether one should be made now.
    pub(crate) fn wants_one(&self, now_ms: u64) -> bool {
        let state = self.lock();
        state.spares.len() < self.target && state.blocked_until_ms.is_none_or(|until| now_ms >= until)
    }

    /// Whether a freed segment should be kept.
    pub(crate) fn keeps_one(&self) -> bool {
        self.len() < self.keep_max
    }

    /// No space was found to make one: nobody tries again before `until_ms`.
    pub(crate) fn block(&self, until_ms: u64) {
        let mut state = self.lock();
        state.blocked_until_ms = Some(until_ms);
        self.judge(&state);
        drop(state);
        self.changed.notify_all();
    }

    /// There is space again.
    fn unblock(&self) {
        let mut state = self.lock();
        state.blocked_until_ms = None;
        self.judge(&state);
    }

    /// When to try again, if no space was found.
    pub(crate) fn blocked_until_ms(&self) -> Option<u64> {
        self.lock().blocked_until_ms
    }

    /// Nobody will make one any more.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    /// Whether an ordinary batch may start a segment, now or when one is made.
    pub(crate) fn plenty(&self) -> bool {
        self.plenty.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().spares.len()
    }

    fn judge(&self, state: &State) {
        let plenty = state.spares.len() > self.reserve || state.blocked_until_ms.is_none();
        self.plenty.store(plenty, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_is_for_those_who_may() {
        let settings = Settings { reserve_segments: 1, spare_segments_min: 1, ..Settings::default() };
        let shelf = Shelf::new(&settings, vec![SpareNo(4)], 2);
        assert_eq!(shelf.next(), SpareNo(5));
        assert_eq!(shelf.take(false), Taken::Soon);
        shelf.block(100);
        assert_eq!(shelf.take(false), Taken::Nothing);
        assert!(!shelf.plenty() && !shelf.wants_one(99) && shelf.wants_one(100));
        assert_eq!(shelf.take(true), Taken::Spare(SpareNo(4)));
        assert_eq!(shelf.take(true), Taken::Nothing);
        shelf.put(SpareNo(5));
        assert!(!shelf.plenty());
        shelf.put(SpareNo(6));
        assert!(shelf.plenty());
        assert_eq!(shelf.take(false), Taken::Spare(SpareNo(6)));
        shelf.put_new(shelf.next());
        assert!(shelf.plenty());
        assert_eq!(shelf.files(), 4);
    }
}
