//! Connections of a service, both ways: messages are cut out of them and put into them. Knows nothing of what the messages say.
//!
//! Always holds: all of a service's connections are under TLS, or none is; a connection that sends no whole message in
//! [`MESSAGE_TIME_MS`] once it has begun one, sends none at all in [`FIRST_TIME_MS`], or does not take what it is sent, is closed; no more than
//! the bounds say are open.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::desk::{Hop, Packet};
use super::secure::{Reading, Tls, Writing, in_clear};
use super::sockets;
use crate::sip::{Frame, Transport, frame};

/// Messages that wait to be written to one connection.
const WAITING_MAX: usize = 256;
/// Whoever has not sent a message so far is not waited for longer: who only connects keeps nobody else's place.
const FIRST_TIME_MS: u64 = 30_000;
/// A message takes no longer from its first byte to its last.
const MESSAGE_TIME_MS: u64 = 10_000;

/// What the tasks of connections and sockets tell the one that has the machine.
#[derive(Debug)]
pub enum Event {
    /// A whole message.
    Message {
        /// From where.
        from: Hop,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Somebody connected.
    Accepted {
        /// At which listener.
        listener: usize,
        /// The connection.
        stream: TcpStream,
        /// Who.
        peer: SocketAddr,
    },
    /// A connection is over; these could not be sent.
    Closed {
        /// Which.
        flow: u64,
        /// Tickets of what waited.
        unsent: Vec<(u64, usize)>,
        /// Why it never began, if it did not, in a word for metrics.
        why: Option<&'static str>,
    },
    /// The service ends with this: all that came before is done with.
    Over,
}

/// Bounds of connections.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open at once.
    pub streams_max: usize,
    /// Of one address; `None`: as many as are open at once.
    pub streams_per_source_max: Option<usize>,
    /// Silence that ends one.
    pub idle_ms: u64,
    /// How long connecting may take.
    pub connect_ms: u64,
    /// After so long the kernel asks.
    pub keepalive_ms: Option<u64>,
}

/// All connections.
pub struct Streams {
    bounds: Bounds,
    tls: Option<Tls>,
    open: HashMap<u64, Open>,
    by_peer: HashMap<(usize, SocketAddr), u64>,
    by_source: HashMap<IpAddr, usize>,
    next: u64,
    events: mpsc::Sender<Event>,
}

struct Open {
    listener: usize,
    peer: SocketAddr,
    packets: mpsc::Sender<Out>,
    reader: Option<JoinHandle<()>>,
}

struct Out {
    bytes: Vec<u8>,
    ticket: Option<(u64, usize)>,
}

impl Streams {
    /// None yet; what happens to them goes to `events`. `first` is the number of the first one: not one that an earlier life may have used.
    pub fn new(bounds: Bounds, tls: Option<Tls>, first: u64, events: mpsc::Sender<Event>) -> Streams {
        let (open, by_peer, by_source) = (HashMap::new(), HashMap::new(), HashMap::new());
        Streams { bounds, tls, open, by_peer, by_source, next: first.max(1), events }
    }

    /// Other bounds and another certificate, for connections to come.
    pub fn change(&mut self, bounds: Bounds, tls: Option<Tls>) {
        (self.bounds, self.tls) = (bounds, tls);
    }

