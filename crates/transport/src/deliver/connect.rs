//! From a plan to a session that takes messages: hosts in their order, addresses, TCP, greeting, TLS, AUTH.
//!
//! Always holds: an address that failed a moment ago is tried after those that did not; a password never follows a fallback to clear
//! text; one attempt tries a bounded number of addresses.

use super::center::Center;
use super::line::{Line, Moment, patience_ms};
use super::parcel::Parcel;
use super::plan::{Plan, To};
use super::servers;
use super::wire::Wire;
use crate::tls_client::Proof;
use directory::{Host, HostPort, SendTls};
use mail::{Enhanced, Reply};
use smtp::client::{Client, Ending, Event, Loss, Output, Settings, Stage, StartTls};
use spool::Attempt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream, UnixStream};

/// A session that waits for its first message.
pub(super) struct Opened {
    pub line: Line,
    pub client: Client<Parcel>,
    pub peer: Arc<Peer>,
}

/// Who is spoken to, in the words of the trace.
#[derive(Default)]
pub(super) struct Peer {
    /// `mx1.example.net[192.0.2.1]:25`
    pub label: String,
    /// The host's name.
    pub name: String,
    /// TLS, or why there is none.
    pub context: String,
    pub address: Option<SocketAddr>,
    /// The server of the organization that it is.
    pub server: Option<Arc<str>>,
    /// The site that it stands in.
    pub site: Option<Arc<str>>,
}

/// Why there is no session.
pub(super) enum NotOpened {
    /// The last host that was tried, and what came of it.
    Later(Peer, Reply),
    /// There is nobody to be asked, ever.
    Never(Reply),
}

/// A session that knows its peer.
pub(super) type Greeted = (Line, Client<Parcel>);

/// Why one address did not do.
pub(super) enum Trouble {
    /// Only TLS failed: in clear it might do.
    Tls(String),
    /// The connection broke before the first message. TLS 1.3 tells only then that our certificate was refused.
    Broken(io::Error, Reply),
    Reply(Reply),
}

impl Peer {
    pub fn new(name: &str, address: SocketAddr) -> Peer {
        let (label, name) = match address.ip().to_string() == name {
            true => (address.to_string(), format!("[{name}]")),
            false => (format!("{name}[{}]:{}", address.ip(), address.port()), name.to_owned()),
        };
        Peer { label, name, address: Some(address), ..Peer::default() }
    }

    /// The peer as the spool wants to know it.
    pub fn attempt(&self) -> Attempt<'_> {
        let remote_mta = (!self.name.is_empty()).then_some(self.name.as_str());
        Attempt { peer: &self.label, remote_mta, context: &self.context }
    }
}

/// The hosts of the plan, in the order in which they are to be tried; none for a socket on this machine, and for servers of ours.
pub(super) async fn hosts(center: &Center, plan: &Plan) -> Result<Vec<HostPort>, NotOpened> {
    Ok(match &plan.to {
        To::Unix(_) | To::Servers(_) => Vec::new(),
        To::Hosts(hosts) => {
            let mut hosts = hosts.clone();
            let first = center.rotation.fetch_add(1, Ordering::Relaxed) % hosts.len().max(1);
            hosts.rotate_left(first);
            hosts
        }
        To::Exchangers { domain, port } => {
            let chance = &*center.world.chance;
            match center.parts.resolver.exchangers(domain, &center.parts.own_names, chance).await {
                Ok(names) => {
                    names.into_iter().map(|name| HostPort { host: Host::Name(name.into()), port: *port }).collect()
                }
                Err(reply) if reply.is_permanent() => return Err(NotOpened::Never(reply)),
                Err(reply) => return Err(NotOpened::Later(Peer::default(), reply)),
            }
        }
    })
}

/// Opens a session with the first of these hosts that will have one. `attempt` turns the rotation of servers.
pub(super) async fn open(
    center: &Center,
    plan: &Plan,
    hosts: Vec<HostPort>,
    attempt: usize,
) -> Result<Opened, NotOpened> {
    match &plan.to {
        To::Unix(path) => open_unix(center, plan, path).await,
        To::Servers(candidates) => servers::open(center, plan, candidates, attempt).await,
        To::Hosts(_) | To::Exchangers { .. } => open_first(center, plan, hosts).await,
    }
}

