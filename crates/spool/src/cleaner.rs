//! Owns what cleaning has in work, and the way to stop it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use journal::Commit;

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
    /// Those that were appended again and are not durable yet.
    pub flight: Option<Flight>,
    /// Something of the segment in work was moved.
    pub moved_any: bool,
    /// Not looked for work before: the last segment gave nothing, its records being in somebody's hand.
    pub not_before_ms: u64,
}

/// Records that were appended again.
pub struct Flight {
    /// Their batch.
    pub commit: Commit,
    /// They as they were, in the order of the batch.
    pub moved: Vec<Survivor>,
    /// Their messages.
    pub claims: Vec<Claim>,
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
