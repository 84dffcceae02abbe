//! The virtual addresses of a node: one task for each, on a thread of their own.
//!
//! Owns which of them run and what is shown of them. Decides nothing: [`balancer::address::Machine`] does. Refuses to share a thread with
//! mail: a renewal that comes late costs the address. Always holds: what the document no longer has is dropped before its task ends; a node
//! that ends drops all of them before it refuses connections.

mod fit;
pub mod guard;
mod holder;
mod links;
mod said;
mod watchman;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::cluster::Cluster;
use ::cluster::etcd::{Access, Client};
use ::cluster::vip::Vips;
use balancer::address::Interfaces;
use directory::{Org, VirtualAddress};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::error;
use world::World;

use crate::health::Health;
use crate::view;
use fit::Fitness;
pub use fit::{OwnServices, ServicesReady};
use holder::Holder;
use said::Said;
use watchman::Watchman;

/// What virtual addresses need of their node.
#[derive(Clone)]
pub struct Parts {
    /// The clock.
    pub world: World,
    /// The node's health.
    pub health: Arc<Health>,
    /// Whether services are ready.
    pub services: Arc<dyn ServicesReady>,
    /// The cluster: who else is there.
    pub cluster: Arc<Cluster>,
    /// The way to etcd, for connections of our own.
    pub access: Access,
}

/// The virtual addresses of this node.
pub struct VirtualAddresses {
    wanted: watch::Sender<Wanted>,
    said: Said,
    /// Dropped by the thread when it has dropped all addresses.
    over: Option<watch::Receiver<()>>,
}

/// What the document has, and whether the node ends.
#[derive(Clone, Default)]
struct Wanted {
    addresses: Vec<Arc<VirtualAddress>>,
    ends: bool,
}

impl VirtualAddresses {
    /// Begins with nothing; [`VirtualAddresses::follow`] tells what there is. Without a cluster none of them is ever held.
    pub fn start(parts: Option<Parts>) -> VirtualAddresses {
        said::describe();
        let (wanted, told) = watch::channel(Wanted::default());
        let said = Said::default();
        let over = parts.map(|parts| {
            let (ends, over) = watch::channel(());
            let said = said.clone();
            let thread = std::thread::Builder::new().name("addresses".into());
            let began = thread.spawn(move || {
                run(parts, told, said);
                drop(ends);
            });
            if let Err(error) = began {
                error!("no thread for virtual addresses: {error}; this node takes none");
            }
            over
        });
        VirtualAddresses { wanted, said, over }
    }

    /// Those of the document from now on.
    pub fn follow(&self, org: &Org) {
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.addresses != org.virtual_addresses;
            wanted.addresses = org.virtual_addresses.clone();
            changed
        });
    }

    /// Drops all of them, because the node ends. Waits no longer than [`LEAVE_MAX`].
    pub async fn leave(&self) {
        self.wanted.send_modify(|wanted| wanted.ends = true);
        if let Some(mut over) = self.over.clone() {
            // An error is what is waited for: the thread has ended.
            let _ = tokio::time::timeout(LEAVE_MAX, async { while over.changed().await.is_ok() {} }).await;
        }
    }

    /// Each of the document, as this node sees it.
    pub fn shown(&self) -> Vec<view::VirtualAddress> {
        let wanted = self.wanted.borrow().addresses.clone();
        let without_cluster = self.over.is_none();
        wanted.iter().map(|spec| self.said.shown(spec, without_cluster)).collect()
    }
}

/// The thread.
fn run(parts: Parts, wanted: watch::Receiver<Wanted>, said: Said) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(drive(parts, wanted, said)),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = done {
        error!("virtual addresses: {why}; this node takes none");
    }
}

/// What the tasks share.
struct Shared {
    parts: Parts,
    interfaces: Interfaces,
    vips: Vips,
    client: Client,
    watchman: Mutex<Watchman>,
    process: u64,
}

impl Shared {
    fn watchman(&self) -> std::sync::MutexGuard<'_, Watchman> {
        self.watchman.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Task {
    spec: watch::Sender<Option<Arc<VirtualAddress>>>,
    handle: JoinHandle<()>,
}

async fn drive(parts: Parts, mut wanted: watch::Receiver<Wanted>, said: Said) -> Result<(), String> {
    // Nothing is opened for a document that has none.
    let has_some = |wanted: &Wanted| !wanted.addresses.is_empty() || wanted.ends;
    if wanted.wait_for(has_some).await.is_err() {
        return Ok(());
    }
    let client = Client::new(parts.access.clone())?;
    let interfaces = Interfaces::open().map_err(|error| format!("netlink: {error}"))?;
    let shared = Arc::new(Shared {
        vips: Vips::new(client.clone(), parts.cluster.keys().clone()),
        watchman: Mutex::new(Watchman::new(&parts.access)),
        process: parts.world.chance.u64(),
        interfaces,
        client,
        parts,
    });
    let mut tasks: BTreeMap<Arc<str>, Task> = BTreeMap::new();
    loop {
        let now = wanted.borrow_and_update().clone();
        let meant = if now.ends { Vec::new() } else { now.addresses };
        follow(&mut tasks, &meant, &shared, &said).await;
        if now.ends {
            return Ok(());
        }
        tokio::select! {
            changed = wanted.changed() => if changed.is_err() { return Ok(()) },
            () = tokio::time::sleep(LOOK) => shared.watchman().look(),
        }
    }
}

/// Ends the tasks of those that are gone or are other addresses now, tells the others what has changed, and begins new ones.
async fn follow(
    tasks: &mut BTreeMap<Arc<str>, Task>,
    meant: &[Arc<VirtualAddress>],
    shared: &Arc<Shared>,
    said: &Said,
) {
    let mut ended = Vec::new();
    for (name, task) in tasks.iter() {
        match meant.iter().find(|spec| spec.name == *name).filter(|spec| is_same(spec, task)) {
            Some(spec) => {
                task.spec.send_if_modified(|before| before.replace(spec.clone()).as_ref() != Some(spec));
            }
            None => {
                task.spec.send_replace(None);
                ended.push(name.clone());
            }
        }
    }
    // All at a time: a planned end should not wait for one after the other.
    for name in ended {
        if let Some(task) = tasks.remove(&name) {
            let _ = task.handle.await;
            said.forget(&name);
        }
    }
    for spec in meant {
        if !tasks.contains_key(&spec.name) {
            let (to, changes) = watch::channel(Some(spec.clone()));
            let holder = Holder::new(shared.clone(), spec.clone(), changes, said.clone());
            tasks.insert(spec.name.clone(), Task { spec: to, handle: tokio::spawn(holder.run()) });
        }
    }
}

/// Whether what is on the wire and in the lease stays; all else changes while it is held.
fn is_same(spec: &VirtualAddress, task: &Task) -> bool {
    task.spec.borrow().as_ref().is_some_and(|before| {
        (&before.addresses, &before.interface, before.lease_ms) == (&spec.addresses, &spec.interface, spec.lease_ms)
    })
}

/// Longest wait for the addresses to be gone when a node ends: netlink takes milliseconds, etcd may be away.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// Between two looks at the guard.
const LOOK: Duration = Duration::from_secs(1);
