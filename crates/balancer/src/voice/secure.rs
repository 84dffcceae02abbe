//! What a connection of a SIP service is made of: a stream in clear, or one under TLS (`sips`).
//!
//! Owns the handshakes. Knows no messages and no certificate: the node's own comes from above. Always holds: a handshake that is not over
//! in [`HANDSHAKE_TIME_MS`] ends the connection; a service of `sips` reads and writes nothing in clear.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, split};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::probe::encrypting;

/// The end that messages are read from.
pub type Reading = Box<dyn AsyncRead + Send + Unpin>;
/// The end that they are written to.
pub type Writing = Box<dyn AsyncWrite + Send + Unpin>;

/// A handshake takes no longer, with whoever is at the other end.
const HANDSHAKE_TIME_MS: u64 = 10_000;

/// Both ends of TLS for one service. Cheap to clone.
#[derive(Clone)]
pub struct Tls {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Tls {
    /// Gateways are shown what `server` has. Hosts of the plan are encrypted to, and prove nothing: they are known by their addresses, as in
    /// clear. Errors: a fault of this program's build.
    pub fn new(server: Arc<ServerConfig>) -> io::Result<Tls> {
        let mut client = encrypting().map_err(io::Error::other)?;
        // Connections to hosts are few and long.
        client.resumption = rustls::client::Resumption::disabled();
        Ok(Tls { server, client: Arc::new(client) })
    }

    /// The same with a renewed certificate.
    pub fn with(&self, server: Arc<ServerConfig>) -> Tls {
        Tls { server, client: Arc::clone(&self.client) }
    }

    /// The handshake with somebody who connected.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<(Reading, Writing)> {
        let handshake = TlsAcceptor::from(Arc::clone(&self.server)).accept(stream);
        let (read, write) = split(timeout(Duration::from_millis(HANDSHAKE_TIME_MS), handshake).await??);
        Ok((Box::new(read), Box::new(write)))
    }

    /// The handshake with a host that we connected to.
    pub async fn connect(&self, stream: TcpStream, host: SocketAddr) -> io::Result<(Reading, Writing)> {
        let name = ServerName::from(host.ip());
        let handshake = TlsConnector::from(Arc::clone(&self.client)).connect(name, stream);
        let (read, write) = split(timeout(Duration::from_millis(HANDSHAKE_TIME_MS), handshake).await??);
        Ok((Box::new(read), Box::new(write)))
    }
}

/// The same without TLS.
pub fn in_clear(stream: TcpStream) -> (Reading, Writing) {
    let (read, write) = stream.into_split();
    (Box::new(read), Box::new(write))
}
