//! Reads `[[site]]`, `[[site_link]]` and `[[server]]`.

use super::document::{Document, did_you_mean};
use super::receive::{Spaces, connector_name};
use super::section::{At, Section};
use crate::target::HostPort;
use crate::topology::{Server, Site, SiteLink};
use crate::zone::parse_host;
use std::net::IpAddr;
use std::sync::Arc;

/// The map as it is written.
pub struct Map {
    pub sites: Vec<At<Site>>,
    pub links: Vec<At<SiteLink>>,
    pub servers: Vec<At<Server>>,
}

/// Reads the map. Names that are no site's are problems.
pub fn map(document: &Document<'_>) -> Map {
    let sites: Vec<At<Site>> = document.repeated("site").iter().filter_map(site).collect();
    if let Some(one) = sites.get(SITES_MAX) {
        document.problem(one.at, format!("there are more than {SITES_MAX} sites; put some together"));
    }
    let links = document.repeated("site_link").iter().filter_map(|section| site_link(section, &sites)).collect();
    let servers = document.repeated("server").iter().filter_map(|section| server(section, &sites)).collect();
    Map { sites, links, servers }
}

fn site(section: &Section<'_, '_>) -> Option<At<Site>> {
    let hub_site = section.flag("hub_site");
    let name = connector_name(section, Spaces::No)?;
    let site = Site { name: name.value.to_ascii_lowercase().into(), hub_site };
    Some(At { value: site, at: name.at })
}

fn site_link(section: &Section<'_, '_>, sites: &[At<Site>]) -> Option<At<SiteLink>> {
    let name = connector_name(section, Spaces::No);
    let written = section.texts("sites").unwrap_or_default();
    let mut joined: Vec<Arc<str>> = Vec::new();
    for text in &written {
        let Some(site) = site_named(section, text, sites) else { continue };
        if joined.contains(&site) {
            section.document().problem(text.at, format!("\"{site}\" is listed twice; remove one"));
        }
        joined.push(site);
    }
    if written.len() < 2 && section.has("sites") {
        section.problem("sites", "a link joins two sites or more; name them");
    }
    let cost = section.count("cost");
    let message_bytes_max = section.has("message_size_max").then(|| section.bytes("message_size_max"));
    let name = name?;
    Some(At { value: SiteLink { name: name.value.into(), sites: joined, cost, message_bytes_max }, at: name.at })
}

fn server(section: &Section<'_, '_>, sites: &[At<Site>]) -> Option<At<Server>> {
    let name = section.text("name");
    if let Some(name) = name.as_ref().filter(|name| !mail::address::is_domain(&name.value) || !name.value.is_ascii()) {
        let text = format!("\"{}\" is no server's name; write it like mx1.example.org", name.value);
        section.problem("name", text);
    }
    let site = section.text("site").and_then(|text| site_named(section, &text, sites));
    let address = section.text("address").and_then(|address| {
        HostPort::parse(&address.value, None).map_err(|text| section.problem("address", text)).ok()
    });
    let public_name = section
        .text("public_name")
        .and_then(|text| parse_host(&text.value).map_err(|problem| section.document().problem(text.at, problem)).ok());
    let public_addresses = addresses(section, "public_addresses");
    let name = name?;
    let own: Arc<str> = name.value.to_ascii_lowercase().into();
    let public_name = public_name.map_or_else(|| Arc::clone(&own), Arc::from);
    let server = Server { name: own, site, address: address?, public_name, public_addresses };
    Some(At { value: server, at: name.at })
}

/// Addresses of hosts that others connect to.
pub fn addresses(section: &Section<'_, '_>, key: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    for text in section.texts(key).unwrap_or_default() {
        let wrong = |problem: String| section.document().problem(text.at, problem);
        match text.value.parse::<IpAddr>() {
            Err(_) => wrong(format!("\"{}\" is no IP address; write it like 192.0.2.1 or 2001:db8::1", text.value)),
            Ok(address) if address.is_unspecified() || address.is_multicast() => {
                wrong(format!("nobody can connect to {address}; write the address of a host"));
            }
            Ok(address) if found.contains(&address) => wrong(format!("{address} is listed twice; remove one")),
            Ok(address) => found.push(address),
        }
    }
    found
}

pub(super) fn site_named(section: &Section<'_, '_>, text: &At<String>, sites: &[At<Site>]) -> Option<Arc<str>> {
    let lower = text.value.to_ascii_lowercase();
    let found = sites.iter().find(|site| *site.value.name == *lower);
    if found.is_none() {
        let hint = did_you_mean(&lower, sites.iter().map(|site| &*site.value.name))
            .unwrap_or_else(|| "; add it: [[site]]".into());
        section.document().problem(text.at, format!("there is no [[site]] \"{}\"{hint}", text.value));
    }
    found.map(|site| Arc::clone(&site.value.name))
}

/// Sites of one organization. The table of paths has a cell for each pair.
const SITES_MAX: usize = 500;
