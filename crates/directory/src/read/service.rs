//! Reads `[[service]]` and `[[member]]`.

use super::document::{Document, did_you_mean};
use super::probe;
use super::receive::{Placed, Spaces, connector_name, host_name, listen, ranges, servers, trusted};
use super::section::{At, Section};
use super::topology::{Map, site_named};
use crate::range::Ranges;
use crate::service::{
    Affinity, Algorithm, Ejection, PoolOf, ProxyHeader, Service, ServiceLimits, ServiceMember, ServiceProtocol,
    SipMode, SipSettings, SipTransport,
};
use crate::target::{Host, HostPort};
use crate::topology::Server;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A service with the places of what others may collide with.
pub struct PlacedService {
    /// The service, at its name.
    pub service: At<Service>,
    /// Its sockets.
    pub listen: Vec<At<SocketAddr>>,
    /// Where its members are written; those of the map have the place of the service.
    pub members: Vec<At<Arc<ServiceMember>>>,
    /// Where its `idle_timeout` stands.
    pub idle_at: usize,
}

/// Reads all services with their members.
pub fn services(document: &Document<'_>, map: &Map, connectors: &[Placed]) -> Vec<PlacedService> {
    let own = Own { map, connectors };
    let mut found: Vec<PlacedService> =
        document.repeated("service").iter().filter_map(|section| service(section, map)).collect();
    for placed in &mut found {
        let given = of_map(document, &placed.service, &own);
        placed.members.extend(given.into_iter().map(|value| At { value, at: placed.service.at }));
    }
    for section in &document.repeated("member") {
        member(section, &own, &mut found);
    }
    for placed in &mut found {
        placed.service.value.members = placed.members.iter().map(|member| Arc::clone(&member.value)).collect();
        if placed.members.is_empty() {
            let text = format!(
                "service \"{}\" has no members; add a [[member]] with service = \"{}\", or pool_servers or pool_site",
                placed.service.value.name, placed.service.value.name
            );
            document.problem(placed.service.at, text);
        }
        if let Some(one) = placed.members.get(MEMBERS_MAX) {
            document.problem(one.at, format!("a service has up to {MEMBERS_MAX} members; make two services of it"));
        }
    }
    found
}

fn service(section: &Section<'_, '_>, map: &Map) -> Option<PlacedService> {
    let name = connector_name(section, Spaces::No);
    let listen = listen(section);
    let remote = ranges(section, "remote");
    let protocol = section.choice("protocol", ServiceProtocol::WORDS);
    let hostname = host_name(section, "hostname").or_else(|| name.as_ref().map(|name| name.value.clone()));
    let terminates_tls = section.choice("tls", &[("pass", false), ("terminate", true)]);
    if terminates_tls && !protocol.is_tls() {
        let text =
            "tls = \"terminate\" is for protocols with TLS from the first byte: submissions, imaps, pop3s, https";
        section.problem("tls", text);
    }
    let service = Service {
        name: name.as_ref().map_or("", |name| &name.value).into(),
        enabled: section.flag("enabled"),
        hostname: hostname.unwrap_or_default().into(),
        listen: listen.iter().map(|at| at.value).collect(),
        servers: servers(section),
        protocol,
        algorithm: match (section.has("algorithm"), protocol) {
            (false, protocol) if protocol.is_sip() => Algorithm::RoundRobin,
            (false, _) => Algorithm::LeastConnections,
            (true, _) => section.choice("algorithm", Algorithm::WORDS),
        },
        affinity: Affinity {
            prefix_v4: section.count("affinity_prefix") as u8,
            prefix_v6: section.count("affinity_prefix_ipv6") as u8,
            timeout_ms: section.duration_ms("affinity_timeout"),
            clients_max: section.count("affinity_clients_max"),
        },
        proxy: section.has("proxy").then(|| section.choice("proxy", ProxyHeader::WORDS)),
        remote: Ranges(remote.iter().map(|at| at.value).collect()),
        trusted_proxies: trusted(section, "trusted_proxies"),
        limits: limits(section, protocol),
        ejection: ejection(section),
        probe: probe::read(section, protocol),
        sip: sip(section, protocol),
        terminates_tls,
        pool: pool(section, protocol, map),
        members: Vec::new(),
    };
    no_proxy_in_sip(section, protocol, service.proxy);
    let idle_at = section.at("idle_timeout");
    Some(PlacedService { service: At { value: service, at: name?.at }, listen, members: Vec::new(), idle_at })
}

