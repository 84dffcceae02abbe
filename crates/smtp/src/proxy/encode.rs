//! PROXY headers that we send: v1, and v2 with the facts that proxy-protocol.txt 2.2 lets us add.
//!
//! Owns the bytes. Knows not who trusts them. Always holds: what is written here, [`super::parse`] reads, and it is not longer than
//! [`super::V1_BYTES_MAX`] or [`super::V2_BYTES_MAX`].

use super::{V1_START, V2_START};
use alloc::vec::Vec;
use core::fmt::Write;
use core::net::{IpAddr, SocketAddr};

/// What a v2 header says besides the addresses. All of it is optional.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// TLS that ended at us.
    pub tls: Option<TlsFacts<'a>>,
    /// The host name that the client asked for (SNI); not more than 255 bytes are said.
    pub authority: Option<&'a [u8]>,
    /// A value that names this connection in the logs of both sides; not more than 128 bytes are said.
    pub unique_id: Option<&'a [u8]>,
    /// A CRC32c over the whole header.
    pub checksum: bool,
}

/// How the client's connection to us was encrypted.
#[derive(Clone, Copy, Debug)]
pub struct TlsFacts<'a> {
    /// `TLSv1.3`.
    pub version: &'a str,
    /// The cipher suite by its name in the registry.
    pub cipher: &'a str,
}

/// Appends a v1 header. Addresses of two families are said as IPv6.
pub fn encode_v1(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr) {
    let (source, destination) = same_family(source, destination);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    out.extend_from_slice(V1_START);
    // A Vec takes all that is written to it.
    let _ =
        write!(Text(out), "{family} {} {} {} {}\r\n", source.ip(), destination.ip(), source.port(), destination.port());
}

/// Appends a v2 header of a connection that is handed on. Addresses of two families are said as IPv6.
pub fn encode_v2(out: &mut Vec<u8>, source: SocketAddr, destination: SocketAddr, facts: &Facts<'_>) {
    let start = out.len();
    let (source, destination) = same_family(source, destination);
    out.extend_from_slice(V2_START);
    out.extend_from_slice(&[PROXY, if source.is_ipv4() { TCP4 } else { TCP6 }, 0, 0]);
    for address in [source.ip(), destination.ip()] {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
    out.extend_from_slice(&source.port().to_be_bytes());
    out.extend_from_slice(&destination.port().to_be_bytes());
    if let Some(authority) = facts.authority {
        tlv(out, TYPE_AUTHORITY, &authority[..authority.len().min(AUTHORITY_MAX)]);
    }
    if let Some(id) = facts.unique_id {
        tlv(out, TYPE_UNIQUE_ID, &id[..id.len().min(UNIQUE_ID_MAX)]);
    }
    if let Some(tls) = &facts.tls {
        tls_tlv(out, tls);
    }
    let checksum_at = facts.checksum.then(|| {
        tlv(out, TYPE_CRC32C, &[0; 4]);
        out.len() - 4
    });
    seal(out, start, checksum_at);
}

/// Appends a v2 LOCAL header: the balancer speaks for itself (a health probe).
pub fn encode_v2_local(out: &mut Vec<u8>) {
    out.extend_from_slice(V2_START);
    out.extend_from_slice(&[LOCAL, 0, 0, 0]);
}

/// The length, and then the checksum over the header with a checksum of zero.
fn seal(out: &mut [u8], start: usize, checksum_at: Option<usize>) {
    // The bounds of the facts keep a header far below 64 KiB.
    let length = u16::try_from(out.len() - start - FIXED).unwrap_or(u16::MAX);
    out[start + FIXED - 2..start + FIXED].copy_from_slice(&length.to_be_bytes());
    if let Some(at) = checksum_at {
        let sum = crc32c(&out[start..]);
        out[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    }
}

/// PP2_TYPE_SSL: the client came with TLS and showed no certificate; then version and cipher as TLVs of their own.
fn tls_tlv(out: &mut Vec<u8>, tls: &TlsFacts<'_>) {
    let at = out.len();
    tlv(out, TYPE_SSL, &[CLIENT_SSL, 0, 0, 0, 1]); // 1: no certificate was verified
    tlv(out, SUBTYPE_VERSION, &tls.version.as_bytes()[..tls.version.len().min(TLS_WORD_MAX)]);
    tlv(out, SUBTYPE_CIPHER, &tls.cipher.as_bytes()[..tls.cipher.len().min(TLS_WORD_MAX)]);
    let length = u16::try_from(out.len() - at - 3).unwrap_or(u16::MAX);
    out[at + 1..at + 3].copy_from_slice(&length.to_be_bytes());
}

/// Type, length, value. Callers bound the value.
fn tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&value[..usize::from(length)]);
}

