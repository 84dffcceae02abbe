//! A process of a node passes an address on to the one that takes its place. Nothing moves: the lease, the key and the address on the
//! interface stay as they are; only who looks after them changes.
//!
//! Always holds: of the two, one acts at a time. The first keeps the address until it gives it, and does nothing at all from then on: it
//! neither removes it nor ends its lease. The second counts lease and lifetime no longer than the first one did.

use super::{Gate, Holding, Machine, Phase, Rules};
use crate::address::Effect;

/// What is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inheritance {
    /// The lease.
    pub lease: i64,
    /// The revision of the claim.
    pub claimed_at: u64,
    /// It came by order, and does not go back by itself.
    pub pinned: bool,
    /// When it is to be removed if it is not renewed, on the clock of whoever has this.
    pub lapses_ms: u64,
}

impl Machine {
    /// This process ends, and another one of the node will take its place: what it has is kept for that one until `until_ms`, whether
    /// the node is ready or not; what it does not have yet is not taken any more.
    pub fn keep(&mut self, until_ms: u64) -> Vec<Effect> {
        self.ends = true;
        match &mut self.phase {
            Phase::Holding(held) => {
                held.kept_until_ms = Some(until_ms);
                Vec::new()
            }
            Phase::Idle | Phase::Leaving => Vec::new(),
            Phase::Leasing | Phase::Claiming { .. } => self.end(),
        }
    }

    /// The next process has it from now on.
    pub fn give(&mut self) -> Option<Inheritance> {
        self.ends = true;
        let Phase::Holding(held) = std::mem::replace(&mut self.phase, Phase::Leaving) else { return None };
        let Holding { lease, claimed_at, pinned, lapses_ms, .. } = held;
        Some(Inheritance { lease, claimed_at, pinned, lapses_ms })
    }

    /// A machine that goes on with what another one has given. Its first step makes the address live longer.
    pub fn heir(rules: Rules, now_ms: u64, given: Inheritance) -> Machine {
        let Inheritance { lease, claimed_at, pinned, lapses_ms } = given;
        let last_holder = Some(rules.me.clone());
        let held = Holding {
            lease,
            claimed_at,
            pinned,
            lapses_ms,
            renew_ms: now_ms,
            announce_ms: now_ms,
            // The neighbours know the card already.
            announcements: 0,
            kept_until_ms: None,
            settled_ms: now_ms + SETTLE_MS,
        };
        Machine {
            gate: Gate::opened(),
            phase: Phase::Holding(held),
            would_hold: true,
            last_holder,
            ..Machine::new(rules)
        }
    }
}

/// A new process has found its members and its copies by then, or the address is better elsewhere.
const SETTLE_MS: u64 = 10_000;