fn limits(section: &Section<'_, '_>, protocol: ServiceProtocol) -> ServiceLimits {
    let or_none = |number: u64| Some(number).filter(|number| *number > 0);
    ServiceLimits {
        connections_max: section.count("connections_max"),
        connections_per_source_max: Some(section.count("connections_per_source_max")).filter(|most| *most > 0),
        idle_timeout_ms: match section.has("idle_timeout") {
            true => section.duration_ms("idle_timeout"),
            false => protocol.idle_timeout_ms(),
        },
        connect_timeout_ms: section.duration_ms("connect_timeout"),
        greeting_timeout_ms: section.duration_ms("greeting_timeout"),
        retries: section.count("retries"),
        retry_budget_percent: match section.has("retry_budget") {
            true => section.count("retry_budget"),
            false if protocol.is_sip() => 100,
            false => 50,
        },
        slow_start_ms: section.duration_ms("slow_start"),
        keepalive_ms: or_none(section.duration_ms("keepalive")),
    }
}

fn ejection(section: &Section<'_, '_>) -> Ejection {
    let ejection = Ejection {
        failures: Some(section.count("ejection_failures")).filter(|failures| *failures > 0),
        first_ms: section.duration_ms("ejection_time"),
        longest_ms: section.duration_ms("ejection_time_max"),
        share_percent_max: section.count("ejection_share_max"),
    };
    if ejection.longest_ms < ejection.first_ms {
        let key = if section.has("ejection_time_max") { "ejection_time_max" } else { "ejection_time" };
        section.problem(key, "ejection_time_max is shorter than ejection_time; make it longer");
    }
    ejection
}

fn sip(section: &Section<'_, '_>, protocol: ServiceProtocol) -> SipSettings {
    for key in ["sip_mode", "answer_timeout"].into_iter().filter(|key| !protocol.is_sip() && section.has(key)) {
        section.problem(key, format!("{key} is for protocol = \"sip\" and \"sips\"; remove it"));
    }
    if protocol != ServiceProtocol::Sip && section.has("sip_transports") {
        let text = "sip_transports is for protocol = \"sip\" (\"sips\" is TLS and nothing else); remove it";
        section.problem("sip_transports", text);
    }
    let mut transports = section.choices("sip_transports", SipTransport::WORDS).unwrap_or_default();
    if transports.is_empty() {
        section.problem("sip_transports", "a service of sip listens over something; write \"udp\", \"tcp\" or both");
    }
    transports.dedup();
    SipSettings {
        mode: section.choice("sip_mode", SipMode::WORDS),
        transports,
        answer_timeout_ms: section.duration_ms("answer_timeout"),
    }
}

fn pool(section: &Section<'_, '_>, protocol: ServiceProtocol, map: &Map) -> Option<PoolOf> {
    let names = section.texts("pool_servers").unwrap_or_default();
    let sites = section.texts("pool_site").unwrap_or_default();
    let written = port(section, "pool_port");
    if names.is_empty() && sites.is_empty() {
        if written.is_some() {
            section
                .problem("pool_port", "pool_port goes with pool_servers or pool_site; remove it or write one of them");
        }
        return None;
    }
    let port = port_or_default(section, "pool_port", written, protocol)?;
    let servers = names.iter().filter_map(|name| Some(server_named(section, name, map)?.name.as_ref().into()));
    let sites = sites.iter().filter_map(|name| Some(site_named(section, name, &map.sites)?.as_ref().into()));
    Some(PoolOf { servers: servers.collect(), sites: sites.collect(), port })
}

/// A port that is written.
fn port(section: &Section<'_, '_>, key: &str) -> Option<u16> {
    section.has(key).then(|| section.count(key)).and_then(|port| u16::try_from(port).ok())
}

/// A port, or that of the protocol.
fn port_or_default(
    section: &Section<'_, '_>,
    key: &str,
    written: Option<u16>,
    protocol: ServiceProtocol,
) -> Option<u16> {
    let port = written.or(protocol.port());
    if port.is_none() {
        section.problem("name", format!("protocol tcp has no port of its own; write {key} = ..."));
    }
    port
}