    /// Takes a connection that somebody made; says why not, if not.
    pub fn accept(&mut self, listener: usize, stream: TcpStream, peer: SocketAddr) -> Result<(), &'static str> {
        let of_source = self.by_source.get(&peer.ip()).copied().unwrap_or(0);
        if self.open.len() >= self.bounds.streams_max {
            return Err("too many connections");
        }
        if self.bounds.streams_per_source_max.is_some_and(|max| of_source >= max) {
            return Err("too many connections of one source");
        }
        let flow = self.number();
        let (packets, waiting) = mpsc::channel(WAITING_MAX);
        let reader = tokio::spawn(self.side(flow, listener, peer).take(stream, waiting, packets.clone()));
        self.put(flow, Open { listener, peer, packets, reader: Some(reader) });
        Ok(())
    }

    /// Sends a packet on its connection, or on one that there is to its address, or on a new one from `own`. `Err`: nobody will.
    pub fn send(&mut self, packet: Packet, own: IpAddr) -> Result<(), Option<(u64, usize)>> {
        let Packet { hop, bytes, ticket } = packet;
        let known = match self.open.contains_key(&hop.flow) {
            true => Some(hop.flow),
            false => self.by_peer.get(&(hop.listener, hop.address)).copied(),
        };
        let flow = match known {
            Some(flow) => flow,
            None if self.open.len() >= self.bounds.streams_max => return Err(ticket),
            None => self.connect(hop.listener, hop.address, own),
        };
        let Some(open) = self.open.get(&flow) else { return Err(ticket) };
        match open.packets.try_send(Out { bytes, ticket }) {
            Ok(()) => Ok(()),
            Err(_) => {
                // It does not take what it is sent.
                self.close(flow);
                Err(ticket)
            }
        }
    }

    /// Forgets a connection.
    pub fn close(&mut self, flow: u64) {
        let Some(open) = self.open.remove(&flow) else { return };
        let key = (open.listener, open.peer);
        if self.by_peer.get(&key) == Some(&flow) {
            self.by_peer.remove(&key);
        }
        if let Some(count) = self.by_source.get_mut(&open.peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.by_source.remove(&open.peer.ip());
            }
        }
        if let Some(reader) = open.reader {
            reader.abort();
        }
    }

    fn number(&mut self) -> u64 {
        self.next = self.next.wrapping_add(1).max(1);
        self.next
    }

    fn side(&self, flow: u64, listener: usize, peer: SocketAddr) -> Side {
        let (tls, idle_ms, events) = (self.tls.clone(), self.bounds.idle_ms, self.events.clone());
        Side { flow, listener, peer, tls, idle_ms, events }
    }

    fn put(&mut self, flow: u64, open: Open) {
        self.by_peer.insert((open.listener, open.peer), flow);
        *self.by_source.entry(open.peer.ip()).or_default() += 1;
        self.open.insert(flow, open);
    }

    fn connect(&mut self, listener: usize, peer: SocketAddr, own: IpAddr) -> u64 {
        let flow = self.number();
        let (packets, waiting) = mpsc::channel(WAITING_MAX);
        let reader = tokio::spawn(self.side(flow, listener, peer).dial(own, self.bounds, waiting, packets.clone()));
        self.put(flow, Open { listener, peer, packets, reader: Some(reader) });
        flow
    }
}

impl Drop for Streams {
    fn drop(&mut self) {
        self.open.values_mut().filter_map(|open| open.reader.take()).for_each(|reader| reader.abort());
    }
}

/// One connection as its tasks know it.
#[derive(Clone)]
struct Side {
    flow: u64,
    listener: usize,
    peer: SocketAddr,
    tls: Option<Tls>,
    idle_ms: u64,
    events: mpsc::Sender<Event>,
}

impl Side {
    /// A connection that somebody made.
    async fn take(self, stream: TcpStream, mut waiting: mpsc::Receiver<Out>, packets: mpsc::Sender<Out>) {
        let halves = match &self.tls {
            None => Ok(in_clear(stream)),
            Some(tls) => tls.accept(stream).await,
        };
        match halves {
            Ok((read, write)) => {
                tokio::spawn(self.clone().write(write, waiting));
                self.read(read, packets).await;
            }
            Err(_) => self.closed(&mut waiting, None, Some("handshake")).await,
        }
    }

