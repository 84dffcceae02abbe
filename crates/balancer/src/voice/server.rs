//! The machine: what comes in, what is done with it by mode and method, what goes out (RFC 3261 8.2, 16.3).

use super::branch::{Branch, is_loop};
use super::calls::Calls;
use super::desk::{Desk, Hop, Listener, Mode, Packet, Settings};
use super::host::Hosts;
use super::note::Note;
use super::{redirect, stateless};
use crate::sip::{
    HEADERS_MAX, MESSAGE_BYTES_MAX, Message, Method, Name, Start, Transport, VIAS_MAX, top_via, uri, vias,
};

/// Something that happens to the machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// One whole message came.
    Packet {
        /// From where.
        from: Hop,
        /// A datagram, or a frame of a stream.
        bytes: &'a [u8],
    },
    /// A packet with this ticket could not be sent.
    Unreachable((u64, usize)),
    /// [`Voice::due_ms`] has come.
    Time,
    /// Whether this node takes new calls (a node that drains does not).
    Ready(bool),
}

/// One SIP service.
#[derive(Debug)]
pub struct Voice<H: Hosts> {
    desk: Desk<H>,
    calls: Calls<H::Place>,
}

impl<H: Hosts> Voice<H> {
    /// A service at `listeners`. `seed` is from chance.
    pub fn new(settings: Settings, listeners: Vec<Listener>, hosts: H, seed: u64) -> Voice<H> {
        let (packets, notes) = (Vec::new(), Vec::new());
        Voice { desk: Desk { settings, listeners, hosts, ready: true, packets, notes }, calls: Calls::new(seed) }
    }

    /// Other settings from now on.
    pub fn change(&mut self, settings: Settings) {
        self.desk.settings = settings;
    }

    /// Takes something in. What goes out is then in `packets` and `notes`.
    pub fn step(&mut self, now_ms: u64, input: Input, packets: &mut Vec<Packet>, notes: &mut Vec<Note>) {
        match input {
            Input::Packet { from, bytes } => self.packet(now_ms, from, bytes),
            Input::Unreachable((id, number)) => {
                let desk = &mut self.desk;
                self.calls.with(id, |call| call.unreachable(now_ms, number, desk));
            }
            Input::Time => {}
            Input::Ready(ready) => self.desk.ready = ready,
        }
        self.calls.tick(now_ms, &mut self.desk);
        packets.append(&mut self.desk.packets);
        notes.append(&mut self.desk.notes);
    }

    /// When [`Input::Time`] is due.
    pub fn due_ms(&self) -> Option<u64> {
        self.calls.due_ms()
    }

    /// Calls with a record, and the bytes that they hold.
    pub fn held(&self) -> (usize, usize) {
        (self.calls.len(), self.calls.held_bytes())
    }

    /// Who takes calls.
    pub fn hosts(&self) -> &H {
        &self.desk.hosts
    }

    /// The same, to be told of what happens outside.
    pub fn hosts_mut(&mut self) -> &mut H {
        &mut self.desk.hosts
    }

