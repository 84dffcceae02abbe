//! A cluster of real processes on a network of its own: nodes and etcd members in network namespaces on one bridge, generator and
//! sink beside them. Whatever happens, all of it is gone when the value is dropped.

mod etcd;
mod load;
mod net;
mod node;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

pub use etcd::EtcdMembers;
pub use load::{ClusterSink, Load, SESSIONS, Tally};
pub use net::{ETCDS, Net, Place};
pub use node::{CONNECTIONS, ClusterNode};

use crate::two::pki;

/// Three etcd members, nodes, a sink for everything that they deliver.
pub struct Cluster {
    pub nodes: Vec<ClusterNode>,
    pub etcd: EtcdMembers,
    pub sink: ClusterSink,
    pub net: Net,
    keep: tempfile::TempDir,
}

/// How long a node may be silent until its journal is taken over, in seconds.
pub const TTL_S: u64 = 3;
/// Any state that the cluster has to come to by itself.
pub const SOON: Duration = Duration::from_secs(60);

impl Cluster {
    /// Everything runs, every node takes mail. `None`, with a loud line, where a test may make no network namespaces.
    pub fn started(nodes: usize) -> Option<Cluster> {
        let mut cluster = Cluster::new(nodes)?;
        cluster.nodes.iter_mut().for_each(ClusterNode::start);
        cluster.healthy();
        Some(cluster)
    }

    /// etcd and sink run, the nodes do not yet.
    pub fn new(nodes: usize) -> Option<Cluster> {
        Cluster::of(nodes, None)
    }

    /// The same with another document of the organization.
    pub fn in_organization(nodes: usize, org: &str) -> Option<Cluster> {
        Cluster::of(nodes, Some(org))
    }

    fn of(nodes: usize, org: Option<&str>) -> Option<Cluster> {
        let net = Net::new(nodes)?;
        let keep = tempfile::tempdir().unwrap();
        let etcd = EtcdMembers::started(&net, keep.path());
        let sink = ClusterSink::started(&net, keep.path());
        pki(keep.path(), &["init", "--organization", "Chaos"]);
        let node = |number| match org {
            Some(org) => ClusterNode::in_organization(&net, keep.path(), number, nodes, org),
            None => ClusterNode::new(&net, keep.path(), number, nodes),
        };
        let nodes: Vec<ClusterNode> = (1..=nodes).map(node).collect();
        Some(Cluster { nodes, etcd, sink, net, keep })
    }

    /// The folder of logs and ledgers.
    pub fn dir(&self) -> PathBuf {
        self.keep.path().to_path_buf()
    }

    /// Waits until every node takes mail, has a level copy elsewhere, and has delivered all that it took over.
    pub fn healthy(&mut self) {
        let end = Instant::now() + SOON;
        loop {
            self.start_deposed();
            let whys: Vec<String> = self.nodes.iter().filter_map(ClusterNode::why_not_well).collect();
            if whys.is_empty() {
                return;
            }
            if Instant::now() > end {
                self.tell();
                panic!("within {SOON:?} the cluster is not well: {whys:#?}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Starts nodes that have ended with exit code 75, as systemd would. Any other end by itself is a failure.
    pub fn start_deposed(&mut self) {
        self.nodes.iter_mut().for_each(ClusterNode::start_if_deposed);
    }

    /// How many journals were taken over from a node that was not dead, as these nodes have found.
    pub fn deposed(&self) -> usize {
        let found = |node: &ClusterNode| node.log().matches("has taken this journal over").count();
        self.nodes.iter().map(found).sum()
    }

    /// Messages that some node has named as a possible duplicate.
    pub fn named(&self) -> HashSet<String> {
        let mut named = HashSet::new();
        for node in &self.nodes {
            let log = node.log();
            let lists = log.lines().filter_map(|line| line.split_once("possible duplicates: "));
            named.extend(lists.flat_map(|(_, ids)| ids.split(' ').map(String::from).collect::<Vec<_>>()));
        }
        named
    }

    /// A node by its number, from 1.
    pub fn node(&mut self, number: usize) -> &mut ClusterNode {
        &mut self.nodes[number - 1]
    }

    /// Prints the end of every log.
    pub fn tell(&self) {
        for node in &self.nodes {
            eprintln!("--- {}: {}", node.name, node.status().map_or("no answer".into(), |status| status.to_string()));
            eprintln!("--- log of {}:\n{}", node.name, tail(&node.log(), 40));
        }
    }
}

impl Drop for Cluster {
    /// A failure leaves its logs where somebody can read them.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let kept = crate::root().join("target/chaos-failed").join(format!("{}", std::process::id()));
        let _ = fs::create_dir_all(&kept);
        for entry in fs::read_dir(self.keep.path()).into_iter().flatten().flatten() {
            if entry.path().is_file() {
                let _ = fs::copy(entry.path(), kept.join(entry.file_name()));
            }
        }
        eprintln!("logs and ledgers are in {}", kept.display());
    }
}

pub(crate) fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
