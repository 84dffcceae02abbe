//! This node in its cluster: who it is there, what it shows to the others, and whom it sees.
//!
//! Owns the place in etcd, and the disk's number that goes with the name. Knows no journal's bytes. Always holds: a node with another
//! disk is another member; what the others are shown of this node is what it is.

mod claim;
mod disk;
mod door;
mod etcd;
mod findings;
mod former;
mod journals;
mod memory;
mod removal;
mod say;
mod shown;
mod tenure;
mod tidy;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cluster::etcd::{Access, Client};
use cluster::keys::Keys;
use cluster::org::OrgStore;
use cluster::record::{Member, NodeRecord};
use cluster::view::View;
use cluster::{Announced, Cluster};
use directory::{Host, HostPort, Loaded, Peer};
use spool::Spool;
use tokio::sync::watch;
use world::World;

use crate::copies::NodeCopies;
use crate::data::DataDir;
use crate::peers::Peers;
use crate::view;
pub use claim::{Claimed, claim};
use journals::Journals;
pub use journals::Parts;
use memory::Memory;
pub use removal::{No, plan};
use shown::Known;
pub use shown::{JOURNAL_STATES, state_of};

/// A node's place in its cluster.
pub struct InCluster {
    /// The tasks that keep it, and the way to etcd.
    pub cluster: Arc<Cluster>,
    memory: Arc<Mutex<Memory>>,
    /// The tasks of its journals, once they run.
    journals: OnceLock<Journals>,
}

/// Why a node cannot be in its cluster; for the operator.
pub struct ClusterError(pub String);

impl InCluster {
    /// Begins; waits for nothing. `None` without `[cluster]`. Call it inside a tokio runtime.
    pub fn start(world: &World, loaded: &Loaded, data: &DataDir) -> Result<Option<InCluster>, ClusterError> {
        let Some(written) = &loaded.node.cluster else { return Ok(None) };
        let disk = disk::number(world, &data.disk()).map_err(|error| {
            ClusterError(format!("{}: {error}; the data directory must be writable", data.disk().display()))
        })?;
        let me = Member { node: loaded.node.name.to_ascii_lowercase(), disk };
        let settings = etcd::settings(world, written).map_err(ClusterError)?;
        let record = NodeRecord {
            process: world.chance.u64(),
            roles: vec!["hub".into()],
            peer: own_address(loaded).map_or_else(String::new, |address| address.to_string()),
            http: loaded.node.http.listen.to_string(),
            site: written.site.clone(),
            rack: written.rack.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            health: "starting".into(),
            ..NodeRecord::default()
        };
        let cluster = Cluster::start(settings, world.clone(), me, record)
            .map_err(|what| ClusterError(format!("posthouse.toml: [cluster]: {what}")))?;
        let memory = Arc::new(Mutex::new(Memory::new(world.clock.wall_ms())));
        tokio::spawn(remember(world.clone(), cluster.view(), memory.clone()));
        Ok(Some(InCluster { cluster: Arc::new(cluster), memory, journals: OnceLock::new() }))
    }

    /// Who we are.
    pub fn me(&self) -> &Member {
        self.cluster.me()
    }

    /// What is known of the cluster.
    pub fn view(&self) -> Arc<View> {
        self.cluster.view().borrow().clone()
    }

    /// Whether a live node has this one's name and another disk.
    pub fn is_clash(&self) -> bool {
        *self.cluster.announced().borrow() == Announced::Clash
    }

    /// Whether this node's lease counts at `now_ms` of the monotonic clock.
    pub fn is_lease_held(&self, now_ms: u64) -> bool {
        self.cluster.lease().borrow().id(now_ms).is_some()
    }

    /// All of it for people: with what nodes have `reported` of themselves, and what members of etcd have said.
    pub fn shown(
        &self,
        now_ms: u64,
        links: &[view::Peer],
        reports: &BTreeMap<String, view::Report>,
        endpoints: Vec<view::EtcdEndpoint>,
    ) -> view::Cluster {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let (view, announced) = (self.view(), self.cluster.announced().borrow().clone());
        let (me, lease_held) = (self.me().node.as_str(), self.is_lease_held(now_ms));
        Known { me, view: &view, memory: &memory, lease_held, announced, endpoints, links, reports }.cluster()
    }

