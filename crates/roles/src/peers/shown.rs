//! The links as people, metrics and the page see them.

use mail::date::rfc3339;

use super::Peers;
use super::book::Entry;
use crate::view;

impl Peers {
    /// All other nodes, in order of name.
    pub fn states(&self) -> Vec<view::Peer> {
        self.inner.book.entries().iter().map(|(name, entry)| state(name, entry)).collect()
    }

    /// Troubles since the start, by word; connections of strangers included.
    pub fn troubles(&self) -> Vec<(&'static str, u64)> {
        self.inner.refusals.counts()
    }

    /// When our own certificate ends, Unix milliseconds.
    pub fn certificate_until_ms(&self) -> u64 {
        self.inner.tls.current().own.not_after_ms
    }
}

fn state(name: &str, entry: &Entry) -> view::Peer {
    let measured = entry.up.as_ref().map(|up| up.shared.measured());
    let (counts, round_trip_us) = measured.unwrap_or_default();
    let facts = entry.up.as_ref().map(|up| &up.facts);
    view::Peer {
        name: name.to_string(),
        address: entry.address.to_string(),
        connected: facts.is_some(),
        since: rfc3339(entry.since_ms),
        remote: facts.map(|facts| facts.remote.to_string()),
        dialed: facts.is_some_and(|facts| facts.dialed_here),
        version: facts.map(|facts| facts.version.clone()),
        round_trip_us,
        certificate_until: facts.map(|facts| rfc3339(facts.their_certificate_ms)),
        links: entry.links,
        in_bytes: entry.bytes.0 + counts.in_bytes,
        out_bytes: entry.bytes.1 + counts.out_bytes,
        last_error: entry.last_error.as_ref().map(|(_, what)| what.clone()),
        last_error_at: entry.last_error.as_ref().map(|(at_ms, _)| rfc3339(*at_ms)),
    }
}
