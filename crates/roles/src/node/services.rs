//! What a node counts of its services, and how fast that grows.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::Node;
use crate::control::{AllCounted, MemberRates, counters};

/// How fast the counters of members grow.
pub(super) type SharedRates = Mutex<MemberRates>;

impl Node {
    /// What was counted here of each service that runs here.
    pub(crate) fn counted_services(&self) -> AllCounted {
        AllCounted::new()
    }

    /// How fast that grows.
    pub(crate) fn member_rates(&self) -> MutexGuard<'_, MemberRates> {
        // Whole values; nobody panics while holding it.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the counters, once a second.
    pub(super) fn look_at_services(&self) {
        let counted = self.counted_services();
        let now_ms = self.world.clock.mono_ms();
        self.member_rates().look(now_ms, counters(&counted));
    }
}
