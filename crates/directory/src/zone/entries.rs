//! Everything that may stand in a zone, whoever is healthy: each record with what it hangs on and where it comes from.

use super::data::{Data, Srv};
use super::name::{is_reverse, parse_host, reverse};
use super::naming::Parts;
use super::object::{DnsName, MxLayout};
use crate::topology::{Server, Topology};
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A record that may stand in a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Whose it is: lower case, without the final dot.
    pub name: Arc<str>,
    /// What it says.
    pub data: Data,
    /// Seconds.
    pub ttl_s: u32,
    /// It stands while one of these is up; nothing: always.
    pub when: Vec<Subject>,
    /// Why it is there.
    pub from: Origin,
}

/// What has a standing that records hang on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A node, by its name.
    Node(Arc<str>),
    /// A service at one of the addresses that it listens on.
    Service(Arc<str>, IpAddr),
    /// A virtual address.
    VirtualAddress(Arc<str>),
}

/// The object of the document that a record comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The zone itself: its name servers.
    Zone(Arc<str>),
    /// A name.
    Name(Arc<str>),
    /// A layout of MX records.
    Layout(Arc<str>),
    /// A server: its public name.
    Server(Arc<str>),
}

/// A service as names see it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceAt {
    /// Its name.
    pub name: Arc<str>,
    /// What its users' programs look for, for example `_imaps._tcp`; none for what is not looked for by SRV.
    pub labels: &'static [&'static str],
    /// Where it listens.
    pub listen: Vec<SocketAddr>,
    /// The nodes that do it; `None`: each.
    pub servers: Option<Vec<Box<str>>>,
}

/// A virtual address as names see it.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualAt {
    /// Its name.
    pub name: Arc<str>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Node(name) => write!(f, "node {name}"),
            Subject::Service(name, at) => write!(f, "service {name} at {at}"),
            Subject::VirtualAddress(name) => write!(f, "virtual address {name}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Zone(name) => write!(f, "zone {name}"),
            Origin::Name(name) => write!(f, "dns_name {name}"),
            Origin::Layout(name) => write!(f, "mx_layout {name}"),
            Origin::Server(name) => write!(f, "server {name}"),
        }
    }
}

/// A record before its zone and its TTL are known.
pub(super) struct Draft {
    pub name: Arc<str>,
    pub data: Data,
    pub ttl_s: Option<u32>,
    pub when: Vec<Subject>,
    pub from: Origin,
}

/// All records of all objects, in no order.
pub(super) fn drafts(parts: &Parts, map: &Topology) -> Vec<Draft> {
    let zones = parts.zones.iter().flat_map(|zone| {
        let draft = |host: &str| Draft {
            name: Arc::clone(&zone.name),
            data: Data::Ns(host.into()),
            ttl_s: None,
            when: Vec::new(),
            from: Origin::Zone(Arc::clone(&zone.name)),
        };
        zone.name_servers.iter().map(move |host| draft(host))
    });
    let servers = map.servers.iter().filter(|server| parts.zone_of(&server.public_name).is_some()).flat_map(of_server);
    let mut all: Vec<Draft> = zones.chain(servers).collect();
    parts.names.iter().for_each(|name| of_name(name, parts, map, &mut all));
    parts.layouts.iter().for_each(|layout| of_layout(layout, map, &mut all));
    let pointers = pointers(parts, map, &all);
    all.extend(pointers);
    all
}

fn of_server(server: &Arc<Server>) -> impl Iterator<Item = Draft> {
    server.public_addresses.iter().map(|address| Draft {
        name: Arc::clone(&server.public_name),
        data: address_data(*address),
        ttl_s: None,
        when: Vec::new(),
        from: Origin::Server(Arc::clone(&server.name)),
    })
}

fn of_name(name: &DnsName, parts: &Parts, map: &Topology, out: &mut Vec<Draft>) {
    let from = Origin::Name(Arc::clone(&name.name));
    let draft = |owner: Arc<str>, data, when| Draft { name: owner, data, ttl_s: name.ttl_s, when, from: from.clone() };
    let here = |data, when| draft(Arc::clone(&name.name), data, when);
    for server in map.servers.iter().filter(|server| name.servers.contains(&server.name)) {
        let when = || vec![Subject::Node(Arc::clone(&server.name))];
        out.extend(server.published().map(|address| here(address_data(address), when())));
    }
    for service in parts.services.iter().filter(|service| name.services.contains(&service.name)) {
        let of_service = service_addresses(service, parts, map);
        out.extend(of_service.into_iter().map(|(address, subject)| here(address_data(address), vec![subject])));
        let ports = service.listen.iter().map(SocketAddr::port).collect::<std::collections::BTreeSet<u16>>();
        for (domain, label) in name.srv_for.iter().flat_map(|domain| service.labels.iter().map(move |l| (domain, l))) {
            let srv = |port: &u16| Srv { priority: 0, weight: 1, port: *port, target: (*name.name).into() };
            let owner: Arc<str> = format!("{label}.{domain}").into();
            out.extend(ports.iter().map(|port| draft(Arc::clone(&owner), Data::Srv(srv(port)), Vec::new())));
        }
    }
    for virtual_at in parts.virtual_addresses.iter().filter(|at| name.virtual_addresses.contains(&at.name)) {
        let when = || vec![Subject::VirtualAddress(Arc::clone(&virtual_at.name))];
        out.extend(virtual_at.addresses.iter().map(|address| here(address_data(*address), when())));
    }
    out.extend(name.addresses.iter().map(|address| here(address_data(*address), Vec::new())));
    out.extend(name.records.iter().map(|data| here(data.clone(), Vec::new())));
}

