//! The node's wish to stop, as sessions see it: a flag that costs a load to ask, and a wake-up for those that wait.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Shared by the receiver and all its sessions.
#[derive(Debug, Default)]
pub struct Stop {
    /// Milliseconds that sessions have left once stopping began, plus one; 0 while nobody wants to stop.
    grace_ms_1: AtomicU64,
    soft: AtomicBool,
    begun: Arc<Notify>,
    sessions: AtomicUsize,
    over: Notify,
}

/// A session counts as open until this is dropped.
pub struct OpenSession<'s>(&'s Stop);

impl Stop {
    /// Tells every session: those that are idle close now, those in the middle of a message have `grace` to finish.
    pub fn begin(&self, grace: Duration) {
        let ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX - 1).saturating_add(1);
        let _ = self.grace_ms_1.compare_exchange(0, ms, Ordering::AcqRel, Ordering::Acquire);
        self.begun.notify_waiters();
    }

    /// The same, and a session may finish its transaction, or bring its first message.
    pub fn begin_softly(&self, grace: Duration) {
        self.soft.store(true, Ordering::Release);
        self.begin(grace);
    }

    /// Sessions may go on to the end of a message.
    pub fn is_soft(&self) -> bool {
        self.soft.load(Ordering::Acquire)
    }

    /// How long sessions have left, once stopping has begun.
    pub fn grace(&self) -> Option<Duration> {
        self.grace_ms_1.load(Ordering::Acquire).checked_sub(1).map(Duration::from_millis)
    }

    /// Counts a session.
    pub fn session(&self) -> OpenSession<'_> {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        OpenSession(self)
    }

    /// Completes when no session is open.
    pub async fn sessions_over(&self) {
        loop {
            let mut over = std::pin::pin!(self.over.notified());
            over.as_mut().enable();
            if self.sessions.load(Ordering::Acquire) == 0 {
                return;
            }
            over.await;
        }
    }

    /// Completes when stopping begins. Ask [`grace`](Self::grace) after making it: it does not tell of the past.
    pub fn begun(&self) -> OwnedNotified {
        self.begun.clone().notified_owned()
    }
}

impl Drop for OpenSession<'_> {
    fn drop(&mut self) {
        if self.0.sessions.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.over.notify_waiters();
        }
    }
}
