//! Reads `[[dns_name]]` and `[[mx_layout]]`.

use super::document::did_you_mean;
use super::receive::{Spaces, connector_name};
use super::section::{At, Section};
use super::topology::{Map, addresses, site_named};
use super::zone::dns_name as name_of;
use crate::zone::{Data, DnsName, MxLayout, Type, parse_host, parse_name};
use std::sync::Arc;

/// A name, and where its parts are written.
pub struct PlacedName {
    /// The name.
    pub name: At<DnsName>,
    /// Its records, in the order of [`DnsName::records`].
    pub records: Vec<usize>,
    /// What it names besides, by key.
    pub services: Vec<At<String>>,
    /// What it names besides, by key.
    pub virtual_addresses: Vec<At<String>>,
    /// The place of `srv_for`.
    pub srv_for_at: usize,
}

/// The keys that hold records as they are.
const RECORDS: &[(&str, Type)] = &[
    ("cname", Type::Cname),
    ("mx", Type::Mx),
    ("txt", Type::Txt),
    ("srv", Type::Srv),
    ("tlsa", Type::Tlsa),
    ("caa", Type::Caa),
    ("ns", Type::Ns),
    ("ptr_to", Type::Ptr),
];

/// Reads one name.
pub fn dns_name(section: &Section<'_, '_>, map: &Map) -> Option<PlacedName> {
    let name = name_of(section, "name");
    let records = records(section);
    let ttl_s = ttl_s(section);
    let servers = servers_named(section, map);
    let (services, virtual_addresses) =
        (section.texts("services").unwrap_or_default(), section.texts("virtual_addresses").unwrap_or_default());
    let own_addresses = addresses(section, "addresses");
    let (srv_for, ptr) = (names(section, "srv_for"), section.flag("ptr"));
    if !srv_for.is_empty() && services.is_empty() {
        section.problem("srv_for", "srv_for needs services: they say what is found there, and on which ports");
    }
    let owned = |texts: &[At<String>]| texts.iter().map(|text| text.value.as_str().into()).collect::<Vec<Arc<str>>>();
    let name = name?;
    let value = DnsName {
        name: (*name.value).into(),
        ttl_s,
        servers,
        services: owned(&services),
        virtual_addresses: owned(&virtual_addresses),
        addresses: own_addresses,
        records: records.iter().map(|record| record.value.clone()).collect(),
        srv_for,
        ptr,
    };
    let has_addresses = !value.servers.is_empty()
        || !value.services.is_empty()
        || !value.virtual_addresses.is_empty()
        || !value.addresses.is_empty();
    if !has_addresses && value.records.is_empty() && !section.document().is_bad() {
        section
            .problem("name", "nothing stands at this name; write servers, services, addresses, or records such as txt");
    }
    let records = records.iter().map(|record| record.at).collect();
    let srv_for_at = section.at("srv_for");
    Some(PlacedName { name: At { value, at: name.at }, records, services, virtual_addresses, srv_for_at })
}

fn records(section: &Section<'_, '_>) -> Vec<At<Data>> {
    let mut found: Vec<At<Data>> = Vec::new();
    for (key, kind) in RECORDS {
        let written = match kind {
            Type::Cname => section.text(key).into_iter().collect(),
            _ => section.texts(key).unwrap_or_default(),
        };
        for text in written {
            match Data::parse(*kind, &text.value) {
                Ok(data) if found.iter().any(|known| known.value == data) => {
                    section.document().problem(text.at, "this record is written twice; remove one");
                }
                Ok(value) => found.push(At { value, at: text.at }),
                Err(problem) => section.document().problem(text.at, problem),
            }
        }
    }
    found
}

/// Reads one layout.
pub fn mx_layout(section: &Section<'_, '_>, map: &Map) -> Option<At<MxLayout>> {
    let name = connector_name(section, Spaces::No);
    let domains = names(section, "domains");
    if domains.is_empty() && section.has("domains") {
        section.problem("domains", "domains is empty; write the domains whose mail goes there");
    }
    let by_default = domains.first().map(|domain| format!("mx#.{domain}"));
    let host_name = section.text("host_name").map(|text| text.value.to_ascii_lowercase()).or(by_default);
    if let Some(pattern) = &host_name {
        let is_pattern = pattern.matches('#').count() == 1;
        match parse_host(&pattern.replacen('#', "50", 1)) {
            Ok(_) if is_pattern => {}
            _ => section.problem(
                "host_name",
                format!("\"{pattern}\" is no name with one # for the number; write it like mx#.example.org"),
            ),
        }
    }
    let written = section.texts("sites").unwrap_or_default();
    let sites = written.iter().filter_map(|text| site_named(section, text, &map.sites)).collect();
    let servers = servers_named(section, map);
    let hosts = section.has("hosts").then(|| section.count("hosts"));
    let (addresses, preference, ttl_s) = (section.count("addresses"), section.count("preference"), ttl_s(section));
    let name = name?;
    let value = MxLayout {
        name: name.value.as_str().into(),
        domains,
        sites,
        servers,
        hosts,
        addresses,
        host_name: host_name?.into(),
        preference: preference.try_into().unwrap_or(u16::MAX),
        ttl_s,
    };
    Some(At { value, at: name.at })
}

fn ttl_s(section: &Section<'_, '_>) -> Option<u32> {
    section.has("ttl").then(|| u32::try_from(section.duration_ms("ttl").div_ceil(1_000)).unwrap_or(u32::MAX))
}

fn names(section: &Section<'_, '_>, key: &str) -> Vec<Box<str>> {
    let read =
        |text: At<String>| parse_name(&text.value).map_err(|problem| section.document().problem(text.at, problem)).ok();
    section.texts(key).unwrap_or_default().into_iter().filter_map(read).collect()
}

/// Servers of the organization, which must be there and have an address.
fn servers_named(section: &Section<'_, '_>, map: &Map) -> Vec<Arc<str>> {
    let mut found: Vec<Arc<str>> = Vec::new();
    for text in section.texts("servers").unwrap_or_default() {
        let lower = text.value.trim_end_matches('.').to_ascii_lowercase();
        let wrong = |problem: String| section.document().problem(text.at, problem);
        match map.servers.iter().find(|server| *server.value.name == *lower) {
            None => {
                let hint = did_you_mean(&lower, map.servers.iter().map(|server| &*server.value.name))
                    .unwrap_or_else(|| "; add it, with its address".into());
                wrong(format!("there is no [[server]] \"{}\"{hint}", text.value));
            }
            Some(server) if server.value.published().next().is_none() => {
                wrong(format!("server {lower} has no address that DNS could give; add public_addresses to it"));
            }
            Some(server) if found.contains(&server.value.name) => wrong(format!("{lower} is listed twice; remove one")),
            Some(server) => found.push(Arc::clone(&server.value.name)),
        }
    }
    found
}
