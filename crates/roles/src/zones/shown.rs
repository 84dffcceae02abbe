//! The zones as the API shows them.

use mail::date::rfc3339;

use super::Zones;
use crate::view;

impl Zones {
    /// Every zone that is answered here.
    pub fn shown(&self) -> Vec<view::ServedZone> {
        let state = self.state();
        let secondaries = self.server.as_ref().map_or(Vec::new(), |server| server.secondaries());
        let mut zones: Vec<view::ServedZone> = state
            .versions
            .values()
            .map(|version| {
                let (zone, contents) = (&version.zone, &version.contents);
                let of_zone = secondaries.iter().filter(|secondary| secondary.zone == *zone.origin());
                let withheld = contents.sets.iter().flat_map(|set| {
                    let out = set.records.iter().filter(|record| !record.stands);
                    out.map(|record| format!("{} {} {}: {}", set.name, set.kind.word(), record.data, record.why))
                });
                view::ServedZone {
                    name: contents.zone.name.to_string(),
                    serial: zone.serial(),
                    records: zone.record_count() as u64,
                    withheld: withheld.collect(),
                    all_down: super::version::all_down(contents)
                        .map(|set| format!("{} {}", set.name, set.kind.word()))
                        .collect(),
                    secondaries: of_zone.map(secondary).collect(),
                }
            })
            .collect();
        zones.sort_by(|a, b| a.name.cmp(&b.name));
        zones
    }

    /// Where it is answered; nothing without `[dns_server]`.
    pub fn shown_listeners(&self) -> Vec<view::DnsListener> {
        let state = self.state();
        let open = self.server.as_ref().map_or(Vec::new(), |server| server.listening());
        let open = open.into_iter().map(|address| view::DnsListener { address: address.to_string(), unbound: None });
        let unbound = state
            .unbound
            .iter()
            .map(|(address, why)| view::DnsListener { address: address.to_string(), unbound: Some(why.clone()) });
        open.chain(unbound).collect()
    }
}

fn secondary(secondary: &dns::server::Secondary) -> view::ZoneSecondary {
    view::ZoneSecondary {
        address: secondary.address.to_string(),
        serial: secondary.copied.map(|(serial, _)| serial),
        copied: secondary.copied.map(|(_, at_ms)| rfc3339(at_ms)),
        deaf: secondary.deaf.clone(),
    }
}
