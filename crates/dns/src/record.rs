//! Resource records: what a name has (RFC 1035, 3.2).
//!
//! Owns their octets, and which names in them may be compressed. Knows no zone, and no text form: `directory` has that. Always holds: the records of a [`RecordSet`] have one owner, one kind and one TTL (RFC 2181, 5.2).

use std::fmt;
use std::net::IpAddr;

use crate::name::{Name, wire_len};

/// The kind of a record: its type, in the RFCs' words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub u16);

macro_rules! kinds {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl Kind {
            $(#[doc = concat!("`", stringify!($name), "`.")] pub const $name: Kind = Kind($number);)*

            /// The name that the registry has for it, if it is one of those that we know.
            pub fn word(self) -> Option<&'static str> {
                match self.0 { $($number => Some(stringify!($name)),)* _ => None }
            }

            /// Reads `MX` or `TYPE15`, in any case.
            pub fn parse(text: &str) -> Option<Kind> {
                let upper = text.to_ascii_uppercase();
                match upper.as_str() {
                    $(stringify!($name) => Some(Kind($number)),)*
                    _ => upper.strip_prefix("TYPE").and_then(|number| number.parse().ok()).map(Kind),
                }
            }
        }
    };
}

kinds! {
    A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, HINFO = 13, MX = 15, TXT = 16, AAAA = 28, SRV = 33, NAPTR = 35, DS = 43,
    SSHFP = 44, RRSIG = 46, NSEC = 47, DNSKEY = 48, TLSA = 52, OPENPGPKEY = 61, SVCB = 64, HTTPS = 65, SPF = 99, CAA = 257,
    OPT = 41, TSIG = 250, IXFR = 251, AXFR = 252, ANY = 255,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.word() {
            Some(word) => f.write_str(word),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The start of a zone (RFC 1035, 3.3.13). Times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The primary name server.
    pub primary: Name,
    /// Who is responsible: an address with a dot in the place of the `@`.
    pub responsible: Name,
    /// Which version of the zone this is.
    pub serial: u32,
    /// Secondaries ask so often.
    pub refresh_s: u32,
    /// Secondaries that had no answer ask again so soon.
    pub retry_s: u32,
    /// Secondaries that had no answer for so long answer no more.
    pub expire_s: u32,
    /// How long "there is none" may be kept (RFC 2308).
    pub negative_s: u32,
}

/// What one record says: octets, names in them not compressed.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Data {
    kind: Kind,
    octets: Box<[u8]>,
}

impl Data {
    /// `A` or `AAAA`.
    pub fn address(address: IpAddr) -> Data {
        match address {
            IpAddr::V4(v4) => Data { kind: Kind::A, octets: v4.octets().into() },
            IpAddr::V6(v6) => Data { kind: Kind::AAAA, octets: v6.octets().into() },
        }
    }

    /// `NS`, `CNAME`, `PTR`: a name alone.
    pub fn name(kind: Kind, name: &Name) -> Data {
        Data { kind, octets: name.wire().into() }
    }

    /// `MX`. The root as exchange: this domain takes no mail (RFC 7505).
    pub fn mx(preference: u16, exchange: &Name) -> Data {
        Data { kind: Kind::MX, octets: [&preference.to_be_bytes(), exchange.wire()].concat().into() }
    }

    /// `SRV` (RFC 2782).
    pub fn srv(priority: u16, weight: u16, port: u16, target: &Name) -> Data {
        let numbers = [priority, weight, port].into_iter().flat_map(u16::to_be_bytes);
        Data { kind: Kind::SRV, octets: numbers.chain(target.wire().iter().copied()).collect() }
    }

