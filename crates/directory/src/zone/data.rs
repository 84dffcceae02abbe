//! What a record says, by its type: read from the text of a document, written as in a zone file.
//!
//! Knows no wire format. Always holds: names in it are lower case without the final dot; what is read and written again is the same.

use super::name::{parse_host, parse_name};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The data of one record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Data {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// Another name for it all.
    Cname(Box<str>),
    /// A host that takes mail; an empty name (written `.`) says that none does (RFC 7505).
    Mx(u16, Box<str>),
    /// A name server.
    Ns(Box<str>),
    /// The name of an address.
    Ptr(Box<str>),
    /// Where a service is (RFC 2782); an empty name (written `.`) says that there is none.
    Srv(Srv),
    /// Any bytes, as one; [`Data::strings`] cuts them as DNS does.
    Txt(Box<[u8]>),
    /// What certificate a service shows (RFC 6698).
    Tlsa(Tlsa),
    /// Who may issue certificates (RFC 8659).
    Caa(Caa),
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Srv {
    /// The lowest is tried first.
    pub priority: u16,
    /// The share among equal priorities.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host.
    pub target: Box<str>,
}

/// What certificate a service shows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tlsa {
    /// 0 to 3; mail uses 2 and 3 (RFC 7672 3.1).
    pub usage: u8,
    /// 0: the certificate; 1: its public key.
    pub selector: u8,
    /// 0: as it is; 1: SHA-256; 2: SHA-512.
    pub matching: u8,
    /// The certificate, key or digest.
    pub data: Box<[u8]>,
}

/// Who may issue certificates.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caa {
    /// 128: who does not understand the tag must not issue.
    pub flags: u8,
    /// `issue`, `issuewild`, `iodef`, ...
    pub tag: Box<str>,
    /// Its value.
    pub value: Box<str>,
}

/// The types of record that a document can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // their names are those of DNS
pub enum Type {
    A,
    Aaaa,
    Cname,
    Mx,
    Ns,
    Ptr,
    Srv,
    Txt,
    Tlsa,
    Caa,
}

impl Type {
    /// Every type with its name and its number (RFC 1035 3.2.2 and later).
    pub const ALL: &'static [(&'static str, Type, u16)] = &[
        ("A", Type::A, 1),
        ("AAAA", Type::Aaaa, 28),
        ("CNAME", Type::Cname, 5),
        ("MX", Type::Mx, 15),
        ("NS", Type::Ns, 2),
        ("PTR", Type::Ptr, 12),
        ("SRV", Type::Srv, 33),
        ("TXT", Type::Txt, 16),
        ("TLSA", Type::Tlsa, 52),
        ("CAA", Type::Caa, 257),
    ];

    /// Its name in DNS.
    pub fn word(self) -> &'static str {
        Type::ALL[self as usize].0
    }

    /// Its number in DNS.
    pub fn number(self) -> u16 {
        Type::ALL[self as usize].2
    }

    /// The type of that name.
    pub fn of_word(word: &str) -> Option<Type> {
        Type::ALL.iter().find(|(name, ..)| name.eq_ignore_ascii_case(word)).map(|(_, kind, _)| *kind)
    }
}

/// Bytes of one string of a TXT record (RFC 1035 3.3).
const STRING_MAX: usize = 255;

/// Bytes of a TXT record that we publish. More does not fit into an answer that resolvers pass on (RFC 6763 6.1 advises 1300).
const TXT_MAX: usize = 4_000;

