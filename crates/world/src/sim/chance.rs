//! Owns a small generator that repeats with its seed (splitmix64). Not for keys.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance::Chance;

/// Chance with a seed. Clones share the state.
#[derive(Clone, Debug)]
pub struct SimChance(Arc<AtomicU64>);

impl SimChance {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> SimChance {
        SimChance(Arc::new(AtomicU64::new(seed)))
    }

    /// True `per_mille` times in a thousand.
    pub fn one_in_thousand(&self, per_mille: u64) -> bool {
        per_mille > 0 && self.below(1000) < per_mille
    }
}

impl Chance for SimChance {
    fn fill(&self, buf: &mut [u8]) {
        for chunk in buf.chunks_mut(8) {
            chunk.copy_from_slice(&self.u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn u64(&self) -> u64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers() {
        let (a, b, c) = (SimChance::new(7), SimChance::new(7), SimChance::new(8));
        let first: Vec<u64> = (0..5).map(|_| a.u64()).collect();
        assert_eq!(first, (0..5).map(|_| b.u64()).collect::<Vec<_>>());
        assert_ne!(first[0], c.u64());
    }
}
