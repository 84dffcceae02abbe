//! Where a domain takes its mail: MX and addresses (RFC 5321 5.1, RFC 7505).
//!
//! Owns the questions and what their answers mean. Caching is hickory's. Always holds: an answer "later" is never told as "never".

use std::net::SocketAddr;
use std::time::Duration;

/// Asks name servers. Clones share one cache.
#[derive(Clone)]
pub struct Resolver {}

/// How to ask.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Name servers, for tests and for hosts without a usable `/etc/resolv.conf`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// For one question to one server.
    pub timeout: Duration,
}

/// The resolver cannot be set up; the text says why.
#[derive(Debug)]
pub struct ResolverError(pub String);

impl Resolver {
    /// Reads the system's configuration unless `servers` are given. Must be called inside a tokio runtime.
    pub fn new(settings: &DnsSettings) -> Result<Resolver, ResolverError> {
        let _ = settings;
        todo!()
    }
}
