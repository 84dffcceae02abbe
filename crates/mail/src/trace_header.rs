//! The header fields that a relay puts before a message: Received (RFC 5321 4.4), Return-Path, and Date and Message-ID where they
//! are missing. Whatever a stranger said (HELO) is written so that it can neither break a line nor pass for a field.

use crate::address::{self, Mailbox, ReversePath};
use crate::date::Rfc5322;
use crate::id::MessageId;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};
use core::net::IpAddr;

/// What a Received field says.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the peer called itself in HELO, EHLO or LHLO; empty if it did not.
    pub helo: &'a str,
    /// The peer's address; `None` for a Unix socket or a message made here.
    pub peer: Option<IpAddr>,
    /// Our name on this connector.
    pub by: &'a str,
    /// How it came.
    pub protocol: Protocol,
    /// TLS version and cipher for the reader, for example `TLSv1.3 TLS_AES_128_GCM_SHA256`; empty in the clear.
    pub tls: &'a str,
    /// Our name for the message.
    pub id: MessageId,
    /// Copies on other machines that it has before it is answered for; 0 says nothing.
    pub copies: u8,
    /// The recipient, if there is exactly one (more than one would tell each of the others).
    pub recipient: Option<&'a Mailbox>,
    /// When, Unix milliseconds.
    pub unix_ms: u64,
}

/// How a message came, displayed as the word of RFC 3848 (RFC 6531 4.3 when SMTPUTF8 was asked for): `ESMTPSA`, `UTF8LMTP`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Protocol {
    /// LHLO instead of EHLO.
    pub lmtp: bool,
    /// EHLO (or LHLO) instead of HELO.
    pub extended: bool,
    /// Under TLS.
    pub tls: bool,
    /// The peer has authenticated.
    pub auth: bool,
    /// SMTPUTF8 was given with MAIL.
    pub utf8: bool,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match (self.lmtp, self.extended, self.utf8) {
            (true, _, false) => "LMTP",
            (true, _, true) => "UTF8LMTP",
            (false, _, true) => "UTF8SMTP",
            (false, true, false) => "ESMTP",
            (false, false, false) => return f.write_str("SMTP"),
        };
        f.write_str(base)?;
        f.write_str(if self.tls { "S" } else { "" })?;
        f.write_str(if self.auth { "A" } else { "" })
    }
}

/// The Received field, folded, with its CRLF.
pub fn received(received: &Received<'_>) -> Vec<u8> {
    let mut field = Folded::new("Received:");
    if received.peer.is_some() || !received.helo.is_empty() {
        field.word(format_args!("from {}", HeloDomain(received)));
        match received.peer {
            Some(peer) => field.word(format_args!("({})", Literal(peer))),
            None => field.word(format_args!("(local)")),
        }
        if !received.tls.is_empty() {
            field.line();
            field.word(format_args!("(using {})", Comment(received.tls)));
        }
        field.line();
    }
    field.word(format_args!("by {}", received.by));
    field.word(format_args!("with {}", received.protocol));
    field.word(format_args!("id {}", received.id));
    match received.copies {
        0 => {}
        1 => field.word(format_args!("(1 copy)")),
        copies => field.word(format_args!("({copies} copies)")),
    }
    if let Some(recipient) = received.recipient {
        field.line();
        field.word(format_args!("for <{recipient}>"));
    }
    field.text.push(';');
    field.line();
    field.word(format_args!("{}", Rfc5322(received.unix_ms)));
    field.end()
}

/// The Return-Path field that final delivery puts on top (RFC 5321 4.4), with its CRLF.
pub fn return_path(from: &ReversePath) -> Vec<u8> {
    format!("Return-Path: {from}\r\n").into_bytes()
}

/// A Date field for a message that came without one, with its CRLF.
pub fn date(unix_ms: u64) -> Vec<u8> {
    format!("Date: {}\r\n", Rfc5322(unix_ms)).into_bytes()
}

/// A Message-ID field for a message that came without one, with its CRLF.
pub fn message_id(id: MessageId, host: &str) -> Vec<u8> {
    format!("Message-ID: <{id}@{host}>\r\n").into_bytes()
}

/// RFC 5321 wants a domain or an address literal behind `from`. A HELO that is neither goes into the comment behind the address.
struct HeloDomain<'a>(&'a Received<'a>);

impl fmt::Display for HeloDomain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Received { helo, peer, protocol, .. } = *self.0;
        if address::is_literal(helo) || (address::is_domain(helo) && (protocol.utf8 || helo.is_ascii())) {
            return f.write_str(helo);
        }
        match peer {
            Some(peer) => Literal(peer).fmt(f)?,
            None => f.write_str("unknown")?,
        }
        if helo.is_empty() { Ok(()) } else { write!(f, " (HELO {})", Comment(helo)) }
    }
}

/// An address literal with its brackets (RFC 5321 4.1.3).
struct Literal(IpAddr);

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.to_canonical() {
            IpAddr::V4(v4) => write!(f, "[{v4}]"),
            IpAddr::V6(v6) => write!(f, "[IPv6:{v6}]"),
        }
    }
}

/// Text that may stand in a comment: printable ASCII without brackets, quotes and backslashes, 255 characters of it at most.
struct Comment<'a>(&'a str);

