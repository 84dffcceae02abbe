//! Owns whose turn it is among the servers of a queue: a cursor for each, which outlives the queue's tasks. These end as soon as nothing is
//! to be done, so where mail comes slowly there is one for each connection.
//!
//! Always holds: a queue's connections go to its servers in turn, whatever other queues do; the memory is bounded.

use spool::HopId;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use world::Chance;

/// The cursors.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<HopId, usize>>);

impl Turns {
    /// The number of the next connection of a queue. The first one is any: nodes that start together do not all begin with the same server.
    pub fn next(&self, of: HopId, chance: &dyn Chance) -> usize {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= TURNS_MAX && !turns.contains_key(&of) {
            turns.clear();
        }
        let turn = turns.entry(of).or_insert_with(|| chance.u64() as usize);
        *turn = turn.wrapping_add(1);
        *turn
    }
}

/// Queues whose turn is remembered: far more than an organization has sites and connectors.
const TURNS_MAX: usize = 4096;