/// Where a service is reached, and what that hangs on.
fn service_addresses(service: &ServiceAt, parts: &Parts, map: &Topology) -> Vec<(IpAddr, Subject)> {
    let mut found: Vec<(IpAddr, Subject)> = Vec::new();
    let does = |server: &&Arc<Server>| {
        service.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| **name == *server.name))
    };
    for ip in service.listen.iter().map(SocketAddr::ip) {
        let held = parts.virtual_addresses.iter().find(|held| held.addresses.contains(&ip));
        match held {
            _ if ip.is_unspecified() => {
                for server in map.servers.iter().filter(does) {
                    let alike = server.published().filter(|address| address.is_ipv4() == ip.is_ipv4());
                    found.extend(alike.map(|address| (address, Subject::Node(Arc::clone(&server.name)))));
                }
            }
            Some(held) => found.push((ip, Subject::VirtualAddress(Arc::clone(&held.name)))),
            None => found.push((ip, Subject::Service(Arc::clone(&service.name), ip))),
        }
    }
    found.sort();
    found.dedup();
    found
}

/// An MX host that has lost all its servers leaves the list while another one has some; its own name goes on having their addresses.
fn of_layout(layout: &MxLayout, map: &Topology, out: &mut Vec<Draft>) {
    let from = Origin::Layout(Arc::clone(&layout.name));
    let draft = |name, data, when| Draft { name, data, ttl_s: layout.ttl_s, when, from: from.clone() };
    for host in layout.hosts(map) {
        let name: Arc<str> = host.name.as_str().into();
        let behind: Vec<Subject> = host.servers.iter().map(|s| Subject::Node(Arc::clone(&s.name))).collect();
        for domain in &layout.domains {
            out.push(draft((**domain).into(), Data::Mx(layout.preference, host.name.as_str().into()), behind.clone()));
        }
        for server in &host.servers {
            let when = || vec![Subject::Node(Arc::clone(&server.name))];
            out.extend(server.published().map(|at| draft(Arc::clone(&name), address_data(at), when())));
        }
    }
}

/// The PTR records of our reverse zones: a server's public name first, then the first name that has the address of its own. What is
/// written for an address goes before both.
fn pointers(parts: &Parts, map: &Topology, all: &[Draft]) -> Vec<Draft> {
    let mut found: HashMap<IpAddr, (Arc<str>, Origin)> = HashMap::new();
    for server in &map.servers {
        for address in &server.public_addresses {
            let of_server = || (Arc::clone(&server.public_name), Origin::Server(Arc::clone(&server.name)));
            found.entry(*address).or_insert_with(of_server);
        }
    }
    for name in parts.names.iter().filter(|name| name.ptr && parse_host(&name.name).is_ok()) {
        let held = parts.virtual_addresses.iter().filter(|held| name.virtual_addresses.contains(&held.name));
        for address in name.addresses.iter().chain(held.flat_map(|held| &held.addresses)) {
            let of_name = || (Arc::clone(&name.name), Origin::Name(Arc::clone(&name.name)));
            found.entry(*address).or_insert_with(of_name);
        }
    }
    let draft = |(address, (name, from)): (IpAddr, (Arc<str>, Origin))| {
        let owner: Arc<str> = reverse(address).into();
        let is_ours = parts.zone_of(&owner).is_some_and(|zone| is_reverse(&zone.name));
        let is_written = || all.iter().any(|draft| draft.name == owner);
        let data = Data::Ptr((*name).into());
        (is_ours && !is_written()).then_some(Draft { name: owner, data, ttl_s: None, when: Vec::new(), from })
    };
    found.into_iter().filter_map(draft).collect()
}

fn address_data(address: IpAddr) -> Data {
    match address {
        IpAddr::V4(address) => Data::A(address),
        IpAddr::V6(address) => Data::Aaaa(address),
    }
}
