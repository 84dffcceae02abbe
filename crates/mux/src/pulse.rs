//! Heartbeats: when to ask, how long the answer took, and when the other end counts as gone.

use crate::cut::Cut;

/// The heartbeat of one end. All times in microseconds of a clock that never goes back.
#[derive(Debug)]
pub struct Pulse {
    interval_us: u64,
    dead_after_us: u64,
    heard_us: u64,
    next_us: u64,
    asked_us: Option<u64>,
    round_trip_us: Option<u64>,
}

impl Pulse {
    /// Begins now: the first question is due at once.
    pub fn new(now_us: u64, interval_us: u64, missed_max: u32) -> Pulse {
        let interval_us = interval_us.max(1_000);
        Pulse {
            interval_us,
            // Half an interval more: an answer that is on its way is not missed.
            dead_after_us: interval_us * u64::from(missed_max.max(1)) + interval_us / 2,
            heard_us: now_us,
            next_us: now_us,
            asked_us: None,
            round_trip_us: None,
        }
    }

    /// Something came.
    pub fn heard(&mut self, now_us: u64) {
        self.heard_us = self.heard_us.max(now_us);
    }

    /// The number to ask with, if it is time to ask.
    pub fn ask(&mut self, now_us: u64) -> Option<u64> {
        if now_us < self.next_us {
            return None;
        }
        // After a long sleep one question is enough.
        self.next_us = (self.next_us + self.interval_us).max(now_us + self.interval_us / 2);
        self.asked_us = Some(now_us);
        Some(now_us)
    }

    /// An answer came.
    pub fn answered(&mut self, number: u64, now_us: u64) {
        if self.asked_us == Some(number) {
            self.asked_us = None;
            let trip_us = now_us.saturating_sub(number);
            self.round_trip_us = Some(self.round_trip_us.map_or(trip_us, |mean| (mean * 7 + trip_us) / 8));
        }
    }

    /// The other end was silent for too long.
    pub fn check(&self, now_us: u64) -> Result<(), Cut> {
        let silent_us = now_us.saturating_sub(self.heard_us);
        if silent_us >= self.dead_after_us { Err(Cut::Silent(silent_us / 1000)) } else { Ok(()) }
    }

    /// When [`Pulse::ask`] or [`Pulse::check`] has something to say next.
    pub fn due_us(&self) -> u64 {
        self.next_us.min(self.heard_us + self.dead_after_us)
    }

    /// Moving average of question to answer.
    pub fn round_trip_us(&self) -> Option<u64> {
        self.round_trip_us
    }
}
