//! The virtual addresses of a node: one task for each, on a thread of their own.
//!
//! Owns which of them run and what is shown of them. Decides nothing: [`balancer::address::Machine`] does. Refuses to share a thread with
//! mail: a renewal that comes late costs the address. Always holds: what the document no longer has is dropped before its task ends; a node
//! that ends drops all of them before it refuses connections; one that another process takes the place of keeps them until that one has
//! them, with the guard that watches over both.

mod fit;
pub mod guard;
mod holder;
mod links;
mod said;
mod tasks;
mod watchman;
mod words;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use ::cluster::Cluster;
use ::cluster::etcd::{Access, Client};
use ::cluster::vip::Vips;
use balancer::address::Interfaces;
use directory::{Org, VirtualAddress};
use tokio::sync::watch;
use tracing::{error, warn};
use world::World;

use crate::health::Health;
use crate::succession::Bequest;
use crate::view;
use fit::Fitness;
pub use fit::{OwnServices, ServicesReady};
use said::Said;
use tasks::Tasks;
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
    passing: Arc<Passing>,
    /// What the thread gives to the process that comes after this one.
    given: Mutex<Option<mpsc::Receiver<Bequest>>>,
}

/// What the document has, and what is to become of it.
#[derive(Clone, Default)]
struct Wanted {
    addresses: Vec<Arc<VirtualAddress>>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The node has them as it should.
    #[default]
    Runs,
    /// It keeps those that it has, for the next process.
    Kept,
    /// That one takes them.
    Given,
    /// All are dropped.
    Ends,
}

/// What goes from process to process.
#[derive(Default)]
struct Passing {
    /// What the process before this one has given, until the thread takes it.
    inherited: Mutex<Option<Inherited>>,
    /// Addresses are kept for the next process: that this one ends says nothing of them.
    is_kept: AtomicBool,
}

impl Passing {
    fn inherited(&self) -> Option<Inherited> {
        self.inherited.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What the process before this one has given.
struct Inherited {
    bequest: Bequest,
    /// Our monotonic clock before it was asked for: its times count from no later than that.
    asked_ms: u64,
}

impl VirtualAddresses {
    /// Begins with nothing; [`VirtualAddresses::follow`] tells what there is. Without a cluster none of them is ever held.
    pub fn start(parts: Option<Parts>) -> VirtualAddresses {
        said::describe();
        let (wanted, told) = watch::channel(Wanted::default());
        let said = Said::default();
        let passing: Arc<Passing> = Arc::default();
        let (gives, given) = mpsc::channel();
        let over = parts.map(|parts| {
            let (ends, over) = watch::channel(());
            let (said, passing) = (said.clone(), passing.clone());
            let thread = std::thread::Builder::new().name("addresses".into());
            let began = thread.spawn(move || {
                if let Some(bequest) = run(parts, told, &passing, said) {
                    // Nobody waits any more: then the guard ends it, whose pipe closes here.
                    let _ = gives.send(bequest);
                }
                drop(ends);
            });
            if let Err(error) = began {
                error!("no thread for virtual addresses: {error}; this node takes none");
            }
            over
        });
        VirtualAddresses { wanted, said, over, passing, given: Mutex::new(Some(given)) }
    }

    /// Goes on with what the process before this one has given, as far as the document has it; it was asked for at `asked_ms`. Then
    /// [`VirtualAddresses::follow`] must come with the same document.
    pub fn inherit(&self, org: &Org, bequest: Bequest, asked_ms: u64) {
        // Where nobody goes on with any it is dropped, and the guard that comes with it ends it.
        if self.over.is_some() && !org.virtual_addresses.is_empty() {
            let mut inherited = self.passing.inherited.lock().unwrap_or_else(PoisonError::into_inner);
            *inherited = Some(Inherited { bequest, asked_ms });
        }
    }

    /// Those of the document from now on.
    pub fn follow(&self, org: &Org) {
        self.wanted.send_if_modified(|wanted| {
            let changed = wanted.addresses != org.virtual_addresses;
            wanted.addresses = org.virtual_addresses.clone();
            changed
        });
    }

    /// Another process is to take the place of this one: what is held is kept for it, for a while, and nothing new is taken.
    /// Call it before anything of the node ends.
    pub fn keep(&self) {
        self.passing.is_kept.store(true, Ordering::Release);
        self.wanted.send_modify(|wanted| wanted.stage = Stage::Kept);
    }

    /// Gives what is held to that process, and has nothing more to do with it. Blocks, no longer than [`LEAVE_MAX`].
    pub fn give(&self) -> Bequest {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner).take();
        let (Some(given), Some(_)) = (given, &self.over) else { return Bequest::default() };
        self.wanted.send_modify(|wanted| wanted.stage = Stage::Given);
        match given.recv_timeout(LEAVE_MAX) {
            Ok(bequest) => bequest,
            // It had none.
            Err(mpsc::RecvTimeoutError::Disconnected) => Bequest::default(),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                warn!("the virtual addresses cannot be given to the next process in time; their guard ends them");
                Bequest::default()
            }
        }
    }

