//! Owns the time. Knows no time zones and no timers.
//! Always holds: monotonic time never goes back; wall time may.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where all stored and decided times come from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC. May jump when the operator sets the clock.
    fn wall_ms(&self) -> u64;
    /// Microseconds since an arbitrary start; never goes back.
    fn mono_us(&self) -> u64;
    /// Milliseconds since the same start as [`Clock::mono_us`].
    fn mono_ms(&self) -> u64 {
        self.mono_us() / 1000
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealClock;

impl Clock for RealClock {
    #[allow(clippy::disallowed_methods)]
    fn wall_ms(&self) -> u64 {
        // A clock before 1970 counts as 1970: no caller can do better.
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
    }

    #[allow(clippy::disallowed_methods)]
    fn mono_us(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed().as_micros() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_goes_forward_and_is_after_2020() {
        let first = RealClock.mono_us();
        assert!(RealClock.mono_us() >= first);
        assert!(RealClock.wall_ms() > 1_577_836_800_000);
    }
}