    /// One that we make.
    async fn dial(self, own: IpAddr, bounds: Bounds, mut waiting: mpsc::Receiver<Out>, packets: mpsc::Sender<Out>) {
        let connected = async { sockets::stream(own, bounds.keepalive_ms)?.connect(self.peer).await };
        let stream = match timeout(Duration::from_millis(bounds.connect_ms), connected).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) | Err(_) => return self.closed(&mut waiting, None, None).await,
        };
        let halves = match &self.tls {
            None => Ok(in_clear(stream)),
            Some(tls) => tls.connect(stream, self.peer).await,
        };
        let Ok((read, write)) = halves else { return self.closed(&mut waiting, None, None).await };
        tokio::spawn(self.clone().write(write, waiting));
        self.read(read, packets).await;
    }

    /// Cuts messages out of what comes, until it ends or makes no sense.
    async fn read(self, mut half: Reading, packets: mpsc::Sender<Out>) {
        let mut held: Vec<u8> = Vec::new();
        let mut chunk = vec![0; 4096];
        let mut has_spoken = false;
        while let Ok(count) = self.more(&mut half, &mut chunk, held.is_empty(), has_spoken).await {
            held.extend_from_slice(&chunk[..count]);
            let mut used = 0;
            loop {
                match frame(&held[used..]) {
                    Frame::Incomplete => break,
                    Frame::Blank(bytes) => used += bytes,
                    Frame::Ping => {
                        used += 4;
                        // Nobody needs the answer if it does not fit.
                        let _ = packets.try_send(Out { bytes: b"\r\n".to_vec(), ticket: None });
                    }
                    Frame::Message(bytes) => {
                        has_spoken = true;
                        let message = held[used..used + bytes].to_vec();
                        used += bytes;
                        let hop = Hop {
                            transport: if self.tls.is_some() { Transport::Tls } else { Transport::Tcp },
                            listener: self.listener,
                            flow: self.flow,
                            address: self.peer,
                        };
                        if self.events.send(Event::Message { from: hop, bytes: message }).await.is_err() {
                            return;
                        }
                    }
                    Frame::Lost => return self.gone().await,
                }
            }
            held.drain(..used);
            if held.is_empty() && held.capacity() > chunk.len() {
                held = Vec::new();
            }
        }
        self.gone().await;
    }

    /// Reads what comes next; an end, an error or too long a silence is an error.
    async fn more(
        &self,
        half: &mut Reading,
        chunk: &mut [u8],
        between_messages: bool,
        has_spoken: bool,
    ) -> io::Result<usize> {
        let wait_ms = match between_messages {
            true if has_spoken => self.idle_ms,
            true => self.idle_ms.min(FIRST_TIME_MS),
            false => MESSAGE_TIME_MS,
        };
        match timeout(Duration::from_millis(wait_ms), half.read(chunk)).await {
            Ok(Ok(0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(result) => result,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn write(self, mut half: Writing, mut waiting: mpsc::Receiver<Out>) {
        while let Some(out) = waiting.recv().await {
            let written = async {
                half.write_all(&out.bytes).await?;
                half.flush().await
            };
            if !matches!(timeout(Duration::from_millis(MESSAGE_TIME_MS), written).await, Ok(Ok(()))) {
                return self.closed(&mut waiting, out.ticket, None).await;
            }
        }
        // A goodbye, for which nobody waits.
        let _ = timeout(Duration::from_millis(MESSAGE_TIME_MS), half.shutdown()).await;
    }

    async fn closed(&self, waiting: &mut mpsc::Receiver<Out>, first: Option<(u64, usize)>, why: Option<&'static str>) {
        waiting.close();
        let mut unsent: Vec<(u64, usize)> = first.into_iter().collect();
        while let Ok(out) = waiting.try_recv() {
            unsent.extend(out.ticket);
        }
        let _ = self.events.send(Event::Closed { flow: self.flow, unsent, why }).await;
    }

    async fn gone(&self) {
        let _ = self.events.send(Event::Closed { flow: self.flow, unsent: Vec::new(), why: None }).await;
    }
}