/// The members that the map gives to a service.
fn of_map(document: &Document<'_>, at: &At<Service>, own: &Own<'_>) -> Vec<Arc<ServiceMember>> {
    let At { value: service, at } = at;
    let Some(pool) = &service.pool else { return Vec::new() };
    let is_in = |server: &Server| {
        pool.servers.iter().any(|name| **name == *server.name)
            || server.site.as_ref().is_some_and(|site| pool.sites.iter().any(|name| **name == **site))
    };
    let mut given: Vec<Arc<ServiceMember>> = Vec::new();
    for server in own.map.servers.iter().map(|server| &server.value).filter(|server| is_in(server)) {
        given.push(Arc::new(ServiceMember {
            name: Arc::clone(&server.name),
            service: Arc::clone(&service.name),
            address: HostPort { host: server.address.host.clone(), port: pool.port },
            server: Some(Arc::clone(&server.name)),
            is_at_server: true,
            is_own: true,
            site: server.site.clone(),
            weight: 1,
            priority: 1,
            connections_max: service.protocol.is_sip().then_some(SIP_CALLS_MAX),
            drain: false,
            sni: Vec::new(),
            proxy: proxy_to(service, true),
            is_written: false,
        }));
    }
    given.sort_by(|a, b| a.name.cmp(&b.name));
    if given.is_empty() && !document.is_bad() {
        document.problem(*at, "no [[server]] stands in the sites of pool_site; name others, or servers");
    }
    given
}

/// Reads one member into its service.
fn member(section: &Section<'_, '_>, own: &Own<'_>, services: &mut [PlacedService]) {
    let name = connector_name(section, Spaces::No);
    let of = section.text("service");
    let server = section.text("server").and_then(|name| server_named(section, &name, own.map));
    let (address, port) = (section.text("address"), port(section, "port"));
    let site = section.text("site").and_then(|text| site_named(section, &text, &own.map.sites));
    let proxy = section.has("proxy").then(|| section.choice("proxy", ProxyHeader::WORDS));
    let bound = section.count("connections_max");
    let sni = sni(section);
    let mut member = ServiceMember {
        name: name.as_ref().map_or("", |name| &name.value).into(),
        service: "".into(),
        address: HostPort { host: Host::Ip(IpAddr::from([0, 0, 0, 0])), port: 0 },
        server: server.map(|server| Arc::clone(&server.name)),
        is_at_server: address.is_none(),
        is_own: server.is_some(),
        site: site.or_else(|| server.and_then(|server| server.site.clone())),
        weight: section.count("weight"),
        priority: section.count("priority"),
        connections_max: (bound > 0).then_some(bound),
        drain: section.flag("drain"),
        sni,
        proxy: ProxyHeader::None,
        is_written: true,
    };
    let Some(placed) = of.and_then(|of| service_named(section, &of, services)) else { return };
    let service = &placed.service.value;
    if !member.sni.is_empty() && !service.protocol.is_tls() {
        section.problem("sni", "sni is for services with TLS from the first byte: submissions, imaps, pop3s, https");
    }
    let (Some(name), Some(address)) = (name, member_address(section, (address, port), server, service.protocol)) else {
        return;
    };
    if service.protocol.is_sip() && !section.has("connections_max") {
        member.connections_max = Some(SIP_CALLS_MAX);
    }
    member.is_own |= own.has(&address);
    (member.service, member.address) = (Arc::clone(&service.name), address);
    member.proxy = proxy.unwrap_or_else(|| proxy_to(service, member.is_own));
    no_proxy_in_sip(section, service.protocol, Some(member.proxy));
    // What is written of a server takes the place of what the map says of it.
    placed.members.retain(|other| other.value.is_written || other.value.server != member.server);
    let same = placed.members.iter().find(|other| other.value.address == member.address);
    if let Some(other) = same {
        let text = format!("{} is member \"{}\" of this service already; remove one", member.address, other.value.name);
        section.problem("address", text);
    }
    placed.members.push(At { value: Arc::new(member), at: name.at });
}

