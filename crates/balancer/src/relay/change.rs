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
    conn.replay.change(conn.dialog.is_between());
    conn.leave_member(hand);
    conn.parts = false;
    conn.drain_ms = None;
}

/// The other member has greeted: it gets the client's greeting.
pub(super) fn say_hello(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    if let Some(place) = &conn.place {
        place.greeted(hand.now_ms, hand.now_us.saturating_sub(conn.dialed_us));
        conn.deadline_ms = hand.now_ms + place.member().greeting_timeout_ms;
        hand.wake_by(conn.deadline_ms);
    }
    // Its greeting is not for the client, who has heard one.
    conn.down.release(&mut hand.tools);
    let hello = conn.replay.hello();
    conn.hears_offer = !hello.is_empty();
    if hello.is_empty() {
        return say_envelope(conn, hand);
    }
    conn.up.put(&mut hand.tools, |out| out.extend_from_slice(hello));
    None
}

/// It gets the commands that the first one had answered with yes. `Some`: there are none.
fn say_envelope(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    let asked = conn.replay.asked(conn.dialog.pending());
    conn.owed = asked.answered;
    if conn.owed == 0 {
        return Some(Input::Repeated);
    }
    conn.up.put(&mut hand.tools, |out| out.extend_from_slice(asked.before));
    None
}

/// Waits for its answers.
pub(super) fn await_answers(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    loop {
        let member = conn.member.as_ref()?;
        if conn.up.flush(member.as_fd(), &mut hand.tools) == Moved::SinkLost {
            return Some(fail(conn, hand, Refused::Closed));
        }
        if !conn.down.is_readable() {
            return None;
        }
        let refused = match conn.down.hold(member.as_fd(), &mut hand.tools, GREETING_BYTES_MAX) {
            Ok(None) => return None,
            Ok(Some(0)) | Err(_) => Refused::Closed,
            Ok(Some(_)) if conn.hears_offer => match greeting::read(conn.here.speech, conn.down.waiting()) {
                Greeting::More => continue,
                Greeting::Good if conn.replay.has_all_offered(conn.down.waiting()) => {
                    conn.down.release(&mut hand.tools);
                    conn.hears_offer = false;
                    match say_envelope(conn, hand) {
                        None => continue,
                        repeated => return repeated,
                    }
                }
                Greeting::Good => return Some(pass_over(conn, hand)),
                Greeting::Refused(code) => Refused::Greeting(code),
                Greeting::Strange => Refused::Greeting(0),
            },
            Ok(Some(_)) => match answers(conn.down.waiting(), conn.owed) {
                Some(true) => return Some(Input::Repeated),
                Some(false) => return Some(pass_over(conn, hand)),
                None => continue,
            },
        };
        return Some(fail(conn, hand, refused));
    }
}

/// It does nothing wrong: it only offers less.
fn pass_over(conn: &mut Conn, hand: &mut Hand) -> Input {
    conn.leave_member(hand);
    Input::Failed
}

/// Whether these are so many whole answers that say yes; nobody can tell yet, or one is something else.
fn answers(said: &[u8], owed: usize) -> Option<bool> {
    let mut whole = 0;
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        if line.first() != Some(&b'2') {
            return Some(false);
        }
        whole += usize::from(line.ends_with(b"\n") && line.get(3) != Some(&b'-'));
    }
    if said.len() >= GREETING_BYTES_MAX || whole > owed {
        return Some(false);
    }
    (whole == owed).then_some(true)
}

/// The other member stands where the first one stood: it gets the commands that wait for an answer.
pub(super) fn go_on(conn: &mut Conn, hand: &mut Hand) {
    conn.down.release(&mut hand.tools);
    let asked = conn.replay.asked(conn.dialog.pending());
    let mut dialog = Dialog::new(conn.here.speech);
    dialog.up(asked.before);
    (0..asked.answered).for_each(|_| dialog.down(b"250 \r\n"));
    dialog.up(asked.open);
    if !asked.open.is_empty() {
        conn.up.put(&mut hand.tools, |out| out.extend_from_slice(asked.open));
    }
    conn.dialog = dialog;
    hand.wake_by(hand.now_ms + conn.here.setup.service.limits.idle_timeout_ms);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_whole_and_say_yes() {
        for (said, owed, is) in [
            ("", 1, None),
            ("250", 1, None),
            ("250 ok\r\n", 1, Some(true)),
            ("250-o\r\n250 k\r\n", 1, Some(true)),
            ("250 ok\r\n25", 2, None),
            ("250 ok\r\n251 ok\r\n", 2, Some(true)),
            ("250 ok\r\n550 no", 2, Some(false)),
            ("4", 1, Some(false)),
            ("250 ok\r\n250 what\r\n", 1, Some(false)),
        ] {
            assert_eq!(answers(said.as_bytes(), owed), is, "{said:?}");
        }
    }
}
