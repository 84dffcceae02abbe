//! Owns one node's view of one journal, step by step: the start, the one transaction that may be under way, and what its
//! answer means. Knows no I/O. Always holds: at most one transaction is under way; one whose outcome is open is repeated with the
//! same comparison until the record has moved or it is answered, so that it can never come true behind our back.

use super::owner::Owning;
use super::taking::{Taking, Why};
use super::{Answer, Effect, Event, HolderChange, Input, Local, Snapshot, Transaction};
use crate::etcd::Revision;
use crate::record::{JournalName, Member, Record, next_term, term};

/// How long things wait, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timing {
    /// What each candidate lets the one before it go first. Not needed for correctness.
    pub stagger_ms: u64,
    /// Until something that failed is tried again.
    pub retry_ms: u64,
    /// How long a start waits for etcd before it goes on with what the disk says.
    pub start_wait_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing { stagger_ms: 300, retry_ms: 250, start_wait_ms: 5_000 }
    }
}

/// One node's view of one journal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seat {
    pub(super) name: JournalName,
    pub(super) me: Member,
    pub(super) timing: Timing,
    pub(super) local: Local,
    pub(super) lease: Option<i64>,
    pub(super) seen: Option<Snapshot>,
    pub(super) rank: u32,
    pub(super) state: State,
    asked: Option<Asked>,
    /// Until then nothing is asked of etcd, because the last try failed.
    retry_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum State {
    /// We wrote this journal before we stopped; etcd must say what has become of it.
    Starting {
        /// Then go on without etcd.
        until_ms: u64,
    },
    /// We hold a copy.
    Copy(Taking),
    /// We own it.
    Owning(Box<Owning>),
    /// It was taken from us.
    Deposed {
        /// What was taken is dropped here.
        dropped: bool,
    },
    /// Nothing to do any more.
    Over,
}

/// A transaction under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Asked {
    what: What,
    txn: Transaction,
    /// An answer is awaited; otherwise it waits to be repeated.
    waiting: bool,
    /// An earlier try may still come true.
    open: bool,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// To become (or stay) the owner under a higher epoch.
    Claim(Why),
    /// To change the record of what we own.
    Change,
    /// To delete the record.
    Forget,
}

/// A step under construction.
pub(super) struct Step {
    pub now_ms: u64,
    pub effects: Vec<Effect>,
}

impl Step {
    pub(super) fn say(&mut self, event: Event) {
        self.effects.push(Effect::Say(event));
    }
}

impl Seat {
    /// A seat at start: `local` is what is on the disk.
    pub fn new(name: JournalName, me: Member, local: Local, timing: Timing, now_ms: u64) -> Seat {
        let until_ms = now_ms + timing.start_wait_ms;
        let state = if local.owner { State::Starting { until_ms } } else { State::Copy(Taking::default()) };
        Seat { name, me, timing, local, lease: None, seen: None, rank: 0, state, asked: None, retry_ms: None }
    }

    /// The journal.
    pub fn name(&self) -> &JournalName {
        &self.name
    }

    /// The epoch that we own it under, and whether etcd has said so.
    pub fn owns(&self) -> Option<(u32, bool)> {
        match &self.state {
            State::Owning(owning) => Some((owning.epoch, owning.base.is_some())),
            _ => None,
        }
    }

    /// When to step with [`Input::Tick`] at the latest.
    pub fn wake_ms(&self) -> Option<u64> {
        let waits_ms = match &self.state {
            State::Starting { until_ms } if self.seen.is_none() && self.may_start_alone() => Some(*until_ms),
            State::Copy(taking) => taking.turn_ms(),
            _ => None,
        };
        [waits_ms, self.retry_ms].into_iter().flatten().min()
    }

    /// One step.
    pub fn step(&mut self, now_ms: u64, input: Input) -> Vec<Effect> {
        let mut step = Step { now_ms, effects: Vec::new() };
        if self.retry_ms.is_some_and(|at| now_ms >= at) {
            self.retry_ms = None;
            // What waits to be repeated goes first: everything else would wait for it.
            self.repeat(&mut step);
        }
        match input {
            Input::Tick => {}
            Input::Seen { snapshot, rank, anew } => {
                self.rank = rank;
                self.see(snapshot, anew);
            }
            Input::Lease(lease) => {
                if lease.is_none() && self.lease.is_some() && matches!(self.state, State::Owning(_)) {
                    step.say(Event::LeaseLost);
                }
                self.lease = lease;
                self.repeat(&mut step);
            }
            Input::Answer(answer) => self.answer(&mut step, answer),
            Input::Frozen { turn, end, wall_ms } => self.frozen(turn, end, wall_ms),
            Input::NoCopy => self.no_copy(&mut step),
            Input::Level(_)
            | Input::MayGoAlone(_)
            | Input::Guarded(_)
            | Input::HandOver { .. }
            | Input::Keep
            | Input::Drained => {
                self.owner_input(&mut step, input);
            }
            Input::Dropped => {
                if let State::Deposed { dropped } = &mut self.state {
                    *dropped = true;
                }
            }
        }
        self.judge(&mut step);
        step.effects
    }

