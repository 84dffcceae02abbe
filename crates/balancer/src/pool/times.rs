//! How long greetings took lately: counts by powers of the square root of two, so that a median costs 400 bytes a member and no lock.
//! Always holds: old ones count less and less: when there are many, all are halved.

use std::sync::atomic::{AtomicU32, Ordering};

/// Greetings of one member by the time that they took.
#[derive(Debug)]
pub struct Times {
    buckets: [AtomicU32; BUCKETS],
    all: AtomicU32,
}

impl Default for Times {
    fn default() -> Times {
        Times { buckets: std::array::from_fn(|_| AtomicU32::new(0)), all: AtomicU32::new(0) }
    }
}

impl Times {
    /// One more.
    pub fn add(&self, took_us: u64) {
        self.buckets[bucket(took_us)].fetch_add(1, Ordering::Relaxed);
        if self.all.fetch_add(1, Ordering::Relaxed) + 1 < MANY {
            return;
        }
        // Another thread may add meanwhile: one greeting more or less is no other median.
        let mut left = 0;
        for count in &self.buckets {
            let half = count.load(Ordering::Relaxed) / 2;
            count.store(half, Ordering::Relaxed);
            left += half;
        }
        self.all.store(left, Ordering::Relaxed);
    }

    /// The time in microseconds within which this share of them came, at most a fifth too much or too little; 0 before the first.
    pub fn within_us(&self, share: f64) -> u64 {
        let counts: Vec<u64> = self.buckets.iter().map(|count| u64::from(count.load(Ordering::Relaxed))).collect();
        let wanted = (counts.iter().sum::<u64>() as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let found = counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        found.map_or(0, |bucket| 2f64.powf((bucket as f64 + 0.5) / 2.0) as u64)
    }
}

fn bucket(took_us: u64) -> usize {
    let exact = (took_us.max(1) as f64).log2() * 2.0;
    (exact as usize).min(BUCKETS - 1)
}

/// Up to nearly an hour.
const BUCKETS: usize = 64;
const MANY: u32 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_tail_of_what_was_lately() {
        let times = Times::default();
        assert_eq!(times.within_us(0.5), 0);
        (0..980).for_each(|_| times.add(1_000));
        (0..20).for_each(|_| times.add(500_000));
        let near = |is: u64, wanted: u64| assert!(is.abs_diff(wanted) * 5 <= wanted, "{is} is not {wanted}");
        near(times.within_us(0.5), 1_000);
        near(times.within_us(0.99), 500_000);
        (0..50_000).for_each(|_| times.add(20_000));
        near(times.within_us(0.01), 20_000);
        [0, 1, u64::MAX].into_iter().for_each(|odd| times.add(odd));
    }
}
