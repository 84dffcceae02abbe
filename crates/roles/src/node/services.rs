//! What a node counts of its services, and how fast that grows.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use balancer::pool::{Pool, Shown};

use super::Node;
use crate::succession::Relayed;
use crate::tally::{AllCounted, Counted, MemberRates, counters};

/// What is looked at once a second.
#[derive(Default)]
pub(super) struct Counting {
    /// How fast the counters of members grow.
    rates: Mutex<MemberRates>,
    /// What processes before this one relay still.
    left: Mutex<Vec<Relayed>>,
}

impl Node {
    /// What was counted here of each service that runs here.
    pub(crate) fn counted_services(&self) -> AllCounted {
        let (now_ms, pools) =
            (self.world.clock.mono_ms(), self.services.as_ref().map(|services| services.pools()).unwrap_or_default());
        let counted = |(pool, wrong): (Arc<Pool>, Option<String>)| {
            let counted = Counted {
                members: pool.shown(now_ms),
                retries_hidden: pool.retries_hidden(),
                unserved: pool.unserved(),
                wrong,
            };
            (pool.service().to_string(), counted)
        };
        let mut all: AllCounted = pools.into_iter().map(counted).collect();
        // What the processes before this one relay still is this node's as well.
        for left in self.left().iter() {
            let members = all.get_mut(&left.service).map(|counted| &mut counted.members);
            let same = |member: &&mut Shown| *member.name == *left.member && member.address.to_string() == left.address;
            if let Some(member) = members.and_then(|members| members.iter_mut().find(same)) {
                member.active += left.connections;
                member.in_transaction += left.in_transaction;
            }
        }
        all
    }

    fn left(&self) -> MutexGuard<'_, Vec<Relayed>> {
        self.counting.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How fast that grows.
    pub(crate) fn member_rates(&self) -> MutexGuard<'_, MemberRates> {
        // Whole values; nobody panics while holding it.
        self.counting.rates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the counters, once a second. Blocks for the answer of a process that lingers.
    pub(super) fn look_at_services(&self) {
        let org = self.org();
        let members = org.services.iter().flat_map(|service| &service.members).filter(|member| member.drain);
        let drained: Vec<(String, String)> =
            members.map(|member| (member.service.to_string(), member.name.to_string())).collect();
        let left = self.succession.before.look(&drained);
        *self.left() = left;
        let counted = self.counted_services();
        let now_ms = self.world.clock.mono_ms();
        self.member_rates().look(now_ms, counters(&counted));
    }
}
