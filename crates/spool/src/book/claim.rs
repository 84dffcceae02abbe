//! Owns taking work out and putting it back: for deliverers by the leg, for the spool itself by the message.

use std::sync::Arc;

use journal::Extent;
use mail::{Envelope, Journey, MessageId};

use super::message::{LATE_EXPIRY, LATE_NOTICE, LegState, UnderWay};
use super::{Book, Effects, End};
use crate::hop::HopId;
use crate::slab::NONE;
use crate::words::Priority;

/// A leg in a deliverer's hand.
pub struct Taken {
    /// Its number, valid until it is put back or settled.
    pub leg: u32,
    /// Attempts before this one.
    pub attempts: u32,
    /// The recipients of it that are not settled.
    pub indexes: Indexes,
    /// It may have been delivered before.
    pub repeat: bool,
    /// The message.
    pub subject: Subject,
}

/// What legs are taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be sent: only what is under way.
    Sending,
    /// To be failed or deferred without having been sent.
    Failing,
}

/// A whole message in the spool's own hand: nobody else can touch it.
pub struct Claim {
    /// Its place, valid until it is put back or concluded.
    pub at: u32,
    /// The message.
    pub subject: Subject,
    /// Its recipients that are not settled.
    pub indexes: Indexes,
}

/// What must be known of a message to work on it without the book.
pub struct Subject {
    /// Its name.
    pub id: MessageId,
    /// Content bytes.
    pub size_bytes: u64,
    /// Where it was before it came here.
    pub journey: Journey,
    /// The accept record.
    pub accept: Extent,
    /// Its envelope.
    pub envelope: Place<Arc<Envelope>, Box<[u8]>>,
    /// Its content.
    pub body: Place<Arc<Vec<u8>>, Box<[Extent]>>,
}

impl Subject {
    /// The same once more, sharing what is shared.
    pub fn share(&self) -> Subject {
        Subject {
            id: self.id,
            size_bytes: self.size_bytes,
            journey: self.journey.clone(),
            accept: self.accept,
            envelope: self.envelope.clone(),
            body: self.body.clone(),
        }
    }
}

/// In memory, or where it can be got from.
#[derive(Clone)]
pub enum Place<M, E> {
    /// Here it is.
    Memory(M),
    /// From this.
    Elsewhere(E),
}

/// Indexes of recipients: almost always one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Indexes {
    /// One.
    One(u16),
    /// None or several.
    Many(Box<[u16]>),
}

impl Indexes {
    /// They as a slice.
    pub fn as_slice(&self) -> &[u16] {
        match self {
            Indexes::One(one) => std::slice::from_ref(one),
            Indexes::Many(many) => many,
        }
    }
}

impl Book {
    /// Takes up to `max` ready legs of a hop into `out`, higher priority first, oldest first; for sending, up to the first one whose
    /// message is not under way.
    pub fn take(&mut self, hop: HopId, max: usize, purpose: Purpose, out: &mut Vec<Taken>) {
        let Some(hop) = self.hop(hop) else { return };
        let queue = &mut self.queues[hop];
        if !queue.is_open() {
            queue.told = false;
            return;
        }
        'all: for priority in [Priority::High, Priority::Normal, Priority::Low] {
            while out.len() < max {
                let queue = &mut self.queues[hop];
                let Some(leg) = self.legs.get(queue.ready_mut(priority).head()) else { break };
                if purpose == Purpose::Sending && self.messages[leg.message].under_way != UnderWay::Yes {
                    queue.told = false;
                    break 'all;
                }
                let Some(leg) = queue.ready_mut(priority).pop_front(&mut self.legs) else { break };
                queue.in_hand += 1;
                self.legs[leg].state = LegState::InHand;
                let taken = self.taken(leg);
                out.push(taken);
            }
        }
        let queue = &mut self.queues[hop];
        if queue.ready_len() == 0 {
            queue.told = false;
        }
    }

    /// Puts back a leg that was taken, in front of the others: nothing became of it.
    pub fn put_back(&mut self, leg: u32, now_ms: u64, effects: &mut Effects) {
        let (message, hop) = (self.legs[leg].message, self.legs[leg].hop);
        // Whoever was told may have gone with this work: tell again.
        self.queues[hop].told = false;
        self.place(leg, End::Front, now_ms, effects);
        self.returned(message);
    }

    /// Takes all of a message that is not settled. `None` if some of it is in hand.
    pub fn claim(&mut self, at: u32) -> Option<Claim> {
        let first = self.messages.get(at)?.first_leg;
        let mut leg = first;
        while leg != NONE {
            if self.legs[leg].state == LegState::InHand {
                return None;
            }
            leg = self.legs[leg].sibling;
        }
        leg = first;
        while leg != NONE {
            self.unplace(leg);
            leg = self.legs[leg].sibling;
        }
        let message = &self.messages[at];
        let indexes = (0..message.recipients).filter(|i| message.leg_of(*i).is_some()).collect();
        Some(Claim { at, subject: self.subject(at), indexes: Indexes::Many(indexes) })
    }

    /// Puts a claimed message back where it was.
    pub fn unclaim(&mut self, claim: &Claim, now_ms: u64, effects: &mut Effects) {
        let mut leg = self.messages[claim.at].first_leg;
        while leg != NONE {
            self.place(leg, End::Front, now_ms, effects);
            leg = self.legs[leg].sibling;
        }
    }

    /// Where a message can be found.
    pub fn subject(&self, at: u32) -> Subject {
        let message = &self.messages[at];
        let (envelope, body) = match &message.hot {
            Some(hot) => (Place::Memory(hot.envelope.clone()), Place::Memory(hot.body.clone())),
            None => (Place::Elsewhere(message.envelope().into()), Place::Elsewhere(message.chunks().collect())),
        };
        let (size_bytes, journey) = (message.size_bytes, message.journey());
        Subject { id: message.id, size_bytes, journey, accept: message.accept(), envelope, body }
    }

    /// Something of a message came back from somebody's hand: what became due meanwhile is due now.
    pub(super) fn returned(&mut self, at: u32) {
        let message = &self.messages[at];
        if message.flags & (LATE_EXPIRY | LATE_NOTICE) != 0 && !message.is_held() {
            self.overdue.push((at, message.id));
        }
    }

    fn taken(&self, leg: u32) -> Taken {
        let leg_of = &self.legs[leg];
        let message = &self.messages[leg_of.message];
        let indexes = match message.recipients {
            1 => Indexes::One(0),
            all => Indexes::Many((0..all).filter(|i| message.leg_of(*i) == Some(leg_of.ordinal)).collect()),
        };
        let (attempts, repeat) = (leg_of.attempts.into(), message.repeat);
        Taken { leg, attempts, indexes, repeat, subject: self.subject(leg_of.message) }
    }
}
