//! Sockets of a service: bound so that an address which arrives later is served from that moment. Knows no messages.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpSocket};

use crate::sip::MESSAGE_BYTES_MAX;

/// Datagrams that the kernel keeps for us: calls come in bursts.
const RECEIVE_BUFFER_BYTES: usize = 4 << 20;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// Repetitions of a keepalive that nobody answers.
const KEEPALIVE_RETRIES: u32 = 4;

/// A datagram socket at `address`: the one that another process has had, with what waits in it, or a new one.
pub fn datagrams(address: SocketAddr, inherited: Option<OwnedFd>) -> io::Result<tokio::net::UdpSocket> {
    if let Some(socket) = inherited {
        let socket = UdpSocket::from(socket);
        socket.set_nonblocking(true)?;
        return tokio::net::UdpSocket::from_std(socket);
    }
    let socket = bound(address, Type::DGRAM, Protocol::UDP, true)?;
    // The kernel may give less.
    socket.set_recv_buffer_size(RECEIVE_BUFFER_BYTES)?;
    tokio::net::UdpSocket::from_std(UdpSocket::from(socket))
}

/// A listener for streams at `address`: the one that another process has had, or a new one.
pub fn listener(address: SocketAddr, inherited: Option<OwnedFd>) -> io::Result<TcpListener> {
    if let Some(socket) = inherited {
        let socket = Socket::from(socket);
        socket.set_nonblocking(true)?;
        return TcpListener::from_std(socket.into());
    }
    let socket = bound(address, Type::STREAM, Protocol::TCP, true)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// A stream socket that will connect from `own`.
pub fn stream(own: IpAddr, keepalive_ms: Option<u64>) -> io::Result<TcpSocket> {
    let socket = bound(SocketAddr::new(own, 0), Type::STREAM, Protocol::TCP, false)?;
    socket.set_tcp_nodelay(true)?;
    keep_alive(&socket, keepalive_ms)?;
    Ok(TcpSocket::from_std_stream(socket.into()))
}

/// Lets the kernel ask whether the other end of a silent stream is there.
pub fn keep_alive(socket: &Socket, keepalive_ms: Option<u64>) -> io::Result<()> {
    let Some(ms) = keepalive_ms else { return Ok(()) };
    let time = Duration::from_millis(ms.max(1000));
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(time.min(Duration::from_secs(15)));
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))
}

/// The address that this machine has towards `peer`; nothing is sent.
pub fn own_address(peer: SocketAddr) -> io::Result<IpAddr> {
    let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

fn bound(address: SocketAddr, kind: Type, protocol: Protocol, is_shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        socket.set_freebind_v6(true)?;
    } else {
        socket.set_freebind_v4(true)?;
    }
    if is_shared {
        socket.set_reuse_address(true)?;
        // A second process may take over (the balancer restarts without dropping calls).
        socket.set_reuse_port(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Room for the longest datagram that we take, and one byte more, so that longer ones are seen to be so.
pub const DATAGRAM_BYTES: usize = MESSAGE_BYTES_MAX + 1;
