//! Reads `[[zone]]` and `[[tsig_key]]`.

use super::receive::{ranges, servers};
use super::section::{At, Section};
use crate::base64;
use crate::range::Ranges;
use crate::target::HostPort;
use crate::zone::{Push, Timers, TsigAlgorithm, TsigKey, Zone, parse_host, parse_name};
use mail::Mailbox;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use world::Disk;

/// A zone, and where its parts are written.
pub struct PlacedZone {
    /// The zone.
    pub zone: At<Zone>,
    /// The place of its name servers.
    pub name_servers_at: usize,
    /// The place of its servers.
    pub servers_at: usize,
}

/// Reads one key.
pub fn tsig_key(section: &Section<'_, '_>, disk: &dyn Disk) -> Option<At<TsigKey>> {
    let (name, algorithm) = (dns_name(section, "name"), section.choice("algorithm", TsigAlgorithm::WORDS));
    let file = section.text("secret_file")?;
    let bytes = section.document().read_file(disk, &file.value, file.at)?;
    let text = String::from_utf8_lossy(&bytes);
    // `tsig-keygen` writes a key as named wants it, secret and all.
    let quoted = text.split_once("secret \"").and_then(|(_, rest)| rest.split_once('"')).map(|(secret, _)| secret);
    let written = quoted.unwrap_or_else(|| text.lines().next().unwrap_or_default()).trim();
    let secret = base64::decode(written).filter(|secret| !secret.is_empty()).unwrap_or_default();
    match secret.len() {
        0 => {
            section.problem("secret_file", format!("{} holds no secret in base64; `tsig-keygen` makes one", file.value))
        }
        1..16 => {
            section.warning("secret_file", "the secret is shorter than 16 bytes; make a longer one: `tsig-keygen`")
        }
        _ => {}
    }
    let name = name?;
    let path = section.document().path(&file.value);
    let key = TsigKey { name: (*name.value).into(), algorithm, secret: secret.into(), secret_file: path };
    Some(At { value: key, at: name.at })
}

/// Reads one zone. Keys that it names must be among `keys`; `contact` stands in for one that is not written.
pub fn zone(section: &Section<'_, '_>, keys: &[At<TsigKey>], contact: &Mailbox) -> Option<PlacedZone> {
    let name = dns_name(section, "name");
    let contact = contact_of(section, contact);
    let seconds = |key| u32::try_from(section.duration_ms(key).div_ceil(1_000)).unwrap_or(u32::MAX);
    let timers = Timers {
        refresh_s: seconds("refresh"),
        retry_s: seconds("retry"),
        expire_s: seconds("expire"),
        negative_ttl_s: seconds("negative_ttl"),
    };
    if timers.expire_s <= timers.refresh_s.saturating_add(timers.retry_s) {
        section.warning("expire", "secondaries stop answering before they have looked twice; make expire longer than refresh and retry together");
    }
    let is_nobody = section.texts("servers").is_some_and(|servers| servers.is_empty());
    let zone = Zone {
        name: name.as_ref().map_or("".into(), |name| (*name.value).into()),
        servers: if is_nobody { Some(Vec::new()) } else { servers(section) },
        name_servers: hosts(section, "name_servers"),
        contact,
        ttl_s: seconds("ttl"),
        timers,
        secondaries: secondaries(section),
        notify: section.flag("notify"),
        transfer_allowed: Ranges(ranges(section, "transfer_allowed").into_iter().map(|range| range.value).collect()),
        tsig_keys: section
            .texts("tsig_keys")
            .unwrap_or_default()
            .iter()
            .filter_map(|text| key_named(section, text, keys))
            .collect(),
        push: push(section, keys),
    };
    let (name_servers_at, servers_at) = (section.at("name_servers"), section.at("servers"));
    Some(PlacedZone { zone: At { value: zone, at: name?.at }, name_servers_at, servers_at })
}

