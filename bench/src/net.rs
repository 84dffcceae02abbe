//! Readiness and sockets. Owns the refusal of every address that is neither loopback nor set aside for tests.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use rustix::time::Timespec;

/// Reads `ADDRESS:PORT` and refuses anything that is neither loopback nor of 198.18.0.0/15, which is nobody's (RFC 2544).
///
/// # Errors
/// A line that says what is wrong.
pub fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is not ADDRESS:PORT"))?;
    match address.ip().is_loopback() || is_set_aside(address.ip()) {
        true => Ok(address),
        false => Err(format!("{address} is not a loopback address; this tool never talks to anything else")),
    }
}

/// For benchmarks of network devices: networks made by a test use it, and no router of the Internet knows it.
fn is_set_aside(address: IpAddr) -> bool {
    matches!(address, IpAddr::V4(address) if address.octets()[0] == 198 && address.octets()[1] & 0xfe == 18)
}

/// Begins a connection that does not block.
///
/// # Errors
/// What the system says; a refused connection may also show at the first read or write.
pub fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let fd = socket(to)?;
    match rustix::net::connect(&fd, &to) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(failed) => return Err(failed.into()),
    }
    sockopt::set_tcp_nodelay(&fd, true)?;
    Ok(TcpStream::from(fd))
}

/// Listens on a loopback address, with a backlog of 1024.
///
/// # Errors
/// What the system says, e.g. that the port is in use.
pub fn listen(on: SocketAddr) -> io::Result<OwnedFd> {
    let fd = socket(on)?;
    sockopt::set_socket_reuseaddr(&fd, true)?;
    rustix::net::bind(&fd, &on)?;
    rustix::net::listen(&fd, 1024)?;
    Ok(fd)
}

/// The next connection that waits, if any.
///
/// # Errors
/// What the system says, e.g. that there are no file descriptors left.
pub fn accept(listener: &OwnedFd) -> io::Result<Option<TcpStream>> {
    match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(fd) => {
            sockopt::set_tcp_nodelay(&fd, true)?;
            Ok(Some(TcpStream::from(fd)))
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED) => Ok(None),
        Err(failed) => Err(failed.into()),
    }
}

/// CPU seconds that this process has used, user and kernel.
pub fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// What a socket is watched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Input.
    Input,
    /// Input, and room for output.
    Both,
    /// Only that the peer goes away.
    Gone,
}

/// A level-triggered epoll with a token for each socket.
pub struct Poll {
    fd: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    /// An empty one.
    ///
    /// # Errors
    /// What the system says.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll { fd: epoll::create(epoll::CreateFlags::CLOEXEC)?, events: Vec::with_capacity(256) })
    }

    /// Watches a socket until it is closed.
    ///
    /// # Errors
    /// What the system says.
    pub fn add(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.fd, socket, epoll::EventData::new_u64(token), flags(interest))?)
    }

    /// Watches a socket for something else.
    ///
    /// # Errors
    /// What the system says.
    pub fn change(&self, socket: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.fd, socket, epoll::EventData::new_u64(token), flags(interest))?)
    }

    /// Waits at most `most`; puts the tokens that are ready, with "there is input or an end", into `ready`.
    ///
    /// # Errors
    /// What the system says.
    pub fn wait(&mut self, most: Duration, ready: &mut Vec<(u64, Ready)>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        let ms = most.as_millis().min(60_000) as i64
            + i64::from(!most.is_zero() && !most.subsec_nanos().is_multiple_of(1_000_000));
        let most = Timespec { tv_sec: ms / 1000, tv_nsec: (ms % 1000) * 1_000_000 };
        match epoll::wait(&self.fd, rustix::buffer::spare_capacity(&mut self.events), Some(&most)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(failed) => return Err(failed.into()),
        }
        let gone = epoll::EventFlags::HUP | epoll::EventFlags::ERR | epoll::EventFlags::RDHUP;
        ready.extend(self.events.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let is = |wanted| flags.intersects(wanted);
            (data.u64(), Ready { input: is(epoll::EventFlags::IN | gone), output: is(epoll::EventFlags::OUT) })
        }));
        Ok(())
    }
}

/// What a socket is ready for.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    /// Input, an end or an error: a read will say which.
    pub input: bool,
    /// Room for output.
    pub output: bool,
}

fn flags(interest: Interest) -> epoll::EventFlags {
    match interest {
        Interest::Input => epoll::EventFlags::IN,
        Interest::Both => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        Interest::Gone => epoll::EventFlags::RDHUP,
    }
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_taken() {
        assert!(loopback("127.0.0.1:25").is_ok());
        assert!(loopback("[::1]:25").is_ok());
        assert!(loopback("198.18.0.1:25").is_ok() && loopback("198.19.255.1:25").is_ok());
        assert!(loopback("198.17.0.1:25").is_err() && loopback("198.20.0.1:25").is_err());
        assert!(loopback("10.0.0.1:25").is_err());
        assert!(loopback("0.0.0.0:25").is_err());
        assert!(loopback("localhost").is_err());
    }
}
