//! One next hop while there is something to do for it: the work at hand, its connections, and how many of them it may have.
//!
//! Knows no sockets. Always holds: a hop has at most as many tasks as its limit; if the spool has rung and nobody looked, some task of
//! the hop is on its way to look; work that no task holds lies in the stash.

use super::center::Center;
use super::shaping::Call;
use mail::Reply;
use spool::{Attempt, HopId, HopKey, Outcome, QueueState, Work};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

pub(super) struct Hop {
    pub id: HopId,
    pub key: HopKey,
    pub center: Arc<Center>,
    /// It stands in line for its destination: no more tasks until it is called.
    in_line: AtomicBool,
    state: Mutex<State>,
}

struct State {
    /// Taken from the spool, given to nobody.
    stash: VecDeque<Work>,
    /// The spool may have more.
    rung: bool,
    /// Tasks, connected or connecting.
    live: usize,
    /// How many there may be now.
    limit: usize,
    /// The limit's own bound.
    limit_max: usize,
    /// When the limit was last lowered, on the monotonic clock.
    lowered_ms: u64,
    /// Who found nothing and can take more: the one that was busy last comes last.
    waiting: Vec<Arc<Notify>>,
    /// All connected ones.
    seats: Vec<Arc<Notify>>,
    /// Somebody will look soon whether work still waits.
    nudged: bool,
    /// The place that its destination has for its next task.
    call: Option<Call>,
}

impl State {
    /// There is somebody to ring for, or room for one more connection.
    fn could_do_more(&self) -> bool {
        !self.waiting.is_empty() || self.live < self.limit
    }
}

/// What a connection that can take more is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It was given work.
    Work,
    /// There is none; its bell will ring.
    Wait,
    /// It is one too many, or we are stopping.
    Leave,
}

impl Hop {
    pub fn new(id: HopId, key: HopKey, center: Arc<Center>) -> Hop {
        Hop {
            id,
            key,
            center,
            in_line: AtomicBool::new(false),
            state: Mutex::new(State {
                stash: VecDeque::new(),
                rung: false,
                live: 0,
                limit: LIMIT_FIRST,
                limit_max: LIMIT_FIRST,
                lowered_ms: 0,
                waiting: Vec::new(),
                seats: Vec::new(),
                nudged: false,
                call: None,
            }),
        }
    }

    /// It is a store on this machine, which is not reached over a connection.
    pub fn is_store(&self) -> bool {
        matches!(self.key, HopKey::Maildir { .. })
    }

    /// The spool has work for the hop.
    pub fn ring(self: &Arc<Hop>) {
        let mut state = self.lock();
        state.rung = true;
        self.spread(&mut state);
    }

    /// The number of the next connection, for rotation.
    pub fn next_turn(&self) -> usize {
        self.center.turns.next(self.id, &*self.center.world.chance)
    }

    /// The plan says how many connections there may be.
    pub fn set_limit_max(&self, limit_max: usize) {
        let mut state = self.lock();
        state.limit_max = limit_max;
        state.limit = state.limit.min(limit_max);
    }

    /// Up to `want` works for the connection whose bell is `seat`.
    pub fn next(self: &Arc<Hop>, seat: &Arc<Notify>, want: usize, works: &mut Vec<Work>) -> Next {
        if self.center.is_stopping() {
            return Next::Leave;
        }
        loop {
            let mut state = self.lock();
            if state.seats.len() > state.limit {
                return Next::Leave;
            }
            state.waiting.retain(|other| !Arc::ptr_eq(other, seat));
            if self.center.is_paused() {
                state.waiting.push(Arc::clone(seat));
                return Next::Wait;
            }
            if !state.stash.is_empty() {
                let count = want.min(state.stash.len());
                works.extend(state.stash.drain(..count));
                self.spread(&mut state);
                return Next::Work;
            }
            if state.rung {
                self.refill(state, BATCH);
            } else if self.center.slots.is_crowded() {
                return Next::Leave;
            } else {
                state.waiting.push(Arc::clone(seat));
                return Next::Wait;
            }
        }
    }

    /// Work for a task without a connection. Empty: the task has nothing to do any more.
    pub fn next_batch(self: &Arc<Hop>, max: usize) -> Vec<Work> {
        if self.center.is_stopping() || self.center.is_paused() {
            return Vec::new();
        }
        loop {
            let mut state = self.lock();
            if !state.stash.is_empty() {
                let count = max.min(state.stash.len());
                let works = state.stash.drain(..count).collect();
                self.spread(&mut state);
                return works;
            }
            if !state.rung {
                return Vec::new();
            }
            self.refill(state, max);
        }
    }

