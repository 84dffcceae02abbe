//! The PROXY header in front of a connection from a balancer that is trusted for it (<https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>).

use smtp::proxy::{Parsed, V2_BYTES_MAX, parse};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How long a trusted peer may take for its header.
const HEADER_TIME_MAX: Duration = Duration::from_secs(10);

/// What stood in front of a connection.
pub struct Front {
    /// The true client, if the header names one (it does not for the balancer's own probes).
    pub client: Option<SocketAddr>,
    /// The balancer hands nobody on: it asks how we are (LOCAL of version 2).
    pub is_probe: bool,
    /// What was read behind the header: the first bytes of the session, or of its TLS handshake.
    pub ahead: Vec<u8>,
}

/// Why there is no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHeader {
    /// The peer sent something else, or a broken header.
    Bad,
    /// It did not come in time, or the connection broke.
    Late,
}

/// Reads the header. What it says counts only because the caller trusts the peer.
pub async fn read_header(stream: &mut TcpStream) -> Result<Front, NoHeader> {
    match tokio::time::timeout(HEADER_TIME_MAX, header(stream)).await {
        Ok(front) => front,
        Err(_) => Err(NoHeader::Late),
    }
}

async fn header(stream: &mut TcpStream) -> Result<Front, NoHeader> {
    let mut read = Vec::with_capacity(256);
    loop {
        if read.len() >= V2_BYTES_MAX + 256 {
            return Err(NoHeader::Bad);
        }
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(NoHeader::Late),
            Ok(_) => {}
        }
        match parse(&read) {
            Parsed::Incomplete => read.reserve(256),
            Parsed::NotProxy | Parsed::Bad => return Err(NoHeader::Bad),
            Parsed::Header(header) => {
                let ahead = read.split_off(header.bytes.min(read.len()));
                let client = header.addresses.map(|(source, _)| source);
                return Ok(Front { client, is_probe: header.is_local, ahead });
            }
        }
    }
}