fn service_named<'s>(
    section: &Section<'_, '_>,
    of: &At<String>,
    services: &'s mut [PlacedService],
) -> Option<&'s mut PlacedService> {
    let found = services.iter().position(|placed| *placed.service.value.name == *of.value);
    if found.is_none() {
        let names = services.iter().map(|placed| &*placed.service.value.name);
        let hint = did_you_mean(&of.value, names).unwrap_or_else(|| "; add it: [[service]]".into());
        section.problem("service", format!("there is no [[service]] \"{}\"{hint}", of.value));
    }
    found.and_then(|at| services.get_mut(at))
}

/// Where a member listens, from what is written.
fn member_address(
    section: &Section<'_, '_>,
    (address, port): (Option<At<String>>, Option<u16>),
    server: Option<&Server>,
    protocol: ServiceProtocol,
) -> Option<HostPort> {
    if let Some(text) = address {
        if port.is_some() {
            section.problem("port", "address says the port already; remove port");
        }
        return HostPort::parse(&text.value, protocol.port()).map_err(|text| section.problem("address", text)).ok();
    }
    let Some(server) = server else {
        // A server that is not known is a problem already.
        if !section.has("server") {
            section.problem("name", "a member needs an address = \"host:port\", or a server = \"NAME\" of the map");
        }
        return None;
    };
    let port = port_or_default(section, "port", port, protocol)?;
    Some(HostPort { host: server.address.host.clone(), port })
}

fn no_proxy_in_sip(section: &Section<'_, '_>, protocol: ServiceProtocol, proxy: Option<ProxyHeader>) {
    if protocol.is_sip() && proxy.is_some_and(|proxy| proxy != ProxyHeader::None) {
        section.problem("proxy", "SIP has no PROXY header: its messages name the client in Via; remove proxy");
    }
}

fn sni(section: &Section<'_, '_>) -> Vec<Box<str>> {
    let written = section.texts("sni").unwrap_or_default();
    let is_name = |text: &str| mail::address::is_domain(text.strip_prefix("*.").unwrap_or(text)) && text.is_ascii();
    for text in written.iter().filter(|text| !is_name(&text.value)) {
        let problem = format!("\"{}\" is no name; write it like mail.example.org or *.example.org", text.value);
        section.document().problem(text.at, problem);
    }
    written.into_iter().map(|text| text.value.to_ascii_lowercase().into()).collect()
}

fn server_named<'m>(section: &Section<'_, '_>, text: &At<String>, map: &'m Map) -> Option<&'m Server> {
    let found = map.servers.iter().find(|server| server.value.name.eq_ignore_ascii_case(&text.value));
    if found.is_none() {
        let names = map.servers.iter().map(|server| &*server.value.name);
        let hint =
            did_you_mean(&text.value.to_ascii_lowercase(), names).unwrap_or_else(|| "; add it: [[server]]".into());
        section.document().problem(text.at, format!("there is no [[server]] \"{}\"{hint}", text.value));
    }
    found.map(|server| &server.value)
}

/// What stands before the client's bytes, to a member that is one of our servers or not. What a client of HTTP or LDAP is told by us would be a
/// surprise to most servers, and SIP has its own way.
fn proxy_to(service: &Service, is_own: bool) -> ProxyHeader {
    let by_itself = if is_own && service.protocol.is_mail() { ProxyHeader::V2 } else { ProxyHeader::None };
    service.proxy.unwrap_or(by_itself)
}

/// What is known of our own servers.
struct Own<'r> {
    map: &'r Map,
    connectors: &'r [Placed],
}

impl Own<'_> {
    /// One of our servers is at this address: a receive connector is bound to it (not to a wildcard), or a server of the map has the host.
    fn has(&self, address: &HostPort) -> bool {
        let listens =
            |socket: &SocketAddr| socket.port() == address.port && address.host == Host::Ip(socket.ip().to_canonical());
        self.map.servers.iter().any(|server| server.value.address.host == address.host)
            || self.connectors.iter().any(|placed| placed.listen.iter().any(|at| listens(&at.value)))
    }
}

/// Members of one service: each connection looks at all of them.
const MEMBERS_MAX: usize = 256;

/// Calls that are being set up at one member, where nothing is written.
const SIP_CALLS_MAX: u32 = 100;
