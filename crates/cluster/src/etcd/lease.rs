//! Owns the lease's clock: when to keep it alive, and from when on it must be taken for lost. No I/O.
//! Always holds: [`LeaseClock::held`] never names a lease that etcd may have ended: it counts from the moment the last answered
//! request was *sent*, on our monotonic clock, and so ends before etcd's own count does.

use super::calls::Granted;

/// The lease of this process, step by step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseClock {
    state: State,
    /// When the next request may be sent.
    next_ms: u64,
    /// Keep-alives in a time to live.
    per_ttl: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    None,
    Held(Held),
}

/// A lease that surely still counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub id: i64,
    /// Until when it surely counts, in milliseconds of our monotonic clock.
    pub until_ms: u64,
    /// Its time to live.
    pub ttl_ms: u64,
}

/// What to send, or how long to do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask for a lease.
    Grant,
    /// Keep this one alive; the answer counts only if it comes before `until_ms`.
    KeepAlive {
        /// The lease.
        id: i64,
        /// When it is lost.
        until_ms: u64,
    },
    /// Nothing before then.
    Wait {
        /// Monotonic milliseconds.
        until_ms: u64,
    },
}

/// What a step means for those who rely on the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A new lease.
    Gained(Held),
    /// The same one, longer.
    Kept(Held),
    /// Lost from this moment on; keys under it are gone or will be.
    Lost {
        /// The lease.
        id: i64,
        /// From when it may be gone, in monotonic milliseconds: never later than now.
        since_ms: u64,
    },
}

impl Default for LeaseClock {
    fn default() -> LeaseClock {
        LeaseClock::with(PER_TTL)
    }
}

impl LeaseClock {
    /// One that sends so many keep-alives in a time to live: what is left of the lease stays above all but one part of it.
    pub fn with(per_ttl: u64) -> LeaseClock {
        LeaseClock { state: State::None, next_ms: 0, per_ttl: per_ttl.max(2) }
    }

    /// One that another process of this machine has kept until now: kept alive at once.
    pub fn resume(held: Held, per_ttl: u64) -> LeaseClock {
        LeaseClock { state: State::Held(held), ..LeaseClock::with(per_ttl) }
    }

    /// What to do now. Call [`LeaseClock::expired`] first.
    pub fn due(&self, now_ms: u64) -> Due {
        match self.state {
            State::None if now_ms >= self.next_ms => Due::Grant,
            State::Held(held) if now_ms >= self.next_ms => Due::KeepAlive { id: held.id, until_ms: held.until_ms },
            State::None => Due::Wait { until_ms: self.next_ms },
            State::Held(held) => Due::Wait { until_ms: self.next_ms.min(held.until_ms) },
        }
    }

    /// The lease that surely counts at `now_ms`.
    pub fn held(&self, now_ms: u64) -> Option<Held> {
        match self.state {
            State::Held(held) if now_ms < held.until_ms => Some(held),
            _ => None,
        }
    }

    /// Time has passed: tells a loss, once.
    pub fn expired(&mut self, now_ms: u64) -> Option<Turn> {
        match self.state {
            State::Held(held) if now_ms >= held.until_ms => {
                self.state = State::None;
                self.next_ms = now_ms;
                Some(Turn::Lost { id: held.id, since_ms: held.until_ms })
            }
            _ => None,
        }
    }

    /// The grant that was sent at `sent_ms` was answered. `None` if the answer is too old to be of use.
    pub fn granted(&mut self, now_ms: u64, sent_ms: u64, lease: Granted) -> Option<Turn> {
        let held = Held { id: lease.id, until_ms: sent_ms + lease.ttl_ms, ttl_ms: lease.ttl_ms };
        if now_ms >= held.until_ms {
            return None;
        }
        self.state = State::Held(held);
        self.next_ms = sent_ms + lease.ttl_ms / self.per_ttl;
        Some(Turn::Gained(held))
    }

