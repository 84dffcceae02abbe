//! Domain names in the form that goes over the wire (RFC 1035, 3.1).
//!
//! Owns their bounds and their text form. Knows no records. Always holds: a [`Name`] is at most 255 octets long and ends with the
//! root; it keeps the case that it was written with, and is compared without looking at it (RFC 4343).

use std::fmt;
use std::hash::{Hash, Hasher};

/// A domain name. Absolute: there is no other kind here.
#[derive(Clone)]
pub struct Name(Box<[u8]>);

/// Why a text is no domain name; for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Two dots in a row, or none but one.
    EmptyLabel,
    /// A label of more than 63 octets.
    LongLabel,
    /// More than 255 octets.
    TooLong,
    /// A character that must be written as `\DDD`, or a `\` with nothing good behind it.
    Character,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadName::EmptyLabel => "a label between two dots is empty",
            BadName::LongLabel => "a label is longer than 63 characters",
            BadName::TooLong => "it is longer than 255 characters",
            BadName::Character => "only printable ASCII stands in a domain name (IDNA: the xn-- form)",
        })
    }
}

impl std::error::Error for BadName {}

impl Name {
    /// The root.
    pub fn root() -> Name {
        Name(Box::new([0]))
    }

    /// Reads `mail.example.com` or `mail.example.com.`: both mean the same. `\.` and `\DDD` as in zone files.
    pub fn parse(text: &str) -> Result<Name, BadName> {
        // A dot behind an escape belongs to the label; a backslash that is escaped itself is none.
        let escapes = |rest: &str| rest.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let text = text.strip_suffix('.').filter(|rest| escapes(rest).is_multiple_of(2)).unwrap_or(text);
        if text.is_empty() {
            return Ok(Name::root());
        }
        let (mut wire, mut start) = (vec![0u8], 0);
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'.' => {
                    close_label(&mut wire, start)?;
                    start = wire.len();
                    wire.push(0);
                }
                b'\\' => wire.push(escaped(&mut bytes).ok_or(BadName::Character)?),
                0x21..=0x7e => wire.push(byte),
                _ => return Err(BadName::Character),
            }
        }
        close_label(&mut wire, start)?;
        wire.push(0);
        if wire.len() > NAME_MAX { Err(BadName::TooLong) } else { Ok(Name(wire.into())) }
    }

    /// A name from uncompressed octets, which must be a whole name and nothing else.
    pub fn from_wire(wire: &[u8]) -> Option<Name> {
        (wire_len(wire)? == wire.len()).then(|| Name(wire.into()))
    }

    /// The octets, the root at the end.
    pub fn wire(&self) -> &[u8] {
        &self.0
    }

    /// The octets in lower case: what maps are keyed with.
    pub fn key(&self) -> Box<[u8]> {
        // Lengths are below 64 and `A` is 65: lengths stay what they are.
        self.0.to_ascii_lowercase().into()
    }

    /// Whether this is `zone` or below it.
    pub fn is_within(&self, zone: &Name) -> bool {
        suffixes(&self.0).any(|rest| rest.eq_ignore_ascii_case(&zone.0))
    }

    /// The name without its first label; of the root, none.
    pub fn parent(&self) -> Option<Name> {
        suffixes(&self.0).nth(1).map(|rest| Name(rest.into()))
    }

    /// This name with `*` before it; none if that is too long.
    pub fn wildcard(&self) -> Option<Name> {
        let wire: Box<[u8]> = [b"\x01*", &*self.0].concat().into();
        (wire.len() <= NAME_MAX).then_some(Name(wire))
    }

    /// Labels, the root not counted.
    pub fn label_count(&self) -> usize {
        suffixes(&self.0).count() - 1
    }

    /// Its first label is `*` (RFC 4592).
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

/// The name and all that it is below, itself first, the root last. For whole names only.
pub(crate) fn suffixes(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(wire), |rest| above(rest))
}

fn above(wire: &[u8]) -> Option<&[u8]> {
    let length = usize::from(*wire.first()?);
    wire.get(1 + length..).filter(|rest| length > 0 && !rest.is_empty())
}

/// How long the uncompressed name at the start of these octets is.
pub(crate) fn wire_len(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *wire.get(at)? {
            0 => return Some(at + 1).filter(|len| *len <= NAME_MAX),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return None,
        }
        if at >= NAME_MAX {
            return None;
        }
    }
}

