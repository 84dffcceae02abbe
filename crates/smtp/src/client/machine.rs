//! The session around the transactions: greeting, hello, STARTTLS, AUTH, QUIT.
//!
//! Always holds: nothing of a message is sent before the peer has given all that the settings require.

use super::capabilities::Capabilities;
use super::command;
use super::event::{Ending, Event, Stage};
use super::outgoing::Outgoing;
use super::pipeline::Pipeline;
use super::reply::Heard;
use super::stuff::BodyEnd;
use super::{Output, Protocol, Settings, StartTls};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use mail::Reply;

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Greeting,
    /// EHLO or LHLO was sent.
    Ehlo,
    /// HELO was sent because EHLO was not understood.
    Helo,
    StartTls,
    Handshake,
    /// AUTH PLAIN was sent with its response.
    Auth,
    /// The response was sent once more, because the peer asked for it.
    AuthAgain,
    Open,
    Quitting,
    Over,
}

pub(super) struct Machine<M> {
    settings: Settings,
    phase: Phase,
    secure: bool,
    quit_wanted: bool,
    tls_refused: Option<Reply>,
    pipeline: Pipeline<M>,
    events: VecDeque<Event<M>>,
}

impl<M: Outgoing> Machine<M> {
    pub fn new(settings: Settings) -> Machine<M> {
        Machine {
            pipeline: Pipeline::new(settings.protocol, settings.in_flight_max, settings.eager_bytes_max),
            settings,
            phase: Phase::Greeting,
            secure: false,
            quit_wanted: false,
            tls_refused: None,
            events: VecDeque::new(),
        }
    }

    pub fn is_over(&self) -> bool {
        self.phase == Phase::Over
    }

    pub fn in_handshake(&self) -> bool {
        self.phase == Phase::Handshake
    }

    pub fn tls_started(&mut self) {
        self.secure = true;
        self.hello();
    }

    /// One reply from the peer.
    pub fn heard(&mut self, heard: &Heard<'_>) {
        match self.phase {
            Phase::Greeting if heard.is_positive() => self.hello(),
            Phase::Greeting => self.refused(Stage::Greeting, heard),
            Phase::Ehlo if heard.is_positive() => {
                self.pipeline.offers = Capabilities::read(heard);
                self.secure_or_open();
            }
            // A server from before 1995 (RFC 5321 3.2); LMTP has no older form.
            Phase::Ehlo if heard.code / 100 == 5 && self.settings.protocol == Protocol::Smtp => self.helo(),
            Phase::Helo if heard.is_positive() => self.secure_or_open(),
            Phase::Ehlo | Phase::Helo => self.refused(Stage::Hello, heard),
            Phase::StartTls if heard.is_positive() => {
                self.phase = Phase::Handshake;
                self.events.push_back(Event::StartTls);
            }
            Phase::StartTls if self.settings.start_tls == StartTls::Required => {
                self.end(Ending::NoTls(Some(heard.to_reply())));
            }
            Phase::StartTls => {
                self.tls_refused = Some(heard.to_reply());
                self.authenticate_or_open();
            }
            Phase::Auth | Phase::AuthAgain if heard.is_positive() => self.open(),
            // The peer wants the response by itself (RFC 4954 4).
            Phase::Auth if heard.code == 334 => self.auth_response(),
            Phase::Auth | Phase::AuthAgain => self.refused(Stage::Auth, heard),
            Phase::Open => {
                if let Err(ending) = self.pipeline.heard(heard, &mut self.events) {
                    self.end(ending);
                }
            }
            Phase::Quitting => self.end(Ending::Quit),
            Phase::Handshake | Phase::Over => {}
        }
        self.quit_when_idle();
    }

    /// The session ends here, for this reason; every message that is in it comes out.
    pub fn end(&mut self, ending: Ending) {
        if self.phase == Phase::Over {
            return;
        }
        // A peer that hangs up instead of answering QUIT has done what we asked for.
        let ending = if self.phase == Phase::Quitting { Ending::Quit } else { ending };
        self.phase = Phase::Over;
        self.pipeline.abandon(&ending, &mut self.events);
        self.events.push_back(Event::Over(ending));
    }

