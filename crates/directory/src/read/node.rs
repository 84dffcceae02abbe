//! Reads `posthouse.toml`.

use super::document::Document;
use super::section::{At, Section};
use super::{back_pressure, cluster, dns_server, peers, pem};
use crate::node::{
    DnsServers, HttpSettings, JournalSettings, Log, LogFormat, LogLevel, MaildirSettings, Node, NodeLimits, Trace,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use world::Disk;

/// Reads the node document. Problems are left in `document`; what is given back counts only if there are none.
pub fn node(document: &Document<'_>, disk: &dyn Disk) -> Node {
    let top = document.section("");
    let name = name(&top, disk);
    Node {
        peers: peers::peers(document, disk, &name),
        cluster: cluster::cluster(document, disk),
        name,
        data: document.path(&top.text("data").map_or_else(String::new, |data| data.value)),
        http: http(&document.section("http")),
        tls: document.section_if_written("tls").and_then(|section| pem::tls(&section, disk)),
        dns: dns(&document.section("dns")),
        dns_server: dns_server::dns_server(document),
        journal: journal(&document.section("journal")),
        maildir: MaildirSettings { duplicate_window_ms: document.section("maildir").duration_ms("duplicate_window") },
        log: log(&document.section("log")),
        limits: limits(&document.section("limits")),
        back_pressure: back_pressure::back_pressure(&document.section("back_pressure")),
        trace: Trace { keep_bytes: document.section("trace").bytes("keep_bytes") },
    }
}

fn name(top: &Section<'_, '_>, disk: &dyn Disk) -> String {
    let Some(name) = top.text("name") else { return machine_name(disk) };
    if !mail::address::is_domain(&name.value) || !name.value.is_ascii() {
        top.problem("name", format!("\"{}\" is no host name; write it like mx1.example.org", name.value));
    } else if !name.value.contains('.') {
        top.warning(
            "name",
            format!("\"{}\" is no full host name; many servers refuse mail from such a one", name.value),
        );
    }
    name.value
}

/// The kernel's name of the machine, if it can stand in EHLO.
fn machine_name(disk: &dyn Disk) -> String {
    let told = disk.read_all(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    let told = String::from_utf8_lossy(&told).trim().to_ascii_lowercase();
    if mail::address::is_domain(&told) && told.is_ascii() { told } else { "localhost".into() }
}

fn http(section: &Section<'_, '_>) -> HttpSettings {
    let nowhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
    let listen = section.text("listen").and_then(|listen| section.socket(&listen)).unwrap_or(nowhere);
    if !listen.ip().is_loopback() {
        section.warning("listen", format!("{listen} can be reached from outside, and there is no password on it"));
    }
    HttpSettings { listen }
}

fn dns(section: &Section<'_, '_>) -> DnsServers {
    let servers = section.texts("servers").unwrap_or_default();
    let server = |text: &At<String>| {
        let parsed = text.value.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
        if parsed.is_none() {
            let problem =
                format!("\"{}\" is no name server; write address:port, for example 192.0.2.53:53", text.value);
            section.document().problem(text.at, problem);
        }
        parsed
    };
    DnsServers { servers: servers.iter().filter_map(server).collect() }
}

fn journal(section: &Section<'_, '_>) -> JournalSettings {
    let segment_bytes = section.bytes("segment_size");
    if !segment_bytes.is_multiple_of(SECTOR_BYTES) {
        section.problem("segment_size", "segment_size must be a multiple of 4KB");
    }
    JournalSettings { segment_bytes, keep_free_bytes: section.bytes("keep_free") }
}

fn log(section: &Section<'_, '_>) -> Log {
    Log { level: section.choice("level", LogLevel::WORDS), format: section.choice("format", LogFormat::WORDS) }
}

fn limits(section: &Section<'_, '_>) -> NodeLimits {
    let or_none = |key| Some(section.count(key)).filter(|bound| *bound > 0);
    NodeLimits {
        connections_max: section.count("connections_max"),
        connection_rate_per_minute: or_none("connection_rate_per_minute"),
        outbound_connections_max: section.count("outbound_connections_max"),
        user_message_rate_per_minute: or_none("user_message_rate_per_minute"),
        user_recipients_per_hour: or_none("user_recipients_per_hour"),
        body_memory_bytes: section.bytes("body_memory"),
        linger_ms: section.duration_ms("linger"),
    }
}

/// The journal writes whole blocks of this size.
const SECTOR_BYTES: u64 = 4096;
