//! A service: one name and address for clients, and the members behind it. What the balancer does with it is in `balancer`.

use crate::range::Ranges;
use crate::target::HostPort;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What clients find under one address.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name, in logs and metrics.
    pub name: Arc<str>,
    /// It takes connections; one that does not is only kept in the document.
    pub enabled: bool,
    /// The name that clients know, for `421` answers and for what members say in their banner.
    pub hostname: Arc<str>,
    /// The sockets that it listens on; an unspecified address stands for all of its family.
    pub listen: Vec<SocketAddr>,
    /// The nodes that do it, in lower case; `None` is every one.
    pub servers: Option<Vec<Box<str>>>,
    /// What is spoken.
    pub protocol: ServiceProtocol,
    /// Who gets a connection.
    pub algorithm: Algorithm,
    /// Which clients are one client, and for how long they stay with a member.
    pub affinity: Affinity,
    /// The PROXY header that the document asks for; `None`: [`ServiceMember::proxy`] says what counts by itself.
    pub proxy: Option<ProxyHeader>,
    /// Clients that may connect; all others are closed without a word.
    pub remote: Ranges,
    /// Clients that must send a PROXY header, which is believed: balancers in front of this one.
    pub trusted_proxies: Ranges,
    /// Bounds of what clients and members can use up.
    pub limits: ServiceLimits,
    /// When a member is left alone for a while.
    pub ejection: Ejection,
    /// How a member's health is asked for.
    pub probe: ProbeSettings,
    /// What SIP alone has.
    pub sip: SipSettings,
    /// TLS ends at the balancer; otherwise it goes through to the members.
    pub terminates_tls: bool,
    /// Members that the map gives.
    pub pool: Option<PoolOf>,
    /// All members: those of the map in order of their names, then the others in order of the document.
    pub members: Vec<Arc<ServiceMember>>,
}

/// One place that connections of a service are handed to.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceMember {
    /// Its name: that of the `[[member]]`, or of the server that the map gives.
    pub name: Arc<str>,
    /// The name of its service.
    pub service: Arc<str>,
    /// Where it listens.
    pub address: HostPort,
    /// The `[[server]]` that it is, in lower case; `None`: somewhere else, or a server by another of its addresses.
    pub server: Option<Arc<str>>,
    /// It is at the host of the address of its `server`.
    pub is_at_server: bool,
    /// It is one of our own servers: by `server`, or because a receive connector of ours or a `[[server]]` has its address.
    pub is_own: bool,
    /// Where it stands, lower case.
    pub site: Option<Arc<str>>,
    /// Its share, against the weights of the others; 1 or more.
    pub weight: u32,
    /// 1 is asked first; a group of a higher number only while those before it have nobody.
    pub priority: u32,
    /// Connections that it may have through one balancer; `None` is no bound.
    pub connections_max: Option<u32>,
    /// It gets no new connections.
    pub drain: bool,
    /// Names in the client's TLS greeting that it is for, in lower case, `*.` for all below; empty: it takes every one that no other member has.
    pub sni: Vec<Box<str>>,
    /// What stands before the client's bytes.
    pub proxy: ProxyHeader,
    /// It is a `[[member]]` of the document; otherwise the map gives it.
    pub is_written: bool,
}

/// Members by the map: every such server, at the host of its address.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOf {
    /// By name, lower case.
    pub servers: Vec<Box<str>>,
    /// All of these sites, lower case.
    pub sites: Vec<Box<str>>,
    /// The port of the service there.
    pub port: u16,
}

/// What is spoken through a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceProtocol {
    /// SMTP, RFC 5321: the server speaks first.
    Smtp,
    /// Message submission, RFC 6409.
    Submission,
    /// The same with TLS from the first byte, RFC 8314.
    Submissions,
    /// IMAP.
    Imap,
    /// IMAP with TLS from the first byte.
    Imaps,
    /// POP3.
    Pop3,
    /// POP3 with TLS from the first byte.
    Pop3s,
    /// HTTP.
    Http,
    /// HTTP with TLS from the first byte.
    Https,
    /// LDAP.
    Ldap,
    /// SIP over UDP and TCP, RFC 3261.
    Sip,
    /// SIP over TLS, RFC 3261 26.3.2, on both sides of the balancer.
    Sips,
    /// Bytes.
    Tcp,
}