/// Who answers for a zone. The address becomes a name in DNS (RFC 1035 3.3.13), so not every address will do.
fn contact_of(section: &Section<'_, '_>, by_default: &Mailbox) -> Mailbox {
    let read = |text: At<String>| {
        let wrong = |why: String| {
            section.problem("contact", format!("\"{}\": {why}; write it like hostmaster@example.org", text.value));
        };
        Mailbox::parse(&text.value, false).map_err(|error| wrong(error.to_string())).ok()
    };
    let contact = section.text("contact").and_then(read).unwrap_or_else(|| by_default.clone());
    if contact.is_literal() || !contact.as_str().is_ascii() || contact.local().len() > LABEL_MAX {
        let text =
            format!("{contact} cannot stand in a SOA record; write contact = \"hostmaster@...\" with a plain address");
        section.problem("contact", text);
    }
    contact
}

/// A name in DNS.
pub fn dns_name(section: &Section<'_, '_>, key: &str) -> Option<At<Box<str>>> {
    let text = section.text(key)?;
    match parse_name(&text.value) {
        Ok(value) => Some(At { value, at: text.at }),
        Err(problem) => {
            section.document().problem(text.at, problem);
            None
        }
    }
}

fn hosts(section: &Section<'_, '_>, key: &str) -> Vec<Box<str>> {
    let written = section.texts(key).unwrap_or_default();
    if written.is_empty() && section.has(key) {
        section.problem(key, format!("{key} is empty; a zone needs one name server at least, better two"));
    }
    let mut found: Vec<Box<str>> = Vec::new();
    for text in &written {
        match parse_host(&text.value) {
            Ok(host) if found.contains(&host) => {
                section.document().problem(text.at, format!("{host} is listed twice; remove one"))
            }
            Ok(host) => found.push(host),
            Err(problem) => section.document().problem(text.at, problem),
        }
    }
    found
}

fn secondaries(section: &Section<'_, '_>) -> Vec<SocketAddr> {
    let read = |text: &At<String>| {
        let ip = text.value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        let found =
            ip.ok().or_else(|| text.value.parse().ok()).filter(|at| !at.ip().is_unspecified() && at.port() != 0);
        if found.is_none() {
            let hint = "write its address, for example 192.0.2.53 or [2001:db8::53]:5353";
            section.document().problem(text.at, format!("\"{}\" is no secondary; {hint}", text.value));
        }
        found
    };
    section.texts("secondaries").unwrap_or_default().iter().filter_map(read).collect()
}

fn push(section: &Section<'_, '_>, keys: &[At<TsigKey>]) -> Option<Push> {
    let key = section.text("push_key");
    let on_change = section.flag("push_on_change");
    let Some(server) = section.text("push") else {
        if let Some(key) = key {
            section.document().problem(key.at, "push_key needs push as well: the server that the zone is pushed to");
        }
        return None;
    };
    if key.is_none() {
        let text =
            "updates are not signed: the server can only go by our address, which others can forge; write push_key";
        section.warning("push", text);
    }
    let key = key.and_then(|key| key_named(section, &key, keys));
    let wrong = |problem| section.document().problem(server.at, problem);
    let server = HostPort::parse(&server.value, Some(DNS_PORT)).map_err(wrong).ok()?;
    Some(Push { server, key, on_change })
}

fn key_named(section: &Section<'_, '_>, text: &At<String>, keys: &[At<TsigKey>]) -> Option<Arc<TsigKey>> {
    let name = text.value.trim_end_matches('.').to_ascii_lowercase();
    let found = keys.iter().find(|key| *key.value.name == *name);
    if found.is_none() {
        section
            .document()
            .problem(text.at, format!("there is no [[tsig_key]] \"{}\"; add it, with its secret_file", text.value));
    }
    found.map(|key| Arc::new(key.value.clone()))
}

const DNS_PORT: u16 = 53;

/// Bytes of a label (RFC 1035 2.3.4).
const LABEL_MAX: usize = 63;
