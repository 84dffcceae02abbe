//! What is wrong or doubtful between services and the rest of an organization document (behaviours 3.9, 6.2).

use super::document::{Document, did_you_mean};
use super::org::Read;
use super::receive::Placed;
use super::section::At;
use super::service::PlacedService;
use crate::org::socket_covers;
use crate::receive::{Protocol, ReceiveConnector, ReceiveTls};
use crate::service::{ProxyHeader, Service, ServiceMember, ServiceProtocol};
use crate::target::Host;
use crate::unit::duration_text;
use std::net::{IpAddr, SocketAddr};

/// Problems: sockets that two want, members that lead back, servers behind a balancer.
pub fn check(document: &Document<'_>, read: &Read) {
    for (i, later) in read.services.iter().enumerate() {
        read.services[..i].iter().for_each(|earlier| sockets_of_services(document, earlier, later));
        read.receive.iter().for_each(|connector| sockets_of_connector(document, connector, later));
        leads_back(document, later);
    }
    for server in &read.map.servers {
        let Host::Ip(ip) = server.value.address.host else { continue };
        let address = SocketAddr::new(ip, server.value.address.port);
        let on = |placed: &&PlacedService| placed.service.value.listen.contains(&address);
        if let Some(placed) = read.services.iter().find(on) {
            let text = format!(
                "{address} is the address of service \"{}\": servers reach each other by themselves and never through a balancer; \
                 write the address of the server's own connector",
                placed.service.value.name
            );
            document.problem(server.at, text);
        }
    }
}

/// Some node may do both.
fn meet(a: Option<&[Box<str>]>, b: Option<&[Box<str>]>) -> bool {
    let (Some(a), Some(b)) = (a, b) else { return true };
    a.iter().any(|name| b.contains(name))
}

/// Nobody else can listen on either while both are there.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    socket_covers(a, b) || socket_covers(b, a)
}

fn sockets_of_services(document: &Document<'_>, earlier: &PlacedService, later: &PlacedService) {
    let (a, b) = (&earlier.service.value, &later.service.value);
    if !a.enabled || !b.enabled || !meet(a.servers.as_deref(), b.servers.as_deref()) {
        return;
    }
    // SIP has sockets of its own kind as well; over TCP it collides like all others.
    for ours in &later.listen {
        let Some(theirs) = earlier.listen.iter().find(|theirs| collide(theirs.value, ours.value)) else { continue };
        let line = document.line_of(theirs.at);
        let text = format!(
            "{} is taken by service \"{}\" already ({}, line {line}); give each its own address or port",
            ours.value, a.name, theirs.value
        );
        document.problem(ours.at, text);
    }
}

fn sockets_of_connector(document: &Document<'_>, connector: &Placed, service: &PlacedService) {
    let (theirs, ours) = (&connector.connector.value, &service.service.value);
    if !theirs.enabled || !ours.enabled || !meet(theirs.servers.as_deref(), ours.servers.as_deref()) {
        return;
    }
    for socket in &service.listen {
        let Some(other) = connector.listen.iter().find(|other| collide(other.value, socket.value)) else { continue };
        let line = document.line_of(other.at);
        let what_to_do = match other.value.ip().is_unspecified() {
            true => "write the node's own addresses there instead of the wildcard",
            false => "give each its own address or port, or each its own servers",
        };
        let text = format!(
            "receive connector \"{}\" listens on {} as well (line {line}), on the same node; {what_to_do}",
            theirs.name, other.value
        );
        document.problem(socket.at, text);
    }
}

/// A member that is its own service.
fn leads_back(document: &Document<'_>, placed: &PlacedService) {
    let service = &placed.service.value;
    for At { value: member, at } in &placed.members {
        let Some(address) = socket_of(member) else { continue };
        if service.listen.contains(&address) {
            let text = format!(
                "member \"{}\" is at {address}, where its service listens itself; write the address of the server behind it",
                member.name
            );
            document.problem(*at, text);
        }
    }
}

/// The socket of a member that is not at a name.
fn socket_of(member: &ServiceMember) -> Option<SocketAddr> {
    match member.address.host {
        Host::Ip(ip) => Some(SocketAddr::new(ip, member.address.port)),
        Host::Name(_) => None,
    }
}

