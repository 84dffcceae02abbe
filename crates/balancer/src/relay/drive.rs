//! What a connection does when something happened: asks its life what is next, and does it.
//!
//! Owns no decision: [`Life`](super::life::Life) decides. Always holds: a turn ends when nothing can be done without waiting, or when it is
//! the turn of others.

use std::os::fd::AsFd;

use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};

use super::change;
use super::conn::Conn;
use super::dial::{dial, fail};
use super::dialog::Dialog;
use super::greeting::{self, GREETING_BYTES_MAX, Greeting};
use super::hand::Hand;
use super::life::{Effect, Input, Phase};
use super::opening;
use super::poll::Ready;
use super::replay::Replay;
use super::way::Moved;
use super::words::{Reason, Speech};
use crate::pool::Refused;

/// Something was told of the client's end. False: the connection is over.
pub(super) fn client_event(conn: &mut Conn, hand: &mut Hand, ready: Ready) -> bool {
    conn.client_is(ready);
    conn.active_ms = hand.now_ms;
    let waits = matches!(conn.life.phase(), Phase::Dialing | Phase::Awaiting | Phase::Repeating);
    if waits && ready.broken && !step(conn, hand, Input::ClientLost) {
        return false;
    }
    if waits && ready.ending {
        let mut one = [0; 1];
        let waiting = matches!(recv(&conn.client, &mut one[..], RecvFlags::PEEK), Ok((1, _)));
        if !step(conn, hand, Input::ClientEnded { waiting }) {
            return false;
        }
    }
    turn(conn, hand)
}

/// Something was told of the member's end. False: the connection is over.
pub(super) fn member_event(conn: &mut Conn, hand: &mut Hand, ready: Ready) -> bool {
    conn.member_is(ready);
    conn.active_ms = hand.now_ms;
    if conn.life.phase() == Phase::Dialing {
        let input = if ready.broken { fail(conn, hand, Refused::Connect) } else { Input::Connected };
        if !step(conn, hand, input) {
            return false;
        }
    }
    turn(conn, hand)
}

/// Does what can be done without waiting. False: the connection is over.
pub(super) fn turn(conn: &mut Conn, hand: &mut Hand) -> bool {
    loop {
        let input = match conn.life.phase() {
            Phase::Opening => opening::turn(conn, hand),
            Phase::Dialing => None,
            Phase::Awaiting => await_greeting(conn, hand),
            Phase::Repeating => change::await_answers(conn, hand),
            Phase::Relaying => relay(conn, hand),
            Phase::Parting => discard(conn, hand),
            Phase::Done => return false,
        };
        let Some(input) = input else {
            conn.watch_writing(hand);
            return true;
        };
        if !step(conn, hand, input) {
            return false;
        }
    }
}

/// Tells the life what happened and does what it answers. False: the connection is over.
pub(super) fn step(conn: &mut Conn, hand: &mut Hand, input: Input) -> bool {
    let next = conn.life.step(input);
    effect(conn, hand, next)
}

/// Does what the life answered. False: the connection is over.
pub(super) fn effect(conn: &mut Conn, hand: &mut Hand, mut effect: Effect) -> bool {
    loop {
        match effect {
            Effect::None => return true,
            Effect::Choose | Effect::Change => {
                if effect == Effect::Change {
                    change::leave(conn, hand);
                }
                match dial(conn, hand) {
                    None => return true,
                    Some(input) => effect = conn.life.step(input),
                }
            }
            Effect::Repeat => match change::say_hello(conn, hand) {
                None => return true,
                Some(input) => effect = conn.life.step(input),
            },
            Effect::GoOn => {
                change::go_on(conn, hand);
                return true;
            }
            Effect::Await => {
                let limit_ms = conn.place.as_ref().map_or(0, |place| place.member().greeting_timeout_ms);
                conn.deadline_ms = hand.now_ms + limit_ms;
                hand.wake_by(conn.deadline_ms);
                return true;
            }
            Effect::Relay => {
                begin(conn, hand);
                return true;
            }
            Effect::Refuse(reason) => return refuse(conn, hand, reason),
            Effect::EndMember => {
                if let Some(member) = &conn.member {
                    // A member that is gone is found by reading.
                    let _ = shutdown(member, Shutdown::Write);
                }
                return true;
            }
            Effect::EndClient => {
                let _ = shutdown(&conn.client, Shutdown::Write);
                return true;
            }
            Effect::Close => return false,
        }
    }
}

