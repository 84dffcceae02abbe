//! One try of a call at one host: the client's side of an INVITE (RFC 3261 17.1.1, 9.1). Knows nothing of the caller.

use std::sync::Arc;

use super::desk::Hop;
use super::host::Host;
use super::timer::{OVER_MS, Repeat, T2_MS};
use crate::sip::{self, Message};

/// How far a try is.
#[derive(Clone, Copy, Debug)]
pub enum State {
    /// Sent, and not a word yet.
    Calling {
        /// The INVITE again.
        repeat: Repeat,
        /// When the host counts as silent.
        until_ms: u64,
    },
    /// Something provisional came.
    Ringing {
        /// When it has rung for long enough.
        until_ms: u64,
    },
    /// The next host has the call. This one may still answer.
    GivenUp,
    /// It gave its final answer.
    Ended,
}

/// One try.
#[derive(Debug)]
pub struct Try<P> {
    /// At whom.
    pub host: Arc<Host>,
    /// Counted there as long as this is held.
    pub place: Option<P>,
    /// Where it went.
    pub hop: Hop,
    /// When it went.
    pub began_ms: u64,
    /// How far it is.
    pub state: State,
    /// It went over a stream only because it is long (RFC 3261 18.1.1).
    pub is_oversized: bool,
    /// The INVITE that was sent, as long as it may be needed.
    pub sent: Vec<u8>,
    /// Our answer to a refusal.
    ack: Vec<u8>,
    /// CANCEL, until the host has answered it.
    cancel: Option<Cancel>,
    cancelled: bool,
}

#[derive(Debug)]
struct Cancel {
    bytes: Vec<u8>,
    repeat: Repeat,
    until_ms: u64,
}

impl<P> Try<P> {
    /// A try that is sent now.
    pub fn new(host: Arc<Host>, place: Option<P>, hop: Hop, sent: Vec<u8>, now_ms: u64, silent_ms: u64) -> Try<P> {
        let repeat = Repeat::new(now_ms, hop.transport.is_reliable(), u64::MAX / 4);
        let state = State::Calling { repeat, until_ms: now_ms + silent_ms };
        let (ack, cancel) = (Vec::new(), None);
        Try { host, place, hop, began_ms: now_ms, state, is_oversized: false, sent, ack, cancel, cancelled: false }
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.sent.len() + self.ack.len() + self.cancel.as_ref().map_or(0, |cancel| cancel.bytes.len())
    }

    /// Whether the call may still be taken here.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Calling { .. } | State::Ringing { .. })
    }

    /// When it wants to be looked at.
    pub fn due_ms(&self) -> u64 {
        let own = match self.state {
            State::Calling { repeat, until_ms } => repeat.next_ms.min(until_ms),
            State::Ringing { until_ms } => until_ms,
            State::GivenUp | State::Ended => u64::MAX,
        };
        own.min(self.cancel.as_ref().map_or(u64::MAX, |cancel| cancel.repeat.next_ms.min(cancel.until_ms)))
    }

    /// What is to be sent again.
    pub fn repeats(&mut self, now_ms: u64) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if let State::Calling { repeat, .. } = &mut self.state
            && repeat.is_due(now_ms)
        {
            out.push(self.sent.clone());
        }
        match &mut self.cancel {
            Some(cancel) if now_ms >= cancel.until_ms => self.cancel = None,
            Some(cancel) => out.extend(cancel.repeat.is_due(now_ms).then(|| cancel.bytes.clone())),
            None => {}
        }
        out
    }

    /// The host rings, or works on it.
    pub fn rings(&mut self, until_ms: u64) {
        if self.is_open() {
            self.state = State::Ringing { until_ms };
        }
    }

    /// The next host gets the call, or nobody wants it any more.
    pub fn give_up(&mut self) {
        self.place = None;
        if self.is_open() {
            self.state = State::GivenUp;
        }
    }

    /// The CANCEL to send now: once, and only to a host that was heard (RFC 3261 9.1).
    pub fn call_back(&mut self, now_ms: u64) -> Option<Vec<u8>> {
        if self.cancelled || matches!(self.state, State::Ended) {
            return None;
        }
        let bytes = sip::cancel(&Message::parse(&self.sent).ok()?);
        let repeat = Repeat::new(now_ms, self.hop.transport.is_reliable(), T2_MS);
        self.cancel = Some(Cancel { bytes: bytes.clone(), repeat, until_ms: now_ms + OVER_MS });
        self.cancelled = true;
        Some(bytes)
    }

    /// The host answered our CANCEL.
    pub fn called_back(&mut self) {
        self.cancel = None;
    }

    /// A final answer. Says what to answer it with; an ACK to a 2xx is the caller's matter.
    pub fn ended(&mut self, code: u16, answer: &Message) -> Option<Vec<u8>> {
        if code >= 300 && self.ack.is_empty() {
            self.ack = Message::parse(&self.sent).map_or(Vec::new(), |sent| sip::ack(&sent, answer));
        }
        self.state = State::Ended;
        self.place = None;
        self.cancel = None;
        self.sent = Vec::new();
        (code >= 300).then(|| self.ack.clone())
    }
}
