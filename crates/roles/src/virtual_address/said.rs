//! Owns what is known and shown of each virtual address on this node, and its metrics. Decides nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::metrics::{describe_counter, describe_gauge, gauge};
use directory::VirtualAddress;

use crate::view;

/// What the tasks say, by name.
#[derive(Clone, Default)]
pub struct Said(Arc<Mutex<BTreeMap<Arc<str>, One>>>);

/// What one of them says.
#[derive(Clone, Debug, Default)]
pub struct One {
    /// The address is on our interface.
    pub here: bool,
    /// Who has it, as etcd says.
    pub holder: Option<(String, String, u64)>,
    /// Nodes that would have it, best first.
    pub candidates: Vec<String>,
    /// Why this node would not have it.
    pub unfit: Option<String>,
    /// What happened here last: took it, dropped it, and why.
    pub last: Option<(u64, String)>,
    /// Somebody else answers for it: whose card, and when.
    pub conflict: Option<(u64, String)>,
    /// How often this node took it.
    pub taken: u64,
    /// etcd does not answer.
    pub silent: bool,
}

impl Said {
    /// Changes what is said of one.
    pub fn note(&self, name: &Arc<str>, change: impl FnOnce(&mut One)) {
        change(self.all().entry(name.clone()).or_default());
    }

    /// It is no more.
    pub fn forget(&self, name: &str) {
        self.all().remove(name);
        gauge!("posthouse_virtual_address_held", "address" => name.to_string()).set(0.0);
    }

    /// One for people.
    pub fn shown(&self, spec: &VirtualAddress, without_cluster: bool) -> view::VirtualAddress {
        let one = self.all().get(&spec.name).cloned().unwrap_or_default();
        let time = mail::date::rfc3339;
        let (holder, why, since) = match one.holder {
            Some((node, why, since_ms)) => (Some(node), why, Some(time(since_ms))),
            None => (None, String::new(), None),
        };
        let unfit = if without_cluster { Some(WITHOUT_CLUSTER.into()) } else { one.unfit };
        view::VirtualAddress {
            name: spec.name.to_string(),
            addresses: spec.addresses.iter().map(ToString::to_string).collect(),
            interface: spec.interface.to_string(),
            servers: spec.servers.iter().flatten().map(ToString::to_string).collect(),
            failback: spec.failback,
            holder,
            since,
            why,
            here: one.here,
            candidates: one.candidates,
            unfit,
            last: one.last.map(|(at_ms, what)| view::VirtualAddressEvent { at: time(at_ms), what }),
            conflict: one.conflict.map(|(at_ms, what)| view::VirtualAddressEvent { at: time(at_ms), what }),
            taken: one.taken,
            etcd_silent: one.silent || without_cluster,
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, One>> {
        // Plain values; nobody panics while holding them.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the metrics mean.
pub fn describe() {
    describe_gauge!("posthouse_virtual_address_held", "This node has the virtual address.");
    describe_counter!(
        "posthouse_virtual_address_taken_total",
        "Times that this node took the virtual address, by why."
    );
    describe_counter!("posthouse_virtual_address_dropped_total", "Times that this node dropped it, by why.");
    describe_counter!("posthouse_virtual_address_announcements_total", "Announcements to the neighbours.");
    describe_counter!("posthouse_virtual_address_conflicts_total", "Times that another card answered for it.");
}

const WITHOUT_CLUSTER: &str = "this node is in no cluster: without etcd an address is keepalived's to move; docs/operating/virtual-address-with-keepalived.md";
