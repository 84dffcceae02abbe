//! One connection: both ends, and what is known of it.
//!
//! Owns the descriptors, the place at the member and the bytes that wait. Knows not what is to be done: that is [`super::life`].
//! Always holds: whatever way a connection ends, its place is given back, and every byte that passed is counted once.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::admission::Admitted;
use super::dialog::Dialog;
use super::hand::Hand;
use super::here::Here;
use super::life::{Life, Phase};
use super::poll::{Interest, Ready, Token};
use super::replay::Replay;
use super::secure::Secure;
use super::way::Way;
use super::words::Speech;
use crate::pool::{Place, Tried};

pub(super) struct Conn {
    pub(super) slot: u32,
    pub(super) number: u16,
    pub(super) here: Rc<Here>,
    pub(super) life: Life,
    pub(super) client: OwnedFd,
    pub(super) member: Option<OwnedFd>,
    /// Members dialed so far.
    pub(super) dial: u8,
    pub(super) place: Option<Place>,
    pub(super) tried: Tried,
    /// From the client to the member.
    pub(super) up: Way,
    /// From the member to the client.
    pub(super) down: Way,
    pub(super) dialog: Dialog,
    /// What another member would have to be told.
    pub(super) replay: Replay,
    /// Answers of another member that have to come, and be yes, before it stands where the first one stood.
    pub(super) owed: usize,
    /// Before these, what it offers.
    pub(super) hears_offer: bool,
    pub(super) secure: Option<Box<Secure>>,
    /// The client, as a trusted proxy says or as we see it.
    pub(super) source: SocketAddr,
    /// Where the client connected to.
    pub(super) destination: SocketAddr,
    /// The name in its TLS greeting.
    pub(super) server_name: Option<Box<str>>,
    pub(super) stage: Stage,
    pub(super) admitted: Admitted,
    pub(super) accepted_us: u64,
    pub(super) dialed_us: u64,
    /// The latest byte or event.
    pub(super) active_ms: u64,
    /// When the present phase has taken too long; not while relaying.
    pub(super) deadline_ms: u64,
    /// When it was first seen that this connection has to go.
    pub(super) drain_ms: Option<u64>,
    /// The next command is answered with 421.
    pub(super) parts: bool,
    pub(super) keeps_alive: bool,
    /// Writing is watched at this end.
    pub(super) client_writes: bool,
    pub(super) member_writes: bool,
    /// It is on the list of those that can go on.
    pub(super) is_again: bool,
    /// Bytes that were told to the counters.
    pub(super) told: (u64, u64),
}

/// What has to come from the client before a member is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    ProxyHeader,
    TlsName,
    Handshake,
    None,
}

impl Conn {
    pub(super) fn client_token(&self) -> Token {
        Token::Client { slot: self.slot, life: self.number }
    }

    pub(super) fn member_token(&self) -> Token {
        Token::Member { slot: self.slot, life: self.number, dial: self.dial }
    }

    pub(super) fn client_is(&mut self, ready: Ready) {
        self.up.source_is(ready);
        self.down.sink_is(ready);
    }

    pub(super) fn member_is(&mut self, ready: Ready) {
        self.down.source_is(ready);
        self.up.sink_is(ready);
    }

    /// Asks to be told when an end that did not take all can take more.
    pub(super) fn watch_writing(&mut self, hand: &mut Hand) {
        if self.down.is_blocked() && !self.client_writes {
            self.client_writes = true;
            // An end that cannot be watched is found by its timeout.
            let _ = hand.poll.change(&self.client, self.client_token(), Interest::ReadWrite);
        }
        if self.up.is_blocked()
            && !self.member_writes
            && let Some(member) = &self.member
        {
            self.member_writes = true;
            let _ = hand.poll.change(member, self.member_token(), Interest::ReadWrite);
        }
    }

    /// Tells the counters what passed since the last time.
    pub(super) fn tell(&mut self) {
        let now = (self.up.bytes(), self.down.bytes());
        let (up, down) = (now.0 - self.told.0, now.1 - self.told.1);
        if up + down == 0 {
            return;
        }
        self.told = now;
        if let Some(place) = &self.place {
            place.moved(up, down);
        }
    }

    /// Gives the member up: what came from it and what waits for it is forgotten.
    pub(super) fn leave_member(&mut self, hand: &mut Hand) {
        self.tell();
        self.member = None;
        self.place = None;
        self.up.new_sink(&mut hand.tools);
        self.down.new_source(&mut hand.tools);
        self.member_writes = false;
    }

    /// The last that is done with it.
    pub(super) fn end(mut self, hand: &mut Hand) {
        self.tell();
        self.up.release(&mut hand.tools);
        self.down.release(&mut hand.tools);
        self.here.counts.ended();
    }

    /// Another member could go on with it now.
    pub(super) fn may_change(&self) -> bool {
        self.is_changeable()
            && self.down.waiting().is_empty()
            && !self.dialog.is_mid_answer()
            && self.replay.may_change(self.dialog.is_between())
    }

    /// Another member could go on with it as soon as it is between two commands.
    pub(super) fn is_changeable(&self) -> bool {
        self.here.speech == Speech::Smtp
            && self.secure.is_none()
            && !self.dialog.is_opaque()
            && !self.dialog.has_quit()
            && self.replay.is_free()
            && self.life.up_is_open()
            && self.life.down_is_open()
    }

    /// What has to go has to leave its member only, and may stay with us.
    pub(super) fn may_stay(&self, hand: &Hand) -> bool {
        !self.here.admission.is_closed() && !hand.drains
    }

    /// A member drains, the service is closed, or the relay ends: this connection has to go.
    pub(super) fn has_to_go(&self, hand: &Hand) -> bool {
        let drained = self.place.as_ref().is_some_and(|place| place.member().is_drained());
        drained || self.here.admission.is_closed() || hand.drains
    }

    pub(super) fn is_relaying(&self) -> bool {
        self.life.phase() == Phase::Relaying
    }
}
