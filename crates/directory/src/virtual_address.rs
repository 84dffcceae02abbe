//! Virtual addresses as the document says: what moves together, where, and who may have it.

use ipnet::IpNet;
use std::sync::Arc;

/// Addresses that one node has at a time. All of them move together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualAddress {
    /// Its name.
    pub name: Arc<str>,
    /// Each with the length of its subnet's prefix. One at least.
    pub addresses: Vec<IpNet>,
    /// The interface that they are added to, on each node.
    pub interface: Box<str>,
    /// The nodes that may have it, in order of preference, in lower case; `None` is every one, in order of names.
    pub servers: Option<Vec<Box<str>>>,
    /// It goes back to a better node as soon as that is ready.
    pub failback: bool,
    /// What must be ready; `None`: the node, and the services that listen on one of the addresses.
    pub needs: Option<Vec<Box<str>>>,
    /// How long the lease lives without word from its holder, in milliseconds.
    pub lease_ms: u64,
    /// Announcements after it was taken.
    pub announce_count: u32,
    /// Between two of them, in milliseconds.
    pub announce_interval_ms: u64,
}

/// The word in `needs` that means the node itself.
pub const NEEDS_NODE: &str = "node";

impl VirtualAddress {
    /// Whether this node may have it.
    pub fn is_for(&self, node: &str) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| name.eq_ignore_ascii_case(node)))
    }

    /// Where a node stands in the order of preference, 0 first; `None`: it may not have it.
    pub fn preference(&self, node: &str) -> Option<usize> {
        match &self.servers {
            Some(servers) => servers.iter().position(|name| name.eq_ignore_ascii_case(node)),
            None => Some(0),
        }
    }
}
