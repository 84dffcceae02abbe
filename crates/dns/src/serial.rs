//! The serial of a zone's SOA: which version is the newer one (RFC 1982).
//!
//! Owns how it is chosen. Always holds: it only grows, over restarts too (what was used last is kept, and given back here); two
//! servers of one zone never give two versions the same serial, because each has its own remainder.
//!
//! It is the time in seconds. So a server that lost what it kept, and another server of the same zone whose changes came at other
//! times, are both ahead of what was before.

/// Which of the servers of a zone we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Our number, from 0, below `count`.
    pub number: u32,
    /// How many they are, at least 1.
    pub count: u32,
}

/// The serial of the version after the one with serial `last`.
pub fn next(last: Option<u32>, now_s: u64, seat: Seat) -> u32 {
    // Serials wrap around in 2106, as RFC 1982 lets them.
    let now = now_s as u32;
    let count = seat.count.clamp(1, SEATS_MAX);
    let least = match last {
        Some(last) if !is_newer(now, last) => last.wrapping_add(1),
        _ => now,
    };
    // The least number from `least` on with our remainder.
    let ahead = (seat.number % count + count - least % count) % count;
    least.wrapping_add(ahead)
}

/// Whether `a` is of a later version than `b` (RFC 1982, 3.2).
pub fn is_newer(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

/// More servers of one zone share remainders.
const SEATS_MAX: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_grows_whatever_the_clock_does(times in prop::collection::vec(0u64..6_000_000_000, 1..50), number in 0u32..5, count in 1u32..6) {
            let mut last = None;
            for now_s in times {
                let next = next(last, now_s, Seat { number, count });
                prop_assert!(last.is_none_or(|last| is_newer(next, last)), "{last:?} {next}");
                last = Some(next);
            }
        }

        #[test]
        fn two_servers_never_choose_the_same(a in 1_700_000_000u64..1_700_000_100, b in 1_700_000_000u64..1_700_000_100, last in 1_700_000_000u32..1_700_000_100) {
            let seat = |number| Seat { number, count: 3 };
            prop_assert_ne!(next(Some(last), a, seat(0)), next(None, b, seat(2)));
        }
    }

    #[test]
    fn it_is_the_time_unless_that_would_not_grow() {
        let one = Seat { number: 0, count: 1 };
        assert_eq!(next(None, 1_800_000_000, one), 1_800_000_000);
        assert_eq!(next(Some(1_800_000_000), 1_800_000_000, one), 1_800_000_001);
        assert_eq!(next(Some(1_900_000_000), 1_800_000_000, one), 1_900_000_001);
        assert_eq!(next(Some(10), 1_800_000_000, Seat { number: 1, count: 2 }), 1_800_000_001);
        assert!(is_newer(5, u32::MAX - 5) && !is_newer(u32::MAX - 5, 5));
    }
}
