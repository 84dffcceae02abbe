//! Owns what all hops share, and the list of hops that have something to do.
//!
//! Always holds: a hop that rings is in the list; it leaves the list only when it is idle, under the same lock.

use super::Parts;
use super::connect::Peer;
use super::hop::{Hop, Presence};
use super::metrics::Metrics;
use super::penalties::Penalties;
use super::shaping::Shaping;
use super::slots::Slots;
use super::turns::Turns;
use super::{remote, store};
use crate::tls_client::TlsClient;
use spool::{HopId, Spool};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use world::World;

pub(super) struct Center {
    pub parts: Parts,
    pub spool: Spool,
    pub world: World,
    pub tls: TlsClient,
    pub penalties: Penalties<SocketAddr>,
    /// Servers of the organization that failed a moment ago, by name.
    pub server_penalties: Penalties<Arc<str>>,
    pub metrics: Metrics,
    /// Connections to all hops together.
    pub slots: Slots,
    /// Which smart host comes first next time.
    pub rotation: AtomicUsize,
    /// Which server of the organization comes first next time.
    pub turns: Turns,
    runtime: Handle,
    hops: Mutex<HashMap<HopId, Arc<Hop>>>,
    stopping: watch::Sender<bool>,
    tasks: AtomicUsize,
    task_ended: Notify,
}

impl Center {
    pub fn new(parts: Parts, tls: TlsClient) -> Center {
        Center {
            spool: parts.spool.clone(),
            world: parts.world.clone(),
            tls,
            penalties: Penalties::default(),
            server_penalties: Penalties::default(),
            metrics: Metrics::new(),
            slots: Slots::new(parts.connections_max.max(1)),
            rotation: AtomicUsize::new(0),
            turns: Turns::default(),
            runtime: Handle::current(),
            hops: Mutex::new(HashMap::new()),
            stopping: watch::Sender::new(false),
            tasks: AtomicUsize::new(0),
            task_ended: Notify::new(),
            parts,
        }
    }

    /// Our name, for what has no connector that says another one.
    pub fn hostname(&self) -> &str {
        self.parts.own_names.first().map_or("localhost", String::as_str)
    }

    /// Has the hops go on when a pause ends.
    pub fn follow_pauses(center: &Arc<Center>) {
        let (mut watching, center) = (center.parts.shaping.watch(), Arc::downgrade(center));
        tokio::spawn(async move {
            while let Some(paused) = Shaping::changed(&mut watching).await {
                let Some(center) = center.upgrade() else { return };
                if !paused {
                    let hops: Vec<Arc<Hop>> = center.lock().values().cloned().collect();
                    hops.iter().for_each(|hop| hop.nudge());
                }
            }
        });
    }

    /// The spool has work for a hop.
    pub fn ready(self: &Arc<Center>, id: HopId) {
        let mut hops = self.lock();
        if let Some(hop) = hops.get(&id) {
            return hop.ring();
        }
        // A hop that was forgotten has no work; mail without a route waits for a change of configuration.
        let Some(key) = self.spool.hop_key(id).filter(|key| !key.is_unreachable()) else { return };
        let hop = Arc::new(Hop::new(id, key, Arc::clone(self)));
        hops.insert(id, Arc::clone(&hop));
        hop.ring();
    }

    /// A task for a hop, which has counted it already: now, or when there is a slot for its connection.
    pub fn start_task(&self, hop: &Arc<Hop>) {
        if hop.is_store() || self.slots.take(hop) {
            self.spawn(Presence(Arc::clone(hop)));
        }
    }

    fn spawn(&self, presence: Presence) {
        self.tasks.fetch_add(1, Ordering::AcqRel);
        self.runtime.spawn(async move {
            if presence.0.is_store() {
                store::run(&presence.0).await;
            } else {
                remote::run(&presence.0).await;
            }
        });
    }

    /// Has the hop look again after a while.
    pub fn nudge_later(&self, hop: &Arc<Hop>, after: Duration) {
        let hop = Arc::clone(hop);
        self.runtime.spawn(async move {
            tokio::time::sleep(after).await;
            hop.nudge();
        });
    }

    /// A task of this hop has left it.
    pub fn task_ended(&self, hop: &Arc<Hop>) {
        let next = if hop.is_store() { None } else { self.slots.release() };
        if let Some(next) = next {
            self.spawn(Presence(next));
        }
        let mut hops = self.lock();
        if hop.is_idle() {
            hops.remove(&hop.id);
        }
        drop(hops);
        self.tasks.fetch_sub(1, Ordering::AcqRel);
        self.task_ended.notify_waiters();
    }

    /// Others go before this one for a while.
    pub fn penalize(&self, peer: &Peer) {
        let now_ms = self.world.clock.mono_ms();
        match (&peer.server, peer.address) {
            (Some(server), _) => self.server_penalties.add(Arc::clone(server), now_ms),
            (None, Some(address)) => self.penalties.add(address, now_ms),
            (None, None) => {}
        }
    }

    /// No hop takes anything out of the spool now.
    pub fn is_paused(&self) -> bool {
        self.parts.shaping.is_paused()
    }

    pub fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits until we are stopping.
    pub async fn stopping(&self) {
        // The sender lives as long as we do.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }

    /// No new work; waits until all tasks have ended, for at most `patience`.
    pub async fn stop(&self, patience: Duration) {
        self.stopping.send_replace(true);
        self.parts.shaping.forget(self);
        let hops: Vec<Arc<Hop>> = self.lock().values().cloned().collect();
        hops.iter().for_each(|hop| hop.ring_all());
        let all_ended = async {
            loop {
                let ended = self.task_ended.notified();
                if self.tasks.load(Ordering::Acquire) == 0 {
                    return;
                }
                ended.await;
            }
        };
        // What is not finished by then is dropped with the runtime, and the spool has it still.
        let _ = tokio::time::timeout(patience, all_ended).await;
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<HopId, Arc<Hop>>> {
        self.hops.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
