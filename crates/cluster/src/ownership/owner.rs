//! Owns what an owner does: keep its sign of life, change the level set, hand over, end the journal. Knows no I/O.
//! Always holds: [`Effect::Guard`] demands the union of what etcd says and what was asked of it; it shrinks only after etcd
//! has answered, and a transaction that adds a member is sent only after the larger demand is in force. Nobody is demanded only
//! while etcd knows that the owner goes on alone, and under the owner's lease: so nobody takes the journal meanwhile.

use super::seat::{Seat, State, Step, What};
use super::{Effect, Event, HolderChange, Input, Transaction};
use crate::etcd::Revision;
use crate::record::{LEVEL_MAX, Member, Record, Successor, Taken, term};

/// An owner's state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owning {
    pub epoch: u32,
    /// The record as etcd has confirmed it, and its revision; `None`: started without etcd.
    pub base: Option<(Revision, Record)>,
    /// The level set that the copies would allow.
    wanted: Option<Vec<Member>>,
    /// The rules allow to go on without any copy.
    may_go_alone: bool,
    /// The demand that was made last, and whether it is in force.
    guard: Vec<Member>,
    counted: u32,
    generation: u64,
    guarded: bool,
    successor: Option<Successor>,
    drained: bool,
    /// Whose place was kept because it is the last one; told once.
    last_told: Option<Member>,
}

impl Owning {
    /// An owner by transaction. `before`: what it was until now, if it raised its epoch while it ran.
    pub fn confirmed(before: Option<Owning>, at: Revision, record: Record, step: &mut Step) -> Owning {
        let mut owning = before.unwrap_or_else(|| Owning::unconfirmed(record.epoch));
        owning.epoch = record.epoch;
        owning.base = Some((at, record));
        owning.demand_all(step);
        owning
    }

    /// An owner by what its disk says.
    pub fn unconfirmed(epoch: u32) -> Owning {
        Owning {
            epoch,
            base: None,
            wanted: None,
            may_go_alone: false,
            guard: Vec::new(),
            counted: 0,
            generation: 0,
            guarded: true,
            successor: None,
            drained: false,
            last_told: None,
        }
    }

    /// Whether the journal was to be handed over to this member.
    pub fn named(&self, member: &Member) -> bool {
        self.successor.as_ref().is_some_and(|successor| successor.member == *member)
    }

    /// Makes a demand unless it is the one that stands.
    fn demand(&mut self, step: &mut Step, require: Vec<Member>, counted: u32) {
        if self.generation > 0 && same_set(&self.guard, &require) && self.counted == counted {
            return;
        }
        // A demand that asks for less needs no answer: what is in force already asks for more.
        self.guarded = self.guarded && require.iter().all(|member| self.guard.contains(member));
        self.generation += 1;
        (self.guard, self.counted) = (require.clone(), counted);
        step.effects.push(Effect::Guard { generation: self.generation, require, counted });
    }

    /// Demands all whom etcd counts.
    fn demand_all(&mut self, step: &mut Step) {
        let Some((_, record)) = &self.base else { return };
        let (level, counted) = (record.level.clone(), record.level.len() as u32);
        self.demand(step, level, counted);
    }

    /// Demands what etcd's record asks for: all whom it counts, or nobody while the owner goes on alone. `leased`: nobody can take it.
    fn demand_by_record(&mut self, step: &mut Step, leased: bool) {
        match self.base.as_ref().is_some_and(|(_, record)| record.alone) && self.wants_alone() && leased {
            true => self.demand(step, Vec::new(), 0),
            false => self.demand_all(step),
        }
    }

    fn wants_alone(&self) -> bool {
        self.may_go_alone && self.wanted.as_ref().is_some_and(Vec::is_empty)
    }

    /// The record as it should be.
    fn wanted_record(&mut self, record: &Record, me: &Member, step: &mut Step) -> Record {
        let mut next = record.clone();
        next.successor = self.successor.clone();
        next.drained = self.drained;
        let Some(wanted) = &self.wanted else { return next };
        let mut level: Vec<Member> = wanted.iter().filter(|member| member.node != me.node).cloned().collect();
        level.truncate(LEVEL_MAX);
        match record.level.first() {
            // Taken out, it could not take over what only it has; left in, nothing is lost but protection of new mail.
            Some(last) if level.is_empty() => {
                if self.last_told.as_ref() != Some(last) {
                    step.say(Event::LastCopy { member: last.clone() });
                    self.last_told = Some(last.clone());
                }
                next.level = vec![last.clone()];
                next.alone = self.may_go_alone;
            }
            _ => {
                self.last_told = None;
                next.alone = false;
                // The order alone is not worth a transaction.
                if !same_set(&level, &record.level) {
                    next.level = level;
                }
            }
        }
        next
    }
}

fn same_set(a: &[Member], b: &[Member]) -> bool {
    a.len() == b.len() && a.iter().all(|member| b.contains(member))
}

