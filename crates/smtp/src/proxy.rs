//! PROXY protocol headers, v1 (text) and v2 (binary), as HAProxy describes them. Owns the syntax; whether a peer may send one is policy.

use core::net::SocketAddr;

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed: it may still become a header.
    Incomplete,
    /// A whole header.
    Header(Header),
    /// These bytes are no PROXY header.
    NotProxy,
    /// It starts like a header and is broken or longer than [`V1_BYTES_MAX`] or [`V2_BYTES_MAX`].
    Bad,
}

/// A PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes that it takes at the start of the connection.
    pub bytes: usize,
    /// Source and destination; `None` (v1 UNKNOWN, v2 LOCAL or another family) means: use the connection's own addresses.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
}

/// Longest v1 header with its CRLF.
pub const V1_BYTES_MAX: usize = 107;

/// Longest v2 header that we take, TLVs included.
pub const V2_BYTES_MAX: usize = 4096;

/// Reads a header at the start of `input`.
pub fn parse(input: &[u8]) -> Parsed {
    let _ = input;
    todo!()
}
