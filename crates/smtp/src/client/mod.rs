//! The client end: greeting to QUIT, one transaction after another, an outcome per recipient.
//!
//! Owns the order of commands, which reply belongs to which of them, and what it means for a recipient. Refuses to know sockets,
//! timers, queues and where bodies are kept. Always holds: every message that was handed in comes out exactly once, as
//! [`Event::Done`] or [`Event::Returned`]; an answer is only counted for the transaction whose commands caused it.
//!
//! How it is driven: bytes from the peer go to [`Client::receive`]; what is to be written comes from [`Client::next_output`], where a
//! body is named and not copied; what happened comes from [`Client::poll_event`].

mod capabilities;
mod command;
mod event;
mod machine;
mod outgoing;
mod pipeline;
mod reply;
mod stuff;
mod transaction;

pub use capabilities::Capabilities;
pub use event::{Done, Ending, Event, Loss, Outcome, Stage};
pub use outgoing::Outgoing;
pub use reply::{Heard, Malformed, REPLY_LINE_MAX, REPLY_LINES_MAX, ReplyReader};
pub use stuff::{BodyEnd, Stuffer};

use self::machine::Machine;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// How a session is to be held.
#[derive(Clone, Debug)]
pub struct Settings {
    /// SMTP or LMTP.
    pub protocol: Protocol,
    /// Our name in EHLO.
    pub hello: Box<str>,
    /// What is done about STARTTLS.
    pub start_tls: StartTls,
    /// For AUTH PLAIN, where the next hop wants to know who we are.
    pub credentials: Option<Credentials>,
    /// Messages in flight at once where the peer offers PIPELINING and CHUNKING. With DATA it is the one whose body is on its
    /// way and the envelope of the next one.
    pub in_flight_max: usize,
    /// A body up to this size goes out together with its envelope where CHUNKING allows it; a larger one waits for the answers to RCPT.
    pub eager_bytes_max: u64,
}

/// Which of the two protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 5321.
    Smtp,
    /// RFC 2033: LHLO, and one answer per recipient after the body.
    Lmtp,
}

/// What is done about STARTTLS (RFC 3207).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// It is not asked for.
    Never,
    /// It is used where it is offered.
    IfOffered,
    /// Without it nothing is sent.
    Required,
}

/// A name and a password for AUTH PLAIN (RFC 4616).
#[derive(Clone)]
pub struct Credentials {
    /// The authentication identity.
    pub username: String,
    /// The password.
    pub password: String,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Credentials({}, ...)", self.username)
    }
}

/// One session with one next hop. `M` is the driver's name for a message; the machine holds it until its outcome is known.
pub struct Client<M> {
    reader: ReplyReader,
    machine: Machine<M>,
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub enum Output {
    /// Commands.
    Text(Vec<u8>),
    /// The body of the message of [`Client::sending`], dot-stuffed (see [`Stuffer`]). Nothing follows before [`Client::body_sent`].
    Dotted,
    /// The same as it is: its length went out with BDAT.
    Exact,
}

impl<M: Outgoing> Client<M> {
    /// A session on a fresh connection: the peer's greeting comes first.
    pub fn new(settings: Settings) -> Client<M> {
        Client { reader: ReplyReader::new(), machine: Machine::new(settings) }
    }

    /// Takes all bytes that came from the peer.
    pub fn receive(&mut self, input: &[u8]) {
        let mut rest = input;
        while !self.machine.is_over() {
            // What came in clear text behind the reply to STARTTLS is not the peer's word (RFC 3207 4.2).
            if self.machine.in_handshake() {
                self.reader.clear();
                return;
            }
            match self.reader.next(&mut rest) {
                Ok(Some(heard)) => self.machine.heard(&heard),
                Ok(None) => return,
                Err(malformed) => self.machine.end(Ending::Malformed(malformed)),
            }
        }
    }

    /// The TLS handshake that [`Event::StartTls`] asked for is done: everything is asked again, inside.
    pub fn tls_started(&mut self) {
        self.reader.clear();
        self.machine.tls_started();
    }

    /// The connection is gone.
    pub fn lost(&mut self, loss: Loss) {
        self.machine.end(Ending::Lost(loss));
    }

    /// How many messages may be handed in now.
    pub fn wants(&self) -> usize {
        self.machine.wants()
    }

    /// Hands in a message. Call it only while [`wants`](Self::wants) is not 0; otherwise the message comes back as [`Event::Returned`].
    pub fn send(&mut self, message: M) {
        self.machine.send(message);
    }

    /// What is to be written next. After a body the driver calls [`body_sent`](Self::body_sent) once its last byte is queued.
    pub fn next_output(&mut self) -> Option<Output> {
        self.machine.next_output()
    }

    /// The message whose body [`next_output`](Self::next_output) named.
    pub fn sending(&self) -> Option<&M> {
        self.machine.sending()
    }

    /// The body that was named is on its way; `end` is [`Stuffer::end`], and means nothing for [`Output::Exact`].
    pub fn body_sent(&mut self, end: BodyEnd) {
        self.machine.body_sent(end);
    }

    /// What happened, oldest first.
    pub fn poll_event(&mut self) -> Option<Event<M>> {
        self.machine.poll_event()
    }

    /// Says goodbye once nothing is in flight any more.
    pub fn quit(&mut self) {
        self.machine.quit();
    }

    /// What the session waits for from the peer, for the driver's deadline; `None` when it waits for work.
    pub fn awaits(&self) -> Option<Stage> {
        self.machine.awaits()
    }

    /// Messages that were handed in and have not come out.
    pub fn in_flight(&self) -> usize {
        self.machine.in_flight()
    }

    /// What the peer offers.
    pub fn capabilities(&self) -> &Capabilities {
        self.machine.capabilities()
    }

    /// The reply with which the peer refused an offered STARTTLS, where the session went on without it.
    pub fn tls_refused(&self) -> Option<&mail::Reply> {
        self.machine.tls_refused()
    }
}

#[cfg(test)]
mod tests;
