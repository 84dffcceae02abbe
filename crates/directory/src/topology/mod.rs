//! The organization as a map: sites, the links between them, servers, and the least-cost path from each site to each other one.
//!
//! Knows no domains, no connectors and no messages. Always holds: the same objects give the same paths, whoever computes them and in
//! whatever order they are written (behaviours 3.2); a document without sites is one site.

mod object;
mod paths;

pub use object::{Server, Site, SiteLink};

use paths::{Edge, Paths};
use std::collections::HashMap;
use std::sync::Arc;

/// The number of a site in its topology.
pub type SiteNo = usize;

/// How far one site is from another. Smaller is nearer; the last tie is broken by the other site's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Distance {
    /// The sum of the costs of the links.
    pub cost: u32,
    /// Their number.
    pub hops: u32,
}

/// The map, compiled.
#[derive(Debug)]
pub struct Topology {
    /// In order of the document; the one that there is where the document has none.
    pub sites: Vec<Arc<Site>>,
    /// In order of the document.
    pub links: Vec<Arc<SiteLink>>,
    /// In order of the document.
    pub servers: Vec<Arc<Server>>,
    /// The document says where servers stand.
    pub has_sites: bool,
    numbers: HashMap<Arc<str>, SiteNo>,
    /// Where each server stands, by name.
    stands: HashMap<Arc<str>, SiteNo>,
    /// The servers of each site, in order of their names.
    hubs: Vec<Vec<Arc<Server>>>,
    paths: Paths,
}

impl Topology {
    /// Computes all paths. Every name that a link or a server uses is that of a site, unless there are no sites at all.
    pub fn new(sites: Vec<Arc<Site>>, links: Vec<Arc<SiteLink>>, servers: Vec<Arc<Server>>) -> Topology {
        let has_sites = !sites.is_empty();
        let sites = if has_sites { sites } else { vec![Arc::new(Site { name: ONLY_SITE.into(), hub_site: false })] };
        let numbers: HashMap<Arc<str>, SiteNo> =
            sites.iter().enumerate().map(|(no, site)| (Arc::clone(&site.name), no)).collect();
        let mut hubs = vec![Vec::new(); sites.len()];
        let mut stands = HashMap::new();
        for server in &servers {
            let site =
                if has_sites { server.site.as_ref().and_then(|name| numbers.get(name)).copied() } else { Some(0) };
            if let Some(site) = site {
                stands.insert(Arc::clone(&server.name), site);
                hubs[site].push(Arc::clone(server));
            }
        }
        hubs.iter_mut().for_each(|hubs| hubs.sort_by(|a, b| a.name.cmp(&b.name)));
        let names: Vec<&str> = sites.iter().map(|site| &*site.name).collect();
        let paths = Paths::new(&names, &edges(&links, &numbers));
        Topology { sites, links, servers, has_sites, numbers, stands, hubs, paths }
    }

    /// The number of a site, by its name in lower case.
    pub fn site_no(&self, name: &str) -> Option<SiteNo> {
        self.numbers.get(name).copied()
    }

    /// Where a server stands, by its name in lower case. Without sites, a server that is not written down stands where all do.
    pub fn site_of(&self, server: &str) -> Option<SiteNo> {
        self.stands.get(server).copied().or((!self.has_sites).then_some(0))
    }

    /// The servers of a site, in order of their names.
    pub fn hubs(&self, site: SiteNo) -> &[Arc<Server>] {
        &self.hubs[site]
    }

    /// How far it is from one site to another; `None`: no links lead there.
    pub fn distance(&self, from: SiteNo, to: SiteNo) -> Option<Distance> {
        self.paths.step(from, to).map(|step| step.distance)
    }

    /// The largest message that passes all links of the path; `None`: no path, or no bound.
    pub fn bytes_max(&self, from: SiteNo, to: SiteNo) -> Option<u64> {
        self.paths.step(from, to).map(|step| step.bytes_max).filter(|max| *max < u64::MAX)
    }

    /// The site before `to` on the path from `from`; `None` at its beginning, or without a path.
    pub fn before(&self, from: SiteNo, to: SiteNo) -> Option<SiteNo> {
        self.paths.step(from, to).filter(|_| from != to).map(|step| step.before)
    }

    /// The path, both ends included; empty if there is none.
    pub fn path(&self, from: SiteNo, to: SiteNo) -> Vec<SiteNo> {
        if self.distance(from, to).is_none() {
            return Vec::new();
        }
        let mut path = vec![to];
        path.extend(std::iter::successors(self.before(from, to), |at| self.before(from, *at)));
        path.reverse();
        path
    }

    /// The link that the path takes from one site to the next one.
    pub fn link(&self, from: SiteNo, next: SiteNo) -> Option<&Arc<SiteLink>> {
        self.paths.link(from, next).map(|link| &self.links[link])
    }

    /// A pair of sites between which two paths have the same cost and length, so that names decide.
    pub fn tie(&self) -> Option<(SiteNo, SiteNo)> {
        self.paths.tie()
    }

    /// Of some sites, the nearest one, if a path leads to any.
    pub fn nearest(&self, from: SiteNo, of: impl Iterator<Item = SiteNo>) -> Option<(Distance, SiteNo)> {
        let near = of.filter_map(|site| self.distance(from, site).map(|distance| (distance, site)));
        near.min_by(|a, b| (a.0, &self.sites[a.1].name).cmp(&(b.0, &self.sites[b.1].name)))
    }
}

/// Of each pair of neighbours the cheapest link; of equal ones the first by name.
fn edges(links: &[Arc<SiteLink>], numbers: &HashMap<Arc<str>, SiteNo>) -> Vec<Edge> {
    let mut best: HashMap<(SiteNo, SiteNo), Edge> = HashMap::new();
    for (link, of) in links.iter().enumerate() {
        let members: Vec<SiteNo> = of.sites.iter().filter_map(|name| numbers.get(name)).copied().collect();
        for from in &members {
            for to in members.iter().filter(|to| *to != from) {
                let bytes_max = of.message_bytes_max.unwrap_or(u64::MAX);
                let edge = Edge { from: *from, to: *to, cost: of.cost, bytes_max, link };
                let known = best.entry((*from, *to)).or_insert(edge);
                if (edge.cost, &of.name) < (known.cost, &links[known.link].name) {
                    *known = edge;
                }
            }
        }
    }
    best.into_values().collect()
}

/// What the one site is called where the document has none.
pub const ONLY_SITE: &str = "default";
