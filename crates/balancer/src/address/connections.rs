//! Owns the end of connections to an address that is about to leave this machine: the kernel is asked which there are (`sock_diag`), and to
//! abort them. Knows nobody who has them. Always holds: what listens goes on; nothing here waits for longer than [`ANSWER_MAX`] at a time.
//!
//! Without it nobody tells the clients: the next holder of the address knows nothing of their connections until they send something, and
//! one that waits for an answer waits for its own timeout.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

/// Ends the TCP connections to `address` of this network namespace: each peer gets a reset. Says how many it were. It takes milliseconds, while
/// the address is still there: without it no reset can be sent.
///
/// # Errors
/// The kernel cannot (`CONFIG_INET_DIAG_DESTROY`), or we may not (`CAP_NET_ADMIN`).
pub fn end_connections(address: IpAddr) -> io::Result<usize> {
    let mut diag = Diag::open()?;
    let mut ended = 0;
    for id in diag.connections(address)? {
        match diag.destroy(address, &id) {
            Ok(()) => ended += 1,
            // It has ended meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(ended)
}

/// What names a socket to the kernel: `struct inet_diag_sockid`.
type Id = [u8; ID_BYTES];

struct Diag {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Diag {
    fn open() -> io::Result<Diag> {
        let socket = Socket::new(Domain::from(AF_NETLINK), Type::RAW, Some(Protocol::from(NETLINK_SOCK_DIAG)))?;
        socket.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Diag { socket, buffer: vec![0; BUFFER_BYTES] })
    }

    fn connections(&mut self, address: IpAddr) -> io::Result<Vec<Id>> {
        self.socket.send(&message(SOCK_DIAG_BY_FAMILY, REQUEST | DUMP, address, &[0; ID_BYTES]))?;
        let mut found = Vec::new();
        loop {
            let count = (&self.socket).read(&mut self.buffer)?;
            let mut rest = &self.buffer[..count];
            while let Some((kind, body, behind)) = split(rest) {
                rest = behind;
                match kind {
                    NLMSG_DONE => return Ok(found),
                    NLMSG_ERROR => return result(body).map(|()| found),
                    _ => found.extend(connection_to(address, body).filter(|_| found.len() < ENDED_MAX)),
                }
            }
        }
    }

    fn destroy(&mut self, address: IpAddr, id: &Id) -> io::Result<()> {
        self.socket.send(&message(SOCK_DESTROY, REQUEST | ACK, address, id))?;
        let count = (&self.socket).read(&mut self.buffer)?;
        match split(&self.buffer[..count]) {
            Some((NLMSG_ERROR, body, _)) => result(body),
            _ => Err(io::Error::other("the kernel answers something else")),
        }
    }
}

/// A netlink message with a `struct inet_diag_req_v2`.
fn message(kind: u16, flags: u16, address: IpAddr, id: &Id) -> [u8; MESSAGE_BYTES] {
    let mut bytes = [0; MESSAGE_BYTES];
    bytes[..4].copy_from_slice(&(MESSAGE_BYTES as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    bytes[16] = if address.is_ipv4() { AF_INET } else { AF_INET6 };
    bytes[17] = TCP;
    bytes[20..24].copy_from_slice(&STATES.to_ne_bytes());
    bytes[24..].copy_from_slice(id);
    bytes
}

/// The first netlink message: its kind, what it says, and what comes behind it.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let head = bytes.get(..HEAD_BYTES)?;
    let len = u32::from_ne_bytes(head[..4].try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(head[4..6].try_into().ok()?);
    let body = bytes.get(HEAD_BYTES..len)?;
    let behind = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some((kind, body, behind))
}

/// `struct nlmsgerr` begins with the error; 0 is none.
fn result(body: &[u8]) -> io::Result<()> {
    let code = body.get(..4).and_then(|code| code.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

/// The socket of a `struct inet_diag_msg`, if its own end is at `address`.
fn connection_to(address: IpAddr, body: &[u8]) -> Option<Id> {
    let id: Id = body.get(4..4 + ID_BYTES)?.try_into().ok()?;
    let at = match address {
        IpAddr::V4(address) => id[4..8] == address.octets(),
        IpAddr::V6(address) => id[4..20] == address.octets(),
    };
    at.then_some(id)
}

/// The longest wait for an answer of the kernel, which answers at once.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// Connections that are ended; what is more finds out by itself. The address must not wait for all of a flood.
const ENDED_MAX: usize = 16 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;
const AF_NETLINK: i32 = 16;
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SOCK_DESTROY: u16 = 21;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
/// By bits: every state that has a peer who waits. Not closed (7), listening (10), or over (6).
const STATES: u32 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9 | 1 << 11;
const HEAD_BYTES: usize = 16;
const ID_BYTES: usize = 48;
const MESSAGE_BYTES: usize = HEAD_BYTES + 8 + ID_BYTES;

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    /// Real sockets: those at the address end, those at another one and the listener go on.
    #[test]
    fn connections_to_the_address_end_and_no_others() {
        let pair = |ip: &str| {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            (listener, client)
        };
        // The second one is accepted by the kernel only: nobody has taken it yet.
        let ((leaving, mut taken), (_staying, mut other)) = (pair("127.83.0.1"), pair("127.83.0.2"));
        let _held = leaving.accept().unwrap();
        let mut queued = TcpStream::connect(leaving.local_addr().unwrap()).unwrap();
        queued.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        match end_connections("127.83.0.1".parse().unwrap()) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("\n*** NOT TESTED: CAP_NET_ADMIN is needed ***\n");
                return;
            }
            ended => assert_eq!(ended.unwrap(), 2),
        }
        let end = |client: &mut TcpStream| client.read(&mut [0; 1]).unwrap_err().kind();
        assert_eq!(end(&mut taken), io::ErrorKind::ConnectionReset);
        assert_eq!(end(&mut queued), io::ErrorKind::ConnectionReset);
        assert_eq!(end(&mut other), io::ErrorKind::WouldBlock, "it lives");
        assert!(TcpStream::connect(leaving.local_addr().unwrap()).is_ok());
    }

    #[test]
    fn parts_of_messages_say_nothing() {
        let whole = message(SOCK_DESTROY, REQUEST, IpAddr::from([127, 0, 0, 1]), &[7; ID_BYTES]);
        assert!(matches!(split(&whole), Some((SOCK_DESTROY, body, [])) if body.len() == MESSAGE_BYTES - HEAD_BYTES));
        (0..whole.len()).for_each(|cut| assert!(split(&whole[..cut]).is_none(), "{cut}"));
        assert!(connection_to(IpAddr::from([0, 0, 0, 0]), &[0; 51]).is_none());
    }
}
