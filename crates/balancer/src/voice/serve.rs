//! The driver: sockets and the clock around the machine. One task has the machine; sockets and connections have tasks that feed it.
//!
//! Owns who may speak to us at all (`remote` of the service, and its hosts). Knows no SIP.
//! Always holds: what waits for the machine is bounded; a datagram that does not fit is lost, as datagrams may be, and counted; what was
//! read is done with before a service ends for another process, and what was not is in the sockets, which that one has.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use directory::{Service, ServiceProtocol, SipMode, SipTransport};
use rustls::ServerConfig;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::warn;
use world::{Chance, Clock};

use super::desk::{Listener, Mode, Packet, Settings};
use super::dial_plan::DialPlan;
use super::secure::Tls;
use super::server::{Input, Voice};
use super::sockets::{self, DATAGRAM_BYTES};
use super::streams::{Bounds, Event, Streams};
use super::tally::{self, Tally};
use super::{Hop, Hosts};
use crate::pool::Pool;
use crate::sip::Transport;

/// How long accepting pauses when there are no descriptors.
const PAUSE: Duration = Duration::from_millis(100);
const TOLD_AGAIN: Duration = Duration::from_secs(60);
/// Messages that wait for the machine.
const WAITING_MAX: usize = 2048;

/// A SIP service that runs; it ends when this is dropped.
pub struct Serving {
    task: JoinHandle<()>,
    listening: Vec<JoinHandle<()>>,
    sockets: Vec<Arc<dyn AsFd + Send + Sync>>,
    events: mpsc::Sender<Event>,
    told: watch::Sender<Told>,
    /// Where it listens, with the ports that the kernel chose.
    pub addresses: Vec<(Transport, SocketAddr)>,
}

/// What a service needs besides the document.
pub struct Around {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Numbers that nobody guesses.
    pub chance: Arc<dyn Chance>,
    /// Whether this node takes new calls.
    pub ready: watch::Receiver<bool>,
    /// What gateways are shown, where the service is one of `sips`.
    pub tls: Arc<ServerConfig>,
}

/// What the document and the node say, as long as they say nothing else.
#[derive(Clone)]
struct Told {
    service: Arc<Service>,
    tls: Option<Tls>,
}

impl Serving {
    /// Begins `service` with the members of `pool`, in the runtime of the caller. Errors: an address that cannot be listened on.
    ///
    /// `inherited` gives the socket of an address that another process has had, if there is one.
    pub fn start(
        service: &Arc<Service>,
        pool: Arc<Pool>,
        around: Around,
        inherited: impl Fn(Transport, SocketAddr) -> Option<OwnedFd>,
    ) -> io::Result<Serving> {
        let plan = DialPlan::new(pool, around.clock.mono_ms());
        let (events, waiting) = mpsc::channel(WAITING_MAX);
        tally::describe();
        let tally = Arc::new(Tally::new(Arc::clone(&service.name)));
        let mut ports = Ports::default();
        for (transport, address) in wanted(service) {
            let own = match (address.ip().is_unspecified(), plan.some_address()) {
                (true, Some(host)) => sockets::own_address(host).unwrap_or(address.ip()),
                _ => address.ip(),
            };
            let inherited = inherited(transport, address);
            ports.open((transport, address, own), inherited, &events, &tally)?;
        }
        let Ports { listeners, datagrams, tasks, sockets } = ports;
        let addresses = listeners.iter().map(|listener| (listener.transport, listener.local)).collect();
        let tls = (service.protocol == ServiceProtocol::Sips).then(|| Tls::new(around.tls)).transpose()?;
        let (told, changes) = watch::channel(Told { service: Arc::clone(service), tls: tls.clone() });
        let voice = Voice::new(settings(service), listeners.clone(), plan, around.chance.u64());
        let streams = Streams::new(bounds(service), tls, around.chance.u64() >> 1, events.clone());
        let driver =
            Driver { voice, streams, listeners, datagrams, tally, service: Arc::clone(service), clock: around.clock };
        let task = tokio::spawn(driver.run(waiting, changes, around.ready));
        Ok(Serving { task, listening: tasks, sockets, events, told, addresses })
    }

    /// The same service, as the document has it now, with what gateways are shown from now on. Its `protocol`, `listen` and
    /// `sip_transports` must be as they were: else start anew.
    pub fn change(&self, service: &Arc<Service>, tls: Arc<ServerConfig>) {
        self.told.send_modify(|told| {
            told.service = Arc::clone(service);
            told.tls = told.tls.as_ref().map(|before| before.with(tls));
        });
    }

