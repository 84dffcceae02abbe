//! Owns what the holder of a copy does when the owner is gone, has named it, or when etcd already calls it the owner. Knows no
//! I/O. Always holds: the copy is closed to the old owner before the transaction is sent, and opened to it again only when that
//! transaction can no longer come true.

use super::seat::{Seat, State, Step, What};
use super::{Effect, Event, HolderChange, Transaction};
use crate::record::{End, Taken, next_term};

/// Where a copy-holder stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Taking {
    /// When our turn comes, if the owner is still gone then.
    turn_ms: Option<u64>,
    /// The copy is closed, or being closed.
    closed: Closed,
    /// Number of the closing, so that an answer to an earlier one is not taken for one to this. Four are enough: answers come in
    /// the order of the closings.
    turn: u32,
    /// The copy turned out to be of no use.
    useless: bool,
    /// Told that the owner is gone and we cannot help.
    told: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Closed {
    #[default]
    No,
    Closing,
    At {
        end: Taken,
        wall_ms: u64,
    },
}

/// Why a node claims a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// Its owner's lease is gone, and our copy counts.
    OwnerGone,
    /// Its owner has named us.
    Named,
    /// It is ours already.
    Mine,
}

impl Taking {
    /// When our turn comes, if it is waited for.
    pub fn turn_ms(&self) -> Option<u64> {
        self.turn_ms
    }
}

impl Seat {
    /// Why we should own it, by what is known now.
    fn why(&self) -> Option<Why> {
        let (Some(Some((_, record))), Some(seen)) = (self.known(), &self.seen) else { return None };
        if record.id != self.local.id || record.drained {
            None
        } else if record.owner == self.me {
            Some(Why::Mine)
        } else if !record.is_level(&self.me) {
            None
        } else if record.successor.as_ref().is_some_and(|successor| successor.member == self.me) {
            Some(Why::Named)
        } else {
            seen.holder.is_none().then_some(Why::OwnerGone)
        }
    }

    pub(super) fn judge_copy(&mut self, step: &mut Step) {
        let (why, asking, may_ask) = (self.why(), self.is_asking(), self.may_ask());
        let Some(Some((_, record))) = self.seen.as_ref().map(|seen| seen.record.as_ref()) else { return };
        let holder_gone = self.seen.as_ref().is_some_and(|seen| seen.holder.is_none());
        let State::Copy(taking) = &mut self.state else { return };
        if record.drained && record.id == self.local.id && !asking {
            self.state = State::Over;
            step.effects.push(Effect::Delete);
            return;
        }
        // Without a lease nothing can be asked, and a closed copy only keeps the owner from its receipts.
        let can = !taking.useless && (self.lease.is_some() || asking);
        // Another time the copy may be sound again.
        taking.useless &= why.is_some();
        let Some(why) = why.filter(|_| can) else {
            taking.turn_ms = None;
            if holder_gone && !taking.told && self.lease.is_some() {
                step.say(Event::NotLevel { owner: record.owner.clone() });
            }
            taking.told = holder_gone && self.lease.is_some();
            if taking.closed != Closed::No && !asking {
                taking.closed = Closed::No;
                step.effects.push(Effect::Thaw);
            }
            return;
        };
        match taking.closed {
            Closed::No => {
                let turn_ms = match (taking.turn_ms, why) {
                    (Some(turn_ms), _) => turn_ms,
                    (None, Why::OwnerGone) => {
                        step.say(Event::OwnerGone { owner: record.owner.clone() });
                        step.now_ms + self.timing.stagger_ms * u64::from(self.rank)
                    }
                    (None, _) => step.now_ms,
                };
                taking.turn_ms = Some(turn_ms);
                if step.now_ms >= turn_ms {
                    taking.turn_ms = None;
                    taking.closed = Closed::Closing;
                    taking.turn = (taking.turn + 1) % 4;
                    step.effects.push(Effect::Freeze { turn: taking.turn });
                }
            }
            Closed::Closing => {}
            Closed::At { end, wall_ms } if may_ask => self.take(step, why, end, wall_ms),
            Closed::At { .. } => {}
        }
    }

    pub(super) fn frozen(&mut self, turn: u32, end: Taken, wall_ms: u64) {
        if let State::Copy(taking) = &mut self.state
            && taking.closed == Closed::Closing
            && taking.turn == turn
        {
            taking.closed = Closed::At { end, wall_ms };
            self.local.epoch = self.local.epoch.max(end.epoch);
        }
    }

    pub(super) fn no_copy(&mut self, step: &mut Step) {
        if let State::Copy(taking) = &mut self.state {
            (taking.useless, taking.closed) = (true, Closed::No);
            step.say(Event::NoCopy);
        }
    }

    /// The copy is closed at `end`: ask for the journal.
    fn take(&mut self, step: &mut Step, why: Why, end: Taken, wall_ms: u64) {
        let (Some(lease), Some(Some((at, record)))) = (self.lease, self.known()) else { return };
        let (at, mut record) = (*at, record.clone());
        if let (Why::Named, Some(successor)) = (why, &record.successor)
            && successor.end != end
        {
            // Not yet everything has arrived: let the rest in, and look again.
            self.reopen(step);
            return;
        }
        let alone = std::mem::take(&mut record.alone);
        let ended = End { epoch: record.epoch, owner: record.owner.clone(), taken: end, alone, when_ms: wall_ms };
        match why {
            Why::OwnerGone | Why::Named => record.ended(ended),
            // An earlier try of ours came true, but this disk has never written under that epoch: what the old owner still
            // got acknowledged here since then is ours as well.
            Why::Mine => {
                if let Some(last) = record.ends.last_mut() {
                    last.taken = end;
                }
            }
        }
        record.owner = self.me.clone();
        record.epoch = next_term(record.epoch, self.local.epoch);
        record.successor = None;
        record.level.retain(|member| member.node != self.me.node);
        let holder_gone = why == Why::OwnerGone;
        let holder = HolderChange::Under(lease);
        let txn = Transaction { record_at: at, holder_gone, record: Some(record), holder };
        self.ask(step, What::Claim(why), txn);
    }

    fn reopen(&mut self, step: &mut Step) {
        let again_ms = step.now_ms + self.timing.retry_ms;
        if let State::Copy(taking) = &mut self.state {
            taking.closed = Closed::No;
            taking.turn_ms = Some(again_ms);
        }
        step.effects.push(Effect::Thaw);
    }
}
