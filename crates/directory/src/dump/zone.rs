//! Zones, keys, names and layouts as they are written.

use super::{plain, ranges, text, texts};
use crate::unit::duration_text;
use crate::zone::{Data, DnsName, MxLayout, TsigKey, Type, Zone};

pub(super) fn zone_value(zone: &Zone, key: &str) -> Option<String> {
    match key {
        "name" => text(&zone.name),
        "servers" => texts(zone.servers.as_ref()?),
        "name_servers" => texts(&zone.name_servers),
        "contact" => text(&zone.contact),
        "ttl" => seconds(zone.ttl_s),
        "negative_ttl" => seconds(zone.timers.negative_ttl_s),
        "refresh" => seconds(zone.timers.refresh_s),
        "retry" => seconds(zone.timers.retry_s),
        "expire" => seconds(zone.timers.expire_s),
        "secondaries" => texts(&zone.secondaries),
        "notify" => plain(zone.notify),
        "transfer_allowed" => ranges(&zone.transfer_allowed),
        "tsig_keys" => texts(&zone.tsig_keys.iter().map(|key| &key.name).collect::<Vec<_>>()),
        "push" => text(&zone.push.as_ref()?.server),
        "push_key" => text(&zone.push.as_ref()?.key.as_ref()?.name),
        "push_on_change" => plain(zone.push.as_ref().is_none_or(|push| push.on_change)),
        _ => None,
    }
}

pub(super) fn key_value(tsig: &TsigKey, key: &str) -> Option<String> {
    match key {
        "name" => text(&tsig.name),
        "algorithm" => text(tsig.algorithm.word()),
        "secret_file" => text(tsig.secret_file.display()),
        _ => None,
    }
}

pub(super) fn name_value(name: &DnsName, key: &str) -> Option<String> {
    let of = |kind: Type| name.records.iter().filter(move |data| data.kind() == kind).map(written);
    let records = |kind: Type| texts(&of(kind).collect::<Vec<_>>());
    match key {
        "name" => text(&name.name),
        "ttl" => seconds(name.ttl_s?),
        "servers" => texts(&name.servers),
        "services" => texts(&name.services),
        "virtual_addresses" => texts(&name.virtual_addresses),
        "addresses" => texts(&name.addresses),
        "cname" => text(of(Type::Cname).next()?),
        "mx" => records(Type::Mx),
        "txt" => records(Type::Txt),
        "srv" => records(Type::Srv),
        "tlsa" => records(Type::Tlsa),
        "caa" => records(Type::Caa),
        "ns" => records(Type::Ns),
        "ptr_to" => records(Type::Ptr),
        "srv_for" => texts(&name.srv_for),
        "ptr" => plain(name.ptr),
        _ => None,
    }
}

pub(super) fn layout_value(layout: &MxLayout, key: &str) -> Option<String> {
    match key {
        "name" => text(&layout.name),
        "domains" => texts(&layout.domains),
        "sites" => texts(&layout.sites),
        "servers" => texts(&layout.servers),
        "hosts" => plain(layout.hosts?),
        "addresses" => plain(layout.addresses),
        "host_name" => text(&layout.host_name),
        "preference" => plain(layout.preference),
        "ttl" => seconds(layout.ttl_s?),
        _ => None,
    }
}

fn seconds(seconds: u32) -> Option<String> {
    text(duration_text(u64::from(seconds) * 1_000))
}

/// As [`Data::parse`] reads it: text as it is, everything else as in a zone file.
fn written(data: &Data) -> String {
    match data {
        Data::Txt(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        data => data.to_string(),
    }
}