    /// Duplicates of its sockets, for another process. Out of descriptors: that one makes its own.
    pub fn duplicates(&self) -> Vec<OwnedFd> {
        self.sockets.iter().filter_map(|socket| socket.as_fd().try_clone_to_owned().ok()).collect()
    }

    /// Reads nothing more, does what is to be done with what was read, and ends. What comes now waits in the sockets for whoever has
    /// duplicates of them.
    pub async fn end(mut self) {
        for reader in &mut self.listening {
            reader.abort();
            // It was aborted: there is nothing to learn from it, but that it has ended.
            let _ = reader.await;
        }
        if self.events.send(Event::Over).await.is_ok() {
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.task.abort();
        self.listening.iter().for_each(JoinHandle::abort);
    }
}

/// The sockets of a service while they are opened.
#[derive(Default)]
struct Ports {
    listeners: Vec<Listener>,
    datagrams: Vec<Option<Arc<UdpSocket>>>,
    tasks: Vec<JoinHandle<()>>,
    sockets: Vec<Arc<dyn AsFd + Send + Sync>>,
}

impl Ports {
    fn open(
        &mut self,
        (transport, address, own): (Transport, SocketAddr, IpAddr),
        inherited: Option<OwnedFd>,
        events: &mpsc::Sender<Event>,
        tally: &Arc<Tally>,
    ) -> io::Result<()> {
        let number = self.listeners.len();
        let events = events.clone();
        let (local, socket, task) = match transport {
            Transport::Udp => {
                let socket = Arc::new(sockets::datagrams(address, inherited)?);
                let task = tokio::spawn(receive(number, Arc::clone(&socket), events, Arc::clone(tally)));
                self.sockets.push(socket.clone());
                (socket.local_addr()?, Some(socket), task)
            }
            Transport::Tcp | Transport::Tls => {
                let listener = Arc::new(sockets::listener(address, inherited)?);
                self.sockets.push(listener.clone());
                (listener.local_addr()?, None, tokio::spawn(accept(number, listener, events)))
            }
        };
        self.listeners.push(Listener { transport, local, own });
        self.datagrams.push(socket);
        self.tasks.push(task);
        Ok(())
    }
}

/// Every address with every transport.
pub(super) fn wanted(service: &Service) -> Vec<(Transport, SocketAddr)> {
    let transport = |of: &SipTransport| match of {
        SipTransport::Udp => Transport::Udp,
        SipTransport::Tcp => Transport::Tcp,
    };
    let transports: Vec<Transport> = match service.protocol {
        ServiceProtocol::Sips => vec![Transport::Tls],
        _ => service.sip.transports.iter().map(transport).collect(),
    };
    service.listen.iter().flat_map(|address| transports.iter().map(move |of| (*of, *address))).collect()
}

pub(super) fn settings(service: &Service) -> Settings {
    Settings {
        mode: match service.sip.mode {
            SipMode::Redirect => Mode::Redirect,
            SipMode::Forward => Mode::Forward,
        },
        hostname: Arc::clone(&service.hostname),
        greeting_timeout_ms: service.limits.greeting_timeout_ms,
        answer_timeout_ms: service.sip.answer_timeout_ms,
        retries: service.limits.retries as usize,
        retry_after_s: RETRY_AFTER_S,
    }
}

fn bounds(service: &Service) -> Bounds {
    let limits = &service.limits;
    Bounds {
        streams_max: limits.connections_max as usize,
        streams_per_source_max: limits.connections_per_source_max.map(|max| max as usize),
        idle_ms: limits.idle_timeout_ms,
        connect_ms: limits.connect_timeout_ms,
        keepalive_ms: limits.keepalive_ms,
    }
}

async fn receive(listener: usize, socket: Arc<UdpSocket>, events: mpsc::Sender<Event>, tally: Arc<Tally>) {
    let mut buffer = vec![0; DATAGRAM_BYTES];
    loop {
        // An error here is one of an earlier packet (its destination said no): nothing to do with the next one.
        let Ok((count, address)) = socket.recv_from(&mut buffer).await else { continue };
        let from = Hop { transport: Transport::Udp, listener, flow: 0, address };
        let event = Event::Message { from, bytes: buffer[..count].to_vec() };
        match events.try_send(event) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => tally.dropped("busy"),
            Err(mpsc::error::TrySendError::Closed(_)) => return,
        }
    }
}