    fn packet(&mut self, now_ms: u64, from: Hop, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return self.dropped("malformed") };
        let Some(via) = top_via(&message) else { return self.dropped("no via") };
        let Start::Request { method, .. } = message.start else {
            return self.answered(now_ms, from, &message, Branch::parse(via.branch()));
        };
        let method = Method::of(method);
        if vias(&message).count() > VIAS_MAX {
            return self.dropped("too many vias");
        }
        if let Some(code) = self.is_wrong(&message, from, bytes.len(), method) {
            if method == Method::Ack {
                return self.dropped("wrong ack");
            }
            let why = message.lacks().unwrap_or_default();
            let unsupported: Vec<u8> = message.value(Name::ProxyRequire).unwrap_or_default().to_vec();
            let unsupported = String::from_utf8_lossy(&unsupported).replace(['\r', '\n'], " ");
            return match code {
                420 => self.desk.answer(&message, from, code, &[("Unsupported", &unsupported)]),
                400 => self.desk.answer(&message, from, code, &[("Warning", &format!("399 posthouse \"{why}\""))]),
                _ => self.desk.answer(&message, from, code, &[]),
            };
        }
        let is_new = message.tag(Name::To).is_none();
        match (self.desk.settings.mode, method) {
            (_, Method::Options) if is_new => self.options(now_ms, &message, from),
            (Mode::Redirect, _) => self.redirect(now_ms, &message, method, is_new, from),
            (Mode::Forward, _) => self.forward(now_ms, &message, bytes, method, is_new, from),
        }
    }

    /// The answer that a request gets whatever it asks for.
    fn is_wrong(&self, message: &Message, from: Hop, bytes: usize, method: Method) -> Option<u16> {
        let Start::Request { uri: text, .. } = message.start else { return None };
        let forwards = self.desk.settings.mode == Mode::Forward;
        let parsed = uri(text);
        match () {
            () if message.lacks().is_some() => Some(400),
            // It grows on its way, and must stay what we can read.
            () if bytes > MESSAGE_BYTES_MAX - GROWTH_BYTES || message.headers.len() > HEADERS_MAX - GROWTH_HEADERS => {
                Some(513)
            }
            () if parsed.is_none() => Some(416),
            // What comes in clear goes on in clear: not what sips: asks for.
            () if forwards && from.transport != Transport::Tls && parsed.is_some_and(|uri| uri.secure) => Some(416),
            () if forwards && message.max_forwards() == 0 && method != Method::Options => Some(483),
            () if forwards && is_loop(message) => Some(482),
            () if forwards && message.value(Name::ProxyRequire).is_some() && method != Method::Cancel => Some(420),
            () => None,
        }
    }

    /// A gateway asks whether we take calls (behaviours 8.2).
    fn options(&mut self, now_ms: u64, request: &Message, from: Hop) {
        let open = self.desk.ready && !self.desk.hosts.offers(now_ms).is_empty();
        match open {
            true => self.desk.answer(request, from, 200, &[("Allow", ALLOW), ("Accept", "application/sdp")]),
            false => self.desk.nobody(request, from),
        }
    }

    fn redirect(&mut self, now_ms: u64, request: &Message, method: Method, is_new: bool, from: Hop) {
        match method {
            Method::Invite if is_new && self.desk.ready => redirect::redirect(now_ms, request, from, &mut self.desk),
            Method::Invite if is_new => self.desk.nobody(request, from),
            Method::Ack => {}
            // The INVITE has its final answer, and no record tells that there was one.
            Method::Cancel => self.desk.answer(request, from, 481, &[]),
            _ if !is_new => self.desk.answer(request, from, 481, &[]),
            _ => self.desk.answer(request, from, 405, &[("Allow", ALLOW)]),
        }
    }

    fn forward(&mut self, now_ms: u64, request: &Message, bytes: &[u8], method: Method, is_new: bool, from: Hop) {
        let desk = &mut self.desk;
        let found = match method {
            Method::Invite | Method::Ack | Method::Cancel => self.calls.find(request),
            _ => None,
        };
        match (method, found) {
            (Method::Invite, Some(id)) => self.calls.with(id, |call| call.repeated(desk)),
            (Method::Ack, Some(id)) => self.calls.with(id, |call| call.acknowledged(now_ms)),
            (Method::Cancel, Some(id)) => {
                desk.answer(request, from, 200, &[]);
                self.calls.with(id, |call| call.hang_up(now_ms, desk));
            }
            (Method::Cancel, None) if is_new => desk.answer(request, from, 481, &[]),
            (Method::Invite, None) if is_new && (!desk.ready || self.calls.is_full()) => desk.nobody(request, from),
            (Method::Invite, None) if is_new => self.calls.begin(now_ms, request, bytes, from, desk),
            _ => stateless::request(now_ms, request, from, desk),
        }
    }

    fn answered(&mut self, now_ms: u64, from: Hop, message: &Message, branch: Option<Branch>) {
        let desk = &mut self.desk;
        let Some(branch) = branch else { return self.dropped("not our answer") };
        if desk.settings.mode == Mode::Redirect || desk.hosts.at(from.address.ip()).is_none() {
            return self.dropped("not our answer");
        }
        let of_cancel = message.cseq().is_some_and(|(_, method)| method == b"CANCEL");
        match branch {
            Branch::Call { id, number } if self.calls.has(id) => {
                self.calls.with(id, |call| call.answered(now_ms, number, message, desk));
            }
            Branch::Call { .. } if of_cancel => {}
            // Its record is gone, by time or with another life of this node: the caller may still be waiting for it.
            Branch::Call { .. } => stateless::answer(message, from, 0, desk),
            Branch::Plain { flow, .. } => stateless::answer(message, from, flow, desk),
        }
    }

    fn dropped(&mut self, why: &'static str) {
        self.desk.notes.push(Note::Dropped(why));
    }
}

/// What a request gains at most here: our Via, what we know of its sender, a longer address.
const GROWTH_BYTES: usize = 1024;
const GROWTH_HEADERS: usize = 4;

const ALLOW: &str = "INVITE, ACK, CANCEL, OPTIONS, BYE";
