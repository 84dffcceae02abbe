//! From a command line to a valid configuration: which documents are read, which are built in, what overrides what.

use crate::node::Node;
use crate::org::Org;
use crate::problem::Problems;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use world::Disk;

/// What `posthouse start` was asked for. The default is the built-in single node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Start {
    /// `--config`: the node document.
    pub config: Option<PathBuf>,
    /// `--org`: the organization document.
    pub org: Option<PathBuf>,
    /// `--relay-to`: smart hosts; makes the built-in organization relay everything from loopback to them.
    pub relay_to: Vec<String>,
    /// `--data`: instead of what the node document says.
    pub data: Option<PathBuf>,
    /// `--http`: instead of what the node document says.
    pub http: Option<SocketAddr>,
    /// `--smtp`: where the built-in connector `in` listens; does not count with `--org`.
    pub smtp: Option<SocketAddr>,
    /// `--submission`: where the built-in connector `submission` listens; does not count with `--org`.
    pub submission: Option<SocketAddr>,
}

/// Both documents, valid.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The node's own part.
    pub node: Node,
    /// The organization.
    pub org: Arc<Org>,
    /// What is allowed but hardly meant.
    pub warnings: Problems,
}

impl Loaded {
    /// Reads the documents that `start` names, builds the rest in. All problems are found at once; nothing but reading is done.
    pub fn load(disk: &dyn Disk, start: &Start) -> Result<Loaded, Problems> {
        let _ = (disk, start);
        todo!()
    }
}
