//! Owns a clock that moves only when the test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::clock::Clock;

/// Starts at 2026-01-01 00:00 UTC. Clones share the time.
#[derive(Clone, Debug, Default)]
pub struct SimClock(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    mono_us: AtomicU64,
    wall_shift_ms: AtomicI64,
}

impl SimClock {
    /// A clock at its start.
    pub fn new() -> SimClock {
        SimClock::default()
    }

    /// Moves both times forward.
    pub fn advance_ms(&self, ms: u64) {
        self.advance_us(ms * 1000);
    }

    /// Moves both times forward.
    pub fn advance_us(&self, us: u64) {
        self.0.mono_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Lets the wall clock jump, as when an operator sets it; monotonic time does not move.
    pub fn jump_wall_ms(&self, ms: i64) {
        self.0.wall_shift_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn wall_ms(&self) -> u64 {
        let shift = self.0.wall_shift_ms.load(Ordering::Relaxed);
        (START_MS + self.mono_ms()).saturating_add_signed(shift)
    }

    fn mono_us(&self) -> u64 {
        self.0.mono_us.load(Ordering::Relaxed)
    }
}

const START_MS: u64 = 1_767_225_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_only_when_told() {
        let clock = SimClock::new();
        clock.advance_ms(1500);
        clock.jump_wall_ms(-1000);
        assert_eq!((clock.mono_ms(), clock.mono_us()), (1500, 1_500_000));
        assert_eq!(clock.wall_ms(), START_MS + 500);
    }
}
