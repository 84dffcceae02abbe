//! How that stands which names hang on: servers, services and virtual addresses.
//!
//! Owns which of what is known counts. Of itself the node knows; of a server what it says in etcd, and what it says when it is asked over
//! SMTP whether it takes mail; of a service what the nodes say that do it, or without etcd whether its members can be reached from here; of
//! a virtual address who has it. Always holds: a server is probed as long as some name of the document hangs on it.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ::cluster::view::View;
use balancer::probe::{self, Kind, Probers, Target, Watch, Word};
use directory::topology::Server;
use directory::zone::Subject;
use directory::{Group, Host, Org, ProxyHeader, Service};
use dns::contents::Standing;
use tokio::sync::watch;
use transport::receive::Asker;

use super::nodes;
use crate::health::{Health, NotReady, Phase};
use crate::pressure::Pressure;
use crate::services::Services;

/// Whom standings are asked of.
pub struct Sources {
    /// Who asks other servers.
    pub probers: Probers,
    /// This node's.
    pub health: Arc<Health>,
    /// Of whom this node takes no mail though it is ready.
    pub pressure: Arc<Pressure>,
    /// Those of this node.
    pub services: Arc<Services>,
    /// What etcd says, in a cluster.
    pub view: Option<watch::Receiver<Arc<View>>>,
}

/// All that is known.
pub struct Standings {
    me: String,
    sources: Sources,
    /// Servers, by their names.
    servers: HashMap<Arc<str>, Arc<Watch>>,
    /// Members of services that names hang on, by the service; watched while nobody else says how it stands.
    members: HashMap<Arc<str>, Vec<Arc<Watch>>>,
    /// What this node refuses when it is short of something, by who its clients are at the port where the others ask.
    clients: Asker,
    document: Document,
}

/// What of the document is asked about.
#[derive(Default)]
struct Document {
    servers: Vec<Arc<Server>>,
    services: Vec<Arc<Service>>,
}

impl Standings {
    pub fn new(me: &str, sources: Sources) -> Standings {
        Standings {
            me: me.into(),
            sources,
            servers: HashMap::new(),
            members: HashMap::new(),
            clients: Asker::Stranger,
            document: Document::default(),
        }
    }

    /// The servers of the document.
    pub fn servers(&self) -> &[Arc<Server>] {
        &self.document.servers
    }

    /// Watches what names of this document hang on, and nothing else.
    pub fn follow(&mut self, org: &Org) {
        let entries = org.naming.zones().iter().flat_map(|zone| org.naming.entries(&zone.name));
        let subjects: HashSet<&Subject> = entries.flat_map(|entry| &entry.when).collect();
        self.follow_servers(org, &subjects);
        self.follow_members(org, &subjects);
        self.clients = clients(org, &self.me);
        self.document = Document { servers: org.topology().servers.clone(), services: org.services.clone() };
    }

    fn follow_servers(&mut self, org: &Org, subjects: &HashSet<&Subject>) {
        // Where a service has a server's own address, it is gone when the server is.
        let is_named = |server: &Server| {
            subjects.iter().any(|subject| match subject {
                Subject::Node(name) => *name == server.name,
                Subject::Service(_, at) => has(server, *at),
                Subject::VirtualAddress(_) => false,
            })
        };
        let others = org.topology().servers.iter().filter(|server| *server.name != *self.me && is_named(server));
        let targets: HashMap<Arc<str>, Target> =
            others.filter_map(|server| Some((Arc::clone(&server.name), self.target(org, server)?))).collect();
        self.servers.retain(|name, watch| targets.get(name) == Some(watch.target()));
        for (name, target) in targets {
            self.servers.entry(name).or_insert_with(|| self.sources.probers.watch(target));
        }
    }

    /// In a cluster the nodes say how a service stands. Members at names are looked up where the service is done, and are not asked here.
    fn follow_members(&mut self, org: &Org, subjects: &HashSet<&Subject>) {
        let is_named = |service: &Service| {
            subjects.iter().any(|subject| matches!(subject, Subject::Service(name, _) if *name == service.name))
        };
        let is_alone = self.cluster().is_none();
        let wanted = org.services.iter().filter(|service| is_alone && service.enabled && is_named(service));
        let watched = |service: &Arc<Service>| {
            let at_ip =
                |member: &&Arc<directory::ServiceMember>| !member.drain && ip_of(&member.address.host).is_some();
            let members = service.members.iter().filter(at_ip);
            let target = |member: &Arc<directory::ServiceMember>| {
                let address = SocketAddr::new(ip_of(&member.address.host)?, member.address.port);
                Some(self.sources.probers.watch(Target::of_member(service, member, address)))
            };
            (Arc::clone(&service.name), members.filter_map(target).collect())
        };
        // Those of before are dropped last, so that what stays is not asked anew.
        let members = wanted.map(watched).collect();
        self.members = members;
    }

    /// How something stands.
    pub fn of(&self, subject: &Subject) -> Standing {
        match subject {
            Subject::Node(name) if **name == *self.me => self.own(),
            Subject::Node(name) => self.server(name),
            Subject::Service(name, at) => self.service(name, *at),
            Subject::VirtualAddress(name) => match &self.sources.view {
                Some(view) => nodes::virtual_address(&view.borrow(), name),
                // keepalived moves it, and tells us nothing.
                None => Standing::Up,
            },
        }
    }

