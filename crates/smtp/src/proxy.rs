//! PROXY protocol headers, v1 (text) and v2 (binary), as HAProxy describes them in proxy-protocol.txt.
//!
//! Owns the syntax. Whether a peer may send a header, and what becomes of one that does, is policy. Keeps nothing and copies nothing:
//! it is asked again with more bytes. What is behind the header is never looked at.

mod encode;

pub use encode::{Facts, TlsFacts, encode_v1, encode_v2, encode_v2_local};

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// More bytes are needed: it may still become a header.
    Incomplete,
    /// A whole header.
    Header(Header),
    /// These bytes are no PROXY header.
    NotProxy,
    /// It starts like a header and is broken, or longer than [`V1_BYTES_MAX`] or [`V2_BYTES_MAX`].
    Bad,
}

/// A PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes that it takes at the start of the connection.
    pub bytes: usize,
    /// Source and destination; `None` (v1 UNKNOWN, v2 LOCAL or another family) means: use the connection's own addresses.
    pub addresses: Option<(SocketAddr, SocketAddr)>,
    /// v2 LOCAL: nobody is handed on, the proxy itself wants to know how we are.
    pub is_local: bool,
}

/// Longest v1 header with its CRLF.
pub const V1_BYTES_MAX: usize = 107;

/// Longest v2 header that we take, TLVs included.
pub const V2_BYTES_MAX: usize = 4096;

/// Reads a header at the start of `input`.
pub fn parse(input: &[u8]) -> Parsed {
    if let Some(rest) = input.strip_prefix(V1_START) {
        return v1(rest);
    }
    if let Some(rest) = input.strip_prefix(V2_START) {
        return v2(rest).unwrap_or(Parsed::Incomplete);
    }
    if V1_START.starts_with(input) || V2_START.starts_with(input) { Parsed::Incomplete } else { Parsed::NotProxy }
}

/// `TCP4 source destination source-port destination-port CRLF`; numbers without needless zeros.
fn v1(rest: &[u8]) -> Parsed {
    let room = &rest[..rest.len().min(V1_BYTES_MAX - V1_START.len())];
    let Some(end) = memchr::memchr(b'\n', room) else {
        return if room.len() < rest.len() || room.len() == V1_BYTES_MAX - V1_START.len() {
            Parsed::Bad
        } else {
            Parsed::Incomplete
        };
    };
    let line = room[..end].strip_suffix(b"\r").filter(|line| !line.contains(&b'\r'));
    let Some(line) = line.and_then(|line| core::str::from_utf8(line).ok()) else { return Parsed::Bad };
    let bytes = V1_START.len() + end + 1;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Parsed::Header(Header { bytes, addresses: None, is_local: false });
    }
    match v1_addresses(line) {
        Some(addresses) => Parsed::Header(Header { bytes, addresses: Some(addresses), is_local: false }),
        None => Parsed::Bad,
    }
}

fn v1_addresses(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let mut words = line.split(' ');
    let address: fn(&str) -> Option<IpAddr> = match words.next()? {
        "TCP4" => |word| word.parse().ok().map(IpAddr::V4),
        "TCP6" => |word| word.parse().ok().map(IpAddr::V6),
        _ => return None,
    };
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (source_port, destination_port) = (port(words.next()?)?, port(words.next()?)?);
    words.next().is_none().then_some(())?;
    Some((SocketAddr::new(source, source_port), SocketAddr::new(destination, destination_port)))
}

fn port(word: &str) -> Option<u16> {
    let sound = word.bytes().all(|b| b.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    sound.then(|| word.parse().ok())?
}

/// Version and command, family and protocol, length, addresses, TLVs. `None`: more bytes are needed.
fn v2(rest: &[u8]) -> Option<Parsed> {
    let command = match rest.first()? {
        0x20 => Command::Local,
        0x21 => Command::Proxy,
        _ => return Some(Parsed::Bad),
    };
    let family = *rest.get(1)?;
    let length = usize::from(u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]));
    let bytes = V2_START.len() + V2_FIXED + length;
    if bytes > V2_BYTES_MAX {
        return Some(Parsed::Bad);
    }
    let block = rest.get(V2_FIXED..V2_FIXED + length)?;
    let addresses = match (command, family) {
        (Command::Local, _) => None,
        (Command::Proxy, 0x11) => match block.first_chunk() {
            Some(block) => Some(v4_pair(block)),
            None => return Some(Parsed::Bad),
        },
        (Command::Proxy, 0x21) => match block.first_chunk() {
            Some(block) => Some(v6_pair(block)),
            None => return Some(Parsed::Bad),
        },
        // UNSPEC, datagrams and Unix sockets: taken, and the connection's own addresses count.
        (Command::Proxy, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        (Command::Proxy, _) => return Some(Parsed::Bad),
    };
    Some(Parsed::Header(Header { bytes, addresses, is_local: command == Command::Local }))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Local,
    Proxy,
}

