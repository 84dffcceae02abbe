//! Owns the sockets that came with this process or were given to it (those that listen, and those of datagrams), until whoever wants an
//! address asks for it.
//! One for the process, as its environment is. Always holds: a socket is given out once; what nobody wanted is closed by [`leave`].

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{Protocol, SockRef, Type};

struct Inherited {
    socket: OwnedFd,
    address: SocketAddr,
    kind: Type,
}

static INHERITED: Mutex<Vec<Inherited>> = Mutex::new(Vec::new());

/// Keeps these for whoever asks; says how many are of use. Others, and those beyond [`SOCKETS_MAX`], are closed.
pub fn take_in(sockets: Vec<OwnedFd>) -> usize {
    let mut all = inherited();
    let before = all.len();
    let known = sockets.into_iter().filter_map(|socket| {
        let (address, kind) = of_use(&socket)?;
        Some(Inherited { socket, address, kind })
    });
    all.extend(known);
    all.truncate(SOCKETS_MAX);
    all.len() - before
}

/// The TCP sockets that listen on exactly this address: several where threads have one each.
pub fn tcp(address: SocketAddr) -> Vec<OwnedFd> {
    given(address, Type::STREAM)
}

/// The UDP sockets that are bound to exactly this address, with what waits in them. Each of them must be read: the kernel spreads over all.
pub fn udp(address: SocketAddr) -> Vec<OwnedFd> {
    given(address, Type::DGRAM)
}

fn given(address: SocketAddr, kind: Type) -> Vec<OwnedFd> {
    let mut all = inherited();
    let (wanted, rest) = all.drain(..).partition(|one| one.address == address && one.kind == kind);
    *all = rest;
    let wanted: Vec<Inherited> = wanted;
    wanted.into_iter().map(|one| one.socket).collect()
}

/// Closes those that nobody wanted, and says where they were. Once all listeners are open.
pub fn leave() -> Vec<SocketAddr> {
    inherited().drain(..).map(|one| one.address).collect()
}

/// The address of a TCP socket that listens, or of a UDP socket that has one.
pub(super) fn of_use(socket: &impl AsFd) -> Option<(SocketAddr, Type)> {
    let socket = SockRef::from(socket);
    let (kind, address) = (socket.r#type().ok()?, socket.local_addr().ok()?.as_socket()?);
    let serves = match kind {
        Type::STREAM => socket.is_listener().ok()?,
        Type::DGRAM => socket.protocol().ok()? == Some(Protocol::UDP) && address.port() != 0,
        _ => false,
    };
    serves.then_some((address, kind))
}

fn inherited() -> MutexGuard<'static, Vec<Inherited>> {
    // A list of whole values; nobody panics while holding it.
    INHERITED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// More listening sockets than any node has.
pub const SOCKETS_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn a_socket_is_given_out_once_and_what_does_not_listen_not_at_all() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let second = listener.try_clone().unwrap();
        assert_eq!(take_in(vec![listener.into(), second.into(), stream.into()]), 2);
        let mine = tcp(address);
        assert_eq!((mine.len(), tcp(address).len()), (2, 0));
        // The connection that was made before is still in the queue.
        TcpListener::from(mine.into_iter().next().unwrap()).accept().unwrap();
    }

    #[test]
    fn datagrams_wait_for_whoever_takes_the_socket_on() {
        let before = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = before.local_addr().unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"asked", address).unwrap();
        let unbound = socket2::Socket::new(socket2::Domain::IPV4, Type::DGRAM, None).unwrap();
        assert_eq!(take_in(vec![before.into(), unbound.into()]), 1);
        assert!(tcp(address).is_empty(), "the same number, another protocol");
        let mine = udp(address).pop().map(UdpSocket::from).unwrap();
        let mut buffer = [0; 16];
        assert_eq!(mine.recv(&mut buffer).unwrap(), 5);
    }
}
