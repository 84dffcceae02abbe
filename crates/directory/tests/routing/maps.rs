//! Random maps, as documents.

use directory::{Loaded, Org, OrgText, Route, Start};
use mail::Mailbox;
use proptest::prelude::*;
use std::path::Path;
use std::sync::Arc;
use world::World;

/// A map: sites by number (named by letters that are not in the order of the numbers), links, hub sites, servers in each site.
#[derive(Clone, Debug)]
pub struct Map {
    pub sites: usize,
    /// Members, cost, limit in KB (0 is none).
    pub links: Vec<(Vec<usize>, u32, u64)>,
    pub hub_sites: Vec<bool>,
    pub servers: Vec<usize>,
    /// By which number the names are turned: another version of the document may have other names' order.
    pub turn: usize,
}

/// A send connector: servers as (site, which one there), address spaces with costs, limit in KB (0 is none), scoped, enabled.
#[derive(Clone, Debug)]
pub struct Connector {
    pub servers: Vec<(usize, usize)>,
    pub spaces: Vec<(usize, u32)>,
    pub limit: u64,
    pub scoped: bool,
    pub enabled: bool,
}

pub const SPACES: [&str; 5] = ["a.example", "*.a.example", "*.example", "*", "b.example"];

/// Few costs, so that ties are common.
pub fn map(sites_max: usize) -> impl Strategy<Value = Map> {
    (2..=sites_max).prop_flat_map(|sites| {
        let two = proptest::collection::vec(0..sites, 2..=2);
        let members = prop_oneof![4 => two, 1 => proptest::collection::vec(0..sites, 3..=3)];
        let members = members
            .prop_filter("different", |m| {
                m.iter().collect::<std::collections::BTreeSet<_>>().len() == m.len() || m.len() == 3
            })
            .prop_map(|mut m| {
                m.sort_unstable();
                m.dedup();
                m
            })
            .prop_filter("two at least", |m| m.len() > 1);
        let links =
            proptest::collection::vec((members, 1_u32..4, prop_oneof![3 => Just(0), 1 => 10_u64..30]), 0..=2 * sites);
        let hub_sites = proptest::collection::vec(proptest::bool::weighted(0.3), sites);
        let servers = proptest::collection::vec(0_usize..3, sites);
        (Just(sites), links, hub_sites, servers, 0..sites).prop_map(|(sites, links, hub_sites, servers, turn)| Map {
            sites,
            links,
            hub_sites,
            servers,
            turn,
        })
    })
}

pub fn connectors(map: &Map) -> impl Strategy<Value = Vec<Connector>> + use<> {
    let all: Vec<(usize, usize)> =
        (0..map.sites).flat_map(|site| (0..map.servers[site]).map(move |n| (site, n))).collect();
    let servers = proptest::sample::subsequence(all.clone(), 0..=all.len().min(4));
    let spaces = proptest::sample::subsequence((0..SPACES.len()).collect::<Vec<_>>(), 1..=3);
    let spaces =
        (spaces, 1_u32..4).prop_map(|(spaces, cost)| spaces.into_iter().map(|s| (s, cost + (s as u32 % 2))).collect());
    let limit = prop_oneof![3 => Just(0), 1 => 10_u64..30];
    let one = (servers, spaces, limit, proptest::bool::weighted(0.2), proptest::bool::weighted(0.9))
        .prop_map(|(servers, spaces, limit, scoped, enabled)| Connector { servers, spaces, limit, scoped, enabled });
    proptest::collection::vec(one, 0..6)
}

impl Map {
    pub fn site(&self, site: usize) -> String {
        format!("s{:03}-{site}", (site * 5 + self.turn) % self.sites.max(7))
    }

    pub fn server(site: usize, n: usize) -> String {
        format!("n{n}.site{site}.test")
    }

    pub fn all_servers(&self) -> Vec<(usize, usize)> {
        (0..self.sites).flat_map(|site| (0..self.servers[site]).map(move |n| (site, n))).collect()
    }

    pub fn document(&self, connectors: &[Connector]) -> String {
        let mut out = String::from("[[receive_connector]]\nname = \"in\"\nlisten = [\"127.0.0.1:25\"]\n");
        for site in 0..self.sites {
            out += &format!("[[site]]\nname = \"{}\"\nhub_site = {}\n", self.site(site), self.hub_sites[site]);
        }
        for (n, (members, cost, limit)) in self.links.iter().enumerate() {
            let names: Vec<String> = members.iter().map(|site| format!("\"{}\"", self.site(*site))).collect();
            out += &format!("[[site_link]]\nname = \"l{n}\"\nsites = [{}]\ncost = {cost}\n", names.join(", "));
            if *limit > 0 {
                out += &format!("message_size_max = \"{limit}KB\"\n");
            }
        }
        for (site, n) in self.all_servers() {
            let (name, at) = (Map::server(site, n), self.site(site));
            out += &format!("[[server]]\nname = \"{name}\"\nsite = \"{at}\"\naddress = \"10.0.{site}.{n}:2526\"\n");
        }
        for (n, connector) in connectors.iter().enumerate() {
            let spaces: Vec<String> =
                connector.spaces.iter().map(|(space, cost)| format!("\"{};{cost}\"", SPACES[*space])).collect();
            let servers: Vec<String> =
                connector.servers.iter().map(|(site, n)| format!("\"{}\"", Map::server(*site, *n))).collect();
            out += &format!("[[send_connector]]\nname = \"c{n}\"\nmx = true\ndomains = [{}]\n", spaces.join(", "));
            out += &format!("scoped = {}\nenabled = {}\n", connector.scoped, connector.enabled);
            if !servers.is_empty() {
                out += &format!("servers = [{}]\n", servers.join(", "));
            }
            if connector.limit > 0 {
                out += &format!("message_size_max = \"{}KB\"\n", connector.limit);
            }
        }
        out
    }
}

/// The organization as one of its servers compiles it.
pub fn compiled(document: &str, server: &str) -> Arc<Org> {
    let world = World::simulated(1).0;
    let node = Path::new("posthouse.toml");
    world.disk.replace_durable(node, format!("name = \"{server}\"\n").as_bytes()).unwrap();
    let start = Start { config: Some(node.into()), ..Start::default() };
    let given = OrgText { name: "org.toml", text: document };
    let loaded: Loaded = Loaded::load_with(world.disk.as_ref(), &start, Some(given))
        .unwrap_or_else(|problems| panic!("{problems}\nin\n{document}"));
    loaded.org
}

pub fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text, false).unwrap()
}

pub fn word(route: &Route) -> String {
    match route {
        Route::Maildir(domain) => format!("maildir {}", domain.name),
        Route::Lmtp(target) => format!("lmtp {target}"),
        Route::Connector(connector) => format!("out {}", connector.name),
        Route::Site(site) => format!("site {}", site.name),
        Route::Servers(of) => format!("servers {of}"),
        Route::TooLarge(what) => format!("too large: {what}"),
        Route::Unreachable(reason) => format!("waits: {reason}"),
    }
}
