//! Answers and copies of zones over TCP (RFC 7766).
//!
//! Always holds: connections are bounded, together and for each address; one that does not get a question whole in time, or does not
//! take its answers in time, is closed; of one connection no more than one question and one answer are kept.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::Socket;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, info, warn};

use super::count::{self, Tally};
use super::udp::QUERY_MAX;
use super::{Shared, socket};
use crate::answer::{Outcome, Transfer, Via, answer};
use crate::transfer::{Granted, What, grant};

/// Bounds of connections.
#[derive(Clone, Debug)]
pub struct TcpBounds {
    /// All together.
    pub connections_max: usize,
    /// From one address.
    pub connections_per_source_max: usize,
    /// Without a whole question, in milliseconds.
    pub idle_timeout_ms: u64,
}

/// Who is connected.
pub(super) struct Connections {
    bounds: TcpBounds,
    by_source: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection; dropped, it is counted no more.
struct Connected {
    shared: Arc<Shared>,
    from: IpAddr,
}

impl Connections {
    pub fn new(bounds: TcpBounds) -> Connections {
        Connections { bounds, by_source: Mutex::default() }
    }

    /// Nobody is.
    pub fn is_empty(&self) -> bool {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn enter(shared: &Arc<Shared>, from: IpAddr) -> Option<Connected> {
        let Connections { bounds, by_source } = &shared.connections;
        let mut by_source = by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = by_source.values().sum();
        let own = by_source.get(&from).copied().unwrap_or_default();
        if all >= bounds.connections_max || own >= bounds.connections_per_source_max {
            return None;
        }
        by_source.insert(from, own + 1);
        Some(Connected { shared: shared.clone(), from })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut by_source = self.shared.connections.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_source.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                by_source.remove(&self.from);
            }
        }
    }
}

/// Where connections to one address come in. Dropped, it closes.
pub(super) struct Door {
    listener: Arc<TcpListener>,
    /// Dropped or true: no further connection is taken.
    stop: watch::Sender<bool>,
}

impl Door {
    /// Takes connections from now on. Call it inside a tokio runtime.
    pub fn open(address: SocketAddr, inherited: Option<OwnedFd>, shared: &Arc<Shared>) -> io::Result<Door> {
        let socket = inherited.map(|socket| Ok(Socket::from(socket))).unwrap_or_else(|| bind(address))?;
        socket.set_nonblocking(true)?;
        let listener = Arc::new(TcpListener::from_std(socket.into())?);
        let (stop, mut stopped) = watch::channel(false);
        let (shared, of_task) = (shared.clone(), listener.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = accept(&of_task, &shared) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
        });
        Ok(Door { listener, stop })
    }

    /// Takes no further connection; they wait in the socket.
    pub fn close(&self) {
        self.stop.send_replace(true);
    }

    /// A duplicate of the socket.
    pub fn duplicate(&self) -> Option<OwnedFd> {
        self.listener.as_fd().try_clone_to_owned().ok()
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = socket(address, socket2::Type::STREAM)?;
    socket.set_reuse_address(true)?;
    // The process that takes this one's place listens there before this one ends. Another program is refused all the same.
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, from)) => {
                // Over the bound: closed at once. A resolver comes again.
                match Connections::enter(shared, from.ip().to_canonical()) {
                    Some(connected) => drop(tokio::spawn(serve(stream, connected))),
                    None => count::tcp_refused(),
                }
            }
            // Too many open files, for one: others may end meanwhile.
            Err(error) => {
                debug!(%error, "a DNS connection could not be taken");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn serve(mut stream: TcpStream, connected: Connected) {
    let mut tally = Tally::new("tcp");
    let shared = &connected.shared;
    let patience = Duration::from_millis(shared.settings.tcp.idle_timeout_ms);
    // Whoever goes away in the middle of something comes again.
    let _ = stream.set_nodelay(true);
    let (mut message, mut ends) = (Vec::new(), shared.ends.subscribe());
    while next_question(&mut stream, &mut message, patience, &mut ends).await {
        let zones = shared.zones();
        let mut out = vec![0, 0];
        let is_well = match answer(&zones, &message, connected.from, Via::Tcp, || shared.now_s(), &mut out) {
            Outcome::Silent => false,
            Outcome::Answered(answered) => {
                tally.answered(answered, shared.world.clock.mono_us());
                write_message(&mut stream, &mut out, patience).await
            }
            Outcome::Transfer(wish) => transfer(&mut stream, &connected, &message, *wish, patience).await,
        };
        if !is_well {
            break;
        }
    }
    tally.flush(shared.world.clock.mono_us());
}

/// Waits for a whole question. `false`: none comes in time. When connections end, one that is on its way is waited for.
async fn next_question(
    stream: &mut TcpStream,
    message: &mut Vec<u8>,
    patience: Duration,
    ends: &mut watch::Receiver<bool>,
) -> bool {
    let mut read = std::pin::pin!(read_message(stream, message));
    let read_all = tokio::select! {
        biased;
        done = timeout(patience, &mut read) => done,
        () = async { let _ = ends.wait_for(|ends| *ends).await; } => timeout(ON_ITS_WAY, &mut read).await,
    };
    matches!(read_all, Ok(Ok(true)))
}

/// Reads one whole message. `false`: it is none that we read.
async fn read_message(stream: &mut TcpStream, message: &mut Vec<u8>) -> io::Result<bool> {
    let len = usize::from(stream.read_u16().await?);
    if len > QUERY_MAX {
        return Ok(false);
    }
    message.resize(len, 0);
    stream.read_exact(message).await?;
    Ok(true)
}

/// Writes one message that has two octets of room before it. `false`: the other side does not take it.
async fn write_message(stream: &mut TcpStream, out: &mut [u8], patience: Duration) -> bool {
    let len = u16::try_from(out.len() - 2).unwrap_or(u16::MAX);
    out[..2].copy_from_slice(&len.to_be_bytes());
    matches!(timeout(patience, stream.write_all(out)).await, Ok(Ok(())))
}

async fn transfer(
    stream: &mut TcpStream,
    connected: &Connected,
    message: &[u8],
    wish: Transfer,
    patience: Duration,
) -> bool {
    let (shared, from) = (&connected.shared, connected.from);
    let mut sending = match grant(&shared.zones(), message, wish, from, shared.now_s()) {
        Granted::Copy(sending) => sending,
        Granted::No(rcode, answer) => {
            count::transfer("refused");
            warn!(%from, rcode = rcode.word(), "a copy of a zone was asked for that it may not have: transfer_allowed, secondaries, tsig_keys");
            return write_message(stream, &mut [&[0, 0], &*answer].concat(), patience).await;
        }
    };
    let (zone, serial) = (sending.zone().origin().clone(), sending.zone().serial());
    let mut out = vec![0, 0];
    while sending.next(shared.now_s(), &mut out) {
        if !write_message(stream, &mut out, patience).await {
            count::transfer("broken");
            warn!(%from, %zone, serial, "the copy of a zone was not taken whole");
            return false;
        }
        out.truncate(2);
    }
    let what = match sending.what() {
        What::Whole => "whole",
        What::Changes { .. } => "changes",
        What::Nothing => "current",
    };
    count::transfer(what);
    info!(%from, %zone, serial, what, "a secondary has a copy of the zone");
    shared.secondaries.copied(&zone, from, serial, shared.world.clock.wall_ms());
    true
}

const BACKLOG: i32 = 128;
/// Who has connected asks within this time.
const ON_ITS_WAY: Duration = Duration::from_millis(200);
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
