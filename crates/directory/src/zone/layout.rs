//! Which servers stand behind which MX host of a layout.
//!
//! Always holds: a host has a server at most once; servers stand behind equally many hosts, give or take one; as far as that allows,
//! those of one host come from different sites, so that a site that is lost takes no host with it.

use super::object::MxLayout;
use crate::topology::{Server, Topology};
use std::sync::Arc;

/// One MX host.
#[derive(Clone, Debug, PartialEq)]
pub struct MxHost {
    /// Its name.
    pub name: String,
    /// The servers behind it.
    pub servers: Vec<Arc<Server>>,
}

impl MxLayout {
    /// The servers of the layout, taken from the sites in turn.
    pub fn candidates(&self, map: &Topology) -> Vec<Arc<Server>> {
        let is_meant = |server: &&Arc<Server>| {
            let by_site = server.site.as_ref().is_some_and(|site| self.sites.contains(site));
            match (self.sites.is_empty(), self.servers.is_empty()) {
                (true, true) => !server.public_addresses.is_empty(),
                _ => by_site || self.servers.contains(&server.name),
            }
        };
        let mut by_site: Vec<Vec<Arc<Server>>> = Vec::new();
        for server in map.servers.iter().filter(is_meant).filter(|server| server.published().next().is_some()) {
            match by_site.iter_mut().find(|servers| servers[0].site == server.site) {
                Some(servers) => servers.push(Arc::clone(server)),
                None => by_site.push(vec![Arc::clone(server)]),
            }
        }
        let longest = by_site.iter().map(Vec::len).max().unwrap_or(0);
        let turn = |turn| by_site.iter().filter_map(move |servers| servers.get(turn)).map(Arc::clone);
        (0..longest).flat_map(turn).collect()
    }

    /// The hosts with the servers behind them. With fewer servers than places, a server stands behind several.
    pub fn hosts(&self, map: &Topology) -> Vec<MxHost> {
        let servers = self.candidates(map);
        if servers.is_empty() {
            return Vec::new();
        }
        let places = (self.addresses as usize).min(servers.len());
        let hosts = self.hosts.map_or(servers.len().div_ceil(places), |hosts| hosts as usize);
        let mut loads = vec![0_usize; servers.len()];
        let host = |host: usize| MxHost {
            name: self.host_name.replacen('#', &(host + 1).to_string(), 1),
            servers: behind(places, &servers, &mut loads),
        };
        (0..hosts).map(host).collect()
    }
}

/// So many servers for a host: those with the fewest hosts so far, of these one of a site that the host does not have yet.
fn behind(places: usize, servers: &[Arc<Server>], loads: &mut [usize]) -> Vec<Arc<Server>> {
    let mut chosen: Vec<usize> = Vec::new();
    for _ in 0..places {
        let has_site = |at: usize| chosen.iter().any(|other| servers[*other].site == servers[at].site);
        let free = (0..servers.len()).filter(|at| !chosen.contains(at));
        let Some(next) = free.min_by_key(|at| (loads[*at], has_site(*at))) else { break };
        loads[next] += 1;
        chosen.push(next);
    }
    chosen.into_iter().map(|at| Arc::clone(&servers[at])).collect()
}
