//! Names in DNS as an operator writes them: lower case, without the final dot.

use std::net::IpAddr;

/// Bytes of a name with its dots (RFC 1035 2.3.4: 255 on the wire, with a length byte before each label and the root).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

/// Reads a name: letters, digits, `-`, `_` and `/` (RFC 2317), a `*` as the whole first label. The error says what is wrong.
pub fn parse_name(text: &str) -> Result<Box<str>, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if !name.is_ascii() {
        return Err(format!("\"{text}\" is no name in DNS; write its labels in their xn-- form"));
    }
    if name.len() > NAME_MAX {
        return Err(format!("\"{}...\" is longer than {NAME_MAX} characters", &name[..40]));
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/');
    for (at, label) in name.split('.').enumerate() {
        match label {
            "" => {
                return Err(format!("\"{text}\" is no name in DNS: a label is empty; write it like smtp.example.org"));
            }
            "*" if at == 0 => {}
            long if long.len() > LABEL_MAX => {
                return Err(format!("a label of \"{text}\" is longer than {LABEL_MAX} characters"));
            }
            odd if !odd.bytes().all(plain) => {
                return Err(format!("\"{text}\" is no name in DNS; use letters, digits, - and _"));
            }
            _ => {}
        }
    }
    Ok(name.into())
}

/// Reads the name of a host that others connect to: [`parse_name`] without `_`, `/` and `*`, and no address.
pub fn parse_host(text: &str) -> Result<Box<str>, String> {
    if text.parse::<IpAddr>().is_ok() {
        return Err(format!(
            "\"{text}\" is an address; a name must stand here, which has that address in its own record"
        ));
    }
    let name = parse_name(text)?;
    let label = |label: &str| !label.starts_with('-') && !label.ends_with('-') && !label.contains(['_', '/', '*']);
    match name.split('.').all(label)
        && !name.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()))
    {
        true => Ok(name),
        false => Err(format!("\"{text}\" is no host name; write it like mx1.example.org")),
    }
}

/// `name` is `zone` or below it.
pub fn is_within(name: &str, zone: &str) -> bool {
    name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The name that holds the PTR record of an address (RFC 1035 3.5, RFC 3596 2.5).
pub fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().map(|byte| format!("{:x}.{:x}.", byte & 15, byte >> 4));
            nibbles.collect::<String>() + "ip6.arpa"
        }
    }
}

/// The zone is one of PTR records.
pub fn is_reverse(zone: &str) -> bool {
    is_within(zone, "in-addr.arpa") || is_within(zone, "ip6.arpa")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_hosts() {
        for (text, read) in [
            ("SMTP.Example.org.", "smtp.example.org"),
            ("_25._tcp.mx1.example.org", "_25._tcp.mx1.example.org"),
            ("*.example.org", "*.example.org"),
            ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa"),
        ] {
            assert_eq!(parse_name(text).as_deref(), Ok(read));
        }
        let long_label = format!("{}.example.org", "a".repeat(64));
        let long_name = vec!["a".repeat(60); 5].join(".");
        for bad in ["", ".", "a..b", "a b.org", "a.*.org", "x*.org", "bücher.example", &long_label, &long_name, "a\\.b"]
        {
            assert!(parse_name(bad).is_err(), "{bad}");
        }
        assert!(parse_host("mx1.example.org").is_ok());
        for bad in ["192.0.2.1", "::1", "_a.example.org", "-a.example.org", "*.example.org", "10.0.0.300"] {
            assert!(parse_host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn within_and_reverse() {
        assert!(is_within("a.example.org", "example.org") && is_within("example.org", "example.org"));
        assert!(!is_within("badexample.org", "example.org") && !is_within("org", "example.org"));
        assert_eq!(reverse([192, 0, 2, 17].into()), "17.2.0.192.in-addr.arpa");
        let v6 = "2001:db8::567:89ab".parse().unwrap();
        assert_eq!(reverse(v6), "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
    }
}
