//! The bounds of one destination, shared by all hops that lead to it: connections, messages in a minute, and fewer connections for a while
//! after an answer that asks for less. Pure: a machine on times and numbers; who waits is of any type.
//!
//! Always holds: connections and those who are on their way to one are never more than the limit; who has waited longest is called first;
//! nobody goes past those who wait; if there is a place and somebody waits, somebody is called or [`Lane::call_at_ms`] says when.

use super::bucket::Bucket;
use std::collections::VecDeque;

/// The bounds, as the document has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    pub connections_max: usize,
    pub messages_per_minute: Option<u32>,
    pub cooldown_ms: u64,
}

/// One destination.
pub(super) struct Lane<W> {
    bounds: Bounds,
    bucket: Option<Bucket>,
    /// Connections, open or being made.
    open: usize,
    /// How many there may be now.
    limit: usize,
    /// Called, and not yet here.
    called: usize,
    waiting: VecDeque<W>,
    /// Asked for less at this time.
    slowed_ms: Option<u64>,
    lowered_ms: u64,
}

/// Why somebody waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// All connections are in use; so many there may be now, and so many without an answer that asked for less.
    Connections(usize, usize),
    /// So many messages in a minute are sent; it goes on then, on the monotonic clock in milliseconds.
    Rate(u32, u64),
}

impl<W> Lane<W> {
    pub fn new(bounds: Bounds, now_ms: u64) -> Lane<W> {
        let bucket = bounds.messages_per_minute.map(|rate| Bucket::new(rate, now_ms));
        let (limit, waiting) = (bounds.connections_max.max(1), VecDeque::new());
        Lane { bounds, bucket, open: 0, limit, called: 0, waiting, slowed_ms: None, lowered_ms: 0 }
    }

    /// The document may have changed.
    pub fn set_bounds(&mut self, bounds: Bounds, now_ms: u64) {
        if bounds == self.bounds {
            return;
        }
        let was_full = self.limit >= self.bounds.connections_max;
        let most = bounds.connections_max.max(1);
        self.limit = if was_full { most } else { self.limit.min(most) };
        match (&mut self.bucket, bounds.messages_per_minute) {
            (Some(bucket), Some(rate)) => bucket.set_rate(rate, now_ms),
            (bucket, rate) => *bucket = rate.map(|rate| Bucket::new(rate, now_ms)),
        }
        self.bounds = bounds;
    }

    /// A place for a connection. Who was not called gets none while others wait.
    pub fn enter(&mut self, was_called: bool, now_ms: u64) -> bool {
        self.called -= usize::from(was_called);
        let may_come = was_called || self.waiting.is_empty();
        let yes = may_come && self.open + self.called < self.limit && self.ready_at_ms(now_ms) <= now_ms;
        self.open += usize::from(yes);
        yes
    }

    /// Who did not get a place waits for one; who was called and came too late goes to the front again.
    pub fn wait(&mut self, who: W, was_called: bool) {
        match was_called {
            true => self.waiting.push_front(who),
            false => self.waiting.push_back(who),
        }
    }

    /// A connection is over.
    pub fn leave(&mut self) {
        self.open -= 1;
    }

    /// Somebody was called and has nothing to send any more.
    pub fn not_needed(&mut self) {
        self.called -= 1;
    }

    /// The next one to be called, if there is a place.
    pub fn call(&mut self, now_ms: u64) -> Option<W> {
        if self.open + self.called >= self.limit || self.waiting.is_empty() || self.ready_at_ms(now_ms) > now_ms {
            return None;
        }
        self.called += 1;
        self.waiting.pop_front()
    }

    /// When to call, if only the rate keeps those who wait.
    pub fn call_at_ms(&mut self, now_ms: u64) -> Option<u64> {
        if self.waiting.is_empty() || self.open + self.called >= self.limit {
            return None;
        }
        Some(self.ready_at_ms(now_ms)).filter(|at_ms| *at_ms > now_ms)
    }

    /// Somebody waits: a connection should not go on for ever.
    pub fn is_crowded(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Up to `want` messages may go.
    pub fn take(&mut self, want: usize, now_ms: u64) -> usize {
        self.bucket.as_mut().map_or(want, |bucket| bucket.take(want, now_ms))
    }

    /// So many of them did not.
    pub fn put_back(&mut self, count: usize) {
        if let Some(bucket) = &mut self.bucket {
            bucket.put_back(count);
        }
    }

    /// The destination asked for less. One overload answers many messages: it counts once a second. Says whether it counted.
    pub fn asked_for_less(&mut self, now_ms: u64) -> bool {
        let counts = self.slowed_ms.is_none() || now_ms.saturating_sub(self.lowered_ms) >= LOWER_INTERVAL_MS;
        if counts {
            self.limit = (self.limit / 2).max(1);
            self.lowered_ms = now_ms;
        }
        self.slowed_ms = Some(now_ms);
        counts
    }

    /// A message went through. After the cooldown each one gives a connection back.
    pub fn went_well(&mut self, now_ms: u64) {
        let Some(slowed_ms) = self.slowed_ms else { return };
        if now_ms.saturating_sub(slowed_ms) >= self.bounds.cooldown_ms {
            self.limit += 1;
            if self.limit >= self.bounds.connections_max {
                self.limit = self.bounds.connections_max.max(1);
                self.slowed_ms = None;
            }
        }
    }

    /// Why somebody who waits waits.
    pub fn why(&mut self, now_ms: u64) -> Wait {
        let ready_at_ms = self.ready_at_ms(now_ms);
        match &self.bucket {
            Some(bucket) if ready_at_ms > now_ms => Wait::Rate(bucket.rate(), ready_at_ms),
            _ => Wait::Connections(self.limit, self.bounds.connections_max),
        }
    }

    /// Those who wait, in their order.
    pub fn waiting(&self) -> impl Iterator<Item = &W> {
        self.waiting.iter()
    }

    /// Those of them who wait no more.
    pub fn take_out(&mut self, gone: impl Fn(&W) -> bool) -> Vec<W> {
        let (gone, stay) = std::mem::take(&mut self.waiting).into_iter().partition::<Vec<W>, _>(gone);
        self.waiting = stay.into();
        gone
    }

    /// Connections now, and how many there may be.
    pub fn connections(&self) -> (usize, usize) {
        (self.open, self.limit)
    }

    fn ready_at_ms(&mut self, now_ms: u64) -> u64 {
        self.bucket.as_mut().map_or(now_ms, |bucket| bucket.ready_at_ms(now_ms))
    }
}

/// The limit is lowered at most once in this time.
const LOWER_INTERVAL_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: Bounds = Bounds { connections_max: 8, messages_per_minute: None, cooldown_ms: 300_000 };

