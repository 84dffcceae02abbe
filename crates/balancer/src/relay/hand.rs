//! What a thread has at hand for every connection that it turns to.

use std::sync::Arc;

use super::poll::Poll;
use super::settings::Timing;
use super::tools::Tools;
use world::Clock;

pub(super) struct Hand {
    pub(super) poll: Poll,
    pub(super) tools: Tools,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timing: Timing,
    /// The time of this round of events.
    pub(super) now_us: u64,
    pub(super) now_ms: u64,
    /// Something has to be looked at by then.
    pub(super) next_ms: u64,
    /// Slots of connections that can go on without waiting.
    pub(super) again: Vec<u32>,
    /// The relay ends.
    pub(super) drains: bool,
    /// And closes everything after so long.
    pub(super) drain_within_ms: u64,
    /// Begins the unique ids of this thread's connections.
    pub(super) id: u64,
    /// Text that is being put together.
    pub(super) words: Vec<u8>,
}

impl Hand {
    /// Takes the time.
    pub(super) fn look_at_clock(&mut self) {
        self.now_us = self.clock.mono_us();
        self.now_ms = self.now_us / 1_000;
    }

    /// Somebody has to be looked at then.
    pub(super) fn wake_by(&mut self, deadline_ms: u64) {
        self.next_ms = self.next_ms.min(deadline_ms);
    }
}