/// A member serves: from here on bytes pass.
fn begin(conn: &mut Conn, hand: &mut Hand) {
    if let Some(place) = &conn.place {
        place.greeted(hand.now_ms, hand.now_us.saturating_sub(conn.dialed_us));
    }
    conn.here.counts.relayed(hand.now_us.saturating_sub(conn.accepted_us));
    hand.wake_by(hand.now_ms + conn.here.setup.service.limits.idle_timeout_ms);
    if conn.secure.is_none() && conn.dialog.is_opaque() && conn.up.is_readable() && !conn.up.waiting().is_empty() {
        // The PROXY header and the client's first bytes go in one packet. What is wrong with the client is told by the next read.
        let _ = conn.up.hold(conn.client.as_fd(), &mut hand.tools, FIRST_BYTES_MAX);
    }
}

/// The client's first bytes that go with a PROXY header.
const FIRST_BYTES_MAX: usize = 4 * 1024;

fn await_greeting(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
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
                Greeting::Good => return Some(Input::Greeted),
                Greeting::Refused(code) => Refused::Greeting(code),
                Greeting::Strange => Refused::Greeting(0),
            },
        };
        return Some(fail(conn, hand, refused));
    }
    None
}

fn relay(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    if conn.life.down_is_open() {
        match pump_down(conn, hand) {
            Moved::Waits => {}
            Moved::Again => again(conn, hand),
            Moved::Stopped => return Some(Input::Change),
            Moved::Ended | Moved::SourceLost if conn.may_change() => return Some(Input::Change),
            Moved::Ended => return Some(Input::DownPassed { quit: conn.dialog.has_quit() }),
            Moved::SourceLost => return Some(Input::MemberLost),
            Moved::SinkLost => return Some(Input::ClientLost),
        }
    }
    if !conn.life.up_is_open() {
        return None;
    }
    match pump_up(conn, hand) {
        Moved::Waits => None,
        Moved::Again => {
            again(conn, hand);
            None
        }
        Moved::Ended => Some(Input::UpPassed),
        Moved::SourceLost => Some(Input::ClientLost),
        Moved::SinkLost => {
            // Its last words may still be there to be read; if not, reading says that it is broken.
            conn.down.source_is(Ready { readable: true, ending: true, ..Ready::default() });
            if conn.life.down_is_open() { relay(conn, hand) } else { None }
        }
        Moved::Stopped if conn.may_change() => Some(Input::Change),
        Moved::Stopped => Some(Input::Part(Reason::Draining)),
    }
}

fn pump_up(conn: &mut Conn, hand: &mut Hand) -> Moved {
    let Some(member) = conn.member.as_ref() else { return Moved::SinkLost };
    let parts = conn.parts && conn.down.waiting().is_empty();
    let remembers = conn.is_changeable();
    let (dialog, replay) = (&mut conn.dialog, &mut conn.replay);
    let splices = dialog.is_content();
    let look = |bytes: &[u8]| {
        let stops = parts && dialog.begins_command(bytes);
        if remembers {
            replay.up(bytes, dialog.is_between());
        }
        if stops {
            if remembers {
                // It is asked of the next member.
                dialog.up(bytes);
            }
            return 0;
        }
        dialog.up(bytes);
        bytes.len()
    };
    match &mut conn.secure {
        Some(secure) => secure.pump_up(&mut conn.up, conn.client.as_fd(), member.as_fd(), &mut hand.tools, look),
        None => conn.up.pump(conn.client.as_fd(), member.as_fd(), &mut hand.tools, splices, look),
    }
}

