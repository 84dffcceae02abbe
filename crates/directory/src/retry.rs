//! When failed deliveries are tried again and when senders hear of it (behaviours 4.2). Times in milliseconds.

use mail::Enhanced;

/// The retry ladder of a next hop and the clocks of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// First rung: attempts after a connection failed.
    pub glitch_count: u32,
    /// First rung: wait between them.
    pub glitch_interval_ms: u64,
    /// Second rung: attempts.
    pub transient_count: u32,
    /// Second rung: wait between them.
    pub transient_interval_ms: u64,
    /// Last rung, until mail expires: wait between attempts.
    pub interval_ms: u64,
    /// Wait after a 4xx for one message or recipient while its next hop works.
    pub message_retry_interval_ms: u64,
    /// Age at which the sender is told once that mail is late; `None` never tells.
    pub delay_notice_after_ms: Option<u64>,
    /// Age at which we give up.
    pub expire_after_ms: u64,
    /// Times that a message may take the process down before it is set aside.
    pub poison_after: u32,
    /// Failures with these statuses are copied to the postmaster.
    pub postmaster_copy: Vec<Enhanced>,
}
