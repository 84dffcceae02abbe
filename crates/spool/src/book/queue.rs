//! Owns one hop's queue: its lists, its ladder, its figures. Knows no messages, only the numbers of legs.

use crate::hop::{HopId, HopKey};
use crate::list::List;
use crate::settings::Ladder;
use crate::words::Priority;

/// The queue of a hop.
pub struct Queue {
    pub id: HopId,
    pub key: HopKey,
    pub ready: [List; 3],
    pub deferred: List,
    pub held: List,
    pub in_hand: u32,
    /// Legs in it, in whatever state.
    pub legs: u32,
    pub bytes: u64,
    pub suspended: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Not tried before this.
    pub retry_at_ms: Option<u64>,
    pub last_error: Option<Box<str>>,
    pub last_attempt_ms: Option<u64>,
    /// Somebody was told that there is work, and has not found the ready lists empty since.
    pub told: bool,
    /// Messages at its front were asked to be under way, and the answer is not there: nobody is told of work before it is.
    pub starting: bool,
    /// The time under which it stands in the book's timers.
    pub timer_ms: Option<u64>,
    /// When it became empty.
    pub idle_since_ms: u64,
    pub incoming: Rate,
    pub outgoing: Rate,
}

impl Queue {
    pub fn new(id: HopId, key: HopKey, now_ms: u64) -> Queue {
        Queue {
            id,
            key,
            ready: Default::default(),
            deferred: List::default(),
            held: List::default(),
            in_hand: 0,
            legs: 0,
            bytes: 0,
            suspended: false,
            failures: 0,
            retry_at_ms: None,
            last_error: None,
            last_attempt_ms: None,
            told: false,
            starting: false,
            timer_ms: None,
            idle_since_ms: now_ms,
            incoming: Rate::default(),
            outgoing: Rate::default(),
        }
    }

    /// The list of a priority.
    pub fn ready_mut(&mut self, priority: Priority) -> &mut List {
        &mut self.ready[priority as usize]
    }

    pub fn ready_len(&self) -> u32 {
        self.ready.iter().map(List::len).sum()
    }

    /// Work may be taken out, if there is some.
    pub fn is_open(&self) -> bool {
        !self.suspended && self.retry_at_ms.is_none() && !self.key.is_unreachable()
    }

    /// Notes a failure of the hop. Several connections that fail in the same attempt are one step of the ladder.
    pub fn failed(&mut self, ladder: &Ladder, error: &str, now_ms: u64) {
        self.last_error = Some(error.into());
        self.last_attempt_ms = Some(now_ms);
        if self.retry_at_ms.is_none() {
            self.failures += 1;
            self.retry_at_ms = Some(now_ms + ladder.wait_ms(self.failures));
        }
    }

    /// Notes that the hop works: the ladder starts anew.
    pub fn worked(&mut self) {
        self.failures = 0;
        self.retry_at_ms = None;
        self.last_error = None;
    }
}

/// Events per second over the last minute, in six buckets.
#[derive(Clone, Copy, Default)]
pub struct Rate {
    buckets: [u32; 6],
    at: u64,
}

impl Rate {
    /// Counts one.
    pub fn count(&mut self, now_ms: u64) {
        self.turn(now_ms);
        self.buckets[(self.at % 6) as usize] += 1;
    }

    /// Events per second.
    pub fn per_s(mut self, now_ms: u64) -> f32 {
        self.turn(now_ms);
        self.buckets.iter().sum::<u32>() as f32 / 60.0
    }

    fn turn(&mut self, now_ms: u64) {
        let at = now_ms / 10_000;
        for bucket in self.at + 1..=at.min(self.at + 6) {
            self.buckets[(bucket % 6) as usize] = 0;
        }
        if at > self.at + 6 {
            self.buckets = [0; 6];
        }
        self.at = self.at.max(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_forgets_after_a_minute() {
        let mut rate = Rate::default();
        (0..120).for_each(|_| rate.count(1_000_000));
        assert_eq!(rate.per_s(1_000_000), 2.0);
        assert_eq!(rate.per_s(1_045_000), 2.0);
        assert_eq!(rate.per_s(1_070_000), 0.0);
        assert_eq!(rate.per_s(9_000_000), 0.0);
    }

    #[test]
    fn one_attempt_is_one_step() {
        let ladder = Ladder::default();
        let key = HopKey::Lmtp { target: "x".into() };
        let mut queue = Queue::new(HopId(0), key, 0);
        queue.failed(&ladder, "refused", 1000);
        queue.failed(&ladder, "refused", 1500);
        assert_eq!((queue.failures, queue.retry_at_ms), (1, Some(61_000)));
        queue.worked();
        assert!(queue.is_open() && queue.failures == 0);
    }
}
