//! Owns what becomes due: retries of hops and messages, expiry, delay notices, forgetting of empty queues.

use mail::MessageId;

use super::message::{DELAY_TOLD, LATE_EXPIRY, LATE_NOTICE, Leg, Message, UnderWay};
use super::{Book, Claim, Effects, End, bounded};
use crate::hop::HopId;
use crate::slab::NONE;

/// A message whose time has come, claimed.
pub enum Due {
    /// To be given up.
    Expire(Claim),
    /// Its sender is to be told that it is late.
    Notice(Claim),
}

impl Book {
    /// No connection to a hop could be made.
    pub fn hop_failed(&mut self, hop: HopId, error: &str, now_ms: u64) -> Option<u64> {
        let hop = self.hop(hop)?;
        let queue = &mut self.queues[hop];
        queue.failed(&self.settings.ladder, bounded(error), now_ms);
        queue.told = false;
        let retry_at_ms = queue.retry_at_ms?;
        self.arm(hop, retry_at_ms);
        Some(retry_at_ms)
    }

    /// A connection to a hop worked.
    pub fn hop_worked(&mut self, hop: HopId, effects: &mut Effects) {
        if let Some(hop) = self.hop(hop) {
            self.queues[hop].worked();
            self.announce(hop, effects);
        }
    }

    /// When [`Book::due`] should be called next.
    pub fn next_due_ms(&self) -> Option<u64> {
        if !self.overdue.is_empty() {
            return Some(0);
        }
        let timer = self.timers.first().map(|(at, _)| *at);
        let accepted = |at: u32| self.messages.get(at).map(|m| m.accepted_ms());
        let notice = match self.settings.delay_notice_after_ms {
            0 => None,
            after => accepted(self.unnoticed).map(|ms| ms.saturating_add(after)),
        };
        let expiry = self.messages.get(self.ages.head()).map(|message| self.expires_ms(message));
        [timer, notice, expiry, self.elders_due_ms()].into_iter().flatten().min()
    }

    /// When a message is given up: so long after the organization took it first. What was there before this start, and what has come
    /// from another server, is tried here first.
    pub fn expires_ms(&self, message: &Message) -> u64 {
        let expires_ms = message.first_ms().saturating_add(self.settings.expire_after_ms);
        let accepted_ms = message.accepted_ms();
        let grace_ms = self.settings.expire_grace_ms;
        if accepted_ms < self.opened_ms {
            expires_ms.max(self.opened_ms.saturating_add(grace_ms))
        } else if message.has_journey() {
            expires_ms.max(accepted_ms.saturating_add(grace_ms.min(self.settings.expire_after_ms)))
        } else {
            expires_ms
        }
    }

    /// Does what is due at `now_ms`; gives up to `max` claimed messages that the caller has to deal with.
    pub fn due(&mut self, now_ms: u64, max: usize, effects: &mut Effects) -> Vec<Due> {
        self.queues_due(now_ms, effects);
        let mut due = Vec::new();
        for _ in 0..max.min(self.overdue.len()) {
            let Some((at, id)) = self.overdue.pop() else { break };
            if self.messages.get(at).is_some_and(|m| m.id == id) {
                due.extend(self.overdue_one(at));
            }
        }
        while due.len() < max && self.settings.delay_notice_after_ms > 0 && self.unnoticed != NONE {
            let at = self.unnoticed;
            if self.messages[at].accepted_ms().saturating_add(self.settings.delay_notice_after_ms) > now_ms {
                break;
            }
            self.unnoticed = crate::list::Linked::next(&self.messages[at]);
            self.messages[at].flags |= LATE_NOTICE;
            due.extend(self.overdue_one(at));
        }
        while due.len() < max {
            let at = self.ages.head();
            let Some(message) = self.messages.get(at) else { break };
            if self.expires_ms(message) > now_ms {
                break;
            }
            self.leave_ages(at);
            self.messages[at].flags |= LATE_EXPIRY;
            due.extend(self.overdue_one(at));
        }
        self.elders_due(now_ms, max, &mut due);
        due
    }

