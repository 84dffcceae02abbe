//! What a receive connector tells the machine: names, extensions, bounds. One value per connector, shared by its sessions.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// The settings of a connector's sessions. Put it into an `Arc`; a session never changes it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// Our name in the greeting and in the reply to EHLO.
    pub hostname: Box<str>,
    /// What follows `220 ` in the greeting; empty for `<hostname> ESMTP Posthouse` (or `LMTP`). No control characters.
    pub banner: Box<str>,
    /// STARTTLS.
    pub tls: TlsOffer,
    /// SASL mechanisms in upper case, in the order of the EHLO line; empty if AUTH is not offered.
    pub auth_mechanisms: Vec<String>,
    /// AUTH is offered in the clear too.
    pub auth_without_tls: bool,
    /// Extensions that a connector may switch off.
    pub offers: Offers,
    /// What becomes of a CR or LF of its own in a body.
    pub bare_newline: BareNewline,
    /// Bounds to start with; see [`Session::set_limits`](super::Session::set_limits).
    pub limits: Limits,
}

/// Which of the two protocols is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321: HELO or EHLO, one reply after the message.
    Smtp,
    /// RFC 2033: LHLO, one reply per accepted recipient after the message.
    Lmtp,
}

/// STARTTLS of RFC 3207.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsOffer {
    /// Not offered; the command is unknown.
    Off,
    /// Offered while the session is in the clear.
    Offer,
    /// Offered, and nothing but NOOP, EHLO, HELP, RSET, STARTTLS and QUIT is taken without it (530 5.7.0).
    Require,
}

/// Extensions that a connector may switch off. Parameters of one that is off are refused with 555 5.5.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offers {
    /// PIPELINING (RFC 2920). Only the EHLO line: the machine does not mind either way.
    pub pipelining: bool,
    /// SIZE (RFC 1870).
    pub size: bool,
    /// The bound behind SIZE; without it a peer may say a size and is not told which one is too large (RFC 1870 3).
    pub size_value: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// CHUNKING: BDAT (RFC 3030).
    pub chunking: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
}

/// What becomes of a CR or LF that stands alone in a body (the surface of SMTP smuggling).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareNewline {
    /// The body is swallowed to its true end and answered with 550 5.6.11.
    Reject,
    /// It becomes CRLF. A dot behind it is text, never the end of the message.
    Repair,
}

/// Bounds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a message, told in SIZE, checked at MAIL and while the body arrives: 552 5.3.4.
    pub message_bytes_max: u64,
    /// Bytes of a message's header: 552 5.3.4.
    pub header_bytes_max: u64,
    /// Accepted recipients of a message, told in LIMITS: 452 4.5.3, those accepted before stand.
    pub recipients_max: u32,
    /// Transactions in a session, told in LIMITS: 421 4.7.0. `None`: no bound.
    pub messages_max: Option<u32>,
    /// Protocol errors, the last of which ends the session: 421 4.7.0.
    pub errors_max: u32,
}

impl Settings {
    /// Everything offered but TLS and AUTH, bounds of behaviours 1.8.
    pub fn new(protocol: Protocol, hostname: &str) -> Settings {
        Settings {
            protocol,
            hostname: hostname.into(),
            banner: Box::default(),
            tls: TlsOffer::Off,
            auth_mechanisms: Vec::new(),
            auth_without_tls: false,
            offers: Offers::default(),
            bare_newline: BareNewline::Reject,
            limits: Limits::default(),
        }
    }
}

impl Default for Offers {
    fn default() -> Offers {
        Offers {
            pipelining: true,
            size: true,
            size_value: true,
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            dsn: true,
            enhanced_status_codes: true,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes_max: 36 << 20,
            header_bytes_max: 256 << 10,
            recipients_max: 200,
            messages_max: None,
            errors_max: 5,
        }
    }
}
