//! What comes from a client before a member is chosen: a PROXY header of a trusted proxy, the name in its TLS greeting, its handshake.
//!
//! Always holds: bytes that are only looked at stay in the kernel and cost no memory; [`Timing::opening_ms`](super::settings::Timing) bounds it all.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use smtp::proxy::{self, Parsed, V2_BYTES_MAX};

use super::accept::may_come;
use super::conn::{Conn, Stage};
use super::hand::Hand;
use super::hello::{self, HELLO_BYTES_MAX, Hello};
use super::life::Input;
use super::secure::Handshake;

/// Goes on as far as the client's bytes allow.
pub(super) fn turn(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    loop {
        let gone = match conn.stage {
            Stage::None => return Some(Input::Opened),
            Stage::ProxyHeader => proxy_header(conn, hand),
            Stage::TlsName => tls_name(conn, hand),
            Stage::Handshake => handshake(conn, hand),
        };
        match gone {
            Step::Wait => return None,
            Step::Next(stage) => conn.stage = stage,
            Step::End(input) => return Some(input),
        }
    }
}

enum Step {
    Wait,
    Next(Stage),
    End(Input),
}

/// The first bytes, without taking them.
fn peek(conn: &Conn, hand: &mut Hand, most: usize) -> Result<usize, Step> {
    loop {
        return match recv(&conn.client, &mut hand.tools.buffer[..most], RecvFlags::PEEK) {
            Ok((0, _)) => Err(Step::End(Input::ClientEnded { waiting: false })),
            Ok((count, _)) => Ok(count),
            Err(Errno::AGAIN) => Err(Step::Wait),
            Err(Errno::INTR) => continue,
            Err(_) => Err(Step::End(Input::ClientLost)),
        };
    }
}

fn proxy_header(conn: &mut Conn, hand: &mut Hand) -> Step {
    let count = match peek(conn, hand, V2_BYTES_MAX) {
        Ok(count) => count,
        Err(step) => return step,
    };
    let header = match proxy::parse(&hand.tools.buffer[..count]) {
        Parsed::Incomplete if conn.up.is_ending() => return Step::End(Input::ClientEnded { waiting: false }),
        Parsed::Incomplete => return Step::Wait,
        Parsed::Header(header) => header,
        // A proxy that is trusted and says something else is set up wrongly: nobody's address can be believed.
        Parsed::NotProxy | Parsed::Bad => return Step::End(Input::ClientLost),
    };
    if recv(&conn.client, &mut hand.tools.buffer[..header.bytes], RecvFlags::empty()).is_err() {
        return Step::End(Input::ClientLost);
    }
    if let Some((source, destination)) = header.addresses {
        (conn.source, conn.destination) = (source, destination);
    }
    match may_come(&conn.here, hand, conn.source.ip()).and_then(|()| conn.admitted.comes_from(conn.source.ip())) {
        Ok(()) => Step::Next(conn.here.tls_stage()),
        Err(reason) => Step::End(Input::Part(reason)),
    }
}

fn tls_name(conn: &mut Conn, hand: &mut Hand) -> Step {
    let count = match peek(conn, hand, HELLO_BYTES_MAX) {
        Ok(count) => count,
        Err(step) => return step,
    };
    match hello::read(&hand.tools.buffer[..count]) {
        Hello::More if conn.up.is_ending() => Step::End(Input::ClientEnded { waiting: false }),
        Hello::More => Step::Wait,
        Hello::Named(name) => {
            conn.server_name = name.map(|name| name.to_ascii_lowercase().into());
            Step::Next(Stage::None)
        }
        // Only TLS is spoken here.
        Hello::Strange => Step::End(Input::ClientLost),
    }
}

fn handshake(conn: &mut Conn, hand: &mut Hand) -> Step {
    let Some(secure) = &mut conn.secure else { return Step::End(Input::ClientLost) };
    match secure.handshake(&mut conn.up, &mut conn.down, conn.client.as_fd(), &mut hand.tools) {
        Handshake::More => Step::Wait,
        Handshake::Lost => Step::End(Input::ClientLost),
        Handshake::Done => {
            conn.server_name = secure.server_name().map(Into::into);
            Step::Next(Stage::None)
        }
    }
}
