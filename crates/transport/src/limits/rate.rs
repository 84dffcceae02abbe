//! So many in a minute: a counter that starts anew a minute after its first event.

use std::sync::atomic::{AtomicU64, Ordering};

/// Events of the current minute. Shared by all sessions of one source or user; no lock.
#[derive(Debug, Default)]
pub struct Rate {
    /// The minute's start in monotonic seconds plus one (0 means none yet) above, its count in the lower 32 bits.
    minute: AtomicU64,
}

const WINDOW_S: u64 = 60;

impl Rate {
    /// Counts one event at `now_ms` (monotonic) unless `per_minute` were counted already; `None` means no limit.
    pub fn take(&self, now_ms: u64, per_minute: Option<u32>) -> bool {
        let Some(most) = per_minute else { return true };
        let now_s = now_ms / 1000 + 1;
        self.minute
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |minute| {
                let (start_s, count) = (minute >> 32, minute & u64::from(u32::MAX));
                if start_s == 0 || now_s >= start_s + WINDOW_S {
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
    pub fn is_idle(&self, now_ms: u64) -> bool {
        let start_s = self.minute.load(Ordering::Relaxed) >> 32;
        start_s == 0 || now_ms / 1000 + 1 >= start_s + WINDOW_S
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
        assert!(!rate.take(64_999, Some(3)) && !rate.is_idle(64_999));
        assert!(rate.is_idle(65_000) && rate.take(65_000, Some(3)));
        assert!(Rate::default().take(0, None) && !Rate::default().take(0, Some(0)));
    }
}
