//! What is counted of a service. What concerns single members (bytes, failures, failures that no client noticed) is counted by the pool alone.
//!
//! Each thread counts for itself: a counter has one writer, so counting is an ordinary store and nobody waits for a cache line.
//! Whoever wants to know adds the threads up.

use std::sync::atomic::{AtomicU64, Ordering};

use super::words::{REASONS, Reason};
use metrics::{describe_counter, describe_gauge};

/// Upper bounds of the buckets of [`Totals::greeting`], in microseconds; one more bucket holds what is above.
pub const GREETING_BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

const BUCKETS: usize = GREETING_BOUNDS_US.len() + 1;

/// Of one service, by one thread.
#[derive(Debug, Default)]
pub(super) struct Counts {
    accepted: AtomicU64,
    ended: AtomicU64,
    relayed: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
    greeting: [AtomicU64; BUCKETS],
    greeting_sum_us: AtomicU64,
}

/// Of one service since it is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that are there now.
    pub active: u64,
    /// Connections that a member served.
    pub relayed: u64,
    /// Connections that were refused or ended by the balancer, by [`Reason::index`].
    pub refused: [u64; REASONS.len()],
    /// From accepting to the greeting that the client gets: connections by [`GREETING_BOUNDS_US`].
    pub greeting: [u64; BUCKETS],
    /// The same, all together, in microseconds.
    pub greeting_sum_us: u64,
}

/// One writer: no read-modify-write is needed.
fn add(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(count), Ordering::Relaxed);
}

impl Counts {
    pub(super) fn accepted(&self) {
        add(&self.accepted, 1);
    }

    pub(super) fn ended(&self) {
        add(&self.ended, 1);
    }

    pub(super) fn relayed(&self, greeting_us: u64) {
        add(&self.relayed, 1);
        let bucket = GREETING_BOUNDS_US.partition_point(|bound| *bound < greeting_us);
        add(&self.greeting[bucket], 1);
        add(&self.greeting_sum_us, greeting_us);
    }

    pub(super) fn refused(&self, reason: Reason) {
        add(&self.refused[reason.index()], 1);
    }

    pub(super) fn add_to(&self, totals: &mut Totals) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        // What ended was accepted before: read in this order the difference cannot be below zero for long, and never is in the sum.
        let ended = read(&self.ended);
        let accepted = read(&self.accepted);
        totals.accepted += accepted;
        totals.active += accepted.saturating_sub(ended);
        totals.relayed += read(&self.relayed);
        totals.greeting_sum_us += read(&self.greeting_sum_us);
        for (total, counter) in totals.refused.iter_mut().zip(&self.refused) {
            *total += read(counter);
        }
        for (total, counter) in totals.greeting.iter_mut().zip(&self.greeting) {
            *total += read(counter);
        }
    }
}

/// Says what the metrics mean. Once, after the recorder was installed.
pub(super) fn describe() {
    describe_counter!("posthouse_service_accepted_total", "Connections of clients that a service took.");
    describe_gauge!("posthouse_service_active", "Connections of clients that a service has now.");
    describe_counter!(
        "posthouse_service_turned_away_total",
        "Connections that the balancer refused or ended, by reason."
    );
    describe_counter!(
        "posthouse_service_client_greeting_seconds_bucket",
        "Clients by how long they waited for their greeting, with all that was tried meanwhile."
    );
}

/// Writes the totals of a service to the metrics.
pub(super) fn publish(service: &str, totals: &Totals) {
    let s = || service.to_string();
    metrics::counter!("posthouse_service_accepted_total", "service" => s()).absolute(totals.accepted);
    metrics::gauge!("posthouse_service_active", "service" => s()).set(totals.active as f64);
    for reason in REASONS {
        let count = totals.refused[reason.index()];
        if count > 0 {
            metrics::counter!("posthouse_service_turned_away_total", "service" => s(), "reason" => reason.label())
                .absolute(count);
        }
    }
    let mut seen = 0;
    for (bound_us, count) in GREETING_BOUNDS_US.iter().chain(&[u64::MAX]).zip(&totals.greeting) {
        seen += count;
        let le = if *bound_us == u64::MAX { "+Inf".to_string() } else { (*bound_us as f64 / 1e6).to_string() };
        metrics::counter!("posthouse_service_client_greeting_seconds_bucket", "service" => s(), "le" => le)
            .absolute(seen);
    }
}

impl Totals {
    /// Microseconds within which this share of the greetings came, by the upper bound of their bucket; `None` before the first.
    pub fn greeting_us(&self, share: f64) -> Option<u64> {
        let all: u64 = self.greeting.iter().sum();
        let wanted = (all as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.greeting.iter().position(|count| {
            seen += count;
            seen >= wanted
        })?;
        Some(GREETING_BOUNDS_US.get(bucket).copied().unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_added_up() {
        let (a, b) = (Counts::default(), Counts::default());
        for counts in [&a, &b] {
            counts.accepted();
            counts.relayed(100);
            counts.refused(Reason::Draining);
        }
        b.ended();
        b.relayed(20_000_000);
        let mut totals = Totals::default();
        a.add_to(&mut totals);
        b.add_to(&mut totals);
        assert_eq!((totals.accepted, totals.active, totals.relayed), (2, 1, 3));
        assert_eq!(totals.refused[Reason::Draining.index()], 2);
        assert_eq!((totals.greeting_us(0.5), totals.greeting_us(1.0)), (Some(100), Some(u64::MAX)));
        assert_eq!(Totals::default().greeting_us(0.5), None);
    }
}
