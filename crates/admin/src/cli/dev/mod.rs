//! `posthouse dev`: a cluster on this machine, for trying things out. Owns its words and what it tells; the files and processes
//! are `roles::dev`'s, what nodes know comes over their API.

mod cluster;
mod keeper;
mod orders;
mod seen;
mod told;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use roles::dev::{DevError, Place};

use super::client::Trouble;

/// What is done with the cluster.
#[derive(Args)]
pub struct DevWords {
    /// Its directory; it is made, and only what is made is ever touched
    #[arg(long, global = true, value_name = "DIR", default_value = "posthouse-dev")]
    dir: PathBuf,
    #[command(subcommand)]
    verb: DevVerb,
}

#[derive(Subcommand)]
enum DevVerb {
    /// Start etcd and nodes on loopback, and tell what happens to them until Ctrl-C
    Cluster(ClusterWords),
    /// Kill a node (kill -9), as a power cut would
    Kill {
        /// Its number, or `etcd`
        node: String,
        /// And remove its data directory: the disk is lost as well
        #[arg(long)]
        disk: bool,
    },
    /// Start a node that was killed
    Start {
        /// Its number, or `etcd`
        node: String,
    },
    /// All nodes at a glance
    Status,
    /// End all of it; what was kept stays in the directory
    Stop,
}

#[derive(Args)]
struct ClusterWords {
    /// How many nodes, 2 to 9; two of them also do without etcd, then a person takes over
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: u16,
    /// First of the hundred ports that are used; node N has BASE+10*N and the following
    #[arg(long, value_name = "PORT", default_value_t = 2600)]
    base_port: u16,
    /// Seconds that a node may be silent until another one takes its journal over
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..=600))]
    ttl: u16,
    /// No etcd even if there is one: two nodes, and a person takes over
    #[arg(long)]
    no_etcd: bool,
}

/// What stands below the help of `posthouse dev`.
pub const EXAMPLES: &str = "A machine dies, and nothing is lost:
  posthouse dev cluster                                 in one terminal; it tells what happens
  swaks --server 127.0.0.1:2621 --to bob@later.test     in another one: a message waits on node 2
  posthouse dev kill 2 --disk                           node 2 is gone, with its disk
  posthouse dev status                                  another node has the message
  swaks --server 127.0.0.1:2605 --to ann@posthouse.test one address for all nodes: nobody sees there that one is down
  posthouse dev start 2                                 a new machine of that name joins";

/// Runs one.
pub fn run(asked: DevWords, json: bool) -> Result<(), Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Trouble::Failed(format!("no runtime: {error}")))?;
    let place = Place::at(&asked.dir)?;
    runtime.block_on(async {
        match asked.verb {
            DevVerb::Cluster(words) => cluster::run(place, &words).await,
            DevVerb::Kill { node, disk } => orders::kill(&place, &node, disk, json).await,
            DevVerb::Start { node } => orders::start(&place, &node, json).await,
            DevVerb::Status => orders::status(&place, json).await,
            DevVerb::Stop => orders::stop(&place, json).await,
        }
    })
}

impl From<DevError> for Trouble {
    fn from(error: DevError) -> Trouble {
        Trouble::Failed(error.to_string())
    }
}