async fn open_first(center: &Center, plan: &Plan, hosts: Vec<HostPort>) -> Result<Opened, NotOpened> {
    let mut postponed = Vec::new();
    let mut last = (Peer::default(), Reply::new(451, Enhanced::new(4, 4, 4), "no host to send to"));
    let mut tried = 0;
    let mut certain = matches!(plan.to, To::Exchangers { .. });
    for HostPort { host, port } in hosts {
        let name = host.to_string();
        let addresses = match host {
            Host::Ip(ip) => vec![ip],
            Host::Name(_) => match center.parts.resolver.addresses(&name).await {
                Ok(addresses) => addresses,
                Err(reply) => {
                    certain &= reply.is_permanent();
                    last = (Peer { label: name.clone(), name, ..Peer::default() }, reply);
                    continue;
                }
            },
        };
        certain = false;
        for address in addresses.into_iter().map(|ip| SocketAddr::new(ip, port)) {
            if center.penalties.has(&address, center.world.clock.mono_ms()) {
                postponed.push((name.clone(), address));
            } else if tried < ADDRESSES_TRIED_MAX {
                tried += 1;
                match open_address(center, plan, &name, address).await {
                    Ok(opened) => return Ok(opened),
                    Err(failure) => last = failure,
                }
            }
        }
    }
    for (name, address) in postponed.into_iter().take(ADDRESSES_TRIED_MAX - tried) {
        match open_address(center, plan, &name, address).await {
            Ok(opened) => return Ok(opened),
            Err(failure) => last = failure,
        }
    }
    let (peer, reply) = last;
    match certain {
        true => Err(NotOpened::Never(reply)),
        false if reply.is_permanent() => Err(NotOpened::Later(peer, later(&reply.to_string()))),
        false => Err(NotOpened::Later(peer, reply)),
    }
}

/// One address: with TLS as the connector wants it, and in clear if that is allowed and TLS failed.
async fn open_address(center: &Center, plan: &Plan, name: &str, address: SocketAddr) -> Result<Opened, (Peer, Reply)> {
    let mut peer = Peer::new(name, address);
    let mut start_tls = match plan.tls {
        SendTls::Off => StartTls::Never,
        SendTls::Opportunistic => StartTls::IfOffered,
        SendTls::Require | SendTls::Verify => StartTls::Required,
    };
    loop {
        let opened = match connect(plan, address).await {
            Ok(stream) => {
                let line = Line::new(Wire::Tcp(stream), Arc::clone(&center.world.clock));
                greet(center, plan, start_tls, name, line).await
            }
            Err(error) => Err(Trouble::Reply(unreachable(&error))),
        };
        match opened {
            Ok((line, client)) => {
                center.penalties.forgive(&address);
                note_tls(center, &line, &client, &mut peer);
                return Ok(Opened { line, client, peer: Arc::new(peer) });
            }
            Err(Trouble::Tls(why)) if start_tls == StartTls::IfOffered && plan.credentials.is_none() => {
                center.metrics.tls_fallbacks.increment(1);
                peer.context = format!("in clear: {why}");
                start_tls = StartTls::Never;
            }
            Err(trouble) => {
                center.penalties.add(address, center.world.clock.mono_ms());
                let reply = match trouble {
                    Trouble::Tls(why) => Reply::of(451, Enhanced::new(4, 7, 5), why),
                    Trouble::Reply(reply) | Trouble::Broken(_, reply) => reply,
                };
                tracing::debug!(peer = peer.label, %reply, "no session");
                return Err((peer, reply));
            }
        }
    }
}

async fn open_unix(center: &Center, plan: &Plan, path: &Path) -> Result<Opened, NotOpened> {
    let name = path.display().to_string();
    let peer = Peer { label: format!("unix:{name}"), name: center.hostname().to_owned(), ..Peer::default() };
    let stream = match within(plan.timeouts.connect_ms, UnixStream::connect(path)).await {
        Ok(stream) => stream,
        Err(error) => return Err(NotOpened::Later(peer, unreachable(&error))),
    };
    let line = Line::new(Wire::Unix(stream), Arc::clone(&center.world.clock));
    match greet(center, plan, StartTls::Never, &name, line).await {
        Ok((line, client)) => Ok(Opened { line, client, peer: Arc::new(peer) }),
        Err(Trouble::Tls(why)) => Err(NotOpened::Later(peer, later(&why))),
        Err(Trouble::Reply(reply) | Trouble::Broken(_, reply)) => Err(NotOpened::Later(peer, reply)),
    }
}

