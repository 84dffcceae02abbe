//! Owns what cleaning has in work, and the way to stop it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::{Commit, Pinned, SegmentNo};

use crate::book::Claim;
use crate::record::Survivor;

/// The state of cleaning. One at a time works on it.
#[derive(Default)]
pub struct Cleaner {
    work: Mutex<Cleaning>,
    stopped: Mutex<bool>,
    stop: Condvar,
}

/// What is being moved.
#[derive(Default)]
pub struct Cleaning {
    /// Records of the segment in work that were needed when it was looked through.
    pub survivors: VecDeque<Survivor>,
    /// Tombstones of the segment in work that must outlive other segments.
    pub tombstones: VecDeque<Pinned>,
    /// Those that were appended again and are not durable yet.
    pub flight: Option<Flight>,
    /// Where the next segment to clean is looked for: each has its turn, also behind one whose records are in somebody's hand.
    pub next: SegmentNo,
    /// Something was moved since the oldest segment had its turn.
    pub moved_any: bool,
    /// Not looked for work before.
    pub not_before_ms: u64,
}

/// Records that were appended again.
pub struct Flight {
    /// Their batch.
    pub commit: Commit,
    /// They as they were, in the order of the batch.
    pub moved: Vec<Survivor>,
    /// Tombstones as they were, behind those in the batch.
    pub tombstones: Vec<Pinned>,
    /// Their messages.
    pub claims: Vec<Claim>,
}

impl Cleaning {
    /// Nothing of the segment in work is left.
    pub fn is_empty(&self) -> bool {
        self.survivors.is_empty() && self.tombstones.is_empty()
    }
}

impl Cleaner {
    /// What is in work.
    pub fn work(&self) -> MutexGuard<'_, Cleaning> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the thread. What is in flight is a copy: both are good.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.notify_all();
    }

    /// Waits so long, or until it is stopped. Says whether it is.
    pub fn wait(&self, ms: u64) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = self.stop.wait_timeout_while(stopped, Duration::from_millis(ms), |stopped| !*stopped);
        *wait.unwrap_or_else(PoisonError::into_inner).0
    }
}