/// Who gets a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// The member with the fewest connections for its weight; in turn among equals.
    LeastConnections,
    /// In turn, by weight.
    RoundRobin,
    /// The same client meets the same member, on every balancer; of a member that leaves only its own clients move.
    SourceHash,
}

/// Which clients are one client, and for how long they stay with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// Bits of an IPv4 address that count.
    pub prefix_v4: u8,
    /// Bits of an IPv6 address that count.
    pub prefix_v6: u8,
    /// So long after its last connection a client comes back to the same member, whoever joins or leaves; 0 is not at all.
    pub timeout_ms: u64,
    /// Clients that are remembered; the longest unseen are forgotten first.
    pub clients_max: u32,
}

/// What stands before the client's bytes on a connection to a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyHeader {
    /// Nothing.
    None,
    /// PROXY protocol version 1, a line of text.
    V1,
    /// PROXY protocol version 2.
    V2,
}

/// Bounds of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLimits {
    /// Connections through one balancer.
    pub connections_max: u32,
    /// Connections of one client address; `None` is no bound.
    pub connections_per_source_max: Option<u32>,
    /// Silence in both directions.
    pub idle_timeout_ms: u64,
    /// How long a member may take to accept a connection.
    pub connect_timeout_ms: u64,
    /// How long a member may take from there to its greeting, where the server speaks first.
    pub greeting_timeout_ms: u64,
    /// Further members that are tried for one connection.
    pub retries: u32,
    /// Further tries in per cent of the connections of the last ten seconds; ten are always free.
    pub retry_budget_percent: u32,
    /// How long a member that comes back takes to get its full share; 0 is at once.
    pub slow_start_ms: u64,
    /// After so long a silence the kernel asks whether the other end is there; `None`: it does not.
    pub keepalive_ms: Option<u64>,
}

/// When a member is left alone for a while, because connections to it fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ejection {
    /// Failures in a row; `None`: never.
    pub failures: Option<u32>,
    /// The first time. Each further time is twice as long.
    pub first_ms: u64,
    /// The longest.
    pub longest_ms: u64,
    /// Members that may be left alone at once, in per cent of those that are up.
    pub share_percent_max: u32,
}

/// How a member's health is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeSettings {
    /// A TCP connection alone counts; otherwise the protocol is spoken.
    pub tcp_only: bool,
    /// From the end of a probe to the next one.
    pub interval_ms: u64,
    /// How long the whole of a probe may take.
    pub timeout_ms: u64,
    /// Good answers in a row that make a member up.
    pub rise: u32,
    /// Bad answers in a row that make it down.
    pub fall: u32,
    /// STARTTLS belongs to the probe.
    pub starttls: bool,
    /// A member whose certificate has expired is down; otherwise that is only told.
    pub expired_is_down: bool,
    /// Days before the end of a certificate at which it is told.
    pub certificate_days: Arc<[u32]>,
    /// What is asked for by HTTP: path and query.
    pub path: Arc<str>,
    /// Lowest and highest status that is a good answer to it.
    pub status: (u16, u16),
}

/// What only services of SIP have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SipSettings {
    /// How calls get to their members.
    pub mode: SipMode,
    /// Over what a service of `sip` listens, at each of its addresses; one of `sips` listens for TLS.
    pub transports: Vec<SipTransport>,
    /// A member that rings for so long without an answer is passed over.
    pub answer_timeout_ms: u64,
}

/// How calls get to the members of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipMode {
    /// The caller is told where to go.
    Redirect,
    /// The balancer offers the call.
    Forward,
}

/// Over what SIP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SipTransport {
    /// Datagrams.
    Udp,
    /// Streams.
    Tcp,
}

impl Service {
    /// Whether `node` does it.
    pub fn is_for(&self, node: &str) -> bool {
        self.servers.as_ref().is_none_or(|servers| servers.iter().any(|name| name.eq_ignore_ascii_case(node)))
    }

