//! Owns the ages of messages that are older than their time here: those that another server of the organization took first. All others
//! stand in the book's list of ages, which is in order by itself.

use std::collections::BTreeSet;

use super::Book;
use super::message::{LATE_EXPIRY, LATE_NOTICE, Message};
use super::time::Due;

/// Messages by the time at which something is to be done about their age.
#[derive(Default)]
pub struct Elders {
    /// By the time at which they are given up.
    expiries: BTreeSet<(u64, u32)>,
    /// By the time at which their sender is to be told, until it was thought about.
    notices: BTreeSet<(u64, u32)>,
}

impl Book {
    /// Takes a message into the ages.
    pub(super) fn enter_ages(&mut self, at: u32) {
        if !self.messages[at].has_journey() {
            self.ages.push_back(&mut self.messages, at);
            return;
        }
        let message = &self.messages[at];
        let expires_ms = self.expires_ms(message);
        if let Some(notice_ms) = self.elder_notice_ms(message) {
            self.elders.notices.insert((notice_ms, at));
        }
        self.elders.expiries.insert((expires_ms, at));
    }

    /// Takes a message with a journey out of the ages.
    pub(super) fn leave_elders(&mut self, at: u32) {
        let message = &self.messages[at];
        let (expires_ms, notice_ms) = (self.expires_ms(message), self.elder_notice_ms(message));
        self.elders.expiries.remove(&(expires_ms, at));
        if let Some(notice_ms) = notice_ms {
            self.elders.notices.remove(&(notice_ms, at));
        }
    }

    /// When something is due next about them.
    pub(super) fn elders_due_ms(&self) -> Option<u64> {
        let first = |of: &BTreeSet<(u64, u32)>| of.first().map(|(at_ms, _)| *at_ms);
        [first(&self.elders.expiries), first(&self.elders.notices)].into_iter().flatten().min()
    }

    /// Adds those whose time has come, until `due` has `max`.
    pub(super) fn elders_due(&mut self, now_ms: u64, max: usize, due: &mut Vec<Due>) {
        while due.len() < max {
            let Some((at_ms, at)) = self.elders.notices.first().copied().filter(|(ms, _)| *ms <= now_ms) else { break };
            self.elders.notices.remove(&(at_ms, at));
            self.messages[at].flags |= LATE_NOTICE;
            due.extend(self.overdue_one(at));
        }
        while due.len() < max {
            let Some((_, at)) = self.elders.expiries.first().copied().filter(|(ms, _)| *ms <= now_ms) else { break };
            self.leave_ages(at);
            self.messages[at].flags |= LATE_EXPIRY;
            due.extend(self.overdue_one(at));
        }
    }

    /// When its sender is to be told that it is late. A message that came late was late elsewhere: the server before has told it.
    fn elder_notice_ms(&self, message: &Message) -> Option<u64> {
        let after_ms = Some(self.settings.delay_notice_after_ms).filter(|after_ms| *after_ms > 0)?;
        let notice_ms = message.first_ms().saturating_add(after_ms);
        (message.accepted_ms() < notice_ms).then_some(notice_ms)
    }
}