    #[test]
    fn an_answer_that_asks_for_less_halves_and_success_raises_after_a_while() {
        let mut lane: Lane<()> = Lane::new(BOUNDS, 0);
        let limits = |lane: &Lane<()>| lane.connections().1;
        assert!(lane.asked_for_less(1_000) && !lane.asked_for_less(1_500), "one overload counts once");
        assert_eq!(limits(&lane), 4);
        lane.asked_for_less(2_600);
        lane.asked_for_less(5_000);
        lane.asked_for_less(9_000);
        assert_eq!(limits(&lane), 1, "never none");
        lane.went_well(200_000);
        assert_eq!(limits(&lane), 1, "the cooldown is not over");
        let raised: Vec<usize> = (0..9)
            .map(|i| {
                lane.went_well(309_000 + i);
                limits(&lane)
            })
            .collect();
        assert_eq!(raised, [2, 3, 4, 5, 6, 7, 8, 8, 8]);
    }

    #[test]
    fn who_waits_is_called_in_order_and_nobody_goes_past() {
        let mut lane = Lane::new(Bounds { connections_max: 1, ..BOUNDS }, 0);
        assert!(lane.enter(false, 0) && !lane.enter(false, 0));
        lane.wait("a", false);
        lane.wait("b", false);
        assert_eq!((lane.call(0), lane.why(0)), (None, Wait::Connections(1, 1)));
        lane.leave();
        assert_eq!((lane.call(0), lane.call(0)), (Some("a"), None));
        assert!(!lane.enter(false, 0), "past those who wait");
        assert!(lane.enter(true, 0));
        lane.leave();
        assert_eq!(lane.call(0), Some("b"));
        lane.not_needed();
        assert!(lane.enter(false, 0) && !lane.is_crowded());
    }

    #[test]
    fn a_rate_calls_when_there_is_enough_again() {
        let mut lane = Lane::new(Bounds { messages_per_minute: Some(60), ..BOUNDS }, 0);
        assert!(lane.enter(false, 0));
        assert_eq!((lane.take(32, 0), lane.take(1, 0)), (10, 0));
        lane.leave();
        assert!(!lane.enter(false, 0));
        lane.wait("a", false);
        let at_ms = lane.call_at_ms(0).unwrap();
        assert_eq!((lane.why(0), lane.call(at_ms - 1), lane.call(at_ms)), (Wait::Rate(60, at_ms), None, Some("a")));
        assert!(lane.enter(true, at_ms));
    }

    proptest! {
        /// Any order of events: the limit holds, and nobody who waits is forgotten.
        #[test]
        fn the_limit_holds_and_nobody_is_forgotten(
            most in 1usize..6,
            rate in prop::option::of(1u32..100),
            events in prop::collection::vec((0u8..7, 0u64..3_000), 1..200),
        ) {
            let mut lane = Lane::new(Bounds { connections_max: most, messages_per_minute: rate, cooldown_ms: 5_000 }, 0);
            let (mut now_ms, mut open, mut called) = (0, 0usize, Vec::new());
            for (number, (event, wait_ms)) in events.into_iter().enumerate() {
                now_ms += wait_ms;
                match event {
                    0 => match lane.enter(false, now_ms) {
                        true => open += 1,
                        false => lane.wait(number, false),
                    },
                    1 => if let Some(who) = called.pop() {
                        match lane.enter(true, now_ms) {
                            true => open += 1,
                            false => lane.wait(who, true),
                        }
                    },
                    2 if open > 0 => {
                        lane.leave();
                        open -= 1;
                    }
                    3 => if called.pop().is_some() {
                        lane.not_needed();
                    },
                    4 => drop(lane.take(3, now_ms)),
                    5 => drop(lane.asked_for_less(now_ms)),
                    _ => lane.went_well(now_ms),
                }
                while let Some(who) = lane.call(now_ms) {
                    called.push(who);
                }
                prop_assert!(open <= most, "{open} of {most}");
                prop_assert_eq!(lane.connections().0, open);
                if lane.is_crowded() {
                    let has_place = open + called.len() < lane.connections().1;
                    prop_assert!(!has_place || lane.call_at_ms(now_ms).is_some(), "a place, somebody who waits, and no call");
                }
            }
        }
    }
}
