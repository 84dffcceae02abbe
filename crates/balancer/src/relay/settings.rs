//! What the relay is told: once for all services, and for each of them.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use directory::{Ranges, Service};
use rustls::ServerConfig;

use crate::pool::Pool;

/// What counts for all services.
#[derive(Clone, Copy, Debug, Default)]
pub struct RelaySettings {
    /// Threads; 0: one for each core.
    pub threads: usize,
    /// Connections of all services together; 0: as many as three quarters of the process's descriptors allow.
    pub connections_max: u32,
    /// How long things may take that no service decides.
    pub timing: Timing,
}

/// How long things may take that no service decides.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// From accepting until the client's PROXY header, TLS greeting or handshake is whole.
    pub opening_ms: u64,
    /// A refused client has this long to take its last words and go.
    pub parting_ms: u64,
    /// A drained member's session that was silent for this long is ended with words at its next command.
    pub drain_idle_ms: u64,
    /// So long after the drain begins every session is, between two transactions.
    pub drain_busy_ms: u64,
    /// A drained member's session that cannot be read is closed when it was silent for this long.
    pub drain_opaque_ms: u64,
    /// So long after the drain begins everything is closed.
    pub drain_deadline_ms: u64,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            opening_ms: 10_000,
            parting_ms: 3_000,
            drain_idle_ms: 5_000,
            drain_busy_ms: 30_000,
            drain_opaque_ms: 60_000,
            drain_deadline_ms: 600_000,
        }
    }
}

/// One service, as it is to be done from now on.
#[derive(Clone)]
pub struct ServiceSetup {
    /// The document's words: name, protocol, limits, allowed sources.
    pub service: Arc<Service>,
    /// Who gets the connections.
    pub pool: Arc<Pool>,
    /// Addresses of our own servers: whoever comes from one of them is refused. Loopback addresses do not count.
    pub own_servers: Arc<[IpAddr]>,
    /// Clients that begin with a PROXY header, which is believed. From all others it is passed on as bytes.
    pub trusted_proxies: Arc<Ranges>,
    /// TLS ends here, with these certificates; where the service says that it does.
    pub tls: Option<Arc<ServerConfig>>,
}

/// A listening socket that somebody else opened, of this process or the one before.
#[derive(Debug)]
pub struct Inherited {
    /// Its address.
    pub address: SocketAddr,
    /// It listens already.
    pub socket: OwnedFd,
}