impl Data {
    /// Reads what an operator writes for a type. The error says what to write.
    pub fn parse(kind: Type, text: &str) -> Result<Data, String> {
        let wrong = |example: &str| format!("\"{text}\" is no {} record; write it like \"{example}\"", kind.word());
        let words: Vec<&str> = text.split_whitespace().collect();
        match (kind, &words[..]) {
            (Type::A, _) => text.parse().map(Data::A).map_err(|_| wrong("192.0.2.1")),
            (Type::Aaaa, _) => text.parse().map(Data::Aaaa).map_err(|_| wrong("2001:db8::1")),
            (Type::Cname, _) => parse_name(text).map(Data::Cname),
            (Type::Ns, _) => parse_host(text).map(Data::Ns),
            (Type::Ptr, _) => parse_host(text).map(Data::Ptr),
            (Type::Mx, [preference, host]) => {
                let preference = preference.parse().map_err(|_| wrong("10 mx1.example.org"))?;
                Ok(Data::Mx(preference, host_or_none(host)?))
            }
            (Type::Mx, _) => Err(wrong("10 mx1.example.org")),
            (Type::Srv, [priority, weight, port, target]) => {
                let number = |word: &str| word.parse::<u16>().map_err(|_| wrong(SRV));
                let (priority, weight, port) = (number(priority)?, number(weight)?, number(port)?);
                Ok(Data::Srv(Srv { priority, weight, port, target: host_or_none(target)? }))
            }
            (Type::Srv, _) => Err(wrong(SRV)),
            (Type::Txt, _) if text.len() > TXT_MAX => {
                Err(format!("a TXT record of {} bytes is longer than {TXT_MAX}; make it shorter", text.len()))
            }
            (Type::Txt, _) => Ok(Data::Txt(text.as_bytes().into())),
            (Type::Tlsa, [usage, selector, matching, digits @ ..]) => {
                tlsa([usage, selector, matching], &digits.concat()).map_err(|why| match why {
                    "" => wrong("3 1 1 0d6fce13..."),
                    why => format!("{why}: \"{text}\""),
                })
            }
            (Type::Tlsa, _) => Err(wrong("3 1 1 0d6fce13...")),
            (Type::Caa, [flags, tag, _value, ..]) => {
                let flags = flags.parse().map_err(|_| wrong(CAA))?;
                let rest = text.trim_start().splitn(3, char::is_whitespace).nth(2).unwrap_or_default().trim();
                let value = rest.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(rest);
                let is_tag = !tag.is_empty() && tag.len() <= 15 && tag.bytes().all(|b| b.is_ascii_alphanumeric());
                match is_tag && value.is_ascii() && value.len() <= 500 {
                    true => Ok(Data::Caa(Caa { flags, tag: tag.to_ascii_lowercase().into(), value: value.into() })),
                    false => Err(wrong(CAA)),
                }
            }
            (Type::Caa, _) => Err(wrong(CAA)),
        }
    }

    /// Its type.
    pub fn kind(&self) -> Type {
        match self {
            Data::A(_) => Type::A,
            Data::Aaaa(_) => Type::Aaaa,
            Data::Cname(_) => Type::Cname,
            Data::Mx(..) => Type::Mx,
            Data::Ns(_) => Type::Ns,
            Data::Ptr(_) => Type::Ptr,
            Data::Srv(_) => Type::Srv,
            Data::Txt(_) => Type::Txt,
            Data::Tlsa(_) => Type::Tlsa,
            Data::Caa(_) => Type::Caa,
        }
    }

    /// The name that it points to; nothing where it says that there is none.
    pub fn target(&self) -> Option<&str> {
        let name = match self {
            Data::Cname(name) | Data::Mx(_, name) | Data::Ns(name) | Data::Ptr(name) => name,
            Data::Srv(srv) => &srv.target,
            _ => return None,
        };
        (!name.is_empty()).then_some(name)
    }

    /// The bytes of a TXT record, cut as DNS wants them: an empty one is one empty string.
    pub fn strings(bytes: &[u8]) -> Vec<&[u8]> {
        match bytes.is_empty() {
            true => vec![bytes],
            false => bytes.chunks(STRING_MAX).collect(),
        }
    }
}

const SRV: &str = "0 1 587 smtp.example.org";
const CAA: &str = "0 issue \\\"letsencrypt.org\\\"";

/// A host, or `.` for none.
fn host_or_none(text: &str) -> Result<Box<str>, String> {
    if text == "." { Ok("".into()) } else { parse_host(text) }
}

/// An empty error is one of form.
fn tlsa(numbers: [&str; 3], digits: &str) -> Result<Data, &'static str> {
    let [usage, selector, matching] = numbers.map(|word| word.parse::<u8>().ok());
    let (Some(usage @ 0..=3), Some(selector @ 0..=1), Some(matching @ 0..=2)) = (usage, selector, matching) else {
        return Err("TLSA has usage 0 to 3, selector 0 or 1 and matching 0 to 2");
    };
    let digit = |b: u8| char::from(b).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    let data: Box<[u8]> = digits.as_bytes().chunks(2).map(pair).collect::<Option<_>>().ok_or("")?;
    match (matching, data.len()) {
        (1, 32) | (2, 64) => {}
        (1, _) => return Err("a TLSA record with matching 1 holds 64 hexadecimal digits (SHA-256)"),
        (2, _) => return Err("a TLSA record with matching 2 holds 128 hexadecimal digits (SHA-512)"),
        (_, 0) => return Err(""),
        _ => {}
    }
    Ok(Data::Tlsa(Tlsa { usage, selector, matching, data }))
}

