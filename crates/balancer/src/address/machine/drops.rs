//! When a node that has the address gives it up.
//!
//! Always holds: what says that it may not be ours any more (lease, time, key) comes before what says that it should not be; and for the
//! latter another node must be there that would have it.

use super::{Facts, Fit, Holding, Machine, Why};

impl Machine {
    pub(super) fn must_drop(&mut self, now_ms: u64, facts: &Facts, held: &Holding) -> Option<Why> {
        if facts.lease.is_none_or(|lease| lease.id != held.lease) {
            return Some(Why::Lease);
        }
        if now_ms >= held.lapses_ms {
            return Some(Why::Late);
        }
        if facts.seen_at >= held.claimed_at && facts.holder.as_ref().is_none_or(|seen| seen.lease != held.lease) {
            return Some(Why::Key);
        }
        if let Fit::Unable(why) = &facts.fit {
            return Some(Why::Unfit(why.clone()));
        }
        if let Some(until_ms) = held.kept_until_ms {
            return (now_ms >= until_ms).then_some(Why::NoHeir);
        }
        if let Some(why) = self.unready(now_ms, facts, held.settled_ms) {
            return Some(why);
        }
        if facts.preference.is_none() {
            return Some(Why::NotOurs);
        }
        let me = self.rules.me.as_str();
        if let Some(order) = facts.order.as_ref().filter(|order| order.from == me) {
            let to = order.to.as_deref();
            if to != Some(me) && self.has_other(facts, to) {
                return Some(Why::Ordered(order.to.clone()));
            }
        }
        self.better(now_ms, facts, held.pinned).map(Why::Failback)
    }

    /// We are not ready, and another one is. What ails us may ail all, and they are about to say so: they are given a moment.
    fn unready(&mut self, now_ms: u64, facts: &Facts, settled_ms: u64) -> Option<Why> {
        let Fit::NotReady(why) = &facts.fit else {
            self.unready_since_ms = None;
            return None;
        };
        if self.would_hold || now_ms < settled_ms {
            return None;
        }
        let since_ms = *self.unready_since_ms.get_or_insert(now_ms);
        // An address that says "not now" is better than one that says nothing.
        (now_ms - since_ms >= UNREADY_MS && self.has_other(facts, None)).then(|| Why::Unfit(why.clone()))
    }

    /// Another node would have it: this one, or any.
    pub(super) fn has_other(&self, facts: &Facts, node: Option<&str>) -> bool {
        let mut others = facts.candidates.iter().filter(|other| other.node != self.rules.me);
        others.any(|other| node.is_none_or(|node| other.node == node))
    }

    /// A better node that has been ready long enough.
    fn better(&mut self, now_ms: u64, facts: &Facts, pinned: bool) -> Option<String> {
        let ours = facts.preference.filter(|_| self.rules.failback && !pinned)?;
        let better =
            facts.candidates.iter().filter(|other| other.preference < ours).min_by_key(|other| other.preference);
        let Some(better) = better else {
            self.better_since_ms = None;
            return None;
        };
        let since_ms = *self.better_since_ms.get_or_insert(now_ms);
        (now_ms - since_ms >= FAILBACK_MS).then(|| better.node.clone())
    }
}

/// From when we count as not ready to when that has moved the address: those that fail for the same reason have said so by then.
const UNREADY_MS: u64 = 500;
/// How long a better node must be ready before it is given its address back.
const FAILBACK_MS: u64 = 10_000;
