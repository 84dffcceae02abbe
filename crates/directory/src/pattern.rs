//! Patterns for addresses, and for texts.

use mail::{Mailbox, ReversePath};
use std::fmt;

/// What a rule takes for a sender or a recipient. Case does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPattern {
    /// `<>`: the null sender.
    Null,
    /// One address, lower case.
    Mailbox(Box<str>),
    /// `*@example.org`: every address of the domain, lower case.
    Domain(Box<str>),
    /// `*@*.example.org`: every address of the domain and of all below it, lower case.
    Below(Box<str>),
    /// `*`: every address, the null sender too.
    Any,
}

impl AddressPattern {
    /// It is about this address.
    pub fn covers(&self, address: &Mailbox) -> bool {
        match self {
            AddressPattern::Null => false,
            AddressPattern::Mailbox(own) => same(address.as_str(), own),
            AddressPattern::Domain(domain) => same(address.domain(), domain),
            AddressPattern::Below(parent) => {
                let domain = address.domain_lower();
                domain.strip_suffix(&**parent).is_some_and(|front| front.is_empty() || front.ends_with('.'))
            }
            AddressPattern::Any => true,
        }
    }

    /// It is about this sender.
    pub fn covers_sender(&self, from: &ReversePath) -> bool {
        match from.mailbox() {
            Some(from) => self.covers(from),
            None => matches!(self, AddressPattern::Null | AddressPattern::Any),
        }
    }
}

/// `lower` is in lower case.
fn same(text: &str, lower: &str) -> bool {
    text.eq_ignore_ascii_case(lower) || text.to_lowercase() == lower
}

/// As the document writes it.
impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressPattern::Null => f.write_str("<>"),
            AddressPattern::Mailbox(own) => f.write_str(own),
            AddressPattern::Domain(domain) => write!(f, "*@{domain}"),
            AddressPattern::Below(parent) => write!(f, "*@*.{parent}"),
            AddressPattern::Any => f.write_str("*"),
        }
    }
}

/// The pattern fits all of the text; `*` stands for any text. Both in the same case. Takes time by the product of both lengths at most.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Mailbox {
        Mailbox::parse(text, true).unwrap()
    }

    #[test]
    #[allow(clippy::unwrap_used)]
    fn addresses() {
        let below = AddressPattern::Below("example.org".into());
        assert!(below.covers(&at("a@Example.ORG")) && below.covers(&at("a@b.c.example.org")));
        assert!(!below.covers(&at("a@badexample.org")) && !below.covers(&at("a@org")));
        assert!(AddressPattern::Domain("example.org".into()).covers(&at("x@EXAMPLE.org")));
        assert!(!AddressPattern::Domain("example.org".into()).covers(&at("x@sub.example.org")));
        assert!(AddressPattern::Mailbox("bob@example.org".into()).covers(&at("BOB@example.org")));
        assert!(
            AddressPattern::Null.covers_sender(&ReversePath::Null)
                && AddressPattern::Any.covers_sender(&ReversePath::Null)
        );
        assert!(!AddressPattern::Mailbox("a@b".into()).covers_sender(&ReversePath::Null));
    }

    #[test]
    fn texts() {
        for (pattern, text, expected) in [
            ("*invoice*", "your invoice 12", true),
            ("invoice*", "your invoice", false),
            ("*a*b*a", "xaybza", true),
            ("*a*b*a", "xaybz", false),
            ("aa*aa", "aaa", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
