//! Mailboxes and paths of RFC 5321 4.1.2, with RFC 6531 where the session allows it. Quotes in a local part are kept as they came:
//! removing them changes the address.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// `local@domain`, valid by RFC 5321 (RFC 6531 when it holds bytes above ASCII). The text is kept exactly as it came.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Mailbox {
    text: Box<str>,
    at: u16,
}

/// The sender of an envelope: a mailbox, or nobody (`<>`), which is never bounced to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ReversePath {
    /// `<>`
    Null,
    /// `<mailbox>`
    Mailbox(Mailbox),
}

/// Why a text is not a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressError {
    /// Nothing between the brackets.
    Empty,
    /// No `@`, or nothing on one side of it.
    NoDomain,
    /// The local part breaks RFC 5321 4.1.2.
    Local,
    /// The domain or address literal breaks RFC 5321 4.1.2.
    Domain,
    /// Longer than RFC 5321 4.5.3.1 allows (64 before the `@`, 255 behind it, 254 together).
    TooLong,
    /// Bytes above ASCII where SMTPUTF8 was not asked for, or not UTF-8.
    NotAscii,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::Empty => "address is empty",
            AddressError::NoDomain => "address has no domain",
            AddressError::Local => "local part is not valid",
            AddressError::Domain => "domain is not valid",
            AddressError::TooLong => "address is too long",
            AddressError::NotAscii => "address needs SMTPUTF8",
        })
    }
}

impl core::error::Error for AddressError {}

impl Mailbox {
    /// Parses `local@domain` without brackets. `utf8` allows RFC 6531 characters.
    pub fn parse(text: &str, utf8: bool) -> Result<Mailbox, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        if !utf8 && !text.is_ascii() {
            return Err(AddressError::NotAscii);
        }
        let at = local_end(text).ok_or(AddressError::Local)?;
        if at == 0 || text.as_bytes().get(at) != Some(&b'@') || at + 1 == text.len() {
            return Err(if text.contains('@') && at == 0 { AddressError::Local } else { AddressError::NoDomain });
        }
        let domain = &text[at + 1..];
        if at > LOCAL_MAX || domain.len() > DOMAIN_MAX || text.len() > MAILBOX_MAX {
            return Err(AddressError::TooLong);
        }
        if !is_domain(domain) && !is_literal(domain) {
            return Err(AddressError::Domain);
        }
        Ok(Mailbox { text: text.into(), at: at as u16 })
    }

    /// The mailbox of two parts that a mailbox was taken apart into before: nothing is checked again.
    pub fn of_parts(local: &str, domain: &str) -> Mailbox {
        let mut text = String::with_capacity(local.len() + 1 + domain.len());
        text.extend([local, "@", domain]);
        Mailbox { text: text.into(), at: local.len() as u16 }
    }

    /// The whole text, `local@domain`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, quotes included.
    pub fn local(&self) -> &str {
        &self.text[..self.at as usize]
    }

    /// What stands behind the `@`, as it was written (use [`domain_lower`](Self::domain_lower) to compare).
    pub fn domain(&self) -> &str {
        &self.text[self.at as usize + 1..]
    }

    /// The domain in lower case: the form under which domains are compared and queued.
    pub fn domain_lower(&self) -> String {
        self.domain().to_lowercase()
    }

    /// The domain is an address literal such as `[192.0.2.1]`.
    pub fn is_literal(&self) -> bool {
        self.domain().starts_with('[')
    }

    /// Holds characters that only an SMTPUTF8 next hop can take (RFC 6531).
    pub fn needs_utf8(&self) -> bool {
        !self.text.is_ascii()
    }

    /// Same mailbox: local parts equal to the byte, domains without regard to case.
    pub fn same(&self, other: &Mailbox) -> bool {
        self.local() == other.local()
            && (self.domain().eq_ignore_ascii_case(other.domain()) || self.domain_lower() == other.domain_lower())
    }
}

impl fmt::Display for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.text)
    }
}

