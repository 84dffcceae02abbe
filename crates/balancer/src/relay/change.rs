//! A session goes on with another member: the first one drains, says that it goes out of service, or is gone between two commands.
//!
//! Knows no order of things; what has to be said is [`super::replay`]'s. Always holds: the client hears nothing of it; the other member is
//! told no more than the client has said.

use rustix::net::{SendFlags, send};

use super::conn::Conn;
use super::dial::fail;
use super::dialog::Dialog;
use super::greeting::{self, GREETING_BYTES_MAX, Greeting};
use super::hand::Hand;
use super::life::Input;
use super::way::Moved;
use crate::pool::{Refused, Tried};
use std::os::fd::AsFd;

/// Leaves the member for another one.
pub(super) fn leave(conn: &mut Conn, hand: &mut Hand) {
    if let Some(member) = &conn.member
        && conn.dialog.is_between()
    {
        // A polite end; a member that is gone does not hear it.
        let _ = send(member, b"QUIT\r\n", SendFlags::NOSIGNAL);
    }
    conn.tried = conn.place.as_ref().map_or_else(Tried::new, |place| Tried::without(place.member()));
    conn.replay.change();
    conn.leave_member(hand);
    conn.parts = false;
    conn.drain_ms = None;
}

/// The other member has greeted: it gets the client's greeting. `Some`: the client has not greeted yet.
pub(super) fn say_hello(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    if let Some(place) = &conn.place {
        place.greeted(hand.now_ms, hand.now_us.saturating_sub(conn.dialed_us));
        conn.deadline_ms = hand.now_ms + place.member().greeting_timeout_ms;
        hand.wake_by(conn.deadline_ms);
    }
    // Its greeting is not for the client, who has heard one.
    conn.down.release(&mut hand.tools);
    let hello = conn.replay.hello();
    if hello.is_empty() {
        return Some(Input::Repeated);
    }
    conn.up.put(&mut hand.tools, |out| out.extend_from_slice(hello));
    None
}

/// Waits for the answer to that.
pub(super) fn await_offer(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    let member = conn.member.as_ref()?;
    if conn.up.flush(member.as_fd(), &mut hand.tools) == Moved::SinkLost {
        return Some(fail(conn, hand, Refused::Closed));
    }
    while conn.down.is_readable() {
        let member = conn.member.as_ref()?;
        let refused = match conn.down.hold(member.as_fd(), &mut hand.tools, GREETING_BYTES_MAX) {
            Ok(None) => return None,
            Ok(Some(0)) | Err(_) => Refused::Closed,
            Ok(Some(_)) => match greeting::read(conn.here.speech, conn.down.waiting()) {
                Greeting::More => continue,
                Greeting::Good if conn.replay.is_same_offer(conn.down.waiting()) => return Some(Input::Repeated),
                Greeting::Good => {
                    // It does nothing wrong: it is only not the same.
                    conn.leave_member(hand);
                    return Some(Input::Failed);
                }
                Greeting::Refused(code) => Refused::Greeting(code),
                Greeting::Strange => Refused::Greeting(0),
            },
        };
        return Some(fail(conn, hand, refused));
    }
    None
}

/// The other member stands where the first one stood: it gets the commands that wait for an answer.
pub(super) fn go_on(conn: &mut Conn, hand: &mut Hand) {
    conn.down.release(&mut hand.tools);
    conn.here.counts.changed();
    conn.dialog = Dialog::new(conn.here.speech);
    let asked = conn.replay.asked();
    if !asked.is_empty() {
        conn.dialog.up(asked);
        conn.up.put(&mut hand.tools, |out| out.extend_from_slice(asked));
    }
    hand.wake_by(hand.now_ms + conn.here.setup.service.limits.idle_timeout_ms);
}