fn v4_pair(block: &[u8; 12]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
    let [source_port, destination_port] = port_pair(ports);
    let source = SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), source_port);
    (source, SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), destination_port))
}

fn v6_pair(block: &[u8; 36]) -> (SocketAddr, SocketAddr) {
    let (mut source, mut destination, mut ports) = ([0; 16], [0; 16], [0; 4]);
    source.copy_from_slice(&block[..16]);
    destination.copy_from_slice(&block[16..32]);
    ports.copy_from_slice(&block[32..]);
    let [source_port, destination_port] = port_pair(ports);
    let source = SocketAddr::new(Ipv6Addr::from(source).into(), source_port);
    (source, SocketAddr::new(Ipv6Addr::from(destination).into(), destination_port))
}

fn port_pair(ports: [u8; 4]) -> [u16; 2] {
    let [a, b, c, d] = ports;
    [u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

const V1_START: &[u8] = b"PROXY ";
const V2_START: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version, family and length, behind the twelve bytes that start a v2 header.
const V2_FIXED: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloc::vec::Vec;

    fn header(bytes: usize, addresses: Option<(&str, &str)>) -> Parsed {
        let addresses = addresses.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap()));
        Parsed::Header(Header { bytes, addresses, is_local: false })
    }

    fn local(bytes: usize) -> Parsed {
        Parsed::Header(Header { bytes, addresses: None, is_local: true })
    }

    /// Before its last byte a header is incomplete, behind it nothing counts.
    fn check(input: &[u8], expected: Parsed) {
        for end in 0..input.len() {
            assert_eq!(parse(&input[..end]), Parsed::Incomplete, "{} of {}", end, input.escape_ascii());
        }
        assert_eq!(parse(input), expected, "{}", input.escape_ascii());
        assert_eq!(parse(&[input, b"PROXY \r\n\r\n"].concat()), expected);
    }

    #[test]
    fn v1_headers() {
        let v4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 25\r\n";
        check(v4, header(v4.len(), Some(("192.0.2.1:40000", "192.0.2.2:25"))));
        let v6 = b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n";
        check(v6, header(v6.len(), Some(("[2001:db8::1]:0", "[::1]:65535"))));
        check(b"PROXY UNKNOWN\r\n", header(15, None));
        check(b"PROXY UNKNOWN ffff::1 ::2 1 2\r\n", header(31, None));
        let longest = [b"PROXY UNKNOWN ".as_slice(), &[b'x'; 91], b"\r\n"].concat();
        check(&longest, header(V1_BYTES_MAX, None));
    }

    #[test]
    fn bad_v1_headers() {
        for bad in [
            "PROXY \r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
            "PROXY TCP4 192.0.2.1\r192.0.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
            "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UNKNOWNS\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Parsed::Bad, "{bad:?}");
        }
        assert_eq!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 93]].concat()), Parsed::Bad);
    }

    fn v2_header(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).unwrap().to_be_bytes();
        [V2_START, &[command, family], &length, block].concat()
    }

    #[test]
    fn v2_headers() {
        let v4 = [192, 0, 2, 1, 192, 0, 2, 2, 0x9c, 0x40, 0, 25];
        check(&v2_header(0x21, 0x11, &v4), header(28, Some(("192.0.2.1:40000", "192.0.2.2:25"))));
        let with_tlv = [&v4[..], &[4, 0, 1, 9]].concat();
        check(&v2_header(0x21, 0x11, &with_tlv), header(32, Some(("192.0.2.1:40000", "192.0.2.2:25"))));
        let mut v6 = vec![0; 36];
        (v6[15], v6[31], v6[35]) = (1, 2, 25);
        check(&v2_header(0x21, 0x21, &v6), header(52, Some(("[::1]:0", "[::2]:25"))));
        check(&v2_header(0x20, 0x00, b""), local(16));
        check(&v2_header(0x20, 0x11, &v4), local(28));
        check(&v2_header(0x21, 0x31, &[0; 216]), header(232, None));
        check(&v2_header(0x20, 0x00, &[0; V2_BYTES_MAX - 16]), local(V2_BYTES_MAX));
    }

    #[test]
    fn bad_v2_headers() {
        for (command, family, length) in
            [(0x21, 0x11, 11), (0x21, 0x21, 35), (0x11, 0, 0), (0x22, 0, 0), (0x21, 0x41, 0)]
        {
            assert_eq!(parse(&v2_header(command, family, &vec![0; length])), Parsed::Bad);
        }
        assert_eq!(parse(&v2_header(0x20, 0, &[0; V2_BYTES_MAX - 15])), Parsed::Bad);
    }

    #[test]
    fn what_is_no_header() {
        for other in ["EHLO x\r\n", "PROXX", "\r\n\r\n\r\n", "\r\n\r\n\0\r\nQUIX"] {
            assert_eq!(parse(other.as_bytes()), Parsed::NotProxy);
        }
    }
}