/// Warnings: what is allowed but hardly meant.
pub fn warn(document: &Document<'_>, read: &Read) {
    for placed in read.services.iter().filter(|placed| placed.service.value.enabled) {
        let service = &placed.service.value;
        named_servers(document, read, &placed.service);
        if placed.members.iter().all(|member| member.value.drain) {
            let text = format!("all members of service \"{}\" are drained: clients hear 421 4.3.2", service.name);
            document.warning(placed.service.at, text);
        }
        for member in placed.members.iter().filter(|member| member.value.is_own && service.protocol.is_mail()) {
            own_member(document, read, placed, member);
        }
    }
}

/// A name under `servers` that is nearly that of a server.
fn named_servers(document: &Document<'_>, read: &Read, at: &At<Service>) {
    let known = || read.map.servers.iter().map(|server| &*server.value.name);
    for name in at.value.servers.iter().flatten().filter(|name| !known().any(|known| *known == ***name)) {
        if let Some(hint) = did_you_mean(name, known()) {
            document.warning(at.at, format!("no [[server]] is called {name}{hint}"));
        }
    }
}

/// What a member that is one of our servers must have (behaviours 6.2): a connector at that address, with the name that clients know, that
/// takes the PROXY header of the balancers and is not more patient than the service.
fn own_member(document: &Document<'_>, read: &Read, placed: &PlacedService, at: &At<std::sync::Arc<ServiceMember>>) {
    let (service, member) = (&placed.service.value, &at.value);
    let Some(socket) = socket_of(member) else { return };
    let is_there = |connector: &&Placed| {
        let connector = &connector.connector.value;
        connector.enabled
            && connector.listen.iter().any(|listen| socket_covers(*listen, socket))
            && member.server.as_ref().is_none_or(|server| connector.is_for(server))
    };
    let mut all: Vec<&Placed> = read.receive.iter().filter(is_there).collect();
    let exact = |connector: &&Placed| connector.connector.value.listen.contains(&socket);
    if all.iter().any(exact) {
        all.retain(|connector| exact(connector));
    }
    if all.is_empty() {
        let text = format!(
            "no receive connector listens on {socket}: member \"{}\" refuses every connection; add a [[receive_connector]] with \
             listen = [\"{socket}\"] and hostname = \"{}\"{}",
            member.name,
            service.hostname,
            trust_line(read, service, member, None, member.proxy)
        );
        return document.warning(at.at, text);
    }
    for connector in all {
        let what = Behind { document, read, placed, member, socket, connector };
        what.name();
        what.protocol();
        what.proxy();
        what.timeout();
    }
}

/// One connector behind one member.
struct Behind<'r, 't> {
    document: &'r Document<'t>,
    read: &'r Read,
    placed: &'r PlacedService,
    member: &'r ServiceMember,
    socket: SocketAddr,
    connector: &'r Placed,
}

impl Behind<'_, '_> {
    fn of(&self) -> &ReceiveConnector {
        &self.connector.connector.value
    }

    /// A warning at the connector.
    fn warning(&self, text: String) {
        self.document.warning(self.connector.connector.at, text);
    }

    fn name(&self) {
        let (service, connector) = (&self.placed.service.value, self.of());
        if !connector.hostname.eq_ignore_ascii_case(&service.hostname) {
            self.warning(format!(
                "clients of service \"{}\" know {} and meet {} here; add hostname = \"{}\" to this connector, or one with \
                 listen = [\"{}\"] and that name",
                service.name, service.hostname, connector.hostname, service.hostname, self.socket
            ));
        }
    }

    fn protocol(&self) {
        let (service, connector) = (&self.placed.service.value, self.of());
        // What the balancer took off is not there for the connector.
        let wants_tls = service.protocol == ServiceProtocol::Submissions && !service.terminates_tls;
        let what = match (connector.protocol, connector.tls) {
            (Protocol::Lmtp, _) => "LMTP",
            (_, ReceiveTls::Organization) => "TLS with certificates of the organization",
            (_, ReceiveTls::Implicit) if !wants_tls => "TLS from the first byte",
            (_, tls) if wants_tls && tls != ReceiveTls::Implicit => "no TLS before STARTTLS",
            _ => return,
        };
        self.warning(format!(
            "service \"{}\" ({}) sends its clients here, and this connector speaks {what}: no connection goes through; give \
             member \"{}\" another connector, or the service another protocol",
            service.name,
            service.protocol.word(),
            self.member.name
        ));
    }

