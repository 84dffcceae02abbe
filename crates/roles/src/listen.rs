//! Owns the sockets of a node: bound before anything is written, listening when mail can be taken, closed at the end.
//! Knows no SMTP. Always holds: running out of file descriptors pauses accepting and never ends it; a socket that came with the process is
//! used and not made once more, with whoever waits in its queue.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::warn;

use crate::succession;

/// A socket that has its address and does not listen yet.
pub struct Bound {
    /// Where.
    pub address: SocketAddr,
    socket: Socket,
}

/// Why an address cannot be had, and what to do.
#[derive(Debug)]
pub struct BindError {
    address: SocketAddr,
    /// What in the configuration chose the address, in words: `--smtp ADDRESS chooses another`.
    remedy: String,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { address, remedy, source } = self;
        match source.kind() {
            io::ErrorKind::AddrInUse => write!(f, "{address}: in use by another program; {remedy}"),
            io::ErrorKind::AddrNotAvailable => write!(f, "{address}: this machine has no such address; {remedy}"),
            io::ErrorKind::PermissionDenied => {
                write!(
                    f,
                    "{address}: not permitted; ports below 1024 need CAP_NET_BIND_SERVICE (dist/posthouse.service); {remedy}"
                )
            }
            _ => write!(f, "{address}: {source}; {remedy}"),
        }
    }
}

impl std::error::Error for BindError {}

impl BindError {
    /// The machine has no such address now; another one of the organization may have it, or this one later.
    pub fn is_absent_address(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrNotAvailable
    }
}

impl Bound {
    /// Takes the address. `remedy` says what chooses another one.
    pub fn bind(address: SocketAddr, remedy: &str) -> Result<Bound, BindError> {
        Bound::bind_with(address, remedy, false)
    }

    /// The same, whether this machine has the address now or not.
    pub fn bind_ahead(address: SocketAddr, remedy: &str) -> Result<Bound, BindError> {
        Bound::bind_with(address, remedy, true)
    }

    fn bind_with(address: SocketAddr, remedy: &str, ahead: bool) -> Result<Bound, BindError> {
        let bind = || {
            if let Some(socket) = succession::tcp(address).pop() {
                let socket = Socket::from(socket);
                socket.set_nonblocking(true)?;
                return Ok(socket);
            }
            let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
            if address.is_ipv6() {
                // 0.0.0.0 is a binding of its own: one socket, one family.
                socket.set_only_v6(true)?;
            }
            // A restart must not wait for the connections of the last life.
            socket.set_reuse_address(true)?;
            socket.set_nonblocking(true)?;
            if ahead && address.is_ipv4() {
                socket.set_freebind_v4(true)?;
            } else if ahead {
                socket.set_freebind_v6(true)?;
            }
            socket.bind(&address.into())?;
            Ok(socket)
        };
        match bind() {
            Ok(socket) => Ok(Bound { address, socket }),
            Err(source) => Err(BindError { address, remedy: remedy.to_string(), source }),
        }
    }

    /// A duplicate, for another process.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned().ok()
    }

    /// Starts to listen. Fails when another process that bound at the same time was first.
    pub fn listen(self, remedy: &str) -> Result<TcpListener, BindError> {
        let address = self.address;
        let listen = || {
            self.socket.listen(BACKLOG)?;
            succession::manager::keep(self.socket.as_fd(), address);
            TcpListener::from_std(StdListener::from(self.socket))
        };
        listen().map_err(|source| BindError { address, remedy: remedy.to_string(), source })
    }
}

/// Hands each connection to `serve`, until `stop` turns true or its sender is gone. `serve` gets its own task.
pub async fn accept_until<F>(
    listener: Arc<TcpListener>,
    mut stop: watch::Receiver<bool>,
    serve: impl Fn(TcpStream, SocketAddr) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut told: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => drop(tokio::spawn(serve(stream, peer))),
            // The client gave up before we took it.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(error) => {
                // Out of descriptors or memory: connections end and give them back. Said once a minute, not ten times a second, though one or the
                // other may be taken in between.
                if told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN) {
                    told = Some(Instant::now());
                    warn!(%error, "no connection can be taken now; raise LimitNOFILE if this is about open files");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Connections that wait for us in the kernel; `net.core.somaxconn` may make it less.
const BACKLOG: i32 = 4096;
const PAUSE: Duration = Duration::from_millis(100);
const TOLD_AGAIN: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_use_is_one_clear_line() {
        let taken = StdListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Bound::bind(address, "--smtp ADDRESS chooses another").map(drop).unwrap_err();
        assert_eq!(error.to_string(), format!("{address}: in use by another program; --smtp ADDRESS chooses another"));
        let nowhere = Bound::bind("192.0.2.1:25000".parse().unwrap(), "x").map(drop).unwrap_err();
        assert!(nowhere.to_string().contains("no such address") && nowhere.is_absent_address(), "{nowhere}");
        assert!(!error.is_absent_address());
    }

    #[tokio::test]
    async fn stops_when_told() {
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), "").unwrap();
        let listener = bound.listen("").unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let (taken, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(accept_until(Arc::new(listener), stopped, move |_, peer| {
            let _ = taken.send(peer);
            std::future::ready(())
        }));
        let client = TcpStream::connect(address).await.unwrap();
        assert_eq!(seen.recv().await, Some(client.local_addr().unwrap()));
        stop.send(true).unwrap();
        task.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
