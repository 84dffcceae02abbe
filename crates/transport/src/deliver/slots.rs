//! Owns the right to have a connection, so many for all hops together, and the line of hops that wait for one.
//!
//! Always holds: a hop that waits costs a pointer, not a task; who waits longest is next.

use super::hop::Hop;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(super) struct Slots {
    max: usize,
    state: Mutex<State>,
}

struct State {
    free: usize,
    waiting: VecDeque<Arc<Hop>>,
}

impl Slots {
    pub fn new(max: usize) -> Slots {
        Slots { max, state: Mutex::new(State { free: max, waiting: VecDeque::new() }) }
    }

    /// A slot for this hop: now, or when [`release`](Self::release) names it.
    pub fn take(&self, hop: &Arc<Hop>) -> bool {
        let mut state = self.lock();
        if state.free == 0 {
            state.waiting.push_back(Arc::clone(hop));
            return false;
        }
        state.free -= 1;
        true
    }

    /// Gives a slot back, or on to the hop that is named.
    pub fn release(&self) -> Option<Arc<Hop>> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        if next.is_none() {
            state.free += 1;
        }
        next
    }

    /// Somebody waits: no time to keep a connection that has nothing to do.
    pub fn is_crowded(&self) -> bool {
        !self.lock().waiting.is_empty()
    }

    /// Slots that are taken.
    pub fn taken(&self) -> usize {
        self.max - self.lock().free
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