    /// There is something to do: worth a connection. Nothing is taken for it, so that a message which waits for a connection that
    /// hangs can still be held, removed, told late or expire.
    pub fn has_work(&self) -> bool {
        if self.center.is_paused() {
            return false;
        }
        let state = self.lock();
        if !state.stash.is_empty() || !state.rung || self.center.is_stopping() {
            return !state.stash.is_empty();
        }
        drop(state);
        let queue = self.center.spool.queue(self.id);
        if queue.is_some_and(|queue| queue.state == QueueState::Active && queue.ready > 0) {
            return true;
        }
        // The spool must see that we looked, to ring again.
        self.refill(self.lock(), BATCH);
        !self.lock().stash.is_empty()
    }

    /// A connection is open: its bell is one of ours.
    pub fn join(&self, seat: &Arc<Notify>) {
        self.lock().seats.push(Arc::clone(seat));
    }

    /// A connection takes no more work. If its bell was the one that rang, another one rings.
    pub fn part(self: &Arc<Hop>, seat: &Arc<Notify>) {
        let mut state = self.lock();
        state.seats.retain(|other| !Arc::ptr_eq(other, seat));
        state.waiting.retain(|other| !Arc::ptr_eq(other, seat));
        self.spread(&mut state);
    }

    /// Work that a connection could not begin with goes to the next one.
    pub fn give_back(&self, work: Work) {
        self.lock().stash.push_front(work);
    }

    /// A message went through: the hop keeps up. If others wait, it gets one connection more.
    pub fn grow(&self) {
        let mut state = self.lock();
        if !state.stash.is_empty() && state.live >= state.limit && state.limit < state.limit_max {
            state.limit += 1;
        }
    }

    /// The hop asked for less, by 421 or a 4xx for a whole message.
    pub fn shrink(&self) {
        let now_ms = self.center.world.clock.mono_ms();
        let mut state = self.lock();
        if now_ms.saturating_sub(state.lowered_ms) >= LOWER_INTERVAL_MS {
            state.limit = (state.limit / 2).max(1);
            state.lowered_ms = now_ms;
        }
    }

    /// A task ends (see [`Presence`]).
    fn leave(self: &Arc<Hop>) {
        let mut state = self.lock();
        state.live -= 1;
        // Nobody is left to send what was taken.
        if self.center.is_stopping() || state.live == 0 && self.is_in_line() {
            let works = std::mem::take(&mut state.stash);
            drop(state);
            drop(works);
        } else {
            self.spread(&mut state);
            drop(state);
        }
        self.center.task_ended(self);
    }

    /// No connection could be made. If others stand, they go on; if not, the hop waits on its ladder.
    pub fn failed(&self, attempt: &Attempt<'_>, reply: &Reply) {
        let mut state = self.lock();
        if state.live > 1 {
            state.limit = (state.live - 1).max(1);
            return;
        }
        state.limit = LIMIT_FIRST.min(state.limit_max);
        let works = self.take_unsent(state);
        if !works.is_empty() {
            tracing::info!(hop = %self.key, peer = attempt.peer, %reply, "next hop cannot be reached");
            self.center.spool.hop_failed(self.id, works, attempt, reply);
        }
    }

    /// Nothing of this hop can ever be delivered (no such domain, null MX): its messages fail, one by one.
    pub fn fail_all(self: &Arc<Hop>, reply: &Reply) {
        loop {
            let works = self.take_unsent(self.lock());
            if works.is_empty() || self.center.is_stopping() {
                return;
            }
            for work in works {
                let outcome = Outcome::Failed { reply: reply.clone() };
                let outcomes: Vec<_> = work.recipients().map(|(index, _)| (index, outcome.clone())).collect();
                self.center.metrics.failed.increment(outcomes.len() as u64);
                self.center.spool.settle(work, &Attempt::default(), &outcomes);
            }
        }
    }

    /// It is going to stand in line for its destination; says whether it does already.
    pub fn line_up(&self) -> bool {
        self.in_line.swap(true, Ordering::AcqRel)
    }

    /// It need not.
    pub fn out_of_line(&self) {
        self.in_line.store(false, Ordering::Release);
    }

    fn is_in_line(&self) -> bool {
        self.in_line.load(Ordering::Acquire)
    }

