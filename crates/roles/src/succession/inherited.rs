//! Owns the listening sockets that came with this process or were given to it, until whoever wants an address asks for it.
//! One for the process, as its environment is. Always holds: a socket is given out once; what nobody wanted is closed by [`leave`].

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use socket2::{SockRef, Type};

struct Inherited {
    socket: OwnedFd,
    address: SocketAddr,
}

static INHERITED: Mutex<Vec<Inherited>> = Mutex::new(Vec::new());

/// Keeps these for whoever asks; says how many are of use. Others, and those beyond [`SOCKETS_MAX`], are closed.
pub fn take_in(sockets: Vec<OwnedFd>) -> usize {
    let mut all = inherited();
    let before = all.len();
    let known = sockets.into_iter().filter_map(|socket| {
        let address = of_use(&socket)?;
        Some(Inherited { socket, address })
    });
    all.extend(known);
    all.truncate(SOCKETS_MAX);
    all.len() - before
}

/// The TCP sockets that listen on exactly this address: several where threads have one each.
pub fn tcp(address: SocketAddr) -> Vec<OwnedFd> {
    let mut all = inherited();
    let (wanted, rest) = all.drain(..).partition(|one| one.address == address);
    *all = rest;
    let wanted: Vec<Inherited> = wanted;
    wanted.into_iter().map(|one| one.socket).collect()
}

/// Closes those that nobody wanted, and says where they were. Once all listeners are open.
pub fn leave() -> Vec<SocketAddr> {
    inherited().drain(..).map(|one| one.address).collect()
}

/// The address of a TCP socket that listens.
fn of_use(socket: &OwnedFd) -> Option<SocketAddr> {
    let socket = SockRef::from(socket);
    let listens = socket.r#type().ok()? == Type::STREAM && socket.is_listener().ok()?;
    listens.then_some(socket.local_addr().ok()?.as_socket()?)
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
    use std::net::{TcpListener, TcpStream};

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
}
