//! The servers of connectors and domains as places in the map: what routes are made from. Knows no message.

use crate::domain::{AcceptedDomain, DomainMap};
use crate::send::SendConnector;
use crate::topology::{Distance, SiteNo, Topology};
use std::collections::HashMap;
use std::sync::Arc;

/// What routes are made from.
#[derive(Debug)]
pub(crate) struct Routing {
    pub topology: Topology,
    /// This node.
    pub server: Box<str>,
    /// Connectors by their number in the document, under each of their address spaces.
    pub spaces: DomainMap<Vec<(usize, u32)>>,
    /// Where each send connector is.
    pub connectors: Vec<Sources>,
    /// Where the accepted domains that name servers are.
    pub stores: HashMap<Arc<str>, Sources>,
}

impl Routing {
    pub fn new(
        topology: Topology,
        server: &str,
        domains: &[Arc<AcceptedDomain>],
        connectors: &[Arc<SendConnector>],
    ) -> Routing {
        let mut by_space: HashMap<&str, Vec<(usize, u32)>> = HashMap::new();
        for (number, connector) in connectors.iter().enumerate() {
            for space in &connector.domains {
                by_space.entry(&space.space).or_default().push((number, space.cost));
            }
        }
        let mut spaces = DomainMap::default();
        by_space.into_iter().for_each(|(space, connectors)| spaces.insert(space, connectors));
        let sources = |servers: &Option<Vec<Box<str>>>| Sources::new(&topology, servers.as_deref());
        let stores = domains.iter().filter(|domain| domain.servers.is_some());
        Routing {
            spaces,
            connectors: connectors.iter().map(|connector| sources(&connector.servers)).collect(),
            stores: stores.map(|domain| (Arc::clone(&domain.name), sources(&domain.servers))).collect(),
            server: server.to_ascii_lowercase().into(),
            topology,
        }
    }
}

/// Who delivers something.
#[derive(Debug)]
pub(crate) struct Sources {
    /// Names in lower case; `None`: every server.
    servers: Option<Vec<Box<str>>>,
    /// Sites that some of them stand in.
    sites: Vec<SiteNo>,
    /// The nearest of those, from each site.
    nearest: Vec<Option<(Distance, SiteNo)>>,
}

impl Sources {
    pub fn new(topology: &Topology, servers: Option<&[Box<str>]>) -> Sources {
        let names = servers.unwrap_or_default();
        let is_written = |name: &str| topology.servers.iter().any(|server| *server.name == *name);
        let mut sites: Vec<SiteNo> =
            names.iter().filter(|name| is_written(name)).filter_map(|name| topology.site_of(name)).collect();
        sites.sort_unstable();
        sites.dedup();
        let nearest = |from| topology.nearest(from, sites.iter().copied());
        let nearest = (0..topology.sites.len()).map(nearest).collect();
        Sources { servers: servers.map(<[_]>::to_vec), sites, nearest }
    }

    /// None of them is written down as a server that stands somewhere.
    pub fn is_nowhere(&self) -> bool {
        self.sites.is_empty()
    }

    /// This server is one of them.
    pub fn has(&self, server: &str) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| **name == *server))
    }

    /// This server is named.
    pub fn names(&self, server: &str) -> bool {
        self.servers.as_ref().is_some_and(|servers| servers.iter().any(|name| **name == *server))
    }

    /// Some of them stand in this site.
    pub fn stand_in(&self, site: SiteNo) -> bool {
        self.sites.contains(&site)
    }

    /// The nearest site with one of them, of those that a message has not been in; the one that it is in counts.
    pub fn nearest(&self, topology: &Topology, from: SiteNo, been_in: &[SiteNo]) -> Option<(Distance, SiteNo)> {
        if been_in.is_empty() {
            return self.nearest[from];
        }
        let open = |site: &SiteNo| *site == from || !been_in.contains(site);
        topology.nearest(from, self.sites.iter().copied().filter(open))
    }
}
