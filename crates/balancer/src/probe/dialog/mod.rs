//! The dialogs of probes: machines that are fed what a server says and say what to do next. No I/O, no clock.
//!
//! Always holds: what a server sends is bounded ([`HEARD_BYTES_MAX`]), whatever it sends is an answer or a failure and never a panic; a
//! verdict that was reached is not lost because the goodbye fails.

mod http;
mod imap;
mod ldap;
mod lines;
mod pop3;
mod smtp;
#[cfg(test)]
mod tests;

use super::target::{Kind, Target};
use super::verdict::Verdict;

/// Bytes that a server may say to one probe.
pub const HEARD_BYTES_MAX: usize = 64 << 10;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What to send first.
    pub send: Vec<u8>,
    /// And then.
    pub next: Next,
}

/// What comes behind the sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Read, and hand in what came.
    Read,
    /// Make the TLS handshake, and say so.
    StartTls,
    /// Close; this is what was found.
    Over(Verdict),
}

/// One probe's dialog with one server.
pub struct Dialog {
    machine: Machine,
    heard_bytes: usize,
}

enum Machine {
    Tcp,
    Smtp(smtp::Smtp),
    Imap(imap::Imap),
    Pop3(pop3::Pop3),
    Http(http::Http),
    Ldap(ldap::Ldap),
}

impl Dialog {
    /// A dialog with `target`; `hello` is our name.
    pub fn new(target: &Target, hello: &str) -> Dialog {
        let starttls = target.starttls;
        let machine = match target.kind {
            // SIP is no dialog on a stream: it is asked elsewhere.
            Kind::Tcp | Kind::Sip | Kind::Sips => Machine::Tcp,
            Kind::Smtp => Machine::Smtp(smtp::Smtp::new(hello, starttls)),
            Kind::Submissions => Machine::Smtp(smtp::Smtp::new(hello, false)),
            Kind::Imap => Machine::Imap(imap::Imap::new(starttls)),
            Kind::Imaps => Machine::Imap(imap::Imap::new(false)),
            Kind::Pop3 => Machine::Pop3(pop3::Pop3::new(starttls)),
            Kind::Pop3s => Machine::Pop3(pop3::Pop3::new(false)),
            Kind::Http | Kind::Https => Machine::Http(http::Http::new(target)),
            Kind::Ldap => Machine::Ldap(ldap::Ldap::new(starttls)),
        };
        Dialog { machine, heard_bytes: 0 }
    }

    /// The connection is there, under TLS if TLS comes first.
    pub fn begin(&mut self) -> Effect {
        match &mut self.machine {
            Machine::Tcp => Effect::over(Verdict::Ready),
            Machine::Http(http) => http.begin(),
            Machine::Ldap(ldap) => ldap.begin(),
            Machine::Smtp(_) | Machine::Imap(_) | Machine::Pop3(_) => Effect::read(),
        }
    }

    /// The server has said this.
    pub fn receive(&mut self, bytes: &[u8]) -> Effect {
        self.heard_bytes += bytes.len();
        if self.heard_bytes > HEARD_BYTES_MAX {
            return Effect::over(self.end("it says too much"));
        }
        match &mut self.machine {
            Machine::Tcp => Effect::over(Verdict::Ready),
            Machine::Smtp(smtp) => smtp.receive(bytes),
            Machine::Imap(imap) => imap.receive(bytes),
            Machine::Pop3(pop3) => pop3.receive(bytes),
            Machine::Http(http) => http.receive(bytes),
            Machine::Ldap(ldap) => ldap.receive(bytes),
        }
    }

    /// The handshake that was asked for is made.
    pub fn secured(&mut self) -> Effect {
        match &mut self.machine {
            Machine::Smtp(smtp) => smtp.secured(),
            Machine::Imap(imap) => imap.secured(),
            Machine::Pop3(pop3) => pop3.secured(),
            Machine::Ldap(ldap) => ldap.secured(),
            Machine::Tcp | Machine::Http(_) => Effect::over(Verdict::failed("TLS where nobody asked for it")),
        }
    }

    /// Nothing more comes: `why` in a word or two ("closed the connection", "said nothing in time").
    pub fn end(&mut self, why: &str) -> Verdict {
        let (found, at) = match &self.machine {
            Machine::Tcp => (None, "the connection"),
            Machine::Smtp(smtp) => smtp.end(),
            Machine::Imap(imap) => imap.end(),
            Machine::Pop3(pop3) => pop3.end(),
            Machine::Http(http) => http.end(),
            Machine::Ldap(ldap) => ldap.end(),
        };
        found.unwrap_or_else(|| Verdict::failed(&format!("at {at}: {why}")))
    }
}

impl Effect {
    fn read() -> Effect {
        Effect { send: Vec::new(), next: Next::Read }
    }

    fn say(line: &str) -> Effect {
        Effect { send: line.as_bytes().to_vec(), next: Next::Read }
    }

    fn start_tls() -> Effect {
        Effect { send: Vec::new(), next: Next::StartTls }
    }

    fn over(verdict: Verdict) -> Effect {
        Effect { send: Vec::new(), next: Next::Over(verdict) }
    }

    fn failed(why: &str) -> Effect {
        Effect::over(Verdict::failed(why))
    }
}

/// What the reason says when bytes stand where the handshake should begin.
const AHEAD_OF_TLS: &str = "it speaks in clear behind its word for TLS";
