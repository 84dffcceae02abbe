//! The servers of a connector or a domain, as places in the map.

use crate::topology::{Distance, SiteNo, Topology};

/// Who delivers something.
#[derive(Debug)]
pub(super) struct Sources {
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
        let is_written = |name: &&Box<str>| topology.servers.iter().any(|server| *server.name == ***name);
        let mut sites: Vec<SiteNo> =
            names.iter().filter(is_written).filter_map(|name| topology.site_of(name)).collect();
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
