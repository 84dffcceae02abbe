//! All zones of an organization, compiled: each with every record that may stand in it.

use super::entries::{Draft, Entry, ServiceAt, VirtualAt, drafts};
use super::name::is_within;
use super::object::{DnsName, MxLayout, TsigKey, Zone};
use crate::topology::Topology;
use std::collections::HashMap;
use std::sync::Arc;

/// What the document says of DNS.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// In order of the document.
    pub zones: Vec<Arc<Zone>>,
    /// In order of the document.
    pub keys: Vec<Arc<TsigKey>>,
    /// In order of the document.
    pub names: Vec<Arc<DnsName>>,
    /// In order of the document.
    pub layouts: Vec<Arc<MxLayout>>,
    /// What names may point at.
    pub services: Vec<ServiceAt>,
    /// What names may point at.
    pub virtual_addresses: Vec<VirtualAt>,
}

/// What the document says of DNS, with the records that follow from it.
#[derive(Clone, Debug, Default)]
pub struct Naming {
    parts: Parts,
    entries: HashMap<Arc<str>, Vec<Entry>>,
    astray: Vec<Entry>,
}

impl Parts {
    /// The zone that a name stands in: the longest that ends it.
    pub fn zone_of(&self, name: &str) -> Option<&Arc<Zone>> {
        let ours = self.zones.iter().filter(|zone| is_within(name, &zone.name));
        ours.max_by_key(|zone| zone.name.len())
    }
}

impl Naming {
    /// Fills the zones.
    pub(crate) fn compile(parts: Parts, map: &Topology) -> Naming {
        let mut entries: HashMap<Arc<str>, Vec<Entry>> =
            parts.zones.iter().map(|zone| (Arc::clone(&zone.name), Vec::new())).collect();
        let mut astray = Vec::new();
        for Draft { name, data, ttl_s, when, from } in drafts(&parts, map) {
            let zone = parts.zone_of(&name);
            let ttl_s = ttl_s.or(zone.map(|zone| zone.ttl_s)).unwrap_or_default();
            let entry = Entry { name, data, ttl_s, when, from };
            match zone.and_then(|zone| entries.get_mut(&zone.name)) {
                Some(entries) => entries.push(entry),
                None => astray.push(entry),
            }
        }
        entries.values_mut().for_each(tidy);
        Naming { parts, entries, astray }
    }

    /// The zones, in order of the document.
    pub fn zones(&self) -> &[Arc<Zone>] {
        &self.parts.zones
    }

    /// A zone by its name, with or without the final dot.
    pub fn zone(&self, name: &str) -> Option<&Arc<Zone>> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.parts.zones.iter().find(|zone| *zone.name == *name)
    }

    /// The zone that a name stands in: the longest that ends it.
    pub fn zone_of(&self, name: &str) -> Option<&Arc<Zone>> {
        self.parts.zone_of(name)
    }

    /// The keys, in order of the document.
    pub fn keys(&self) -> &[Arc<TsigKey>] {
        &self.parts.keys
    }

    /// The names, in order of the document.
    pub fn names(&self) -> &[Arc<DnsName>] {
        &self.parts.names
    }

    /// The layouts, in order of the document.
    pub fn layouts(&self) -> &[Arc<MxLayout>] {
        &self.parts.layouts
    }

    /// Every record that may stand in a zone, without its SOA: sorted by name (the zone's own first, then as DNSSEC sorts them), type and
    /// data; each once; one TTL for all of a name and type.
    pub fn entries(&self, zone: &str) -> &[Entry] {
        self.entries.get(zone).map_or(&[], Vec::as_slice)
    }

    /// Records that are in no zone of ours.
    pub(crate) fn astray(&self) -> &[Entry] {
        &self.astray
    }
}

/// Sorts, makes one of equal records, and gives those of one set the smallest of their TTLs (RFC 2181 5.2).
fn tidy(entries: &mut Vec<Entry>) {
    entries.sort_by(|a, b| in_order(&a.name, &b.name).then_with(|| a.data.cmp(&b.data)));
    entries.dedup_by(|later, first| {
        let same = later.name == first.name && later.data == first.data;
        if same {
            first.ttl_s = first.ttl_s.min(later.ttl_s);
            match first.when.is_empty() || later.when.is_empty() {
                true => first.when.clear(),
                false => first.when.append(&mut later.when),
            }
            first.when.sort();
            first.when.dedup();
        }
        same
    });
    let mut from = 0;
    while from < entries.len() {
        let is_same =
            |entry: &&Entry| entry.name == entries[from].name && entry.data.kind() == entries[from].data.kind();
        let set = entries[from..].iter().take_while(is_same);
        let (count, ttl_s) = set.fold((0, u32::MAX), |(count, ttl_s), entry| (count + 1, ttl_s.min(entry.ttl_s)));
        entries[from..from + count].iter_mut().for_each(|entry| entry.ttl_s = ttl_s);
        from += count;
    }
}

/// The canonical order of names (RFC 4034 6.1): by labels from the right.
pub fn in_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.rsplit('.').cmp(b.rsplit('.'))
}
