//! Owns what the writer, the keeper and the links of one journal share: where the log ends, what each copy has, and the commits that
//! wait for copies. Knows no sockets; does no I/O under its lock.
//! Always holds: a durable commit is completed only when every member of the level set has it, and never after a holder has seen a
//! higher epoch; for each copy at most a window of bytes is in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use world::World;

use super::copy::Copy;
use super::frame::Message;
use super::group::Group;
use super::lag::Lag;
use super::owner::{Effect, Input, Log, Owner};
use crate::canary::Canary;
use crate::commit::{Committed, Ticket};
use crate::ends::{Ends, SegmentEnd};
use crate::position::{Position, SegmentNo};
use crate::record::Format;
use crate::when::When;

/// What a journal and its copies have in common.
pub(crate) struct Hub {
    pub(crate) world: World,
    pub(crate) dir: PathBuf,
    /// Its epoch is that of the opening; see [`Hub::format`].
    opened: Format,
    pub(crate) window: u64,
    canary: Canary,
    state: Mutex<State>,
    /// Beside the lock, because each message asks: how many copies are waited for, and how many of them count as protection.
    required: AtomicUsize,
    counted: AtomicUsize,
    /// Whether anybody copies: otherwise the writer need not keep what it has written.
    linked: AtomicBool,
    deposed: AtomicBool,
    /// The same as [`State::epoch`], for those who read and write records.
    epoch: AtomicU32,
}

pub(super) struct State {
    /// The epoch of now.
    pub(super) epoch: u32,
    pub(super) ends: Ends,
    pub(super) tail: Position,
    pub(super) copies: BTreeMap<String, Copy>,
    /// The members of the level set, and where the log ended when each of them came in.
    pub(super) level: BTreeMap<String, Position>,
    waiting: VecDeque<Waiting>,
    pub(super) lag: Lag,
    deposed_by: Option<u32>,
}

/// A commit that is synced here and waits for copies.
struct Waiting {
    end: Position,
    answer: Answer,
}

/// An appender's answer, as soon as it may have it.
pub(crate) struct Answer {
    pub(crate) ticket: Ticket,
    pub(crate) committed: Committed,
    pub(crate) when: When,
    /// Behind the batch's last record.
    pub(crate) end: Position,
}

impl Hub {
    pub(crate) fn new(
        world: &World,
        dir: PathBuf,
        format: Format,
        ends: Ends,
        window: u64,
        canary: Canary,
    ) -> Arc<Hub> {
        let tail = ends.last_key_value().map_or(0, |(no, end)| format.start(*no).0 + end.at);
        let state = State {
            epoch: format.epoch,
            ends,
            tail: Position(tail),
            copies: BTreeMap::new(),
            level: BTreeMap::new(),
            waiting: VecDeque::new(),
            lag: Lag::default(),
            deposed_by: None,
        };
        Arc::new(Hub {
            world: world.clone(),
            dir,
            opened: format,
            window,
            canary,
            state: Mutex::new(state),
            required: AtomicUsize::new(0),
            counted: AtomicUsize::new(0),
            linked: AtomicBool::new(false),
            deposed: AtomicBool::new(false),
            epoch: AtomicU32::new(format.epoch),
        })
    }

    /// The format of records, with the epoch of now: new records get it, and none that can be read has a higher one.
    pub(crate) fn format(&self) -> Format {
        Format { epoch: self.epoch.load(Ordering::SeqCst), ..self.opened }
    }

    /// From now on records are written under this higher epoch, which is durable, and every link begins anew with it: no link brings
    /// a record of it to a holder that has not heard of it. `false` when somebody else has a higher one than ours was.
    pub(crate) fn raise(&self, epoch: u32) -> bool {
        self.change(|state| {
            if self.is_deposed() {
                return false;
            }
            state.epoch = epoch;
            // Inside the lock: whoever stamps a record with it hands that over only after the links have begun anew.
            self.epoch.store(epoch, Ordering::SeqCst);
            let holders: Vec<String> = state.copies.keys().cloned().collect();
            for holder in holders {
                self.step(state, &holder, Input::Start { session: self.world.chance.u64() });
                if let Some(copy) = state.copies.get(&holder) {
                    copy.wake();
                }
            }
            true
        })
    }

    /// Whether the writer should hand over what it writes.
    pub(crate) fn wants_groups(&self) -> bool {
        self.linked.load(Ordering::Relaxed)
    }

    /// Whether a holder has seen a higher epoch: nothing is to be promised any more.
    pub(crate) fn is_deposed(&self) -> bool {
        self.deposed.load(Ordering::SeqCst)
    }

    /// The higher epoch.
    pub(crate) fn deposed_by(&self) -> Option<u32> {
        self.lock().deposed_by
    }

    /// How many copies count as protection.
    pub(crate) fn protected_by(&self) -> usize {
        self.counted.load(Ordering::Relaxed)
    }