    /// Its destination has a place for one more connection. Gives the call back if there is nothing to do with it.
    pub fn on_call(self: &Arc<Hop>, call: Call) -> Option<Call> {
        self.out_of_line();
        let mut state = self.lock();
        let has_work = state.rung || !state.stash.is_empty();
        let can_use = state.waiting.is_empty() && state.live < state.limit;
        if !has_work || !can_use || self.center.is_stopping() || self.center.is_paused() {
            return Some(call);
        }
        state.live += 1;
        let unused = state.call.replace(call);
        drop(state);
        self.center.start_task(self);
        unused
    }

    /// The place that the hop was called for, if it was.
    pub fn take_call(&self) -> Option<Call> {
        self.lock().call.take()
    }

    /// There is no place for the hop now. What was taken for it goes back to the spool, where operators can reach it.
    pub fn held_back(&self) {
        let mut state = self.lock();
        if state.live <= 1 {
            let works = std::mem::take(&mut state.stash);
            drop(state);
            drop(works);
        }
    }

    /// All connections look up from what they wait for.
    pub fn ring_all(&self) {
        self.lock().seats.iter().for_each(|seat| seat.notify_one());
    }

    /// Nothing to do and nobody there: the hop may be forgotten.
    pub fn is_idle(&self) -> bool {
        let state = self.lock();
        state.live == 0 && !state.rung && state.stash.is_empty()
    }

    /// Sees to it that enough tasks look at the work there is, and not more: a connection that always has a next message sends its
    /// envelope behind the body of the one before, which halves the system calls. What waits too long gets one task more.
    fn spread(self: &Arc<Hop>, state: &mut State) {
        // When a pause ends, somebody nudges.
        if !state.rung && state.stash.is_empty() || self.center.is_paused() {
            return;
        }
        let busy = state.live - state.waiting.len();
        if busy == 0 || busy < state.stash.len().div_ceil(WORKS_PER_TASK) {
            self.set_to_work(state);
        } else if state.could_do_more() && !state.nudged && !self.is_in_line() {
            state.nudged = true;
            // While nobody is connected yet, the first one is given time to be.
            let after = if state.seats.is_empty() { NUDGE_CONNECTING_AFTER } else { NUDGE_AFTER };
            self.center.nudge_later(self, after);
        }
    }

    /// Work was left waiting a moment ago. If some still does, those who are busy do not keep up with it.
    pub fn nudge(self: &Arc<Hop>) {
        let mut state = self.lock();
        state.nudged = false;
        if state.rung || !state.stash.is_empty() {
            self.set_to_work(&mut state);
            self.spread(&mut state);
        }
    }

    /// Rings for one who waits, or opens a connection if there may be one more.
    fn set_to_work(self: &Arc<Hop>, state: &mut State) {
        if self.center.is_stopping() {
            return;
        }
        if let Some(seat) = state.waiting.pop() {
            seat.notify_one();
        } else if state.live < state.limit && !self.is_in_line() {
            state.live += 1;
            self.center.start_task(self);
        }
    }

    /// Takes from the spool what it has, without holding our lock over it.
    fn refill(&self, mut state: MutexGuard<'_, State>, max: usize) {
        state.rung = false;
        drop(state);
        let works = self.center.spool.take(self.id, max);
        let mut state = self.lock();
        // Less than asked for: the spool rings again when there is more.
        state.rung |= works.len() >= max;
        state.stash.extend(works);
    }

    /// Work that nobody will send: what was taken already, or what the spool has. It must not get into the stash.
    fn take_unsent(&self, mut state: MutexGuard<'_, State>) -> Vec<Work> {
        let works = Vec::from(std::mem::take(&mut state.stash));
        if !works.is_empty() {
            return works;
        }
        state.rung = false;
        drop(state);
        self.center.spool.take_unsent(self.id, BATCH)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task's place in its hop, given up however the task ends.
pub(super) struct Presence(pub Arc<Hop>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// Connections that a hop may have before it has proven anything, and tasks that write to the Maildirs of one domain.
const LIMIT_FIRST: usize = 2;
/// The limit is lowered at most once in this time: one overload answers many messages.
const LOWER_INTERVAL_MS: u64 = 1_000;
/// So much work in the stash is worth one task.
const WORKS_PER_TASK: usize = 8;
/// Work that waits so long is worth one task more.
const NUDGE_AFTER: Duration = Duration::from_millis(5);
/// The same before the first connection stands: a host that hangs does not keep mail from the others for long.
const NUDGE_CONNECTING_AFTER: Duration = Duration::from_secs(1);
/// Works taken from the spool at once.
const BATCH: usize = 32;