    /// Gives each journal of the node its task. Blocks for reading copies; call it inside a tokio runtime, once.
    pub fn start_journals(&self, parts: Parts, claimed: Claimed, spool: &Spool) -> io::Result<NodeCopies> {
        let (journals, copies) = Journals::start(&self.cluster, parts, claimed, spool)?;
        self.journals.get_or_init(|| journals);
        Ok(copies)
    }

    /// The journals that are this node's now, each with its copies; none before they run.
    pub fn owned(&self) -> Vec<(String, Vec<view::OwnCopy>)> {
        self.journals.get().map(Journals::shown).unwrap_or_default()
    }

    /// Hands all journals of this node over, once nothing is written to them any more; to one node, or to whoever comes first. Says who
    /// has them now; the error is for people.
    pub async fn hand_over(&self, to: Option<&str>) -> Result<Vec<String>, String> {
        match self.journals.get() {
            Some(journals) => journals.hand_over(to).await,
            None => Err(String::from("the node is still starting")),
        }
    }

    /// Links to nodes that the documents do not name are made and ended as etcd shows them. Ends with the cluster.
    pub fn link_to_all(&self, peers: &Peers, known: Vec<Peer>) {
        let (mut view, peers, me) = (self.cluster.view(), peers.clone(), self.me().node.clone());
        tokio::spawn(async move {
            let mut before = Vec::new();
            loop {
                let list = all_peers(&known, &view.borrow_and_update(), &me);
                // A node whose lease is gone may only be cut off from etcd: its link stays until another list is known.
                if list != before && !list.is_empty() {
                    peers.follow(&list);
                    before = list;
                }
                if view.changed().await.is_err() {
                    return;
                }
            }
        });
    }
}

/// Remembers when etcd and nodes came and went. Ends with the cluster.
async fn remember(world: World, mut view: watch::Receiver<Arc<View>>, memory: Arc<Mutex<Memory>>) {
    loop {
        let seen = view.borrow_and_update().clone();
        let changes = memory.lock().unwrap_or_else(PoisonError::into_inner).look(world.clock.wall_ms(), &seen);
        changes.iter().for_each(memory::Change::say);
        if view.changed().await.is_err() {
            return;
        }
    }
}

/// The way to etcd as the node document has it, for connections of their own.
pub fn etcd_access(world: &World, written: &directory::Cluster) -> Result<Access, ClusterError> {
    etcd::settings(world, written).map(|settings| settings.access).map_err(ClusterError)
}

/// The organization document in etcd, for a node that is not in its cluster yet.
pub fn org_store(world: &World, written: &directory::Cluster) -> Result<OrgStore, ClusterError> {
    let settings = etcd::settings(world, written).map_err(ClusterError)?;
    let client =
        Client::new(settings.access).map_err(|what| ClusterError(format!("posthouse.toml: [cluster]: {what}")))?;
    Ok(OrgStore::new(client, Keys::new(&settings.prefix)))
}

/// The nodes of the document, and those that etcd shows besides.
fn all_peers(known: &[Peer], view: &View, me: &str) -> Vec<Peer> {
    let mut list = known.to_vec();
    for (name, record) in view.nodes.iter().filter(|(name, _)| *name != me) {
        if list.iter().any(|peer| peer.name == *name) {
            continue;
        }
        if let Ok(address) = HostPort::parse(&record.peer, None) {
            list.push(Peer { name: name.clone(), address, keeps_copy: true });
        }
    }
    list
}

/// Where the other nodes reach our links, if that can be known.
fn own_address(loaded: &Loaded) -> Option<HostPort> {
    let listen = loaded.node.peers.as_ref()?.listen;
    let written = loaded.node.cluster.as_ref()?.address.clone();
    let listening = HostPort { host: Host::Ip(listen.ip()), port: listen.port() };
    written.or_else(|| (!listen.ip().is_unspecified()).then_some(listening))
}
