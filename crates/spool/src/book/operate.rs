//! Owns what operators do to messages and queues.

use journal::SegmentNo;
use mail::MessageId;

use super::message::{LATE_EXPIRY, LegState, POISON, SUSPENDED};
use super::{Book, Effects};
use crate::hop::{HopId, HopKey};
use crate::record::State;
use crate::slab::NONE;
use crate::view::VerbError;

impl Book {
    /// Ends the waits of a message and of its hops.
    pub fn retry(&mut self, id: MessageId, now_ms: u64, effects: &mut Effects) -> Result<(), VerbError> {
        let at = self.find(id).ok_or(VerbError::NoMessage)?;
        let legs: Vec<(u32, u32, LegState)> = self.legs_of(at).map(|(n, leg)| (n, leg.hop, leg.state)).collect();
        for (leg, hop, state) in legs {
            if state == LegState::Deferred {
                self.unplace(leg);
                self.legs[leg].due_ms = 0;
                self.place(leg, super::End::Front, now_ms, effects);
            }
            self.queues[hop].retry_at_ms = None;
            self.queues[hop].told = false;
            self.announce(hop, effects);
        }
        Ok(())
    }

    /// Holds a message, from now on or once it is back.
    pub fn suspend(&mut self, id: MessageId, now_ms: u64, effects: &mut Effects) -> Result<State, VerbError> {
        let at = self.find(id).ok_or(VerbError::NoMessage)?;
        self.set_flags(at, SUSPENDED, 0, now_ms, effects);
        Ok(self.next_state(at))
    }

    /// Lets a held message go, and forgets its crashes.
    pub fn resume(&mut self, id: MessageId, now_ms: u64, effects: &mut Effects) -> Result<State, VerbError> {
        let at = self.find(id).ok_or(VerbError::NoMessage)?;
        self.messages[at].extra_mut().crashes = 0;
        self.set_flags(at, 0, SUSPENDED | POISON, now_ms, effects);
        Ok(self.next_state(at))
    }

    /// Sends what is open of a message elsewhere.
    pub fn redirect(
        &mut self,
        id: MessageId,
        to: &HopKey,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Result<State, VerbError> {
        let at = self.find(id).ok_or(VerbError::NoMessage)?;
        if !self.rehop(at, std::slice::from_ref(to), now_ms, effects) {
            return Err(VerbError::InHand);
        }
        self.messages[at].extra_mut().redirect = Some(to.clone());
        Ok(self.next_state(at))
    }

    /// Gives a message new hops, one per recipient (or one for all). `false` if some of it is in hand.
    pub fn rehop(&mut self, at: u32, hops: &[HopKey], now_ms: u64, effects: &mut Effects) -> bool {
        if self.legs_of(at).any(|(_, leg)| leg.state == LegState::InHand) {
            return false;
        }
        let same = (0..self.messages[at].recipients).all(|index| {
            let key = hops.get(usize::from(index)).or(hops.last());
            let Some(ordinal) = self.messages[at].leg_of(index) else { return true };
            self.legs_of(at)
                .find(|(_, leg)| leg.ordinal == ordinal)
                .is_some_and(|(_, leg)| Some(&self.queues[leg.hop].key) == key)
        });
        if same {
            return true;
        }
        loop {
            let leg = self.messages[at].first_leg;
            if leg == NONE {
                break;
            }
            self.unplace(leg);
            self.drop_leg(leg, now_ms);
        }
        self.assign(at, hops, now_ms, effects);
        true
    }

    /// An older copy of a message's mark may still be seen in a segment.
    pub fn add_copy(&mut self, id: MessageId, segment: SegmentNo) {
        if let Some(at) = self.find(id) {
            let copies = &mut self.messages[at].extra_mut().copies;
            if !copies.contains(&segment) {
                copies.push(segment);
            }
        }
    }

    /// Holds a queue.
    pub fn suspend_hop(&mut self, hop: HopId) -> Result<(), VerbError> {
        let hop = self.hop(hop).ok_or(VerbError::NoQueue)?;
        self.queues[hop].suspended = true;
        Ok(())
    }

    /// Lets a queue go on.
    pub fn resume_hop(&mut self, hop: HopId, effects: &mut Effects) -> Result<(), VerbError> {
        let hop = self.hop(hop).ok_or(VerbError::NoQueue)?;
        self.queues[hop].suspended = false;
        self.queues[hop].told = false;
        self.announce(hop, effects);
        Ok(())
    }

    /// Tries a queue now.
    pub fn retry_hop(&mut self, hop: HopId, now_ms: u64, effects: &mut Effects) -> Result<(), VerbError> {
        let hop = self.hop(hop).ok_or(VerbError::NoQueue)?;
        self.try_now(hop, now_ms, effects);
        Ok(())
    }

    /// Sets and clears flags of a message and moves its legs to where they belong then.
    pub(super) fn set_flags(&mut self, at: u32, set: u8, clear: u8, now_ms: u64, effects: &mut Effects) {
        let before = self.messages[at].flags;
        let after = (before | set) & !clear;
        self.messages[at].flags = after;
        self.count_held(before, after);
        let legs: Vec<u32> =
            self.legs_of(at).filter(|(_, leg)| leg.state != LegState::InHand).map(|(n, _)| n).collect();
        for leg in legs {
            self.unplace(leg);
            self.place(leg, super::End::Front, now_ms, effects);
        }
        if after & LATE_EXPIRY != 0 {
            // It is old enough to be given up, but an operator wants it tried: one attempt decides.
            self.messages[at].flags |= LATE_EXPIRY;
        }
    }
}
