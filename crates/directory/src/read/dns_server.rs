//! Reads `[dns_server]`.

use super::document::Document;
use super::section::{At, Section};
use crate::node::DnsServer;
use crate::range::{IpRange, Ranges};
use std::net::{IpAddr, SocketAddr};

/// The server of zones; nothing if the table is not written.
pub fn dns_server(document: &Document<'_>) -> Option<DnsServer> {
    let section = document.section_if_written("dns_server")?;
    let listen = section.texts("listen");
    let listen: Vec<SocketAddr> = listen.iter().flatten().filter_map(|text| address(&section, text)).collect();
    if listen.is_empty() && section.has("listen") {
        section.problem("listen", "write at least one address, or leave [dns_server] out");
    }
    Some(DnsServer {
        listen,
        threads: section.has("threads").then(|| section.count("threads")),
        rate_limit: section.count("rate_limit"),
        rate_limit_slip: section.count("rate_limit_slip"),
        rate_limit_exempt: exempt(&section),
        connections_max: section.count("connections_max"),
        connections_per_source_max: section.count("connections_per_source_max"),
        idle_timeout_ms: section.duration_ms("idle_timeout"),
    })
}

fn address(section: &Section<'_, '_>, text: &At<String>) -> Option<SocketAddr> {
    let with_port = text.value.parse().ok().filter(|address: &SocketAddr| address.port() != 0);
    let parsed = with_port.or_else(|| text.value.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, PORT)));
    let problem = match parsed {
        None => format!(
            "\"{}\" is no address; write 192.0.2.53, or with a port 192.0.2.53:53 or [2001:db8::53]:53",
            text.value
        ),
        Some(address) if address.ip().is_unspecified() => {
            format!(
                "{address} means every address of the machine: an answer must leave from the one that was asked, and a stub resolver \
                 (systemd-resolved) has port 53 of some; write those that your name servers have, for example [\"192.0.2.53\", \
                 \"2001:db8::53\"]; the machine need not have them yet"
            )
        }
        Some(address) => return Some(address),
    };
    section.document().problem(text.at, problem);
    None
}

fn exempt(section: &Section<'_, '_>) -> Ranges {
    let range = |text: &At<String>| match IpRange::parse(&text.value) {
        Ok(range) => Some(range),
        Err(what) => {
            section.document().problem(text.at, what);
            None
        }
    };
    Ranges(section.texts("rate_limit_exempt").unwrap_or_default().iter().filter_map(range).collect())
}

/// Where name servers listen (RFC 1035, 4.2).
const PORT: u16 = 53;
