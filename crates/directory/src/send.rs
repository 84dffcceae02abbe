//! A send connector: how mail for a set of domains leaves.

use crate::target::{HostPort, LmtpTarget};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How mail for some domains leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct SendConnector {
    /// Its name, part of the name of its queues.
    pub name: Arc<str>,
    /// What it is for.
    pub domains: Vec<AddressSpace>,
    /// 1 to 100, of address spaces that say no cost of their own. A next hop that is down does not change it.
    pub cost: u32,
    /// The servers that deliver through it, in lower case; `None`: each delivers what it has.
    pub servers: Option<Vec<Box<str>>>,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Only servers in the sites of `servers` use it.
    pub scoped: bool,
    /// Larger messages do not go through it, in bytes.
    pub message_bytes_max: Option<u64>,
    /// Where to.
    pub to: SendTo,
    /// Port for MX hosts and for smart hosts that name none.
    pub port: u16,
    /// What is asked of TLS.
    pub tls: SendTls,
    /// Authorities that `verify` trusts instead of the public ones.
    pub tls_ca: Option<Authorities>,
    /// What we log on with at smart hosts.
    pub credentials: Option<Credentials>,
    /// Connections to one next hop (a set of smart hosts or a domain).
    pub connections_max: u32,
    /// Messages, then QUIT; `None` is no bound.
    pub messages_per_connection: Option<u32>,
    /// How long an unused connection is kept for the next message, in milliseconds.
    pub idle_ms: u64,
    /// How long each answer is waited for.
    pub timeouts: Timeouts,
    /// What we call ourselves in EHLO: the connector's own or the node's name.
    pub hello: Arc<str>,
    /// The address that connections are made from.
    pub source: Option<IpAddr>,
    /// `Received` and `Resent-*` fields go out with a message.
    pub routing_headers: bool,
}

/// Domains that a send connector is for, and what it costs to send there through it.
#[derive(Clone, Debug, PartialEq)]
pub struct AddressSpace {
    /// In lower case: `example.org`, `*.example.org` (that domain and all below it) or `*`.
    pub space: Box<str>,
    /// 1 to 100; the lowest sum of this and the path counts.
    pub cost: u32,
}

/// Where a send connector delivers to.
#[derive(Clone, Debug, PartialEq)]
pub enum SendTo {
    /// These hosts in rotation, the next one at once if one fails.
    SmartHosts(Vec<HostPort>),
    /// The MX hosts of the recipient's domain.
    Mx,
    /// An LMTP server.
    Lmtp(LmtpTarget),
}

/// What is asked of TLS on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendTls {
    /// Never tried.
    Off,
    /// Used where offered, with any certificate; in the clear if that fails.
    Opportunistic,
    /// Encrypted with any certificate, or not at all.
    Require,
    /// Encrypted with a certificate that is valid for the host's name, or not at all.
    Verify,
}

/// Certificates of authorities.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorities {
    /// PEM.
    pub pem: Arc<[u8]>,
    /// Where they came from.
    pub file: PathBuf,
}

/// User name and password for AUTH at a smart host.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    /// User name.
    pub username: Box<str>,
    /// The first line of `password_file`.
    pub password: Box<str>,
    /// Where it came from.
    pub password_file: PathBuf,
}

/// How long each answer is waited for, in milliseconds (RFC 5321 4.5.3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The TCP connection, per address.
    pub connect_ms: u64,
    /// The greeting.
    pub greeting_ms: u64,
    /// The answer to any command that has no row of its own, and the TLS handshake.
    pub command_ms: u64,
    /// 354.
    pub data_ms: u64,
    /// Progress while the body is sent.
    pub data_block_ms: u64,
    /// The answer to the final dot.
    pub data_end_ms: u64,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({})", self.username)
    }
}
