//! What the balancer says to a client in its own voice: why it is not served, in the words of the protocol.
//!
//! Owns the texts. Knows no connection. Always holds: a text is one line, and fits in [`LINE_BYTES_MAX`].

use std::fmt::Write;

use directory::ServiceProtocol;

/// Why a client is not served, or not any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Every member that could be asked refused or was silent.
    AllTried,
    /// No member is up.
    AllDown,
    /// Every member that is up has as many connections as it may have.
    AllFull,
    /// So many connections fail that no further member is tried.
    Budget,
    /// The service has as many connections as it may have.
    Connections,
    /// The client's address has as many connections as it may have.
    Source,
    /// The balancer is out of descriptors.
    Descriptors,
    /// The member, or the balancer, is being taken out of service.
    Draining,
    /// Silence for longer than the service allows.
    Idle,
    /// The client is one of our own servers.
    OwnServer,
    /// The service does not take this address.
    NotAllowed,
}

/// How many there are; counters are kept by [`Reason::index`].
pub const REASONS: [Reason; 11] = [
    Reason::AllTried,
    Reason::AllDown,
    Reason::AllFull,
    Reason::Budget,
    Reason::Connections,
    Reason::Source,
    Reason::Descriptors,
    Reason::Draining,
    Reason::Idle,
    Reason::OwnServer,
    Reason::NotAllowed,
];

impl Reason {
    /// Its place in [`REASONS`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// A word for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Reason::AllTried => "all_tried",
            Reason::AllDown => "all_down",
            Reason::AllFull => "all_full",
            Reason::Budget => "budget",
            Reason::Connections => "connections_max",
            Reason::Source => "connections_per_source_max",
            Reason::Descriptors => "descriptors",
            Reason::Draining => "draining",
            Reason::Idle => "idle",
            Reason::OwnServer => "own_server",
            Reason::NotAllowed => "not_allowed",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Reason::AllTried => "no server can take mail now: each one that was asked refused or did not answer",
            Reason::AllDown => "no server can take mail now: none is up",
            Reason::AllFull => "no server can take mail now: all of them are full",
            Reason::Budget => "no server can take mail now: too many connections to them fail",
            Reason::Connections => "no server can take mail now: too many connections",
            Reason::Source => "too many connections from your address",
            Reason::Descriptors => "no server can take mail now: the balancer is out of descriptors",
            Reason::Draining => "the server goes out of service, connect again",
            Reason::Idle => "idle for too long",
            Reason::OwnServer => "servers do not pass the balancer",
            Reason::NotAllowed => "your address may not connect",
        }
    }
}

/// How the protocol of a service says things. Protocols without words, and connections that are encrypted, are closed without any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Smtp,
    Imap,
    Pop,
    None,
}

impl Speech {
    /// What is spoken inside `protocol`. `ends_tls`: encryption ends at the balancer, so that it can be heard.
    pub(super) fn of(protocol: ServiceProtocol, ends_tls: bool) -> Speech {
        match protocol {
            ServiceProtocol::Smtp | ServiceProtocol::Submission => Speech::Smtp,
            ServiceProtocol::Imap => Speech::Imap,
            ServiceProtocol::Pop3 => Speech::Pop,
            ServiceProtocol::Submissions if ends_tls => Speech::Smtp,
            ServiceProtocol::Imaps if ends_tls => Speech::Imap,
            ServiceProtocol::Pop3s if ends_tls => Speech::Pop,
            _ => Speech::None,
        }
    }

    /// The server speaks first.
    pub(super) fn greets(self) -> bool {
        self != Speech::None
    }

    /// Appends the line for `reason`; nothing where the protocol has no words.
    pub(super) fn say(self, out: &mut Vec<u8>, name: &str, reason: Reason) {
        let mut line = String::new();
        let text = reason.text();
        // Writing to a String cannot fail.
        let _ = match (self, reason) {
            (Speech::None, _) => return,
            (Speech::Smtp, Reason::OwnServer) => write!(line, "550 5.7.1 {name} {text}"),
            (Speech::Smtp, Reason::NotAllowed) => write!(line, "554 5.7.1 {name} {text}"),
            // As a receive connector says it.
            (Speech::Smtp, Reason::Source) => write!(line, "421 4.7.0 {name} {text}"),
            (Speech::Smtp, Reason::Idle) => write!(line, "421 4.4.2 {name} {text}"),
            (Speech::Smtp, _) => write!(line, "421 4.3.2 {name} {text}"),
            (Speech::Imap, _) => write!(line, "* BYE {name} {text}"),
            (Speech::Pop, _) => write!(line, "-ERR {name} {text}"),
        };
        // Names in documents are shorter; the texts above are ASCII.
        line.truncate(line.floor_char_boundary(LINE_BYTES_MAX - 2));
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
}

/// RFC 5321 4.5.3.1.5: a reply line with its CRLF.
const LINE_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_protocol_has_its_words() {
        let said = |protocol, ends_tls, reason| {
            let mut out = Vec::new();
            Speech::of(protocol, ends_tls).say(&mut out, "mail.example", reason);
            String::from_utf8(out).unwrap()
        };
        use ServiceProtocol::{Https, Imap, Imaps, Pop3, Smtp, Submissions};
        for (protocol, ends_tls, reason, is) in [
            (Smtp, false, Reason::AllDown, "421 4.3.2 mail.example no server can take mail now: none is up\r\n"),
            (Smtp, false, Reason::OwnServer, "550 5.7.1 mail.example servers do not pass the balancer\r\n"),
            (Smtp, false, Reason::Idle, "421 4.4.2 mail.example idle for too long\r\n"),
            (Imap, false, Reason::Draining, "* BYE mail.example the server goes out of service, connect again\r\n"),
            (Pop3, false, Reason::Source, "-ERR mail.example too many connections from your address\r\n"),
            (Imaps, true, Reason::Idle, "* BYE mail.example idle for too long\r\n"),
            (Imaps, false, Reason::Idle, ""),
            (Submissions, false, Reason::AllDown, ""),
            (Https, true, Reason::AllDown, ""),
        ] {
            assert_eq!(said(protocol, ends_tls, reason), is);
        }
        let mut out = Vec::new();
        Speech::Smtp.say(&mut out, &"x".repeat(900), Reason::AllDown);
        assert!(out.len() == LINE_BYTES_MAX && out.ends_with(b"\r\n"));
    }

    #[test]
    fn reasons_know_their_place() {
        for (at, reason) in REASONS.iter().enumerate() {
            assert_eq!(reason.index(), at);
        }
    }
}
