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
    /// Address spaces in lower case: `example.org`, `*.example.org` (that domain and all below it) or `*`.
    pub domains: Vec<Box<str>>,
    /// 1 to 100; the lower one is taken where two connectors have the same address space. A next hop that is down does not change that.
    pub cost: u32,
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