impl fmt::Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |c: char| matches!(c, ' '..='~') && !matches!(c, '(' | ')' | '\\' | '"');
        self.0.chars().take(255).try_for_each(|c| f.write_char(if fits(c) { c } else { '?' }))
    }
}

/// A field that is folded at its words, under 78 characters a line where the words allow it.
struct Folded {
    text: String,
    line_start: usize,
}

impl Folded {
    fn new(name: &str) -> Folded {
        let mut text = String::with_capacity(FIELD_BYTES);
        text.push_str(name);
        Folded { text, line_start: 0 }
    }

    /// Writes a word where it stands if it fits, and breaks the line before it if it does not.
    fn word(&mut self, word: fmt::Arguments<'_>) {
        let fresh = self.text.ends_with('\t');
        if !fresh {
            self.text.push(' ');
        }
        let start = self.text.len();
        // A String takes whatever is written to it.
        let _ = self.text.write_fmt(word);
        if !fresh && self.text.len() - self.line_start > LINE_MAX {
            self.text.replace_range(start - 1..start, "\r\n\t");
            self.line_start = start + 1;
        }
    }

    fn line(&mut self) {
        if !self.text.ends_with('\t') {
            self.text.push_str("\r\n");
            self.line_start = self.text.len();
            self.text.push('\t');
        }
    }

    fn end(mut self) -> Vec<u8> {
        self.text.push_str("\r\n");
        self.text.into_bytes()
    }
}

/// RFC 5322 2.1.1: lines SHOULD be no longer than 78 characters.
const LINE_MAX: usize = 78;

/// Room for a usual field.
const FIELD_BYTES: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::Scanner;
    use alloc::string::ToString;
    use core::net::Ipv4Addr;

    fn usual<'a>() -> Received<'a> {
        Received {
            helo: "client.example.org",
            peer: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
            by: "mx1.example.net",
            protocol: Protocol { extended: true, tls: true, auth: true, ..Protocol::default() },
            tls: "TLSv1.3 TLS_AES_128_GCM_SHA256",
            copies: 0,
            id: MessageId::new(1_795_238_220_123, [7; 10]),
            recipient: None,
            unix_ms: 1_795_238_220_123,
        }
    }

    fn text(field: &Received<'_>) -> String {
        String::from_utf8(received(field)).expect("fields are text")
    }

    #[test]
    fn a_usual_field() {
        let bob = Mailbox::parse("bob@example.net", false).expect("valid");
        let id = usual().id;
        assert_eq!(
            text(&Received { recipient: Some(&bob), ..usual() }),
            format!(
                "Received: from client.example.org ([192.0.2.1])\r\n\t(using TLSv1.3 TLS_AES_128_GCM_SHA256)\r\n\
                 \tby mx1.example.net with ESMTPSA id {id}\r\n\tfor <bob@example.net>;\r\n\tSat, 21 Nov 2026 05:17:00 +0000\r\n"
            )
        );
    }

    #[test]
    fn a_message_made_here_and_one_over_ipv6() {
        let id = usual().id;
        let here = Received { helo: "", peer: None, tls: "", ..usual() };
        assert_eq!(
            text(&here),
            format!("Received: by mx1.example.net with ESMTPSA id {id};\r\n\tSat, 21 Nov 2026 05:17:00 +0000\r\n")
        );
        let v6 = Received { peer: "2001:db8::1".parse().ok(), ..usual() };
        assert!(text(&v6).contains("([IPv6:2001:db8::1])"));
        let mapped = Received { peer: "::ffff:192.0.2.1".parse().ok(), ..usual() };
        assert!(text(&mapped).contains("([192.0.2.1])"));
    }

    #[test]
    fn a_helo_cannot_forge_a_field() {
        for helo in ["x\r\nReceived: from y", "a b) (c\\", "grün", "[999.1.1.1]", "-", &"y".repeat(4000)] {
            let out = received(&Received { helo, ..usual() });
            let mut scanner = Scanner::new();
            scanner.feed(&out);
            let facts = scanner.finish();
            assert_eq!((facts.received_count, facts.malformed, facts.eight_bit), (1, false, false), "{helo}");
            assert!(facts.longest_line < 400, "{helo}");
            assert!(text(&Received { helo, ..usual() }).contains("from [192.0.2.1] (HELO "), "{helo}");
        }
    }

    #[test]
    fn protocol_words() {
        let p = |lmtp, extended, tls, auth, utf8| Protocol { lmtp, extended, tls, auth, utf8 }.to_string();
        assert_eq!(p(false, false, false, false, false), "SMTP");
        assert_eq!(p(false, false, true, false, false), "SMTP");
        assert_eq!(p(false, true, false, false, false), "ESMTP");
        assert_eq!(p(false, true, false, true, false), "ESMTPA");
        assert_eq!(p(false, true, true, false, false), "ESMTPS");
        assert_eq!(p(false, true, true, true, true), "UTF8SMTPSA");
        assert_eq!(p(true, true, true, false, false), "LMTPS");
        assert_eq!(p(true, true, false, false, true), "UTF8LMTP");
    }

    #[test]
    fn long_names_are_folded_between_words() {
        let by = format!("{}.example.net", "b".repeat(60));
        for line in text(&Received { by: &by, ..usual() }).split("\r\n") {
            assert!(line.len() <= 78, "{line}");
        }
    }
}
