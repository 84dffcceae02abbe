//! What each part of the machine works with: settings, where we listen, who the hosts are, and what is to be sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::host::Hosts;
use super::note::Note;
use crate::sip::{Answer, Message, Start, Transport, Via, host_ip, top_via, uri};

/// How calls get to their hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The caller is told where to go (302).
    Redirect,
    /// We offer the call ourselves.
    Forward,
}

/// Settings of one service.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How calls get to their hosts.
    pub mode: Mode,
    /// The name that callers know.
    pub hostname: Arc<str>,
    /// A host that says nothing for so long is passed over.
    pub greeting_timeout_ms: u64,
    /// A host that rings for so long without an answer is called back and passed over.
    pub answer_timeout_ms: u64,
    /// Further hosts that one call is offered to.
    pub retries: usize,
    /// What `Retry-After` says when nobody takes calls.
    pub retry_after_s: u32,
}

/// Where we listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Over what.
    pub transport: Transport,
    /// The address of the socket; it may be unspecified.
    pub local: SocketAddr,
    /// The address that we have towards the hosts, where `local` is unspecified.
    pub own: IpAddr,
}

impl Listener {
    /// How we call ourselves in a Via.
    pub fn sent_by(&self) -> SocketAddr {
        match self.local.ip().is_unspecified() {
            true => SocketAddr::new(self.own, self.local.port()),
            false => self.local,
        }
    }
}

/// The other end of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hop {
    /// Over what.
    pub transport: Transport,
    /// At which of our listeners, by number.
    pub listener: usize,
    /// The stream it came on, not 0; if it is gone, or 0, a new one is made to `address`.
    pub flow: u64,
    /// The other end.
    pub address: SocketAddr,
}

/// A packet on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where to.
    pub hop: Hop,
    /// One whole message.
    pub bytes: Vec<u8>,
    /// The try to tell if it cannot be sent: call and number.
    pub ticket: Option<(u64, usize)>,
}

/// The table that the machine's parts work at.
#[derive(Debug)]
pub struct Desk<H> {
    /// Settings.
    pub settings: Settings,
    /// Where we listen.
    pub listeners: Vec<Listener>,
    /// Who takes calls.
    pub hosts: H,
    /// Whether this node takes new calls.
    pub ready: bool,
    /// To be sent.
    pub packets: Vec<Packet>,
    /// To be counted.
    pub notes: Vec<Note>,
}

impl<H: Hosts> Desk<H> {
    /// Sends `bytes` to `hop`; nobody wants to know whether it worked.
    pub fn send(&mut self, hop: Hop, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            self.packets.push(Packet { hop, bytes, ticket: None });
        }
    }

    /// Answers a request that came from `source`, with further header lines.
    pub fn answer(&mut self, request: &Message, source: Hop, code: u16, headers: &[(&str, &str)]) {
        let Some(via) = top_via(request) else { return };
        let start = Answer::new(request, source.address, code);
        let bytes = headers.iter().fold(start, |answer, (name, value)| answer.header(name, value)).finish();
        self.send(back(source, &via), bytes);
    }

    /// Says that nobody takes calls now.
    pub fn nobody(&mut self, request: &Message, source: Hop) {
        let seconds = self.settings.retry_after_s.to_string();
        self.answer(request, source, 503, &[("Retry-After", &seconds)]);
        self.notes.push(Note::Answered(503));
    }

    /// Our listener for `transport`: the one at `near`, or one at its address, or any.
    pub fn listener(&self, transport: Transport, near: usize) -> Option<usize> {
        let fits = |at: usize| self.listeners.get(at).is_some_and(|listener| listener.transport == transport);
        let near_ip = self.listeners.get(near).map(|listener| listener.local.ip());
        let all = 0..self.listeners.len();
        fits(near)
            .then_some(near)
            .or_else(|| all.clone().find(|at| fits(*at) && Some(self.listeners[*at].local.ip()) == near_ip))
            .or_else(|| all.clone().find(|at| fits(*at)))
    }

    /// Whether a URI's host and port are ours.
    pub fn is_us(&self, host: &[u8], port: Option<u16>) -> bool {
        let Some(ip) = host_ip(host) else { return host.eq_ignore_ascii_case(self.settings.hostname.as_bytes()) };
        let is_here = |listener: &Listener| {
            let us = SocketAddr::new(ip, port.unwrap_or(listener.transport.port()));
            listener.sent_by() == us || listener.local == us
        };
        self.listeners.iter().any(is_here)
    }
}

/// Where an answer to a request goes that came from `source` with `via` on top (RFC 3261 18.2.2, RFC 3581).
pub fn back(source: Hop, via: &Via) -> Hop {
    let asked = crate::sip::parameter(via.parameters, "rport").is_some();
    let port = if asked { source.address.port() } else { via.port.unwrap_or(source.transport.port()) };
    Hop { address: SocketAddr::new(source.address.ip(), port), ..source }
}

/// The URI of `request` for another host: the user and what is said about it stay.
pub fn retarget(request: &Message, host_port: &str, transport: Transport) -> Vec<u8> {
    let Start::Request { uri: text, .. } = request.start else { return Vec::new() };
    let parsed = uri(text);
    let secure = parsed.is_some_and(|uri| uri.secure);
    let mut out = if secure { b"sips:".to_vec() } else { b"sip:".to_vec() };
    if let Some(user) = parsed.and_then(|uri| uri.user) {
        out.extend_from_slice(user);
        out.push(b'@');
    }
    out.extend_from_slice(host_port.as_bytes());
    let rest = parsed.map_or(&[][..], |uri| uri.parameters);
    for part in rest.split(|&b| b == b';').filter(|part| !part.is_empty()) {
        let name = part.split(|&b| b == b'=').next().unwrap_or_default();
        let of_the_way = [&b"transport"[..], b"maddr", b"ttl", b"lr", b"method"];
        if !of_the_way.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            out.push(b';');
            out.extend_from_slice(part);
        }
    }
    // `sips:` says it already (RFC 5630 3.1.3).
    if transport != Transport::Udp && !(secure && transport == Transport::Tls) {
        out.extend_from_slice(format!(";transport={}", transport.parameter()).as_bytes());
    }
    out
}