    pub fn wants(&self) -> usize {
        if self.phase == Phase::Open && !self.quit_wanted { self.pipeline.wants() } else { 0 }
    }

    pub fn send(&mut self, message: M) {
        if self.wants() == 0 {
            self.events.push_back(Event::Returned(message));
        } else {
            self.pipeline.send(message, &mut self.events);
        }
    }

    pub fn next_output(&mut self) -> Option<Output> {
        if self.phase == Phase::Over {
            return None;
        }
        self.pipeline.next_output()
    }

    pub fn sending(&self) -> Option<&M> {
        self.pipeline.sending()
    }

    pub fn body_sent(&mut self, end: BodyEnd) {
        self.pipeline.body_sent(end, &mut self.events);
    }

    pub fn poll_event(&mut self) -> Option<Event<M>> {
        self.events.pop_front()
    }

    pub fn quit(&mut self) {
        self.quit_wanted = true;
        self.quit_when_idle();
    }

    pub fn awaits(&self) -> Option<Stage> {
        match self.phase {
            Phase::Greeting => Some(Stage::Greeting),
            Phase::Ehlo | Phase::Helo | Phase::Quitting => Some(Stage::Hello),
            Phase::StartTls | Phase::Handshake => Some(Stage::Tls),
            Phase::Auth | Phase::AuthAgain => Some(Stage::Auth),
            Phase::Open => self.pipeline.awaits(),
            Phase::Over => None,
        }
    }

    pub fn in_flight(&self) -> usize {
        self.pipeline.in_flight()
    }

    pub fn capabilities(&self) -> &Capabilities {
        &self.pipeline.offers
    }

    pub fn tls_refused(&self) -> Option<&Reply> {
        self.tls_refused.as_ref()
    }

    fn hello(&mut self) {
        self.pipeline.offers = Capabilities::default();
        let verb = match self.settings.protocol {
            Protocol::Smtp => "EHLO ",
            Protocol::Lmtp => "LHLO ",
        };
        self.phase = Phase::Ehlo;
        self.write(&[verb.as_bytes(), self.settings.hello.clone().as_bytes()]);
    }

    fn helo(&mut self) {
        self.phase = Phase::Helo;
        self.write(&[b"HELO ", self.settings.hello.clone().as_bytes()]);
    }

    fn secure_or_open(&mut self) {
        let offered = self.pipeline.offers.start_tls;
        match self.settings.start_tls {
            _ if self.secure => self.authenticate_or_open(),
            StartTls::IfOffered | StartTls::Required if offered => {
                self.phase = Phase::StartTls;
                self.write(&[b"STARTTLS"]);
            }
            StartTls::Required => self.end(Ending::NoTls(None)),
            StartTls::Never | StartTls::IfOffered => self.authenticate_or_open(),
        }
    }

    /// A password never goes over clear text.
    fn authenticate_or_open(&mut self) {
        if self.settings.credentials.is_none() {
            return self.open();
        }
        if !self.secure || !self.pipeline.offers.auth_plain {
            return self.end(Ending::NoAuth);
        }
        self.phase = Phase::Auth;
        let response = self.plain_response();
        self.write(&[b"AUTH PLAIN ", &response]);
    }

    fn auth_response(&mut self) {
        self.phase = Phase::AuthAgain;
        let response = self.plain_response();
        self.write(&[&response]);
    }

    fn plain_response(&self) -> Vec<u8> {
        let mut response = Vec::new();
        if let Some(credentials) = &self.settings.credentials {
            command::plain_response(&mut response, &credentials.username, &credentials.password);
        }
        response
    }

    fn open(&mut self) {
        self.phase = Phase::Open;
        self.events.push_back(Event::Ready);
    }

    fn refused(&mut self, stage: Stage, heard: &Heard<'_>) {
        self.end(Ending::Refused(stage, heard.to_reply()));
    }

    fn quit_when_idle(&mut self) {
        if self.quit_wanted && self.phase == Phase::Open && self.pipeline.in_flight() == 0 {
            self.phase = Phase::Quitting;
            self.write(&[b"QUIT"]);
        }
    }

    fn write(&mut self, words: &[&[u8]]) {
        for word in words {
            self.pipeline.text.extend_from_slice(word);
        }
        self.pipeline.text.extend_from_slice(b"\r\n");
    }
}