fn pump_down(conn: &mut Conn, hand: &mut Hand) -> Moved {
    let Some(member) = conn.member.as_ref() else { return Moved::SourceLost };
    let remembers = conn.is_changeable();
    let (dialog, replay) = (&mut conn.dialog, &mut conn.replay);
    let splices = dialog.is_opaque();
    let look = |bytes: &[u8]| {
        let passes = if remembers { farewell(dialog, replay, bytes) } else { bytes.len() };
        if remembers && passes > 0 {
            replay.down(&bytes[..passes], dialog.is_between());
        }
        dialog.down(&bytes[..passes]);
        passes
    };
    match &mut conn.secure {
        Some(secure) => secure.pump_down(&mut conn.down, member.as_fd(), conn.client.as_fd(), &mut hand.tools, look),
        None => conn.down.pump(member.as_fd(), conn.client.as_fd(), &mut hand.tools, splices, look),
    }
}

/// How much of this the client gets: not the words by which a member goes out of service, if another one can go on.
fn farewell(dialog: &Dialog, replay: &Replay, bytes: &[u8]) -> usize {
    if Replay::is_farewell(bytes) && replay.may_change(dialog.is_between()) {
        return 0;
    }
    // The answer to a message, and then the farewell.
    let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
    if !Replay::is_farewell(&bytes[end..]) || !replay.is_free() {
        return bytes.len();
    }
    let mut after = *dialog;
    after.down(&bytes[..end]);
    if after.is_between() { end } else { bytes.len() }
}

fn again(conn: &mut Conn, hand: &mut Hand) {
    if !conn.is_again {
        conn.is_again = true;
        hand.again.push(conn.slot);
    }
}

/// Reads what a client still says that was told to go.
fn discard(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    while conn.up.is_readable() {
        match conn.up.hold(conn.client.as_fd(), &mut hand.tools, DISCARD_BYTES) {
            Ok(None) => return None,
            Ok(Some(0)) => return Some(Input::ClientEnded { waiting: false }),
            Ok(Some(_)) => conn.up.release(&mut hand.tools),
            Err(_) => return Some(Input::ClientLost),
        }
        if hand.now_ms >= conn.deadline_ms {
            return Some(Input::Expired);
        }
    }
    None
}

const DISCARD_BYTES: usize = 16 * 1024;

/// Says why, and waits a moment for the client to hear it. False: there is nothing to say.
fn refuse(conn: &mut Conn, hand: &mut Hand, reason: Reason) -> bool {
    conn.here.counts.refused(reason);
    if let (Some(member), Speech::Smtp) = (&conn.member, conn.here.speech)
        && conn.dialog.is_between()
    {
        // A polite end; a member that does not take it sees the connection close.
        let _ = send(member, b"QUIT\r\n", SendFlags::NOSIGNAL);
    }
    conn.leave_member(hand);
    let mut words = std::mem::take(&mut hand.words);
    words.clear();
    if !conn.dialog.is_opaque() {
        conn.here.speech.say(&mut words, &conn.here.setup.service.hostname, reason);
    }
    let speaks = !words.is_empty() && say(conn, &words);
    hand.words = words;
    conn.deadline_ms = hand.now_ms + hand.timing.parting_ms;
    hand.wake_by(conn.deadline_ms);
    speaks
}

/// True: the client can hear it. A client that does not take one line now is not waited for.
fn say(conn: &mut Conn, words: &[u8]) -> bool {
    let said = match &mut conn.secure {
        Some(secure) => secure.say(conn.client.as_fd(), words),
        None => send(&conn.client, words, SendFlags::NOSIGNAL).is_ok(),
    };
    said && shutdown(&conn.client, Shutdown::Write).is_ok()
}
