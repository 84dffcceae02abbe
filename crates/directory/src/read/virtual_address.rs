//! Reads `[[virtual_address]]`, and says what is wrong between them and with the rest of the document.

use super::document::Document;
use super::org::Read;
use super::receive::{Spaces, connector_name, servers};
use super::section::{At, Section};
use crate::target::Host;
use crate::virtual_address::{NEEDS_NODE, VirtualAddress};
use ipnet::IpNet;

/// One virtual address with the places of its addresses.
pub struct PlacedAddress {
    pub address: At<VirtualAddress>,
    places: Vec<At<IpNet>>,
    needs: Vec<At<String>>,
}

/// Reads one.
pub fn virtual_address(section: &Section<'_, '_>) -> Option<PlacedAddress> {
    let name = connector_name(section, Spaces::No);
    let places = addresses(section);
    one_subnet_each(section, &places);
    let servers = servers(section);
    for (at, server) in servers.iter().flatten().enumerate() {
        if servers.iter().flatten().take(at).any(|earlier| earlier == server) {
            section.problem("servers", format!("\"{server}\" is listed twice; remove one"));
        }
    }
    if section.flag("failback") && servers.is_none() {
        section.problem("failback", "there is no better node to go back to; say their order with servers = [...]");
    }
    let needs = section.texts("needs");
    let interface = section.text("interface").filter(|written| is_interface(section, written));
    let (lease_ms, announce_interval_ms) = (section.duration_ms("lease"), section.duration_ms("announce_interval"));
    let announce_count = section.count("announce_count");
    let name = name?;
    let value = VirtualAddress {
        name: name.value.as_str().into(),
        addresses: places.iter().map(|place| place.value).collect(),
        interface: interface?.value.into(),
        servers,
        failback: section.flag("failback"),
        needs: needs.as_ref().map(|all| all.iter().map(|need| need.value.as_str().into()).collect()),
        lease_ms,
        announce_count,
        announce_interval_ms,
    };
    Some(PlacedAddress { address: At { value, at: name.at }, places, needs: needs.unwrap_or_default() })
}

fn addresses(section: &Section<'_, '_>) -> Vec<At<IpNet>> {
    let written = section.texts("address").unwrap_or_default();
    if written.is_empty() && section.has("address") {
        section.problem("address", "address is empty; write it like \"192.0.2.10/24\"");
    }
    let mut found: Vec<At<IpNet>> = Vec::new();
    for text in &written {
        let wrong = |what: &str| section.document().problem(text.at, format!("\"{}\" {what}", text.value));
        let Ok(net) = text.value.parse::<IpNet>() else {
            wrong("is no address with the length of its prefix; write it like 192.0.2.10/24 or 2001:db8::10/64");
            continue;
        };
        match () {
            () if !is_of_one_host(net) => wrong("is no address that one host can have; write the host's own"),
            () if found.iter().any(|known| known.value.addr() == net.addr()) => wrong("is listed twice; remove one"),
            () if found.len() == ADDRESSES_MAX => wrong("is one too many; make another [[virtual_address]]"),
            () => found.push(At { value: net, at: text.at }),
        }
    }
    found
}

/// Neither a whole subnet nor its broadcast address, nor anything else that is not one host's on a link.
fn is_of_one_host(net: IpNet) -> bool {
    let address = net.addr();
    if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
        return false;
    }
    match net {
        IpNet::V4(net) if net.prefix_len() < 31 => net.addr() != net.network() && net.addr() != net.broadcast(),
        IpNet::V4(net) => net.prefix_len() > 0,
        IpNet::V6(net) => net.prefix_len() > 0 && !net.addr().is_unicast_link_local(),
    }
}

/// Those that move together are of one subnet for each family: a node that reaches one can have all.
fn one_subnet_each(section: &Section<'_, '_>, places: &[At<IpNet>]) {
    for (at, place) in places.iter().enumerate() {
        let mut earlier =
            places[..at].iter().filter(|other| other.value.addr().is_ipv4() == place.value.addr().is_ipv4());
        if let Some(other) = earlier.find(|other| other.value.trunc() != place.value.trunc()) {
            let text = format!(
                "{} and {} are of different subnets; make a [[virtual_address]] of each",
                place.value, other.value
            );
            section.document().problem(place.at, text);
        }
    }
}

fn is_interface(section: &Section<'_, '_>, written: &At<String>) -> bool {
    let name = &written.value;
    // What Linux takes as a name (dev_valid_name).
    let odd = |c: char| c.is_whitespace() || matches!(c, '/' | ':');
    let is_name = name.len() < 16 && name != "." && name != ".." && !name.contains(odd);
    let what = match () {
        () if !is_name => "is no interface's name; write it like eth0",
        () if name == "lo" => "is reached by nobody from outside; name the interface of its subnet",
        () => return true,
    };
    section.document().problem(written.at, format!("\"{name}\" {what}"));
    false
}

/// Problems between virtual addresses, and with the addresses of servers.
pub fn check(document: &Document<'_>, read: &Read) {
    for (at, one) in read.virtual_addresses.iter().enumerate() {
        for need in one.needs.iter().filter(|need| need.value != NEEDS_NODE) {
            if !read.services.iter().any(|placed| *placed.service.value.name == *need.value) {
                let text = format!("there is no [[service]] \"{}\"; write a service's name, or \"node\"", need.value);
                document.problem(need.at, text);
            }
        }
        for place in &one.places {
            let address = place.value.addr();
            let name_of = |other: &PlacedAddress| (other.address.value.name.to_string(), other.address.at);
            let has = |other: &&PlacedAddress| other.places.iter().any(|known| known.value.addr() == address);
            if let Some((name, line)) = read.virtual_addresses[..at].iter().find(has).map(name_of) {
                let line = document.line_of(line);
                let text = format!("{address} is of [[virtual_address]] \"{name}\" already (line {line}); remove one");
                document.problem(place.at, text);
            }
            let mut servers = read.map.servers.iter();
            if let Some(server) = servers.find(|server| server.value.address.host == Host::Ip(address)) {
                let (name, line) = (&server.value.name, document.line_of(server.at));
                let text = format!(
                    "{address} is the fixed address of [[server]] \"{name}\" (line {line}); a virtual one is nobody's own"
                );
                document.problem(place.at, text);
            }
        }
    }
}

/// Addresses of one object: each is added and announced within one turn.
const ADDRESSES_MAX: usize = 16;
