//! Addresses: SIP URIs, and the `"name" <uri>;parameters` around them. Knows no other schemes and resolves no names.

use std::net::IpAddr;

use super::message::number;

/// A `sip:` or `sips:` URI in parts (RFC 3261 19.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// `sips:`, which asks for TLS on each hop.
    pub secure: bool,
    /// Before the `@`, with a password if there is one.
    pub user: Option<&'a [u8]>,
    /// Name or address; IPv6 in brackets.
    pub host: &'a [u8],
    /// If written.
    pub port: Option<u16>,
    /// With the leading `;`, up to the `?`.
    pub parameters: &'a [u8],
}

/// A value of From, To, Contact, Route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The URI as written.
    pub uri: &'a [u8],
    /// Those of the header, with the leading `;`.
    pub parameters: &'a [u8],
}

/// Reads a SIP URI; `None` if it is none, or not one of SIP.
pub fn uri(text: &[u8]) -> Option<Uri<'_>> {
    let colon = text.iter().position(|&b| b == b':')?;
    let secure = match &text[..colon] {
        scheme if scheme.eq_ignore_ascii_case(b"sip") => false,
        scheme if scheme.eq_ignore_ascii_case(b"sips") => true,
        _ => return None,
    };
    let rest = &text[colon + 1..];
    // The user part may hold `;` and `?`; what comes behind it may hold `@` in the headers only.
    let (user, rest) = match rest.iter().position(|&b| b == b'@') {
        Some(at) => (Some(&rest[..at]), &rest[at + 1..]),
        None => (None, rest),
    };
    let host_end = rest.iter().position(|&b| b == b';' || b == b'?').unwrap_or(rest.len());
    let (host, port) = host_port(&rest[..host_end])?;
    let parameters = &rest[host_end..];
    let end = parameters.iter().position(|&b| b == b'?').unwrap_or(parameters.len());
    let spaced = text.iter().any(|b| b.is_ascii_whitespace() || *b == b'<' || *b == b'>' || *b == b'"');
    (!spaced && user != Some(b"")).then_some(Uri { secure, user, host, port, parameters: &parameters[..end] })
}

/// Parts of `host`, `host:port`, `[v6]:port`.
pub(super) fn host_port(text: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let host_end = match text.first()? {
        b'[' => text.iter().position(|&b| b == b']')? + 1,
        _ => text.iter().position(|&b| b == b':').unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(host_end);
    let (host, rest) = (host.trim_ascii(), rest.trim_ascii());
    let port = match rest.split_first() {
        None => None,
        Some((b':', digits)) => {
            Some(number(digits.trim_ascii()).and_then(|port| u16::try_from(port).ok()).filter(|p| *p > 0)?)
        }
        Some(_) => return None,
    };
    let named = host.iter().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(b));
    (!host.is_empty() && host.len() <= 255 && (named || host_ip(host).is_some())).then_some((host, port))
}

/// The address that a host is, if it is no name.
pub fn host_ip(host: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(host).ok()?;
    match text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(six) => six.parse().ok().map(IpAddr::V6),
        None => text.parse().ok().map(IpAddr::V4),
    }
}

/// Reads `"name" <uri>;parameters` or `uri;parameters` (whose parameters are the header's).
pub fn named(value: &[u8]) -> Option<Named<'_>> {
    let value = value.trim_ascii();
    if let Some(open) = opening(value) {
        let close = open + value[open..].iter().position(|&b| b == b'>')?;
        let parameters = value[close + 1..].trim_ascii();
        let fits = parameters.is_empty() || parameters[0] == b';';
        return (fits && close > open + 1).then(|| Named { uri: value[open + 1..close].trim_ascii(), parameters });
    }
    let end = value.iter().position(|&b| b == b';').unwrap_or(value.len());
    let bare = value[..end].trim_ascii();
    let fits = bare.contains(&b':') && !bare.iter().any(|b| b.is_ascii_whitespace() || *b == b'"');
    fits.then(|| Named { uri: bare, parameters: &value[end..] })
}

/// The `<` that stands in no quotes.
fn opening(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    value.iter().position(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        byte == b'<' && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_in_parts() {
        let one = uri(b"sip:+1555;x=y@192.0.2.1:5070;transport=tcp;lr?subject=a@b").unwrap();
        assert_eq!(
            (one.user, one.host, one.port),
            (Some(b"+1555;x=y".as_slice()), b"192.0.2.1".as_slice(), Some(5070))
        );
        assert_eq!((one.secure, one.parameters), (false, b";transport=tcp;lr".as_slice()));
        assert_eq!(uri(b"SIPS:[2001:db8::1]").unwrap().host, b"[2001:db8::1]");
        for bad in [
            "tel:+1",
            "sip:",
            "sip:@h",
            "sip:a@",
            "sip:a@h:",
            "sip:a@h:0",
            "sip:a@h:99999",
            "sip:[::1",
            "sip:a b@h",
            "sip:h>",
        ] {
            assert_eq!(uri(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn names_around_uris() {
        let of = |text: &'static str| named(text.as_bytes()).map(|n| (n.uri, n.parameters));
        assert_eq!(of("\"A <b> \\\"\" <sip:a@h;lr> ;tag=1"), Some((b"sip:a@h;lr".as_slice(), b";tag=1".as_slice())));
        assert_eq!(of("sip:a@h;tag=1"), Some((b"sip:a@h".as_slice(), b";tag=1".as_slice())));
        for bad in ["", "<", "<>", "<sip:a", "\"a", "nothing", "<sip:a@h> x"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
