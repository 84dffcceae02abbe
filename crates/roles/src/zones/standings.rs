//! How the servers stand that names hang on: each is asked over SMTP whether it takes mail; of itself the node knows.
//!
//! Always holds: a server is probed as long as some name of the document hangs on it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use balancer::probe::{self, Kind, Probers, Target, Watch};
use directory::topology::Server;
use directory::zone::Subject;
use directory::{Host, Org, ProxyHeader};
use dns::contents::Standing;

use crate::health::Health;

/// All that is known.
pub struct Standings {
    me: String,
    probers: Probers,
    health: Arc<Health>,
    watches: HashMap<Arc<str>, Arc<Watch>>,
    servers: Vec<Arc<Server>>,
}

impl Standings {
    pub fn new(me: &str, probers: Probers, health: Arc<Health>) -> Standings {
        Standings { me: me.into(), probers, health, watches: HashMap::new(), servers: Vec::new() }
    }

    /// The servers of the document.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.servers
    }

    /// Watches the servers that names of this document hang on, and no others.
    pub fn follow(&mut self, org: &Org) {
        let entries = org.naming.zones().iter().flat_map(|zone| org.naming.entries(&zone.name));
        let subjects = entries.flat_map(|entry| &entry.when);
        let named: std::collections::HashSet<&str> = subjects
            .filter_map(|subject| match subject {
                Subject::Node(name) if **name != *self.me => Some(&**name),
                _ => None,
            })
            .collect();
        let targets: HashMap<Arc<str>, Target> = org
            .topology()
            .servers
            .iter()
            .filter(|server| named.contains(&*server.name))
            .filter_map(|server| Some((Arc::clone(&server.name), self.target(org, server)?)))
            .collect();
        self.watches.retain(|name, watch| targets.get(name) == Some(watch.target()));
        for (name, target) in targets {
            self.watches.entry(name).or_insert_with(|| self.probers.watch(target));
        }
        self.servers.clone_from(&org.topology().servers);
    }

    /// How something stands.
    pub fn of(&self, subject: &Subject) -> Standing {
        match subject {
            Subject::Node(name) if **name == *self.me => match self.health.ready() {
                Ok(()) => Standing::Up,
                Err(why) => Standing::Down(why.word().into()),
            },
            Subject::Node(name) => match self.watches.get(name).map(|watch| watch.standing()) {
                Some(probe::Standing::Up) => Standing::Up,
                Some(probe::Standing::Down(why) | probe::Standing::Draining(why)) => Standing::Down(why),
                Some(probe::Standing::Unknown) => Standing::Unknown,
                None => {
                    Standing::Down("its address is a name, and it has no public address: it cannot be asked".into())
                }
            },
            // A service is up while one of its members is; who balances it answers for that with 421. A virtual address goes to another
            // node by itself.
            Subject::Service(_) | Subject::VirtualAddress(_) => Standing::Up,
        }
    }

    /// Where and how a server is asked.
    fn target(&self, org: &Org, server: &Server) -> Option<Target> {
        let ip = match server.address.host {
            Host::Ip(ip) => ip,
            Host::Name(_) => *server.public_addresses.first()?,
        };
        let address = SocketAddr::new(ip, server.address.port);
        let own = org.topology().servers.iter().find(|server| *server.name == *self.me);
        let own = own.and_then(|own| match own.address.host {
            Host::Ip(ip) => Some(ip),
            Host::Name(_) => own.public_addresses.first().copied(),
        });
        // On one machine, connections come from here whatever the other end is called.
        let own = if address.ip().is_loopback() { Some(Ipv4Addr::LOCALHOST.into()) } else { own };
        let proxy = if trusts(org, address, own) { ProxyHeader::V2 } else { ProxyHeader::None };
        Some(Target { proxy, server: Some(Arc::clone(&server.name)), ..Target::new(address, Kind::Smtp) })
    }
}

/// Whether each connector that may take a connection of ours there wants a PROXY header from us: then a probe with one (LOCAL) hears
/// whether the server takes the mail of strangers, and leaves no trace. The other nodes have the same document.
fn trusts(org: &Org, address: SocketAddr, own: Option<IpAddr>) -> bool {
    let Some(own) = own else { return false };
    let is_there = |listen: &SocketAddr| {
        listen.port() == address.port() && (listen.ip().is_unspecified() || listen.ip() == address.ip())
    };
    let mut there = org
        .receive_connectors
        .iter()
        .filter(|connector| connector.enabled && connector.listen.iter().any(is_there))
        .peekable();
    there.peek().is_some() && there.all(|connector| connector.trusted_proxies.contains(own))
}
