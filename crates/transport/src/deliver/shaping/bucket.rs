//! So many messages in any minute: a token bucket. Pure: the time is handed in.
//!
//! Always holds: no half-open window of a minute has more messages than the rate allows. A bucket of `b` tokens that is filled with
//! `rate - (b - 1)` a minute gives at most that, wherever the window begins.

/// The tokens of one destination.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Messages in a minute.
    rate: u32,
    /// Parts of tokens that are there; a token is [`TOKEN`] parts.
    parts: u64,
    /// When that was so.
    at_ms: u64,
    /// Found empty, and not yet full enough that going on is worth a connection.
    dry: bool,
}

impl Bucket {
    /// A full one, at `now_ms` of the monotonic clock. The rate is at least 1.
    pub fn new(rate: u32, now_ms: u64) -> Bucket {
        let rate = rate.max(1);
        Bucket { rate, parts: burst(rate) * TOKEN, at_ms: now_ms, dry: false }
    }

    /// The rate is another one from now on.
    pub fn set_rate(&mut self, rate: u32, now_ms: u64) {
        if rate.max(1) != self.rate {
            self.fill(now_ms);
            self.rate = rate.max(1);
            self.parts = self.parts.min(burst(self.rate) * TOKEN);
        }
    }

    /// Messages in a minute.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Up to `want` tokens. Fewer: there are none for now, for nobody, until it is ready again.
    pub fn take(&mut self, want: usize, now_ms: u64) -> usize {
        if self.ready_at_ms(now_ms) > now_ms {
            return 0;
        }
        let count = (self.parts / TOKEN).min(want as u64);
        self.parts -= count * TOKEN;
        self.dry |= count < want as u64;
        count as usize
    }

    /// Tokens that were not needed.
    pub fn put_back(&mut self, count: usize) {
        self.parts = (self.parts + count as u64 * TOKEN).min(burst(self.rate) * TOKEN);
    }

    /// When going on is worth a connection again: now, or at this time.
    pub fn ready_at_ms(&mut self, now_ms: u64) -> u64 {
        self.fill(now_ms);
        let wanted = if self.dry { burst(self.rate).div_ceil(2) } else { 1 } * TOKEN;
        match wanted.checked_sub(self.parts) {
            None | Some(0) => {
                self.dry = false;
                now_ms
            }
            Some(lacks) => now_ms + lacks.div_ceil(refill(self.rate)),
        }
    }

    fn fill(&mut self, now_ms: u64) {
        let full = burst(self.rate) * TOKEN;
        let new = now_ms.saturating_sub(self.at_ms).saturating_mul(refill(self.rate));
        self.parts = self.parts.saturating_add(new).min(full);
        self.at_ms = self.at_ms.max(now_ms);
    }
}

/// Tokens that a bucket holds: ten seconds' worth.
fn burst(rate: u32) -> u64 {
    u64::from(rate / 6).max(1)
}

/// Tokens in a minute, which is parts in a millisecond.
fn refill(rate: u32) -> u64 {
    u64::from(rate) - (burst(rate) - 1)
}

const TOKEN: u64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_bursts_and_then_keeps_to_its_rate() {
        let mut bucket = Bucket::new(60, 0);
        assert_eq!((bucket.take(100, 0), bucket.take(1, 0)), (10, 0));
        // Five tokens are worth a connection: 51 come in a minute.
        let ready = bucket.ready_at_ms(0);
        assert_eq!(ready, 5_883);
        assert_eq!((bucket.take(9, ready - 1), bucket.ready_at_ms(ready), bucket.take(9, ready)), (0, ready, 5));
        let slow = &mut Bucket::new(1, 0);
        assert_eq!(
            (slow.take(2, 0), slow.ready_at_ms(0), slow.take(1, 59_999), slow.take(1, 60_000)),
            (1, 60_000, 0, 1)
        );
    }

    proptest! {
        /// Against the naive count: whatever is asked for and when, no minute has too many, and who asks all the time gets most of the rate.
        #[test]
        fn no_minute_has_more_than_the_rate(rate in 1u32..200, asks in prop::collection::vec((0u64..5_000, 0usize..40, 0usize..3), 1..300)) {
            let mut bucket = Bucket::new(rate, 0);
            let (mut now_ms, mut sent): (u64, Vec<u64>) = (0, Vec::new());
            for (wait_ms, want, unused) in asks {
                now_ms += wait_ms;
                let got = bucket.take(want, now_ms);
                let unused = unused.min(got);
                bucket.put_back(unused);
                sent.extend(std::iter::repeat_n(now_ms, got - unused));
            }
            for (at, from) in sent.iter().enumerate() {
                let count = sent[at..].iter().take_while(|time| **time < from + 60_000).count();
                prop_assert!(count <= rate as usize, "{count} in the minute from {from}");
            }
        }

        #[test]
        fn who_waits_until_it_is_ready_gets_something(rate in 1u32..5_000, steps in 1usize..50) {
            let (mut bucket, mut now_ms, mut total) = (Bucket::new(rate, 0), 0, 0);
            for _ in 0..steps {
                let got = bucket.take(usize::MAX, now_ms);
                prop_assert!(got > 0);
                total += got as u64;
                now_ms = bucket.ready_at_ms(now_ms);
            }
            prop_assert!(total * 60_000 >= (now_ms - now_ms / steps as u64) * u64::from(rate) * 5 / 6);
        }
    }
}