impl ReversePath {
    /// The text between the brackets, empty for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            ReversePath::Null => "",
            ReversePath::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// `<>`: a notification, never answered with another one (RFC 5321 4.5.5).
    pub fn is_null(&self) -> bool {
        matches!(self, ReversePath::Null)
    }

    /// The mailbox, if there is one.
    pub fn mailbox(&self) -> Option<&Mailbox> {
        match self {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => Some(mailbox),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

/// A host name as it may stand in EHLO, MX or a domain part: labels of letters, digits, hyphens (and UTF-8, RFC 6531), no trailing dot.
pub fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= DOMAIN_MAX
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control()))
        })
}

/// An address literal with its brackets: `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 4.1.3; general literals are refused).
pub fn is_literal(text: &str) -> bool {
    literal_address(text).is_some()
}

/// The address in an address literal.
pub fn literal_address(text: &str) -> Option<core::net::IpAddr> {
    let inner = text.strip_prefix('[')?.strip_suffix(']')?;
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse().ok().map(core::net::IpAddr::V6),
        _ => inner.parse().ok().map(core::net::IpAddr::V4),
    }
}

/// Where the local part ends (the index of `@`, or the text's end), `None` if its syntax is broken.
fn local_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if bytes[0] != b'"' {
        let end = bytes.iter().position(|b| *b == b'@').unwrap_or(bytes.len());
        let atoms_ok = text[..end].split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext));
        return (end == 0 || atoms_ok).then_some(end);
    }
    let mut i = 1;
    while i < bytes.len() {
        match bytes[i] {
            b'"' => return (!text[..i].chars().any(char::is_control)).then_some(i + 1),
            b'\\' => match bytes.get(i + 1) {
                Some(32..=126) => i += 2,
                _ => return None,
            },
            32..=126 | 128.. => i += 1,
            _ => return None,
        }
    }
    None
}

fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;
const MAILBOX_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<(String, String), AddressError> {
        Mailbox::parse(text, false).map(|m| (m.local().into(), m.domain().into()))
    }

    #[test]
    fn quotes_are_part_of_the_address() {
        assert_eq!(parse(r#""@a,@b:<user>"@d.example"#), Ok((r#""@a,@b:<user>""#.into(), "d.example".into())));
        assert_eq!(parse(r#""a\"b"@d.example"#), Ok((r#""a\"b""#.into(), "d.example".into())));
        assert_eq!(parse("\"a\r\n\"@d.example"), Err(AddressError::Local));
        assert_eq!(parse(r#""a@d.example"#), Err(AddressError::Local));
        assert_eq!(parse(r#""a"b@d.example"#), Err(AddressError::NoDomain));
    }

    #[test]
    fn what_is_not_an_address() {
        assert_eq!(parse(""), Err(AddressError::Empty));
        assert_eq!(parse("postmaster"), Err(AddressError::NoDomain));
        assert_eq!(parse("@example.org"), Err(AddressError::Local));
        assert_eq!(parse("a..b@example.org"), Err(AddressError::Local));
        assert_eq!(parse("a b@example.org"), Err(AddressError::Local));
        assert_eq!(parse("a@b@example.org"), Err(AddressError::Domain));
        assert_eq!(parse("a@-x.org"), Err(AddressError::Domain));
        assert_eq!(parse("a@x..org"), Err(AddressError::Domain));
        assert_eq!(parse("a@example.org."), Err(AddressError::Domain));
        assert_eq!(parse("a@[1.2.3]"), Err(AddressError::Domain));
        assert_eq!(parse("grün@example.org"), Err(AddressError::NotAscii));
    }

    #[test]
    fn literals_utf8_and_lengths() {
        assert!(parse("a@[192.0.2.1]").is_ok());
        assert!(parse("a@[IPv6:2001:db8::1]").is_ok());
        assert!(Mailbox::parse("grün@bücher.example", true).is_ok_and(|m| m.needs_utf8()));
        assert_eq!(Mailbox::parse("\"a\u{9c}\"@d.example", true), Err(AddressError::Local));
        let long = alloc::format!("{}@example.org", "x".repeat(65));
        assert_eq!(parse(&long), Err(AddressError::TooLong));
    }
}
