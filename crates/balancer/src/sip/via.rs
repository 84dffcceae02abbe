//! The Via header: the way back. Owns where an answer goes (RFC 3261 18.2.2, RFC 3581). Knows no sockets.
//! Always holds: an answer goes to the address that a request came from, never to one that it only names.

use std::net::{IpAddr, SocketAddr};

use super::list::{end_of_part, is_closed, pair, parameter};
use super::message::{Message, Name, number};
use super::uri::{host_ip, host_port};
use super::{PORT, Parts, TLS_PORT};

/// More Via values make a request loop (`482`); Max-Forwards begins at 70.
pub const VIAS_MAX: usize = 80;

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams: whoever sends, repeats.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS.
    Tls,
}

impl Transport {
    /// As it stands in a Via.
    pub fn name(self) -> &'static str {
        match self {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS",
        }
    }

    /// As it stands in a `transport` parameter of a URI; TLS is `sips:` or `transport=tls`.
    pub fn parameter(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// The port where none is written (RFC 3261 18.2.2, 19.1.2).
    pub fn port(self) -> u16 {
        if self == Transport::Tls { TLS_PORT } else { PORT }
    }

    /// Whether nothing is lost on it.
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }

    /// By its name, in any case.
    pub fn of(name: &[u8]) -> Option<Transport> {
        [Transport::Udp, Transport::Tcp, Transport::Tls]
            .into_iter()
            .find(|transport| name.eq_ignore_ascii_case(transport.name().as_bytes()))
    }
}

/// One value of Via.
#[derive(Clone, Copy, Debug)]
pub struct Via<'a> {
    /// `None`: one that we do not speak.
    pub transport: Option<Transport>,
    /// Name or address, as the sender calls itself.
    pub host: &'a [u8],
    /// If written.
    pub port: Option<u16>,
    /// With the leading `;`.
    pub parameters: &'a [u8],
}

impl<'a> Via<'a> {
    /// The transaction's mark; empty for senders of before RFC 3261.
    pub fn branch(&self) -> &'a [u8] {
        parameter(self.parameters, "branch").unwrap_or_default()
    }

    /// Where an answer goes that has this Via on top; `None` if it names no address at all.
    pub fn way_back(&self) -> Option<SocketAddr> {
        let received = parameter(self.parameters, "received").and_then(received_ip);
        let ip = received.or_else(|| host_ip(self.host))?;
        let by_itself = self.transport.map_or(PORT, Transport::port);
        let rport = parameter(self.parameters, "rport").and_then(number).and_then(|port| u16::try_from(port).ok());
        Some(SocketAddr::new(ip, rport.filter(|port| *port > 0).or(self.port).unwrap_or(by_itself)))
    }
}

/// `received` holds IPv6 without brackets; some write them.
fn received_ip(value: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(value).ok()?.parse().ok().or_else(|| host_ip(value))
}

/// Reads one value: `SIP/2.0/UDP host:port;branch=...`.
pub fn via(value: &[u8]) -> Option<Via<'_>> {
    if !is_closed(value) {
        return None;
    }
    let end = end_of_part(value, b';').unwrap_or(value.len());
    let (sent, parameters) = value.split_at(end);
    let sent = sent.trim_ascii();
    // Space may stand around the slashes, and must stand before the host.
    let slash = sent.iter().rposition(|&b| b == b'/')?;
    let protocol: Vec<u8> = sent[..slash].iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if !protocol.eq_ignore_ascii_case(b"SIP/2.0") {
        return None;
    }
    let rest = sent[slash + 1..].trim_ascii_start();
    let space = rest.iter().position(u8::is_ascii_whitespace)?;
    let (host, port) = host_port(rest[space..].trim_ascii())?;
    Some(Via { transport: Transport::of(&rest[..space]), host, port, parameters })
}

/// The first Via of a message.
pub fn top_via<'a>(message: &Message<'a>) -> Option<Via<'a>> {
    message.list(Name::Via).next().and_then(via)
}

/// All of them; those that cannot be read are left out.
pub fn vias<'a>(message: &Message<'a>) -> impl Iterator<Item = Via<'a>> {
    message.list(Name::Via).filter_map(via)
}

/// Writes the top value of a request that came from `source`, with what we know better than its sender (RFC 3261 18.2.1, RFC 3581 4).
pub fn received(out: &mut Vec<u8>, value: &[u8], source: SocketAddr) {
    let mut parts = Parts { rest: Some(value), separator: b';' };
    out.extend_from_slice(parts.next().unwrap_or_default().trim_ascii());
    let mut asked = false;
    for part in parts {
        match pair(part).0 {
            name if name.eq_ignore_ascii_case(b"rport") => asked = true,
            name if name.eq_ignore_ascii_case(b"received") || name.is_empty() => {}
            _ => {
                out.push(b';');
                out.extend_from_slice(part.trim_ascii());
            }
        }
    }
    let named = via(value).and_then(|via| host_ip(via.host));
    if asked || named != Some(source.ip()) {
        out.extend_from_slice(format!(";received={}", source.ip()).as_bytes());
    }
    if asked {
        out.extend_from_slice(format!(";rport={}", source.port()).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(value: &str, source: &str) -> (String, Option<SocketAddr>) {
        let mut out = Vec::new();
        received(&mut out, value.as_bytes(), source.parse().unwrap());
        let way_back = via(&out).and_then(|via| via.way_back());
        (String::from_utf8(out).unwrap(), way_back)
    }

    #[test]
    fn answers_go_to_where_a_request_came_from() {
        for (value, source, written, back) in [
            ("SIP/2.0/UDP 192.0.2.1;branch=z1", "192.0.2.1:5060", "SIP/2.0/UDP 192.0.2.1;branch=z1", "192.0.2.1:5060"),
            ("SIP/2.0/UDP 192.0.2.1:7;branch=z1", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1:7;branch=z1", "192.0.2.1:7"),
            (
                "SIP/2.0/UDP gw.example:7 ;branch=z1",
                "192.0.2.9:9",
                "SIP/2.0/UDP gw.example:7;branch=z1;received=192.0.2.9",
                "192.0.2.9:7",
            ),
            (
                "SIP / 2.0 / TCP gw ;rport;branch=z1",
                "192.0.2.9:9",
                "SIP / 2.0 / TCP gw;branch=z1;received=192.0.2.9;rport=9",
                "192.0.2.9:9",
            ),
            (
                "SIP/2.0/UDP 192.0.2.1;received=198.51.100.1",
                "192.0.2.9:9",
                "SIP/2.0/UDP 192.0.2.1;received=192.0.2.9",
                "192.0.2.9:5060",
            ),
            (
                "SIP/2.0/UDP [2001:db8::1]:7;rport=1",
                "[2001:db8::1]:9",
                "SIP/2.0/UDP [2001:db8::1]:7;received=2001:db8::1;rport=9",
                "[2001:db8::1]:9",
            ),
        ] {
            assert_eq!(after(value, source), (written.to_string(), Some(back.parse().unwrap())), "{value}");
        }
        for bad in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 h",
            "SIP/1.0/UDP h",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP [::1",
            "HTTP/1.1 h",
            "SIP/2.0/UDP h;a=\"b",
        ] {
            assert!(via(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