    /// Records were written (not yet synced) at `position`; the segment ends at `end` now. No group: nobody asked for it,
    /// or only the segment is new.
    pub(crate) fn written(&self, position: Position, end: SegmentEnd, group: Option<Group>, urgent: bool) {
        let group = group.map(Arc::new);
        let now_ms = self.world.clock.mono_ms();
        let mut state = self.lock();
        let state = &mut *state;
        let segment = self.opened.segment_of(position);
        state.ends.insert(segment, end);
        state.tail = Position(self.opened.start(segment).0 + end.at);
        if state.copies.is_empty() {
            return;
        }
        state.lag.note(state.tail, now_ms);
        let log = Log { ends: &state.ends, tail: state.tail, epoch: state.epoch };
        for copy in state.copies.values_mut().filter(|copy| copy.is_live()) {
            copy.written(now_ms, log, position, group.as_ref(), urgent);
            copy.wake();
        }
    }

    /// A segment is durably gone.
    pub(crate) fn released(&self, segment: SegmentNo) {
        let mut state = self.lock();
        state.ends.remove(&segment);
        for copy in state.copies.values_mut().filter(|copy| copy.is_live()) {
            copy.say(Message::Released(vec![segment]));
            copy.wake();
        }
    }

    /// What was written is synced: everybody is answered who does not have to wait for copies.
    pub(crate) fn synced(&self, answers: &mut Vec<Answer>) {
        if self.is_deposed() {
            answers.clear(); // answers Stopped
            return;
        }
        if self.required.load(Ordering::Relaxed) == 0 {
            answers.drain(..).for_each(|answer| answer.give(0));
            return;
        }
        let mut state = self.lock();
        let mut now = Vec::new();
        for answer in answers.drain(..) {
            match answer.when {
                When::Durable => {
                    answer.ticket.is_here(&answer.committed);
                    state.waiting.push_back(Waiting { end: answer.end, answer });
                }
                When::Here | When::Soon => now.push(answer),
            }
        }
        let ready = self.ready(&mut state);
        let copies = self.protected_by();
        drop(state);
        now.into_iter().for_each(|answer| answer.give(0));
        ready.into_iter().for_each(|answer| answer.give(copies));
    }

    /// Changes whose acknowledgements commits wait for, and how many of them count. Those that wait only for others are completed.
    pub(crate) fn set_level(&self, holders: BTreeSet<String>, counted: usize) {
        self.change(|state| {
            self.required.store(holders.len(), Ordering::Relaxed);
            self.counted.store(counted.min(holders.len()), Ordering::Relaxed);
            let since = |holder: &String| state.level.get(holder).copied().unwrap_or(state.tail);
            state.level = holders.iter().map(|holder| (holder.clone(), since(holder))).collect();
        });
    }

    /// Changes something, then answers whoever need not wait any more.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let ready = self.ready(&mut state);
        let copies = self.protected_by();
        if let Some(least) = state.copies.values().map(Copy::acked).min() {
            state.lag.passed(least);
        }
        self.linked.store(state.copies.values().any(Copy::is_linked), Ordering::Relaxed);
        drop(state);
        ready.into_iter().for_each(|answer| answer.give(copies));
        result
    }

    /// Lets the owner's side of a copy act on `input`, and does what it says.
    pub(super) fn step(&self, state: &mut State, holder: &str, input: Input) -> Vec<Effect> {
        let now_ms = self.world.clock.mono_ms();
        let log = Log { ends: &state.ends, tail: state.tail, epoch: state.epoch };
        let Some(copy) = state.copies.get_mut(holder) else { return Vec::new() };
        let others = copy.step(now_ms, log, input);
        let deposed = others.iter().find_map(|effect| match effect {
            Effect::Deposed(epoch) => Some(*epoch),
            _ => None,
        });
        if let Some(epoch) = deposed {
            self.depose(state, epoch);
        }
        others
    }

    /// Somebody owns the journal under this epoch. If it is higher than ours, whoever waits is to be let go outside the lock.
    pub(super) fn depose(&self, state: &mut State, epoch: u32) -> bool {
        let higher = epoch > state.epoch;
        if higher {
            state.deposed_by = state.deposed_by.max(Some(epoch));
            self.deposed.store(true, Ordering::SeqCst);
        }
        higher
    }

    /// The commits that need not wait any more. None once we are deposed; then they are let go without a promise.
    fn ready(&self, state: &mut State) -> Vec<Answer> {
        if self.is_deposed() {
            return Vec::new();
        }
        let acked = |holder: &String| state.copies.get(holder).map_or(Position(0), Copy::acked);
        let enough = match self.canary {
            Canary::AnyCopyIsEnough => state.level.keys().map(acked).max(),
            _ => state.level.keys().map(acked).min(),
        };
        let until = enough.unwrap_or(Position(u64::MAX));
        let count = state.waiting.iter().take_while(|w| w.end <= until).count();
        state.waiting.drain(..count).map(|w| w.answer).collect()
    }

    /// Answers `Stopped` to everybody who waits, when the journal is closed or has lost its office.
    pub(crate) fn let_go(&self) {
        let waiting = std::mem::take(&mut self.lock().waiting);
        drop(waiting); // each ticket's drop wakes outside the lock
    }

    /// Commits that wait for copies.
    pub(crate) fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// A side for a new link.
    pub(super) fn side(&self, journal: &str) -> Owner {
        Owner::new(journal, self.opened, self.window)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answer {
    fn give(mut self, copies: usize) {
        self.committed.copies = u8::try_from(copies).unwrap_or(u8::MAX);
        self.ticket.complete(Ok(self.committed));
    }
}
