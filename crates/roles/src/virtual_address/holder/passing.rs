//! How the task of an address takes it from the process before this one, keeps it for the next one, and gives it.

use std::os::fd::OwnedFd;

use ::cluster::etcd::{Held as HeldLease, Keeper, LeaseState};
use balancer::address::{Facts, Inheritance, Machine};
use tracing::info;

use super::super::guard::Held;
use super::{Holder, KEEP_ALIVES_PER_TTL, rules};
use crate::succession::HeldAddress;

impl Holder {
    /// Goes on with what the process before this one has held and had to give: asked for at `asked_ms`, with the pipe of its guard. What
    /// cannot be gone on with is that guard's to remove.
    pub async fn inherit(&mut self, held: &HeldAddress, asked_ms: u64, guard: Option<&OwnedFd>) {
        self.link = self.on_link.link(&self.shared.interfaces).await;
        let Ok(link) = self.link.clone() else { return };
        // How the subnet is routed; without it the address is put as one that routes it.
        let _ = self.on_link.look(&self.shared.interfaces, &link).await;
        let lapses_ms = asked_ms + held.lapses_in_ms;
        let at = Held {
            name: held.name.clone(),
            index: link.index,
            nets: held.nets.clone(),
            lease: held.lease,
            for_ms: lapses_ms.saturating_sub(self.now_ms()),
        };
        if !self.shared.watchman().take_on(at, guard) {
            return;
        }
        let given = Inheritance { lease: held.lease, claimed_at: held.claimed_at, pinned: held.pinned, lapses_ms };
        self.machine = Machine::heir(rules(&self.shared, &self.spec), self.now_ms(), given);
        let until_ms = asked_ms + held.lease_left_ms;
        let lease = HeldLease { id: held.lease, until_ms, ttl_ms: held.lease_ttl_ms };
        let (client, clock) = (self.shared.client.clone(), self.shared.parts.world.clock.clone());
        self.keeper = Some(Keeper::resume(client, lease, KEEP_ALIVES_PER_TTL, clock));
        info!(address = &*self.spec.name, "this process has the virtual address from the one before it");
        let now_ms = self.shared.parts.world.clock.wall_ms();
        self.said.note(&self.spec.name, |one| one.last = Some((now_ms, "a new process has it, nothing moved".into())));
    }

    /// The process ends: what is held stays for the next one.
    pub(super) async fn keep(&mut self, facts: &Facts) {
        let effects = self.machine.keep(self.now_ms() + KEEP_MAX_MS);
        self.carry_out(effects, facts).await;
    }

    /// The lease goes on without this process; its guard's pipe goes with what is told here.
    pub(super) async fn give(mut self) -> Option<HeldAddress> {
        let lease = self.keeper.as_ref().map(|keeper| keeper.state().borrow().clone());
        let now_ms = self.now_ms();
        let Some(LeaseState::Held(lease)) = lease.filter(|lease| lease.id(now_ms).is_some()) else {
            self.leave().await;
            return None;
        };
        let Some(given) = self.machine.give().filter(|given| given.lease == lease.id) else {
            self.leave().await;
            return None;
        };
        info!(address = &*self.spec.name, "the next process has the virtual address now");
        Some(HeldAddress {
            name: self.spec.name.to_string(),
            interface: self.spec.interface.to_string(),
            nets: self.spec.addresses.iter().map(ToString::to_string).collect(),
            lease: given.lease,
            lease_ttl_ms: lease.ttl_ms,
            lease_left_ms: lease.until_ms.saturating_sub(now_ms),
            lapses_in_ms: given.lapses_ms.saturating_sub(now_ms),
            claimed_at: given.claimed_at,
            pinned: given.pinned,
        })
    }
}

/// Longest wait of an address for the next process: a node that recovers for longer is better without it.
const KEEP_MAX_MS: u64 = 30_000;
