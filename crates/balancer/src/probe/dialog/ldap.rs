//! LDAP (RFC 4511): the root of the directory is read without a name (RFC 4512 5.1). A server that refuses that to strangers is alive too;
//! one that says busy, unavailable or unwilling is not ready.

use super::super::verdict::Verdict;
use super::{AHEAD_OF_TLS, Effect, Next};
use directory::ldap::{Filter, wire};

/// The dialog.
pub struct Ldap {
    wants_tls: bool,
    held: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StartTls,
    Root,
}

const START_TLS_ID: i32 = 1;
const ROOT_ID: i32 = 2;
const GOODBYE_ID: i32 = 3;

impl Ldap {
    pub fn new(wants_tls: bool) -> Ldap {
        Ldap { wants_tls, held: Vec::new(), state: State::Root }
    }

    pub fn begin(&mut self) -> Effect {
        if std::mem::take(&mut self.wants_tls) {
            self.state = State::StartTls;
            return Effect { send: wire::start_tls(START_TLS_ID), next: Next::Read };
        }
        self.state = State::Root;
        let filter = Filter::Present("objectClass".into());
        let root = wire::Search {
            base: "",
            below: false,
            filter: &filter,
            attributes: &["supportedLDAPVersion"],
            entries_max: 1,
            page: None,
        };
        Effect { send: wire::search(ROOT_ID, &root), next: Next::Read }
    }

    pub fn secured(&mut self) -> Effect {
        self.begin()
    }

    pub fn receive(&mut self, bytes: &[u8]) -> Effect {
        self.held.extend_from_slice(bytes);
        loop {
            let len = match wire::length(&self.held) {
                Ok(Some(len)) if len > super::HEARD_BYTES_MAX => return Effect::failed("not LDAP: too long"),
                Ok(Some(len)) if len <= self.held.len() => len,
                Ok(_) => return Effect::read(),
                Err(_) => return Effect::failed("not LDAP"),
            };
            let message: Vec<u8> = self.held.drain(..len).collect();
            match wire::answer(&message) {
                Some((id, wire::Answer::Done(done))) if id == i64::from(self.id()) => return self.done(&done),
                // A notice of disconnection has id 0 (RFC 4511 4.4.1).
                Some((0, wire::Answer::Done(done))) => return Effect::failed(&said(&done)),
                Some(_) => {}
                None => return Effect::failed("not LDAP"),
            }
        }
    }

    fn done(&mut self, done: &wire::Done) -> Effect {
        match (self.state, done.code) {
            (State::StartTls, 0) if !self.held.is_empty() => Effect::failed(AHEAD_OF_TLS),
            (State::StartTls, 0) => Effect::start_tls(),
            (State::StartTls, _) => goodbye(Verdict::failed(&said(done))),
            (State::Root, code) if is_alive(code) => goodbye(Verdict::Ready),
            (State::Root, _) => goodbye(Verdict::failed(&said(done))),
        }
    }

    fn id(&self) -> i32 {
        if self.state == State::StartTls { START_TLS_ID } else { ROOT_ID }
    }

    /// What was found already, and where the dialog is.
    pub fn end(&self) -> (Option<Verdict>, &'static str) {
        (None, if self.state == State::StartTls { "STARTTLS" } else { "reading the root" })
    }
}

/// An unbind has no answer: the server closes.
fn goodbye(found: Verdict) -> Effect {
    Effect { send: wire::unbind(GOODBYE_ID), next: Next::Over(found) }
}

/// Success, or a refusal that only says that strangers may not read.
fn is_alive(code: i64) -> bool {
    // strongerAuthRequired, confidentialityRequired, noSuchObject, inappropriateAuthentication, invalidCredentials, insufficientAccessRights
    matches!(code, 0 | 8 | 13 | 32 | 48 | 49 | 50)
}

fn said(done: &wire::Done) -> String {
    format!("LDAP result {} {}", done.code, done.text)
}
