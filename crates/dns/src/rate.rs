//! How often the same answer goes to the same neighbourhood over UDP, where anybody can write any sender's address: whoever is
//! flooded with answers that he did not ask for gets few of them (response rate limiting).
//!
//! Owns one table of a fixed size. Knows no message. Always holds: it never grows; a neighbourhood that shares its place with
//! another may be limited with it, never freed by it for longer than one answer.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use directory::Ranges;

/// The bounds.
#[derive(Clone, Debug)]
pub struct RateLimit {
    /// The same answers a second to one neighbourhood (an IPv4 /24, an IPv6 /56); 0: as many as are asked for. As many again may
    /// come at once.
    pub answers_per_second: u32,
    /// Of the answers above that, each such one says only "ask over TCP", which a forger's victim never does; 0: none.
    pub slip: u32,
    /// Who is never limited.
    pub exempt: Ranges,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// In its place, "ask over TCP" is sent.
    Slip,
    /// Nothing is sent.
    Drop,
}

/// The table.
pub struct Rates {
    limit: RateLimit,
    /// Each: 16 bits that tell who it is, 48 bits of when, in microseconds, what it has used up is free again.
    places: Box<[AtomicU64]>,
    secret: u64,
    over: AtomicU32,
}

impl Rates {
    /// An empty table. `secret` is a random number: nobody can choose with whom he shares a place.
    pub fn new(limit: RateLimit, secret: u64) -> Rates {
        let count = if limit.answers_per_second == 0 { 0 } else { PLACES };
        let places = (0..count).map(|_| AtomicU64::new(0)).collect();
        Rates { limit, places, secret, over: AtomicU32::new(0) }
    }

    /// Counts one answer and says what becomes of it. `same` is a number of what is answered.
    pub fn look(&self, from: IpAddr, same: u64, now_us: u64) -> Verdict {
        if self.places.is_empty() || self.limit.exempt.contains(from) {
            return Verdict::Send;
        }
        let mixed = mix(mix(neighbourhood(from) ^ self.secret) ^ same.wrapping_add(self.secret));
        let (tag, at) = (mixed >> WHEN_BITS, mixed as usize % PLACES);
        // Two places to choose from: one's own, or else the one that is free the longest.
        let pair = [&self.places[at], &self.places[at ^ 1]].map(|place| (place, place.load(Ordering::Relaxed)));
        let own = pair.iter().find(|(_, value)| value >> WHEN_BITS == tag);
        let (place, value) = own.unwrap_or(if pair[0].1 & WHEN <= pair[1].1 & WHEN { &pair[0] } else { &pair[1] });
        let (now_us, step_us) = (now_us & WHEN, 1_000_000 / u64::from(self.limit.answers_per_second).min(1_000_000));
        let free_us = if own.is_some() { (value & WHEN).max(now_us) } else { now_us };
        if free_us - now_us > BURST_US {
            return self.over();
        }
        // Two threads at the same moment may count as one: the bound is soft by the number of threads.
        place.store(tag << WHEN_BITS | (free_us + step_us) & WHEN, Ordering::Relaxed);
        Verdict::Send
    }

    fn over(&self) -> Verdict {
        let number = self.over.fetch_add(1, Ordering::Relaxed);
        match self.limit.slip {
            0 => Verdict::Drop,
            slip if number.is_multiple_of(slip) => Verdict::Slip,
            _ => Verdict::Drop,
        }
    }
}

fn neighbourhood(from: IpAddr) -> u64 {
    match from.to_canonical() {
        IpAddr::V4(v4) => u64::from(v4.to_bits() >> 8),
        // The first bit tells it from an IPv4 one.
        IpAddr::V6(v6) => (v6.to_bits() >> 72) as u64 | 1 << 63,
    }
}

/// Splitmix64's end: every bit of the input moves half of the bits of the output.
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

/// Places of the table: 1 MiB.
const PLACES: usize = 1 << 17;
const WHEN_BITS: u32 = 48;
const WHEN: u64 = (1 << WHEN_BITS) - 1;
/// What may come at once.
const BURST_US: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(answers_per_second: u32, slip: u32) -> Rates {
        let exempt = Ranges(vec![directory::IpRange::parse("10.0.0.0/8").unwrap()]);
        Rates::new(RateLimit { answers_per_second, slip, exempt }, 0x1234_5678_9abc_def0)
    }

    /// Of `count` answers in a second, how many are sent, slipped, dropped.
    fn count(rates: &Rates, from: &str, same: u64, start_us: u64, count: u64) -> [u64; 3] {
        let from: IpAddr = from.parse().unwrap();
        (0..count).fold([0; 3], |mut sums, n| {
            sums[rates.look(from, same, start_us + n * 1_000_000 / count) as usize] += 1;
            sums
        })
    }

    #[test]
    fn a_flood_gets_few_and_others_all() {
        let (rates, unlimited) = (rates(10, 2), rates(0, 0));
        let [sent, slipped, dropped] = count(&rates, "192.0.2.1", 7, 1_000_000, 1_000);
        assert!((10..=22).contains(&sent), "{sent}");
        assert!(slipped.abs_diff(dropped) <= 1, "{slipped} {dropped}");
        let more = count(&rates, "192.0.2.77", 7, 2_000_000, 1_000)[0];
        assert!((9..=11).contains(&more), "neighbours share, and only the rate is left: {more}");
        assert_eq!(count(&rates, "192.0.3.1", 7, 2_000_000, 10)[0], 10, "others are not touched");
        assert_eq!(count(&rates, "192.0.2.1", 8, 2_000_000, 10)[0], 10, "nor is another answer");
        assert_eq!(count(&rates, "10.9.8.7", 7, 2_000_000, 1_000)[0], 1_000, "nor who is exempt");
        assert_eq!(count(&rates, "192.0.2.1", 7, 9_000_000, 10)[0], 10, "later all is well again");
        assert_eq!(count(&unlimited, "192.0.2.1", 7, 0, 1_000)[0], 1_000, "no limit");
        let v6 = count(&rates, "2001:db8::1", 7, 0, 1_000)[0] + count(&rates, "2001:db8:0:ff::1", 7, 0, 1_000)[0];
        assert!(v6 <= 24, "one /56: {v6}");
    }

    #[test]
    fn a_million_forged_neighbourhoods_do_not_free_a_flooded_one() {
        let rates = rates(5, 0);
        let victim: IpAddr = "192.0.2.1".parse().unwrap();
        let mut sent = 0;
        for n in 0..1_000_000u32 {
            rates.look(std::net::Ipv4Addr::from_bits(0x1400_0000 + (n << 8)).into(), 7, u64::from(n));
            if n % 1_000 == 0 && rates.look(victim, 7, u64::from(n)) == Verdict::Send {
                sent += 1;
            }
        }
        assert!(sent < 100, "{sent} of 1000 in a second");
    }
}
