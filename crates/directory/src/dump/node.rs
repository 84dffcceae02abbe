//! The sections of the node document as they are written.

use super::{or_zero, plain, text, texts};
use crate::node::{Cluster, DnsServer, Node, Peer, Peers};
use crate::unit::{bytes_text, duration_text};

pub(super) fn node_value(node: &Node, section: &str, key: &str) -> Option<String> {
    match (section, key) {
        ("", "name") => text(&node.name),
        ("", "data") => text(node.data.display()),
        ("http", "listen") => text(node.http.listen),
        ("tls", "certificate") => text(node.tls.as_ref()?.certificate.display()),
        ("tls", "key") => text(node.tls.as_ref()?.key.display()),
        ("dns", "servers") => (!node.dns.servers.is_empty()).then(|| texts(&node.dns.servers)).flatten(),
        ("journal", "segment_size") => text(bytes_text(node.journal.segment_bytes)),
        ("maildir", "duplicate_window") => text(duration_text(node.maildir.duplicate_window_ms)),
        ("journal", "keep_free") => text(bytes_text(node.journal.keep_free_bytes)),
        ("log", "level") => text(node.log.level.word()),
        ("log", "format") => text(node.log.format.word()),
        ("limits", "connections_max") => plain(node.limits.connections_max),
        ("limits", "connection_rate_per_minute") => or_zero(node.limits.connection_rate_per_minute),
        ("limits", "outbound_connections_max") => plain(node.limits.outbound_connections_max),
        ("limits", "user_message_rate_per_minute") => or_zero(node.limits.user_message_rate_per_minute),
        ("limits", "user_recipients_per_hour") => or_zero(node.limits.user_recipients_per_hour),
        ("limits", "body_memory") => text(bytes_text(node.limits.body_memory_bytes)),
        ("limits", "linger") => text(duration_text(node.limits.linger_ms)),
        ("trace", "keep_bytes") => text(bytes_text(node.trace.keep_bytes)),
        _ => None,
    }
}

pub(super) fn peers_value(peers: &Peers, key: &str) -> Option<String> {
    match key {
        "listen" => text(peers.listen),
        "certificate" => text(peers.own.certificate.display()),
        "key" => text(peers.own.key.display()),
        "ca" => text(peers.ca.display()),
        "heartbeat" => text(duration_text(peers.heartbeat_ms)),
        "missed_heartbeats_max" => plain(peers.missed_heartbeats_max),
        _ => None,
    }
}

pub(super) fn cluster_value(cluster: &Cluster, key: &str) -> Option<String> {
    match key {
        "endpoints" => texts(&cluster.endpoints),
        "prefix" => text(&cluster.prefix),
        "ttl" => text(duration_text(cluster.ttl_ms)),
        "ca" => text(cluster.ca.as_ref()?.display()),
        "certificate" => text(cluster.own.as_ref()?.certificate.display()),
        "key" => text(cluster.own.as_ref()?.key.display()),
        "user" => text(&cluster.user.as_ref()?.name),
        "password_file" => text(cluster.user.as_ref()?.password_file.display()),
        "address" => text(cluster.address.as_ref()?),
        "site" => Some(&cluster.site).filter(|site| !site.is_empty()).and_then(text),
        "rack" => Some(&cluster.rack).filter(|rack| !rack.is_empty()).and_then(text),
        "spread" => text(cluster.spread.word()),
        _ => None,
    }
}

pub(super) fn peer_value(peer: &Peer, key: &str) -> Option<String> {
    match key {
        "name" => text(&peer.name),
        "address" => text(&peer.address),
        "keeps_copy" => plain(peer.keeps_copy),
        _ => None,
    }
}

pub(super) fn dns_server_value(dns: &DnsServer, key: &str) -> Option<String> {
    match key {
        "listen" => texts(&dns.listen),
        "threads" => plain(dns.threads?),
        "rate_limit" => plain(dns.rate_limit),
        "rate_limit_slip" => plain(dns.rate_limit_slip),
        "rate_limit_exempt" => texts(&dns.rate_limit_exempt.0),
        "connections_max" => plain(dns.connections_max),
        "connections_per_source_max" => plain(dns.connections_per_source_max),
        "idle_timeout" => text(duration_text(dns.idle_timeout_ms)),
        _ => None,
    }
}
