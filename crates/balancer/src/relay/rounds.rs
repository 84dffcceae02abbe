//! The rounds that a thread makes over its connections: who has taken too long, who has to go, whose bytes are to be told.
//!
//! Always holds: a round looks at each connection once; between two rounds no time passes unnoticed for longer than [`ROUND_MS`].

use std::os::fd::AsFd;

use super::conn::Conn;
use super::dial::fail;
use super::drive;
use super::hand::Hand;
use super::life::{Input, Phase};
use super::sockets;
use super::words::{Reason, Speech};
use crate::pool::Refused;

/// From one round to the next while there are connections.
pub(super) const ROUND_MS: u64 = 1_000;

/// Looks at one connection. False: it is over.
pub(super) fn look(conn: &mut Conn, hand: &mut Hand) -> bool {
    conn.tell();
    if !conn.is_relaying() {
        return look_at_phase(conn, hand);
    }
    if let Some(place) = &conn.place {
        place.in_transaction(conn.dialog.is_in_transaction());
    }
    let limits = &conn.here.setup.service.limits;
    let idle_ms = hand.now_ms.saturating_sub(conn.active_ms);
    if let Some(keepalive_ms) = limits.keepalive_ms {
        // Most connections end before: they are spared the calls. The client's end has it from its listener.
        if !conn.keeps_alive && idle_ms >= KEEPALIVE_AFTER_MS {
            conn.keeps_alive = true;
            if let Some(member) = &conn.member {
                // Without it the idle timeout finds a peer that is gone.
                let _ = sockets::keep_alive(member, Some(keepalive_ms));
            }
        }
    }
    if idle_ms >= limits.idle_timeout_ms {
        let may_speak = conn.dialog.is_between() && conn.down.waiting().is_empty();
        let input = if may_speak { Input::Part(Reason::Idle) } else { Input::Expired };
        return drive::step(conn, hand, input) && drive::turn(conn, hand);
    }
    hand.wake_by(conn.active_ms + conn.here.setup.service.limits.idle_timeout_ms);
    if conn.has_to_go(hand) { drain(conn, hand, idle_ms) } else { true }
}

/// Ends a connection with a word, if one is understood now: between two mails, and where nothing waits for the client. False: it is over.
pub(super) fn part(conn: &mut Conn, hand: &mut Hand) -> bool {
    let may_speak = conn.is_relaying() && conn.dialog.is_between() && conn.down.waiting().is_empty();
    !may_speak || drive::step(conn, hand, Input::Part(Reason::Draining)) && drive::turn(conn, hand)
}

/// A connection that was silent for so long gets keepalive.
const KEEPALIVE_AFTER_MS: u64 = 1_000;

fn look_at_phase(conn: &mut Conn, hand: &mut Hand) -> bool {
    if hand.now_ms < conn.deadline_ms {
        hand.wake_by(conn.deadline_ms);
        return true;
    }
    let input = match conn.life.phase() {
        Phase::Dialing if is_connected(conn) => Input::Connected,
        Phase::Dialing => fail(conn, hand, Refused::Connect),
        Phase::Awaiting | Phase::Repeating => fail(conn, hand, Refused::Silent),
        _ => Input::Expired,
    };
    drive::step(conn, hand, input) && drive::turn(conn, hand)
}

/// Where the member speaks first nobody told us that it is connected.
fn is_connected(conn: &Conn) -> bool {
    conn.here.speech.greets()
        && conn.member.as_ref().is_some_and(|member| matches!(rustix::net::getpeername(member.as_fd()), Ok(Some(_))))
}

/// What becomes of a connection that has to go. False: it is over.
fn drain(conn: &mut Conn, hand: &mut Hand, idle_ms: u64) -> bool {
    let since_ms = *conn.drain_ms.get_or_insert(hand.now_ms);
    let timing = hand.timing;
    let gone_ms = hand.now_ms.saturating_sub(since_ms);
    let may_speak = conn.dialog.is_between() && conn.down.waiting().is_empty();
    let input = if gone_ms >= timing.drain_deadline_ms.min(hand.drain_within_ms) {
        if may_speak { Input::Part(Reason::Draining) } else { Input::Expired }
    } else if conn.dialog.is_opaque() {
        if idle_ms < timing.drain_opaque_ms {
            return true;
        }
        Input::Expired
    } else if conn.may_stay(hand) && conn.may_change() {
        Input::Change
    } else if conn.here.speech == Speech::Smtp {
        // A client must not lose a transaction that it is about to begin: 421 is the answer to its next command between two of them
        // (RFC 5321 3.8). Whether it is between them now does not matter: a round may meet a quick session in a command each time.
        let changes = conn.may_stay(hand) && conn.is_changeable();
        conn.parts |= changes || idle_ms >= timing.drain_idle_ms || gone_ms >= timing.drain_busy_ms;
        return true;
    } else if !may_speak {
        return true;
    } else if idle_ms >= timing.drain_idle_ms {
        Input::Part(Reason::Draining)
    } else {
        return true;
    };
    drive::step(conn, hand, input) && drive::turn(conn, hand)
}
