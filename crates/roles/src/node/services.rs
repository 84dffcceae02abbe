//! What a node counts of its services, and how fast that grows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use balancer::pool::Pool;

use super::Node;
use crate::control::{AllCounted, Counted, MemberRates, counters};

/// How fast the counters of members grow.
pub(super) type SharedRates = Mutex<MemberRates>;

impl Node {
    /// What was counted here of each service that runs here.
    pub(crate) fn counted_services(&self) -> AllCounted {
        let (now_ms, pools) =
            (self.world.clock.mono_ms(), self.services.as_ref().map(|services| services.pools()).unwrap_or_default());
        let counted = |(pool, wrong): (Arc<Pool>, Option<String>)| {
            let counted = Counted {
                members: pool.shown(now_ms),
                retries_hidden: pool.rescued(),
                unserved: pool.unserved(),
                wrong,
            };
            (pool.service().to_string(), counted)
        };
        pools.into_iter().map(counted).collect()
    }

    /// How fast that grows.
    pub(crate) fn member_rates(&self) -> MutexGuard<'_, MemberRates> {
        // Whole values; nobody panics while holding it.
        self.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the counters, once a second.
    pub(super) fn look_at_services(&self) {
        if let Some(services) = &self.services {
            services.publish();
        }
        let counted = self.counted_services();
        let now_ms = self.world.clock.mono_ms();
        self.member_rates().look(now_ms, counters(&counted));
    }
}