    /// A member by its name.
    pub fn member(&self, name: &str) -> Option<&Arc<ServiceMember>> {
        self.members.iter().find(|member| &*member.name == name)
    }
}

impl ServiceProtocol {
    /// The server speaks first, so that a member can show that it is there before the client hears anything.
    pub fn server_speaks_first(self) -> bool {
        use ServiceProtocol::{Imap, Pop3, Smtp, Submission};
        matches!(self, Smtp | Submission | Imap | Pop3)
    }

    /// Calls: their messages are read here, and what SIP alone has counts.
    pub fn is_sip(self) -> bool {
        matches!(self, ServiceProtocol::Sip | ServiceProtocol::Sips)
    }

    /// TLS from the first byte, which may go through to the members.
    pub fn is_tls(self) -> bool {
        use ServiceProtocol::{Https, Imaps, Pop3s, Submissions};
        matches!(self, Submissions | Imaps | Pop3s | Https)
    }

    /// A receive connector of ours can be what is behind it.
    pub fn is_mail(self) -> bool {
        matches!(self, ServiceProtocol::Smtp | ServiceProtocol::Submission | ServiceProtocol::Submissions)
    }

    /// The port that it has by itself; plain TCP has none.
    pub fn port(self) -> Option<u16> {
        Some(match self {
            ServiceProtocol::Smtp => 25,
            ServiceProtocol::Submission => 587,
            ServiceProtocol::Submissions => 465,
            ServiceProtocol::Imap => 143,
            ServiceProtocol::Imaps => 993,
            ServiceProtocol::Pop3 => 110,
            ServiceProtocol::Pop3s => 995,
            ServiceProtocol::Http => 80,
            ServiceProtocol::Https => 443,
            ServiceProtocol::Ldap => 389,
            ServiceProtocol::Sip => 5060,
            ServiceProtocol::Sips => 5061,
            ServiceProtocol::Tcp => return None,
        })
    }

    /// Silence that is normal for it, in milliseconds: longer than what its RFC lets a client be silent. SMTP: RFC 5321 4.5.3.2 asks servers for 5
    /// minutes and clients for 10 at the end of data; POP3: RFC 1939 3, 10 minutes; IMAP: RFC 3501 5.4, 30 minutes; web mail polls for up to 45.
    pub fn idle_timeout_ms(self) -> u64 {
        const MINUTE: u64 = 60_000;
        match self {
            ServiceProtocol::Smtp | ServiceProtocol::Submission | ServiceProtocol::Submissions => 15 * MINUTE,
            ServiceProtocol::Imap | ServiceProtocol::Imaps => 35 * MINUTE,
            ServiceProtocol::Pop3 | ServiceProtocol::Pop3s => 12 * MINUTE,
            ServiceProtocol::Http => 5 * MINUTE,
            ServiceProtocol::Https => 45 * MINUTE,
            ServiceProtocol::Ldap | ServiceProtocol::Tcp => 60 * MINUTE,
            ServiceProtocol::Sip | ServiceProtocol::Sips => 30 * MINUTE,
        }
    }
}

impl Affinity {
    /// The client that `source` counts as: its address with the bits that do not count cleared. IPv4-mapped IPv6 counts as IPv4.
    pub fn client(&self, source: IpAddr) -> IpAddr {
        match source.to_canonical() {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix_v4.min(32))).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix_v6.min(128))).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_of_one_prefix_are_one() {
        let client = |v4, v6, source: &str| {
            let affinity = Affinity { prefix_v4: v4, prefix_v6: v6, timeout_ms: 0, clients_max: 1 };
            affinity.client(source.parse().unwrap()).to_string()
        };
        for (v4, v6, source, is) in [
            (32, 64, "192.0.2.77", "192.0.2.77"),
            (24, 64, "192.0.2.77", "192.0.2.0"),
            (0, 64, "192.0.2.77", "0.0.0.0"),
            (24, 64, "::ffff:192.0.2.77", "192.0.2.0"),
            (24, 64, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            (24, 128, "2001:db8::6", "2001:db8::6"),
            (24, 0, "2001:db8::6", "::"),
        ] {
            assert_eq!(client(v4, v6, source), is, "{source} /{v4} /{v6}");
        }
    }
}