async fn accept(listener: usize, socket: Arc<TcpListener>, events: mpsc::Sender<Event>) {
    let mut told: Option<Instant> = None;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                if events.send(Event::Accepted { listener, stream, peer }).await.is_err() {
                    return;
                }
            }
            // The gateway gave up before we took it.
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            // Out of descriptors: those who wait are taken when there are some again. Said once a minute, not ten times a second.
            Err(error) => {
                if told.is_none_or(|at| at.elapsed() >= TOLD_AGAIN) {
                    told = Some(Instant::now());
                    warn!(%error, "no connection of SIP can be taken now; raise LimitNOFILE if this is about open files");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// The task that has the machine.
struct Driver {
    voice: Voice<DialPlan>,
    streams: Streams,
    listeners: Vec<Listener>,
    datagrams: Vec<Option<Arc<UdpSocket>>>,
    tally: Arc<Tally>,
    service: Arc<Service>,
    clock: Arc<dyn Clock>,
}

impl Driver {
    async fn run(
        mut self,
        mut waiting: mpsc::Receiver<Event>,
        mut changes: watch::Receiver<Told>,
        mut ready: watch::Receiver<bool>,
    ) {
        let first = *ready.borrow_and_update();
        self.step(Input::Ready(first));
        loop {
            let now_ms = self.clock.mono_ms();
            let due_ms = self.voice.due_ms().unwrap_or(u64::MAX).saturating_sub(now_ms).min(1000);
            tokio::select! {
                event = waiting.recv() => match event {
                    Some(Event::Over) | None => return,
                    Some(event) => self.happened(event),
                },
                () = tokio::time::sleep(Duration::from_millis(due_ms)) => self.step(Input::Time),
                Ok(()) = changes.changed() => {
                    let Told { service, tls } = changes.borrow_and_update().clone();
                    self.voice.change(settings(&service));
                    self.streams.change(bounds(&service), tls);
                    self.service = service;
                }
                Ok(()) = ready.changed() => {
                    let now = *ready.borrow_and_update();
                    self.step(Input::Ready(now));
                }
            }
        }
    }

    fn happened(&mut self, event: Event) {
        match event {
            Event::Message { from, bytes } => match from.flow == 0 && !self.is_welcome(from.address.ip()) {
                true => self.tally.dropped("stranger"),
                false => self.step(Input::Packet { from, bytes: &bytes }),
            },
            Event::Accepted { listener, stream, peer } => {
                let taken = match self.is_welcome(peer.ip()) {
                    true => self.streams.accept(listener, stream, peer),
                    false => Err("stranger"),
                };
                if let Err(why) = taken {
                    self.tally.dropped(why);
                }
            }
            Event::Closed { flow, unsent, why } => {
                why.into_iter().for_each(|why| self.tally.dropped(why));
                self.streams.close(flow);
                unsent.into_iter().for_each(|ticket| self.step(Input::Unreachable(ticket)));
            }
            Event::Over => {}
        }
    }

    fn is_welcome(&self, ip: IpAddr) -> bool {
        self.service.remote.contains(ip) || self.voice.hosts().at(ip).is_some()
    }

    fn step(&mut self, input: Input) {
        let now_ms = self.clock.mono_ms();
        self.voice.hosts_mut().refresh(now_ms);
        if let Input::Packet { from, bytes } = &input {
            self.voice.hosts().moved(from.address, 0, bytes.len() as u64);
        }
        let (mut packets, mut notes) = (Vec::new(), Vec::new());
        self.voice.step(now_ms, input, &mut packets, &mut notes);
        // Sending may fail at once, which is the next input. Each try fails once, and a call has few tries.
        while !packets.is_empty() {
            let failed: Vec<_> =
                std::mem::take(&mut packets).into_iter().filter_map(|packet| self.send(packet)).collect();
            for ticket in failed {
                self.voice.step(now_ms, Input::Unreachable(ticket), &mut packets, &mut notes);
            }
        }
        notes.iter().for_each(|note| self.tally.note(note));
        self.tally.held(self.voice.held().0);
    }

    /// Sends a packet; says which try it was if nobody will.
    fn send(&mut self, packet: Packet) -> Option<(u64, usize)> {
        self.voice.hosts().moved(packet.hop.address, packet.bytes.len() as u64, 0);
        let listener = self.listeners.get(packet.hop.listener)?;
        match self.datagrams.get(packet.hop.listener)? {
            None => self.streams.send(packet, listener.local.ip()).err().flatten(),
            Some(socket) => match socket.try_send_to(&packet.bytes, packet.hop.address) {
                Ok(_) => None,
                // Full: lost like any datagram, and sent again by whoever cares.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Err(_) => packet.ticket,
            },
        }
    }
}

/// What callers are told to wait when nobody takes calls: a probe's round.
const RETRY_AFTER_S: u32 = 5;
