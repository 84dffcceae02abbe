//! A caller and a host as RFC 3261 17 has them, with their own timers. Neither knows the machine.

use super::*;
use crate::sip::{Answer, Message, Method, Name, Start, ack, named, top_via};
use std::collections::BTreeMap;

pub type Out = Vec<(SocketAddr, Vec<u8>)>;

/// Something said again after pauses that grow.
#[derive(Clone, Default)]
pub struct Again {
    bytes: Vec<u8>,
    to: Option<SocketAddr>,
    next_ms: u64,
    pause_ms: u64,
    until_ms: u64,
}

impl Again {
    fn new(now_ms: u64, to: SocketAddr, bytes: &[u8]) -> Again {
        Again { bytes: bytes.to_vec(), to: Some(to), next_ms: now_ms + 500, pause_ms: 500, until_ms: now_ms + 32_000 }
    }

    fn tick(&mut self, now_ms: u64, out: &mut Out) {
        let Some(to) = self.to.filter(|_| now_ms >= self.next_ms) else { return };
        if now_ms >= self.until_ms {
            self.to = None;
            return;
        }
        out.push((to, self.bytes.clone()));
        self.pause_ms = (self.pause_ms * 2).min(4_000);
        self.next_ms = now_ms + self.pause_ms;
    }

    fn stop(&mut self) {
        self.to = None;
    }
}

/// One call of a gateway.
pub struct Caller {
    pub address: SocketAddr,
    invite: Vec<u8>,
    calling: Again,
    cancel: Again,
    hangs_up_ms: u64,
    rings: bool,
    /// Final answers, each tag once.
    pub heard: BTreeMap<Vec<u8>, u16>,
}

impl Caller {
    pub fn new(now_ms: u64, address: SocketAddr, invite: Vec<u8>, hangs_up_ms: u64, out: &mut Out) -> Caller {
        out.push((us(), invite.clone()));
        let calling = Again::new(now_ms, us(), &invite);
        Caller { address, invite, calling, cancel: Again::default(), hangs_up_ms, rings: false, heard: BTreeMap::new() }
    }

    pub fn take(&mut self, bytes: &[u8], out: &mut Out) {
        let answer = Message::parse(bytes).unwrap();
        let Start::Response { code, .. } = answer.start else { panic!("a caller gets no requests here") };
        if answer.cseq().unwrap().1 == b"CANCEL" {
            return self.cancel.stop();
        }
        self.calling.stop();
        self.rings = true;
        if code >= 200 {
            self.cancel.stop();
            self.heard.insert(answer.tag(Name::To).unwrap().to_vec(), code);
            let invite = Message::parse(&self.invite).unwrap();
            let contact = answer.list(Name::Contact).next().and_then(named);
            match contact.filter(|_| code < 300) {
                Some(contact) => {
                    let host = String::from_utf8_lossy(contact.uri).trim_start_matches("sip:").parse().unwrap();
                    let text = String::from_utf8(ack(&invite, &answer)).unwrap();
                    // An ACK to a 2xx is a transaction of its own, straight to the host.
                    out.push((host, text.replace("branch=z9hG4bK", "branch=z9hG4bKack").into_bytes()));
                }
                None => out.push((us(), ack(&invite, &answer))),
            }
        }
    }

    pub fn tick(&mut self, now_ms: u64, out: &mut Out) {
        self.calling.tick(now_ms, out);
        self.cancel.tick(now_ms, out);
        if now_ms >= self.hangs_up_ms && self.rings && self.heard.is_empty() {
            self.hangs_up_ms = u64::MAX;
            let cancel = crate::sip::cancel(&Message::parse(&self.invite).unwrap());
            out.push((us(), cancel.clone()));
            self.cancel = Again::new(now_ms, us(), &cancel);
        }
    }
}

/// What a host does with calls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Habit {
    /// Rings, and answers with this code after so many milliseconds.
    Says(u16, u64),
    /// Rings and rings.
    Rings,
    /// Is not there.
    Silent,
}

/// A host.
pub struct Host {
    pub address: SocketAddr,
    pub habit: Habit,
    pub calls: BTreeMap<Vec<u8>, Taken>,
}

/// An INVITE that a host has.
pub struct Taken {
    invite: Vec<u8>,
    last: Vec<u8>,
    says_ms: u64,
    again: Again,
    pub final_code: Option<u16>,
    pub is_acknowledged: bool,
}

impl Host {
    pub fn take(&mut self, now_ms: u64, bytes: &[u8], out: &mut Out) {
        if self.habit == Habit::Silent {
            return;
        }
        let request = Message::parse(bytes).unwrap();
        let Start::Request { method, .. } = request.start else { panic!("a host gets no answers") };
        let branch = top_via(&request).unwrap().branch().to_vec();
        match Method::of(method) {
            Method::Invite => {
                let says_ms = match self.habit {
                    Habit::Says(_, after_ms) => now_ms + after_ms,
                    _ => u64::MAX,
                };
                let invite = || Taken {
                    invite: bytes.to_vec(),
                    last: self_answer(&request, 180),
                    says_ms,
                    again: Again::default(),
                    final_code: None,
                    is_acknowledged: false,
                };
                let taken = self.calls.entry(branch).or_insert_with(invite);
                assert_eq!(taken.invite, bytes, "an INVITE again is the same");
                out.push((us(), taken.last.clone()));
            }
            Method::Cancel => {
                out.push((us(), self_answer(&request, 200)));
                if let Some(taken) = self.calls.get_mut(&branch).filter(|taken| taken.final_code.is_none()) {
                    taken.ends(now_ms, 487, out);
                }
            }
            Method::Ack => {
                let call = request.value(Name::CallId).unwrap();
                let same = |taken: &&mut Taken| {
                    let ended = taken.final_code.is_some_and(|code| code < 300);
                    ended && Message::parse(&taken.invite).unwrap().value(Name::CallId) == Some(call)
                };
                let of_branch = self.calls.contains_key(&branch);
                let found = if of_branch { self.calls.get_mut(&branch) } else { self.calls.values_mut().find(same) };
                let taken = found.expect("an ACK is for a call");
                taken.is_acknowledged = true;
                taken.again.stop();
            }
            Method::Options | Method::Other => panic!("nobody asks that here"),
        }
    }

    pub fn tick(&mut self, now_ms: u64, out: &mut Out) {
        for taken in self.calls.values_mut() {
            if let Habit::Says(code, _) = self.habit
                && taken.final_code.is_none()
                && now_ms >= taken.says_ms
            {
                taken.ends(now_ms, code, out);
            }
            taken.again.tick(now_ms, out);
        }
    }
}

impl Taken {
    fn ends(&mut self, now_ms: u64, code: u16, out: &mut Out) {
        self.last = self_answer(&Message::parse(&self.invite).unwrap(), code);
        self.final_code = Some(code);
        self.again = Again::new(now_ms, us(), &self.last);
        out.push((us(), self.last.clone()));
    }
}

/// An answer of the host that the request names.
fn self_answer(request: &Message, code: u16) -> Vec<u8> {
    let Start::Request { uri, .. } = request.start else { panic!("a request") };
    let host = crate::sip::uri(uri).map(|uri| String::from_utf8_lossy(uri.host).into_owned()).unwrap();
    Answer::new(request, us(), code).header("Contact", &format!("<sip:{host}:5060>")).finish()
}
