//! Owns how the age of what a copy lacks is known: samples of when the log ended where. Knows no copies.
//! Always holds: at most [`SAMPLES_MAX`] samples are kept; then their spacing doubles.

use std::collections::VecDeque;

use crate::position::Position;

/// When the log ended where.
#[derive(Debug)]
pub(super) struct Lag {
    samples: VecDeque<(Position, u64)>,
    spacing_ms: u64,
}

impl Default for Lag {
    fn default() -> Lag {
        Lag { samples: VecDeque::new(), spacing_ms: SPACING_MS }
    }
}

impl Lag {
    /// The log ends at `tail` now.
    pub(super) fn note(&mut self, tail: Position, now_ms: u64) {
        if self.samples.back().is_some_and(|(_, at)| now_ms < at + self.spacing_ms) {
            return;
        }
        if self.samples.len() == SAMPLES_MAX {
            self.spacing_ms *= 2;
            let mut nth = 0;
            self.samples.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.samples.push_back((tail, now_ms));
    }

    /// Every copy has everything before `acked`.
    pub(super) fn passed(&mut self, acked: Position) {
        while self.samples.front().is_some_and(|(position, _)| *position <= acked) {
            self.samples.pop_front();
        }
        if self.samples.is_empty() {
            self.spacing_ms = SPACING_MS;
        }
    }

    /// For how many milliseconds something behind `acked` has been in the log.
    pub(super) fn of(&self, acked: Position, tail: Position, now_ms: u64) -> u64 {
        if acked >= tail {
            return 0;
        }
        let first = self.samples.iter().find(|(position, _)| *position > acked);
        first.map_or(0, |(_, at)| now_ms.saturating_sub(*at))
    }
}

const SAMPLES_MAX: usize = 256;
const SPACING_MS: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_is_that_of_the_oldest_missing_record_and_samples_are_few() {
        let mut lag = Lag::default();
        for n in 1..10_000u64 {
            lag.note(Position(n), n * 100);
        }
        assert!(lag.samples.len() <= SAMPLES_MAX);
        assert_eq!(lag.of(Position(9_999), Position(9_999), 1_000_000), 0);
        let age = lag.of(Position(5_000), Position(9_999), 1_000_000);
        assert!((480_000..=500_000).contains(&age), "{age}");
        lag.passed(Position(9_999));
        assert!(lag.samples.is_empty() && lag.spacing_ms == SPACING_MS);
    }
}
