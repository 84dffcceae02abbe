//! XCLIENT attributes, as Postfix describes them in its XCLIENT_README: `NAME=value`, values in xtext.

use super::{Told, XclientCommand, XclientProtocol};
use crate::grammar::xtext;
use alloc::boxed::Box;
use alloc::string::String;
use core::net::IpAddr;

/// Reads what follows `XCLIENT `; `None` if an attribute is unknown, given twice or broken.
pub(super) fn parse(argument: &str) -> Option<XclientCommand> {
    let mut command = XclientCommand::default();
    let mut attributes = argument.split(' ').filter(|word| !word.is_empty()).peekable();
    attributes.peek()?;
    for attribute in attributes {
        let (name, value) = attribute.split_once('=')?;
        let c = &mut command;
        match name.to_ascii_uppercase().as_str() {
            "NAME" => set(&mut c.name, value, text)?,
            "ADDR" => set(&mut c.address, value, address)?,
            "PORT" => set(&mut c.port, value, port)?,
            "PROTO" => set(&mut c.protocol, value, protocol)?,
            "HELO" => set(&mut c.helo, value, text)?,
            "LOGIN" => set(&mut c.login, value, text)?,
            "DESTADDR" => set(&mut c.destination_address, value, address)?,
            "DESTPORT" => set(&mut c.destination_port, value, port)?,
            _ => return None,
        }
    }
    Some(command)
}

fn set<T>(place: &mut Option<Told<T>>, value: &str, read: fn(&str) -> Option<T>) -> Option<()> {
    let told = if value.eq_ignore_ascii_case("[UNAVAILABLE]") {
        Told::Unavailable
    } else if value.eq_ignore_ascii_case("[TEMPUNAVAIL]") {
        Told::TemporarilyUnavailable
    } else {
        let decoded = String::from_utf8(xtext::decode(value.as_bytes())?).ok()?;
        Told::Value(read(&decoded)?)
    };
    place.replace(told).is_none().then_some(())
}

fn text(value: &str) -> Option<Box<str>> {
    let sound = !value.is_empty() && value.len() <= TEXT_BYTES_MAX && !value.chars().any(char::is_control);
    sound.then(|| value.into())
}

fn address(value: &str) -> Option<IpAddr> {
    match value.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPV6:") => value[5..].parse().ok().map(IpAddr::V6),
        _ => value.parse().ok(),
    }
}

fn port(value: &str) -> Option<u16> {
    value.bytes().all(|b| b.is_ascii_digit()).then(|| value.parse().ok())?
}

fn protocol(value: &str) -> Option<XclientProtocol> {
    match value {
        _ if value.eq_ignore_ascii_case("SMTP") => Some(XclientProtocol::Smtp),
        _ if value.eq_ignore_ascii_case("ESMTP") => Some(XclientProtocol::Esmtp),
        _ => None,
    }
}

/// The README's bound on a value.
const TEXT_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_decoded() {
        let read = parse(
            "name=[unavailable] ADDR=IPV6:2001:db8::1 PORT=[TEMPUNAVAIL] PROTO=ESMTP HELO=a+20b LOGIN=e+3Dmc2 DESTADDR=192.0.2.1 DESTPORT=25",
        );
        let read = read.unwrap();
        assert_eq!((read.name, read.port), (Some(Told::Unavailable), Some(Told::TemporarilyUnavailable)));
        assert_eq!(read.address, Some(Told::Value("2001:db8::1".parse().unwrap())));
        assert_eq!(read.helo, Some(Told::Value("a b".into())));
        assert_eq!(read.login, Some(Told::Value("e=mc2".into())));
        assert_eq!(read.protocol, Some(Told::Value(XclientProtocol::Esmtp)));
        assert_eq!(read.destination_address, Some(Told::Value("192.0.2.1".parse().unwrap())));
        assert_eq!(read.destination_port, Some(Told::Value(25)));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "NAME",
            "NAME=",
            "FOO=1",
            "ADDR=x",
            "ADDR=1.2.3",
            "PORT=65536",
            "PORT=+1",
            "PROTO=LMTP",
            "HELO=+0D",
            "NAME=a NAME=b",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