fn close_label(wire: &mut [u8], start: usize) -> Result<(), BadName> {
    match wire.len() - start - 1 {
        0 => Err(BadName::EmptyLabel),
        length @ 1..=63 => {
            wire[start] = length as u8;
            Ok(())
        }
        _ => Err(BadName::LongLabel),
    }
}

/// What stands behind a `\`.
fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return (0x21..=0x7e).contains(&first).then_some(first);
    }
    let digit = |byte: Option<u8>| byte.filter(u8::is_ascii_digit).map(|byte| u32::from(byte - b'0'));
    let number = u32::from(first - b'0') * 100 + digit(bytes.next())? * 10 + digit(bytes.next())?;
    u8::try_from(number).ok()
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.iter().for_each(|byte| state.write_u8(byte.to_ascii_lowercase()));
    }
}

/// The order of RFC 4034, 6.1: by labels, the last one first.
impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        let labels = |name: &Name| -> Vec<Vec<u8>> {
            let label = |rest: &[u8]| rest[1..1 + usize::from(rest[0])].to_ascii_lowercase();
            let mut labels: Vec<Vec<u8>> = suffixes(&name.0).filter(|rest| rest[0] > 0).map(label).collect();
            labels.reverse();
            labels
        };
        labels(self).cmp(&labels(other))
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// As zone files have it, the dot at the end included.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return f.write_str(".");
        }
        for rest in suffixes(&self.0).filter(|rest| rest[0] > 0) {
            for &byte in &rest[1..1 + usize::from(rest[0])] {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => write!(f, "\\{}", byte as char)?,
                    0x21..=0x7e => write!(f, "{}", byte as char)?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Octets of a name at most (RFC 1035, 2.3.4).
pub const NAME_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_octets_are_the_same_names() {
        let cases: [(&str, &[u8], &str); 7] = [
            ("Mail.example", b"\x04Mail\x07example\0", "Mail.example."),
            ("example.", b"\x07example\0", "example."),
            (".", b"\0", "."),
            ("a\\.b.c", b"\x03a.b\x01c\0", "a\\.b.c."),
            ("\\000\\255x", b"\x03\0\xffx\0", "\\000\\255x."),
            ("a\\\\.", b"\x02a\\\0", "a\\\\."),
            ("a\\.", b"\x02a.\0", "a\\.."),
        ];
        for (text, wire, shown) in cases {
            let name = Name::parse(text).unwrap();
            assert_eq!((name.wire(), name.to_string().as_str()), (wire, shown));
            assert_eq!(Name::parse(shown), Ok(name));
        }
        let long = "a".repeat(64);
        let whole = vec!["abcdefg"; 32].join(".");
        let bad = [
            ("a..b", BadName::EmptyLabel),
            (".a", BadName::EmptyLabel),
            (&*long, BadName::LongLabel),
            (&*whole, BadName::TooLong),
            ("bücher.example", BadName::Character),
            ("a b", BadName::Character),
            ("a\\25", BadName::Character),
        ];
        for (text, why) in bad {
            assert_eq!(Name::parse(text), Err(why), "{text}");
        }
        assert!(Name::from_wire(b"\x01a\0\0").is_none() && Name::from_wire(b"\xc0\x0c").is_none());
    }

    #[test]
    fn case_is_kept_and_not_compared() {
        let (a, b) = (Name::parse("MAIL.Example").unwrap(), Name::parse("mail.eXample").unwrap());
        assert_eq!((&a, a.key()), (&b, b.key()));
        assert_ne!(a.to_string(), b.to_string());
        let zone = Name::parse("EXAMPLE").unwrap();
        assert!(a.is_within(&zone) && zone.is_within(&zone) && !zone.is_within(&a));
        assert!(!Name::parse("notexample").unwrap().is_within(&zone));
        assert_eq!(a.parent(), Some(zone.clone()));
        assert_eq!((Name::root().parent(), a.label_count()), (None, 2));
        assert_eq!(zone.wildcard(), Name::parse("*.example").ok());
        let order = ["example", "a.example", "yljkjljk.a.example", "Z.a.example", "zABC.a.EXAMPLE", "z.example"];
        let names: Vec<Name> = order.iter().map(|text| Name::parse(text).unwrap()).collect();
        assert!(names.is_sorted(), "RFC 4034, 6.1");
    }
}