/// A header has one family. IPv4-mapped addresses (a socket for both families) are IPv4.
fn same_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (from, to) = (source.ip().to_canonical(), destination.ip().to_canonical());
    let (from, to) = if from.is_ipv4() == to.is_ipv4() { (from, to) } else { (as_v6(from), as_v6(to)) };
    (SocketAddr::new(from, source.port()), SocketAddr::new(to, destination.port()))
}

fn as_v6(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().into(),
        v6 => v6,
    }
}

/// Vec<u8> as a sink of text.
struct Text<'a>(&'a mut Vec<u8>);

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// CRC-32C (Castagnoli) of a header; headers are short, a table is enough.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| (sum >> 8) ^ CRC_TABLE[((sum ^ u32::from(*byte)) & 0xff) as usize])
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let (mut value, mut bit) = (at as u32, 0);
        while bit < 8 {
            value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
            bit += 1;
        }
        table[at] = value;
        at += 1;
    }
    table
};

const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
/// Everything of a v2 header before the addresses.
const FIXED: usize = 16;
const AUTHORITY_MAX: usize = 255;
/// proxy-protocol.txt 2.2.5.
const UNIQUE_ID_MAX: usize = 128;
const TLS_WORD_MAX: usize = 64;
const TYPE_AUTHORITY: u8 = 0x02;
const TYPE_CRC32C: u8 = 0x03;
const TYPE_UNIQUE_ID: u8 = 0x05;
const TYPE_SSL: u8 = 0x20;
const SUBTYPE_VERSION: u8 = 0x21;
const SUBTYPE_CIPHER: u8 = 0x23;
const CLIENT_SSL: u8 = 0x01;

#[cfg(test)]
mod tests {
    use super::super::{Header, Parsed, parse};
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_sent_is_what_is_read() {
        let facts = Facts {
            tls: Some(TlsFacts { version: "TLSv1.3", cipher: "TLS_AES_128_GCM_SHA256" }),
            authority: Some(b"mail.example"),
            unique_id: Some(&[7; 200]),
            checksum: true,
        };
        for (from, to, said_from, said_to) in [
            ("192.0.2.1:40000", "192.0.2.2:25", "192.0.2.1:40000", "192.0.2.2:25"),
            ("[2001:db8::1]:1", "[2001:db8::2]:587", "[2001:db8::1]:1", "[2001:db8::2]:587"),
            ("[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.2]:25", "192.0.2.1:1", "192.0.2.2:25"),
            ("192.0.2.1:9", "[2001:db8::2]:25", "[::ffff:192.0.2.1]:9", "[2001:db8::2]:25"),
        ] {
            let addresses = Some((at(said_from), at(said_to)));
            for facts in [Facts::default(), facts] {
                let mut out = b"before".to_vec();
                encode_v2(&mut out, at(from), at(to), &facts);
                let header = &out[6..];
                assert_eq!(
                    parse(header),
                    Parsed::Header(Header { bytes: header.len(), addresses, is_local: false }),
                    "{from} {to}"
                );
            }
            let mut out = Vec::new();
            encode_v1(&mut out, at(from), at(to));
            assert_eq!(
                parse(&out),
                Parsed::Header(Header { bytes: out.len(), addresses, is_local: false }),
                "{from} {to}"
            );
        }
        let mut out = Vec::new();
        encode_v2_local(&mut out);
        assert_eq!(parse(&out), Parsed::Header(Header { bytes: 16, addresses: None, is_local: true }));
    }

    /// The value that RFC 3720 B.4 gives, and a header whose checksum is that of the header with zeros in its place.
    #[test]
    fn the_checksum_is_crc32c() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        let mut out = Vec::new();
        encode_v2(&mut out, at("192.0.2.1:1"), at("192.0.2.2:2"), &Facts { checksum: true, ..Facts::default() });
        let end = out.len() - 4;
        let said = u32::from_be_bytes([out[end], out[end + 1], out[end + 2], out[end + 3]]);
        out[end..].fill(0);
        assert_eq!(crc32c(&out), said);
    }

    /// Byte for byte, as proxy-protocol.txt 2.2 lays it out.
    #[test]
    fn tls_is_a_list_in_a_tlv() {
        let mut out = Vec::new();
        let tls = Some(TlsFacts { version: "TLSv1.3", cipher: "X" });
        encode_v2(&mut out, at("192.0.2.1:1"), at("192.0.2.2:2"), &Facts { tls, ..Facts::default() });
        let expected = [&[0x20, 0, 19, 1, 0, 0, 0, 1, 0x21, 0, 7][..], b"TLSv1.3", &[0x23, 0, 1, b'X']].concat();
        assert_eq!(&out[28..], &expected);
    }
}