impl Seat {
    pub(super) fn owner_input(&mut self, step: &mut Step, input: Input) {
        let State::Owning(owning) = &mut self.state else { return };
        match input {
            Input::Level(level) => owning.wanted = Some(level),
            Input::MayGoAlone(may) => owning.may_go_alone = may,
            Input::Guarded(generation) => owning.guarded |= generation == owning.generation,
            Input::HandOver { to, at } => {
                let end = Taken { at, epoch: owning.epoch };
                let level = owning.base.as_ref().map_or(&[][..], |(_, record)| &record.level);
                match level.iter().find(|member| member.node == to) {
                    Some(member) => owning.successor = Some(Successor { member: member.clone(), end }),
                    None => {
                        step.say(Event::CannotHandOver { to });
                        step.effects.push(Effect::Kept);
                    }
                }
            }
            Input::Keep => {
                let named = owning.base.as_ref().is_some_and(|(_, record)| record.successor.is_some());
                if owning.successor.take().is_some() && !named && !self.is_asking() {
                    // It had not been asked of etcd yet.
                    step.effects.push(Effect::Kept);
                }
            }
            Input::Drained => owning.drained = true,
            _ => {}
        }
    }

    /// Compares what etcd says with what we are, and asks for the next change.
    pub(super) fn judge_owner(&mut self, step: &mut Step) {
        let leased = self.is_leased();
        let State::Owning(owning) = &mut self.state else { return };
        if owning.guard.is_empty() && !(leased && owning.wants_alone()) {
            // At once, whatever etcd says or does not say.
            owning.demand_all(step);
        }
        let State::Owning(owning) = &self.state else { return };
        let Some(known) = self.known() else { return };
        match (known, &owning.base) {
            (Some((_, record)), _) if record.owner != self.me && term(record.epoch) >= term(owning.epoch) => {
                let record = record.clone();
                self.deposed(step, record);
            }
            (Some((at, _)), Some((base, _))) if at == base => {
                self.change(step);
            }
            // A change of ours whose answer is still on its way, or was lost.
            (Some((at, record)), Some((base, _)))
                if at > base && record.owner == self.me && record.epoch == owning.epoch =>
            {
                let (at, record) = (*at, record.clone());
                self.changed(step, at, record);
                self.change(step);
            }
            // Started without etcd, or etcd has forgotten something: a claim settles it.
            _ if self.may_ask() => self.claim_own(step),
            _ => {}
        }
    }

    /// Our sign of life stands under a lease that surely lasts: until then nobody takes the journal.
    fn is_leased(&self) -> bool {
        self.lease.is_some() && self.seen.as_ref().is_some_and(|seen| seen.holder == self.lease)
    }

    /// Asks for the next change of the record or of our sign of life, if there is one.
    fn change(&mut self, step: &mut Step) {
        if !self.may_ask() {
            return;
        }
        let leased = self.is_leased();
        let State::Owning(owning) = &mut self.state else { return };
        let Some((at, record)) = owning.base.clone() else { return };
        let next = owning.wanted_record(&record, &self.me, step);
        let adds = next.level.iter().any(|member| !record.level.contains(member));
        if adds || record.alone && !next.alone {
            let mut union = record.level.clone();
            union.extend(next.level.iter().filter(|member| !record.level.contains(member)).cloned());
            owning.demand(step, union, record.level.len() as u32);
            if !owning.guarded {
                return;
            }
        }
        let holder = match (self.lease, self.seen.as_ref().and_then(|seen| seen.holder)) {
            _ if next.drained => HolderChange::Drop,
            (Some(lease), under) if under != Some(lease) => HolderChange::Under(lease),
            _ => HolderChange::Leave,
        };
        if next == record && holder == HolderChange::Leave {
            // A demand that was made for a change nobody wants any more, or before our sign of life stood under this lease.
            return owning.demand_by_record(step, leased);
        }
        let txn = Transaction { record_at: at, holder_gone: false, record: Some(next), holder };
        self.ask(step, What::Change, txn);
    }

    /// etcd has confirmed a record of ours.
    pub(super) fn changed(&mut self, step: &mut Step, at: Revision, record: Record) {
        let leased = self.is_leased();
        let State::Owning(owning) = &mut self.state else { return };
        let before = owning.base.replace((at, record.clone()));
        if record.drained {
            self.state = State::Over;
            step.effects.push(Effect::Delete);
            return;
        }
        let named = |record: &Record| record.successor.is_some();
        if before.as_ref().is_some_and(|(_, before)| named(before)) && !named(&record) {
            step.effects.push(Effect::Kept);
        }
        let was_alone = before.as_ref().is_some_and(|(_, before)| before.alone);
        match record.level.first() {
            Some(last) if record.alone && !was_alone => step.say(Event::Alone { member: last.clone() }),
            _ if was_alone != record.alone
                || before.is_none_or(|(_, before)| !same_set(&before.level, &record.level)) =>
            {
                step.say(Event::LevelNow { level: record.level.clone() });
            }
            _ => {}
        }
        owning.demand_by_record(step, leased);
    }
}
