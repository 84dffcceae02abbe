//! The state of one session and the calls of its driver.

use super::{Answer, Limits, Moment, Settings};
use alloc::sync::Arc;
use alloc::vec::Vec;
use mail::Reply;

/// One SMTP or LMTP session, server side.
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    limits: Limits,
    output: Vec<u8>,
}

impl Session {
    /// A session in the clear, before its greeting.
    pub fn new(settings: Arc<Settings>) -> Session {
        let limits = settings.limits;
        Session { settings, limits, output: Vec::new() }
    }

    /// The connection is under TLS from its first byte (implicit TLS).
    pub fn under_tls(self) -> Session {
        todo!()
    }

    /// Offers and takes XCLIENT: the peer is named as trusted for it.
    pub fn trust_xclient(self) -> Session {
        todo!()
    }

    /// Replaces the bounds, for example for a principal that may do more. Told in the next reply to EHLO.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Writes the 220 greeting.
    pub fn greet(&mut self) {
        let _ = &self.settings;
        todo!()
    }

    /// Ends the session with a reply: instead of the greeting, on a timeout, at shutdown. `Moment::Close` follows. Also ends a session that
    /// waits for an answer. In the middle of a reply group nothing is torn: the reply comes after what was answered.
    pub fn close(&mut self, reply: Reply) {
        let _ = reply;
        todo!()
    }

    /// Takes input: gives back how much of it was used, and the next moment if there is one.
    ///
    /// Call it again, with what is left (even if that is nothing), until there is no moment. Then write [`output`](Self::output). What was not
    /// used by then was left because the output has reached its bound or because an answer is awaited: call again after that.
    pub fn receive<'i>(&mut self, input: &'i [u8]) -> (usize, Option<Moment<'i>>) {
        let _ = input;
        todo!()
    }

    /// Answers the last moment that asked. Without such a moment it does nothing.
    pub fn answer(&mut self, answer: Answer) {
        let _ = answer;
        todo!()
    }

    /// Refuses the body that is arriving (no room, too many hops ...): no more `Body` moments, no `EndOfMessage`; the rest is swallowed, then
    /// the peer hears `reply` (a positive one becomes 451 4.3.0). Allowed from the accepted `Data` moment until `EndOfMessage` is answered.
    pub fn refuse_body(&mut self, reply: Reply) {
        let _ = reply;
        todo!()
    }

    /// What waits to be written to the peer.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `bytes` of the output were written.
    pub fn output_sent(&mut self, bytes: usize) {
        let _ = bytes;
        todo!()
    }

    /// STARTTLS was accepted: write the output, drop what was read, make the handshake, then call [`tls_started`](Self::tls_started).
    pub fn awaits_tls(&self) -> bool {
        todo!()
    }

    /// The handshake is done. The session is as after the greeting (RFC 3207 4.2).
    pub fn tls_started(&mut self) {
        todo!()
    }

    /// A moment was given and not answered yet.
    pub fn awaits_answer(&self) -> bool {
        todo!()
    }

    /// A transaction is open: MAIL was accepted.
    pub fn in_transaction(&self) -> bool {
        todo!()
    }

    /// A body is arriving, so that an idle timeout is that of data (RFC 5321 4.5.3.2).
    pub fn in_body(&self) -> bool {
        todo!()
    }

    /// `Moment::Close` was given.
    pub fn is_over(&self) -> bool {
        todo!()
    }
}
