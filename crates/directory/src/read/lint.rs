//! What is doubtful about the map of an organization and what stands on it (behaviours 2.8, 3.10): allowed, but hardly meant.

use super::document::{Document, did_you_mean};
use super::org::Read;
use super::section::At;
use crate::org::Org;
use crate::routing::{Route, Trip};
use crate::send::SendConnector;
use crate::topology::{SiteNo, Topology};

/// Says it.
pub fn warn(document: &Document<'_>, read: &Read, org: &Org) {
    servers(document, read, org);
    named_servers(document, read, org);
    shared_names(document, read, org);
    if org.topology().has_sites {
        sites(document, read, org.topology());
        ties(document, read, org.topology());
    }
    for connector in read.send.iter().filter(|connector| connector.value.enabled && connector.value.scoped) {
        scoped(document, org, connector);
    }
}

/// Servers that no mail is routed to.
fn servers(document: &Document<'_>, read: &Read, org: &Org) {
    let map = org.topology();
    for At { value: server, at } in &read.map.servers {
        if map.site_of(&server.name).is_none() {
            document.warning(
                *at,
                format!("server {} stands in no site: no mail is routed to it; give it a site", server.name),
            );
        }
    }
    let written = |name: &str| map.servers.iter().any(|server| *server.name == *name);
    if !map.servers.is_empty() && !written(org.server()) {
        let text =
            format!("{} is no [[server]] of this document: it gets no mail from the others; add it", org.server());
        document.warning(0, text);
    }
}

/// Names under `servers` that no [[server]] has.
fn named_servers(document: &Document<'_>, read: &Read, org: &Org) {
    let known = |name: &str| org.topology().servers.iter().any(|server| *server.name == *name);
    let has_servers = !read.map.servers.is_empty();
    let of_send = read.send.iter().map(|c| (c.at, c.value.servers.as_deref()));
    let of_domains = read.domains.iter().map(|d| (d.at, d.value.servers.as_deref()));
    // A receive connector is for nodes, which need not be known to routing.
    let of_receive = read.receive.iter().map(|c| (c.connector.at, c.connector.value.servers.as_deref()));
    for (at, names) in of_send.chain(of_domains).chain(of_receive.filter(|_| has_servers)) {
        for name in names.unwrap_or_default().iter().filter(|name| !known(name)) {
            let hint = did_you_mean(name, read.map.servers.iter().map(|server| &*server.value.name))
                .unwrap_or_else(|| "; add it, with its address".into());
            document.warning(at, format!("{name} is no [[server]], so the others cannot hand it mail{hint}"));
        }
    }
}

/// A name that several servers share behind a balancer, and one beside them that lacks it.
fn shared_names(document: &Document<'_>, read: &Read, org: &Org) {
    let map = org.topology();
    let of_all = || read.receive.iter().map(|placed| &placed.connector).filter(|at| at.value.enabled);
    let is_shared = |name: &str| name != org.server() && !map.servers.iter().any(|server| *server.name == *name);
    let mut told: Vec<&str> = Vec::new();
    for At { value: connector, at } in of_all() {
        let name = &*connector.hostname;
        if connector.servers.is_none() || !is_shared(name) || told.contains(&name) {
            continue;
        }
        told.push(name);
        let alike = || of_all().filter(|other| other.value.hostname.eq_ignore_ascii_case(name));
        let has = |server: &str| alike().any(|other| other.value.is_for(server));
        let stands_beside = |server: &str| {
            let site = map.site_of(server);
            site.is_some() && map.servers.iter().any(|other| has(&other.name) && map.site_of(&other.name) == site)
        };
        let lacks = map.servers.iter().find(|server| !has(&server.name) && stands_beside(&server.name));
        if let Some(server) = lacks {
            let text = format!(
                "{} has no receive connector for the shared name {name}, other servers of its site have one: a balancer that sends it \
                 mail for {name} finds another name there; add {} to servers, or a connector for it",
                server.name, server.name
            );
            document.warning(*at, text);
        }
    }
}

/// Sites that cannot reach each other, and hub sites that are none.
fn sites(document: &Document<'_>, read: &Read, map: &Topology) {
    let inhabited: Vec<SiteNo> = (0..map.sites.len()).filter(|site| !map.hubs(*site).is_empty()).collect();
    for (no, site) in read.map.sites.iter().enumerate() {
        let name = &site.value.name;
        let lost = inhabited.first().filter(|first| map.distance(**first, no).is_none());
        if let (Some(first), true) = (lost, inhabited.contains(&no)) {
            let other = &map.sites[*first].name;
            let text = format!(
                "no site links lead from {name} to {other}: mail between them waits until it expires; add a [[site_link]]"
            );
            document.warning(site.at, text);
        }
        if !site.value.hub_site {
            continue;
        }
        let on_a_path = |(from, to): (SiteNo, SiteNo)| from != no && to != no && map.path(from, to).contains(&no);
        let pairs = inhabited.iter().flat_map(|from| inhabited.iter().map(|to| (*from, *to)));
        if map.hubs(no).is_empty() {
            document.warning(site.at, format!("hub site {name} has no server: mail passes it by; give it a server"));
        } else if !pairs.into_iter().any(on_a_path) {
            let text = format!(
                "hub site {name} is on no least-cost path: hub_site has no effect; change the costs of the links"
            );
            document.warning(site.at, text);
        }
    }
}

/// Where only names decide, renaming a site sends mail another way.
fn ties(document: &Document<'_>, read: &Read, map: &Topology) {
    let (Some((from, to)), Some(link)) = (map.tie(), read.map.links.first()) else { return };
    let path: Vec<&str> = map.path(from, to).into_iter().map(|site| &*map.sites[site].name).collect();
    let text = format!(
        "two paths from {} to {} cost the same and are as long: names decide for {}, and renaming a site changes that; give the links different costs",
        map.sites[from].name,
        map.sites[to].name,
        path.join(" - ")
    );
    document.warning(link.at, text);
}

/// Scoped connectors that leave others without a way.
fn scoped(document: &Document<'_>, org: &Org, connector: &At<SendConnector>) {
    let At { value: connector, at } = connector;
    let map = org.topology();
    let stands =
        |name: &Box<str>| map.servers.iter().any(|server| *server.name == **name) && map.site_of(name).is_some();
    if !connector.servers.iter().flatten().any(stands) {
        return;
    }
    let home = |server: &str| {
        let site = map.site_of(server);
        site.is_none() || connector.servers.iter().flatten().any(|source| map.site_of(source) == site)
    };
    for space in &connector.domains {
        let example = if *space.space == *"*" { "any.invalid" } else { space.space.trim_start_matches("*.") };
        let left_out = map.servers.iter().find(|server| {
            let from = org.stands(&Trip { server: &server.name, bytes: 0, been_in: &[] });
            !home(&server.name) && matches!(org.choose(&from, example), Err(Route::Unreachable(_)))
        });
        if let Some(server) = left_out {
            let text = format!(
                "connector \"{}\" is scoped to the site of its servers, and nothing else takes mail for {} elsewhere: on {} it waits until it expires; \
                 remove scoped, or add a connector for the other sites",
                connector.name, space.space, server.name
            );
            return document.warning(*at, text);
        }
    }
}