    fn see(&mut self, snapshot: Snapshot, anew: bool) {
        // News of a watch may be older than what a transaction has told us since.
        if anew || self.seen.as_ref().is_none_or(|seen| snapshot.at >= seen.at) {
            self.seen = Some(snapshot);
        }
        self.settle();
    }

    /// Forgets a transaction without an answer once its comparison can never hold again: what is seen is the truth then.
    fn settle(&mut self) {
        let (Some(asked), Some(seen)) = (&self.asked, &self.seen) else { return };
        let moved = seen.record.as_ref().map_or(0, |(at, _)| *at) != asked.txn.record_at;
        if moved && !asked.waiting {
            (self.asked, self.retry_ms) = (None, None);
        }
    }

    /// What etcd says of the journal; the outer `None` when it has not been heard.
    pub(super) fn known(&self) -> Option<Option<&(Revision, Record)>> {
        self.seen.as_ref().map(|seen| seen.record.as_ref())
    }

    /// Whether a transaction is under way.
    pub(super) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether a new one may be asked for now.
    pub(super) fn may_ask(&self) -> bool {
        self.asked.is_none() && self.retry_ms.is_none()
    }

    pub(super) fn ask(&mut self, step: &mut Step, what: What, txn: Transaction) {
        step.effects.push(Effect::Try(txn.clone()));
        self.asked = Some(Asked { what, txn, waiting: true, open: false });
    }

    /// Tries the same again if its answer was lost, under the lease of today.
    fn repeat(&mut self, step: &mut Step) {
        let Some(asked) = &mut self.asked else { return };
        if asked.waiting {
            return;
        }
        if let HolderChange::Under(lease) = &mut asked.txn.holder {
            match self.lease {
                Some(today) => *lease = today,
                None => return,
            }
        }
        asked.waiting = true;
        step.effects.push(Effect::Try(asked.txn.clone()));
    }

    fn answer(&mut self, step: &mut Step, answer: Answer) {
        let Some(asked) = &mut self.asked else { return };
        match answer {
            Answer::Done(at) => {
                let Some(asked) = self.asked.take() else { return };
                self.done(step, asked, at);
            }
            Answer::Refused(snapshot) => {
                let what = asked.what;
                self.asked = None;
                self.see(snapshot, false);
                self.refused(step, what);
            }
            Answer::NotDone | Answer::Open => {
                asked.waiting = false;
                asked.open |= answer == Answer::Open;
                if !asked.open {
                    self.asked = None;
                }
                self.retry_ms = Some(step.now_ms + self.timing.retry_ms);
                self.settle();
            }
        }
    }

    fn done(&mut self, step: &mut Step, asked: Asked, at: Revision) {
        let holder = match asked.txn.holder {
            HolderChange::Leave => self.seen.as_ref().and_then(|seen| seen.holder),
            HolderChange::Under(lease) => Some(lease),
            HolderChange::Drop => None,
        };
        let record = asked.txn.record.map(|record| (at, record));
        let snapshot = Snapshot { at, record, holder };
        if self.seen.as_ref().is_none_or(|seen| at >= seen.at) {
            self.seen = Some(snapshot.clone());
        }
        match (asked.what, snapshot.record) {
            (What::Claim(why), Some((at, record))) => self.claimed(step, why, at, record),
            (What::Change, Some((at, record))) => self.changed(step, at, record),
            _ => {
                self.state = State::Over;
                step.effects.push(Effect::Delete);
            }
        }
    }

    /// A transaction has made us the owner under a new epoch.
    fn claimed(&mut self, step: &mut Step, why: Why, at: Revision, record: Record) {
        let epoch = record.epoch;
        let taken = !self.local.owner;
        self.local = Local { epoch, owner: true, ..self.local };
        let doubtful = matches!(why, Why::OwnerGone | Why::Named) && record.ends.last().is_some_and(|end| end.alone);
        step.effects.push(Effect::Own { epoch, confirmed: true, taken, doubtful });
        if let Some(end) = record.ends.last().filter(|_| doubtful) {
            step.say(Event::TookOverStale { from: end.owner.clone() });
        }
        step.say(match (why, record.ends.last()) {
            (Why::OwnerGone | Why::Named, Some(end)) => {
                Event::TookOver { from: end.owner.clone(), epoch, at: end.taken.at }
            }
            _ => Event::Owns { epoch },
        });
        let before = match std::mem::replace(&mut self.state, State::Over) {
            State::Owning(owning) => Some(*owning),
            _ => None,
        };
        self.state = State::Owning(Box::new(Owning::confirmed(before, at, record, step)));
    }

