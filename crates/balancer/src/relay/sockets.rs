//! Sockets that a service listens on: one for each thread, at the same address.
//!
//! Always holds: what an accepted connection inherits (no delay, keepalive) is set here, once; an address that this machine does not have yet
//! can be listened on.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Connections that wait for us in the kernel; `net.core.somaxconn` may make it less.
const BACKLOG: i32 = 4096;
/// After the first unanswered question of the kernel to a silent peer: how often, and how many more.
const KEEPALIVE_INTERVAL_S: u64 = 15;
const KEEPALIVE_COUNT: u32 = 4;

/// A listening socket.
#[derive(Debug)]
pub(super) struct Opened {
    /// What the service asks for.
    pub(super) asked: SocketAddr,
    /// The same, with the port that was chosen if it asks for any.
    pub(super) address: SocketAddr,
    pub(super) socket: OwnedFd,
}

/// Gives each thread its sockets: of every address one, and where there are fewer than threads several share one.
pub(super) fn share(opened: &[Opened], threads: usize) -> io::Result<Vec<Vec<Opened>>> {
    let mut shares: Vec<Vec<Opened>> = (0..threads).map(|_| Vec::new()).collect();
    let mut rest = opened;
    while let Some(first) = rest.first() {
        let (same, others) = rest.split_at(rest.iter().take_while(|socket| socket.asked == first.asked).count());
        // A socket that nobody accepts from would lose its clients: each one has a thread.
        for turn in 0..threads.max(same.len()) {
            let socket = &same[turn % same.len()];
            let copy = Opened { asked: socket.asked, address: socket.address, socket: socket.socket.try_clone()? };
            shares[turn % threads].push(copy);
        }
        rest = others;
    }
    Ok(shares)
}

/// `count` listening sockets at `address`. Port 0: the first one chooses, the others follow.
pub(super) fn listen(asked: SocketAddr, count: usize, keepalive_ms: Option<u64>) -> io::Result<Vec<Opened>> {
    let mut sockets = Vec::with_capacity(count);
    let mut address = asked;
    for _ in 0..count {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
        if address.is_ipv6() {
            // 0.0.0.0 is a binding of its own: one socket, one family.
            socket.set_only_v6(true)?;
            socket.set_freebind_v6(true)?;
        } else {
            socket.set_freebind_v4(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        keep_alive(&socket, keepalive_ms)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        if address.port() == 0 {
            address = socket.local_addr()?.as_socket().unwrap_or(address);
        }
        sockets.push(Opened { asked, address, socket: OwnedFd::from(socket) });
    }
    Ok(sockets)
}

/// After so long a silence the kernel asks whether the peer is there.
pub(super) fn keep_alive(socket: &impl std::os::fd::AsFd, keepalive_ms: Option<u64>) -> io::Result<()> {
    let Some(idle_ms) = keepalive_ms else { return Ok(()) };
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_millis(idle_ms.max(1_000)))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S))
        .with_retries(KEEPALIVE_COUNT);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)
}
