//! Members that fail connections are left alone for a while: after several failures in a row, each time for twice as long, and never so many
//! that the others could not carry the load.

use super::Health;
use super::slot::Slot;
use directory::Ejection;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What is known of the failures of one member.
#[derive(Default)]
pub struct Record {
    /// In a row.
    failures: AtomicU32,
    /// Times that it was left alone, until it has worked for as long as the last of them took.
    times: AtomicU32,
    until_ms: AtomicU64,
    forget_ms: AtomicU64,
}

impl Record {
    /// A connection failed. Says whether these are enough in a row.
    pub fn failed(&self, ejection: &Ejection) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        ejection.failures.is_some_and(|enough| failures >= enough)
    }

    /// A connection worked.
    pub fn worked(&self, now_ms: u64) {
        // Most connections find 0 in both and write nothing.
        if self.failures.load(Ordering::Relaxed) > 0 && !self.is_out(now_ms) {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.times.load(Ordering::Relaxed) > 0 && now_ms >= self.forget_ms.load(Ordering::Relaxed) {
            self.times.store(0, Ordering::Relaxed);
        }
    }

    /// It is left alone.
    pub fn is_out(&self, now_ms: u64) -> bool {
        self.left_ms(now_ms) > 0
    }

    /// For how much longer.
    pub fn left_ms(&self, now_ms: u64) -> u64 {
        self.until_ms.load(Ordering::Relaxed).saturating_sub(now_ms)
    }

    /// From now on it is left alone, for twice as long as the last time; when it is back, one failure is enough. Says whether it was not
    /// alone already: failures of connections that were under way then change nothing.
    pub fn eject(&self, now_ms: u64, ejection: &Ejection) -> bool {
        if self.is_out(now_ms) {
            return false;
        }
        let times = self.times.fetch_add(1, Ordering::Relaxed).min(62);
        let ms = ejection.first_ms.saturating_mul(1 << times).min(ejection.longest_ms);
        let until_ms = now_ms.saturating_add(ms);
        self.failures.store(ejection.failures.unwrap_or(1).saturating_sub(1), Ordering::Relaxed);
        self.forget_ms.store(until_ms.saturating_add(ms), Ordering::Relaxed);
        self.until_ms.store(until_ms, Ordering::Relaxed);
        true
    }
}

/// One more may be left alone: the share stays within bounds, and somebody remains.
pub fn may_eject(ejection: &Ejection, now_ms: u64, slots: &[Slot]) -> bool {
    let is_up =
        |slot: &&Slot| !slot.member.is_drained() && !matches!(slot.member.health(), Health::Down | Health::Draining);
    let (mut up, mut out) = (0, 0);
    for slot in slots.iter().filter(is_up) {
        up += 1;
        out += u64::from(slot.member.live.ejection.is_out(now_ms));
    }
    (out + 1) * 100 <= up * u64::from(ejection.share_percent_max)
}
