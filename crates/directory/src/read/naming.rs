//! What is written of DNS, put together: names and zones that fit each other, then the records that follow from them.

use super::checks::names_twice;
use super::dns_name::{PlacedName, dns_name, mx_layout};
use super::document::{Document, did_you_mean};
use super::naming_checks;
use super::section::At;
use super::service::PlacedService;
use super::topology::Map;
use super::virtual_address::PlacedAddress;
use super::zone::{PlacedZone, tsig_key, zone};
use crate::service::ServiceProtocol;
use crate::topology::Topology;
use crate::zone::{Entry, MxLayout, Naming, Origin, Parts, ServiceAt, TsigKey, Type, VirtualAt};
use mail::Mailbox;
use std::sync::Arc;
use world::Disk;

/// Everything of DNS with its places.
pub struct Named {
    pub zones: Vec<PlacedZone>,
    pub keys: Vec<At<TsigKey>>,
    pub names: Vec<PlacedName>,
    pub layouts: Vec<At<MxLayout>>,
    pub services: Vec<ServiceAt>,
    pub virtual_addresses: Vec<VirtualAt>,
}

/// Reads everything of DNS. `contact` stands in SOA records that say none.
pub fn named(
    document: &Document<'_>,
    map: &Map,
    services: &[PlacedService],
    virtual_addresses: &[PlacedAddress],
    contact: &Mailbox,
    disk: &dyn Disk,
) -> Named {
    let keys: Vec<At<TsigKey>> =
        document.repeated("tsig_key").iter().filter_map(|section| tsig_key(section, disk)).collect();
    let zones: Vec<PlacedZone> =
        document.repeated("zone").iter().filter_map(|section| zone(section, &keys, contact)).collect();
    let names = document.repeated("dns_name").iter().filter_map(|section| dns_name(section, map)).collect();
    let layouts = document.repeated("mx_layout").iter().filter_map(|section| mx_layout(section, map)).collect();
    let named = Named {
        zones,
        keys,
        names,
        layouts,
        services: services.iter().map(service_at).collect(),
        virtual_addresses: virtual_addresses.iter().map(virtual_at).collect(),
    };
    check(document, &named);
    named
}

fn service_at(placed: &PlacedService) -> ServiceAt {
    let service = &placed.service.value;
    ServiceAt {
        name: Arc::clone(&service.name),
        labels: labels(service.protocol),
        listen: service.listen.clone(),
        servers: service.servers.clone(),
    }
}

fn virtual_at(placed: &PlacedAddress) -> VirtualAt {
    let virtual_address = &placed.address.value;
    let addresses = virtual_address.addresses.iter().map(ipnet::IpNet::addr).collect();
    VirtualAt { name: Arc::clone(&virtual_address.name), addresses }
}

/// What users' programs look for (RFC 6186, RFC 8314 5.1, RFC 3263 4.1, RFC 2782).
fn labels(protocol: ServiceProtocol) -> &'static [&'static str] {
    match protocol {
        ServiceProtocol::Submission => &["_submission._tcp"],
        ServiceProtocol::Submissions => &["_submissions._tcp"],
        ServiceProtocol::Imap => &["_imap._tcp"],
        ServiceProtocol::Imaps => &["_imaps._tcp"],
        ServiceProtocol::Pop3 => &["_pop3._tcp"],
        ServiceProtocol::Pop3s => &["_pop3s._tcp"],
        ServiceProtocol::Ldap => &["_ldap._tcp"],
        ServiceProtocol::Sip => &["_sip._udp", "_sip._tcp"],
        ServiceProtocol::Sips => &["_sips._tcp"],
        ServiceProtocol::Smtp | ServiceProtocol::Http | ServiceProtocol::Https | ServiceProtocol::Tcp => &[],
    }
}

/// Names that are there twice, and names of services and virtual addresses that are not there.
fn check(document: &Document<'_>, named: &Named) {
    let twice = |what, names: Vec<(String, usize)>| names_twice(document, what, names);
    twice("zone", named.zones.iter().map(|z| (z.zone.value.name.to_string(), z.zone.at)).collect());
    twice("tsig_key", named.keys.iter().map(|key| (key.value.name.to_string(), key.at)).collect());
    twice("dns_name", named.names.iter().map(|n| (n.name.value.name.to_string(), n.name.at)).collect());
    twice("mx_layout", named.layouts.iter().map(|l| (l.value.name.to_lowercase(), l.at)).collect());
    let services: Vec<&str> = named.services.iter().map(|service| &*service.name).collect();
    let held: Vec<&str> = named.virtual_addresses.iter().map(|held| &*held.name).collect();
    let missing = |what: &str, text: &At<String>, known: &[&str]| {
        let hint = did_you_mean(&text.value, known.iter().copied()).unwrap_or_else(|| "; add it".into());
        document.problem(text.at, format!("there is no [[{what}]] \"{}\"{hint}", text.value));
    };
    for name in &named.names {
        let unknown = |text: &&At<String>, known: &[&str]| !known.contains(&text.value.as_str());
        let of_services = name.services.iter().filter(|text| unknown(text, &services));
        of_services.for_each(|text| missing("service", text, &services));
        let of_held = name.virtual_addresses.iter().filter(|text| unknown(text, &held));
        of_held.for_each(|text| missing("virtual_address", text, &held));
    }
}

/// The zones with the records that follow. `None` if there are problems, which are left in `document`.
pub fn compiled(document: &Document<'_>, named: &Named, map: &Topology) -> Option<Naming> {
    let naming = Naming::compile(
        Parts {
            zones: named.zones.iter().map(|zone| Arc::new(zone.zone.value.clone())).collect(),
            keys: named.keys.iter().map(|key| Arc::new(key.value.clone())).collect(),
            names: named.names.iter().map(|name| Arc::new(name.name.value.clone())).collect(),
            layouts: named.layouts.iter().map(|layout| Arc::new(layout.value.clone())).collect(),
            services: named.services.clone(),
            virtual_addresses: named.virtual_addresses.clone(),
        },
        map,
    );
    naming_checks::check(document, named, &naming, map);
    (!document.is_bad()).then_some(naming)
}

impl Named {
    /// Where in the document a record comes from.
    pub fn at(&self, entry: &Entry) -> usize {
        let found = match &entry.from {
            Origin::Zone(name) => {
                self.zones.iter().find(|zone| zone.zone.value.name == *name).map(|zone| zone.name_servers_at)
            }
            Origin::Layout(name) => self.layouts.iter().find(|layout| layout.value.name == *name).map(|one| one.at),
            Origin::Name(name) => self.names.iter().find(|one| one.name.value.name == *name).map(|one| {
                let of_record = one.name.value.records.iter().zip(&one.records).find(|(data, _)| **data == entry.data);
                let otherwise = if entry.data.kind() == Type::Srv { one.srv_for_at } else { one.name.at };
                of_record.map_or(otherwise, |(_, at)| *at)
            }),
            Origin::Server(_) => None,
        };
        found.unwrap_or_default()
    }
}
