//! Reads `org.toml` whole.

use super::checks;
use super::destination::destinations;
use super::directory::directory;
use super::document::Document;
use super::domain::accepted_domain;
use super::lint;
use super::naming::{self, Named};
use super::naming_lint;
use super::people;
use super::receive::{Placed, receive_connector};
use super::recipient::{self, PlacedEntry};
use super::rule;
use super::section::{At, Section};
use super::send::send_connector;
use super::service::{PlacedService, services};
use super::service_checks;
use super::topology::{Map, map};
use super::user::user;
use super::virtual_address::{self, PlacedAddress, virtual_address};
use crate::domain::AcceptedDomain;
use crate::handling::Handling;
use crate::ldap::Directory;
use crate::org::{Org, Parts};
use crate::recipients::Recipients;
use crate::remote::RemoteDomain;
use crate::retry::Retry;
use crate::rule::Rule;
use crate::send::SendConnector;
use crate::topology::Topology;
use crate::user::User;
use mail::{Enhanced, Mailbox};
use std::sync::Arc;
use world::Disk;

/// What an organization document is read with.
pub struct Context<'c> {
    /// For the files that it names.
    pub disk: &'c dyn Disk,
    /// The node's name, for connectors that have none of their own.
    pub node_name: &'c str,
}

/// Everything in the document with its places, before it is compiled.
pub struct Read {
    pub domains: Vec<At<AcceptedDomain>>,
    pub receive: Vec<Placed>,
    pub send: Vec<At<SendConnector>>,
    pub users: Vec<At<User>>,
    pub directories: Vec<At<Directory>>,
    pub entries: Vec<PlacedEntry>,
    pub remote: Vec<At<RemoteDomain>>,
    pub rules: Vec<At<Rule>>,
    pub map: Map,
    pub virtual_addresses: Vec<PlacedAddress>,
    pub named: Named,
    pub services: Vec<PlacedService>,
}

/// Reads the organization document. `None` if there are problems, which are left in `document`.
pub fn org(document: &Document<'_>, context: &Context<'_>) -> Option<Org> {
    let name = context.node_name;
    let (read, postmaster) = parts(document, context);
    let limits = rule::message_limits(&document.section("message_limits"));
    let retry = retry(&document.section("retry"));
    let destinations = destinations(document);
    let idle = read.receive.is_empty() && read.services.is_empty() && read.named.zones.is_empty();
    if idle && !document.is_bad() {
        document.problem(0, "nothing listens; add a [[receive_connector]], a [[service]] or a [[zone]]");
    }
    checks::check(document, &read);
    service_checks::check(document, &read);
    people::check(document, &read.entries, &read.domains);
    people::check_rules(document, &read.rules);
    virtual_address::check(document, &read);
    if document.is_bad() {
        return None;
    }
    let postmaster = postmaster?;
    let topology = Topology::new(
        arcs(read.map.sites.iter().map(|site| site.value.clone())),
        arcs(read.map.links.iter().map(|link| link.value.clone())),
        arcs(read.map.servers.iter().map(|server| server.value.clone())),
    );
    let naming = naming::compiled(document, &read.named, &topology)?;
    let org = Org::compile(Parts {
        postmaster,
        accepted_domains: arcs(read.domains.iter().map(|d| d.value.clone())),
        receive_connectors: arcs(read.receive.iter().map(|c| c.connector.value.clone())),
        send_connectors: arcs(read.send.iter().map(|c| c.value.clone())),
        users: arcs(read.users.iter().map(|u| u.value.clone())),
        services: arcs(read.services.iter().map(|s| s.service.value.clone())),
        directories: arcs(read.directories.iter().map(|d| d.value.clone())),
        retry,
        destinations,
        handling: Arc::new(Handling::new(
            limits,
            read.rules.iter().map(|rule| rule.value.clone()).collect(),
            arcs(read.remote.iter().map(|remote| remote.value.clone())),
            read.entries.iter().filter(|placed| placed.quiet).map(|placed| placed.entry.address.clone()),
        )),
        topology,
        naming,
        virtual_addresses: arcs(read.virtual_addresses.iter().map(|placed| placed.address.value.clone())),
        server: name.into(),
        recipients: Recipients::of(read.entries.iter().map(|placed| placed.entry.clone())).0,
    });
    if org.receive_connectors.is_empty() {
        document.warning(0, format!("no [[receive_connector]] is for node {name}: it takes no mail by SMTP"));
    }
    checks::warn(document, &read, &org);
    lint::warn(document, &read, &org);
    service_checks::warn(document, &read);
    naming_lint::warn(document, &read, &org);
    Some(org)
}

