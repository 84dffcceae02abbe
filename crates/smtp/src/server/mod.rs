//! The server end: greeting to QUIT, one moment at a time (RFC 5321, RFC 2033).
//!
//! Owns the order of commands, the grammar errors, the framing of bodies and the bounds a stranger meets. Knows no socket, clock,
//! TLS, password or policy: it asks by a [`Moment`], and its driver answers. What always holds: a positive end-of-message reply is
//! made of a [`mail::Receipt`]; only CRLF.CRLF ends DATA; clear text behind STARTTLS is dropped; how the input was cut changes nothing.
//!
//! The loop of a driver:
//! ```text
//! session.greet()
//! loop {
//!     let (used, moment) = session.receive(&buffer[at..filled]);
//!     at += used;
//!     if let Some(moment) = moment { act; if moment.asks() { session.answer(..) }; continue }
//!     write all of session.output(), then session.output_sent(n)
//!     if session.is_over() { close }
//!     if session.awaits_tls() { handshake, session.tls_started() }
//!     if at == filled { read more }
//! }
//! ```

mod answer;
mod auth;
mod body;
mod command;
mod envelope;
mod header_end;
mod hello;
mod line;
mod moment;
mod reply;
mod session;
mod settings;
mod text;
mod transaction;
mod xclient;

pub use answer::Answer;
pub use body::SWALLOW_BYTES_MAX;
pub use line::{AUTH_LINE_BYTES_MAX, LINE_BYTES_MAX, SKIP_BYTES_MAX};
pub use moment::{
    AuthParameter, Closing, Framing, Greeting, MailCommand, Moment, RcptCommand, Told, Verb, XclientCommand,
    XclientProtocol,
};
pub use session::{OUTPUT_BYTES_MAX, Session};
pub use settings::{BareNewline, Limits, Offers, Protocol, Settings, TlsOffer};

#[cfg(test)]
mod tests;
