//! Times of RFC 3261, in milliseconds, and repetition. Always holds: what is repeated has an end.

/// An estimate of a round trip.
pub const T1_MS: u64 = 500;
/// The longest pause between repetitions of what is no INVITE.
pub const T2_MS: u64 = 4_000;
/// How long a message stays in the network.
pub const T4_MS: u64 = 5_000;
/// When a transaction is over, whatever was not heard.
pub const OVER_MS: u64 = 64 * T1_MS;

/// Something that is sent again and again over UDP.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    /// When next; `u64::MAX`: never.
    pub next_ms: u64,
    pause_ms: u64,
    longest_ms: u64,
}

impl Repeat {
    /// Sent now; again after [`T1_MS`], then after pauses twice as long each, up to `longest_ms`. Never on a stream.
    pub fn new(now_ms: u64, reliable: bool, longest_ms: u64) -> Repeat {
        let next_ms = if reliable { u64::MAX } else { now_ms + T1_MS };
        Repeat { next_ms, pause_ms: T1_MS, longest_ms }
    }

    /// Whether it is time to send again; if so, the next time is set.
    pub fn is_due(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.next_ms;
        if due {
            self.pause_ms = (self.pause_ms * 2).min(self.longest_ms);
            self.next_ms = now_ms + self.pause_ms;
        }
        due
    }
}
