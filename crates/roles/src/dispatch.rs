//! Owns what delivers from one spool: the spool itself, its deliverer and its timer. A node has one for its own spool, and one for each
//! that it has taken over. Knows no listeners: how mail comes into a spool is not its business.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use directory::Org;
use spool::{HopId, Spool, Wake};
use transport::categorize::Categorizer;
use transport::deliver::{Bell, Deliverer, Parts, Shaping};
use transport::dns::Resolver;
use transport::links::LinkCertificates;
use transport::swap::Swap;
use world::World;

use crate::maildir::Maildirs;
use crate::repeats;
use crate::timers::{Alarm, Timers};
use crate::trace::Trace;

/// What all spools of a node are delivered with.
#[derive(Clone)]
pub struct Kit {
    /// Disk, clock and chance.
    pub world: World,
    /// Where events go.
    pub trace: Arc<Trace>,
    /// Send connectors and domains.
    pub org: Arc<Swap<Org>>,
    /// Says where mail goes.
    pub categorizer: Arc<Categorizer>,
    /// This node's certificate of the organization, for its other servers; `None`: it has none.
    pub links: Option<Arc<dyn LinkCertificates>>,
    /// Asks name servers.
    pub resolver: Resolver,
    /// The Maildirs of this node.
    pub store: Arc<Maildirs>,
    /// Names of this node in lower case.
    pub own_names: Vec<String>,
    /// What their deliverers share.
    pub shaping: Shaping,
    /// Most connections of one spool to all next hops together.
    pub connections_max: usize,
}

/// An open spool, with what works on it.
pub struct Dispatch {
    /// The spool.
    pub spool: Spool,
    deliverer: Deliverer,
    timers: Timers,
}

impl Kit {
    /// What a deliverer for `spool` is started with.
    pub fn parts(&self, spool: &Spool) -> Parts {
        Parts {
            world: self.world.clone(),
            spool: spool.clone(),
            org: self.org.clone(),
            links: self.links.clone(),
            resolver: self.resolver.clone(),
            store: self.store.clone(),
            own_names: self.own_names.clone(),
            shaping: self.shaping.clone(),
            connections_max: self.connections_max,
        }
    }

    /// Opens the spool in `dir`, which people know as `journal`, and delivers from it. Blocks for reading it; call it inside a tokio runtime. The error is for people.
    pub fn open(&self, dir: &Path, journal: &str, settings: spool::Settings) -> Result<Dispatch, String> {
        let (bell, alarm) = (Arc::new(Bell::new()), Arc::new(Alarm::default()));
        let wake = Arc::new(NodeWake::new(bell.clone(), alarm.clone()));
        let spool = Spool::open(&self.world, dir, settings, self.trace.clone(), self.categorizer.clone(), wake)
            .map_err(|error| format!("{}: {error}", dir.display()))?;
        repeats::tell(journal, &spool);
        let deliverer = Deliverer::start(&bell, self.parts(&spool)).map_err(|error| error.to_string())?;
        let timers = Timers::start(&self.world, spool.clone(), alarm).map_err(|error| error.to_string())?;
        Ok(Dispatch { spool, deliverer, timers })
    }
}

impl Dispatch {
    /// Finishes what is in flight within `patience`, syncs and closes the spool.
    pub async fn stop(self, patience: Duration) {
        self.deliverer.stop(patience).await;
        // It fails only by a panic, which ends the process.
        let _ = tokio::task::spawn_blocking(move || {
            self.timers.stop();
            self.spool.stop();
        })
        .await;
    }
}

/// Passes the spool's calls to those who act on them.
pub struct NodeWake {
    bell: Arc<Bell>,
    alarm: Arc<Alarm>,
}

impl NodeWake {
    /// For one spool.
    pub fn new(bell: Arc<Bell>, alarm: Arc<Alarm>) -> NodeWake {
        NodeWake { bell, alarm }
    }
}

impl Wake for NodeWake {
    fn ready(&self, hop: HopId) {
        self.bell.ready(hop);
    }

    fn due(&self) {
        self.alarm.ring();
    }
}