    /// Drops all of them, because the node ends. Waits no longer than [`LEAVE_MAX`].
    pub async fn leave(&self) {
        self.wanted.send_modify(|wanted| wanted.stage = Stage::Ends);
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
fn run(parts: Parts, wanted: watch::Receiver<Wanted>, passing: &Arc<Passing>, said: Said) -> Option<Bequest> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(drive(parts, wanted, passing, said)),
        Err(error) => Err(error.to_string()),
    };
    // What was given and could not be gone on with: its guard ends it now.
    drop(passing.inherited());
    done.unwrap_or_else(|why| {
        error!("virtual addresses: {why}; this node takes none");
        None
    })
}

/// What the tasks share.
struct Shared {
    parts: Parts,
    interfaces: Interfaces,
    vips: Vips,
    client: Client,
    watchman: Mutex<Watchman>,
    process: u64,
    passing: Arc<Passing>,
}

impl Shared {
    fn is_kept(&self) -> bool {
        self.passing.is_kept.load(Ordering::Acquire)
    }

    fn watchman(&self) -> std::sync::MutexGuard<'_, Watchman> {
        self.watchman.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn drive(
    parts: Parts,
    mut wanted: watch::Receiver<Wanted>,
    passing: &Arc<Passing>,
    said: Said,
) -> Result<Option<Bequest>, String> {
    // Nothing is opened for a document that has none.
    let has_some = |wanted: &Wanted| !wanted.addresses.is_empty() || wanted.stage >= Stage::Given;
    if wanted.wait_for(has_some).await.map_or(true, |wanted| wanted.addresses.is_empty()) {
        return Ok(None);
    }
    let client = Client::new(parts.access.clone())?;
    let interfaces = Interfaces::open().map_err(|error| format!("netlink: {error}"))?;
    let shared = Arc::new(Shared {
        vips: Vips::new(client.clone(), parts.cluster.keys().clone()),
        watchman: Mutex::new(Watchman::new(&parts.access)),
        process: parts.world.chance.u64(),
        interfaces,
        client,
        passing: passing.clone(),
        parts,
    });
    let mut tasks = Tasks::new(shared.clone(), said);
    loop {
        let now = wanted.borrow_and_update().clone();
        match now.stage {
            Stage::Runs => tasks.follow(&now.addresses, passing.inherited()).await,
            Stage::Kept => tasks.keep(),
            Stage::Given => return Ok(Some(tasks.give().await)),
            Stage::Ends => {
                tasks.follow(&[], None).await;
                return Ok(None);
            }
        }
        loop {
            tokio::select! {
                changed = wanted.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return Ok(None),
                },
                () = tokio::time::sleep(LOOK) => shared.watchman().look(),
            }
        }
    }
}

/// Longest wait for the addresses to be gone when a node ends: netlink takes milliseconds, etcd may be away.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// Between two looks at the guard.
const LOOK: Duration = Duration::from_secs(1);
