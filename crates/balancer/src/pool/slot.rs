//! A member in its pool, with what only a choice needs to know of it.

use super::{Health, Member};
use std::sync::Arc;

pub struct Slot {
    pub member: Arc<Member>,
    /// Its claim on the next turn (smooth weighted round robin).
    pub turn: i64,
    /// Since when it gets its share little by little.
    slow_since_ms: Option<u64>,
    was_up: Option<bool>,
}

impl Slot {
    /// `slow_since_ms`: it joins others that are at work.
    pub fn new(member: Arc<Member>, slow_since_ms: Option<u64>) -> Slot {
        Slot { member, turn: 0, slow_since_ms, was_up: None }
    }

    /// How it is, unless it is drained. Notes when it is up again.
    pub fn look(&mut self, now_ms: u64) -> Option<Health> {
        let is_drained = self.member.is_drained();
        let health = self.member.health();
        let is_up = health == Health::Up && !is_drained;
        // What nobody has looked at was neither up nor down: finding it up is no return.
        if is_up && self.was_up == Some(false) {
            self.slow_since_ms = Some(now_ms);
        }
        if health != Health::Unknown || is_drained {
            self.was_up = Some(is_up);
        }
        (!is_drained).then_some(health)
    }

    /// Its weight now, in thousandths.
    pub fn weight(&mut self, now_ms: u64, slow_start_ms: u64) -> u64 {
        u64::from(self.member.weight) * self.share(now_ms, slow_start_ms)
    }

    /// Its share of its weight, in thousandths: a tenth at first.
    fn share(&mut self, now_ms: u64, slow_start_ms: u64) -> u64 {
        let Some(since_ms) = self.slow_since_ms else { return 1_000 };
        let so_far_ms = now_ms.saturating_sub(since_ms);
        if so_far_ms >= slow_start_ms {
            self.slow_since_ms = None;
            return 1_000;
        }
        (so_far_ms * 1_000 / slow_start_ms).max(100)
    }
}

/// How well the members that suit a name best suit it.
pub fn best_name(slots: &[Slot], server_name: Option<&str>) -> usize {
    slots.iter().map(|slot| slot.member.name_rank(server_name)).max().unwrap_or(0)
}