/// Everything that there may be several of, and who gets mail for `<postmaster>`.
fn parts(document: &Document<'_>, context: &Context<'_>) -> (Read, Option<Mailbox>) {
    let name = context.node_name;
    let domains: Vec<At<AcceptedDomain>> =
        document.repeated("accepted_domain").iter().filter_map(|s| accepted_domain(s, context.disk)).collect();
    let postmaster = postmaster(&document.section(""), &domains, name);
    let map = map(document);
    let contact = postmaster.clone().unwrap_or_else(|| Mailbox::of_parts("postmaster", name));
    let receive: Vec<Placed> =
        document.repeated("receive_connector").iter_mut().filter_map(|s| receive_connector(s, name)).collect();
    let services = services(document, &map, &receive);
    let virtual_addresses: Vec<PlacedAddress> =
        document.repeated("virtual_address").iter().filter_map(virtual_address).collect();
    let read = Read {
        domains,
        receive,
        send: document
            .repeated("send_connector")
            .iter()
            .filter_map(|s| send_connector(s, name, context.disk))
            .collect(),
        users: document.repeated("user").iter().filter_map(user).collect(),
        directories: document.repeated("directory").iter().filter_map(|s| directory(s, context.disk)).collect(),
        entries: entries(document),
        remote: document.repeated("remote_domain").iter().filter_map(rule::remote_domain).collect(),
        rules: document.repeated("rule").iter().filter_map(rule::rule).collect(),
        named: naming::named(document, &map, &services, &virtual_addresses, &contact, context.disk),
        map,
        services,
        virtual_addresses,
    };
    (read, postmaster)
}

/// Mailboxes, groups, contacts.
fn entries(document: &Document<'_>) -> Vec<PlacedEntry> {
    let mailboxes = document.repeated("recipient");
    let (groups, contacts) = (document.repeated("group"), document.repeated("contact"));
    let read = mailboxes.iter().filter_map(recipient::recipient).chain(groups.iter().filter_map(recipient::group));
    read.chain(contacts.iter().filter_map(recipient::contact)).collect()
}

fn arcs<T>(values: impl Iterator<Item = T>) -> Vec<Arc<T>> {
    values.map(Arc::new).collect()
}

fn postmaster(top: &Section<'_, '_>, domains: &[At<AcceptedDomain>], node_name: &str) -> Option<Mailbox> {
    if let Some(written) = top.text("postmaster") {
        let wrong = |error| {
            top.problem("postmaster", format!("\"{}\": {error}; write it like postmaster@example.org", written.value))
        };
        return Mailbox::parse(&written.value, true).map_err(wrong).ok();
    }
    let own = domains.iter().map(|domain| &*domain.value.name).find(|name| !name.starts_with('*'));
    Mailbox::parse(&format!("postmaster@{}", own.unwrap_or(node_name)), true).ok()
}

fn retry(section: &Section<'_, '_>) -> Retry {
    let notice_ms = section.duration_ms("delay_notice_after");
    let retry = Retry {
        glitch_count: section.count("glitch_count"),
        glitch_interval_ms: section.duration_ms("glitch_interval"),
        transient_count: section.count("transient_count"),
        transient_interval_ms: section.duration_ms("transient_interval"),
        interval_ms: section.duration_ms("interval"),
        message_retry_interval_ms: section.duration_ms("message_retry_interval"),
        delay_notice_after_ms: (notice_ms > 0).then_some(notice_ms),
        expire_after_ms: section.duration_ms("expire_after"),
        poison_after: section.count("poison_after"),
        postmaster_copy: status_codes(section),
    };
    let transient_ms = u64::from(retry.transient_count) * retry.transient_interval_ms;
    if section.has("delay_notice_after") && notice_ms > 0 && notice_ms <= transient_ms {
        section.warning(
            "delay_notice_after",
            "senders hear of a delay before the transient attempts are over; make it longer",
        );
    }
    if section.has("expire_after") && retry.expire_after_ms <= notice_ms {
        section.warning("expire_after", "mail expires before delay_notice_after: the notice of delay is never sent");
    }
    retry
}

fn status_codes(section: &Section<'_, '_>) -> Vec<Enhanced> {
    let read = |text: At<String>| match Enhanced::split(&text.value) {
        Some((code, "")) => Some(code),
        _ => {
            let problem = format!("\"{}\" is no enhanced status code; write it like \"5.4.6\"", text.value);
            section.document().problem(text.at, problem);
            None
        }
    };
    section.texts("postmaster_copy").unwrap_or_default().into_iter().filter_map(read).collect()
}