pub(super) async fn connect(plan: &Plan, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = plan.source.filter(|source: &IpAddr| source.is_ipv4() == address.is_ipv4()) {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    // Requests and answers alternate: waiting to fill a segment would cost a round trip each time.
    socket.set_nodelay(true)?;
    within(plan.timeouts.connect_ms, socket.connect(address)).await
}

/// Everything before the first message.
pub(super) async fn greet(
    center: &Center,
    plan: &Plan,
    start_tls: StartTls,
    host: &str,
    mut line: Line,
) -> Result<Greeted, Trouble> {
    let mut client: Client<Parcel> = Client::new(Settings {
        protocol: plan.protocol,
        hello: (&*plan.hello).into(),
        start_tls,
        credentials: plan.credentials.clone(),
        in_flight_max: IN_FLIGHT_MAX,
        eager_bytes_max: EAGER_BYTES_MAX,
    });
    loop {
        match client.poll_event() {
            Some(Event::Ready) => return Ok((line, client)),
            Some(Event::StartTls) => {
                let proof = match plan.tls {
                    SendTls::Verify => Proof::Name(plan.tls_ca_pem.as_deref()),
                    SendTls::Off | SendTls::Opportunistic | SendTls::Require => Proof::Nothing,
                };
                let secured = line.secure(&center.tls, host, proof, plan.timeouts.command_ms).await;
                line = secured.map_err(|error| Trouble::Tls(format!("TLS handshake failed: {error}")))?;
                client.tls_started();
            }
            Some(Event::Over(Ending::Lost(loss))) => return Err(lost(loss, client.awaits())),
            Some(Event::Over(ending)) => return Err(Trouble::Reply(refusal(&ending))),
            // Nothing was handed in yet.
            Some(Event::Done(_) | Event::Returned(_)) => {}
            None => {
                while let Some(Output::Text(text)) = client.next_output() {
                    line.outbox.push_text(text);
                }
                let stage = client.awaits().unwrap_or(Stage::Greeting);
                match line.wait(patience_ms(&plan.timeouts, stage), false, None).await {
                    Moment::Read(count) => client.receive(line.input(count)),
                    Moment::Room | Moment::Rung => {}
                    Moment::TimedOut => return Err(lost(Loss::TimedOut, Some(stage))),
                    Moment::Lost(loss) => return Err(broken(line.broken.take(), lost(loss, Some(stage)))),
                }
            }
        }
    }
}

fn broken(why: Option<io::Error>, trouble: Trouble) -> Trouble {
    match (why, trouble) {
        (Some(error), Trouble::Reply(reply)) => Trouble::Broken(error, reply),
        (_, trouble) => trouble,
    }
}

fn lost(loss: Loss, stage: Option<Stage>) -> Trouble {
    match stage {
        Some(Stage::Tls) => Trouble::Tls(format!("{loss} while {}", Stage::Tls)),
        Some(stage) => Trouble::Reply(Reply::of(451, Enhanced::new(4, 4, 2), format!("{loss} while {stage}"))),
        None => Trouble::Reply(Reply::of(451, Enhanced::new(4, 4, 2), loss.to_string())),
    }
}

pub(super) fn note_tls(center: &Center, line: &Line, client: &Client<Parcel>, peer: &mut Peer) {
    match (line.tls_version(), client.tls_refused()) {
        (Some(version), _) => {
            peer.context = version;
            center.metrics.opened_tls.increment(1);
            return;
        }
        (None, Some(reply)) => {
            peer.context = format!("in clear: STARTTLS was refused: {reply}");
            center.metrics.tls_fallbacks.increment(1);
        }
        (None, None) => {}
    }
    center.metrics.opened_clear.increment(1);
}

/// The reply that stands for the end of a session, always a 4xx: a host that will not talk to us is no verdict on a recipient.
pub(super) fn refusal(ending: &Ending) -> Reply {
    match ending {
        Ending::Refused(_, reply) | Ending::Busy(reply) if reply.is_transient() => reply.clone(),
        Ending::NoTls(_) => Reply::of(451, Enhanced::new(4, 7, 5), ending.to_string()),
        Ending::NoAuth => Reply::of(451, Enhanced::new(4, 7, 0), ending.to_string()),
        Ending::Malformed(_) | Ending::Unasked(_) | Ending::Early(_) => {
            Reply::of(451, Enhanced::new(4, 5, 0), ending.to_string())
        }
        Ending::Quit | Ending::Refused(..) | Ending::Busy(_) | Ending::Lost(_) => later(&ending.to_string()),
    }
}

fn later(why: &str) -> Reply {
    Reply::of(451, Enhanced::new(4, 4, 2), why)
}

pub(super) fn unreachable(error: &io::Error) -> Reply {
    Reply::of(451, Enhanced::new(4, 4, 1), format!("no connection: {error}"))
}

pub(super) async fn within<T>(timeout_ms: u64, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match tokio::time::timeout(Duration::from_millis(timeout_ms), work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "timed out")),
    }
}

/// Addresses that one attempt tries.
const ADDRESSES_TRIED_MAX: usize = 10;
/// Messages in flight on one connection: so many may come twice if it is lost.
const IN_FLIGHT_MAX: usize = 8;
/// A body up to this size goes out with its envelope where CHUNKING allows it.
const EAGER_BYTES_MAX: u64 = 64 << 10;
