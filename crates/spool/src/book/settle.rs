//! Owns what happens when something becomes of a message: recipients leave, legs wait, messages end.

use journal::Extent;
use mail::MessageId;

use super::message::{Extra, OUT_OF_AGES, POISON, SUSPENDED, UnderWay};
use super::{Book, Claim, Effects, End, bounded};
use crate::record::State;
use crate::slab::NONE;

/// What is left of a message whose last recipient is settled: records to bury and to release.
#[derive(Default)]
pub struct Finished {
    /// Its accept record.
    pub accept: Extent,
    /// Its first chunk, empty if there was none.
    pub body: Extent,
    /// Whatever else there was.
    pub extra: Option<Box<Extra>>,
}

/// What a settle changed.
pub enum Settled {
    /// Nothing that must be written.
    Nothing,
    /// Some recipients are left: this state must be written.
    Partly(State),
    /// The message is finished.
    Finished(Finished),
}

impl Book {
    /// Settles recipients of a leg in hand and puts the rest of it back: deferred if `deferred` says so, or to ready.
    pub fn settle(
        &mut self,
        leg: u32,
        finals: &[u16],
        deferred: Option<&str>,
        now_ms: u64,
        effects: &mut Effects,
    ) -> Settled {
        let (at, ordinal) = (self.legs[leg].message, self.legs[leg].ordinal);
        let mut done = 0;
        for index in finals {
            if self.messages[at].leg_of(*index) == Some(ordinal) {
                self.messages[at].set_settled(*index);
                done += 1;
            }
        }
        self.messages[at].open -= done;
        self.legs[leg].open -= done;
        self.legs[leg].attempts = self.legs[leg].attempts.saturating_add(1);
        if self.legs[leg].open == 0 {
            self.drop_leg(leg, now_ms);
        } else {
            if let Some(text) = deferred {
                self.legs[leg].answer = Some(Box::new(bounded(text).into()));
                self.legs[leg].due_ms = now_ms + self.settings.message_retry_interval_ms;
            }
            self.place(leg, End::Front, now_ms, effects);
        }
        if self.messages[at].open == 0 {
            return Settled::Finished(self.end(at));
        }
        self.returned(at);
        if done == 0 && !self.may_rest(at) {
            return Settled::Nothing;
        }
        Settled::Partly(self.next_state(at))
    }

    /// Ends a claimed message: all that was open is settled.
    pub fn conclude(&mut self, claim: &Claim, now_ms: u64) -> Finished {
        loop {
            let leg = self.messages[claim.at].first_leg;
            if leg == NONE {
                break;
            }
            self.drop_leg(leg, now_ms);
        }
        self.end(claim.at)
    }

    /// The state of a message as it is to be written now, with a new number.
    /// What waits is under way no more.
    pub fn next_state(&mut self, at: u32) -> State {
        if self.may_rest(at) {
            self.set_under_way(at, UnderWay::No);
        }
        let message = &mut self.messages[at];
        let extra = message.extra.get_or_insert_default();
        extra.state_seq += 1;
        let (seq, crashes, redirect) = (extra.state_seq, extra.crashes, extra.redirect.clone());
        State {
            seq,
            suspended: message.flags & SUSPENDED != 0,
            poison: message.flags & POISON != 0,
            delay_told: message.flags & super::message::DELAY_TOLD != 0,
            under_way: message.under_way != UnderWay::No,
            crashes,
            redirect,
            settled: message.settled(),
        }
    }

    /// A state record was written. Gives the record that is not needed any more: the one before, or this one.
    pub fn state_written(&mut self, id: MessageId, seq: u32, extent: Extent) -> Option<Extent> {
        let Some(at) = self.find(id) else { return Some(extent) };
        let extra = self.messages[at].extra_mut();
        // Commits may be seen out of order: what is older than what is known is not needed.
        if seq < extra.state_seq && extra.state.is_some_and(|known| known.position > extent.position) {
            return Some(extent);
        }
        extra.state.replace(extent)
    }

    /// Forgets a message without legs.
    fn end(&mut self, at: u32) -> Finished {
        self.drop_hot(at);
        self.leave_ages(at);
        self.set_under_way(at, UnderWay::No);
        let Some(message) = self.messages.remove(at) else { return Finished::default() };
        self.by_id.remove(message.id, at);
        self.totals.messages -= 1;
        self.totals.bytes -= message.size_bytes;
        self.totals.finished += 1;
        self.count_held(message.flags, 0);
        Finished { accept: message.accept(), body: message.chunk(0), extra: message.extra }
    }

    /// Takes a message out of the list of ages.
    pub(super) fn leave_ages(&mut self, at: u32) {
        if self.messages[at].flags & OUT_OF_AGES != 0 {
            return;
        }
        self.messages[at].flags |= OUT_OF_AGES;
        if self.messages[at].has_journey() {
            return self.leave_elders(at);
        }
        if self.unnoticed == at {
            self.unnoticed = crate::list::Linked::next(&self.messages[at]);
        }
        self.ages.unlink(&mut self.messages, at);
    }

    /// Keeps the totals of held messages when flags change.
    pub(super) fn count_held(&mut self, before: u8, after: u8) {
        let count = |total: &mut u64, bit: u8| match (before & bit != 0, after & bit != 0) {
            (false, true) => *total += 1,
            (true, false) => *total -= 1,
            _ => {}
        };
        count(&mut self.totals.suspended, SUSPENDED);
        count(&mut self.totals.poison, POISON);
    }
}