    /// `TXT` of strings, each of at most 255 octets.
    pub fn strings<'s>(kind: Kind, strings: impl IntoIterator<Item = &'s [u8]>) -> Data {
        let mut octets = Vec::new();
        for string in strings {
            let string = &string[..string.len().min(255)];
            octets.push(string.len() as u8);
            octets.extend(string);
        }
        Data { kind, octets: octets.into() }
    }

    /// `SOA`.
    pub fn soa(soa: &Soa) -> Data {
        let Soa { primary, responsible, serial, refresh_s, retry_s, expire_s, negative_s } = soa;
        let numbers = [serial, refresh_s, retry_s, expire_s, negative_s].into_iter().flat_map(|n| n.to_be_bytes());
        let names = primary.wire().iter().chain(responsible.wire()).copied();
        Data { kind: Kind::SOA, octets: names.chain(numbers).collect() }
    }

    /// Any kind whose octets have no name that could be compressed (RFC 3597).
    pub fn octets_of(kind: Kind, octets: Vec<u8>) -> Data {
        Data { kind, octets: octets.into() }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its octets, names not compressed.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The name whose addresses whoever asks for this wants next (RFC 1035, 3.3), in its octets.
    pub(crate) fn target(&self) -> Option<&[u8]> {
        match self.kind {
            Kind::NS => Some(&self.octets),
            Kind::MX => self.octets.get(2..),
            Kind::SRV => self.octets.get(6..),
            _ => None,
        }
    }

    /// The name that this is another one for, if it is a `CNAME`.
    pub(crate) fn alias(&self) -> Option<&[u8]> {
        (self.kind == Kind::CNAME).then_some(&*self.octets)
    }

    /// Appends the octets, names as `name` writes them; only those of RFC 1035's kinds may be compressed (RFC 3597, 4).
    pub(crate) fn write(&self, out: &mut Vec<u8>, mut name: impl FnMut(&mut Vec<u8>, &[u8])) {
        let (before, names) = match self.kind {
            Kind::NS | Kind::CNAME | Kind::PTR => (0, 1),
            Kind::MX => (2, 1),
            Kind::SOA => (0, 2),
            _ => (0, 0),
        };
        let (head, mut rest) = self.octets.split_at(before.min(self.octets.len()));
        out.extend(head);
        for _ in 0..names {
            let Some(len) = wire_len(rest) else { break };
            name(out, &rest[..len]);
            rest = &rest[len..];
        }
        out.extend(rest);
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        self.octets.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// All records of one kind that a name has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// Whose they are.
    pub owner: Name,
    /// Their kind.
    pub kind: Kind,
    /// How long an answer may be kept, in seconds.
    pub ttl_s: u32,
    /// What each says; all of this kind.
    pub data: Vec<Data>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_first_kinds_only_are_compressed() {
        let (name, long) = (|text: &str| Name::parse(text).unwrap(), "x".repeat(300));
        let soa = Soa {
            primary: name("a"),
            responsible: name("b"),
            serial: 1,
            refresh_s: 2,
            retry_s: 3,
            expire_s: 4,
            negative_s: 5,
        };
        let cases: [(Data, &[u8], &[u8]); 6] = [
            (Data::mx(10, &name("a.b")), b"\0\x0a\x01a\x01b\0", b"\0\x0a!"),
            (Data::name(Kind::PTR, &name("a.b")), b"\x01a\x01b\0", b"!"),
            (Data::srv(0, 1, 587, &name("a")), b"\0\0\0\x01\x02\x4b\x01a\0", b"\0\0\0\x01\x02\x4b\x01a\0"),
            (Data::strings(Kind::TXT, [&b"ab"[..], b""]), b"\x02ab\0", b"\x02ab\0"),
            (Data::address([192, 0, 2, 1].into()), &[192, 0, 2, 1], &[192, 0, 2, 1]),
            (
                Data::soa(&soa),
                b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
                b"!!\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\0\x05",
            ),
        ];
        for (data, octets, written) in cases {
            let mut out = Vec::new();
            data.write(&mut out, |out, _| out.push(b'!'));
            assert_eq!((data.octets(), out.as_slice()), (octets, written), "{data:?}");
        }
        assert_eq!(Data::strings(Kind::TXT, [long.as_bytes()]).octets().len(), 256);
        assert_eq!((Kind::parse("mx"), Kind::parse("type4711")), (Some(Kind::MX), Some(Kind(4711))));
        assert_eq!((Kind(4711).to_string(), Kind::TLSA.to_string()), ("TYPE4711".into(), "TLSA".into()));
    }
}
