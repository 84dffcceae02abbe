//! Servers that mail is handed to: by name or address and port, or by Unix socket.

use std::net::IpAddr;
use std::path::PathBuf;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// Name or address.
    pub host: Host,
    /// Port.
    pub port: u16,
}

/// A host by name or by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Looked up in DNS (A and AAAA), lower case.
    Name(Box<str>),
    /// Taken as it is.
    Ip(IpAddr),
}

/// An LMTP server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LmtpTarget {
    /// A Unix socket.
    Unix(PathBuf),
    /// TCP.
    Tcp(HostPort),
}

impl std::fmt::Display for LmtpTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LmtpTarget::Unix(path) => write!(f, "unix:{}", path.display()),
            LmtpTarget::Tcp(host) => write!(f, "{host}"),
        }
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(ip) => write!(f, "{ip}"),
        }
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}