    /// The keep-alive that was sent at `sent_ms` was answered.
    pub fn kept(&mut self, now_ms: u64, sent_ms: u64, ttl_ms: u64) -> Option<Turn> {
        // Too late: we have told the loss, or must tell it now. Reviving it would change what others were told.
        if let Some(lost) = self.expired(now_ms) {
            return Some(lost);
        }
        let State::Held(held) = &mut self.state else { return None };
        held.until_ms = held.until_ms.max(sent_ms + ttl_ms);
        self.next_ms = sent_ms + ttl_ms / self.per_ttl;
        Some(Turn::Kept(*held))
    }

    /// etcd says that it is gone.
    pub fn gone(&mut self, now_ms: u64) -> Option<Turn> {
        let State::Held(held) = self.state else { return None };
        self.state = State::None;
        self.next_ms = now_ms;
        Some(Turn::Lost { id: held.id, since_ms: held.until_ms.min(now_ms) })
    }

    /// No answer, or a bad one.
    pub fn failed(&mut self, now_ms: u64) -> Option<Turn> {
        self.next_ms = now_ms + RETRY_MS;
        self.expired(now_ms)
    }
}

/// Keep-alives in a time to live, for those who need no more than the lease.
pub(super) const PER_TTL: u64 = 3;

/// Wait after a failure. A cut that ends is noticed this soon.
const RETRY_MS: u64 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Granted = Granted { id: 7, ttl_ms: 5_000 };

    fn held() -> LeaseClock {
        let mut clock = LeaseClock::default();
        assert_eq!(clock.due(1_000), Due::Grant);
        // Sent at 1000, answered at 1400: it counts from 1000.
        let held = Held { id: 7, until_ms: 6_000, ttl_ms: 5_000 };
        assert_eq!(clock.granted(1_400, 1_000, LEASE), Some(Turn::Gained(held)));
        clock
    }

    #[test]
    fn it_counts_from_the_sending_of_what_was_answered() {
        let mut clock = held();
        assert_eq!(clock.due(1_400), Due::Wait { until_ms: 2_666 });
        assert_eq!(clock.due(2_666), Due::KeepAlive { id: 7, until_ms: 6_000 });
        let Some(Turn::Kept(kept)) = clock.kept(3_900, 2_700, 5_000) else { panic!("kept") };
        assert_eq!(kept.until_ms, 7_700);
    }

    #[test]
    fn without_answers_it_is_lost_in_time_and_told_once() {
        let mut clock = held();
        assert_eq!(clock.failed(4_000), None);
        assert_eq!(clock.due(4_000), Due::Wait { until_ms: 4_200 });
        assert!(clock.held(5_999).is_some() && clock.held(6_000).is_none());
        assert_eq!(clock.failed(6_100), Some(Turn::Lost { id: 7, since_ms: 6_000 }));
        assert_eq!(clock.expired(6_100), None);
        assert_eq!(clock.due(6_100), Due::Grant, "a new one, at once");
    }

    #[test]
    fn a_late_answer_does_not_bring_it_back() {
        let mut clock = held();
        // The machine was stopped; the answer to what was sent at 2700 is read at 9000.
        assert_eq!(clock.kept(9_000, 2_700, 5_000), Some(Turn::Lost { id: 7, since_ms: 6_000 }));
        assert_eq!(clock.held(9_000), None);
        assert_eq!(LeaseClock::default().granted(6_000, 1_000, LEASE), None, "a grant that took as long as it lives");
    }

    #[test]
    fn one_that_was_taken_over_counts_as_it_did_and_is_kept_alive_at_once() {
        let was = Held { id: 7, until_ms: 4_000, ttl_ms: 5_000 };
        let mut clock = LeaseClock::resume(was, 10);
        assert_eq!((clock.held(100), clock.due(100)), (Some(was), Due::KeepAlive { id: 7, until_ms: 4_000 }));
        assert_eq!(clock.kept(200, 100, 5_000), Some(Turn::Kept(Held { until_ms: 5_100, ..was })));
        assert_eq!(clock.due(200), Due::Wait { until_ms: 600 });
        // Nobody answers: it ends when it would have ended there.
        let mut clock = LeaseClock::resume(was, 10);
        assert_eq!(clock.expired(4_000), Some(Turn::Lost { id: 7, since_ms: 4_000 }));
    }

    #[test]
    fn gone_is_lost_now() {
        assert_eq!(held().gone(2_000), Some(Turn::Lost { id: 7, since_ms: 2_000 }));
    }
}
