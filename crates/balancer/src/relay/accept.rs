//! Clients that come: accepted, admitted or refused, and given a connection.
//!
//! Always holds: out of descriptors, accepting pauses and goes on by itself; who is refused here costs no slot.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, acceptfrom_with, getsockname, recv, send, shutdown};
use tracing::warn;

use super::conn::{Conn, Stage};
use super::dialog::Dialog;
use super::drive;
use super::hand::Hand;
use super::here::Here;
use super::life::Life;
use super::poll::{Interest, Token};
use super::replay::Replay;
use super::rounds::ROUND_MS;
use super::secure::Secure;
use super::slab::Slab;
use super::way::Way;
use super::words::Reason;
use crate::pool::Tried;

/// A socket that a thread accepts from.
pub(super) struct Listener {
    pub(super) here: Rc<Here>,
    /// What the service asks for; `address` has the port that was chosen if it asks for any.
    pub(super) asked: SocketAddr,
    pub(super) address: SocketAddr,
    pub(super) socket: OwnedFd,
    /// When accepting goes on.
    pub(super) paused_ms: Option<u64>,
}

/// Clients accepted in one turn.
const ACCEPTED_MAX: usize = 4;
/// More than a socket's queue holds.
const REST_MAX: usize = 16 * 1024;
/// How long accepting pauses when there are no descriptors.
const PAUSE_MS: u64 = 100;

/// Takes who waits.
pub(super) fn accept(listener: &mut Listener, hand: &mut Hand, slab: &mut Slab<Conn>) {
    // One wake is often one client: a further call would only say that there is nobody, and whoever is left wakes us again.
    let most = if slab.len() < BUSY_CONNECTIONS { 1 } else { ACCEPTED_MAX };
    accept_some(listener, hand, slab, most);
}

/// Takes everybody who waits: the socket is about to be closed.
pub(super) fn accept_rest(listener: &mut Listener, hand: &mut Hand, slab: &mut Slab<Conn>) {
    accept_some(listener, hand, slab, REST_MAX);
}

fn accept_some(listener: &mut Listener, hand: &mut Hand, slab: &mut Slab<Conn>, most: usize) {
    for _ in 0..most {
        match acceptfrom_with(&listener.socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
            Ok((client, source)) => {
                let source = source.and_then(|source| SocketAddr::try_from(source).ok());
                if let Some(source) = source {
                    take(listener, client, source, hand, slab);
                }
            }
            Err(Errno::AGAIN) => return,
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                pause(listener, hand);
                return;
            }
            // The client gave up before we took it; and whatever else accept(2) passes on of one connection.
            Err(_) => {}
        }
    }
}

/// With fewer connections than this, accepting is done one by one.
const BUSY_CONNECTIONS: usize = 8;

fn pause(listener: &mut Listener, hand: &mut Hand) {
    if listener.paused_ms.is_none() && listener.here.admission.is_news(listener.address.ip(), hand.now_ms) {
        warn!(
            service = %listener.here.setup.service.name,
            "no connection can be taken now: no descriptors or memory; raise LimitNOFILE if this stays"
        );
    }
    hand.poll.remove(&listener.socket);
    listener.paused_ms = Some(hand.now_ms + PAUSE_MS);
    hand.wake_by(hand.now_ms + PAUSE_MS);
}

/// Goes on accepting when the pause is over.
pub(super) fn resume(number: u32, listener: &mut Listener, hand: &mut Hand) {
    let Some(paused_ms) = listener.paused_ms else { return };
    if hand.now_ms >= paused_ms && hand.poll.add_level(&listener.socket, Token::Listener(number)).is_ok() {
        listener.paused_ms = None;
    } else {
        hand.wake_by(hand.now_ms + PAUSE_MS);
    }
}