    fn proxy(&self) {
        let (service, connector) = (&self.placed.service.value, self.of());
        let balancers = balancers(self.read, service, self.member, Some(connector));
        if self.member.proxy == ProxyHeader::None {
            let expects = balancers.iter().find(|ip| connector.trusted_proxies.contains(**ip));
            if let Some(ip) = expects {
                return self.warning(format!(
                    "service \"{}\" sends no PROXY header, and this connector waits for one from {ip}; remove proxy = \"none\" there, or {ip} \
                     from trusted_proxies",
                    service.name
                ));
            }
            return self.warning(format!(
                "service \"{}\" sends no PROXY header: all its clients have the balancer's address here, for limits and for permissions; \
                 write proxy = \"v2\" in the service and trusted_proxies here",
                service.name
            ));
        }
        let lacks: Vec<IpAddr> = balancers.into_iter().filter(|ip| !connector.trusted_proxies.contains(*ip)).collect();
        if connector.trusted_proxies.is_empty() || !lacks.is_empty() {
            self.warning(format!(
                "service \"{}\" sends a PROXY header, and this connector does not take it from {}: such a connection ends in an error{}",
                service.name,
                if lacks.is_empty() { "anybody".into() } else { listed(&lacks, "") },
                trust_line(self.read, service, self.member, Some(connector), self.member.proxy)
            ));
        }
    }

    fn timeout(&self) {
        let (service, connector) = (&self.placed.service.value, self.of());
        let (ours, theirs) = (service.limits.idle_timeout_ms, connector.limits.idle_timeout_ms);
        if ours < theirs {
            let text = format!(
                "idle_timeout = \"{}\" is shorter than that of receive connector \"{}\" behind it (\"{}\"): the balancer cuts connections that \
                 the server keeps; make it longer",
                duration_text(ours),
                connector.name,
                duration_text(theirs)
            );
            self.document.warning(self.placed.idle_at, text);
        }
    }
}

/// The line to add, so that a connector takes PROXY headers.
fn trust_line(
    read: &Read,
    service: &Service,
    member: &ServiceMember,
    connector: Option<&ReceiveConnector>,
    proxy: ProxyHeader,
) -> String {
    if proxy == ProxyHeader::None {
        return String::new();
    }
    let from =
        connector.map_or(Vec::new(), |connector| connector.trusted_proxies.0.iter().map(ToString::to_string).collect());
    let missing = balancers(read, service, member, connector);
    let missing = missing.iter().filter(|ip| connector.is_none_or(|c| !c.trusted_proxies.contains(**ip)));
    let all: Vec<String> = from.into_iter().chain(missing.map(ToString::to_string)).collect();
    match all.is_empty() {
        true => "; add trusted_proxies = [the addresses that the balancers connect from]".into(),
        false => format!("; add trusted_proxies = [{}]", listed(&all, "\"")),
    }
}

/// The addresses that the balancers of a service connect to a member from, as far as the document tells: a balancer on the member's own machine
/// comes from the member's address (from 127.0.0.1 to all of 127.0.0.0/8), the others from the address of their [[server]].
fn balancers(
    read: &Read,
    service: &Service,
    member: &ServiceMember,
    connector: Option<&ReceiveConnector>,
) -> Vec<IpAddr> {
    let Some(socket) = socket_of(member) else { return Vec::new() };
    if socket.ip().is_loopback() {
        return vec![if socket.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { socket.ip() }];
    }
    let of_connector = connector.and_then(|connector| connector.servers.as_deref());
    let own = match (&member.server, of_connector) {
        (Some(server), _) => Some(&**server),
        (None, Some([only])) => Some(&**only),
        _ => None,
    };
    let mut found: Vec<IpAddr> = Vec::new();
    for server in read.map.servers.iter().map(|server| &server.value).filter(|server| service.is_for(&server.name)) {
        let from = match server.address.host {
            _ if own == Some(&*server.name) => Some(socket.ip()),
            Host::Ip(ip) if ip.is_ipv4() == socket.is_ipv4() => Some(ip),
            _ => None,
        };
        found.extend(from);
    }
    found.sort();
    found.dedup();
    found
}

fn listed<T: std::fmt::Display>(items: &[T], quote: &str) -> String {
    items.iter().map(|item| format!("{quote}{item}{quote}")).collect::<Vec<_>>().join(", ")
}