    /// Claims a message whose time has come, unless it is in hand or held: then it keeps its flag.
    pub(super) fn overdue_one(&mut self, at: u32) -> Option<Due> {
        let flags = self.messages[at].flags;
        if self.messages[at].is_held() {
            return None;
        }
        if flags & LATE_EXPIRY != 0 {
            return self.claim(at).map(Due::Expire);
        }
        if flags & DELAY_TOLD != 0 || self.messages[at].is_from_null() {
            self.messages[at].flags &= !LATE_NOTICE;
            return None;
        }
        let claim = self.claim(at)?;
        self.messages[at].flags = flags & !LATE_NOTICE | DELAY_TOLD;
        Some(Due::Notice(claim))
    }

    fn queues_due(&mut self, now_ms: u64, effects: &mut Effects) {
        for _ in 0..QUEUES_A_TICK {
            let Some((at_ms, hop)) = self.timers.first().copied().filter(|(at, _)| *at <= now_ms) else { break };
            self.timers.remove(&(at_ms, hop));
            self.queues[hop].timer_ms = None;
            self.queue_due(hop, now_ms, effects);
        }
    }

    fn queue_due(&mut self, hop: u32, now_ms: u64, effects: &mut Effects) {
        let idle_ms = self.settings.queue_idle_ms;
        let queue = &mut self.queues[hop];
        if queue.retry_at_ms.is_some_and(|at| at <= now_ms) {
            queue.retry_at_ms = None;
        }
        for _ in 0..LEGS_A_TICK {
            let head = self.queues[hop].deferred.head();
            if self.legs.get(head).is_none_or(|leg| leg.due_ms > now_ms) {
                break;
            }
            self.unplace(head);
            self.place(head, End::Back, now_ms, effects);
        }
        self.announce(hop, effects);
        let queue = &self.queues[hop];
        let deferred = self.legs.get(queue.deferred.head()).map(|leg| leg.due_ms);
        let empty = queue.legs == 0 && !queue.suspended && queue.retry_at_ms.is_none();
        if empty && queue.idle_since_ms + idle_ms <= now_ms {
            let key = queue.key.clone();
            self.by_key.remove(&key);
            self.queues.remove(hop);
            return;
        }
        let idle = empty.then_some(queue.idle_since_ms + idle_ms);
        if let Some(next) = [deferred, queue.retry_at_ms, idle].into_iter().flatten().min() {
            self.arm(hop, next);
        }
    }

    /// Ends the waits of a queue and of its messages.
    pub(super) fn try_now(&mut self, hop: u32, now_ms: u64, effects: &mut Effects) {
        self.queues[hop].retry_at_ms = None;
        while let Some(leg) = self.first_deferred(hop) {
            self.unplace(leg);
            self.legs[leg].due_ms = 0;
            self.place(leg, End::Back, now_ms, effects);
        }
        self.queues[hop].told = false;
        self.announce(hop, effects);
    }

    fn first_deferred(&self, hop: u32) -> Option<u32> {
        Some(self.queues[hop].deferred.head()).filter(|leg| *leg != NONE)
    }

    /// Notes a crash with a message in hand. Gives its state to be written, and whether it is set aside now.
    pub fn crashed(
        &mut self,
        id: MessageId,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Option<(crate::record::State, bool)> {
        let at = self.find(id)?;
        // Nobody knows how far its delivery came.
        self.messages[at].repeat |= self.messages[at].under_way == UnderWay::Yes;
        let extra = self.messages[at].extra_mut();
        extra.crashes = extra.crashes.saturating_add(1);
        let aside = u32::from(extra.crashes) >= self.settings.poison_after;
        if aside {
            self.set_flags(at, super::message::POISON, 0, now_ms, effects);
        }
        Some((self.next_state(at), aside))
    }

    /// Legs of a message.
    pub(super) fn legs_of(&self, at: u32) -> impl Iterator<Item = (u32, &Leg)> + '_ {
        let mut leg = self.messages[at].first_leg;
        std::iter::from_fn(move || {
            let here = leg;
            let found = self.legs.get(here)?;
            leg = found.sibling;
            Some((here, found))
        })
    }
}

/// Bounds of one call: the lock is not held for longer.
const QUEUES_A_TICK: usize = 1000;
const LEGS_A_TICK: usize = 10_000;
