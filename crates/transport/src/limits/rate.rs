//! So many in a minute, or in an hour: a counter that starts anew so long after its first event.

use std::sync::atomic::{AtomicU64, Ordering};

/// Events of the current window. Shared by all sessions of one source or user; no lock.
#[derive(Debug, Default)]
pub struct Rate {
    /// The window's start in monotonic seconds plus one (0 means none yet) above, its count in the lower 32 bits.
    minute: AtomicU64,
}

/// A minute in seconds.
pub const MINUTE_S: u64 = 60;
/// An hour in seconds.
pub const HOUR_S: u64 = 3_600;

impl Rate {
    /// Counts one event at `now_ms` (monotonic) unless `per_minute` were counted already; `None` means no limit.
    pub fn take(&self, now_ms: u64, per_minute: Option<u32>) -> bool {
        self.take_in(now_ms, per_minute, MINUTE_S)
    }

    /// The same in a window of so many seconds; always the same one for one rate.
    pub fn take_in(&self, now_ms: u64, most: Option<u32>, window_s: u64) -> bool {
        let Some(most) = most else { return true };
        let now_s = now_ms / 1000 + 1;
        self.minute
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |minute| {
                let (start_s, count) = (minute >> 32, minute & u64::from(u32::MAX));
                if start_s == 0 || now_s >= start_s + window_s {
                    (most > 0).then_some(now_s << 32 | 1)
                } else {
                    (count < u64::from(most)).then_some(start_s << 32 | (count + 1))
                }
            })
            .is_ok()
    }

    /// Nothing was ever counted.
    pub fn is_untouched(&self) -> bool {
        self.minute.load(Ordering::Relaxed) == 0
    }

    /// Nothing counted that still matters.
    pub fn is_idle(&self, now_ms: u64, window_s: u64) -> bool {
        let start_s = self.minute.load(Ordering::Relaxed) >> 32;
        start_s == 0 || now_ms / 1000 + 1 >= start_s + window_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_in_a_minute_and_then_again() {
        let rate = Rate::default();
        let taken = (0..10).filter(|i| rate.take(5_000 + i, Some(3))).count();
        assert_eq!(taken, 3);
        assert!(!rate.take(64_999, Some(3)) && !rate.is_idle(64_999, MINUTE_S));
        assert!(rate.is_idle(65_000, MINUTE_S) && rate.take(65_000, Some(3)));
        assert!(Rate::default().take(0, None) && !Rate::default().take(0, Some(0)));
    }
}
