//! Bounds of what a node sends: to each destination of the document, and to all while deliveries are paused.
//!
//! Owns what all deliverers of a node share. Many hops (domains) may lead to one destination (a provider): they share its connections and
//! its rate. Knows no sockets. Always holds: what is held back waits in the spool, without a connection, a task or a thread; hops that
//! lead elsewhere are not touched.

mod bucket;
mod gate;
mod lane;

use self::gate::Gate;
pub(super) use self::gate::{Call, Permit};
use self::lane::{Bounds, Wait};
use super::center::Center;
use super::hop::Hop;
use directory::Destination;
use mail::Reply;
use spool::HopKey;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use world::Clock;

/// Shared by all deliverers of a node. Clones are the same.
#[derive(Clone)]
pub struct Shaping {
    inner: Arc<Inner>,
}

struct Inner {
    paused: watch::Sender<bool>,
    clock: Arc<dyn Clock>,
    /// By the names of destinations: as many as documents have named since the start.
    gates: Mutex<HashMap<Arc<str>, Arc<Gate>>>,
}

/// Why a queue is held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBack {
    /// The destination and its bound, in words.
    pub why: String,
    /// When it goes on, Unix milliseconds; `None`: when another queue makes room.
    pub until_ms: Option<u64>,
}

/// A destination that something was sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestinationFigures {
    /// Its name.
    pub name: Arc<str>,
    /// Connections to it.
    pub connections: usize,
    /// How many there may be now.
    pub connections_max: usize,
    /// Queues that wait for it.
    pub waiting: usize,
}

impl Shaping {
    /// Nothing is paused, and nothing was sent yet.
    pub fn new(clock: Arc<dyn Clock>) -> Shaping {
        Shaping { inner: Arc::new(Inner { paused: watch::Sender::new(false), clock, gates: Mutex::default() }) }
    }

    /// Nothing is taken out of a spool while this is so. What is in flight is finished.
    pub fn pause(&self, yes: bool) {
        self.inner.paused.send_if_modified(|paused| std::mem::replace(paused, yes) != yes);
    }

    /// Whether that is so.
    pub fn is_paused(&self) -> bool {
        *self.inner.paused.borrow()
    }

    /// The queues that are held back for a destination now. Those that are served over fewer connections than they would like are not.
    pub fn held_back(&self) -> HashMap<HopKey, HeldBack> {
        let clock = &self.inner.clock;
        let (mono_ms, wall_ms) = (clock.mono_ms(), clock.wall_ms());
        let mut held = HashMap::new();
        for gate in self.gates().values() {
            gate.waiting(|hop, wait| {
                let until_ms = match wait {
                    Wait::Rate(_, at_ms) => Some(wall_ms + at_ms.saturating_sub(mono_ms)),
                    Wait::Connections(..) => None,
                };
                held.insert(hop.key.clone(), HeldBack { why: words(&gate.name, wait), until_ms });
            });
        }
        held
    }

    /// The destinations that something was sent to, by name.
    pub fn destinations(&self) -> Vec<DestinationFigures> {
        let figures = |gate: &Arc<Gate>| {
            let (connections, connections_max, waiting) = gate.figures();
            DestinationFigures { name: gate.name.clone(), connections, connections_max, waiting }
        };
        let mut all: Vec<DestinationFigures> = self.gates().values().map(figures).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// A place for one more connection of this hop; without one it stands in line and will be called.
    pub(super) fn enter(&self, hop: &Arc<Hop>, to: &Destination, call: Option<Call>) -> Option<Permit> {
        let bounds = Bounds {
            connections_max: to.connections_max as usize,
            messages_per_minute: to.message_rate_per_minute,
            cooldown_ms: to.cooldown_ms,
        };
        let mut gates = self.gates();
        let new = || Arc::new(Gate::new(&to.name, bounds, &self.inner.clock));
        let gate = gates.entry(to.name.clone()).or_insert_with(new).clone();
        drop(gates);
        gate.set_bounds(bounds);
        gate.enter(hop, call)
    }

    /// The hops of this deliverer stand in line no more.
    pub(super) fn forget(&self, center: &Center) {
        self.gates().values().for_each(|gate| gate.forget(|hop| std::ptr::eq(&*hop.center, center)));
    }

    /// Waits until a pause has begun or ended; gives which.
    pub(super) async fn changed(watching: &mut watch::Receiver<bool>) -> Option<bool> {
        watching.changed().await.ok()?;
        Some(*watching.borrow_and_update())
    }

    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.inner.paused.subscribe()
    }

    fn gates(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Gate>>> {
        self.inner.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The destination wants to be sent less: 421, or a refusal "for now" for reasons of policy (RFC 3463 x.7.x), as large providers say it.
pub(super) fn asks_for_less(reply: &Reply) -> bool {
    reply.code == 421 || reply.is_transient() && reply.enhanced.is_some_and(|code| code.subject == 7)
}

fn words(name: &str, wait: Wait) -> String {
    match wait {
        Wait::Rate(rate, _) => format!("held back: destination {name} gets {rate} messages in a minute"),
        Wait::Connections(now, most) if now < most => {
            format!("held back: destination {name} asked for less, and has {now} of {most} connections for a while")
        }
        Wait::Connections(_, most) => format!("held back: all {most} connections to destination {name} are in use"),
    }
}
