//! Latencies in constant memory: log-linear buckets of microseconds, at most 1.6 % wide.

use std::time::Duration;

const SUB_BITS: u32 = 6;
const SUB: usize = 1 << SUB_BITS;

/// Counts of durations, from which percentiles are read.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; SUB * 40], total: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Adds one duration.
    pub fn add(&mut self, taken: Duration) {
        let us = u64::try_from(taken.as_micros()).unwrap_or(u64::MAX);
        let slot = slot_of(us).min(self.counts.len() - 1);
        self.counts[slot] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds all of another's durations.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// The duration in milliseconds that `share` (0 to 1) of the durations do not exceed; 0 when there are none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && *count > 0 {
                return lower_bound_us(slot + 1).min(self.max_us) as f64 / 1000.0;
            }
        }
        0.0
    }

    /// `{"p50":..,"p99":..,"max":..}` in milliseconds.
    pub fn json(&self) -> String {
        let (p50, p99) = (self.quantile_ms(0.5), self.quantile_ms(0.99));
        format!(r#"{{"p50":{p50:.3},"p99":{p99:.3},"max":{:.3}}}"#, self.max_us as f64 / 1000.0)
    }
}

fn slot_of(us: u64) -> usize {
    let us = us as usize;
    if us < SUB {
        return us;
    }
    let shift = us.ilog2() - SUB_BITS;
    SUB * (shift as usize + 1) + ((us >> shift) - SUB)
}

fn lower_bound_us(slot: usize) -> u64 {
    if slot < SUB {
        return slot as u64;
    }
    let shift = slot / SUB - 1;
    ((SUB + slot % SUB) as u64) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_begins_where_it_says() {
        for slot in 0..SUB * 30 {
            assert_eq!(slot_of(lower_bound_us(slot)), slot);
        }
    }

    #[test]
    fn quantiles_are_within_two_per_cent() {
        let mut times = Histogram::default();
        for us in 1..=10_000 {
            times.add(Duration::from_micros(us));
        }
        assert!((times.quantile_ms(0.5) - 5.0).abs() < 0.1, "{}", times.quantile_ms(0.5));
        assert!((times.quantile_ms(0.99) - 9.9).abs() < 0.2, "{}", times.quantile_ms(0.99));
    }
}
