//! Virtual addresses as the API shows them.

use serde::{Deserialize, Serialize};

/// A virtual address as one node sees it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VirtualAddress {
    /// Its name.
    pub name: String,
    /// The addresses, with the length of their prefix.
    pub addresses: Vec<String>,
    /// The interface that they are on where they are.
    pub interface: String,
    /// The nodes that may have it, best first; none: every one.
    pub servers: Vec<String>,
    /// It goes back to a better node.
    pub failback: bool,
    /// The node that has it.
    pub holder: Option<String>,
    /// Since when.
    pub since: Option<String>,
    /// Why it came there.
    pub why: String,
    /// The node that says this has it on its interface.
    pub here: bool,
    /// Nodes that would have it now, best first.
    pub candidates: Vec<String>,
    /// Why the node that says this would not.
    pub unfit: Option<String>,
    /// What that node did last.
    pub last: Option<VirtualAddressEvent>,
    /// Another card answered for it.
    pub conflict: Option<VirtualAddressEvent>,
    /// How often that node took it since its start.
    pub taken: u64,
    /// etcd does not answer that node, or it is in no cluster: who has it is what was known last, or not known.
    pub etcd_silent: bool,
}

/// Something that happened to it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct VirtualAddressEvent {
    /// When.
    pub at: String,
    /// What.
    pub what: String,
}
