//! Owns the batches that wait for the writer, and when the writer sleeps.
//! Knows no files. Always holds: an appender makes a system call only when the writer sleeps; a batch that
//! arrives while the writer is busy is found by it without one.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use world::Clock;

use crate::batch::Batch;
use crate::commit::Ticket;
use crate::when::When;

/// One batch on its way.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) ticket: Ticket,
    pub(crate) when: When,
}

/// Why the writer was let go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// There are batches to write.
    Write,
    /// What was written without a sync is to be synced now.
    Sync,
    /// The journal closes, and nothing is left to write.
    Stop,
    /// Nothing to do; answered only by [`Queue::take_now`].
    Nothing,
}

/// The queue of one journal.
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
}

struct State {
    waiting: Vec<Pending>,
    bytes: usize,
    /// Something in `waiting` should be written at once.
    hurry: bool,
    /// No new batches are taken.
    closed: bool,
    writer: Writer,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writer {
    Busy,
    /// Small `Soon` batches wait a moment for company.
    Lingers,
    Sleeps,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        let state = State { waiting: Vec::new(), bytes: 0, hurry: false, closed: false, writer: Writer::Busy };
        Queue { state: Mutex::new(state), arrived: Condvar::new() }
    }

    /// Queues a batch. When the journal is closed, its ticket answers `Stopped` at once.
    pub(crate) fn push(&self, pending: Pending) {
        let mut state = self.lock();
        if state.closed {
            drop(state); // the ticket's drop wakes outside the lock
            return;
        }
        state.bytes += pending.batch.bytes();
        state.hurry |= pending.when.wants_sync() || state.bytes >= LINGER_BYTES;
        state.waiting.push(pending);
        let wake = match state.writer {
            Writer::Busy => false,
            Writer::Lingers => state.hurry,
            Writer::Sleeps => true,
        };
        if wake {
            // Nobody else needs to wake it now.
            state.writer = Writer::Busy;
        }
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
    }

    /// Waits for something to do. `sync_due_us` is when unsynced records have waited long enough.
    /// On [`Call::Write`] everything that waits is in `into`, which must come empty.
    pub(crate) fn take(&self, into: &mut Vec<Pending>, clock: &dyn Clock, sync_due_us: Option<u64>) -> Call {
        let mut state = self.lock();
        let mut linger_until_us = None;
        let mut others_had_their_turn = false;
        loop {
            let due_us = if state.waiting.is_empty() {
                if state.closed {
                    return Call::Stop;
                }
                state.writer = Writer::Sleeps;
                sync_due_us
            } else {
                if state.hurry && !others_had_their_turn {
                    // Whoever is ready to run may add to this batch first. On an idle processor nobody is, and this costs
                    // nothing; on a busy one a sync is shared by more of those who wait for it.
                    others_had_their_turn = true;
                    drop(state);
                    std::thread::yield_now();
                    state = self.lock();
                    continue;
                }
                if state.hurry || state.closed {
                    return state.give(into);
                }
                state.writer = Writer::Lingers;
                Some(*linger_until_us.get_or_insert_with(|| clock.mono_us() + LINGER_US))
            };
            state = match due_us.map(|due| due.saturating_sub(clock.mono_us())) {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(0) if state.waiting.is_empty() => {
                    state.writer = Writer::Busy;
                    return Call::Sync;
                }
                Some(0) => return state.give(into),
                Some(left_us) => {
                    let waited = self.arrived.wait_timeout(state, Duration::from_micros(left_us));
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// The same without waiting or lingering.
    pub(crate) fn take_now(&self, into: &mut Vec<Pending>, clock: &dyn Clock, sync_due_us: Option<u64>) -> Call {
        let mut state = self.lock();
        if !state.waiting.is_empty() {
            return state.give(into);
        }
        match sync_due_us {
            Some(due) if state.closed || clock.mono_us() >= due => Call::Sync,
            _ if state.closed => Call::Stop,
            _ => Call::Nothing,
        }
    }

    /// Takes no more batches; the writer gets what is queued, then [`Call::Stop`].
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.arrived.notify_all();
    }

    /// Batches and bytes that wait.
    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.lock();
        (state.waiting.len(), state.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give(&mut self, into: &mut Vec<Pending>) -> Call {
        std::mem::swap(&mut self.waiting, into);
        self.bytes = 0;
        self.hurry = false;
        self.writer = Writer::Busy;
        Call::Write
    }
}

/// How long small `Soon` batches wait for others or for a durable one that takes them along: they settle mail, nobody
/// waits for them, and each own trip of the writer costs two switches of thread. Durable batches never wait.
const LINGER_US: u64 = 2000;
/// More bytes than this are written without lingering.
const LINGER_BYTES: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Commit;
    use world::RealClock;

    fn push(queue: &Queue, bytes: usize, when: When) -> Commit {
        let (commit, ticket) = Commit::open();
        queue.push(Pending { batch: Batch::new().record(1, &[], vec![0; bytes]), ticket, when });
        commit
    }

    #[test]
    fn the_writer_gets_all_that_waits_and_stops_after_the_last() {
        let queue = Queue::new();
        let _commits = [push(&queue, 1, When::Soon), push(&queue, 1, When::Durable)];
        let mut taken = Vec::new();
        assert_eq!(queue.take(&mut taken, &RealClock, None), Call::Write);
        assert_eq!(taken.len(), 2);
        taken.clear();
        let start = RealClock.mono_us();
        assert_eq!(queue.take(&mut taken, &RealClock, Some(start + 3000)), Call::Sync);
        assert!(RealClock.mono_us() >= start + 3000);
        let _soon = push(&queue, 1, When::Soon);
        assert_eq!(queue.take(&mut taken, &RealClock, None), Call::Write, "after lingering");
        let _last = push(&queue, 1, When::Soon);
        queue.close();
        taken.clear();
        assert_eq!(queue.take(&mut taken, &RealClock, None), Call::Write);
        taken.clear();
        assert_eq!(queue.take(&mut taken, &RealClock, None), Call::Stop);
        let mut refused = push(&queue, 1, When::Durable);
        assert_eq!(refused.try_take(), Some(Err(crate::AppendError::Stopped)));
    }
}
