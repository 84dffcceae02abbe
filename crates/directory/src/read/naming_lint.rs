//! What is doubtful about names in the eyes of those who get our mail or send us theirs: allowed, but hardly meant.

use super::document::{Document, did_you_mean};
use super::naming_checks::is_spf;
use super::org::Read;
use super::section::At;
use crate::identity::is_public;
use crate::org::Org;
use crate::send::SendConnector;
use crate::topology::Server;
use crate::zone::{Data, Entry, Type, is_reverse, reverse};
use std::net::IpAddr;

/// Says it.
pub fn warn(document: &Document<'_>, read: &Read, org: &Org) {
    for zone in &read.named.zones {
        if zone.zone.value.name_servers.len() == 1 {
            let text = "one name server is none when it is away; name two at least, in different networks (RFC 2182)";
            document.warning(zone.name_servers_at, text);
        }
        let known = || read.map.servers.iter().map(|server| &*server.value.name);
        for name in zone.zone.value.servers.iter().flatten().filter(|name| !known().any(|one| one == &***name)) {
            if read.map.servers.is_empty() {
                continue;
            }
            let hint = did_you_mean(name, known()).map(|hint| hint.replace("; d", " D")).unwrap_or_default();
            document
                .warning(zone.servers_at, format!("no [[server]] is called {name}: is that the name of a node?{hint}"));
        }
    }
    for zone in org.naming.zones() {
        let entries = org.naming.entries(&zone.name);
        entries.iter().for_each(|entry| odd_place(document, read, entry, &zone.name));
    }
    domains(document, read, org);
    for server in read.map.servers.iter().filter(|server| !server.value.public_addresses.is_empty()) {
        for connector in read.send.iter().filter(|connector| connector.value.leaves_from(&server.value)) {
            identity(document, org, &server.value, connector);
        }
    }
}

/// Records that mean something at other names only.
fn odd_place(document: &Document<'_>, read: &Read, entry: &Entry, zone: &str) {
    let first = entry.name.split('.').next().unwrap_or_default();
    let text = match &entry.data {
        Data::Txt(text) if first == "_dmarc" && !text.starts_with(b"v=DMARC1") => {
            "a DMARC record begins with v=DMARC1; nobody reads this one"
        }
        Data::Tlsa(_) if !first.starts_with('_') => {
            "TLSA records stand at the port and the protocol of a host, for example _25._tcp.mx1.example.org"
        }
        Data::Srv(_) if !first.starts_with('_') => {
            "SRV records stand at a service and a protocol, for example _submission._tcp.example.org"
        }
        Data::Ptr(_) if !is_reverse(zone) => {
            "PTR records stand in reverse zones (in-addr.arpa, ip6.arpa); nobody looks here"
        }
        Data::Txt(text) if is_spf(text) && first.starts_with('_') => {
            "an SPF record stands at the domain itself; nobody reads this one"
        }
        _ => return,
    };
    document.warning(read.named.at(entry), text);
}

/// Domains that we take mail for, in zones of ours.
fn domains(document: &Document<'_>, read: &Read, org: &Org) {
    for At { value: domain, at } in read.domains.iter().filter(|domain| !domain.value.name.starts_with('*')) {
        let Some(zone) = org.naming.zone_of(&domain.name) else { continue };
        let here = || org.naming.entries(&zone.name).iter().filter(|entry| *entry.name == *domain.name);
        if !here().any(|entry| matches!(entry.data.kind(), Type::Mx | Type::A | Type::Aaaa | Type::Cname)) {
            let text = format!(
                "zone {} says of {} neither MX nor address: nobody can send it mail; add an [[mx_layout]], or mx to its [[dns_name]]",
                zone.name, domain.name
            );
            document.warning(*at, text);
        } else if !here().any(|entry| matches!(&entry.data, Data::Txt(text) if is_spf(text))) {
            let text = format!(
                "zone {} has no SPF record for {}: others trust its mail less, and anybody can send in its name; add txt = [\"v=spf1 mx -all\"] to its [[dns_name]]",
                zone.name, domain.name
            );
            document.warning(*at, text);
        }
    }
}

/// The name in EHLO, the address that the mail comes from, and the name of that address must be one (behaviours 6.4: an edge at each
/// provider has its own).
fn identity(document: &Document<'_>, org: &Org, server: &Server, connector: &At<SendConnector>) {
    let At { value: connector, at } = connector;
    let hello = connector.hello_of(server, org.server());
    if let Some(source) =
        connector.source.filter(|source| is_public(*source) && !server.public_addresses.contains(source))
    {
        let text = format!(
            "mail of {} leaves from {source}, which is none of its public_addresses; give that server a connector of its own, with its own source",
            server.name
        );
        document.warning(*at, text);
        return;
    }
    let used = || server.public_addresses.iter().filter(|address| connector.may_use(**address));
    if let Some(zone) = org.naming.zone_of(hello) {
        let entries = org.naming.entries(&zone.name);
        let has =
            |address: &IpAddr| entries.iter().any(|entry| *entry.name == *hello && is_address(&entry.data, *address));
        if let Some(address) = used().find(|address| !has(address)) {
            let text = format!(
                "mail of {} leaves from {address} as {hello}, and {hello} has no such address: many refuse that; set hello to {} in a connector for this server",
                server.name, server.public_name
            );
            document.warning(*at, text);
            return;
        }
    }
    for address in used() {
        let owner = reverse(*address);
        let Some(zone) = org.naming.zone_of(&owner) else { continue };
        let mut pointers = org.naming.entries(&zone.name).iter().filter(|entry| *entry.name == *owner);
        if !pointers.any(|entry| entry.data.target() == Some(hello)) {
            let text = format!(
                "mail of {} leaves from {address} as {hello}, and the PTR record of that address says another name; set public_name of the server to {hello}, or hello to its public name",
                server.name
            );
            document.warning(*at, text);
        }
    }
}

fn is_address(data: &Data, address: IpAddr) -> bool {
    match data {
        Data::A(v4) => IpAddr::V4(*v4) == address,
        Data::Aaaa(v6) => IpAddr::V6(*v6) == address,
        _ => false,
    }
}