    fn refused(&mut self, step: &mut Step, what: What) {
        let State::Copy(_) = &self.state else { return };
        if let (What::Claim(_), Some(Some((_, record)))) = (what, self.known())
            && record.owner != self.me
        {
            step.say(Event::Beaten { by: record.owner.clone() });
        }
    }

    /// Looks at everything that is known and does what is due. Each branch may run any number of times.
    fn judge(&mut self, step: &mut Step) {
        match self.state {
            State::Starting { until_ms } => self.judge_start(step, until_ms),
            State::Copy(_) => self.judge_copy(step),
            State::Owning(_) => self.judge_owner(step),
            State::Deposed { dropped } => self.judge_deposed(step, dropped),
            State::Over => {}
        }
    }

    fn judge_start(&mut self, step: &mut Step, until_ms: u64) {
        if !self.may_ask() {
            return;
        }
        match self.known() {
            // Under an epoch of its own: what a crash has cut off here may still be in a copy under the last one.
            None if step.now_ms >= until_ms && self.may_start_alone() => {
                let epoch = self.local.epoch + 1;
                self.local.epoch = epoch;
                self.state = State::Owning(Box::new(Owning::unconfirmed(epoch)));
                step.effects.push(Effect::Own { epoch, confirmed: false, taken: false, doubtful: false });
                step.say(Event::Unconfirmed);
            }
            None => {}
            Some(_) => self.claim_own(step),
        }
    }

    /// Whether the term that we were given has an epoch left. If not, or if none was ever given, etcd must be asked.
    fn may_start_alone(&self) -> bool {
        let next = self.local.epoch.saturating_add(1);
        term(next) > 0 && term(next) == term(self.local.epoch)
    }

    /// We have written this journal as its owner: claim it under a higher epoch, or learn that it is another's.
    pub(super) fn claim_own(&mut self, step: &mut Step) {
        let (Some(known), Some(lease)) = (self.known().map(|known| known.cloned()), self.lease) else { return };
        let (record_at, record) = known.map_or((0, None), |(at, record)| (at, Some(record)));
        let ours = self.local.epoch;
        match &record {
            Some(record) if record.id != self.local.id => {
                self.state = State::Over;
                step.say(Event::NameTaken);
                step.effects.push(Effect::NameTaken);
                return;
            }
            Some(record) if record.owner != self.me && term(record.epoch) >= term(ours) => {
                return self.deposed(step, record.clone());
            }
            Some(record) if record.owner == self.me && record.drained => {
                self.state = State::Over;
                step.effects.push(Effect::Delete);
                return;
            }
            Some(record) if term(record.epoch) < term(ours) => {
                step.say(Event::EtcdWentBack { known: record.epoch, ours })
            }
            _ => {}
        }
        let epoch = next_term(record.as_ref().map_or(0, |record| record.epoch), ours);
        let mut next = match (self.confirmed(), record) {
            // What was confirmed to this process counts more than an etcd that has forgotten it.
            (Some(confirmed), _) => confirmed.clone(),
            (None, Some(record)) if term(record.epoch) >= term(ours) => record,
            // Whose copies counted in an older past says nothing.
            _ => Record::new(self.local.id, self.me.clone()),
        };
        (next.owner, next.epoch, next.successor) = (self.me.clone(), epoch, None);
        next.level.retain(|member| member.node != self.me.node);
        let holder = HolderChange::Under(lease);
        let txn = Transaction { record_at, holder_gone: false, record: Some(next), holder };
        self.ask(step, What::Claim(Why::Mine), txn);
    }

    /// The record that etcd has confirmed to this process as the owner.
    fn confirmed(&self) -> Option<&Record> {
        match &self.state {
            State::Owning(owning) => owning.base.as_ref().map(|(_, record)| record),
            _ => None,
        }
    }

    /// etcd names another owner, or one of a later epoch than ours.
    pub(super) fn deposed(&mut self, step: &mut Step, record: Record) {
        let ours = self.local.epoch;
        // An owner that changed without an end cannot come from this protocol; then nothing of ours is taken for theirs.
        let taken = record.taken(ours).unwrap_or_default();
        let handed_over = matches!(&self.state, State::Owning(owning) if owning.named(&record.owner));
        step.say(Event::Deposed { by: record.owner.clone(), epoch: record.epoch });
        let (to, epoch) = (record.owner, record.epoch);
        step.effects.push(Effect::Lost { to, epoch, taken, handed_over });
        self.state = State::Deposed { dropped: false };
    }

    /// The record of a journal that was taken from us is deleted once its taker is done and we have dropped our part.
    fn judge_deposed(&mut self, step: &mut Step, dropped: bool) {
        if !self.may_ask() || !dropped {
            return;
        }
        match self.known() {
            Some(Some((at, record))) if record.drained => {
                let txn = Transaction { record_at: *at, holder_gone: false, record: None, holder: HolderChange::Drop };
                self.ask(step, What::Forget, txn);
            }
            Some(None) => {
                self.state = State::Over;
                step.effects.push(Effect::Delete);
            }
            _ => {}
        }
    }
}
