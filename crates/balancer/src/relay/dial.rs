//! Dialing: a member is chosen and connected to, with a PROXY header in front where it gets one.
//!
//! Knows no order of things. Always holds: each member is tried once; a member that cannot be reached is told to the pool.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use directory::ProxyHeader;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, ipproto, socket_with, sockopt};
use smtp::proxy::{Facts, TlsFacts, encode_v1, encode_v2};

use super::conn::Conn;
use super::hand::Hand;
use super::life::Input;
use super::poll::Interest;
use super::words::Reason;
use crate::pool::{Member, Nobody, Refused};

/// Chooses a member and begins to connect. `None`: under way.
pub(super) fn dial(conn: &mut Conn, hand: &mut Hand) -> Option<Input> {
    let pool = &conn.here.setup.pool;
    let chosen = pool.choose_named(hand.now_ms, conn.source.ip(), &conn.tried, conn.server_name.as_deref());
    let place = match chosen {
        Ok(place) => place,
        Err(nobody) => return Some(Input::Nobody(reason(nobody))),
    };
    conn.tried.add(place.member());
    conn.dial = conn.dial.wrapping_add(1);
    conn.dialed_us = hand.now_us;
    conn.deadline_ms = hand.now_ms + place.member().connect_timeout_ms;
    hand.wake_by(conn.deadline_ms);
    match reach(conn, hand, place.member()) {
        Ok(member) => {
            conn.member = Some(member);
            conn.place = Some(place);
            None
        }
        Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Some(Input::Nobody(Reason::Descriptors)),
        Err(_) => {
            place.refused(hand.now_ms, &Refused::Connect);
            conn.up.new_sink(&mut hand.tools);
            Some(Input::Failed)
        }
    }
}

fn reason(nobody: Nobody) -> Reason {
    match nobody {
        Nobody::AllTried => Reason::AllTried,
        Nobody::AllDown => Reason::AllDown,
        Nobody::AllFull => Reason::AllFull,
        Nobody::Budget => Reason::Budget,
    }
}

/// The member did not do: it is told to the pool, and forgotten here.
pub(super) fn fail(conn: &mut Conn, hand: &mut Hand, why: Refused) -> Input {
    if let Some(place) = &conn.place {
        place.refused(hand.now_ms, &why);
    }
    conn.leave_member(hand);
    Input::Failed
}

fn reach(conn: &mut Conn, hand: &mut Hand, member: &Member) -> Result<OwnedFd, Errno> {
    let address = member.address;
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error),
    }
    put_header(conn, hand, member);
    let waits = !conn.up.waiting().is_empty();
    if waits && address.ip().is_loopback() {
        // On loopback the connection is there as soon as it is asked for; this saves a round of events.
        conn.up.flush(socket.as_fd(), &mut hand.tools);
    }
    // Where the member speaks first, its words say that it is connected.
    let is_told = conn.here.speech.greets() && conn.up.waiting().is_empty();
    let interest = if is_told { Interest::Read } else { Interest::ReadWrite };
    conn.member_writes = !is_told;
    hand.poll.add(&socket, conn.member_token(), interest).map_err(|_| Errno::NOMEM)?;
    Ok(socket)
}

/// The PROXY header waits as the first bytes of the way up.
fn put_header(conn: &mut Conn, hand: &mut Hand, member: &Member) {
    let (source, destination) = (conn.source, conn.destination);
    match member.proxy {
        ProxyHeader::None => {}
        ProxyHeader::V1 => conn.up.put(&mut hand.tools, |out| encode_v1(out, source, destination)),
        ProxyHeader::V2 => {
            let tls = conn.secure.as_ref().and_then(|secure| secure.facts());
            let id = unique_id(hand.id, conn, source);
            let facts = Facts {
                tls: tls.as_ref().map(|(version, cipher)| TlsFacts { version, cipher }),
                authority: conn.server_name.as_deref().map(str::as_bytes),
                unique_id: member.is_own.then_some(&id),
                checksum: member.is_own,
            };
            conn.up.put(&mut hand.tools, |out| encode_v2(out, source, destination, &facts));
        }
    }
}

/// This process and thread, the connection's slot and its life there, and the client's port.
fn unique_id(thread: u64, conn: &Conn, source: SocketAddr) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&thread.to_be_bytes());
    id[8..12].copy_from_slice(&conn.slot.to_be_bytes());
    id[12..14].copy_from_slice(&conn.number.to_be_bytes());
    id[14..].copy_from_slice(&source.port().to_be_bytes());
    id
}
