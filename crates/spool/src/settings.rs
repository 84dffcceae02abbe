//! Owns the spool's settings and their defaults. Knows no files of configuration.

use mail::{Enhanced, Mailbox};

/// How a spool behaves. `Settings::new` gives the defaults; all times are in milliseconds.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The journal under the spool.
    pub journal: journal::Settings,
    /// What another node has of this journal that it has taken over: that node delivers it, and it is dropped at opening. `None` for
    /// a journal that is ours alone.
    pub taken: Option<Taken>,
    /// It is a copy that its owner went on without: any message may have been delivered since, and counts as a possible duplicate.
    pub doubtful: bool,
    /// Bodies of recent messages kept in memory, all together, in bytes.
    pub body_memory_bytes: usize,
    /// How a hop is retried.
    pub ladder: Ladder,
    /// Wait after a 4xx for one message while its hop is healthy.
    pub message_retry_interval_ms: u64,
    /// Age at which the sender is told, once, that a message is late. 0 = never.
    pub delay_notice_after_ms: u64,
    /// Age at which a message is given up with 4.4.7.
    pub expire_after_ms: u64,
    /// Nothing expires so soon after a start: what waited while the node was down is tried first.
    pub expire_grace_ms: u64,
    /// A message that took the process down so many times is set aside.
    pub poison_after: u32,
    /// An empty, unused queue is forgotten after so long.
    pub queue_idle_ms: u64,
    /// A finished message may wait so long for company before its settle record is appended.
    pub settle_delay_ms: u64,
    /// The largest original that a DSN returns whole when RET=FULL asks for it, in bytes; at most 768 KiB.
    pub return_full_bytes_max: usize,
    /// Our host name in DSNs.
    pub hostname: String,
    /// The name in the From field of DSNs.
    pub dsn_from_display: String,
    /// The address in the From field of DSNs, and who gets copies of [`Settings::postmaster_copy`].
    pub postmaster: Mailbox,
    /// Failures with these status codes are told to the postmaster too.
    pub postmaster_copy: Vec<Enhanced>,
    /// What the simulation breaks on purpose, to prove that its checkers see it. [`Canary::None`] everywhere else.
    #[doc(hidden)]
    pub canary: Canary,
}

/// How far the copy of a journal went that was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Where it ended.
    pub at: journal::Position,
    /// The highest epoch of which it has everything before that. A journal that goes on after a power cut may use positions again,
    /// under a higher epoch: what the copy has at such a position is something else.
    pub epoch: u32,
}

impl Taken {
    /// Whether the copy has the record that was written at `position` under `epoch`.
    pub fn has(self, position: journal::Position, epoch: u32) -> bool {
        epoch <= self.epoch && position < self.at
    }
}

/// The retry steps of a hop whose connections fail (behaviours 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ladder {
    /// First steps.
    pub glitch_count: u32,
    /// Wait at each of them.
    pub glitch_interval_ms: u64,
    /// Steps after those.
    pub transient_count: u32,
    /// Wait at each of them.
    pub transient_interval_ms: u64,
    /// Wait at all later ones.
    pub interval_ms: u64,
}

/// Invariants that a test can ask to be broken.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Canary {
    /// None: the product.
    #[default]
    None,
    /// A receipt is issued when the accept record is written, not when it is synced.
    ReceiptBeforeSync,
    /// A body is released when its message is taken, not when its settle record is synced.
    ReleaseBeforeSettle,
    /// A settled recipient is not recorded.
    ForgetSettle,
    /// Cleaning does not move tombstones along: what they cancel comes back.
    LoseTombstones,
    /// A message is handed out when the record that says so is written, not when it is synced.
    StartsUnsynced,
    /// A message is handed out when the record that says so is synced here, whatever the copies have.
    StartsHere,
    /// What waited is handed out and no record says so.
    StartsUnnoted,
}

impl Ladder {
    /// How long to wait after the `failures`-th failure in a row (1 = the first one).
    pub fn wait_ms(&self, failures: u32) -> u64 {
        if failures <= self.glitch_count {
            self.glitch_interval_ms
        } else if failures <= self.glitch_count.saturating_add(self.transient_count) {
            self.transient_interval_ms
        } else {
            self.interval_ms
        }
    }
}

impl Default for Ladder {
    fn default() -> Ladder {
        Ladder {
            glitch_count: 4,
            glitch_interval_ms: MINUTE_MS,
            transient_count: 6,
            transient_interval_ms: 5 * MINUTE_MS,
            interval_ms: 10 * MINUTE_MS,
        }
    }
}

impl Settings {
    /// The defaults, for a host of this name with this postmaster.
    pub fn new(hostname: impl Into<String>, postmaster: Mailbox) -> Settings {
        Settings {
            journal: journal::Settings::default(),
            taken: None,
            doubtful: false,
            body_memory_bytes: 24 << 20,
            ladder: Ladder::default(),
            message_retry_interval_ms: 5 * MINUTE_MS,
            delay_notice_after_ms: 4 * 60 * MINUTE_MS,
            expire_after_ms: 2 * 24 * 60 * MINUTE_MS,
            expire_grace_ms: 5 * MINUTE_MS,
            poison_after: 2,
            queue_idle_ms: 3 * MINUTE_MS,
            settle_delay_ms: 5,
            return_full_bytes_max: 512 << 10,
            hostname: hostname.into(),
            dsn_from_display: String::from("Mail Delivery System"),
            postmaster,
            postmaster_copy: Vec::new(),
            canary: Canary::None,
        }
    }
}

impl Settings {
    /// [`Settings::return_full_bytes_max`] within what fits into one batch and one segment of the journal.
    pub(crate) fn full_bytes_max(&self) -> usize {
        self.return_full_bytes_max.min(768 << 10).min(self.journal.segment_bytes as usize / 4)
    }
}

const MINUTE_MS: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_climbs_as_the_book_of_behaviours_says() {
        let ladder = Ladder::default();
        let minutes: Vec<u64> = [1, 4, 5, 10, 11, 500].iter().map(|n| ladder.wait_ms(*n) / MINUTE_MS).collect();
        assert_eq!(minutes, [1, 1, 5, 5, 10, 10]);
        let no_glitch = Ladder { glitch_count: 0, ..Ladder::default() };
        assert_eq!(no_glitch.wait_ms(1), 5 * MINUTE_MS);
    }
}