/// Whether a client from here is served at all.
pub(super) fn may_come(here: &Here, hand: &Hand, source: IpAddr) -> Result<(), Reason> {
    let source = source.to_canonical();
    let setup = &here.setup;
    if !setup.service.remote.contains(source) {
        return Err(Reason::NotAllowed);
    }
    if !source.is_loopback() && setup.own_servers.contains(&source) {
        if here.admission.is_news(source, hand.now_ms) {
            warn!(
                service = %setup.service.name,
                client = %source,
                rule = "own servers do not pass the balancer",
                "one of our own servers connected to a service; servers reach each other by their own names, see docs/operating/one-name-for-many-hubs.md"
            );
        }
        return Err(Reason::OwnServer);
    }
    Ok(())
}

fn take(listener: &Listener, client: OwnedFd, source: SocketAddr, hand: &mut Hand, slab: &mut Slab<Conn>) {
    let here = &listener.here;
    here.counts.accepted();
    let is_proxy = here.setup.trusted_proxies.contains(source.ip());
    let allowed = if is_proxy { Ok(()) } else { may_come(here, hand, source.ip()) };
    let admitted = allowed.and_then(|()| here.admission.admit()).and_then(|mut admitted| {
        if !is_proxy {
            admitted.comes_from(source.ip().to_canonical())?;
        }
        Ok(admitted)
    });
    let admitted = match admitted {
        Ok(admitted) => admitted,
        Err(reason) => return turn_away(here, &client, reason, hand),
    };
    let stage = here.first_stage(is_proxy);
    let secure = match &here.setup.tls {
        None => None,
        Some(config) => match Secure::new(config) {
            Some(secure) => Some(Box::new(secure)),
            None => return turn_away(here, &client, Reason::AllDown, hand),
        },
    };
    let destination = destination(listener, &client);
    let greets = here.speech.greets();
    let retries = u8::try_from(here.setup.service.limits.retries).unwrap_or(u8::MAX);
    let (life, effect) = Life::new(stage != Stage::None, greets, retries);
    let slot = slab.insert(|slot, number| Conn {
        slot,
        number,
        here: Rc::clone(here),
        life,
        client,
        member: None,
        dial: 0,
        place: None,
        tried: Tried::new(),
        up: Way::default(),
        down: Way::default(),
        dialog: Dialog::new(here.speech),
        replay: Replay::new(),
        owed: 0,
        hears_offer: false,
        secure,
        source,
        destination,
        server_name: None,
        stage,
        admitted,
        accepted_us: hand.now_us,
        dialed_us: hand.now_us,
        active_ms: hand.now_ms,
        deadline_ms: hand.now_ms + hand.timing.opening_ms,
        drain_ms: None,
        parts: false,
        keeps_alive: false,
        client_writes: false,
        member_writes: false,
        is_again: false,
        told: (0, 0),
    });
    let Some(conn) = slab.get(slot) else { return };
    hand.wake_by(hand.now_ms + ROUND_MS);
    let watched = hand.poll.add(conn.client.as_fd(), conn.client_token(), Interest::Read);
    let lives = watched.is_ok() && drive::effect(conn, hand, effect) && drive::turn(conn, hand);
    if !lives && let Some(conn) = slab.remove(slot) {
        conn.end(hand);
    }
}

/// Where the client connected to. A listener at all addresses does not know; only members with a PROXY header do care.
fn destination(listener: &Listener, client: &OwnedFd) -> SocketAddr {
    if !listener.address.ip().is_unspecified() {
        return listener.address;
    }
    let own = getsockname(client).ok().and_then(|own| SocketAddr::try_from(own).ok());
    own.unwrap_or(listener.address)
}

/// Says why not, if the protocol has words for it, and closes.
fn turn_away(here: &Here, client: &OwnedFd, reason: Reason, hand: &mut Hand) {
    here.counts.refused(reason);
    here.counts.ended();
    if reason == Reason::NotAllowed || here.setup.tls.is_some() {
        return;
    }
    let mut words = std::mem::take(&mut hand.words);
    words.clear();
    here.speech.say(&mut words, &here.setup.service.hostname, reason);
    if !words.is_empty() {
        // A client that has spoken already would otherwise lose the words to a reset.
        let _ = recv(client, &mut hand.tools.buffer[..], RecvFlags::empty());
        let _ = send(client, &words, SendFlags::NOSIGNAL);
        let _ = shutdown(client, Shutdown::Write);
    }
    hand.words = words;
}
