//! One destination at work: calls hops when there is a place for them, now or by a timer.
//!
//! Always holds: no hop is called under a lock; a place is given back however its task ends.

use super::lane::{Bounds, Lane, Wait};
use crate::deliver::hop::Hop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use world::Clock;

pub(super) struct Gate {
    pub name: Arc<str>,
    clock: Arc<dyn Clock>,
    runtime: Handle,
    lane: Mutex<Lane<Arc<Hop>>>,
    /// Somebody will call later.
    timed: AtomicBool,
}

/// A place for a connection to a destination.
pub(in crate::deliver) struct Permit {
    gate: Arc<Gate>,
}

/// A hop is called: there is a place for it, if it comes.
pub(in crate::deliver) struct Call {
    gate: Option<Arc<Gate>>,
}

impl Gate {
    /// Inside a tokio runtime.
    pub fn new(name: &Arc<str>, bounds: Bounds, clock: &Arc<dyn Clock>) -> Gate {
        let lane = Mutex::new(Lane::new(bounds, clock.mono_ms()));
        Gate {
            name: name.clone(),
            clock: clock.clone(),
            runtime: Handle::current(),
            lane,
            timed: AtomicBool::new(false),
        }
    }

    pub fn set_bounds(&self, bounds: Bounds) {
        self.lane().set_bounds(bounds, self.clock.mono_ms());
    }

    /// A place for a connection of this hop; without one it stands in line.
    pub fn enter(self: &Arc<Gate>, hop: &Arc<Hop>, call: Option<Call>) -> Option<Permit> {
        let was_called = call.is_some();
        call.into_iter().for_each(Call::use_up);
        if hop.line_up() && !was_called {
            // Another task of the hop stands there for it.
            return None;
        }
        let mut lane = self.lane();
        if lane.enter(was_called, self.clock.mono_ms()) {
            drop(lane);
            hop.out_of_line();
            return Some(Permit { gate: Arc::clone(self) });
        }
        lane.wait(Arc::clone(hop), was_called);
        drop(lane);
        self.call();
        None
    }

    /// Calls those for whom there is a place.
    pub fn call(self: &Arc<Gate>) {
        loop {
            let now_ms = self.clock.mono_ms();
            let mut lane = self.lane();
            let Some(hop) = lane.call(now_ms) else {
                let at_ms = lane.call_at_ms(now_ms);
                drop(lane);
                return at_ms.into_iter().for_each(|at_ms| self.call_later(at_ms - now_ms));
            };
            drop(lane);
            if let Some(call) = hop.on_call(Call { gate: Some(Arc::clone(self)) }) {
                call.use_up();
                self.lane().not_needed();
            }
        }
    }

    fn call_later(self: &Arc<Gate>, after_ms: u64) {
        if self.timed.swap(true, Ordering::AcqRel) {
            return;
        }
        let gate = Arc::downgrade(self);
        self.runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            if let Some(gate) = gate.upgrade() {
                gate.timed.store(false, Ordering::Release);
                gate.call();
            }
        });
    }

    /// Those of these hops that stand in line do so no more.
    pub fn forget(&self, gone: impl Fn(&Hop) -> bool) {
        let gone = self.lane().take_out(|hop| gone(hop));
        // One that was called gives its place back: not under the lock.
        drop(gone);
    }

    /// Calls `tell` for each hop that waits.
    pub fn waiting(&self, mut tell: impl FnMut(&Hop, Wait)) {
        let mut lane = self.lane();
        let why = lane.why(self.clock.mono_ms());
        lane.waiting().for_each(|hop| tell(hop, why));
    }

    /// Connections now, how many there may be, and hops that wait.
    pub fn figures(&self) -> (usize, usize, usize) {
        let lane = self.lane();
        let (open, limit) = lane.connections();
        (open, limit, lane.waiting().count())
    }

    fn lane(&self) -> MutexGuard<'_, Lane<Arc<Hop>>> {
        self.lane.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// Others wait for a place: who has sent something should make room.
    pub fn is_crowded(&self) -> bool {
        self.gate.lane().is_crowded()
    }

    /// Up to `want` messages may go now.
    pub fn take(&self, want: usize) -> usize {
        self.gate.lane().take(want, self.gate.clock.mono_ms())
    }

    /// So many of them did not.
    pub fn put_back(&self, count: usize) {
        if count > 0 {
            self.gate.lane().put_back(count);
        }
    }

    /// A message went through.
    pub fn went_well(&self) {
        self.gate.lane().went_well(self.gate.clock.mono_ms());
    }

    /// The destination asked for less.
    pub fn asked_for_less(&self) {
        let mut lane = self.gate.lane();
        if lane.asked_for_less(self.gate.clock.mono_ms()) {
            let (_, limit) = lane.connections();
            drop(lane);
            let name = &*self.gate.name;
            metrics::counter!("posthouse_destination_slowed_total", "destination" => name.to_owned()).increment(1);
            tracing::info!(destination = name, "the destination asks for less: {limit} connections for a while");
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.lane().leave();
        self.gate.call();
    }
}

impl Call {
    /// It is used, or given back by other means.
    fn use_up(mut self) {
        self.gate = None;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(gate) = self.gate.take() {
            gate.lane().not_needed();
            gate.call();
        }
    }
}
