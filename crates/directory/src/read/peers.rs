//! Reads `[peers]` and `[[peer]]`.

use super::document::Document;
use super::pem::{pem_file, tls};
use super::section::Section;
use crate::node::{Peer, Peers};
use crate::target::{Host, HostPort};
use std::collections::HashMap;
use world::Disk;

/// Links of the node `own`; nothing if `[peers]` is not written.
pub fn peers(document: &Document<'_>, disk: &dyn Disk, own: &str) -> Option<Peers> {
    let mut seen = HashMap::new();
    let known: Vec<Peer> =
        document.repeated("peer").iter().filter_map(|section| peer(section, own, &mut seen)).collect();
    let Some(section) = document.section_if_written("peers") else {
        if let Some(first) = document.repeated("peer").first() {
            document.problem(first.head(), "a [[peer]] needs the table [peers], which names the certificates");
        }
        return None;
    };
    let listen = section.text("listen").and_then(|listen| section.socket(&listen));
    let own = tls(&section, disk);
    let ca = pem_file(&section, disk, "ca", "-----BEGIN CERTIFICATE-----", "certificate");
    let heartbeat_ms = section.duration_ms("heartbeat");
    let missed_heartbeats_max = section.count("missed_heartbeats_max");
    Some(Peers { listen: listen?, own: own?, ca: ca?, heartbeat_ms, missed_heartbeats_max, known })
}

fn peer(section: &Section<'_, '_>, own: &str, seen: &mut HashMap<String, usize>) -> Option<Peer> {
    let (name, address) = (section.text("name"), section.text("address"));
    let keeps_copy = section.flag("keeps_copy");
    let (name, address) = (name?, address?);
    let lower = name.value.to_ascii_lowercase();
    let document = section.document();
    if !mail::address::is_domain(&lower) || !lower.is_ascii() {
        section.problem(
            "name",
            format!("\"{}\" is no host name; write the name in that node's posthouse.toml", name.value),
        );
    } else if lower == own.to_ascii_lowercase() {
        section.problem("name", "this is the node itself; list the other nodes only");
    } else if let Some(first) = seen.insert(lower.clone(), name.at) {
        let line = document.line_of(first);
        section
            .problem("name", format!("there is a [[peer]] \"{lower}\" already (line {line}); give each its own name"));
    }
    match HostPort::parse(&address.value, Some(PORT)) {
        Ok(address) => {
            if matches!(&address.host, Host::Ip(ip) if ip.is_unspecified()) {
                section.problem("address", "0.0.0.0 is no address to reach a node at; write the one that it has");
            }
            Some(Peer { name: lower, address, keeps_copy })
        }
        Err(what) => {
            document.problem(address.at, what);
            None
        }
    }
}

/// Where links listen if nothing else is said.
pub(super) const PORT: u16 = 2526;