/// As in a zone file (RFC 1035 5.1), names with their final dot.
impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Data::A(address) => write!(f, "{address}"),
            Data::Aaaa(address) => write!(f, "{address}"),
            Data::Cname(name) | Data::Ns(name) | Data::Ptr(name) => write!(f, "{name}."),
            Data::Mx(preference, host) => write!(f, "{preference} {host}."),
            Data::Srv(Srv { priority, weight, port, target }) => write!(f, "{priority} {weight} {port} {target}."),
            Data::Txt(bytes) => {
                for (at, string) in Data::strings(bytes).into_iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { " " })?;
                    write_string(f, string)?;
                }
                Ok(())
            }
            Data::Tlsa(Tlsa { usage, selector, matching, data }) => {
                write!(f, "{usage} {selector} {matching} ")?;
                data.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            Data::Caa(Caa { flags, tag, value }) => {
                write!(f, "{flags} {tag} ")?;
                write_string(f, value.as_bytes())
            }
        }
    }
}

fn write_string(f: &mut fmt::Formatter<'_>, string: &[u8]) -> fmt::Result {
    f.write_str("\"")?;
    for byte in string {
        match byte {
            b'"' | b'\\' => write!(f, "\\{}", char::from(*byte))?,
            b' '..=b'~' => write!(f, "{}", char::from(*byte))?,
            _ => write!(f, "\\{byte:03}")?,
        }
    }
    f.write_str("\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write() {
        let digest = "0d6fce13243aa7d8e0d6fce13243aa7d8e0d6fce13243aa7d8e0d6fce1324300";
        for (kind, text, file) in [
            (Type::A, "192.0.2.1", "192.0.2.1".to_string()),
            (Type::Aaaa, "2001:DB8::1", "2001:db8::1".into()),
            (Type::Cname, "Other.Example.net.", "other.example.net.".into()),
            (Type::Mx, "10  mx1.example.org", "10 mx1.example.org.".into()),
            (Type::Mx, "0 .", "0 .".into()),
            (Type::Srv, "0 1 587 smtp.example.org.", "0 1 587 smtp.example.org.".into()),
            (Type::Txt, "v=spf1 mx -all", "\"v=spf1 mx -all\"".into()),
            (Type::Txt, "a\"b\\é", "\"a\\\"b\\\\\\195\\169\"".into()),
            (Type::Txt, &"k".repeat(300), format!("\"{}\" \"{}\"", "k".repeat(255), "k".repeat(45))),
            (Type::Tlsa, &format!("3 1 1 {}", digest.to_uppercase()), format!("3 1 1 {digest}")),
            (Type::Caa, "0 issue \"letsencrypt.org; x=1\"", "0 issue \"letsencrypt.org; x=1\"".into()),
            (Type::Caa, "128 iodef mailto:a@example.org", "128 iodef \"mailto:a@example.org\"".into()),
        ] {
            assert_eq!(Data::parse(kind, text).map(|data| (data.kind(), data.to_string())), Ok((kind, file)), "{text}");
        }
        for (kind, bad) in [
            (Type::A, "::1"),
            (Type::Aaaa, "192.0.2.1"),
            (Type::Mx, "mx1.example.org"),
            (Type::Mx, "10 192.0.2.1"),
            (Type::Mx, "70000 mx1.example.org"),
            (Type::Srv, "0 1 smtp.example.org"),
            (Type::Tlsa, "3 1 1 0d6f"),
            (Type::Tlsa, "3 1 0 zz"),
            (Type::Tlsa, "4 1 1 00"),
            (Type::Caa, "0 issue"),
            (Type::Ns, "192.0.2.1"),
            (Type::Txt, &"k".repeat(TXT_MAX + 1)),
        ] {
            assert!(Data::parse(kind, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn types_stand_in_the_order_of_their_table() {
        for (word, kind, number) in Type::ALL {
            assert_eq!((kind.word(), kind.number(), Type::of_word(word)), (*word, *number, Some(*kind)));
        }
    }
}