    /// This node, for those who come to it: what a probe of others would hear.
    fn own(&self) -> Standing {
        match self.sources.health.ready() {
            Err(why) => Standing::Down(why.word().into()),
            Ok(()) if self.sources.pressure.refused().includes(self.clients) => {
                Standing::Down(NotReady::Pressure.word().into())
            }
            Ok(()) => Standing::Up,
        }
    }

    fn server(&self, name: &Arc<str>) -> Standing {
        if let Some(refusal) = self.cluster().and_then(|view| nodes::refusal(&view, name)) {
            return refusal;
        }
        match self.servers.get(name).map(|watch| watch.standing()) {
            Some(probe::Standing::Up) => Standing::Up,
            Some(probe::Standing::Down(why) | probe::Standing::Draining(why)) => Standing::Down(why),
            Some(probe::Standing::Unknown) => Standing::Unknown,
            None => Standing::Down("its address is a name, and it has no public address: it cannot be asked".into()),
        }
    }

    /// A service at one of its addresses.
    fn service(&self, name: &str, at: IpAddr) -> Standing {
        let Some(service) = self.document.services.iter().find(|service| *service.name == *name) else {
            return Standing::Unknown;
        };
        if !service.enabled {
            return Standing::Down("it is switched off (enabled = false)".into());
        }
        let does_here = service.is_for(&self.me);
        let here = if does_here { self.sources.services.ready_at(name, at) } else { None };
        let is_stopping = self.sources.health.phase() == Phase::Stopping;
        let here = here.map(|here| if is_stopping { Err(Phase::Stopping.word().into()) } else { here });
        match (self.cluster(), here) {
            (Some(view), here) => nodes::service(&view, &self.me, service, at, here),
            (None, Some(Ok(()))) => Standing::Up,
            (None, Some(Err(why))) => Standing::Down(why.into()),
            (None, None) => self.unheard(service, at),
        }
    }

    /// A service that others do, of whom nothing is heard: the server that has the address must be up, and a member must be reachable.
    fn unheard(&self, service: &Service, at: IpAddr) -> Standing {
        let mut owners = self.document.servers.iter().filter(|server| *server.name != *self.me && has(server, at));
        if let Some(owner) = owners.next()
            && let Standing::Down(why) = self.server(&owner.name)
        {
            return Standing::Down(format!("node {}: {why}", owner.name).into());
        }
        let watches = self.members.get(&service.name).map_or(&[][..], Vec::as_slice);
        // Members at names are not known here; somebody reaches them, or clients hear 421.
        let all_down = !watches.is_empty()
            && watches.iter().all(|watch| matches!(watch.word(), Word::Down | Word::Draining))
            && service.members.iter().all(|member| ip_of(&member.address.host).is_some() || member.drain);
        if all_down { Standing::Down("no member takes connections".into()) } else { Standing::Up }
    }

    /// What etcd says, if it answers.
    fn cluster(&self) -> Option<Arc<View>> {
        let view = self.sources.view.as_ref()?.borrow().clone();
        nodes::is_of_now(&view).then_some(view)
    }

    /// Where and how a server is asked.
    fn target(&self, org: &Org, server: &Server) -> Option<Target> {
        let ip = ip_of(&server.address.host).or_else(|| server.public_addresses.first().copied())?;
        let address = SocketAddr::new(ip, server.address.port);
        let own = org.topology().servers.iter().find(|server| *server.name == *self.me);
        let own = own.and_then(|own| ip_of(&own.address.host).or_else(|| own.public_addresses.first().copied()));
        // On one machine, connections come from here whatever the other end is called.
        let own = if address.ip().is_loopback() { Some(Ipv4Addr::LOCALHOST.into()) } else { own };
        let proxy = if trusts(org, &server.name, address, own) { ProxyHeader::V2 } else { ProxyHeader::None };
        Some(Target { proxy, server: Some(Arc::clone(&server.name)), ..Target::new(address, Kind::Smtp) })
    }
}

/// Whether a server wants a PROXY header from us there, which it does as soon as one of its connectors has us in `trusted_proxies`: then a
/// probe with one (LOCAL) hears whether it takes the mail of strangers, and leaves no trace. Without one it would hear nothing.
fn trusts(org: &Org, server: &str, address: SocketAddr, own: Option<IpAddr>) -> bool {
    let Some(own) = own else { return false };
    let mut there = org
        .connectors_of(server)
        .filter(|connector| connector.enabled && connector.listen.iter().any(|listen| listens(listen, address)));
    there.any(|connector| connector.trusted_proxies.contains(own))
}

/// Who comes to the port of this node where the others ask: strangers, if one of its connectors there is for them.
fn clients(org: &Org, me: &str) -> Asker {
    let own = org.topology().servers.iter().find(|server| *server.name == *me);
    let is_there = |listen: &SocketAddr| own.is_none_or(|own| listen.port() == own.address.port);
    let mut there = org.connectors_of(me).filter(|one| one.enabled && one.listen.iter().any(is_there));
    if there.any(|one| one.permissions.contains(&Group::Anonymous)) { Asker::Stranger } else { Asker::User }
}

fn listens(listen: &SocketAddr, address: SocketAddr) -> bool {
    listen.port() == address.port() && (listen.ip().is_unspecified() || listen.ip() == address.ip())
}

/// The address is one of the server.
fn has(server: &Server, address: IpAddr) -> bool {
    ip_of(&server.address.host) == Some(address) || server.public_addresses.contains(&address)
}

fn ip_of(host: &Host) -> Option<IpAddr> {
    match host {
        Host::Ip(ip) => Some(*ip),
        Host::Name(_) => None,
    }
}
